import Foundation
package import Torch

/// Eigenvalues of the covariance C of each unit's gradient and of its normalized counterpart D, and the angles between w and C's eigenvectors.
///
/// With w = g·v/‖v‖ the covariance of the gradient in v is D = (g²/‖v‖²)·M·C·M, M = I − w·wᵀ/‖w‖². D is exactly zero along w, so its eigenvalues are
/// taken in the space orthogonal to w, where there are d − 1 of them. The factor g²/‖v‖² scales all of them alike.
package struct UnitSpectra {
    /// λ of C, the largest first: d for every unit.
    package let gradient: [[Double]]
    /// λ of M·C·M orthogonal to w, the largest first: d − 1 for every unit.
    package let projected: [[Double]]
    /// The same with a random direction instead of w.
    package let randomlyProjected: [[Double]]
    /// |cos| of the angle between w and each eigenvector of C, in the order of the eigenvalues.
    package let cosines: [[Double]]

    /// The spectra for covariances `[units, d, d]` and weights `[units, d]`, both float64; no weight may be 0.
    package init(covariance: Tensor, weights: Tensor, random: Generator) {
        let drawn = Tensor.normal(weights.shape, type: .float64, from: random)
        (gradient, projected, randomlyProjected, cosines) = withoutGradients {
            let (values, vectors) = covariance.symmetricEigen()
            let along = vectors.transposed().matrixProduct(Self.unit(weights).expandingDimension(2)).magnitude()
            return (
                Self.lists(values), Self.lists(Self.eigenvaluesAcross(weights, covariance)),
                Self.lists(Self.eigenvaluesAcross(drawn, covariance)), Self.lists(along.removingDimension(2))
            )
        }
    }

    private static func unit(_ vectors: Tensor) -> Tensor { vectors / vectors.norm(over: [1], keeping: true) }

    /// Ascending eigenvalues of the covariance in the space orthogonal to each direction, `[units, d − 1]`.
    ///
    /// A Householder reflection H = I − 2hhᵀ maps the direction to the first axis; H·C·H without that axis is M·C·M in a basis of the space. So the
    /// zero along w never has to be distinguished from small eigenvalues.
    private static func eigenvaluesAcross(_ directions: Tensor, _ covariance: Tensor) -> Tensor {
        let size = directions.shape[1]
        guard size > 1 else { return .zeros([directions.shape[0], 0], type: .float64) }
        let unit = unit(directions)
        let first = Tensor.identity(size, type: .float64).selected(0, along: 0)
        // Reflected away from the axis, so that nothing cancels.
        let signs = (unit.sliced(0..<1, along: 1) .>= 0).converted(to: .float64) * 2 - 1
        let h = Self.unit(unit + signs * first)
        let reflection = Tensor.identity(size, type: .float64) - h.expandingDimension(2) * h.expandingDimension(1) * 2
        let turned = reflection.matrixProduct(covariance).matrixProduct(reflection)
        return turned.sliced(1..<size, along: 1).sliced(1..<size, along: 2).symmetricEigenvalues()
    }

    /// A list for each unit, the last column first.
    private static func lists(_ tensor: Tensor) -> [[Double]] {
        let shape = tensor.shape
        let numbers = tensor.elements(as: Double.self)
        return (0..<shape[0]).map { Array(numbers[$0 * shape[1]..<($0 + 1) * shape[1]].reversed()) }
    }

    // MARK: - What is made of them

    /// λ₁/λ_d, or infinity if λ_d is within rounding error of λ₁: d·ε·λ₁ with float64's ε. NaN if no eigenvalue is above zero.
    package static func conditionNumber(_ eigenvalues: [Double]) -> Double {
        guard let largest = eigenvalues.first, let smallest = eigenvalues.last, largest > 0 else { return .nan }
        return smallest > rounding(eigenvalues) ? largest / smallest : .infinity
    }

    /// Below this an eigenvalue is rounding error.
    package static func rounding(_ eigenvalues: [Double]) -> Double {
        (eigenvalues.first ?? 0) * Double(eigenvalues.count) * Double.ulpOfOne
    }

    /// The mean |cos| between a random direction and a fixed one in d dimensions: Γ(d/2)/(√π·Γ((d + 1)/2)), about √(2/(πd)).
    package static func meanCosineOfDrawnDirection(dimensions d: Int) -> Double {
        exp(lgamma(Double(d) / 2) - lgamma(Double(d + 1) / 2)) / Double.pi.squareRoot()
    }
}
