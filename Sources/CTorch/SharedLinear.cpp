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
#include "Parallel.hpp"
#include "SmallProducts.hpp"

#include <map>
#include <mutex>

using namespace ctorch;

namespace {

// MARK: - Products with panels

constexpr int64_t panel = 32;
/// The rows that a thread gets at least.
constexpr int64_t rows_at_once = 4;

/// A matrix of [inner, columns], given by its steps, as [panels, inner, 32]; the last panel may have columns that are never read.
at::Tensor lay_out(const float *from, int64_t inner, int64_t columns, int64_t inner_step, int64_t column_step, const at::TensorOptions &options) {
    auto count = (columns + panel - 1) / panel;
    auto result = at::empty({count, inner, panel}, options);
    auto to = mutable_data<float>(result);
    parallel_for(0, count, std::max<int64_t>(1, at::internal::GRAIN_SIZE / (panel * std::max<int64_t>(1, inner))), [&](int64_t begin, int64_t end) {
        for (auto index = begin; index < end; index++) {
            auto width = std::min(panel, columns - index * panel);
            auto source = from + index * panel * column_step;
            auto target = to + index * inner * panel;
            for (int64_t row = 0; row < inner; row++)
                for (int64_t column = 0; column < width; column++) target[row * panel + column] = source[row * inner_step + column * column_step];
        }
    });
    return result;
}

/// left·right + bias, for right as panels.
at::Tensor panel_product(const at::Tensor &left, const at::Tensor &right, int64_t columns, const std::optional<at::Tensor> &bias) {
    auto rows = left.size(0), inner = left.size(1);
    auto result = at::empty({rows, columns}, left.options());
    auto from = data<float>(left), laid_out = data<float>(right), added = bias ? data<float>(*bias) : nullptr;
    auto to = mutable_data<float>(result);
    auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, rows_at_once * inner * columns / 16));
    parallel_for(0, (rows + rows_at_once - 1) / rows_at_once, grain, [&](int64_t begin, int64_t end) {
        auto first = begin * rows_at_once, count = std::min(rows, end * rows_at_once) - first;
        if (added)
            for (int64_t row = 0; row < count; row++) std::copy(added, added + columns, to + (first + row) * columns);
        for (int64_t column = 0; column < columns; column += panel)
            small_product(
                count, std::min(panel, columns - column), inner, from + first * inner, inner, laid_out + column * inner, panel, to + first * columns + column, columns,
                /*adds=*/added != nullptr);
    });
    return result;
}

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
    at::Tensor panels(const at::Tensor &weight, bool is_transposed) {
        if (!has_small_products() || weight.scalar_type() != at::kFloat || !weight.is_contiguous() || weight.numel() == 0) return {};
        std::scoped_lock lock(mutex);
        if (is_transposed) uses += 1;
        if (uses < 2) return {};
        if (version != weight._version()) panels_of_transpose = panels_of_weight = at::Tensor();
        version = weight._version();
        auto &kept = is_transposed ? panels_of_transpose : panels_of_weight;
        auto outputs = weight.size(0), inputs = weight.size(1);
        auto from = data<float>(weight);
        if (!kept.defined())
            kept = is_transposed ? lay_out(from, inputs, outputs, 1, inputs, weight.options()) : lay_out(from, outputs, inputs, inputs, 1, weight.options());
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
        auto laid_out = shared && input.numel() > 0 ? shared->panels(weight, /*is_transposed=*/true) : at::Tensor();
        if (!laid_out.defined()) return linear(input, weight, bias, Activation());
        return panel_product(input.contiguous(), laid_out, weight.size(0), bias ? std::optional(bias->contiguous()) : std::nullopt);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
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
            auto laid_out = of_weight && gradient.numel() > 0 ? of_weight->panels(weight, /*is_transposed=*/false) : at::Tensor();
            to_input = laid_out.defined() ? panel_product(gradient.contiguous(), laid_out, weight.size(1), std::nullopt) : matrix_product(gradient, weight);
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
