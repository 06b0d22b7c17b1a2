import Testing
import Torch

struct AttentionTests {
    private typealias Filters = (vertical: Tensor, horizontal: Tensor, intensity: Tensor, faintness: Tensor)

    /// What the operators are tried on: each also in an order of its own in memory.
    private struct Inputs {
        let numbers: Parameter
        let images: Parameter
        let canvas: Parameter
        let patches: Parameter
        let count: Int
        let size: (rows: Int, columns: Int)

        init(batch: Int, count: Int, size: (rows: Int, columns: Int), type: ElementType) {
            let random = Generator(seed: 4)
            func draw(_ shape: [Int]) -> Parameter { Parameter(.normal(shape, type: type, from: random)) }
            numbers = Parameter(.normal([5, batch], type: type, from: random) * 0.5)
            (images, canvas) = (draw([batch, size.columns, size.rows]), draw([batch, size.rows, size.columns]))
            patches = draw([count * count, batch])
            (self.count, self.size) = (count, size)
        }

        var all: [Parameter] { [numbers, images, canvas, patches] }
    }

    /// The formulas, operator by operator.
    private func filters(_ inputs: Inputs) -> Filters {
        let numbers = inputs.numbers.value.transposed()
        let parts = numbers.split([1, 1, 1, 1, 1], along: 1)
        let count = inputs.count
        let stride = parts[2].exp() * (Double(max(inputs.size.rows, inputs.size.columns) - 1) / Double(max(1, count - 1)))
        let places = Tensor((0..<count).map { Double($0) - Double(count) / 2 + 0.5 }).converted(to: numbers.type)
        func filter(_ axis: Int, _ size: Int) -> Tensor {
            let middles = (parts[axis] + 1) * (Double(size) / 2) + stride * places
            let distances = Tensor.range(0..<size, type: numbers.type) - middles.expandingDimension(2)
            let heights = (distances.squared() * (-parts[3]).exp().expandingDimension(2) * -0.5).exp()
            return heights / (heights.sum(over: [2], keeping: true) + 1e-4)
        }
        return (filter(0, inputs.size.rows), filter(1, inputs.size.columns), parts[4].exp(), (-parts[4]).exp())
    }

    private func composed(_ inputs: Inputs, hasCanvas: Bool) -> [Tensor] {
        let filters = filters(inputs)
        func read(_ images: Tensor) -> Tensor {
            filters.vertical.matrixProduct(images).matrixProduct(filters.horizontal.transposed()).flattened(from: 1) * filters.intensity
        }
        let images = inputs.images.value.transposed()
        let reading = hasCanvas ? .concatenated([read(images), read(images - inputs.canvas.value.sigmoid())], along: 1) : read(images)
        let patches = (inputs.patches.value.transposed() * filters.faintness).reshaped([-1, inputs.count, inputs.count])
        let written = filters.vertical.transposed().matrixProduct(patches).matrixProduct(filters.horizontal)
        return [
            filters.vertical, filters.horizontal, filters.intensity, filters.faintness, reading,
            hasCanvas ? inputs.canvas.value + written : written,
        ]
    }

    private func fused(_ inputs: Inputs, hasCanvas: Bool) -> [Tensor] {
        let filters = inputs.numbers.value.transposed()
            .attentionFilters(count: inputs.count, rows: inputs.size.rows, columns: inputs.size.columns)
        let canvas = hasCanvas ? inputs.canvas.value : nil
        return [
            filters.vertical, filters.horizontal, filters.intensity, filters.faintness,
            inputs.images.value.transposed().attentionReading(
                errorOf: canvas, vertical: filters.vertical, horizontal: filters.horizontal, intensity: filters.intensity),
            inputs.patches.value.transposed().attentionWriting(
                on: canvas, vertical: filters.vertical, horizontal: filters.horizontal, faintness: filters.faintness),
        ]
    }

    private func expectSame(_ found: [Tensor], _ expected: [Tensor], _ tolerance: Double, _ comment: Comment) {
        for (one, other) in zip(found, expected) {
            #expect(one.shape == other.shape && one.type == other.type, comment)
            let (one, other) = (one.detached().converted(to: .float64), other.detached().converted(to: .float64))
            #expect((one - other).magnitude().maximum().item() < tolerance * max(1, other.magnitude().maximum().item()), comment)
        }
    }

    @Test(
        "values and gradients are those of the formulas, in one thread and in several, for what is contiguous and what is not",
        arguments: [ElementType.float32, .float64, .bfloat16], [true, false])
    func formulas(type: ElementType, hasCanvas: Bool) {
        let tolerance = type == .float64 ? 1e-12 : type == .float32 ? 2e-5 : 0.1
        for (batch, count, size) in [(1, 1, (1, 1)), (3, 2, (5, 7)), (100, 5, (28, 28)), (2, 3, (9, 4))] {
            let inputs = Inputs(batch: batch, count: count, size: size, type: type)
            func results(_ function: (Inputs, Bool) -> [Tensor]) -> [Tensor] {
                let found = function(inputs, hasCanvas)
                let loss = found.reduce(Tensor.zeros([], type: .float64)) { $0 + $1.converted(to: .float64).power(2).sum() }
                return found + gradients(of: loss, withRespectTo: hasCanvas ? inputs.all : inputs.all.filter { $0 !== inputs.canvas })
            }
            expectSame(
                results { fused($0, hasCanvas: $1) }, results { composed($0, hasCanvas: $1) }, tolerance, "\(batch), \(count), \(size)")
        }
    }

    @Test("gradients have gradients, of each result alone too")
    func secondDerivatives() {
        let inputs = Inputs(batch: 2, count: 2, size: (4, 5), type: .float64)
        for part in 0..<6 {
            func slopes(_ results: [Tensor]) -> [Tensor] {
                let wanted =
                    part < 4
                    ? [inputs.numbers]
                    : part == 4 ? [inputs.numbers, inputs.images, inputs.canvas] : inputs.all.filter { $0 !== inputs.images }
                let first = gradients(of: results[part].power(3).sum(), withRespectTo: wanted, createGraph: true)
                let second = first.map { $0.power(2).sum() }.reduce(Tensor.zeros([], type: .float64), +)
                return first + gradients(of: second, withRespectTo: wanted)
            }
            expectSame(slopes(fused(inputs, hasCanvas: true)), slopes(composed(inputs, hasCanvas: true)), 1e-10, "result \(part)")
        }
    }

    @Test("gradients that can be differentiated count each path once, and none where nothing is asked for")
    func dependentArguments() {
        let one = Tensor.ones([1, 1, 1])
        let gain = Tensor.ones([1, 1])
        func both(_ loss: (Tensor) -> Tensor) -> [Double] {
            [false, true].map { createsGraph in
                let x = Parameter(one)
                return gradients(of: loss(x.value).sum(), withRespectTo: [x], createGraph: createsGraph)[0].item()
            }
        }
        // An image that is its own canvas, one tensor for both filters, and a patch that is its own filter.
        let canvas = both { $0.attentionReading(errorOf: $0, vertical: one, horizontal: one, intensity: gain) }
        let filters = both { one.attentionReading(errorOf: nil, vertical: $0, horizontal: $0, intensity: gain) }
        let patch = both { $0.reshaped([1, 1]).attentionWriting(on: nil, vertical: $0, horizontal: one, faintness: gain) }
        for (found, expected) in [(canvas, 1.8033881), (filters, 2), (patch, 2)] {
            #expect(found.allSatisfy { abs($0 - expected) < 1e-5 }, "\(found)")
        }
        let start = Parameter(.ones([1, 3, 3]))
        let made = Tensor.zeros([1, 5]).attentionFilters(count: 2, rows: 3, columns: 3)
        let drawn = Tensor.zeros([1, 4]).attentionWriting(
            on: start.value, vertical: made.vertical, horizontal: made.horizontal, faintness: made.faintness)
        let slope = gradients(of: drawn.squared().sum(), withRespectTo: [start], createGraph: true)[0]
        #expect(slope.elements(as: Float.self) == [Float](repeating: 2, count: 9))
    }

    @Test("a gradient is found where only a product on the way to it is below the normal numbers")
    func smallProducts() {
        func slope(createGraph: Bool) -> [Float] {
            let numbers = Parameter(Tensor([-1, -1, -200, -200, 0] as [Float], shape: [1, 5]))
            let vertical = numbers.value.attentionFilters(count: 2, rows: 3, columns: 4).vertical
            let height = vertical.selected(0, along: 2).selected(0, along: 1).sum()
            return gradients(of: height, withRespectTo: [numbers], createGraph: createGraph)[0].elements(as: Float.self)
        }
        let (found, expected) = (slope(createGraph: false), slope(createGraph: true))
        #expect(expected[0] != 0)
        for (found, expected) in zip(found, expected) { #expect(abs(found - expected) <= 1e-3 * abs(expected)) }
    }

    @Test("filters far from the image, and what follows them, keep numbers below the normal ones as they are elsewhere")
    func subnormals() {
        let far = Tensor([50, -50, 0, -20, 0, -50, 50, 0, -20, 0] as [Float], shape: [2, 5])
        let filters = far.attentionFilters(count: 3, rows: 4, columns: 5)
        #expect(filters.vertical.isFinite().allTrue() && filters.horizontal.maximum().item() < 1e-20)
        let read = Tensor.normal([2, 4, 5], from: Generator(seed: 1)).attentionReading(
            errorOf: nil, vertical: filters.vertical, horizontal: filters.horizontal, intensity: filters.intensity)
        #expect(read.magnitude().maximum().item() < 1e-20)
        // Only within the operators does the processor take them for 0.
        let small = Tensor([Float.leastNormalMagnitude], shape: [1])
        #expect((small * 0.5).elements(as: Float.self) == [Float.leastNormalMagnitude / 2])
    }

    @Test("shapes that do not go together trap")
    func shapes() async {
        await #expect(processExitsWith: .failure) { _ = Tensor.zeros([2, 4]).attentionFilters(count: 2, rows: 3, columns: 3) }
        await #expect(processExitsWith: .failure) {
            let filters = Tensor.zeros([2, 5]).attentionFilters(count: 2, rows: 3, columns: 3)
            _ = Tensor.zeros([2, 4, 3]).attentionReading(
                errorOf: nil, vertical: filters.vertical, horizontal: filters.horizontal, intensity: filters.intensity)
        }
    }
}
