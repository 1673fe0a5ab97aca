"""What notebook 10 says of collapse and its cures, over three seeds -> notebooks/evidence/10.json.

    python tests/scripts/evidence_10.py

About five minutes of one core. The notebook runs the beginning of two of these trainings the same way, and the first of
the games in which one player at a time moves.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, metrics

FAST_G = {"lr": 2e-3, "d_lr": 2e-4}
CASES = {
    "G ten times as fast": FAST_G,
    "noise 0.2": FAST_G | {"instance_noise": 0.2},
    "feature matching": FAST_G | {"feature_matching": 1.0},
    "five moves of D": FAST_G | {"n_critic": 5},
    "R1": FAST_G | {"r1": 1.0},
    "D as fast as G": {"lr": 1e-3, "d_lr": 1e-3},
    "D ten times as fast": {"lr": 2e-4, "d_lr": 2e-3},
}
CONTROLS = {  # in the last two of CASES G is slower, too: which of the two was it?
    "D as fast, G as in the collapse": {"lr": 2e-3, "d_lr": 2e-3},
    "both ten times slower than in the collapse": {"lr": 2e-4, "d_lr": 2e-5},
    "both slow": {"lr": 2e-4, "d_lr": 2e-4},
}
STEPS, LONG, LOOK = 2500, 12_500, 500  # LONG for the slowest of the controls


def run(settings, seed, steps=STEPS):
    """-> at each look the modes covered and the share of good samples, by G as it is and by the averaged G."""
    ring, (centres, deviation) = datasets.load("ring")[0], datasets.toy_modes("ring")
    gan = build_gan("toy", seed=seed, batch_size=128, ema_decay=0.998, **settings)
    rng, looks = np.random.default_rng([seed, 2]), []
    for step in range(1, steps + 1):
        gan.train_step(ring[rng.integers(len(ring), size=128)])
        if step % LOOK == 0:
            z = gan.draw_z(2000, np.random.default_rng(1))
            made = {"last": gan.generator.forward(z), "averaged": gan.decode(z)}
            counted = {name: metrics.modes(x, centres, deviation) for name, x in made.items()}
            looks.append({"step": step} | {name: [int(c), round(float(g), 3)] for name, (c, g) in counted.items()})
    return {"seed": seed, "looks": looks}, np.round(made["averaged"][:300].astype(float), 2).tolist()


def alone(seed, times=100):
    """-> the spread of G's samples at the start and after each part of the game in which only D, G, D, G moves."""
    ring, gan = datasets.load("ring")[0], build_gan("toy", seed=seed, batch_size=128)
    rng, spread = np.random.default_rng([seed, 2]), []
    for player in (None, *"DGDG"):
        for _ in range(times if player else 0):
            fake = gan.generate(gan.draw_z(128, rng))
            if player == "D":
                gan.d_step(ring[rng.integers(len(ring), size=128)], fake)
            else:
                gan.g_step(fake)
        spread.append(round(float(gan.sample(1000, np.random.default_rng(1)).std(axis=0).mean()), 3))
    return {"seed": seed, "spread": spread}


def main():
    evidence = {"command": "python tests/scripts/evidence_10.py", "date": datetime.date.today().isoformat()}
    evidence |= {"runs": {}, "samples": {}}
    for name, settings in CASES.items():
        runs, samples = zip(*(run(settings, seed) for seed in range(3)), strict=True)
        evidence["runs"][name], evidence["samples"][name] = list(runs), samples[0]
        print(name, [one["looks"] for one in runs], flush=True)
    evidence["controls"] = {
        name: [run(settings, seed, LONG if "slower" in name else STEPS)[0] for seed in range(3)]
        for name, settings in CONTROLS.items()
    }
    evidence["alone"] = [alone(seed) for seed in range(5)]
    text = json.dumps(evidence, separators=(",", ":"))
    (ROOT / "notebooks" / "evidence" / "10.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
