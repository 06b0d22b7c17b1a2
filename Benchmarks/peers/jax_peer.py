"""The race workloads in JAX: the whole step is one compiled function, whose state is donated to the next.

    python jax_peer.py cnn|vae|draw|dqn|lstm|gru [--norm weight|normal] [--batch N] [--width N] [--side N] [--glimpses N]
"""
import argparse
import os

import jax
import jax.numpy as jnp
import optax
from jax import lax

from protocol import add_sizes, parse, resident_megabytes, serve

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
add_sizes(parser)
parser.add_argument("--norm", choices=["normal", "weight"], default="weight")
arguments = parse(parser)
WIDTH, SIZE = arguments.width, arguments.side
before = resident_megabytes()

# Height, width, inputs, outputs: the layout that XLA's convolutions take on the CPU, with the units last.
KERNELS = [(3, 3, 3, WIDTH), (3, 3, WIDTH, WIDTH), (3, 3, WIDTH, WIDTH), (3, 3, WIDTH, 2 * WIDTH)] + [(3, 3, 2 * WIDTH, 2 * WIDTH)] * 3 \
    + [(1, 1, 2 * WIDTH, 2 * WIDTH)] * 2


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


def cnn_loss(layers, key, images, labels):
    return optax.softmax_cross_entropy_with_integer_labels(cnn_network(layers, images, key), labels).mean()


def cnn():
    keys = jax.random.split(jax.random.key(0), len(KERNELS) + 4)
    layers = [layer(key, shape) for key, shape in zip(keys, KERNELS)] + [layer(keys[-1], (2 * WIDTH, 10))]
    images = jax.random.normal(keys[-2], (arguments.batch, SIZE, SIZE, 3))
    labels = jax.random.randint(keys[-3], (arguments.batch,), 0, 10)
    return layers, (images, labels), keys[-4], optax.adam(1e-3), cnn_loss


# Of the encoder and the decoder: the shape of each weight with its stride, "block" for a residual block.
FIRST, SECOND = f"block{WIDTH}", f"block{2 * WIDTH}"
ENCODER = [(3, 3, 1, WIDTH)] + [FIRST] * 2 + [(3, 3, WIDTH, 2 * WIDTH)] + [SECOND] * 2 + [(3, 3, 2 * WIDTH, 2 * WIDTH)] + [SECOND] * 2
DECODER = [SECOND] * 2 + [(3, 3, 2 * WIDTH, 2 * WIDTH)] + [SECOND] * 2 + [(3, 3, 2 * WIDTH, WIDTH)] + [FIRST] * 2 + [(3, 3, WIDTH, 1)]
INNER = (SIZE or 0) // 4


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
    return {"up": make(ENCODER, keys[0]), "down": make(DECODER, keys[1]), "hidden": layer(keys[2], (INNER * INNER * 2 * WIDTH, 450)),
            "posterior": layer(keys[3], (450, 64)), "first": layer(keys[4], (32, 450)), "second": layer(keys[5], (450, INNER * INNER * 2 * WIDTH))}


def dense(x, parameters):
    return x @ weight(parameters) + parameters["b"]


def residual(maps, parts):
    return maps + 0.1 * convolve(jax.nn.elu(convolve(jax.nn.elu(maps), parts[0])), parts[1])


def vae_loss(layers, key, images):
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
    maps = dense(jax.nn.elu(dense(latent, layers["first"])), layers["second"]).reshape(-1, 2 * WIDTH, INNER, INNER).transpose(0, 2, 3, 1)
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
    images = jax.random.bernoulli(keys[0], 0.2, (arguments.batch, SIZE, SIZE, 1)).astype(jnp.float32)
    # optax's adamax is that of the paper of Adam, as PyTorch's is.
    return vae_layers(keys[1]), (images,), keys[2], optax.adamax(2e-3), vae_loss


GLIMPSES, HIDDEN, LATENTS, READ, WRITE = arguments.glimpses, WIDTH, 100, 2, 5


def draw_filters(parameters, count):
    """The filters of rows and of columns, [batch, count, pixels] each, and the intensity, [batch, 1, 1]."""
    centres, log_stride, log_variance, log_intensity = jnp.split(parameters, [2, 3, 4], 1)
    places = jnp.arange(count) - count / 2 + 0.5
    stride = (SIZE - 1) / (count - 1) * jnp.exp(log_stride)
    means = (SIZE / 2 * (centres + 1))[:, :, None] + (stride * places)[:, None]
    filters = jnp.exp(-((jnp.arange(SIZE) - means[..., None]) ** 2) / (2 * jnp.exp(log_variance)[:, :, None, None]))
    filters /= filters.sum(3, keepdims=True) + 1e-4
    return filters[:, 0], filters[:, 1], jnp.exp(log_intensity)[:, :, None]


def draw_loss(layers, key, images):
    # A weight is normalized once a step, outside of the loop.
    weights = {name: (weight(parameters), parameters["b"]) for name, parameters in layers.items()}
    for name in "encoder", "decoder":
        # The weights of input and state are normalized apart, and act joined.
        (w, b), (state, _) = weights[name], weights[f"{name}_state"]
        weights[name] = (jnp.concatenate([w, state]), b)

    def affine(name, *parts):
        w, b = weights[name]
        return jnp.concatenate(parts, 1) @ w + b

    def advance(gates, cell):
        i, f, g, o = jnp.split(gates, 4, 1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        return jax.nn.sigmoid(o) * jnp.tanh(cell), cell

    def glimpse(state, noise):
        encoded, encoder_cell, decoded, decoder_cell, canvas = state
        rows, columns, intensity = draw_filters(affine("read", decoded), READ)
        seen = [intensity * (rows @ each @ columns.mT) for each in (images, images - jax.nn.sigmoid(canvas))]
        seen = [each.reshape(len(images), -1) for each in seen]
        encoded, encoder_cell = advance(affine("encoder", *seen, decoded, encoded), encoder_cell)
        mean, log_deviation = jnp.split(affine("latent", encoded), 2, 1)
        deviation = jnp.exp(log_deviation)
        divergence = 0.5 * (mean**2 + deviation**2 - 2 * log_deviation - 1).sum()
        decoded, decoder_cell = advance(affine("decoder", mean + deviation * noise, decoded), decoder_cell)
        rows, columns, intensity = draw_filters(affine("write", decoded), WRITE)
        patch = affine("patch", decoded).reshape(-1, WRITE, WRITE)
        canvas = canvas + rows.mT @ patch @ columns / intensity
        return (encoded, encoder_cell, decoded, decoder_cell, canvas), divergence

    zeros = jnp.zeros((len(images), HIDDEN))
    start = (zeros, zeros, zeros, zeros, jnp.zeros_like(images))
    (*_, canvas), divergences = lax.scan(glimpse, start, jax.random.normal(key, (GLIMPSES, len(images), LATENTS)))
    return (optax.sigmoid_binary_cross_entropy(canvas, images).sum() + divergences.sum()) / len(images)


def draw():
    keys = jax.random.split(jax.random.key(0), 10)
    shapes = {"encoder": (2 * READ**2 + HIDDEN, 4 * HIDDEN), "encoder_state": (HIDDEN, 4 * HIDDEN), "decoder": (LATENTS, 4 * HIDDEN),
              "decoder_state": (HIDDEN, 4 * HIDDEN), "latent": (HIDDEN, 2 * LATENTS),
              "read": (HIDDEN, 5), "write": (HIDDEN, 5), "patch": (HIDDEN, WRITE**2)}
    layers = {name: layer(each, shape) for each, (name, shape) in zip(keys, shapes.items())}
    images = jax.random.bernoulli(keys[-1], 0.2, (arguments.batch, SIZE, SIZE)).astype(jnp.float32)
    return layers, (images,), keys[-2], optax.adam(1e-3, b1=0.5), draw_loss


def dqn_values(layers, frames):
    maps = frames.astype(jnp.float32) / 255
    for parameters, stride in zip(layers, (4, 2, 1)):
        maps = jax.nn.relu(convolve(maps, parameters, stride, "VALID"))
    # The features in the order of PyTorch's: maps, rows, columns.
    features = maps.transpose(0, 3, 1, 2).reshape(len(maps), -1)
    return dense(jax.nn.relu(dense(features, layers[3])), layers[4])


def dqn_loss(layers, key, target, frames, next_frames, actions, rewards):
    aims = rewards + 0.99 * dqn_values(target, next_frames).max(1)
    chosen = jnp.take_along_axis(dqn_values(layers, frames), actions[:, None], 1)[:, 0]
    return optax.huber_loss(chosen, aims).sum()


def dqn():
    keys = jax.random.split(jax.random.key(0), 7)
    inner = ((SIZE // 4 - 1) // 2 - 1) - 2
    shapes = [(8, 8, 4, 32), (4, 4, 32, 64), (3, 3, 64, 64), (64 * inner * inner, 512), (512, 6)]
    online, target = ([layer(each, shape) for each, shape in zip(jax.random.split(key, 5), shapes)] for key in keys[:2])
    frames, next_frames = (jax.random.randint(key, (arguments.batch, SIZE, SIZE, 4), 0, 256).astype(jnp.uint8) for key in keys[2:4])
    actions = jax.random.randint(keys[4], (arguments.batch,), 0, 6)
    rewards = jax.random.normal(keys[5], (arguments.batch,))
    return online, (target, frames, next_frames, actions, rewards), keys[6], optax.adamax(3e-4, b1=0.5), dqn_loss


def recurrent_loss(layers, key, sequence, aims):
    weights = {name: (weight(parameters), parameters["b"]) for name, parameters in layers.items()}
    (of_input, input_bias), (of_state, state_bias) = weights["input"], weights["state"]

    def lstm(state, product):
        output, cell = state
        i, f, g, o = jnp.split(product + output @ of_state, 4, 1)
        cell = jax.nn.sigmoid(f) * cell + jax.nn.sigmoid(i) * jnp.tanh(g)
        output = jax.nn.sigmoid(o) * jnp.tanh(cell)
        return (output, cell), output

    def gru(output, product):
        (given_r, given_z, given_n), (r, z, n) = jnp.split(product, 3, 1), jnp.split(output @ of_state + state_bias, 3, 1)
        r, z = jax.nn.sigmoid(given_r + r), jax.nn.sigmoid(given_z + z)
        n = jnp.tanh(given_n + r * n)
        output = n + z * (output - n)
        return output, output

    zeros = jnp.zeros((arguments.batch, WIDTH))
    products = sequence @ of_input + input_bias
    _, outputs = lax.scan(lstm, (zeros, zeros), products) if arguments.work == "lstm" else lax.scan(gru, zeros, products)
    return jnp.mean((outputs - aims) ** 2)


def recurrent():
    keys = jax.random.split(jax.random.key(0), 5)
    inputs, gates = max(1, WIDTH // 2), {"lstm": 4, "gru": 3}[arguments.work]
    layers = {"input": layer(keys[0], (inputs, gates * WIDTH)), "state": layer(keys[1], (WIDTH, gates * WIDTH))}
    sequence = jax.random.normal(keys[2], (arguments.glimpses, arguments.batch, inputs))
    aims = jax.random.normal(keys[3], (arguments.glimpses, arguments.batch, WIDTH))
    return layers, (sequence, aims), keys[4], optax.adam(1e-3), recurrent_loss


WORKLOADS = {"cnn": cnn, "vae": vae, "draw": draw, "dqn": dqn, "lstm": recurrent, "gru": recurrent}
layers, data, key, optimizer, loss_function = WORKLOADS[arguments.work]()
state = optimizer.init(layers)


# The data are arguments: as constants, parts of the step could be done at compile time.
def update(layers, state, key, *data):
    key, step_key = jax.random.split(key)

    value, slopes = jax.value_and_grad(loss_function)(layers, step_key, *data)
    changes, state = optimizer.update(slopes, state)
    return optax.apply_updates(layers, changes), state, key, value


update = jax.jit(update, donate_argnums=(0, 1))


def step():
    global layers, state, key
    layers, state, key, loss = update(layers, state, key, *data)
    return float(loss)


serve(f"jax-{jax.__version__}", arguments, len(os.sched_getaffinity(0)), before, step)
