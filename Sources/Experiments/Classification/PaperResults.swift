/// What the paper reports for CIFAR-10 (its Figure 1 and table 1).
package enum PaperResults {
    /// One parameterisation's results.
    package struct Result: Sendable {
        /// The error rate on the test images, as printed.
        package let testError: Double
        /// The training error after some of the 200 epochs, digitised from the curves of Figure 1.
        package let trainingErrors: [(epoch: Double, error: Double)]
        /// The first epoch with a training error below 5 %, digitised.
        package let firstUnderFivePercent: Double
    }

    /// The number of epochs in the paper's runs.
    package static let epochs = 200.0

    /// By norm.
    package static let cifar10: [String: Result] = [
        "normal": result(0.0843, [0.099, 0.045, 0.030, 0.010, 0.002], 49),
        "weight": result(0.0846, [0.096, 0.033, 0.015, 0.004, 0.001], 37),
        "batch": result(0.0805, [0.080, 0.030, 0.014, 0.005, 0.002], 32),
        "mean-only-batch": result(0.0852, [0.102, 0.054, 0.038, 0.012, 0.002], 55),
        "weight+mean-only-batch": result(0.0731, [0.100, 0.036, 0.017, 0.006, 0.001], 38),
    ]

    private static func result(_ test: Double, _ training: [Double], _ first: Double) -> Result {
        Result(
            testError: test, trainingErrors: zip([20, 50, 100, 150, 199], training).map { ($0, $1) }, firstUnderFivePercent: first)
    }
}
