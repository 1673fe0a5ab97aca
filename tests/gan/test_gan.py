"""The game: who may move when, averaging, sampling, and states that come back bit for bit."""

import copy

import numpy as np
import pytest
from small_gans import certain, encoded, generate, reals, same, small, snapshot, some_conditions, train

from minigan.base.errors import InputError, RunError
from minigan.gan import build_gan
from minigan.gan.conditioning import CONDITIONING
from minigan.gan.gan import SAMPLE_CHUNK
from minigan.layers import sigmoid
from minigan.losses import LOSSES
from minigan.models import PRESETS

every_preset = pytest.mark.parametrize("preset", PRESETS)


# ---- who moves


@every_preset
def test_each_step_moves_its_own_player_only(preset):
    gan = small(preset, loss="non_saturating")  # hinge may leave the last bias where it is
    generator, discriminator = (gan.generator, gan.g_optimizer), (gan.discriminator, gan.d_optimizer)
    before, conditions = (snapshot(*generator, gan.averaged), snapshot(*discriminator)), some_conditions(gan)
    fake = generate(gan, gan.draw_z(4, gan.rng), conditions)
    after = snapshot(*generator, gan.averaged)
    moved = {key[:2] for key in after if not np.array_equal(after[key], before[0][key])}
    averaged = {(2, "buffers")} if gan.averaged is gan.generator else set()
    normalised = {(0, "buffers")} | averaged
    assert moved == (normalised if gan.generator.buffers else set()), "generate: only G's batch statistics"
    assert same(snapshot(*discriminator), before[1])

    kept = fake.copy()
    gan.d_step(encoded(gan), fake, conditions)
    assert same(snapshot(*generator, gan.averaged), after), "d_step leaves G bit-identical"
    assert np.array_equal(fake, kept)
    changed = snapshot(*discriminator)
    working = {name for name, grad in gan.discriminator.grads.items() if grad.any()}
    assert len(working) > 0.8 * len(gan.discriminator.params), "but for what has yet to grow"
    for key in changed:
        if key[-1] in working and (key[0] == 1 or key[1] == "params"):
            assert not np.array_equal(changed[key], before[1][key]), key

    grads = {name: grad.copy() for name, grad in gan.discriminator.grads.items()}
    gan.g_step(fake, conditions)
    for key, array in snapshot(*discriminator).items():
        if key[1] != "buffers":  # D sees one more batch, in training mode
            assert np.array_equal(array, changed[key]), f"g_step moved D: {key}"
    assert all(np.array_equal(grad, grads[name]) for name, grad in gan.discriminator.grads.items())
    assert np.array_equal(fake, kept)
    for name, param in gan.generator.params.items():
        assert not np.array_equal(param, after[0, "params", name]) or not gan.generator.grads[name].any()


@every_preset
def test_the_joined_batch_is_two_batches(preset):
    """D on real and fake in one pass, against one pass each, as the formula and every other library have it."""
    gan = certain(small(preset, condition="none", gradient_penalty=0.0))
    twin, real = copy.deepcopy(gan.discriminator), encoded(gan)
    fake = generate(gan, gan.draw_z(4, gan.rng))
    metrics = gan.d_step(real, fake)
    real_logits = twin.forward(real)
    shape, real_logits = real_logits.shape, real_logits.reshape(-1, 1)  # some judge more than one thing in a sample
    _, grad_real, _ = gan.loss.discriminator(real_logits, real_logits)
    twin.zero_grad()
    twin.backward(grad_real.reshape(shape))
    fake_logits = twin.forward(fake).reshape(-1, 1)
    value, _, grad_fake = gan.loss.discriminator(real_logits, fake_logits)
    twin.backward(grad_fake.reshape(shape))
    for name, grad in gan.discriminator.grads.items():
        # Relative to the layer's gradients: the bias before a batch norm has none but for rounding.
        scale = max(abs(g).max() for key, g in twin.grads.items() if key.split(".")[0] == name.split(".")[0])
        assert abs(grad - twin.grads[name]).max() <= 1e-12 * scale, name
    for name, buffer in gan.discriminator.buffers.items() if preset != "cogan" else ():  # which has another order
        np.testing.assert_allclose(buffer, twin.buffers[name], rtol=1e-12, atol=1e-14)
    assert metrics["d_loss"] == pytest.approx(value, rel=1e-12)
    answer = sigmoid if gan.loss.logits_are_probabilities else np.asarray
    assert metrics["d_real"] == pytest.approx(answer(real_logits).mean(), rel=1e-12)
    assert metrics["d_fake"] == pytest.approx(answer(fake_logits).mean(), rel=1e-12)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_move_lowers_the_own_loss(loss):
    """The sign of the game: each player goes down what it is said to minimise."""
    gan = small("toy", loss=loss, optimizer="sgd", lr=1e-3)
    real, fake = reals(gan, 50), gan.generate(gan.draw_z(50, gan.rng)).copy()
    d_losses = [gan.d_step(real, fake)["d_loss"] for _ in range(20)]
    assert all(np.diff(d_losses) < 0)
    z, g_losses = gan.draw_z(50, np.random.default_rng(3)), []
    for _ in range(20):
        g_losses.append(gan.g_step(gan.generate(z))["g_loss"])
    assert all(np.diff(g_losses) < 0)


def test_n_critic():
    gan = small("mlp", n_critic=3)
    for step in range(1, 8):
        before = snapshot(gan.generator, gan.g_optimizer), snapshot(gan.discriminator, gan.d_optimizer)
        metrics = train(gan, seed=step)
        moves = step % 3 == 0
        assert set(metrics) == {"d_loss", "d_real", "d_fake"} | ({"g_loss"} if moves else set())
        assert all(type(figure) is float for figure in metrics.values())
        assert same(snapshot(gan.generator, gan.g_optimizer), before[0]) is not moves
        assert not same(snapshot(gan.discriminator, gan.d_optimizer), before[1])
    assert (gan.step, gan.g_optimizer.steps, gan.d_optimizer.steps) == (7, 2, 7)


def test_train_step_is_its_four_steps():
    """One G(z), D moves, and G is judged by the D just moved on the same fakes."""
    gan = small("dcgan")
    twin, real = copy.deepcopy(gan), reals(gan)
    metrics = gan.train_step(real)
    fake = twin.generate(twin.rng.standard_normal((4, 3)))
    expected = twin.d_step(real, fake) | twin.g_step(fake)
    assert metrics == expected
    assert same(snapshot(gan.generator, gan.discriminator), snapshot(twin.generator, twin.discriminator))


def test_penalties_and_clipping_reach_both_players():
    for setting in ({"l1": 0.1}, {"l2": 0.1}, {"clip_norm": 1e-3}):
        plain, other = small("toy", optimizer="sgd"), small("toy", optimizer="sgd", **setting)
        for gan in (plain, other):
            train(gan)
        for player in ("generator", "discriminator"):
            grads, others = getattr(plain, player).grads, getattr(other, player).grads
            norm = sum((g**2).sum() for g in others.values()) ** 0.5
            changed = [not np.allclose(grads[name], others[name], rtol=1e-3) for name in grads if "weight" in name]
            assert all(changed), (setting, player)
            assert "clip_norm" not in setting or norm == pytest.approx(1e-3, rel=1e-9)


def test_instance_noise_leaves_the_pictures_alone():
    gan = small("mlp", instance_noise=0.5)
    real, fake = reals(gan), gan.generate(gan.draw_z(4, gan.rng))
    kept, quiet = (real.copy(), fake.copy()), copy.deepcopy(gan)
    object.__setattr__(quiet.config, "instance_noise", 0.0)
    assert gan.d_step(real, fake)["d_loss"] != quiet.d_step(real, fake)["d_loss"]
    gan.g_step(fake)
    assert np.array_equal(real, kept[0])
    assert np.array_equal(fake, kept[1])


# ---- the averaged generator


def test_averaged_generator():
    gan = small("dcgan", ema_decay=0.5, n_critic=2)
    expected = {name: a.copy() for name, a in {**gan.averaged.params, **gan.averaged.buffers}.items()}
    for step in range(1, 29):
        train(gan, seed=step)
        if step % 2 == 0:  # G has moved step / 2 times
            decay = min(0.5, (step / 2) / (step / 2 + 9))
            for name, array in {**gan.generator.params, **gan.generator.buffers}.items():
                expected[name] += (1 - decay) * (array - expected[name])
        if step in (1, 2, 3, 16, 28):
            for name, array in {**gan.averaged.params, **gan.averaged.buffers}.items():
                np.testing.assert_allclose(array, expected[name], rtol=1e-12, atol=1e-14, err_msg=name)
    z = gan.draw_z(3, np.random.default_rng(1))
    assert np.array_equal(gan.decode(z), gan.averaged.forward(z, training=False))
    assert not np.allclose(gan.decode(z), gan.generator.forward(z, training=False), atol=1e-6)
    assert small("mlp").averaged is not None
    plain = small("dcgan")
    assert plain.averaged is plain.generator


# ---- saving


@every_preset
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_a_loaded_state_goes_on_bit_for_bit(preset, optimizer):
    settings = {"optimizer": optimizer, "n_critic": 2, "instance_noise": 0.1, "dtype": np.float32}
    gan, other = small(preset, **settings), small(preset, **settings)
    for seed in range(3):
        train(gan, seed=seed)
    saved = copy.deepcopy(gan.state())
    assert all(isinstance(array, np.ndarray) and " " not in key for key, array in saved.items())
    train(other, seed=99)
    other.load_state(saved)
    for seed in range(3, 6):
        assert train(gan, seed=seed) == train(other, seed=seed)
    assert same(gan.state(), other.state())
    samples = [g.sample(3, np.random.default_rng(4)) for g in (gan, other)]
    assert np.array_equal(*samples)


def test_a_state_stays_what_it_was():
    """A state kept in memory, say the best so far, must not move on with the training."""
    gan = small("dcgan")
    train(gan)
    saved, sample = gan.state(), gan.sample(3, np.random.default_rng(4))
    train(gan, seed=6)
    assert not np.array_equal(gan.sample(3, np.random.default_rng(4)), sample)
    gan.load_state(saved)
    assert np.array_equal(gan.sample(3, np.random.default_rng(4)), sample)


def test_wrong_states():
    gan = small("mlp")
    state = copy.deepcopy(gan.state())
    before = snapshot(gan.generator, gan.discriminator)
    for key, array in state.items():
        with pytest.raises(InputError, match=r"the saved state has no '.*': it comes from another network"):
            gan.load_state({name: 2 * a if a.dtype.kind == "f" else a for name, a in state.items() if name != key})
        if array.dtype.kind == "f":
            for wrong in (array[..., None], array.astype(np.float32)):
                with pytest.raises(InputError, match=r"the saved '.*' is .*, expected float64 .*another network"):
                    gan.load_state({**state, key: wrong})
        assert same(snapshot(gan.generator, gan.discriminator), before), "a refused state leaves no trace"


# ---- sampling


def test_samples_are_reproducible_and_each_by_itself():
    gan = small("dcgan")
    for seed in range(2):
        train(gan, seed=seed)
    before = copy.deepcopy(gan.state())
    pictures = gan.sample(SAMPLE_CHUNK + 7, np.random.default_rng(8))
    assert same(gan.state(), before), "sampling changes nothing, not even the random state of the training"
    assert pictures.shape == (SAMPLE_CHUNK + 7, 8, 12, 1)
    assert abs(pictures).max() <= 1
    assert np.array_equal(gan.sample(SAMPLE_CHUNK + 7, np.random.default_rng(8)), pictures)
    assert not np.allclose(gan.sample(SAMPLE_CHUNK + 7, np.random.default_rng(9)), pictures)
    z = gan.draw_z(SAMPLE_CHUNK + 7, np.random.default_rng(8))
    for i in (0, 3, SAMPLE_CHUNK - 1, SAMPLE_CHUNK, SAMPLE_CHUNK + 6):  # one z, one picture, whatever its batch
        np.testing.assert_allclose(gan.decode(z[i : i + 1])[0], pictures[i], rtol=0, atol=1e-12)


@every_preset
def test_a_seed_is_a_network_and_a_game(preset):
    shape = None if preset == "toy" else (8, 12, 1)
    gans = [build_gan(preset, seed=seed, sample_shape=shape) for seed in (4, 4, 5)]
    for gan in gans:
        assert gan.dtype == np.float32
        train(gan, seed=1)
    assert same(gans[0].state(), gans[1].state())
    weights = [next(a for name, a in gan.generator.params.items() if name.endswith("weight")) for gan in gans]
    assert not np.allclose(weights[0], weights[2])
    assert all(a.dtype == np.float32 for key, a in gans[0].state().items() if a.dtype.kind == "f")


# ---- errors

WRONG = [
    (lambda gan: build_gan("dcgan", sample_shape=(8, 10, 1)), "preset dcgan: 8 x 10 pixels do not divide by 4"),
    (lambda gan: build_gan("dcgan", sample_shape=(2,)), r"preset dcgan: samples of shape \(2,\) do not fit"),
    (lambda gan: gan.sample(0, np.random.default_rng(1)), "sample: n is 0, expected a whole number of at least 1"),
    (lambda gan: gan.sample(2.0, np.random.default_rng(1)), r"sample: n is 2\.0"),
    (lambda gan: gan.sample(2, 1), "sample: rng is 1, expected a numpy.random.Generator"),
    (lambda gan: gan.train_step(np.zeros((4, 3))), r"train_step: real is float64 \(4, 3\), expected float64 \(N, 2\)"),
    (lambda gan: gan.train_step(np.zeros((4, 2), np.float32)), r"real is float32 \(4, 2\), expected float64"),
    (lambda gan: gan.train_step(np.zeros((4, 2), np.uint8)), r"real is uint8 .*datasets\.to_float"),
    (lambda gan: gan.train_step([[0.0, 1.0]]), "train_step: real is a list"),
]


@pytest.mark.parametrize(("call", "message"), WRONG)
def test_errors(call, message):
    with pytest.raises(InputError, match=message):
        call(small("toy"))


@pytest.mark.parametrize("conditioning", ["none", *CONDITIONING])
def test_the_players_keep_the_contract_of_layers(conditioning):
    """A backward goes with one forward, and with a gradient like the logits."""
    given = {} if conditioning == "none" else {"condition": "labels", "conditioning": conditioning}
    gan = small("mlp", **given)
    D, x, y = gan.discriminator, reals(gan), some_conditions(gan)
    with pytest.raises(RunError, match="there is no forward to go with it"):
        D.backward(np.ones((4, 1)))
    logits = D.forward(x, y)
    for wrong in (logits[:3], logits.astype(np.float32), None):
        with pytest.raises(InputError, match=r"grad_output is .*, expected float64 \(4, 1\)"):
            D.backward(wrong)
    D.backward(np.ones_like(logits))
    with pytest.raises(RunError, match="there is no forward to go with it"):
        D.backward(np.ones_like(logits))
