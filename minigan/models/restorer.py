"""Networks that restore pictures: context encoders (Pathak et al. 2016), for holes and for blur.

Fully convolutional: what was trained on small pictures takes pictures of other sizes, if their sides divide by 4.
"""

import numpy as np

from minigan.layers import Composite, ReLU, Residual, Sequential
from minigan.models.blocks import Builder
from minigan.models.enhancer import residual_block

FULL = 24  # channels at full size
WIDTH = 32  # at half the size; twice as many at a quarter
BLOCKS = 4


class Filled(Composite):
    """y = p + m · main(x) for x = [p, 2m - 1], pictures and a channel that is 1 in the holes and -1 outside: what is
    known stays.

    With g = ∂L/∂y: main gets m g, p gets g besides, and the last channel ½ Σ g main(x), summed over the channels.
    x (N, H, W, C + 1) -> out (N, H, W, C). params, grads, buffers: keyed "main.…".
    """

    def __init__(self, main):
        super().__init__({"main": main})

    def output_shape(self, input_shape):
        return self.children["main"].output_shape(input_shape)

    def _forward(self, x, training, num_splits):
        made, hole = self._run("main", x, training, num_splits), (x[..., -1:] + 1) / 2
        return x[..., :-1] + hole * made, (hole, made)

    def _backward(self, grad_output, cache, need):
        hole, made = cache
        through = self._back("main", hole * grad_output, need)
        if not need.input:
            return None
        last = (grad_output * made).sum(axis=3, keepdims=True) / 2
        return through + np.concatenate([grad_output, last], axis=3)


def restorer(channels, holes, rng, dtype):
    """Pictures (N, H, W, C), or with `holes` pictures and their holes (N, H, W, C + 1), to pictures (N, H, W, C).

    An encoder and a decoder, with residual blocks at a quarter of the size, where each sees the whole of a small
    picture. What there is at full and at half the size also goes round what is below (Ronneberger et al. 2015, though
    added here): single pixels are lost at a quarter. What comes out is added to the input, for holes within them only:
    the network learns what is still missing.
    """
    half, quarter, make = WIDTH, 2 * WIDTH, Builder(rng, dtype)
    blocks = [residual_block(quarter, rng, dtype) for _ in range(BLOCKS)]
    inner = [make.halve(half, quarter), ReLU(), *blocks, make.double(quarter, half), ReLU()]
    outer = [make.halve(FULL, half), ReLU(), Residual(Sequential(inner)), make.double(half, FULL), ReLU()]
    last = make.conv(FULL, channels)
    last.params["weight"] *= 0.1  # it starts near the input
    first = [make.conv(channels + holes, FULL), ReLU()]
    main = Sequential([*first, Residual(Sequential(outer)), make.conv(FULL, FULL), ReLU(), last])
    return Filled(main) if holes else Residual(main)
