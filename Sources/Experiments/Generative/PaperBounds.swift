import Foundation

/// The test bounds of the paper's Figures 3 and 4, digitised.
package enum PaperBounds {
    /// Figure 3: epochs and the bound, for MNIST in nats, for CIFAR-10 in bits per dimension.
    ///
    /// The paper does not state CIFAR-10's unit. Read as nats of a density on [0, 1] pixels, a value v is 8 − v/(3072·log 2) bits per dimension.
    package static func autoencoders(_ norm: String, isPhotograph: Bool) -> [(epoch: Double, value: Double)] {
        let epochs: [Double] = [50, 100, 150, 200, 250, 300, 450]
        let values: [Double] =
            switch (norm, isPhotograph) {
            case ("normal", false): [-87.30, -86.16, -85.9, -85.81, -85.80, -85.83]
            case ("weight", false): [-87.28, -86.05, -85.6, -85.41, -85.31, -85.33]
            case ("normal", true): [8307, 8624, 8773, 8888, 8946, 9023, 9148]
            case ("weight", true): [8549, 8849, 9015, 9095, 9145, 9196, 9277]
            default: []
            }
        return zip(epochs, values).map { ($0, isPhotograph ? 8 - $1 / (3072 * log(2.0)) : $1) }
    }

    /// Figure 4, DRAW on MNIST: epochs, and the bound in nats. The figure begins at −120, which "normal" reaches between its epochs 30 and 40.
    package static func draw(_ norm: String) -> [(epoch: Double, value: Double)] {
        let values: [(Double, Double)] =
            switch norm {
            case "normal": [(40, -115.3), (50, -101.5), (60, -95.4), (70, -93.2), (80, -91.3), (90, -90.7), (100, -89.4)]
            case "weight":
                [
                    (10, -102.4), (20, -93.7), (30, -90.6), (40, -88.6), (50, -87.6), (60, -86.7), (70, -86.2), (80, -85.7), (90, -85.4),
                    (100, -85.1),
                ]
            default: []
            }
        return values.map { ($0.0, $0.1) }
    }
}
