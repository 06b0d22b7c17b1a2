import Testing
import Torch

// Operators that have no Swift name in the package, as a user calls them.

/// Declared once, as in the documentation of ``Operator``.
private let histogram = Operator("aten::histc", schema: "(Tensor self, int bins=100, Scalar min=0, Scalar max=0) -> Tensor")
private let largest = Operator(
    "aten::topk", schema: "(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)")
private let place = Operator(
    "aten::searchsorted.Tensor",
    schema:
        "(Tensor sorted_sequence, Tensor self, *, bool out_int32=False, bool right=False, str? side=None, Tensor? sorter=None) -> Tensor")
private let put = Operator("aten::index_put", schema: "(Tensor self, Tensor?[] indices, Tensor values, bool accumulate=False) -> Tensor")
private let equal = Operator("aten::equal", schema: "(Tensor self, Tensor other) -> bool")
private let number = Operator("aten::_local_scalar_dense", schema: "(Tensor self) -> Scalar")

struct OperatorCallTests {
    @Test("scalars in, a tensor out: histc; its name needs no namespace")
    func scalars() {
        let values = Tensor([0.1, 0.15, 0.5, 0.9])
        #expect(histogram(.tensor(values), .integer(2), .real(0), .integer(1)).elements() == [2.0, 2])
        let same = Operator("histc", schema: histogram.schema)
        #expect(same(.tensor(values), .integer(2), .real(0), .real(1)).elements() == [2.0, 2])
    }

    @Test("a tuple of tensors: topk, recorded for gradients as every operator")
    func tuple() {
        let parameter = Parameter(Tensor([3.0, 1, 2]))
        let found = largest.results(.tensor(parameter.value), .integer(2), .integer(-1), .boolean(true), .boolean(true))
        #expect(found.count == 2 && found[0].tensor.elements() == [3.0, 2] && found[1].tensor.elements() == [0, 2])
        #expect(gradients(of: found[0].tensor.sum(), withRespectTo: [parameter])[0].elements() == [1.0, 0, 1])
    }

    @Test("strings and optional tensors: searchsorted")
    func text() {
        func places(_ side: Operator.Value, _ sorter: Operator.Value = .none) -> [Int] {
            place(.tensor(Tensor([1.0, 2, 3])), .tensor(Tensor([2.0])), .boolean(false), .boolean(false), side, sorter).elements()
        }
        #expect(places(.none) == [1] && places(.text("left")) == [1] && places(.text("right")) == [2])
        #expect(places(.text("right"), .tensor(Tensor([0, 1, 2]))) == [2])
    }

    @Test("lists of optional tensors: index_put")
    func optionalTensors() {
        let zeros = Tensor.zeros([2, 3])
        let found = put(
            .tensor(zeros), .optionalTensors([nil, Tensor([0, 2])]), .tensor(Tensor([Float(1), 2], shape: [2])), .boolean(false))
        #expect(found.elements() == [Float(1), 0, 2, 1, 0, 2] && zeros.elements() == [Float](repeating: 0, count: 6))
        let row = put(.tensor(zeros), .tensors([Tensor([1])]), .tensor(Tensor(Float(5))), .boolean(true))
        #expect(row.elements() == [Float(0), 0, 0, 5, 5, 5])
    }

    @Test("truth values, numbers and tuples of numbers as results")
    func numbers() {
        #expect(equal.results(.tensor(Tensor([1, 2])), .tensor(Tensor([1, 2])))[0].boolean)
        #expect(!equal.results(.tensor(Tensor([1, 2])), .tensor(Tensor([1, 3])))[0].boolean)
        #expect(number.results(.tensor(Tensor(2.5)))[0].real == 2.5)
        #expect(number.results(.tensor(Tensor(7)))[0].integer == 7 && number.results(.tensor(Tensor(7)))[0].real == 7)
        #expect(number.results(.tensor(Tensor(true)))[0].boolean)
        let stride = Operator("aten::stride.int", schema: "(Tensor self, int dim) -> int")
        #expect(stride.results(.tensor(.zeros([2, 3])), .integer(0))[0].integer == 3)
        let range = Operator("aten::_choose_qparams_per_tensor", schema: "(Tensor self, bool reduce_range=False) -> (float, int)")
        let found = range.results(.tensor(Tensor([Float(-1), 1])), .boolean(false))
        #expect(found.count == 2 && abs(found[0].real - 2.0 / 255) < 1e-6 && (127...128).contains(found[1].integer))
    }

    @Test("complex numbers, as arguments and as results")
    func complex() {
        let full = Operator(
            "aten::full",
            schema: "(SymInt[] size, Scalar fill_value, *, ScalarType? dtype=None, Layout? layout=None, Device? device=None, "
                + "bool? pin_memory=None) -> Tensor")
        let parts = Operator("aten::view_as_real", schema: "(Tensor(a) self) -> Tensor(a)")
        let value = full(.integers([]), .complex(1.5, imaginary: -2), .none, .layout(.strided), .device(.cpu), .none)
        #expect(parts(.tensor(value)).elements() == [Float(1.5), -2])
        guard case .complex(1.5, imaginary: -2) = number.results(.tensor(value))[0] else { Issue.record("expected 1.5 − 2i"); return }
        let boolean = full(.integers([2]), .boolean(true), .type(.bool), .none, .none, .boolean(false))
        #expect(boolean.elements() == [true, true] && boolean.type == .bool)
    }

    @Test("lists of scalars, of floats and of truth values; lists of tensors as results")
    func lists() {
        let add = Operator("aten::_foreach_add.ScalarList", schema: "(Tensor[] self, Scalar[] scalars) -> Tensor[]")
        let start: Operator.Value = .tensors([Tensor([1.0]), Tensor([2.0])])
        for scalars in [.reals([1, 2]), .integers([1, 2]), .list([.integer(1), .real(2)])] as [Operator.Value] {
            #expect(add.results(start, scalars)[0].tensors.map { $0.item() } == [2, 4])
        }
        let resize = Operator(
            "aten::upsample_bilinear2d.vec",
            schema: "(Tensor input, SymInt[]? output_size, bool align_corners, float[]? scale_factors) -> Tensor")
        #expect(resize(.tensor(.ones([1, 1, 2, 2])), .none, .boolean(false), .reals([2, 3])).shape == [1, 1, 4, 6])
        #expect(resize(.tensor(.ones([1, 1, 2, 2])), .integers([3, 5]), .boolean(false), .none).shape == [1, 1, 3, 5])
        let slopes = Operator(
            "aten::native_layer_norm_backward",
            schema: "(Tensor grad_out, Tensor input, SymInt[] normalized_shape, Tensor mean, Tensor rstd, Tensor? weight, Tensor? bias, "
                + "bool[3] output_mask) -> (Tensor, Tensor, Tensor)")
        let found = slopes.results(
            .tensor(.ones([2, 3])), .tensor(.ones([2, 3])), .integers([3]), .tensor(.zeros([2, 1])), .tensor(.ones([2, 1])), .none, .none,
            .booleans([true, false, false]))
        #expect(found.count == 3 && found[0].tensor.shape == [2, 3])
        guard case .none = found[1] else { Issue.record("expected no gradient of a weight, found \(found[1])"); return }
    }

    @Test("generators, types of elements, devices and memory formats")
    func others() {
        let draw = Operator(
            "aten::multinomial", schema: "(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor"
        )
        func drawn(_ seed: UInt64) -> [Int] {
            draw(.tensor(.ones([1000])), .integer(5), .boolean(false), .generator(Generator(seed: seed))).elements()
        }
        #expect(drawn(1) == drawn(1) && drawn(1) != drawn(2))
        let move = Operator(
            "aten::to.device",
            schema: "(Tensor(a) self, Device device, ScalarType dtype, bool non_blocking=False, bool copy=False, "
                + "MemoryFormat? memory_format=None) -> Tensor(a)")
        let moved = move(
            .tensor(.ones([1, 2, 3, 4])), .device(.cpu), .type(.float64), .boolean(false), .boolean(true), .memoryFormat(.channelsLast))
        let stride = Operator("aten::stride.int", schema: "(Tensor self, int dim) -> int")
        #expect(moved.type == .float64 && stride.results(.tensor(moved), .integer(1))[0].integer == 1)
    }

    @Test("an operator that changes its argument changes it, and no results are no mistake")
    func inPlace() {
        let add = Operator("aten::_foreach_add_.Scalar", schema: "(Tensor(a!)[] self, Scalar scalar) -> ()")
        let own = Tensor([1.0, 2])
        #expect(add.results(.tensors([own]), .real(1)).isEmpty && own.elements() == [2.0, 3])
    }

    @Test("an operator whose name is a user's input: its schema is found, or an error is thrown")
    func named() throws {
        let found = try Operator(named: "aten::histc")
        #expect(found.schema == histogram.schema && found.installedSchema == histogram.schema)
        for name in ["aten::no_such_operator", "", "nothing", "aten::", "aten::add.Nothing", "::", "a.b.c"] {
            let error = #expect(throws: TorchError.self, "\(name)") { try Operator(named: name) }
            #expect(error?.description.contains("has no operator") == true, "\(error?.description ?? "")")
        }
    }

    private func message(_ result: ExitTest.Result?) -> String { String(decoding: result?.standardErrorContent ?? [], as: UTF8.self) }

    @Test("a schema that is not the operator's own traps at the call, with both")
    func wrongSchema() async {
        let result = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            let wrong = Operator("aten::equal", schema: "(Tensor self) -> bool")
            _ = wrong.results(.tensor(.zeros([1])))
        }
        let text = message(result)
        #expect(text.contains("aten::equal: expected libtorch"))
        #expect(text.contains("to have the schema (Tensor self) -> bool, found (Tensor self, Tensor other) -> bool"))
    }

    @Test("an argument of the wrong kind traps with the operator's and the argument's name, what was expected and what was found")
    func wrongKind() async {
        let whole = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = largest.results(.tensor(.zeros([3])), .real(2), .integer(-1), .boolean(true), .boolean(true))
        }
        #expect(message(whole).contains("aten::topk(float32[3]): argument 2, k: expected int, found float"))
        let missing = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = equal.results(.tensor(.zeros([3])), .none)
        }
        #expect(message(missing).contains("argument 2, other: expected Tensor, found None"))
        let element = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = put(.tensor(.zeros([3])), .list([.integer(1)]), .tensor(.zeros([])), .boolean(false))
        }
        #expect(message(element).contains("element 1 of a list: expected Tensor?, found int"))
    }

    @Test("a result of another kind than is asked for traps")
    func wrongResult() async {
        let tensor = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = equal(.tensor(.zeros([3])), .tensor(.zeros([3])))
        }
        #expect(message(tensor).contains("aten::equal(float32[3], float32[3]): a result that is no tensor: Bool"))
        let number = await #expect(processExitsWith: .failure, observing: [\.standardErrorContent]) {
            _ = equal.results(.tensor(.zeros([3])), .tensor(.zeros([3])))[0].integer
        }
        #expect(message(number).contains("expected a whole number, found boolean(true)"))
    }

    @Test("nothing is leaked by results of any kind")
    func leaks() {
        func work() {
            _ = largest.results(.tensor(Tensor([3.0, 1, 2])), .integer(2), .integer(-1), .boolean(true), .boolean(true))
            _ = Operator("aten::unbind.int", schema: "(Tensor(a -> *) self, int dim=0) -> Tensor(a)[]")
                .results(.tensor(Tensor([3.0, 1, 2])), .integer(0))
        }
        // Other tests run beside: the count is not level, but thousands of tensors would be seen.
        let before = Runtime.liveTensorCount
        for _ in 0..<20_000 { work() }
        #expect(Runtime.liveTensorCount - before < 20_000)
    }
}
