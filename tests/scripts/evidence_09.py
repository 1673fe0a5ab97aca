"""What notebook 9 says of its runs, over several seeds -> notebooks/evidence/09.json.

    python tests/scripts/evidence_09.py

About a minute and a half of one core. The notebook runs seed 0 of some of them the same way.
"""

import datetime
import json
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import datasets, layers, losses, optim, penalties

STRENGTHS = {
    "nothing": [0],
    "L1": [3e-4, 1e-3, 3e-3],
    "L2": [1e-2, 3e-2, 1e-1],
    "dropout": [0.5, 0.7, 0.9],
    "label smoothing": [0.1, 0.2, 0.3],
    "instance noise": [0.3, 0.6, 1.0],
}


def sparse(name, seed, steps=1500):
    """20 inputs of which 3 count, 30 noisy samples -> weights near 0 among the 17 others, distance to the truth."""
    rng, truth = np.random.default_rng(seed), np.zeros((20, 1))
    truth[[2, 7, 11]] = [[1.5], [-2.0], [1.0]]
    x = rng.standard_normal((30, 20))
    y = x @ truth + 0.3 * rng.standard_normal((30, 1))
    net = layers.Sequential([layers.Dense(20, 1, bias=False, rng=rng, dtype=np.float64)])
    optimizer = optim.SGD(net, lr=0.05)
    for step in range(steps):
        net.zero_grad()
        net.backward((net.forward(x) - y) / len(x))
        if name != "nothing":
            {"L1": penalties.l1, "L2": penalties.l2}[name](net, 0.1)
        optimizer.lr = 0.05 * (1 - step / steps)
        optimizer.step()
    found = net.params["0.weight"]
    zeros = int((abs(found[truth == 0]) < 0.01).sum())
    return {"seed": seed, "zeros": zeros, "distance": float(np.linalg.norm(found - truth))}


def pictures():
    """-> digits (60000, 784), and a function that makes fakes: the upper half of one digit on the lower half of
    another."""
    digits = datasets.to_float(datasets.load("mnist")[0]).reshape(-1, 784)

    def fakes(rng, n):
        upper, lower = rng.integers(20_000, len(digits), (2, n))
        return np.concatenate([digits[upper, :392], digits[lower, 392:]], axis=1)

    return digits, fakes


def few_pictures(name, strength, seed, digits, fakes, steps=300):
    """A D that gets 200 real digits again and again, and new fakes -> what it says to digits it knows and to new ones,
    and its loss on new digits and new fakes."""
    rng = np.random.default_rng(seed)
    known, new = digits[rng.choice(10_000, 200, replace=False)], digits[10_000:12_000]
    dropout = layers.Dropout(strength if name == "dropout" else 0, rng=rng)
    D = [layers.Dense(784, 128, rng=rng), layers.LeakyReLU(0.2), dropout, layers.Dense(128, 1, rng=rng)]
    D, noise = layers.Sequential(D), strength if name == "instance noise" else 0
    loss = losses.NonSaturating(strength if name == "label smoothing" else 0.0)
    optimizer = optim.Adam(D, lr=1e-3)
    for _ in range(steps):
        x = np.concatenate([known[rng.integers(200, size=64)], fakes(rng, 64)])
        x += np.float32(noise) * rng.standard_normal(x.shape, dtype=np.float32)
        _, *grads = loss.discriminator(*np.split(D.forward(x), 2))
        D.zero_grad()
        D.backward(np.concatenate(grads), need_input_grad=False)
        if name in ("L1", "L2"):
            {"L1": penalties.l1, "L2": penalties.l2}[name](D, strength)
        optimizer.step()
    r_known, r_new, f = (D.forward(x, training=False) for x in (known, new, fakes(np.random.default_rng(9), 2000)))
    probability = {"known": r_known, "new": r_new, "fake": f}
    return {
        "strength": strength,
        "seed": seed,
        **{key: float(layers.sigmoid(value).mean()) for key, value in probability.items()},
        "loss_on_new": float(losses.NonSaturating().discriminator(r_new, f)[0]),
    }


def main():
    digits, fakes = pictures()
    evidence = {
        "command": "python tests/scripts/evidence_09.py",
        "date": datetime.date.today().isoformat(),
        "sparse": {name: [sparse(name, seed) for seed in range(5)] for name in ("nothing", "L2", "L1")},
        "few_pictures": {
            name: [few_pictures(name, s, seed, digits, fakes) for s in strengths for seed in range(3)]
            for name, strengths in STRENGTHS.items()
        },
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "09.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
