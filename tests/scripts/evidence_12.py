"""What notebook 12 says of the DCGAN on digits, over several seeds -> notebooks/evidence/12.json.

    python tests/scripts/evidence_12.py

About two minutes of one idle core. The notebook trains seed 0 in the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, metrics
from minigan.gan.latent_space import interpolate
from minigan.kernels.parallel import threads
from minigan.metrics.judge import shipped_judge

SEEDS, LOOKS = range(3), (0, 50, 100, 200, 400)
WALKS, POINTS = 20, 12
SURE, EXAMPLES, LEANING = 0.9, 50, 300

digits = datasets.to_float(datasets.load("mnist")[0])
judge = shipped_judge()
reference = judge.predict(digits[:1000])[0]


def mesh(pictures):
    """How much the four phases of the pixels (row and column even or odd) differ, as a share of the pictures' spread:
    the spread of the mean picture's four phase means."""
    phases = [pictures[:, i::2, j::2].mean() for i in (0, 1) for j in (0, 1)]
    return float(np.std(phases) / pictures.std())


def distance(pictures):
    return float(metrics.frechet_distance(reference, judge.predict(pictures)[0]))


def seed_run(seed):
    gan = build_gan("dcgan", seed=seed, batch_size=32, lr=2e-3, ema_decay=0.99)
    rng, z = np.random.default_rng(2), gan.draw_z(500, np.random.default_rng(4))
    run, log = {"seed": seed, "looks": []}, []
    for until in LOOKS:
        while gan.step < until:
            log.append(gan.train_step(digits[rng.integers(len(digits), size=32)]))
        averaged, last = gan.decode(z), gan.generator.forward(z, training=False)
        look = {"step": until, "averaged": distance(averaged), "last": distance(last)}
        run["looks"].append(look | {"mesh": mesh(averaged)})
        print(look, flush=True)
    run |= {name: float(np.mean([step[name] for step in log[-100:]])) for name in ("d_real", "d_fake")}
    return run | walked(gan) | leaned(gan)


def walked(gan):
    z = gan.draw_z(2 * WALKS, np.random.default_rng(11))
    walks = np.concatenate([interpolate(z[2 * i], z[2 * i + 1], POINTS) for i in range(WALKS)])
    rows = gan.decode(walks).reshape(WALKS, POINTS, 28, 28)
    steps = np.sqrt(((rows[:, 1:] - rows[:, :-1]) ** 2).mean(axis=(2, 3)))
    ends = np.sqrt(((rows[:, 0] - rows[:, -1]) ** 2).mean(axis=(1, 2)))
    return {"step": float(steps.mean()), "largest_step": float(steps.max()), "ends": float(ends.mean())}


def leaned(gan):
    """For the three digits that come most often: how often each is seen in all samples, in samples whose noise leans
    towards the mean noise of that digit, and in samples whose noise leans towards a random direction."""
    z = gan.draw_z(2000, np.random.default_rng(5))
    p = judge.predict(gan.decode(z))[1]
    sure, seen = p.max(axis=1) > SURE, p.argmax(axis=1)
    found = np.bincount(seen[sure], minlength=10)
    rng, result = np.random.default_rng(7), []
    for digit in np.argsort(found)[::-1][:3]:
        mean = z[sure & (seen == digit)][:EXAMPLES].mean(axis=0)
        shares = []
        for direction in (mean, rng.standard_normal(mean.shape)):
            towards = 10 * direction / np.linalg.norm(direction)
            leaning = np.sqrt(0.5) * towards + np.sqrt(0.5) * gan.draw_z(LEANING, rng)
            answers = judge.predict(gan.decode(leaning.astype(np.float32)))[1].argmax(axis=1)
            shares.append(float((answers == digit).mean()))
        result.append(
            {
                "digit": int(digit),
                "examples": int(min(found[digit], EXAMPLES)),
                "length": float(np.linalg.norm(mean)),
                "usual": float((seen == digit).mean()),
                "leaning": shares[0],
                "random": shares[1],
            }
        )
    return {"leaning": result}


def main():
    threads.set_threads(1)
    test = datasets.to_float(datasets.load("mnist", "test")[0][:500])
    evidence = {
        "command": "python tests/scripts/evidence_12.py",
        "date": datetime.date.today().isoformat(),
        "real": {"distance": distance(test), "mesh": mesh(test)},
        "runs": [seed_run(seed) for seed in SEEDS],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "12.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
