// libtorch's autocast: operators that benefit from a 16-bit type get their float32 arguments converted, separately for each thread.
#include "Guard.hpp"
// After Guard.hpp, which silences libtorch's warnings only for its own includes.
#include "AutocastHeaders.hpp"

using namespace ctorch;

CTorchMessage ctorch_autocast_set(int32_t device_code, int32_t type, CTorchAutocast *before) {
    return guarded([&] {
        auto kind = device(device_code).type();
        auto wanted = static_cast<at::ScalarType>(type);
        TORCH_CHECK(wanted == at::kBFloat16 || wanted == at::kHalf || wanted == at::kFloat, "expected bfloat16, float16 or float32, found ", wanted);
        *before = {
            device_code, static_cast<int32_t>(at::autocast::get_autocast_dtype(kind)), at::autocast::is_autocast_enabled(kind),
            at::autocast::is_autocast_cache_enabled()};
        at::autocast::set_autocast_enabled(kind, wanted != at::kFloat);
        if (wanted != at::kFloat) at::autocast::set_autocast_dtype(kind, wanted);
        // Casts of parameters are not cached: a cached one would be stale when an optimizer changes the parameter, would have no gradient if first
        // made without recording, and would be in the memory of a step's recording.
        at::autocast::set_autocast_cache_enabled(false);
    });
}

CTorchMessage ctorch_autocast_restore(CTorchAutocast before) {
    return guarded([&] {
        auto kind = device(before.device).type();
        at::autocast::set_autocast_enabled(kind, before.enabled);
        at::autocast::set_autocast_dtype(kind, static_cast<at::ScalarType>(before.type));
        at::autocast::set_autocast_cache_enabled(before.caches);
    });
}
