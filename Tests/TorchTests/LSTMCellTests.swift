import Testing
import Torch

struct LSTMCellTests {
    /// The formulas, operator by operator.
    private func composed(_ gates: Tensor, _ cell: Tensor, _ peepholes: Tensor?) -> (output: Tensor, cell: Tensor) {
        let hidden = cell.shape[1]
        let parts = gates.split([hidden, hidden, hidden, hidden], along: 1)
        func seeing(_ gate: Int, _ row: Int, _ cell: Tensor) -> Tensor {
            (peepholes.map { parts[gate] + $0.selected(row, along: 0) * cell } ?? parts[gate]).sigmoid()
        }
        let next = seeing(1, 1, cell) * cell + seeing(0, 0, cell) * parts[2].tanh()
        return (seeing(3, 2, next) * next.tanh(), next)
    }

    @Test(
        "values and gradients are those of the formulas, in one thread and in several, for what is contiguous and what is not",
        arguments: [ElementType.float32, .float64, .bfloat16], [true, false])
    func formulas(type: ElementType, hasPeepholes: Bool) {
        let tolerance = type == .float64 ? 1e-12 : type == .float32 ? 3e-6 : 0.05
        for (batch, hidden) in [(1, 1), (3, 5), (100, 256)] {
            let random = Generator(seed: 1)
            func draw(_ shape: [Int]) -> Parameter { Parameter(.normal(shape, type: type, from: random)) }
            let gates = draw([4 * hidden, batch])
            let (cell, peepholes) = (draw([batch, hidden]), hasPeepholes ? draw([3, hidden]) : nil)
            let weights = [draw([batch, hidden]), draw([batch, hidden])].map { $0.value.detached() }
            let parameters = [gates, cell] + [peepholes].compactMap(\.self)
            func results(_ function: (Tensor, Tensor, Tensor?) -> (output: Tensor, cell: Tensor)) -> [Tensor] {
                let found = function(gates.value.transposed(), cell.value, peepholes?.value)
                let loss = (found.output * weights[0]).sum() + (found.cell * weights[1]).sum()
                return [found.output, found.cell] + gradients(of: loss, withRespectTo: parameters)
            }
            let found = results { $0.longShortTermMemoryCell(cell: $1, peepholes: $2) }
            for (one, other) in zip(found, results(composed)) {
                #expect(one.shape == other.shape && one.type == type)
                let (one, other) = (one.detached().converted(to: .float64), other.detached().converted(to: .float64))
                #expect((one - other).magnitude().maximum().item() < tolerance * max(1, other.magnitude().maximum().item()))
            }
        }
    }

    @Test("an empty batch has empty gradients, in every type", arguments: [ElementType.float32, .float64, .bfloat16, .float16])
    func emptyBatch(type: ElementType) {
        let (gates, cell) = (Parameter(Tensor.zeros([0, 12], type: type)), Parameter(Tensor.zeros([0, 3], type: type)))
        let found = gates.value.longShortTermMemoryCell(cell: cell.value, peepholes: nil)
        let slopes = gradients(of: found.output.sum() + found.cell.sum(), withRespectTo: [gates, cell])
        #expect(slopes.map(\.shape) == [[0, 12], [0, 3]])
    }

    @Test("a result alone has gradients too, and gradients have gradients")
    func parts() {
        let random = Generator(seed: 2)
        let gates = Parameter(.normal([3, 8], type: .float64, from: random))
        let cell = Parameter(.normal([3, 2], type: .float64, from: random))
        let peepholes = Parameter(.normal([3, 2], type: .float64, from: random))
        let all = [gates, cell, peepholes]
        func slopes(_ function: (Tensor, Tensor, Tensor?) -> (output: Tensor, cell: Tensor), _ part: Int) -> [Tensor] {
            let found = function(gates.value, cell.value, peepholes.value)
            let loss = (part == 0 ? found.output : found.cell).power(3).sum()
            let first = gradients(of: loss, withRespectTo: all, createGraph: true)
            let second = first.map { $0.power(2).sum() }.reduce(Tensor.zeros([], type: .float64), +)
            return first + gradients(of: second, withRespectTo: all)
        }
        for part in 0..<2 {
            let found = slopes({ $0.longShortTermMemoryCell(cell: $1, peepholes: $2) }, part)
            for (one, other) in zip(found, slopes(composed, part)) {
                #expect((one.detached() - other.detached()).magnitude().maximum().item() < 1e-11)
            }
        }
    }
}
