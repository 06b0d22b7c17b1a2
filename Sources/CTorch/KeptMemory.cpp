// An allocator for tensor elements on the CPU that keeps large freed blocks for later tensors: the C library would return them to the system, which
// zeroes every page again when the next training step touches it.
#include "Guard.hpp"
#include "TensorHeaders.hpp"

#include <map>
#include <mutex>

using namespace ctorch;

namespace {

/// Smaller blocks are left to the C library, which keeps these itself.
constexpr size_t smallest_kept = size_t{1} << 16;
/// Bytes before the elements: they hold the block's size, and keep the elements aligned as in libtorch.
constexpr size_t header = 64;
static_assert(header >= sizeof(size_t) && header % c10::gAlignment == 0);

class KeptMemory final : public c10::Allocator {
public:
    /// Never destroyed: tensors of other static objects may be freed after it.
    static KeptMemory &shared() {
        static auto memory = new KeptMemory;
        return *memory;
    }

    c10::DataPtr allocate(size_t bytes) override {
        auto elements = bytes ? take(bytes) : nullptr;
        return {elements, elements, &release, c10::Device(c10::kCPU)};
    }

    c10::DeleterFnPtr raw_deleter() const override { return &release; }

    void copy_data(void *to, const void *from, size_t bytes) const override { default_copy_data(to, from, bytes); }

private:
    std::mutex mutex;
    /// Unused blocks, by size.
    std::multimap<size_t, char *> kept;
    size_t kept_bytes = 0, used_bytes = 0, most_used_bytes = 0;

    void *take(size_t bytes) {
        TORCH_CHECK(bytes <= SIZE_MAX / 2, "expected at most ", SIZE_MAX / 2, " bytes of memory, found ", bytes);
        auto size = bytes + header;
        auto block = size < smallest_kept ? fresh(size) : reused(size);
        std::memcpy(block, &size, sizeof size);
        return block + header;
    }

    /// A block of at least the given size, which is set to the block's size.
    char *reused(size_t &size) {
        std::lock_guard lock(mutex);
        // A slightly larger block will do: little is wasted, and batches of varying sizes find one.
        auto found = kept.lower_bound(size);
        bool fits = found != kept.end() && found->first - size <= size / 8;
        if (fits) size = found->first;
        auto most = std::max(most_used_bytes, used_bytes + size);
        char *block;
        if (fits) {
            block = found->second;
            kept_bytes -= size;
            kept.erase(found);
        } else {
            // Sizes that are never requested again must not pile up.
            while (!kept.empty() && used_bytes + size + kept_bytes > most + most / 2) drop_largest();
            try {
                block = fresh(size);
            } catch (const c10::Error &) {
                while (!kept.empty()) drop_largest();
                block = fresh(size);
            }
        }
        used_bytes += size;
        // Only now: a refused request does not count as use.
        most_used_bytes = most;
        return block;
    }

    void drop_largest() {
        auto largest = std::prev(kept.end());
        c10::free_cpu(largest->second);
        kept_bytes -= largest->first;
        kept.erase(largest);
    }

    static char *fresh(size_t size) { return static_cast<char *>(c10::alloc_cpu(size)); }

    static void release(void *elements) {
        if (!elements) return;
        auto block = static_cast<char *>(elements) - header;
        size_t size;
        std::memcpy(&size, block, sizeof size);
        if (size < smallest_kept) return c10::free_cpu(block);
        auto &memory = shared();
        std::lock_guard lock(memory.mutex);
        memory.used_bytes -= size;
        memory.kept_bytes += size;
        memory.kept.emplace(size, block);
    }
};

}  // namespace

void ctorch_keep_freed_memory(void) { c10::SetCPUAllocator(&KeptMemory::shared()); }
