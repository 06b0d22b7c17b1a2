// Dense products with a weight that many steps share, as in a recurrent layer: `weightnorm::share` marks the weight and the bias once a sequence, `weightnorm::shared_linear` is x·wᵀ + b.
//
// Its gradient ∇w = Σ ∇yᵀ x over the steps is summed by the products themselves, into one matrix. Otherwise each step makes a matrix of its own, which a pass over three of them adds to
// the others; for a batch of 100 that takes a third as long as the product.
//
// How: a step's gradient leaves its term with the node of `share` and returns none. libtorch runs a node when all that depends on its result have run, whether or not they gave it
// anything; then it gives the sum.
#include "Guard.hpp"
#include "ActivationHeaders.hpp"
#include "ElementTypes.hpp"
#include "Activation.hpp"
#include "Linear.hpp"

using namespace ctorch;

namespace {

struct Share : torch::autograd::Function<Share> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &shared) {
        context->set_materialize_grads(false);
        context->saved_data["sum"] = at::Tensor();
        context->saved_data["run"] = int64_t{-1};
        return shared.view_as(shared);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        auto sum = taken(*context);
        if (!grads[0].defined()) return {sum};
        return {sum.defined() ? grads[0] + sum : grads[0]};
    }

    /// The sum of the present run, which is then begun anew; undefined if there is none.
    static at::Tensor taken(torch::autograd::AutogradContext &context) {
        auto sum = is_of_this_run(context) ? context.saved_data["sum"].toTensor() : at::Tensor();
        context.saved_data["sum"] = at::Tensor();
        return sum;
    }

    /// What a run that failed has left is none of another's.
    static bool is_of_this_run(torch::autograd::AutogradContext &context) {
        return context.saved_data["run"].toInt() == torch::autograd::get_current_graph_task_id();
    }

    /// Calls the body with the sum so far, or without one; it returns the new one.
    template <typename Body>
    static void add(torch::autograd::AutogradContext &context, const Body &body) {
        auto sum = is_of_this_run(context) ? context.saved_data["sum"].toTensor() : at::Tensor();
        context.saved_data["run"] = int64_t{torch::autograd::get_current_graph_task_id()};
        context.saved_data["sum"] = body(sum);
    }

    /// What the node keeps that made a shared tensor; none for others.
    static torch::autograd::AutogradContext *context(const at::Tensor &tensor) {
        auto node = dynamic_cast<torch::autograd::CppNode<Share> *>(tensor.grad_fn().get());
        return node ? &node->ctx_ : nullptr;
    }
};

struct SharedLinear : torch::autograd::Function<SharedLinear> {
    static at::Tensor forward(
        torch::autograd::AutogradContext *context, const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
        at::AutoDispatchBelowADInplaceOrView below;
        context->save_for_backward({input, weight, bias.value_or(at::Tensor())});
        return linear(input, weight, bias, Activation());
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        auto saved = context->get_saved_variables();
        auto &gradient = grads[0], &input = saved[0], &weight = saved[1], &bias = saved[2];
        at::Tensor to_input, to_weight, to_bias;
        // What is to be differentiated again cannot be summed in place.
        bool is_recorded = at::GradMode::is_enabled();
        if (context->needs_input_grad(0)) to_input = matrix_product(gradient, weight);
        if (context->needs_input_grad(1)) {
            auto shared = is_recorded ? nullptr : Share::context(weight);
            auto left = gradient.t();
            if (shared)
                Share::add(*shared, [&](at::Tensor &sum) { return add_matrix_product(sum, left, input); });
            else
                to_weight = matrix_product(left, input);
        }
        if (bias.defined() && context->needs_input_grad(2)) {
            auto shared = is_recorded ? nullptr : Share::context(bias);
            auto term = gradient.sum(0);
            if (shared)
                Share::add(*shared, [&](at::Tensor &sum) { return sum.defined() ? sum.add_(term) : term; });
            else
                to_bias = term;
        }
        return {to_input, to_weight, to_bias};
    }
};

at::Tensor share(const at::Tensor &tensor) { return Share::apply(tensor); }

at::Tensor share_plain(const at::Tensor &tensor) { return tensor.alias(); }

bool is_fused(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
    auto is_floating = [&](const at::Tensor &tensor) { return tensor.device().is_cpu() && tensor.scalar_type() == input.scalar_type(); };
    bool has_type = input.scalar_type() == at::kFloat || input.scalar_type() == at::kDouble;
    return has_type && is_floating(input) && is_floating(weight) && (!bias || is_floating(*bias)) && input.dim() == 2 && weight.dim() == 2
        && input.size(1) == weight.size(1) && (!bias || (bias->dim() == 1 && bias->size(0) == weight.size(0)))
        && !at::autocast::is_autocast_enabled(at::kCPU);
}

/// libtorch's, where the two differ in type, shape or device, or autocast converts them.
at::Tensor shared_linear(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
    return is_fused(input, weight, bias) ? SharedLinear::apply(input, weight, bias) : linear(input, weight, bias, Activation());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("share(Tensor(a) self) -> Tensor(a)");
    library.def("shared_linear(Tensor input, Tensor weight, Tensor? bias) -> Tensor");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) { library.impl("share", share_plain); }

TORCH_LIBRARY_IMPL(weightnorm, Autograd, library) { library.impl("share", share); }

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) { library.impl("shared_linear", shared_linear); }
