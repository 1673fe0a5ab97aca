"""What notebook 2 says of its trainings, over several seeds -> notebooks/evidence/02.json.

    python tests/scripts/evidence_02.py

About a minute on two cores. The notebook trains seed 0 the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import datasets, layers, losses

SEEDS = range(5)


def ink(split):
    """Pictures as rows of 784 numbers, 0 black and 1 white, and their labels."""
    images, labels = datasets.load("mnist", split)
    return (datasets.to_float(images).reshape(len(images), -1) + 1) / 2, labels


def networks(seed):
    rng = np.random.default_rng(seed)
    one = [layers.Dense(784, 10, rng=rng)]
    one[0].params["weight"][...] = 0
    first, second = layers.Dense(784, 64, rng=rng), layers.Dense(64, 10, rng=rng)
    straight = [layers.Dense(784, 64, rng=rng), layers.Dense(64, 10, rng=rng)]
    for mine, like in zip(straight, (first, second), strict=True):
        mine.params["weight"][...] = like.params["weight"]
    lists = {"one dense": one, "dense, dense": straight, "dense, tanh, dense": [first, layers.Tanh(), second]}
    return {name: layers.Sequential(parts) for name, parts in lists.items()}


def train(network, x, targets, seed, rate=0.02, steps=1500):
    rng = np.random.default_rng(seed)
    for _ in range(steps):
        rows = rng.integers(len(x), size=200)
        g = (network.forward(x[rows]) - targets[rows]) / np.float32(200)
        network.zero_grad()
        network.backward(g)
        for name in network.params:
            network.params[name] -= np.float32(rate) * network.grads[name]


def digits_run(seed):
    (x, labels), (x_test, test_labels) = ink("train"), ink("test")
    targets, measured = np.eye(10, dtype=np.float32)[labels], {"seed": seed}
    for name, network in networks(seed).items():
        train(network, x, targets, seed)
        found = network.forward(x_test, training=False).argmax(axis=1)
        measured[name] = float((found == test_labels).mean())
    return measured


def cloud_run(seed, steps=2000, size=128, d_rate=0.5, g_rate=0.05):
    """A G of one dense layer against a D of two, on a tilted cloud."""
    rng, loss = np.random.default_rng(seed), losses.NonSaturating()
    mix, centre = np.array([[0.8, 0.3], [0.0, 0.4]]), np.array([1.0, -0.5])
    G = layers.Sequential([layers.Dense(2, 2, rng=rng)]).astype(np.float64)
    D = layers.Sequential([layers.Dense(2, 16, rng=rng), layers.Tanh(), layers.Dense(16, 1, rng=rng)])
    D.astype(np.float64)
    G.params["0.weight"][...] = 0.3 * np.eye(2)
    G.params["0.bias"][...] = -1, 1
    for _ in range(steps):
        real, fake = rng.standard_normal((size, 2)) @ mix + centre, G.forward(rng.standard_normal((size, 2)))
        logits_real, logits_fake = np.split(D.forward(np.concatenate([real, fake])), 2)
        D.zero_grad()
        D.backward(np.concatenate(loss.discriminator(logits_real, logits_fake)[1:]))
        for name in D.params:
            D.params[name] -= d_rate * D.grads[name]
        g = D.backward(loss.generator(D.forward(fake))[1], need_param_grads=False)
        G.zero_grad()
        G.backward(g)
        for name in G.params:
            G.params[name] -= g_rate * G.grads[name]
    W, b = G.params["0.weight"], G.params["0.bias"]
    return {
        "seed": seed,
        "centre_off": float(abs(b - centre).max()),
        "covariance_off": float(abs(W.T @ W - mix.T @ mix).max()),
        "weight_off": float(abs(W - mix).max()),
    }


def main():
    evidence = {
        "command": "python tests/scripts/evidence_02.py",
        "date": datetime.date.today().isoformat(),
        "digits": [digits_run(seed) for seed in SEEDS],
        "cloud": [cloud_run(seed) for seed in SEEDS],
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "02.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
