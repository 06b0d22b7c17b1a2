"""The race workloads in PyTorch, as its documentation would have them written.

    python pytorch_peer.py cnn|vae|draw|dqn|lstm|gru [--norm weight] [--mode eager|channels_last|compile] [--batch N] [--width N] [--side N] [--glimpses N] [--device cpu] [--keep-memory]
"""
import argparse
import ctypes

import torch
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import parametrize
from torch.nn.utils.parametrizations import weight_norm

from protocol import add_sizes, parse, resident_megabytes, serve

NORMS = ["normal", "weight", "batch", "mean-only-batch", "weight+mean-only-batch"]


class MeanOnlyBatchNorm(nn.Module):
    """t - mean(t) + b, with a running mean for inference."""

    def __init__(self, features):
        super().__init__()
        self.bias = nn.Parameter(torch.zeros(features))
        self.register_buffer("running_mean", torch.zeros(features))

    def forward(self, t):
        mean = t.mean((0, 2, 3))
        with torch.no_grad():
            self.running_mean.mul_(0.9).add_(mean, alpha=0.1)
        return t + (self.bias - mean).view(1, -1, 1, 1)


class CNN(nn.Module):
    """The paper's CIFAR-10 network; the random numbers of a step come in from outside."""

    def __init__(self, norm, width=96):
        super().__init__()
        first, second = width, 2 * width
        # inputs, outputs, kernel, padding
        layers = [(3, first, 3, 1), (first, first, 3, 1), (first, first, 3, 1), (first, second, 3, 1), (second, second, 3, 1),
                  (second, second, 3, 1), (second, second, 3, 0), (second, second, 1, 0), (second, second, 1, 0)]
        normalize = weight_norm if norm.startswith("weight") else (lambda layer: layer)

        def convolution(inputs, outputs, kernel, padding):
            layer = normalize(nn.Conv2d(inputs, outputs, kernel, padding=padding, bias=norm in ("normal", "weight")))
            if norm == "batch":
                return nn.Sequential(layer, nn.BatchNorm2d(outputs, eps=1e-6))
            if norm.endswith("mean-only-batch"):
                return nn.Sequential(layer, MeanOnlyBatchNorm(outputs))
            return layer

        self.convolutions = nn.ModuleList([convolution(*sizes) for sizes in layers])
        self.output = normalize(nn.Linear(second, 10))

    def forward(self, images, noise, kept):
        maps = images + 0.15 * noise
        for index, convolution in enumerate(self.convolutions):
            maps = F.leaky_relu(convolution(maps), 0.1)
            if index in (2, 5):
                maps = F.max_pool2d(maps, 2)
                # F.dropout draws for itself and is the fastest way; given draws are for the comparison of results.
                maps = F.dropout(maps, 0.5) if kept is None else maps * (2 * kept[index // 3])
        return self.output(maps.mean((2, 3)))


def cnn(arguments):
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    network = CNN(arguments.norm, arguments.width).to(device)
    images = torch.randn(arguments.batch, 3, arguments.side, arguments.side, device=device)
    labels = torch.randint(0, 10, (arguments.batch,), device=device)
    if arguments.mode == "channels_last":
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, fused=True)

    def loss():
        return F.cross_entropy(network(images, torch.randn_like(images), None), labels)

    return optimizer, torch.compile(loss) if arguments.mode == "compile" else loss


class Block(nn.Module):
    """x + 0.1·conv(ELU(conv(ELU x)))."""

    def __init__(self, convolution, maps):
        super().__init__()
        self.first, self.second = convolution(maps, maps), convolution(maps, maps)

    def forward(self, x):
        return x + 0.1 * self.second(F.elu(self.first(F.elu(x))))


class VAE(nn.Module):
    """A residual variational autoencoder of binary images; the draws of a step may come in from outside."""

    LATENTS = 32

    def __init__(self, norm, width=16, side=28):
        super().__init__()
        normalize = weight_norm if norm == "weight" else (lambda layer: layer)

        def convolution(inputs, outputs, stride=1):
            return normalize(nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1))

        def dense(inputs, outputs):
            return normalize(nn.Linear(inputs, outputs))

        def blocks(maps):
            return [Block(convolution, maps) for _ in range(2)]

        first, second, inner = width, 2 * width, side // 4
        self.encoder = nn.Sequential(
            convolution(1, first), *blocks(first), convolution(first, second, 2), *blocks(second), convolution(second, second, 2),
            *blocks(second), nn.Flatten(), dense(inner * inner * second, 450), nn.ELU(), dense(450, 2 * self.LATENTS))
        self.decoder = nn.Sequential(
            dense(self.LATENTS, 450), nn.ELU(), dense(450, inner * inner * second), nn.Unflatten(1, (second, inner, inner)),
            *blocks(second), nn.Upsample(scale_factor=2), convolution(second, second), *blocks(second),
            nn.Upsample(scale_factor=2), convolution(second, first), *blocks(first), convolution(first, 1))

    def forward(self, images, noise):
        """The loss in nats an image."""
        mean, log_deviation = self.encoder(images).chunk(2, 1)
        deviation = log_deviation.exp()
        divergence = 0.5 * (mean**2 + deviation**2 - 2 * log_deviation - 1).sum(1).mean()
        latent = mean + deviation * (torch.randn_like(mean) if noise is None else noise)
        reconstruction = F.binary_cross_entropy_with_logits(self.decoder(latent), images, reduction="sum") / len(images)
        return reconstruction + divergence


def vae(arguments):
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    network = VAE(arguments.norm, arguments.width, arguments.side).to(device)
    images = (torch.rand(arguments.batch, 1, arguments.side, arguments.side, device=device) > 0.8).float()
    if arguments.mode == "channels_last":
        network = network.to(memory_format=torch.channels_last)
        images = images.to(memory_format=torch.channels_last)
    optimizer = torch.optim.Adamax(network.parameters(), 2e-3)

    def loss():
        return network(images, None)

    return optimizer, torch.compile(loss) if arguments.mode == "compile" else loss


class DRAW(nn.Module):
    """DRAW (Gregor et al., 2015) of binary images with attention; the draws of a step come in from outside."""

    LATENTS, READ, WRITE = 100, 2, 5

    def __init__(self, norm, width=256, side=28):
        super().__init__()
        self.width, self.side = width, side

        def dense(inputs, outputs, bias=True):
            layer = nn.Linear(inputs, outputs, bias)
            return weight_norm(layer) if norm == "weight" else layer

        def gates(inputs):
            """The weights of input and state, normalized apart, of the gates i, f, g, o."""
            return nn.ModuleDict({"input": dense(inputs, 4 * self.width), "state": dense(self.width, 4 * self.width, bias=False)})

        self.encoder = gates(2 * self.READ**2 + self.width)
        self.decoder = gates(self.LATENTS)
        self.latent = dense(self.width, 2 * self.LATENTS)
        self.read = dense(self.width, 5)
        self.write = dense(self.width, 5)
        self.patch = dense(self.width, self.WRITE**2)
        self.register_buffer("pixels", torch.arange(self.side, dtype=torch.float32), persistent=False)
        for name, count in ("read_places", self.READ), ("write_places", self.WRITE):
            self.register_buffer(name, torch.arange(count) - count / 2 + 0.5, persistent=False)

    def attend(self, parameters, places):
        """The filters of rows and of columns, [batch, places, pixels] each, and the intensity, [batch, 1, 1]."""
        centres, log_stride, log_variance, log_intensity = parameters.split([2, 1, 1, 1], 1)
        stride = (self.side - 1) / (len(places) - 1) * log_stride.exp()
        # Both axes at once: [batch, 2, places, 1].
        means = (self.side / 2 * (centres + 1)).unsqueeze(2) + (stride * places).unsqueeze(1)
        filters = torch.exp(-((self.pixels - means.unsqueeze(3)) ** 2) / (2 * log_variance.exp()[:, :, None, None]))
        filters = filters / (filters.sum(3, keepdim=True) + 1e-4)
        return filters[:, 0], filters[:, 1], log_intensity.exp().unsqueeze(2)

    @staticmethod
    def joined(gates):
        """One weight for input and state, which act joined, and the bias."""
        return torch.cat([gates["input"].weight, gates["state"].weight], 1), gates["input"].bias

    @staticmethod
    def advance(gates, inputs, output, cell):
        i, f, g, o = F.linear(torch.cat([*inputs, output], 1), *gates).chunk(4, 1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell

    def forward(self, images, noise):
        """The loss in nats an image, for images of [batch, side, side] and draws of [glimpses, batch, 100]."""
        # A weight is normalized once a step, not once a glimpse.
        with parametrize.cached():
            return self.loss(images, noise)

    def loss(self, images, noise):
        encoder, decoder = self.joined(self.encoder), self.joined(self.decoder)
        zeros = images.new_zeros(len(images), self.width)
        encoded, encoder_cell, decoded, decoder_cell = zeros, zeros, zeros, zeros
        canvas = torch.zeros_like(images)
        posteriors = []
        for draws in noise:
            rows, columns, intensity = self.attend(self.read(decoded), self.read_places)
            both = torch.stack([images, images - canvas.sigmoid()], 1)
            glimpse = intensity.unsqueeze(3) * (rows.unsqueeze(1) @ both @ columns.mT.unsqueeze(1))
            encoded, encoder_cell = self.advance(encoder, [glimpse.flatten(1), decoded], encoded, encoder_cell)
            posteriors.append(self.latent(encoded))
            mean, log_deviation = posteriors[-1].chunk(2, 1)
            decoded, decoder_cell = self.advance(decoder, [mean + log_deviation.exp() * draws], decoded, decoder_cell)
            rows, columns, intensity = self.attend(self.write(decoded), self.write_places)
            patch = self.patch(decoded).unflatten(1, (self.WRITE, self.WRITE))
            canvas = canvas + rows.mT @ patch @ columns / intensity
        mean, log_deviation = torch.stack(posteriors).chunk(2, 2)
        divergence = 0.5 * (mean**2 + (2 * log_deviation).exp() - 2 * log_deviation - 1).sum()
        return (F.binary_cross_entropy_with_logits(canvas, images, reduction="sum") + divergence) / len(images)


def draw(arguments):
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    network = DRAW(arguments.norm, arguments.width, arguments.side).to(device)
    images = (torch.rand(arguments.batch, arguments.side, arguments.side, device=device) > 0.8).float()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3, betas=(0.5, 0.999), fused=True)

    def loss():
        return network(images, torch.randn(arguments.glimpses, len(images), DRAW.LATENTS, device=device))

    return optimizer, torch.compile(loss) if arguments.mode == "compile" else loss


class DQN(nn.Sequential):
    """The action values of frames, [batch, 4, side, side] of whole numbers from 0 to 255."""

    ACTIONS = 6

    def __init__(self, norm, side=84):
        inner = ((side // 4 - 1) // 2 - 1) - 2
        normalize = weight_norm if norm == "weight" else (lambda layer: layer)
        super().__init__(
            normalize(nn.Conv2d(4, 32, 8, stride=4)), nn.ReLU(), normalize(nn.Conv2d(32, 64, 4, stride=2)), nn.ReLU(),
            normalize(nn.Conv2d(64, 64, 3)), nn.ReLU(), nn.Flatten(), normalize(nn.Linear(64 * inner * inner, 512)), nn.ReLU(),
            normalize(nn.Linear(512, self.ACTIONS)))

    def forward(self, frames):
        # To the weights' type: frames are bytes.
        return super().forward(frames.to(self[-1].bias.dtype) / 255)


def dqn_loss(online, target, frames, next_frames, actions, rewards):
    with torch.no_grad():
        aims = rewards + 0.99 * target(next_frames).amax(1)
    return F.huber_loss(online(frames).gather(1, actions.unsqueeze(1)).squeeze(1), aims, reduction="sum")


def dqn(arguments):
    device = torch.device(arguments.device)
    torch.manual_seed(0)
    online, target = DQN(arguments.norm, arguments.side).to(device), DQN(arguments.norm, arguments.side).to(device)
    frames, next_frames = (torch.randint(0, 256, (arguments.batch, 4, arguments.side, arguments.side), dtype=torch.uint8, device=device) for _ in range(2))
    actions = torch.randint(0, DQN.ACTIONS, (arguments.batch,), device=device)
    rewards = torch.randn(arguments.batch, device=device)
    if arguments.mode == "channels_last":
        online, target, frames, next_frames = (
            each.to(memory_format=torch.channels_last) for each in (online, target, frames, next_frames))
    optimizer = torch.optim.Adamax(online.parameters(), 3e-4, betas=(0.5, 0.999))

    def loss():
        return dqn_loss(online, target, frames, next_frames, actions, rewards)

    return optimizer, torch.compile(loss) if arguments.mode == "compile" else loss


def recurrent(kind, norm, inputs, width):
    """A layer of the kind, LSTM or GRU, with the weights of input and state normalized apart."""
    layer = kind(inputs, width)
    if norm == "weight":
        for name in "weight_ih_l0", "weight_hh_l0":
            weight_norm(layer, name)
    return layer


def recurrent_loss(layer, sequence, aims):
    return F.mse_loss(layer(sequence)[0], aims)


def sequences(kind):
    def workload(arguments):
        device = torch.device(arguments.device)
        torch.manual_seed(0)
        inputs = max(1, arguments.width // 2)
        layer = recurrent(kind, arguments.norm, inputs, arguments.width).to(device)
        sequence = torch.randn(arguments.glimpses, arguments.batch, inputs, device=device)
        aims = torch.randn(arguments.glimpses, arguments.batch, arguments.width, device=device)
        optimizer = torch.optim.Adam(layer.parameters(), 1e-3, fused=True)

        def loss():
            return recurrent_loss(layer, sequence, aims)

        return optimizer, torch.compile(loss) if arguments.mode == "compile" else loss

    return workload


WORKLOADS = {"cnn": cnn, "vae": vae, "draw": draw, "dqn": dqn, "lstm": sequences(nn.LSTM), "gru": sequences(nn.GRU)}


def keep_freed_memory():
    """Lets glibc keep what is freed, instead of giving it back to the system in every step: the nearest to this library's Runtime.keepFreedMemory()."""
    mmap_max, trim_threshold, arena_max = -4, -1, -8  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_ARENA_MAX of malloc.h
    mallopt = ctypes.CDLL(None).mallopt
    assert mallopt(mmap_max, 0) and mallopt(trim_threshold, -1) and mallopt(arena_max, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_sizes(parser)
    parser.add_argument("--norm", choices=NORMS, default="weight")
    parser.add_argument("--mode", choices=["eager", "channels_last", "compile"], default="eager")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--keep-memory", action="store_true", help="let glibc keep what is freed")
    parser.add_argument("--bfloat16", action="store_true", help="autocast to bfloat16")
    arguments = parse(parser)
    if arguments.work != "cnn" and arguments.norm not in ("normal", "weight"):
        parser.error(f"--norm: expected normal or weight for {arguments.work}, found {arguments.norm}")
    if arguments.work in ("draw", "lstm", "gru") and arguments.mode == "channels_last":
        parser.error(f"--mode: expected eager or compile for {arguments.work}, which has no convolutions, found channels_last")
    if arguments.keep_memory:
        keep_freed_memory()
    before = resident_megabytes()
    optimizer, loss_function = WORKLOADS[arguments.work](arguments)

    def step():
        optimizer.zero_grad(set_to_none=True)
        with torch.autocast(torch.device(arguments.device).type, torch.bfloat16, enabled=arguments.bfloat16):
            loss = loss_function()
        loss.backward()
        optimizer.step()
        return loss.item()

    kept = "-keep-memory" if arguments.keep_memory else ""
    kept += "-bfloat16" if arguments.bfloat16 else ""
    serve(f"pytorch-{torch.__version__}-{arguments.mode}{kept}", arguments, torch.get_num_threads(), before, step)


if __name__ == "__main__":
    main()
