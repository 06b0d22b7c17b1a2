import Testing
import Torch
import Training

struct ExponentialAverageTests {
    @Test("the average follows the parameters by its decay, and evaluation leaves them as they were")
    func follows() {
        let (first, second) = (Parameter(Tensor([1.0, 2.0])), Parameter(Tensor(5.0)))
        let average = ExponentialAverage([first, second], decay: 0.75)
        var expected = [1.0, 2.0, 5.0]
        for step in 1...6 {
            first.assign(Tensor([Double(step), -1.0]))
            second.assign(Tensor(Double(step * step)))
            let current = [Double(step), -1.0, Double(step * step)]
            expected = zip(expected, current).map { $0 + 0.25 * ($1 - $0) }
            average.update()
            let seen = average.withAverages { first.value.elements(as: Double.self) + [second.value.item()] }
            #expect(zip(seen, expected).allSatisfy { abs($0 - $1) < 1e-14 })
            #expect(first.value.elements(as: Double.self) + [second.value.item()] == current)
        }
    }

    @Test("an average goes on from its values, and they are copies")
    func restores() {
        let parameter = Parameter(Tensor([1.0, 2.0]))
        let average = ExponentialAverage([parameter], decay: 0.5)
        let start = average.values
        parameter.assign(Tensor([3.0, 6.0]))
        average.update()
        #expect(start[0].elements(as: Double.self) == [1, 2])
        let other = ExponentialAverage([parameter], decay: 0.5)
        other.restore(average.values)
        #expect(other.withAverages { parameter.value.elements(as: Double.self) } == [2, 4])
    }

    @Test("a failure in the evaluation puts the parameters back too")
    func failure() {
        struct Problem: Error {}
        let parameter = Parameter(Tensor([1.0]))
        let average = ExponentialAverage([parameter], decay: 0)
        parameter.assign(Tensor([7.0]))
        #expect(throws: Problem.self) { try average.withAverages { throw Problem() } }
        #expect(parameter.value.item() == 7)
    }
}
