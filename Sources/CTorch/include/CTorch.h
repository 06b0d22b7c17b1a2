// The boundary between Swift and libtorch: plain C, no exception and no C++ type crosses it.
//
// Ownership. A `CTorchTensor` is one owned reference to a TensorImpl (a `CTorchGenerator` one to a GeneratorImpl). Arguments are borrowed: the caller
// keeps them alive through the call. Results are owned: the caller frees each with `ctorch_tensor_free`. NULL is the undefined tensor.
//
// Errors. A function that can fail returns NULL, or an owned message that the caller frees with `ctorch_message_free`; no result is written then.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct CTorchTensorReference *CTorchTensor;
typedef struct CTorchGeneratorReference *CTorchGenerator;
typedef const struct CTorchOperatorEntry *CTorchOperator;
typedef char *CTorchMessage;

void ctorch_message_free(CTorchMessage message);

// -- Operators -------------------------------------------------------------------------------------------------------------------------------------

enum {
    CTORCH_NONE = 0,
    CTORCH_TENSOR = 1,      // word: CTorchTensor
    CTORCH_INTEGER = 2,     // word: int64_t (also ScalarType, Layout and MemoryFormat, which the dispatcher passes as integers)
    CTORCH_REAL = 3,        // word: the bits of a double
    CTORCH_BOOLEAN = 4,     // word: 0 or 1
    CTORCH_INTEGERS = 5,    // word: pointer to `count` int64_t; arguments only
    CTORCH_TENSORS = 6,     // word: pointer to `count` CTorchTensor; arguments only
    CTORCH_DEVICE = 7,      // word: device type << 8 | index
    CTORCH_GENERATOR = 8,   // word: CTorchGenerator; arguments only
    CTORCH_TEXT = 9,        // word: pointer to `count` bytes of UTF-8
    CTORCH_COMPLEX = 10,    // word: pointer to two doubles
    CTORCH_LIST = 11,       // word: pointer to `count` CTorchValue
};

typedef struct {
    int32_t kind;
    int32_t count;
    uint64_t word;
} CTorchValue;

/// Looks up an operator, once; the handle lives as long as the process. `overload` may be empty.
CTorchMessage ctorch_operator_find(const char *name, const char *overload, CTorchOperator *result);
/// The schema as this libtorch prints it, without the namespace and name; free it as a message.
char *ctorch_operator_schema(CTorchOperator op);
/// Calls an operator with every argument of its schema, in order. Tensor results, lists flattened, go to `results`; `count` says how many.
CTorchMessage ctorch_operator_call(
    CTorchOperator op, const CTorchValue *arguments, int32_t argument_count, CTorchTensor *results, int32_t capacity, int32_t *count);
/// Takes an operator's results: the values and what they point to are valid during the call, the tensors in them are owned.
typedef void (*CTorchTaker)(void *context, const CTorchValue *values, int32_t count);
/// The same for an operator with results of any kind, which go to `take` in one call.
CTorchMessage ctorch_operator_results(
    CTorchOperator op, const CTorchValue *arguments, int32_t argument_count, CTorchTaker take, void *context);

// -- Tensors ---------------------------------------------------------------------------------------------------------------------------------------

void ctorch_tensor_free(CTorchTensor tensor);
/// The number of live handles in this process: those that Swift holds, not libtorch's internal ones.
int64_t ctorch_tensor_live_count(void);
int64_t ctorch_tensor_rank(CTorchTensor tensor);
void ctorch_tensor_sizes(CTorchTensor tensor, int64_t *sizes);
void ctorch_tensor_strides(CTorchTensor tensor, int64_t *strides);
int32_t ctorch_tensor_type(CTorchTensor tensor);
int32_t ctorch_tensor_device(CTorchTensor tensor);
/// The address of the first element: tells whether two handles share storage. Never dereferenced.
uint64_t ctorch_tensor_address(CTorchTensor tensor);
/// Copies `bytes` bytes, row-major, into a new tensor on the device.
CTorchMessage ctorch_tensor_from_bytes(
    const void *bytes, size_t byte_count, const int64_t *sizes, int64_t rank, int32_t type, int32_t device, CTorchTensor *result);
/// A tensor over the host's memory, row-major, which is not copied; `release` is called with the context, once, when nothing uses the memory any more (also after an error).
CTorchMessage ctorch_tensor_from_memory(
    void *memory, const int64_t *sizes, int64_t rank, int32_t type, void (*release)(void *context), void *context, CTorchTensor *result);
/// Copies the elements, row-major, to the host; waits for the device.
CTorchMessage ctorch_tensor_to_bytes(CTorchTensor tensor, void *bytes, size_t byte_count);

// -- Autograd --------------------------------------------------------------------------------------------------------------------------------------

bool ctorch_tensor_requires_gradient(CTorchTensor tensor);
CTorchMessage ctorch_tensor_set_requires_gradient(CTorchTensor tensor, bool value);
/// d(sum of outputs · cotangents)/d inputs. A cotangent may be NULL for a scalar output; an input that the outputs do not depend on gives NULL.
CTorchMessage ctorch_gradients(
    const CTorchTensor *outputs, const CTorchTensor *cotangents, int32_t output_count, const CTorchTensor *inputs, int32_t input_count,
    bool create_graph, CTorchTensor *results);
/// Sets the calling thread's grad mode and returns the previous one.
bool ctorch_gradient_mode_set(bool enabled);

// -- Autocast --------------------------------------------------------------------------------------------------------------------------------------

/// The calling thread's autocast for one type of device.
typedef struct {
    int32_t device;
    int32_t type;
    bool enabled;
    bool caches;
} CTorchAutocast;

/// Makes libtorch's autocast run in the type on devices of this kind; float32 switches it off. `before` is for `ctorch_autocast_restore`.
CTorchMessage ctorch_autocast_set(int32_t device, int32_t type, CTorchAutocast *before);
CTorchMessage ctorch_autocast_restore(CTorchAutocast before);

// -- Random generators -----------------------------------------------------------------------------------------------------------------------------

CTorchMessage ctorch_generator_create(int32_t device, uint64_t seed, CTorchGenerator *result);
void ctorch_generator_free(CTorchGenerator generator);
CTorchMessage ctorch_generator_state(CTorchGenerator generator, CTorchTensor *result);
CTorchMessage ctorch_generator_set_state(CTorchGenerator generator, CTorchTensor state);

// -- CUDA graphs -----------------------------------------------------------------------------------------------------------------------------------

/// Where steps run, on their own stream, and are recorded.
typedef struct CTorchGraphEntry *CTorchGraph;
/// The recorded device work of a step, to be replayed.
typedef struct CTorchRecordingEntry *CTorchRecording;

/// What the calling thread is doing.
enum {
    CTORCH_PLAIN = 0,
    CTORCH_WARMING_UP = 1,  // running a step on its stream; also while a recording is paused
    CTORCH_RECORDING = 2,   // recording a step: nothing is done on the device
};

/// Says what is missing if steps cannot be recorded; libtorch's CUDA half must have been loaded.
CTorchMessage ctorch_graph_check(void);
/// Pass all generators from which steps draw; they are kept.
CTorchMessage ctorch_graph_create(int32_t device, const CTorchGenerator *generators, int32_t count, CTorchGraph *result);
void ctorch_graph_free(CTorchGraph graph);
/// From here to `ctorch_graph_leave` the calling thread's work goes to the graph's stream, after all earlier work; if `records` is set, into a
/// recording.
CTorchMessage ctorch_graph_enter(CTorchGraph graph, bool records);
/// Returns to the previous stream, after the graph's work. Gives the recording, or NULL; if the recording failed or was refused, returns a message.
CTorchMessage ctorch_graph_leave(CTorchGraph graph, CTorchRecording *result);
/// Submits everything that was recorded, on the calling thread's stream.
CTorchMessage ctorch_recording_replay(CTorchRecording recording);
/// Waits for the device first.
CTorchMessage ctorch_recording_free(CTorchRecording recording);
int32_t ctorch_graph_phase(void);
/// Makes the step in progress end with the message; the first reason counts.
void ctorch_graph_refuse(const char *reason);
/// The same, and ends the recording at once: work is then done, until `ctorch_graph_resume` starts another recording, which will be discarded.
CTorchMessage ctorch_graph_pause(const char *reason);
CTorchMessage ctorch_graph_resume(void);

// -- The machine -----------------------------------------------------------------------------------------------------------------------------------

int32_t ctorch_thread_count(void);
CTorchMessage ctorch_set_thread_count(int32_t count);
/// From now on large blocks of freed CPU tensors are kept for later ones: in total at most half as much again as the tensors' highest use so far.
void ctorch_keep_freed_memory(void);
/// Loads libtorch's CUDA half from the folder of its CPU half (once), and counts the devices; the message says what was looked for and why it failed.
/// Call it before the first gradient: libtorch then decides, for the whole process, whether there is CUDA.
CTorchMessage ctorch_cuda_load(int32_t *device_count);
CTorchMessage ctorch_device_synchronize(int32_t device);
/// Whether 3×3 convolutions of float32 on the CPU may be computed with fewer multiplications (Winograd.cpp); at first they may not.
bool ctorch_winograd_allowed(void);
void ctorch_winograd_allow(bool value);
/// Whether dense products of float32 on the CPU go to oneDNN (Linear.cpp); at first they do with AVX-512 outside Intel's processors.
bool ctorch_onednn_products_preferred(void);
void ctorch_onednn_products_prefer(bool value);
/// Whether float32 matrix products and convolutions on CUDA may round their factors to TF32; true only if both may.
bool ctorch_tf32_allowed(void);
/// Allows or forbids it for both. Until this is called it is forbidden, from the moment that CUDA is loaded: libtorch itself starts with TF32 allowed
/// for convolutions.
CTorchMessage ctorch_tf32_allow(bool value);
/// "2.15.0": of the headers that this was compiled against.
const char *ctorch_version(void);
/// The vector instructions that the CPU kernels use ("AVX2", "AVX512", "DEFAULT", …).
const char *ctorch_cpu_capability(void);
/// Whether the processor multiplies numbers of bfloat16 by instructions that libtorch uses.
bool ctorch_cpu_has_bfloat16(void);

#ifdef __cplusplus
}
#endif
