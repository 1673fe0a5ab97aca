"""The data that a GAN learns from, and the order in which it sees it.

Images are uint8 `(N, H, W, C)` as files hold them; `to_float` and `to_uint8` go to the networks' [-1, 1] and back.
"ring" and "grid" are the two toy distributions on which mode collapse is shown: 2-D points, not images. Random numbers
come from a generator that is passed in, or for the toy sets from the fixed seeds below. No argument is mutated.
"""

import difflib
import hashlib
import json
import operator
from pathlib import Path

import numpy as np

from minigan.errors import InputError
from minigan.idx import idx_header, read_idx

MNIST_DIR = Path(__file__).resolve().parents[1] / "data" / "mnist"

SPLITS = ("train", "test")

# file name, and md5 of the uncompressed file, which stays the same however it was compressed
_MNIST_FILES = {
    "train": (
        ("train-images-idx3-ubyte.gz", "6bbc9ace898e44ae57da46a324031adb"),
        ("train-labels-idx1-ubyte.gz", "a25bea736e30d166cdddb491f175f624"),
    ),
    "test": (
        ("t10k-images-idx3-ubyte.gz", "2646ac647ad5339dbf082846283269ea"),
        ("t10k-labels-idx1-ubyte.gz", "27ae3e4e09519cfbb04c329615203637"),
    ),
}
_MNIST_REMEDY = "get the file back with `git checkout -- data/mnist` in a clone of the project"

_TOY_SIZES = {"train": 50_000, "test": 10_000}
_TOY_SEEDS = {("ring", "train"): 80, ("ring", "test"): 81, ("grid", "train"): 250, ("grid", "test"): 251}


def names():
    """Return the list of names that `load` knows."""
    return ["mnist", "ring", "grid"]


def load(name_or_path, split="train"):
    """Return `(images, labels)` of a dataset, the same ones at every call, in fresh arrays.

    "mnist": images (N, 28, 28, 1) uint8 in 0..255 (0 is the paper), labels (N,) in 0..9; N is 60,000 for
    split="train" and 10,000 for "test". The files' checksums are verified at every load.

    "ring", "grid": not images but points (N, 2) float32, mostly in [-1, 1], see `toy_modes`; the label is the index of
    the mode; N is 50,000 and 10,000, drawn from a fixed seed for each name and split.

    Labels are int64, wide enough to compute with, although MNIST's files hold uint8.

    Raises InputError for an unknown name or split and for a missing or damaged file.
    """
    name = str(name_or_path)
    _check_name(name, names(), "dataset")
    _check_name(split, SPLITS, "split")
    if name == "mnist":
        return _load_mnist(split)
    return sample_toy(name, _TOY_SIZES[split], np.random.default_rng(_TOY_SEEDS[name, split]))


def toy_modes(name):
    """Return `(centres, std)` of a toy distribution: centres (K, 2) float32, std the float deviation along each axis.

    "ring": K = 8 on a circle of radius 0.8, counter-clockwise from angle 0. "grid": K = 25, the 5×5 points with
    coordinates -0.8, -0.4, 0, 0.4, 0.8, where mode 5·i + j has the i-th x and the j-th y. Both have std 0.02.

    The shapes are those of Metz et al. 2017 ("Unrolled GANs", the ring: radius 2, std 0.02) and Srivastava et al. 2017
    ("VEEGAN", the grid: spacing 2, std 0.05), scaled into [-1, 1]. The clouds are 2.5 times (ring) and twice (grid) as
    wide as theirs would be at this scale, so that a plot shows a cloud and not a dot: numbers are not comparable.

    Raises InputError for an unknown name.
    """
    _check_name(name, ["ring", "grid"], "toy distribution")
    if name == "ring":
        angle = np.arange(8) * (2 * np.pi / 8)
        centres = 0.8 * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    else:
        line = np.array([-0.8, -0.4, 0.0, 0.4, 0.8])
        centres = np.stack(np.meshgrid(line, line, indexing="ij"), axis=-1).reshape(25, 2)
    return centres.astype(np.float32), 0.02


def sample_toy(name, n, rng):
    """Draw n independent points of a toy distribution, each mode being equally likely.

    rng: numpy.random.Generator. Returns points (n, 2) float32 and the index of each one's mode, labels (n,) int64.
    Raises InputError for an unknown name, for an n that is not an integer of at least 1 and for an rng of another type.
    """
    centres, std = toy_modes(name)
    n, rng = _positive_int(n, "n"), _generator(rng)
    labels = rng.integers(len(centres), size=n)
    return centres[labels] + np.float32(std) * rng.standard_normal((n, 2), dtype=np.float32), labels


def to_float(images, dtype=np.float32):
    """Map uint8 pixels of any shape from 0..255 to [-1, 1] by x / 127.5 - 1, computed in `dtype`, a float type.

    Floats are taken to be in [-1, 1] already: they only get `dtype`, and the same array comes back if they have it.
    Raises InputError for other types of pixels or of `dtype`.
    """
    images, dtype = np.asarray(images), np.dtype(dtype)
    if dtype.kind != "f":
        raise InputError(f"to_float got dtype {dtype}, expected a float type; pass np.float32 or np.float64")
    if images.dtype.kind == "f":
        return images.astype(dtype, copy=False)
    if images.dtype != np.uint8:
        raise InputError(f"to_float got {images.dtype} images, expected uint8 or floats; convert them first")
    out = images.astype(dtype)
    out /= dtype.type(127.5)
    out -= dtype.type(1)
    return out


def to_uint8(images):
    """Map float pixels of any shape from [-1, 1] to uint8 0..255, rounding to the nearest and clipping what is outside.

    The inverse of `to_float`: to_uint8(to_float(x)) is x for all 256 values. uint8 comes back as it is.
    Raises InputError for NaN and for types other than uint8 and floats.
    """
    images = np.asarray(images)
    if images.dtype == np.uint8:
        return images
    if images.dtype.kind != "f":
        raise InputError(f"to_uint8 got {images.dtype} images, expected floats in [-1, 1]; convert them first")
    if np.isnan(images).any():
        raise InputError("to_uint8 got NaN pixels, expected numbers in [-1, 1]; look for where the training diverged")
    # clipped first: casting a float beyond 255 to uint8 is undefined
    return np.rint((np.clip(images, -1, 1) + 1) * 127.5).astype(np.uint8)


class BatchIterator:
    """An endless stream of index batches in which every one of n images comes exactly once an epoch.

    Each epoch is a fresh permutation, and a batch may straddle two of them, so that all have the same size and no image
    is dropped. The stream of indices does not depend on how it is cut into batches.

    n: number of images; batch_size: indices a batch, may exceed n; rng: the numpy.random.Generator of the permutations.
    The generator should serve nothing else, since `state` holds it and `restore` rewinds it.
    Raises InputError if n or batch_size is not an integer of at least 1, or rng is no Generator.
    """

    def __init__(self, n, batch_size, rng):
        self.n = _positive_int(n, "n")
        self.batch_size = _positive_int(batch_size, "batch_size")
        if self.n > np.iinfo(np.int32).max:
            raise InputError(f"n is {self.n}, expected at most 2147483647; use fewer images")
        self._rng = _generator(rng)
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


def _load_mnist(split):
    (images_file, images_md5), (labels_file, labels_md5) = _MNIST_FILES[split]
    images = read_idx(MNIST_DIR / images_file, _MNIST_REMEDY)
    labels = read_idx(MNIST_DIR / labels_file, _MNIST_REMEDY)
    # before the checksums, because they say more about what happened
    if images.dtype != np.uint8 or images.shape[1:] != (28, 28):
        raise _bad_file(images_file, f"holds {images.dtype} {images.shape}", "uint8 (N, 28, 28)")
    if labels.dtype != np.uint8 or labels.ndim != 1:
        raise _bad_file(labels_file, f"holds {labels.dtype} {labels.shape}", "uint8 (N,)")
    if len(images) != len(labels):
        raise _bad_file(labels_file, f"holds {len(labels)} labels", f"{len(images)}, one for each image")
    if labels.max() > 9:
        raise _bad_file(labels_file, f"holds the label {labels.max()}", "digits 0 to 9")
    for file, array, expected in ((images_file, images, images_md5), (labels_file, labels, labels_md5)):
        digest = hashlib.md5(idx_header(array), usedforsecurity=False)
        digest.update(array)
        if digest.hexdigest() != expected:
            raise _bad_file(file, f"has md5 {digest.hexdigest()} uncompressed", f"{expected} as published")
    return images[..., np.newaxis], labels.astype(np.int64)


def _bad_file(file, wrong, expected):
    return InputError(f"{MNIST_DIR / file} {wrong}, expected {expected}; {_MNIST_REMEDY}")


def _bad_state(wrong, expected):
    return InputError(f"BatchIterator state {wrong}, expected {expected}; restore the state of the same run and data")


def _check_name(name, known, what):
    if name not in known:
        close = difflib.get_close_matches(str(name).lower(), known, n=1)
        hint = f'did you mean "{close[0]}"?' if close else "pass one of these"
        raise InputError(f'unknown {what} "{name}", expected one of {", ".join(known)}; {hint}')


def _positive_int(value, what):
    try:
        number = 0 if isinstance(value, bool | np.bool_) else operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise InputError(f"{what} is {value!r}, expected an integer of at least 1; pass such a number")
    return number


def _generator(rng):
    if not isinstance(rng, np.random.Generator):
        raise InputError(
            f"rng is {type(rng).__name__}, expected a numpy.random.Generator; pass np.random.default_rng(seed)"
        )
    return rng
