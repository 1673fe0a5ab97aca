"""What notebook 14 says of a conditional GAN, CoGAN and LAPGAN, over several seeds -> notebooks/evidence/14.json.

    python tests/scripts/evidence_14.py

About three minutes of one core. The notebook trains seed 0 of some of these the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets
from minigan.models import cogan, lapgan

SEEDS, STEPS = range(3), 200


def small_digits(split="train", count=20_000):
    """MNIST halved to 14x14 and framed to 16x16, and the labels."""
    images, labels = datasets.load("mnist", split)
    halves = datasets.to_float(images[:count]).reshape(-1, 14, 2, 14, 2, 1).mean(axis=(2, 4))
    framed = np.pad(halves, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-1)
    return framed, labels[:count].astype(np.int64)


def voter(digits, labels):
    """-> a function that says which digit pictures show: the vote of the five nearest of 4000 real ones."""
    known, votes = digits[:4000].reshape(4000, -1), labels[:4000]

    def recognise(x):
        x = x.reshape(len(x), -1)
        away = (known**2).sum(axis=1) - 2 * x @ known.T
        nearest = votes[np.argpartition(away, 5, axis=1)[:, :5]]
        return np.array([np.bincount(vote, minlength=10).argmax() for vote in nearest])

    return recognise


def train(gan, digits, labels, seed, steps=STEPS):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        chosen = rng.integers(len(digits), size=64)
        gan.train_step(digits[chosen], labels[chosen] if gan.conditions.count else None)
    return gan


def agreement(recognise, x1, x2):
    """How often both pictures of a pair are the same digit, and how often those of different pairs are."""
    one, two = recognise(x1), recognise(x2)
    chance = np.mean([(one == np.roll(two, k)).mean() for k in range(1, 100)])
    return {"same": round(float((one == two).mean()), 4), "chance": round(float(chance), 4)}


def cgan_run(recognise, digits, labels, seed):
    gan = build_gan("cgan", seed=seed, sample_shape=(16, 16, 1), conditioning="projection")
    wanted = np.arange(1000) % 10
    made = train(gan, digits, labels, seed, 150).sample(1000, np.random.default_rng(2), labels=wanted)
    return {"seed": seed, "as_asked": round(float((recognise(made) == wanted).mean()), 4)}


def cogan_run(recognise, digits, labels, seed):
    """The two generators with common weights, and two GANs of the same networks and settings without."""
    settings = {"sample_shape": (16, 16, 1), "lr": 5e-4, "beta1": 0.5, "ema_decay": 0.999}
    shared = train(build_gan("cogan", seed=seed, **settings), digits, labels, seed)
    z = shared.draw_z(1000, np.random.default_rng(3))
    pairs = shared.make(z)
    with_sharing = agreement(recognise, cogan.to_samples(pairs), cogan.partner(pairs))
    apart = [
        train(build_gan("dcgan", seed=seed + 100 * k, **settings), sign * digits, labels, seed + 100 * k)
        for k, sign in ((0, 1), (1, -1))
    ]
    without = agreement(recognise, apart[0].make(z), -apart[1].make(z))
    return {"seed": seed, "shared": with_sharing, "apart": without}


def lapgan_run(digits, labels, seed):
    """LAPGAN's share of waste and the energy of its finest detail, before and after."""
    gan = build_gan("lapgan", seed=seed, sample_shape=(16, 16, 1))
    measured = {"seed": seed}
    for when, steps in (("untrained", 0), ("trained", 3 * STEPS)):
        train(gan, digits, labels, seed, steps)
        made = gan.make(gan.draw_z(1000, np.random.default_rng(4)))
        (high, _), *_ = lapgan.split(made)[0]
        measured[f"waste_{when}"] = round(float(4 * (lapgan.down(high) ** 2).sum() / (high**2).sum()), 4)
        measured[f"energy_{when}"] = round(float((high**2).mean()), 5)
    return measured


def main():
    (digits, labels), (test, wanted) = small_digits(), small_digits("test", 2000)
    recognise = voter(digits, labels)
    (high, _), *_ = lapgan.split(lapgan.to_discriminator(test))[0]
    evidence = {
        "command": "python tests/scripts/evidence_14.py",
        "date": datetime.date.today().isoformat(),
        "real": {
            "right": round(float((recognise(test) == wanted).mean()), 4),
            "energy": round(float((high**2).mean()), 5),
        },
        "cgan": [cgan_run(recognise, digits, labels, seed) for seed in SEEDS],
        "cogan": [cogan_run(recognise, digits, labels, seed) for seed in SEEDS],
        "lapgan": [lapgan_run(digits, labels, seed) for seed in SEEDS],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "14.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
