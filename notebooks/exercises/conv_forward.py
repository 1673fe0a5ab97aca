"""Exercise conv_forward: convolution as a matrix product (notebook 4; LeCun et al. 1989, Dumoulin and Visin 2016).

Judge it with `python -m minigan.gradcheck notebooks/exercises/conv_forward.py` or
`pytest notebooks/exercises -k conv_forward`.
"""

import numpy as np


def conv_forward(x, weight, bias, stride, padding):
    """y[n, h, w, o] = b[o] + Σ_{i,j,c} x[n, h·SH + i - PH, w·SW + j - PW, c] · W[i, j, c, o], where x is 0 outside.

    The output has OH = ⌊(H + 2 PH - KH) / SH⌋ + 1 rows, and OW columns likewise.

    x (N, H, W, C), weight (KH, KW, C, O), bias (O,), stride (SH, SW), padding (PH, PW) -> out (N, OH, OW, O).
    """
    raise NotImplementedError
