"""What is added to the game to make it behave: feature matching, clipped or orthogonal weights, ways to tell D."""

import copy

import numpy as np
import pytest
import remedies
from small_gans import certain, extra_input, generate, reals, small, some_conditions

from minigan import penalties
from minigan.base.errors import InputError
from minigan.gan.conditioning import Auxiliary, Concatenation, Discriminator, Projection
from minigan.layers import Dense, Flatten, Sequential

LAPGAN_HEADS = ["level0", "level1", "coarsest"]

# ---- feature matching


def without_last(network, *heads):
    """The network with the identity for the last layer, of each of its heads where it is no chain."""
    for layers in [network.children[name].layers for name in heads] or [network.layers]:
        layers[-1] = Flatten()
    return network


@pytest.mark.parametrize(
    ("preset", "heads"), [("mlp", ()), ("progan", ["core"]), ("cogan", ["trunk"]), ("lapgan", LAPGAN_HEADS)]
)
@pytest.mark.parametrize(
    "way", [{}, {"condition": "labels", "conditioning": "concatenation"}], ids=["unconditional", "conditional"]
)
def test_feature_matching_is_the_gradient_of_the_gap_between_mean_features(preset, heads, way):
    gan = certain(small(preset, feature_matching=0.7, optimizer="sgd", **way))
    y, z = some_conditions(gan), gan.draw_z(4, np.random.default_rng(1))
    real = gan.preset.to_discriminator(reals(gan), y)
    generator, features = (
        copy.deepcopy(gan.generator.network),
        without_last(copy.deepcopy(gan.discriminator.network), *heads),
    )
    asked = [z, *([] if y is None else [np.eye(10)[y]]), *([] if extra_input(gan) is None else [extra_input(gan)])]

    def mean(x):
        if y is not None:
            x = np.concatenate([x, np.broadcast_to(np.eye(10)[y][:, None, None], (*x.shape[:3], 10))], axis=3)
        return features.forward(x).mean(axis=0)

    def objective():
        return 0.7 * ((mean(generator.forward(np.concatenate(asked, axis=1))) - mean(real)) ** 2).sum()

    value = gan.g_step(generate(gan, z, y), y, real)["g_loss"]
    assert value == pytest.approx(objective(), rel=1e-12)
    compared = 0
    for name, param in generator.params.items():
        direction = np.random.default_rng(3).standard_normal(param.shape)
        direction /= np.linalg.norm(direction)
        slopes = []
        for step in (1e-5, 3e-6):
            param += step * direction
            above = objective()
            param -= 2 * step * direction
            slopes.append((above - objective()) / (2 * step))
            param += step * direction
        if abs(slopes[0] - slopes[1]) < 1e-7:  # or a kink lies within reach
            compared += 1
            assert (gan.generator.grads[name] * direction).sum() == pytest.approx(slopes[1], rel=1e-5, abs=1e-8), name
    assert compared >= 4


def test_feature_matching_needs_real_samples_and_moves_only_g():
    gan = small("mlp", feature_matching=1.0)
    before = {name: param.copy() for name, param in gan.discriminator.params.items()}
    fake = generate(gan, gan.draw_z(4, gan.rng))
    with pytest.raises(InputError, match="feature_matching needs real samples in g_step"):
        gan.g_step(fake)
    gan.g_step(generate(gan, gan.draw_z(4, gan.rng)), None, reals(gan))
    assert all(np.array_equal(param, before[name]) for name, param in gan.discriminator.params.items())


# ---- weights


def test_clipped_weights_stay_within_their_box():
    gan = small("toy", weight_clip=0.05, lr=0.01)
    free = small("toy", lr=0.01)
    for game in (gan, free):
        game.train_step(reals(game))
    assert max(abs(param).max() for param in gan.discriminator.params.values()) == 0.05
    assert max(abs(param).max() for param in gan.generator.params.values()) > 0.05
    for name, param in free.discriminator.params.items():
        assert np.array_equal(np.clip(param, -0.05, 0.05), gan.discriminator.params[name])


def test_orthogonal_pull():
    network = Sequential([Dense(5, 4, rng=np.random.default_rng(1), dtype=np.float64)])
    weight = network.params["0.weight"]
    value = penalties.orthogonal(network, 0.3)
    expected = sum((weight[:, i] @ weight[:, j]) ** 2 for i in range(4) for j in range(4) if i != j)
    assert value == pytest.approx(0.3 * expected, rel=1e-12)
    grads = network.grads["0.weight"].copy()
    for place in np.ndindex(weight.shape):
        values = []
        for sign in (1, -2, 1):
            weight[place] += sign * 1e-5
            values.append(penalties.orthogonal(network, 0.3))
        assert grads[place] == pytest.approx((values[0] - values[1]) / 2e-5, rel=1e-7, abs=1e-8)
    assert not network.grads["0.bias"].any()
    weight[...] = np.eye(5)[:, :4] * [1, 2, 3, 4]  # at right angles, whatever their lengths
    network.zero_grad()
    assert penalties.orthogonal(network, 0.3) == 0
    assert not network.grads["0.weight"].any()


def test_orthogonal_reaches_the_generator_only():
    plain, pulled = (small("toy", optimizer="sgd", **{"orthogonal": strength}) for strength in (0.0, 0.1))
    for gan in (plain, pulled):
        gan.train_step(reals(gan))
    for player, changed in (("generator", True), ("discriminator", False)):
        grads, others = getattr(plain, player).grads, getattr(pulled, player).grads
        # D has seen the same G, so its gradients are the same
        assert any(not np.allclose(grads[name], others[name]) for name in grads) is changed


# ---- ways to tell D


def test_what_each_way_shows_d_and_makes_of_its_outputs():
    x, y = np.random.default_rng(0).standard_normal((3, 2, 2, 1)), np.array([1, 0, 1])
    assert Discriminator(None).see(x, None) is x
    seen = Concatenation(None, 2).see(x, y)
    assert np.array_equal(seen[..., :1], x)
    assert np.array_equal(seen[..., 1:].mean(axis=(1, 2)), [[0, 1], [1, 0], [0, 1]])
    assert seen[..., 1:].std(axis=(1, 2)).max() == 0
    outputs = np.arange(9.0).reshape(3, 3)
    assert np.array_equal(Projection(None, 2).logits(outputs, y), [[0 + 2], [3 + 4], [6 + 8]])
    assert np.array_equal(Auxiliary(None, 2).logits(outputs, y), [[0], [3], [6]])
    ones = np.ones((3, 1))
    assert np.array_equal(Projection(None, 2).spread(ones, y, (3, 3)), [[1, 0, 1], [1, 1, 0], [1, 0, 1]])
    assert np.array_equal(Auxiliary(None, 2).spread(ones, y, (3, 3)), [[1, 0, 0]] * 3)


@pytest.mark.parametrize("conditioning", ["projection", "concatenation", "auxiliary"])
def test_each_way_d_learns_from_its_condition(conditioning):
    """D's judgement of a sample depends on its condition, or D can name the condition, after a few steps."""
    gan = certain(small("mlp", condition="labels", clusters=1, conditioning=conditioning, lr=0.01))
    real, conditions = reals(gan, 40), np.arange(40) % 10
    real += 0.5 * np.sin(conditions)[:, None, None, None]
    for _ in range(60):
        gan.train_step(np.clip(real, -1, 1), conditions)

    D = gan.discriminator
    if conditioning == "auxiliary":
        assert (D.network.forward(real)[:, 1:].argmax(axis=1) == conditions).mean() > 0.5
    else:
        right, wrong = (D.forward(real, y).mean() for y in (conditions, (conditions + 5) % 10))
        assert right > wrong + 0.1


# ---- the script that tries them


@pytest.mark.parametrize(("name", "kinds"), [("tanh", {"Tanh"}), ("minibatch discrimination", {"LeakyReLU"})])
def test_the_scripts_changes_reach_the_networks(name, kinds):
    """And not the players around them, of which nobody would see it."""
    gan = small("listing")
    remedies.REMEDIES[name][1](gan)
    inner = [type(layer).__name__ for layer in gan.discriminator.network.layers]
    assert {kind for kind in inner if kind in ("LeakyReLU", "Tanh", "ReLU")} == kinds
    assert ("MinibatchDiscrimination" in inner) == (name == "minibatch discrimination")
