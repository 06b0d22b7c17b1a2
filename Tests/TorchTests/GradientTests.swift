import Testing
import Torch

struct GradientTests {
    @Test("gradients of a scalar with respect to parameters")
    func scalar() {
        let a = Parameter(Tensor([1.0, 2, 3]))
        let b = Parameter(Tensor([4.0, 5, 6]))
        let unused = Parameter(Tensor([7.0]))
        let found = gradients(of: (a.value * a.value * b.value).sum(), withRespectTo: [a, b, unused])
        #expect(found[0].elements() == [8.0, 20, 36])
        #expect(found[1].elements() == [1.0, 4, 9])
        #expect(found[2].elements() == [0.0], "what a parameter does not reach has gradient zero")
    }

    @Test("gradients of gradients")
    func second() {
        let x = Parameter(Tensor([2.0]))
        let first = gradients(of: x.value.power(3).sum(), withRespectTo: [x], createGraph: true)[0]
        #expect(first.item() == 12)
        #expect(gradients(of: first.sum(), withRespectTo: [x])[0].item() == 12)
    }

    @Test("nothing is recorded inside withoutGradients, and the mode before comes back")
    func mode() {
        let x = Parameter(Tensor([2.0]))
        #expect((x.value * 2).requiresGradient)
        withoutGradients {
            #expect(!(x.value * 2).requiresGradient)
            withGradients { #expect((x.value * 2).requiresGradient) }
            #expect(!(x.value * 2).requiresGradient)
        }
        #expect((x.value * 2).requiresGradient)
        #expect(!x.value.detached().requiresGradient)
    }

    @Test("assigning changes the parameter for everyone who holds it, and no snapshot")
    func assign() {
        let x = Parameter(Tensor([1.0, 2]))
        let live = x.value
        let snapshot = x.snapshot()
        x.assign(Tensor([3.0, 4]))
        #expect(live.elements() == [3.0, 4])
        #expect(snapshot.elements() == [1.0, 2])
        #expect(x.value.requiresGradient)
    }

    @Test("a parameter does not share storage with the tensor it started from")
    func ownStorage() {
        let start = Tensor([1.0])
        let x = Parameter(start)
        x.assign(Tensor([9.0]))
        #expect(start.item() == 1)
    }

    @Test("assigning another shape traps")
    func assignShape() async {
        await #expect(processExitsWith: .failure) { Parameter(.zeros([2])).assign(.zeros([3])) }
    }
}
