"""What a training step costs: its multiply-adds counted from the shapes, its time by layer, and the worker for both."""

import math
import time
from collections import defaultdict
from typing import NamedTuple

import numpy as np

from minigan import bench_process
from minigan.gan import build_gan
from minigan.kernels import threads
from minigan.layers import Conv2D, ConvTranspose2D, Dense

SGEMM_SIZES = (1024, 1536, 2048)  # rows and columns of the products that show what the machine can do
PLAYERS = ("generator", "discriminator")


# ---- counting


class Work(NamedTuple):
    """FLOPs of one training step in one layer, two for each multiply-add of the direct algorithm."""

    forward: int
    input_grad: int
    weight_grad: int


def multiply_adds(layer, input_shape):
    """Multiply-adds of the layer's forward pass for one sample; either gradient takes as many again.

    Dense: D·F. Conv2D: OH·OW·KH·KW·I·O. ConvTranspose2D: H·W·KH·KW·I·O, with its input's pixels. Others: 0. Of a layer
    around one of these (spectral norm, equalised rate): those of the one within.
    """
    layer = getattr(layer, "layer", layer)
    if isinstance(layer, Dense):
        return layer.in_features * layer.out_features
    if isinstance(layer, Conv2D | ConvTranspose2D):
        pixels = input_shape if isinstance(layer, ConvTranspose2D) else layer.output_shape(input_shape)
        return math.prod(pixels[:2]) * math.prod(layer.kernel_size) * layer.in_channels * layer.out_channels
    return 0


def layer_work(gan, batch):
    """{(player, index): Work} of a training step on `batch` real samples with one discriminator step.

    d_step judges 2·batch samples, backward through all but the first layer with parameters to the weights of all.
    g_step judges `batch` and goes back through the whole of D to its input, and through G likewise to its weights.
    """
    work = {}
    shapes = {"generator": (gan.config.latent_dim + gan.conditions.count,), "discriminator": gan.sample_shape}
    for player, shape in shapes.items():
        layers = getattr(gan, player).layers
        first = next(i for i, layer in enumerate(layers) if layer.params)
        for i, layer in enumerate(layers):
            flops = 2 * batch * multiply_adds(layer, shape)
            inner = flops * (i != first)
            if player == "generator":
                work[player, i] = Work(flops, inner, flops)
            else:
                work[player, i] = Work(2 * flops + flops, 2 * inner + flops, 2 * flops)
            shape = layer.output_shape(shape)
    return work


def step_flops(gan, batch):
    """FLOPs of one training step on `batch` real samples."""
    return sum(sum(work) for work in layer_work(gan, batch).values())


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
    """Where the milliseconds of a training step go: a list of dicts, one per layer, and "everything else" at the end.

    Each has network, layer, forward_ms, input_grad_ms, weight_grad_ms, optimizer_ms, total_ms, share of the step, and
    gflops. Medians of `steps` steps, timed inside the step. Two things are shared out rather than timed: a backward
    pass that makes both gradients, in the ratio of the two made one at a time, in further steps; and an optimizer's
    step, by the number of parameters. A layer without a weight has all of its backward pass under input_grad.
    """
    whole = _clocked_steps(gan, (real, conditions), steps, split=False)
    apart = _clocked_steps(gan, (real, conditions), steps, split=True)
    work, step_ms, rows = layer_work(gan, len(real)), whole["step"], []
    for player in PLAYERS:
        layers = getattr(gan, player).layers
        sizes = [sum(param.size for param in layer.params.values()) for layer in layers]
        for i, layer in enumerate(layers):
            key = player, i
            if (*key, "forward") not in whole:  # the layer before has applied it in its own pass over memory
                rows[-1]["layer"] += f" + {layer!r}"
                continue
            both = whole.get((*key, "both"), 0.0)
            parts = [apart.get((*key, f"both {kind}"), 0.0) for kind in ("input", "weight")]
            of_input, of_weight = (both * part / (sum(parts) or 1) for part in parts)
            times = {
                "forward_ms": whole[*key, "forward"],
                "input_grad_ms": whole.get((*key, "input"), 0.0) + of_input,
                "weight_grad_ms": whole.get((*key, "weight"), 0.0) + of_weight,
                "optimizer_ms": whole[player, "optimizer"] * sizes[i] / sum(sizes),
            }
            rows.append(_row(player, repr(layer), times, step_ms, sum(work[key])))
    rest = step_ms - sum(row["total_ms"] for row in rows)
    rows.append(_row("", "everything else", {}, step_ms, 0) | {"total_ms": rest, "share": rest / step_ms})
    return rows


def _row(player, name, times, step_ms, flops):
    names = ("forward_ms", "input_grad_ms", "weight_grad_ms", "optimizer_ms")
    total = sum(times.values())
    passes = total - times.get("optimizer_ms", 0.0)
    return {
        "network": player,
        "layer": name,
        **{key: times.get(key, 0.0) for key in names},
        "total_ms": total,
        "share": total / step_ms,
        "gflops": flops / passes / 1e6 if flops else None,
    }


def _clocked_steps(gan, batch, steps, split):
    """{key: median ms per step} of `steps` steps; split: make both gradients of a layer one at a time."""
    records = []
    with _Clocks(gan, split) as spent:
        for _ in range(steps + 1):  # the first is not counted
            spent.clear()
            start = time.perf_counter()
            gan.train_step(*batch)
            spent["step"] = time.perf_counter() - start
            records.append(dict(spent))
    keys = {key: None for record in records[1:] for key in record}  # in order
    return {key: 1e3 * float(np.median([record.get(key, 0.0) for record in records[1:]])) for key in keys}


class _Clocks:
    """`with _Clocks(gan, split) as spent:` — the seconds spent in each method of each layer add up in `spent`.

    The methods are shadowed by attributes of the instances, so that their classes, which Sequential looks at, stay.
    """

    def __init__(self, gan, split):
        self.gan, self.split, self.spent, self.shadowed = gan, split, defaultdict(float), []

    def __enter__(self):
        for player in PLAYERS:
            for i, layer in enumerate(getattr(self.gan, player).layers):
                self._shadow(layer, "forward", self._timed(layer.forward, (player, i, "forward")))
                self._shadow(layer, "backward", self._backward(layer, (player, i)))
        for player, optimizer in (("generator", self.gan.g_optimizer), ("discriminator", self.gan.d_optimizer)):
            self._shadow(optimizer, "step", self._timed(optimizer.step, (player, "optimizer")))
        return self.spent

    def __exit__(self, *_):
        for owner, name in self.shadowed:
            delattr(owner, name)

    def _shadow(self, owner, name, method):
        setattr(owner, name, method)
        self.shadowed.append((owner, name))

    def _timed(self, method, key):
        def call(*arguments, **options):
            start = time.perf_counter()
            result = method(*arguments, **options)
            self.spent[key] += time.perf_counter() - start
            return result

        return call

    def _backward(self, layer, key):
        method = layer.backward

        def call(grad_output, need_param_grads=True, need_input_grad=True, replace_grads=False):
            has_weight = "weight" in layer.params
            needs = {"need_param_grads": need_param_grads, "need_input_grad": need_input_grad}
            needs["replace_grads"] = replace_grads
            if not (has_weight and need_param_grads and need_input_grad):
                kind = "weight" if has_weight and need_param_grads else "input"
                return self._timed(method, (*key, kind))(grad_output, **needs)
            if not self.split:
                return self._timed(method, (*key, "both"))(grad_output, **needs)
            remembered = layer._cache  # a backward pass uses it up
            grad_input = self._timed(method, (*key, "both input"))(grad_output, need_param_grads=False)
            layer._cache = remembered
            self._timed(method, (*key, "both weight"))(grad_output, need_input_grad=False, replace_grads=replace_grads)
            return grad_input

        return call


# ---- the worker


def _build(request):
    threads.set_threads(request["threads"])
    batch = request["batch"]
    gan = build_gan(request["preset"], batch_size=batch, sample_shape=request.get("sample_shape"))
    rng = np.random.default_rng(1)
    real = np.tanh(rng.standard_normal((batch, *gan.sample_shape), dtype=np.float32))
    conditions = gan.conditions.draw(batch, rng)

    def step():
        with np.errstate(all="ignore"):
            gan.train_step(real, conditions)

    tasks = {
        "step": bench_process.timed(step),
        "layers": lambda steps: {"layers": layer_times(gan, real, steps, conditions)},
        "sgemm": lambda repeats: {"gflops": sgemm_gflops(repeats)},
    }
    return tasks, {"flops": step_flops(gan, batch)}


if __name__ == "__main__":
    bench_process.serve(_build)
