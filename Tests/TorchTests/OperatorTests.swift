import Testing
import Torch

struct OperatorTests {
    @Test("every operator exists in the installed libtorch, with the schema that the Swift side was written against")
    func schemas() {
        let entries = operators.entries
        #expect(entries.count > 100)
        for (name, entry) in entries {
            #expect(entry.installedSchema == entry.schema, "\(name): \(entry.name)")
        }
    }

    @Test("no operator is declared twice")
    func unique() {
        let names = operators.entries.map(\.operator.name)
        #expect(Set(names).count == names.count)
    }

    @Test("a mistake in shapes traps with the operator's name and the shapes")
    func shapeMistake() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Tensor.zeros([2, 3]) + Tensor.zeros([4])
            })
        let text = String(decoding: result.standardErrorContent, as: UTF8.self)
        #expect(text.contains("add.Tensor(float32[2, 3], float32[4])"))
        #expect(text.contains("must match"))
    }

    @Test("an operator that libtorch has not is named when it is called")
    func unknownOperator() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = Operator("no_such_operator", "(Tensor self) -> Tensor")(.tensor(.zeros([1])))
            })
        #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("has no operator aten::no_such_operator"))
    }

    @Test("a call with too few arguments is refused")
    func tooFewArguments() async throws {
        let result = try #require(
            await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
                _ = operators.add(.tensor(.zeros([1])))
            })
        #expect(String(decoding: result.standardErrorContent, as: UTF8.self).contains("expected 3 arguments, found 1"))
    }
}
