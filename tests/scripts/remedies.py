"""The article's training problems (its section 8): each remedy alone on the preset `listing`, which collapses.

    python tests/scripts/remedies.py --steps 600 --seeds 0,1,2 --out remedies.json

A script to run by hand, not a test. Every training begins with the same seeds and takes the same number of steps; the
samples are judged by the classifier in data/. It prints a Markdown table: for each remedy the mean over the seeds and,
in brackets, the smallest and the largest.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
from minigan import datasets, metrics
from minigan.gan import build_gan
from minigan.kernels.parallel import threads
from minigan.layers import Dense, LeakyReLU, MinibatchDiscrimination, ReLU, Tanh
from minigan.metrics.judge import shipped_judge

SAMPLES, LAST = 2000, 50  # samples judged; steps at the end over which D(G(z)) is averaged
KERNELS = 50
SYMPTOMS = {  # key -> heading, format
    "d_fake": ("D(G(z))", "{:.3f}"),
    "variety": ("variety", "{:.2f}"),
    "entropy": ("entropy of the classes", "{:.2f}"),
    "frechet_distance": ("Fréchet distance", "{:.1f}"),
}


def activations(kind):
    """A change of the networks: every leaky ReLU replaced."""

    def change(gan):
        for network in (gan.generator.network, gan.discriminator.network):
            network.layers = [kind() if type(layer) is LeakyReLU else layer for layer in network.layers]

    return change


def minibatch_discrimination(gan):
    """D's last layer sees, beside its features, how close each sample is to the others of its batch."""
    *body, last = gan.discriminator.network.layers
    rng = np.random.default_rng([gan.config.seed, 6])
    closeness = MinibatchDiscrimination(last.in_features, KERNELS, rng=rng)
    judge = Dense(last.in_features + KERNELS, last.out_features, rng=rng)
    gan.discriminator.network.layers = [*body, closeness, judge]


def unchanged(gan):
    pass


REMEDIES = {  # name -> settings, change of the networks
    "none": ({}, unchanged),
    "β₁ 0.5": ({"beta1": 0.5}, unchanged),
    "D's rate 1/5": ({"d_lr": 2e-5}, unchanged),
    "batches of 32": ({"batch_size": 32}, unchanged),
    "one-sided smoothing 0.1": ({"label_smoothing": 0.1}, unchanged),
    "instance noise 0.5": ({"instance_noise": 0.5}, unchanged),
    "feature matching": ({"feature_matching": 1.0}, unchanged),
    "minibatch discrimination": ({}, minibatch_discrimination),
    "L1 1e-4": ({"l1": 1e-4}, unchanged),
    "L2 1e-2": ({"l2": 1e-2}, unchanged),
    "R1 1": ({"r1": 1.0}, unchanged),
    "RMSprop": ({"optimizer": "rmsprop"}, unchanged),
    "Adagrad 1e-2": ({"optimizer": "adagrad", "lr": 1e-2}, unchanged),
    "ReLU": ({}, activations(ReLU)),
    "tanh": ({}, activations(Tanh)),
    "saturating loss": ({"loss": "minimax"}, unchanged),
}


def train(settings, change, seed, steps, images):
    """-> the trained GAN and the mean of D(G(z)) over the last steps."""
    gan = build_gan("listing", seed=seed, **settings)
    change(gan)
    for player, network, lr in (
        ("g_optimizer", gan.generator, gan.config.lr),
        ("d_optimizer", gan.discriminator, gan.config.d_lr or gan.config.lr),
    ):
        old = getattr(gan, player)  # made for the networks before they were changed
        options = {name: getattr(old, name) for name in ("beta1", "beta2") if hasattr(old, name)}
        setattr(gan, player, type(old)(network, lr, **options))
    batches = datasets.BatchIterator(len(images), gan.config.batch_size, np.random.default_rng([seed, 2]))
    judged = []
    with np.errstate(all="ignore"):
        for _ in range(steps * 100 // gan.config.batch_size):  # as many pictures, whatever the batch
            judged.append(gan.train_step(datasets.to_float(images[batches.next_indices()]))["d_fake"])
    return gan, float(np.mean(judged[-LAST:]))


def symptoms(gan, d_fake, judge, target):
    samples = gan.sample(SAMPLES, np.random.default_rng([gan.config.seed, 4]))
    if not np.isfinite(samples).all():
        return {"d_fake": d_fake, "variety": None, "entropy": None, "frechet_distance": None}
    features, probabilities = judge.predict(datasets.to_uint8(samples))
    _, _, entropy = metrics.class_balance(probabilities.argmax(axis=1), judge.classes)
    deviation, real = (np.sqrt(x.var(axis=0, dtype=np.float64).mean()) for x in (samples, target.reals))
    distance = metrics.frechet_distance(target.features, features)
    return {"d_fake": d_fake, "variety": float(deviation / real), "entropy": entropy, "frechet_distance": distance}


class Target:
    """Real pictures to compare with."""

    def __init__(self, images, judge):
        chosen = images[np.random.default_rng(0).choice(len(images), SAMPLES, replace=False)]
        self.reals, (self.features, _) = datasets.to_float(chosen), judge.predict(chosen)


def cell(values, form):
    known = [value for value in values if value is not None]
    if not known:
        return "not finite"
    mean, low, high = (form.format(f(known)) for f in (np.mean, min, max))
    return f"{mean} ({low} to {high})"


def table(results):
    heads = ["remedy", *(name for name, _ in SYMPTOMS.values())]
    lines = [heads, ["---"] * len(heads)]
    for name, runs in results.items():
        cells = (cell([one[key] for one in runs], form) for key, (_, form) in SYMPTOMS.items())
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=600, help="of 100 pictures")
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--only", help="remedies with commas between")
    parser.add_argument("--threads", type=int, default=threads.get_threads())
    parser.add_argument("--out", default="remedies.json")
    arguments = parser.parse_args()
    threads.set_threads(arguments.threads)
    judge, (images, _) = shipped_judge(), datasets.load("mnist")
    target, seeds = Target(images, judge), [int(seed) for seed in arguments.seeds.split(",")]
    names = arguments.only.split(",") if arguments.only else list(REMEDIES)
    results = {name: [] for name in names}
    for seed, name in tqdm([(seed, name) for seed in seeds for name in names]):
        gan, d_fake = train(*REMEDIES[name], seed, arguments.steps, images)
        results[name].append({"seed": seed} | symptoms(gan, d_fake, judge, target))
        report = {"steps": arguments.steps, "judge": judge.name, "results": results}
        Path(arguments.out).write_text(json.dumps(report, indent=1) + "\n")
    print(table(results))


if __name__ == "__main__":
    main()
