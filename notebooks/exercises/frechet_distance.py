"""Exercise frechet_distance: how far two sets of features are apart (notebook 16; Heusel et al. 2017).

Judge it with `python -m minigan.gradcheck notebooks/exercises/frechet_distance.py` or
`pytest notebooks/exercises -k frechet_distance`.
"""

import numpy as np


def frechet_distance(real, fake):
    """‖μ_r - μ_f‖² + tr Σ_r + tr Σ_f - 2 tr (Σ_r^½ Σ_f Σ_r^½)^½, of the means and covariances (np.cov's N - 1).

    The root of a symmetric matrix whose eigenvalues λ are at least 0 has the eigenvalues √λ and the same eigenvectors
    (np.linalg.eigh). Rounding makes some λ a little less than 0: take those as 0. The distance is real.

    real (N, D), fake (M, D) -> the distance, a number.
    """
    raise NotImplementedError
