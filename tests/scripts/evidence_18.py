"""What notebook 18 says of its two enhancers and of the search for z, over several seeds -> notebooks/evidence/18.json.

    python tests/scripts/evidence_18.py

About two minutes on two cores. The notebook trains seed 0 the same way. What stands under "committed" is read from
data/RESULTS.md, where the commands stand that measured it.
"""

import contextlib
import datetime
import json
import re
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, layers, metrics
from minigan.image_to_image import filters, gan_inversion, inpainting, restoration, training
from minigan.image_to_image.enhancement import EnhancementTask, Enhancer
from minigan.metrics import image_metrics
from minigan.metrics.judge import shipped_judge
from minigan.models.enhancer import residual_block

SEEDS, STEPS, GAN_STEPS, SEARCH_STEPS = range(3), 80, 700, 150


class Small(EnhancementTask):
    def network(self, channels, rng, dtype):
        def conv(inputs, outputs):
            return layers.Conv2D(inputs, outputs, 3, padding=1, rng=rng, dtype=dtype)

        def double(inputs, outputs):
            return layers.ConvTranspose2D(inputs, outputs, 4, stride=2, padding=1, rng=rng, dtype=dtype)

        last = conv(16, channels)
        last.params["weight"] *= 0.1
        start = [conv(channels, 32), layers.ReLU(), residual_block(32, rng, dtype)]
        larger = [double(32, 32), layers.ReLU(), double(32, 16), layers.ReLU()]
        return layers.Residual(layers.Sequential([*start, *larger, last]), layers.UpsampleNearest2D(4))


def enhanced(images, test, labels, judge, real):
    """Figures of the simple methods, and of a network a seed and a."""
    known, sharp = filters.shrink(test, 4), image_metrics.sharpness(test).mean()

    def measured(pictures):
        row = training.measure(pictures, test, labels, judge)
        row["sharpness"] = float(image_metrics.sharpness(pictures).mean() / sharp)
        row["frechet"] = metrics.frechet_distance(real, judge.predict(pictures)[0])
        return {name: round(float(value), 4) for name, value in row.items()}

    found = [{"method": "repeated"} | measured(filters.nearest(known, 4))]
    found += [{"method": "bicubic"} | measured(filters.bicubic(known, 4))]
    for seed in SEEDS:
        for a in (0, 0.1):
            network = Enhancer(1, Small(factor=4), seed)
            training.fit(network, images, STEPS, a, np.random.default_rng(seed + 1))
            found.append({"method": "network", "seed": seed, "a": a} | measured(network.apply(known)))
    return found


def searched(seed, images, test):
    """Figures of the search, with and without the prior."""
    gan = build_gan("mlp", seed=seed, sample_shape=(14, 14, 1), latent_dim=32, batch_size=64, lr=1e-3, ema_decay=0.99)
    rng = np.random.default_rng(seed + 1)
    for _ in range(GAN_STEPS):
        gan.train_step(datasets.to_float(images[rng.integers(len(images), size=64)]))
    task = restoration.RestorationTask(("centre",))
    degraded = task.degrade(test, np.random.default_rng(1))
    pictures, hole = restoration.split(degraded)
    fill = np.rint(np.clip(inpainting.harmonic(pictures.astype(np.float32), hole), 0, 255)).astype(np.uint8)
    results = {"diffusion": fill}
    for prior in (0.0, gan_inversion.PRIOR):
        gan_inversion.PRIOR, course = prior, []
        search = gan_inversion.GanInversion(
            gan,
            task,
            SEARCH_STEPS,
            np.random.default_rng(2),
            lambda title, total, course=course: contextlib.nullcontext(lambda step, m: course.append(m["loss"])),
        )
        if not prior:
            begun = datasets.to_uint8(search.drawn[search.begin(search.operator(degraded))])
            results["nearest sample"] = np.where(hole, begun, pictures)
        results[f"search, prior {prior:g}"] = search.outputs(degraded)["search"]
    row = {"seed": seed, "loss_first": course[0], "loss_last": course[-1]}
    for name, made in results.items():
        row[name] = {
            "psnr": round(float(image_metrics.psnr(made, test).mean()), 3),
            "sharpness": round(float(image_metrics.sharpness(made).mean() / image_metrics.sharpness(test).mean()), 3),
        }
    return row


def committed():
    """What data/RESULTS.md says of enhancing and restoring digits: {task: {method: [PSNR, SSIM, recognised in %]}}."""
    found = {}
    for line in (ROOT / "data" / "RESULTS.md").read_text(encoding="utf-8").splitlines():
        head = re.match(r"\| ((?:enhance|restore)[^:|]*): mnist, \d+ steps, 3 seeds(?:, (\w+))? \|", line)
        if head:
            cells = re.findall(r"\| ([^:|]+): ([\d.]+)[^/|]*/ ([\d.]+)[^/|]*/ ([\d.]+) %", line[head.end() - 1 :])
            task = head[1] + (f", {head[2]}" if head[2] else "")
            found[task] = {name: [float(p), float(s), float(r)] for name, p, s, r in cells}
    return found


def main():
    images, _ = datasets.load("mnist")
    test, labels = datasets.load("mnist", "test")
    judge = shipped_judge()
    real, _ = judge.predict(images[:1000])
    small, small_test = filters.shrink(images, 2), filters.shrink(test[:40], 2)
    evidence = {
        "command": "python tests/scripts/evidence_18.py",
        "date": datetime.date.today().isoformat(),
        "enhanced": enhanced(images, test[:500], labels[:500], judge, real),
        "searched": [searched(seed, small, small_test) for seed in SEEDS],
        "committed": committed(),
    }
    text = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "18.json").write_text(text + "\n", encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
