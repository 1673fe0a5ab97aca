"""The reference for `python -m minigan.bench`: the presets' networks and training step in PyTorch, as fast as it does
them. A script that the command starts where PyTorch happens to be installed, not a test; see minigan/bench/process.py
for what it reads and answers.

The request: {"preset", "batch", "mode", "threads"} and, unless the defaults will do, "latent_dim", "sample_shape",
"lr", "beta1", "variant" and "trial_steps". mode: contiguous, channels_last or compile. variant: {"optimizer": fused or
foreach, "joined": whether D judges real and fake in one batch}; without one, all that the mode allows are tried and
"ready" says which was the fastest.
"""

import statistics
import sys
from itertools import product
from pathlib import Path

import torch
from torch import nn

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from minigan.bench import process

MODES = ("contiguous", "channels_last", "compile")
OPTIMIZERS = ("fused", "foreach")
ROUND = 0.2  # seconds at least of each variant in a round of the trial


def leaky():
    return nn.LeakyReLU(0.2, inplace=True)


def mlp(latent_dim, h, w, c):
    generator = nn.Sequential(
        nn.Linear(latent_dim, 256),
        leaky(),
        nn.Linear(256, 512),
        leaky(),
        nn.Linear(512, h * w * c),
        nn.Tanh(),
        nn.Unflatten(1, (c, h, w)),
    )
    discriminator = nn.Sequential(
        nn.Flatten(), nn.Linear(h * w * c, 512), leaky(), nn.Linear(512, 256), leaky(), nn.Linear(256, 1)
    )
    return generator, discriminator


def listing(latent_dim, h, w, c):
    generator = nn.Sequential(
        nn.Linear(latent_dim, 128), leaky(), nn.Linear(128, h * w * c), nn.Tanh(), nn.Unflatten(1, (c, h, w))
    )
    layers, last = [], c
    for channels in (32, 64, 128):
        layers += [nn.Conv2d(last, channels, 5, stride=2, padding=2), leaky()]
        last, h, w = channels, (h + 1) // 2, (w + 1) // 2
    return generator, nn.Sequential(*layers, nn.Flatten(), nn.Linear(h * w * last, 1))


def dcgan(latent_dim, h, w, c):
    h, w = h // 4, w // 4
    generator = nn.Sequential(
        nn.Linear(latent_dim, h * w * 128),
        nn.Unflatten(1, (128, h, w)),
        nn.BatchNorm2d(128),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(128, 64, 4, stride=2, padding=1),
        nn.BatchNorm2d(64),
        nn.ReLU(inplace=True),
        nn.ConvTranspose2d(64, c, 4, stride=2, padding=1),
        nn.Tanh(),
    )
    discriminator = nn.Sequential(
        nn.Conv2d(c, 64, 4, stride=2, padding=1),
        leaky(),
        nn.Conv2d(64, 128, 4, stride=2, padding=1),
        nn.BatchNorm2d(128),
        leaky(),
        nn.Flatten(),
        nn.Linear(h * w * 128, 1),
    )
    return generator, discriminator


NETWORKS = {"mlp": mlp, "listing": listing, "dcgan": dcgan}


def holds(network, kinds):
    return any(isinstance(module, kinds) for module in network.modules())


def draw_weights(network, std):
    """Weights from N(0, std²), or Glorot's uniform without std; biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Linear | nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0, std) if std else nn.init.xavier_uniform_(module.weight)
            nn.init.zeros_(module.bias)


class Reference:
    """One GAN, ready for steps."""

    def __init__(self, preset, batch, mode, latent_dim=100, sample_shape=(28, 28, 1), lr=2e-4, beta1=0.5):
        if preset not in NETWORKS:
            raise ValueError(f"there is no reference for the preset {preset}, only for {', '.join(NETWORKS)}")
        if mode not in MODES:
            raise ValueError(f"there is no mode {mode!r}, only {', '.join(MODES)}")
        torch.manual_seed(0)
        h, w, c = sample_shape
        self.generator, self.discriminator = NETWORKS[preset](latent_dim, h, w, c)
        for network in (self.generator, self.discriminator):
            draw_weights(network, 0.02 if preset == "dcgan" else None)
        self.real = torch.tanh(torch.randn(batch, c, h, w))
        self.z_shape, self.ones, self.zeros = (batch, latent_dim), torch.ones(batch, 1), torch.zeros(batch, 1)
        self.adam = {"lr": lr, "betas": (beta1, 0.999), "eps": 1e-8}
        self.may_join = not holds(self.discriminator, nn.BatchNorm2d) and mode != "compile"
        if mode == "channels_last":
            if not holds(self.discriminator, nn.Conv2d):
                raise ValueError("no convolutions, so the layout makes no difference")
            self.real = self.real.contiguous(memory_format=torch.channels_last)
            for network in (self.generator, self.discriminator):
                network.to(memory_format=torch.channels_last)
        if mode == "compile":
            self.generator = torch.compile(self.generator, dynamic=False)
            self.discriminator = torch.compile(self.discriminator, dynamic=False)

    def variants(self):
        """What there is to choose from. In one batch only where no batch norm would mix real and fake."""
        joined = (False, True) if self.may_join else (False,)
        return [{"optimizer": name, "joined": join} for name, join in product(OPTIMIZERS, joined)]

    def use(self, optimizer, joined):
        """Settle on a variant, with new optimizers."""
        self.joined, options = joined, self.adam | {optimizer: True}
        self.d_adam = torch.optim.Adam(self.discriminator.parameters(), **options)
        self.g_adam = torch.optim.Adam(self.generator.parameters(), **options)

    def step(self):
        """One training step -> (d_loss, g_loss); the order of passes is that of minigan.gan.GAN.train_step."""
        loss = nn.functional.binary_cross_entropy_with_logits
        fake = self.generator(torch.randn(self.z_shape))
        if self.joined:
            real_logits, fake_logits = self.discriminator(torch.cat([self.real, fake.detach()])).chunk(2)
        else:
            real_logits, fake_logits = self.discriminator(self.real), self.discriminator(fake.detach())
        d_loss = loss(real_logits, self.ones) + loss(fake_logits, self.zeros)
        self.d_adam.zero_grad()
        d_loss.backward()
        self.d_adam.step()

        self.discriminator.requires_grad_(False)  # the gradient goes through D, but not into its parameters
        g_loss = loss(self.discriminator(fake), self.ones)
        self.g_adam.zero_grad()
        g_loss.backward()
        self.g_adam.step()
        self.discriminator.requires_grad_(True)
        return d_loss.item(), g_loss.item()


def fastest(reference, count):
    """The variant with the smallest median of two rounds of `count` steps or more."""
    seconds = {}
    for _ in range(2):
        for i, variant in enumerate(reference.variants()):
            try:
                reference.use(**variant)
            except RuntimeError:  # an older PyTorch has no fused Adam for CPUs
                continue
            few = statistics.median(process.timed(reference.step)(count)["seconds"])
            steps = max(count, int(ROUND / few))  # quick steps are many, or chance would choose
            seconds.setdefault(i, []).extend(process.timed(reference.step)(steps)["seconds"])
    return reference.variants()[min(seconds, key=lambda i: statistics.median(seconds[i]))]


def build(request):
    torch.set_num_threads(request.pop("threads"))
    variant, count = request.pop("variant", None), request.pop("trial_steps", 5)
    reference = Reference(**request)
    variant = variant or fastest(reference, count)
    reference.use(**variant)
    return {"step": process.timed(reference.step)}, {"variant": variant, "version": torch.__version__}


if __name__ == "__main__":
    process.serve(build)
