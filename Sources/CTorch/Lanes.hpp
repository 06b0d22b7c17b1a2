// Several units of a recurrent step at a time, in float32, or one in float64: the same code for both. Include after Activation.hpp.
#pragma once
#include <cmath>

namespace ctorch {

/// Vectors of floats, with this library's functions.
template <int width>
struct FloatLanes {
    using Value = Vector<width>;
    static CTORCH_INLINE Value read(const float *from) { return load<width>(from); }
    static CTORCH_INLINE void write(float *to, Value value) { store<width>(to, value); }
    static CTORCH_INLINE Value sigmoid(Value x) {
        Activation function;
        function.kind = ActivationKind::sigmoid;
        return activate<width>(function, x);
    }
    static CTORCH_INLINE Value tanh(Value x) {
        Activation function;
        function.kind = ActivationKind::tanh;
        return activate<width>(function, x);
    }
};

struct DoubleLane {
    using Value = double;
    static CTORCH_INLINE Value read(const double *from) { return *from; }
    static CTORCH_INLINE void write(double *to, Value value) { *to = value; }
    static CTORCH_INLINE Value sigmoid(Value x) { return x < 0 ? std::exp(x) / (1 + std::exp(x)) : 1 / (1 + std::exp(-x)); }
    static CTORCH_INLINE Value tanh(Value x) { return std::tanh(x); }
};

/// Calls the body with lanes and the first unit that they are for, until all units have been; the width is what with_vectors gives.
template <typename T, typename Width, typename Body>
CTORCH_INLINE void each_lanes(Width, int64_t units, const Body &body) {
    if constexpr (std::is_same_v<T, float>)
        each_vector<Width::value>(0, units, [&](auto size, int64_t unit) CTORCH_LAMBDA { body(FloatLanes<decltype(size)::value>(), unit); });
    else
        for (int64_t unit = 0; unit < units; unit++) body(DoubleLane(), unit);
}

}  // namespace ctorch
