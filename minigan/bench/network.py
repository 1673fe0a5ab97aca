"""The time of a training step by layer, and the worker that makes the steps which are measured."""

import time
from collections import defaultdict
from contextlib import ExitStack

import numpy as np

from minigan.bench import process
from minigan.bench.kernels import earned
from minigan.bench.work import layer_work, leaves, random_batch, rows, shadow, step_flops
from minigan.gan import build_gan
from minigan.kernels.parallel import threads

SGEMM_SIZES = (1024, 1536, 2048)  # rows and columns of the products that show what the machine can do
GROWN = 1000  # lengths of a stage: networks that grow have long been full-size


# ---- timing


def sgemm_gflops(repeats):
    """The most GFLOP/s that this machine shows in a float32 matrix product, the best of `repeats` per size."""
    rng, best = np.random.default_rng(0), 0.0
    for size in SGEMM_SIZES:
        a, b = (rng.standard_normal((size, size), dtype=np.float32) for _ in range(2))
        out = np.empty_like(a)
        for _ in range(repeats + 1):  # the first finds the pages of out
            start = time.perf_counter()
            np.matmul(a, b, out=out)
            best = max(best, 2 * size**3 / (time.perf_counter() - start) / 1e9)
    return best


def layer_times(gan, real, steps, conditions=None):
    """Where the milliseconds of a training step go: a list of dicts, one per row, and "everything else" at the end.

    A row is a layer of a chain, or a named part of a network that is none, see work.rows. Each has network,
    layer, forward_ms, input_grad_ms, weight_grad_ms, optimizer_ms, total_ms, share of the step, and gflops. Medians of
    `steps` cycles of n_critic steps, divided by n_critic, timed inside the step. Two things are shared out rather than
    timed: a row's backward passes, in the ratio of the two gradients made one at a time, in further steps, by the
    layers within; and an optimizer's step, by the number of parameters. A layer without one weight of that name has all
    of its backward passes under input_grad. The tangent pass of a penalty on D's gradient is a forward pass here, and
    what it adds to the weights' gradients a backward one.
    """
    whole = _clocked_steps(gan, (real, conditions), steps, split=False)
    apart = _clocked_steps(gan, (real, conditions), steps, split=True)
    work, step_ms, found = layer_work(gan, len(real)), whole["step"], []
    places = list(rows(gan))
    sizes = {(player, i): sum(param.size for param in layer.params.values()) for player, i, _, layer in places}
    for player, i, name, _ in places:
        key = player, i
        both, of_player = whole.get((*key, "backward"), 0.0), sum(sizes[at] for at in sizes if at[0] == player)
        parts = [apart.get((*key, kind), 0.0) for kind in ("input", "weight")]
        times = [
            whole.get((*key, "forward"), 0.0),
            *(both * part / (sum(parts) or 1) for part in parts),
            whole[player, "optimizer"] * sizes[key] / of_player,
        ]
        found.append(_row(player, name, times, sum(times), step_ms, sum(work[key])))
    rest = step_ms - sum(row["total_ms"] for row in found)
    return [*found, _row("", "everything else", [0.0] * 4, rest, step_ms, 0)]


def _row(player, name, times, total, step_ms, flops):
    """times: of the three passes and the optimizer, in ms."""
    return {
        "network": player,
        "layer": name,
        **dict(zip(("forward_ms", "input_grad_ms", "weight_grad_ms", "optimizer_ms"), times, strict=True)),
        "total_ms": total,
        "share": total / step_ms,
        "gflops": flops / sum(times[:3]) / 1e6 if flops else None,
    }


def _clocked_steps(gan, batch, cycles, split):
    """{key: median ms per step} of so many cycles of n_critic steps; split: see _start_clocks."""
    records, per = [], gan.config.n_critic
    with ExitStack() as stack:
        spent = _start_clocks(stack, gan, split)
        for _ in range(cycles + 1):  # the first is not counted
            spent.clear()
            start = time.perf_counter()
            for _ in range(per):
                gan.train_step(*batch)
            spent["step"] = time.perf_counter() - start
            records.append(dict(spent))
    keys = {key: None for record in records[1:] for key in record}  # in order
    return {key: 1e3 / per * float(np.median([record.get(key, 0.0) for record in records[1:]])) for key in keys}


def _start_clocks(stack, gan, split):
    """-> {key: seconds}, to which the passes of each row add what they take, until the ExitStack closes.

    split: instead, what the two gradients of the layers within each row take, made one at a time.
    """
    spent = defaultdict(float)

    def timed(method, key):
        def call(*arguments, **options):
            start = time.perf_counter()
            result = method(*arguments, **options)
            spent[key] += time.perf_counter() - start
            return result

        return call

    def one_at_a_time(layer, key):
        method = layer.backward

        def call(grad_output, need_param_grads=True, need_input_grad=True):
            needs = need_param_grads, need_input_grad
            has_weight = "weight" in layer.params and need_param_grads
            if not (has_weight and need_input_grad):
                return timed(method, (*key, "weight" if has_weight else "input"))(grad_output, *needs)
            remembered = layer.remembered  # a backward pass uses it up
            grad_input = timed(method, (*key, "input"))(grad_output, need_param_grads=False)
            layer.remembered = remembered
            timed(method, (*key, "weight"))(grad_output, need_input_grad=False)
            return grad_input

        return call

    for player, i, _, row in rows(gan):
        for layer in leaves(row):
            for name, kind in (("jvp", "forward"), ("jvp_backward", "weight" if split else "backward")):
                shadow(stack, layer, name, timed(getattr(layer, name), (player, i, kind)))
            if split:
                shadow(stack, layer, "backward", one_at_a_time(layer, (player, i)))
        for name in () if split else ("forward", "backward"):
            shadow(stack, row, name, timed(getattr(row, name), (player, i, name)))
    for player, optimizer in (("generator", gan.g_optimizer), ("discriminator", gan.d_optimizer)):
        shadow(stack, optimizer, "step", timed(optimizer.step, (player, "optimizer")))
    return spent


# ---- the worker


def _build(request):
    """The tasks of this worker; with "ready" it says what is to be known of the preset's metrics, in words."""
    threads.set_threads(request["threads"])
    batch = request["batch"]
    gan, notes = build_gan(request["preset"], batch_size=batch, sample_shape=request.get("sample_shape")), []
    if gan.config.n_critic > 1:
        notes.append(f"a step is the mean over {gan.config.n_critic}, in one of which G moves")
    if hasattr(gan.generator, "grow"):
        gan.step = GROWN * gan.config.grow_steps * gan.config.n_critic
        notes.append("at full size, where it ends")
    real, conditions = random_batch(gan, batch)

    def cycle():
        with np.errstate(all="ignore"):
            for _ in range(gan.config.n_critic):
                gan.train_step(real, conditions)

    tasks = {
        "step": process.timed(cycle, gan.config.n_critic),
        "layers": lambda cycles: {"layers": layer_times(gan, real, cycles, conditions)},
        "kernels": lambda steps: {"kernels": earned(cycle, steps)},
        "sgemm": lambda repeats: {"gflops": sgemm_gflops(repeats)},
        "flops": lambda count: {"flops": count * step_flops(gan, batch)},  # after what is measured: it needs memory
    }
    return tasks, {"notes": notes}


if __name__ == "__main__":
    process.serve(_build)
