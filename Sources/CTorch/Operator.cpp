// One call for any operator of libtorch's dispatcher, by a handle that is looked up once.
#include "Guard.hpp"
// After Guard.hpp, which silences libtorch's warnings only for its own includes.
#include "Dispatch.hpp"

#include <array>
#include <deque>
#include <vector>

using namespace ctorch;

namespace {

constexpr uint32_t bit(int kind) { return uint32_t(1) << kind; }

/// What a schema accepts for one argument, determined once: a boxed kernel only asserts it, without the argument's name.
struct Formal {
    /// The kinds of values that fit, one bit each.
    uint32_t kinds = 0;
    /// The type of a list's elements.
    c10::TypePtr element;
    /// Whether those are `int` or `Tensor`, so that a list of them is made without checking each.
    bool is_plain = false;

    explicit Formal(const c10::TypePtr &type) {
        switch (type->kind()) {
            case c10::TypeKind::TensorType: kinds = bit(CTORCH_TENSOR); break;
            case c10::TypeKind::NumberType:
                kinds = bit(CTORCH_INTEGER) | bit(CTORCH_REAL) | bit(CTORCH_BOOLEAN) | bit(CTORCH_COMPLEX);
                break;
            case c10::TypeKind::IntType:
            case c10::TypeKind::SymIntType: kinds = bit(CTORCH_INTEGER); break;
            case c10::TypeKind::FloatType:
            case c10::TypeKind::SymFloatType: kinds = bit(CTORCH_REAL); break;
            case c10::TypeKind::BoolType:
            case c10::TypeKind::SymBoolType: kinds = bit(CTORCH_BOOLEAN); break;
            case c10::TypeKind::ComplexType: kinds = bit(CTORCH_COMPLEX); break;
            case c10::TypeKind::StringType: kinds = bit(CTORCH_TEXT); break;
            case c10::TypeKind::DeviceObjType: kinds = bit(CTORCH_DEVICE); break;
            case c10::TypeKind::GeneratorType: kinds = bit(CTORCH_GENERATOR); break;
            case c10::TypeKind::OptionalType: {
                *this = Formal(type->expectRef<c10::OptionalType>().getElementType());
                kinds |= bit(CTORCH_NONE);
                break;
            }
            case c10::TypeKind::ListType: {
                element = type->expectRef<c10::ListType>().getElementType();
                auto one = Formal(element).kinds;
                kinds = bit(CTORCH_LIST);
                if (one & bit(CTORCH_INTEGER)) kinds |= bit(CTORCH_INTEGERS);
                if (one & bit(CTORCH_TENSOR)) kinds |= bit(CTORCH_TENSORS);
                is_plain = element->kind() == c10::TypeKind::IntType || element->kind() == c10::TypeKind::TensorType;
                break;
            }
            case c10::TypeKind::AnyType:
                kinds = ~uint32_t(0);
                element = type;
                is_plain = true;
                break;
            // Streams, storages and objects of classes have no counterpart in Swift.
            default: break;
        }
    }
};

const char *kind_name(int32_t kind) {
    static const char *const names[] = {
        "None", "Tensor", "int", "float", "bool", "int[]", "Tensor[]", "Device", "Generator", "str", "complex", "a list"};
    return kind >= 0 && kind < static_cast<int32_t>(std::size(names)) ? names[kind] : "an unknown kind";
}

bool fits(const CTorchValue &argument, const Formal &formal) {
    return argument.kind >= 0 && argument.kind < 32 && formal.kinds & bit(argument.kind);
}

c10::IValue value(const CTorchValue &argument, const Formal &formal);

/// A list whose elements have the type in the schema, such as `Scalar` or `Tensor?`.
template <typename Element>
c10::IValue list(const CTorchValue &argument, const Formal &formal, Element &&element) {
    Formal inner(formal.element);
    c10::impl::GenericList list(formal.element);
    list.reserve(static_cast<size_t>(argument.count));
    for (int32_t i = 0; i < argument.count; i++) {
        CTorchValue one = element(i);
        TORCH_CHECK(
            fits(one, inner), "element ", i + 1, " of a list: expected ", formal.element->str(), ", found ", kind_name(one.kind));
        list.push_back(value(one, inner));
    }
    return list;
}

c10::IValue value(const CTorchValue &argument, const Formal &formal) {
    auto count = static_cast<size_t>(argument.count);
    switch (argument.kind) {
        case CTORCH_NONE:
            return {};
        case CTORCH_TENSOR:
            return c10::IValue(borrow(reinterpret_cast<CTorchTensor>(argument.word)));
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
            if (formal.is_plain) return c10::IValue(c10::ArrayRef<int64_t>(first, count));
            return list(argument, formal, [&](int32_t i) { return CTorchValue{CTORCH_INTEGER, 0, static_cast<uint64_t>(first[i])}; });
        }
        case CTORCH_TENSORS: {
            auto first = reinterpret_cast<const CTorchTensor *>(argument.word);
            if (!formal.is_plain)
                return list(argument, formal, [&](int32_t i) {
                    return CTorchValue{CTORCH_TENSOR, 0, reinterpret_cast<uint64_t>(first[i])};
                });
            c10::List<at::Tensor> list;
            list.reserve(count);
            for (size_t i = 0; i < count; i++) list.push_back(borrow(first[i]));
            return c10::IValue(std::move(list));
        }
        case CTORCH_DEVICE:
            return c10::IValue(device(static_cast<int32_t>(argument.word)));
        case CTORCH_GENERATOR:
            return c10::IValue(borrow(reinterpret_cast<CTorchGenerator>(argument.word)));
        case CTORCH_TEXT:
            return c10::IValue(std::string(reinterpret_cast<const char *>(argument.word), count));
        case CTORCH_COMPLEX: {
            auto parts = reinterpret_cast<const double *>(argument.word);
            return c10::IValue(c10::complex<double>(parts[0], parts[1]));
        }
        case CTORCH_LIST: {
            auto first = reinterpret_cast<const CTorchValue *>(argument.word);
            return list(argument, formal, [&](int32_t i) { return first[i]; });
        }
        default:
            TORCH_CHECK(false, "argument of unknown kind ", argument.kind);
    }
}

/// Results on their way to Swift, which takes ownership of their tensors.
struct Results {
    std::deque<std::vector<CTorchValue>> lists;
    std::deque<std::string> texts;
    std::deque<std::array<double, 2>> numbers;
    std::vector<CTorchTensor> tensors;

    ~Results() {
        for (auto tensor : tensors) ctorch_tensor_free(tensor);
    }

    CTorchValue value(const c10::IValue &found) {
        if (found.isNone()) return {CTORCH_NONE, 0, 0};
        if (found.isTensor()) {
            auto tensor = own(found.toTensor());
            if (!tensor) return {CTORCH_NONE, 0, 0};
            tensors.push_back(tensor);
            return {CTORCH_TENSOR, 0, reinterpret_cast<uint64_t>(tensor)};
        }
        if (found.isBool()) return {CTORCH_BOOLEAN, 0, found.toBool() ? uint64_t(1) : 0};
        if (found.isInt()) return {CTORCH_INTEGER, 0, static_cast<uint64_t>(found.toInt())};
        if (found.isDouble()) {
            CTorchValue result{CTORCH_REAL, 0, 0};
            double real = found.toDouble();
            std::memcpy(&result.word, &real, sizeof real);
            return result;
        }
        if (found.isDevice()) return {CTORCH_DEVICE, 0, static_cast<uint64_t>(static_cast<uint32_t>(code(found.toDevice())))};
        if (found.isComplexDouble()) {
            auto number = found.toComplexDouble();
            numbers.push_back({number.real(), number.imag()});
            return {CTORCH_COMPLEX, 2, reinterpret_cast<uint64_t>(numbers.back().data())};
        }
        if (found.isString()) {
            texts.push_back(found.toStringRef());
            return {CTORCH_TEXT, static_cast<int32_t>(texts.back().size()), reinterpret_cast<uint64_t>(texts.back().data())};
        }
        if (found.isList()) {
            auto elements = found.toListRef();
            std::vector<CTorchValue> values;
            for (const auto &element : elements) values.push_back(value(element));
            lists.push_back(std::move(values));
            auto &kept = lists.back();
            return {CTORCH_LIST, static_cast<int32_t>(kept.size()), reinterpret_cast<uint64_t>(kept.data())};
        }
        TORCH_CHECK(false, "a result of a kind that has no counterpart in Swift: ", found.tagKind());
    }
};

}  // namespace

struct CTorchOperatorEntry {
    c10::OperatorHandle handle;
    std::vector<Formal> formals;
};

namespace {

torch::jit::Stack call(CTorchOperator op, const CTorchValue *arguments, int32_t argument_count) {
    // With too few arguments the boxed kernel would read past the end of the stack.
    auto expected = op->formals.size();
    TORCH_CHECK(expected == static_cast<size_t>(argument_count), "expected ", expected, " arguments, found ", argument_count);
    torch::jit::Stack stack;
    stack.reserve(expected);
    for (size_t i = 0; i < expected; i++) {
        const auto &formal = op->formals[i];
        if (!fits(arguments[i], formal)) {
            const auto &argument = op->handle.schema().arguments()[i];
            TORCH_CHECK(
                false, "argument ", i + 1, ", ", argument.name(), ": expected ", argument.type()->str(), ", found ",
                kind_name(arguments[i].kind));
        }
        stack.push_back(value(arguments[i], formal));
    }
    op->handle.callBoxed(stack);
    return stack;
}

}  // namespace

CTorchMessage ctorch_operator_find(const char *name, const char *overload, CTorchOperator *result) {
    return guarded([&] {
        auto handle = c10::Dispatcher::singleton().findSchema({name, overload});
        TORCH_CHECK(handle.has_value(), "libtorch ", ctorch_version(), " has no operator ", name, *overload ? "." : "", overload);
        std::vector<Formal> formals;
        for (const auto &argument : handle->schema().arguments()) formals.emplace_back(argument.type());
        *result = new CTorchOperatorEntry{*handle, std::move(formals)};
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
        auto stack = call(op, arguments, argument_count);
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

CTorchMessage ctorch_operator_results(
    CTorchOperator op, const CTorchValue *arguments, int32_t argument_count, CTorchTaker take, void *context) {
    return guarded([&] {
        auto stack = call(op, arguments, argument_count);
        Results results;
        std::vector<CTorchValue> values;
        for (const auto &output : stack) values.push_back(results.value(output));
        results.tensors.clear();
        take(context, values.data(), static_cast<int32_t>(values.size()));
    });
}
