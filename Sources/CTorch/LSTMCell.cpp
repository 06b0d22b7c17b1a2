// The element-wise part of an LSTM's step as one operator with its gradient, registered with the dispatcher as `weightnorm::lstm_cell`: it replaces
// about a dozen calls and as many results that the graph would keep. Gates are [batch, 4·hidden] in the order i, f, g, o, without the peepholes'
// terms; cells are [batch, hidden], peepholes [3, hidden] for i, f and o.
//
// In float32 and float64 on the CPU the gradient computes i, f, g, o and tanh c′ again from what it is given, so that they need not be kept; in float32 that takes no longer.
#include "Guard.hpp"
#include "LSTMCellHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Activation.hpp"
#include "LSTMCell.hpp"
#include "Lanes.hpp"

#include <cmath>

using namespace ctorch;

namespace {

using Cells = std::tuple<at::Tensor, at::Tensor, at::Tensor>;
/// A tensor that there may be.
using Optional = std::optional<at::Tensor>;
using Peepholes = Optional;

/// Checks the shapes; returns the number of hidden units.
int64_t hidden_units(const at::Tensor &gates, const at::Tensor &cell, const Peepholes &peepholes) {
    TORCH_CHECK(
        cell.dim() == 2 && gates.dim() == 2 && gates.size(0) == cell.size(0) && gates.size(1) == 4 * cell.size(1), "expected gates of [batch, 4·hidden] and ",
        "a cell of [batch, hidden], found ", gates.sizes(), " and ", cell.sizes());
    TORCH_CHECK(gates.scalar_type() == cell.scalar_type(), "expected gates and cell of one type, found ", gates.scalar_type(), " and ", cell.scalar_type());
    if (peepholes)
        TORCH_CHECK(
            peepholes->dim() == 2 && peepholes->size(0) == 3 && peepholes->size(1) == cell.size(1) && peepholes->scalar_type() == gates.scalar_type(),
            "expected peepholes of [3, ", cell.size(1), "] and the gates' type, found ", peepholes->sizes(), " of ", peepholes->scalar_type());
    return cell.size(1);
}

/// Calls the body with ranges of hidden units; each thread takes some of them for the whole batch, so the peepholes' sums need no second pass.
template <typename Body>
void over_units(int64_t batch, int64_t hidden, Body &&body) {
    // Whole vectors for each thread: a unit that is left over takes as long as a vector. A unit's work is about that of eighty simple element-wise results per example.
    constexpr int64_t at_once = 16;
    auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, 80 * at_once * batch));
    parallel_for(0, (hidden + at_once - 1) / at_once, grain, [&](int64_t begin, int64_t end) { body(at_once * begin, std::min(hidden, at_once * end)); });
}

// Composed of libtorch's operators: for other devices and types, and for derivatives of the gradient. The third result holds i, f, g, o and tanh c′; the CPU's kernels leave it empty.
Cells forward_composed(const at::Tensor &gates, const at::Tensor &cell, const Peepholes &peepholes) {
    auto hidden = hidden_units(gates, cell, peepholes);
    auto part = [&](int64_t gate) { return gates.narrow(1, gate * hidden, hidden); };
    auto seeing = [&](int64_t gate, int64_t peephole, const at::Tensor &seen) {
        return at::sigmoid(peepholes ? part(gate) + peepholes->select(0, peephole) * seen : part(gate));
    };
    auto input = seeing(0, 0, cell), forget = seeing(1, 1, cell), candidate = at::tanh(part(2));
    auto next = forget * cell + input * candidate;
    auto output = seeing(3, 2, next), squashed = at::tanh(next);
    return {output * squashed, next, at::cat(std::vector<at::Tensor>{input, forget, candidate, output, squashed}, 1)};
}

/// What a step computes for some units.
template <typename Lanes>
struct Step {
    typename Lanes::Value i, f, g, o, next, squashed;

    /// Of a row, from `unit` on.
    template <typename T>
    CTORCH_INLINE Step(const T *gates, typename Lanes::Value cell, const T *peepholes, int64_t hidden, int64_t unit) {
        auto gate = [&](int64_t index) CTORCH_LAMBDA { return Lanes::read(gates + index * hidden + unit); };
        auto peephole = [&](int64_t index) CTORCH_LAMBDA { return Lanes::read(peepholes + index * hidden + unit); };
        auto to_i = gate(0), to_f = gate(1), to_o = gate(3);
        if (peepholes) {
            to_i += peephole(0) * cell;
            to_f += peephole(1) * cell;
        }
        i = Lanes::sigmoid(to_i);
        f = Lanes::sigmoid(to_f);
        g = Lanes::tanh(gate(2));
        next = f * cell + i * g;
        if (peepholes) to_o += peephole(2) * next;
        o = Lanes::sigmoid(to_o);
        squashed = Lanes::tanh(next);
    }
};

Cells forward_cpu(const at::Tensor &gates, const at::Tensor &cell, const Peepholes &peepholes) {
    if (gates.scalar_type() != at::kFloat && gates.scalar_type() != at::kDouble) return forward_composed(gates, cell, peepholes);
    auto hidden = hidden_units(gates, cell, peepholes), batch = gates.size(0);
    auto output = at::empty({batch, hidden}, gates.options()), next = at::empty({batch, hidden}, gates.options());
    lstm_step(gates.contiguous(), cell.contiguous(), peepholes ? peepholes->contiguous() : at::Tensor(), output, next);
    return {output, next, at::empty({0}, gates.options())};
}

// From the gradients with respect to h′ and c′ those with respect to gates, cell and peepholes:
//   ∂o = ∂h′·tanh c′, ∂c = ∂c′ + ∂h′·o(1 − tanh²c′) + p_o·∂ō, where ∂ō = ∂o·o(1 − o) is that of the pre-activation, and so on.
Cells backward_composed(
    const at::Tensor &grad_output, const at::Tensor &grad_next, const at::Tensor &, const Optional &active, const at::Tensor &cell, const Optional &next,
    const Peepholes &peepholes) {
    TORCH_CHECK(active && next, "expected the values of the forward pass, found none");
    auto hidden = cell.size(1);
    auto part = [&](int64_t gate) { return active->narrow(1, gate * hidden, hidden); };
    auto input = part(0), forget = part(1), candidate = part(2), output = part(3), squashed = part(4);
    auto d_output = grad_output * squashed * output * (1 - output);
    auto d_cell = grad_next + grad_output * output * (1 - squashed * squashed);
    if (peepholes) d_cell = d_cell + d_output * peepholes->select(0, 2);
    auto d_input = d_cell * candidate * input * (1 - input), d_forget = d_cell * cell * forget * (1 - forget);
    auto d_candidate = d_cell * input * (1 - candidate * candidate), before = d_cell * forget;
    at::Tensor d_peepholes;
    if (peepholes) {
        before = before + d_input * peepholes->select(0, 0) + d_forget * peepholes->select(0, 1);
        d_peepholes = at::stack(std::vector<at::Tensor>{(d_input * cell).sum(0), (d_forget * cell).sum(0), (d_output * *next).sum(0)});
    }
    return {at::cat(std::vector<at::Tensor>{d_input, d_forget, d_candidate, d_output}, 1), before, d_peepholes};
}

template <typename T>
struct Backward {
    const T *grad_output, *grad_next, *gates, *cell, *peepholes;
    T *to_gates, *before, *sums;
    int64_t batch, hidden;

    /// The units from `begin` on, in vectors of the width.
    template <typename Width>
    CTORCH_INLINE void operator()(Width width, int64_t begin, int64_t end) const {
        if (sums)
            for (int64_t part = 0; part < 3; part++) std::fill(sums + part * hidden + begin, sums + part * hidden + end, T(0));
        for (int64_t row = 0; row < batch; row++)
            each_lanes<T>(width, end - begin, [&](auto lanes, int64_t index) CTORCH_LAMBDA {
                using Lanes = decltype(lanes);
                auto unit = begin + index, place = row * hidden + unit;
                auto to = to_gates + row * 4 * hidden + unit;
                auto c = Lanes::read(cell + place), dh = Lanes::read(grad_output + place);
                Step<Lanes> step(gates + row * 4 * hidden, c, peepholes, hidden, unit);
                auto i = step.i, f = step.f, g = step.g, o = step.o, t = step.squashed;
                auto d_o = dh * t * o * (1 - o);
                auto d_c = Lanes::read(grad_next + place) + dh * o * (1 - t * t);
                if (peepholes) d_c += d_o * Lanes::read(peepholes + 2 * hidden + unit);
                auto d_i = d_c * g * i * (1 - i), d_f = d_c * c * f * (1 - f), back = d_c * f;
                Lanes::write(to, d_i);
                Lanes::write(to + hidden, d_f);
                Lanes::write(to + 2 * hidden, d_c * i * (1 - g * g));
                Lanes::write(to + 3 * hidden, d_o);
                if (peepholes) {
                    back += d_i * Lanes::read(peepholes + unit) + d_f * Lanes::read(peepholes + hidden + unit);
                    auto add = [&](int64_t part, auto term) CTORCH_LAMBDA {
                        auto sum = sums + part * hidden + unit;
                        Lanes::write(sum, Lanes::read(sum) + term);
                    };
                    add(0, d_i * c);
                    add(1, d_f * c);
                    add(2, d_o * step.next);
                }
                Lanes::write(before + place, back);
            });
    }
};

Cells backward_cpu(
    const at::Tensor &grad_output, const at::Tensor &grad_next, const at::Tensor &gates, const Optional &active, const at::Tensor &cell,
    const Optional &next, const Peepholes &peepholes) {
    if (gates.scalar_type() != at::kFloat && gates.scalar_type() != at::kDouble)
        return backward_composed(grad_output, grad_next, gates, active, cell, next, peepholes);
    auto batch = cell.size(0), hidden = cell.size(1);
    auto to_gates = at::empty({batch, 4 * hidden}, gates.options()), before = at::empty({batch, hidden}, gates.options());
    auto sums = peepholes ? at::empty({3, hidden}, gates.options()) : at::Tensor();
    lstm_step_backward(
        grad_output.contiguous(), grad_next.contiguous(), gates.contiguous(), cell.contiguous(), peepholes ? peepholes->contiguous() : at::Tensor(), to_gates,
        before, sums);
    return {to_gates, before, sums};
}

struct Cell : torch::autograd::Function<Cell> {
    static torch::autograd::variable_list forward(
        torch::autograd::AutogradContext *context, const at::Tensor &gates, const at::Tensor &cell, const Peepholes &peepholes) {
        at::AutoDispatchBelowADInplaceOrView below;
        static auto op =
            c10::Dispatcher::singleton().findSchemaOrThrow("weightnorm::lstm_cell_forward", "").typed<decltype(forward_cpu)>();
        auto [output, next, active] = op.call(gates, cell, peepholes);
        // The CPU's kernels compute the values again. What they leave empty has one dimension, which tells it from the values of an empty batch.
        bool is_kept = active.dim() == 2;
        context->save_for_backward({gates, cell, peepholes.value_or(at::Tensor()), is_kept ? active : at::Tensor(), is_kept ? next : at::Tensor()});
        return {output, next};
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        auto saved = context->get_saved_variables();
        auto peepholes = saved[2].defined() ? Peepholes(saved[2]) : std::nullopt;
        Cells found;
        if (at::GradMode::is_enabled()) {  // the gradient itself will be differentiated: its terms must depend on the inputs
            auto [output, next, active] = forward_composed(saved[0], saved[1], peepholes);
            found = backward_composed(grads[0], grads[1], saved[0], active, saved[1], next, peepholes);
        } else {
            static auto op =
                c10::Dispatcher::singleton().findSchemaOrThrow("weightnorm::lstm_cell_backward", "").typed<decltype(backward_cpu)>();
            auto optional = [](const at::Tensor &tensor) { return tensor.defined() ? Optional(tensor) : std::nullopt; };
            found = op.call(grads[0], grads[1], saved[0], optional(saved[3]), saved[1], optional(saved[4]), peepholes);
        }
        return {std::get<0>(found), std::get<1>(found), std::get<2>(found)};
    }
};

std::tuple<at::Tensor, at::Tensor> cell_autograd(const at::Tensor &gates, const at::Tensor &cell, const Peepholes &peepholes) {
    auto found = Cell::apply(gates, cell, peepholes);
    return {found[0], found[1]};
}

std::tuple<at::Tensor, at::Tensor> cell_plain(const at::Tensor &gates, const at::Tensor &cell, const Peepholes &peepholes) {
    static auto op = c10::Dispatcher::singleton().findSchemaOrThrow("weightnorm::lstm_cell_forward", "").typed<decltype(forward_cpu)>();
    auto found = op.call(gates, cell, peepholes);
    return {std::get<0>(found), std::get<1>(found)};
}

}  // namespace

namespace ctorch {

void lstm_step(const at::Tensor &gates, const at::Tensor &cell, const at::Tensor &peepholes, at::Tensor &output, at::Tensor &next) {
    auto batch = cell.size(0), hidden = cell.size(1);
    // A unit's work is about that of sixty simple element-wise results.
    auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, 60 * hidden));
    with_floating(gates.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        auto gp = data<T>(gates), cp = data<T>(cell), pp = peepholes.defined() ? data<T>(peepholes) : nullptr;
        auto np = mutable_data<T>(next), op = mutable_data<T>(output);
        parallel_for(0, batch, grain, [&](int64_t begin, int64_t end) {
            with_vectors([&](auto width) CTORCH_LAMBDA {
                for (auto row = begin; row < end; row++)
                    each_lanes<T>(width, hidden, [&](auto lanes, int64_t unit) CTORCH_LAMBDA {
                        using Lanes = decltype(lanes);
                        auto place = row * hidden + unit;
                        Step<Lanes> step(gp + row * 4 * hidden, Lanes::read(cp + place), pp, hidden, unit);
                        Lanes::write(np + place, step.next);
                        Lanes::write(op + place, step.o * step.squashed);
                    });
            });
        });
    });
}

void lstm_step_backward(
    const at::Tensor &grad_output, const at::Tensor &grad_next, const at::Tensor &gates, const at::Tensor &cell, const at::Tensor &peepholes,
    at::Tensor &to_gates, at::Tensor &before, at::Tensor &sums) {
    auto batch = cell.size(0), hidden = cell.size(1);
    with_floating(gates.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        Backward<T> body{
            data<T>(grad_output), data<T>(grad_next), data<T>(gates), data<T>(cell), peepholes.defined() ? data<T>(peepholes) : nullptr,
            mutable_data<T>(to_gates), mutable_data<T>(before), sums.defined() ? mutable_data<T>(sums) : nullptr, batch, hidden};
        over_units(batch, hidden, [&](int64_t begin, int64_t end) {
            with_vectors([&](auto width) CTORCH_LAMBDA { body(width, begin, end); });
        });
    });
}

}  // namespace ctorch

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("lstm_cell(Tensor gates, Tensor cell, Tensor? peepholes) -> (Tensor, Tensor)");
    library.def("lstm_cell_forward(Tensor gates, Tensor cell, Tensor? peepholes) -> (Tensor, Tensor, Tensor)");
    library.def(
        "lstm_cell_backward(Tensor grad_output, Tensor grad_next, Tensor gates, Tensor? active, Tensor cell, Tensor? next, Tensor? peepholes) "
        "-> (Tensor, Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(weightnorm, CPU, library) {
    library.impl("lstm_cell_forward", forward_cpu);
    library.impl("lstm_cell_backward", backward_cpu);
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) {
    library.impl("lstm_cell", cell_plain);
    library.impl("lstm_cell_forward", forward_composed);
    library.impl("lstm_cell_backward", backward_composed);
}

TORCH_LIBRARY_IMPL(weightnorm, Autograd, library) { library.impl("lstm_cell", cell_autograd); }
