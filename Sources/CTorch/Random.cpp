// Draws on all cores, registered with the dispatcher as `weightnorm::bernoulli_`, `weightnorm::uniform_` and `weightnorm::normal_`. libtorch draws one number after the other from its Mersenne Twister.
// Here the generator gives one key for the whole tensor, and each element's number depends only on the key and the element's place: Philox4x32-10 (Salmon et al., "Parallel random
// numbers: as easy as 1, 2, 3", 2011). So the draws do not depend on the number of threads, and several processes that have a part of a minibatch each draw what one process with the
// whole would: the part's first index and the whole's length along the axis of the batch say where its elements are. A length of 0 stands for a tensor that is the whole.
#include "Guard.hpp"
#include "TensorHeaders.hpp"
#include "WeightNormHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Vectors.hpp"

#include <cmath>
#include <limits>

using namespace ctorch;

namespace {

/// Counters processed at a time, so that the compiler vectorizes.
constexpr int lanes = 16;
/// Elements drawn at a time: four words come from each counter.
constexpr int64_t block = 4 * lanes;

/// The words of the counters from `first` on: word w of counter l at words[w * lanes + l]. The counters' upper halves are 0.
CTORCH_INLINE void philox(uint32_t *words, uint64_t first, uint64_t key) {
    uint32_t a[lanes], b[lanes], c[lanes], d[lanes];
    for (int l = 0; l < lanes; l++) {
        auto counter = first + static_cast<uint64_t>(l);
        a[l] = static_cast<uint32_t>(counter);
        b[l] = static_cast<uint32_t>(counter >> 32);
        c[l] = d[l] = 0;
    }
    auto low = static_cast<uint32_t>(key), high = static_cast<uint32_t>(key >> 32);
    for (int round = 0; round < 10; round++) {
        for (int l = 0; l < lanes; l++) {
            auto first_product = uint64_t{0xD2511F53} * a[l], second_product = uint64_t{0xCD9E8D57} * c[l];
            a[l] = static_cast<uint32_t>(second_product >> 32) ^ b[l] ^ low;
            b[l] = static_cast<uint32_t>(second_product);
            c[l] = static_cast<uint32_t>(first_product >> 32) ^ d[l] ^ high;
            d[l] = static_cast<uint32_t>(first_product);
        }
        low += 0x9E3779B9;
        high += 0xBB67AE85;
    }
    std::copy(a, a + lanes, words);
    std::copy(b, b + lanes, words + lanes);
    std::copy(c, c + lanes, words + 2 * lanes);
    std::copy(d, d + lanes, words + 3 * lanes);
}

// MARK: - Places

/// Where a tensor's elements are in the whole: runs of `length` elements, of which one begins every `stride` places, the first at `first`.
struct Places {
    int64_t runs = 1, length = 0, stride = 0, first = 0;
};

Places places(const at::Tensor &self, int64_t first, int64_t total, int64_t axis) {
    if (total == 0) return {1, self.numel(), 0, 0};
    TORCH_CHECK(axis >= 0 && axis < self.dim(), "expected an axis of the batch from 0 to ", self.dim() - 1, ", found ", axis);
    auto rows = self.size(axis);
    TORCH_CHECK(
        first >= 0 && total > 0 && first <= total - rows, "expected a part of ", rows, " within the whole minibatch of ", total, ", found its first index ", first);
    int64_t outer = 1, inner = 1;
    for (int64_t d = 0; d < axis; d++) outer *= self.size(d);
    for (int64_t d = axis + 1; d < self.dim(); d++) inner *= self.size(d);
    return {outer, rows * inner, total * inner, first * inner};
}

uint64_t draw_key(const std::optional<at::Generator> &generator) {
    TORCH_CHECK(generator.has_value() && generator->defined(), "expected a generator, found none");
    auto source = at::check_generator<at::CPUGeneratorImpl>(generator);
    std::scoped_lock lock(source->mutex_);
    return source->random64();
}

/// Where a tensor's numbers come from.
struct Source {
    Places places;
    uint64_t key;

    Source(const at::Tensor &self, const std::optional<at::Generator> &generator, int64_t first, int64_t total, int64_t axis)
        : places(::places(self, first, total, axis)) {
        TORCH_CHECK(
            total == 0 ? self.is_non_overlapping_and_dense() : self.is_contiguous(), "expected elements without gaps, found strides ", self.strides());
        // Last, so that a wrong part or layout leaves the generator as it was.
        key = draw_key(generator);
    }
};

/// Writes the numbers that `make` gives for a block's words over a tensor's elements; `make` writes a whole block.
template <typename T, typename Make>
void draw(T *elements, const Source &source, const Make &make) {
    auto &[places, key] = source;
    for (int64_t run = 0; run < places.runs; run++) {
        auto start = places.first + run * places.stride, end = start + places.length;
        auto to = elements + run * places.length;
        // A block's draws take about as long as this many simple element-wise results.
        auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / (8 * block));
        parallel_for(start / block, (end + block - 1) / block, grain, [&](int64_t first, int64_t last) {
            with_vectors([&](auto) CTORCH_LAMBDA {
                uint32_t words[block];
                T made[block];
                for (auto index = first; index < last; index++) {
                    philox(words, static_cast<uint64_t>(index) * lanes, key);
                    auto low = std::max(start, index * block), high = std::min(end, (index + 1) * block);
                    if (high - low == block) {
                        make(words, to + (low - start));
                    } else {
                        make(words, made);
                        for (auto place = low; place < high; place++) to[place - start] = made[place - index * block];
                    }
                }
            });
        });
    }
}

// MARK: - Bernoulli

at::Tensor &bernoulli_cpu(
    at::Tensor &self, double probability, double value, std::optional<at::Generator> generator, int64_t first, int64_t total, int64_t axis) {
    TORCH_CHECK(probability >= 0 && probability <= 1, "expected a probability from 0 to 1, found ", probability);
    Source source(self, generator, first, total, axis);
    auto threshold = static_cast<uint64_t>(std::llround(std::ldexp(probability, 32)));
    auto body = [&](auto zero) {
        using T = decltype(zero);
        auto success = static_cast<T>(value);
        draw(mutable_data<T>(self), source, [=](const uint32_t *words, T *to) CTORCH_LAMBDA {
            for (int64_t i = 0; i < block; i++) to[i] = words[i] < threshold ? success : T(0);
        });
    };
    switch (self.scalar_type()) {
        case at::kBool: body(bool()); break;
        case at::kByte: body(uint8_t()); break;
        case at::kChar: body(int8_t()); break;
        case at::kShort: body(int16_t()); break;
        case at::kInt: body(int32_t()); break;
        case at::kLong: body(int64_t()); break;
        default: with_type(self.scalar_type(), body);
    }
    return self;
}

/// Draws for a part by drawing the whole, where libtorch's generators decide which element gets which number.
template <typename Draw>
void draw_composed(at::Tensor &self, int64_t first, int64_t total, int64_t axis, const Draw &draw) {
    if (total == 0) return draw(self);
    places(self, first, total, axis);
    auto shape = self.sizes().vec();
    auto rows = shape[axis];
    shape[axis] = total;
    auto whole = at::empty(shape, self.options());
    draw(whole);
    self.copy_(whole.narrow(axis, first, rows));
}

at::Tensor &bernoulli_composed(
    at::Tensor &self, double probability, double value, std::optional<at::Generator> generator, int64_t first, int64_t total, int64_t axis) {
    draw_composed(self, first, total, axis, [&](at::Tensor &tensor) { tensor.bernoulli_(probability, generator); });
    if (value != 1) self.mul_(value);
    return self;
}

// MARK: - Uniform

at::Tensor &uniform_cpu(at::Tensor &self, std::optional<at::Generator> generator, int64_t first, int64_t total, int64_t axis) {
    Source source(self, generator, first, total, axis);
    with_type(self.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        // As many bits as the type has digits: with more, it would be rounded up to 1.
        constexpr int bits = std::min(32, std::numeric_limits<T>::digits);
        draw(mutable_data<T>(self), source, [](const uint32_t *words, T *to) CTORCH_LAMBDA {
            using Number = std::conditional_t<std::is_same_v<T, double>, double, float>;
            constexpr auto unit = 1 / static_cast<Number>(uint64_t{1} << bits);
            for (int64_t i = 0; i < block; i++) to[i] = static_cast<T>(static_cast<Number>(words[i] >> (32 - bits)) * unit);
        });
    });
    return self;
}

at::Tensor &uniform_composed(at::Tensor &self, std::optional<at::Generator> generator, int64_t first, int64_t total, int64_t axis) {
    draw_composed(self, first, total, axis, [&](at::Tensor &tensor) { tensor.uniform_(0, 1, generator); });
    return self;
}

// MARK: - Normal

/// log x of normal numbers, to a few units in the last place: Cephes' polynomial for the mantissa between √½ and √2.
CTORCH_INLINE float logarithm(float x) {
    int32_t bits;
    std::memcpy(&bits, &x, sizeof bits);
    auto exponent = (bits - 0x3F3504F3) >> 23;
    bits -= exponent * (1 << 23);
    float mantissa;
    std::memcpy(&mantissa, &bits, sizeof mantissa);
    auto f = mantissa - 1, square = f * f;
    auto series = ((((((((7.0376836292e-2f * f - 1.1514610310e-1f) * f + 1.1676998740e-1f) * f - 1.2420140846e-1f) * f + 1.4249322787e-1f) * f
                      - 1.6668057665e-1f) * f + 2.0000714765e-1f) * f - 2.4999993993e-1f) * f + 3.3333331174e-1f);
    auto whole = static_cast<float>(exponent);
    return whole * 0.693359375f + (f + (f * square * series - 0.5f * square - whole * 2.12194440e-4f));
}

/// The cosine and sine of an angle in units of 2⁻³² turns, by Taylor's series within an eighth of a turn.
CTORCH_INLINE void circle(uint32_t angle, float &cosine, float &sine) {
    // The nearest quarter, and the rest in turns.
    auto quarter = (angle + 0x20000000u) >> 30;
    auto rest = static_cast<float>(static_cast<int32_t>(angle - (quarter << 30))) * 0x1p-32f;
    auto x = rest * 6.28318531f, square = x * x;
    auto s = x * ((((1 / 362880.f * square - 1 / 5040.f) * square + 1 / 120.f) * square - 1 / 6.f) * square + 1);
    auto c = ((((-1 / 3628800.f * square + 1 / 40320.f) * square - 1 / 720.f) * square + 1 / 24.f) * square - 0.5f) * square + 1;
    bool is_odd = quarter & 1;
    auto first = is_odd ? s : c, second = is_odd ? c : s;
    cosine = quarter == 1 || quarter == 2 ? -first : first;
    sine = quarter >= 2 ? -second : second;
}

CTORCH_INLINE void circle(uint32_t angle, double &cosine, double &sine) {
    auto x = static_cast<double>(static_cast<int32_t>(angle)) * (2 * M_PI * 0x1p-32);
    cosine = std::cos(x);
    sine = std::sin(x);
}

CTORCH_INLINE double logarithm(double x) { return std::log(x); }

/// Box and Muller: from two words, the radius √(−2 log u) and the angle of two independent normal numbers.
template <typename T>
CTORCH_INLINE void make_normal(const uint32_t *words, T *to) {
    constexpr auto half = block / 2;
    for (int64_t i = 0; i < half; i++) {
        auto u = (static_cast<T>(words[i]) + T(0.5)) * T(0x1p-32);
        // Rounded to float, it may be 1, but not above.
        auto radius = __builtin_elementwise_sqrt(T(-2) * logarithm(u));
        T cosine, sine;
        circle(words[half + i], cosine, sine);
        to[i] = radius * cosine;
        to[half + i] = radius * sine;
    }
}

at::Tensor &normal_cpu(at::Tensor &self, std::optional<at::Generator> generator, int64_t first, int64_t total, int64_t axis) {
    Source source(self, generator, first, total, axis);
    with_type(self.scalar_type(), [&](auto zero) {
        using T = decltype(zero);
        if constexpr (std::is_same_v<T, float> || std::is_same_v<T, double>) {
            draw(mutable_data<T>(self), source, [](const uint32_t *words, T *to) CTORCH_LAMBDA { make_normal(words, to); });
        } else {
            draw(mutable_data<T>(self), source, [](const uint32_t *words, T *to) CTORCH_LAMBDA {
                float made[block];
                make_normal(words, made);
                for (int64_t i = 0; i < block; i++) to[i] = static_cast<T>(made[i]);
            });
        }
    });
    return self;
}

at::Tensor &normal_composed(at::Tensor &self, std::optional<at::Generator> generator, int64_t first, int64_t total, int64_t axis) {
    draw_composed(self, first, total, axis, [&](at::Tensor &tensor) { tensor.normal_(0, 1, generator); });
    return self;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("bernoulli_(Tensor(a!) self, float p, float value, Generator? generator, int first, int total, int axis) -> Tensor(a!)");
    library.def("uniform_(Tensor(a!) self, Generator? generator, int first, int total, int axis) -> Tensor(a!)");
    library.def("normal_(Tensor(a!) self, Generator? generator, int first, int total, int axis) -> Tensor(a!)");
}

TORCH_LIBRARY_IMPL(weightnorm, CPU, library) {
    library.impl("bernoulli_", bernoulli_cpu);
    library.impl("uniform_", uniform_cpu);
    library.impl("normal_", normal_cpu);
}

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) {
    library.impl("bernoulli_", bernoulli_composed);
    library.impl("uniform_", uniform_composed);
    library.impl("normal_", normal_composed);
}
