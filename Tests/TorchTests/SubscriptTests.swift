import Testing
import Torch

struct SubscriptTests {
    private let x = Tensor.range(0..<24).reshaped([2, 3, 4])

    @Test("indices, ranges, strides and the words for whole and new dimensions choose the elements that they say")
    func parts() {
        #expect(x[1].elements() == Array(12..<24) && x[1].shape == [3, 4])
        #expect(x[0, 1, 2].item() == 6 && x[-1, -1, -1].item() == 23)
        #expect(x[.all, 1].elements() == [4, 5, 6, 7, 16, 17, 18, 19])
        #expect(x[0, 1..., ..<2].elements() == [4, 5, 8, 9] && x[0, 1...2, ...1].elements() == [4, 5, 8, 9])
        #expect(
            x[0, 0, (-2)...].elements() == [2, 3] && x[0, 0, ..<(-1)].elements() == [0, 1, 2]
                && x[0, 0, ...(-1)].elements() == [0, 1, 2, 3])
        #expect(x[0, 0, .stride(by: 2)].elements() == [0, 2] && x[0, 0, .stride(from: 1, to: 4, by: 2)].elements() == [1, 3])
        #expect(x[.rest, 0].elements() == [0, 4, 8, 12, 16, 20] && x[1, .rest, 0].elements() == [12, 16, 20])
        #expect(x[.new, 0, .new].shape == [1, 1, 3, 4] && x[.rest, .new].shape == [2, 3, 4, 1] && x[.rest].shape == [2, 3, 4])
        #expect(x[0, Tensor([2, 0, 2], shape: [3]), 0].elements() == [8, 0, 8])
        #expect(x[0, 1..<1].shape == [0, 4] && x[].shape == [2, 3, 4])
    }

    @Test("a part is replaced in a new tensor, and the old one stays")
    func replacing() {
        var y = x
        y[0, .all, 1...2] = Tensor([-1, -2], shape: [2])
        #expect(y[0].elements() == [0, -1, -2, 3, 4, -1, -2, 7, 8, -1, -2, 11] && y[1].elements() == Array(12..<24))
        #expect(x.elements() == Array(0..<24))
        y = x
        y[.rest, -1] = .full([], 9, type: .int64)
        #expect(y[1].elements() == [12, 13, 14, 9, 16, 17, 18, 9, 20, 21, 22, 9])
        y = x
        y[Tensor([1], shape: [1]), 0, .stride(by: 2)] = Tensor([0.0, 5.0])
        #expect(y[1, 0].elements() == [0, 13, 5, 15] && y.type == .int64)
        y = x
        y[0, .new, 2] = .zeros([1, 4], type: .int64)
        #expect(y[0].elements() == [0, 1, 2, 3, 4, 5, 6, 7, 0, 0, 0, 0])
        y[] = .zeros([], type: .int64)
        #expect(y.elements() == [Int](repeating: 0, count: 24))
    }

    @Test("gradients pass through what is read and what is written")
    func gradients() {
        let (whole, part) = (Parameter(.ones([2, 3], type: .float64)), Parameter(.full([2], 5, type: .float64)))
        var changed = whole.value
        changed[.all, 1] = part.value
        let loss = (changed * Tensor([1, 2, 3, 4, 5, 6] as [Double], shape: [2, 3])).sum() + 10 * whole.value[1, 0]
        let found = Torch.gradients(of: loss, withRespectTo: [whole, part])
        #expect(found[0].elements() == [1.0, 0, 3, 14, 0, 6] && found[1].elements() == [2.0, 5])
    }

    @Test("what a dimension does not have traps with the shape and what was expected")
    func traps() async throws {
        func text(_ result: ExitTest.Result?) -> String { String(decoding: result?.standardErrorContent ?? [], as: UTF8.self) }
        let first = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { _ = Tensor.zeros([2, 3])[0, 3] }
        #expect(text(first).contains("subscript of a tensor [2, 3]: expected an index from -3 to below 3 for dimension 1, found 3"))
        let second = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = Tensor.zeros([2, 3])[.all, 1..<5]
        }
        #expect(text(second).contains("expected a range within 0..<3 and a step of at least 1 for dimension 1, found 1..<5"))
        let third = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { _ = Tensor.zeros([2])[0, 0] }
        #expect(text(third).contains("expected at most 1 indices, found 2"))
        let fourth = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) { _ = Tensor.zeros([2])[.rest, .rest] }
        #expect(text(fourth).contains("expected .rest at most once"))
    }
}
