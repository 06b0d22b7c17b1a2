// Dense products for other operators. Include after libtorch's headers and Activation.hpp.
#pragma once

namespace ctorch {

/// x·wᵀ + b and the activation of it, recorded for gradients.
at::Tensor linear(const at::Tensor &input, const at::Tensor &weight, const std::optional<at::Tensor> &bias, Activation activation);

/// left·right of matrices, which may be transposed views; recorded where gradients are.
at::Tensor matrix_product(const at::Tensor &left, const at::Tensor &right);

/// sum + left·right, written over the sum, or without one left·right; not recorded.
at::Tensor add_matrix_product(at::Tensor &sum, const at::Tensor &left, const at::Tensor &right);

/// Whether ``linear`` is faster here than libtorch's products, by which its convolutions with kernels of one element are computed.
bool prefers_products();

}  // namespace ctorch
