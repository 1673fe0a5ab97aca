"""What the benchmark counts and where it says the time goes: hand-counted work, times that add up, no harm done."""

import numpy as np
import pytest

from minigan.bench import __main__ as bench
from minigan.bench import network as bench_network
from minigan.bench import report
from minigan.bench import work as bench_work
from minigan.gan import build_gan
from minigan.kernels.parallel import threads
from minigan.layers import (
    Conv2D,
    ConvTranspose2D,
    Dense,
    MinibatchDiscrimination,
    Residual,
    SelfAttention2D,
    Sequential,
    SpectralNorm,
    Tanh,
)
from minigan.models import PRESETS

LAYER_KEYS = {
    "network",
    "layer",
    "forward_ms",
    "input_grad_ms",
    "weight_grad_ms",
    "optimizer_ms",
    "total_ms",
    "share",
    "gflops",
}


@pytest.fixture(autouse=True)
def one_thread():
    with threads.threads(1):
        yield


# ---- counting


def test_multiply_adds_of_each_kind_of_layer():
    rng = np.random.default_rng(0)

    def count(layer, shape):
        forward, input_grad, weight_grad = bench_work.multiply_adds(layer, shape)
        assert input_grad == weight_grad == forward
        return forward

    assert count(Dense(7, 11, rng=rng), (7,)) == 7 * 11
    assert count(SpectralNorm(Dense(7, 11, rng=rng), rng=rng), (7,)) == 7 * 11
    assert count(MinibatchDiscrimination(7, 3, 2, rng=rng), (7,)) == 7 * 3 * 2
    # 9 x 7 pixels, 4 x 3 taps, steps of 2 and 1, no padding: 3 x 5 windows
    assert count(Conv2D(2, 5, (4, 3), stride=(2, 1), rng=rng), (9, 7, 2)) == (3 * 5) * (4 * 3) * 2 * 5
    # transposed: every one of the 6 x 4 input pixels meets the whole kernel
    assert count(ConvTranspose2D(5, 2, (4, 3), stride=2, rng=rng), (6, 4, 5)) == (6 * 4) * (4 * 3) * 5 * 2
    assert count(Tanh(), (5,)) == 0


def test_multiply_adds_of_self_attention():
    """16 channels, so queries and keys of 2 and values of 8; 5 x 3 places."""
    layer, p = SelfAttention2D(16, rng=np.random.default_rng(0)), 5 * 3
    projections, products = p * 16 * (2 + 2 + 8) + p * 8 * 16, p * p * 2 + p * p * 8
    work = bench_work.multiply_adds(layer, (5, 3, 16))
    assert work == (projections + products, projections + 2 * products, projections)


MULTIPLY_ADDS = {  # by hand, for one real sample: 2 (3 D - first of D) + 2 D + (3 G - first of G)
    # D 784·512 + 512·256 + 256 = 532736, G 100·256 + 256·512 + 512·784 = 558080
    "mlp": 2 * (3 * 532736 - 401408) + 2 * 532736 + (3 * 558080 - 25600),
    # D 14·14·25·32 + 7·7·25·32·64 + 4·4·25·64·128 + 2048 = 5944448, G 100·128 + 128·784 = 113152
    "listing": 2 * (3 * 5944448 - 156800) + 2 * 5944448 + (3 * 113152 - 12800),
    # D 14·14·16·64 + 7·7·16·64·128 + 6272 = 6629504, G 100·6272 + 7·7·16·128·64 + 14·14·16·64 = 7250432
    "dcgan": 2 * (3 * 6629504 - 200704) + 2 * 6629504 + (3 * 7250432 - 627200),
}


@pytest.mark.parametrize("preset", bench.PRESETS)
def test_flops_of_a_step(preset):
    gan = build_gan(preset)
    assert bench_work.step_flops(gan, 64) == 2 * 64 * MULTIPLY_ADDS[preset]
    assert bench_work.step_flops(gan, 128) == 2 * bench_work.step_flops(gan, 64)


def test_flops_of_a_cycle_of_critic_steps():
    """wgan: the dcgan networks; in five steps D moves five times and G once, but G makes fakes every time."""
    d, d_first, g, g_first = 6629504, 200704, 7250432, 627200
    expected = 5 * 2 * (3 * d - d_first) + 2 * d + 5 * g + (2 * g - g_first)
    assert bench_work.step_flops(build_gan("wgan"), 64) == pytest.approx(2 * 64 * expected / 5)


def test_flops_of_a_penalty_on_the_gradient():
    """wgan-gp beside wgan: forward, back to x, tangent, from s and t to the weights, and what curvature there is back
    to the weights and all inputs but x, for all layers but the last, after which r is 0."""
    d, d_first, d_last = 6629504, 200704, 6272
    more = 4 * d + 2 * (d - d_last) - d_first
    difference = bench_work.step_flops(build_gan("wgan-gp"), 64) - bench_work.step_flops(build_gan("wgan"), 64)
    assert difference == pytest.approx(2 * 64 * more)


@pytest.fixture
def with_a_block():
    """mlp whose discriminator begins with a residual block of convolutions."""
    gan, rng = build_gan("mlp", sample_shape=(6, 5, 2)), np.random.default_rng(0)
    main = Sequential([Conv2D(2, 4, 3, padding=1, rng=rng), Tanh(), Conv2D(4, 2, (3, 1), padding=(1, 0), rng=rng)])
    gan.discriminator.layers[:0] = [Residual(main, Sequential([Conv2D(2, 2, 1, rng=rng)]))]
    gan.d_optimizer = type(gan.d_optimizer)(gan.discriminator, 2e-4)
    return gan


def test_work_of_a_block(with_a_block):
    """As D's first layer: back to its input only for G, but to that of its inner convolution always."""
    work = bench_work.layer_work(with_a_block, 10)
    outer, inner = 30 * 9 * 2 * 4 + 30 * 2 * 2, 30 * 3 * 4 * 2  # 6 x 5 pixels; both branches begin at x
    for got, expected in zip(
        work["discriminator", 0],
        (3 * (outer + inner), outer + 3 * inner, 2 * (outer + inner)),  # of d_step two batches, of g_step one
        strict=True,
    ):
        assert got == 2 * 10 * expected
    assert work["discriminator", 2].input_grad == 3 * 2 * 10 * 60 * 512  # now that something lies before it


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_is_counted_and_timed(preset):
    gan = build_gan(preset, batch_size=2)
    real, conditions = bench_work.random_batch(gan, 2)
    with np.errstate(all="ignore"):
        rows = bench_network.layer_times(gan, real, 1, conditions)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    assert all(row[key] >= 0 for row in rows[:-1] for key in row if key.endswith("_ms"))
    counted = sum(sum(work) for work in bench_work.layer_work(gan, 2).values())
    measured = sum(row["gflops"] * (row["total_ms"] - row["optimizer_ms"]) for row in rows if row["gflops"]) * 1e6
    assert counted == pytest.approx(measured)
    assert max(len(row["layer"]) for row in rows) < 120


def test_work_of_single_layers():
    work, flops = bench_work.layer_work(build_gan("mlp"), 10), 2 * 10 * 784 * 512
    assert work["discriminator", 1] == (3 * flops, flops, 2 * flops)  # the first with parameters: no gradient in d_step
    flops = 2 * 10 * 512 * 256
    assert work["discriminator", 3] == (3 * flops, 3 * flops, 2 * flops)
    flops = 2 * 10 * 100 * 256
    assert work["generator", 0] == (flops, 0, flops)
    assert work["generator", 5] == (0, 0, 0)


# ---- where the time goes


@pytest.mark.parametrize("preset", ["mlp", "dcgan", "wgan-gp", "cogan", "resnet", "lapgan"])
def test_layer_times_add_up_and_disturb_nothing(preset):
    shape = (8, 8, 1)
    watched, plain = (build_gan(preset, seed=3, sample_shape=shape) for _ in range(2))
    real = np.tanh(np.random.default_rng(1).standard_normal((4, *shape), dtype=np.float32))
    rows = bench_network.layer_times(watched, real, steps=2)
    for _ in range(6 * plain.config.n_critic):  # twice two cycles, and one before each two
        plain.train_step(real)
    for name, array in plain.state().items():
        np.testing.assert_array_equal(watched.state()[name], array, name)
    for network in (watched.generator.network, watched.discriminator.network):
        within = [*bench_work.leaves(network), *(layer for *_, layer in bench_work.rows(watched)), network]
        assert not any({"forward", "backward", "jvp", "jvp_backward"} & vars(layer).keys() for layer in within)

    assert all(row.keys() == LAYER_KEYS for row in rows)
    assert sum(row["share"] for row in rows) == pytest.approx(1)
    parts = [name for name in LAYER_KEYS if name.endswith("_ms") and name != "total_ms"]
    assert all(row["total_ms"] == pytest.approx(sum(row[name] for name in parts)) for row in rows[:-1])
    assert [row["layer"] for row in rows if row["gflops"] and not row["weight_grad_ms"]] == []
    if isinstance(watched.generator.network, Sequential):
        assert rows[0]["input_grad_ms"] == 0  # G's first layer has nobody to hand a gradient to
    described = " ".join(row["layer"] for row in rows)
    assert all(name in described for _, _, name, _ in bench_work.rows(watched))
    text = report.layer_table(rows)
    assert "\nthe step " in text
    assert "100%" in text
