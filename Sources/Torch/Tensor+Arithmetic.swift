// Element by element; shapes are broadcast against each other from the last dimension, as in NumPy.

extension Tensor {
    /// The sum, element by element.
    public static func + (left: Tensor, right: Tensor) -> Tensor { operators.add(.tensor(left), .tensor(right), .integer(1)) }
    /// The number added to every element.
    public static func + (left: Tensor, right: Double) -> Tensor { operators.addScalar(.tensor(left), .real(right), .integer(1)) }
    /// The number added to every element.
    public static func + (left: Double, right: Tensor) -> Tensor { right + left }

    /// The sum with a multiple of the other, element by element, in one pass over both.
    public func adding(_ other: Tensor, times factor: Double) -> Tensor { operators.add(.tensor(self), .tensor(other), .real(factor)) }

    /// The difference, element by element.
    public static func - (left: Tensor, right: Tensor) -> Tensor { operators.subtract(.tensor(left), .tensor(right), .integer(1)) }
    /// The number subtracted from every element.
    public static func - (left: Tensor, right: Double) -> Tensor { operators.subtractScalar(.tensor(left), .real(right), .integer(1)) }
    /// Every element subtracted from the number.
    public static func - (left: Double, right: Tensor) -> Tensor {
        operators.reverseSubtractScalar(.tensor(right), .real(left), .integer(1))
    }
    /// The negative.
    public static prefix func - (tensor: Tensor) -> Tensor { operators.negate(.tensor(tensor)) }

    /// The product, element by element.
    public static func * (left: Tensor, right: Tensor) -> Tensor { operators.multiply(.tensor(left), .tensor(right)) }
    /// Every element times the number.
    public static func * (left: Tensor, right: Double) -> Tensor { operators.multiplyScalar(.tensor(left), .real(right)) }
    /// Every element times the number.
    public static func * (left: Double, right: Tensor) -> Tensor { right * left }

    /// The quotient, element by element; whole numbers divide to float32.
    public static func / (left: Tensor, right: Tensor) -> Tensor { operators.divide(.tensor(left), .tensor(right)) }
    /// Every element divided by the number.
    public static func / (left: Tensor, right: Double) -> Tensor { operators.divideScalar(.tensor(left), .real(right)) }
    /// The number divided by every element.
    public static func / (left: Double, right: Tensor) -> Tensor { operators.reciprocal(.tensor(right)) * left }

    /// Every element to the given power.
    public func power(_ exponent: Double) -> Tensor { operators.powerScalar(.tensor(self), .real(exponent)) }
    /// x².
    public func squared() -> Tensor { self * self }
    /// √x; NaN below zero.
    public func squareRoot() -> Tensor { operators.squareRoot(.tensor(self)) }
    /// 1/√x.
    public func reciprocalSquareRoot() -> Tensor { operators.reciprocalSquareRoot(.tensor(self)) }
    /// exp x.
    public func exp() -> Tensor { operators.exponential(.tensor(self)) }
    /// eˣ − 1, exact for small x.
    public func expMinusOne() -> Tensor { operators.exponentialMinusOne(.tensor(self)) }
    /// The natural logarithm.
    public func log() -> Tensor { operators.logarithm(.tensor(self)) }
    /// log(1 + x), exact near zero.
    public func logOnePlus() -> Tensor { operators.logarithmOnePlus(.tensor(self)) }
    /// |x|.
    public func magnitude() -> Tensor { operators.absolute(.tensor(self)) }
    /// −1, 0 or 1.
    public func sign() -> Tensor { operators.sign(.tensor(self)) }
    /// log of ``sigmoid()``, without overflow.
    public func logSigmoid() -> Tensor { operators.logSigmoid(.tensor(self)) }
    /// cos x, in radians.
    public func cos() -> Tensor { operators.cosine(.tensor(self)) }
    /// sin x, in radians.
    public func sin() -> Tensor { operators.sine(.tensor(self)) }
    /// arccos x, in radians.
    public func acos() -> Tensor { operators.arcCosine(.tensor(self)) }
    /// The largest whole number not above x.
    public func floor() -> Tensor { operators.floor(.tensor(self)) }
    /// x, clamped to the given bounds.
    public func clamped(from lower: Double? = nil, to upper: Double? = nil) -> Tensor {
        operators.clamp(.tensor(self), .optional(lower), .optional(upper))
    }

    /// The larger, element by element.
    public static func maximum(_ left: Tensor, _ right: Tensor) -> Tensor { operators.maximum(.tensor(left), .tensor(right)) }
    /// The smaller, element by element.
    public static func minimum(_ left: Tensor, _ right: Tensor) -> Tensor { operators.minimum(.tensor(left), .tensor(right)) }
}

// MARK: - Comparison: tensors of `.bool`

extension Tensor {
    /// Where the elements are equal.
    public static func .== (left: Tensor, right: Tensor) -> Tensor { operators.equal(.tensor(left), .tensor(right)) }
    /// Where the elements equal the number.
    public static func .== (left: Tensor, right: Double) -> Tensor { operators.equalScalar(.tensor(left), .real(right)) }
    /// Where the elements differ.
    public static func .!= (left: Tensor, right: Tensor) -> Tensor { operators.notEqual(.tensor(left), .tensor(right)) }
    /// Where the elements differ from the number.
    public static func .!= (left: Tensor, right: Double) -> Tensor { operators.notEqualScalar(.tensor(left), .real(right)) }
    /// Where the left elements are smaller.
    public static func .< (left: Tensor, right: Tensor) -> Tensor { operators.less(.tensor(left), .tensor(right)) }
    /// Where the elements are smaller than the number.
    public static func .< (left: Tensor, right: Double) -> Tensor { operators.lessScalar(.tensor(left), .real(right)) }
    /// Where the left elements are smaller or equal.
    public static func .<= (left: Tensor, right: Tensor) -> Tensor { operators.lessEqual(.tensor(left), .tensor(right)) }
    /// Where the elements are at most the number.
    public static func .<= (left: Tensor, right: Double) -> Tensor { operators.lessEqualScalar(.tensor(left), .real(right)) }
    /// Where the left elements are larger.
    public static func .> (left: Tensor, right: Tensor) -> Tensor { operators.greater(.tensor(left), .tensor(right)) }
    /// Where the elements are larger than the number.
    public static func .> (left: Tensor, right: Double) -> Tensor { operators.greaterScalar(.tensor(left), .real(right)) }
    /// Where the left elements are larger or equal.
    public static func .>= (left: Tensor, right: Tensor) -> Tensor { operators.greaterEqual(.tensor(left), .tensor(right)) }
    /// Where the elements are at least the number.
    public static func .>= (left: Tensor, right: Double) -> Tensor { operators.greaterEqualScalar(.tensor(left), .real(right)) }

    /// Where both are true.
    public static func .& (left: Tensor, right: Tensor) -> Tensor { operators.logicalAnd(.tensor(left), .tensor(right)) }
    /// Where at least one is true.
    public static func .| (left: Tensor, right: Tensor) -> Tensor { operators.logicalOr(.tensor(left), .tensor(right)) }
    /// Where the operand is not true.
    public static prefix func .! (tensor: Tensor) -> Tensor { operators.logicalNot(.tensor(tensor)) }

    /// Elements of the other where the condition is true, else of `self`.
    public func replacing(where condition: Tensor, with other: Tensor) -> Tensor {
        operators.choose(.tensor(condition), .tensor(other), .tensor(self))
    }

    /// The number where the condition is true, else the element of `self`.
    public func replacing(where condition: Tensor, with number: Double) -> Tensor {
        operators.maskedFill(.tensor(self), .tensor(condition), .real(number))
    }

    /// Where the elements are neither infinite nor NaN.
    public func isFinite() -> Tensor { operators.isFinite(.tensor(self)) }

    /// Whether all elements are true (not zero); waits for the device.
    public func allTrue() -> Bool { operators.all(.tensor(self)).item() != 0 }

    /// Whether any element is true (not zero); waits for the device.
    public func anyTrue() -> Bool { operators.any(.tensor(self)).item() != 0 }
}
