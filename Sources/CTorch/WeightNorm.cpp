// g·v/‖v‖ as one operator with its gradient, registered with the dispatcher as `weightnorm::normalize`: small weights cost one call instead of
// about a dozen, large ones two passes over memory. A weight is seen as [blocks, outer, units, inner], row-major; a unit is one (block, unit) pair, with
// one gain each. ‖v‖ = 0 is taken as 1, so that w = 0 and the gradients are finite. Sums are accumulated in double.
#include "Guard.hpp"
#include "WeightNormHeaders.hpp"
#include "ElementTypes.hpp"

using namespace ctorch;

namespace {

struct Layout {
    int64_t blocks, outer, units, inner;
    int64_t rows() const { return blocks * units; }
};

/// Calls `body` with each contiguous stretch of the unit's elements: its offset; every stretch has `inner` elements.
template <typename Body>
inline void each_stretch(const Layout &layout, int64_t row, Body &&body) {
    auto block = row / layout.units, unit = row % layout.units;
    for (int64_t o = 0; o < layout.outer; o++) body(((block * layout.outer + o) * layout.units + unit) * layout.inner);
}

/// Σ a·b, in eight independent sums: one alone would wait for itself.
template <typename T>
inline double dot(const T *a, const T *b, int64_t count) {
    double sums[8] = {};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) sums[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
    for (; i < count; i++) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// What the factors are computed in: float for 16-bit elements, else the elements' own type.
template <typename T>
using Working = std::conditional_t<std::is_same_v<T, double>, double, float>;

template <typename T>
double norm(const T *v, const Layout &layout, int64_t row) {
    double squares = 0;
    each_stretch(layout, row, [&](int64_t at) { squares += dot(v + at, v + at, layout.inner); });
    return squares == 0 ? 1 : std::sqrt(squares);
}

template <typename T>
void forward_rows(const T *v, const T *g, T *w, const Layout &layout, int64_t begin, int64_t end) {
    for (auto row = begin; row < end; row++) {
        auto factor = static_cast<Working<T>>(static_cast<double>(g[row]) / norm(v, layout, row));
        each_stretch(layout, row, [&](int64_t at) {
            for (int64_t i = at; i < at + layout.inner; i++) w[i] = static_cast<T>(static_cast<Working<T>>(v[i]) * factor);
        });
    }
}

// ∇g = ∇w·v/‖v‖ and ∇v = (g/‖v‖)(∇w − (∇w·v/‖v‖²) v): eq. 3.
template <typename T>
void backward_rows(const T *grad, const T *v, const T *g, T *grad_v, T *grad_g, const Layout &layout, int64_t begin, int64_t end) {
    for (auto row = begin; row < end; row++) {
        double length = norm(v, layout, row), product = 0;
        each_stretch(layout, row, [&](int64_t at) { product += dot(grad + at, v + at, layout.inner); });
        grad_g[row] = static_cast<T>(product / length);
        auto factor = static_cast<Working<T>>(static_cast<double>(g[row]) / length);
        auto share = static_cast<Working<T>>(product / (length * length));
        each_stretch(layout, row, [&](int64_t at) {
            for (int64_t i = at; i < at + layout.inner; i++)
                grad_v[i] = static_cast<T>(factor * (static_cast<Working<T>>(grad[i]) - share * static_cast<Working<T>>(v[i])));
        });
    }
}

Layout checked(const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    Layout layout{blocks, outer, units, inner};
    TORCH_CHECK(
        v.numel() == blocks * outer * units * inner && g.numel() == layout.rows(), "expected ", blocks * outer * units * inner, " elements in v and ",
        layout.rows(), " in g, found ", v.sizes(), " and ", g.sizes());
    TORCH_CHECK(v.scalar_type() == g.scalar_type(), "expected v and g of one type, found ", v.scalar_type(), " and ", g.scalar_type());
    return layout;
}

/// Rows a thread takes at least: as much work as other element-wise operators take.
int64_t grain(const Layout &layout) { return std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, layout.outer * layout.inner)); }

at::Tensor normalize_cpu(const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    auto layout = checked(v, g, blocks, outer, units, inner);
    auto from = v.contiguous(), gain = g.contiguous();
    auto w = at::empty(v.sizes(), v.options());
    with_type(v.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        auto vp = data<T>(from), gp = data<T>(gain);
        auto wp = mutable_data<T>(w);
        at::parallel_for(0, layout.rows(), grain(layout), [&](int64_t begin, int64_t end) { forward_rows(vp, gp, wp, layout, begin, end); });
    });
    return w;
}

std::tuple<at::Tensor, at::Tensor> normalize_backward_cpu(
    const at::Tensor &grad, const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    auto layout = checked(v, g, blocks, outer, units, inner);
    auto cotangent = grad.contiguous(), from = v.contiguous(), gain = g.contiguous();
    auto grad_v = at::empty(v.sizes(), v.options());
    auto grad_g = at::empty(g.sizes(), g.options());
    with_type(v.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        auto cp = data<T>(cotangent), vp = data<T>(from), gp = data<T>(gain);
        auto gv = mutable_data<T>(grad_v), gg = mutable_data<T>(grad_g);
        at::parallel_for(0, layout.rows(), grain(layout), [&](int64_t begin, int64_t end) {
            backward_rows(cp, vp, gp, gv, gg, layout, begin, end);
        });
    });
    return {grad_v, grad_g};
}

// The same in libtorch's operators: for other devices, and for derivatives of the gradient.

struct Parts {
    at::Tensor v, gain, norm;
};

Parts parts(const at::Tensor &v, const at::Tensor &g, const Layout &layout) {
    auto working = v.scalar_type() == at::kHalf || v.scalar_type() == at::kBFloat16 ? at::kFloat : v.scalar_type();
    auto four = v.to(working).reshape({layout.blocks, layout.outer, layout.units, layout.inner});
    auto norm = at::linalg_vector_norm(four, 2, std::vector<int64_t>{1, 3}, /*keepdim=*/true, at::kDouble).to(working);
    return {four, g.to(working).reshape({layout.blocks, 1, layout.units, 1}), norm.masked_fill(norm == 0, 1)};
}

at::Tensor normalize_composed(const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    auto [four, gain, norm] = parts(v, g, checked(v, g, blocks, outer, units, inner));
    return (four * (gain / norm)).to(v.scalar_type()).reshape(v.sizes());
}

std::tuple<at::Tensor, at::Tensor> normalize_backward_composed(
    const at::Tensor &grad, const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    auto [four, gain, norm] = parts(v, g, checked(v, g, blocks, outer, units, inner));
    auto cotangent = grad.to(four.scalar_type()).reshape(four.sizes());
    auto along = (cotangent * four).sum(std::vector<int64_t>{1, 3}, /*keepdim=*/true) / norm;
    auto grad_v = gain / norm * (cotangent - four * (along / norm));
    return {grad_v.to(v.scalar_type()).reshape(v.sizes()), along.to(g.scalar_type()).reshape(g.sizes())};
}

at::Tensor call(const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    static auto op = c10::Dispatcher::singleton().findSchemaOrThrow("weightnorm::normalize", "").typed<decltype(normalize_cpu)>();
    return op.call(v, g, blocks, outer, units, inner);
}

struct Normalize : torch::autograd::Function<Normalize> {
    static at::Tensor forward(
        torch::autograd::AutogradContext *context, const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units,
        int64_t inner) {
        at::AutoDispatchBelowADInplaceOrView below;
        context->save_for_backward({v, g});
        context->saved_data["layout"] = std::vector<int64_t>{blocks, outer, units, inner};
        return call(v, g, blocks, outer, units, inner);
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list grads) {
        auto saved = context->get_saved_variables();
        auto layout = context->saved_data["layout"].toIntVector();
        std::tuple<at::Tensor, at::Tensor> found;
        if (at::GradMode::is_enabled()) {  // the gradient itself is to be differentiated
            found = normalize_backward_composed(grads[0], saved[0], saved[1], layout[0], layout[1], layout[2], layout[3]);
        } else {
            static auto op =
                c10::Dispatcher::singleton().findSchemaOrThrow("weightnorm::normalize_backward", "").typed<decltype(normalize_backward_cpu)>();
            found = op.call(grads[0], saved[0], saved[1], layout[0], layout[1], layout[2], layout[3]);
        }
        return {std::get<0>(found), std::get<1>(found), {}, {}, {}, {}};
    }
};

at::Tensor normalize_autograd(const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    return Normalize::apply(v, g, blocks, outer, units, inner);
}

}  // namespace

TORCH_LIBRARY(weightnorm, library) {
    library.def("normalize(Tensor v, Tensor g, int blocks, int outer, int units, int inner) -> Tensor");
    library.def("normalize_backward(Tensor grad, Tensor v, Tensor g, int blocks, int outer, int units, int inner) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(weightnorm, CPU, library) {
    library.impl("normalize", normalize_cpu);
    library.impl("normalize_backward", normalize_backward_cpu);
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) {
    library.impl("normalize", normalize_composed);
    library.impl("normalize_backward", normalize_backward_composed);
}

TORCH_LIBRARY_IMPL(weightnorm, Autograd, library) { library.impl("normalize", normalize_autograd); }
