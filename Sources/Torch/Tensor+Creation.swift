// Tensors made from nothing: filled, counted, drawn. All take the element type (float32 by default) and the device.

extension Tensor {
    /// Zeros of the given shape.
    public static func zeros(_ shape: [Int], type: ElementType = .float32, on device: Device = .cpu) -> Tensor {
        operators.zeros(.integers(shape), .optional(type), .none, .device(device), .none)
    }

    /// Ones of the given shape.
    public static func ones(_ shape: [Int], type: ElementType = .float32, on device: Device = .cpu) -> Tensor {
        operators.ones(.integers(shape), .optional(type), .none, .device(device), .none)
    }

    /// The same number everywhere.
    public static func full(_ shape: [Int], _ number: Double, type: ElementType = .float32, on device: Device = .cpu) -> Tensor {
        operators.full(.integers(shape), .real(number), .optional(type), .none, .device(device), .none)
    }

    /// The whole numbers of a range, `[count]`.
    public static func range(_ range: Range<Int>, type: ElementType = .int64, on device: Device = .cpu) -> Tensor {
        operators.arange(
            .integer(range.lowerBound), .integer(range.upperBound), .integer(1), .optional(type), .none, .device(device), .none)
    }

    /// The identity matrix, `[size, size]`.
    public static func identity(_ size: Int, type: ElementType = .float32, on device: Device = .cpu) -> Tensor {
        operators.eye(.integer(size), .optional(type), .none, .device(device), .none)
    }

    /// Independent draws from N(0, 1), on the generator's device.
    ///
    /// On the CPU their magnitude is at most √(2 log 2³³) ≈ 6.8, and they do not depend on the number of threads: a number depends on the generator's state and
    /// the element's index alone, its last bit also on the processor. Of a minibatch of which the tensor is only a part, along the given axis, it gets the whole's numbers at its place.
    public static func normal(
        _ shape: [Int], type: ElementType = .float32, from random: Generator, at place: BatchPlace? = nil, axis: Int = 0
    ) -> Tensor {
        drawn(shape, type, random, place, axis, by: operators.normalInPlace)
    }

    /// Independent draws, uniform on [0, 1), on the generator's device.
    ///
    /// On the CPU they are multiples of 2⁻²⁴ in float32, of 2⁻³² in float64, and do not depend on the number of threads. Of a minibatch of which the tensor is only
    /// a part, along the given axis, it gets the whole's numbers at its place.
    public static func uniform(
        _ shape: [Int], type: ElementType = .float32, from random: Generator, at place: BatchPlace? = nil, axis: Int = 0
    ) -> Tensor {
        drawn(shape, type, random, place, axis, by: operators.uniformInPlace)
    }

    /// Independent draws of whole numbers of a range, on the generator's device.
    public static func integers(in range: Range<Int>, _ shape: [Int], type: ElementType = .int64, from random: Generator) -> Tensor {
        operators.randomIntegers(
            .integer(range.lowerBound), .integer(range.upperBound), .integers(shape), .generator(random), .optional(type), .none,
            .device(random.device), .none)
    }

    /// Independent draws that are 1 with the given probability (to 2⁻³²), else 0, on the generator's device.
    ///
    /// Another `value` can be used instead of 1, such as the factor by which dropout scales what it keeps. On the CPU the draws do not depend on the
    /// number of threads. Of a minibatch of which the tensor is only a part, along the given axis, it gets the whole's draws at its place.
    public static func bernoulli(
        _ shape: [Int], probability: Double, value: Double = 1, type: ElementType = .float32, from random: Generator,
        at place: BatchPlace? = nil, axis: Int = 0
    ) -> Tensor {
        drawn(shape, type, random, place, axis, by: operators.bernoulliInPlace, .real(probability), .real(value))
    }

    /// A tensor over which an operator has written its draws.
    private static func drawn(
        _ shape: [Int], _ type: ElementType, _ random: Generator, _ place: BatchPlace?, _ axis: Int, by draw: Operator,
        _ parameters: Operator.Value...
    ) -> Tensor {
        let draws = operators.empty(.integers(shape), .optional(type), .none, .device(random.device), .none, .none)
        let (first, total) = BatchPlace.arguments(place, shape, axis: axis)
        draw.perform([.tensor(draws)] + parameters + [.generator(random), first, total, .integer(axis)])
        return draws
    }

    /// A tensor whose elements are all written by `fill`, row-major and in the machine's byte order; it avoids the copy in host memory that
    /// ``init(bytes:shape:type:on:)`` makes.
    package static func filled(
        _ shape: [Int], type: ElementType, on device: Device = .cpu, by fill: (UnsafeMutableRawBufferPointer) -> Void
    ) -> Tensor {
        // With page-locked memory the host need not wait for the copy to the device; libtorch keeps the memory until the copy is done.
        let host = operators.empty(
            .integers(shape), .optional(type), .none, .device(.cpu), device.isCPU ? .none : .boolean(true), .none)
        // Nobody else has the tensor yet.
        withExtendedLifetime(host) {
            fill(
                UnsafeMutableRawBufferPointer(start: UnsafeMutableRawPointer(bitPattern: UInt(host.address)), count: host.count * type.size)
            )
        }
        return device.isCPU
            ? host : operators.convert(.tensor(host), .none, .none, .device(device), .none, .boolean(true), .none)
    }

    /// A tensor of this one's shape and, the first axis outermost, of its memory order, so that an operator traverses both alike; `make` gets the lengths from
    /// the outermost to the innermost, which for a row-major tensor are the shape.
    package func laidOutAlike(_ make: (_ shape: [Int]) -> Tensor) -> Tensor {
        let (shape, strides) = (shape, strides)
        // A dimension of length 1 may have any stride: it may be sorted to another place, which does not change the order of the elements. The first axis, an
        // example's, stays first: what is made for a part of a minibatch is then a part of what is made for the whole.
        let order =
            shape.indices.prefix(1) + shape.indices.dropFirst().sorted { strides[$0] == strides[$1] ? $0 < $1 : strides[$0] > strides[$1] }
        guard order != Array(shape.indices) else { return make(shape) }
        let made = make(order.map { shape[$0] })
        var back = order
        for (place, dimension) in order.enumerated() { back[dimension] = place }
        return made.permuted(back)
    }

    /// Zeros of this tensor's shape, type and device.
    public func zerosLike() -> Tensor { .zeros(shape, type: type, on: device) }
}
