// 3×3 convolutions with a quarter of the multiplications: F(4×4, 3×3) of Winograd ("Arithmetic Complexity of Computations", 1980; Lavin & Gray, 2016). The result is cut into tiles of
// 4×4, of which each depends on 6×6 elements d of the input:
//
//     y = Aᵀ[(G g Gᵀ) ⊙ (Bᵀ d B)]A            ∇g = Gᵀ[Σ (Bᵀ d B) ⊙ (A ∇y Aᵀ)]G
//
// where ⊙, summed over channels (or, for ∇g, tiles), is 36 products of matrices. ∇d is the convolution of ∇y with the filters turned by 180°, padded by 2 less the padding.
//
// A, B and G evaluate and interpolate polynomials at 0, ±α, ±β and ∞. α = ¾ and β = 1½ are exact in binary, as are all of Bᵀ and Aᵀ. With the usual 1 and 2 the root mean square of
// the error is twice, its maximum three times as large.
//
// In float32, channels last, on x86-64: the products are oneDNN's, whose kernels for small matrices libtorch offers there alone. Everything else goes to libtorch's convolution, as do
// derivatives of the gradient. Sums are the same for any number of threads.
#include "Guard.hpp"
#include "WinogradHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Activation.hpp"
#include "Linear.hpp"
#include "SmallProducts.hpp"

using namespace ctorch;

namespace {

std::atomic<bool> winograd_allowed{false};

// MARK: - Vectors

/// One of the steps of transposing: where a lane's number has the bit `half`, the two vectors change places.
template <int half, typename Row, std::size_t... lane>
CTORCH_INLINE void exchange(Row &one, Row &other, std::index_sequence<lane...>) {
    constexpr int width = sizeof...(lane);
    Row low = __builtin_shufflevector(one, other, (lane & half ? width + lane - half : lane)...);
    other = __builtin_shufflevector(one, other, (lane & half ? width + lane : lane + half)...);
    one = low;
}

template <int half, int width>
CTORCH_INLINE void transpose_from(Vector<width> *rows) {
    if constexpr (half < width) {
        for (int row = 0; row < width; row++)
            if (!(row & half)) exchange<half>(rows[row], rows[row + half], std::make_index_sequence<width>());
        transpose_from<half * 2, width>(rows);
    }
}

// MARK: - The transforms of one dimension

constexpr float alpha = 0.75f, beta = 1.5f, alpha2 = alpha * alpha, beta2 = beta * beta;
constexpr float scale_alpha = 1 / (2 * alpha2 * (alpha2 - beta2)), scale_beta = 1 / (2 * beta2 * (beta2 - alpha2)), scale_zero = 1 / (alpha2 * beta2);

/// Bᵀ of six vectors `step` apart.
template <typename V>
CTORCH_INLINE void transform_input(const V *from, int step, V *to, int to_step) {
    V x0 = from[0], x1 = from[step], x2 = from[2 * step], x3 = from[3 * step], x4 = from[4 * step], x5 = from[5 * step];
    V even = x4 - beta2 * x2, odd = alpha * x3 - (alpha * beta2) * x1;
    to[0] = (alpha2 * beta2) * x0 - (alpha2 + beta2) * x2 + x4;
    to[to_step] = even + odd;
    to[2 * to_step] = even - odd;
    even = x4 - alpha2 * x2, odd = beta * x3 - (alpha2 * beta) * x1;
    to[3 * to_step] = even + odd;
    to[4 * to_step] = even - odd;
    to[5 * to_step] = (alpha2 * beta2) * x1 - (alpha2 + beta2) * x3 + x5;
}

/// Aᵀ: six to four.
template <typename V>
CTORCH_INLINE void transform_output(const V *from, int step, V *to, int to_step) {
    V sum = from[step] + from[2 * step], difference = from[step] - from[2 * step];
    V sum2 = from[3 * step] + from[4 * step], difference2 = from[3 * step] - from[4 * step];
    to[0] = from[0] + sum + sum2;
    to[to_step] = alpha * difference + beta * difference2;
    to[2 * to_step] = alpha2 * sum + beta2 * sum2;
    to[3 * to_step] = (alpha * alpha2) * difference + (beta * beta2) * difference2 + from[5 * step];
}

/// A: four to six.
template <typename V>
CTORCH_INLINE void transform_gradient(const V *from, int step, V *to, int to_step) {
    V x0 = from[0], x1 = from[step], x2 = from[2 * step], x3 = from[3 * step];
    V even = x0 + alpha2 * x2, odd = alpha * x1 + (alpha * alpha2) * x3;
    to[0] = x0;
    to[to_step] = even + odd;
    to[2 * to_step] = even - odd;
    even = x0 + beta2 * x2, odd = beta * x1 + (beta * beta2) * x3;
    to[3 * to_step] = even + odd;
    to[4 * to_step] = even - odd;
    to[5 * to_step] = x3;
}

/// G: three to six.
template <typename V>
CTORCH_INLINE void transform_filter(const V *from, int step, V *to, int to_step) {
    V x0 = from[0], x1 = from[step], x2 = from[2 * step];
    V even = scale_alpha * (x0 + alpha2 * x2), odd = (alpha * scale_alpha) * x1;
    to[0] = scale_zero * x0;
    to[to_step] = even + odd;
    to[2 * to_step] = even - odd;
    even = scale_beta * (x0 + beta2 * x2), odd = (beta * scale_beta) * x1;
    to[3 * to_step] = even + odd;
    to[4 * to_step] = even - odd;
    to[5 * to_step] = x2;
}

/// Gᵀ: six to three.
template <typename V>
CTORCH_INLINE void transform_filter_gradient(const V *from, int step, V *to, int to_step) {
    V sum = scale_alpha * (from[step] + from[2 * step]), difference = scale_alpha * (from[step] - from[2 * step]);
    V sum2 = scale_beta * (from[3 * step] + from[4 * step]), difference2 = scale_beta * (from[3 * step] - from[4 * step]);
    to[0] = scale_zero * from[0] + sum + sum2;
    to[to_step] = alpha * difference + beta * difference2;
    to[2 * to_step] = alpha2 * sum + beta2 * sum2 + from[5 * step];
}

// MARK: - The passes

/// A convolution's shapes, and where its tiles are.
struct Shape {
    int64_t batch, rows, columns, inputs, outputs, top, left, out_rows, out_columns, tile_rows, tile_columns;

    Shape(const at::Tensor &input, int64_t outputs, at::IntArrayRef padding)
        : batch(input.size(0)), rows(input.size(2)), columns(input.size(3)), inputs(input.size(1)), outputs(outputs), top(padding[0]), left(padding[1]),
          out_rows(rows + 2 * top - 2), out_columns(columns + 2 * left - 2), tile_rows((out_rows + 3) / 4), tile_columns((out_columns + 3) / 4) {}

    int64_t tiles() const { return batch * tile_rows * tile_columns; }
};

/// A tile's image, and its first row and column of the result.
struct Place {
    int64_t image, row, column;

    Place(const Shape &shape, int64_t tile) {
        auto each = shape.tile_rows * shape.tile_columns;
        image = tile / each;
        row = tile % each / shape.tile_columns * 4;
        column = tile % shape.tile_columns * 4;
    }
};

/// What a pass works on. The elements of the 36 matrices with the same row and column are `stride` apart.
struct Pass {
    const Shape &shape;
    const float *from;
    float *to;
    int64_t stride;
    /// The tile in the matrices' first row or column.
    int64_t first = 0;
    /// The number of columns of the transposed matrices.
    int64_t columns = 0;
    /// As many zeros as there are channels: what lies outside an image.
    const float *zeros = nullptr;
    const float *bias = nullptr;
    Activation activation = {};
    /// Of the filters, from an input channel to the next and from an output channel to the next, both of the matrices.
    int64_t filter_rows = 0, filter_columns = 0;
    int64_t row_stride = 0, column_stride = 0;
    bool is_turned = false;
};

/// Where the 36 elements of the input that a tile depends on are, or zeros.
CTORCH_INLINE void find_input(const Pass &pass, int64_t tile, const float **elements) {
    auto &shape = pass.shape;
    Place place(shape, tile);
    for (int i = 0; i < 6; i++)
        for (int j = 0; j < 6; j++) {
            auto row = place.row - shape.top + i, column = place.column - shape.left + j;
            bool is_inside = place.image < shape.batch && row >= 0 && row < shape.rows && column >= 0 && column < shape.columns;
            elements[i * 6 + j] = is_inside ? pass.from + ((place.image * shape.rows + row) * shape.columns + column) * shape.inputs : pass.zeros;
        }
}

template <int width>
CTORCH_INLINE void transform_input_tile(const float *const *elements, int64_t channel, Vector<width> *to) {
    Vector<width> half[36];
    for (int j = 0; j < 6; j++) {
        Vector<width> column[6];
        for (int i = 0; i < 6; i++) column[i] = load<width>(elements[i * 6 + j] + channel);
        transform_input(column, 1, half + j, 6);
    }
    for (int i = 0; i < 6; i++) transform_input(half + i * 6, 1, to + i * 6, 1);
}

/// Bᵀ d B of tiles, as 36 matrices of [tile, input].
template <int width>
CTORCH_INLINE void pass_input(const Pass &pass, int64_t begin, int64_t end) {
    for (auto tile = begin; tile < end; tile++) {
        const float *elements[36];
        find_input(pass, tile, elements);
        auto to = pass.to + (tile - pass.first) * pass.shape.inputs;
        each_vector<width>(0, pass.shape.inputs, [&](auto size, int64_t channel) CTORCH_LAMBDA {
            Vector<size()> found[36];
            transform_input_tile<size()>(elements, channel, found);
            for (int k = 0; k < 36; k++) store<size()>(to + k * pass.stride + channel, found[k]);
        });
    }
}

/// The same as matrices of [input, tile], for as many tiles at a time as a vector has lanes.
template <int width>
CTORCH_INLINE void pass_input_transposed(const Pass &pass, int64_t begin, int64_t end) {
    for (auto group = begin; group < end; group++) {
        const float *elements[width][36];
        for (int lane = 0; lane < width; lane++) find_input(pass, pass.first + group * width + lane, elements[lane]);
        each_vector<width>(0, pass.shape.inputs, [&](auto size, int64_t channel) CTORCH_LAMBDA {
            Vector<size()> found[width][36];
            for (int lane = 0; lane < width; lane++) transform_input_tile<size()>(elements[lane], channel, found[lane]);
            for (int k = 0; k < 36; k++) {
                auto to = pass.to + k * pass.stride + channel * pass.columns + group * width;
                if constexpr (size() == width) {
                    Vector<width> rows[width];
                    for (int lane = 0; lane < width; lane++) rows[lane] = found[lane][k];
                    transpose_from<1, width>(rows);
                    for (int lane = 0; lane < width; lane++) store<width>(to + lane * pass.columns, rows[lane]);
                } else {
                    for (int lane = 0; lane < width; lane++) to[lane] = found[lane][k][0];
                }
            }
        });
    }
}

/// A ∇y Aᵀ of tiles, as 36 matrices of [tile, output].
template <int width>
CTORCH_INLINE void pass_gradient(const Pass &pass, int64_t begin, int64_t end) {
    auto &shape = pass.shape;
    for (auto tile = begin; tile < end; tile++) {
        const float *elements[16];
        Place place(shape, tile);
        for (int i = 0; i < 4; i++)
            for (int j = 0; j < 4; j++) {
                auto row = place.row + i, column = place.column + j;
                bool is_inside = place.image < shape.batch && row < shape.out_rows && column < shape.out_columns;
                elements[i * 4 + j] =
                    is_inside ? pass.from + ((place.image * shape.out_rows + row) * shape.out_columns + column) * shape.outputs : pass.zeros;
            }
        auto to = pass.to + (tile - pass.first) * shape.outputs;
        each_vector<width>(0, shape.outputs, [&](auto size, int64_t channel) CTORCH_LAMBDA {
            Vector<size()> half[24];
            for (int j = 0; j < 4; j++) {
                Vector<size()> column[4];
                for (int i = 0; i < 4; i++) column[i] = load<size()>(elements[i * 4 + j] + channel);
                transform_gradient(column, 1, half + j, 4);
            }
            for (int i = 0; i < 6; i++) {
                Vector<size()> row[6];
                transform_gradient(half + i * 4, 1, row, 1);
                for (int j = 0; j < 6; j++) store<size()>(to + (i * 6 + j) * pass.stride + channel, row[j]);
            }
        });
    }
}

/// The activation of Aᵀ m A + b of tiles, from 36 matrices of [tile, output].
template <int width>
CTORCH_INLINE void pass_output(const Pass &pass, int64_t begin, int64_t end) {
    auto &shape = pass.shape;
    for (auto tile = begin; tile < end; tile++) {
        Place place(shape, tile);
        auto rows = std::min<int64_t>(4, shape.out_rows - place.row), columns = std::min<int64_t>(4, shape.out_columns - place.column);
        auto from = pass.from + (tile - pass.first) * shape.outputs;
        auto to = pass.to + ((place.image * shape.out_rows + place.row) * shape.out_columns + place.column) * shape.outputs;
        each_vector<width>(0, shape.outputs, [&](auto size, int64_t channel) CTORCH_LAMBDA {
            Vector<size()> half[24], added = {};
            if (pass.bias) added = load<size()>(pass.bias + channel);
            for (int j = 0; j < 6; j++) {
                Vector<size()> column[6];
                for (int i = 0; i < 6; i++) column[i] = load<size()>(from + (i * 6 + j) * pass.stride + channel);
                transform_output(column, 1, half + j, 6);
            }
            for (int i = 0; i < rows; i++) {
                Vector<size()> row[4];
                transform_output(half + i * 6, 1, row, 1);
                for (int j = 0; j < columns; j++) store<size()>(
                        to + (i * shape.out_columns + j) * shape.outputs + channel, activate<size()>(pass.activation, row[j] + added));
            }
        });
    }
}

/// G g Gᵀ of filters, as 36 matrices; the range is of their columns.
template <int width>
CTORCH_INLINE void pass_filter(const Pass &pass, int64_t begin, int64_t end) {
    each_vector<width>(begin, end, [&](auto size, int64_t column) CTORCH_LAMBDA {
        for (int64_t row = 0; row < pass.filter_rows; row++) {
            auto from = pass.from + column * pass.column_stride + row * pass.row_stride;
            Vector<size()> filter[9], half[18];
            for (int tap = 0; tap < 9; tap++)
                for (int lane = 0; lane < size(); lane++) filter[tap][lane] = from[lane * pass.column_stride + (pass.is_turned ? 8 - tap : tap)];
            for (int j = 0; j < 3; j++) transform_filter(filter + j, 3, half + j, 3);
            for (int i = 0; i < 6; i++) {
                Vector<size()> found[6];
                transform_filter(half + i * 3, 1, found, 1);
                for (int j = 0; j < 6; j++) store<size()>(pass.to + (i * 6 + j) * pass.stride + row * pass.filter_columns + column, found[j]);
            }
        }
    });
}

/// Gᵀ u G, from 36 matrices; the range is of their columns.
template <int width>
CTORCH_INLINE void pass_filter_gradient(const Pass &pass, int64_t begin, int64_t end) {
    each_vector<width>(begin, end, [&](auto size, int64_t column) CTORCH_LAMBDA {
        for (int64_t row = 0; row < pass.filter_rows; row++) {
            auto to = pass.to + column * pass.column_stride + row * pass.row_stride;
            Vector<size()> half[18];
            for (int j = 0; j < 6; j++) {
                Vector<size()> found[6];
                for (int i = 0; i < 6; i++) found[i] = load<size()>(pass.from + (i * 6 + j) * pass.stride + row * pass.filter_columns + column);
                transform_filter_gradient(found, 1, half + j, 6);
            }
            for (int i = 0; i < 3; i++) {
                Vector<size()> found[3];
                transform_filter_gradient(half + i * 6, 1, found, 1);
                for (int j = 0; j < 3; j++)
                    for (int lane = 0; lane < size(); lane++) to[lane * pass.column_stride + i * 3 + j] = found[j][lane];
            }
        }
    });
}

enum class Step { input, input_transposed, gradient, output, filter, filter_gradient };

void run(Step step, const Pass &pass, int64_t begin, int64_t end) {
    with_vectors([&](auto size) CTORCH_LAMBDA {
        constexpr int width = size();
        switch (step) {
            case Step::input: return pass_input<width>(pass, begin, end);
            case Step::input_transposed: return pass_input_transposed<width>(pass, begin, end);
            case Step::gradient: return pass_gradient<width>(pass, begin, end);
            case Step::output: return pass_output<width>(pass, begin, end);
            case Step::filter: return pass_filter<width>(pass, begin, end);
            case Step::filter_gradient: return pass_filter_gradient<width>(pass, begin, end);
        }
    });
}

// MARK: - The convolution and its gradients

/// Tiles whose products are made at once, in a convolution and in a filter's gradient: enough to be worth the filters' way from the cache, and few enough to stay in it.
constexpr int64_t tiles_at_once = 64, tiles_of_gradient = 256;
/// Keeps the matrices from lying a power of two apart, where they would share places in the cache.
constexpr int64_t gap = 16;

/// One of 36 products: [rows, inner] times [inner, columns].
void multiply(int64_t rows, int64_t columns, int64_t inner, int64_t step, const float *left, const float *right, float *to, bool adds) {
    small_product(rows, columns, inner, left, step, right, columns, to, columns, adds);
}

/// A pass over the columns of the filters' matrices; each thread gets whole vectors of them.
void over_columns(Step step, const Pass &pass) {
    auto width = vector_width();
    parallel_for(0, (pass.filter_columns + width - 1) / width, std::max<int64_t>(1, 2048 / pass.filter_rows), [&](int64_t begin, int64_t end) {
        run(step, pass, begin * width, std::min(end * width, pass.filter_columns));
    });
}

/// Cross-correlation with filters of [outputs, inputs, 3, 3] or, turned by 180°, with their channels exchanged; the input is channels last.
at::Tensor convolve(
    const at::Tensor &input, const at::Tensor &filters, const std::optional<at::Tensor> &bias, at::IntArrayRef padding, bool is_turned,
    Activation activation = {}) {
    auto outputs = filters.size(is_turned ? 1 : 0), inputs = filters.size(is_turned ? 0 : 1);
    Shape shape(input, outputs, padding);
    auto result = at::empty({shape.batch, outputs, shape.out_rows, shape.out_columns}, input.options(), at::MemoryFormat::ChannelsLast);
    auto matrix = inputs * outputs + gap;
    auto transformed = at::empty({36 * matrix}, input.options()), zeros = at::zeros({inputs}, input.options());
    auto plain = filters.contiguous();

    Pass filter{shape, data<float>(plain), mutable_data<float>(transformed), matrix};
    filter.filter_rows = inputs, filter.filter_columns = outputs, filter.is_turned = is_turned;
    filter.row_stride = is_turned ? 9 * outputs : 9, filter.column_stride = is_turned ? 9 : 9 * inputs;
    over_columns(Step::filter, filter);

    auto tiles = shape.tiles();
    parallel_for(0, (tiles + tiles_at_once - 1) / tiles_at_once, 1, [&](int64_t begin, int64_t end) {
        auto in = tiles_at_once * inputs + gap, out = tiles_at_once * outputs + gap;
        auto space = at::empty({36 * (in + out)}, input.options());
        auto from = mutable_data<float>(space), to = from + 36 * in;
        Pass read{shape, data<float>(input), from, in}, write{shape, to, mutable_data<float>(result), out};
        read.zeros = data<float>(zeros);
        write.bias = bias ? data<float>(*bias) : nullptr;
        write.activation = activation;
        for (auto block = begin; block < end; block++) {
            auto first = block * tiles_at_once, last = std::min(tiles, first + tiles_at_once);
            read.first = write.first = first;
            run(Step::input, read, first, last);
            for (int64_t k = 0; k < 36; k++)
                multiply(last - first, outputs, inputs, inputs, from + k * in, filter.to + k * matrix, to + k * out, /*adds=*/false);
            run(Step::output, write, first, last);
        }
    });
    return result;
}

/// The gradient with respect to the filters, of [outputs, inputs, 3, 3]; the input and the result's gradient are channels last.
at::Tensor filter_gradient(const at::Tensor &input, const at::Tensor &gradient, at::IntArrayRef padding) {
    Shape shape(input, gradient.size(1), padding);
    auto [inputs, outputs] = std::pair(shape.inputs, shape.outputs);
    auto width = vector_width();
    auto columns = tiles_of_gradient + gap, in = inputs * columns + gap, out = tiles_of_gradient * outputs + gap, matrix = inputs * outputs + gap;
    auto space = at::empty({36 * (in + out + matrix)}, input.options()), zeros = at::zeros({std::max(inputs, outputs)}, input.options());
    auto left = mutable_data<float>(space), right = left + 36 * in, sums = right + 36 * out;
    Pass read{shape, data<float>(input), left, in}, weigh{shape, data<float>(gradient), right, out};
    read.zeros = weigh.zeros = data<float>(zeros);
    read.columns = columns;
    auto tiles = shape.tiles();
    for (int64_t first = 0; first < tiles; first += tiles_of_gradient) {
        read.first = weigh.first = first;
        // A vector's tiles at a time; those beyond the last are 0.
        auto groups = (std::min(tiles - first, tiles_of_gradient) + width - 1) / width;
        parallel_for(0, groups, 1, [&](int64_t begin, int64_t end) {
            run(Step::input_transposed, read, begin, end);
            run(Step::gradient, weigh, first + begin * width, first + end * width);
        });
        // Each product's sum over the tiles in order, whatever the number of threads.
        parallel_for(0, 36, 1, [&](int64_t begin, int64_t end) {
            for (auto k = begin; k < end; k++)
                multiply(inputs, outputs, groups * width, columns, left + k * in, right + k * out, sums + k * matrix, /*adds=*/first > 0);
        });
    }
    auto result = at::empty({outputs, inputs, 3, 3}, input.options());
    Pass finish{shape, sums, mutable_data<float>(result), matrix};
    finish.filter_rows = inputs, finish.filter_columns = outputs, finish.row_stride = 9, finish.column_stride = 9 * inputs;
    over_columns(Step::filter_gradient, finish);
    return result;
}

/// Whether tiles save enough multiplications for a result of this size: they cover up to 3 more rows and columns.
bool saves(int64_t batch, int64_t rows, int64_t columns) {
    auto tiles = ((rows + 3) / 4) * ((columns + 3) / 4);
    return batch * tiles >= 32 && rows * columns >= 8 * tiles;
}

/// Whether this convolution goes this way; if anything is wrong with it, libtorch's says so.
bool takes(
    const at::Tensor &input, const at::Tensor &filters, const std::optional<at::Tensor> &bias, at::IntArrayRef stride, at::IntArrayRef padding,
    at::IntArrayRef dilation, int64_t groups) {
    auto is = [](at::IntArrayRef numbers, int64_t least, int64_t most) {
        return numbers.size() == 2 && std::all_of(numbers.begin(), numbers.end(), [&](int64_t number) { return number >= least && number <= most; });
    };
    auto is_float = [&](const at::Tensor &tensor) { return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat && tensor.layout() == at::kStrided; };
    if (!winograd_allowed || !has_small_products() || groups != 1 || !is(stride, 1, 1) || !is(dilation, 1, 1) || !is(padding, 0, 2)) return false;
    if (!is_float(input) || input.dim() != 4 || !input.is_contiguous(at::MemoryFormat::ChannelsLast)) return false;
    if (!is_float(filters) || filters.dim() != 4 || filters.size(2) != 3 || filters.size(3) != 3) return false;
    auto outputs = filters.size(0), inputs = filters.size(1);
    if (inputs != input.size(1) || inputs < 8 || outputs < 8) return false;
    if (bias && (!is_float(*bias) || bias->dim() != 1 || bias->size(0) != outputs)) return false;
    if (at::autocast::is_autocast_enabled(at::kCPU)) return false;
    return saves(input.size(0), input.size(2) + 2 * padding[0] - 2, input.size(3) + 2 * padding[1] - 2);
}

struct Convolution : torch::autograd::Function<Convolution> {
    static at::Tensor forward(
        torch::autograd::AutogradContext *context, const at::Tensor &input, const at::Tensor &filters, const std::optional<at::Tensor> &bias,
        at::IntArrayRef padding, int64_t kind, double slope) {
        at::AutoDispatchBelowADInplaceOrView below;
        Activation activation(kind, slope);
        auto added = bias ? std::optional(bias->contiguous()) : std::nullopt;
        auto result = convolve(input, filters, added, padding, /*is_turned=*/false, activation);
        context->save_for_backward({input, filters, activation ? result : at::Tensor()});
        context->saved_data["padding"] = padding.vec();
        save_activation(*context, activation);
        context->saved_data["has_bias"] = bias.has_value();
        return result;
    }

    static torch::autograd::variable_list backward(torch::autograd::AutogradContext *context, torch::autograd::variable_list &grads) {
        auto saved = context->get_saved_variables();
        auto &input = saved[0], &filters = saved[1];
        auto padding = context->saved_data["padding"].toIntVector();
        auto activation = saved_activation(*context);
        std::array<bool, 3> needs{
            context->needs_input_grad(0), context->needs_input_grad(1), context->saved_data["has_bias"].toBool() && context->needs_input_grad(2)};
        std::array<at::Tensor, 3> found;
        auto rest = needs;
        // libtorch's gradients can be differentiated.
        bool is_ours = !at::GradMode::is_enabled() && grads[0].scalar_type() == at::kFloat;
        // Without another reference, the gradient may be overwritten.
        if (is_ours) grads[0] = grads[0].contiguous(at::MemoryFormat::ChannelsLast);
        auto gradient = activation_gradient(activation, std::move(grads[0]), saved[2]);
        if (is_ours) {
            // First, so that its matrices and the input's gradient are not in memory at once.
            if (needs[1]) {
                found[1] = filter_gradient(input, gradient, padding);
                rest[1] = false;
            }
            if (needs[0] && saves(input.size(0), input.size(2), input.size(3))) {
                found[0] = convolve(gradient, filters, std::nullopt, {2 - padding[0], 2 - padding[1]}, /*is_turned=*/true);
                rest[0] = false;
            }
            if (needs[2]) {
                found[2] = at::sum(gradient, at::IntArrayRef{0, 2, 3});
                rest[2] = false;
            }
        }
        if (rest[0] || rest[1] || rest[2]) {
            auto others = at::convolution_backward(
                gradient, input, filters, filters.size(0), {1, 1}, padding, {1, 1}, /*transposed=*/false, {0, 0}, /*groups=*/1, rest);
            if (rest[0]) found[0] = std::get<0>(others);
            if (rest[1]) found[1] = std::get<1>(others);
            if (rest[2]) found[2] = std::get<2>(others);
        }
        return {found[0], found[1], found[2], {}, {}, {}};
    }
};

/// Whether this convolution is a product of matrices of float32 as they lie in memory.
bool is_product(
    const at::Tensor &input, const at::Tensor &filters, const std::optional<at::Tensor> &bias, at::IntArrayRef stride, at::IntArrayRef padding,
    int64_t groups) {
    auto all = [](at::IntArrayRef numbers, int64_t value) {
        return numbers.size() == 2 && std::all_of(numbers.begin(), numbers.end(), [&](int64_t number) { return number == value; });
    };
    auto is_float = [](const at::Tensor &tensor) { return tensor.device().is_cpu() && tensor.scalar_type() == at::kFloat; };
    if (!is_float(input) || !is_float(filters) || (bias && !is_float(*bias)) || at::autocast::is_autocast_enabled(at::kCPU)) return false;
    return input.dim() == 4 && input.numel() > 0 && input.is_contiguous(at::MemoryFormat::ChannelsLast) && filters.dim() == 4 && filters.size(2) == 1
        && filters.size(3) == 1 && filters.size(1) == input.size(1) && groups == 1 && all(stride, 1) && all(padding, 0)
        && (!bias || (bias->dim() == 1 && bias->size(0) == filters.size(0)));
}

/// Images of one channel lie in memory in both layouts at once, of which libtorch would take the slower one for everything that follows: here with the strides of channels last.
at::Tensor laid_out(const at::Tensor &input) {
    if (!input.device().is_cpu() || input.dim() != 4 || input.size(1) != 1 || input.stride(1) == 1 || !input.is_contiguous()) return input;
    return input.view({input.size(0), input.size(2), input.size(3), 1}).permute({0, 3, 1, 2});
}

at::Tensor convolution2d(
    const at::Tensor &given, const at::Tensor &filters, const std::optional<at::Tensor> &bias, at::IntArrayRef stride, at::IntArrayRef padding,
    at::IntArrayRef dilation, int64_t groups, int64_t kind, double slope) {
    Activation activation(kind, slope);
    auto input = laid_out(given);
    if (takes(input, filters, bias, stride, padding, dilation, groups)) return Convolution::apply(input, filters, bias, padding, kind, slope);
    if (prefers_products() && is_product(input, filters, bias, stride, padding, groups)) {
        auto rows = input.permute({0, 2, 3, 1}), matrix = filters.reshape({filters.size(0), filters.size(1)});
        return linear(rows, matrix, bias, activation).permute({0, 3, 1, 2});
    }
    return activated(activation, at::conv2d(input, filters, bias, stride, padding, dilation, groups));
}

}  // namespace

bool ctorch_winograd_allowed(void) { return winograd_allowed; }

void ctorch_winograd_allow(bool value) { winograd_allowed = value; }

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def(
        "convolution2d(Tensor input, Tensor weight, Tensor? bias, int[2] stride, int[2] padding, int[2] dilation, int groups, int kind, float slope) -> Tensor");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeImplicitAutograd, library) { library.impl("convolution2d", convolution2d); }
