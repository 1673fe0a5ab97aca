"""Wrong gradients of losses and penalties: the check must find each one, and pass the right one on the same input."""

import numpy as np
import pytest
from samples import draw

from minigan import losses, penalties
from minigan.gradcheck import check_function
from minigan.layers import Dense, Sequential

REAL, FAKE = draw(5, seed=5) / 2, draw(4, seed=6) / 2


def discriminator(loss, real=1.0, fake=1.0):
    def f(r, g):
        value, grad_real, grad_fake = loss.discriminator(r, g)
        return value, real * grad_real, fake * grad_fake

    return f, (REAL, FAKE)


def generator(loss, change=lambda grad: grad):
    def f(g):
        value, grad = loss.generator(g)
        return value, change(grad)

    return f, (FAKE,)


LOSSES = {"smoothed": lambda: losses.NonSaturating(0.1), **losses.LOSSES}
LABELS = np.array([0, 2, 1, 2, 0])


def cross_entropy(change):
    def f(logits):
        value, grad = losses.softmax_cross_entropy(logits, LABELS)
        return value, change(grad)

    return f, (draw(5, 3),)


def semi_supervised(change=lambda *grads: grads):
    def f(labelled, unlabelled, fake):
        value, *grads = losses.semi_supervised(labelled, LABELS, unlabelled, fake)
        return value, *change(*grads)

    return f, (draw(5, 3), draw(4, 3, seed=2), draw(6, 3, seed=3))


def matched(change=lambda grad: grad):
    def f(made):
        value, grad = losses.feature_matching(made, draw(3, 2, seed=2))
        return value, change(grad)

    return f, (draw(4, 3, 2),)


def penalty(penalise, change):
    def f(weight):
        network = Sequential([Dense(3, 4, rng=np.random.default_rng(3), dtype=np.float64)])
        network.params["0.weight"] = weight
        value = penalise(network, 0.3)
        return value, change(network.grads["0.weight"])

    return f, (draw(3, 4) + 2,)


def right_and_wrong():
    for name, build in LOSSES.items():
        loss = build()
        yield f"{name}: D's real sign", discriminator(loss), discriminator(loss, real=-1)
        yield f"{name}: D's fake sign", discriminator(loss), discriminator(loss, fake=-1)
        yield f"{name}: D's real 1/N missing", discriminator(loss), discriminator(loss, real=5)
        yield f"{name}: D's fake 1/N missing", discriminator(loss), discriminator(loss, fake=4)
        yield f"{name}: D's fake over the joined batch", discriminator(loss), discriminator(loss, fake=4 / 9)
        yield f"{name}: G's sign", generator(loss), generator(loss, lambda g: -g)
        yield f"{name}: G's 1/N missing", generator(loss), generator(loss, lambda g: 4 * g)
    minimax, non_saturating = losses.Minimax(), losses.NonSaturating()
    mixed = (lambda f: (minimax.generator(f)[0], non_saturating.generator(f)[1])), (FAKE,)
    yield "minimax with the non-saturating gradient", generator(minimax), mixed
    plain = losses.NonSaturating(0.1)
    unsmoothed = (lambda r, f: (plain.discriminator(r, f)[0], *non_saturating.discriminator(r, f)[1:])), (REAL, FAKE)
    yield "smoothing forgotten in the gradient", discriminator(plain), unsmoothed
    right = cross_entropy(lambda g: g)
    yield "cross entropy: 1/N missing", right, cross_entropy(lambda g: 5 * g)
    yield "cross entropy: sign", right, cross_entropy(lambda g: -g)
    yield "cross entropy: label not subtracted", right, cross_entropy(lambda g: g + np.eye(3)[LABELS] / 5)
    right, share = semi_supervised(), losses.softmax(draw(4, 3, seed=2))
    for name, change in {
        "labelled sign": lambda a, b, c: (-a, b, c),
        "unlabelled sign": lambda a, b, c: (a, -b, c),
        "fake sign": lambda a, b, c: (a, b, -c),
        "weight forgotten": lambda a, b, c: (a, 2 * b, 2 * c),
        "means over the joined batch": lambda a, b, c: (a * 5 / 15, b * 4 / 15, c * 6 / 15),
        "softmax forgotten": lambda a, b, c: (a, b / share, c),
        "log Z's gradient shared out evenly": lambda a, b, c: (a, b / share / 3, c),
        "the labels' share in the other batch": lambda a, b, c: (a, b + a[:4], c),
    }.items():
        yield f"semi-supervised: {name}", right, semi_supervised(change)
    right = matched()
    yield "feature matching: sign", right, matched(lambda g: -g)
    yield "feature matching: 1/N missing", right, matched(lambda g: 4 * g)
    yield "feature matching: mean over all entries", right, matched(lambda g: g / 6)
    yield "feature matching: one sample alone", right, matched(lambda g: g * [[[4]], [[0]], [[0]], [[0]]])
    for penalise in (penalties.l1, penalties.l2):
        right = penalty(penalise, lambda g: g)
        yield f"{penalise.__name__}: sign", right, penalty(penalise, lambda g: -g)
        yield f"{penalise.__name__}: a half too many", right, penalty(penalise, lambda g: g / 2)


PAIRS = {name: pair for name, *pair in right_and_wrong()}


@pytest.mark.parametrize("name", PAIRS)
def test_planted_in_a_loss(name):
    (right, arrays), (wrong, _) = PAIRS[name]
    report = check_function(right, *arrays)
    assert report.ok, report
    assert not check_function(wrong, *arrays).ok
