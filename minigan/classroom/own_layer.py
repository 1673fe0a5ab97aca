"""A student's own class, judged as the layer of the library that has its name."""

import inspect

import numpy as np

from minigan import layers
from minigan.classroom.compare import compare
from minigan.classroom.exercise import NOTEBOOKS, Draw
from minigan.classroom.student import RemoteLayer, Value, Wrong
from minigan.gradcheck import check_gradients

ENTRIES = 60  # that are moved of each array, since each is a call of another process
PAIRS = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}
SINGLE = {"kernel_size": 3, "stride": 2, "padding": 1}
KNOWN = {  # name: the notebook, the shape of an input, and the constructions: the arguments and options of each
    "Dense": (2, (5, 4), [((4, 3), {}), ((4, 1), {"bias": False})]),
    "LeakyReLU": (3, (5, 4), [((0.2,), {}), ((0.37,), {}), ((), {})]),
    **dict.fromkeys(("ReLU", "Tanh", "Sigmoid", "Softplus"), (3, (5, 4), [((), {})])),
    "Conv2D": (4, (3, 6, 5, 2), [((2, 3), PAIRS), ((2, 3), SINGLE), ((2, 4), PAIRS | {"bias": False})]),
    "ConvTranspose2D": (5, (3, 4, 3, 2), [((2, 3), PAIRS), ((2, 3), SINGLE), ((2, 4), PAIRS | {"bias": False})]),
    "BatchNorm": (6, (4, 3, 2, 3), [((3,), {}), ((3,), {"momentum": 0.3, "eps": 0.1})]),
}


class OwnLayer:
    """Judges a class with `params`, `grads`, `forward` and `backward`, made with the library's arguments.

    In each construction whose options the class takes it must start as the library's layer does and, with the same
    parameters, give what that gives, in training and (if `forward` takes `training`) after it; `check_gradients` does
    the rest.
    """

    def __init__(self, name):
        self.name = name
        notebook, self.shape, self.constructions = KNOWN[name]
        self.reread = f"notebook {notebook}, {NOTEBOOKS[notebook]}"

    def check(self, start, seed):
        """Raise `Wrong` if the class is not the layer. start() -> a `Student` that has called nothing yet."""
        with start() as student:
            taken = student.taken(self.name)
            for arguments, options in self.constructions:
                if options.keys() <= taken:
                    try:
                        self._check(student, Draw(seed), arguments, options)
                    except Wrong as wrong:
                        made = [*map(str, arguments), *(f"{name}={value}" for name, value in options.items())]
                        wrong.cause = f"Made as {self.name}({', '.join(made)}): {wrong.cause}"
                        raise

    def _make(self, student, arguments, options, seed):
        """(the student's layer, the library's), with the same random numbers to start from."""
        kind = getattr(layers, self.name)
        if "rng" in inspect.signature(kind).parameters:
            options = {**options, "rng": np.random.default_rng(seed)}
        (made,) = student.call(self.name, ("layer",), *arguments, **options)
        return RemoteLayer(student, made.kept), kind(*arguments, **options).astype(np.float64)

    def _check(self, student, draw, arguments, options):
        own, right = self._make(student, arguments, options, 0)
        self._check_start(student, own, right, arguments, options)
        for kind in ("params", "buffers"):
            for name, array in vars(right)[kind].items() if kind == "params" or own.buffers else ():
                array[...] = draw.normal(*array.shape, away=0.2) if kind == "params" else array
                vars(own)[kind][name] = array.copy()
        x = draw.normal(*self.shape, away=0.1) + draw.uniform(0.5, 1)
        for training in (True, False) if "training" in own.taken["forward"] else (True,):
            told = {"training": training} if "training" in own.taken["forward"] else {}
            where = "out" if training else "out with training=False"
            compare(where, Value.of(own.forward(x, **told)), right.forward(x, training=training), x)
            for name, buffer in right.buffers.items() if own.buffers else ():
                compare(f"buffers[{name!r}]", Value.of(own.buffers.get(name)), buffer, x)
            if not training and not own.buffers:
                continue  # the same computation, or one that draws no numbers
            report = check_gradients(own, x, training=training, max_entries=ENTRIES)
            if not report.ok:
                row = report.worst
                values = (row.index, row.analytic, row.numeric) if row.checked else (None, None, None)
                cause = row.cause if training else f"With training=False: {row.cause}"
                raise Wrong(row.name, cause, True, values[0] and list(values[0]), *values[1:])

    def _check_start(self, student, own, right, arguments, options):
        """The initial values: random ones are drawn from rng, the others are the library's."""
        if own.params.keys() != right.params.keys():
            raise Wrong("params", f"It must be a dict with {sorted(right.params)}; see the docstring of the library's.")
        (again, _), (another, other) = (self._make(student, arguments, options, seed) for seed in (0, 1))
        for name, param in right.params.items():
            where, mine = f"params[{name!r}]", own.params[name]
            if np.shape(mine) != param.shape:
                raise Wrong(where, f"Its shape is {np.shape(mine)}, expected {param.shape}.")
            if np.array_equal(param, other.params[name]):  # not random
                if not np.array_equal(mine, param):
                    raise Wrong(where, f"It starts as {mine.flat[0]:g}, expected {param.flat[0]:g}.")
            elif not np.array_equal(mine, again.params[name]):
                raise Wrong(where, "It starts otherwise although rng is the same: draw it from rng.")
            elif np.array_equal(mine, another.params[name]):
                raise Wrong(where, "It starts the same whatever rng is: draw it from rng.")
