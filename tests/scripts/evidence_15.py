"""What notebook 15 says of depth and of growing, over several seeds -> notebooks/evidence/15.json.

    python tests/scripts/evidence_15.py

About three minutes of one core. The notebook trains seed 0 of some of these the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, layers, losses, metrics, optim

SEEDS = range(3)
WIDTH, STEPS = 16, 400
GAINS = {"Glorot": 1.0, "He": np.sqrt(2)}
NETWORKS = [("plain", "Glorot", 30), ("plain", "He", 30), ("residual", "Glorot", 30)]
NETWORKS += [("plain", "He", 100), ("residual", "small", 100)]
GROW_STEPS, BATCH = 60, 64


def spirals(n, rng):
    """Points (n, 2), and on which of the two spirals each lies (n,)."""
    label, t = rng.integers(2, size=n), np.sqrt(rng.random(n))
    angle = 3 * np.pi * t + np.pi * label
    points = t[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return (points + 0.02 * rng.standard_normal((n, 2))).astype(np.float32), label


def deep_network(kind, gain, depth, rng):
    gain = 1 / np.sqrt(depth) if gain == "small" else GAINS[gain]
    blocks = []
    for _ in range(depth):
        dense = layers.Dense(WIDTH, WIDTH, rng=rng)
        dense.params["weight"] *= np.float32(gain)
        block = layers.Sequential([layers.ReLU(), dense])
        blocks.append(layers.Residual(block) if kind == "residual" else block)
    first, last = layers.Dense(2, WIDTH, rng=rng), layers.Dense(WIDTH, 2, rng=rng)
    return layers.Sequential([first, *blocks, layers.ReLU(), last])


def learn(kind, gain, depth, seed):
    rng = np.random.default_rng(seed)
    network, curve = deep_network(kind, gain, depth, rng), []
    optimizer = optim.Adam(network, lr=1e-3)
    for _ in range(STEPS):
        points, label = spirals(256, rng)
        value, grad = losses.softmax_cross_entropy(network.forward(points), label)
        network.zero_grad()
        network.backward(grad, need_input_grad=False)
        optimizer.step()
        curve.append(value)
    return float(np.mean(curve[-50:]))


def small_digits(split):
    """MNIST at 8x8 pixels: padded to 32x32, then the mean of each 4x4 block."""
    images = datasets.to_float(datasets.load("mnist", split)[0][:20_000])
    padded = np.pad(images, ((0, 0), (2, 2), (2, 2), (0, 0)), constant_values=-1)
    return padded.reshape(-1, 8, 4, 8, 4, 1).mean(axis=(2, 4))


def work(gan):
    """Multiply-adds of a step, in millions a sample: G forward and back is 3 passes, D 6 on both halves and 2 for G."""
    total = 0
    for network, passes in ((gan.generator, 3), (gan.discriminator, 8)):
        stage = network.stage
        for name, weight in network.params.items():
            part = name.split(".")[0]
            if not name.endswith("weight") or int(part[-1] if part[-1].isdigit() else 0) > stage:
                continue
            if part.startswith("edge") and int(part[-1]) < stage - (network.fade < 1):
                continue
            side = 2 * 2 ** int(part[-1]) if part[-1].isdigit() else 2
            total += passes * weight.size * (side * side if weight.ndim == 4 else 1)
    return total / 1e6


def growing_run(seed, grow, budget, digits, test, look_every=30):
    """Train until `budget` is used up -> looks, each (steps, work so far, distance)."""
    gan = build_gan(
        "progan",
        seed=seed,
        sample_shape=(8, 8, 1),
        batch_size=BATCH,
        ema_decay=0.99,
        grow_steps=GROW_STEPS if grow else 1,
    )
    rng, used, looks = np.random.default_rng(seed), 0.0, []
    if not grow:
        gan.step = 4  # of its four growing lengths, each one step long
        gan._grow()
    while used < budget:
        gan.train_step(digits[rng.integers(len(digits), size=BATCH)])
        used += work(gan)
        if len(looks) < used // (budget / look_every):
            made = gan.sample(1000, np.random.default_rng(1)).reshape(1000, -1)
            distance = float(metrics.frechet_distance(made, test))
            looks.append((gan.step if grow else gan.step - 4, round(used, 1), round(distance, 3)))
    return {"seed": seed, "grow": grow, "looks": looks}


def main():
    digits, test = small_digits("train"), small_digits("test").reshape(10_000, -1)
    budget = float(sys.argv[1]) if len(sys.argv) > 1 else 8000.0
    evidence = {
        "command": "python tests/scripts/evidence_15.py",
        "date": datetime.date.today().isoformat(),
        "real_distance": float(metrics.frechet_distance(digits[:1000].reshape(1000, -1), test)),
        "growing": [growing_run(seed, grow, budget, digits, test, 10) for seed in SEEDS for grow in (True, False)],
        "depth": [
            {"kind": kind, "gain": gain, "depth": depth, "ends": [round(learn(kind, gain, depth, s), 4) for s in SEEDS]}
            for kind, gain, depth in NETWORKS
        ],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "15.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
