"""What notebook 7 says of five optimizers on a small network, and of beta1 in a GAN, over several seeds ->
notebooks/evidence/07.json.

    python tests/scripts/evidence_07.py

About two minutes on two cores. The notebook runs seed 0 the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, layers, metrics, optim

SEEDS = range(5)
RATES = [round(float(10.0**k), 5) for k in np.arange(-3, 1.01, 0.5)]
KINDS = {name: getattr(optim, name) for name in ("SGD", "Momentum", "Adagrad", "RMSprop", "Adam")}
BETAS, STEPS = (0.0, 0.5, 0.9), 1500


def fit(kind, lr, seed, steps=150):
    """The losses while a small network learns what another one of its size does."""
    rng, values = np.random.default_rng(seed), []
    pupil, teacher = (
        layers.Sequential([layers.Dense(5, 8, rng=rng), layers.Tanh(), layers.Dense(8, 3, rng=rng)]) for _ in range(2)
    )
    x = np.array([1, 1, 1, 0.1, 0.01], np.float32) * rng.standard_normal((64, 5), dtype=np.float32)
    wanted, optimizer = teacher.forward(x), kind(pupil, lr=lr)
    for _ in range(steps + 1):
        difference = pupil.forward(x) - wanted
        values.append(float((difference.astype(np.float64) ** 2).sum() / (2 * len(x))))
        pupil.zero_grad()
        pupil.backward(difference / np.float32(len(x)))
        optimizer.step()
    return values


def last(kind, lr, seed):
    with np.errstate(all="ignore"):
        value = fit(kind, lr, seed)[-1]
    return float(f"{value:.3g}") if np.isfinite(value) else None


def ring_run(beta1, seed):
    """A GAN on the ring: clouds that have a sample, and the share of samples near a centre, each a mean over the last
    five looks of 100 steps."""
    ring, (centres, deviation) = datasets.load("ring")[0], datasets.toy_modes("ring")
    gan, rng, looks = build_gan("toy", seed=seed, batch_size=128, beta1=beta1), np.random.default_rng(2), []
    for step in range(1, STEPS + 1):
        gan.train_step(ring[rng.integers(len(ring), size=128)])
        if step > STEPS - 500 and step % 100 == 0:
            looks.append(metrics.modes(gan.sample(1000, np.random.default_rng(1)), centres, deviation))
    covered, good = np.mean(looks, axis=0)
    return {"seed": seed, "covered": float(covered), "good": float(good)}


def main():
    evidence = {
        "command": "python tests/scripts/evidence_07.py",
        "date": datetime.date.today().isoformat(),
        "rates": RATES,
        "start": [fit(optim.SGD, 0.01, seed, steps=0)[0] for seed in SEEDS],
        "last": {name: [[last(kind, lr, s) for s in SEEDS] for lr in RATES] for name, kind in KINDS.items()},
        "ring": {str(beta1): [ring_run(beta1, seed) for seed in SEEDS] for beta1 in BETAS},
    }
    text = json.dumps(evidence)
    (ROOT / "notebooks" / "evidence" / "07.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
