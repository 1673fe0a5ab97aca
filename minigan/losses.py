"""Losses from logits, with their gradients.

D maximises V(D, G) = E log D(x) + E log(1 - D(G(z))) and G minimises it (Goodfellow et al. 2014, equation 1). With
D = σ(logit), log D = -softplus(-logit) and log(1 - D) = -softplus(logit), which stay finite at any logit. What is
called a loss below is always something its player *minimises*: the discriminator's is -V.

Every adversarial loss has
    discriminator(real_logits, fake_logits) -> (value, grad_real, grad_fake)
    generator(fake_logits) -> (value, grad_fake)
for logits (N,) or (N, 1), float32 or float64; value is a float, the mean over the batch, and each gradient has the
shape and dtype of its logits. InputError is raised for anything else.
"""

import numpy as np

from minigan.base.errors import InputError
from minigan.base.ranges import describe
from minigan.layers.activations import sigmoid, softplus


def _is_floats(array):
    return isinstance(array, np.ndarray) and array.dtype in (np.float32, np.float64)


def _check(name, logits):
    if not _is_floats(logits) or logits.size == 0 or logits.shape not in ((logits.size,), (logits.size, 1)):
        raise InputError(f"{name} is {describe(logits)}, expected a float array of shape (N,) or (N, 1) with N ≥ 1.")


def _mean(terms):
    """The mean as a float, summed in float64."""
    return float(terms.sum(dtype=np.float64)) / terms.size


class AdversarialLoss:
    """The checks and the averaging; a subclass gives the formulas entry by entry: (terms, derivatives)."""

    logits_are_probabilities = False  # True: σ(logit) is D's probability that a picture is real

    def discriminator(self, real_logits, fake_logits):
        """-> (value, grad_real, grad_fake): what D minimises, and its derivatives by the logits."""
        _check("real_logits", real_logits)
        _check("fake_logits", fake_logits)
        real_terms, real_slopes = self._real(real_logits)
        fake_terms, fake_slopes = self._fake(fake_logits)
        value = _mean(real_terms) + _mean(fake_terms)
        return value, real_slopes / real_logits.size, fake_slopes / fake_logits.size

    def generator(self, fake_logits):
        """-> (value, grad_fake): what G minimises, and its derivative by the logits."""
        _check("fake_logits", fake_logits)
        terms, slopes = self._generator(fake_logits)
        return _mean(terms), slopes / fake_logits.size


class Minimax(AdversarialLoss):
    """The game's own formula: D minimises -V, G minimises V (Goodfellow et al. 2014, equation 1).

    D: mean softplus(-r) + mean softplus(f). G: mean log(1 - σ(f)) = -mean softplus(f).
    G's gradient -σ(f)/N vanishes where D is sure (f ≪ 0): it *saturates* just when G has most to learn.
    """

    logits_are_probabilities = True

    def _real(self, r):
        return softplus(-r), -sigmoid(-r)

    def _fake(self, f):
        return softplus(f), sigmoid(f)

    def _generator(self, f):
        return -softplus(f), -sigmoid(f)


class NonSaturating(Minimax):
    """D as in Minimax; G maximises log D(G(z)) instead (Goodfellow et al. 2014, section 3).

    G: mean softplus(-f), with gradient -σ(-f)/N, largest where D is sure that the sample is fake.
    label_smoothing α in [0, 1): one-sided, the target of *real* pictures is 1 - α (Salimans et al. 2016, section 3.4):
    D's real term is (1 - α) softplus(-r) + α softplus(r) = softplus(-r) + α r.
    """

    def __init__(self, label_smoothing=0.0):
        if not 0 <= label_smoothing < 1:
            raise InputError(f"NonSaturating: label_smoothing is {label_smoothing!r}, expected a number in [0, 1).")
        self.label_smoothing = label_smoothing

    def _real(self, r):
        alpha = r.dtype.type(self.label_smoothing)
        return softplus(-r) + alpha * r, alpha - sigmoid(-r)

    def _generator(self, f):
        return softplus(-f), -sigmoid(-f)


class LeastSquares(AdversarialLoss):
    """D: ½ mean (r - 1)² + ½ mean f². G: ½ mean (f - 1)² (Mao et al. 2017, equation 9).

    The squares are float64, since float32 holds none of more than 1.8e19.
    """

    def _real(self, r):
        return np.square(r - 1, dtype=np.float64) / 2, r - 1

    def _fake(self, f):
        return np.square(f, dtype=np.float64) / 2, f.copy()

    def _generator(self, f):
        return np.square(f - 1, dtype=np.float64) / 2, f - 1


class Hinge(AdversarialLoss):
    """D: mean max(0, 1 - r) + mean max(0, 1 + f). G: -mean f (Lim and Ye 2017; Miyato et al. 2018, equation 17)."""

    def _real(self, r):
        return np.maximum(1 - r, 0), -(r < 1).astype(r.dtype)

    def _fake(self, f):
        return np.maximum(1 + f, 0), (f > -1).astype(f.dtype)

    def _generator(self, f):
        return -f, -np.ones_like(f)


class Wasserstein(AdversarialLoss):
    """D, here a critic: mean f - mean r. G: -mean f (Arjovsky et al. 2017, algorithm 1).

    -d_loss estimates the Wasserstein-1 distance only if the critic is kept Lipschitz (clipping, gradient penalty).
    """

    def _real(self, r):
        return -r, -np.ones_like(r)

    def _fake(self, f):
        return f, np.ones_like(f)

    def _generator(self, f):
        return -f, -np.ones_like(f)


LOSSES = {
    "minimax": Minimax,
    "non_saturating": NonSaturating,
    "least_squares": LeastSquares,
    "hinge": Hinge,
    "wasserstein": Wasserstein,
}


def softmax(logits):
    """p_k = e^(l_k) / Σ_j e^(l_j) for each row of logits (N, K); the largest is subtracted first, so none overflows."""
    e = np.exp(logits - logits.max(axis=1, keepdims=True))
    return e / e.sum(axis=1, keepdims=True)


def softmax_cross_entropy(logits, labels):
    """-> (value, grad_logits): the mean of -log p_label over the batch, and its gradient (p - onehot(label)) / N.

    -log p_label = log Σ_j e^(l_j - m) - (l_label - m) with m the row's maximum. logits (N, K) float, labels (N,) whole
    numbers below K. InputError for anything else.
    """
    labels = _checked_labels(logits, labels)
    shifted, rows = logits - logits.max(axis=1, keepdims=True), np.arange(len(logits))
    value = _mean(np.log(np.exp(shifted).sum(axis=1)) - shifted[rows, labels])
    grad = softmax(logits)
    grad[rows, labels] -= 1
    return value, grad / len(logits)


def _checked_labels(logits, labels):
    labels = np.asarray(labels)
    if not _is_floats(logits) or logits.ndim != 2:
        raise InputError("softmax_cross_entropy: logits must be a float32 or float64 array (N, K).")
    n, classes = logits.shape
    if labels.shape != (n,) or labels.dtype.kind not in "iu" or n == 0:
        raise InputError(
            f"softmax_cross_entropy: labels are {labels.dtype} {labels.shape}, expected {n} whole numbers, one a row."
        )
    if labels.min() < 0 or labels.max() >= classes:
        raise InputError(f"softmax_cross_entropy: labels must be {n} whole numbers from 0 to {classes - 1}.")
    return labels


def log_sum_exp(logits):
    """log Σ_k e^(l_k) for each row of logits (N, K): (N, 1), finite at any logit; its gradient is softmax(logits)."""
    largest = logits.max(axis=1, keepdims=True)
    return largest + np.log(np.exp(logits - largest).sum(axis=1, keepdims=True))


def semi_supervised(labelled, labels, unlabelled, fake, weight=0.5):
    """A classifier into K classes as discriminator (Salimans et al. 2016, section 5): what it minimises.

    The paper's class K + 1, "made up", has the logit 0. With Z = Σ_k e^(l_k), D(x) = Z / (Z + 1) = σ(log Z) is then the
    probability that x is real, and the loss is
        cross_entropy(labelled, labels) + weight · (-mean log D(unlabelled) - mean log(1 - D(fake))),
    the game's own loss on s = log Z, of which ∂s/∂l_k = softmax(l)_k.
    labelled, unlabelled, fake: logits (N, K), each N its own; labels (N,) -> value, grad_labelled, grad_unlabelled,
    grad_fake. weight: 1 in the paper's formula, 1/2 in its program. InputError for anything else.
    """
    value, grad_labelled = softmax_cross_entropy(labelled, labels)
    for name, logits in (("unlabelled", unlabelled), ("fake", fake)):
        if getattr(logits, "ndim", 0) != 2 or logits.dtype != labelled.dtype or logits.shape[1] != labelled.shape[1]:
            raise InputError(f"semi_supervised: {name} must be {labelled.dtype} logits (N, {labelled.shape[1]}).")
    game, *grads = NonSaturating().discriminator(log_sum_exp(unlabelled), log_sum_exp(fake))
    real, made = (
        labelled.dtype.type(weight) * grad * softmax(logits)
        for grad, logits in zip(grads, (unlabelled, fake), strict=True)
    )
    return value + weight * game, grad_labelled, real, made


def feature_matching(made, target):
    """-> ‖mean made - target‖², and its gradient 2/N (mean made - target) for each sample (Salimans et al. 2016,
    section 3.1). made (N, …): D's features of samples; target (…): the mean features of real ones, a constant."""
    gap = made.mean(axis=0) - target
    grad = np.broadcast_to(gap * made.dtype.type(2 / len(made)), made.shape)
    return float(np.square(gap, dtype=np.float64).sum()), np.ascontiguousarray(grad)


def l1(made, truth):
    """-> (value, grad_made): the mean of |made - truth| over all entries, and sign(made - truth) / their number.

    made and truth: float arrays of one shape and dtype, N ≥ 1. InputError for anything else.
    """
    alike = _is_floats(made) and _is_floats(truth) and made.shape == truth.shape and made.dtype == truth.dtype
    if not alike or made.size == 0:
        raise InputError("l1: made and truth must be float32 or float64 arrays of one shape and dtype, not empty.")
    gap = made - truth
    return _mean(np.abs(gap)), np.sign(gap) / made.dtype.type(made.size)
