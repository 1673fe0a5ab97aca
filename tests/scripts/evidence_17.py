"""What notebook 17 says of probes, six labels and another domain, over several seeds -> notebooks/evidence/17.json.

    python tests/scripts/evidence_17.py

About three minutes of one core. The notebook plays the same games with seed 0. What stands under "committed" is read
from data/RESULTS.md, where the commands stand that measured it.
"""

import datetime
import json
import re
import sys
from contextlib import nullcontext
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, losses, optim
from minigan.layers import BatchNorm, Dense, Flatten, GradientReversal, ReLU, Sequential
from minigan.recognition import probe
from minigan.recognition.common import Data, accuracy, balanced, learn
from minigan.recognition.semi import LATENT, SemiSupervised
from minigan.tools.inference import outputs

PROBE_SEEDS, MOON_SEEDS, DOMAIN_SEEDS = range(3), range(6), range(5)
COUNTS, GAN_STEPS, MOON_STEPS, SHIFT = (100, 250, 1000), 200, 1500, 2.5
SMALL = 1.0  # a shift at which the plain classifier is good, too
KEYS = ("probe", "semi", "augment", "domain")


def silent(title, steps):
    return nullcontext(lambda step, metrics: None)


# ---- a linear probe


def probes(seed):
    images, labels = datasets.load("mnist")
    test, test_labels = (array[:2000] for array in datasets.load("mnist", "test"))
    trained, untrained = (build_gan("dcgan", seed=seed, batch_size=32, lr=2e-3) for _ in range(2))
    rng = np.random.default_rng([3, seed])
    for _ in range(GAN_STEPS):
        trained.train_step(datasets.to_float(images[rng.integers(len(images), size=32)]))
    chosen = balanced(labels, 1000, np.random.default_rng([4, seed]))
    found = {"seed": seed}
    bodies = {"pixels": Flatten(), "untrained D": probe.features(untrained), "trained D": probe.features(trained)}
    for name, body in bodies.items():
        seen, features, found[name] = outputs(body, images[chosen]), outputs(body, test), []
        for count in COUNTS:
            some = slice(None, None, 1000 // count)  # of each class as many
            data = Data(seen[some], labels[chosen][some], features, test_labels, datasets.class_names("mnist"))
            linear = probe.Probe(Flatten(), data, seed=seed)
            linear.fit(data, 300, name, silent)
            found[name].append(accuracy(outputs(linear, features), test_labels))
    return found


# ---- six labels


def moons(n, rng):
    labels, angle = rng.integers(0, 2, n), rng.uniform(0, np.pi, n)
    side = 1 - 2 * labels
    x = np.stack([np.cos(angle) - 0.5 * side, side * (np.sin(angle) - 0.25)], axis=1)
    return (x + 0.08 * rng.standard_normal((n, 2))).astype(np.float32), labels


class InThePlane(SemiSupervised):
    def __init__(self, seed):
        weights, self.rng = np.random.default_rng(seed).spawn(2)
        hidden = [Dense(2, 64, rng=weights), ReLU(), Dense(64, 64, rng=weights), ReLU()]
        self.features, self.head = Sequential(hidden), Dense(64, 2, rng=weights)
        self.discriminator = Sequential([*hidden, self.head])
        first = [Dense(LATENT, 64, bias=False, rng=weights), BatchNorm(64), ReLU()]
        second = [Dense(64, 64, bias=False, rng=weights), BatchNorm(64), ReLU()]
        self.generator = Sequential([*first, *second, Dense(64, 2, rng=weights)])
        self.d_optimizer = optim.Adam(self.discriminator, 2e-3, beta1=0.5)
        self.g_optimizer = optim.Adam(self.generator, 2e-3, beta1=0.5)


def six_labels(seed):
    """The accuracy on new points, for each source of made-up samples."""
    rng = np.random.default_rng([17, seed])
    x, y = moons(2000, rng)
    few, (test, test_labels) = balanced(y, 6, rng), moons(2000, rng)
    found = {"seed": seed}
    for name in ("labels alone", "G by feature matching", "a perfect G", "anywhere in the box"):
        game, order, other = InThePlane(seed), np.random.default_rng([seed, 5]), np.random.default_rng([seed, 6])

        def step(t, name=name, game=game, order=order, other=other):
            unlabelled = x[order.integers(len(x), size=100)]
            if name == "labels alone":
                return game.step_alone(x[few], y[few])
            if name == "G by feature matching":
                return game.step(x[few], y[few], unlabelled)
            if name == "a perfect G":
                made = moons(100, other)[0]
            else:
                made = other.uniform((-2, -1.4), (2, 1.4), (100, 2)).astype(np.float32)
            value, _ = game.d_loss(x[few], y[few], unlabelled, made)
            game.d_optimizer.step()
            return value

        learn(name, MOON_STEPS, [game.d_optimizer, game.g_optimizer], step, silent)
        found[name] = accuracy(game.discriminator.forward(test, training=False), test_labels)
    return found


# ---- another domain


def domain(n, shift, rng, share=0.5):
    """Points (n, 2) and labels (n,), a share of them of class 1."""
    labels = (rng.random(n) < share).astype(int)
    noise = rng.standard_normal((n, 2)) * (0.6, 0.3)
    return np.stack([2 * labels - 1, 2 * labels - 1 + shift], axis=1) + noise, labels


def adapted(seed, strength, shift=SHIFT, share=0.5, steps=600):
    """Accuracies; "balanced" is the mean of the two classes' own: one answer for all points has 1/2 at any share."""
    rng = np.random.default_rng([17, seed])
    (source, y), (target, target_y) = domain(1000, 0, rng), domain(1000, shift, rng, share)
    features, head = (Dense(*size, rng=rng, dtype=np.float64) for size in ((2, 1), (1, 2)))
    domains = Sequential([GradientReversal(strength), Dense(1, 1, rng=rng, dtype=np.float64)])
    parts = features, head, domains
    optimizers = [optim.SGD(part, 0.1) for part in parts]
    for _ in range(steps):
        f = features.forward(np.concatenate([source, target]))
        _, grad_y = losses.softmax_cross_entropy(head.forward(f[:1000]), y)
        _, *grad_d = losses.NonSaturating().discriminator(*np.split(domains.forward(f), 2))
        for part in parts:
            part.zero_grad()
        grad_f = domains.backward(np.concatenate(grad_d))
        grad_f[:1000] += head.backward(grad_y)
        features.backward(grad_f, need_input_grad=False)
        for optimizer in optimizers:
            optimizer.step()
    guesses = head.forward(features.forward(target)).argmax(axis=1)
    return {
        "seed": seed,
        "strength": strength,
        "shift": shift,
        "share": share,
        "source": accuracy(head.forward(features.forward(source)), y),
        "target": float((guesses == target_y).mean()),
        "balanced": round(float(np.mean([(guesses == k)[target_y == k].mean() for k in (0, 1)])), 4),
        "said_1": float((guesses == 1).mean()),
    }


# ---- what data/RESULTS.md says


def committed():
    """{experiment: {data set: {name: accuracy}}} and the spreads, in per cent, of its table of three data sets."""
    found = {}
    for line in (ROOT / "data" / "RESULTS.md").read_text(encoding="utf-8").splitlines():
        head = re.match(r"\| (\w+): ([\w-]+), (\d+) steps, 3 seeds \|", line)
        if head and head[1] in KEYS:
            cells = re.findall(r"\| ([^|]*?): ([\d.]+) % ± ([\d.]+) %", line[head.end() - 1 :])
            numbers = {name: [float(mean), float(spread)] for name, mean, spread in cells}
            found.setdefault(head[1], {})[head[2]] = numbers
    return found


def main():
    evidence = {
        "command": "python tests/scripts/evidence_17.py",
        "date": datetime.date.today().isoformat(),
        "probes": [probes(seed) for seed in PROBE_SEEDS],
        "counts": COUNTS,
        "moons": [six_labels(seed) for seed in MOON_SEEDS],
        "domains": [adapted(seed, strength) for seed in DOMAIN_SEEDS for strength in (0.0, 1.0)],
        "small_shift": [adapted(seed, strength, SMALL) for seed in DOMAIN_SEEDS for strength in (0.0, 1.0)],
        "unequal": [adapted(seed, strength, SMALL, 0.1) for seed in DOMAIN_SEEDS for strength in (0.0, 1.0)],
        "committed": committed(),
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "17.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
