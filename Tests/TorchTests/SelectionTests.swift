import Testing
import Torch

struct SelectionTests {
    @Test("sorting keeps the order of equal elements, and says where each was")
    func sorting() {
        let x = Tensor([3.0, 1, 2, 1, .nan], shape: [5])
        let found = x.sorted()
        #expect(found.indices.elements() == [1, 3, 2, 0, 4] && found.values[..<4].elements() == [1.0, 1, 2, 3])
        #expect(x[..<4].sorted(descending: true).indices.elements() == [0, 2, 1, 3])
        let rows = Tensor([4, 2, 9, 1, 8, 3], shape: [2, 3])
        #expect(rows.sorted(along: 0).values.elements() == [1, 2, 3, 4, 8, 9])
        let top = rows.topK(2)
        #expect(top.values.elements() == [9, 4, 8, 3] && top.indices.elements() == [2, 0, 1, 2])
        #expect(rows.topK(1, along: 0, largest: false).values.elements() == [1, 2, 3])
    }

    @Test("scattering is the opposite of gathering, and adds up where several elements go to one place")
    func scattering() {
        let indices = Tensor([1, 2, 0, 0], shape: [2, 2])
        let values = Tensor([1, 2, 3, 4] as [Double], shape: [2, 2])
        let zeros = Tensor.zeros([2, 3], type: .float64)
        #expect(zeros.scattered(values[0..<1], at: indices[0..<1], along: 1).elements() == [0.0, 1, 2, 0, 0, 0])
        #expect(zeros.addingScattered(values, at: indices, along: 1).elements() == [0.0, 1, 2, 7, 0, 0])
        #expect(
            zeros.scattered(values[0..<1], at: indices[0..<1], along: 1)[0..<1].gathered(indices[0..<1], along: 1).elements() == [1.0, 2])
    }

    @Test("one-hot rows have a 1 where the index says")
    func oneHot() {
        let rows = Tensor([2, 0], shape: [2]).oneHot(3)
        #expect(rows.shape == [2, 3] && rows.type == .float32 && rows.elements() == [Float(0), 0, 1, 1, 0, 0])
    }

    @Test("draws follow the weights, and without replacement none is drawn twice")
    func multinomial() {
        let random = Generator(seed: 3)
        let draws = Tensor([1, 0, 3] as [Float]).multinomial(4000, replacement: true, from: random)
        let counts = (0..<3).map { Int((draws .== $0).sum().item()) }
        // Three standard deviations of a share of a quarter of 4000 are 82.
        #expect(counts[1] == 0 && abs(counts[0] - 1000) < 110)
        let order = Tensor([1, 2, 3, 4] as [Float]).multinomial(4, from: random)
        #expect(order.sorted().values.elements() == [0, 1, 2, 3])
        let again = Tensor([1, 0, 3] as [Float]).multinomial(4000, replacement: true, from: Generator(seed: 3))
        #expect(again.elements(as: Int.self) == draws.elements(as: Int.self))
    }

    @Test("cumulative products, and vectors of length 1, also where squares leave the type's range")
    func products() {
        #expect(Tensor([1, 2, 3, 4] as [Double]).cumulativeProduct(along: 0).elements() == [1.0, 2, 6, 24])
        let long = Tensor([3e30, 4e30] as [Float]).normalized()
        #expect(abs(long[0].item() - 0.6) < 1e-6 && abs(long[1].item() - 0.8) < 1e-6)
        #expect(Tensor.zeros([2, 2]).normalized().elements() == [Float](repeating: 0, count: 4))
        #expect(Tensor([3, 4] as [Double], shape: [2, 1]).normalized(along: 0).elements() == [0.6, 0.8])
    }
}
