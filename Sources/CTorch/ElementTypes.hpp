// What our own operators for the CPU share: elements behind their type, and a body called with the type. After a file with libtorch's headers.
#pragma once

namespace ctorch {

// The typed accessors of some versions of libtorch have names that clang mangles otherwise than the compiler that built it.
template <typename T>
const T *data(const at::Tensor &tensor) { return static_cast<const T *>(tensor.const_data_ptr()); }

template <typename T>
T *mutable_data(const at::Tensor &tensor) { return static_cast<T *>(tensor.mutable_data_ptr()); }

/// Calls the body with a zero of the floating-point type.
template <typename Body>
void with_type(at::ScalarType type, Body &&body) {
    switch (type) {
        case at::kFloat: return body(float());
        case at::kDouble: return body(double());
        case at::kHalf: return body(at::Half());
        case at::kBFloat16: return body(at::BFloat16());
        default: TORCH_CHECK(false, "expected a floating-point type, found ", type);
    }
}

/// The same for the types in which numbers are computed without conversion.
template <typename Body>
void with_floating(at::ScalarType type, Body &&body) {
    if (type == at::kDouble) return body(double());
    TORCH_CHECK(type == at::kFloat, "expected float or double, found ", type);
    body(float());
}

}  // namespace ctorch
