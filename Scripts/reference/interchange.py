"""Files of a network with every layer, from PyTorch to this library and back. Needs PyTorch (CPU) and safetensors:

    python3 Scripts/reference/interchange.py write FOLDER
        writes the network in every layout, with what PyTorch computes: Tests/WeightFilesTests/Fixtures was made so,
        with PyTorch 2.13.0+cpu, safetensors 0.8.0 and Python 3.11.7 (the metadata of the files beside them has the versions)
    python3 Scripts/reference/interchange.py check FOLDER
        loads files that the library wrote strictly, and compares outputs and gradients with those beside them

`Scripts/check-interchange.sh` does both ways.
"""
import platform
import sys
import warnings
from pathlib import Path

import safetensors
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn.utils import weight_norm as older
from torch.nn.utils.parametrizations import weight_norm as newer

warnings.simplefilter("ignore", FutureWarning)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-12}


class MeanOnlyBatchNorm(nn.Module):
    """t - mean(t) + b, which PyTorch lacks."""

    def __init__(self, features):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))

    def forward(self, x):
        mean = x.mean(0) if self.training else self.running_mean
        return x - mean + self.bias


class NormalizedLinear(nn.Linear):
    """A linear layer with a normalizer inside, as the library's layers have it."""

    def __init__(self, inputs, outputs, normalizer):
        super().__init__(inputs, outputs, bias=False)
        self.normalizer = normalizer

    def forward(self, x):
        return self.normalizer(super().forward(x))


class Network(nn.Module):
    """Every layer once; `InterchangeNetwork` in the library's tests is the same."""

    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv1d(4, 6, 3, padding=1, groups=2)
        self.up1 = nn.ConvTranspose1d(6, 4, 2, stride=2, groups=2)
        self.conv2 = nn.Conv2d(4, 6, 3, groups=2)
        self.up2 = nn.ConvTranspose2d(6, 4, 2, stride=2, groups=2)
        self.conv3 = nn.Conv3d(2, 3, 2)
        self.up3 = nn.ConvTranspose2d(3, 2, 2)
        # A large epsilon: without it the function does not depend on the gain of hidden1, and its gradient is rounding alone.
        self.hidden1 = NormalizedLinear(32, 10, nn.BatchNorm1d(10, eps=0.1))
        self.hidden2 = NormalizedLinear(10, 6, MeanOnlyBatchNorm(6))
        self.lstm = nn.LSTM(3, 4)
        self.gru = nn.GRU(4, 3)
        self.output_layer = nn.Linear(3, 2)

    def forward(self, x):
        x = torch.tanh(self.conv1(x))
        x = torch.tanh(self.up1(x)).reshape(-1, 4, 4, 4)
        x = torch.tanh(self.conv2(x))
        x = torch.tanh(self.up2(x)).reshape(-1, 2, 2, 4, 4)
        x = torch.tanh(self.conv3(x)).reshape(-1, 3, 3, 3)
        x = torch.tanh(self.up3(x)).flatten(1)
        x = torch.tanh(self.hidden1(x))
        x = torch.tanh(self.hidden2(x)).reshape(-1, 2, 3).transpose(0, 1)
        x, _ = self.lstm(x)
        x, _ = self.gru(x)
        return self.output_layer(x)


def weights(network):
    """Every weight that can be normalized: its module and its name there."""
    for module in network.modules():
        if isinstance(module, nn.LayerNorm):
            continue
        for name, parameter in list(module.named_parameters(recurse=False)):
            if (name.startswith("weight") or name == "in_proj_weight") and parameter.dim() > 1:
                yield module, name


def is_transposed(module):
    return isinstance(module, (nn.ConvTranspose1d, nn.ConvTranspose2d))


# How each file's weights are normalized: a function of the place in the network, the module and the name.
LAYOUTS = {
    "plain": lambda index, module, name: None,
    # The default dim, 0, which for a transposed convolution is the axis of the inputs.
    "weight-norm": lambda index, module, name: older(module, name),
    "parametrizations": lambda index, module, name: newer(module, name, dim=1 if is_transposed(module) else 0),
    # Both, plain ones among them, and every dim.
    "mixed": lambda index, module, name: [
        lambda: older(module, name, dim=None),
        lambda: newer(module, name, dim=1),
        lambda: newer(module, name, dim=None),
        lambda: None,
        lambda: older(module, name, dim=1),
    ][index % 5](),
}


def compute(network, x, seed):
    """What is compared: outputs, and the gradients of the sum of outputs times seed, with the network's names."""
    with torch.no_grad():
        inference = network.eval()(x)
    x = x.clone().requires_grad_()
    network.zero_grad()
    before = {name: buffer.clone() for name, buffer in network.named_buffers()}
    training = network.train()(x)
    (training * seed).sum().backward()
    for name, buffer in network.named_buffers():
        buffer.copy_(before[name])
    results = {"output.inference": inference, "output.training": training.detach(), "gradient.input": x.grad}
    for name, parameter in network.named_parameters():
        results[f"gradient.{name}"] = parameter.grad
    return results


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    # One string a file: the writer puts several in an order that differs from run to run.
    versions = f"PyTorch {torch.__version__}, safetensors {safetensors.__version__}, Python {platform.python_version()}"
    made = {"made": f"by Scripts/reference/interchange.py with {versions}"}
    for layout, normalize in LAYOUTS.items():
        for dtype in TOLERANCE:
            torch.manual_seed(1)
            network = Network().double()
            for index, (module, name) in enumerate(list(weights(network))):
                with torch.no_grad():
                    getattr(module, name).normal_(0, 0.4)
                normalize(index, module, name)
            with torch.no_grad():
                # Gains that are not norms, of both signs, and nothing that is 0.
                for name, parameter in network.named_parameters():
                    if name.endswith("_g") or name.endswith("original0"):
                        parameter.mul_(torch.where(torch.rand_like(parameter) < 0.3, -0.8, 1.3))
                    elif parameter.dim() == 1:
                        parameter.add_(torch.randn_like(parameter) * 0.3)
                for name, buffer in network.named_buffers():
                    if buffer.is_floating_point():
                        buffer.add_(torch.rand_like(buffer) * 0.3)
            x, seed = torch.randn(4, 4, 8, dtype=torch.float64), torch.randn(2, 4, 2, dtype=torch.float64)
            network, x, seed = network.to(dtype), x.to(dtype), seed.to(dtype)
            results = compute(network, x, seed)
            stem = f"{layout}-{str(dtype).removeprefix('torch.')}"
            save_file(network.state_dict(), folder / f"{stem}.safetensors", {"format": "pt"})
            results |= {"input": x, "seed": seed}
            save_file({k: v.contiguous() for k, v in results.items()}, folder / f"{stem}.reference.safetensors", made)


def normalized_as(state, network):
    """The network, with its weights normalized as in a state dict."""

    def dim(gain, direction):
        fitting = [axis for axis in range(direction.dim()) if gain.dim() and gain.shape[axis] == direction.shape[axis] > 1]
        return fitting[0] if fitting else (0 if gain.dim() else None)

    names = {module: name for name, module in network.named_modules()}
    for module, name in list(weights(network)):
        prefix = names[module] + "." if names[module] else ""
        if f"{prefix}{name}_g" in state:
            older(module, name, dim=dim(state[f"{prefix}{name}_g"], state[f"{prefix}{name}_v"]))
        elif f"{prefix}parametrizations.{name}.original0" in state:
            gain, direction = (state[f"{prefix}parametrizations.{name}.original{index}"] for index in (0, 1))
            newer(module, name, dim=dim(gain, direction))
    return network


def scale_of(name):
    """Relative to what a tensor is compared: itself, or all gradients of its layer. A gain's gradient is a sum over its unit, which may cancel."""
    return name.rsplit(".")[1] if name.startswith("gradient.") else name


def check(folder):
    files = sorted(path for path in folder.glob("*.safetensors") if not path.name.startswith("layers-") and not path.name.endswith(".reference.safetensors"))
    if not files:
        sys.exit(f"expected safetensors files in {folder}, found none")
    failed = 0
    for path in files:
        state, reference = load_file(path), load_file(path.with_suffix(".reference.safetensors"))
        dtype = reference["input"].dtype
        network = normalized_as(state, Network()).to(dtype)
        network.load_state_dict(state, strict=True)
        with safe_open(path, "pt") as file:
            layout = (file.metadata() or {}).get("weightnorm.layout")
        results = compute(network, reference["input"], reference["seed"])
        if missing := set(results) - set(reference):
            sys.exit(f"{path.name}: expected {', '.join(sorted(missing))} in the file beside it, found none")
        scales = {}
        for name, expected in results.items():
            scales[scale_of(name)] = max(scales.get(scale_of(name), 0), expected.abs().max().item())
        errors = {}
        for name, expected in results.items():
            found = reference[name]
            assert found.shape == expected.shape and found.dtype == expected.dtype, (path.name, name)
            errors[name] = (found - expected).abs().max().item() / scales[scale_of(name)]
        worst = max(errors, key=errors.get)
        good = errors[worst] <= TOLERANCE[dtype]  # false for NaN
        failed += not good
        loaded = f"{len(state)} tensors loaded strictly"
        print(f"{'ok' if good else 'not ok'} - {path.name} ({layout}): {loaded}, worst of {len(errors)}: {worst} {errors[worst]:.2g}")
    print(f"{len(files) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in ("write", "check"):
        sys.exit(__doc__)
    {"write": write, "check": check}[sys.argv[1]](Path(sys.argv[2]))
