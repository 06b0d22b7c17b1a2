// Activations as `weightnorm::activation`, with their gradients from the value alone, so that the pre-activation need not be kept. float32 on the CPU has kernels of its own, whose
// exponential is not slow where its result underflows. Other types and devices have libtorch's.
#include "Guard.hpp"
#include "ActivationHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Activation.hpp"

namespace ctorch {

namespace {

bool has_kernel(const at::Tensor &tensor) {
    return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided && tensor.is_non_overlapping_and_dense();
}

/// Calls the body with ranges of elements, for which an activation takes about as long as for this many sums.
template <typename Body>
void over_elements(int64_t count, const Body &body) { parallel_for(0, count, at::internal::GRAIN_SIZE / 2, body); }

void activate(Activation activation, const float *from, float *to, int64_t count) {
    over_elements(count, [&](int64_t begin, int64_t end) {
        with_vectors([&](auto width) CTORCH_LAMBDA {
            each_vector<width()>(begin, end, [&](auto size, int64_t at) CTORCH_LAMBDA {
                store<size()>(to + at, ctorch::activate<size()>(activation, load<size()>(from + at)));
            });
        });
    });
}

at::Tensor value(Activation activation, const at::Tensor &input) {
    if (has_kernel(input)) {
        auto result = at::empty_like(input);
        if (result.strides() == input.strides()) {
            activate(activation, data<float>(input), mutable_data<float>(result), input.numel());
            return result;
        }
    }
    switch (activation.kind) {
        case ActivationKind::none: return input.clone();
        case ActivationKind::relu: return at::relu(input);
        case ActivationKind::leaky_relu: return at::leaky_relu(input, activation.slope);
        case ActivationKind::elu: return at::elu(input);
        case ActivationKind::tanh: return at::tanh(input);
        case ActivationKind::sigmoid: return at::sigmoid(input);
    }
    return input;
}

struct Activate : torch::autograd::Function<Activate> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &input, int64_t kind, double slope, bool is_fresh) {
        at::AutoDispatchBelowADInplaceOrView below;
        Activation activation(kind, slope);
        save_activation(*context, activation);
        auto result = input;
        if (is_fresh) {
            context->mark_dirty({input});
            activate_in_place(activation, input);
        } else {
            result = value(activation, input);
        }
        context->save_for_backward({result});
        return result;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list &grads) {
        return {activation_gradient(saved_activation(*context), std::move(grads[0]), context->get_saved_variables()[0]), {}, {}, {}};
    }
};

at::Tensor activation_fresh(const at::Tensor &fresh, int64_t kind, double slope) { return activated(Activation(kind, slope), fresh); }

bool is_recorded(const at::Tensor &tensor) { return at::GradMode::is_enabled() && tensor.requires_grad(); }

at::Tensor activation_autograd(const at::Tensor &input, int64_t kind, double slope) { return Activate::apply(input, kind, slope, /*is_fresh=*/false); }

at::Tensor activation_plain(const at::Tensor &input, int64_t kind, double slope) { return value(Activation(kind, slope), input); }

}  // namespace

void activate_in_place(Activation activation, const at::Tensor &tensor) {
    if (has_kernel(tensor)) return activate(activation, data<float>(tensor), mutable_data<float>(tensor), tensor.numel());
    auto written = tensor;
    switch (activation.kind) {
        case ActivationKind::none: return;
        case ActivationKind::relu: at::relu_(written); return;
        case ActivationKind::leaky_relu: at::leaky_relu_(written, activation.slope); return;
        case ActivationKind::elu: at::elu_(written); return;
        case ActivationKind::tanh: at::tanh_(written); return;
        case ActivationKind::sigmoid: at::sigmoid_(written); return;
    }
}

at::Tensor activation_gradient(Activation activation, at::Tensor gradient, const at::Tensor &value) {
    if (!activation) return gradient;
    bool is_alike = has_kernel(value) && has_kernel(gradient) && gradient.strides() == value.strides() && gradient.sizes() == value.sizes();
    // libtorch's gradients can be differentiated.
    if (is_alike && !at::GradMode::is_enabled()) {
        auto result = written_over(gradient, value);
        auto from = data<float>(gradient), values = data<float>(value);
        auto to = mutable_data<float>(result);
        over_elements(value.numel(), [&](int64_t begin, int64_t end) {
            with_vectors([&](auto width) CTORCH_LAMBDA {
                each_vector<width()>(begin, end, [&](auto size, int64_t place) CTORCH_LAMBDA {
                    store<size()>(to + place, ctorch::activation_gradient<size()>(activation, load<size()>(from + place), load<size()>(values + place)));
                });
            });
        });
        return result;
    }
    switch (activation.kind) {
        case ActivationKind::none: break;
        case ActivationKind::relu: return at::threshold_backward(gradient, value, 0);
        case ActivationKind::leaky_relu: return at::leaky_relu_backward(gradient, value, activation.slope, /*self_is_result=*/true);
        case ActivationKind::elu: return at::elu_backward(gradient, 1, 1, 1, /*is_result=*/true, value);
        case ActivationKind::tanh: return at::tanh_backward(gradient, value);
        case ActivationKind::sigmoid: return at::sigmoid_backward(gradient, value);
    }
    return gradient;
}

at::Tensor written_over(const at::Tensor &gradient, const at::Tensor &value) {
    bool is_ours = gradient.use_count() == 1 && gradient.storage().use_count() == 1;
    return is_ours ? gradient : at::empty_strided(value.sizes(), value.strides(), value.options());
}

void save_activation(torch::autograd::AutogradContext &context, Activation activation) {
    context.saved_data["kind"] = static_cast<int64_t>(activation.kind);
    context.saved_data["slope"] = activation.slope;
}

Activation saved_activation(torch::autograd::AutogradContext &context) {
    return Activation(context.saved_data["kind"].toInt(), context.saved_data["slope"].toDouble());
}

at::Tensor activated(Activation activation, const at::Tensor &fresh) {
    if (!activation) return fresh;
    auto kind = static_cast<int64_t>(activation.kind);
    // Written over a view, it would be recorded for the whole of what is viewed.
    if (fresh.is_view()) return activation_autograd(fresh, kind, activation.slope);
    if (is_recorded(fresh)) return Activate::apply(fresh, kind, activation.slope, /*is_fresh=*/true);
    activate_in_place(activation, fresh);
    return fresh;
}

}  // namespace ctorch

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("activation(Tensor self, int kind, float slope) -> Tensor");
    library.def("activation_(Tensor(a!) self, int kind, float slope) -> Tensor(a!)");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) { library.impl("activation_", ctorch::activation_fresh); }

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) { library.impl("activation", ctorch::activation_plain); }

TORCH_LIBRARY_IMPL(weightnorm, Autograd, library) { library.impl("activation", ctorch::activation_autograd); }
