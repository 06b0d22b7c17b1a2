"""Prints what PyTorch's LSTM and GRU compute, as the Swift source that the tests read. Needs PyTorch (CPU):

    python3 Scripts/reference/recurrent.py > Tests/WeightNormTests/Fixtures/RecurrentReference.swift
"""
import platform

import torch

TIME, BATCH, INPUTS, HIDDEN = 3, 2, 3, 2


def pattern(offset, *shape):
    """Numbers from -0.5 to 0.5 that the Swift side makes in the same way, bit for bit."""
    count = torch.Size(shape).numel()
    numbers = [((37 * (k + offset) + 11) % 101 - 50) / 100 for k in range(count)]
    return torch.tensor(numbers, dtype=torch.float64).reshape(shape)


def swift(name, tensor):
    print(f"    static let {name}: [Double] = [")
    numbers = [repr(number) for number in tensor.detach().flatten().tolist()]
    for start in range(0, len(numbers), 5):
        print("        " + ", ".join(numbers[start : start + 5]) + ",")
    print("    ]")


def reference(kind, layer, gates):
    parameters = {
        "inputWeight": (layer.weight_ih_l0, pattern(0, gates * HIDDEN, INPUTS)),
        "stateWeight": (layer.weight_hh_l0, pattern(100, gates * HIDDEN, HIDDEN)),
        "inputBias": (layer.bias_ih_l0, pattern(200, gates * HIDDEN)),
        "stateBias": (layer.bias_hh_l0, pattern(300, gates * HIDDEN)),
    }
    with torch.no_grad():
        for parameter, values in parameters.values():
            parameter.copy_(values)
    sequence = (4 * pattern(400, TIME, BATCH, INPUTS)).requires_grad_()
    # The same start for both examples, as the Swift layer's trainable start has it.
    states = [pattern(500 + 100 * index, HIDDEN).requires_grad_() for index in range(2 if kind == "LSTM" else 1)]
    starts = [state.expand(1, BATCH, HIDDEN).contiguous() for state in states]
    outputs, last = layer(sequence, tuple(starts) if kind == "LSTM" else starts[0])
    (outputs * pattern(700, TIME, BATCH, HIDDEN)).sum().backward()

    print(f"\n/// {kind}: outputs, and the gradients of Σ outputs·seed.")
    print(f"enum {kind}Reference {{")
    swift("outputs", outputs)
    if kind == "LSTM":
        swift("lastCell", last[1])
    swift("sequenceGradient", sequence.grad)
    for name, (parameter, _) in parameters.items():
        swift(f"{name}Gradient", parameter.grad)
    for name, state in zip(["initialStateGradient", "initialCellGradient"], states):
        swift(name, state.grad)
    print("}")


print(f"// Made by Scripts/reference/recurrent.py with PyTorch {torch.__version__} on Python {platform.python_version()}, in float64 on the CPU.")
reference("LSTM", torch.nn.LSTM(INPUTS, HIDDEN, dtype=torch.float64), 4)
reference("GRU", torch.nn.GRU(INPUTS, HIDDEN, dtype=torch.float64), 3)
