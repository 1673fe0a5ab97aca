"""What notebook 1 says of its two trainings, over several seeds -> notebooks/evidence/01.json.

    python tests/scripts/evidence_01.py

About a minute and a half on two cores. The notebook trains seed 0 the same way.
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

RING_SEEDS, DIGIT_SEEDS = range(5), range(3)


def ring_run(seed):
    ring, (centres, deviation) = datasets.load("ring")[0], datasets.toy_modes("ring")
    gan, rng = build_gan("toy", seed=seed, batch_size=256), np.random.default_rng(2)
    log = [gan.train_step(ring[rng.integers(len(ring), size=256)]) for _ in range(1500)]
    covered, good = metrics.modes(gan.sample(2000, np.random.default_rng(1)), centres, deviation)
    means = {f"{name}_last_200": float(np.mean([step[name] for step in log[-200:]])) for name in log[0]}
    first = float(np.mean([step["g_loss"] for step in log[:100]]))
    return {"seed": seed, "covered": int(covered), "good": float(good), "g_loss_first_100": first, **means}


def digits_run(seed):
    images, labels = datasets.load("mnist")
    digits, judge, asked = datasets.to_float(images), shipped_judge(), np.repeat(np.arange(10), 100)
    gan = build_gan("mlp", seed=seed, batch_size=64, lr=1e-3, condition="labels", ema_decay=0.99)
    features, _ = judge.predict(digits[:1000])
    measured = {"seed": seed}
    for when in ("before", "after"):
        made = gan.sample(1000, np.random.default_rng(1), labels=asked)
        made_features, probabilities = judge.predict(made)
        measured[f"distance_{when}"] = float(metrics.frechet_distance(features, made_features))
        measured[f"as_asked_{when}"] = float((probabilities.argmax(axis=1) == asked).mean())
        rng = np.random.default_rng(3)
        while when == "before" and gan.step < 1000:
            chosen = rng.integers(len(digits), size=64)
            gan.train_step(digits[chosen], labels[chosen])
    return measured


def main():
    evidence = {
        "command": "python tests/scripts/evidence_01.py",
        "date": datetime.date.today().isoformat(),
        "ring": [ring_run(seed) for seed in RING_SEEDS],
        "digits": [digits_run(seed) for seed in DIGIT_SEEDS],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "01.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
