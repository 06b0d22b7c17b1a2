// Dense products with a weight that many steps share, as in a recurrent layer: `weightnorm::share` marks the weight and the bias once a sequence, `weightnorm::shared_linear` is x·wᵀ + b.
//
// Its gradient ∇w = Σ ∇yᵀ x over the steps is summed by the products themselves, into one matrix. Otherwise each step makes a matrix of its own, which a pass over three of them adds to
// the others; for a batch of 100 that takes a third as long as the product.
//
// In float32 on x86-64 x·wᵀ and ∇y·w go to kernels for small matrices: the weight is laid out for them at its second use, in panels of 32 columns, and each thread takes some of the rows.
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

#include <mutex>

using namespace ctorch;

namespace {

// MARK: - Products with panels

constexpr int64_t panel = 32;
/// The rows that a thread gets at least.
constexpr int64_t rows_at_once = 4;

/// A matrix of [inner, columns], given by its steps, as [panels, inner, 32]; the last panel may have columns that are never read.
at::Tensor panels(const float *from, int64_t inner, int64_t columns, int64_t inner_step, int64_t column_step, const at::TensorOptions &options) {
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
    auto from = data<float>(left), at = data<float>(right), added = bias ? data<float>(*bias) : nullptr;
    auto to = mutable_data<float>(result);
    auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, rows_at_once * inner * columns / 16));
    parallel_for(0, (rows + rows_at_once - 1) / rows_at_once, grain, [&](int64_t begin, int64_t end) {
        auto first = begin * rows_at_once, count = std::min(rows, end * rows_at_once) - first;
        if (added)
            for (int64_t row = 0; row < count; row++) std::copy(added, added + columns, to + (first + row) * columns);
        for (int64_t column = 0; column < columns; column += panel)
            small_product(
                count, std::min(panel, columns - column), inner, from + first * inner, inner, at + column * inner, panel, to + first * columns + column, columns,
                /*adds=*/added != nullptr);
    });
    return result;
}

// MARK: - The operators

struct Share : torch::autograd::Function<Share> {
    static at::Tensor forward(torch::autograd::AutogradContext *context, const at::Tensor &shared) {
        context->set_materialize_grads(false);
        context->saved_data["sum"] = at::Tensor();
        context->saved_data["run"] = int64_t{-1};
        context->saved_data["uses"] = int64_t{0};
        context->saved_data["forward"] = at::Tensor();
        context->saved_data["backward"] = at::Tensor();
        return shared.view_as(shared);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        auto sum = taken(*context);
        if (!grads[0].defined()) return {sum};
        return {sum.defined() ? grads[0] + sum : grads[0]};
    }

    /// A shared weight's panels for x·wᵀ or ∇y·w, made when it is used for the second time; undefined before that, and where there are no such products.
    static at::Tensor panels(const at::Tensor &weight, bool is_forward) {
        static std::mutex mutex;
        auto context = Share::context(weight);
        if (!context || !has_small_products() || weight.scalar_type() != at::kFloat || !weight.is_contiguous() || weight.numel() == 0) return {};
        // Steps may run on several threads.
        std::scoped_lock lock(mutex);
        auto &kept = context->saved_data[is_forward ? "forward" : "backward"];
        if (kept.toTensor().defined()) return kept.toTensor();
        if (is_forward) {
            auto &uses = context->saved_data["uses"];
            uses = uses.toInt() + 1;
            if (uses.toInt() < 2) return {};
        } else if (context->saved_data["uses"].toInt() < 2) {
            return {};
        }
        auto outputs = weight.size(0), inputs = weight.size(1);
        auto from = data<float>(weight);
        kept = is_forward ? ::panels(from, inputs, outputs, 1, inputs, weight.options()) : ::panels(from, outputs, inputs, inputs, 1, weight.options());
        return kept.toTensor();
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
        auto laid_out = Share::panels(weight, /*is_forward=*/true);
        if (!laid_out.defined() || input.numel() == 0) return linear(input, weight, bias, Activation());
        return panel_product(input.contiguous(), laid_out, weight.size(0), bias ? std::optional(bias->contiguous()) : std::nullopt);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        auto saved = context->get_saved_variables();
        auto &gradient = grads[0], &input = saved[0], &weight = saved[1], &bias = saved[2];
        at::Tensor to_input, to_weight, to_bias;
        // What is to be differentiated again cannot be summed in place.
        bool is_recorded = at::GradMode::is_enabled();
        if (context->needs_input_grad(0)) {
            auto laid_out = is_recorded ? at::Tensor() : Share::panels(weight, /*is_forward=*/false);
            bool is_ours = laid_out.defined() && gradient.numel() > 0;
            to_input = is_ours ? panel_product(gradient.contiguous(), laid_out, weight.size(1), std::nullopt) : matrix_product(gradient, weight);
        }
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
