#include "Guard.hpp"
#include "ActivationHeaders.hpp"
#include "ElementTypes.hpp"
#include "Parallel.hpp"
#include "Panels.hpp"
#include "SmallProducts.hpp"

namespace ctorch {

namespace {

constexpr int64_t panel = 32;
/// The rows that a thread gets at least.
constexpr int64_t rows_at_once = 4;

}  // namespace

bool takes_panels(const at::Tensor &matrix) {
    return has_small_products() && matrix.device().is_cpu() && matrix.scalar_type() == at::kFloat && matrix.dim() == 2 && matrix.numel() > 0;
}

at::Tensor panels(const at::Tensor &matrix) {
    auto inner = matrix.size(0), columns = matrix.size(1), inner_step = matrix.stride(0), column_step = matrix.stride(1);
    auto count = (columns + panel - 1) / panel;
    auto result = at::empty({count, inner, panel}, matrix.options());
    auto from = data<float>(matrix);
    auto to = mutable_data<float>(result);
    parallel_for(0, count, std::max<int64_t>(1, at::internal::GRAIN_SIZE / (panel * inner)), [&](int64_t begin, int64_t end) {
        for (auto index = begin; index < end; index++) {
            auto width = std::min(panel, columns - index * panel);
            auto source = from + index * panel * column_step;
            auto target = to + index * inner * panel;
            for (int64_t row = 0; row < inner; row++)
                for (int64_t column = 0; column < width; column++) target[row * panel + column] = source[row * inner_step + column * column_step];
        }
    });
    return result;
}

void panel_product(at::Tensor &result, const at::Tensor &start, const at::Tensor &left, const at::Tensor &right) {
    auto rows = left.size(0), inner = left.size(1), columns = result.size(1);
    auto from = data<float>(left), laid_out = data<float>(right), added = start.defined() ? data<float>(start) : nullptr;
    auto to = mutable_data<float>(result);
    auto step = start.defined() && start.dim() == 2 && start.size(0) > 1 ? columns : 0;
    auto grain = std::max<int64_t>(1, at::internal::GRAIN_SIZE / std::max<int64_t>(1, rows_at_once * inner * columns / 16));
    parallel_for(0, (rows + rows_at_once - 1) / rows_at_once, grain, [&](int64_t begin, int64_t end) {
        auto first = begin * rows_at_once, count = std::min(rows, end * rows_at_once) - first;
        if (added)
            for (auto row = first; row < first + count; row++) std::copy(added + row * step, added + row * step + columns, to + row * columns);
        for (int64_t column = 0; column < columns; column += panel)
            small_product(
                count, std::min(panel, columns - column), inner, from + first * inner, inner, laid_out + column * inner, panel, to + first * columns + column, columns,
                /*adds=*/added != nullptr);
    });
}

}  // namespace ctorch
