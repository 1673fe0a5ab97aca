"""The game's closed forms (Goodfellow et al. 2014, section 4), for densities given on a grid.

p (…) and q (…) are the densities of the data and of the generator's samples at the points of a grid, and `cell` is the
length, area or volume that belongs to each point, so that p.sum() · cell ≈ 1.
"""

import numpy as np

from minigan.base.errors import InputError


def optimal_discriminator(p, q):
    """D*(x) = p(x) / (p(x) + q(x)), what D should answer for a fixed G (proposition 1); ½ where both are 0."""
    p, q = _densities(p, q)
    total = p + q
    return np.where(total > 0, p, 0.5) / np.where(total > 0, total, 1)


def jensen_shannon(p, q, cell):
    """JSD(p, q) = ½ KL(p ‖ m) + ½ KL(q ‖ m) with m = (p + q)/2, in nats: 0 for p = q, log 2 where they never meet."""
    p, q = _densities(p, q)
    total = p + q

    def divergence(density):
        ratio = np.where(density > 0, density, 1) / np.where(density > 0, total, 2) * 2  # density / m
        return (density * np.log(ratio)).sum() * cell

    return float(divergence(p) + divergence(q)) / 2


def value(p, q, discriminator, cell):
    """V(D, G) = ∫ p log D + q log(1 - D) for D's answers (…) strictly between 0 and 1 on the grid (equation 3)."""
    p, q = _densities(p, q)
    answers = np.asarray(discriminator, np.float64)
    if answers.shape != p.shape or not ((answers > 0) & (answers < 1)).all():
        raise InputError("value: discriminator must be answers between 0 and 1, of the shape of the densities.")
    return float((p * np.log(answers) + q * np.log1p(-answers)).sum() * cell)


def value_at_optimum(p, q, cell):
    """V(D*, G) = -log 4 + 2 JSD(p, q), what G minimises once D is optimal (theorem 1)."""
    return -np.log(4) + 2 * jensen_shannon(p, q, cell)


def _densities(p, q):
    p, q = (np.asarray(density, np.float64) for density in (p, q))
    if p.shape != q.shape or not all(np.isfinite(d).all() and (d >= 0).all() for d in (p, q)):
        raise InputError(f"densities have shapes {p.shape} and {q.shape}, expected two alike, finite and at least 0.")
    return p, q
