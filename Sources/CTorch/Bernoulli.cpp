// Bernoulli draws on all cores, registered with the dispatcher as `weightnorm::bernoulli_`. libtorch draws them one after the other from its Mersenne
// Twister (seen on AMD). Here the generator gives one key for the whole tensor, and each element's number depends only on the key and the element's
// place in memory: Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011). So the draws do not depend on the number of
// threads.
#include "Guard.hpp"
#include "TensorHeaders.hpp"
#include "WeightNormHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"

using namespace ctorch;

namespace {

/// Counters processed at a time, so that the compiler vectorizes.
constexpr int lanes = 16;
/// Elements drawn at a time: four words come from each counter.
constexpr int64_t block = 4 * lanes;

/// The words of the counters from `first` on: word w of counter l at words[w * lanes + l]. The counters' upper halves are 0.
inline void philox(uint32_t *words, uint64_t first, uint64_t key) {
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

template <typename T>
void draw(T *elements, int64_t count, uint64_t key, uint64_t threshold, T success) {
    auto blocks = (count + block - 1) / block;
    // A block's draws take about as long as this many simple element-wise results.
    auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / (8 * block));
    parallel_for(0, blocks, grain, [&](int64_t begin, int64_t end) {
        uint32_t words[block];
        for (auto index = begin; index < end; index++) {
            philox(words, static_cast<uint64_t>(index) * lanes, key);
            auto first = elements + index * block;
            auto length = std::min(block, count - index * block);
            for (int64_t i = 0; i < length; i++) first[i] = words[i] < threshold ? success : T(0);
        }
    });
}

at::Tensor &bernoulli_cpu(at::Tensor &self, double probability, double value, std::optional<at::Generator> generator) {
    TORCH_CHECK(probability >= 0 && probability <= 1, "expected a probability from 0 to 1, found ", probability);
    TORCH_CHECK(self.is_non_overlapping_and_dense(), "expected elements without gaps, found strides ", self.strides());
    TORCH_CHECK(generator.has_value() && generator->defined(), "expected a generator, found none");
    auto source = at::check_generator<at::CPUGeneratorImpl>(generator);
    uint64_t key;
    {
        std::scoped_lock lock(source->mutex_);
        key = source->random64();
    }
    auto threshold = static_cast<uint64_t>(std::llround(std::ldexp(probability, 32)));
    auto body = [&](auto zero) {
        using T = decltype(zero);
        draw(mutable_data<T>(self), self.numel(), key, threshold, static_cast<T>(value));
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

at::Tensor &bernoulli_composed(at::Tensor &self, double probability, double value, std::optional<at::Generator> generator) {
    self.bernoulli_(probability, std::move(generator));
    if (value != 1) self.mul_(value);
    return self;
}

}  // namespace

TORCH_LIBRARY_FRAGMENT(weightnorm, library) {
    library.def("bernoulli_(Tensor(a!) self, float p, float value, Generator? generator) -> Tensor(a!)");
}

TORCH_LIBRARY_IMPL(weightnorm, CPU, library) { library.impl("bernoulli_", bernoulli_cpu); }

TORCH_LIBRARY_IMPL(weightnorm, CompositeExplicitAutograd, library) { library.impl("bernoulli_", bernoulli_composed); }
