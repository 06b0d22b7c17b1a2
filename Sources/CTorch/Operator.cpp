// One call for every operator of libtorch's dispatcher, by a handle that is looked up once.
#include "Guard.hpp"
// After Guard.hpp, which quietens libtorch's warnings for itself alone.
#include "Dispatch.hpp"

using namespace ctorch;

namespace {

c10::IValue value(const CTorchValue &argument) {
    auto count = static_cast<size_t>(argument.count);
    switch (argument.kind) {
        case CTORCH_NONE:
            return {};
        case CTORCH_TENSOR:
            // Both `Tensor?` with nothing in it and an undefined `Tensor` are None to a boxed call.
            return argument.word ? c10::IValue(borrow(reinterpret_cast<CTorchTensor>(argument.word))) : c10::IValue();
        case CTORCH_INTEGER:
            return c10::IValue(static_cast<int64_t>(argument.word));
        case CTORCH_REAL: {
            double real;
            std::memcpy(&real, &argument.word, sizeof real);
            return c10::IValue(real);
        }
        case CTORCH_BOOLEAN:
            return c10::IValue(argument.word != 0);
        case CTORCH_INTEGERS: {
            auto first = reinterpret_cast<const int64_t *>(argument.word);
            return c10::IValue(c10::ArrayRef<int64_t>(first, count));
        }
        case CTORCH_REALS: {
            auto first = reinterpret_cast<const double *>(argument.word);
            return c10::IValue(c10::ArrayRef<double>(first, count));
        }
        case CTORCH_BOOLEANS: {
            auto first = reinterpret_cast<const uint64_t *>(argument.word);
            c10::List<bool> list;
            for (size_t i = 0; i < count; i++) list.push_back(first[i] != 0);
            return c10::IValue(std::move(list));
        }
        case CTORCH_TENSORS: {
            auto first = reinterpret_cast<const CTorchTensor *>(argument.word);
            c10::List<at::Tensor> list;
            list.reserve(count);
            for (size_t i = 0; i < count; i++) list.push_back(borrow(first[i]));
            return c10::IValue(std::move(list));
        }
        case CTORCH_DEVICE:
            return c10::IValue(device(static_cast<int32_t>(argument.word)));
        case CTORCH_GENERATOR:
            return argument.word ? c10::IValue(borrow(reinterpret_cast<CTorchGenerator>(argument.word))) : c10::IValue();
        case CTORCH_TEXT:
            return c10::IValue(std::string(reinterpret_cast<const char *>(argument.word), count));
        default:
            TORCH_CHECK(false, "argument of unknown kind ", argument.kind);
    }
}

}  // namespace

struct CTorchOperatorEntry {
    c10::OperatorHandle handle;
};

CTorchMessage ctorch_operator_find(const char *name, const char *overload, CTorchOperator *result) {
    return guarded([&] {
        auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
        TORCH_CHECK(handle.has_value(), "libtorch ", ctorch_version(), " has no operator ", name, *overload ? "." : "", overload);
        *result = new CTorchOperatorEntry{*handle};
    });
}

char *ctorch_operator_schema(CTorchOperator op) {
    char *text = nullptr;
    auto failure = guarded([&] {
        auto whole = toString(op->handle.schema());
        auto start = whole.find('(');
        text = message(whole.substr(start == std::string::npos ? 0 : start).c_str());
    });
    return failure ? failure : text;
}

CTorchMessage ctorch_operator_call(
    CTorchOperator op, const CTorchValue *arguments, int32_t argument_count, CTorchTensor *results, int32_t capacity, int32_t *count) {
    return guarded([&] {
        // A wrong number of arguments would be read past the end of the stack by the boxed kernel.
        auto expected = op->handle.schema().arguments().size();
        TORCH_CHECK(expected == static_cast<size_t>(argument_count), "expected ", expected, " arguments, found ", argument_count);
        torch::jit::Stack stack;
        stack.reserve(static_cast<size_t>(argument_count));
        for (int32_t i = 0; i < argument_count; i++) stack.push_back(value(arguments[i]));
        op->handle.callBoxed(stack);

        size_t needed = 0;
        for (const auto &output : stack) needed += output.isTensorList() ? output.toTensorVector().size() : 1;
        TORCH_CHECK(needed <= static_cast<size_t>(capacity), "expected at most ", capacity, " results, found ", needed);
        for (const auto &output : stack)
            TORCH_CHECK(output.isTensor() || output.isTensorList() || output.isNone(), "a result that is no tensor: ", output.tagKind());
        int32_t next = 0;
        for (auto &output : stack) {
            if (output.isTensorList()) {
                for (auto &tensor : output.toTensorVector()) results[next++] = own(std::move(tensor));
            } else {
                results[next++] = output.isNone() ? nullptr : own(std::move(output).toTensor());
            }
        }
        *count = next;
    });
}
