// Dense products as `weightnorm::linear`: x·wᵀ + b and an activation of it, for x of […, inputs] and w of [outputs, inputs].
//
// libtorch gives matrices to MKL, which outside Intel's processors takes its AVX2 kernels, half as fast as AVX-512 could be. There, in float32, the three products of a layer (with ∇y
// already that of the pre-activation)
//
//     y = x wᵀ + b        ∇x = ∇y w        ∇w = ∇yᵀ x
//
// go to oneDNN through libtorch's operator for it, which has no gradient of its own. The choice depends on the processor and the type alone, so that bits do not depend on chance.
#include "Guard.hpp"
#include "ActivationHeaders.hpp"
#include "ElementTypes.hpp"
#include "Activation.hpp"
#include "Linear.hpp"

#include <cstdlib>
#if defined(__x86_64__)
#include <cpuid.h>
#endif

namespace ctorch {

namespace {

using Pointwise = at::Tensor(
    const at::Tensor &, const at::Tensor &, const std::optional<at::Tensor> &, std::string_view, c10::List<std::optional<at::Scalar>>,
    std::optional<std::string_view>);

/// libtorch's operator for a product by oneDNN; none in a libtorch without oneDNN.
const std::optional<c10::OperatorHandle> &pointwise() {
    static const auto found = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
    return found;
}

bool is_intel() {
#if defined(__x86_64__)
    unsigned highest, name[3];
    return __get_cpuid(0, &highest, &name[0], &name[2], &name[1]) && std::memcmp(name, "GenuineIntel", 12) == 0;
#else
    return false;
#endif
}

std::atomic<bool> &allowed() {
    static std::atomic<bool> value{vector_width() == 16 && !is_intel()};
    return value;
}

/// left·rightᵀ + bias of matrices, of which either may be a transposed view.
at::Tensor product(const at::Tensor &left, const at::Tensor &right, const std::optional<at::Tensor> &bias = std::nullopt) {
    static const auto op = pointwise()->typed<Pointwise>();
    // Its bias is read as if it had no gaps.
    auto added = bias ? std::optional(bias->contiguous()) : std::nullopt;
    return op.call(left, right, added, "none", c10::List<std::optional<at::Scalar>>(), "");
}

struct Linear : torch::autograd::Function<Linear> {
    static at::Tensor forward(
        torch::autograd::AutogradContext *context, const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias, int64_t kind,
        double slope) {
        at::AutoDispatchBelowADInplaceOrView below;
        Activation activation(kind, slope);
        auto result = product(input, weight, bias);
        activate_in_place(activation, result);
        context->save_for_backward({input, weight, activation ? result : at::Tensor()});
        save_activation(*context, activation);
        context->saved_data["has_bias"] = bias.has_value();
        return result;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list &grads) {
        // As the forward pass was, whatever the setting now.
        c10::impl::ExcludeDispatchKeyGuard without_autocast(c10::DispatchKey::AutocastCPU);
        auto saved = context->get_saved_variables();
        auto activation = saved_activation(*context);
        auto gradient = activation_gradient(activation, std::move(grads[0]), saved[2]);
        at::Tensor input, weight, bias;
        if (context->needs_input_grad(0)) input = matrix_product(gradient, saved[1]);
        if (context->needs_input_grad(1)) weight = matrix_product(gradient.t(), saved[0]);
        if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)) bias = gradient.sum(0);
        return {input, weight, bias, {}, {}};
    }
};

/// Whether a product's shapes are right, and oneDNN's is the faster; if anything is wrong, libtorch's says so.
bool takes(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
    auto is_float = [](const at::Tensor &tensor) {
        return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided;
    };
    if (!allowed() || !pointwise() || !is_float(input) || !is_float(weight) || (bias && !is_float(*bias))) return false;
    if (weight.dim() != 2 || input.dim() < 1 || input.numel() == 0 || weight.numel() == 0 || input.size(-1) != weight.size(1)) return false;
    if (bias && (bias->dim() != 1 || bias->size(0) != weight.size(0))) return false;
    return !at::autocast::is_autocast_enabled(at::kCPU);
}

at::Tensor linear_operator(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias, int64_t kind, double slope) {
    return linear(input, weight, bias, Activation(kind, slope));
}

}  // namespace

at::Tensor matrix_product(const at::Tensor &left, const at::Tensor &right) {
    // libtorch's product can be differentiated.
    bool is_ours = !at::GradMode::is_enabled() && takes(left, right.t(), std::nullopt);
    return is_ours ? product(left, right.t()) : at::mm(left, right);
}

at::Tensor add_matrix_product(at::Tensor &sum, const at::Tensor &left, const at::Tensor &right) {
    if (!sum.defined()) return matrix_product(left, right);
    if (takes(left, right.t(), std::nullopt)) return sum.add_(product(left, right.t()));
    return sum.addmm_(left, right);
}

bool prefers_products() { return allowed() && pointwise(); }

at::Tensor linear(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias, Activation activation) {
    auto kind = static_cast<int64_t>(activation.kind);
    if (takes(input, weight, bias)) {
        if (input.dim() == 2) return Linear::apply(input, weight, bias, kind, activation.slope);
        auto shape = input.sizes().vec();
        shape.back() = weight.size(0);
        return Linear::apply(input.reshape({-1, weight.size(1)}), weight, bias, kind, activation.slope).view(shape);
    }
    if (!activation || input.dim() == 2) return activated(activation, at::linear(input, weight, bias));
    // libtorch's result would be a view.
    auto shape = input.sizes().vec();
    if (input.dim() < 2 || weight.dim() != 2 || weight.size(1) != shape.back()) return activated(activation, at::linear(input, weight, bias));
    int64_t count = 1;
    for (auto length : input.sizes().slice(0, input.dim() - 1)) count *= length;
    auto rows = input.reshape({count, shape.back()});
    shape.back() = weight.size(0);
    return activated(activation, at::linear(rows, weight, bias)).view(shape);
}

}  // namespace ctorch

bool ctorch_onednn_products_preferred(void) { return ctorch::prefers_products(); }

void ctorch_onednn_products_prefer(bool value) { ctorch::allowed() = value; }

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("linear(Tensor input, Tensor weight, Tensor? bias, int kind, float slope) -> Tensor");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) { library.impl("linear", ctorch::linear_operator); }
