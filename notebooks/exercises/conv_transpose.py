"""Exercise conv_transpose: the convolution run backward (notebook 5; Dumoulin and Visin 2016, chapter 4).

Judge it with `python -m minigan.gradcheck notebooks/exercises/conv_transpose.py` or
`pytest notebooks/exercises -k conv_transpose`.
"""

import numpy as np


def conv_transpose_forward(x, weight, bias, stride, padding):
    """Each input pixel x[n, h, w, c] adds x[n, h, w, c] · W[i, j, o, c] to y[n, h·SH + i - PH, w·SW + j - PW, o].

    What falls outside y is dropped; then y gets the bias b[o]. y has OH = (H - 1) SH - 2 PH + KH rows, and OW columns
    likewise.

    x (N, H, W, C), weight (KH, KW, O, C), bias (O,), stride (SH, SW), padding (PH, PW)
    -> out (N, OH, OW, O), cache: whatever conv_transpose_backward needs.
    """
    raise NotImplementedError


def conv_transpose_backward(grad_output, cache):
    """With g = grad_output: ∂L/∂x[n, h, w, c] = Σ_{i,j,o} g[n, h·SH + i - PH, w·SW + j - PW, o] · W[i, j, o, c],
    ∂L/∂W[i, j, o, c] = Σ_{n,h,w} g[n, h·SH + i - PH, w·SW + j - PW, o] · x[n, h, w, c], ∂L/∂b[o] = Σ_{n,h,w} g.

    grad_output (N, OH, OW, O), cache from conv_transpose_forward
    -> grad_input (N, H, W, C), grad_weight (KH, KW, O, C), grad_bias (O,).
    """
    raise NotImplementedError
