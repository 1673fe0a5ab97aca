"""Numbers to try layers, losses and penalties with."""

import numpy as np


def rng(seed=3):
    return np.random.default_rng(seed)


def draw(*shape, seed=1, dtype=np.float64):
    """N(0, 1), the same at every call."""
    return rng(seed).standard_normal(shape).astype(dtype)


def off_zero(x, margin=0.05):
    """x pushed away from 0, where ReLU has its kink: the check's own steps are 1e-5."""
    return x + np.where(x >= 0, margin, -margin)


def close(found, expected, tolerance=1e-12):
    """Arrays of equal shapes, and of equal numbers but for `tolerance` of the largest in each."""
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        assert a.shape == b.shape, i
        assert np.abs(a - b).max() <= tolerance * np.abs(b).max(), i


def identical(got, expected):
    """Two dicts of arrays with the same names, dtypes, shapes and bits."""
    return got.keys() == expected.keys() and all(
        (got[name].dtype, got[name].shape, got[name].tobytes()) == (array.dtype, array.shape, array.tobytes())
        for name, array in expected.items()
    )


def lively(layer, dtype=np.float64):
    """Parameters and running statistics with no special values: no bias 0, no γ 1, no mean 0."""
    for seed, (name, param) in enumerate(layer.params.items()):
        layer.params[name] = draw(*param.shape, seed=seed, dtype=dtype) + dtype(2 if name.endswith("gamma") else 0)
    for seed, (name, buffer) in enumerate(layer.buffers.items()):
        layer.buffers[name] = (np.abs(draw(*buffer.shape, seed=seed + 9)) + 0.5).astype(dtype)
    layer.zero_grad()
    return layer
