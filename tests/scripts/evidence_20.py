"""What notebook 20 says of one machine (clock, peak, products, bandwidth, Adam) -> notebooks/evidence/20.json.

    python tests/scripts/evidence_20.py

About half a minute. Everything but the hand-over is measured as the processor time of one thread, several times, so
that other work on the machine disturbs little; of the hand-over the shortest counts.
"""

import datetime
import json
import os
import sys
import time
from pathlib import Path

import numba
import numpy as np

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from minigan import optim
from minigan.kernels import pointwise, updates
from minigan.kernels.parallel import threads

COMMAND, ROUNDS = "python tests/scripts/evidence_20.py", 5
CHAIN, PRODUCT, LARGE = 300_000, 768, 1 << 23  # steps, rows and columns, numbers


@numba.njit(nogil=True)
def dependent_chain(steps):
    """Six operations a step, each of which needs the one before and takes a cycle."""
    x = np.uint64(88172645463325252)
    for _ in range(steps):
        x ^= x << np.uint64(13)
        x ^= x >> np.uint64(7)
        x ^= x << np.uint64(17)
    return x


@numba.njit(nogil=True)
def nothing(start, stop):
    pass


def best(call, repeats, clock=time.thread_time):
    seconds = []
    for _ in range(repeats):
        start = clock()
        call()
        seconds.append(clock() - start)
    return min(seconds)


def one_round(large, lanes):
    settings, (a, b, old, _) = (3, 1e-3, 0.9, 0.999, 1e-8), large
    constants = [np.float32(c) for c in (0.9, 0.1, 0.999, 0.001, 3.69e-3, 18.3, 1e-8)]
    square = np.random.default_rng(0).standard_normal((PRODUCT, PRODUCT), dtype=np.float32)
    hertz = 6 * CHAIN / best(lambda: dependent_chain(CHAIN), 30)
    product = 2 * PRODUCT**3 / best(lambda: square @ square, 15)
    bandwidth = 12 * LARGE / best(lambda: pointwise.add(a, b), 8)
    kernel = best(lambda: updates._adam(0, LARGE, *large, *constants), 5) / LARGE
    formula = best(lambda: optim.adam(*large, *settings), 3) / LARGE
    return {
        "clock_ghz": hertz / 1e9,
        "peak_gflops": 2 * lanes * hertz / 1e9,
        "product_of_peak": product / (2 * lanes * hertz),
        "bandwidth_gb": bandwidth / 1e9,
        "adam_kernel_ns": 1e9 * kernel,
        "adam_kernel_of_predicted": kernel / (28 / bandwidth),
        "adam_formula_ns": 1e9 * formula,
        "adam_formula_of_predicted": formula / (128 / bandwidth),
        "sum_into_new_over_old": best(lambda: a + b, 5) / best(lambda: np.add(a, b, out=old), 5),
    }


def main():
    text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next(line.split(":")[1].strip() for line in text.splitlines() if line.startswith("model name"))
    lanes = 16 if "avx512f" in text else 8 if "avx2" in text else 4
    dependent_chain(10)
    nothing(0, 1)
    large = np.ones((4, LARGE), np.float32)
    with threads.threads(1), threads.one_blas_thread:
        rounds = [one_round(large, lanes) for _ in range(ROUNDS)]
    with threads.threads(min(2, threads.available_cores())):
        call = lambda: threads.run(nothing, 2, 10 * threads.WORTHWHILE)  # noqa: E731
        handover = best(call, 20_000, time.perf_counter)
    evidence = {
        "command": COMMAND,
        "date": datetime.date.today().isoformat(),
        "machine": {"model": model, "lanes": lanes, "cores": threads.available_cores()},
        "load_of_the_machine": round(os.getloadavg()[0], 1),
        "handover_us": round(1e6 * handover, 2),
        "rounds": [{key: round(value, 3) for key, value in found.items()} for found in rounds],
    }
    out = json.dumps(evidence, indent=1)
    (ROOT / "notebooks" / "evidence" / "20.json").write_text(out + "\n", encoding="utf-8")
    print(out)


if __name__ == "__main__":
    main()
