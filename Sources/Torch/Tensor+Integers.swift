// Whole numbers on one side: integer tensors stay integer, of their own type, which a `Double` would make float32.

extension Tensor {
    /// The number added to every element.
    public static func + (left: Tensor, right: Int) -> Tensor { operators.addScalar(.tensor(left), .integer(right), .integer(1)) }
    /// The number added to every element.
    public static func + (left: Int, right: Tensor) -> Tensor { right + left }
    /// The number subtracted from every element.
    public static func - (left: Tensor, right: Int) -> Tensor { operators.subtractScalar(.tensor(left), .integer(right), .integer(1)) }
    /// Every element subtracted from the number.
    public static func - (left: Int, right: Tensor) -> Tensor {
        operators.reverseSubtractScalar(.tensor(right), .integer(left), .integer(1))
    }
    /// Every element times the number.
    public static func * (left: Tensor, right: Int) -> Tensor { operators.multiplyScalar(.tensor(left), .integer(right)) }
    /// Every element times the number.
    public static func * (left: Int, right: Tensor) -> Tensor { right * left }
    /// Every element divided by the number; whole numbers divide to float32.
    public static func / (left: Tensor, right: Int) -> Tensor { operators.divideScalar(.tensor(left), .integer(right)) }
    /// The number divided by every element; whole numbers divide to float32.
    public static func / (left: Int, right: Tensor) -> Tensor { Double(left) / right }

    /// ⌊x/y⌋, element by element: whole numbers stay whole. Traps for a whole number divided by 0.
    public func floorDivided(by other: Tensor) -> Tensor { operators.divideRounding(.tensor(self), .tensor(other), .text("floor")) }
    /// ⌊x/y⌋ of every element: whole numbers stay whole. Traps for a whole number divided by 0.
    public func floorDivided(by number: Int) -> Tensor {
        operators.divideScalarRounding(.tensor(self), .integer(number), .text("floor"))
    }
    /// x − y·⌊x/y⌋, element by element, which has y's sign. Traps for a whole number divided by 0.
    public func modulo(_ other: Tensor) -> Tensor { operators.remainder(.tensor(self), .tensor(other)) }
    /// x − y·⌊x/y⌋ of every element, which has y's sign. Traps for a whole number divided by 0.
    public func modulo(_ number: Int) -> Tensor { operators.remainderScalar(.tensor(self), .integer(number)) }

    /// Every element to the given power. Whole numbers stay whole, and need a power from 0 up.
    public func power(_ exponent: Int) -> Tensor { operators.powerScalar(.tensor(self), .integer(exponent)) }
    /// x, clamped to the given bounds.
    public func clamped(from lower: Int? = nil, to upper: Int? = nil) -> Tensor {
        operators.clamp(.tensor(self), .optional(lower), .optional(upper))
    }

    /// Where the elements equal the number.
    public static func .== (left: Tensor, right: Int) -> Tensor { operators.equalScalar(.tensor(left), .integer(right)) }
    /// Where the elements differ from the number.
    public static func .!= (left: Tensor, right: Int) -> Tensor { operators.notEqualScalar(.tensor(left), .integer(right)) }
    /// Where the elements are smaller than the number.
    public static func .< (left: Tensor, right: Int) -> Tensor { operators.lessScalar(.tensor(left), .integer(right)) }
    /// Where the elements are at most the number.
    public static func .<= (left: Tensor, right: Int) -> Tensor { operators.lessEqualScalar(.tensor(left), .integer(right)) }
    /// Where the elements are larger than the number.
    public static func .> (left: Tensor, right: Int) -> Tensor { operators.greaterScalar(.tensor(left), .integer(right)) }
    /// Where the elements are at least the number.
    public static func .>= (left: Tensor, right: Int) -> Tensor { operators.greaterEqualScalar(.tensor(left), .integer(right)) }

    /// The number where the condition is true, else the element of `self`.
    public func replacing(where condition: Tensor, with number: Int) -> Tensor {
        operators.maskedFill(.tensor(self), .tensor(condition), .integer(number))
    }

    /// The same whole number everywhere.
    public static func full(_ shape: [Int], _ number: Int, type: ElementType = .float32, on device: Device = .cpu) -> Tensor {
        operators.full(.integers(shape), .integer(number), .optional(type), .none, .device(device), .none)
    }
}
