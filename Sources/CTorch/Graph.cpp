// CUDA graphs: the work that a thread submits to a device is recorded once and then replayed as a whole. Not run on a device yet.
//
// libtorch has at::accelerator::Graph for all kinds of devices, but from 2.11 to 2.15 its CUDA half does not register with it. There is
// at::cuda::CUDAGraph, but its header needs CUDA's own headers and a CPU-only libtorch lacks its symbols: so its members are looked up by name in the
// loaded libtorch_cuda, which exports the same names from 2.11 to 2.15. A member function is called as a function whose first argument is the object,
// as in the C++ ABI of Linux and macOS. The object is created and destroyed by its own constructor and destructor; only a bound on its size is needed
// here.
#include <dlfcn.h>

#include "Guard.hpp"
// After Guard.hpp, which silences libtorch's warnings only for its own includes.
#include "GraphHeaders.hpp"

using namespace ctorch;

namespace {

/// at::MempoolId_t, which is passed by value: {0, 0} requests a separate pool for the recording.
using Pool = std::pair<unsigned long long, unsigned long long>;

/// cudaStreamCaptureModeThreadLocal: other threads' CUDA calls meanwhile neither fail nor spoil the recording.
constexpr unsigned thread_local_mode = 1;

/// A CUDAGraph has about 600 bytes in libtorch 2.15, most of them its stacks for conditional nodes.
constexpr size_t room_size = 16384;

struct Members {
    void (*construct)(void *, bool);
    void (*destroy)(void *);
    void (*begin)(void *, Pool, unsigned);
    void (*end)(void *);
    void (*replay)(void *);
    /// Null from 2.14 on, where a generator joins a recording with its first draw.
    void (*add_generator)(void *, const at::Generator &);
    /// Whether an object whose recording failed may be destroyed: before 2.14 the allocator keeps querying it about streams.
    bool unmakes_failures;
};

template <typename Function>
bool look_up(const char *name, Function *&function) {
    function = reinterpret_cast<Function *>(dlsym(RTLD_DEFAULT, name));
    return function != nullptr;
}

template <typename Function>
void require(const char *name, const char *meaning, Function *&function) {
    TORCH_CHECK(
        look_up(name, function), "CUDA graphs: expected the CUDA half of a libtorch from 2.11.0 to 2.15.0, loaded; found no ", meaning,
        " beside libtorch ", ctorch_version());
}

const Members &members() {
    static const Members found = [] {  // retried at the next call if it throws
        Members all{};
        require("_ZN2at4cuda9CUDAGraphC1Eb", "CUDAGraph(bool)", all.construct);
        require("_ZN2at4cuda9CUDAGraphD1Ev", "~CUDAGraph()", all.destroy);
        require("_ZN2at4cuda9CUDAGraph13capture_beginESt4pairIyyE21cudaStreamCaptureMode", "CUDAGraph::capture_begin", all.begin);
        require("_ZN2at4cuda9CUDAGraph11capture_endEv", "CUDAGraph::capture_end", all.end);
        require("_ZN2at4cuda9CUDAGraph6replayEv", "CUDAGraph::replay", all.replay);
        look_up("_ZN2at4cuda9CUDAGraph24register_generator_stateERKNS_9GeneratorE", all.add_generator);
        void (*end_first_half)(void *);
        all.unmakes_failures = look_up("_ZN2at4cuda9CUDAGraph15capture_end_preEv", end_first_half);
        return all;
    }();
    return found;
}

/// A CUDAGraph. Created, recorded and destroyed with its device current.
class NativeGraph {
public:
    explicit NativeGraph(const std::vector<at::Generator> &generators) : all(members()) {
        room = ::operator new(room_size, std::align_val_t(64));
        try {
            all.construct(room, false);
        } catch (...) {
            ::operator delete(room, std::align_val_t(64));
            throw;
        }
        // Generators other than the default one must be known before the recording begins: see `add_generator`.
        if (all.add_generator)
            for (const auto &generator : generators) all.add_generator(room, generator);
    }

    ~NativeGraph() {
        if (has_failed && !all.unmakes_failures) return;  // leaked on purpose
        all.destroy(room);
        ::operator delete(room, std::align_val_t(64));
    }

    NativeGraph(const NativeGraph &) = delete;
    NativeGraph &operator=(const NativeGraph &) = delete;

    void begin() {
        has_failed = true;
        all.begin(room, Pool(0, 0), thread_local_mode);
    }
    void end() {
        all.end(room);
        has_failed = false;
    }
    void replay() { all.replay(room); }

private:
    const Members &all;
    void *room;
    bool has_failed = false;
};

/// Makes later work on the second stream wait for the work already submitted to the first.
void order(c10::Stream first, c10::Stream second) {
    c10::Event event(first.device_type());
    event.record(first);
    event.block(second);
}

}  // namespace

struct CTorchRecordingEntry {
    c10::Device device;
    std::unique_ptr<NativeGraph> native;
};

struct CTorchGraphEntry {
    c10::Device device;
    /// Where steps run: recording is not possible on the default stream, and what will be recorded should first have run on the same stream.
    c10::Stream side;
    std::vector<at::Generator> generators;

    // Between enter and leave.
    std::optional<c10::Stream> outer;
    std::unique_ptr<NativeGraph> native;
    bool records = false;
    bool is_recording = false;
    std::string refusal;

    void begin() {
        native = std::make_unique<NativeGraph>(generators);
        native->begin();
        is_recording = true;
    }

    /// Ends the recording, whatever its state.
    void abandon(const char *reason) {
        if (refusal.empty()) refusal = reason;
        if (!is_recording) return;
        is_recording = false;
        try {
            native->end();
        } catch (...) {
            // The first reason says more.
        }
    }

    /// Before 2.12, generators that took part in a recording that could not be ended refuse to draw until they have taken part in one that could.
    void revive_generators() {
        try {
            NativeGraph another(generators);
            another.begin();
            try {
                auto something = at::zeros({1}, at::TensorOptions(device));  // libtorch warns about an empty recording
            } catch (...) {
            }
            another.end();
        } catch (...) {
            // The next draw will then report what is wrong.
        }
    }
};

namespace {
thread_local CTorchGraphEntry *current = nullptr;
}

CTorchMessage ctorch_graph_check(void) {
    return guarded([] { members(); });
}

CTorchMessage ctorch_graph_create(int32_t device_code, const CTorchGenerator *generators, int32_t count, CTorchGraph *result) {
    return guarded([&] {
        auto target = device(device_code);
        TORCH_CHECK(target.is_cuda(), "CUDA graphs: expected a CUDA device, found ", target);
        members();
        std::vector<at::Generator> all;
        for (int32_t i = 0; i < count; i++) all.push_back(borrow(generators[i]));
        *result = new CTorchGraphEntry{
            target, c10::impl::VirtualGuardImpl(target.type()).getStreamFromGlobalPool(target, /*isHighPriority=*/false), std::move(all)};
    });
}

void ctorch_graph_free(CTorchGraph graph) { delete graph; }

CTorchMessage ctorch_graph_enter(CTorchGraph graph, bool records) {
    return guarded([&] {
        TORCH_CHECK(!current, "CUDA graphs: expected one step at a time on a thread, found a step inside another");
        c10::DeviceGuard here(graph->device);
        c10::impl::VirtualGuardImpl streams(graph->device.type());
        auto outer = streams.getStream(graph->device);
        order(outer, graph->side);
        streams.exchangeStream(graph->side);
        graph->refusal.clear();
        graph->records = records;
        if (records) {
            try {
                graph->begin();
            } catch (...) {
                graph->native.reset();
                streams.exchangeStream(outer);
                throw;
            }
        }
        graph->outer = outer;
        current = graph;
    });
}

CTorchMessage ctorch_graph_leave(CTorchGraph graph, CTorchRecording *result) {
    *result = nullptr;
    return guarded([&] {
        TORCH_CHECK(current == graph && graph->outer, "CUDA graphs: expected the end of the step that was begun last");
        c10::DeviceGuard here(graph->device);
        c10::impl::VirtualGuardImpl streams(graph->device.type());
        current = nullptr;
        auto native = std::move(graph->native);
        std::exception_ptr failure;
        if (graph->is_recording) {
            graph->is_recording = false;
            try {
                native->end();
            } catch (...) {
                failure = std::current_exception();
                graph->revive_generators();
            }
        }
        streams.exchangeStream(*graph->outer);
        order(graph->side, *graph->outer);
        graph->outer.reset();
        TORCH_CHECK(graph->refusal.empty(), graph->refusal);
        if (failure) std::rethrow_exception(failure);
        if (graph->records) *result = new CTorchRecordingEntry{graph->device, std::move(native)};
    });
}

CTorchMessage ctorch_recording_replay(CTorchRecording recording) {
    return guarded([&] {
        c10::DeviceGuard here(recording->device);
        recording->native->replay();
    });
}

CTorchMessage ctorch_recording_free(CTorchRecording recording) {
    return guarded([&] {
        c10::DeviceGuard here(recording->device);
        // The last replay may still be running.
        c10::impl::VirtualGuardImpl(recording->device.type()).synchronizeDevice(recording->device.index());
        delete recording;
    });
}

int32_t ctorch_graph_phase(void) { return !current ? CTORCH_PLAIN : current->is_recording ? CTORCH_RECORDING : CTORCH_WARMING_UP; }

void ctorch_graph_refuse(const char *reason) {
    if (current && current->refusal.empty()) current->refusal = reason;
}

CTorchMessage ctorch_graph_pause(const char *reason) {
    return guarded([&] {
        TORCH_CHECK(current && current->records, "CUDA graphs: expected a recording to pause, found none");
        c10::DeviceGuard here(current->device);
        current->abandon(reason);
    });
}

CTorchMessage ctorch_graph_resume(void) {
    return guarded([&] {
        TORCH_CHECK(current && current->records && !current->is_recording, "CUDA graphs: expected a paused recording, found none");
        c10::DeviceGuard here(current->device);
        current->begin();
    });
}
