"""Functions of many samples, such as networks that are only used, applied piece by piece."""

import numpy as np

from minigan.base.pixels import to_float
from minigan.kernels.parallel import threads


def in_chunks(function, *arrays, size=500):
    """function(*pieces) of `size` rows of each array at a time, joined: memory does not grow with how many there are.

    An array may be None, of which every piece is None. BLAS has one thread meanwhile, as while training.
    """
    with threads.one_blas_thread:
        chunks = [slice(first, first + size) for first in range(0, len(arrays[0]), size)]
        pieces = ([None if array is None else array[chunk] for array in arrays] for chunk in chunks)
        return np.concatenate([function(*piece) for piece in pieces])


def outputs(network, images, size=500):
    """What network.forward(x, training=False) gives for samples (N, …), pixels as uint8 or floats in [-1, 1]."""

    def forward(chunk):
        return network.forward(np.ascontiguousarray(to_float(chunk)), training=False)

    return in_chunks(forward, images, size=size)
