"""Why are these numbers wrong? Guesses in words, from how the wrong array resembles the right one."""

import numpy as np

TINY = np.finfo(np.float64).tiny


def likely_cause(a, n, wrong, array, x, complete):
    """A guess in words: `pattern`, or where there is none, how many entries are wrong (`wrong`, a mask)."""
    found = pattern(a, n, array, x, complete)
    if found:
        return found
    if not wrong.all():
        return f"Right in {(~wrong).sum()} of {wrong.size} checked entries: an index, a border, a stride, a branch?"
    return "Wrong in every checked entry, with no pattern that is known here."


def pattern(a, n, array, x, complete):
    """What sets the analytic gradient a apart from the numeric one n (both flat), in words; "" if it is not known.

    `complete` says that a and n are those of the whole of `array`, no sample; `x` is the layer's input.
    """
    if not np.isfinite(a + n).all():
        which = "analytic gradient" if np.isfinite(n).all() else "forward pass"
        return f"The {which} is not finite: a division by zero, a logarithm of zero, an overflow?"
    if not a.any():
        return "The analytic gradient is zero everywhere, so perhaps never written: is grads[...] += missing?"
    if not n.any():
        return "Moving this array does not change the output: does forward use the very array in params?"
    factor, batch_size = (a @ n) / (n @ n), len(x) if x.ndim else 1
    if same(a, factor * n):
        found = factor_cause(factor, batch_size)
        if found or abs(factor - 1) > 1e-5:
            return found or f"{factor:.6g} times what it should be, everywhere: is a constant missing or doubled?"
    if complete:
        a, n = a.reshape(array.shape), n.reshape(array.shape)
        if a.ndim == 2 and same(a.T, n):
            return "Its transpose is right: are two axes swapped?"
        if a.ndim == 4 and same(a.swapaxes(0, 1), n):
            return "Its first two axes are swapped: are kernel height and width swapped?"
        if a.ndim == 4 and same(a[::-1, ::-1], n):
            return "It is right when flipped: is the kernel rotated by 180°?"
        if a.size > 1 and same(np.sort(a, axis=None), np.sort(n, axis=None)):
            return "The right numbers in wrong places: is an axis order wrong (reshape where transpose is meant)?"
        if array is x and x.ndim > 1 and x.size > 3 * x.shape[-1]:
            off, x = (a - n).reshape(-1, x.shape[-1]), x.reshape(-1, x.shape[-1])
            x = x - x.mean(axis=0)
            d = (off * x).sum(axis=0) / np.maximum((x * x).sum(axis=0), TINY)
            if same(off, off.mean(axis=0) + d * x):
                return "Off by c + d · x in every feature: is a batch mean dropped, as in batch norm?"
    return ""


def factor_cause(factor, batch_size):
    """Why something is `factor` times what it should be, in words; "" if no usual mistake does that."""
    factors = [
        (-1, "Equal up to the sign: is a minus missing, or one too many?"),
        (2, "Twice what it should be: is a factor missing or doubled?"),
        (0.5, "Half of what it should be: is a factor missing or doubled?"),
    ]
    if batch_size > 1:
        of_n = f"what it should be, with N = {batch_size} the batch size: is a 1/N"
        factors[1:1] = [(batch_size, f"N times {of_n} missing?"), (1 / batch_size, f"1/N of {of_n} doubled?")]
    return next((sentence for known, sentence in factors if np.isclose(factor, known, rtol=1e-5, atol=0)), "")


def same(p, q):
    """Equal as arrays, up to rounding (which may differ between two runs of the same code)."""
    return np.shape(p) == np.shape(q) and np.allclose(p, q, rtol=0, atol=1e-12 + 1e-6 * np.max(abs(q), initial=0))
