"""The recipes against PyTorch's standard DCGAN, each trained for the same wall-clock time and judged by one judge.

    python tests/scripts/yardstick.py --minutes 3 --seeds 0,1,2 --out yardstick.json
    python tests/scripts/yardstick.py --minutes 2 --seeds 0 --recipes mlp,wgan-gp,biggan --pictures gallery.png

A script to run by hand where PyTorch is installed, on a machine that is otherwise idle; not a test. Every training has
a process of its own. The clock runs from the first use of the data to the last step, ours after everything has been
compiled once. It prints a table: the yardstick, then each recipe, the worst seed's figure first and the others behind.
--pictures: the first samples of each one's first seed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from tqdm import tqdm

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))
sys.path.insert(0, str(ROOT / "tests"))
YARDSTICK, SAMPLES, BATCH = "PyTorch dcgan", 10_000, 64
SHOWN, COLUMNS = 24, 12  # samples of each in the pictures
WORST = {  # figure -> which of the seeds counts
    "frechet_distance": max,
    "kernel_distance": max,
    "precision": min,
    "recall": min,
    "coverage": min,
    "rarest_class": min,
    "commonest_class": max,
    "confident_share": min,
    "conditional_accuracy": min,
    "accuracy_score": min,
    "nn_median": min,
    "nearest": min,
    "copies": max,
    "steps": min,
}


def train_reference(seed, seconds):
    """-> samples (N, 28, 28, 1), no labels, the number of steps."""
    import torch
    from torch_reference import Reference, draw_weights

    from minigan import datasets

    images, _ = datasets.load("mnist")
    reference = Reference("dcgan", BATCH, "channels_last")
    torch.manual_seed(seed)
    for network in (reference.generator, reference.discriminator):
        draw_weights(network, 0.02)
    reference.use("fused", joined=False)
    batches = datasets.BatchIterator(len(images), BATCH, np.random.default_rng([seed, 2]))
    start, steps = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        real = datasets.to_float(images[batches.next_indices()]).transpose(0, 3, 1, 2)
        reference.real = torch.from_numpy(real)  # channels last already
        reference.step()
        steps += 1
    reference.generator.eval()
    with torch.no_grad():
        samples = [reference.generator(torch.randn(250, 100)) for _ in range(SAMPLES // 250)]
    return torch.cat(samples).numpy().transpose(0, 2, 3, 1), None, steps


def train_recipe(preset, seed, seconds):
    """-> samples (N, 28, 28, 1), the digits they were asked to show or None, the number of steps."""
    from minigan import datasets
    from minigan.gan import GAN
    from minigan.gan.conditions import of_samples
    from minigan.gan.config import Config

    config = Config.for_preset(preset, seed=seed)
    images, labels = datasets.load("mnist")
    warm = GAN(config, images.shape[1:])
    warm.train_step(datasets.to_float(images[: config.batch_size]), warm.conditions.draw(config.batch_size, warm.rng))
    start, steps = time.perf_counter(), 0
    conditions, shares = of_samples(config, images, labels)
    gan = GAN(config, images.shape[1:], shares)
    batches = datasets.BatchIterator(len(images), config.batch_size, np.random.default_rng([seed, 2]))
    while time.perf_counter() - start < seconds:
        chosen = batches.next_indices()
        gan.train_step(datasets.to_float(images[chosen]), None if conditions is None else conditions[chosen])
        steps += 1
    rng = np.random.default_rng(seed)
    z, asked = gan.draw_z(SAMPLES, rng), gan.conditions.draw(SAMPLES, rng)
    return gan.decode(z, asked), gan.conditions.labels(asked), steps


def trained(name, seed, minutes):
    """The samples, labels and steps of a training in a process of its own."""
    with tempfile.TemporaryDirectory() as folder:
        out = str(Path(folder) / "samples.npz")
        request = ["--train", name, "--seeds", str(seed), "--minutes", str(minutes), "--out", out]
        subprocess.run([sys.executable, __file__, *request], check=True)
        with np.load(out) as archive:
            asked = archive["asked"]
            return archive["samples"], asked if asked.size else None, int(archive["steps"])


def table(results, real):
    """Markdown: a row for each one trained, a column for each figure."""
    keys = [key for key in WORST if any(key in one for runs in results.values() for one in runs)]
    lines = [["", *(evaluation_label(key) for key in keys)], ["---"] * (len(keys) + 1)]
    for name, runs in [*results.items(), ("real test pictures", [real])]:
        cells = []
        for key in keys:
            values = sorted((one[key] for one in runs if key in one), reverse=WORST[key] is max)
            first, *others = [f"{value:.3g}" for value in values] or [""]
            cells.append(f"{first} ({', '.join(others)})" if others else first)
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def evaluation_label(key):
    from minigan.metrics.evaluation import LABELS

    return LABELS.get(key, (key,))[0].strip()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=3)
    parser.add_argument("--seeds", default="0,1,2")
    parser.add_argument("--recipes", default="digits-unconditional,digits")
    parser.add_argument("--judge", help="another classifier than the one in data/")
    parser.add_argument("--out", default="yardstick.json")
    parser.add_argument("--pictures", help="a .png")
    parser.add_argument("--train", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    seeds, seconds = [int(seed) for seed in arguments.seeds.split(",")], 60 * arguments.minutes
    if arguments.train:
        make = train_reference if arguments.train == YARDSTICK else lambda *how: train_recipe(arguments.train, *how)
        samples, asked, steps = make(seeds[0], seconds)
        np.savez(arguments.out, samples=samples, asked=[] if asked is None else asked, steps=steps)
        return
    from minigan import datasets
    from minigan.metrics import evaluation
    from minigan.metrics.judge import Classifier, shipped_judge
    from minigan.tools import plotting

    judge = Classifier.load(arguments.judge) if arguments.judge else shipped_judge()
    test = datasets.load("mnist", "test")
    reference = evaluation.Reference(datasets.load("mnist")[0], *test, judge, SAMPLES, np.random.default_rng(0))
    results, shown = {name: [] for name in (YARDSTICK, *arguments.recipes.split(","))}, {}
    for seed, name in tqdm([(seed, name) for seed in seeds for name in results]):
        samples, asked, steps = trained(name, seed, arguments.minutes)
        results[name].append(reference.measure(samples, asked) | {"seed": seed, "steps": steps})
        if asked is not None:  # one of each class in turn
            samples = samples[np.concatenate([np.flatnonzero(asked == i % 10)[[i // 10]] for i in range(SHOWN)])]
        shown.setdefault(name, (datasets.to_uint8(samples[:SHOWN]), COLUMNS))
        if arguments.pictures:
            plotting.save_gallery(arguments.pictures, shown)
        report = {
            "minutes": arguments.minutes,
            "judge": judge.name,
            "real": reference.real_metrics(),
            "results": results,
        }
        Path(arguments.out).write_text(json.dumps(report, indent=1) + "\n")
    print(f"{arguments.minutes:g} minutes each, seeds {arguments.seeds}, judge {judge.name}, the worst seed first\n")
    print(table(results, reference.real_metrics()))


if __name__ == "__main__":
    main()
