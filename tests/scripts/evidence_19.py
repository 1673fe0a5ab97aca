"""What notebook 19 says of an autoencoder, a VAE and a GAN after equal processor time -> notebooks/evidence/19.json.

    python tests/scripts/evidence_19.py
    python tests/scripts/evidence_19.py --other     # afterwards: adds a run of each with other settings, seed 0
    python tests/scripts/evidence_19.py --plane     # afterwards: adds section 9 (codes of two numbers) with five seeds

About five minutes of one core. The three have the same two networks' layers (those of dcgan), the same size of code,
the same batches and rate, and no labels. For each seed they are trained in turns of a second, on one thread, so that
whatever else the machine does hits all alike; only their own processor time is counted. Both coders' learning rate
falls along a cosine, the GAN's samples come from the averaged G: each settles in its usual way.
"""

import os

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ[name] = "1"

import base64
import datetime
import io
import json
import sys
import time
from itertools import pairwise
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import build_gan, datasets, layers, optim
from minigan.autoencoders import variational
from minigan.autoencoders.autoencoder import Autoencoder
from minigan.image_to_image import filters
from minigan.metrics import evaluation, image_metrics
from minigan.metrics.judge import shipped_judge
from minigan.tools import plotting

SEEDS, MARKS = range(3), (4, 8, 15, 30)  # processor seconds after which the samples are measured
LATENT_DIM, JUDGED, SHOWN = 32, 2000, 14
BATCH, RATE = 32, 2e-3
OTHER_BATCH, OTHER_RATE = 64, 1e-3
PLANE_SEEDS, PLANE_STEPS, DRAWN, NEAREST = range(5), 1200, 300, 5
NAMES = ("autoencoder", "VAE", "GAN")
PLACE = ROOT / "notebooks" / "evidence" / "19.json"
COMMAND = "python tests/scripts/evidence_19.py"


class Maker:
    """One of the three, with the time it has used."""

    def __init__(self, name, seed, batch=BATCH, rate=RATE):
        self.batch, self.rate = batch, rate
        self.name, self.used, self.steps, self.log, self.rng = name, 0.0, 0, [], np.random.default_rng(seed + 1)
        if name == "GAN":
            settings = {"latent_dim": LATENT_DIM, "batch_size": batch, "lr": rate, "ema_decay": 0.98}
            self.model = build_gan("dcgan", seed=seed, **settings)
        else:
            self.model = Autoencoder((28, 28, 1), LATENT_DIM, name == "VAE", "bernoulli", seed)

    def train(self, images, until):
        """Until so many seconds of its own processor time have been used in all."""
        start = time.process_time() - self.used
        while (used := time.process_time() - start) < until:
            batch = datasets.to_float(images[self.rng.integers(len(images), size=self.batch)])
            if self.name == "GAN":
                self.log.append(self.model.train_step(batch))
            else:
                for optimizer in self.model.optimizers:
                    optimizer.lr = self.rate * (1 + np.cos(np.pi * used / MARKS[-1])) / 2
                self.log.append(self.model.step(batch, self.rng))
            self.steps += 1
        self.used = used

    def measure(self, data, reference, judge):
        images, test, real = data
        if self.name == "autoencoder":
            self.model.fit_prior(images)
        pixels = datasets.to_uint8(self.model.sample(JUDGED, np.random.default_rng(5)))
        judged = reference.quality_and_variety(*judge.predict(pixels))
        found = {"seconds": round(self.used, 2), "steps": self.steps}
        found |= {key: round(float(judged[key]), 4) for key in ("frechet_distance", "precision", "recall")}
        found["sharpness"] = round(float(image_metrics.sharpness(pixels).mean() / real), 4)
        found |= {key: round(float(np.mean([row[key] for row in self.log[-40:]])), 4) for key in self.log[-1]}
        if self.name != "GAN":
            again = datasets.to_uint8(self.model.decode(self.model.encode(test[:1000])))
            found["psnr"] = round(float(image_metrics.psnr(again, test[:1000]).mean()), 3)
            found["sharpness_given_back"] = round(float(image_metrics.sharpness(again).mean() / real), 4)
        if self.name == "VAE":
            found["bound"] = round(self.model.bound(test[:1000], np.random.default_rng(3)), 2)
        return found, pixels[:SHOWN]


def strip(pictures):
    file = io.BytesIO()
    page = plotting.grid(pictures, columns=len(pictures))[..., 0]
    Image.fromarray(page).quantize(16).save(file, format="PNG", optimize=True)
    return base64.b64encode(file.getvalue()).decode()


def compare(seed, data, reference, judge, **settings):
    """-> what was measured of the three, a row for each of MARKS, and each one's pictures at the end."""
    makers, rows, pictures = [Maker(name, seed, **settings) for name in NAMES], [], {}
    for second in range(1, MARKS[-1] + 1):
        for maker in makers:
            maker.train(data[0], second)
            if second in MARKS:
                found, pictures[maker.name] = maker.measure(data, reference, judge)
                rows.append({"maker": maker.name, "seed": seed, "mark": second, **found})
                print(rows[-1], flush=True)
    return rows, pictures


def dense_chain(rng, *sizes):
    found = [layers.Dense(sizes[0], sizes[1], rng=rng)]
    for a, b in pairwise(sizes[1:]):
        found += [layers.LeakyReLU(0.2), layers.Dense(a, b, rng=rng)]
    return found


def plane_coder(kind, seed):
    """As in the notebook's section 9: codes of two numbers, small dense networks."""
    rng = np.random.default_rng(seed)
    coder = Autoencoder((28, 28, 1), 2, kind == "VAE", "bernoulli", seed)
    codes = 4 if coder.variational else 2
    decoder = [*dense_chain(rng, 2, 256, 256, 196), layers.Reshape((14, 14, 1))]
    coder.encoder = layers.Sequential([layers.Flatten(), *dense_chain(rng, 196, 256, codes)])
    coder.decoder = layers.Sequential(decoder)
    coder.optimizers = [optim.Adam(net) for net in (coder.encoder, coder.decoder)]
    return coder


def plane(kind, seed, small, small_test, labels):
    """Trains one and measures where its codes lie, what it makes of z from N(0, I), and how sharp it gives back."""
    coder, rng, noise_rng = plane_coder(kind, seed), np.random.default_rng(seed + 1), np.random.default_rng(seed + 2)
    for step in range(PLANE_STEPS):
        for optimizer in coder.optimizers:
            optimizer.lr = 2e-3 * (1 - step / PLANE_STEPS)
        coder.step(datasets.to_float(small[rng.integers(len(small), size=64)]), noise_rng)
    pictures = datasets.to_float(small_test)
    z = coder.encoder.forward(pictures, training=False)
    if coder.variational:  # what the decoder sees in training
        noise = np.random.default_rng(1).standard_normal((len(z), 2))
        z, _ = variational.reparametrise_forward(z, noise)
    drawn = coder.decode(np.random.default_rng(7).standard_normal((DRAWN, 2)).astype(np.float32)).reshape(DRAWN, -1)
    known, kinds = pictures.reshape(len(pictures), -1), np.zeros(10)
    for one in drawn:  # named by the nearest test digits
        nearest = np.argsort(np.square(known - one).sum(axis=1))[:NEAREST]
        kinds[np.bincount(labels[nearest], minlength=10).argmax()] += 1 / DRAWN
    again = datasets.to_uint8(coder.decode(coder.encode(small_test)))
    sharp = image_metrics.sharpness(again).mean() / image_metrics.sharpness(small_test).mean()
    return {
        "maker": kind,
        "seed": seed,
        "inside": round(float((np.linalg.norm(z, axis=1) < 2).mean()), 4),
        "spread": round(float(z.std()), 3),
        "kinds_of_2_percent": int((kinds >= 0.02).sum()),
        "commonest_kind": round(float(kinds.max()), 4),
        "sharpness_given_back": round(float(sharp), 4),
    }


def add_planes():
    (images, _), (test, labels) = datasets.load("mnist"), datasets.load("mnist", "test")
    small, small_test = filters.shrink(images, 2), filters.shrink(test[:2000], 2)
    rows = []
    for seed in PLANE_SEEDS:
        for kind in ("autoencoder", "VAE"):
            rows.append(plane(kind, seed, small, small_test, labels[:2000]))
            print(rows[-1], flush=True)
    evidence = json.loads(PLACE.read_text(encoding="utf-8"))
    date = datetime.date.today().isoformat()
    evidence["plane"] = {"command": COMMAND + " --plane", "date": date, "drawn": DRAWN, "runs": rows}
    PLACE.write_text(json.dumps(evidence, indent=1) + "\n", encoding="utf-8")


def main(other):
    (images, _), (test, labels) = datasets.load("mnist"), datasets.load("mnist", "test")
    judge, real = shipped_judge(), float(image_metrics.sharpness(test[:1000]).mean())
    reference = evaluation.Reference(images, test, labels, judge, JUDGED, np.random.default_rng(9))
    data = images, test, real
    for name in NAMES:
        Maker(name, 0).train(images, 0.5)  # compiles everything
    if other:
        evidence = json.loads(PLACE.read_text(encoding="utf-8"))
        rows, _ = compare(0, data, reference, judge, batch=OTHER_BATCH, rate=OTHER_RATE)
        settings = {"batch": OTHER_BATCH, "rate": OTHER_RATE}
        evidence["other"] = {"command": COMMAND + " --other", "settings": settings, "runs": rows}
        PLACE.write_text(json.dumps(evidence, indent=1) + "\n", encoding="utf-8")
        return
    judged = reference.quality_and_variety(*judge.predict(reference.real))
    evidence = {
        "command": COMMAND,
        "date": datetime.date.today().isoformat(),
        "settings": {"latent_dim": LATENT_DIM, "batch": BATCH, "rate": RATE, "judged": JUDGED},
        "real_test_digits": {k: round(float(judged[k]), 4) for k in ("frechet_distance", "precision", "recall")},
        "runs": [],
        "samples_of_seed_0": {},
    }
    for seed in SEEDS:
        rows, pictures = compare(seed, data, reference, judge)
        evidence["runs"] += rows
        if seed == 0:
            evidence["samples_of_seed_0"] = {name: strip(shown) for name, shown in pictures.items()}
        PLACE.write_text(json.dumps(evidence, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    add_planes() if "--plane" in sys.argv[1:] else main("--other" in sys.argv[1:])
