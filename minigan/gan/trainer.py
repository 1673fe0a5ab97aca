"""The training loop: steps, log, sample pictures, checkpoints, and an eye on how training fails."""

import math
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager, suppress

import numpy as np
from tqdm import tqdm

from minigan import datasets, optim
from minigan.base.errors import RunError
from minigan.metrics import evaluation
from minigan.tools import cli, plotting

LOG_EVERY = 10  # steps
COLUMNS = 10  # of a sample picture
PICTURES_PER_RUN = 30  # unless sample_every is given
SHOWN = {1: 1000, 3: 100}  # fixed samples per picture, by the number of axes of a sample
WON_BELOW = 0.03  # average D(G(z)) under which D is sure of the fakes; healthy runs of the presets stay above 0.06
MEMORY = 100  # steps over which D(G(z)) is averaged, roughly
EARLY = 100  # steps before which samples that are all alike are no surprise
COLLAPSED_BELOW = 0.25  # variety of samples, as a share of real data's; collapsed runs reach 0.2, healthy ones 0.8

NOTES = {
    "won": "the discriminator has won: D(G(z)) is near 0 and G hardly learns; try a smaller --d-lr, --label-smoothing "
    "0.1, --instance-noise 0.2, or another preset",
    "collapsed": "the samples have collapsed: they are nearly all the same; try another --seed, a smaller --lr, "
    "--instance-noise 0.2, or another preset",
    "unconditional": "with feature_matching G follows no condition unless --conditioning concatenation",
}


class Trainer:
    """Trains `gan` on `samples` (uint8 images or float points) and keeps `run` up to date.

    conditions: of each sample (N,), or None, see conditions.of_samples. total_steps: the step to stop at. progress:
    what an earlier part of the run noted, see `_progress`. follower: the evaluation.Follower that looks at the samples
    every config.evaluate_every steps, or None.
    """

    def __init__(self, gan, samples, conditions, batches, run, total_steps, quiet=False, progress=None, follower=None):
        self.gan, self.samples, self.conditions, self.batches = gan, samples, conditions, batches
        self.run, self.total_steps = run, total_steps
        self.sample_every = gan.config.sample_every or max(1, math.ceil(total_steps / PICTURES_PER_RUN))
        self.quiet, self.follower = quiet, follower
        progress = progress or {}
        self.seconds = progress.get("seconds", 0.0)
        self.mean_d_fake = progress.get("mean_d_fake", 0.5)
        self.variety = progress.get("variety")
        self.stop_signal = None
        self.sample_rng_seed = [gan.config.seed, 1]  # apart from the run's own numbers, the same at every picture
        self.shown = SHOWN[len(gan.sample_shape)]
        self.real_variety = _variety(datasets.to_float(samples[: self.shown]))

    def fit(self):
        """Train until total_steps or a signal to stop, and say what is known to be wrong with the run.

        -> the signal's number if that came first, else None. Raises RunError when a loss is not finite; the last
        checkpoint is then as it was.
        """
        gan = self.gan
        if gan.config.feature_matching and gan.conditions.count and gan.config.conditioning != "concatenation":
            print(f"note: {NOTES['unconditional']}", file=sys.stderr)
        started = time.perf_counter() - self.seconds
        if gan.step == 0:
            self._take_picture()
        with self._signals():
            with np.errstate(all="ignore"), self._bar() as bar, open(self.run.log_path, "a", encoding="utf-8") as log:
                while gan.step < self.total_steps and self.stop_signal is None:
                    chosen = self.batches.next_indices()
                    conditions = None if self.conditions is None else self.conditions[chosen]
                    metrics = gan.train_step(datasets.to_float(self.samples[chosen]), conditions)
                    self.seconds = time.perf_counter() - started
                    self._check_finite(metrics)
                    if gan.loss.logits_are_probabilities:
                        self.mean_d_fake += (metrics["d_fake"] - self.mean_d_fake) / MEMORY
                    self._show(bar, metrics)
                    step, last = gan.step, gan.step == self.total_steps
                    if step % self.sample_every == 0 or last:
                        self._take_picture()
                    looked = self.follower is not None and (step % gan.config.evaluate_every == 0 or last)
                    if looked:
                        metrics |= self.follower.measure(gan)
                    if step % LOG_EVERY == 0 or last or looked:
                        self.run.append_log(log, self._row(metrics))
                    if step % gan.config.checkpoint_every == 0 and not last:
                        os.fsync(log.fileno())  # or after a power cut the log might end before the checkpoint
                        self.save()
                os.fsync(log.fileno())
            self.save()
            self._draw_curves()
        for note in self.notes():
            print(f"note: {NOTES[note]}", file=sys.stderr)
        return self.stop_signal if gan.step < self.total_steps else None

    def save(self):
        """Write the checkpoint, unless a number in it is no longer finite."""
        for name, array in self.gan.state().items():
            if array.dtype.kind == "f" and not np.isfinite(array).all():
                raise self._diverged(f"{name} is not finite")
        self.run.save(self.gan, self.batches, self._progress())

    def critic_follows(self):
        """How well the critic's loss follows the quality of the samples, see evaluation.critic_follows; None for other
        losses, which estimate no distance, and for a run without looks at the samples."""
        if self.gan.config.loss != "wasserstein" or self.follower is None:
            return None
        return evaluation.critic_follows(self.run.read_log())

    def notes(self):
        """What is known to be wrong with the run at this moment: keys of NOTES."""
        won = ["won"] if self.mean_d_fake < WON_BELOW else []
        return won + (["collapsed"] if self.variety is not None and self.variety < COLLAPSED_BELOW else [])

    def _progress(self):
        return {"seconds": self.seconds, "mean_d_fake": self.mean_d_fake, "variety": self.variety}

    def _row(self, metrics):
        gan = self.gan
        return {
            "step": gan.step,
            "epoch": f"{self.batches.epoch:.4f}",
            "seconds": f"{self.seconds:.2f}",
            **{name: f"{value:.6g}" for name, value in metrics.items()},
            "d_grad_norm": f"{optim.grad_norm(gan.discriminator):.6g}",
            **({"g_grad_norm": f"{optim.grad_norm(gan.generator):.6g}"} if "g_loss" in metrics else {}),
            "note": " ".join(self.notes()),
        }

    @contextmanager
    def _bar(self):
        """The progress bar. That nobody reads it any more must not keep what was computed from being saved."""
        batch_size = self.gan.config.batch_size
        bar = tqdm(
            total=self.total_steps * batch_size,
            initial=self.gan.step * batch_size,
            desc="first step (compiles on the first run)",
            unit=" images",
            unit_scale=True,
            disable=self.quiet,
            mininterval=cli.interval(),
        )
        try:
            yield bar
        finally:
            with suppress(OSError):
                bar.close()

    def _show(self, bar, metrics):
        """Move the bar; that nobody reads it any more ends the loop after this step, as a signal does."""
        try:
            bar.set_description("training", refresh=False)
            bar.set_postfix({name: f"{value:.3f}" for name, value in metrics.items()}, refresh=False)
            bar.update(self.gan.config.batch_size)
        except OSError:  # a closed pipe, which Windows calls an invalid argument, or a full disk behind 2> FILE
            bar.disable = True
            self.stop_signal = getattr(signal, "SIGPIPE", signal.SIGTERM)  # Windows has none

    def _check_finite(self, metrics):
        for name, value in metrics.items():
            if not math.isfinite(value):
                raise self._diverged(f"{name} is {value}")

    def _diverged(self, what):
        kept = f"the last good checkpoint is {self.run.checkpoint_path}" if self.run.checkpoint_path.exists() else ""
        return RunError(
            f"training diverged at step {self.gan.step}: {what}; try a smaller --lr, --clip-norm 1, or another --loss"
            + (f" ({kept})." if kept else ".")
        )

    def _take_picture(self):
        rng = np.random.default_rng(self.sample_rng_seed)
        classes = self.gan.conditions.classes
        labels = np.arange(self.shown) // COLUMNS % classes if classes else None  # each row shows one class
        z = self.gan.draw_z(self.shown, rng)
        made = self.gan.make(z, self.gan.conditions.draw(self.shown, rng, labels))
        samples, shown = self.gan.preset.to_samples(made), self.gan.preset.to_display(made)
        if not np.isfinite(samples).all():
            raise self._diverged("the samples are not finite")
        if self.gan.step >= EARLY and self.real_variety:  # data that is all alike is no measure
            self.variety = _variety(samples) / self.real_variety
        rows = self.gan.conditions.captions(labels[::COLUMNS]) if classes else None
        plotting.save_samples(self.run.sample_path(self.gan.step), shown, self.samples[:1000], None, rows)

    def _draw_curves(self):
        log = self.run.read_log()
        plotting.save_losses(self.run.losses_path, log)
        if self.follower is not None:
            plotting.save_quality(self.run.quality_path, log, self.follower.real_metrics, self.critic_follows())
        plotting.save_gif(self.run.gif_path, self.run.sample_paths(self.gan.step))

    @contextmanager
    def _signals(self):
        """Ctrl-C, SIGTERM and SIGHUP end the loop after the current step; a second one ends it at once.

        Not so a second SIGHUP: for one closed terminal, both the system and the shell send it.
        """
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def stop(number, frame):
            if self.stop_signal is None:
                self.stop_signal = number
            elif number in (signal.SIGINT, signal.SIGTERM):
                raise KeyboardInterrupt

        numbers = [signal.SIGINT, signal.SIGTERM]
        if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # ignored: nohup
            numbers.append(signal.SIGHUP)
        before = {number: signal.signal(number, stop) for number in numbers}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)


def _variety(samples):
    """√ of the mean variance of an entry over the samples: 0 when they are all the same."""
    return float(np.sqrt(samples.var(axis=0, dtype=np.float64).mean()))
