"""LAPGAN (Denton et al. 2015): a picture as a Laplacian pyramid, and a conditional GAN for each of its levels.

With d(x) the mean of each 2x2 pixels and u(x) their repetition, x_0 the picture and x_{k+1} = d(x_k), a level k has
    l_k = u(x_{k+1})    what is known from the coarser level, and
    h_k = x_k - l_k     what is missing, so that x_k = h_k + l_k exactly.
G_k makes h_k from l_k and noise, D_k judges x_k beside l_k, and the coarsest picture x_K has an ordinary GAN. In
training, l_k comes from real pictures, so no level waits for another; samples are built level by level.

All levels of a sample are in one array (N, H, W, (2K + 1) C): h_0, l_0, h_1, l_1, …, x_K, the coarser ones repeated up
to full size, so that one pair of networks, one optimizer and one loss (of K + 1 logits a sample) do for all. A
condition is given to every level, as in the paper's class-conditional model.
"""

import itertools

import numpy as np

from minigan.base.errors import InputError
from minigan.layers import Composite, Flatten, LeakyReLU, ReLU, Reshape, Sequential, Tanh
from minigan.models.base import Preset, quarter_size
from minigan.models.blocks import Builder

LEVELS = 2  # that have a coarser one: 28 → 14 → 7


def down(x):
    """d(x): (N, H, W, C) -> (N, H/2, W/2, C), the mean of each 2x2 pixels."""
    return up_backward(x) / 4


def up(x, times=1):
    """u(x): (N, H, W, C) -> (N, 2H, 2W, C), each pixel repeated to 2x2; or so many times over."""
    factor = 2**times
    return x.repeat(factor, axis=1).repeat(factor, axis=2)


def up_backward(grad, times=1):
    """∂L/∂x from grad = ∂L/∂u(x): the sum over the copies of each pixel."""
    factor = 2**times
    n, h, w, c = grad.shape
    return grad.reshape(n, h // factor, factor, w // factor, factor, c).sum(axis=(2, 4))


def split(x):
    """-> [(h_0, l_0), …, (h_{K-1}, l_{K-1})], x_K, each in its own size, from all levels in one array."""
    c = x.shape[3] // (2 * LEVELS + 1)
    planes = [x[:, :: 2 ** (i // 2), :: 2 ** (i // 2), i * c : (i + 1) * c] for i in range(2 * LEVELS + 1)]
    return list(zip(planes[0:-1:2], planes[1:-1:2], strict=True)), planes[-1]


def join(levels, coarsest):
    """The inverse of `split`."""
    planes = [up(plane, k) for k, level in enumerate(levels) for plane in level]
    return np.concatenate([*planes, up(coarsest, LEVELS)], axis=3)


def to_discriminator(x, conditions=None):
    """All levels of pictures x (N, H, W, C) in one array."""
    levels = []
    for _ in range(LEVELS):
        coarse = down(x)
        levels.append((x - up(coarse), up(coarse)))
        x = coarse
    return join(levels, x)


def to_samples(x):
    """x_0 = h_0 + l_0, kept within [-1, 1]."""
    (h, low), *_ = split(x)[0]
    return np.clip(h + low, -1, 1)


def to_display(x):
    """The levels beside each other as they are built, x_K, …, x_0: (N, H, (K + 1) W, C)."""
    levels, coarsest = split(x)
    steps = [up(coarsest, LEVELS), *(up(h + low, k) for k, (h, low) in reversed(list(enumerate(levels))))]
    return np.clip(np.concatenate(steps, axis=2), -1, 1)


def extra_input(x):
    """The l_k of pictures as D judges them, as G takes them: (N, P)."""
    return np.concatenate([low.reshape(len(low), -1) for _, low in split(x)[0]], axis=1)


class PyramidGenerator(Composite):
    """All G_k. Takes [z, extra_input] while trained, and z alone to build samples level by level.

    z is cut into a part for each level, e_y joined to each; a level's noise is a plane that a dense layer makes of it.
    G_k: 3x3 convolutions [l_k, plane]→32→32→C, batch norm and ReLU between. The coarsest: dense z→128→h·w·C, tanh.
    """

    def __init__(self, sizes, rng, dtype):
        h, w, c = quarter_size(sizes.sample_shape)
        self.shape, self.inputs = sizes.sample_shape, sizes.inputs
        self.cuts = np.linspace(0, sizes.latent_dim, LEVELS + 2).astype(int)
        widths = np.diff(self.cuts) + sizes.conditions
        make, children = Builder(rng, dtype), {}
        for k in range(LEVELS):
            size = (4 * h // 2**k, 4 * w // 2**k)
            children[f"noise{k}"] = Sequential([make.dense(widths[k], size[0] * size[1]), Reshape((*size, 1))])
            layers = [make.conv(c + 1, 32), make.batch_norm(32), ReLU(), make.conv(32, 32), make.batch_norm(32), ReLU()]
            children[f"level{k}"] = Sequential([*layers, make.conv(32, c)])
        layers = [make.dense(widths[-1], 128), ReLU(), make.dense(128, h * w * c), Tanh(), Reshape((h, w, c))]
        children["coarsest"] = Sequential(layers)
        super().__init__(children)

    def _forward(self, x, training, num_splits):
        given = x[:, self.cuts[-1] : self.inputs]
        z = [np.concatenate([x[:, a:b], given], axis=1) for a, b in itertools.pairwise(self.cuts)]
        lows = self._lows(x[:, self.inputs :]) if x.shape[1] > self.inputs else None
        if lows is None and training:
            raise InputError("lapgan's generator is trained level by level: give generate the preset's extra_input.")
        coarsest = picture = self._run("coarsest", z[-1], training)
        levels = []
        for k in reversed(range(LEVELS)):
            low = up(picture) if lows is None else lows[k]
            plane = self._run(f"noise{k}", z[k], training)
            high = self._run(f"level{k}", np.concatenate([low, plane], axis=3), training, num_splits)
            levels.insert(0, (high, low))
            picture = high + low
        return join(levels, coarsest), None

    def _lows(self, planes):
        h, w, c = self.shape
        shapes = [(h // 2**k, w // 2**k, c) for k in range(LEVELS)]
        cuts = np.cumsum([np.prod(shape) for shape in shapes])
        return [part.reshape(-1, *shape) for part, shape in zip(np.split(planes, cuts[:-1], 1), shapes, strict=True)]

    def _backward(self, grad_output, cache, need):
        c = self.shape[2]
        for k in range(LEVELS):
            grad_high = up_backward(grad_output[..., 2 * k * c : (2 * k + 1) * c], k)
            grad = self._back(f"level{k}", grad_high, need, inner=True)
            self._back(f"noise{k}", grad[..., c:], need)
        self._back("coarsest", up_backward(grad_output[..., -c:], LEVELS), need)
        return None  # nothing moves z or the real pictures


class PyramidDiscriminator(Composite):
    """All D_k: their outputs side by side, for [x_k, l_k] with x_k = h_k + l_k at each level, and for x_K; what comes
    after the channels of the levels is seen by all.

    D_0: 4x4/2 convolutions→32→64, dense→outputs; D_1 the same with one convolution less; the coarsest: dense→128→
    outputs; leaky ReLU 0.2. No batch norm: the levels are easy to tell apart by it.
    """

    heads = ("level0", "level1", "coarsest")

    def __init__(self, sizes, rng, dtype):
        h, w, c = quarter_size(sizes.sample_shape)
        self.channels, self.pyramid = c, (2 * LEVELS + 1) * c
        make, given, outputs = Builder(rng, dtype), sizes.seen_shape[-1] - self.pyramid, sizes.outputs
        fine = [make.halve(2 * c + given, 32), LeakyReLU(0.2), make.halve(32, 64), LeakyReLU(0.2)]
        fine += [Flatten(), make.dense(h * w * 64, outputs)]
        middle = [make.halve(2 * c + given, 64), LeakyReLU(0.2), Flatten(), make.dense(h * w * 64, outputs)]
        coarsest = [Flatten(), *make.dense_layers(h * w * (c + given), 128, outputs)]
        super().__init__(dict(zip(self.heads, map(Sequential, (fine, middle, coarsest)), strict=True)))

    def _forward(self, x, training, num_splits):
        given = x[..., self.pyramid :]
        levels, coarsest = split(x[..., : self.pyramid])
        outputs = []
        for k, planes in enumerate([*((h + low, low) for h, low in levels), (coarsest,)]):
            seen = np.concatenate([*planes, given[:, :: 2**k, :: 2**k]], axis=3)
            outputs.append(self._run(self.heads[k], seen, training))
        return np.concatenate(outputs, axis=1), (x.shape, np.cumsum([out.shape[1] for out in outputs])[:-1])

    def _backward(self, grad_output, cache, need):
        shape, cuts = cache
        grad_input, c = np.zeros(shape, grad_output.dtype), self.channels
        for k, grad_head in enumerate(np.split(grad_output, cuts, axis=1)):
            grad = self._back(self.heads[k], grad_head, need)
            if not need.input:
                continue
            place = grad_input[:, :: 2**k, :: 2**k]  # of the copies of a pixel, `split` takes the first
            first, own = 2 * k * c, c if k == LEVELS else 2 * c
            place[..., first : first + own] = grad[..., :own]
            if k < LEVELS:  # l_k is in x_k = h_k + l_k too
                place[..., first + c : first + own] += grad[..., :c]
            place[..., self.pyramid :] += grad[..., own:]
        return grad_input if need.input else None


def build_lapgan(sizes, rng, noise_rng, dtype):
    return PyramidGenerator(sizes, rng, dtype), PyramidDiscriminator(sizes, rng, dtype)


LAPGAN = Preset(
    name="lapgan",
    summary="a Laplacian pyramid 7→14→28 with a conditional GAN for each level",
    source="Denton et al. 2015",
    build=build_lapgan,
    to_discriminator=to_discriminator,
    to_samples=to_samples,
    to_display=to_display,
    extra_input=extra_input,
    defaults={"lr": 5e-4, "beta1": 0.5, "ema_decay": 0.999, "epochs": 3},
    minutes=4,
    least_latent=LEVELS + 1,
)
