"""What notebook 5 says of the checkerboard of three generators, over several seeds -> notebooks/evidence/05.json.

    python tests/scripts/evidence_05.py

About a minute and a half on two cores. The notebook trains seed 0 the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import datasets, layers, losses, optim

SEEDS, LOOKS, KINDS = range(3), (0, 25, 50, 100, 200), ("kernel 3", "kernel 4", "enlarge first")


def double(kind, inputs, outputs, rng):
    if kind == "kernel 3":
        return [layers.ConvTranspose2D(inputs, outputs, 3, stride=2, padding=1, output_padding=1, rng=rng)]
    if kind == "kernel 4":
        return [layers.ConvTranspose2D(inputs, outputs, 4, stride=2, padding=1, rng=rng)]
    return [layers.UpsampleNearest2D(2), layers.Conv2D(inputs, outputs, 3, padding=1, rng=rng)]


def generator(kind, rng):
    start = [layers.Dense(32, 49 * 32, rng=rng), layers.Reshape((7, 7, 32)), layers.BatchNorm(32), layers.ReLU()]
    middle = [*double(kind, 32, 16, rng), layers.BatchNorm(16), layers.ReLU()]
    return layers.Sequential([*start, *middle, *double(kind, 16, 1, rng), layers.Tanh()])


def discriminator(rng):
    first, second = layers.Conv2D(1, 16, 4, 2, 1, rng=rng), layers.Conv2D(16, 32, 4, 2, 1, rng=rng)
    steps = [first, layers.LeakyReLU(0.2), second, layers.LeakyReLU(0.2)]
    return layers.Sequential([*steps, layers.Flatten(), layers.Dense(49 * 32, 1, rng=rng)])


def checkerboard(pictures):
    inner = pictures[:, 4:-4, 4:-4, 0]
    means = [inner[:, a::2, b::2].mean(axis=(1, 2)) for a in (0, 1) for b in (0, 1)]
    return float(np.var(means, axis=0).mean() / inner.var())


def run(kind, seed, digits):
    rng = np.random.default_rng(seed)
    G, D = generator(kind, rng), discriminator(rng)
    g_adam, d_adam = (optim.Adam(network, lr=1e-3, beta1=0.5) for network in (G, D))
    loss, looks = losses.NonSaturating(), []
    z = np.random.default_rng(1).standard_normal((300, 32), dtype=np.float32)
    for step in range(LOOKS[-1] + 1):
        if step in LOOKS:
            looks.append(checkerboard(G.forward(z)))
        fake = G.forward(rng.standard_normal((32, 32), dtype=np.float32))
        real = digits[rng.integers(len(digits), size=32)]
        r, f = np.split(D.forward(np.concatenate([real, fake])), 2)
        _, grad_r, grad_f = loss.discriminator(r, f)
        D.zero_grad()
        D.backward(np.concatenate([grad_r, grad_f]))
        d_adam.step()
        _, grad_f = loss.generator(D.forward(fake))
        G.zero_grad()
        G.backward(D.backward(grad_f, need_param_grads=False))
        g_adam.step()
    return looks


def main():
    digits = datasets.to_float(datasets.load("mnist")[0])
    evidence = {
        "command": "python tests/scripts/evidence_05.py",
        "date": datetime.date.today().isoformat(),
        "steps": LOOKS,
        "real": checkerboard(digits[:2000]),
        "runs": [{"seed": seed, **{kind: run(kind, seed, digits) for kind in KINDS}} for seed in SEEDS],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "05.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
