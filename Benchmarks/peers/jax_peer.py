"""The race workloads in JAX: the whole step is one compiled function, whose state is donated to the next.

    python jax_peer.py cnn|vae [--norm weight|normal] [--batch N]
"""
import argparse
import os

import jax
import jax.numpy as jnp
import optax
from jax import lax

from protocol import serve

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("work", choices=["cnn", "vae"])
parser.add_argument("--norm", choices=["normal", "weight"], default="weight")
parser.add_argument("--batch", type=int)
arguments = parser.parse_args()
arguments.batch = arguments.batch or {"cnn": 50, "vae": 100}[arguments.work]

# Height, width, inputs, outputs: the layout that XLA's convolutions take on the CPU, with the units last.
KERNELS = [(3, 3, 3, 96), (3, 3, 96, 96), (3, 3, 96, 96), (3, 3, 96, 192), (3, 3, 192, 192), (3, 3, 192, 192),
           (3, 3, 192, 192), (1, 1, 192, 192), (1, 1, 192, 192)]


def layer(key, shape):
    parameters = {"v": 0.05 * jax.random.normal(key, shape), "b": jnp.zeros(shape[-1])}
    if arguments.norm == "weight":
        parameters["g"] = jnp.ones(shape[-1])
    return parameters


def weight(parameters):
    v = parameters["v"]
    if "g" not in parameters:
        return v
    return v * (parameters["g"] / jnp.sqrt(jnp.sum(v * v, axis=range(v.ndim - 1))))


def convolve(maps, parameters, stride=1, padding="SAME"):
    return lax.conv_general_dilated(
        maps, weight(parameters), (stride, stride), padding, dimension_numbers=("NHWC", "HWIO", "NHWC")) + parameters["b"]


def cnn_network(layers, images, key):
    noise_key, *dropout_keys = jax.random.split(key, 3)
    maps = images + 0.15 * jax.random.normal(noise_key, images.shape)
    for index, parameters in enumerate(layers[:-1]):
        maps = jax.nn.leaky_relu(convolve(maps, parameters, padding="VALID" if index >= 6 else "SAME"), 0.1)
        if index in (2, 5):
            maps = lax.reduce_window(maps, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            maps = jnp.where(jax.random.bernoulli(dropout_keys[index // 3], 0.5, maps.shape), maps * 2, 0)
    return maps.mean((1, 2)) @ weight(layers[-1]) + layers[-1]["b"]


def cnn_loss(layers, images, labels, key):
    return optax.softmax_cross_entropy_with_integer_labels(cnn_network(layers, images, key), labels).mean()


def cnn():
    keys = jax.random.split(jax.random.key(0), len(KERNELS) + 4)
    layers = [layer(key, shape) for key, shape in zip(keys, KERNELS)] + [layer(keys[-1], (192, 10))]
    images = jax.random.normal(keys[-2], (arguments.batch, 32, 32, 3))
    labels = jax.random.randint(keys[-3], (arguments.batch,), 0, 10)
    return layers, images, labels, keys[-4], optax.adam(1e-3), cnn_loss


# Of the encoder and the decoder: the shape of each weight with its stride, "block" for a residual block.
ENCODER = [(3, 3, 1, 16)] + ["block16"] * 2 + [(3, 3, 16, 32)] + ["block32"] * 2 + [(3, 3, 32, 32)] + ["block32"] * 2
DECODER = ["block32"] * 2 + [(3, 3, 32, 32)] + ["block32"] * 2 + [(3, 3, 32, 16)] + ["block16"] * 2 + [(3, 3, 16, 1)]


def vae_layers(key):
    def make(parts, key):
        made = []
        for part, own in zip(parts, jax.random.split(key, len(parts))):
            if isinstance(part, str):
                maps = int(part.removeprefix("block"))
                made.append([layer(each, (3, 3, maps, maps)) for each in jax.random.split(own)])
            else:
                made.append(layer(own, part))
        return made

    keys = jax.random.split(key, 6)
    return {"up": make(ENCODER, keys[0]), "down": make(DECODER, keys[1]), "hidden": layer(keys[2], (7 * 7 * 32, 450)),
            "posterior": layer(keys[3], (450, 64)), "first": layer(keys[4], (32, 450)), "second": layer(keys[5], (450, 7 * 7 * 32))}


def dense(x, parameters):
    return x @ weight(parameters) + parameters["b"]


def residual(maps, parts):
    return maps + 0.1 * convolve(jax.nn.elu(convolve(jax.nn.elu(maps), parts[0])), parts[1])


def vae_loss(layers, images, labels, key):
    maps, place = images, 0
    for part in layers["up"]:
        if isinstance(part, list):
            maps = residual(maps, part)
        else:
            maps = convolve(maps, part, 1 if place == 0 else 2, [(1, 1), (1, 1)])
            place += 1
    # The features in the order of PyTorch's: maps, rows, columns.
    features = jax.nn.elu(dense(maps.transpose(0, 3, 1, 2).reshape(len(maps), -1), layers["hidden"]))
    mean, log_deviation = jnp.split(dense(features, layers["posterior"]), 2, 1)
    deviation = jnp.exp(log_deviation)
    divergence = 0.5 * (mean**2 + deviation**2 - 2 * log_deviation - 1).sum(1).mean()
    latent = mean + deviation * jax.random.normal(key, mean.shape)
    maps = dense(jax.nn.elu(dense(latent, layers["first"])), layers["second"]).reshape(-1, 32, 7, 7).transpose(0, 2, 3, 1)
    for index, part in enumerate(layers["down"]):
        if isinstance(part, list):
            maps = residual(maps, part)
        else:
            if index < len(layers["down"]) - 1:
                maps = maps.repeat(2, 1).repeat(2, 2)
            maps = convolve(maps, part)
    return optax.sigmoid_binary_cross_entropy(maps, images).sum() / len(images) + divergence


def vae():
    keys = jax.random.split(jax.random.key(0), 3)
    images = jax.random.bernoulli(keys[0], 0.2, (arguments.batch, 28, 28, 1)).astype(jnp.float32)
    # optax's adamax is that of the paper of Adam, as PyTorch's is.
    return vae_layers(keys[1]), images, jnp.zeros(arguments.batch), keys[2], optax.adamax(2e-3), vae_loss


layers, images, labels, key, optimizer, loss_function = {"cnn": cnn, "vae": vae}[arguments.work]()
state = optimizer.init(layers)


# Images and labels are arguments: as constants, parts of the step could be done at compile time.
def update(layers, state, key, images, labels):
    key, step_key = jax.random.split(key)

    value, slopes = jax.value_and_grad(loss_function)(layers, images, labels, step_key)
    changes, state = optimizer.update(slopes, state)
    return optax.apply_updates(layers, changes), state, key, value


update = jax.jit(update, donate_argnums=(0, 1))


def step():
    global layers, state, key
    layers, state, key, loss = update(layers, state, key, images, labels)
    return float(loss)


serve(f"jax-{jax.__version__}", arguments, len(os.sched_getaffinity(0)), step)
