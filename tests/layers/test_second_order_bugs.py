"""Bugs planted in the penalties on the gradient: the checks of test_second_order.py find each."""

from functools import partial

import pytest
from planting import is_found, table
from test_second_order import check_critic

from minigan import penalties
from minigan.layers import activations, conv, dense, group_norm, resample

ASKED, CARRIED = "    value, t = penalty(s)\n", "r = layer.backward(r, need_input_grad=layer is not layers[0])"
BUGS = {  # the critic, where: what stands there, what stands there instead
    ("dense", dense, "dense_jvp"): {"tangent with a bias": ("t @ weight", "t @ weight + 0.1")},
    ("dense", dense, "dense_jvp_backward"): {
        "x in the place of t": ("t.T @ s", "cache[0].T @ s"),
        "a gradient for the bias": ("t.T @ s, None", "t.T @ s, s.sum(axis=0)"),
        "factor 2": ("t.T @ s, None", "2 * t.T @ s, None"),
    },
    ("conv", conv, "conv2d_jvp_backward"): {
        "weight's gradient forgotten": ('np.einsum("nhwcij,nhwo->ijco", windows, s, optimize=True)', "None"),
    },
    ("curved", activations, "tanh_jvp_backward"): {
        "tanh not curved": ("return s", "return 0 * s"),
        "tanh's second derivative without 2": ("-2 * cache", "-cache"),
    },
    ("curved", activations, "softplus_jvp_backward"): {
        "softplus's first for its second": (" * (1 - sigmoid(cache))", ""),
    },
    ("pooled", activations, "sigmoid_jvp_backward"): {"sigmoid's sign": ("(1 - 2 * cache)", "(2 * cache - 1)")},
    ("conv", group_norm, "group_norm_jvp_backward"): {
        "layer norm not curved": ("grad_input.astype(s.dtype), grad_gamma.astype(s.dtype)", "None, None"),
    },
    ("pooled", resample, "max_pool2d_jvp"): {
        "tangent of the first entry": ("h * SH + winner // KW, w * SW + winner % KW", "h * SH, w * SW"),
    },
    ("square", penalties, "gradient_penalty"): {
        "the wrong signal": (ASKED, f"{ASKED}    signals.insert(0, signals.pop())\n"),
    },
    ("curved", penalties, "gradient_penalty"): {
        "r not carried on": (CARRIED, "layer.backward(r); r = None"),
        "r begins anew": ("curved if r is None else r + curved", "curved"),
    },
    ("dense", penalties, "gradient_penalty"): {
        "outputs forgotten": ("np.ones_like(x) if outputs is None else outputs", "np.ones_like(x)"),
        "gradients replaced": (ASKED, f"{ASKED}    critic.zero_grad()\n"),
    },
    ("dense", penalties, "wgan_gp"): {
        "no mean over the samples": ("2 * strength / len(g)", "2 * strength"),
        "the length of the whole batch": ("axis=tuple(range(1, g.ndim)), keepdims=True", "keepdims=True"),
    },
}


@pytest.mark.parametrize(("critic", "owner", "function", "right", "wrong"), table(BUGS))
def test_planted_bugs_are_found(critic, owner, function, right, wrong, monkeypatch):
    check = partial(check_critic, critic, "wgan_gp", weighted=True)
    is_found(monkeypatch, critic, check, owner, function, right, wrong)
