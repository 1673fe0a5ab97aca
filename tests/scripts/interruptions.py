"""Training that is killed, again and again, at random moments: nothing may be lost but the steps since a checkpoint.

    python tests/scripts/interruptions.py --kills 200

A script to run by hand (test_interruptions.py runs it with few kills). A child trains, is killed by SIGKILL, is resumed
by another child and killed again, until the run is complete; then the next run begins. Half of the kills come at any
moment, the other half is aimed: it waits for the temporary file of a checkpoint, to kill while that is being written.
After each kill are checked: the checkpoint loads, is no older than before, and misses no more steps than there are from
one to the next; the log's rows are complete and follow each other; every picture can be read. After each resume: it
went on with the step after the checkpoint. At the end of a run: its parameters, optimizers, random numbers, log and
pictures are those of a run that was never killed, bit for bit, and no file is left over.

The children are forks of a process that has everything loaded and compiled, so that 200 of them take minutes.
"""

import argparse
import faulthandler
import io
import math
import mmap
import os
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import chdir, redirect_stdout
from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
from training_runs import assert_same, contents, log_rows

from minigan import train
from minigan.base import checkpoint
from minigan.gan import GAN
from minigan.gan.run import Run
from minigan.gan.trainer import LOG_EVERY
from minigan.kernels.parallel import threads

EVERY = 7  # steps between checkpoints
# Points, with all that has a memory: batches that straddle epochs, steps of D alone, noise, an averaged G. Pictures,
# whose checkpoint is larger and takes longer to write.
POINTS = "--preset toy --batch-size 1500 --n-critic 2 --instance-noise 0.1 --ema-decay 0.9 --steps 50 --sample-every 40"
PICTURES = "--preset mlp --dataset pictures.npy --batch-size 16 --ema-decay 0.9 --steps 60 --sample-every 25"
RUNS = {"points": POINTS.split(), "pictures": PICTURES.split()}
PATIENCE = 120.0  # seconds without a checkpoint or an end, after which a child hangs


class Child:
    """A fork of this process that begins the run in `folder`, or resumes it, with its output in `folder`.txt."""

    def __init__(self, folder, flags):
        self.folder, self.output = folder, folder.with_suffix(".txt")
        self.steps = mmap.mmap(-1, 16)  # shared: the first and the last step that the child made
        self.patience, self.looked = PATIENCE, time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            self._train(flags)

    def _train(self, flags):
        status = 70
        try:
            output = os.open(self.output, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
            os.dup2(output, 1)
            os.dup2(output, 2)
            faulthandler.dump_traceback_later(PATIENCE * 0.9, file=2)  # where it hangs, if it does
            original = GAN.train_step

            def train_step(gan, *batch):
                metrics = original(gan, *batch)
                first = self.made()[0] or gan.step
                self.steps[:] = struct.pack("qq", first, gan.step)
                return metrics

            GAN.train_step = train_step
            if (self.folder / "config.json").exists():
                status = train.run(["--resume", str(self.folder), "--quiet"])
            else:
                every = ["--checkpoint-every", str(EVERY)]
                status = train.run(["--out", str(self.folder), "--quiet", *flags, *every])
        except BaseException:
            os.write(2, traceback.format_exc().encode())
        finally:
            os._exit(status)

    def made(self):
        """The first and the last step that the child made, 0 before the first."""
        return struct.unpack("qq", self.steps[:])

    def ended(self):
        """Whether the child came to its end by itself; AssertionError if that was no good end, or it hangs."""
        pid, status = os.waitpid(self.pid, os.WNOHANG)
        if pid == 0:
            now = time.monotonic()
            self.patience -= min(now - self.looked, 0.1)  # a machine that was asleep, or stopped us both, is no hanging
            self.looked = now
            assert self.patience > 0, f"it hangs:\n{self.kill() and self.output.read_text()}"
            return False
        assert status == 0, f"training or resuming ended with status {status >> 8}:\n{self.output.read_text()}"
        return True

    def kill(self):
        """Whether SIGKILL met it alive."""
        os.kill(self.pid, signal.SIGKILL)
        _, status = os.waitpid(self.pid, 0)
        return os.WIFSIGNALED(status)


def writing(folder):
    """The name of what is being written in a run's folder at this moment, such as "checkpoint", or None."""
    for place in (folder, folder / "samples"):
        if place.is_dir():
            for entry in os.scandir(place):
                if ".part" in entry.name:
                    return entry.name.split(".")[1].split("_")[0]
    return None


def wait_for_the_end(child, seconds=math.inf, checkpoint_too=False):
    """Wait so long, then, if so wanted, for a checkpoint being written; True if the child comes to its end before."""
    moment = time.monotonic() + seconds
    while time.monotonic() < moment or (checkpoint_too and writing(child.folder) != "checkpoint"):
        if child.ended():
            return True
        if time.monotonic() < moment:
            time.sleep(0.001)
    return False


def saved_step(folder):
    """The step of the run's checkpoint, which must load; 0 while there is none yet."""
    path = Run(folder).checkpoint_path
    return int(checkpoint.load(path)[0]["step"]) if path.exists() else 0


def check_after_kill(folder, reached, before):
    """What must hold at every moment. reached: the last step made; before: the step of the checkpoint before."""
    saved = saved_step(folder)
    assert saved >= before, f"the checkpoint of step {before} became one of step {saved}"
    lost = reached - saved
    assert lost <= EVERY, f"{lost} steps lost, with a checkpoint every {EVERY}: reached {reached}, saved {saved}"
    if (folder / "log.csv").exists():
        steps = [int(row["step"]) for row in Run(folder)._rows()]
        assert steps == list(range(LOG_EVERY, steps[-1] + 1 if steps else 0, LOG_EVERY)), f"the log has steps {steps}"
        assert (steps[-1] if steps else 0) >= saved - saved % LOG_EVERY, f"the log ends before step {saved}: {steps}"
    check_pictures(folder)
    return saved, max(0, lost)


def check_pictures(folder):
    for path in [*folder.rglob("[!.]*.png"), *folder.glob("[!.]*.gif")]:
        with Image.open(path) as picture:
            for frame in range(getattr(picture, "n_frames", 1)):
                picture.seek(frame)
                picture.load()


def check_complete(folder, never):
    log_rows(folder)
    assert_same(contents(folder), never)
    check_pictures(folder)
    assert writing(folder) is None


def one_run(folder, flags, never, duration, kills, rng):
    """One run, killed up to `kills` times on its way. -> what was being written at each kill, and the steps lost."""
    met, losses, saved = [], [], 0
    while True:
        child = Child(folder, flags)
        aimed = len(met) % 2 == 1
        done = wait_for_the_end(child, *((rng.uniform(0, duration), aimed) if len(met) < kills else ()))
        if not done:
            time.sleep(rng.uniform(0, 0.01) if aimed else 0)
            if child.kill():
                met.append(writing(folder) or "nothing")
            else:
                done = True
        first, reached = child.made()
        if first:
            assert first == saved + 1, f"it went on with step {first}, and the checkpoint was of step {saved}"
        if done:
            check_complete(folder, never)
            return met, losses
        saved, lost = check_after_kill(folder, reached or saved, saved)
        losses.append(lost)


def prepare(folder):
    """What the runs in `folder`, an empty one, need. -> what each of RUNS leaves when not killed, seconds."""
    path = folder / "pictures.npy"
    np.save(path, np.random.default_rng(0).integers(0, 256, (200, 8, 8, 1), dtype=np.uint8))
    RUNS["pictures"] = [str(path) if word == path.name else word for word in RUNS["pictures"]]  # the same from anywhere
    never, durations = {}, {}
    with chdir(folder), redirect_stdout(io.StringIO()):
        for name, flags in RUNS.items():
            # everything is loaded and compiled here, for all that are to come
            train.run(["--out", f"warm-{name}", "--quiet", *flags, "--steps", "2", "--sample-every", "1"])
            started = time.monotonic()
            wait_for_the_end(Child(folder / f"never-{name}", flags))
            never[name], durations[name] = contents(folder / f"never-{name}"), time.monotonic() - started
    return never, durations


def interrupt(folder, never, durations, kills, rng, quiet=True):
    """Kill so many times, in as many runs as it takes; a sentence of what happened. AssertionError where not all is
    well. folder, never, durations: see `prepare`."""
    met, losses, runs, names = [], [], 0, list(never)
    with chdir(folder), tqdm(total=kills, unit=" kills", disable=quiet) as bar:
        while len(met) < kills:
            name, left = names[runs % len(names)], kills - len(met)
            # a quarter of a run between kills, on average: then they meet its beginning, its middle and its end
            seconds = durations[name] / 2
            try:
                more = one_run(folder / f"run-{runs}", RUNS[name], never[name], seconds, left, rng)
            except AssertionError as error:
                raise AssertionError(f"run {runs} ({name}), after {len(met)} kills and more: {error}") from error
            runs += 1
            met, losses = met + more[0], losses + more[1]
            bar.update(len(more[0]))
    parts = ", ".join(f"{name} {count}" for name, count in Counter(met).most_common())
    return (
        f"{len(met)} kills in {runs} runs (being written at that moment: {parts}): always resumed, at most "
        f"{max(losses)} steps lost with a checkpoint every {EVERY}, and every run ended as if never killed."
    )


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=200, metavar="N")
    parser.add_argument("--seed", type=int, default=0, metavar="N", help="of the moments")
    arguments = parser.parse_args(argv)
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, threads.threads(1):
        try:
            place, rng = Path(folder).resolve(), np.random.default_rng(arguments.seed)
            print(interrupt(place, *prepare(place), arguments.kills, rng, quiet=False))
        except AssertionError as error:
            sys.exit(f"FAILED, seed {arguments.seed}: {error}")
    print(f"{time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
