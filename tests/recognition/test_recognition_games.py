"""Recognition: the gradients of its games, and what is planted in them."""

import numpy as np
import pytest
from samples import draw

from minigan import losses
from minigan.base.errors import InputError
from minigan.gradcheck import check_function, check_gradients
from minigan.layers import Dense, GradientReversal, Sequential
from minigan.models import semi as semi_networks
from minigan.recognition import domain, semi

pytestmark = pytest.mark.usefixtures("narrow_recognition")


# ---- the reversed gradient


def dense(inputs, outputs, seed):
    return Dense(inputs, outputs, rng=np.random.default_rng(seed), dtype=np.float64)


def test_reversal_turns_the_gradient_round():
    """Forward it is the identity; what lies below gets the true gradient times -λ, what lies above the true one."""
    below, above, x, g = dense(3, 4, 1), dense(4, 2, 2), draw(5, 3), draw(5, 2, seed=2)
    reversed_, plain = Sequential([below, GradientReversal(0.7), above]), Sequential([below, above])
    assert np.array_equal(reversed_.forward(x), plain.forward(x))
    assert check_gradients(plain, x).ok
    right, turned = {}, {}
    for network, grads in ((plain, right), (reversed_, turned)):
        network.zero_grad()
        network.forward(x)
        grads["input"] = network.backward(g)
        for name, layer in (("below", below), ("above", above)):
            grads[name] = layer.grads["weight"].copy()
    for name, factor in (("input", -0.7), ("below", -0.7), ("above", 1)):
        np.testing.assert_allclose(turned[name], factor * right[name], rtol=1e-13, atol=1e-15)


def test_the_strength_of_the_forward_pass_counts():
    layer = GradientReversal(2.0)
    layer.forward(draw(2, 3))
    layer.strength = 5.0
    assert np.array_equal(layer.backward(np.ones((2, 3))), np.full((2, 3), -2.0))


# ---- the semi-supervised loss


def test_the_logits_say_how_real_a_picture_is():
    """D = Z / (Z + 1) as in the paper, where the exponentials can be written out; finite where they cannot."""
    labelled, unlabelled, fake = draw(3, 4), draw(5, 4, seed=2), draw(2, 4, seed=3)
    labels = np.array([3, 0, 1])
    z = [np.exp(x).sum(axis=1) for x in (unlabelled, fake)]
    expected = -np.log(z[0] / (z[0] + 1)).mean() - np.log(1 - z[1] / (z[1] + 1)).mean()
    known, _ = losses.softmax_cross_entropy(labelled, labels)
    value, *_ = losses.semi_supervised(labelled, labels, unlabelled, fake, weight=0.3)
    assert value == pytest.approx(known + 0.3 * expected, rel=1e-12)
    for dtype in (np.float32, np.float64):
        sure = np.array([[1e3, -1e3], [-1e3, -1e3], [1e3, 1e3]], dtype)
        value, *grads = losses.semi_supervised(sure, np.zeros(3, int), sure, sure)
        assert np.isfinite(value)
        assert all(grad.dtype == dtype and np.isfinite(grad).all() for grad in grads)
    for bad in (unlabelled[:, :3], unlabelled.astype(np.float32), unlabelled[0], None):
        with pytest.raises(InputError, match=r"unlabelled must be float64 logits \(N, 4\)"):
            losses.semi_supervised(labelled, labels, bad, fake)


def game(kind=semi.SemiSupervised):
    made = kind((4, 8, 1), 3, seed=5, dtype=np.float64)
    for layer in made.discriminator.layers:
        if hasattr(layer, "deviation"):
            layer.deviation = 0  # other noise at every pass is no function
    return made


PICTURES = [np.tanh(draw(n, 4, 8, 1, seed=n)) for n in (3, 4, 5)]
LABELS = np.array([2, 0, 1])


def d_report(kind=semi.SemiSupervised):
    played = game(kind)
    names = [name for name in played.discriminator.params if name.endswith("weight")][::2]

    def loss(*weights):
        played.discriminator.params.update(dict(zip(names, weights, strict=True)))
        value, _ = played.d_loss(PICTURES[0], LABELS, *PICTURES[1:])
        return value, *(played.discriminator.grads[name].copy() for name in names)

    return check_function(loss, *(played.discriminator.params[name] for name in names), max_entries=60)


def g_report(kind=semi.SemiSupervised):
    """Of the distance between the mean features of real and made-up pictures, worked out by itself."""
    played = game(kind)
    _, target = played.d_loss(PICTURES[0], LABELS, *PICTURES[1:])

    def objective(made):
        gap = played.features.forward(PICTURES[1]).mean(axis=0) - played.features.forward(made).mean(axis=0)
        return float((gap**2).sum()), played.g_loss(target, made)[1]

    return check_function(objective, PICTURES[2], max_entries=60)


class OtherLoss(semi.SemiSupervised):
    """A subclass says what becomes of the three gradients on their way back into D."""

    def d_loss(self, labelled, labels, unlabelled, made):
        right, real = losses.semi_supervised, super().d_loss

        def changed(*arrays):
            value, *grads = right(*arrays)
            return value, *self.change(*grads)

        losses.semi_supervised = changed
        try:
            return real(labelled, labels, unlabelled, made)
        finally:
            losses.semi_supervised = right


class WrongPlaces(OtherLoss):
    """The gradients of unlabelled and made-up pictures in each other's place."""

    def change(self, known, real, fake):
        return known, fake, real


class NoFakes(OtherLoss):
    """What is made up does not come back."""

    def change(self, known, real, fake):
        return known, real, 0 * fake


class WrongPart(semi.SemiSupervised):
    """The features of the made-up pictures as the target."""

    def d_loss(self, labelled, labels, unlabelled, made):
        value, _ = super().d_loss(labelled, labels, unlabelled, made)
        return value, self.features.forward(made).mean(axis=0)


class WrongCount(semi.SemiSupervised):
    """The mean over another batch's size."""

    def g_loss(self, target, made):
        value, grad = super().g_loss(target, made)
        return value, grad * len(made) / 3


class LogitsForFeatures(semi.SemiSupervised):
    """What the last layer does to them as well."""

    def g_loss(self, target, made):
        value, grad = losses.feature_matching(self.features.forward(made), target)
        weight = self.head.params["weight"]
        return value, self.features.backward(grad @ weight @ weight.T, need_param_grads=False)


def test_the_game_s_gradients():
    for report in (d_report(), g_report()):
        assert report.ok, report


@pytest.mark.parametrize("kind", [WrongPlaces, NoFakes])
def test_planted_in_the_discriminator_s_loss(kind):
    assert not d_report(kind).ok


@pytest.mark.parametrize("kind", [WrongPart, WrongCount, LogitsForFeatures])
def test_planted_in_the_generator_s_loss(kind):
    assert not g_report(kind).ok


def test_both_networks_gradients():
    rng = np.random.default_rng(1)
    x = np.tanh(draw(4, 4, 8, 2))
    report = check_gradients(semi_networks.semi_discriminator((4, 8, 2), 3, rng, rng, np.float64), x, max_entries=20)
    assert report.ok, report
    generator = semi_networks.semi_generator((4, 8, 2), rng, np.float64)
    report = check_gradients(generator, draw(4, semi_networks.LATENT), max_entries=8)
    assert report.ok, report


def test_each_player_moves_itself_only():
    played = game()
    d, g = ({k: v.copy() for k, v in n.params.items()} for n in (played.discriminator, played.generator))
    made = played.generator.forward(played.draw(5))
    _, target = played.d_loss(PICTURES[0], LABELS, PICTURES[1], made)
    grads = {name: grad.copy() for name, grad in played.discriminator.grads.items()}
    played.g_loss(target, made)
    assert all(np.array_equal(grads[name], grad) for name, grad in played.discriminator.grads.items())
    played.step_alone(PICTURES[0], LABELS)
    assert all(np.array_equal(g[name], param) for name, param in played.generator.params.items())
    played.step(PICTURES[0], LABELS, PICTURES[1])
    for before, network in ((d, played.discriminator), (g, played.generator)):
        assert all((before[name] != param).any() for name, param in network.params.items() if "weight" in name)


# ---- the domain-adversarial loss


CLEAN, OTHER = np.tanh(draw(3, 8, 4, 3)), np.tanh(draw(3, 8, 4, 3, seed=2))
STRENGTH = 0.6


def domain_report(change=lambda network: None):
    """The gradient of what each part minimises: f that of L_y - λ L_d, the heads those of L_y and of L_d.

    change: applied to the network, so that something is wrong.
    """
    network = domain.DomainAdversarial((8, 4, 3), 3, 1, np.float64)
    network.domains.layers[0].strength = STRENGTH
    change(network)
    parts = {"features": (network.features, "3.weight"), "labels": (network.labels, "0.weight")}
    parts["domains"] = (network.domains, "1.weight")
    for part, (owner, name) in parts.items():

        def objective(weight, part=part, owner=owner, name=name):
            owner.params[name] = weight
            recognised, told = network.loss(CLEAN, LABELS, OTHER)
            value = {"features": recognised - STRENGTH * told, "labels": recognised, "domains": told}[part]
            return value, owner.grads[name].copy()

        yield check_function(objective, owner.params[name].copy(), max_entries=60)


def test_the_domain_s_gradients():
    for report in domain_report():
        assert report.ok, report


def with_another_strength(network):
    network.domains.layers[0].strength = STRENGTH / 2


def without_the_domain(network):
    backward = network.domains.backward
    network.domains.backward = lambda *a, **options: 0 * backward(*a, **options)


def without_the_label(network):
    backward = network.labels.backward
    network.labels.backward = lambda *a, **options: 0 * backward(*a, **options)


@pytest.mark.parametrize("plant", [with_another_strength, without_the_domain, without_the_label])
def test_planted_in_the_domain_s_loss(plant):
    features, labels, domains = domain_report(plant)
    assert not features.ok
    assert labels.ok
    assert domains.ok


def test_without_a_target_the_domain_s_head_rests():
    network = domain.DomainAdversarial((8, 4, 3), 3, 1)
    before = {name: param.copy() for name, param in network.domains.params.items()}
    source = CLEAN.astype(np.float32)
    assert network.loss(source, LABELS, None)[1] == 0
    network.step(source, LABELS, None, 1.0)
    assert all(np.array_equal(param, before[name]) for name, param in network.domains.params.items())
    assert (domain.strength(0), domain.strength(1)) == (0, pytest.approx(domain.STRENGTH, rel=1e-4))
