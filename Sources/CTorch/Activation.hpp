// Activations whose derivative follows from their value: the operators that compute a pre-activation apply them to it before anyone else has it, and keep the value alone.
// Include after libtorch's headers.
#pragma once
#include "Vectors.hpp"

namespace torch::autograd {
struct AutogradContext;
}

namespace ctorch {

/// The numbers are those of Swift's `ActivationFunction`.
enum class ActivationKind : int64_t { none = 0, relu, leaky_relu, elu, tanh, sigmoid };

struct Activation {
    ActivationKind kind = ActivationKind::none;
    /// Of the leaky ReLU.
    double slope = 0;

    Activation() = default;

    Activation(int64_t kind, double slope) : kind(static_cast<ActivationKind>(kind)), slope(slope) {
        TORCH_CHECK(kind >= 0 && kind <= 5, "expected the number of an activation from 0 to 5, found ", kind);
        TORCH_CHECK(slope >= 0, "expected a slope from 0 up, found ", slope);
    }

    explicit operator bool() const { return kind != ActivationKind::none; }
};

/// exp x = 2ⁿ·(1 + rest) with |r| ≤ ½ log 2 in `rest` = exp r − 1, by Taylor's series; for −87 ≤ x ≤ 0, or as at −87 below that, where the result
/// would not be a normal number.
template <int width>
CTORCH_INLINE void exponential_parts(Vector<width> x, Vector<width> &power, Vector<width> &rest) {
    constexpr float magic = 12582912;  // 1½·2²³: a number that is added to it is rounded to a whole one
    x = x < -87 ? Vector<width>{} - 87 : x;
    auto shifted = x * 1.44269504f + magic;
    auto whole = shifted - magic;
    auto r = (x - whole * 0.693359375f) - whole * -2.12194440e-4f;
    Integers<width> bits;
    std::memcpy(&bits, &shifted, sizeof bits);
    bits = (bits - 0x4B400000 + 127) << 23;
    std::memcpy(&power, &bits, sizeof power);
    auto series = ((((r * (1 / 5040.f) + 1 / 720.f) * r + 1 / 120.f) * r + 1 / 24.f) * r + 1 / 6.f) * r + 0.5f;
    rest = r * r * series + r;
}

/// exp x − 1 for x ≤ 0, to a few units in the last place.
template <int width>
CTORCH_INLINE Vector<width> exponential_minus_one(Vector<width> x) {
    Vector<width> power, rest;
    exponential_parts<width>(x, power, rest);
    return power * rest + (power - 1);
}

/// exp x for x ≤ 0, to a few units in the last place; 0 below −87, where it is less than 2e-38.
template <int width>
CTORCH_INLINE Vector<width> exponential(Vector<width> x) {
    Vector<width> power, rest;
    exponential_parts<width>(x, power, rest);
    return x < -87 ? Vector<width>{} : power * rest + power;
}

/// The magnitude of a vector with the sign of another, whose zeros have one too.
template <int width>
CTORCH_INLINE Vector<width> with_sign(Vector<width> magnitude, Vector<width> sign) {
    Integers<width> bits, other;
    std::memcpy(&bits, &magnitude, sizeof bits);
    std::memcpy(&other, &sign, sizeof other);
    bits = (bits & 0x7FFFFFFF) | (other & INT32_MIN);
    std::memcpy(&magnitude, &bits, sizeof magnitude);
    return magnitude;
}

/// The activation of a vector.
template <int width>
CTORCH_INLINE Vector<width> activate(Activation activation, Vector<width> x) {
    auto below = x < 0;
    switch (activation.kind) {
        case ActivationKind::none: return x;
        case ActivationKind::relu: return below ? Vector<width>{} : x;
        case ActivationKind::leaky_relu: return x > 0 ? x : x * static_cast<float>(activation.slope);
        case ActivationKind::elu: return x >= 0 ? x : exponential_minus_one<width>(x);
        case ActivationKind::tanh: {  // with e = exp −2|x| − 1: |tanh x| = −e/(e + 2)
            auto e = exponential_minus_one<width>(below ? x + x : -(x + x));
            return with_sign<width>(e / (e + 2), x);
        }
        case ActivationKind::sigmoid: {  // with e = exp −|x|: 1/(1 + e), or e/(1 + e) below 0
            auto e = exponential<width>(below ? x : -x);
            return (below ? e : Vector<width>{} + 1) / (e + 1);
        }
    }
    return x;
}

/// The gradient with respect to the pre-activation, from that of the value y.
template <int width>
CTORCH_INLINE Vector<width> activation_gradient(Activation activation, Vector<width> gradient, Vector<width> y) {
    switch (activation.kind) {
        case ActivationKind::none: return gradient;
        case ActivationKind::relu: return y <= 0 ? Vector<width>{} : gradient;
        case ActivationKind::leaky_relu: return y > 0 ? gradient : gradient * static_cast<float>(activation.slope);
        case ActivationKind::elu: return y > 0 ? gradient : gradient * (y + 1);
        case ActivationKind::tanh: return gradient * (1 - y * y);
        case ActivationKind::sigmoid: return gradient * ((1 - y) * y);
    }
    return gradient;
}

/// Writes the activation over a tensor of any type on any device, without recording it.
void activate_in_place(Activation activation, const at::Tensor &tensor);

/// The gradient with respect to the pre-activation, from that of the value; recorded where gradients are. It is written over the latter where nobody else has that.
at::Tensor activation_gradient(Activation activation, at::Tensor gradient, const at::Tensor &value);

/// What a gradient of a value may be written to: the gradient that came in where nobody else has it, otherwise a new tensor with the value's layout.
at::Tensor written_over(const at::Tensor &gradient, const at::Tensor &value);

/// Keeps an activation for the backward pass, or gives back the one kept.
void save_activation(torch::autograd::AutogradContext &context, Activation activation);
Activation saved_activation(torch::autograd::AutogradContext &context);

/// The activation of a result that nobody else has yet, written over it and recorded.
at::Tensor activated(Activation activation, const at::Tensor &fresh);

}  // namespace ctorch
