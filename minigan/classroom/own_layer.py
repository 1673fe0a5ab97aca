"""A student's own class, judged as the layer of the library that has its name."""

import inspect

import numpy as np

from minigan import layers
from minigan.classroom.compare import compare
from minigan.classroom.exercise import NOTEBOOKS, normal
from minigan.classroom.student import Wrong
from minigan.gradcheck import check_gradients

GEOMETRY = {"kernel_size": (3, 2), "stride": (2, 1), "padding": (1, 0)}
KNOWN = {  # name: its arguments, the shape of its input, the notebook
    "Dense": ((4, 3), {}, (5, 4), 2),
    "LeakyReLU": ((0.2,), {}, (5, 4), 3),
    **dict.fromkeys(("ReLU", "Tanh", "Sigmoid", "Softplus"), ((), {}, (5, 4), 3)),
    "Conv2D": ((2, 3), GEOMETRY, (3, 6, 5, 2), 4),
    "ConvTranspose2D": ((2, 3), GEOMETRY, (3, 4, 3, 2), 5),
    "BatchNorm": ((3,), {}, (4, 3, 2, 3), 6),
}


class OwnLayer:
    """Judges a class with `params`, `grads`, `forward` and `backward`, made with the library's arguments.

    With the same parameters it must give what the library's layer gives; `check_gradients` does the rest.
    """

    def __init__(self, name):
        self.name = name
        self.arguments, self.options, self.shape, notebook = KNOWN[name]
        self.reread = f"notebook {notebook}, {NOTEBOOKS[notebook]}"

    def check(self, student):
        kind, options = getattr(layers, self.name), dict(self.options)
        if "rng" in inspect.signature(kind).parameters:
            options["rng"] = np.random.default_rng(0)
        right = kind(*self.arguments, **options).astype(np.float64)
        own = student.call(self.name, ("layer",), *self.arguments, **options)
        params = getattr(own, "params", {})
        if not isinstance(params, dict) or params.keys() != right.params.keys():
            raise Wrong("params", f"It must be a dict with {sorted(right.params)}; see the docstring of the library's.")
        for seed, (name, param) in enumerate(right.params.items()):
            if np.shape(params[name]) != param.shape:
                raise Wrong(f"params[{name!r}]", f"Its shape is {np.shape(params[name])}, expected {param.shape}.")
            param[...] = normal(seed, *param.shape, away_from_zero=0.2)
            params[name] = param.copy()
        x = normal(9, *self.shape, away_from_zero=0.1)
        student.functions = {"forward": own.forward, "check": lambda: check_gradients(own, x)}
        compare("out", student.call("forward", ("out",), x), right.forward(x), x)
        report = student.call("check", ("report",))
        if not report.ok:
            row = report.worst
            values = (row.index, row.analytic, row.numeric) if row.checked else (None, None, None)
            raise Wrong(row.name, row.cause, True, values[0] and list(values[0]), *values[1:], numeric=True)
