/// The ways in which a tensor file holds weights: what is stored for each, and under which names.
///
/// For the weight `hidden.weight` with v and g:
///
/// | layout | tensors |
/// |---|---|
/// | ``native`` | `hidden.weight.direction`, `hidden.weight.gain` |
/// | ``plain`` | `hidden.weight`, which is w |
/// | ``weightNorm`` | `hidden.weight_v`, `hidden.weight_g` |
/// | ``parametrizations`` | `hidden.parametrizations.weight.original1` (v), `….original0` (g) |
///
/// A reader need not be told which: it is recognized for each weight by the names, so a file may mix them.
public enum StateLayout: String, CaseIterable, Sendable {
    /// This library's own paths, as `Module.namedParameters` has them: every form is kept exactly, with everything that belongs to it.
    case native
    /// Only w: what PyTorch has without weight normalization.
    case plain
    /// PyTorch's `torch.nn.utils.weight_norm`: the older one.
    case weightNorm = "weight-norm"
    /// PyTorch's `torch.nn.utils.parametrizations.weight_norm`: the newer one.
    case parametrizations
}
