"""python -m minigan.audio: a GAN of short sounds, through the same code as pictures, which here have a height of 1."""

import math
import time

import numpy as np

from minigan import datasets
from minigan.audio import sounds
from minigan.base.files import new_folder
from minigan.gan import GAN, conditions
from minigan.gan.config import Config
from minigan.tools import cli, plotting, training_loop
from minigan.tools.seeds import METRICS, run_seeds

TRAINED, JUDGED = 8192, 2000  # sounds
SHOWN = 8  # of rising pitch
STEPS = 1500
OUT = "runs/audio"
COLUMNS = {
    "frechet_distance": ("Fréchet", ".3g"),
    "harmonicity": ("harmonicity", ".3f"),
    "in_tune": ("in tune", ".1%"),
    "fading_spread": ("fading, dB", ".2f"),
}


def parse(argv):
    parser = cli.Parser(
        "audio",
        "Train a GAN on plucked tones that the program makes, conditional on their pitches, and compare the sounds "
        "that it makes when asked for pitches with held-out ones, noises, and those that it made before training.",
    )
    parser.add_shared("--steps", default=STEPS)
    parser.add_shared("--seed", "--seeds", "--quiet")
    parser.add_out(OUT)
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    out = new_folder(arguments.out, OUT)

    def one(seed):
        data_rng, order_rng, noise_rng = (np.random.default_rng([seed, i]) for i in range(3))
        (heard, pitches), (held_out, _) = sounds.plucked(TRAINED, data_rng), sounds.plucked(JUDGED, data_rng)
        real, asked = sounds.plucked(JUDGED, data_rng)
        config = Config.for_preset("wavegan", seed=seed)
        conditions_of, shares = conditions.of_samples(config, heard, pitches)
        gan = GAN(config, heard.shape[1:], shares)
        made = {
            "real": real,
            "white noise": sounds.white_noise(heard, JUDGED, noise_rng),
            "shaped noise": sounds.shaped_noise(heard, JUDGED, noise_rng),
            "untrained": gan.sample(JUDGED, noise_rng, asked),
        }
        seconds = _fit(arguments, gan, heard, conditions_of, order_rng)
        made["GAN"] = gan.sample(JUDGED, noise_rng, asked)
        rising = np.argsort(asked, kind="stable")[:: JUDGED // SHOWN][:SHOWN]

        def draw():
            for name, some in made.items():
                sounds.write_wav(out / f"{name.lower().replace(' ', '_')}.wav", some[rising])
            page = {name: (_pictures(some[rising]), SHOWN) for name, some in made.items()}
            plotting.save_gallery(out / "spectrograms.png", page)

        metrics = {name: sounds.measure(some, asked, held_out) for name, some in made.items()}
        return {"seconds": round(seconds, 1), "metrics": metrics}, draw

    run_seeds(arguments, out, {"steps": arguments.steps, "rate": sounds.RATE, "held_out": JUDGED}, one, COLUMNS)
    print(f"done: listen to {out / 'gan.wav'}, look at {out / 'spectrograms.png'}; metrics in {out / METRICS}")
    return 0


def _fit(arguments, gan, heard, conditions_of, rng):
    """Train on the sounds, given the condition of each (N,); -> seconds."""
    batches = datasets.BatchIterator(len(heard), gan.config.batch_size, rng)
    started = time.perf_counter()

    def step(t):
        chosen = batches.next_indices()
        return gan.train_step(heard[chosen], conditions_of[chosen])

    with cli.progress_bar(arguments.steps, f"seed {gan.config.seed}", arguments.quiet) as watch:
        training_loop.fit(step, arguments.steps, watch=watch)
    return time.perf_counter() - started


def _pictures(some):
    """Spectrograms as pictures (N, frequencies, times, 1) in [-1, 1], high tones above, on a logarithmic scale."""
    logs = np.log(sounds.spectrogram(some)[:, ::-1, :, None] + sounds.FLOOR)
    low, high = math.log(sounds.FLOOR), math.log(sounds.WINDOW / 4)
    return np.clip(2 * (logs - low) / (high - low) - 1, -1, 1).repeat(3, axis=2)


if __name__ == "__main__":
    cli.main("audio", run)
