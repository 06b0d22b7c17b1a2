// Mean-only batch normalization with its bias and the activation after it, as `weightnorm::mean_only_batch_norm`: for rows t of features, as a convolution's maps lie in channels last,
//
//     μ = mean over the rows of t        y = f(t − μ + b)        ∇t = d − mean over the rows of d, ∇b = Σ d, with d = f′·∇y
//
// in two passes forward and two backward, and with f′ from y, so that y alone is kept. The μ that is returned, for the running average, carries no gradient. float32 on the CPU.
//
// Sums are those of four rows in float32, added up in double over blocks of so many rows, and over the blocks: the same for any number of threads.
#include "Guard.hpp"
#include "MeanOnlyBatchNormHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Activation.hpp"

using namespace ctorch;

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

constexpr int64_t rows_of_block = 128;

/// A tensor's elements as rows of features.
struct Rows {
    int64_t count, features;

    Rows(const at::Tensor &tensor, int64_t axis) : count(tensor.numel() / tensor.size(axis)), features(tensor.size(axis)) {}

    int64_t blocks() const { return (count + rows_of_block - 1) / rows_of_block; }

    /// Calls the body, marked CTORCH_LAMBDA, with the vectors' width and each block, on several threads if there is enough to do.
    template <typename Body>
    void each_block(const Body &body) const {
        parallel_for(0, blocks(), std::max<int64_t>(1, at::internal::GRAIN_SIZE / (rows_of_block * features)), [&](int64_t begin, int64_t end) {
            with_vectors([&](auto width) CTORCH_LAMBDA {
                for (auto block = begin; block < end; block++) body(width, block);
            });
        });
    }

    /// Calls the body with a vector's size, the place of its first element, and that element's feature, until all elements have been.
    template <typename Body>
    void each_element(const Body &body) const {
        each_block([&](auto width, int64_t block) CTORCH_LAMBDA {
            in_block(block, [&](int64_t begin, int64_t end) CTORCH_LAMBDA {
                for (auto row = begin; row < end; row++)
                    each_vector<width()>(0, features, [&](auto size, int64_t feature) CTORCH_LAMBDA { body(size, row * features + feature, feature); });
            });
        });
    }

    /// Calls the body with the first row of a block and the one after its last.
    template <typename Body>
    CTORCH_INLINE void in_block(int64_t block, const Body &body) const { body(block * rows_of_block, std::min(count, (block + 1) * rows_of_block)); }
};

/// The sum of each feature, from those of the blocks, [blocks, features]. Where four rows leave float32's range, of the elements in double.
std::vector<double> totals(const Rows &rows, const std::vector<double> &sums, const float *elements) {
    std::vector<double> found(rows.features, 0.0);
    for (int64_t block = 0; block < rows.blocks(); block++)
        for (int64_t feature = 0; feature < rows.features; feature++) found[feature] += sums[block * rows.features + feature];
    for (int64_t feature = 0; feature < rows.features; feature++) {
        if (std::isfinite(found[feature])) continue;
        found[feature] = 0;
        for (int64_t row = 0; row < rows.count; row++) found[feature] += elements[row * rows.features + feature];
    }
    return found;
}

/// Sums the block's rows, of which the body gives a vector at a place.
template <typename Width, typename Row>
CTORCH_INLINE void add_rows(Width, const Rows &rows, int64_t block, double *sums, const Row &row_at) {
    std::fill(sums, sums + rows.features, 0.0);
    rows.in_block(block, [&](int64_t begin, int64_t end) CTORCH_LAMBDA {
        auto row = begin;
        auto add = [&](int64_t feature, auto vector) CTORCH_LAMBDA {
            constexpr int width = sizeof vector / sizeof(float);
            using Doubles = VectorOf<double, width>;
            store<width>(sums + feature, load<width>(sums + feature) + __builtin_convertvector(vector, Doubles));
        };
        for (; row + 4 <= end; row += 4)
            each_vector<Width::value>(0, rows.features, [&](auto size, int64_t feature) CTORCH_LAMBDA {
                auto at = [&](int64_t offset) CTORCH_LAMBDA { return row_at(size, (row + offset) * rows.features + feature); };
                auto first = at(0) + at(1), second = at(2) + at(3);
                add(feature, first + second);
            });
        for (; row < end; row++)
            each_vector<Width::value>(
                0, rows.features, [&](auto size, int64_t feature) CTORCH_LAMBDA { add(feature, row_at(size, row * rows.features + feature)); });
    });
}

void check(const at::Tensor &input, const at::Tensor &bias, int64_t axis) {
    TORCH_CHECK(
        input.device().is_cpu() && input.scalar_type() == at::kFloat && bias.device().is_cpu() && bias.scalar_type() == at::kFloat,
        "expected float on the CPU, found ", input.scalar_type(), " on ", input.device(), " and ", bias.scalar_type(), " on ", bias.device());
    TORCH_CHECK(axis >= 0 && axis < input.dim() && input.numel() > 0, "expected elements and an axis of ", input.sizes(), ", found axis ", axis);
    TORCH_CHECK(bias.dim() == 1 && bias.size(0) == input.size(axis), "expected a bias of ", input.size(axis), ", found ", bias.sizes());
    TORCH_CHECK(
        input.stride(axis) == 1 && input.is_non_overlapping_and_dense(), "expected features one beside the other, without gaps, found strides of ",
        input.strides(), " for ", input.sizes());
}

/// All axes but that of the features.
std::vector<int64_t> other_axes(const at::Tensor &tensor, int64_t axis) {
    std::vector<int64_t> axes;
    for (int64_t other = 0; other < tensor.dim(); other++)
        if (other != axis) axes.push_back(other);
    return axes;
}

std::tuple<at::Tensor, at::Tensor> forward_cpu(const at::Tensor &input, const at::Tensor &bias, int64_t axis, Activation activation) {
    check(input, bias, axis);
    Rows rows(input, axis);
    auto result = at::empty_strided(input.sizes(), input.strides(), input.options()), mean = at::empty({rows.features}, input.options());
    auto added = bias.contiguous();
    auto from = data<float>(input);
    auto to = mutable_data<float>(result), means = mutable_data<float>(mean);
    std::vector<double> sums(rows.blocks() * rows.features);
    std::vector<float> shifts(rows.features);
    rows.each_block([&](auto width, int64_t block) CTORCH_LAMBDA {
        add_rows(width, rows, block, sums.data() + block * rows.features, [&](auto size, int64_t place) CTORCH_LAMBDA { return load<size()>(from + place); });
    });
    auto found = totals(rows, sums, from);
    for (int64_t feature = 0; feature < rows.features; feature++) {
        means[feature] = static_cast<float>(found[feature] / static_cast<double>(rows.count));
        shifts[feature] = data<float>(added)[feature] - means[feature];
    }
    rows.each_element([&](auto size, int64_t place, int64_t feature) CTORCH_LAMBDA {
        store<size()>(to + place, activate<size()>(activation, load<size()>(from + place) + load<size()>(shifts.data() + feature)));
    });
    return {result, mean};
}

/// ∇t and ∇b. ∇t is written over the gradient where nobody else has it.
std::tuple<at::Tensor, at::Tensor> backward_cpu(at::Tensor gradient, const at::Tensor &value, int64_t axis, Activation activation) {
    Rows rows(value, axis);
    if (gradient.strides() != value.strides()) gradient = at::empty_strided(value.sizes(), value.strides(), value.options()).copy_(gradient);
    auto result = written_over(gradient, value);
    auto to_bias = at::empty({rows.features}, value.options());
    auto from = data<float>(gradient), values = data<float>(value);
    auto to = mutable_data<float>(result);
    std::vector<double> sums(rows.blocks() * rows.features);
    std::vector<float> means(rows.features);
    rows.each_block([&](auto width, int64_t block) CTORCH_LAMBDA {
        add_rows(width, rows, block, sums.data() + block * rows.features, [&](auto size, int64_t place) CTORCH_LAMBDA {
            auto d = activation_gradient<size()>(activation, load<size()>(from + place), load<size()>(values + place));
            store<size()>(to + place, d);
            return d;
        });
    });
    auto found = totals(rows, sums, to);
    for (int64_t feature = 0; feature < rows.features; feature++) {
        mutable_data<float>(to_bias)[feature] = static_cast<float>(found[feature]);
        means[feature] = static_cast<float>(found[feature] / static_cast<double>(rows.count));
    }
    rows.each_element([&](auto size, int64_t place, int64_t feature) CTORCH_LAMBDA {
        store<size()>(to + place, load<size()>(to + place) - load<size()>(means.data() + feature));
    });
    return {result, to_bias};
}

struct MeanOnlyBatchNorm : torch::autograd::Function<MeanOnlyBatchNorm> {
    static variable_list forward(AutogradContext *context, const at::Tensor &input, const at::Tensor &bias, int64_t axis, int64_t kind, double slope) {
        at::AutoDispatchBelowADInplaceOrView below;
        Activation activation(kind, slope);
        auto [result, mean] = forward_cpu(input, bias, axis, activation);
        save_activation(*context, activation);
        context->saved_data["axis"] = axis;
        context->save_for_backward({result});
        context->mark_non_differentiable({mean});
        return {result, mean};
    }

    static variable_list backward(AutogradContext *context, variable_list &grads) {
        auto value = context->get_saved_variables()[0];
        auto activation = saved_activation(*context);
        auto axis = context->saved_data["axis"].toInt();
        if (!at::GradMode::is_enabled()) {
            auto [to_input, to_bias] = backward_cpu(std::move(grads[0]), value, axis, activation);
            return {to_input, to_bias, {}, {}, {}};
        }
        // In libtorch's operators, which can be differentiated.
        auto axes = other_axes(value, axis);
        auto d = activation_gradient(activation, grads[0], value);
        if (axes.empty()) return {d - d, d, {}, {}, {}};
        return {d - d.mean(axes, /*keepdim=*/true), d.sum(axes), {}, {}, {}};
    }
};

std::tuple<at::Tensor, at::Tensor> mean_only_batch_norm(const at::Tensor &input, const at::Tensor &bias, int64_t axis, int64_t kind, double slope) {
    auto found = MeanOnlyBatchNorm::apply(input, bias, axis, kind, slope);
    return {found[0], found[1]};
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("mean_only_batch_norm(Tensor input, Tensor bias, int axis, int kind, float slope) -> (Tensor, Tensor)");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) { library.impl("mean_only_batch_norm", mean_only_batch_norm); }
