"""Exercise leaky_relu: the leaky rectifier (notebook 3; Maas, Hannun and Ng 2013).

Judge it with `python -m minigan.gradcheck notebooks/exercises/leaky_relu.py` or
`pytest notebooks/exercises -k leaky_relu`.
"""

import numpy as np


def leaky_relu_forward(x, negative_slope):
    """y = x where x > 0, else a x, with a = negative_slope.

    x of any shape, negative_slope a number -> out of the same shape, cache: whatever leaky_relu_backward needs.
    """
    raise NotImplementedError


def leaky_relu_backward(grad_output, cache):
    """∂L/∂x = g where x > 0, else a g, with g = grad_output.

    grad_output of x's shape, cache from leaky_relu_forward -> grad_input of x's shape.
    """
    raise NotImplementedError
