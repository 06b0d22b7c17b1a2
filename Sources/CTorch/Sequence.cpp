// Whole sequences of recurrent steps as `weightnorm::lstm_sequence` and `weightnorm::gru_sequence`, on the CPU in float32 and float64, with first derivatives by hand:
//
//     LSTM    a = p + U h    i, f, o = σ(a_i), σ(a_f), σ(a_o)    g = tanh a_g    c′ = f⊙c + i⊙g    h′ = o⊙tanh c′
//     GRU     a = U h + b    r, z = σ(p_r + a_r), σ(p_z + a_z)    n = tanh(p_n + r⊙a_n)    h′ = n + z⊙(h − n)
//
// with the inputs' products p of all steps made beforehand, U laid out once for the kernels of small matrices, and ∇U = Σ ∇aᵀ h over steps and examples as one product at the end. libtorch's loops
// are some ten operators a step for a GRU and in float64, and their products are MKL's or, for an LSTM in float32, those of oneDNN's own loop.
#include "Guard.hpp"
#include "SequenceHeaders.hpp"
#include "ElementTypes.hpp"
#include "Activation.hpp"
#include "LSTMCell.hpp"
#include "Lanes.hpp"
#include "Linear.hpp"
#include "Panels.hpp"
#include "Parallel.hpp"

using namespace ctorch;

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

// MARK: - What both have in common

void check(const char *name, const at::Tensor &tensor, at::IntArrayRef shape, at::ScalarType type) {
    TORCH_CHECK(
        tensor.sizes() == shape && tensor.scalar_type() == type && tensor.device().is_cpu(), name, ": expected ", shape, " of ", type, " on the CPU, found ",
        tensor.sizes(), " of ", tensor.scalar_type(), " on ", tensor.device());
}

/// Checks products of [time, batch, gates·hidden], a first state of [batch, hidden] and the state's weight, [gates·hidden, hidden].
void check(const at::Tensor &products, const at::Tensor &state, const at::Tensor &weight, int64_t gates) {
    auto type = products.scalar_type();
    TORCH_CHECK(type == at::kFloat || type == at::kDouble, "expected float or double, found ", type);
    TORCH_CHECK(
        products.dim() == 3 && products.size(0) > 0 && products.size(2) % gates == 0, "expected [time, batch, ", gates,
        "·hidden] of at least one step, found ", products.sizes());
    auto batch = products.size(1), hidden = products.size(2) / gates;
    check("the inputs' products", products, products.sizes(), type);
    check("the first output", state, {batch, hidden}, type);
    check("the state's weight", weight, {gates * hidden, hidden}, type);
}

void refuse_second_derivatives() {
    TORCH_CHECK(!at::GradMode::is_enabled(), "a whole sequence has first derivatives alone: for second ones set the layer's hasSecondDerivatives, or take its steps one by one");
}

/// The state's weight in products with every step's state, or gradient.
class StateWeight {
    at::Tensor weight, laid_out;

public:
    /// A weight of [rows, hidden], or transposed.
    explicit StateWeight(const at::Tensor &weight) : weight(weight), laid_out(takes_panels(weight) ? panels(weight) : at::Tensor()) {}

    /// Writes start + left·weight; the start may be a row.
    void add_product(at::Tensor to, const at::Tensor &start, const at::Tensor &left) const {
        if (laid_out.defined())
            panel_product(to, start, left, laid_out);
        else
            at::addmm_out(to, start, left, weight);
    }
};

/// Σ over steps of gradientᵀ·state before the step.
at::Tensor weight_gradient(const at::Tensor &gradients, const at::Tensor &first, const at::Tensor &outputs) {
    auto sum = matrix_product(gradients[0].t(), first);
    auto steps = gradients.size(0);
    if (steps == 1) return sum;
    return add_matrix_product(sum, gradients.narrow(0, 1, steps - 1).flatten(0, 1).t(), outputs.narrow(0, 0, steps - 1).flatten(0, 1));
}

bool is_recorded(std::initializer_list<at::Tensor> tensors) {
    return at::GradMode::is_enabled() && std::any_of(tensors.begin(), tensors.end(), [](auto &tensor) { return tensor.defined() && tensor.requires_grad(); });
}

// MARK: - LSTM

struct LSTMSequence : torch::autograd::Function<LSTMSequence> {
    static variable_list forward(
        AutogradContext *context, const at::Tensor &products, const at::Tensor &output, const at::Tensor &cell, const at::Tensor &weight,
        const std::optional<at::Tensor> &peepholes, bool is_recorded) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto steps = products.size(0), batch = products.size(1), hidden = output.size(1);
        auto given = products.contiguous(), h = output.contiguous(), c = cell.contiguous();
        auto peep = peepholes ? peepholes->contiguous() : at::Tensor();
        auto outputs = at::empty({steps, batch, hidden}, given.options()), cells = at::empty_like(outputs);
        auto gates = at::empty({is_recorded ? steps : 1, batch, 4 * hidden}, given.options());
        StateWeight transposed(weight.t());
        for (int64_t step = 0; step < steps; step++) {
            auto next_h = outputs[step], next_c = cells[step], now = gates[is_recorded ? step : 0];
            transposed.add_product(now, given[step], h);
            lstm_step(now, c, peep, next_h, next_c);
            h = next_h;
            c = next_c;
        }
        if (is_recorded) context->save_for_backward({output, cell, weight, peep, outputs, cells, gates});
        // Copies: whoever carries a state on need not keep the whole sequence.
        return {outputs, h.clone(), c.clone()};
    }

    static variable_list backward(AutogradContext *context, variable_list &grads) {
        refuse_second_derivatives();
        // As the forward pass was, whatever the setting now.
        c10::impl::ExcludeDispatchKeyGuard without_autocast(c10::DispatchKey::AutocastCPU);
        auto saved = context->get_saved_variables();
        auto first_h = saved[0].contiguous(), first_c = saved[1].contiguous();
        auto &weight = saved[2], &peep = saved[3], &outputs = saved[4], &cells = saved[5], &gates = saved[6];
        auto steps = outputs.size(0), batch = outputs.size(1), hidden = outputs.size(2);
        auto to_outputs = grads[0].contiguous(), dc = grads[2].contiguous();
        auto gate_gradients = at::empty({steps, batch, 4 * hidden}, outputs.options());
        at::Tensor dh = to_outputs[steps - 1] + grads[1], sums, to_peepholes;
        if (peep.defined()) sums = at::empty_like(peep), to_peepholes = at::zeros_like(peep);
        StateWeight plain(weight);
        auto back = [&](at::Tensor to, const at::Tensor &start, int64_t step) { plain.add_product(to, start, gate_gradients[step]); };
        at::Tensor space[2] = {at::empty_like(first_c), at::empty_like(first_c)}, slope = at::empty_like(first_h);
        for (auto step = steps - 1; step >= 0; step--) {
            if (step < steps - 1) back(slope, to_outputs[step], step + 1), dh = slope;
            auto to_gates = gate_gradients[step];
            auto &before = space[step % 2];
            lstm_step_backward(dh, dc, gates[step], step > 0 ? cells[step - 1] : first_c, peep, to_gates, before, sums);
            if (peep.defined()) to_peepholes.add_(sums);
            dc = before;
        }
        at::Tensor to_first, to_weight;
        if (context->needs_input_grad(1)) to_first = matrix_product(gate_gradients[0], weight);
        if (context->needs_input_grad(3)) to_weight = weight_gradient(gate_gradients, first_h, outputs);
        return {gate_gradients, to_first, dc, to_weight, to_peepholes, {}};
    }
};

std::tuple<at::Tensor, at::Tensor, at::Tensor> lstm_sequence(
    const at::Tensor &products, const at::Tensor &output, const at::Tensor &cell, const at::Tensor &weight, const std::optional<at::Tensor> &peepholes) {
    check(products, output, weight, 4);
    check("the first cell", cell, output.sizes(), output.scalar_type());
    if (peepholes) check("the peepholes", *peepholes, {3, output.size(1)}, output.scalar_type());
    auto is_kept = is_recorded({products, output, cell, weight, peepholes.value_or(at::Tensor())});
    auto found = LSTMSequence::apply(products, output, cell, weight, peepholes, is_kept);
    return {found[0], found[1], found[2]};
}

// MARK: - GRU

/// A step on the rows of a range: from p and a = U h + b of [batch, 3·hidden], writes h′, and r, z, n and a_n as [batch, 4·hidden].
template <typename T, typename Width>
CTORCH_INLINE void gru_rows(
    Width width, const T *given, const T *old, const T *state, T *next, T *kept, int64_t hidden, int64_t begin, int64_t end) {
    for (auto row = begin; row < end; row++)
        each_lanes<T>(width, hidden, [&](auto lanes, int64_t unit) CTORCH_LAMBDA {
            using Lanes = decltype(lanes);
            auto p = given + row * 3 * hidden + unit, a = old + row * 3 * hidden + unit;
            auto to = kept + row * 4 * hidden + unit;
            auto r = Lanes::sigmoid(Lanes::read(p) + Lanes::read(a)), z = Lanes::sigmoid(Lanes::read(p + hidden) + Lanes::read(a + hidden));
            auto seen = Lanes::read(a + 2 * hidden), n = Lanes::tanh(Lanes::read(p + 2 * hidden) + r * seen);
            Lanes::write(to, r);
            Lanes::write(to + hidden, z);
            Lanes::write(to + 2 * hidden, n);
            Lanes::write(to + 3 * hidden, seen);
            Lanes::write(next + row * hidden + unit, n + z * (Lanes::read(state + row * hidden + unit) - n));
        });
}

/// From the gradient with respect to h′, writes those with respect to p and a, and adds to `start`, if there is one, what h gets directly, z⊙∇h′.
template <typename T, typename Width>
CTORCH_INLINE void gru_rows_backward(
    Width width, const T *slope, const T *kept, const T *state, const T *start, T *to_given, T *to_old, T *direct, int64_t hidden, int64_t begin, int64_t end) {
    for (auto row = begin; row < end; row++)
        each_lanes<T>(width, hidden, [&](auto lanes, int64_t unit) CTORCH_LAMBDA {
            using Lanes = decltype(lanes);
            auto from = kept + row * 4 * hidden + unit;
            auto to_p = to_given + row * 3 * hidden + unit, to_a = to_old + row * 3 * hidden + unit;
            auto place = row * hidden + unit;
            auto r = Lanes::read(from), z = Lanes::read(from + hidden), n = Lanes::read(from + 2 * hidden), seen = Lanes::read(from + 3 * hidden);
            auto d = Lanes::read(slope + place);
            auto d_n = d * (1 - z) * (1 - n * n), d_z = d * (Lanes::read(state + place) - n) * z * (1 - z), d_r = d_n * seen * r * (1 - r);
            Lanes::write(to_p, d_r);
            Lanes::write(to_p + hidden, d_z);
            Lanes::write(to_p + 2 * hidden, d_n);
            Lanes::write(to_a, d_r);
            Lanes::write(to_a + hidden, d_z);
            Lanes::write(to_a + 2 * hidden, d_n * r);
            auto term = d * z;
            if (start) term += Lanes::read(start + place);
            Lanes::write(direct + place, term);
        });
}

/// Calls the body with a null pointer of the type, the vectors' width, and ranges of examples.
template <typename Body>
void over_examples(const at::Tensor &like, int64_t batch, int64_t hidden, const Body &body) {
    // A unit's work is about that of forty simple element-wise results.
    auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, 40 * hidden));
    with_floating(like.scalar_type(), [&](auto zero) {
        parallel_for(0, batch, grain, [&](int64_t begin, int64_t end) {
            with_vectors([&](auto width) CTORCH_LAMBDA { body(zero, width, begin, end); });
        });
    });
}

struct GRUSequence : torch::autograd::Function<GRUSequence> {
    static variable_list forward(
        AutogradContext *context, const at::Tensor &products, const at::Tensor &state, const at::Tensor &weight, const at::Tensor &bias, bool is_recorded) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto steps = products.size(0), batch = products.size(1), hidden = state.size(1);
        auto given = products.contiguous(), h = state.contiguous(), added = bias.contiguous();
        auto outputs = at::empty({steps, batch, hidden}, given.options());
        auto kept = at::empty({is_recorded ? steps : 1, batch, 4 * hidden}, given.options()), old = at::empty({batch, 3 * hidden}, given.options());
        StateWeight transposed(weight.t());
        for (int64_t step = 0; step < steps; step++) {
            auto next = outputs[step], active = kept[is_recorded ? step : 0], now = given[step];
            transposed.add_product(old, added, h);
            over_examples(given, batch, hidden, [&](auto zero, auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
                using T = decltype(zero);
                gru_rows(width, data<T>(now), data<T>(old), data<T>(h), mutable_data<T>(next), mutable_data<T>(active), hidden, begin, end);
            });
            h = next;
        }
        if (is_recorded) context->save_for_backward({state, weight, outputs, kept});
        return {outputs, h.clone()};
    }

    static variable_list backward(AutogradContext *context, variable_list &grads) {
        refuse_second_derivatives();
        // As the forward pass was, whatever the setting now.
        c10::impl::ExcludeDispatchKeyGuard without_autocast(c10::DispatchKey::AutocastCPU);
        auto saved = context->get_saved_variables();
        auto first = saved[0].contiguous();
        auto &weight = saved[1], &outputs = saved[2], &kept = saved[3];
        auto steps = outputs.size(0), batch = outputs.size(1), hidden = outputs.size(2);
        auto to_outputs = grads[0].contiguous();
        auto to_given = at::empty({steps, batch, 3 * hidden}, outputs.options()), to_old = at::empty_like(to_given);
        auto direct = at::empty_like(first), slope = at::empty_like(first);
        auto d = to_outputs[steps - 1] + grads[1];
        StateWeight plain(weight);
        for (auto step = steps - 1; step >= 0; step--) {
            auto active = kept[step], h = step > 0 ? outputs[step - 1] : first, p = to_given[step], a = to_old[step];
            auto start = step > 0 ? to_outputs[step - 1] : at::Tensor();
            over_examples(first, batch, hidden, [&](auto zero, auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
                using T = decltype(zero);
                gru_rows_backward(
                    width, data<T>(d), data<T>(active), data<T>(h), start.defined() ? data<T>(start) : nullptr, mutable_data<T>(p), mutable_data<T>(a),
                    mutable_data<T>(direct), hidden, begin, end);
            });
            plain.add_product(slope, direct, a);
            d = slope;
        }
        at::Tensor to_weight, to_bias;
        if (context->needs_input_grad(2)) to_weight = weight_gradient(to_old, first, outputs);
        if (context->needs_input_grad(3)) to_bias = to_old.sum(at::IntArrayRef({0, 1}));
        return {to_given, d, to_weight, to_bias, {}};
    }
};

std::tuple<at::Tensor, at::Tensor> gru_sequence(const at::Tensor &products, const at::Tensor &state, const at::Tensor &weight, const at::Tensor &bias) {
    check(products, state, weight, 3);
    check("the state's bias", bias, {weight.size(0)}, weight.scalar_type());
    auto found = GRUSequence::apply(products, state, weight, bias, is_recorded({products, state, weight, bias}));
    return {found[0], found[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("lstm_sequence(Tensor products, Tensor output, Tensor cell, Tensor weight, Tensor? peepholes) -> (Tensor, Tensor, Tensor)");
    library.def("gru_sequence(Tensor products, Tensor state, Tensor weight, Tensor bias) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) {
    library.impl("lstm_sequence", lstm_sequence);
    library.impl("gru_sequence", gru_sequence);
}
