// The operators over windows of signals and images: a part of the operators' table.

/// Padding, pooling, resizing and spectra; in arrays by the number of dimensions, from one.
struct SignalOperators: Sendable {
    let pad = Operator("pad", "(Tensor self, SymInt[] pad, str mode=\"constant\", float? value=None) -> Tensor")

    let maxPool1d = Operator(
        "max_pool1d",
        "(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], int[1] dilation=[1], bool ceil_mode=False) -> Tensor")
    let maxPool2d = Operator(
        "max_pool2d",
        "(Tensor self, int[2] kernel_size, int[2] stride=[], int[2] padding=0, int[2] dilation=1, bool ceil_mode=False) -> Tensor")
    let maxPool3d = Operator(
        "max_pool3d",
        "(Tensor self, int[3] kernel_size, int[3] stride=[], int[3] padding=0, int[3] dilation=1, bool ceil_mode=False) -> Tensor")
    let averagePool1d = Operator(
        "avg_pool1d",
        "(Tensor self, int[1] kernel_size, int[1] stride=[], int[1] padding=[0], bool ceil_mode=False, bool count_include_pad=True) "
            + "-> Tensor")
    let averagePool2d = Operator("avg_pool2d", averagePoolSchema(2))
    let averagePool3d = Operator("avg_pool3d", averagePoolSchema(3))
    let adaptiveAveragePool1d = Operator("adaptive_avg_pool1d", "(Tensor self, int[1] output_size) -> Tensor")
    let adaptiveAveragePool2d = Operator("adaptive_avg_pool2d", "(Tensor self, SymInt[2] output_size) -> Tensor")
    let adaptiveAveragePool3d = Operator("adaptive_avg_pool3d", "(Tensor self, SymInt[3] output_size) -> Tensor")
    let adaptiveMaxPool1d = Operator("adaptive_max_pool1d", "(Tensor self, int[1] output_size) -> (Tensor, Tensor)")
    let adaptiveMaxPool2d = Operator("adaptive_max_pool2d", "(Tensor self, int[2] output_size) -> (Tensor, Tensor)")
    let adaptiveMaxPool3d = Operator("adaptive_max_pool3d", "(Tensor self, int[3] output_size) -> (Tensor, Tensor)")

    let resizeNearest1d = Operator("upsample_nearest1d", "(Tensor self, SymInt[1] output_size, float? scales=None) -> Tensor")
    let resizeNearest2d = Operator(
        "upsample_nearest2d", "(Tensor self, SymInt[2] output_size, float? scales_h=None, float? scales_w=None) -> Tensor")
    let resizeNearest3d = Operator(
        "upsample_nearest3d",
        "(Tensor self, SymInt[3] output_size, float? scales_d=None, float? scales_h=None, float? scales_w=None) -> Tensor")
    let resizeLinear1d = Operator(
        "upsample_linear1d", "(Tensor self, SymInt[1] output_size, bool align_corners, float? scales=None) -> Tensor")
    let resizeLinear2d = Operator(
        "upsample_bilinear2d",
        "(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor")
    let resizeSmooth2d = Operator(
        "_upsample_bilinear2d_aa",
        "(Tensor self, SymInt[2] output_size, bool align_corners, float? scales_h=None, float? scales_w=None) -> Tensor")
    let resizeLinear3d = Operator(
        "upsample_trilinear3d",
        "(Tensor self, SymInt[3] output_size, bool align_corners, float? scales_d=None, float? scales_h=None, float? scales_w=None) "
            + "-> Tensor")

    let shortTimeFourierTransform = Operator(
        "stft.center",
        "(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, "
            + "str pad_mode=\"reflect\", bool normalized=False, bool? onesided=None, bool? return_complex=None, "
            + "bool? align_to_window=None) -> Tensor")
    let inverseShortTimeFourierTransform = Operator(
        "istft",
        "(Tensor self, int n_fft, int? hop_length=None, int? win_length=None, Tensor? window=None, bool center=True, "
            + "bool normalized=False, bool? onesided=None, int? length=None, bool return_complex=False) -> Tensor")
    let viewAsReal = Operator("view_as_real", "(Tensor(a) self) -> Tensor(a)")
    let viewAsComplex = Operator("view_as_complex", "(Tensor(a) self) -> Tensor(a)")
    let hannWindow = Operator("hann_window.periodic", "(int window_length, bool periodic, *, \(placement)) -> Tensor")

    /// By the number of dimensions, from one.
    var maxPools: [Operator] { [maxPool1d, maxPool2d, maxPool3d] }
    var averagePools: [Operator] { [averagePool1d, averagePool2d, averagePool3d] }
    var adaptiveAveragePools: [Operator] { [adaptiveAveragePool1d, adaptiveAveragePool2d, adaptiveAveragePool3d] }
    var adaptiveMaxPools: [Operator] { [adaptiveMaxPool1d, adaptiveMaxPool2d, adaptiveMaxPool3d] }
    var nearestResizes: [Operator] { [resizeNearest1d, resizeNearest2d, resizeNearest3d] }
    var linearResizes: [Operator] { [resizeLinear1d, resizeLinear2d, resizeLinear3d] }
}

private func averagePoolSchema(_ dimensions: Int) -> String {
    let size = "int[\(dimensions)]"
    return "(Tensor self, \(size) kernel_size, \(size) stride=[], \(size) padding=0, bool ceil_mode=False, bool count_include_pad=True, "
        + "int? divisor_override=None) -> Tensor"
}
