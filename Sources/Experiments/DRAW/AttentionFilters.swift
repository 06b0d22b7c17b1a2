import Foundation
package import Torch

/// A grid of Gaussian filters over images (Gregor et al., *DRAW: A Recurrent Neural Network For Image Generation*, 2015, §3.2), for each image of a batch.
///
/// The filters of one axis are rows of a matrix F: F[i, a] ∝ exp(−(a − μᵢ)²/(2σ²)), with centres μᵢ = centre + (i − count/2 + ½)·δ and i from 0. As in the
/// implementation that Weight Normalization's authors took, each row is divided by its sum + 1e-4.
package struct AttentionFilters {
    /// F of the rows, `[batch, count, rows]`.
    package let vertical: Tensor
    /// F of the columns, `[batch, count, columns]`.
    package let horizontal: Tensor
    /// γ, `[batch, 1]`.
    package let intensity: Tensor
    /// 1/γ; of its own, since a quotient's derivative would leave the type's range before it does.
    private let faintness: Tensor
    private let numbers: Tensor

    /// Filters by five numbers an image, `[batch, 5]`: centre of rows and of columns, from −1 to 1 over the image, log δ, log σ² and log γ.
    ///
    /// centre = (c + 1)/2·size; δ = (larger side − 1)/(count − 1)·exp(log δ); σ = exp(log σ²/2). With one filter there is no δ.
    package init(_ numbers: Tensor, count: Int, rows: Int, columns: Int) {
        self.numbers = numbers
        (vertical, horizontal, intensity, faintness) = numbers.attentionFilters(count: count, rows: rows, columns: columns)
    }

    /// γ·F·image·Fᵀ of images `[batch, rows, columns]`, `[batch, count²]`; with a canvas c followed by that of image − σ(c), `[batch, 2·count²]`.
    package func read(_ images: Tensor, errorOf canvas: Tensor? = nil) -> Tensor {
        images.attentionReading(errorOf: canvas, vertical: vertical, horizontal: horizontal, intensity: intensity)
    }

    /// Fᵀ·patch·F/γ of patches `[batch, count²]`, added to a canvas if there is one: `[batch, rows, columns]`; read's transpose, but that γ divides.
    package func written(_ patches: Tensor, on canvas: Tensor? = nil) -> Tensor {
        patches.attentionWriting(on: canvas, vertical: vertical, horizontal: horizontal, faintness: faintness)
    }

    /// The rectangle between the centres of the outermost filters, for each image.
    package var boxes: [AttentionBox] {
        let (count, rows, columns) = (vertical.shape[1], Double(vertical.shape[2]), Double(horizontal.shape[2]))
        let found = numbers.detached().contiguous().elements(as: Double.self)
        return (0..<numbers.shape[0]).map { image in
            let (row, column) = ((found[5 * image] + 1) / 2 * rows, (found[5 * image + 1] + 1) / 2 * columns)
            // As far as the filters themselves: no farther than 1e9 pixels apart.
            let stride = min(1e9, exp(found[5 * image + 2]) * (max(rows, columns) - 1) / Double(max(1, count - 1)))
            let reach = Double(count - 1) / 2 * stride
            return AttentionBox(top: row - reach, bottom: row + reach, left: column - reach, right: column + reach)
        }
    }
}
