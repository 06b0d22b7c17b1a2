// Vectors of floats of the machine's width. The same code is compiled for each set of instructions, and the best that the processor has is taken at run time: a package that others
// depend on cannot set the compiler's flags.
#pragma once
#include <ATen/Version.h>

#include <cstdint>
#include <cstring>
#include <type_traits>
#include <utility>

// Vectors are passed between functions that are always inlined, so that there is no calling convention to differ.
#pragma clang diagnostic ignored "-Wpsabi"
#define CTORCH_INLINE inline __attribute__((always_inline))
#define CTORCH_LAMBDA __attribute__((always_inline))

namespace ctorch {

template <typename T, int width>
using VectorOf = T __attribute__((vector_size(width * sizeof(T))));
template <int width>
using Vector = VectorOf<float, width>;
template <int width>
using Integers = int32_t __attribute__((vector_size(width * sizeof(int32_t))));

template <int width, typename T>
CTORCH_INLINE VectorOf<T, width> load(const T *from) {
    VectorOf<T, width> vector;
    std::memcpy(&vector, from, sizeof vector);
    return vector;
}

template <int width, typename T>
CTORCH_INLINE void store(T *to, VectorOf<T, width> vector) { std::memcpy(to, &vector, sizeof vector); }

/// Calls the body with the first element of each vector, and with those that are left over one by one.
template <int width, typename Body>
CTORCH_INLINE void each_vector(int64_t begin, int64_t end, const Body &body) {
    auto at = begin;
    for (; at + width <= end; at += width) body(std::integral_constant<int, width>(), at);
    if constexpr (width > 1)
        for (; at < end; at++) body(std::integral_constant<int, 1>(), at);
}

/// The lanes of the vectors that this processor has instructions for; 4 where only the compiler knows.
inline int vector_width() {
    static const int width = [] {
#if defined(__x86_64__)
        auto capability = at::get_cpu_capability();
        if (capability == "AVX512") return 16;
        if (capability == "AVX2") return 8;
#endif
        return 4;
    }();
    return width;
}

#if defined(__x86_64__)
template <typename Body>
__attribute__((target("avx2,fma"), min_vector_width(256))) void with_avx2(const Body &body) { body(std::integral_constant<int, 8>()); }

template <typename Body>
__attribute__((target("avx512f,avx512vl,avx512dq,avx512bw,fma"), min_vector_width(512))) void with_avx512(const Body &body) {
    body(std::integral_constant<int, 16>());
}
#endif

/// While there is one, this thread takes numbers below the normal ones for 0, operands and results, on x86-64, whose processors take many times as long for them. Elsewhere
/// it changes nothing.
class FlushesSubnormals {
#if defined(__x86_64__)
    static constexpr unsigned flush_to_zero = 0x8000, denormals_are_zero = 0x0040;
    unsigned before = __builtin_ia32_stmxcsr();

public:
    FlushesSubnormals() { __builtin_ia32_ldmxcsr(before | flush_to_zero | denormals_are_zero); }
    ~FlushesSubnormals() { __builtin_ia32_ldmxcsr(before); }
#else
public:
    FlushesSubnormals() {}
#endif
    FlushesSubnormals(const FlushesSubnormals &) = delete;
};

/// Calls the body with the width of this processor's vectors, compiled for their instructions if it is marked CTORCH_LAMBDA.
template <typename Body>
void with_vectors(const Body &body) {
#if defined(__x86_64__)
    if (vector_width() == 16) return with_avx512(body);
    if (vector_width() == 8) return with_avx2(body);
#endif
    body(std::integral_constant<int, 4>());
}

}  // namespace ctorch
