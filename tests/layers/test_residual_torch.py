"""The branches against PyTorch, whole networks made of them, and wrong arguments."""

import numpy as np
import pytest
from samples import draw, rng
from test_residual import PICTURES, conv, lively

from minigan.base.errors import InputError
from minigan.gradcheck import check_gradients
from minigan.layers import AveragePool2D, BatchNorm, LeakyReLU, ReLU, Sequential, UpsampleNearest2D
from minigan.layers.residual import Residual
from minigan.models.densenet import dense_block, dense_body
from minigan.models.resnet import residual_body

# ---- PyTorch, on leaf tensors in minigan's layout: autograd does the transposes too


def up_block():
    main = [BatchNorm(6), ReLU(), UpsampleNearest2D(2), conv(6, 4, bias=False)]
    main += [BatchNorm(4), ReLU(), conv(4, 4, bias=False)]
    return Residual(Sequential(main), Sequential([conv(6, 4, 1, bias=False), UpsampleNearest2D(2)]))


def three_layers():
    layers, channels = dense_block(lambda i, o: [conv(i, o, bias=False), BatchNorm(o), LeakyReLU()], 6, growth=4)
    assert channels == 18
    return Sequential(layers)


def in_torch(torch, block, x, p):
    """The same two blocks; x (N, C, H, W)."""
    F = torch.nn.functional

    def conv(x, name):
        weight = p[f"{name}.weight"].permute(3, 2, 0, 1)
        return F.conv2d(x, weight, padding=weight.shape[2] // 2)

    def norm(x, name):
        return F.batch_norm(x, None, None, p[f"{name}.gamma"], p[f"{name}.beta"], training=True)

    if block is up_block:
        h = conv(F.interpolate(F.relu(norm(x, "main.0")), scale_factor=2), "main.3")
        h = conv(F.relu(norm(h, "main.4")), "main.6")
        return h + F.interpolate(conv(x, "shortcut.0"), scale_factor=2)
    for i in range(3):
        h = F.leaky_relu(norm(conv(x, f"{i}.branch.0"), f"{i}.branch.1"), 0.2)
        x = torch.cat([x, h], dim=1)
    return x


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-5), (np.float64, 1e-12)])
@pytest.mark.parametrize("block", [up_block, three_layers])
def test_parity(plain_torch, block, dtype, tolerance):
    torch = plain_torch
    layer, x = lively(block().astype(dtype), dtype), draw(5, 4, 6, 6, dtype=dtype, seed=2)
    leaves = {key: torch.tensor(array, requires_grad=True) for key, array in [("x", x), *layer.params.items()]}
    expected = in_torch(torch, block, leaves["x"].permute(0, 3, 1, 2), leaves).permute(0, 2, 3, 1)
    out = layer.forward(x)
    g = draw(*out.shape, seed=4, dtype=dtype)
    own = [out, layer.backward(g), *layer.grads.values()]
    others = [expected.detach(), *torch.autograd.grad(expected, list(leaves.values()), torch.tensor(g))]
    for array, other in zip(own, others, strict=True):
        np.testing.assert_allclose(array, other.numpy(), rtol=0, atol=tolerance * float(other.abs().max()))


# ---- the networks


@pytest.mark.parametrize("build", [residual_body, dense_body])
def test_gradients_of_a_body(build):
    body = build((8, 12, 1), rng(), np.float64)
    report = check_gradients(body, draw(4, 8, 12, 1), max_entries=6)
    assert report.ok, report
    assert body.output_shape((8, 12, 1)) == (128,)
    with pytest.raises(InputError, match="8 x 10 pixels do not divide by 4"):
        build((8, 10, 1), rng(), np.float32)


def test_the_shortcut_may_go_where_the_picture_is_small():
    """What resnet.py says of 1x1 convolutions, upsampling and pooling."""
    point, x = lively(conv(3, 5, 1)).astype(np.float64), draw(*PICTURES)
    for resize in (UpsampleNearest2D(2), AveragePool2D(2)):
        before, after = (Sequential(layers).forward(x) for layers in ([point, resize], [resize, point]))
        np.testing.assert_allclose(before, after, rtol=0, atol=1e-13)
