"""Bugs planted in the penalties on the gradient: the checks of test_second_order.py find each."""

import numpy as np
import pytest
from test_second_order import check_critic

from minigan import penalties
from minigan.layers import Conv2D, Dense, LayerNorm, MaxPool2D, Sigmoid, Softplus, Tanh
from minigan.layers import tangent as module
from minigan.layers.base import EVERYTHING


def kinds(kind, forward=None, backward=None):
    right = module.KINDS[kind]
    return lambda patch: patch.setitem(module.KINDS, kind, (forward or right[0], backward or right[1]))


def dense_with_x(layer, s, t, cache, passed):
    layer._accumulate("weight", cache[0].T @ s, EVERYTHING)


def dense_and_bias(layer, s, t, cache, passed):
    layer._accumulate("weight", t.T @ s, EVERYTHING)
    layer._accumulate("bias", s.sum(axis=0), EVERYTHING)


def dense_doubled(layer, s, t, cache, passed):
    layer._accumulate("weight", 2 * t.T @ s, EVERYTHING)


def source(old, new):
    """gradient_penalty or wgan_gp with other text."""

    def plant(patch):
        import inspect

        text = inspect.getsource(penalties)
        assert text.count(old) == 1, "the formula was rewritten: plant the bug anew"
        space = {"__name__": "planted"}
        exec(compile(text.replace(old, new), "planted", "exec"), space)
        for name in ("gradient_penalty", "wgan_gp", "r1"):
            patch.setattr(penalties, name, space[name])

    return plant


CURVED, PENALISED = module._curved, "    value, moved = penalty(signal)\n"
BUGS = {
    "tangent with the bias": (
        kinds(
            Dense,
            forward=lambda layer, t, c: (
                t @ layer.params["weight"] + layer.params["bias"],
                (t, layer.params["weight"], None, 1),
            ),
        ),
        "dense",
    ),
    "x in the place of t": (kinds(Dense, backward=dense_with_x), "dense"),
    "a gradient for the bias": (kinds(Dense, backward=dense_and_bias), "dense"),
    "factor 2": (kinds(Dense, backward=dense_doubled), "dense"),
    "weight's gradient forgotten": (kinds(Conv2D, backward=module._no_curvature), "conv"),
    "tanh not curved": (kinds(Tanh, backward=module._no_curvature), "curved"),
    "tanh's second derivative without 2": (kinds(Tanh, backward=CURVED(lambda y: -y * (1 - y * y))), "curved"),
    "softplus's first for its second": (kinds(Softplus, backward=CURVED(lambda x: 1 / (1 + np.exp(-x)))), "curved"),
    "sigmoid's sign": (kinds(Sigmoid, backward=CURVED(lambda y: y * (1 - y) * (2 * y - 1))), "pooled"),
    "layer norm not curved": (kinds(LayerNorm, backward=module._no_curvature), "conv"),
    "max pooling's tangent of the first entry": (
        kinds(MaxPool2D, forward=lambda layer, t, c: (t[:, ::2, ::2], None)),
        "pooled",
    ),
    "the wrong signal": (
        source(PENALISED, f"{PENALISED}    signals.insert(0, signals.pop())\n"),
        "square",
    ),
    "r not carried on": (
        source(
            "            back = layer.backward(back, need_input_grad=layer is not layers[0])\n",
            "            layer.backward(back)\n            back = None\n",
        ),
        "curved",
    ),
    "r begins anew": (source("curved if back is None else back + curved", "curved"), "curved"),
    "no mean over the samples": (source("2 * strength / len(g)", "2 * strength"), "dense"),
    "the length of the whole batch": (source("axis=tuple(range(1, g.ndim)), keepdims=True", "keepdims=True"), "dense"),
    "outputs forgotten": (source("np.ones_like(x) if outputs is None else outputs", "np.ones_like(x)"), "dense"),
    "gradients replaced": (
        source(PENALISED, f"{PENALISED}    critic.zero_grad()\n"),
        "dense",
    ),
}


@pytest.mark.parametrize("name", BUGS)
def test_planted_bugs_are_found(name, monkeypatch):
    plant, critic = BUGS[name]
    check_critic(critic, "wgan_gp", weighted=True)
    plant(monkeypatch)
    with pytest.raises(AssertionError):
        check_critic(critic, "wgan_gp", weighted=True)
