"""python -m minigan.bench: speed and memory of training steps on this machine, beside PyTorch where it is installed."""

import importlib.util
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, suppress
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from minigan.base.errors import InputError, RunError
from minigan.base.files import new_folder, write_json
from minigan.base.processes import ROOT, environment
from minigan.bench import report as bench_report
from minigan.bench import scaling
from minigan.bench.process import Worker
from minigan.gan.config import Config
from minigan.kernels.parallel import threads
from minigan.models import get_preset
from minigan.tools import cli

PRESETS = ("mlp", "listing", "dcgan")  # which PyTorch's side knows too
BATCHES = (64, 128)
REFERENCE = ROOT / "tests" / "torch_reference.py"  # PyTorch is no part of the package
MODES = ("contiguous", "channels_last", "compile")
WITHOUT_CONVOLUTIONS = ("mlp",)  # where the layout of pictures makes no difference
MOST_STEPS = 100  # of one side before the other has its turn


class Budget(NamedTuple):
    """How much is measured. pairs: turns of each side. turn: seconds of one. products: of sgemm. fresh: whether
    PyTorch's best mode gets a new process after the trial, with memory nothing has touched. The others: steps."""

    pairs: int
    turn: float
    warm_up: int
    trial: int
    layers: int
    products: int
    fresh: bool


FULL = Budget(pairs=20, turn=0.2, warm_up=10, trial=10, layers=20, products=5, fresh=True)
QUICK = Budget(pairs=5, turn=0.1, warm_up=4, trial=3, layers=5, products=2, fresh=False)


def parse(argv):
    parser = cli.Parser(
        "bench",
        "Measure training steps on this machine: time, memory, start-up, and where in the step the time goes. Where\n"
        "PyTorch is installed the same networks run there in turns with ours. Leave the machine alone meanwhile.",
    )
    parser.add_argument("--quick", action="store_true", help="under a minute", by_default="several minutes")
    scaling_help = "instead: time and memory of dcgan, or --presets, against batch, picture size and threads"
    parser.add_argument("--scaling", action="store_true", help=scaling_help)
    several = {"metavar": "LIST", "help": "with commas between"}
    parser.add_argument("--presets", **several, by_default=",".join(PRESETS))
    parser.add_argument("--batches", **several, by_default=f"{','.join(map(str, BATCHES))}; --quick: {BATCHES[0]}")
    parser.add_out("runs/bench")
    return parser.parse_args(argv)


def run(argv=None):
    arguments = parse(argv)
    presets = _names(arguments.presets) if arguments.presets is not None else None
    batches = _sizes(arguments.batches) if arguments.batches is not None else None
    out = new_folder(arguments.out, "runs/bench")
    if not os.access(out, os.W_OK):
        raise InputError(f"--out is {out}, a folder that may not be written to; choose another.")
    if arguments.scaling:
        results = {"machine": machine()}
        results |= scaling.measure(presets or ["dcgan"], batches, arguments.quick)
        report, chart = scaling.report, scaling.save_chart
    else:
        results = benchmark(presets or PRESETS, batches or BATCHES[: 1 if arguments.quick else 2], arguments.quick)
        report, chart = bench_report.report, bench_report.save_chart
    name = "scaling" if arguments.scaling else "bench"
    write_json(out / f"{name}.json", results)
    print(report(results))
    chart(out / f"{name}.png", results)
    print(f"\nsaved: {out / name}.json and {out / name}.png")
    return 0


def _names(text):
    return list(dict.fromkeys(get_preset(name.strip()).name for name in text.split(",")))


def _sizes(text):
    if not re.fullmatch(r"\s*\d+\s*(,\s*\d+\s*)*", text):
        raise InputError(f"--batches is {text!r}, expected whole numbers with commas between, such as 64,128.")
    return list(dict.fromkeys(Config(batch_size=int(word)).batch_size for word in text.split(",")))


# ---- the measurements


def benchmark(presets, batches, quick=False):
    """Everything of bench.json: machine, sgemm_gflops, startup, and for each preset and batch its configuration."""
    budget, torch_left_out = QUICK if quick else FULL, why_no_torch()
    modes = MODES[: 2 if quick else 3] if torch_left_out is None else ()
    left_out = []
    if quick:
        left_out = [f"batch {size}" for size in BATCHES if size not in batches]
        left_out += [f"{budget.pairs} turns of each side instead of {FULL.pairs}", "starting with nothing compiled"]
    if quick and modes:
        left_out += ["torch.compile", "a new process for PyTorch's best mode, so its memory is that of the trial too"]
    configurations = [(preset, batch) for preset in presets for batch in batches]
    interactive = sys.stderr.isatty()
    with tqdm(total=1 + len(configurations), desc="start-up", mininterval=cli.interval()) as bar:

        def say(text):
            bar.set_description(text, refresh=interactive)

        start = startup(cold=not quick)
        bar.update()
        entries = []
        for preset, batch in configurations:
            if batch == batches[0]:
                say(f"{preset}: compiling, if that has not been done")
                with _ours(preset, batch) as worker:
                    worker.ask(step=1)
            entries.append(configuration(preset, batch, modes if preset in PRESETS else (), budget, say))
            bar.update()
    sgemm = max(entry.pop("sgemm_gflops") for entry in entries)
    for entry in entries:
        entry["ours"]["share_of_sgemm"] = entry["ours"]["gflops"] / sgemm
    return {
        "machine": machine(),
        "quick": quick,
        "left_out": left_out,
        "torch_left_out": torch_left_out,
        "without_reference": [preset for preset in presets if preset not in PRESETS],
        "sgemm_gflops": sgemm,
        "startup": start,
        "configurations": entries,
    }


def configuration(preset, batch, modes, budget, say=lambda _: None):
    """One preset and batch: our metrics, PyTorch's in the best of these modes, the ratios, and the layers' times."""
    with ExitStack() as stack:
        tried, workers = {}, {}
        for mode in modes:
            say(f"{preset}, batch {batch}: PyTorch, {mode}")
            tried[mode], workers[mode] = _trial(preset, batch, mode, budget, stack)
        known = {mode: trial for mode, trial in tried.items() if "ms" in trial}
        best = min(known, key=lambda mode: known[mode]["ms"], default=None)
        say(f"{preset}, batch {batch}: in turns" if best else f"{preset}, batch {batch}")
        ours, theirs = stack.enter_context(_ours(preset, batch)), []
        if best and budget.fresh:
            theirs = [stack.enter_context(_theirs(preset, batch, best, variant=known[best]["variant"]))]
        elif best:
            theirs = [workers[best]]
        our_turns, *their_turns = take_turns([ours, *theirs], budget)
        say(f"{preset}, batch {batch}: layer by layer")
        entry = {"preset": preset, "batch": batch, "torch": None, "torch_modes": tried, "ratio": None}
        entry |= {"pairwise_ratio": None, "layers": ours.ask(layers=budget.layers)["layers"]}
        entry["kernels"] = ours.ask(kernels=budget.layers)["kernels"]
        entry["sgemm_gflops"] = ours.ask(sgemm=budget.products)["gflops"]
        metrics = _metrics(our_turns, batch)
        flops = ours.ask(flops=1)["flops"]
        metrics["gflops"] = flops / metrics["ms"] / 1e6
        entry |= {"flops": flops, "ours": metrics, "notes": ours.ready["notes"]}
        if best:
            entry["torch"] = _metrics(their_turns[0], batch) | {"mode": best, "variant": known[best]["variant"]}
            entry["ratio"] = entry["torch"]["ms"] / metrics["ms"]
            pairs = zip(their_turns[0]["turns"], our_turns["turns"], strict=True)
            entry["pairwise_ratio"] = float(np.median([np.median(their) / np.median(our) for their, our in pairs]))
        return entry


def take_turns(workers, budget):
    """Let the workers make steps in turns, each while the others sleep.

    -> for each worker {"turns": [[seconds of each step], …], "import_mib", "peak_mib"}.
    """
    counts, results = [], []
    for worker in workers:
        seconds = worker.ask(step=budget.warm_up)["seconds"]
        counts.append(int(np.clip(np.ceil(budget.turn / np.median(seconds)), 2, MOST_STEPS)))
        results.append({"turns": [], "import_mib": worker.ready["import_mib"]})
    for _ in range(budget.pairs):
        for worker, count, result in zip(workers, counts, results, strict=True):
            answer = worker.ask(step=count)
            result["turns"].append(answer["seconds"])
            result["peak_mib"] = answer["peak_mib"]
    return results


def _metrics(measured, batch):
    low, middle, high = (1e3 * float(q) for q in np.percentile(np.concatenate(measured["turns"]), [25, 50, 75]))
    start, peak = measured["import_mib"], measured["peak_mib"]
    return {
        "ms": middle,
        "ms_q1": low,
        "ms_q3": high,
        "steps": sum(map(len, measured["turns"])),
        "images_per_s": 1e3 * batch / middle,
        "import_mib": start,
        "peak_mib": peak,
        "increase_mib": None if peak is None else peak - start,
    }


def _ours(preset, batch):
    return Worker(scaling.OURS, {"preset": preset, "batch": batch, "threads": threads.get_threads()})


def _theirs(preset, batch, mode, **request):
    config = Config.for_preset(preset)
    request |= {"latent_dim": config.latent_dim, "lr": config.lr, "beta1": config.beta1}
    request |= {"preset": preset, "batch": batch, "mode": mode, "threads": threads.get_threads()}
    return Worker([sys.executable, REFERENCE], request | {"sample_shape": get_preset(preset).sample_shape})


def _trial(preset, batch, mode, budget, stack):
    """({"ms", "variant"} of a few steps in this mode or {"reason"} why there are none, the worker, if still open)."""
    if mode == "channels_last" and preset in WITHOUT_CONVOLUTIONS:
        return {"reason": "no convolutions"}, None
    try:
        worker = stack.enter_context(_theirs(preset, batch, mode, trial_steps=budget.trial))
        few = float(np.median(worker.ask(step=budget.trial)["seconds"]))
        seconds = worker.ask(step=max(budget.trial, int(budget.turn / few)))["seconds"]
    except RunError as error:
        return {"reason": str(error).removeprefix(f"{REFERENCE.stem}: ").rstrip(".")}, None
    if budget.fresh:
        worker.close()
    return {"ms": 1e3 * float(np.median(seconds)), "variant": worker.ready["variant"]}, worker


def why_no_torch():
    """One sentence on why there is no comparison, or None where there is one. PyTorch itself is not imported."""
    if importlib.util.find_spec("torch") is None:
        return "not installed here, so nothing is compared"
    if not REFERENCE.exists():
        return "installed, but the networks in PyTorch are only in a clone of the project, so nothing is compared"
    return None


def startup(cold):
    """Seconds: import_s, modules_s of imports in a new process; cold_s (or None) and warm_s of `train --steps 1`.

    cold: with an empty cache of compiled kernels. Otherwise the user's own is used and warmed first.
    """
    with tempfile.TemporaryDirectory(prefix="minigan-bench-") as folder:
        cache = {"NUMBA_CACHE_DIR": f"{folder}/cache"} if cold else {}
        first, second = (_train_seconds(f"{folder}/{name}", cache) for name in ("first", "second"))
    source = (
        "import time; t = [time.perf_counter()]; import minigan; t.append(time.perf_counter()); import minigan.gan; "
        "print(t[1] - t[0], time.perf_counter() - t[0])"
    )
    imports = [_call([sys.executable, "-c", source]).split() for _ in range(2)]
    import_s, modules_s = (min(map(float, seconds)) for seconds in zip(*imports, strict=True))
    return {"import_s": import_s, "modules_s": modules_s, "cold_s": first if cold else None, "warm_s": second}


def _train_seconds(out, extra):
    start = time.perf_counter()
    flags = ["--steps", "1", "--quiet", "--threads", threads.get_threads(), "--out", out]
    _call([sys.executable, "-m", "minigan.train", *flags], extra)
    return time.perf_counter() - start


def _call(command, extra=None):
    command = list(map(str, command))
    process = subprocess.run(command, env=environment(**extra or {}), capture_output=True, text=True, encoding="utf-8")
    if process.returncode:
        words = process.stderr.strip().splitlines() or ["no message"]
        raise RunError(f"{' '.join(command[1:4])} failed: {words[-1]}")
    return process.stdout


def machine():
    """What the metrics belong to: cpu, cores, threads, system, versions, date."""
    versions = {name: _version(name.lower()) for name in ("NumPy", "Numba", "torch")}
    return {
        "cpu": _cpu(),
        "cores": threads.available_cores(),
        "threads": threads.get_threads(),
        "system": f"{platform.system()} {platform.machine()}",
        "versions": {"Python": platform.python_version(), **versions},
        "date": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M"),
    }


def _cpu():
    with suppress(OSError):
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        if found := re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE):
            return found[1]
    return platform.processor() or platform.machine()


def _version(package):
    with suppress(metadata.PackageNotFoundError):
        return metadata.version(package)


if __name__ == "__main__":
    cli.main("bench", run)
