// What every entry point of CTorch needs: libtorch's headers without their warnings, handles, and the one place where exceptions end.
#pragma once
// libtorch comes through -I (pkg-config allows no -isystem): what this header includes then counts as system headers.
#pragma clang system_header
#include <ATen/core/Generator.h>
#include <ATen/core/Tensor.h>
#include <c10/core/DeviceType.h>
#include <c10/util/Exception.h>

#include <atomic>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "CTorch.h"

namespace ctorch {

inline std::atomic<int64_t> live_tensors{0};

inline CTorchMessage message(const char *text) noexcept {
    char *copy = strdup(text);
    // Even without memory for its text, an error must not look like success.
    static char no_memory[] = "out of memory";
    return copy ? copy : no_memory;
}

/// Runs `body`; whatever it throws becomes an owned message.
template <typename Body>
CTorchMessage guarded(Body &&body) noexcept {
    try {
        body();
        return nullptr;
    } catch (const c10::Error &error) {
        return message(error.what_without_backtrace());
    } catch (const std::exception &error) {
        return message(error.what());
    } catch (...) {
        return message("an exception of unknown type");
    }
}

inline at::TensorImpl *impl(CTorchTensor handle) { return reinterpret_cast<at::TensorImpl *>(handle); }

/// A tensor that shares the borrowed handle's reference count.
inline at::Tensor borrow(CTorchTensor handle) {
    if (!handle) return at::Tensor();
    return at::Tensor(c10::intrusive_ptr<at::TensorImpl, at::UndefinedTensorImpl>::reclaim_copy(impl(handle)));
}

/// Gives the tensor's reference to the caller; an undefined tensor becomes NULL.
inline CTorchTensor own(at::Tensor tensor) {
    if (!tensor.defined()) return nullptr;
    live_tensors.fetch_add(1, std::memory_order_relaxed);
    return reinterpret_cast<CTorchTensor>(tensor.unsafeReleaseTensorImpl());
}

inline at::Generator borrow(CTorchGenerator handle) {
    return at::Generator(c10::intrusive_ptr<c10::GeneratorImpl>::reclaim_copy(reinterpret_cast<c10::GeneratorImpl *>(handle)));
}

inline c10::Device device(int32_t code) {
    auto type = static_cast<c10::DeviceType>(code >> 8);
    return type == c10::kCPU ? c10::Device(c10::kCPU) : c10::Device(type, static_cast<c10::DeviceIndex>(code & 0xff));
}

inline int32_t code(c10::Device device) {
    return static_cast<int32_t>(device.type()) << 8 | (device.has_index() ? device.index() : 0);
}

}  // namespace ctorch
