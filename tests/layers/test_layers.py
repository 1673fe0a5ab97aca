"""Every layer against central differences in float64, and its forward pass against the formula of its docstring."""

import numpy as np
import pytest
from samples import draw, lively, off_zero, rng

from minigan.gradcheck import check_gradients
from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    ConvTranspose2D,
    Dense,
    Dropout,
    Flatten,
    GaussianNoise,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    UpsampleNearest2D,
    sigmoid,
    softplus,
)


def passes(layer, x, tolerance=1e-7, **options):
    report = check_gradients(lively(layer), x, tolerance=tolerance, max_entries=150, **options)
    assert report.ok, f"{layer!r}\n{report}"


# ---- gradients


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(("n", "d", "f"), [(5, 4, 3), (3, 1, 6), (7, 6, 1)])
def test_dense(n, d, f, bias):
    passes(Dense(d, f, bias=bias, rng=rng()), draw(n, d))


CONVOLUTIONS = {  # in, out, kernel, stride, padding, (H, W), bias
    "rectangle": (2, 3, (2, 3), 1, 0, (5, 7), True),
    "no bias": (2, 3, (3, 2), 1, 1, (4, 6), False),
    "halving": (2, 4, 4, 2, 1, (6, 8), True),
    "pairs": (3, 2, (3, 4), (2, 3), (1, 2), (7, 8), True),
    "stride beyond kernel": (2, 2, 1, (3, 2), 0, (7, 5), True),
    "1x1": (3, 4, 1, 1, 0, (3, 5), True),
    "kernel is the picture": (2, 3, (4, 5), 1, 0, (4, 5), True),
    "padding of the kernel's size": (1, 2, (2, 3), 2, (2, 3), (3, 4), True),
    "padding beyond the kernel": (1, 2, 2, 1, 3, (2, 3), True),
    "does not divide": (2, 1, (4, 3), (3, 2), (0, 1), (9, 6), False),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_convolution(name):
    c, o, kernel, stride, padding, size, bias = CONVOLUTIONS[name]
    passes(Conv2D(c, o, kernel, stride, padding, bias=bias, rng=rng()), draw(3, *size, c))


TRANSPOSED = {  # in, out, kernel, stride, padding, output padding, (H, W), bias
    "rectangle": (2, 3, (2, 3), 1, 0, 0, (3, 5), True),
    "no bias": (3, 2, (3, 2), 2, 1, 0, (3, 4), False),
    "doubling": (4, 2, 4, 2, 1, 0, (2, 3), True),
    "output padding": (2, 3, 3, 2, 1, 1, (3, 2), True),
    "pairs": (2, 3, (3, 5), (3, 2), (1, 2), (2, 1), (3, 4), True),
    "output padding in one direction": (2, 2, (4, 2), (2, 3), (1, 0), (0, 2), (2, 3), True),
    "stride beyond kernel": (2, 2, 1, (3, 2), 0, (1, 0), (2, 3), True),
    "1x1": (3, 4, 1, 1, 0, 0, (3, 5), True),
    "from one pixel": (3, 2, (4, 5), 1, 0, 0, (1, 1), True),
    "padding cuts": (1, 2, (3, 4), 1, (2, 3), 0, (5, 7), True),
    "stride 3": (2, 1, 2, 3, 0, 2, (2, 3), False),
}


@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposed_convolution(name):
    c, o, kernel, stride, padding, extra, size, bias = TRANSPOSED[name]
    passes(ConvTranspose2D(c, o, kernel, stride, padding, extra, bias=bias, rng=rng()), draw(3, *size, c))


class InTwoParts(Sequential):
    """Normalises the two halves of an even batch apart, as d_step does with real and fake."""

    def forward(self, x, training=True):
        return super().forward(x, training, num_splits=2 if len(x) % 2 == 0 else 1)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 2, 5), (8, 1)])
@pytest.mark.parametrize("wrap", [lambda norm: norm, lambda norm: InTwoParts([norm])], ids=["whole", "two parts"])
def test_batch_norm(wrap, shape, training):
    passes(wrap(BatchNorm(shape[-1])), 3 * draw(*shape) + 1, training=training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("rate", [0, 0.3, 0.5])
def test_dropout_gradient(rate, training):
    passes(Dropout(rate, rng=rng()), draw(5, 4, 3), training=training)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("deviation", [0, 0.3])
def test_gaussian_noise_gradient(deviation, training):
    passes(GaussianNoise(deviation, rng=rng()), draw(5, 4, 3), training=training)
    passes(Sequential([Dense(3, 4, rng=rng()), GaussianNoise(deviation, rng=rng()), Tanh()]), draw(5, 3))


@pytest.mark.parametrize("layer", [Sigmoid(), Tanh(), Softplus()], ids=repr)
def test_smooth_activation(layer):
    passes(layer, 2 * draw(5, 4, 3))
    passes(layer, np.array([[-30.0, -5.0, 0.0], [5.0, 30.0, 1.0], [0.1, -0.1, 1e-3]]))


@pytest.mark.parametrize("layer", [ReLU(), LeakyReLU(), LeakyReLU(0.01), LeakyReLU(1)], ids=repr)
def test_activation_with_a_kink(layer):
    passes(layer, off_zero(draw(5, 4, 3)))


@pytest.mark.parametrize("layer", [Flatten(), Reshape((4, 6)), Reshape((6, 2, 2)), Reshape(24)], ids=repr)
def test_rearranging(layer):
    passes(layer, draw(3, 2, 4, 3))


POOLS = [(2, None), ((2, 3), None), (3, 2), ((2, 3), (1, 2)), (1, 2), ((4, 2), (3, 1)), ((5, 7), None)]


@pytest.mark.parametrize(("kernel", "stride"), POOLS)
@pytest.mark.parametrize("pool", [AveragePool2D, MaxPool2D])
def test_pooling(pool, kernel, stride):
    x = np.random.default_rng(4).permutation(3 * 5 * 7 * 2).reshape(3, 5, 7, 2) / 10  # no ties, none within 0.1
    passes(pool(kernel, stride), x)


@pytest.mark.parametrize("scale", [1, 2, (3, 2), (1, 4)])
def test_upsampling(scale):
    passes(UpsampleNearest2D(scale), draw(3, 2, 4, 2))


def test_network_with_kinks_inside():
    """No input keeps every inner pre-activation off zero; entries whose step crosses a kink are found by the check."""
    layers = [Conv2D(2, 3, 3, 2, 1, rng=rng()), BatchNorm(3), LeakyReLU(), MaxPool2D(2, 1), Flatten()]
    passes(Sequential([*layers, Dense(12, 4, rng=rng()), ReLU(), Dense(4, 2, rng=rng())]), draw(4, 5, 6, 2))


# ---- the forward pass is the formula of its docstring (a gradient check only sees whether the two passes agree)


def test_convolution_is_its_sum():
    (kh, kw), (sh, sw), (ph, pw) = (2, 3), (2, 1), (1, 2)
    layer, x = lively(Conv2D(2, 3, (kh, kw), (sh, sw), (ph, pw), rng=rng())), draw(3, 5, 4, 2)
    weight, out = layer.params["weight"], layer.forward(x)
    assert out.shape == (3, 3, 6, 3)
    for n, h, w, o in np.ndindex(out.shape):
        total = layer.params["bias"][o]
        for i, j in np.ndindex(kh, kw):
            row, column = h * sh + i - ph, w * sw + j - pw
            if 0 <= row < 5 and 0 <= column < 4:
                total += x[n, row, column] @ weight[i, j, :, o]
        assert abs(out[n, h, w, o] - total) < 1e-12


def test_transposed_convolution_is_its_sum():
    (kh, kw), (sh, sw), (ph, pw) = (3, 2), (2, 3), (1, 0)
    layer, x = lively(ConvTranspose2D(2, 3, (kh, kw), (sh, sw), (ph, pw), (1, 2), rng=rng())), draw(3, 4, 2, 2)
    weight, out = layer.params["weight"], layer.forward(x)
    expected = np.tile(layer.params["bias"], (3, 8, 7, 1))  # (4-1)·2 - 2 + 3 + 1 and (2-1)·3 + 2 + 2
    for n, h, w, i, j in np.ndindex(3, 4, 2, kh, kw):
        row, column = h * sh + i - ph, w * sw + j - pw
        if 0 <= row < 8 and 0 <= column < 7:
            expected[n, row, column] += weight[i, j] @ x[n, h, w]
    np.testing.assert_allclose(out, expected, rtol=0, atol=1e-12)


def test_values_of_the_simple_layers():
    x = np.array([[-2.0, 0.0, 3.0]])
    values = {
        ReLU(): [0, 0, 3],
        LeakyReLU(0.1): [-0.2, 0, 3],
        Sigmoid(): 1 / (1 + np.exp(-x[0])),
        Tanh(): np.sinh(x[0]) / np.cosh(x[0]),
        Softplus(): np.log(1 + np.exp(x[0])),
    }
    for layer, expected in values.items():
        np.testing.assert_allclose(layer.forward(x)[0], expected, rtol=1e-14, atol=1e-15, err_msg=repr(layer))
    assert np.array_equal(sigmoid(np.array([-1000.0, 1000.0])), [0, 1])
    assert np.array_equal(softplus(np.array([-1000.0, 1000.0])), [0, 1000])
    picture = np.arange(12.0).reshape(1, 3, 4, 1)
    assert MaxPool2D(2).forward(picture)[0, ..., 0].tolist() == [[5, 7]]
    assert AveragePool2D(2, 1).forward(picture)[0, ..., 0].tolist() == [[2.5, 3.5, 4.5], [6.5, 7.5, 8.5]]
    assert UpsampleNearest2D((1, 2)).forward(picture)[0, 1, :, 0].tolist() == [4, 4, 5, 5, 6, 6, 7, 7]


@pytest.mark.parametrize("shape", [(6, 3), (4, 3, 2, 3)])
@pytest.mark.parametrize("num_splits", [1, 2])
def test_batch_norm_statistics(shape, num_splits):
    layer = lively(BatchNorm(3, momentum=0.3, eps=1e-3))
    gamma, beta = layer.params["gamma"], layer.params["beta"]
    mean, var = (layer.buffers[name].copy() for name in ("running_mean", "running_var"))
    for seed in range(3):
        x = 2 * draw(*shape, seed=seed) - 1
        out = layer.forward(x, num_splits=num_splits)
        for part, normal in zip(np.split(x, num_splits), np.split(out, num_splits), strict=True):
            rows = part.reshape(-1, 3)
            expected = gamma * (part - rows.mean(0)) / np.sqrt(rows.var(0) + 1e-3) + beta
            np.testing.assert_allclose(normal, expected, rtol=0, atol=1e-12)
            mean = 0.7 * mean + 0.3 * rows.mean(0)
            var = 0.7 * var + 0.3 * rows.var(0, ddof=1)  # the unbiased variance, as PyTorch keeps it
    np.testing.assert_allclose(layer.buffers["running_mean"], mean, rtol=1e-12)
    np.testing.assert_allclose(layer.buffers["running_var"], var, rtol=1e-12)
    out = layer.forward(x, training=False)
    np.testing.assert_allclose(out, gamma * (x - mean) / np.sqrt(var + 1e-3) + beta, rtol=0, atol=1e-12)
    assert np.array_equal(layer.forward(x[2:3], training=False), out[2:3]), "a sample must not see its batch"
    np.testing.assert_allclose(layer.buffers["running_mean"], mean, rtol=1e-12, err_msg="evaluation moved it")


def test_gaussian_noise():
    layer, x = GaussianNoise(0.3, rng=rng()), np.full((500, 400), 2.0)
    noise = layer.forward(x) - x
    assert abs(noise.mean()) < 0.004  # 200 000 draws: its standard deviation is 0.0007, the next one's 0.0005
    assert abs(noise.std() - 0.3) < 0.003
    assert abs((noise[1:] * noise[:-1]).mean()) < 0.002, "rows must not share their noise"
    assert not np.array_equal(layer.forward(x) - x, noise), "every pass draws its own noise"
    assert np.array_equal(layer.forward(x, training=False), x)


def test_dropout_keeps_the_mean():
    layer, x = Dropout(0.3, rng=rng()), np.full((1000, 200), 2.0)
    out = layer.forward(x)
    np.testing.assert_allclose(np.unique(out), [0.0, 2 / (1 - 0.3)], rtol=1e-4)  # 0.3 becomes a multiple of 2^-16
    # 200 000 draws: the kept share has a standard deviation of 0.001, the mean one of 2 · 0.001 / 0.7.
    assert abs(out.mean() - 2) < 0.015
    again = layer.forward(x)
    assert not np.array_equal(again, out), "every pass draws its own mask"
    assert np.array_equal(layer.backward(x), again), "backward uses the mask of the last forward"
    assert np.array_equal(layer.forward(x, training=False), x)
