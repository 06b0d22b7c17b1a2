// Handles, what they hold, and copying bytes in and out.
#include "Guard.hpp"
#include "TensorHeaders.hpp"

using namespace ctorch;

namespace {
constexpr size_t largest_page_locked = 16 << 20;
}

void ctorch_message_free(CTorchMessage message) {
    // The text for "no memory" is not on the heap.
    if (message && std::strcmp(message, "out of memory") != 0) free(message);
}

void ctorch_tensor_free(CTorchTensor tensor) {
    if (!tensor) return;
    live_tensors.fetch_sub(1, std::memory_order_relaxed);
    // Releases the reference that the handle owns.
    auto released = c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>::reclaim(impl(tensor));
}

int64_t ctorch_tensor_live_count(void) { return live_tensors.load(std::memory_order_relaxed); }

int64_t ctorch_tensor_rank(CTorchTensor tensor) { return impl(tensor)->dim(); }

void ctorch_tensor_sizes(CTorchTensor tensor, int64_t *sizes) {
    auto found = impl(tensor)->sizes();
    std::copy(found.begin(), found.end(), sizes);
}

void ctorch_tensor_strides(CTorchTensor tensor, int64_t *strides) {
    auto found = impl(tensor)->strides();
    std::copy(found.begin(), found.end(), strides);
}

int32_t ctorch_tensor_type(CTorchTensor tensor) { return static_cast<int32_t>(c10::typeMetaToScalarType(impl(tensor)->dtype())); }

int32_t ctorch_tensor_device(CTorchTensor tensor) { return code(impl(tensor)->device()); }

uint64_t ctorch_tensor_address(CTorchTensor tensor) { return reinterpret_cast<uint64_t>(impl(tensor)->data()); }

CTorchMessage ctorch_tensor_from_bytes(
    const void *bytes, size_t byte_count, const int64_t *sizes, int64_t rank, int32_t type, int32_t device_code, CTorchTensor *result) {
    return guarded([&] {
        auto target = device(device_code);
        // To another device from page-locked memory, so that the host need not wait: libtorch keeps that memory until the copy is done, and then for
        // the next one, which is why large tensors, such as data sets, are not copied this way.
        bool goes_on = !target.is_cpu() && byte_count <= largest_page_locked;
        auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(type)).pinned_memory(goes_on);
        auto host = at::empty(at::IntArrayRef(sizes, static_cast<size_t>(rank)), options);
        TORCH_CHECK(host.nbytes() == byte_count, "expected ", host.nbytes(), " bytes for shape ", host.sizes(), ", found ", byte_count);
        if (byte_count) std::memcpy(host.mutable_data_ptr(), bytes, byte_count);
        *result = own(target.is_cpu() ? host : host.to(target, /*non_blocking=*/goes_on));
    });
}

CTorchMessage ctorch_tensor_from_memory(
    void *memory, const int64_t *sizes, int64_t rank, int32_t type, void (*release)(void *context), void *context, CTorchTensor *result) {
    // Shared, so that whatever copies and drops the function releases the memory once.
    std::shared_ptr<void> owner(context, release);
    return guarded([&] {
        auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(type));
        *result = own(at::from_blob(memory, at::IntArrayRef(sizes, static_cast<size_t>(rank)), [owner](void *) mutable { owner.reset(); }, options));
    });
}

CTorchMessage ctorch_tensor_to_bytes(CTorchTensor tensor, void *bytes, size_t byte_count) {
    return guarded([&] {
        auto host = borrow(tensor).detach().to(at::kCPU).contiguous();
        TORCH_CHECK(host.nbytes() == byte_count, "expected room for ", host.nbytes(), " bytes, found ", byte_count);
        if (byte_count) std::memcpy(bytes, host.const_data_ptr(), byte_count);
    });
}

bool ctorch_tensor_requires_gradient(CTorchTensor tensor) { return impl(tensor)->requires_grad(); }

CTorchMessage ctorch_tensor_set_requires_gradient(CTorchTensor tensor, bool value) {
    return guarded([&] { borrow(tensor).set_requires_grad(value); });
}

CTorchMessage ctorch_gradients(
    const CTorchTensor *outputs, const CTorchTensor *cotangents, int32_t output_count, const CTorchTensor *inputs, int32_t input_count,
    bool create_graph, CTorchTensor *results) {
    return guarded([&] {
        torch::autograd::variable_list from, seeds, to;
        for (int32_t i = 0; i < output_count; i++) {
            from.push_back(borrow(outputs[i]));
            seeds.push_back(borrow(cotangents[i]));
        }
        for (int32_t i = 0; i < input_count; i++) to.push_back(borrow(inputs[i]));
        auto found = torch::autograd::grad(from, to, seeds, create_graph, create_graph, /*allow_unused=*/true);
        for (int32_t i = 0; i < input_count; i++) results[i] = own(std::move(found[static_cast<size_t>(i)]));
    });
}

bool ctorch_gradient_mode_set(bool enabled) {
    bool before = at::GradMode::is_enabled();
    at::GradMode::set_enabled(enabled);
    return before;
}
