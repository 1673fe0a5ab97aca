"""Does a hand-written backward pass compute the derivative of its forward pass?

For a layer with output `out`, let R be fixed standard normal numbers and

    J(θ, x) = Σ out · R,        so that  ∂J/∂out = R.

`backward(R)` then has to return ∂J/∂x and to add ∂J/∂θ to `grads`. Central differences say what these should be:

    n_i = (J(θ + h e_i) − J(θ − h e_i)) / 2h,        wrong by about h² from the curvature and ε/h from rounding.

Everything runs in float64 on copies. An array of analytic values a passes when both hold:

    max|a − n| / max(|a| + |n|) ≤ tolerance                       the array as a whole,
    |a_i − n_i| ≤ √tolerance · (|a_i| + |n_i|) + rounding         every entry, so that no small one hides.

Why not J = Σ out? After batch norm that sum is constant, so its gradient is zero whatever the code does.
"""

import copy
import inspect
from dataclasses import dataclass, field

import numpy as np

from minigan.errors import InputError

EPSILON = np.finfo(np.float64).eps
TINY = np.finfo(np.float64).tiny


@dataclass
class Row:
    """One line of a report: an array whose gradient was compared, or a rule of the layer contract (`checked` = 0)."""

    name: str
    ok: bool
    cause: str = ""  # of a failure, as far as it can be guessed
    error: float = 0.0
    excess: float = 0.0  # how many times the allowed difference; above 1 is a failure
    shape: tuple = ()
    checked: int = 0
    size: int = 0
    kinks: int = 0  # entries not judged, since the objective has a corner there
    index: tuple | None = None  # the entry furthest off; None: the random direction
    analytic: float | None = None
    numeric: float | None = None

    def __str__(self):
        if not self.checked:
            return f"{self.name}: {self.cause}"
        where = "along a random direction" if self.index is None else str([int(i) for i in self.index])
        return f"{self.name} {where}: analytic {self.analytic:.8g}, numeric {self.numeric:.8g}. {self.cause}"


@dataclass
class Report:
    """What a check found. `bool(report)` and `report.ok` say whether all is well, `print(report)` says the rest."""

    tolerance: float
    h: float
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def ok(self):
        """True when every row is, and at least one gradient was compared: a check of nothing is no success."""
        return any(row.checked for row in self.rows) and all(row.ok for row in self.rows)

    @property
    def worst(self):
        """The row furthest beyond what it is allowed; a wrong gradient before a broken rule. None without rows."""
        return max(self.rows, key=lambda row: (not row.ok, row.checked > 0, row.excess), default=None)

    def __bool__(self):
        return self.ok

    def __str__(self):
        cells = [("checked", "shape", "entries", "error", "verdict")]
        for row in self.rows:
            numbers = (str(row.shape), f"{row.checked} of {row.size}", f"{row.error:.1e}") if row.checked else ("",) * 3
            cells.append((row.name, *numbers, "ok" if row.ok else "WRONG"))
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        table = ["  ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)).rstrip() for line in cells]
        failed = [row for row in self.rows if not row.ok]
        if failed:
            verdict = "WRONG: " + ", ".join(row.name for row in failed)
        elif self.ok:
            verdict = f"OK: analytic and numeric gradients agree (tolerance {self.tolerance:g}, h = {self.h:g})"
        else:
            verdict = "WRONG: no gradient was compared"
        return "\n".join([*table, "", *(f"- {row}" for row in failed), *(f"note: {n}" for n in self.notes), verdict])

    def rule(self, name, problem):
        """Append a row for one rule; `problem()` returns None or a sentence. What it raises is a sentence too."""
        try:
            sentence = problem()
        except Exception as error:
            sentence = f"raised {type(error).__name__}: {error}"
        self.rows.append(Row(name, True) if sentence is None else Row(name, False, sentence, np.inf, np.inf))
        return sentence is None

    def run(self, trial, max_entries, seed):
        """Fill the report: does it run, is every gradient right, does every rule hold?"""
        with np.errstate(all="ignore"):
            if not self.rule("forward and backward run", trial.runs):
                return self
            for name, (array, gradient) in trial.compared.items():
                try:
                    row = _compare(name, array, gradient, trial, self.tolerance, self.h, max_entries, seed)
                except Exception as error:
                    row = Row(name, False, f"raised {type(error).__name__} nearby: {error}", np.inf, np.inf)
                self.rows.append(row)
                if row.kinks:
                    self.notes.append(
                        f"{name}: {row.kinks} entries lie near a kink (as ReLU has at 0), where there is no derivative to"
                        f" compare with; choose inputs further than 10h = {10 * self.h:g} away from it"
                    )
            for name, rule in trial.rules.items():
                self.rule(name, rule)
            self.notes += trial.notes
        return self


def numerical_gradient(f, x, h=1e-5):
    """Central differences (f(x + h e_i) − f(x − h e_i)) / 2h of a scalar function, for every entry of a float64 array.

    `f` is called with `x` itself, one entry moved at a time; afterwards `x` is as before. Returns an array like `x`.
    """
    if not isinstance(x, np.ndarray) or x.dtype != np.float64:
        got = getattr(x, "dtype", type(x).__name__)
        raise InputError(f"numerical_gradient needs a float64 array, not {got}: a step of {h:g} drowns in the rounding")
    gradient = np.empty_like(x)
    for index in np.ndindex(x.shape):
        kept = x[index]
        try:
            x[index] = kept + h
            above = f(x)
            x[index] = kept - h
            gradient[index] = (above - f(x)) / (2 * h)
        finally:
            x[index] = kept
    return gradient


def check_gradients(layer, x, *, training=True, tolerance=1e-7, h=1e-5, max_entries=400, seed=0):
    """Compare `layer.backward` with central differences of `layer.forward` at `x`, and test the layer contract.

    The gradients of J = Σ forward(x) · R with respect to every parameter and the input (unless `x` holds integers) are
    compared; of an array with more than `max_entries` entries a random subset, and the derivative along one random
    direction through all of them. `seed` draws R and these. `layer` and `x` are left as they are.

    Returns a `Report`, and never raises: what the layer raises becomes a failed row.
    """
    return Report(tolerance, h).run(_LayerTrial(layer, x, training, seed), max_entries, seed)


def check_function(f, *arrays, names=None, tolerance=1e-7, h=1e-5, max_entries=400, seed=0):
    """The same for a function: `f(*arrays)` returns `(value, grad_1, …, grad_k)`, a scalar and a gradient per array.

    For losses and penalties. `names` are those of the arrays in the report. Returns a `Report`, and never raises.
    """
    return Report(tolerance, h).run(_FunctionTrial(f, arrays, names), max_entries, seed)


class _FunctionTrial:
    """A function with float64 copies of its arrays."""

    def __init__(self, f, arrays, names):
        self.f, self.given = f, arrays
        self.names = names or [f"array {i}" for i in range(len(arrays))]
        self.rules = {"inputs left unchanged": self.inputs_unchanged}
        self.notes = []

    def runs(self):
        self.arrays = [np.array(array, dtype=np.float64) for array in self.given]
        self.input = self.arrays[0]
        value, *gradients = self.f(*copy.deepcopy(self.arrays))
        if np.ndim(value) != 0:
            return f"the value must be a scalar; its shape is {np.shape(value)}"
        if not _agree(self.objective(), np.array([value])):
            return "two calls on the same arrays return different values: does it draw random numbers?"
        compared = zip(self.names, self.arrays, gradients, strict=True)  # as many gradients as arrays, or it raises
        self.compared = {name: (array, gradient) for name, array, gradient in compared}
        problems = (_misfit(f"gradient of {k}", g, a.shape, np.float64) for k, (a, g) in self.compared.items())
        return next(filter(None, problems), None)

    def objective(self):
        return np.array([self.f(*copy.deepcopy(self.arrays))[0]], dtype=np.float64)

    def inputs_unchanged(self):
        arrays = copy.deepcopy(self.arrays)
        self.f(*arrays)
        changed = [name for name, a, b in zip(self.names, arrays, self.arrays, strict=True) if not _identical(a, b)]
        return f"the function changes {', '.join(changed)} in place: work on a copy" if changed else None


class _LayerTrial:
    """A float64 copy of a layer with its input. It is never run itself: every pass runs on a copy of it, so that
    running statistics and random generators start from the same state each time."""

    def __init__(self, layer, x, training, seed):
        self.original, self.given, self.training, self.seed = layer, x, training, seed
        self.notes = []
        self.rules = {
            "inputs left unchanged": self.inputs_unchanged,
            "gradients accumulate": self.accumulates,
            "need_param_grads=False": self.without_param_grads,
            "calls are independent": self.independent,
            "float32 stays float32": self.keeps_float32,
        }

    def runs(self):
        x = np.array(self.given)
        self.smooth = x.dtype.kind == "f"  # labels and the like have no gradient
        self.input = x.astype(np.float64) if self.smooth else x
        self.layer = _zeroed(_converted(self.original, np.float64))
        out = self.forward(self.copy())
        if problem := _misfit("out", out, np.shape(out), np.float64):
            return problem
        if not _agree(out, self.forward(self.copy())):
            return "forward differs when repeated from the same state: draw from a numpy Generator that the layer owns"
        self.grad_output = np.random.default_rng(self.seed).standard_normal(out.shape)
        self.gradients = self.step(self.copy())
        self.compared = {k: (self.layer.params.get(k, self.input), g) for k, g in self.gradients.items()}
        return self.misfit(self.layer, self.gradients, np.float64)

    def copy(self):
        return copy.deepcopy(self.layer)

    def forward(self, layer, x=None):
        x = self.input.copy() if x is None else x
        return layer.forward(x, training=self.training) if _accepts(layer.forward, "training") else layer.forward(x)

    def step(self, layer, **how):
        """Forward and backward; returns copies of the gradients, since a layer may reuse its arrays."""
        self.forward(layer)
        grad_input = layer.backward(self.grad_output.copy(), **how)
        gradients = {name: copy.copy(layer.grads.get(name)) for name in _dict(layer, "params")}
        return gradients | ({"input": copy.copy(grad_input)} if self.smooth else {})

    def objective(self):
        return self.forward(self.copy()) * self.grad_output

    def misfit(self, layer, gradients, dtype):
        """The first array of a wrong kind, shape or dtype, in words."""
        for name, gradient in gradients.items():
            value = layer.params[name] if name in _dict(layer, "params") else self.input.astype(dtype)
            title = "grad_input" if name == "input" else f"grads[{name!r}]"
            problem = _misfit(f"params[{name!r}]", value, np.shape(value), dtype)
            if problem := problem or _misfit(title, gradient, np.shape(value), dtype):
                return problem

    def inputs_unchanged(self):
        layer, x, grad_output = self.copy(), self.input.copy(), self.grad_output.copy()
        self.forward(layer, x)
        if not _identical(x, self.input):
            return "forward changes x in place, which is another layer's output: work on a copy"
        layer.backward(grad_output)
        pairs = {"x": (x, self.input), "grad_output": (grad_output, self.grad_output)}
        pairs |= {f"params[{k!r}]": (p, self.layer.params[k]) for k, p in _dict(layer, "params").items()}
        changed = [name for name, (now, before) in pairs.items() if not _identical(now, before)]
        return f"backward changes {', '.join(changed)} in place: work on a copy" if changed else None

    def accumulates(self):
        layer = self.copy()
        first = self.step(layer)
        alone = self.step(_zeroed(copy.deepcopy(layer)))  # the second step by itself, from the same state
        both = self.step(layer)
        for name in _dict(layer, "params"):
            if not _agree(both[name], first[name] + alone[name]):
                hint = "did you write = instead of +=?" if _agree(both[name], alone[name]) else "is += missing?"
                return f"after two passes grads[{name!r}] is not the sum of both gradients: {hint}"

    def without_param_grads(self):
        layer = self.copy()
        if not _accepts(layer.backward, "need_param_grads"):
            self.notes.append("backward takes no need_param_grads, so G's gradient cannot pass without touching grads")
            return None
        for gradient in _arrays(layer, "grads"):
            gradient[...] = 0.5  # any value that a gradient, added to it or written over it, would change
        before = copy.deepcopy(layer.grads) if _dict(layer, "params") else {}
        grad_input = self.step(layer, need_param_grads=False).get("input")
        changed = [name for name in before if not _identical(layer.grads[name], before[name])]
        if changed:
            return f"backward must leave grads alone then, yet it changes {', '.join(changed)}"
        if self.smooth and not _agree(grad_input, self.gradients["input"]):
            return "backward returns another grad_input then"

    def independent(self):
        """Other batches, of another size, come and go: the next result must be as if they had not."""
        layer = copy.deepcopy(self.layer, visited := {})
        states = [(v, v.bit_generator.state) for v in visited.values() if isinstance(v, np.random.Generator)]
        other = np.concatenate([self.input[::-1], self.input[:1]]) if self.input.ndim else self.input
        layer.backward(np.ones_like(self.forward(layer, other.copy())))
        self.forward(layer, other.copy())  # as when samples are drawn between two steps: no backward follows
        for generator, state in states:
            generator.bit_generator.state = state  # that dropout draws another mask is no error
        after = self.step(_zeroed(layer))
        changed = [name for name in after if not _agree(after[name], self.gradients[name])]
        return f"an earlier call on another batch changes the gradient of {', '.join(changed)}" if changed else None

    def keeps_float32(self):
        layer = _zeroed(_converted(self.original, np.float32))
        single = copy.copy(self)  # the same steps, in another dtype
        single.input = self.input.astype(np.float32) if self.smooth else self.input
        single.grad_output = self.grad_output.astype(np.float32)
        out = single.forward(layer)
        return _misfit("out", out, np.shape(out), np.float32) or self.misfit(layer, single.step(layer), np.float32)


def _compare(name, array, gradient, trial, tolerance, h, max_entries, seed):
    """The row for one array: its analytic gradient against differences of the objective while its entries move."""
    rng = np.random.default_rng(seed)
    complete = array.size <= max_entries
    picked = np.arange(array.size) if complete else np.sort(rng.choice(array.size, max_entries, replace=False))
    lines = [_Line(array, np.unravel_index(i, array.shape), 1.0, trial.objective) for i in picked]
    a = gradient.reshape(-1)[picked]
    if not complete:  # of length 1, and every entry weighs the same: an error outside the sample is seen too
        direction = rng.choice([-1.0, 1.0], array.shape) / np.sqrt(array.size)
        lines.append(_Line(array, ..., direction, trial.objective))
        a = np.append(a, (gradient * direction).sum())
    if not lines:
        return Row(name, True, shape=array.shape)
    n, rounding = np.array([line.slope(h) for line in lines]).T
    gap, own, finite = abs(a - n), abs(a) + abs(n), np.isfinite(a - n)
    largest = own[finite].max(initial=TINY)

    def excess():
        times = np.maximum(
            gap / np.maximum(tolerance * largest, rounding), gap / (tolerance**0.5 * own + rounding + TINY)
        )
        return np.where(finite, times, np.inf)

    kink = np.zeros(len(lines), bool)
    for k in np.flatnonzero(finite & (excess() > 1)):
        low, high, kinked, spread = lines[k].examine(h, rounding[k])
        kink[k] = kinked and low - rounding[k] <= a[k] <= high + rounding[k]
        if not kinked:
            rounding[k] = max(rounding[k], 2 * spread)
    times = np.where(kink, 0, excess())
    worst, wrong = int(times.argmax()), times > 1
    error = np.where(finite, gap / np.maximum(largest, rounding / tolerance), np.inf)[~kink].max(initial=0)
    if wrong.any() and error <= tolerance:  # it is small only beside the largest entry
        error = gap[worst] / own[worst]

    cause, sample = "", slice(len(picked))
    if wrong[sample].any():
        shape = array.shape if complete else None
        cause = _likely_cause(a[sample], n[sample], wrong[sample], shape, array is trial.input, trial.input)
    elif wrong.any():
        cause = "The sampled entries are right, so some outside the sample are wrong: raise max_entries to find them."
    elif kink.all():
        cause = "Every entry lies near a kink, so nothing was compared."
    index = tuple(map(int, np.unravel_index(picked[worst], array.shape))) if worst < len(picked) else None
    numbers = (array.shape, len(picked), array.size, int(kink.sum()), index, float(a[worst]), float(n[worst]))
    return Row(name, not cause, cause, float(error), float(times[worst]), *numbers)


class _Line:
    """The objective along a straight line: array[where] + step · direction, all else held fixed."""

    def __init__(self, array, where, direction, objective):
        self.array, self.where, self.direction, self.objective = array, where, direction, objective

    def terms(self, step):
        """The terms whose sum is the objective; subtracted before they are summed, those that stay cancel exactly."""
        kept = np.copy(self.array[self.where])
        self.array[self.where] = kept + step * self.direction
        try:
            return self.objective()
        finally:
            self.array[self.where] = kept

    def slope(self, h):
        """The central difference, and a generous bound on what rounding does to it: ε · ‖terms that moved‖ / h."""
        above, below = self.terms(h), self.terms(-h)
        return (above - below).sum() / (2 * h), 10 * EPSILON * np.linalg.norm(above[above != below]) / h

    def examine(self, h, rounding):
        """A closer look where a and n disagree: the lower and the higher one-sided slope, whether a kink sets them
        apart, and how far n moves with the step, which says how well it is known.

        Where J is smooth the two slopes differ by h · J'': half for half the step, a quarter for a quarter. A kink
        less than h away spoils at least one of these ratios.
        """
        here, steps = self.terms(0.0), np.array([h, h / 2, h / 4])
        ahead = np.array([(self.terms(step) - here).sum() / step for step in steps])
        behind = np.array([(here - self.terms(-step)).sum() / step for step in steps])
        jump, central = ahead - behind, (ahead + behind) / 2
        kinked = abs(jump[0]) > 2 * rounding and max(abs(jump / jump[0] - steps / h)) > 0.2
        return min(ahead[0], behind[0]), max(ahead[0], behind[0]), kinked, abs(central - central[0]).max()


def _likely_cause(a, n, wrong, shape, is_input, x):
    """A guess in words. `shape` is None where a and n are only a sample of the array; `x` is the layer's input."""
    if not np.isfinite(n).all():
        return "The forward pass is not finite near this point."
    if not np.isfinite(a).all():
        return "The analytic gradient is not finite: a division by zero, a logarithm of zero, an overflow?"
    if not a.any():
        return "The analytic gradient is zero everywhere, so perhaps never written: is grads[...] += missing?"
    if not n.any():
        return "Moving this array does not change the output: does forward use the very array in params?"
    if _same(a, -n):
        return "Equal up to the sign: is a minus missing, or one too many?"
    factor, batch_size = (a @ n) / (n @ n), len(x) if x.ndim else 1
    if abs(factor - 1) > 1e-5 and _same(a, factor * n):
        if batch_size > 1 and np.isclose(factor, [batch_size, 1 / batch_size]).any():
            words = ("N times", "missing") if factor > 1 else ("1/N of", "doubled")
            return f"{words[0]} what it should be, N = {batch_size} being the batch size: is a 1/N {words[1]}?"
        times = {2.0: "twice", 0.5: "half of"}.get(round(factor, 5), f"{factor:.6g} times")
        return f"It is {times} what it should be, everywhere: is a constant factor missing or doubled?"
    if shape is not None:
        a, n = a.reshape(shape), n.reshape(shape)
        turned = {"Its transpose is right: are two axes swapped?": a.T} if a.ndim == 2 else {}
        if a.ndim == 4:
            turned["It is right with its first two axes swapped: are kernel height and width swapped?"] = a.swapaxes(
                0, 1
            )
            turned["It is right with its last two axes swapped: are in- and out-channels swapped?"] = a.swapaxes(2, 3)
            turned["It is right when flipped: is the kernel rotated by 180°?"] = a[::-1, ::-1]
        for cause, candidate in turned.items():
            if candidate.shape == shape and _same(candidate, n):
                return cause
        if a.size > 1 and _same(np.sort(a, axis=None), np.sort(n, axis=None)):
            return "The right numbers in wrong places: is an axis order wrong (reshape where transpose is meant)?"
        if is_input and a.ndim > 1 and a.size > 3 * shape[-1]:
            # Batch norm subtracts mean(grad) and x̂ · mean(grad · x̂): without them it is off by c + d · x per feature.
            off, x = (a - n).reshape(-1, shape[-1]), x.reshape(-1, shape[-1])
            x = x - x.mean(axis=0)
            d = (off * x).sum(axis=0) / np.maximum((x * x).sum(axis=0), TINY)
            if _same(off, off.mean(axis=0) + d * x):
                return "Off by a constant, or by a multiple of x, along the batch: is a batch mean dropped, as in batch norm?"
    if not wrong.all():
        return f"Right in {(~wrong).sum()} of {wrong.size} checked entries: an index, a border, a stride, a branch?"
    return "Wrong in every checked entry, with no pattern that is known here."


def _same(p, q):
    return abs(p - q).max() <= 1e-6 * abs(q).max()


def _agree(p, q):
    """Equal up to rounding, which may differ between two runs (threads, memory alignment)."""
    return np.shape(p) == np.shape(q) and np.allclose(p, q, rtol=0, atol=1e-12 + 1e-9 * np.max(abs(q), initial=0))


def _identical(p, q):
    return np.array_equal(p, q, equal_nan=True)


def _misfit(name, array, shape, dtype):
    """None if this is an array of this shape and dtype, otherwise the difference in words."""
    if isinstance(array, np.ndarray | np.generic) and array.shape == shape and array.dtype == dtype:
        return None
    got = f"{array.dtype} {array.shape}" if hasattr(array, "dtype") else type(array).__name__
    return f"{name} is {got}; expected {np.dtype(dtype)} {shape}"


def _accepts(method, keyword):
    parameters = inspect.signature(method).parameters
    return keyword in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())


def _dict(layer, kind):
    """The layer's "params", "grads" or "buffers"; empty where it has none."""
    return getattr(layer, kind, None) or {}


def _arrays(layer, kind):
    return [value for value in _dict(layer, kind).values() if isinstance(value, np.ndarray)]


def _zeroed(layer):
    for gradient in _arrays(layer, "grads"):
        gradient[...] = 0
    return layer


def _converted(layer, dtype):
    """A deep copy that computes in `dtype`."""
    if hasattr(layer, "astype"):
        return copy.deepcopy(layer).astype(dtype)
    # Told that these copies are made already, deepcopy puts them wherever the originals are: in a container's
    # dict, in the child layer that owns the array, in an attribute.
    arrays = [a for kind in ("params", "grads", "buffers") for a in _arrays(layer, kind) if a.dtype.kind == "f"]
    return copy.deepcopy(layer, {id(a): a.astype(dtype) for a in arrays})
