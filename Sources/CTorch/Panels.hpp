// Products with a matrix that is laid out once for many of them, in float32 on x86-64: in panels of 32 columns, for kernels for small matrices. Include after libtorch's headers.
#pragma once

namespace ctorch {

/// Whether products with this matrix can be made with panels of it.
bool takes_panels(const at::Tensor &matrix);

/// A matrix of [inner, columns], or a transposed view of one, as [panels, inner, 32]; the last panel may have columns that are never read.
at::Tensor panels(const at::Tensor &matrix);

/// Writes start + left·right for right as panels. The start is a matrix, a single row for all rows, or undefined for 0. All are without gaps.
void panel_product(at::Tensor &to, const at::Tensor &start, const at::Tensor &left, const at::Tensor &right);

}  // namespace ctorch
