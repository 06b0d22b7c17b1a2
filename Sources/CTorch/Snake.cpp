// The snake activation (Ziyin, Hartwig & Ueda, 2020) as `weightnorm::snake`: for the elements x of a channel with frequency a and scale s,
//
//     y = x + s·sin²(a·x)        ∂y/∂x = 1 + s·a·sin(2a·x), ∂y/∂a = s·x·sin(2a·x), ∂y/∂s = sin²(a·x)
//
// in one pass forward and one backward, which keep the input alone. Row-major float32 on the CPU has kernels of its own; other types, layouts and devices have libtorch's operators, and so have
// gradients that are themselves differentiated.
//
// A channel's sums are those of short stretches in float32, added up in double in the elements' order: the same for any number of threads.
#include "Guard.hpp"
#include "SnakeHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Vectors.hpp"

using namespace ctorch;

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// A frequency or scale, [channels], in a shape that is broadcast over [batch, channels, …].
at::Tensor spread(const at::Tensor &channels, const at::Tensor &input) {
    std::vector<int64_t> shape(input.dim(), 1);
    shape[1] = -1;
    return channels.reshape(shape);
}

/// What is summed for a channel: all axes but the second.
at::Tensor channel_sum(const at::Tensor &tensor) {
    std::vector<int64_t> axes;
    for (int64_t axis = 0; axis < tensor.dim(); axis++)
        if (axis != 1) axes.push_back(axis);
    return tensor.sum(axes);
}

bool has_kernel(const at::Tensor &tensor) { return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.is_contiguous(); }

/// sin r for |r| ≤ π/2, to a few units in the last place.
template <int width>
CTORCH_INLINE Vector<width> sine(Vector<width> r) {
    auto square = r * r;
    auto series = ((square * 2.6083159809786593541503e-06f - 0.0001981069071916863322258f) * square + 0.00833307858556509017944336f) * square - 0.166666597127914428710938f;
    return r + r * square * series;
}

/// sin²t and sin 2t, of which the second is only computed where it is asked for.
template <int width, bool wants_double>
CTORCH_INLINE void sines(Vector<width> t, Vector<width> &squared, Vector<width> &doubled) {
    constexpr float magic = 12582912;  // 1½·2²³: a number that is added to it is rounded to a whole one
    bool is_near = true;
    for (int lane = 0; lane < width; lane++) is_near &= std::abs(t[lane]) < 8192;
    if (!is_near) {
        for (int lane = 0; lane < width; lane++) {
            auto sine = std::sin(t[lane]);
            squared[lane] = sine * sine;
            if constexpr (wants_double) doubled[lane] = 2 * sine * std::cos(t[lane]);
        }
        return;
    }
    // Both have the period π, which is subtracted in three parts, the first two with few enough digits for exact products.
    auto whole = (t * 0.318309886183790671538f + magic) - magic;
    auto r = ((t - whole * 3.140625f) - whole * 9.67502593994140625e-4f) - whole * 1.5099579909783764e-7f;
    auto sine_of_r = sine<width>(r);
    squared = sine_of_r * sine_of_r;
    if constexpr (wants_double) {
        auto magnitude = r < 0 ? -r : r;
        auto cosine = sine<width>((1.57079637050628662109375f - magnitude) - 4.37113900018624283e-8f);
        doubled = 2 * sine_of_r * cosine;
    }
}

/// Calls the body with each row, the elements of one channel of one example, on several threads if there is enough to do.
template <typename Body>
void each_row(const at::Tensor &input, const Body &body) {
    auto rows = input.size(0) * input.size(1), length = rows == 0 ? 0 : input.numel() / rows;
    parallel_for(0, rows, std::max<int64_t>(1, at::internal::GRAIN_SIZE / 8 / std::max<int64_t>(1, length)), [&](int64_t begin, int64_t end) {
        for (auto row = begin; row < end; row++) body(row, row % input.size(1), length);
    });
}

at::Tensor forward_kernel(const at::Tensor &input, const at::Tensor &frequency, const at::Tensor &scale) {
    auto result = at::empty_like(input);
    auto frequencies = frequency.contiguous(), scales = scale.contiguous();
    auto from = data<float>(input), all_frequencies = data<float>(frequencies), all_scales = data<float>(scales);
    auto to = mutable_data<float>(result);
    each_row(input, [&](int64_t row, int64_t channel, int64_t length) {
        auto a = all_frequencies[channel], s = all_scales[channel];
        with_vectors([&](auto width) CTORCH_LAMBDA {
            each_vector<width()>(row * length, (row + 1) * length, [&](auto size, int64_t at) CTORCH_LAMBDA {
                auto x = load<size()>(from + at);
                Vector<size()> squared, unused;
                sines<size(), false>(x * a, squared, unused);
                store<size()>(to + at, x + squared * s);
            });
        });
    });
    return result;
}

struct Gradients {
    at::Tensor input, frequency, scale;
};

Gradients backward_kernel(const at::Tensor &gradient, const at::Tensor &input, const at::Tensor &frequency, const at::Tensor &scale) {
    constexpr int64_t stretch = 512;
    auto result = at::empty_like(input);
    auto frequencies = frequency.contiguous(), scales = scale.contiguous(), gradients = gradient.contiguous();
    auto from = data<float>(input), given = data<float>(gradients), all_frequencies = data<float>(frequencies), all_scales = data<float>(scales);
    auto to = mutable_data<float>(result);
    auto channels = input.size(1);
    std::vector<double> frequency_sums(input.size(0) * channels), scale_sums(frequency_sums.size());
    each_row(input, [&](int64_t row, int64_t channel, int64_t length) {
        auto a = all_frequencies[channel], s = all_scales[channel];
        with_vectors([&](auto width) CTORCH_LAMBDA {
            double for_frequency = 0, for_scale = 0;
            for (auto begin = row * length; begin < (row + 1) * length; begin += stretch) {
                auto end = std::min(begin + stretch, (row + 1) * length);
                Vector<width()> frequency_part{}, scale_part{};
                each_vector<width()>(begin, end, [&](auto size, int64_t at) CTORCH_LAMBDA {
                    auto x = load<size()>(from + at), g = load<size()>(given + at);
                    Vector<size()> squared, doubled;
                    sines<size(), true>(x * a, squared, doubled);
                    store<size()>(to + at, g + g * doubled * (s * a));
                    if constexpr (size() == width()) {
                        frequency_part += g * x * doubled;
                        scale_part += g * squared;
                    } else {
                        for_frequency += (g * x * doubled)[0];
                        for_scale += (g * squared)[0];
                    }
                });
                for (int lane = 0; lane < width(); lane++) {
                    for_frequency += frequency_part[lane];
                    for_scale += scale_part[lane];
                }
            }
            frequency_sums[row] = for_frequency * s;
            scale_sums[row] = for_scale;
        });
    });
    auto for_frequency = at::empty({channels}, frequency.options()), for_scale = at::empty({channels}, scale.options());
    for (int64_t channel = 0; channel < channels; channel++) {
        double frequency_sum = 0, scale_sum = 0;
        for (int64_t row = channel; row < static_cast<int64_t>(scale_sums.size()); row += channels) {
            frequency_sum += frequency_sums[row];
            scale_sum += scale_sums[row];
        }
        mutable_data<float>(for_frequency)[channel] = static_cast<float>(frequency_sum);
        mutable_data<float>(for_scale)[channel] = static_cast<float>(scale_sum);
    }
    return {result, for_frequency, for_scale};
}

at::Tensor plain(const at::Tensor &input, const at::Tensor &frequency, const at::Tensor &scale) {
    return input + spread(scale, input) * (spread(frequency, input) * input).sin().square();
}

/// Whether the kernels take these; a frequency and a scale of another type than the input's are for libtorch, which says what it makes of them.
bool have_kernel(const at::Tensor &input, const at::Tensor &frequency, const at::Tensor &scale) {
    return has_kernel(input) && frequency.device().is_cpu() && scale.device().is_cpu() && frequency.scalar_type() == at::kFloat &&
           scale.scalar_type() == at::kFloat;
}

struct Snake : torch::autograd::Function<Snake> {
    static at::Tensor forward(AutogradContext *context, const at::Tensor &input, const at::Tensor &frequency, const at::Tensor &scale) {
        at::AutoDispatchBelowADInplaceOrView below;
        context->save_for_backward({input, frequency, scale});
        return forward_kernel(input, frequency, scale);
    }

    static variable_list backward(AutogradContext *context, variable_list &grads) {
        auto saved = context->get_saved_variables();
        const auto &input = saved[0], &frequency = saved[1], &scale = saved[2], &gradient = grads[0];
        if (!at::GradMode::is_enabled()) {
            auto found = backward_kernel(gradient, input, frequency, scale);
            return {found.input, found.frequency, found.scale};
        }
        // In libtorch's operators, which can be differentiated.
        auto a = spread(frequency, input), s = spread(scale, input), angle = a * input;
        auto doubled = (angle + angle).sin();
        return {gradient + gradient * doubled * (s * a), channel_sum(gradient * input * doubled * s), channel_sum(gradient * angle.sin().square())};
    }
};

at::Tensor snake(const at::Tensor &input, const at::Tensor &frequency, const at::Tensor &scale) {
    TORCH_CHECK(
        input.dim() >= 2 && frequency.dim() == 1 && scale.dim() == 1 && frequency.size(0) == input.size(1) && scale.size(0) == input.size(1),
        "expected an input [batch, channels, …] with a frequency and a scale for each channel, found ", input.sizes(), ", ", frequency.sizes(), " and ", scale.sizes());
    if (!have_kernel(input, frequency, scale)) return plain(input, frequency, scale);
    bool is_recorded = at::GradMode::is_enabled() && (input.requires_grad() || frequency.requires_grad() || scale.requires_grad());
    return is_recorded ? Snake::apply(input, frequency, scale) : forward_kernel(input, frequency, scale);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) { library.def("snake(Tensor input, Tensor frequency, Tensor scale) -> Tensor"); }

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) { library.impl("snake", snake); }
