"""What an exercise is: functions to write, cases to try them on, and the right results by the library itself."""

import re
from dataclasses import dataclass, field

import numpy as np

from minigan.classroom.compare import TOLERANCE, compare, differences
from minigan.classroom.student import Wrong, unchanged

NOTEBOOKS = {
    1: "A GAN in one sitting",
    2: "Dense layers and the chain rule",
    3: "Activations and losses from logits",
    4: "Convolution as a matrix product",
    5: "Transposed convolution",
    6: "Normalisation",
    7: "Optimizers",
    8: "The minimax game",
    9: "Regularisers",
    13: "Wasserstein distance and the gradient penalty",
    16: "Judging GANs",
}

LEFT_BEHIND = (
    "An earlier call on another batch changes the result: keep nothing outside the function, and draw no random "
    "numbers. What backward needs belongs into the cache."
)


@dataclass
class Case:
    """One set of arguments. The first of an exercise is the general one; the others are special in one way each.

    what: how it is special, for "right for … only". hint: the question to ask whoever is right for that only.
    """

    arguments: dict
    what: str = ""
    hint: str = ""
    rights: dict = field(default_factory=dict)  # the right results, once somebody asked


class Exercise:
    """The base of all exercises. A subclass gives what stands here, and:

    signatures: "function(argument, …) -> result, …" of each function. An argument is one of a case, or the cache that
    the function before has returned. cases() -> the list of cases.
    formula(a) -> what the functions compute with the arguments a, by the library: the right one of the first result. A
    result grad_NAME is right if it is the derivative of Σ formula · grad_output by NAME (grad_input: by x), grad_output
    being 1 where there is none. Where that is not all: right(a) -> {label: the right result}, and
    gradients(a) -> {label: (f, argument name)}, whose right result is the derivative of Σ f by that argument.
    common_mistakes(a) -> {label: [(wrong result, sentence)]} of the mistakes that are common.
    """

    name: str
    signatures: tuple[str, ...]
    notebook: int
    paper: str
    tolerance = TOLERANCE  # of results that the library gives

    def run(self, student, a):
        """Yield (label, result) one after the other, calling the student's functions with the arguments a."""
        known = dict(a)
        for function, arguments, results in self.calls:
            returned = student.call(function, results, *map(known.get, arguments))
            for label, value in zip(results, returned if len(results) > 1 else [returned], strict=True):
                if label == "cache":  # only the function after it knows what that holds
                    known[label] = value
                else:
                    yield label, value

    @property
    def calls(self):
        """[(function, its arguments, its results)], the last two as lists of names."""
        parts = (re.fullmatch(r"(\w+)\((.+)\) -> (.+)", signature).groups() for signature in self.signatures)
        return [(function, arguments.split(", "), results.split(", ")) for function, arguments, results in parts]

    @property
    def functions(self):
        """The names of the functions to write."""
        return tuple(function for function, _, _ in self.calls)

    def right(self, a):
        return {self.calls[0][2][0]: self.formula(a)}

    def gradients(self, a):
        def f(moved):
            return self.formula(moved) * a.get("grad_output", 1.0)

        labels = [label for _, _, results in self.calls for label in results]
        names = [label.removeprefix("grad_") for label in labels if label.startswith("grad_")]
        return {f"grad_{name}": (f, "x" if name == "input" else name) for name in names}

    def common_mistakes(self, a):
        return {}

    @property
    def reread(self):
        return f"notebook {self.notebook}, {NOTEBOOKS[self.notebook]}; {self.paper}"

    def check(self, student):
        """Raise `Wrong` with the best guess at what is wrong, if anything is."""
        general, *special = self.cases()
        try:
            self.attempt(student, general)
        except Wrong as wrong:
            if not wrong.known:
                for case in special:
                    if case.hint and self._passes(student, case):
                        said = f" ({wrong.cause})" if wrong.expected is None else ""  # a shape, an exception
                        wrong.cause = f"Right for {case.what} only: {case.hint}{said}"
                        break
            raise
        self._check_memory(student, general, special[0])
        for case in special:
            try:
                self.attempt(student, case)
            except Wrong as wrong:
                wrong.cause = f"Wrong for {case.what}, though not in general. {wrong.cause}"
                if case.hint and not wrong.known:
                    wrong.cause += f" {case.hint.capitalize()}"
                raise

    def _passes(self, student, case):
        try:
            self.attempt(student, case)
        except Wrong:
            return False
        return True

    def _check_memory(self, student, case, other):
        """The results must not depend on calls that come before or between, nor change after they were returned."""
        first = dict(self.run(student, case.arguments))
        kept = {label: np.array(value) for label, value in first.items()}
        inside = False

        def interrupt():
            nonlocal inside
            if not inside:
                inside = True
                dict(self.run(student, other.arguments))
                inside = False

        student.before_call = interrupt
        try:
            self.attempt(student, case)
        except Wrong as wrong:
            wrong.cause = LEFT_BEHIND
            raise
        finally:
            student.before_call = None
        for label, value in first.items():
            if not unchanged(kept[label], np.asarray(value)):
                raise Wrong(label, "A later call changes the array that was returned: make a new one in each call.")

    def attempt(self, student, case):
        """Run the case; raises `Wrong` at the first result that is."""
        a = case.arguments
        gradients, right, batch = self.gradients(a), None, next(iter(a.values()))
        for label, got in self.run(student, a):

            def mistakes(label=label):  # worked out only if it is wrong
                return self.common_mistakes(a).get(label, [])

            if label in gradients:
                f, name = gradients[label]
                if label not in case.rights:
                    case.rights[label] = differences(f, a, name)
                compare(label, got, case.rights[label], batch, True, a[name], mistakes)
            else:
                right = self.right(a) if right is None else right
                compare(label, got, right[label], batch, common_mistakes=mistakes, tolerance=self.tolerance)


def normal(seed, *shape, away_from_zero=0.0):
    """Standard normal numbers (shape), moved away from 0 by that much: the same for the same seed."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return x + away_from_zero * np.sign(x)


def normals(**shapes):
    """{argument: standard normal numbers of that shape}, the first from seed 1, the second from seed 2, and so on."""
    return {name: normal(seed, *shape) for seed, (name, shape) in enumerate(shapes.items(), 1)}
