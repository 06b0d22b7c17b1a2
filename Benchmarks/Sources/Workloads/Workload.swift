/// One optimizer step on one minibatch of synthetic inputs, which are drawn once; the random numbers that the step needs are drawn afresh in every step.
public protocol Workload: AnyObject {
    /// One step; gives the loss, for which it waits until the step is done.
    func step() -> Double
}
