// Products of small matrices by oneDNN's kernels, which libtorch offers on x86-64. Include after libtorch's headers.
#pragma once
#include <ATen/native/CPUBlas.h>

#include "Vectors.hpp"

namespace ctorch {

/// left·right of row-major matrices [rows, inner] and [inner, columns], of which successive rows begin `left_step` and so on apart, written over the result or added to it.
/// The order of each sum is that of `inner`, however many rows and columns there are.
inline void small_product(
    int64_t rows, int64_t columns, int64_t inner, const float *left, int64_t left_step, const float *right, int64_t right_step, float *to, int64_t to_step,
    bool adds) {
    at::native::cpublas::brgemm(rows, columns, inner, left_step, right_step, to_step, adds, left, right, to, /*is_vnni=*/false);
}

/// Whether there are such kernels here: a libtorch without oneDNN has none and throws.
inline bool has_small_products() {
    static const bool found = [] {
        if (vector_width() == 4) return false;
        try {
            float left = 2, right = 3, to = 0;
            small_product(1, 1, 1, &left, 1, &right, 1, &to, 1, /*adds=*/false);
            return to == 6;
        } catch (const c10::Error &) {
            return false;
        }
    }();
    return found;
}

}  // namespace ctorch
