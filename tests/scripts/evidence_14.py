"""What notebook 14 says of CoGAN and LAPGAN, over several seeds -> notebooks/evidence/14.json.

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
from minigan.metrics.judge import shipped_judge
from minigan.models import cogan, lapgan

SEEDS, STEPS = range(3), 200


def small_digits(split="train", count=20_000):
    """MNIST halved to 14x14 and framed to 16x16, and the labels."""
    images, labels = datasets.load("mnist", split)
    halves = datasets.to_float(images[:count]).reshape(-1, 14, 2, 14, 2, 1).mean(axis=(2, 4))
    framed = np.pad(halves, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=-1)
    return framed, labels[:count].astype(np.int64)


def recognise(judge, x):
    """The judge's answers to 16x16 pictures, the frame cut off and each pixel doubled: (N, 10) probabilities."""
    return judge.predict(np.ascontiguousarray(x[:, 1:-1, 1:-1].repeat(2, axis=1).repeat(2, axis=2)))[1]


def train(gan, digits, seed, steps=STEPS):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        gan.train_step(digits[rng.integers(len(digits), size=64)])
    return gan


def agreement(judge, x1, x2):
    """How often both pictures of a pair are the same digit, and how often those of different pairs are."""
    one, two = (recognise(judge, x).argmax(axis=1) for x in (x1, x2))
    chance = np.mean([(one == np.roll(two, k)).mean() for k in range(1, 100)])
    return {"same": round(float((one == two).mean()), 4), "chance": round(float(chance), 4)}


def cogan_run(judge, digits, seed):
    """The two generators with common weights, and two GANs of the same networks and settings without."""
    settings = {"sample_shape": (16, 16, 1), "lr": 5e-4, "beta1": 0.5, "ema_decay": 0.999}
    shared = train(build_gan("cogan", seed=seed, **settings), digits, seed)
    z = shared.draw_z(1000, np.random.default_rng(3))
    pairs = shared.make(z)
    with_sharing = agreement(judge, cogan.to_samples(pairs), cogan.partner(pairs))
    apart = [
        train(build_gan("dcgan", seed=seed + 100 * k, **settings), sign * digits, seed + 100 * k)
        for k, sign in ((0, 1), (1, -1))
    ]
    without = agreement(judge, apart[0].make(z), -apart[1].make(z))
    return {"seed": seed, "shared": with_sharing, "apart": without}


def lapgan_run(judge, digits, seed):
    """LAPGAN's share of waste before and after, and what the judge makes of its samples."""
    gan = build_gan("lapgan", seed=seed, sample_shape=(16, 16, 1))
    measured = {"seed": seed}
    for when, steps in (("untrained", 0), ("trained", 3 * STEPS)):
        train(gan, digits, seed, steps)
        made = gan.make(gan.draw_z(1000, np.random.default_rng(4)))
        (high, _), *_ = lapgan.split(made)[0]
        measured[f"waste_{when}"] = round(float(4 * (lapgan.down(high) ** 2).sum() / (high**2).sum()), 4)
        measured[f"energy_{when}"] = round(float((high**2).mean()), 5)
        sure = recognise(judge, lapgan.to_samples(made)).max(axis=1) > 0.95
        measured[f"sure_{when}"] = round(float(sure.mean()), 4)
    return measured


def main():
    (digits, _), (test, labels), judge = small_digits(), small_digits("test", 2000), shipped_judge()
    on_real = recognise(judge, test)
    (high, _), *_ = lapgan.split(lapgan.to_discriminator(test))[0]
    evidence = {
        "command": "python tests/scripts/evidence_14.py",
        "date": datetime.date.today().isoformat(),
        "real": {
            "right": round(float((on_real.argmax(axis=1) == labels).mean()), 4),
            "sure": round(float((on_real.max(axis=1) > 0.95).mean()), 4),
            "energy": round(float((high**2).mean()), 5),
        },
        "cogan": [cogan_run(judge, digits, seed) for seed in SEEDS],
        "lapgan": [lapgan_run(judge, digits, seed) for seed in SEEDS],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "14.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
