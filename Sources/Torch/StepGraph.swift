internal import CTorch

/// Runs a training step repeatedly; on CUDA, after a few plain runs, records it once and then replays the recording.
///
/// A replay launches all the step's work with one call, so a step of many small operators no longer waits for the host. On the CPU each run simply
/// runs the closure. CUDA graphs work with libtorch 2.11.0 to 2.15.0; it has not been run on a device yet.
///
/// ```swift
/// let graph = StepGraph(on: device, generators: [random])
/// for batch in batches {
///     input.assign(batch.images)   // buffers: new numbers in the same place
///     labels.assign(batch.labels)
///     optimizer.prepare(learningRate: learningRate)
///     graph.run(key: optimizer.recordingKey) {
///         let loss = network(input.value, .training(random)).softmaxCrossEntropy(labels: labels.value)
///         optimizer.apply(gradients: gradients(of: loss, withRespectTo: optimizer.parameters))
///         lossSum.assign(lossSum.value + loss)
///     }
/// }
/// ```
///
/// Rules for the closure, so that a replay does what a run does:
///
/// - What it reads is in parameters and buffers on the device; assign new numbers to them before the run. Other tensors that it reads, such as a data
///   set from which it selects a minibatch, are recorded as they are and must be kept alive as long as the graph. A Swift number passed to an
///   operator is recorded as it was: what can change belongs in the key, or in a ``StepNumber``.
/// - It changes only parameters, buffers and an optimizer's own tensors, by ``Parameter/assign(_:)``, ``Buffer/assign(_:)`` and `apply(gradients:)`.
///   After a replay, a variable that was set to a new tensor holds whatever is in that place in the recording's memory.
/// - It does not wait for the device: no `item()`, no `elements()`, no tensor made from Swift numbers.
/// - It counts nothing on the host: it runs during warm-up and recording, but not in a replay.
/// - Random numbers come only from the given generators.
///
/// A ``Buffer`` that is read or assigned inside keeps its place in memory from then on. A step that cannot be recorded is run unrecorded from then
/// on, and ``fallback`` says why.
public final class StepGraph {
    /// Where the steps run.
    public let device: Device
    /// Why steps are run unrecorded although the device is not the CPU; nil as long as they are not.
    public private(set) var fallback: TorchError?
    /// The number of recordings held, one for each recent key.
    public var recordingCount: Int { stages.values.count { if case .recorded = $0 { true } else { false } } }

    private enum Stage {
        case warmingUp(runs: Int)
        case recorded(Recording)
    }

    /// Each recording holds all the memory of a step.
    private static let capacity = 4

    private let generators: [Generator]
    private let warmUps: Int
    private let handle: CTorchGraph?
    private var stages: [AnyHashable: Stage] = [:]
    private var order: [AnyHashable] = []

    /// A graph with nothing recorded yet. Pass all generators from which steps draw; `warmUps` is the number of times that a step with a new key is
    /// run before it is recorded, at least 1: what an operator sets up in its first run cannot be recorded.
    public init(on device: Device, generators: [Generator] = [], warmUps: Int = 3) {
        trap(unless: warmUps >= 1, "step graph: expected at least 1 warm-up, found \(warmUps)")
        self.device = device
        self.generators = generators
        self.warmUps = warmUps
        var handle: CTorchGraph?
        if !device.isCPU {
            let handles: [CTorchGenerator?] = generators.filter { $0.device == device }.map(\.handle)
            let message = withExtendedLifetime(generators) {
                handles.withUnsafeBufferPointer { ctorch_graph_create(device.code, $0.baseAddress, Int32($0.count), &handle) }
            }
            if let message { fallback = TorchError(takeMessage(message)) }
        }
        self.handle = handle
    }

    deinit { ctorch_graph_free(handle) }

    /// Why steps cannot be recorded with this libtorch; nil if they can, on a CUDA device.
    public static var unavailability: TorchError? { ctorch_graph_check().map { TorchError(takeMessage($0)) } }

    /// Runs the closure, or replays it.
    ///
    /// A recording belongs to its key: another key (another shape, another number that the closure passes to an operator) is warmed up and recorded
    /// separately. The recordings of the last four keys are kept.
    public func run(key: some Hashable & Sendable, _ step: () -> Void) {
        guard let handle, fallback == nil else { return step() }
        let key = AnyHashable(key)
        switch stages[key] ?? .warmingUp(runs: 0) {
        case .recorded(let recording):
            recording.replay()
        case .warmingUp(let runs) where runs < warmUps:
            do throws(TorchError) {
                _ = try within(handle, recording: false, step)
            } catch {
                fatalError("step graph on \(device): \(error)")
            }
            keep(.warmingUp(runs: runs + 1), for: key)
        case .warmingUp:
            do throws(TorchError) {
                guard let recording = try within(handle, recording: true, step) else { throw TorchError("nothing was recorded") }
                keep(.recorded(recording), for: key)
                // Recording does not run the step.
                recording.replay()
            } catch {
                fallback = error
                discard()
                step()
            }
        }
    }

    /// Discards all recordings; needed when something that a step reads or changes was replaced by another object.
    public func discard() {
        stages = [:]
        order = []
    }

    private func keep(_ stage: Stage, for key: AnyHashable) {
        if stages.updateValue(stage, forKey: key) == nil { order.append(key) }
        if order.count > Self.capacity { stages[order.removeFirst()] = nil }
    }

    private func within(_ handle: CTorchGraph, recording: Bool, _ step: () -> Void) throws(TorchError) -> Recording? {
        if let message = ctorch_graph_enter(handle, recording) { throw TorchError(takeMessage(message)) }
        step()
        var result: CTorchRecording?
        if let message = ctorch_graph_leave(handle, &result) { throw TorchError(takeMessage(message)) }
        return result.map(Recording.init)
    }
}

/// A step as recorded by the device.
private final class Recording {
    private let handle: CTorchRecording

    init(_ handle: CTorchRecording) { self.handle = handle }

    deinit {
        if let message = ctorch_recording_free(handle) { fatalError("end of a step's recording: \(takeMessage(message))") }
    }

    func replay() {
        if let message = ctorch_recording_replay(handle) { fatalError("replay of a step: \(takeMessage(message))") }
    }
}

/// What this thread is doing for a step graph.
enum StepPhase {
    /// Whether a step for recording is running, including its warm-up.
    static var isStep: Bool { Int(ctorch_graph_phase()) != CTORCH_PLAIN }
    /// Whether work submitted to a CUDA device is recorded rather than done.
    static var isRecording: Bool { Int(ctorch_graph_phase()) == CTORCH_RECORDING }
    /// Whether storage allocated now is in ordinary memory although a step is running.
    static var isWarmingUp: Bool { Int(ctorch_graph_phase()) == CTORCH_WARMING_UP }

    /// Makes the step run unrecorded, now and later; what is recorded meanwhile is discarded.
    static func refuse(_ reason: String) { ctorch_graph_refuse("a step could not be recorded: \(reason)") }

    /// While a step is recorded: gives up the recording because of a failure, runs the closure outside it, and records what follows only to discard
    /// it, so that no part of a broken step is done. False, with nothing done, if no step is being recorded.
    static func survives(_ failure: String, _ body: () -> Void) -> Bool {
        guard isRecording else { return false }
        if let message = ctorch_graph_pause("a step could not be recorded: \(failure)") {
            fatalError("\(failure); \(takeMessage(message))")
        }
        body()
        if let message = ctorch_graph_resume() { fatalError("\(failure); \(takeMessage(message))") }
        return true
    }
}
