// Dense products with a weight that many steps share, as in a recurrent layer: `weightnorm::share` marks the weight and the bias once a sequence, `weightnorm::shared_linear` is x·wᵀ + b.
//
// Its gradient ∇w = Σ ∇yᵀ x over the steps is summed by the products themselves, into one matrix. Otherwise each step makes a matrix of its own, which a pass over three of them adds to
// the others.
//
// In float32 on x86-64 x·wᵀ and ∇y·w go to kernels for small matrices: the weight is laid out for them at its second use that is recorded, in panels of 32
// columns, and each thread takes some of the rows. So the first use, and unrecorded ones, may differ from the others in rounding.
// MKL lays it out in every step, and on two threads is a third slower still.
//
// How the gradients are summed: a step's gradient leaves its term with the node of `share` and returns none. libtorch runs a node when all that depends on its result have run, whether or not they gave it
// anything; then it gives the sum.
#include "Guard.hpp"
#include "ActivationHeaders.hpp"
#include "ElementTypes.hpp"
#include "Activation.hpp"
#include "Linear.hpp"
#include "Panels.hpp"

#include <map>
#include <mutex>

using namespace ctorch;

namespace {

// MARK: - The operators

/// What all steps with a shared tensor have in common. Several threads may run steps, and gradients, at once.
struct Shared : torch::CustomClassHolder {
    std::mutex mutex;
    /// The sum of gradients so far in each run of libtorch's engine that is under way.
    std::map<int, at::Tensor> sums;
    /// Of a weight: how often it was used, and its panels for x·wᵀ and for ∇y·w, with the version of the weight that they were made of.
    int64_t uses = 0;
    at::Tensor panels_of_transpose, panels_of_weight;
    int64_t version = -1;

    /// The panels, from the second use on; undefined before that, and where there are no such products.
    at::Tensor laid_out(const at::Tensor &weight, bool is_transposed) {
        if (!takes_panels(weight)) return {};
        std::scoped_lock lock(mutex);
        if (is_transposed) uses += 1;
        if (uses < 2) return {};
        if (version != weight._version()) panels_of_transpose = panels_of_weight = at::Tensor();
        version = weight._version();
        auto &kept = is_transposed ? panels_of_transpose : panels_of_weight;
        if (!kept.defined()) kept = panels(is_transposed ? weight.t() : weight);
        return kept;
    }

    /// Calls the body with the sum so far of the present run, or without one; it returns the new one. A run's gradients on the CPU are computed by one thread.
    template <typename Body>
    void add(const Body &body) {
        auto sum = take();
        sum = body(sum);
        std::scoped_lock lock(mutex);
        sums[torch::autograd::get_current_graph_task_id()] = sum;
    }

    /// The sum of the present run, which is then begun anew; undefined if there is none.
    at::Tensor take() {
        std::scoped_lock lock(mutex);
        auto found = sums.extract(torch::autograd::get_current_graph_task_id());
        return found.empty() ? at::Tensor() : found.mapped();
    }
};

using SharedPointer = c10::intrusive_ptr<Shared>;

struct Share : torch::autograd::Function<Share> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &tensor) {
        context->set_materialize_grads(false);
        context->saved_data["shared"] = c10::IValue::make_capsule(c10::make_intrusive<Shared>());
        // Not a view: libtorch would refuse it once the tensor has changed.
        return tensor.detach();
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        auto sum = shared(*context)->take();
        if (!grads[0].defined()) return {sum};
        return {sum.defined() ? grads[0] + sum : grads[0]};
    }

    static SharedPointer shared(torch::autograd::AutogradContext &context) {
        return c10::static_intrusive_pointer_cast<Shared>(context.saved_data["shared"].toCapsule());
    }

    /// What is kept with a shared tensor; null for others.
    static SharedPointer shared(const at::Tensor &tensor) {
        auto node = dynamic_cast<torch::autograd::CppNode<Share> *>(tensor.grad_fn().get());
        return node ? shared(node->ctx_) : SharedPointer();
    }
};

struct SharedLinear : torch::autograd::Function<SharedLinear> {
    static at::Tensor forward(
        torch::autograd::AutogradContext *context, const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
        auto shared = Share::shared(weight), shared_bias = bias ? Share::shared(*bias) : SharedPointer();
        at::AutoDispatchBelowADInplaceOrView below;
        context->save_for_backward({input, weight});
        if (shared) context->saved_data["weight"] = c10::IValue::make_capsule(shared);
        if (shared_bias) context->saved_data["bias"] = c10::IValue::make_capsule(shared_bias);
        context->saved_data["has_bias"] = bias.has_value();
        auto laid_out = shared && input.numel() > 0 ? shared->laid_out(weight, /*is_transposed=*/true) : at::Tensor();
        if (!laid_out.defined()) return linear(input, weight, bias, Activation());
        auto result = at::empty({input.size(0), weight.size(0)}, input.options());
        panel_product(result, bias ? bias->contiguous() : at::Tensor(), input.contiguous(), laid_out);
        return result;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        // As the forward pass was, whatever the setting now.
        c10::impl::ExcludeDispatchKeyGuard without_autocast(c10::DispatchKey::AutocastCPU);
        auto saved = context->get_saved_variables();
        auto &gradient = grads[0], &input = saved[0], &weight = saved[1];
        // What is to be differentiated again can neither be summed in place nor come from panels.
        auto shared = [&](const char *name) {
            auto found = context->saved_data.find(name);
            if (at::GradMode::is_enabled() || found == context->saved_data.end()) return SharedPointer();
            return c10::static_intrusive_pointer_cast<Shared>(found->second.toCapsule());
        };
        auto of_weight = shared("weight"), of_bias = shared("bias");
        at::Tensor to_input, to_weight, to_bias;
        if (context->needs_input_grad(0)) {
            auto laid_out = of_weight && gradient.numel() > 0 ? of_weight->laid_out(weight, /*is_transposed=*/false) : at::Tensor();
            if (laid_out.defined()) {
                to_input = at::empty({gradient.size(0), weight.size(1)}, gradient.options());
                panel_product(to_input, at::Tensor(), gradient.contiguous(), laid_out);
            } else {
                to_input = matrix_product(gradient, weight);
            }
        }
        if (context->needs_input_grad(1)) {
            auto left = gradient.t();
            if (of_weight)
                of_weight->add([&](at::Tensor &sum) { return add_matrix_product(sum, left, input); });
            else
                to_weight = matrix_product(left, input);
        }
        if (context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)) {
            auto term = gradient.sum(0);
            if (of_bias)
                of_bias->add([&](at::Tensor &sum) { return sum.defined() ? sum.add_(term) : term; });
            else
                to_bias = term;
        }
        return {to_input, to_weight, to_bias};
    }
};

at::Tensor share(const at::Tensor &tensor) { return Share::apply(tensor); }

at::Tensor share_plain(const at::Tensor &tensor) { return tensor.alias(); }

bool takes(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
    auto is_alike = [&](const at::Tensor &tensor) { return tensor.device().is_cpu() && tensor.scalar_type() == input.scalar_type(); };
    bool has_type = input.scalar_type() == at::kFloat || input.scalar_type() == at::kDouble;
    return has_type && is_alike(input) && is_alike(weight) && (!bias || is_alike(*bias)) && input.dim() == 2 && weight.dim() == 2
        && input.size(1) == weight.size(1) && (!bias || (bias->dim() == 1 && bias->size(0) == weight.size(0)))
        && !at::autocast::is_autocast_enabled(at::kCPU);
}

/// libtorch's, where the two differ in type, shape or device, or autocast converts them.
at::Tensor shared_linear(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias) {
    return takes(input, weight, bias) ? SharedLinear::apply(input, weight, bias) : linear(input, weight, bias, Activation());
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("share(Tensor(a) self) -> Tensor(a)");
    library.def("shared_linear(Tensor input, Tensor weight, Tensor? bias) -> Tensor");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) { library.impl("share", share_plain); }

TORCH_LIBRARY_IMPL(weightnorm, Autograd, library) { library.impl("share", share); }

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) { library.impl("shared_linear", shared_linear); }
