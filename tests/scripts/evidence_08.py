"""What notebook 8 says of its runs, over five seeds -> notebooks/evidence/08.json.

    python tests/scripts/evidence_08.py

About a minute of one core. The notebook runs seed 0 the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import layers, losses, optim

SEEDS = range(5)
LINE = np.linspace(-4, 4, 801)


def normal(mean, deviation):
    return np.exp(-(((LINE - mean) / deviation) ** 2) / 2) / (deviation * np.sqrt(2 * np.pi))


def network(rng):
    sizes, stack = (1, 64, 64, 1), []
    for k in range(3):
        stack += [layers.Dense(sizes[k], sizes[k + 1], rng=rng), layers.LeakyReLU(0.2)]
    return layers.Sequential(stack[:-1])


def move_d(D, loss, optimizer, real, fake):
    r, f = np.split(D.forward(np.concatenate([real, fake])), 2)
    value, grad_r, grad_f = loss.discriminator(r, f)
    D.zero_grad()
    D.backward(np.concatenate([grad_r, grad_f]), need_input_grad=False)
    optimizer.step()
    return value


def learn(seed, steps=1000, n=1024):
    """D alone, against a fixed q: how far it is from D* where there are samples, and where its loss ends."""
    rng = np.random.default_rng(seed)
    D, loss, d_losses = network(rng), losses.NonSaturating(), []
    optimizer = optim.Adam(D, lr=3e-3)
    for step in range(steps):
        optimizer.lr = 3e-3 * (1 - step / steps)
        real, fake = (rng.normal(*shape, (n, 1)).astype(np.float32) for shape in ((-0.5, 1.0), (1.0, 0.9)))
        d_losses.append(move_d(D, loss, optimizer, real, fake))
    p, q = normal(-0.5, 1.0), normal(1.0, 0.9)
    learned = layers.sigmoid(D.forward(LINE[:, None].astype(np.float32)))[:, 0]
    off = abs(learned - p / (p + q))[p + q > 0.05].max()
    return {"seed": seed, "off": float(off), "d_loss": float(np.mean(d_losses[-100:]))}


def play(name, optimizer_of_g, seed, steps=400, ahead=200, n=256):
    """D is 200 steps ahead, then both move in turns -> the mean of G's samples at the end, the first size of ∂L/∂b."""
    rng = np.random.default_rng(seed)
    D, G = network(rng), layers.Sequential([layers.Dense(1, 1, rng=rng)])
    G.params["0.weight"][:], G.params["0.bias"][:] = 0.5, 4.0
    loss, means, sizes = losses.LOSSES[name](), [], []
    d_optimizer, g_optimizer = optim.Adam(D, lr=1e-3), getattr(optim, optimizer_of_g)(G, lr=0.03)
    for step in range(-ahead, steps):
        real = rng.normal(0, 0.5, (n, 1)).astype(np.float32)
        fake = G.forward(rng.standard_normal((n, 1), dtype=np.float32))
        move_d(D, loss, d_optimizer, real, fake)
        if step >= 0:
            _, grad_f = loss.generator(D.forward(fake))
            G.zero_grad()
            G.backward(D.backward(grad_f, need_param_grads=False))
            g_optimizer.step()
            means.append(float(fake.mean()))
            sizes.append(abs(float(G.grads["0.bias"][0])))
    return {
        "seed": seed,
        "mean_last_50": float(np.mean(means[-50:])),
        "nearest_to_0": float(np.min(np.abs(means))),
        "first_size": sizes[0],
    }


def main():
    cases = [("minimax", "SGD"), ("non_saturating", "SGD"), ("least_squares", "SGD"), ("hinge", "SGD")]
    cases += [("minimax", "Adam")]
    evidence = {
        "command": "python tests/scripts/evidence_08.py",
        "date": datetime.date.today().isoformat(),
        "learn": [learn(seed) for seed in SEEDS],
        "play": {f"{name}, {kind}": [play(name, kind, seed) for seed in SEEDS] for name, kind in cases},
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "08.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
