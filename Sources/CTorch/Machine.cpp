// Random generators, threads, and CUDA, which is loaded only on request: no CUDA symbol is linked.
#include <dlfcn.h>
#if defined(__aarch64__) && defined(__linux__)
#include <sys/auxv.h>
#elif defined(__APPLE__)
#include <sys/sysctl.h>
#endif

#include "Guard.hpp"
#include "TensorHeaders.hpp"

using namespace ctorch;

CTorchMessage ctorch_generator_create(int32_t device_code, uint64_t seed, CTorchGenerator *result) {
    return guarded([&] {
        auto target = device(device_code);
        auto generator = target.is_cpu() ? at::detail::createCPUGenerator(seed) : at::detail::getCUDAHooks().getNewGenerator(target.index());
        generator.set_current_seed(seed);
        *result = reinterpret_cast<CTorchGenerator>(generator.unsafeReleaseGeneratorImpl());
    });
}

void ctorch_generator_free(CTorchGenerator generator) {
    if (!generator) return;
    auto released = c10::intrusive_ptr<c10::GeneratorImpl>::reclaim(reinterpret_cast<c10::GeneratorImpl *>(generator));
}

CTorchMessage ctorch_generator_state(CTorchGenerator generator, CTorchTensor *result) {
    return guarded([&] { *result = own(borrow(generator).get_state()); });
}

CTorchMessage ctorch_generator_set_state(CTorchGenerator generator, CTorchTensor state) {
    return guarded([&] { borrow(generator).set_state(borrow(state)); });
}

bool ctorch_cpu_has_bfloat16(void) {
#if defined(__x86_64__)
    return at::get_cpu_capability() == "AVX512" && __builtin_cpu_supports("avx512bf16");
#elif defined(__aarch64__) && defined(__linux__)
    return getauxval(AT_HWCAP2) & (1 << 14);  // HWCAP2_BF16
#elif defined(__aarch64__) && defined(__APPLE__)
    int found = 0;
    std::size_t size = sizeof found;
    return sysctlbyname("hw.optional.arm.FEAT_BF16", &found, &size, nullptr, 0) == 0 && found;
#else
    return false;
#endif
}

int32_t ctorch_thread_count(void) { return at::get_num_threads(); }

CTorchMessage ctorch_set_thread_count(int32_t count) {
    return guarded([&] { at::set_num_threads(count); });
}

namespace {

std::atomic<bool> tf32_allowed{false};

void apply_tf32() {
    // The setters of the older interface keep both interfaces' settings in sync, without a warning from 2.11 to 2.15. After the newer setters, the
    // older readers, which libtorch itself still uses, would throw.
    at::globalContext().setAllowTF32CuBLAS(tf32_allowed);
    at::globalContext().setAllowTF32CuDNN(tf32_allowed);
}

}  // namespace

bool ctorch_tf32_allowed(void) {
    auto is_tf32 = [](at::Float32Op op) {
        return at::globalContext().float32Precision(at::Float32Backend::CUDA, op) == at::Float32Precision::TF32;
    };
    return is_tf32(at::Float32Op::MATMUL) && is_tf32(at::Float32Op::CONV);
}

CTorchMessage ctorch_tf32_allow(bool value) {
    return guarded([&] {
        tf32_allowed = value;
        apply_tf32();
    });
}

CTorchMessage ctorch_cuda_load(int32_t *device_count) {
    return guarded([&] {
        // libtorch remembers its first check for CUDA, so the library must be loaded before anything checks. A backward pass on the CPU checks too.
        static std::atomic<bool> loaded{false};
        if (!loaded) {
            // libtorch_cuda.so is beside libtorch_cpu.so, wherever that was found.
            Dl_info place;
            TORCH_CHECK(dladdr(reinterpret_cast<const void *>(&at::get_num_threads), &place) && place.dli_fname, "cannot tell where libtorch_cpu lies");
            std::string path = place.dli_fname;
            auto slash = path.rfind('/');
            path = (slash == std::string::npos ? std::string(".") : path.substr(0, slash)) + "/libtorch_cuda.so";
            TORCH_CHECK(dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL), "cannot load libtorch's CUDA half: ", dlerror());
            TORCH_CHECK(
                at::hasCUDA(), path, " was loaded, but libtorch had already settled that there is no CUDA: ask for the device before the first gradient");
            apply_tf32();
            loaded = true;
        }
        *device_count = static_cast<int32_t>(at::detail::getCUDAHooks().deviceCount());
    });
}

CTorchMessage ctorch_device_synchronize(int32_t device_code) {
    return guarded([&] {
        auto target = device(device_code);
        if (!target.is_cpu()) c10::impl::VirtualGuardImpl(target.type()).synchronizeDevice(target.index());
    });
}

const char *ctorch_version(void) {
#define CTORCH_TEXT_OF(x) #x
#define CTORCH_TEXT(x) CTORCH_TEXT_OF(x)
    return CTORCH_TEXT(TORCH_VERSION_MAJOR) "." CTORCH_TEXT(TORCH_VERSION_MINOR) "." CTORCH_TEXT(TORCH_VERSION_PATCH);
}

const char *ctorch_cpu_capability(void) {
    static const std::string text = at::get_cpu_capability();
    return text.c_str();
}
