"""What notebook 16 says of its suspects and of learning by heart, over several draws -> notebooks/evidence/16.json.

    python tests/scripts/evidence_16.py

About two minutes on two cores. The notebook itself uses draw 0 and seed 0.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, metrics
from minigan.metrics.judge import shipped_judge

DRAWS, SEEDS, SIZES, FEW, STEPS = range(5), range(3), (200, 350, 600, 1000, 2000), 50, 600


def blurred(pictures):
    frame = np.pad(pictures, ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
    shifted = [frame[:, i : i + 28, j : j + 28] for i in range(3) for j in range(3)]
    return np.mean(shifted, axis=0, dtype=np.float32)


def suspects(draw, digits, test, test_labels):
    honest, seen = test[1000 * draw : 1000 * draw + 1000], digits[5000 + 1000 * draw : 6000 + 1000 * draw]
    ones = np.random.default_rng(draw).permutation(np.flatnonzero(test_labels == 1))[:1000]
    return {
        "honest": honest,
        "blurred": blurred(honest),
        "only ones": test[ones],
        "twenty": np.tile(honest[:20], (50, 1, 1, 1)),
        "copier": seen,
        "slider": np.roll(seen, (1, 1), axis=(1, 2)),
    }


def measured(real, pictures, judge):
    fake, probabilities = judge.predict(pictures)
    kernel, error = metrics.kernel_distance(real, fake)
    precision, recall = metrics.precision_recall(real, fake)
    density, coverage = metrics.density_coverage(real, fake)
    row = {"Fréchet": metrics.frechet_distance(real, fake), "kernel": 1000 * kernel, "kernel_error": 1000 * error}
    row |= {"score": metrics.inception_score(probabilities), "precision": precision, "recall": recall}
    return {name: round(float(value), 4) for name, value in (row | {"density": density, "coverage": coverage}).items()}


def by_size(a, b, n):
    starts = range(0, len(a) - n + 1, n)
    pairs = [(a[i : i + n], b[i : i + n]) for i in starts]
    kernels = [metrics.kernel_distance(x, y) for x, y in pairs]
    return {
        "n": n,
        "frechet": [round(metrics.frechet_distance(x, y), 4) for x, y in pairs],
        "kernel": [round(1000 * k, 4) for k, _ in kernels],
        "kernel_error": [round(1000 * e, 4) for _, e in kernels],
    }


def learned(seed, count, digits, test):
    gan, rng = build_gan("mlp", seed=seed, batch_size=64, lr=1e-3, ema_decay=0.99), np.random.default_rng(3)
    for _ in range(STEPS):
        gan.train_step(digits[rng.integers(count, size=64)])
    samples = gan.sample(1000, np.random.default_rng(1))
    (_, to_seen), (_, to_new) = (metrics.nearest_neighbours(samples, a[:FEW]) for a in (digits, test))
    return {
        "seed": seed,
        "pictures": count,
        "nearer_to_seen": float((to_seen < to_new).mean()),
        "median_to_seen": float(np.median(to_seen)),
        "median_to_new": float(np.median(to_new)),
    }


def main():
    digits = datasets.to_float(datasets.load("mnist")[0])
    test, test_labels = datasets.load("mnist", "test")
    test, judge = datasets.to_float(test), shipped_judge()
    draws = []
    for draw in DRAWS:
        real, _ = judge.predict(digits[30_000 + 1000 * draw : 31_000 + 1000 * draw] if draw else digits[:1000])
        sets = suspects(draw, digits, test, test_labels)
        draws.append({name: measured(real, pictures, judge) for name, pictures in sets.items()})
    features = [judge.predict(part)[0] for part in (digits[10_000:14_000], digits[20_000:24_000], test[:4000])]
    honest = test[5000:6000]
    (_, to_seen), (_, to_new) = (metrics.nearest_neighbours(honest, a[:FEW]) for a in (digits, test))
    evidence = {
        "command": "python tests/scripts/evidence_16.py",
        "date": datetime.date.today().isoformat(),
        "judge": judge.name,
        "draws": draws,
        "training_against_training": [by_size(features[0], features[1], n) for n in SIZES],
        "training_against_test": [by_size(features[0], features[2], n) for n in SIZES],
        "by_heart": [learned(seed, n, digits, test) for seed in SEEDS for n in (FEW, len(digits))],
        "test_digits_nearer_to_seen": float((to_seen < to_new).mean()),
    }
    text = json.dumps(evidence, indent=1, ensure_ascii=False)
    (ROOT / "notebooks" / "evidence" / "16.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
