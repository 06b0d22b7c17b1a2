package import Torch

/// A grid of Gaussian filters over images (Gregor et al., *DRAW: A Recurrent Neural Network For Image Generation*, 2015, §3.2), for each image of a batch.
///
/// The filters of one axis are rows of a matrix F: F[i, a] ∝ exp(−(a − μᵢ)²/(2σ²)), with centres μᵢ = centre + (i − count/2 + ½)·δ and i from 0. As
/// in the implementation that the authors of Weight Normalization used, each row is divided by its sum + 1e-4.
package struct AttentionFilters {
    /// F for the rows, `[batch, count, rows]`.
    package let vertical: Tensor
    /// F for the columns, `[batch, count, columns]`.
    package let horizontal: Tensor
    /// γ, `[batch, 1]`.
    package let intensity: Tensor
    /// 1/γ; kept separately, since the derivative of a quotient would leave the type's range before the quotient does.
    private let faintness: Tensor
    /// Centre, `[batch, 2]`: row and column, in pixels.
    private let centre: Tensor
    /// δ, `[batch, 1]`, in pixels.
    private let stride: Tensor
    private let count: Int

    /// Filters from five numbers per image, `[batch, 5]`: centre in rows and in columns, from −1 to 1 over the image, log δ, log σ² and log γ.
    ///
    /// centre = (c + 1)/2·size; δ = (larger side − 1)/(count − 1)·exp(log δ); σ = exp(log σ²/2). With a single filter there is no δ.
    package init(_ numbers: Tensor, count: Int, rows: Int, columns: Int) {
        let parts = numbers.split([2, 1, 1, 1], along: 1)
        // Bounded on both sides, so that distances of 0 and far outside the image are kept whatever the filter's width.
        let bound = numbers.type.largestExponent
        func exponential(_ logarithm: Tensor) -> Tensor { logarithm.clamped(from: -bound, to: bound).exp() }
        self.count = count
        let halves = Tensor([Double(rows) / 2, Double(columns) / 2]).converted(to: numbers.type).moved(to: numbers.device)
        centre = (parts[0] + 1) * halves
        // No pixel is seen from a thousand million pixels away, and the square of that is in the type's range.
        let far = numbers.type == .float16 ? 100.0 : 1e9
        stride = (exponential(parts[1]) * (Double(max(rows, columns) - 1) / Double(max(1, count - 1)))).clamped(to: far)
        intensity = exponential(parts[3])
        faintness = exponential(-parts[3])
        // −1/(2σ²).
        let sharpness = exponential(-parts[2]) * -0.5
        let places = (0..<count).map { Double($0) - Double(count) / 2 + 0.5 }
        let offsets = stride * Tensor(places).converted(to: numbers.type).moved(to: numbers.device)
        let batch = numbers.shape[0]
        func filters(_ centres: Tensor, axes: Int, size: Int) -> Tensor {
            let middles = (centres.reshaped([batch, axes, 1]) + offsets.reshaped([batch, 1, count])).clamped(from: -far, to: far)
            let grid = Tensor.range(0..<size, type: numbers.type, on: numbers.device)
            let distances = grid - middles.expandingDimension(3)
            // exp is many times slower for results below the normal numbers, as for most pixels; e⁻⁸⁰ is negligible beside 1e-4.
            let heights = (distances.squared() * sharpness.reshaped([batch, 1, 1, 1])).clamped(from: -80).exp()
            return heights / (heights.sum(over: [3], keeping: true) + 1e-4)
        }
        if rows == columns {
            let both = filters(centre, axes: 2, size: rows)
            (vertical, horizontal) = (both.selected(0, along: 1), both.selected(1, along: 1))
        } else {
            let centres = centre.split([1, 1], along: 1)
            vertical = filters(centres[0], axes: 1, size: rows).selected(0, along: 1)
            horizontal = filters(centres[1], axes: 1, size: columns).selected(0, along: 1)
        }
    }

    /// γ·F·image·Fᵀ of images `[batch, rows, columns]`: `[batch, count²]`.
    package func read(_ images: Tensor) -> Tensor {
        vertical.matrixProduct(images).matrixProduct(horizontal.transposed()).flattened(from: 1) * intensity
    }

    /// Fᵀ·patch·F/γ of patches `[batch, count²]`: `[batch, rows, columns]`; the transpose of reading, except that it divides by γ.
    package func written(_ patches: Tensor) -> Tensor {
        let scaled = (patches * faintness).reshaped([patches.shape[0], count, count])
        return vertical.transposed().matrixProduct(scaled).matrixProduct(horizontal)
    }

    /// The rectangle between the centres of the outermost filters, for each image.
    package var boxes: [AttentionBox] {
        let reach = Double(count - 1) / 2
        let (centres, strides) = (centre.detached().contiguous().elements(as: Double.self), stride.detached().elements(as: Double.self))
        return strides.enumerated().map { index, stride in
            let (row, column) = (centres[2 * index], centres[2 * index + 1])
            return AttentionBox(
                top: row - reach * stride, bottom: row + reach * stride, left: column - reach * stride, right: column + reach * stride)
        }
    }
}
