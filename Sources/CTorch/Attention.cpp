// The attention of DRAW (Gregor et al., 2015, §3.2) as three operators with their gradients: a glimpse is some hundred small operators otherwise, each of which costs more
// to call than to compute.
//
// weightnorm::attention_filters, for each image of a batch, from five numbers c₀, c₁, log δ, log σ² and log γ:
//
//     μ[k] = (c + 1)/2·size + δ·(k − count/2 + ½)      δ = (larger side − 1)/(count − 1)·exp(log δ)
//     e[k, a] = max(−80, −(a − μ[k])²/(2σ²))           F[k, a] = exp e[k, a]/(Σ_b exp e[k, b] + 1e-4)
//
// for the rows (V, of c₀) and the columns (H, of c₁), with γ and 1/γ. Exponents are kept within the type's range and centres within 1e9 pixels, so that a distance of 0 and one far
// outside of the image stay what they are however narrow or wide the filters are; an exponential whose result is below the normal numbers takes many times as long,
// and e⁻⁸⁰ is nothing beside 1e-4.
//
// weightnorm::attention_read: γ·V·x·Hᵀ of images x and, with a canvas c, of x − σ(c).    weightnorm::attention_write: c + Vᵀ·(w/γ)·H for patches w.
//
// On the CPU in float32 and float64 (where, on x86-64, numbers below the normal ones count as 0: products with filters far from their centre are such) each is one pass with a gradient of its own, by hand; elsewhere, and where a gradient is to be differentiated, they are the formulas in libtorch's
// operators.
#include "Guard.hpp"
#include "AttentionHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Activation.hpp"

using namespace ctorch;

namespace {

using Filters = std::tuple<at::Tensor, at::Tensor, at::Tensor, at::Tensor>;
using Canvas = std::optional<at::Tensor>;

/// What is added to a filter's sum before it divides (the implementation that Weight Normalization's authors took).
constexpr double added = 1e-4;
/// The exponent below which a filter is taken as it is there.
constexpr double lowest = -80;

/// The largest exponent of which neither the exponential nor its inverse leaves the type's normal numbers.
double largest_exponent(at::ScalarType type) { return type == at::kDouble ? 708 : type == at::kHalf ? 9 : 87; }

/// No pixel is seen from farther away, in pixels; its square is within the type's range.
double farthest(at::ScalarType type) { return type == at::kHalf ? 100 : 1e9; }

/// The distance between two filters, in pixels, at log δ = 0.
double unit_stride(int64_t count, int64_t rows, int64_t columns) {
    return static_cast<double>(std::max(rows, columns) - 1) / static_cast<double>(std::max<int64_t>(1, count - 1));
}

CTORCH_INLINE double place(int64_t filter, int64_t count) { return static_cast<double>(filter) - static_cast<double>(count) / 2 + 0.5; }

bool is_fused(const at::Tensor &tensor) {
    return tensor.device().is_cpu() && (tensor.scalar_type() == at::kFloat || tensor.scalar_type() == at::kDouble);
}

void check_numbers(const at::Tensor &numbers, int64_t count, int64_t rows, int64_t columns) {
    TORCH_CHECK(numbers.dim() == 2 && numbers.size(1) == 5, "expected five numbers an image, [batch, 5], found ", numbers.sizes());
    TORCH_CHECK(count > 0 && rows > 0 && columns > 0, "expected at least one filter, row and column, found ", count, ", ", rows, " and ", columns);
}

/// Checks filters of [batch, count, rows] and [batch, count, columns], and images and patches that go with them.
void check_filters(
    const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &factor, const Canvas &images, const Canvas &canvas, const Canvas &patches) {
    TORCH_CHECK(
        vertical.dim() == 3 && horizontal.dim() == 3 && vertical.size(0) == horizontal.size(0) && vertical.size(1) == horizontal.size(1),
        "expected filters of [batch, count, rows] and [batch, count, columns], found ", vertical.sizes(), " and ", horizontal.sizes());
    auto batch = vertical.size(0), count = vertical.size(1), rows = vertical.size(2), columns = horizontal.size(2);
    auto check = [&](const at::Tensor &tensor, std::vector<int64_t> expected) {
        TORCH_CHECK(tensor.sizes() == at::IntArrayRef(expected), "expected ", at::IntArrayRef(expected), ", found ", tensor.sizes());
        TORCH_CHECK(
            tensor.scalar_type() == vertical.scalar_type(), "expected elements of ", vertical.scalar_type(), ", found ", tensor.scalar_type());
    };
    check(horizontal, {batch, count, columns});
    check(factor, {batch, 1});
    if (images) check(*images, {batch, rows, columns});
    if (canvas) check(*canvas, {batch, rows, columns});
    if (patches) check(*patches, {batch, count * count});
}

// MARK: In libtorch's operators

Filters filters_composed(const at::Tensor &numbers, int64_t count, int64_t rows, int64_t columns) {
    check_numbers(numbers, count, rows, columns);
    auto bound = largest_exponent(numbers.scalar_type()), far = farthest(numbers.scalar_type());
    auto part = [&](int64_t index) { return numbers.narrow(1, index, 1); };
    auto exponential = [&](const at::Tensor &logarithm) { return at::exp(at::clamp(logarithm, -bound, bound)); };
    auto stride = at::clamp(exponential(part(2)) * unit_stride(count, rows, columns), std::nullopt, far);
    auto sharpness = (exponential(-part(3)) * -0.5).unsqueeze(2);
    auto places = at::arange(static_cast<double>(count), numbers.options()) - static_cast<double>(count) / 2 + 0.5;
    auto filters = [&](int64_t axis, int64_t size) {
        auto centre = (part(axis) + 1) * (static_cast<double>(size) / 2);
        auto middles = at::clamp(centre + stride * places, -far, far).unsqueeze(2);
        auto distances = at::arange(static_cast<double>(size), numbers.options()) - middles;
        auto heights = at::exp(at::clamp(distances * distances * sharpness, lowest, std::nullopt));
        return heights / (heights.sum(2, true) + added);
    };
    return {filters(0, rows), filters(1, columns), exponential(part(4)), exponential(-part(4))};
}

at::Tensor read_composed(
    const at::Tensor &images, const Canvas &canvas, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &intensity) {
    check_filters(vertical, horizontal, intensity, images, canvas, std::nullopt);
    auto read = [&](const at::Tensor &image) {
        return at::matmul(at::matmul(vertical, image), horizontal.transpose(1, 2)).flatten(1) * intensity;
    };
    if (!canvas) return read(images);
    return at::cat(std::vector<at::Tensor>{read(images), read(images - at::sigmoid(*canvas))}, 1);
}

at::Tensor write_composed(
    const Canvas &canvas, const at::Tensor &patches, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &faintness) {
    check_filters(vertical, horizontal, faintness, std::nullopt, canvas, patches);
    auto count = vertical.size(1);
    auto written = at::matmul(at::matmul(vertical.transpose(1, 2), (patches * faintness).view({-1, count, count})), horizontal);
    return canvas ? *canvas + written : written;
}

// MARK: Matrices of one image

// The matrices of one image are smaller than a few vectors, so they are copied to rows that end with whole vectors, in zeros: loops over their columns then have no remainder, which would
// otherwise be most of them.

/// The sum of a vector's elements, half added to half.
template <int width, typename T>
CTORCH_INLINE T sum(VectorOf<T, width> value) {
    if constexpr (width == 1) {
        return value[0];
    } else {
        VectorOf<T, width / 2> halves[2];
        std::memcpy(halves, &value, sizeof value);
        return sum<width / 2, T>(halves[0] + halves[1]);
    }
}

/// exp x for x from −80 to 0.
template <int width>
CTORCH_INLINE VectorOf<float, width> exponential_of(VectorOf<float, width> x) { return exponential<width>(x); }

template <int width>
CTORCH_INLINE VectorOf<double, width> exponential_of(VectorOf<double, width> x) {
    for (int lane = 0; lane < width; lane++) x[lane] = std::exp(x[lane]);
    return x;
}

/// Matrices of one image, each of whose rows has room for so many vectors.
template <typename T, int width>
class Padded {
public:
    int64_t rows, columns, step;

private:
    std::vector<T> memory;
    T *first;

public:
    CTORCH_INLINE Padded(int64_t rows, int64_t columns)
        : rows(rows), columns(columns), step((columns + width - 1) / width * width), memory(rows * step + 64 / sizeof(T)) {
        auto place = reinterpret_cast<uintptr_t>(memory.data());
        first = memory.data() + ((place + 63) / 64 * 64 - place) / sizeof(T);
    }

    Padded(const Padded &) = delete;

    CTORCH_INLINE T *row(int64_t index) { return first + index * step; }
    CTORCH_INLINE const T *row(int64_t index) const { return first + index * step; }

    CTORCH_INLINE void read(const T *from) {
        for (int64_t index = 0; index < rows; index++) std::memcpy(row(index), from + index * columns, columns * sizeof(T));
    }

    CTORCH_INLINE void write(T *to) const {
        for (int64_t index = 0; index < rows; index++) std::memcpy(to + index * columns, row(index), columns * sizeof(T));
    }

    /// Sets each vector to what the body makes of its place.
    template <typename Body>
    CTORCH_INLINE void fill(const Body &body) {
        for (int64_t place = 0; place < rows * step; place += width) store<width>(first + place, body(place));
    }

    CTORCH_INLINE VectorOf<T, width> at(int64_t place) const { return load<width>(first + place); }
};

/// left·right, for a left side whose elements are so far apart along its rows and columns; written, or added to what is there.
template <typename T, int width>
CTORCH_INLINE void multiply(Padded<T, width> &to, const T *left, int64_t row_step, int64_t column_step, const Padded<T, width> &right, bool adds = false) {
    for (int64_t row = 0; row < to.rows; row++)
        for (int64_t column = 0; column < to.step; column += width) {
            auto target = to.row(row) + column;
            auto found = adds ? load<width>(static_cast<const T *>(target)) : VectorOf<T, width>{};
            for (int64_t inner = 0; inner < right.rows; inner++) found += left[row * row_step + inner * column_step] * load<width>(right.row(inner) + column);
            store<width>(target, found);
        }
}

/// Gives the body each element of left·rightᵀ.
template <typename T, int width, typename Body>
CTORCH_INLINE void multiply_by_transposed(const Padded<T, width> &left, const Padded<T, width> &right, const Body &body) {
    for (int64_t row = 0; row < left.rows; row++)
        for (int64_t other = 0; other < right.rows; other++) {
            VectorOf<T, width> found{};
            for (int64_t column = 0; column < left.step; column += width) found += load<width>(left.row(row) + column) * load<width>(right.row(other) + column);
            body(row, other, sum<width, T>(found));
        }
}

// MARK: Filters on the CPU

/// What an image's five numbers mean.
template <typename T>
struct Grid {
    T centre[2], stride, sharpness, intensity, faintness;
    /// 1, or 0 where a bound keeps a number from changing anything.
    T stride_moves, sharpness_moves, intensity_moves;

    CTORCH_INLINE static T clamped(T value, T low, T high) { return value < low ? low : value > high ? high : value; }

    CTORCH_INLINE Grid(const T *numbers, const int64_t *sizes, T unit, T bound, T far) {
        auto within = [&](T logarithm) CTORCH_LAMBDA { return logarithm >= -bound && logarithm <= bound ? T(1) : T(0); };
        auto exponential = [&](T logarithm) CTORCH_LAMBDA { return std::exp(clamped(logarithm, -bound, bound)); };
        for (int axis = 0; axis < 2; axis++) centre[axis] = (numbers[axis] + 1) * (static_cast<T>(sizes[axis]) / 2);
        stride = exponential(numbers[2]) * unit;
        stride_moves = stride <= far ? within(numbers[2]) : T(0);
        if (stride > far) stride = far;
        sharpness = exponential(-numbers[3]) * T(-0.5);
        sharpness_moves = within(numbers[3]);
        intensity = exponential(numbers[4]);
        faintness = exponential(-numbers[4]);
        intensity_moves = within(numbers[4]);
    }
};

/// Elements below which a second thread costs more than it saves, as libtorch has it.
constexpr int64_t least_work = 32768;

/// Calls the body, marked CTORCH_LAMBDA, with the vectors' width and ranges of images, of which each has about so many elements to work on.
template <typename Body>
void over_images(int64_t batch, int64_t elements, Body &&body) {
    parallel_for(0, batch, std::max<int64_t>(1, least_work / std::max<int64_t>(1, elements)), [&](int64_t begin, int64_t end) {
        // Products with a filter far from its centre would be below the normal numbers.
        FlushesSubnormals flushes;
        with_vectors([&](auto width) CTORCH_LAMBDA { body(width, begin, end); });
    });
}

Filters filters_cpu(const at::Tensor &numbers, int64_t count, int64_t rows, int64_t columns) {
    if (!is_fused(numbers)) return filters_composed(numbers, count, rows, columns);
    check_numbers(numbers, count, rows, columns);
    auto batch = numbers.size(0);
    auto from = numbers.contiguous();
    at::Tensor filters[2] = {at::empty({batch, count, rows}, from.options()), at::empty({batch, count, columns}, from.options())};
    auto intensity = at::empty({batch, 1}, from.options()), faintness = at::empty({batch, 1}, from.options());
    with_floating(from.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        int64_t sizes[2] = {rows, columns};
        auto unit = static_cast<T>(unit_stride(count, rows, columns));
        auto bound = static_cast<T>(largest_exponent(from.scalar_type())), far = static_cast<T>(farthest(from.scalar_type()));
        auto np = data<T>(from);
        auto ip = mutable_data<T>(intensity), fp = mutable_data<T>(faintness);
        T *to[2] = {mutable_data<T>(filters[0]), mutable_data<T>(filters[1])};
        over_images(batch, 8 * count * (rows + columns), [&](auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
            using Lanes = VectorOf<T, width()>;
            Padded<T, width()> pixels[2] = {{1, rows}, {1, columns}}, inside[2] = {{1, rows}, {1, columns}}, heights[2] = {{1, rows}, {1, columns}};
            for (int axis = 0; axis < 2; axis++)
                for (int64_t pixel = 0; pixel < sizes[axis]; pixel++) pixels[axis].row(0)[pixel] = static_cast<T>(pixel), inside[axis].row(0)[pixel] = 1;
            for (auto image = begin; image < end; image++) {
                Grid<T> grid(np + 5 * image, sizes, unit, bound, far);
                ip[image] = grid.intensity;
                fp[image] = grid.faintness;
                for (int axis = 0; axis < 2; axis++)
                    for (int64_t filter = 0; filter < count; filter++) {
                        auto middle = Grid<T>::clamped(grid.centre[axis] + grid.stride * static_cast<T>(place(filter, count)), -far, far);
                        Lanes total{};
                        heights[axis].fill([&](int64_t pixel) CTORCH_LAMBDA {
                            auto distance = pixels[axis].at(pixel) - middle, exponent = distance * distance * grid.sharpness;
                            auto height = inside[axis].at(pixel) * exponential_of<width()>(exponent < T(lowest) ? Lanes{} + T(lowest) : exponent);
                            total += height;
                            return height;
                        });
                        auto factor = 1 / (sum<width(), T>(total) + T(added));
                        heights[axis].fill([&](int64_t pixel) CTORCH_LAMBDA { return heights[axis].at(pixel) * factor; });
                        heights[axis].write(to[axis] + (image * count + filter) * sizes[axis]);
                    }
            }
        });
    });
    return {filters[0], filters[1], intensity, faintness};
}

/// ∂e = F·(∂F − Σ ∂F·F), since F = exp e/(Σ exp e + 1e-4); then e's derivatives with respect to centre, δ and 1/(2σ²).
at::Tensor filters_backward(const torch::autograd::variable_list &grads, const at::Tensor &numbers, const at::Tensor &vertical, const at::Tensor &horizontal) {
    auto batch = vertical.size(0), count = vertical.size(1);
    int64_t sizes[2] = {vertical.size(2), horizontal.size(2)};
    auto from = numbers.contiguous(), result = at::empty({batch, 5}, from.options());
    at::Tensor slopes[2] = {grads[0].contiguous(), grads[1].contiguous()}, brightness = grads[2].contiguous(), darkness = grads[3].contiguous();
    with_floating(from.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        auto unit = static_cast<T>(unit_stride(count, sizes[0], sizes[1]));
        auto bound = static_cast<T>(largest_exponent(from.scalar_type())), far = static_cast<T>(farthest(from.scalar_type()));
        const T *np = data<T>(from), *ip = data<T>(brightness), *dp = data<T>(darkness);
        const T *filters[2] = {data<T>(vertical), data<T>(horizontal)}, *given[2] = {data<T>(slopes[0]), data<T>(slopes[1])};
        auto rp = mutable_data<T>(result);
        over_images(batch, 4 * count * (sizes[0] + sizes[1]), [&](auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
            using Lanes = VectorOf<T, width()>;
            Padded<T, width()> pixels[2] = {{1, sizes[0]}, {1, sizes[1]}}, heights[2] = {{1, sizes[0]}, {1, sizes[1]}}, slopes_of[2] = {{1, sizes[0]}, {1, sizes[1]}};
            for (int axis = 0; axis < 2; axis++)
                for (int64_t pixel = 0; pixel < sizes[axis]; pixel++) pixels[axis].row(0)[pixel] = static_cast<T>(pixel);
            for (auto image = begin; image < end; image++) {
                Grid<T> grid(np + 5 * image, sizes, unit, bound, far);
                T centres[2] = {0, 0}, stride = 0, sharpness = 0;
                for (int axis = 0; axis < 2; axis++)
                    for (int64_t filter = 0; filter < count; filter++) {
                        auto offset = (image * count + filter) * sizes[axis];
                        auto step = static_cast<T>(place(filter, count));
                        auto unbounded = grid.centre[axis] + grid.stride * step, middle = Grid<T>::clamped(unbounded, -far, far);
                        auto &f = heights[axis], &df = slopes_of[axis];
                        f.read(filters[axis] + offset);
                        df.read(given[axis] + offset);
                        Lanes common{}, moved{}, sharpened{};
                        for (int64_t pixel = 0; pixel < f.step; pixel += width()) common += f.at(pixel) * df.at(pixel);
                        auto mean = sum<width(), T>(common);
                        for (int64_t pixel = 0; pixel < f.step; pixel += width()) {
                            auto distance = pixels[axis].at(pixel) - middle, square = distance * distance;
                            auto slope = f.at(pixel) * (df.at(pixel) - mean);
                            // Beyond the bound on exponents a height does not change. The factor before the slope: their product may be a normal number where that of the slope and the
                            // distance is not.
                            auto is_bounded = square * grid.sharpness < T(lowest);
                            moved -= is_bounded ? Lanes{} : 2 * slope * (distance * grid.sharpness);
                            sharpened += is_bounded ? Lanes{} : slope * square;
                        }
                        sharpness += sum<width(), T>(sharpened);
                        if (unbounded < -far || unbounded > far) continue;
                        auto shift = sum<width(), T>(moved);
                        centres[axis] += shift;
                        stride += shift * step;
                    }
                auto to = rp + 5 * image;
                for (int axis = 0; axis < 2; axis++) to[axis] = centres[axis] * (static_cast<T>(sizes[axis]) / 2);
                to[2] = stride * grid.stride * grid.stride_moves;
                to[3] = -sharpness * grid.sharpness * grid.sharpness_moves;
                to[4] = (ip[image] * grid.intensity - dp[image] * grid.faintness) * grid.intensity_moves;
            }
        });
    });
    return result;
}

// MARK: Reading and writing on the CPU

struct Sizes {
    int64_t batch, count, rows, columns;

    Sizes(const at::Tensor &vertical, const at::Tensor &horizontal)
        : batch(vertical.size(0)), count(vertical.size(1)), rows(vertical.size(2)), columns(horizontal.size(2)) {}

    int64_t pixels() const { return rows * columns; }
    int64_t patch() const { return count * count; }
    /// Of the work on one image.
    int64_t work() const { return count * pixels() / 2; }
};

/// The reading, and σ(c), which its gradient needs.
std::tuple<at::Tensor, at::Tensor> read_cpu(
    const at::Tensor &images, const Canvas &canvas, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &intensity) {
    check_filters(vertical, horizontal, intensity, images, canvas, std::nullopt);
    Sizes sizes(vertical, horizontal);
    auto x = images.contiguous(), v = vertical.contiguous(), h = horizontal.contiguous(), g = intensity.contiguous();
    auto seen = canvas ? at::sigmoid(canvas->contiguous()) : at::Tensor();
    auto parts = canvas ? 2 : 1;
    auto result = at::empty({sizes.batch, parts * sizes.patch()}, v.options());
    with_floating(v.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        const T *xp = data<T>(x), *vp = data<T>(v), *hp = data<T>(h), *gp = data<T>(g), *sp = canvas ? data<T>(seen) : nullptr;
        auto rp = mutable_data<T>(result);
        over_images(sizes.batch, sizes.work(), [&](auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
            using Matrix = Padded<T, width()>;
            Matrix image(sizes.rows, sizes.columns), other(sizes.rows, sizes.columns), across(sizes.count, sizes.columns), half(sizes.count, sizes.columns);
            for (auto index = begin; index < end; index++) {
                image.read(xp + index * sizes.pixels());
                across.read(hp + index * sizes.count * sizes.columns);
                for (int part = 0; part < parts; part++) {
                    if (part > 0) {
                        other.read(sp + index * sizes.pixels());
                        image.fill([&](int64_t place) CTORCH_LAMBDA { return image.at(place) - other.at(place); });
                    }
                    auto to = rp + (index * parts + part) * sizes.patch();
                    multiply(half, vp + index * sizes.count * sizes.rows, sizes.rows, 1, image);
                    multiply_by_transposed(
                        half, across, [&](int64_t row, int64_t column, T value) CTORCH_LAMBDA { to[row * sizes.count + column] = value * gp[index]; });
                }
            }
        });
    });
    return {result, seen};
}

/// With G = γ·∂r: ∂x = Vᵀ·G·H, ∂V = G·H·xᵀ, ∂H = Gᵀ·V·x, ∂γ = Σ ∂r ⊙ V·x·Hᵀ; of x − σ(c) also ∂c = −∂x ⊙ σ(1 − σ).
torch::autograd::variable_list read_backward(
    const at::Tensor &grad, const at::Tensor &images, const at::Tensor &seen, const at::Tensor &vertical, const at::Tensor &horizontal,
    const at::Tensor &intensity, bool to_images) {
    Sizes sizes(vertical, horizontal);
    auto parts = seen.defined() ? 2 : 1;
    auto given = grad.contiguous(), x = images.contiguous(), v = vertical.contiguous(), h = horizontal.contiguous(), g = intensity.contiguous();
    auto d_v = at::empty_like(v), d_h = at::empty_like(h), d_g = at::empty({sizes.batch, 1}, v.options());
    auto d_x = to_images ? at::empty_like(x) : at::Tensor(), d_c = seen.defined() ? at::empty_like(x) : at::Tensor();
    with_floating(v.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        const T *dp = data<T>(given), *xp = data<T>(x), *vp = data<T>(v), *hp = data<T>(h), *gp = data<T>(g);
        auto sp = seen.defined() ? data<T>(seen) : nullptr;
        T *dvp = mutable_data<T>(d_v), *dhp = mutable_data<T>(d_h), *dgp = mutable_data<T>(d_g);
        T *dxp = to_images ? mutable_data<T>(d_x) : nullptr, *dcp = sp ? mutable_data<T>(d_c) : nullptr;
        over_images(sizes.batch, 4 * sizes.work(), [&](auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
            using Matrix = Padded<T, width()>;
            auto count = sizes.count;
            Matrix image(sizes.rows, sizes.columns), other(sizes.rows, sizes.columns), slope(sizes.rows, sizes.columns), to_image(sizes.rows, sizes.columns);
            Matrix across(count, sizes.columns), to_across(count, sizes.columns), half(count, sizes.columns), back(count, sizes.columns);
            std::vector<T> scaled(sizes.patch());
            for (auto index = begin; index < end; index++) {
                const T *filters = vp + index * count * sizes.rows;
                auto to_filters = dvp + index * count * sizes.rows;
                image.read(xp + index * sizes.pixels());
                across.read(hp + index * count * sizes.columns);
                T to_intensity = 0;
                for (int part = 0; part < parts; part++) {
                    if (part > 0) {
                        other.read(sp + index * sizes.pixels());
                        image.fill([&](int64_t place) CTORCH_LAMBDA { return image.at(place) - other.at(place); });
                    }
                    auto from = dp + (index * parts + part) * sizes.patch();
                    for (int64_t element = 0; element < sizes.patch(); element++) scaled[element] = from[element] * gp[index];
                    multiply(half, filters, sizes.rows, 1, image);
                    multiply_by_transposed(
                        half, across, [&](int64_t row, int64_t column, T value) CTORCH_LAMBDA { to_intensity += from[row * count + column] * value; });
                    multiply(to_across, scaled.data(), 1, count, half, /*adds=*/part > 0);
                    multiply(back, scaled.data(), count, 1, across);
                    multiply_by_transposed(back, image, [&](int64_t filter, int64_t row, T value) CTORCH_LAMBDA {
                        auto &to = to_filters[filter * sizes.rows + row];
                        to = part > 0 ? to + value : value;
                    });
                    if (part == 0 && !dxp) continue;
                    multiply(slope, filters, 1, sizes.rows, back);
                    if (dxp && part == 0) to_image.fill([&](int64_t place) CTORCH_LAMBDA { return slope.at(place); });
                    if (part == 0) continue;
                    if (dxp) to_image.fill([&](int64_t place) CTORCH_LAMBDA { return to_image.at(place) + slope.at(place); });
                    slope.fill([&](int64_t place) CTORCH_LAMBDA { return -slope.at(place) * other.at(place) * (1 - other.at(place)); });
                    slope.write(dcp + index * sizes.pixels());
                }
                to_across.write(dhp + index * count * sizes.columns);
                dgp[index] = to_intensity;
                if (dxp) to_image.write(dxp + index * sizes.pixels());
            }
        });
    });
    return {d_x, d_c, d_v, d_h, d_g};
}

at::Tensor write_cpu(
    const Canvas &canvas, const at::Tensor &patches, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &faintness) {
    check_filters(vertical, horizontal, faintness, std::nullopt, canvas, patches);
    Sizes sizes(vertical, horizontal);
    auto w = patches.contiguous(), v = vertical.contiguous(), h = horizontal.contiguous(), f = faintness.contiguous();
    auto before = canvas ? canvas->contiguous() : at::Tensor();
    auto result = at::empty({sizes.batch, sizes.rows, sizes.columns}, v.options());
    with_floating(v.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        const T *wp = data<T>(w), *vp = data<T>(v), *hp = data<T>(h), *fp = data<T>(f), *bp = canvas ? data<T>(before) : nullptr;
        auto rp = mutable_data<T>(result);
        over_images(sizes.batch, sizes.work(), [&](auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
            using Matrix = Padded<T, width()>;
            Matrix image(sizes.rows, sizes.columns), across(sizes.count, sizes.columns), half(sizes.count, sizes.columns);
            std::vector<T> scaled(sizes.patch());
            for (auto index = begin; index < end; index++) {
                for (int64_t element = 0; element < sizes.patch(); element++) scaled[element] = wp[index * sizes.patch() + element] * fp[index];
                across.read(hp + index * sizes.count * sizes.columns);
                multiply(half, scaled.data(), sizes.count, 1, across);
                if (bp) image.read(bp + index * sizes.pixels());
                multiply(image, vp + index * sizes.count * sizes.rows, 1, sizes.rows, half, /*adds=*/bp != nullptr);
                image.write(rp + index * sizes.pixels());
            }
        });
    });
    return result;
}

/// With P = w/γ and ∂ the gradient: ∂P = V·∂·Hᵀ, ∂V = P·H·∂ᵀ, ∂H = Pᵀ·V·∂.
torch::autograd::variable_list write_backward(
    const at::Tensor &grad, const at::Tensor &patches, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &faintness) {
    Sizes sizes(vertical, horizontal);
    auto given = grad.contiguous(), w = patches.contiguous(), v = vertical.contiguous(), h = horizontal.contiguous(), f = faintness.contiguous();
    auto d_w = at::empty_like(w), d_v = at::empty_like(v), d_h = at::empty_like(h), d_f = at::empty({sizes.batch, 1}, v.options());
    with_floating(v.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        const T *dp = data<T>(given), *wp = data<T>(w), *vp = data<T>(v), *hp = data<T>(h), *fp = data<T>(f);
        T *dwp = mutable_data<T>(d_w), *dvp = mutable_data<T>(d_v), *dhp = mutable_data<T>(d_h), *dfp = mutable_data<T>(d_f);
        over_images(sizes.batch, 3 * sizes.work(), [&](auto width, int64_t begin, int64_t end) CTORCH_LAMBDA {
            using Matrix = Padded<T, width()>;
            auto count = sizes.count;
            Matrix given(sizes.rows, sizes.columns), across(count, sizes.columns), to_across(count, sizes.columns), seen(count, sizes.columns);
            Matrix drawn(count, sizes.columns);
            std::vector<T> scaled(sizes.patch());
            for (auto index = begin; index < end; index++) {
                const T *patch = wp + index * sizes.patch(), *filters = vp + index * count * sizes.rows;
                auto to_patch = dwp + index * sizes.patch(), to_filters = dvp + index * count * sizes.rows;
                given.read(dp + index * sizes.pixels());
                across.read(hp + index * count * sizes.columns);
                for (int64_t element = 0; element < sizes.patch(); element++) scaled[element] = patch[element] * fp[index];
                multiply(seen, filters, sizes.rows, 1, given);
                T to_faintness = 0;
                multiply_by_transposed(seen, across, [&](int64_t row, int64_t column, T value) CTORCH_LAMBDA {
                    to_faintness += value * patch[row * count + column];
                    to_patch[row * count + column] = value * fp[index];
                });
                dfp[index] = to_faintness;
                multiply(to_across, scaled.data(), 1, count, seen);
                to_across.write(dhp + index * count * sizes.columns);
                multiply(drawn, scaled.data(), count, 1, across);
                multiply_by_transposed(
                    drawn, given, [&](int64_t filter, int64_t row, T value) CTORCH_LAMBDA { to_filters[filter * sizes.rows + row] = value; });
            }
        });
    });
    return {d_w, d_v, d_h, d_f};
}

// MARK: Gradients

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

/// The gradients of a formula in libtorch's operators, which can themselves be differentiated: with respect to those inputs that are defined and recorded.
///
/// The formula is of views of the inputs, so that what one input owes to another is not counted here as well as outside.
template <typename Formula>
variable_list recorded_gradients(const variable_list &inputs, const variable_list &grads, const Formula &formula) {
    variable_list views, wanted, all;
    for (auto &input : inputs) {
        bool is_wanted = input.defined() && input.requires_grad();
        views.push_back(is_wanted ? input.view_as(input) : input);
        if (is_wanted) wanted.push_back(views.back());
    }
    variable_list found;
    if (!wanted.empty()) found = torch::autograd::grad(formula(views), wanted, grads, true, true, true);
    size_t next = 0;
    for (auto &input : inputs) all.push_back(input.defined() && input.requires_grad() ? found[next++] : at::Tensor());
    return all;
}

struct MakeFilters : torch::autograd::Function<MakeFilters> {
    static variable_list forward(AutogradContext *context, const at::Tensor &numbers, int64_t count, int64_t rows, int64_t columns) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto [vertical, horizontal, intensity, faintness] = filters_cpu(numbers, count, rows, columns);
        context->save_for_backward({numbers, vertical, horizontal});
        context->saved_data["sizes"] = std::vector<int64_t>{count, rows, columns};
        return {vertical, horizontal, intensity, faintness};
    }

    static variable_list backward(AutogradContext *context, variable_list grads) {
        auto saved = context->get_saved_variables();
        if (!at::GradMode::is_enabled()) return {filters_backward(grads, saved[0], saved[1], saved[2]), {}, {}, {}};
        auto sizes = context->saved_data["sizes"].toIntVector();
        auto found = recorded_gradients({saved[0]}, grads, [&](const variable_list &inputs) -> variable_list {
            auto [vertical, horizontal, intensity, faintness] = filters_composed(inputs[0], sizes[0], sizes[1], sizes[2]);
            return {vertical, horizontal, intensity, faintness};
        });
        return {found[0], {}, {}, {}};
    }
};

struct Read : torch::autograd::Function<Read> {
    static at::Tensor forward(
        AutogradContext *context, const at::Tensor &images, const Canvas &canvas, const at::Tensor &vertical, const at::Tensor &horizontal,
        const at::Tensor &intensity) {
        at::AutoDispatchBelowADInplaceOrView below;
        auto [result, seen] = read_cpu(images, canvas, vertical, horizontal, intensity);
        context->save_for_backward({images, canvas.value_or(at::Tensor()), vertical, horizontal, intensity, seen});
        context->saved_data["to_images"] = images.requires_grad();
        return result;
    }

    static variable_list backward(AutogradContext *context, variable_list grads) {
        auto saved = context->get_saved_variables();
        if (!at::GradMode::is_enabled())
            return read_backward(grads[0], saved[0], saved[5], saved[2], saved[3], saved[4], context->saved_data["to_images"].toBool());
        return recorded_gradients({saved[0], saved[1], saved[2], saved[3], saved[4]}, grads, [](const variable_list &inputs) -> variable_list {
            return {read_composed(inputs[0], inputs[1].defined() ? Canvas(inputs[1]) : std::nullopt, inputs[2], inputs[3], inputs[4])};
        });
    }
};

struct Write : torch::autograd::Function<Write> {
    static at::Tensor forward(
        AutogradContext *context, const Canvas &canvas, const at::Tensor &patches, const at::Tensor &vertical, const at::Tensor &horizontal,
        const at::Tensor &faintness) {
        at::AutoDispatchBelowADInplaceOrView below;
        context->save_for_backward({patches, vertical, horizontal, faintness});
        context->saved_data["has_canvas"] = canvas.has_value();
        return write_cpu(canvas, patches, vertical, horizontal, faintness);
    }

    static variable_list backward(AutogradContext *context, variable_list grads) {
        auto saved = context->get_saved_variables();
        auto composed = [](const variable_list &inputs) -> variable_list {
            return {write_composed(std::nullopt, inputs[0], inputs[1], inputs[2], inputs[3])};
        };
        auto found = at::GradMode::is_enabled() ? recorded_gradients(saved, grads, composed) : write_backward(grads[0], saved[0], saved[1], saved[2], saved[3]);
        // The canvas is only added to.
        return {context->saved_data["has_canvas"].toBool() ? grads[0] : at::Tensor(), found[0], found[1], found[2], found[3]};
    }
};

Filters filters_autograd(const at::Tensor &numbers, int64_t count, int64_t rows, int64_t columns) {
    if (!is_fused(numbers)) return filters_composed(numbers, count, rows, columns);
    auto found = MakeFilters::apply(numbers, count, rows, columns);
    return {found[0], found[1], found[2], found[3]};
}

at::Tensor read_autograd(
    const at::Tensor &images, const Canvas &canvas, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &intensity) {
    if (!is_fused(vertical)) return read_composed(images, canvas, vertical, horizontal, intensity);
    return Read::apply(images, canvas, vertical, horizontal, intensity);
}

at::Tensor write_autograd(
    const Canvas &canvas, const at::Tensor &patches, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &faintness) {
    if (!is_fused(vertical)) return write_composed(canvas, patches, vertical, horizontal, faintness);
    return Write::apply(canvas, patches, vertical, horizontal, faintness);
}

at::Tensor read_plain(
    const at::Tensor &images, const Canvas &canvas, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &intensity) {
    if (!is_fused(vertical)) return read_composed(images, canvas, vertical, horizontal, intensity);
    return std::get<0>(read_cpu(images, canvas, vertical, horizontal, intensity));
}

at::Tensor write_plain(
    const Canvas &canvas, const at::Tensor &patches, const at::Tensor &vertical, const at::Tensor &horizontal, const at::Tensor &faintness) {
    if (!is_fused(vertical)) return write_composed(canvas, patches, vertical, horizontal, faintness);
    return write_cpu(canvas, patches, vertical, horizontal, faintness);
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("attention_filters(Tensor numbers, int count, int rows, int columns) -> (Tensor, Tensor, Tensor, Tensor)");
    library.def("attention_read(Tensor images, Tensor? canvas, Tensor vertical, Tensor horizontal, Tensor intensity) -> Tensor");
    library.def("attention_write(Tensor? canvas, Tensor patches, Tensor vertical, Tensor horizontal, Tensor faintness) -> Tensor");
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) {
    library.impl("attention_filters", filters_cpu);
    library.impl("attention_read", read_plain);
    library.impl("attention_write", write_plain);
}

TORCH_LIBRARY_IMPL(weightnorm, Autograd, library) {
    library.impl("attention_filters", filters_autograd);
    library.impl("attention_read", read_autograd);
    library.impl("attention_write", write_autograd);
}
