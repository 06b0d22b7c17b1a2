// Every libtorch operator that is used: one line each, with the schema it was written against.
//
// A test compares each schema with the installed libtorch; Mirror finds them, so none can be forgotten. Arguments are always passed in full: the
// defaults are in the schema only for the comparison.

package let operators = OperatorTable()

package struct OperatorTable: Sendable {
    // Creation
    let empty = Operator("empty.memory_format", "(SymInt[] size, *, \(placement), MemoryFormat? memory_format=None) -> Tensor")
    let zeros = Operator("zeros", "(SymInt[] size, *, \(placement)) -> Tensor")
    let ones = Operator("ones", "(SymInt[] size, *, \(placement)) -> Tensor")
    let full = Operator("full", "(SymInt[] size, Scalar fill_value, *, \(placement)) -> Tensor")
    let arange = Operator("arange.start_step", "(Scalar start, Scalar end, Scalar step=1, *, \(placement)) -> Tensor")
    let eye = Operator("eye", "(SymInt n, *, \(placement)) -> Tensor")

    // Random numbers
    let randomIntegers = Operator(
        "randint.low_generator",
        "(SymInt low, SymInt high, SymInt[] size, *, Generator? generator, ScalarType? dtype=4, Layout? layout=None, "
            + "Device? device=None, bool? pin_memory=None) -> Tensor")
    let multinomial = Operator(
        "multinomial", "(Tensor self, SymInt num_samples, bool replacement=False, *, Generator? generator=None) -> Tensor")

    // Arithmetic, element by element
    package let add = Operator("add.Tensor", "(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor")
    let addScalar = Operator("add.Scalar", "(Tensor self, Scalar other, Scalar alpha=1) -> Tensor")
    let subtract = Operator("sub.Tensor", "(Tensor self, Tensor other, *, Scalar alpha=1) -> Tensor")
    let subtractScalar = Operator("sub.Scalar", "(Tensor self, Scalar other, Scalar alpha=1) -> Tensor")
    let reverseSubtractScalar = Operator("rsub.Scalar", "(Tensor self, Scalar other, Scalar alpha=1) -> Tensor")
    let multiply = Operator("mul.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let multiplyScalar = Operator("mul.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let divide = Operator("div.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let divideScalar = Operator("div.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let reciprocal = Operator("reciprocal", "(Tensor self) -> Tensor")
    let negate = Operator("neg", "(Tensor self) -> Tensor")
    let powerScalar = Operator("pow.Tensor_Scalar", "(Tensor self, Scalar exponent) -> Tensor")
    let squareRoot = Operator("sqrt", "(Tensor self) -> Tensor")
    let reciprocalSquareRoot = Operator("rsqrt", "(Tensor self) -> Tensor")
    let errorFunction = Operator("erf", "(Tensor self) -> Tensor")
    let exponential = Operator("exp", "(Tensor self) -> Tensor")
    let exponentialMinusOne = Operator("expm1", "(Tensor self) -> Tensor")
    let logarithm = Operator("log", "(Tensor self) -> Tensor")
    let logarithmOnePlus = Operator("log1p", "(Tensor self) -> Tensor")
    let absolute = Operator("abs", "(Tensor self) -> Tensor")
    let sign = Operator("sign", "(Tensor self) -> Tensor")
    let logSigmoid = Operator("log_sigmoid", "(Tensor self) -> Tensor")
    let cosine = Operator("cos", "(Tensor self) -> Tensor")
    let sine = Operator("sin", "(Tensor self) -> Tensor")
    let arcCosine = Operator("acos", "(Tensor self) -> Tensor")
    let floor = Operator("floor", "(Tensor self) -> Tensor")
    let divideRounding = Operator("div.Tensor_mode", "(Tensor self, Tensor other, *, str? rounding_mode) -> Tensor")
    let divideScalarRounding = Operator("div.Scalar_mode", "(Tensor self, Scalar other, *, str? rounding_mode) -> Tensor")
    let remainder = Operator("remainder.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let remainderScalar = Operator("remainder.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let mantissaAndExponent = Operator("frexp.Tensor", "(Tensor self) -> (Tensor mantissa, Tensor exponent)")
    let clamp = Operator("clamp", "(Tensor self, Scalar? min=None, Scalar? max=None) -> Tensor")
    let maximum = Operator("maximum", "(Tensor self, Tensor other) -> Tensor")
    let minimum = Operator("minimum", "(Tensor self, Tensor other) -> Tensor")

    // Comparison and choice
    let equal = Operator("eq.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let equalScalar = Operator("eq.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let notEqual = Operator("ne.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let notEqualScalar = Operator("ne.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let less = Operator("lt.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let lessScalar = Operator("lt.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let lessEqual = Operator("le.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let lessEqualScalar = Operator("le.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let greater = Operator("gt.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let greaterScalar = Operator("gt.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let greaterEqual = Operator("ge.Tensor", "(Tensor self, Tensor other) -> Tensor")
    let greaterEqualScalar = Operator("ge.Scalar", "(Tensor self, Scalar other) -> Tensor")
    let logicalAnd = Operator("logical_and", "(Tensor self, Tensor other) -> Tensor")
    let logicalOr = Operator("logical_or", "(Tensor self, Tensor other) -> Tensor")
    let logicalNot = Operator("logical_not", "(Tensor self) -> Tensor")
    let choose = Operator("where.self", "(Tensor condition, Tensor self, Tensor other) -> Tensor")
    let maskedFill = Operator("masked_fill.Scalar", "(Tensor self, Tensor mask, Scalar value) -> Tensor")
    let isFinite = Operator("isfinite", "(Tensor self) -> Tensor")

    // Reduction
    let sum = Operator("sum.dim_IntList", "(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")
    let mean = Operator("mean.dim", "(Tensor self, int[1]? dim, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")
    let variance = Operator("var.correction", "(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> Tensor")
    let varianceAndMean = Operator(
        "var_mean.correction",
        "(Tensor self, int[1]? dim=None, *, Scalar? correction=None, bool keepdim=False) -> (Tensor, Tensor)")
    let largest = Operator("amax", "(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor")
    let smallest = Operator("amin", "(Tensor self, int[1] dim=[], bool keepdim=False) -> Tensor")
    let indexOfLargest = Operator("argmax", "(Tensor self, int? dim=None, bool keepdim=False) -> Tensor")
    let all = Operator("all", "(Tensor self) -> Tensor")
    let any = Operator("any", "(Tensor self) -> Tensor")
    let cumulativeSum = Operator("cumsum", "(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor")
    let cumulativeProduct = Operator("cumprod", "(Tensor self, int dim, *, ScalarType? dtype=None) -> Tensor")
    let vectorNorm = Operator(
        "linalg_vector_norm",
        "(Tensor self, Scalar ord=2, int[1]? dim=None, bool keepdim=False, *, ScalarType? dtype=None) -> Tensor")
    let logSumExp = Operator("logsumexp", "(Tensor self, int[1] dim, bool keepdim=False) -> Tensor")

    // Shape and selection
    let reshape = Operator("reshape", "(Tensor(a) self, SymInt[] shape) -> Tensor(a)")
    let permute = Operator("permute", "(Tensor(a) self, int[] dims) -> Tensor(a)")
    let transpose = Operator("transpose.int", "(Tensor(a) self, int dim0, int dim1) -> Tensor(a)")
    let unsqueeze = Operator("unsqueeze", "(Tensor(a) self, int dim) -> Tensor(a)")
    let squeeze = Operator("squeeze.dim", "(Tensor(a) self, int dim) -> Tensor(a)")
    let expand = Operator("expand", "(Tensor(a) self, SymInt[] size, *, bool implicit=False) -> Tensor(a)")
    let flatten = Operator("flatten.using_ints", "(Tensor(a) self, int start_dim=0, int end_dim=-1) -> Tensor(a)")
    let select = Operator("select.int", "(Tensor(a) self, int dim, SymInt index) -> Tensor(a)")
    let slice = Operator("slice.Tensor", "(Tensor(a) self, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor(a)")
    let concatenate = Operator("cat", "(Tensor[] tensors, int dim=0) -> Tensor")
    let stack = Operator("stack", "(Tensor[] tensors, int dim=0) -> Tensor")
    let split = Operator("split_with_sizes", "(Tensor(a -> *) self, SymInt[] split_sizes, int dim=0) -> Tensor(a)[]")
    let indexSelect = Operator("index_select", "(Tensor self, int dim, Tensor index) -> Tensor")
    let gather = Operator("gather", "(Tensor self, int dim, Tensor index, *, bool sparse_grad=False) -> Tensor")
    let scatter = Operator("scatter.src", "(Tensor self, int dim, Tensor index, Tensor src) -> Tensor")
    let scatterAdd = Operator("scatter_add", "(Tensor self, int dim, Tensor index, Tensor src) -> Tensor")
    let indexCopy = Operator("index_copy", "(Tensor self, int dim, Tensor index, Tensor source) -> Tensor")
    let selectScatter = Operator("select_scatter", "(Tensor self, Tensor src, int dim, SymInt index) -> Tensor")
    let sliceScatter = Operator(
        "slice_scatter", "(Tensor self, Tensor src, int dim=0, SymInt? start=None, SymInt? end=None, SymInt step=1) -> Tensor")
    let sort = Operator(
        "sort.stable", "(Tensor self, *, bool? stable, int dim=-1, bool descending=False) -> (Tensor values, Tensor indices)")
    let topK = Operator(
        "topk", "(Tensor self, SymInt k, int dim=-1, bool largest=True, bool sorted=True) -> (Tensor values, Tensor indices)")
    let oneHot = Operator("one_hot", "(Tensor self, int num_classes=-1) -> Tensor")
    let flip = Operator("flip", "(Tensor self, int[] dims) -> Tensor")
    let contiguous = Operator("contiguous", "(Tensor(a) self, *, MemoryFormat memory_format=0) -> Tensor(a)")
    let clone = Operator("clone", "(Tensor self, *, MemoryFormat? memory_format=None) -> Tensor")
    let detach = Operator("detach", "(Tensor(a) self) -> Tensor(a)")
    let convert = Operator(
        "_to_copy",
        "(Tensor self, *, \(placement), bool non_blocking=False, MemoryFormat? memory_format=None) -> Tensor")

    // Linear algebra
    let matrixMultiply = Operator("matmul", "(Tensor self, Tensor other) -> Tensor")
    let addMatrixProduct = Operator("addmm", "(Tensor self, Tensor mat1, Tensor mat2, *, Scalar beta=1, Scalar alpha=1) -> Tensor")
    let linear = Operator(
        "linear", "(Tensor input, Tensor weight, Tensor? bias, int kind, float slope) -> Tensor", namespace: "weightnorm")
    let share = Operator("share", "(Tensor(a) self) -> Tensor(a)", namespace: "weightnorm")
    let sharedLinear = Operator("shared_linear", "(Tensor input, Tensor weight, Tensor? bias) -> Tensor", namespace: "weightnorm")
    let symmetricEigenvalues = Operator("linalg_eigvalsh", "(Tensor self, str UPLO=\"L\") -> Tensor")
    let symmetricEigen = Operator("linalg_eigh", "(Tensor self, str UPLO=\"L\") -> (Tensor eigenvalues, Tensor eigenvectors)")

    // Networks. Not `convolution`, which covers all cases: the CPU's autocast does not know it.
    let convolution1d = Operator("conv1d", convolutionSchema(1))
    /// libtorch's `conv2d`, or with ``Runtime/allowsWinograd`` this library's way to the same.
    let convolution2d = Operator(
        "convolution2d",
        "(Tensor input, Tensor weight, Tensor? bias, int[2] stride, int[2] padding, int[2] dilation, int groups, int kind, "
            + "float slope) -> Tensor",
        namespace: "weightnorm")
    let convolution3d = Operator("conv3d", convolutionSchema(3))
    let transposedConvolution1d = Operator("conv_transpose1d", transposedConvolutionSchema(1))
    let transposedConvolution2d = Operator("conv_transpose2d.input", transposedConvolutionSchema(2))
    let transposedConvolution3d = Operator("conv_transpose3d.input", transposedConvolutionSchema(3))
    let longShortTermMemory = Operator(
        "lstm.input",
        "(Tensor input, Tensor[] hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, "
            + "bool batch_first) -> (Tensor, Tensor, Tensor)")
    let gatedRecurrentUnit = Operator(
        "gru.input",
        "(Tensor input, Tensor hx, Tensor[] params, bool has_biases, int num_layers, float dropout, bool train, bool bidirectional, "
            + "bool batch_first) -> (Tensor, Tensor)")
    let activation = Operator("activation", "(Tensor self, int kind, float slope) -> Tensor", namespace: "weightnorm")
    let meanOnlyBatchNorm = Operator(
        "mean_only_batch_norm", "(Tensor input, Tensor bias, int axis, int kind, float slope) -> (Tensor, Tensor)", namespace: "weightnorm")
    let activationInPlace = Operator("activation_", "(Tensor(a!) self, int kind, float slope) -> Tensor(a!)", namespace: "weightnorm")
    let leakyRelu = Operator("leaky_relu", "(Tensor self, Scalar negative_slope=0.01) -> Tensor")
    let softplus = Operator("softplus", "(Tensor self, Scalar beta=1, Scalar threshold=20) -> Tensor")
    let gelu = Operator("gelu", "(Tensor self, *, str approximate=\"none\") -> Tensor")
    let silu = Operator("silu", "(Tensor self) -> Tensor")
    let softmax = Operator("softmax.int", "(Tensor self, int dim, ScalarType? dtype=None) -> Tensor")
    let logSoftmax = Operator("log_softmax.int", "(Tensor self, int dim, ScalarType? dtype=None) -> Tensor")
    let negativeLogLikelihood = Operator(
        "nll_loss_nd",
        "(Tensor self, Tensor target, Tensor? weight=None, int reduction=1, SymInt ignore_index=-100) -> Tensor")
    let binaryCrossEntropyWithLogits = Operator(
        "binary_cross_entropy_with_logits",
        "(Tensor self, Tensor target, Tensor? weight=None, Tensor? pos_weight=None, int reduction=1) -> Tensor")
    let huberLoss = Operator("huber_loss", "(Tensor self, Tensor target, int reduction=1, float delta=1.) -> Tensor")
    let smoothL1Loss = Operator("smooth_l1_loss", "(Tensor self, Tensor target, int reduction=1, float beta=1.) -> Tensor")
    let meanSquaredError = Operator("mse_loss", "(Tensor self, Tensor target, int reduction=1) -> Tensor")
    let meanAbsoluteError = Operator("l1_loss", "(Tensor self, Tensor target, int reduction=1) -> Tensor")
    let embedding = Operator(
        "embedding",
        "(Tensor weight, Tensor indices, SymInt padding_idx=-1, bool scale_grad_by_freq=False, bool sparse=False) -> Tensor")
    let scaledDotProductAttention = Operator(
        "scaled_dot_product_attention",
        "(Tensor query, Tensor key, Tensor value, Tensor? attn_mask=None, float dropout_p=0., bool is_causal=False, *, "
            + "float? scale=None, bool enable_gqa=False) -> Tensor")
    let layerNorm = Operator(
        "layer_norm",
        "(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, "
            + "bool cudnn_enable=True) -> Tensor")
    let rootMeanSquareNorm = Operator(
        "rms_norm", "(Tensor input, SymInt[] normalized_shape, Tensor? weight=None, float? eps=None) -> Tensor")
    let groupNorm = Operator(
        "group_norm",
        "(Tensor input, int num_groups, Tensor? weight=None, Tensor? bias=None, float eps=1.0000000000000001e-05, "
            + "bool cudnn_enabled=True) -> Tensor")
    let batchNormWithoutStatistics = Operator(
        "_native_batch_norm_legit.no_stats",
        "(Tensor input, Tensor? weight, Tensor? bias, bool training, float momentum, float eps) -> (Tensor, Tensor, "
            + "Tensor)")
    let batchNorm = Operator(
        "batch_norm",
        "(Tensor input, Tensor? weight, Tensor? bias, Tensor? running_mean, Tensor? running_var, bool training, "
            + "float momentum, float eps, bool cudnn_enabled) -> Tensor")
    let referenceWeightNorm = Operator("_weight_norm", "(Tensor v, Tensor g, int dim=0) -> Tensor")

    // Our own, registered by CTorch
    let longShortTermMemoryCell = Operator(
        "lstm_cell", "(Tensor gates, Tensor cell, Tensor? peepholes) -> (Tensor, Tensor)", namespace: "weightnorm")
    let longShortTermMemorySequence = Operator(
        "lstm_sequence", "(Tensor products, Tensor output, Tensor cell, Tensor weight, Tensor? peepholes) -> (Tensor, Tensor, Tensor)",
        namespace: "weightnorm")
    let gatedRecurrentUnitSequence = Operator(
        "gru_sequence", "(Tensor products, Tensor state, Tensor weight, Tensor bias) -> (Tensor, Tensor)", namespace: "weightnorm")
    let attentionFilters = Operator(
        "attention_filters", "(Tensor numbers, int count, int rows, int columns) -> (Tensor, Tensor, Tensor, Tensor)",
        namespace: "weightnorm")
    let attentionRead = Operator(
        "attention_read", "(Tensor images, Tensor? canvas, Tensor vertical, Tensor horizontal, Tensor intensity) -> Tensor",
        namespace: "weightnorm")
    let attentionWrite = Operator(
        "attention_write", "(Tensor? canvas, Tensor patches, Tensor vertical, Tensor horizontal, Tensor faintness) -> Tensor",
        namespace: "weightnorm")
    let normalizeWeight = Operator(
        "normalize", "(Tensor v, Tensor g, int blocks, int outer, int units, int inner) -> Tensor", namespace: "weightnorm")
    let snake = Operator("snake", "(Tensor input, Tensor frequency, Tensor scale) -> Tensor", namespace: "weightnorm")
    let bernoulliInPlace = Operator(
        "bernoulli_", "(Tensor(a!) self, float p, float value, Generator? generator, int first, int total, int axis) -> Tensor(a!)",
        namespace: "weightnorm")
    let uniformInPlace = Operator(
        "uniform_", "(Tensor(a!) self, Generator? generator, int first, int total, int axis) -> Tensor(a!)", namespace: "weightnorm")
    let normalInPlace = Operator(
        "normal_", "(Tensor(a!) self, Generator? generator, int first, int total, int axis) -> Tensor(a!)", namespace: "weightnorm")

    // In place: only for Parameter, Buffer and the optimizers
    let copyInPlace = Operator("copy_", "(Tensor(a!) self, Tensor src, bool non_blocking=False) -> Tensor(a!)")
    let fillInPlace = Operator("fill_.Scalar", "(Tensor(a!) self, Scalar value) -> Tensor(a!)")
    let eachAddScaledInPlace = Operator("_foreach_add_.List", "(Tensor(a!)[] self, Tensor[] other, *, Scalar alpha=1) -> ()")
    let eachAddScaled = Operator("_foreach_add.List", "(Tensor[] self, Tensor[] other, *, Scalar alpha=1) -> Tensor[]")
    let eachAddScalarInPlace = Operator("_foreach_add_.Scalar", "(Tensor(a!)[] self, Scalar scalar) -> ()")
    let eachMultiplyScalarInPlace = Operator("_foreach_mul_.Scalar", "(Tensor(a!)[] self, Scalar scalar) -> ()")
    let eachMultiplyScalar = Operator("_foreach_mul.Scalar", "(Tensor[] self, Scalar scalar) -> Tensor[]")
    let eachMultiplyTensor = Operator("_foreach_mul.Tensor", "(Tensor[] self, Tensor other) -> Tensor[]")
    let eachMultiplyTensorInPlace = Operator("_foreach_mul_.Tensor", "(Tensor(a!)[] self, Tensor other) -> ()")
    let eachDivide = Operator("_foreach_div.List", "(Tensor[] self, Tensor[] other) -> Tensor[]")
    let eachAddProductInPlace = Operator(
        "_foreach_addcmul_.Scalar",
        "(Tensor(a!)[] self, Tensor[] tensor1, Tensor[] tensor2, Scalar value=1) -> ()")
    let eachAddQuotientInPlace = Operator(
        "_foreach_addcdiv_.Scalar",
        "(Tensor(a!)[] self, Tensor[] tensor1, Tensor[] tensor2, Scalar value=1) -> ()")
    let eachSquareRootInPlace = Operator("_foreach_sqrt_", "(Tensor(a!)[] self) -> ()")
    let eachAbsolute = Operator("_foreach_abs", "(Tensor[] self) -> Tensor[]")
    let eachMaximumInPlace = Operator("_foreach_maximum_.List", "(Tensor(a!)[] self, Tensor[] other) -> ()")
    let eachInterpolateInPlace = Operator("_foreach_lerp_.Scalar", "(Tensor(a!)[] self, Tensor[] tensors1, Scalar weight) -> ()")
    let fusedAdamInPlace = Operator("_fused_adam_", fusedAdamSchema(rate: "float"))
    let fusedAdamWithRateTensorInPlace = Operator("_fused_adam_.tensor_lr", fusedAdamSchema(rate: "Tensor"))

    /// Those over windows of a signal or image.
    let signals = SignalOperators()

    /// Each operator with its name in this table, for the test.
    package var entries: [(name: String, operator: Operator)] {
        (Array(Mirror(reflecting: self).children) + Array(Mirror(reflecting: signals).children))
            .compactMap { child in (child.value as? Operator).map { (child.label ?? "", $0) } }
    }
}

/// The arguments that tell every creating operator where to place its result.
let placement = "ScalarType? dtype=None, Layout? layout=None, Device? device=None, bool? pin_memory=None"

private func convolutionSchema(_ dimensions: Int) -> String {
    let size = "SymInt[\(dimensions)]"
    return "(Tensor input, Tensor weight, Tensor? bias=None, \(size) stride=\(ones(dimensions)), \(size) padding=\(zeros(dimensions)), "
        + "\(size) dilation=\(ones(dimensions)), SymInt groups=1) -> Tensor"
}

private func transposedConvolutionSchema(_ dimensions: Int) -> String {
    let size = "SymInt[\(dimensions)]"
    return "(Tensor input, Tensor weight, Tensor? bias=None, \(size) stride=\(ones(dimensions)), \(size) padding=\(zeros(dimensions)), "
        + "\(size) output_padding=\(zeros(dimensions)), SymInt groups=1, \(size) dilation=\(ones(dimensions))) -> Tensor"
}

private func zeros(_ count: Int) -> [Int] { Array(repeating: 0, count: count) }
private func ones(_ count: Int) -> [Int] { Array(repeating: 1, count: count) }

private func fusedAdamSchema(rate: String) -> String {
    "(Tensor(a!)[] self, Tensor(b!)[] grads, Tensor(c!)[] exp_avgs, Tensor(d!)[] exp_avg_sqs, Tensor(e!)[] max_exp_avg_sqs, "
        + "Tensor[] state_steps, *, \(rate) lr, float beta1, float beta2, float weight_decay, float eps, bool amsgrad, bool maximize, "
        + "Tensor? grad_scale=None, Tensor? found_inf=None) -> ()"
}
