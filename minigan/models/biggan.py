"""BigGAN (Brock et al. 2019) in small: residual blocks given the class and a part of z each, self-attention."""

import numpy as np

from minigan.layers import (
    AveragePool2D,
    Composite,
    ConditionalBatchNorm,
    Dense,
    Flatten,
    ReLU,
    Reshape,
    Residual,
    SelfAttention2D,
    Sequential,
    SpectralNorm,
    Tanh,
    UpsampleNearest2D,
)
from minigan.models.base import Preset, quarter_size
from minigan.models.blocks import Builder

G_WIDTHS = (64, 48, 32)  # channels at a quarter, half and all of the size
D_WIDTHS = (24, 48, 64)
EMBEDDING = 32  # numbers into which the class is embedded, once for all blocks


def normalised_builder(rng, dtype):
    return Builder(rng, dtype, wrap=lambda layer: SpectralNorm(layer, rng=rng))


class UpBlock(Composite):
    """y = main(x, c) + shortcut(x): twice the size, normalised as the condition c says.

    main: CBN, ReLU, u, 3x3, CBN, ReLU, 3x3, with u repeating pixels; shortcut: 1x1, u.
    """

    def forward(self, x, c, training=True, num_splits=1):
        """x (N, H, W, C), c (N, E) -> y (N, 2H, 2W, C')."""
        h = self._conditional_norm("norm1", x, c, training, num_splits)
        h = self._conditional_norm("norm2", self._run("main1", h, training), c, training, num_splits)
        return self._run("main2", h, training) + self._run("shortcut", x, training)

    def backward(self, grad_output, need):
        """-> ∂L/∂x and ∂L/∂c, the latter from both normalisations."""
        grad, grad_c2 = self._conditional_norm_back("norm2", self._back("main2", grad_output, need, inner=True), need)
        grad, grad_c1 = self._conditional_norm_back("norm1", self._back("main1", grad, need, inner=True), need)
        return grad + self._back("shortcut", grad_output, need, inner=True), grad_c1 + grad_c2

    def _conditional_norm(self, name, x, c, training, num_splits):
        return self.children[name].forward(np.ascontiguousarray(x), c, training, num_splits=num_splits)

    def _conditional_norm_back(self, name, grad, need):
        return self.children[name].backward(np.ascontiguousarray(grad), need.params, True)


class BigGenerator(Composite):
    """G([z, e_y]): with E y the embedded class and z = [z_0, z_1, z_2] cut in three, z_0 begins, and block k is given
    c_k = [E y, z_k] (skip-z). Without conditions c_k is z_k."""

    def __init__(self, sizes, rng, dtype):
        h, w, channels = quarter_size(sizes.sample_shape)
        self.latent_dim, self.cuts = sizes.latent_dim, np.linspace(0, sizes.latent_dim, len(G_WIDTHS) + 1).astype(int)
        make = normalised_builder(rng, dtype)

        def block(k):
            inputs, outputs = G_WIDTHS[k - 1], G_WIDTHS[k]
            given = int(self.cuts[k + 1] - self.cuts[k]) + (EMBEDDING if sizes.conditions else 0)
            return UpBlock(
                {
                    "norm1": ConditionalBatchNorm(inputs, given, rng=rng, dtype=dtype),
                    "main1": Sequential([ReLU(), UpsampleNearest2D(2), make.conv(inputs, outputs)]),
                    "norm2": ConditionalBatchNorm(outputs, given, rng=rng, dtype=dtype),
                    "main2": Sequential([ReLU(), make.conv(outputs, outputs)]),
                    "shortcut": Sequential([make.conv(inputs, outputs, 1), UpsampleNearest2D(2)]),
                }
            )

        wide, middle, narrow = G_WIDTHS
        first = make.dense(int(self.cuts[1]), h * w * wide)
        picture = [make.batch_norm(narrow), ReLU(), make.conv(narrow, channels), Tanh()]
        children = {
            "first": Sequential([first, Reshape((h, w, wide))]),
            "block1": block(1),
            "attention": SelfAttention2D(middle, rng=rng, dtype=dtype),
            "block2": block(2),
            "last": Sequential(picture),
        }
        if sizes.conditions:
            children["embedding"] = Dense(sizes.conditions, EMBEDDING, bias=False, rng=rng, dtype=dtype)
        super().__init__(children)

    def _forward(self, x, training, num_splits):
        z = [x[:, a:b] for a, b in zip(self.cuts[:-1], self.cuts[1:], strict=True)]
        if "embedding" in self.children:
            embedded = self._run("embedding", x[:, self.latent_dim :], training)
            given = [np.concatenate([embedded, part], axis=1) for part in z]
        else:
            given = [np.ascontiguousarray(part) for part in z]
        h = self._run("first", z[0], training)
        h = self.children["block1"].forward(h, given[1], training, num_splits)
        h = self.children["block2"].forward(self._run("attention", h, training), given[2], training, num_splits)
        return self._run("last", h, training, num_splits), None

    def _backward(self, grad_output, cache, need):
        grad, grad_2 = self.children["block2"].backward(self._back("last", grad_output, need, inner=True), need)
        grad, grad_1 = self.children["block1"].backward(self._back("attention", grad, need, inner=True), need)
        grads = [self._back("first", grad, need)]
        if "embedding" in self.children:
            embedded = self._back("embedding", grad_1[:, :EMBEDDING] + grad_2[:, :EMBEDDING], need)
            grads += [grad_1[:, EMBEDDING:], grad_2[:, EMBEDDING:], embedded]
        else:
            grads += [grad_1, grad_2]
        return np.concatenate(grads, axis=1) if need.input else None


def build_biggan(sizes, rng, noise_rng, dtype):
    """Attention between the first two blocks of both. Spectral norm around all their convolutions and dense layers."""
    h, w, _ = quarter_size(sizes.sample_shape)
    make = normalised_builder(rng, dtype)

    def down(inputs, outputs, first=False, halve=True):
        main = [*([] if first else [ReLU()]), make.conv(inputs, outputs), ReLU(), make.conv(outputs, outputs)]
        shortcut = [make.conv(inputs, outputs, 1)]
        if halve:
            main, shortcut = [*main, AveragePool2D(2)], [AveragePool2D(2), *shortcut]
        return Residual(Sequential(main), Sequential(shortcut))

    narrow, middle, wide = D_WIDTHS
    blocks = [down(sizes.seen_shape[-1], narrow, first=True), SelfAttention2D(narrow, rng=rng, dtype=dtype)]
    blocks += [down(narrow, middle), down(middle, wide, halve=False), ReLU(), AveragePool2D((h, w)), Flatten()]
    discriminator = Sequential([*blocks, make.dense(wide, sizes.outputs)])
    return BigGenerator(sizes, rng, dtype), discriminator


BIGGAN = Preset(
    name="biggan",
    summary="residual blocks given the class, skip-z, self-attention, spectral norm, orthogonal pull, hinge loss",
    source="Brock et al. 2019",
    build=build_biggan,
    defaults={
        "condition": "labels",
        "loss": "hinge",
        "lr": 5e-4,
        "d_lr": 1e-3,
        "beta1": 0.0,
        "orthogonal": 1e-4,
        "ema_decay": 0.999,
        "epochs": 2,
    },
    minutes=9.5,
    least_latent=len(G_WIDTHS),
)
