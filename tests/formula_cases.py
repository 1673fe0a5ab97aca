"""Arguments for every formula in layers/, of random sizes, the smallest more often than others: one pixel, one channel,
a batch of one, and so on. float64; x comes first."""

import numpy as np
from layer_zoo import flat_or_picture, picture, size

CASES = {}  # the formula's name -> function(rng) -> its arguments


def case(build):
    CASES[build.__name__] = build
    return build


def two(rng, least, most):
    return size(rng, least, most), size(rng, least, most)


def channels(rng):
    """Sometimes as many as Toom-Cook wants, and more than fit a few vector registers."""
    return size(rng, 1, 6) if rng.random() < 0.6 else size(rng, 16, 40)


def normal(rng, *shape):
    """In either layout of memory."""
    x = rng.standard_normal(shape)
    return np.asfortranarray(x) if rng.random() < 0.3 else x


def bias(rng, count):
    return 0 if rng.random() < 0.3 else rng.standard_normal(count)


def rows(rng):
    """(N, C) or (N, H, W, C) of 2 rows at least, sometimes more than a few chunks of a kernel."""
    shape = flat_or_picture(rng)
    shape = (shape[0] + 1, *shape[1:])
    return (size(rng, 120, 400), channels(rng)) if rng.random() < 0.3 else shape


@case
def dense(rng):
    n, d, f = size(rng, 1, 70), channels(rng), channels(rng)
    return normal(rng, n, d), rng.standard_normal((d, f)), bias(rng, f)


@case
def conv2d(rng):
    c, o, kernel, stride = channels(rng), channels(rng), two(rng, 1, 5), two(rng, 1, 3)
    if rng.random() < 0.3:  # what Toom-Cook takes most often
        c, o, kernel, stride = size(rng, 16, 40), size(rng, 16, 40), (4, 4), (2, 2)
    padding = tuple(int(rng.integers(0, k + 2)) for k in kernel)
    h, w = (size(rng, max(1, k - 2 * p), 14) for k, p in zip(kernel, padding, strict=True))
    return normal(rng, size(rng, 1, 4), h, w, c), rng.standard_normal((*kernel, c, o)), bias(rng, o), stride, padding


@case
def conv_transpose2d(rng):
    c, o, kernel, stride = channels(rng), channels(rng), two(rng, 1, 5), two(rng, 1, 3)
    if rng.random() < 0.3:
        c, o, kernel, stride = size(rng, 16, 40), size(rng, 16, 40), (4, 4), (2, 2)
    extra = tuple(int(rng.integers(0, s)) for s in stride)
    h, w = two(rng, 1, 7)
    reached = [(n - 1) * s + k + e for n, s, k, e in zip((h, w), stride, kernel, extra, strict=True)]
    padding = tuple(int(rng.integers(0, min(k + 1, (r - 1) // 2) + 1)) for k, r in zip(kernel, reached, strict=True))
    x, weight = normal(rng, size(rng, 1, 4), h, w, c), rng.standard_normal((*kernel, o, c))
    return x, weight, bias(rng, o), stride, padding, extra


@case
def batch_norm(rng):
    shape = rows(rng)
    return 2 * normal(rng, *shape) + 1, *rng.standard_normal((2, shape[-1])), float(rng.choice([1e-5, 0.3]))


@case
def batch_norm_inference(rng):
    shape = rows(rng)
    gamma, beta, mean, var = rng.standard_normal((4, shape[-1]))
    return normal(rng, *shape), gamma, beta, mean, var**2 + 0.1, float(rng.choice([1e-5, 0.3]))


@case
def group_norm(rng):
    shape, groups = flat_or_picture(rng), size(rng, 1, 3)
    c = groups * (1 + channels(rng))
    return normal(rng, *shape[:-1], c) + 1, *rng.standard_normal((2, c)), groups, float(rng.choice([1e-5, 0.3]))


@case
def self_attention(rng):
    n, h, w, c = picture(rng)
    d, e = two(rng, 1, 4)
    projections = (rng.standard_normal(shape) / c**0.5 for shape in ((c, d), (c, d), (c, e)))
    return normal(rng, n, h, w, c), *projections, rng.standard_normal((e, c)), rng.standard_normal(1)


@case
def attention(rng):
    n, p, q, d, e = (size(rng) for _ in range(5))
    return normal(rng, n, p, d), normal(rng, n, q, d), normal(rng, n, q, e)


@case
def dropout(rng):
    x = normal(rng, *flat_or_picture(rng))
    return x, rng.random(x.shape) < 0.7, 1 / 0.7


@case
def average_pool2d(rng):
    kernel, stride = two(rng, 1, 4), two(rng, 1, 3)
    return normal(rng, size(rng), *(size(rng, k, 9) for k in kernel), size(rng)), kernel, stride


@case
def max_pool2d(rng):
    x, kernel, stride = average_pool2d(rng)
    return np.sign(x) if rng.random() < 0.3 else x, kernel, stride  # with ties, of which the first wins


@case
def upsample_nearest2d(rng):
    return normal(rng, *picture(rng)), two(rng, 1, 3)


@case
def leaky_relu(rng):
    return normal(rng, *flat_or_picture(rng)), float(rng.choice([0.01, 0.2, 1.0]))


for name in ("relu", "sigmoid", "tanh", "softplus"):
    CASES[name] = lambda rng: (2 * normal(rng, *flat_or_picture(rng)),)


@case
def pixel_norm(rng):
    return normal(rng, *flat_or_picture(rng)), float(rng.choice([1e-8, 0.3]))


@case
def minibatch_std(rng):
    shape, num_splits = flat_or_picture(rng), size(rng, 1, 2)
    return normal(rng, num_splits * shape[0], *shape[1:]), num_splits


@case
def closeness(rng):
    return (normal(rng, size(rng, 1, 2), size(rng), size(rng), size(rng)),)


@case
def minibatch_discrimination(rng):
    num_splits, d, kernels = size(rng, 1, 2), size(rng), size(rng)
    return normal(rng, num_splits * size(rng), d), rng.standard_normal((d, kernels * size(rng))), kernels, num_splits


@case
def embedding(rng):
    count = size(rng)
    return rng.integers(0, count, size(rng)), rng.standard_normal((count, size(rng)))


@case
def conditional_affine(rng):
    shape, e = flat_or_picture(rng), size(rng)
    return normal(rng, *shape), normal(rng, shape[0], e), *rng.standard_normal((2, e, shape[-1]))


@case
def projection(rng):
    n, count = size(rng), size(rng)
    return normal(rng, n, 1 + count), rng.integers(0, count, n) if rng.random() < 0.7 else None


@case
def spectral_norm(rng):
    o, k = two(rng, 1, 6)
    return tuple(rng.standard_normal(shape) for shape in ((o, k), (o,), (k,)))


@case
def gaussian_noise(rng):
    return normal(rng, *flat_or_picture(rng)), 0.3, rng


@case
def gradient_reversal(rng):
    return normal(rng, *flat_or_picture(rng)), 0.7


@case
def reshape(rng):
    n, h, w, c = picture(rng)
    return normal(rng, n, h, w, c), h * w, c


def arguments(name, seed, dtype=np.float64):
    """The same for the same seed, in `dtype`."""
    found = CASES[name](np.random.default_rng([seed, *name.encode()]))
    return converted(found, np.float64, dtype)


def converted(given, before, after):
    """Arrays of the dtype `before` in `after`, everything else as it is."""
    return tuple(a.astype(after) if isinstance(a, np.ndarray) and a.dtype == before else a for a in given)


def like(array, seed):
    """N(0, 1) for each entry, in another layout of memory than usual."""
    values = np.random.default_rng(seed).standard_normal(array.shape[::-1] if seed % 2 else array.shape)
    return (values.T if seed % 2 else values).astype(array.dtype)


def everything(functions, given, *need):
    """{what: array, or None} of all that a formula's functions say: forward, backward and, if there, the tangent's.

    need: what the kernels' backward takes besides. The gradients are of what follows x in its order, from 0 on."""
    forward, backward, jvp, jvp_backward = (*functions, None, None)[:4]
    out, cache = forward(*given)
    found = {"out": out} | numbered("gradient", backward(like(out, 1), cache, *need))
    if jvp is not None:
        t = like(given[0], 2)
        found |= {"jvp": jvp(t, cache)} | numbered("jvp's gradient", jvp_backward(like(out, 3), t, cache))
    return found


def numbered(name, arrays):
    return {f"{name} {i}": array for i, array in enumerate(arrays if isinstance(arrays, tuple) else (arrays,))}
