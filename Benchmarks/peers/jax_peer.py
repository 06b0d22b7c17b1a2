"""The race workloads in JAX: the whole step is one compiled function, whose state is donated to the next.

    python jax_peer.py cnn [--norm weight|normal] [--batch 50]
"""
import argparse
import os

import jax
import jax.numpy as jnp
import optax
from jax import lax

from protocol import serve

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("work", choices=["cnn"])
parser.add_argument("--norm", choices=["normal", "weight"], default="weight")
parser.add_argument("--batch", type=int, default=50)
arguments = parser.parse_args()

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


def network(layers, images, key):
    noise_key, *dropout_keys = jax.random.split(key, 3)
    maps = images + 0.15 * jax.random.normal(noise_key, images.shape)
    for index, parameters in enumerate(layers[:-1]):
        maps = lax.conv_general_dilated(
            maps, weight(parameters), (1, 1), "VALID" if index >= 6 else "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
        maps = jax.nn.leaky_relu(maps + parameters["b"], 0.1)
        if index in (2, 5):
            maps = lax.reduce_window(maps, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")
            maps = jnp.where(jax.random.bernoulli(dropout_keys[index // 3], 0.5, maps.shape), maps * 2, 0)
    return maps.mean((1, 2)) @ weight(layers[-1]) + layers[-1]["b"]


keys = jax.random.split(jax.random.key(0), len(KERNELS) + 4)
layers = [layer(key, shape) for key, shape in zip(keys, KERNELS)] + [layer(keys[-1], (192, 10))]
images = jax.random.normal(keys[-2], (arguments.batch, 32, 32, 3))
labels = jax.random.randint(keys[-3], (arguments.batch,), 0, 10)
optimizer = optax.adam(1e-3)
state, key = optimizer.init(layers), keys[-4]


# Images and labels are arguments: as constants, parts of the step could be done at compile time.
def update(layers, state, key, images, labels):
    key, step_key = jax.random.split(key)

    def loss(layers):
        return optax.softmax_cross_entropy_with_integer_labels(network(layers, images, step_key), labels).mean()

    value, slopes = jax.value_and_grad(loss)(layers)
    changes, state = optimizer.update(slopes, state)
    return optax.apply_updates(layers, changes), state, key, value


update = jax.jit(update, donate_argnums=(0, 1))


def step():
    global layers, state, key
    layers, state, key, loss = update(layers, state, key, images, labels)
    return float(loss)


serve(f"jax-{jax.__version__}", arguments, len(os.sched_getaffinity(0)), step)
