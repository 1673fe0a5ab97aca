"""Exercise conv_backward: the gradients of a convolution (notebook 4; LeCun et al. 1989, Dumoulin and Visin 2016).

Judge it with `python -m minigan.gradcheck notebooks/exercises/conv_backward.py` or
`pytest notebooks/exercises -k conv_backward`. It does not need your conv_forward.
"""

import numpy as np


def conv_backward(grad_output, x, weight, stride, padding):
    """The gradients of y[n, h, w, o] = b[o] + Σ_{i,j,c} x[n, h·SH + i - PH, w·SW + j - PW, c] · W[i, j, c, o].

    With g = grad_output: ∂L/∂b[o] = Σ_{n,h,w} g[n, h, w, o],
    ∂L/∂W[i, j, c, o] = Σ_{n,h,w} x[n, h·SH + i - PH, w·SW + j - PW, c] · g[n, h, w, o], and each g[n, h, w, o] adds
    W[i, j, c, o] · g[n, h, w, o] to ∂L/∂x[n, h·SH + i - PH, w·SW + j - PW, c]; what falls outside x is dropped.

    grad_output (N, OH, OW, O), x (N, H, W, C), weight (KH, KW, C, O), stride (SH, SW), padding (PH, PW)
    -> grad_input (N, H, W, C), grad_weight (KH, KW, C, O), grad_bias (O,).
    """
    raise NotImplementedError
