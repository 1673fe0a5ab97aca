"""The gradient-reversal layer (Ganin et al. 2016, section 4.2)."""

from minigan.base.ranges import number
from minigan.layers.base import Layer
from minigan.layers.formula import Formula


def gradient_reversal_forward(x, strength):
    """y = x: nothing happens on the way forward. x of any shape -> out, cache."""
    return x.copy(), strength


def gradient_reversal_backward(grad_output, cache):
    """-λ g, in the place of ∂L/∂x = g, with λ = strength.

    This is not the derivative of the forward pass, and is not meant to be: what lies above minimises a loss, and what
    lies below moves *up* that loss by the same backward pass. One step of descent so plays both sides of a game.
    """
    return grad_output * grad_output.dtype.type(-cache)


class GradientReversal(Layer):
    """y = x on the way forward; the gradient comes back times -strength. strength may be set between passes."""

    formula = Formula(gradient_reversal_forward, gradient_reversal_backward)
    settings = shown = ("strength",)

    def __init__(self, strength=1.0):
        super().__init__()
        self.strength = number("GradientReversal: strength", strength, least=0)
