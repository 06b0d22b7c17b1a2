"""Computes loss and gradients of the race workloads in PyTorch from numbers that the Swift side can make too, so that a test can tell that both programs do
the same work. Gradients are told by their norm and by their product with a pattern. Needs PyTorch:

    python Benchmarks/peers/reference.py > Benchmarks/Tests/WorkloadsTests/reference.json
"""
import json
import math
import platform

import torch
from torch.nn import functional as F

from pytorch_peer import CNN, DQN, DRAW, NORMS, VAE, dqn_loss, recurrent, recurrent_loss

BATCH = 4
GLIMPSES = 3


def pattern(offset, *shape):
    """Numbers from -0.5 to 0.5 without an order that a layout would keep."""
    places = torch.arange(offset, offset + math.prod(shape), dtype=torch.int64)
    return (((places * 7919 + 11) % 1009 - 504).double() / 1008).reshape(shape)


def philox(counter, key):
    """The four words of Philox4x32-10 (Salmon et al., 2011)."""
    mask = 2**32 - 1
    a, b, c, d = counter & mask, counter >> 32, 0, 0
    low, high = key & mask, key >> 32
    for _ in range(10):
        first, second = 0xD2511F53 * a, 0xCD9E8D57 * c
        a, b, c, d = second >> 32 ^ b ^ low, second & mask, first >> 32 ^ d ^ high, first & mask
        low, high = low + 0x9E3779B9 & mask, high + 0xBB67AE85 & mask
    return a, b, c, d


def normal(*shape):
    """Draws of N(0, 1) as the Swift side makes them, where an element's number depends on its place and a key from libtorch's generator of seed 5: of 64 elements in a row, the first 32
    have the first half of the words of 16 counters for radii, the last 32 the others for angles."""
    generator = torch.Generator().manual_seed(5)
    key = torch.empty(1, dtype=torch.int64).random_(-2**63, None, generator=generator).item() % 2**64
    count = math.prod(shape)
    numbers = []
    for block in range(-(-count // 64)):
        words = [word for each in zip(*(philox(block * 16 + lane, key) for lane in range(16))) for word in each]
        radii = [math.sqrt(-2 * math.log((word + 0.5) / 2**32)) for word in words[:32]]
        angles = [2 * math.pi * word / 2**32 for word in words[32:]]
        for function in (math.cos, math.sin):
            numbers += [radius * function(angle) for radius, angle in zip(radii, angles)]
    return torch.tensor(numbers[:count], dtype=torch.float64).reshape(shape)


def fill(parameter, role, offset):
    numbers = pattern(offset, *parameter.shape)
    scale, centre = {"v": (0.2, 0), "g": (0.5, 1), "b": (0.2, 0)}[role]
    with torch.no_grad():
        parameter.copy_(numbers * scale + centre)


def roles(network, norm):
    """Every parameter by the name that the Swift side has for it."""
    for index, layer in enumerate([*network.convolutions, network.output]):
        extra = None
        if isinstance(layer, torch.nn.Sequential):
            layer, extra = layer
        if hasattr(layer, "parametrizations"):
            yield f"{index}.weight.direction", "v", layer.parametrizations.weight.original1
            yield f"{index}.weight.gain", "g", layer.parametrizations.weight.original0
        else:
            yield f"{index}.weight", "v", layer.weight
        if layer.bias is not None:
            yield f"{index}.bias", "b", layer.bias
        if extra is not None:
            if norm == "batch":
                yield f"{index}.normalizer.gain", "g", extra.weight
            yield f"{index}.normalizer.bias", "b", extra.bias


def reference(norm):
    network = CNN(norm).double()
    named = list(roles(network, norm))
    assert len(named) == len(list(network.parameters()))
    for number, (_, role, parameter) in enumerate(named):
        fill(parameter, role, 1000 * number)
    images = 2 * pattern(7, BATCH, 3, 32, 32)
    noise = 2 * pattern(13, BATCH, 3, 32, 32)
    kept = [(pattern(offset, BATCH, maps, size, size) > 0).double() for offset, maps, size in [(17, 96, 16), (19, 192, 8)]]
    labels = torch.arange(BATCH) * 3 % 10
    loss = F.cross_entropy(network(images, noise, kept), labels)
    return told(norm, loss, named)


def roles_in_order(network):
    """The parameters weight by weight, for each v, then g, then b."""
    for name, layer in network.named_modules():
        if isinstance(layer, (torch.nn.Conv2d, torch.nn.Linear)):
            if hasattr(layer, "parametrizations"):
                yield f"{name}.weight.direction", "v", layer.parametrizations.weight.original1
                yield f"{name}.weight.gain", "g", layer.parametrizations.weight.original0
            else:
                yield f"{name}.weight", "v", layer.weight
            if layer.bias is not None:
                yield f"{name}.bias", "b", layer.bias


def vae_reference(norm):
    network, named = filled(VAE(norm))
    images = (pattern(7, BATCH, 1, 28, 28) > 0).double()
    return told(norm, network(images, normal(BATCH, VAE.LATENTS)), named)


def filled(network):
    """The network in float64 with numbers of the pattern, and its parameters with their names and roles."""
    network = network.double()
    named = list(roles_in_order(network))
    assert len(named) == len(list(network.parameters()))
    for number, (_, role, parameter) in enumerate(named):
        fill(parameter, role, 1000 * number)
    return network, named


def told(norm, loss, named):
    loss.backward()
    gradients = [{"name": name, "norm": p.grad.norm().item(), "product": (p.grad * pattern(23, *p.shape)).sum().item()}
                 for name, _, p in named]
    return {"norm": norm, "loss": loss.item(), "gradients": gradients}


def draw_reference(norm):
    network, named = filled(DRAW(norm))
    images = (pattern(7, BATCH, 28, 28) > 0).double()
    return told(norm, network(images, normal(GLIMPSES, BATCH, DRAW.LATENTS)), named)


def dqn_reference(norm):
    online, named = filled(DQN(norm))
    target, _ = filled(DQN(norm))
    # Another network than the first.
    with torch.no_grad():
        for parameter in target.parameters():
            parameter.mul_(0.75)
    frames, next_frames = (((pattern(offset, BATCH, 4, 84, 84) + 0.5) * 255).to(torch.uint8) for offset in (7, 29))
    actions = torch.arange(BATCH) * 5 % DQN.ACTIONS
    return told(norm, dqn_loss(online, target, frames, next_frames, actions, 4 * pattern(13, BATCH)), named)


def recurrent_reference(kind, norm):
    layer = recurrent(kind, norm, 5, 7).double()
    named = []
    for swift, name in ("inputWeight", "weight_ih_l0"), ("stateWeight", "weight_hh_l0"):
        if norm == "weight":
            v, g = layer.parametrizations[name].original1, layer.parametrizations[name].original0
            named += [(f"{swift}.direction", "v", v), (f"{swift}.gain", "g", g)]
        else:
            named.append((swift, "v", getattr(layer, name)))
    if kind is torch.nn.LSTM:
        # There are two biases here, of which only the sum matters, and one there.
        torch.nn.init.zeros_(layer.bias_hh_l0)
        named.append(("bias", "b", layer.bias_ih_l0))
    else:
        named += [("inputBias", "b", layer.bias_ih_l0), ("stateBias", "b", layer.bias_hh_l0)]
    for number, (_, role, parameter) in enumerate(named):
        fill(parameter, role, 1000 * number)
    return told(norm, recurrent_loss(layer, 4 * pattern(7, GLIMPSES, BATCH, 5), pattern(13, GLIMPSES, BATCH, 7)), named)


print(json.dumps({"torch": torch.__version__, "python": platform.python_version(), "batch": BATCH, "glimpses": GLIMPSES,
                  "cnn": [reference(norm) for norm in NORMS], "vae": [vae_reference(norm) for norm in ["normal", "weight"]],
                  "draw": [draw_reference(norm) for norm in ["normal", "weight"]],
                  "dqn": [dqn_reference(norm) for norm in ["normal", "weight"]],
                  **{name: [recurrent_reference(kind, norm) for norm in ["normal", "weight"]]
                     for name, kind in [("lstm", torch.nn.LSTM), ("gru", torch.nn.GRU)]}}, indent=1))
