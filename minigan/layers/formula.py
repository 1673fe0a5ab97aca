"""A formula and its kernels: plain functions that are to be read, and beside them fast ones that compute the same."""

from typing import NamedTuple

from minigan.base.mode import is_plain


class GradRequest(NamedTuple):
    """Which gradients a backward pass is asked for."""

    params: bool = True
    input: bool = True


EVERYTHING = GradRequest()


def no_curvature(s, t, cache):
    """∂⟨s, J t⟩/∂x where J does not depend on x and there are no parameters: nothing."""
    return None


class Formula:
    """y = f(x, …), its gradients and, where a critic with a penalty on its gradient may hold it, its tangent.

    forward(x, …) -> (out, cache). backward(grad_output, cache) -> ∂L/∂x and the gradients of what follows x.
    jvp(t, cache) -> J t with J = ∂y/∂x: how y moves when x moves along t (like x).
    jvp_backward(s, t, cache) -> the gradients of ⟨s, J t⟩, s (like y) and t being constant, by x and what follows it;
    None for those that are 0. All in plain NumPy.

    fast: kernels that compute the same, in the same order, or None; the plain functions take the place of those left
    out at the end. Their `backward` takes a GradRequest besides, and may give None for what is not needed. `plain()`
    decides at the forward pass which are taken; a cache remembers whose it is.
    """

    attached = []  # noqa: RUF012 - every formula that has kernels, for those who compare or time them all

    def __init__(self, forward, backward, jvp=None, jvp_backward=no_curvature, fast=None):
        self.plain, self.fast = (forward, backward, jvp, jvp_backward), None
        if fast is not None:
            self.fast = (*fast, *self.plain[len(fast) :])
            Formula.attached.append(self)

    def __repr__(self):
        return self.plain[0].__name__.removesuffix("_forward")

    @property
    def has_jvp(self):
        return self.plain[2] is not None

    def forward(self, *arguments):
        functions = self.plain if self.fast is None or is_plain() else self.fast
        out, cache = functions[0](*arguments)
        return out, (functions, cache)

    def backward(self, grad_output, cache, need=EVERYTHING):
        functions, cache = cache
        return functions[1](grad_output, cache, *(() if functions is self.plain else need))

    def jvp(self, t, cache):
        functions, cache = cache
        return functions[2](t, cache)

    def jvp_backward(self, s, t, cache):
        functions, cache = cache
        return functions[3](s, t, cache)
