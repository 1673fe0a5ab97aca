"""The order in which training sees the data."""

import json
import operator

import numpy as np

from minigan.base.errors import InputError
from minigan.datasets.checks import generator, positive_int


class BatchIterator:
    """An endless stream of index batches in which every one of n images comes exactly once an epoch.

    Each epoch is a fresh permutation, and a batch may straddle two of them, so that all have the same size and no image
    is dropped. The stream of indices does not depend on how it is cut into batches.

    n: number of images; batch_size: indices a batch, may exceed n; rng: the numpy.random.Generator of the permutations.
    The generator should serve nothing else, since `state` holds it and `restore` rewinds it.
    Raises InputError if n or batch_size is not an integer of at least 1, or rng is no Generator.
    """

    def __init__(self, n, batch_size, rng):
        self.n = positive_int(n, "n")
        self.batch_size = positive_int(batch_size, "batch_size")
        if self.n > np.iinfo(np.int32).max:
            raise InputError(f"n is {self.n}, expected at most 2147483647; use fewer images")
        self._rng = generator(rng)
        self._order = np.empty(0, np.int32)
        self._drawn = 0

    @property
    def epoch(self):
        """How often the data has been gone through so far: images drawn / n, a float."""
        return self._drawn / self.n

    def next_indices(self):
        """Return the next batch: (batch_size,) int64 indices in 0..n-1, a fresh array."""
        batch = np.empty(self.batch_size, np.int64)
        filled = 0
        while filled < self.batch_size:
            if not len(self._order):
                self._order = self._rng.permutation(self.n).astype(np.int32)
            taken = self._order[: self.batch_size - filled]
            batch[filled : filled + len(taken)] = taken
            self._order = self._order[len(taken) :]
            filled += len(taken)
        self._drawn += self.batch_size
        return batch

    def state(self):
        """Return what `restore` needs to go on bit-identically, as arrays for an npz without pickle.

        "n" and "drawn" int64 (), "order" int32 (indices not yet drawn this epoch,), "rng" JSON text () of the
        bit generator's state.
        """
        rng_state = json.dumps(self._rng.bit_generator.state, default=np.ndarray.tolist)
        return {
            "n": np.array(self.n, np.int64),
            "order": self._order.copy(),
            "drawn": np.array(self._drawn, np.int64),
            "rng": np.array(rng_state),
        }

    def restore(self, state):
        """Continue where the iterator that gave `state` (a mapping, such as a loaded npz) stood.

        The batch size is this iterator's own. Raises InputError, and changes nothing, if the state is incomplete or
        damaged, or belongs to another n or another kind of generator.
        """
        try:
            n, drawn = (operator.index(np.asarray(state[key])[()]) for key in ("n", "drawn"))
            order, rng_text = np.asarray(state["order"]), str(np.asarray(state["rng"])[()])
        except (KeyError, TypeError) as error:
            raise _bad_state(f"cannot be read ({error!r})", "what state() returned") from None
        if n != self.n:
            raise _bad_state(f"is for {n} images", f"{self.n}")
        left = -drawn % n
        if drawn < 0 or order.shape != (left,) or order.dtype != np.int32:
            raise _bad_state(f"has {order.dtype} order {order.shape} after {drawn} images", f"int32 order ({left},)")
        if len(np.unique(order)) < left or np.any((order < 0) | (order >= n)):
            raise _bad_state("has an order with repeated or impossible indices", f"distinct ones in 0..{n - 1}")
        # tried on a spare first, since a setter that fails half-way would leave our generator damaged
        spare = type(self._rng.bit_generator)(0)
        try:
            spare.state = json.loads(rng_text)
        except (ValueError, TypeError, KeyError, IndexError, OverflowError) as error:
            wanted = f"one of {type(spare).__name__}"
            raise _bad_state(f"has an unusable generator state ({error!r})", wanted) from None
        self._rng.bit_generator.state = spare.state
        self._order, self._drawn = order.copy(), drawn


def _bad_state(wrong, expected):
    return InputError(f"BatchIterator state {wrong}, expected {expected}; restore the state of the same run and data")
