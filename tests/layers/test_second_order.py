"""Penalties on the gradient: tangents, second derivatives, whole critics against differences and PyTorch."""

import copy

import numpy as np
import pytest
from samples import draw, rng

from minigan import layers, penalties
from minigan.base.errors import InputError, RunError
from minigan.gan import build_gan
from minigan.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    Dense,
    Dropout,
    Flatten,
    GroupNorm,
    InstanceNorm,
    LayerNorm,
    LeakyReLU,
    MaxPool2D,
    ReLU,
    Reshape,
    Sequential,
    Sigmoid,
    Softplus,
    Tanh,
    UpsampleNearest2D,
)

F64 = {"dtype": np.float64}


LAYERS = {  # a layer and the shape of x
    "dense": (lambda: Dense(4, 3, rng=rng(), **F64), (5, 4)),
    "conv": (lambda: Conv2D(2, 3, (3, 2), (2, 1), 1, rng=rng(), **F64), (2, 5, 4, 2)),
    "conv 4x4": (lambda: Conv2D(2, 3, 4, 2, 1, rng=rng(), **F64), (2, 6, 8, 2)),
    "relu": (ReLU, (3, 4)),
    "leaky relu": (lambda: LeakyReLU(0.2), (2, 3, 3, 2)),
    "tanh": (Tanh, (3, 4)),
    "sigmoid": (Sigmoid, (3, 4)),
    "softplus": (Softplus, (3, 4)),
    "flatten": (Flatten, (2, 3, 2, 2)),
    "reshape": (lambda: Reshape((2, 6)), (2, 3, 4)),
    "average pool": (lambda: AveragePool2D((2, 3), (1, 2)), (2, 5, 5, 2)),
    "max pool": (lambda: MaxPool2D((3, 2), (2, 1)), (2, 7, 5, 3)),
    "upsample": (lambda: UpsampleNearest2D((2, 3)), (2, 2, 3, 2)),
    "layer norm": (lambda: LayerNorm(3, **F64), (2, 3, 4, 3)),
    "group norm": (lambda: GroupNorm(2, 4, **F64), (3, 4)),
    "instance norm": (lambda: InstanceNorm(3, **F64), (2, 3, 3, 3)),
}


def lively(layer):
    for seed, (name, param) in enumerate(layer.params.items()):
        if not name.endswith("weight"):
            layer.params[name] = draw(*param.shape, seed=seed + 20) + name.endswith("gamma")
    layer.zero_grad()
    return layer


def differences(f, array, h=1e-5):
    """∂f/∂array by central differences, f a function of nothing that looks at the array."""
    result = np.zeros_like(array)
    for place in np.ndindex(array.shape):
        kept, values = array[place], []
        for value in (kept + h, kept - h):
            array[place] = value
            values.append(f())
        array[place] = kept
        result[place] = (values[0] - values[1]) / (2 * h)
    return result


def away(x):
    """x without entries near 0 or near each other, where piecewise linear layers have their kinks."""
    order = np.argsort(x, axis=None)
    spread = np.linspace(-2, 2, x.size)
    spread += np.where(spread >= 0, 0.05, -0.05)
    result = np.empty(x.size)
    result[order] = spread
    return result.reshape(x.shape)


def check_layer(name):
    make, shape = LAYERS[name]
    layer, x = lively(make()), away(draw(*shape))
    t = draw(*shape, seed=2)
    out = layer.forward(x)
    cache = layer.remembered.cache
    numeric = (layer.forward(x + 1e-5 * t) - layer.forward(x - 1e-5 * t)) / 2e-5
    np.testing.assert_allclose(layer.jvp(t, cache), numeric, rtol=1e-7, atol=1e-8)

    s = draw(*out.shape, seed=4)
    layer.zero_grad()
    curved = layer.jvp_backward(s, t, cache)

    def product():
        layer.forward(x)
        return (s * layer.jvp(t, layer.remembered.cache)).sum()

    by_x = differences(product, x)
    np.testing.assert_allclose(np.zeros_like(x) if curved is None else curved, by_x, rtol=1e-6, atol=1e-7)
    for key, param in layer.params.items():
        np.testing.assert_allclose(layer.grads[key], differences(product, param), rtol=1e-6, atol=1e-7, err_msg=key)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layers_tangent_and_its_gradients(name):
    check_layer(name)


def test_every_kind_is_checked():
    kinds = [kind for kind in vars(layers).values() if isinstance(kind, type) and getattr(kind, "formula", None)]
    assert {type(make()) for make, _ in LAYERS.values()} == {kind for kind in kinds if kind.formula.has_jvp}


# ---- whole critics

CRITICS = {
    "dense": (lambda: [Dense(4, 6, rng=rng(), **F64), LeakyReLU(0.2), Dense(6, 1, rng=rng(5), **F64)], (5, 4)),
    "square": (  # any layer's signal or tangent would fit any other layer
        lambda: [Dense(4, 4, rng=rng(), **F64), Tanh(), Dense(4, 4, rng=rng(6), **F64), LeakyReLU(0.2)],
        (3, 4),
    ),
    "curved": (
        lambda: [
            Dense(4, 5, rng=rng(), **F64),
            Tanh(),
            Dense(5, 4, rng=rng(6), **F64),
            Softplus(),
            Dense(4, 2, rng=rng(7), **F64),
        ],
        (3, 4),
    ),
    "conv": (
        lambda: [
            Conv2D(1, 3, 4, 2, 1, rng=rng(), **F64),
            LayerNorm(3, **F64),
            LeakyReLU(0.2),
            Sequential([Conv2D(3, 4, 3, padding=1, rng=rng(6), **F64), Tanh()]),
            AveragePool2D(2),
            Flatten(),
            Dense(8, 1, rng=rng(7), **F64),
        ],
        (3, 4, 8, 1),
    ),
    "pooled": (
        lambda: [
            Conv2D(2, 3, 3, rng=rng(), **F64),
            Softplus(),
            MaxPool2D(2),
            Flatten(),
            Sigmoid(),
            Dense(12, 1, rng=rng(7), **F64),
        ],
        (2, 6, 6, 2),
    ),
}
PENALTIES = {"wgan_gp": lambda g: penalties.wgan_gp(g, 10.0), "r1": lambda g: penalties.r1(g, 3.0)}


def value_of(critic, x, penalty, outputs):
    """P by first derivatives only."""
    out = critic.forward(x)
    return penalty(critic.backward(np.ones_like(out) if outputs is None else outputs, need_param_grads=False))[0]


def check_critic(name, penalty, weighted=False):
    make, shape = CRITICS[name]
    critic, x = lively(Sequential(make())), draw(*shape)
    outputs = draw(*critic.forward(x).shape, seed=8) if weighted else None
    start = {key: draw(*grad.shape, seed=9) for key, grad in critic.grads.items()}
    for key, grad in critic.grads.items():
        grad[...] = start[key]
    value = penalties.gradient_penalty(critic, x, PENALTIES[penalty], outputs)
    assert value == pytest.approx(value_of(critic, x, PENALTIES[penalty], outputs), rel=1e-12)
    found = {key: grad - start[key] for key, grad in critic.grads.items()}
    scale = max(abs(grad).max() for grad in found.values())
    for key, param in critic.params.items():
        numeric = differences(lambda: value_of(critic, x, PENALTIES[penalty], outputs), param)
        assert abs(found[key] - numeric).max() <= 1e-6 * scale, key


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("penalty", PENALTIES)
@pytest.mark.parametrize("name", CRITICS)
def test_a_critics_penalty(name, penalty, weighted):
    check_critic(name, penalty, weighted)


@pytest.mark.parametrize("penalty", PENALTIES)
def test_what_a_penalty_is_and_its_own_derivative(penalty):
    g = draw(3, 2, 4)
    value, v = PENALTIES[penalty](g)
    lengths = np.sqrt([(one**2).sum() for one in g])
    expected = 10 * ((lengths - 1) ** 2).mean() if penalty == "wgan_gp" else 1.5 * (lengths**2).mean()
    assert value == pytest.approx(expected, rel=1e-12)
    np.testing.assert_allclose(v, differences(lambda: PENALTIES[penalty](g)[0], g), rtol=1e-7, atol=1e-8)
    nothing, flat = PENALTIES[penalty](np.zeros((2, 3)))
    assert nothing == (10 if penalty == "wgan_gp" else 0)
    assert not flat.any()


def test_a_centre_of_0_makes_r1_of_wgan_gp():
    g = draw(3, 2, 4)
    pulled, expected = penalties.wgan_gp(g, 3.0, centre=0), penalties.r1(g, 6.0)
    assert pulled[0] == pytest.approx(expected[0], rel=1e-12)
    np.testing.assert_allclose(pulled[1], expected[1], rtol=1e-12)
    np.testing.assert_allclose(
        penalties.wgan_gp(g, centre=2.0)[1], differences(lambda: penalties.wgan_gp(g, centre=2.0)[0], g), rtol=1e-7
    )


def test_what_is_left_behind():
    """Nothing but gradients: the parameters are as before, and no forward is remembered, not even an earlier one."""
    critic, x = lively(Sequential(CRITICS["conv"][0]())), draw(*CRITICS["conv"][1])
    before, out = copy.deepcopy(dict(critic.params)), critic.forward(x)
    penalties.gradient_penalty(critic, x, PENALTIES["wgan_gp"])
    assert all(np.array_equal(param, before[key]) for key, param in critic.params.items())
    found = copy.deepcopy(dict(critic.grads))
    with pytest.raises(RunError, match="no forward to go with it"):
        critic.backward(np.ones_like(out))
    assert all(np.array_equal(grad, found[key]) for key, grad in critic.grads.items())


@pytest.mark.parametrize("v", [lambda g: g[:1], lambda g: g.astype(np.float32), lambda g: 0.0])
def test_a_v_unlike_g_is_refused(v):
    """Compiled kernels would read beyond the end of one that is too short."""
    critic = lively(Sequential(CRITICS["dense"][0]()))
    with pytest.raises(InputError, match=r"v is .*, expected float64 \(5, 4\) like the gradient g"):
        penalties.gradient_penalty(critic, draw(5, 4), lambda g: (0.0, v(g)))
    assert not any(grad.any() for grad in critic.grads.values())


def test_interpolates_lie_between_each_on_its_own_line():
    real, fake = draw(50, 2, 3), draw(50, 2, 3, seed=2)
    between = penalties.interpolates(real, fake, rng())
    share = (between - fake) / (real - fake)
    assert np.ptp(share, axis=(1, 2)).max() < 1e-9
    assert 0 <= share.min() < 0.1
    assert 0.9 < share.max() <= 1


@pytest.mark.parametrize("penalty", PENALTIES)
def test_against_pytorchs_double_backward(penalty):
    torch = pytest.importorskip("torch")
    make, shape = CRITICS["conv"]
    critic, x = lively(Sequential(make())), draw(*shape)
    penalties.gradient_penalty(critic, x, PENALTIES[penalty])
    p = {key: torch.tensor(param, requires_grad=True) for key, param in critic.params.items()}
    xt = torch.tensor(x, requires_grad=True)
    f = torch.nn.functional

    def conv(h, key, **options):
        return f.conv2d(
            h.permute(0, 3, 1, 2), p[f"{key}.weight"].permute(3, 2, 0, 1), p[f"{key}.bias"], **options
        ).permute(0, 2, 3, 1)

    h = conv(xt, "0", stride=2, padding=1)
    h = f.group_norm(h.permute(0, 3, 1, 2), 1, p["1.gamma"], p["1.beta"]).permute(0, 2, 3, 1)
    h = torch.tanh(conv(f.leaky_relu(h, 0.2), "3.0", padding=1))
    h = f.avg_pool2d(h.permute(0, 3, 1, 2), 2).permute(0, 2, 3, 1).flatten(1)
    out = h @ p["6.weight"] + p["6.bias"]
    (g,) = torch.autograd.grad(out.sum(), xt, create_graph=True)
    lengths = g.flatten(1).norm(dim=1)
    (10 * ((lengths - 1) ** 2).mean() if penalty == "wgan_gp" else 1.5 * (lengths**2).mean()).backward()
    for key, param in p.items():
        expected = np.zeros(param.shape) if param.grad is None else param.grad.numpy()
        np.testing.assert_allclose(critic.grads[key], expected, rtol=1e-9, atol=1e-11, err_msg=key)


def test_the_game_adds_the_penalty_to_what_d_minimises():
    """d_step's gradients with the penalty are those without plus the penalty's, at the same interpolates."""
    plain, other, spare = (
        build_gan("wgan-gp", dtype=np.float64, sample_shape=(8, 8, 1), gradient_penalty=s) for s in (0.0, 10.0, 0.0)
    )
    real = np.tanh(draw(4, 8, 8, 1))
    fake = np.tanh(draw(4, 8, 8, 1, seed=2))
    first = {name: param.copy() for name, param in plain.discriminator.params.items()}
    before = copy.deepcopy(other.rng)
    without, within = plain.d_step(real, fake), other.d_step(real, fake)
    for name, param in spare.discriminator.params.items():
        assert np.array_equal(param, first[name])
    value = penalties.gradient_penalty(
        spare.discriminator.network, penalties.interpolates(real, fake, before), PENALTIES["wgan_gp"]
    )
    assert within["d_loss"] == pytest.approx(without["d_loss"] + value, rel=1e-9)
    for name, grad in other.discriminator.grads.items():
        expected = plain.discriminator.grads[name] + spare.discriminator.grads[name]
        np.testing.assert_allclose(grad, expected, rtol=1e-9, atol=1e-12)


def test_the_penalty_leaves_out_the_channels_that_tell_the_condition():
    """On the gradient by the pixels alone, and its gradient by D's weights, against differences."""
    settings = {"condition": "labels", "conditioning": "concatenation", "loss": "wasserstein", "r1": 3.0}
    gan = build_gan("mlp", dtype=np.float64, sample_shape=(3, 2, 1), **settings)
    real, conditions = np.tanh(draw(4, 3, 2, 1)), np.array([1, 0, 9, 1])
    twin, loss = copy.deepcopy(gan.discriminator), gan.loss

    def objective():
        outputs = twin.forward(real, conditions)
        grad = twin.backward(np.ones_like(outputs), need_param_grads=False)
        return 1.5 * (grad**2).sum() / 4 + loss.discriminator(outputs, outputs)[0]

    assert gan.d_step(real, real, conditions)["d_loss"] == pytest.approx(objective(), rel=1e-12)
    for name in ("1.weight", "3.weight", "5.weight"):
        param, grad = twin.params[name], gan.discriminator.grads[name]
        for i in [tuple(rng(3 + k).integers(0, param.shape)) for k in range(5)]:
            values = []
            for step in (1e-6, -2e-6):
                param[i] += step
                values.append(objective())
            param[i] += 1e-6
            assert grad[i] == pytest.approx((values[0] - values[1]) / 2e-6, rel=1e-6, abs=1e-9), (name, i)
    assert abs(gan.discriminator.grads["1.weight"]).max() > 1e-3


class Skipping(Sequential):
    """x + f(x): no chain of its layers, though a Sequential."""

    def forward(self, x, training=True, num_splits=1):
        return x + super().forward(x, training, num_splits)

    def backward(self, grad_output, *args, **options):
        return grad_output + super().backward(grad_output, *args, **options)


class Foreign:
    """Of no class of ours, as a reader may write one."""

    forward = backward = lambda self, x, *args: x

    def __init__(self):
        self.params, self.grads, self.buffers = {}, {}, {}


@pytest.mark.parametrize(
    ("layer", "message"),
    [
        (
            lambda: BatchNorm(4, **F64),
            "BatchNorm.*cannot be part of a critic with a penalty.*mixes the samples.*LayerNorm",
        ),
        (lambda: Dropout(0.5, rng=rng()), "Dropout.*its tangent is not known"),
        (lambda: Skipping([Dense(4, 4, rng=rng(), **F64)]), "its tangent is not known"),
        (Foreign, "Foreign.*its tangent is not known"),
    ],
)
def test_layers_that_cannot_be_part_of_it(layer, message):
    critic = Sequential([Dense(3, 4, rng=rng(), **F64), Sequential([layer()]), Dense(4, 1, rng=rng(), **F64)])
    with pytest.raises(InputError, match=message):
        penalties.gradient_penalty(critic, draw(2, 3), PENALTIES["r1"])
    assert not any(grad.any() for grad in critic.grads.values())
