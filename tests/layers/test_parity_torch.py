"""The same networks, losses and optimizer in PyTorch, with its autograd, where PyTorch happens to be installed."""

import copy

import numpy as np
import pytest

from minigan.gan import build_gan
from minigan.layers import BatchNorm, Conv2D, ConvTranspose2D, Dense, Flatten, LeakyReLU, ReLU, Reshape, Tanh

torch = pytest.importorskip("torch", reason="PyTorch is not installed: it is a reference here, never a requirement")
F = torch.nn.functional

TOLERANCE = {np.float32: 1e-5, np.float64: 1e-10}
every_preset = pytest.mark.parametrize("preset", ["mlp", "listing", "dcgan"])
every_dtype = pytest.mark.parametrize("dtype", [np.float32, np.float64])
BATCH = 8
pytestmark = pytest.mark.usefixtures("plain_torch")


class Twin:
    """A Sequential's layers as PyTorch calls, on leaf tensors in minigan's layout: autograd does the transposes too.

    outputs: what each convolution put out, pass by pass, under the key of its bias.
    """

    def __init__(self, network):
        self.network = network
        self.params = {key: torch.tensor(param, requires_grad=True) for key, param in network.params.items()}
        self.outputs = {}
        self.buffers = {key: torch.tensor(buffer) for key, buffer in network.buffers.items()}

    def __call__(self, x, training=True):
        for i, layer in enumerate(self.network.layers):
            x = self.call(layer, x, training, lambda name, i=i: self.params.get(f"{i}.{name}"), i)
        return x

    def call(self, layer, x, training, param, i):
        if isinstance(layer, Dense):
            return F.linear(x, param("weight").T, param("bias"))
        if isinstance(layer, Conv2D | ConvTranspose2D):  # (N, H, W, C) to (N, C, H, W) and back
            x, weight = x.permute(0, 3, 1, 2), param("weight").permute(3, 2, 0, 1)
            if isinstance(layer, Conv2D):
                out = F.conv2d(x, weight, param("bias"), layer.stride, layer.padding)
            else:
                out = F.conv_transpose2d(x, weight, param("bias"), layer.stride, layer.padding, layer.output_padding)
            self.outputs.setdefault(f"{i}.bias", []).append(out)
            return out.permute(0, 2, 3, 1)
        if isinstance(layer, BatchNorm):
            running = (self.buffers[f"{i}.{name}"] for name in ("running_mean", "running_var"))
            rows = x.reshape(-1, x.shape[-1])
            out = F.batch_norm(rows, *running, param("gamma"), param("beta"), training, layer.momentum, layer.eps)
            return out.reshape(x.shape)
        plain = {
            Flatten: lambda: x.reshape(len(x), -1),
            Reshape: lambda: x.reshape(len(x), *layer.shape),
            ReLU: lambda: F.relu(x),
            LeakyReLU: lambda: F.leaky_relu(x, layer.negative_slope),
            Tanh: lambda: torch.tanh(x),
        }
        return plain[type(layer)]()

    def leaves(self):
        return list(self.params.values())


def real_pictures(dtype, seed=1, shape=(28, 28, 1)):
    return np.tanh(np.random.default_rng(seed).standard_normal((BATCH, *shape))).astype(dtype)


def d_loss(real_logits, fake_logits):
    return F.binary_cross_entropy_with_logits(real_logits, torch.ones_like(real_logits)) + (
        F.binary_cross_entropy_with_logits(fake_logits, torch.zeros_like(fake_logits))
    )


def g_loss(fake_logits):
    return F.binary_cross_entropy_with_logits(fake_logits, torch.ones_like(fake_logits))


def relative(a, b):
    b = b.detach().numpy()
    assert a.shape == b.shape
    assert a.dtype == b.dtype
    return abs(a - b).max() / abs(b).max()


def biases_without_effect(network):
    """Keys of biases that go straight into a batch norm, which subtracts them again: their true gradient is 0.

    Only a bias per normalised channel is one: dcgan's first dense layer has one per pixel and channel, which matters.
    """
    pairs = enumerate(zip(network.layers, network.layers[1:], strict=False))
    return {
        f"{i}.bias"
        for i, (layer, after) in pairs
        if isinstance(layer, Conv2D | ConvTranspose2D) and isinstance(after, BatchNorm)
    }


def compare_gradients(network, twin, loss, tolerance):
    """Every gradient of the network against autograd's of `loss`."""
    without_effect = biases_without_effect(network)
    expected = dict(zip(twin.params, torch.autograd.grad(loss, twin.leaves(), retain_graph=True), strict=True))
    assert network.grads.keys() == expected.keys()
    for name, grad in network.grads.items():
        if name in without_effect:
            # On both sides this is the rounding of a sum that cancels to 0, and no tolerance relative to the outcome
            # would mean anything. What can be said is that it is nothing beside the terms that were added up.
            terms = torch.cat(torch.autograd.grad(loss, twin.outputs[name], retain_graph=True))
            added = terms.abs().sum(dim=(0, 2, 3)).numpy()
            assert (abs(grad) <= tolerance * added).all(), name
            assert (abs(expected[name].numpy()) <= tolerance * added).all(), name
        else:
            assert relative(grad, expected[name]) <= tolerance, name


@every_preset
@every_dtype
def test_outputs_and_gradients(preset, dtype):
    gan = build_gan(preset, seed=3, dtype=dtype)
    generator, discriminator = Twin(gan.generator), Twin(gan.discriminator)
    tolerance, real = TOLERANCE[dtype], real_pictures(dtype)
    z = torch.tensor(gan.draw_z(BATCH, copy.deepcopy(gan.rng)))

    fake, expected = gan.generate(gan.draw_z(BATCH, gan.rng)), generator(z)
    assert relative(fake, expected) <= tolerance

    real_logits, fake_logits = discriminator(torch.tensor(real)), discriminator(expected.detach())
    logits = copy.deepcopy(gan.discriminator).forward(np.concatenate([real, fake]), num_splits=2)
    assert relative(logits, torch.cat([real_logits, fake_logits])) <= tolerance
    loss = d_loss(real_logits, fake_logits)
    before = copy.deepcopy(gan.discriminator.params)
    metrics = gan.d_step(real, fake)
    assert metrics["d_loss"] == pytest.approx(loss.item(), rel=tolerance)
    assert metrics["d_real"] == pytest.approx(torch.sigmoid(real_logits).mean().item(), rel=tolerance)
    compare_gradients(gan.discriminator, discriminator, loss, tolerance)
    for name, buffer in gan.discriminator.buffers.items():
        assert relative(buffer, discriminator.buffers[name]) <= tolerance, name
    for name, buffer in gan.generator.buffers.items():
        assert relative(buffer, generator.buffers[name]) <= tolerance, name

    for name, param in before.items():  # the gradient of G by itself, through the very same D
        gan.discriminator.params[name][...] = param
    loss = g_loss(discriminator(expected))
    assert gan.g_step(fake)["g_loss"] == pytest.approx(loss.item(), rel=tolerance)
    compare_gradients(gan.generator, generator, loss, tolerance)


@every_preset
@every_dtype
def test_evaluation_mode(preset, dtype):
    gan = build_gan(preset, seed=3, dtype=dtype)
    for seed in range(2):  # running statistics that are no longer 0 and 1
        gan.train_step(real_pictures(dtype, seed))
    z = gan.draw_z(BATCH, np.random.default_rng(2))
    assert relative(gan.decode(z), Twin(gan.generator)(torch.tensor(z), training=False)) <= TOLERANCE[dtype]
    real = real_pictures(dtype)
    logits = gan.discriminator.forward(real, training=False)
    assert relative(logits, Twin(gan.discriminator)(torch.tensor(real), training=False)) <= TOLERANCE[dtype]


@every_preset
def test_twenty_steps_of_the_whole_gan(preset):
    """In float64, where rounding has no time to grow: what differs here is a formula or an order of things."""
    shape = (8, 12, 1)
    gan = build_gan(preset, seed=3, dtype=np.float64, sample_shape=shape)
    config = gan.config
    generator, discriminator = Twin(gan.generator), Twin(gan.discriminator)
    adam = {"lr": config.lr, "betas": (config.beta1, 0.999), "eps": 1e-8}
    g_adam, d_adam = (torch.optim.Adam(twin.leaves(), **adam) for twin in (generator, discriminator))
    start = copy.deepcopy(dict(gan.generator.params))
    for step in range(20):
        real = real_pictures(np.float64, step, shape)
        z = torch.tensor(gan.draw_z(BATCH, copy.deepcopy(gan.rng)))
        metrics = gan.train_step(real)

        fake = generator(z)
        loss = d_loss(discriminator(torch.tensor(real)), discriminator(fake.detach()))
        d_adam.zero_grad()
        loss.backward()
        d_adam.step()
        assert metrics["d_loss"] == pytest.approx(loss.item(), rel=1e-7)
        loss = g_loss(discriminator(fake))
        g_adam.zero_grad()
        loss.backward()
        g_adam.step()
        assert metrics["g_loss"] == pytest.approx(loss.item(), rel=1e-7)

    for network, twin, rate in ((gan.generator, generator, config.lr), (gan.discriminator, discriminator, config.lr)):
        without_effect = biases_without_effect(network)
        for name, param in network.params.items():
            if name in without_effect:
                # Driven by the rounding of a gradient that is 0, and in float64 that is far below Adam's eps, so it
                # has hardly left 0 on either side; where it stands is noise, and the outputs below do not see it.
                assert abs(param).max() < 1e-3 * rate, name
                assert abs(twin.params[name]).max() < 1e-3 * rate, name
            else:
                assert relative(param, twin.params[name]) <= 1e-7, name
        for name, buffer in network.buffers.items():
            if name.endswith("mean") and f"{int(name.split('.')[0]) - 1}.bias" in without_effect:
                np.testing.assert_allclose(buffer, twin.buffers[name].numpy(), rtol=0, atol=1e-9)
            else:
                assert relative(buffer, twin.buffers[name]) <= 1e-7, name
    assert not any(
        np.allclose(gan.generator.params[name], start[name], rtol=1e-4) for name in start if "weight" in name
    )
    z = gan.draw_z(BATCH, np.random.default_rng(2))
    assert relative(gan.decode(z), generator(torch.tensor(z), training=False)) <= 1e-7
