"""Each layer and function of its own, from PyTorch to this library and back. Needs PyTorch (CPU) and safetensors:

    python3 Scripts/reference/layers.py write FOLDER [--few]
        writes the layers' states with plain weights and with v and g along every dim, and what PyTorch computes from them: with --few what
        Tests/WeightFilesTests/Fixtures has, made with PyTorch 2.15.0+cpu, safetensors 0.8.0 and Python 3.11.2
    python3 Scripts/reference/layers.py check FOLDER
        loads what the library wrote after reading such files, strictly, and compares it with what was read

`Scripts/check-interchange.sh` does both ways.
"""
import platform
import sys
import warnings
from pathlib import Path

import safetensors
import torch
from safetensors.torch import load_file, save_file
from torch import nn
from torch.nn import functional as F

from interchange import newer, normalized_as, older, weights

warnings.simplefilter("ignore")


class Snake(nn.Module):
    """As in DAC and SNAC."""

    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.ones(1, channels, 1))

    def forward(self, x):
        return x + torch.sin(self.alpha * x).square() / (self.alpha + 1e-9)


class SnakeBeta(nn.Module):
    """As in BigVGAN, with the logarithms as parameters."""

    def __init__(self, channels):
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(channels))
        self.beta = nn.Parameter(torch.zeros(channels))

    def forward(self, x):
        alpha, beta = (logarithm.exp()[None, :, None] for logarithm in (self.alpha, self.beta))
        return x + torch.sin(alpha * x).square() / (beta + 1e-9)


class CausalConv(nn.Conv1d):
    """A convolution that sees nothing later."""

    def forward(self, x):
        return super().forward(F.pad(x, ((self.kernel_size[0] - 1) * self.dilation[0], 0)))


def outputs(recurrent, x):
    return recurrent(x)[0]


def attention(layer, x):
    mask = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
    return layer(x, x, x, attn_mask=mask, need_weights=False)[0]


def crossing(layer, x):
    return layer(x[:, :2], x[:, 1:], x[:, 1:] * 2, need_weights=False)[0]


def call(layer, x):
    return layer(x)


# The layer, the shape of its input, and how it is called: `LayerInterchange` in the library's tests has the same.
LAYERS = {
    "dense": (lambda: nn.Linear(4, 3), (2, 4), call),
    "conv": (lambda: nn.Conv1d(4, 6, 3, stride=2, padding=2, dilation=2, groups=2), (2, 4, 9), call),
    "causal": (lambda: CausalConv(4, 3, 3, dilation=2), (2, 4, 7), call),
    "reflect": (lambda: nn.Conv1d(4, 3, 3, padding=2, padding_mode="reflect"), (2, 4, 5), call),
    "replicate": (lambda: nn.Conv2d(2, 3, (3, 2), padding=(1, 2), padding_mode="replicate"), (2, 2, 4, 3), call),
    "circular": (lambda: nn.Conv2d(2, 3, 3, padding=1, padding_mode="circular", bias=False), (2, 2, 4, 3), call),
    "volume": (lambda: nn.Conv3d(2, 3, 2, padding=1), (1, 2, 3, 2, 3), call),
    "up1": (lambda: nn.ConvTranspose1d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2), (2, 4, 5), call),
    "up2": (lambda: nn.ConvTranspose2d(3, 2, (2, 3), stride=2), (2, 3, 3, 4), call),
    "up3": (lambda: nn.ConvTranspose3d(2, 3, 2), (1, 2, 2, 3, 2), call),
    "embedding": (lambda: nn.Embedding(7, 5), (2, 3), call),
    "layer_norm": (lambda: nn.LayerNorm((3, 6)), (2, 3, 6), call),
    "rms_norm": (lambda: nn.RMSNorm(6), (2, 3, 6), call),
    "group_norm": (lambda: nn.GroupNorm(2, 4), (2, 4, 5), call),
    "instance_norm": (lambda: nn.InstanceNorm1d(4, affine=True), (2, 4, 5), call),
    "snake": (lambda: Snake(4), (2, 4, 7), call),
    "snake_beta": (lambda: SnakeBeta(4), (2, 4, 7), call),
    "lstm": (lambda: nn.LSTM(4, 3), (5, 2, 4), outputs),
    "stack": (lambda: nn.LSTM(4, 3, num_layers=2, bidirectional=True, batch_first=True), (2, 5, 4), outputs),
    "gru_stack": (lambda: nn.GRU(4, 3, num_layers=3), (5, 2, 4), outputs),
    "attention": (lambda: nn.MultiheadAttention(6, 2, batch_first=True), (2, 4, 6), attention),
    "crossing": (lambda: nn.MultiheadAttention(6, 3, batch_first=True), (2, 4, 6), crossing),
}

WINDOW = torch.hann_window(8, dtype=torch.float64)

# What has no parameters: a function and the shape of its input.
FUNCTIONS = {
    "gelu": (F.gelu, (3, 50)),
    "gelu_tanh": (lambda x: F.gelu(x, approximate="tanh"), (3, 50)),
    "silu": (F.silu, (3, 50)),
    "softplus": (F.softplus, (3, 50)),
    "leaky_relu": (F.leaky_relu, (3, 50)),
    "erf": (torch.erf, (3, 50)),
    "normalize": (lambda x: F.normalize(x, dim=1), (3, 5, 2)),
    "cumprod": (lambda x: torch.cumprod(x, 1), (3, 5)),
    "mse": (lambda x: F.mse_loss(x, x.detach().flip(0)), (3, 5)),
    "l1": (lambda x: F.l1_loss(x, x.detach().flip(0)), (3, 5)),
    "smooth_l1": (lambda x: F.smooth_l1_loss(x, x.detach().flip(0), beta=0.7), (3, 5)),
    "max_pool1": (lambda x: F.max_pool1d(x, 3, 2, 1), (2, 3, 8)),
    "max_pool3": (lambda x: F.max_pool3d(x, 2, 1), (1, 2, 3, 3, 4)),
    "avg_pool1": (lambda x: F.avg_pool1d(x, 3, 2, 1, count_include_pad=False), (2, 3, 8)),
    "avg_pool3": (lambda x: F.avg_pool3d(x, 2, 1), (1, 2, 3, 3, 4)),
    "adaptive_avg": (lambda x: F.adaptive_avg_pool2d(x, (2, 3)), (2, 3, 5, 7)),
    "adaptive_max": (lambda x: F.adaptive_max_pool1d(x, 3), (2, 3, 7)),
    "nearest": (lambda x: F.interpolate(x, scale_factor=3, mode="nearest"), (2, 3, 4)),
    "linear": (lambda x: F.interpolate(x, scale_factor=2, mode="linear"), (2, 3, 4)),
    "bilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=True), (2, 3, 4, 3)),
    "trilinear": (lambda x: F.interpolate(x, scale_factor=2, mode="trilinear"), (1, 2, 2, 3, 2)),
    "pad": (lambda x: F.pad(x, (1, 2, 3, 0)), (2, 3, 4)),
    "pad_reflect": (lambda x: F.pad(x, (1, 2), mode="reflect"), (2, 3, 4)),
    "pad_replicate": (lambda x: F.pad(x, (1, 2, 2, 1), mode="replicate"), (2, 3, 4, 3)),
    "pad_circular": (lambda x: F.pad(x, (1, 2), mode="circular"), (2, 3, 4)),
    "attend": (lambda x: F.scaled_dot_product_attention(x, x.flip(1), 2 * x, is_causal=True), (2, 4, 6)),
    "stft": (lambda x: torch.view_as_real(torch.stft(x, 8, 3, window=WINDOW.to(x.dtype), return_complex=True)), (2, 25)),
    "istft": (lambda x: torch.istft(torch.view_as_complex(x.contiguous()), 8, 2, window=WINDOW.to(x.dtype)), (2, 5, 9, 2)),
}


class Layers(nn.Module):
    """Every layer, by its name."""

    def __init__(self):
        super().__init__()
        for name, (make, _, _) in LAYERS.items():
            setattr(self, name, make())

    def results(self, inputs):
        """Outputs, and the gradients of the sum of outputs times a seed, by the layers' names and their parameters'."""
        self.zero_grad()
        found = {}
        for name, (_, _, run) in LAYERS.items():
            layer, x = getattr(self, name), inputs[name]
            x = x.clone().requires_grad_(x.is_floating_point())
            y = run(layer, x)
            (y * seed_like(y)).sum().backward()
            found[f"{name}.output"] = y.detach()
            if x.grad is not None:
                found[f"{name}.gradient.input"] = x.grad
            for parameter, value in layer.named_parameters():
                found[f"{name}.gradient.{parameter}"] = value.grad
        return found


def seed_like(y):
    """Weights for the sum of an output that are the same everywhere: cos 1, cos 2, …"""
    return torch.arange(1, y.numel() + 1, dtype=torch.float64).cos().to(y.dtype).reshape(y.shape)


def normalize(network, kind, shift):
    """Normalizes each weight along the dim whose turn it is, the whole as one among them."""
    for index, (module, name) in enumerate(list(weights(network))):
        # The older one computes the weight when its module is called, and attention only reads that of its output projection: it would stay what it was.
        if kind is older and module in (network.attention.out_proj, network.crossing.out_proj):
            continue
        dims = [*range(getattr(module, name).dim()), None]
        kind(module, name, dim=dims[(index + shift) % len(dims)])


def save(tensors, path, made):
    save_file({name: tensor.contiguous().clone() for name, tensor in tensors.items()}, path, {"made": made})


def write(folder, few):
    folder.mkdir(parents=True, exist_ok=True)
    versions = f"PyTorch {torch.__version__}, safetensors {safetensors.__version__}, Python {platform.python_version()}"
    made = f"by Scripts/reference/layers.py with {versions}"
    layouts = [("plain", None, 0)] + [(f"{name}-{shift}", kind, shift) for name, kind in (("old", older), ("new", newer)) for shift in range(6)]
    chosen = {("plain", torch.float64), ("old-1", torch.float64), ("new-2", torch.float32)}
    for layout, kind, shift in layouts:
        for dtype in (torch.float32, torch.float64):
            if few and (layout, dtype) not in chosen:
                continue
            torch.manual_seed(shift)
            network = Layers().double()
            if kind:
                normalize(network, kind, shift)
            with torch.no_grad():
                for name, parameter in network.named_parameters():
                    if name.endswith("_g") or name.endswith("original0"):
                        parameter.mul_(torch.where(torch.rand_like(parameter) < 0.3, -0.8, 1.3))
                    else:
                        parameter.add_(torch.randn_like(parameter) * 0.2)
            network = network.to(dtype)
            inputs = {
                name: torch.randint(7, shape) if name == "embedding" else torch.randn(shape, dtype=torch.float64).to(dtype)
                for name, (_, shape, _) in LAYERS.items()
            }
            stem = f"layers-{layout}-{str(dtype).removeprefix('torch.')}"
            save(network.state_dict(), folder / f"{stem}.safetensors", made)
            reference = network.results(inputs) | {f"{name}.input": x for name, x in inputs.items()}
            save(reference, folder / f"{stem}.reference.safetensors", made)
    torch.manual_seed(9)
    found = {}
    for name, (function, shape) in FUNCTIONS.items():
        x = (2 * torch.randn(shape, dtype=torch.float64)).requires_grad_()
        y = function(x)
        (y * seed_like(y)).sum().backward()
        found |= {f"{name}.input": x.detach(), f"{name}.output": y.detach(), f"{name}.gradient": x.grad}
    save(found, folder / "functions.safetensors", made)


def check(folder):
    files = sorted(path for path in folder.glob("layers-*.safetensors") if not path.name.endswith(".reference.safetensors"))
    if not files:
        sys.exit(f"expected layers-….safetensors in {folder}, found none")
    failed = 0
    for path in files:
        state, reference = load_file(path), load_file(path.with_suffix(".reference.safetensors"))
        dtype = reference["dense.input"].dtype
        network = normalized_as(state, Layers()).to(dtype)
        network.load_state_dict(state, strict=True)
        results = network.results({name: reference[f"{name}.input"] for name in LAYERS})
        scales, worst = {}, (0.0, "")
        for name, expected in results.items():
            case = name.split(".")[0] + (".gradient" if ".gradient." in name else "")
            scales[case] = max(scales.get(case, 0), expected.abs().max().item())
        for name, expected in results.items():
            case = name.split(".")[0] + (".gradient" if ".gradient." in name else "")
            assert reference[name].shape == expected.shape and reference[name].dtype == dtype, (path.name, name)
            error = (reference[name] - expected).abs().max().item() / scales[case]
            worst = max(worst, (error if error == error else float("inf"), name))
        good = worst[0] <= (1e-5 if dtype == torch.float32 else 1e-12)
        failed += not good
        print(f"{'ok' if good else 'not ok'} - {path.name}: {len(state)} tensors loaded strictly, worst of {len(results)}: {worst[1]} {worst[0]:.2g}")
    print(f"{len(files) - failed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    arguments = sys.argv[1:]
    if len(arguments) < 2 or arguments[0] not in ("write", "check"):
        sys.exit(__doc__)
    if arguments[0] == "write":
        write(Path(arguments[1]), few="--few" in arguments)
    else:
        check(Path(arguments[1]))
