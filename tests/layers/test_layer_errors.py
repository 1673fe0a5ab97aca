"""Wrong arguments and wrong input of every layer: an error that names the layer, what it got and what it expected."""

import numpy as np
import pytest
from samples import draw, rng

from minigan.base.errors import InputError
from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Concatenation,
    ConditionalBatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    EqualizedRate,
    Flatten,
    GaussianNoise,
    GradientReversal,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    MinibatchDiscrimination,
    MinibatchStd,
    PixelNorm,
    ReLU,
    Reshape,
    Residual,
    SelfAttention2D,
    Sequential,
    SpectralNorm,
    Tanh,
    UpsampleNearest2D,
)


def comparing(*arguments):
    return MinibatchDiscrimination(*arguments, rng=rng())


def shown(layer, *shape, **how):
    return layer.forward(draw(*shape, dtype=np.float32), **how)


def conditional(x, c, **how):
    return ConditionalBatchNorm(4, 3, rng=rng(), dtype=np.float64).forward(x, c, **how)


def zeros():
    layer = Dense(2, 3, rng=rng())
    layer.params["weight"][...] = 0
    return layer


def wide(residual=True):
    return Residual(Conv2D(3, 4, 3, padding=1, rng=rng())) if residual else Concatenation(AveragePool2D(2))


PICTURES = (4, 4, 6, 3)
ARGUMENTS = [  # what is called, what is said
    (lambda: Dense(0, 3, rng=rng()), "Dense: in_features is 0, expected a whole number of at least 1"),
    (lambda: Dense(3, 2.0, rng=rng()), r"Dense: out_features is 2\.0"),
    (lambda: Dense(3, 2), "Dense: rng is None, expected a numpy.random.Generator"),
    (lambda: Conv2D(1, 2, (3, 3, 3), rng=rng()), r"Conv2D: kernel_size is \(3, 3, 3\).*or a pair"),
    (lambda: Conv2D(1, 2, 3, stride=0, rng=rng()), "Conv2D: stride is 0"),
    (lambda: Conv2D(1, 2, 3, padding=-1, rng=rng()), "Conv2D: padding is -1"),
    (
        lambda: ConvTranspose2D(1, 2, 3, 2, 1, 2, rng=rng()),
        r"output_padding is \(2, 2\), expected less than the stride",
    ),
    (lambda: BatchNorm(3, momentum=0), "BatchNorm: momentum is 0, expected a number above 0 and at most 1"),
    (lambda: BatchNorm(3, eps=0), "BatchNorm: eps is 0"),
    (
        lambda: BatchNorm(3).forward(draw(5, 3, dtype=np.float32), num_splits=2),
        "a batch of 5 cannot be split into 2",
    ),
    (lambda: Dropout(1, rng=rng()), r"Dropout: rate is 1, expected a number of at least 0 and below 1"),
    (lambda: Dropout(0.5), "Dropout: rng is None"),
    (lambda: GaussianNoise(-1, rng=rng()), "GaussianNoise: deviation is -1, expected a number of at least 0"),
    (lambda: GaussianNoise(0.5), "GaussianNoise: rng is None"),
    (lambda: GradientReversal(float("nan")), "GradientReversal: strength is nan, expected a number of at least 0"),
    (lambda: LeakyReLU(0), r"LeakyReLU: negative_slope is 0, expected a number above 0 and at most 1"),
    (lambda: Reshape((2, 0)), "Reshape: shape is 0"),
    (lambda: Sequential([]), "Sequential: got no layers"),
    (lambda: Sequential([np.tanh]), "Sequential: got .*expected layers"),
    (lambda: Sequential([Tanh()]).params.update({"0.weight": 1}), "Sequential has no entry '0.weight'"),
    (lambda: GroupNorm(4, 6), "^GroupNorm: num_groups is 4, expected a divisor of num_channels, which is 6"),
    (lambda: GroupNorm(0, 6), "^GroupNorm: num_groups is 0, expected a whole number of at least 1"),
    (lambda: GroupNorm(2, 6.0), r"^GroupNorm: num_channels is 6\.0, expected a whole number"),
    (lambda: InstanceNorm(0), "^InstanceNorm: num_features is 0, expected a whole number"),
    (lambda: LayerNorm("6"), "^LayerNorm: num_features is '6', expected a whole number"),
    (lambda: LayerNorm(6, eps=0), "^LayerNorm: eps is 0, expected a number above 0"),
    (lambda: SelfAttention2D(0, rng=rng()), "^SelfAttention2D: channels is 0, expected a whole number of at least 1"),
    (lambda: SelfAttention2D(8, 2.0, rng=rng()), r"^SelfAttention2D: reduction is 2\.0, expected a whole number"),
    (lambda: SelfAttention2D(8), r"^SelfAttention2D: rng is None, expected a numpy\.random\.Generator"),
    (
        lambda: SelfAttention2D(8, rng=rng()).forward(draw(2, 3, 3, 4, dtype=np.float32)),
        r"^SelfAttention2D\(8, reduction=8\)\.forward: x has shape \(2, 3, 3, 4\), expected \(N, H, W, 8\)",
    ),
    (
        lambda: SelfAttention2D(8, rng=rng()).forward(draw(2, 8, dtype=np.float32)),
        r"x has shape \(2, 8\), expected \(N, H, W, 8\)",
    ),
    (lambda: SelfAttention2D(8, rng=rng()).forward(draw(2, 3, 3, 8)), r"x is float64 but params\['query\.weight'\] is"),
    (lambda: PixelNorm(0), "^PixelNorm: eps is 0, expected a number above 0"),
    (lambda: shown(PixelNorm(), 2, 3, 4), r"^PixelNorm\(\)\.forward: x has shape \(2, 3, 4\), expected \(N, C\) or"),
    (lambda: shown(MinibatchStd(), 5), r"^MinibatchStd\(\)\.forward: x has shape \(5,\), expected \(N, C\) or"),
    (
        lambda: shown(MinibatchStd(), 5, 2, num_splits=2),
        r"^MinibatchStd\(\)\.forward: a batch of 5 cannot .* 2 equal",
    ),
    (lambda: shown(MinibatchStd(), 5, 2, num_splits=0), r"^MinibatchStd\(\): num_splits is 0, expected a whole number"),
    (lambda: comparing(0), "^MinibatchDiscrimination: in_features is 0, expected a whole number of at least 1"),
    (lambda: comparing(5, 0), "^MinibatchDiscrimination: kernels is 0, expected a whole number of at least 1"),
    (lambda: comparing(5, 2, 1.5), r"^MinibatchDiscrimination: dimensions is 1\.5, expected a whole number"),
    (lambda: MinibatchDiscrimination(5), r"^MinibatchDiscrimination: rng is None, expected a numpy\.random\.Generator"),
    (lambda: shown(comparing(5), 6, 4), r"^MinibatchDiscrimination\(5, kernels=50.*\(6, 4\), expected \(N, 5\)"),
    (
        lambda: shown(comparing(5), 6, 5, num_splits=4),
        r"^MinibatchDiscrimination\(5.*batch of 6 cannot be split into 4",
    ),
    (lambda: ConditionalBatchNorm(0, 3, rng=rng()), "^ConditionalBatchNorm: num_features is 0, expected a whole"),
    (lambda: ConditionalBatchNorm(4, 0.5, rng=rng()), r"^ConditionalBatchNorm: in_features is 0\.5, expected a whole"),
    (lambda: ConditionalBatchNorm(4, 3), "^ConditionalBatchNorm: rng is None, expected a numpy"),
    (
        lambda: conditional(draw(6, 5), draw(6, 3)),
        r"^ConditionalBatchNorm\(4, 3\)\.forward: x has shape \(6, 5\), expected \(N, 4\) or \(N, H, W, 4\)",
    ),
    (lambda: conditional(draw(6, 2, 4), draw(6, 3)), r"x has shape \(6, 2, 4\), expected \(N, 4\) or \(N, H, W, 4\)"),
    (
        lambda: conditional(draw(6, 4), draw(5, 3)),
        r"^ConditionalBatchNorm\(4, 3\)\.forward: condition has shape \(5, 3\), expected \(6, 3\), a row for each",
    ),
    (lambda: conditional(draw(6, 4), draw(6, 2)), r"condition has shape \(6, 2\), expected \(6, 3\)"),
    (lambda: conditional(draw(6, 4), [1, 2]), r"^ConditionalBatchNorm\(4, 3\)\.forward: condition is a list, expected"),
    (
        lambda: conditional(draw(6, 4), draw(6, 3, dtype=np.float32)),
        r"condition is float32 but params\['gamma\.weight'\]",
    ),
    (lambda: conditional(draw(6, 4), draw(6, 3), num_splits=4), "a batch of 6 cannot be split into 4 equal parts"),
    (lambda: conditional(draw(6, 4), draw(6, 3), num_splits=6), "one value per channel has no variance"),
    (lambda: SpectralNorm(Tanh(), rng=rng()), r"SpectralNorm: layer is Tanh\(\), expected one of Dense, Conv2D, Conv"),
    (lambda: EqualizedRate(np.ones((2, 3)), rng()), r"(?s)EqualizedRate: layer is array.*, expected one of Dense"),
    (lambda: SpectralNorm(EqualizedRate(Dense(6, 4, rng=rng()), rng()), rng()), "SpectralNorm: layer is EqualizedRate"),
    (lambda: SpectralNorm(zeros(), rng=rng()), r"SpectralNorm\(Dense\(2, 3\)\): the weight is 0 everywhere"),
    (lambda: SpectralNorm(Dense(2, 3, rng=rng())), "SpectralNorm: rng is None, expected a numpy.random.Generator"),
    (lambda: EqualizedRate(Dense(2, 3, rng=rng())), "EqualizedRate: rng is None"),
    (lambda: EqualizedRate(Dense(2, 3, rng=rng()), rng(), 0), "EqualizedRate: gain is 0, expected a number above 0"),
    (lambda: EqualizedRate(Dense(2, 3, rng=rng()), rng(), "2"), "EqualizedRate: gain is '2'"),
    (lambda: EqualizedRate(Dense(2, 3, rng=rng()), rng(), np.nan), "EqualizedRate: gain is nan"),
    (lambda: shown(SpectralNorm(Dense(6, 4, rng=rng()), rng()), 5, 5), r"Dense\(6, 4\).*\(5, 5\), expected \(N, 6\)"),
    (
        lambda: shown(EqualizedRate(Conv2D(2, 4, (2, 3), rng=rng()), rng()), 1, 1, 0, 2),
        r"^EqualizedRate\(Conv2D\(2, 4, .*x is empty",
    ),
    (
        lambda: SpectralNorm(Conv2D(2, 4, (2, 3), (2, 1), 1, rng=rng()), rng()).output_shape((1, 0, 2)),
        r"Conv2D\(2, 4.*\(1, 0\) pixels gives .*\(1, 0\)",
    ),
    (lambda: Residual(np.tanh), "^Residual: main is <ufunc 'tanh'>, expected a layer"),
    (lambda: Residual(Tanh(), [Tanh()]), r"^Residual: shortcut is \[Tanh\(\)\], expected a layer, e.g. a Sequential"),
    (lambda: Concatenation(None), "^Concatenation: branch is None, expected a layer"),
    (lambda: wide().forward(draw(*PICTURES, dtype=np.float32)), r"main gives \(4, 4, 6, 4\) .*shortcut \(4, 4, 6, 3\)"),
    (lambda: wide().output_shape((4, 6, 3)), r"^Residual\(main=.*main gives \(4, 6, 4\) and the shortcut \(4, 6, 3\)"),
    (
        lambda: Residual(Tanh(), Conv2D(3, 1, 1, rng=rng())).forward(draw(*PICTURES, dtype=np.float32)),
        "expected the same shape",
    ),
    (lambda: wide(False).forward(draw(*PICTURES)), r"x is \(4, 4, 6, 3\) and the branch gives \(4, 2, 3, 3\)"),
    (lambda: wide(False).output_shape((4, 6, 3)), r"^Concatenation\(branch=.*x is \(4, 6, 3\) .* gives \(2, 3, 3\)"),
    (lambda: Concatenation(Flatten()).forward(draw(*PICTURES)), r"the branch gives \(4, 72\)"),
    (lambda: wide().forward(draw(*PICTURES)), r"^Residual.*x is float64 but params\['main.weight'\] is float32"),
    (lambda: wide().params.update({"main.gamma": 1}), "^Residual has no entry 'main.gamma'; .* main.weight, main.bias"),
    (
        lambda: Concatenation(Sequential([Dense(3, 2, rng=rng())])).params.update({"0.weight": 1}),
        "^Concatenation has no entry '0.weight'",
    ),
]
INPUT = [  # the layer, x or its shape in float32, what is said
    (
        lambda: Dense(4, 3, rng=rng()),
        draw(5, 3),
        r"Dense\(4, 3\)\.forward: x is float64 but params\['weight'\] is float32",
    ),
    (lambda: Dense(4, 3, rng=rng()), draw(5, 3, dtype=np.float32), r"Dense.*x has shape \(5, 3\), expected \(N, 4\)"),
    (lambda: Dense(4, 3, rng=rng()), [[1.0] * 4], r"Dense.*x is a list, expected a float32 or float64 array"),
    (lambda: Tanh(), np.arange(3), r"Tanh\(\)\.forward: x is int64 \(3,\), expected a float32 or float64"),
    (lambda: ReLU(), draw(0, 3), r"ReLU\(\)\.forward: x is empty, its shape is \(0, 3\)"),
    (
        lambda: Conv2D(2, 3, 3, rng=rng()).astype("f8"),
        draw(2, 5, 5, 3),
        r"Conv2D\(2, 3.*expected \(N, H, W, 2\)",
    ),
    (
        lambda: Conv2D(2, 3, 6, rng=rng()).astype("f8"),
        draw(2, 5, 4, 2),
        r"Conv2D.*input of \(5, 4\) pixels gives .*\(0, -1\)",
    ),
    (
        lambda: ConvTranspose2D(1, 1, 2, 1, 2, rng=rng()).astype("f8"),
        draw(2, 2, 2, 1),
        r"ConvTranspose2D.*output of \(-1, -1\)",
    ),
    (lambda: BatchNorm(3).astype("f8"), draw(2, 3, 3), r"BatchNorm\(3\).*expected \(N, 3\) or \(N, H, W, 3\)"),
    (lambda: BatchNorm(3).astype("f8"), draw(2, 4), r"BatchNorm\(3\).*expected \(N, 3\) or"),
    (lambda: BatchNorm(3).astype("f8"), draw(1, 3), r"BatchNorm\(3\).*one value per channel has no variance"),
    (lambda: MaxPool2D(3), draw(2, 2, 4, 1), r"MaxPool2D.*\(2, 4\) pixels are smaller than the window"),
    (lambda: AveragePool2D(2), draw(2, 4), r"AveragePool2D.*expected \(N, H, W, C\)"),
    (lambda: UpsampleNearest2D(2), draw(2, 4), r"UpsampleNearest2D.*expected \(N, H, W, C\)"),
    (lambda: Reshape((2, 3)), draw(2, 7), r"Reshape\(\(2, 3\)\): a sample of shape \(7,\) has 7 entries, expected 6"),
    (lambda: Sequential([Tanh(), Dense(4, 3, rng=rng())]), draw(2, 4), r"^Dense\(4, 3\)"),
    (lambda: GroupNorm(2, 6), (3, 5), r"^GroupNorm\(2, 6\)\.forward: x has shape \(3, 5\), expected \(N, 6\) or"),
    (lambda: InstanceNorm(6), (3, 2, 2, 5), r"^InstanceNorm\(6\)\.forward: x has shape .*expected .*\(N, H, W, 6\)"),
    (lambda: LayerNorm(6), (3, 2, 6), r"^LayerNorm\(6\).*\(3, 2, 6\), expected \(N, 6\) or \(N, H, W, 6\)"),
    (lambda: InstanceNorm(6), (3, 6), r"^InstanceNorm\(6\).*\(3, 6\), so that each mean would be over a single number"),
    (lambda: InstanceNorm(6), (3, 1, 1, 6), r"^InstanceNorm\(6\).*over a single number.*expected more pixels"),
    (lambda: GroupNorm(6, 6), (3, 6), r"^GroupNorm\(6, 6\).*over a single number.*more channels in a group"),
    (lambda: LayerNorm(1), (3, 1), r"^LayerNorm\(1\).*over a single number"),
]


@pytest.mark.parametrize(("call", "message"), ARGUMENTS)
def test_wrong_arguments(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize(("build", "x", "message"), INPUT)
def test_wrong_input(build, x, message):
    with pytest.raises(InputError, match=message):
        build().forward(draw(*x, dtype=np.float32) if isinstance(x, tuple) else x)
