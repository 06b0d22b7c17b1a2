// What our own CPU operators share: typed access to elements, and calling a body with the element type. Include after libtorch's headers.
#pragma once

namespace ctorch {

// In some versions of libtorch, clang mangles the typed accessors' names differently from the compiler that built it.
template <typename T>
const T *data(const at::Tensor &tensor) { return static_cast<const T *>(tensor.const_data_ptr()); }

template <typename T>
T *mutable_data(const at::Tensor &tensor) { return static_cast<T *>(tensor.mutable_data_ptr()); }

/// Calls the body with a zero of the tensor's floating-point type.
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

/// The same for the types that are computed with directly, without conversion.
template <typename Body>
void with_floating(at::ScalarType type, Body &&body) {
    if (type == at::kDouble) return body(double());
    TORCH_CHECK(type == at::kFloat, "expected float or double, found ", type);
    body(float());
}

}  // namespace ctorch
