"""What a training step computes: the multiply-adds of its layers, counted while the step runs, and the layers' rows."""

import copy
import math
from contextlib import ExitStack
from typing import NamedTuple

import numpy as np

from minigan.layers import (
    Composite,
    ConditionalBatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    MinibatchDiscrimination,
    SelfAttention2D,
    Sequential,
)

PLAYERS = ("generator", "discriminator")
FEW = 2  # samples of the step that is counted: the work grows in proportion to them


class Work(NamedTuple):
    """Multiply-adds of one sample in one layer, or FLOPs of one training step: two for each of the direct algorithm."""

    forward: float
    input_grad: float
    weight_grad: float


def multiply_adds(layer, input_shape):
    """Work of one sample in a layer that is not made of layers, all zero but for the following.

    Dense: D·F. Conv2D: OH·OW·KH·KW·I·O. ConvTranspose2D: H·W·KH·KW·I·O, with its input's pixels. Of a layer around one
    of these (spectral norm, equalised rate): those of the one within. Minibatch discrimination: its product with T.
    Conditional batch norm: c W_γ and c W_β. For all these either gradient takes as many again.
    SelfAttention2D with P pixels: projections to queries, keys (D) and values (E) and back from values, P·C·(2D + 2E),
    and scores and their use, P²·(D + E). Of the latter twice as many on the way to the input, since both factors want
    a gradient; on the way to the weights the projections only.
    """
    layer = getattr(layer, "layer", layer)
    if isinstance(layer, SelfAttention2D):
        pixels, narrow = math.prod(input_shape[:2]), layer.params["query.weight"].shape[1]
        half = layer.params["value.weight"].shape[1]
        projections, products = pixels * layer.channels * 2 * (narrow + half), pixels**2 * (narrow + half)
        return Work(projections + products, projections + 2 * products, projections)
    one = 0
    if isinstance(layer, Dense):
        one = layer.in_features * layer.out_features
    elif isinstance(layer, Conv2D | ConvTranspose2D):
        pixels = input_shape if isinstance(layer, ConvTranspose2D) else layer.output_shape(input_shape)
        one = math.prod(pixels[:2]) * math.prod(layer.kernel_size) * layer.in_channels * layer.out_channels
    elif isinstance(layer, MinibatchDiscrimination):
        one = layer.in_features * layer.kernels * layer.dimensions
    elif isinstance(layer, ConditionalBatchNorm):
        one = 2 * layer.in_features * layer.num_features
    return Work(one, one, one)


def rows(gan):
    """Yield (player, i, name, layer): the layers of each chain, or the children of a network that is none."""
    for player in PLAYERS:
        network = getattr(gan, player).network
        if isinstance(network, Composite):
            named = [(f"{name}: {title(part)}", part) for name, part in network.children.items()]
        else:
            named = [(title(layer), layer) for layer in network.layers]
        for i, (name, layer) in enumerate(named):
            yield player, i, name, layer


def title(layer):
    """How the layer calls itself, or how many it is made of."""
    count = len(list(leaves(layer)))
    return repr(layer) if not is_made_of_layers(layer) else f"{type(layer).__name__} of {count} layers"


def is_made_of_layers(layer):
    return isinstance(layer, Sequential | Composite)


def leaves(layer):
    """The layers within that are not made of layers themselves."""
    if not is_made_of_layers(layer):
        yield layer
        return
    for inner in layer.children.values() if isinstance(layer, Composite) else layer.layers:
        yield from leaves(inner)


def random_batch(gan, n):
    """-> n samples of noise like real ones (n, …) and their conditions, if any."""
    rng = np.random.default_rng(1)
    real = np.tanh(rng.standard_normal((n, *gan.sample_shape), dtype=np.float32)).astype(gan.dtype)
    return real, gan.conditions.draw(n, rng)


def shadow(stack, owner, name, replacement):
    """owner.name is `replacement` until the ExitStack closes. Of a method it is an attribute of the instance, so that
    the class, which Sequential looks at, stays."""
    if name in vars(owner):
        stack.callback(setattr, owner, name, vars(owner)[name])
    else:
        stack.callback(delattr, owner, name)
    setattr(owner, name, replacement)


def layer_work(gan, batch):
    """{(player, row): Work} in FLOPs of a training step on `batch` real samples, the mean over a cycle of n_critic.

    Counted while a copy of the GAN makes the cycle: each layer with the shape of what it really gets, each pass as
    often as it is really made, each gradient only where it is asked for. Of a penalty on D's gradient the tangent pass
    counts as a forward pass of its layers, and what it adds to their weights' gradients as one of those.
    """
    gan = copy.deepcopy(gan)
    counts, shapes = {}, {}

    def watch(place, layer, name, passes):
        """passes(the pass's options) -> which fields of Work it belongs to."""
        method = getattr(layer, name)

        def counted(x, *arguments, **options):
            if name == "forward":
                shapes[id(layer)] = x.shape[1:]
            for which in passes(*arguments, **options):
                counts[place][which] += len(x) * multiply_adds(layer, shapes[id(layer)])[which]
            return method(x, *arguments, **options)

        shadow(stack, layer, name, counted)

    def gradients(need_param_grads=True, need_input_grad=True):
        return [1] * need_input_grad + [2] * need_param_grads

    with ExitStack() as stack, np.errstate(all="ignore"):
        for player, i, _, row in rows(gan):
            counts[player, i] = [0, 0, 0]
            for layer in leaves(row):
                watch((player, i), layer, "forward", lambda *_, **__: [0])
                watch((player, i), layer, "backward", gradients)
                watch((player, i), layer, "jvp", lambda cache: [0])
                watch((player, i), layer, "jvp_backward", lambda t, cache: [2])
        for _ in range(gan.config.n_critic):
            gan.train_step(*random_batch(gan, FEW))
    scale = 2 * batch / FEW / gan.config.n_critic
    return {key: Work(*(scale * count for count in passes)) for key, passes in counts.items()}


def step_flops(gan, batch):
    """FLOPs of one training step on `batch` real samples, the mean over a cycle of n_critic."""
    return sum(sum(work) for work in layer_work(gan, batch).values())
