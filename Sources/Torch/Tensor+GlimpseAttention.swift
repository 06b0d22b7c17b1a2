// The attention of DRAW (Gregor et al., 2015, §3.2), each step as one operator with first and second derivatives: `Attention.cpp` has the formulas.

extension Tensor {
    /// Gaussian filters by five numbers an image, `[batch, 5]`: `[batch, count, rows]`, `[batch, count, columns]`, γ and 1/γ, `[batch, 1]`.
    package func attentionFilters(
        count: Int, rows: Int, columns: Int
    ) -> (vertical: Tensor, horizontal: Tensor, intensity: Tensor, faintness: Tensor) {
        let found = operators.attentionFilters.results(
            capacity: 4, .tensor(self), .integer(count), .integer(rows), .integer(columns))
        return (found[0], found[1], found[2], found[3])
    }

    /// γ·V·x·Hᵀ of images `[batch, rows, columns]`, `[batch, count²]`; with a canvas c followed by that of x − σ(c), `[batch, 2·count²]`.
    package func attentionReading(errorOf canvas: Tensor?, vertical: Tensor, horizontal: Tensor, intensity: Tensor) -> Tensor {
        operators.attentionRead(
            .tensor(self), canvas.map { .tensor($0) } ?? .none, .tensor(vertical), .tensor(horizontal), .tensor(intensity))
    }

    /// c + Vᵀ·(w/γ)·H for patches w of `[batch, count²]`: `[batch, rows, columns]`; c is 0 without a canvas.
    package func attentionWriting(on canvas: Tensor?, vertical: Tensor, horizontal: Tensor, faintness: Tensor) -> Tensor {
        operators.attentionWrite(
            canvas.map { .tensor($0) } ?? .none, .tensor(self), .tensor(vertical), .tensor(horizontal), .tensor(faintness))
    }
}
