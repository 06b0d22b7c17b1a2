// Loops on all of libtorch's threads. at::parallel_for is a header's code: compiled without OpenMP's flag, which a package that others depend on cannot set, it runs on one thread.
// TensorIterator's loops are compiled into libtorch, with whichever threads it has.
#pragma once
#pragma clang system_header
#include <ATen/Parallel.h>
#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

namespace ctorch {

/// Calls the body with ranges that cover [begin, end), on several threads if there are more than `grain` of them. What belongs to which range depends on the number of threads.
template <typename Body>
void parallel_for(int64_t begin, int64_t end, int64_t grain, const Body &body) {
    auto count = end - begin;
    if (count <= 0) return;
    if (count <= grain || at::get_num_threads() == 1 || at::in_parallel_region()) return body(begin, end);
    // Its elements stand for the numbers; they are never read or written.
    auto places = at::empty({count}, at::kByte);
    auto first = static_cast<char *>(places.mutable_data_ptr());
    auto loops = at::TensorIteratorConfig().set_check_mem_overlap(false).check_all_same_dtype(false).resize_outputs(false).add_output(places).build();
    loops.for_each(
        [&](char **at, const int64_t *strides, int64_t inner, int64_t outer) {
            for (int64_t row = 0; row < outer; row++) {
                auto from = begin + (at[0] + row * strides[1] - first);
                body(from, from + inner);
            }
        },
        std::max<int64_t>(1, grain));
}

}  // namespace ctorch
