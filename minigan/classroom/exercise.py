"""What an exercise is: functions to write, cases to try them on, and the right results by the library itself."""

import re
from dataclasses import dataclass

import numpy as np

from minigan.classroom import answers
from minigan.classroom.compare import TOLERANCE, compare
from minigan.classroom.student import Wrong

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
CHANGED = "A later call changes the array that was returned: make a new one in each call."
GAPS = "Wrong for arrays whose numbers do not lie side by side (x[..., ::2], x.T), though right for others."


@dataclass
class Case:
    """One set of arguments. The first of an exercise is the general one; the others are special in one way each.

    what: how it is special, for "right for … only". hint: the question to ask whoever is right for that only.
    """

    arguments: dict
    what: str = ""
    hint: str = ""


class Draw:
    """The numbers of one run of an exercise. With the same seed the sizes are the same whatever `again` is, and the
    numbers differ: so whoever remembers a result by the shape of its arguments is found."""

    def __init__(self, seed, again=0):
        self.of_sizes, self.of_numbers = np.random.default_rng(seed), np.random.default_rng([seed, 1 + again])

    def sizes(self, count, low=3, high=7):
        """`count` different whole numbers in low … high."""
        return (int(size) for size in self.of_sizes.choice(np.arange(low, high + 1), count, replace=False))

    def normal(self, *shape, away=0.0):
        """Standard normal numbers (shape), moved away from 0 by that much."""
        x = self.of_numbers.standard_normal(shape)
        return x + away * np.sign(x)

    def normals(self, **shapes):
        """{argument: standard normal numbers of that shape}."""
        return {name: self.normal(*shape) for name, shape in shapes.items()}

    def uniform(self, low, high, *shape):
        """Numbers in low … high: one number if no shape is given."""
        return self.of_numbers.uniform(low, high, shape or None)

    def integers(self, high, *shape):
        """Whole numbers in 0 … high - 1: one number if no shape is given."""
        return self.of_numbers.integers(high, size=shape or None)


class Key:
    """The answer key, called as a `Student` is: the functions of the solutions."""

    @staticmethod
    def call(function, results, *arguments):
        returned = answers.function(function)(*arguments)
        return returned if len(results) > 1 else [returned]


class Exercise:
    """The base of all exercises. A subclass gives what stands here, and:

    signatures: "function(argument, …) -> result, …" of each function. An argument is one of a case, or the cache that
    the function before has returned. cases(draw) -> the list of cases, their numbers drawn.
    common_mistakes(a) -> {label: [(wrong result, sentence)]} of the mistakes that are common.
    """

    name: str
    signatures: tuple[str, ...]
    notebook: int
    paper: str
    tolerance = TOLERANCE  # of the largest value in a result

    def run(self, student, a):
        """Yield (label, result) one after the other, calling the student's functions with the arguments a."""
        known = dict(a)
        for function, arguments, results in self.calls:
            returned = student.call(function, results, *map(known.get, arguments))
            for label, value in zip(results, returned, strict=True):
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
        """{label: the right result}, by the library."""
        return dict(self.run(Key, a))

    def common_mistakes(self, a):
        return {}

    @property
    def reread(self):
        return f"notebook {self.notebook}, {NOTEBOOKS[self.notebook]}; {self.paper}"

    def check(self, start, seed):
        """Raise `Wrong` with the best guess at what is wrong, if anything is. start() -> a `Student` that has called
        nothing yet."""
        general, *special = self.cases(Draw(seed))
        others = self.cases(Draw(seed, again=1))
        with start() as student:
            self._check_general(student, general, special)
            self._check_memory(student, general, special[0])
            for pair in zip((general, *special), others, strict=True):
                for case, strided in zip(pair, (False, True), strict=True):
                    student.strided = strided
                    self._check_special(student, start, case)

    def _check_general(self, student, general, special):
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

    def _check_special(self, student, start, case):
        try:
            self.attempt(student, case)
        except Wrong as wrong:
            self._blame(start, case, wrong, student.strided)
            if case.what:
                found = "" if case.hint and wrong.expected is not None and np.isfinite(wrong.got) else f" {wrong.cause}"
                hint = f": {case.hint}" if case.hint else "."  # better than a mistake that would be one in general too
                wrong.cause = f"Wrong for {case.what}, though not in general{hint}{found}"
            raise

    def _blame(self, start, case, wrong, strided):
        """If the case is right when nothing has been called before, or without gaps, then that is what is wrong."""
        for gaps, cause in ((strided, LEFT_BEHIND), (False, GAPS)):
            with start() as fresh:
                fresh.strided = gaps
                if self._passes(fresh, case):
                    wrong.cause = cause
                    raise wrong

    def _passes(self, student, case):
        try:
            self.attempt(student, case)
        except Wrong:
            return False
        return True

    def _check_memory(self, student, case, other):
        """The results must not depend on calls that come before or between, nor change after they were returned."""
        first = dict(self.run(student, case.arguments))
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
            wrong.cause = wrong.cause if wrong.cause == CHANGED else LEFT_BEHIND
            raise
        finally:
            student.before_call = None
        unchanged(student, first)

    def attempt(self, student, case):
        """Run the case; raises `Wrong` at the first result that is."""
        a, returned = case.arguments, {}
        right, batch = self.right(a), next(iter(a.values()))
        for label, got in self.run(student, a):
            returned[label] = got

            def mistakes(label=label):  # worked out only if it is wrong
                return self.common_mistakes(a).get(label, [])

            like = a.get("x" if label == "grad_input" else label.removeprefix("grad_"))
            compare(label, got, right[label], batch, like, mistakes, self.tolerance)
        unchanged(student, returned)


def unchanged(student, returned):
    """Raise `Wrong` if a result {label: Value} is another now than when it was returned."""
    for (label, before), now in zip(returned.items(), student.look(list(returned.values())), strict=True):
        if before.array is not None and before.array.tobytes() != now.array.tobytes():
            raise Wrong(label, CHANGED)
