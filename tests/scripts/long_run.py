"""A long training watched from outside: memory, the time of a step and open files must not grow.

    python tests/scripts/long_run.py --minutes 30 --out long_run.png

A script to run by hand on a machine that is otherwise idle (test_long_run.py has a version of seconds). The command
`python -m minigan.train` runs in a process of its own, which knows nothing of being watched and writes its log,
pictures and checkpoints as always; /proc tells its resident memory, processor time and open files, its log the time of
each ten steps. What other programs take of the machine shows in the time by the clock, hardly in the processor time.

The first fifth is the warm-up. The rest is cut into BLOCKS of equal length, and a straight line is laid through the
blocks' medians: neighbouring samples are too alike to count as so many observations, and a step in which a picture was
drawn is no drift. From the scatter around that line comes a 95 % interval of the growth from the first block to the
last. The verdict is "constant" only where all of the interval lies below the tolerance: noise cannot pass for health.
"""

import argparse
import csv
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tqdm import tqdm

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from minigan.base.files import atomic_write

ROOT = Path(__file__).resolve().parents[2]
WARM_UP = 0.2  # of the time
BLOCKS = 12
STUDENT = 2.228  # 97.5 % quantile of Student's t with BLOCKS - 2 degrees of freedom
WINDOWS = 300  # of steps, over which processor time is taken: the system counts it in hundredths of a second
TOLERANCE = {"memory": 0.02, "step": 0.05, "processor": 0.05, "files": 0.02}  # growth, as a share of the level
UNITS = {"memory": "MiB", "step": "ms", "processor": "ms", "files": "files"}
TITLES = {
    "memory": "resident memory",
    "step": "a step, by the clock",
    "processor": "a step, processor time",
    "files": "open files",
}


@dataclass
class Trend:
    """The blocks' medians and the line through them. growth: from the first to the last; margin: half its interval."""

    times: np.ndarray
    medians: np.ndarray
    growth: float
    margin: float

    @property
    def level(self):
        return float(self.medians.mean())

    def verdict(self, tolerance):
        """Either "constant", "grows", or "cannot tell" where the scatter is too large for either."""
        if self.growth + self.margin <= tolerance * self.level:
            return "constant"
        return "grows" if self.growth - self.margin > 0 else "cannot tell"


def trend(times, values):
    """The Trend of values (N,) observed at `times` (N,), which begin with the warm-up."""
    times, values = np.asarray(times, float), np.asarray(values, float)
    first, last = times[0] + WARM_UP * (times[-1] - times[0]), times[-1]
    block = np.floor((times - first) / (last - first) * BLOCKS).astype(int).clip(max=BLOCKS - 1)
    if any((block == i).sum() < 3 for i in range(BLOCKS)):
        raise ValueError(f"{len(times)} observations are too few for {BLOCKS} blocks; watch for longer")
    middles = np.array([times[block == i].mean() for i in range(BLOCKS)])
    medians = np.array([np.median(values[block == i]) for i in range(BLOCKS)])
    x = middles - middles.mean()
    slope = (x @ medians) / (x @ x)
    rest = medians - medians.mean() - slope * x
    error = np.sqrt(rest @ rest / (BLOCKS - 2) / (x @ x))
    span = middles[-1] - middles[0]
    return Trend(middles, medians, float(slope * span), float(STUDENT * error * span))


def watch(command, run, seconds, quiet=True):
    """Observe a training for so long. -> for each of UNITS (times in s, values).

    command: what starts it; run: the folder it writes; it is ended by SIGTERM. RuntimeError where it ends by itself.
    """
    every, samples = seconds / 600, []
    with (
        open(Path(run).with_suffix(".txt"), "w+") as said,
        subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT) as process,
        tqdm(total=round(seconds), unit=" s", disable=quiet) as bar,
    ):
        try:
            while len(_log(run)) < 1:  # its data is loaded and its kernels are compiled
                _check_alive(process, said)
                time.sleep(0.05)
            started, offset = time.monotonic(), float(_log(run)[-1]["seconds"])  # of the log's clock
            while (now := time.monotonic() - started) < seconds:
                _check_alive(process, said)
                samples.append((offset + now, *_sample(Path("/proc", str(process.pid)))))
                bar.update(int(now) - bar.n)
                time.sleep(every)
        finally:
            process.send_signal(signal.SIGTERM)
    times, memory, processor, files = np.array(samples).T
    steps, ends = np.array([(float(row["step"]), float(row["seconds"])) for row in _log(run)]).T
    steps, ends = steps[ends <= times[-1]], ends[ends <= times[-1]]
    each = slice(None, None, math.ceil(len(ends) / WINDOWS))
    used = np.interp(ends[each], times, processor)
    return {
        "memory": (times, memory),
        "step": (ends[1:], 1000 * np.diff(ends) / np.diff(steps)),
        "processor": (ends[each][1:], 1000 * np.diff(used) / np.diff(steps[each])),
        "files": (times, files),
    }


def _sample(proc):
    """A process's resident memory in MiB, the processor time it has used in s, and its open files."""
    pages = int((proc / "statm").read_text().split()[1])
    ticks = sum(map(int, (proc / "stat").read_text().rpartition(")")[2].split()[11:13]))  # in user and in system mode
    memory = pages * os.sysconf("SC_PAGE_SIZE") / 2**20
    return memory, ticks / os.sysconf("SC_CLK_TCK"), len(os.listdir(proc / "fd"))


def _check_alive(process, said):
    if process.poll() is not None:
        said.seek(0)
        raise RuntimeError(f"the training ended by itself, with status {process.returncode}:\n{said.read()}")


def _log(run):
    """The rows of a run's log that are written to their end."""
    path = Path(run) / "log.csv"
    text = path.read_text() if path.exists() else ""
    return list(csv.DictReader(text[: text.rfind("\n") + 1].splitlines()))


def judge(observed):
    """-> the Trend and the verdict on each quantity."""
    trends = {name: trend(*series) for name, series in observed.items()}
    return trends, {name: found.verdict(TOLERANCE[name]) for name, found in trends.items()}


def table(trends, verdicts):
    """A Markdown table of the verdicts."""
    lines = [
        "| | level | growth, 95 % interval | an hour | allowed | verdict |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for name, found in trends.items():
        hourly = found.growth / (found.times[-1] - found.times[0]) * 3600
        lines.append(
            f"| {TITLES[name]} | {found.level:.1f} {UNITS[name]} | {found.growth:+.2f} ± {found.margin:.2f} | "
            f"{hourly:+.1f} | {TOLERANCE[name] * found.level:.2f} | {verdicts[name]} |"
        )
    return "\n".join(lines)


def draw(path, observed, trends, verdicts):
    """What was observed, and the blocks' medians, as a .png."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 8), layout="constrained")
    for axes, (name, (times, values)) in zip(
        figure.subplots(len(observed), sharex=True), observed.items(), strict=True
    ):
        axes.plot(np.asarray(times) / 60, values, ".", color="#bbbbbb", markersize=2)
        axes.plot(trends[name].times / 60, trends[name].medians, "o-", color="#d62728", markersize=4)
        axes.set(ylabel=UNITS[name], ylim=(0, 1.3 * float(np.percentile(values, 99))))
        axes.set_title(f"{TITLES[name]}: {verdicts[name]}", fontsize=10)
        axes.grid(alpha=0.3)
    axes.set_xlabel("minutes")
    with atomic_write(path) as temporary:
        figure.savefig(temporary, dpi=100)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30, metavar="X")
    parser.add_argument("--preset", default="digits", metavar="NAME")
    parser.add_argument("--out", default="long_run.png", metavar="FILE.png")
    arguments = parser.parse_args(argv)
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "run")
        command = [
            sys.executable,
            "-m",
            "minigan.train",
            "--preset",
            arguments.preset,
            "--steps",
            str(10**9),
            "--quiet",
        ]
        command += ["--checkpoint-every", "200", "--sample-every", "200", "--out", str(run)]
        observed = watch(command, run, 60 * arguments.minutes, quiet=False)
    trends, verdicts = judge(observed)
    draw(arguments.out, observed, trends, verdicts)
    rows = len(observed["step"][0]) + 1
    print(f"{arguments.preset}, {arguments.minutes:g} minutes, {10 * rows} steps, see {arguments.out}")
    print(table(trends, verdicts))
    sys.exit(0 if set(verdicts.values()) == {"constant"} else 1)


if __name__ == "__main__":
    main()
