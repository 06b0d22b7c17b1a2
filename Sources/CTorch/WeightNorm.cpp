// g·v/‖v‖ as one operator with its gradient, registered with the dispatcher as `weightnorm::normalize`: small weights cost one call instead of about
// a dozen, large ones two passes over memory. A weight is seen as [blocks, outer, units, inner], row-major; a unit is one (block, unit) pair, with
// one gain. ‖v‖ = 0 is taken as 1, so that w = 0 and the gradients are finite. Sums are accumulated in double.
//
// w and the gradients are correct whenever they are in the type's range, even if ‖v‖, ‖v‖² or g/‖v‖ is not: such units are computed in double, and if
// they are double already, with v scaled by a power of two, which is exact.
#include "Guard.hpp"
#include "WeightNormHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"

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

/// Σ a·b, in eight independent sums: in a single sum each addition would wait for the previous one.
template <typename T>
inline double dot(const T *a, const T *b, int64_t count) {
    double sums[8] = {};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) sums[k] += static_cast<double>(a[i + k]) * static_cast<double>(b[i + k]);
    for (; i < count; i++) sums[0] += static_cast<double>(a[i]) * static_cast<double>(b[i]);
    return ((sums[0] + sums[1]) + (sums[2] + sums[3])) + ((sums[4] + sums[5]) + (sums[6] + sums[7]));
}

/// The type in which the factors are computed: float for 16-bit elements, else the elements' own type.
template <typename T>
using Working = std::conditional_t<std::is_same_v<T, double>, double, float>;

/// The length of v·scale, in terms of which everything else is expressed, so that nothing leaves the range: ‖v‖ = length/scale.
struct Length {
    double length, scale;
};

/// The power of two that brings the unit's largest magnitude to [½, 1); 1 for a unit that is 0 or not finite.
inline double range_scale(const double *v, const Layout &layout, int64_t row) {
    double largest = 0;
    each_stretch(layout, row, [&](int64_t at) {
        // In this order the comparison propagates NaN.
        for (int64_t i = at; i < at + layout.inner; i++) largest = std::abs(v[i]) <= largest ? largest : std::abs(v[i]);
    });
    if (!(largest > 0) || !std::isfinite(largest)) return 1;
    int exponent = 0;
    std::frexp(largest, &exponent);
    return std::ldexp(1.0, std::min(-exponent, 1023));
}

inline Length scaled_length(const double *v, const Layout &layout, int64_t row) {
    double squares = 0, scale = range_scale(v, layout, row);
    each_stretch(layout, row, [&](int64_t at) {
        for (int64_t i = at; i < at + layout.inner; i++) squares += (v[i] * scale) * (v[i] * scale);
    });
    return squares == 0 ? Length{1, 1} : Length{std::sqrt(squares), scale};
}

template <typename T>
Length length(const T *v, const Layout &layout, int64_t row) {
    double squares = 0;
    each_stretch(layout, row, [&](int64_t at) { squares += dot(v + at, v + at, layout.inner); });
    if constexpr (std::is_same_v<T, double>) {
        // The squares of other types are in double's range, and so are their products with gradients.
        if (!(squares > 0x1p-200 && squares < 0x1p200)) return scaled_length(v, layout, row);
    }
    return squares == 0 ? Length{1, 1} : Length{std::sqrt(squares), 1};
}

/// ∇w·v·scale of a unit.
template <typename T>
double along_direction(const T *grad, const T *v, double scale, const Layout &layout, int64_t row) {
    double product = 0;
    each_stretch(layout, row, [&](int64_t at) {
        if (scale == 1) {
            product += dot(grad + at, v + at, layout.inner);
        } else {
            for (int64_t i = at; i < at + layout.inner; i++) product += static_cast<double>(grad[i]) * (static_cast<double>(v[i]) * scale);
        }
    });
    return product;
}

/// Whether a factor keeps full precision in the type, or is 0 only because its origin is.
template <typename T>
inline bool fits(double factor, double origin) {
    auto size = std::abs(factor);
    return (size >= std::numeric_limits<T>::min() && size <= std::numeric_limits<T>::max()) || (factor == 0 && origin == 0);
}

template <typename T>
void forward_rows(const T *v, const T *g, T *w, const Layout &layout, int64_t begin, int64_t end) {
    for (auto row = begin; row < end; row++) {
        auto [norm, scale] = length(v, layout, row);
        auto gain = static_cast<double>(g[row]);
        if (fits<Working<T>>(gain / norm * scale, gain)) {
            auto factor = static_cast<Working<T>>(gain / norm * scale);
            each_stretch(layout, row, [&](int64_t at) {
                for (int64_t i = at; i < at + layout.inner; i++) w[i] = static_cast<T>(static_cast<Working<T>>(v[i]) * factor);
            });
        } else {
            each_stretch(layout, row, [&, norm = norm, scale = scale](int64_t at) {
                for (int64_t i = at; i < at + layout.inner; i++)
                    w[i] = static_cast<T>(static_cast<Working<T>>(static_cast<double>(v[i]) * scale / norm * gain));
            });
        }
    }
}

// ∇g = ∇w·v/‖v‖ and ∇v = (g/‖v‖)(∇w − (∇w·v/‖v‖²) v): eq. 3.
template <typename T>
void backward_rows(const T *grad, const T *v, const T *g, T *grad_v, T *grad_g, const Layout &layout, int64_t begin, int64_t end) {
    for (auto row = begin; row < end; row++) {
        auto [norm, scale] = length(v, layout, row);
        auto product = along_direction(grad, v, scale, layout, row);
        if constexpr (std::is_same_v<T, double>) {
            // ∇w may leave the range even if v does not; 0 may also be an underflow.
            if (scale == 1 && !(std::abs(product) >= 0x1p-900 && std::isfinite(product))) {
                auto scaled = scaled_length(v, layout, row);
                norm = scaled.length, scale = scaled.scale;
                product = along_direction(grad, v, scale, layout, row);
            }
        }
        grad_g[row] = static_cast<T>(product / norm);
        auto gain = static_cast<double>(g[row]), factor = gain / norm * scale, along = product / (norm * norm);
        if (fits<Working<T>>(factor, gain) && fits<Working<T>>(along * scale, product)) {
            auto narrow = static_cast<Working<T>>(factor);
            auto share = static_cast<Working<T>>(along * scale);
            each_stretch(layout, row, [&](int64_t at) {
                for (int64_t i = at; i < at + layout.inner; i++)
                    grad_v[i] = static_cast<T>(narrow * (static_cast<Working<T>>(grad[i]) - share * static_cast<Working<T>>(v[i])));
            });
        } else {
            each_stretch(layout, row, [&, norm = norm, scale = scale](int64_t at) {
                for (int64_t i = at; i < at + layout.inner; i++) {
                    // The gradient of a unit without one stays 0, however small ‖v‖ is.
                    auto across = static_cast<double>(grad[i]) - along * (static_cast<double>(v[i]) * scale);
                    auto turned = fits<double>(factor, 1) ? across * factor : across / norm * gain * scale;
                    grad_v[i] = static_cast<T>(static_cast<Working<T>>(turned));
                }
            });
        }
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

/// The minimum number of rows per thread: as much work as in other element-wise operators.
int64_t grain(const Layout &layout) { return std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, layout.outer * layout.inner)); }

at::Tensor normalize_cpu(const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    auto layout = checked(v, g, blocks, outer, units, inner);
    auto from = v.contiguous(), gain = g.contiguous();
    auto w = at::empty(v.sizes(), v.options());
    with_type(v.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        auto vp = data<T>(from), gp = data<T>(gain);
        auto wp = mutable_data<T>(w);
        parallel_for(0, layout.rows(), grain(layout), [&](int64_t begin, int64_t end) { forward_rows(vp, gp, wp, layout, begin, end); });
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
        parallel_for(0, layout.rows(), grain(layout), [&](int64_t begin, int64_t end) {
            backward_rows(cp, vp, gp, gv, gg, layout, begin, end);
        });
    });
    return {grad_v, grad_g};
}

// The same composed of libtorch's operators: for other devices, and for derivatives of the gradient.

/// v·scale, with scale a power of two for each unit that brings it near 1, and its norm.
struct Parts {
    at::Tensor scaled, gain, norm, scale;
};

/// The power of two that brings each magnitude to [½, 1), as `range_scale` above, as far as it and its inverse are in the type's range.
at::Tensor range_scales(const at::Tensor &magnitudes, double smallest, double largest) {
    auto ordinary = at::where(at::isfinite(magnitudes).logical_and(magnitudes > 0), magnitudes, at::ones_like(magnitudes));
    return (std::get<0>(at::frexp(ordinary)) / ordinary).clamp(smallest, largest);
}

Parts parts(const at::Tensor &v, const at::Tensor &g, const Layout &layout) {
    auto working = v.scalar_type() == at::kHalf || v.scalar_type() == at::kBFloat16 ? at::kFloat : v.scalar_type();
    std::vector<int64_t> reduced{1, 3};
    auto four = v.to(working).reshape({layout.blocks, layout.outer, layout.units, layout.inner});
    at::Tensor scale, scaled, norm;
    if (working == at::kDouble) {
        {
            // A constant for derivatives, since it is constant where it does not jump.
            at::NoGradGuard constant;
            auto magnitudes = four.numel() ? at::linalg_vector_norm(four, INFINITY, reduced, /*keepdim=*/true) : at::sum(four, reduced, /*keepdim=*/true);
            scale = range_scales(magnitudes, 0x1p-1022, 0x1p1023);
        }
        scaled = four * scale;
        norm = at::linalg_vector_norm(scaled, 2, reduced, /*keepdim=*/true);
    } else {
        // In double, where ‖v‖ is in range.
        auto wide = at::linalg_vector_norm(four, 2, reduced, /*keepdim=*/true, at::kDouble);
        {
            at::NoGradGuard constant;
            scale = range_scales(wide, 0x1p-126, 0x1p127).to(working);
        }
        scaled = four * scale;
        norm = (wide * scale.to(at::kDouble)).to(working);
    }
    return {scaled, g.to(working).reshape({layout.blocks, 1, layout.units, 1}), norm.masked_fill(norm == 0, 1), scale};
}

at::Tensor normalize_composed(const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    auto [scaled, gain, norm, scale] = parts(v, g, checked(v, g, blocks, outer, units, inner));
    return (scaled * (gain / norm)).to(v.scalar_type()).reshape(v.sizes());
}

std::tuple<at::Tensor, at::Tensor> normalize_backward_composed(
    const at::Tensor &grad, const at::Tensor &v, const at::Tensor &g, int64_t blocks, int64_t outer, int64_t units, int64_t inner) {
    auto [scaled, gain, norm, scale] = parts(v, g, checked(v, g, blocks, outer, units, inner));
    auto cotangent = grad.to(scaled.scalar_type()).reshape(scaled.sizes());
    auto along = (cotangent * scaled).sum(std::vector<int64_t>{1, 3}, /*keepdim=*/true) / norm;
    // g/‖v‖ in two factors: the first is neither too large nor, for derivatives where g is 0, too small, and the second is ±1 whenever the whole
    // quotient is in range.
    bool is_double = scaled.scalar_type() == at::kDouble;
    auto power = scale.to(at::kDouble);
    auto first = at::clamp((gain.to(at::kDouble) / norm.to(at::kDouble) * power).abs(), is_double ? 0x1p-512 : 0x1p-64, is_double ? 0x1p1022 : 0x1p126).detach();
    // Finite, so that a zero gradient stays zero.
    auto largest = is_double ? std::numeric_limits<double>::max() : static_cast<double>(std::numeric_limits<float>::max());
    auto second = at::clamp(gain.to(at::kDouble) / first / norm.to(at::kDouble) * power, -largest, largest);
    auto grad_v = (cotangent - scaled * (along / norm)) * first.to(scaled.scalar_type()) * second.to(scaled.scalar_type());
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
        if (at::GradMode::is_enabled()) {  // the gradient itself will be differentiated
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
