// The element-wise part of an LSTM's step, for operators over sequences: tensors of one floating type on the CPU, without gaps. Include after libtorch's headers.
#pragma once

namespace ctorch {

/// From gates of [batch, 4·hidden] in the order i, f, g, o and c of [batch, hidden], writes h′ and c′. Peepholes are [3, hidden], or undefined.
void lstm_step(const at::Tensor &gates, const at::Tensor &cell, const at::Tensor &peepholes, at::Tensor &output, at::Tensor &next);

/// From the gradients with respect to h′ and c′, writes those with respect to gates, c and, if the sums are defined, peepholes.
void lstm_step_backward(
    const at::Tensor &grad_output, const at::Tensor &grad_next, const at::Tensor &gates, const at::Tensor &cell, const at::Tensor &peepholes,
    at::Tensor &to_gates, at::Tensor &before, at::Tensor &sums);

}  // namespace ctorch
