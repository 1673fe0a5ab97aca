"""What notebook 4 says of discriminators with and without convolutions, over seeds -> notebooks/evidence/04.json.

    python tests/scripts/evidence_04.py

About a minute on two cores. The shared grain: what is the same in 2000 fakes of a pixel minus the mean
around it. The notebook trains seed 0 the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, layers, losses, optim

SEEDS, MOVES = range(3), (0, 1, 2, 4)


def dense_D(rng):
    return [layers.Flatten(), layers.Dense(784, 64, rng=rng), layers.LeakyReLU(0.2), layers.Dense(64, 1, rng=rng)]


def conv_D(rng):
    first, second = layers.Conv2D(1, 16, 4, 2, 1, rng=rng), layers.Conv2D(16, 32, 4, 2, 1, rng=rng)
    steps = [first, layers.LeakyReLU(0.2), second, layers.LeakyReLU(0.2), layers.Flatten()]
    return [*steps, layers.Dense(7 * 7 * 32, 1, rng=rng)]


def trained(D, seed, digits, fakes):
    loss, adam, rng = losses.NonSaturating(), optim.Adam(D, lr=1e-3), np.random.default_rng(seed)
    for _ in range(200):
        real, fake = digits[rng.integers(5000, size=64)], fakes[rng.integers(5000, size=64)]
        _, grad_r, grad_f = loss.discriminator(*np.split(D.forward(np.concatenate([real, fake])), 2))
        D.zero_grad()
        D.backward(np.concatenate([grad_r, grad_f]))
        adam.step()
    return D


def discriminators(seed, digits, test_digits):
    gan, rng = build_gan("mlp", seed=seed, batch_size=64, lr=1e-3, ema_decay=0.99), np.random.default_rng(3)
    for _ in range(300):
        gan.train_step(digits[rng.integers(len(digits), size=64)])
    fakes = gan.sample(6000, np.random.default_rng(1)).astype(np.float32)
    spot = np.float32([[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]).reshape(3, 3, 1, 1) / 9
    shared = layers.conv2d_forward(fakes[:2000] + 1, spot, 0, (1, 1), (1, 1))[0].mean(axis=0)
    trial = {
        "as they are": fakes[5000:],
        "moved by one pixel": np.roll(fakes[5000:], 1, axis=2),
        "only the shared grain moved": fakes[5000:] - shared + np.roll(shared, 1, axis=1),
    }
    run = {"seed": seed, "taken for real": {name: [] for name in trial}}  # by dense, by convolutions
    for name, build in (("dense", dense_D), ("convolutions", conv_D)):
        D = trained(layers.Sequential(build(np.random.default_rng(seed))), 10 + seed, digits, fakes)
        shares = []
        for k in MOVES:
            real, fake = np.roll(test_digits[:1000], k, axis=2), np.roll(fakes[5000:], k, axis=2)
            shares.append(float(((D.forward(real) > 0).mean() + (D.forward(fake) < 0).mean()) / 2))
        run[name] = shares
        for what, pictures in trial.items():
            run["taken for real"][what].append(float((D.forward(pictures) > 0).mean()))
    return run


def main():
    digits, test_digits = (datasets.to_float(datasets.load("mnist", part)[0]) for part in ("train", "test"))
    evidence = {
        "command": "python tests/scripts/evidence_04.py",
        "date": datetime.date.today().isoformat(),
        "moved by": MOVES,
        "discriminators": [discriminators(seed, digits, test_digits) for seed in SEEDS],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "04.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
