"""What an exercise is: functions to write, cases to try them on, and the right results by the library itself."""

from dataclasses import dataclass, field
from functools import partial

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

    cases() -> the list of cases.
    run(student, a) yields (label, result) one after the other, calling the student's functions with the arguments a.
    right(a) -> {label: the right result}, and gradients(a) -> {label: (f, argument name)}, whose right result is the
    derivative of Σ f by that argument.
    common_mistakes(a) -> {label: [(wrong result, sentence)]} of the mistakes that are common.
    """

    name: str
    functions: tuple[str, ...]
    notebook: int
    paper: str
    tolerance = TOLERANCE  # of results that the library gives

    def right(self, a):
        return {}

    def gradients(self, a):
        return {}

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
            common_mistakes = partial(self._common_mistakes_of, a, label)
            if label in gradients:
                f, name = gradients[label]
                if label not in case.rights:
                    case.rights[label] = differences(f, a, name)
                compare(label, got, case.rights[label], batch, True, a[name], common_mistakes)
            else:
                right = self.right(a) if right is None else right
                compare(label, got, right[label], batch, common_mistakes=common_mistakes, tolerance=self.tolerance)

    def _common_mistakes_of(self, a, label):
        return self.common_mistakes(a).get(label, [])


def normal(seed, *shape, away_from_zero=0.0):
    """Standard normal numbers (shape), moved away from 0 by that much: the same for the same seed."""
    x = np.random.default_rng(seed).standard_normal(shape)
    return x + away_from_zero * np.sign(x)
