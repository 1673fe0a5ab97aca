"""The exercises on losses, penalties and distances: a number, and its gradient."""

import numpy as np

from minigan import losses, penalties
from minigan.classroom.exercise import Case, Exercise
from minigan.layers.activations import sigmoid, softplus

LARGE = 1000.0  # a logit at which every exponential overflows that is not kept from it
CLIPPED = "are the logits clipped, or is a small number added in a logarithm?"
STABLE = "use the stable form, with exp of negative numbers only."


def extreme(logits):
    """The same logits with a very large and a very small one among them."""
    logits = logits.copy()
    logits.reshape(-1)[:2] = LARGE, -LARGE
    return logits


def scaled(gradient, n):
    """The mistakes that all mean losses have in common."""
    missing = "The 1/N of the mean over the batch is missing in the gradient."
    return [(gradient * n, missing), (gradient / n, "It is divided by N twice.")]


class SigmoidCrossEntropyExercise(Exercise):
    name, notebook = "sigmoid_cross_entropy", 3
    paper = "Goodfellow et al. 2014, equation 1; Bishop 2006, equation 4.90"
    signatures = ("sigmoid_cross_entropy(logits, targets) -> value, grad_logits",)

    def cases(self, draw):
        def arguments(n, reach):
            return {"logits": draw.uniform(-reach, reach, n), "targets": draw.uniform(0, 1, n)}

        (n,) = draw.sizes(1)
        large = {"logits": extreme(draw.normal(4)), "targets": np.array([1.0, 0.0, 1.0, 0.0])}
        hard = arguments(n, 3) | {"targets": (draw.uniform(0, 1, n) > 0.5) + 0.0}
        return [
            Case(arguments(n, 4)),
            Case(arguments(1, 4), "N = 1", "is the 1/N of the mean missing?"),
            Case(hard, "targets of 0 and 1"),
            Case(arguments(n, 40), "logits up to ±40", CLIPPED),
            Case(arguments(n, 700), "logits up to ±700", CLIPPED),
            Case(large, f"logits of ±{LARGE:g}"),
            Case({**large, "logits": -large["logits"]}, "confident mistakes"),
        ]

    def common_mistakes(self, a):
        logits, t = a.values()
        p, n = sigmoid(logits), len(logits)
        value = (softplus(logits) - t * logits).mean()
        return {
            "value": [
                (value * n, "It is the sum over the batch: take the mean."),
                (-value, "The sign is wrong: a loss is minimised, so it is minus the log-likelihood."),
                (value / np.log(2), "The logarithm is to base 2: the natural one is meant."),
                ((softplus(-logits) * t).mean(), "The term (1 - t) log(1 - σ(l)) is missing."),
                ((softplus(logits) + t * logits).mean(), "The sign of t · l is wrong: softplus(l) - t l."),
            ],
            "grad_logits": [
                *scaled((p - t) / n, n),
                ((p - t) * p * (1 - p) / n, "The factor σ' is one too many: it cancels, (σ(l) - t) / N is left."),
                (p / n, "The target is not subtracted."),
                ((logits - t) / n, "The sigmoid is missing: (σ(l) - t) / N."),
            ],
        }


class SoftmaxCrossEntropyExercise(Exercise):
    name, notebook = "softmax_cross_entropy", 3
    paper = "Bridle 1990; Goodfellow, Bengio and Courville 2016, section 6.2.2.3"
    signatures = ("softmax_cross_entropy(logits, labels) -> value, grad_logits",)

    def cases(self, draw):
        def arguments(n, k, change=lambda logits: logits):
            return {"logits": change(2 * draw.normal(n, k)), "labels": draw.integers(k, n)}

        n, k = draw.sizes(2)
        low, absent = arguments(n, k, lambda logits: logits - LARGE), arguments(n, k)
        absent["labels"] = np.minimum(absent["labels"], k - 2)
        return [
            Case(arguments(n, k)),
            Case(arguments(1, k), "N = 1", "which axis is summed, classes (1) or batch (0)? Is the 1/N missing?"),
            Case(arguments(k, k), "N = K", "is the sum over the wrong axis?"),
            Case(absent, "a last class that no sample has", "K is the number of columns, not of labels."),
            Case(arguments(n, k, lambda logits: 20 * logits), "logits up to ±40", CLIPPED),
            Case(arguments(n, k, extreme), f"logits of ±{LARGE:g}"),
            Case(arguments(n, k, lambda logits: extreme(logits)[:, ::-1].copy()), "a large logit elsewhere than first"),
            Case(low, f"rows of logits near -{LARGE:g}", "subtract the largest logit of each row, with its sign."),
        ]

    def common_mistakes(self, a):
        logits, labels = a.values()
        n, rows = len(logits), np.arange(len(logits))
        p = losses.softmax(logits)
        value, gradient = losses.softmax_cross_entropy(logits, labels)
        onehot, powers = np.eye(logits.shape[1])[labels], np.exp(logits - logits.max(axis=1, keepdims=True))
        own = np.log(np.maximum(p[rows, labels], 1e-300))
        across = losses.softmax(logits.T).T
        axis = "The softmax runs over the batch (axis 0): it belongs over the classes (axis 1, keepdims=True)."
        return {
            "value": [
                (value * n, "It is the sum over the batch: take the mean."),
                (-value, "The sign is wrong: the loss is -log p."),
                (-own.mean() / logits.shape[1], "It is the mean over the classes as well: each sample has one label."),
                (-np.log(across[rows, labels]).mean(), axis),
            ],
            "grad_logits": [
                *scaled(gradient, n),
                (p / n, "1 is not subtracted at the label."),
                ((across - onehot) / n, axis),
                ((powers / powers.sum(axis=0) - onehot) / n, axis),
                ((powers - onehot) / n, "The softmax is not divided by its sum over the classes."),
                (-gradient, "Equal up to the sign: p - onehot(label) is meant."),
                ((p * (1 - p) * (p - onehot)) / n, "The factor p (1 - p) is one too many."),
            ],
        }


class NonSaturatingExercise(Exercise):
    name, notebook, paper = "non_saturating_loss", 8, "Goodfellow et al. 2014, section 3"
    signatures = (
        "discriminator_loss(real_logits, fake_logits) -> d_loss, grad_real, grad_fake",
        "generator_loss(g_fake_logits) -> g_loss, g_grad_fake",
    )

    def cases(self, draw):
        def arguments(n, m, change=lambda logits: 2 * logits):
            sizes = {"real_logits": n, "fake_logits": m, "g_fake_logits": m}
            return {name: change(draw.normal(size)) for name, size in sizes.items()}

        n, m = draw.sizes(2)
        return [
            Case(arguments(n, m)),
            Case(arguments(m, n), "another number of fake than of real", "each mean is over its own batch."),
            Case(arguments(n, n), "equally many real and fake", "each mean is over its own batch."),
            Case(arguments(1, 1), "N = 1", "is the 1/N of the mean missing?"),
            Case(arguments(n, m, lambda logits: 30 * logits), "logits up to ±60", CLIPPED),
            Case(arguments(n, m, extreme), f"logits of ±{LARGE:g}"),
            Case(arguments(n, m, lambda logits: -extreme(logits)), "confident mistakes"),
        ]

    def common_mistakes(self, a):
        r, d_f, f = a.values()
        n, m = len(r), len(f)
        real, fake = softplus(-r), softplus(d_f)
        saturating = "That is the minimax loss, log(1 - σ(f)), which saturates: G is to maximise log σ(f) instead."
        return {
            "d_loss": [
                (-real.mean() - fake.mean(), "The sign is wrong: D maximises V, so it minimises -V."),
                (real.sum() + fake.sum(), "It is the sum over the batch: take the means."),
                (np.concatenate([real, fake]).mean(), "The means are taken over real and fake together."),
                (softplus(r).mean() + softplus(-d_f).mean(), "Real and fake are swapped."),
                ((real.mean() + fake.mean()) / 2, "It is halved: V is the sum of two means, not their mean."),
            ],
            "grad_real": scaled(-sigmoid(-r) / n, n),
            "grad_fake": [
                *scaled(sigmoid(d_f) / m, m),
                (sigmoid(d_f) / n, "It is divided by the number of real samples: each mean is over its own batch."),
            ],
            "g_loss": [
                (-softplus(f).mean(), saturating),
                (softplus(-f).sum(), "It is the sum over the batch: take the mean."),
                (-softplus(-f).mean(), "The sign is wrong: G minimises -log σ(f)."),
            ],
            "g_grad_fake": [
                *scaled(-sigmoid(-f) / m, m),
                (-sigmoid(f) / m, saturating),
                (-sigmoid(-f) * sigmoid(f) / m, "That is σ'(f): the derivative of softplus(-f) is -σ(-f)."),
                (
                    -sigmoid(-f) * sigmoid(f) * sigmoid(-f) / m,
                    "The factor σ' is one too many: it cancels, -σ(-f)/M is left.",
                ),
            ],
        }


class GradientPenaltyExercise(Exercise):
    name, notebook, paper = "gradient_penalty", 13, "Gulrajani et al. 2017, equation 3 and algorithm 1"
    signatures = ("interpolates(real, fake, epsilon) -> x_hat", "wgan_gp(g, strength) -> penalty, v")

    def cases(self, draw):
        def arguments(*shape, shortest=0.3, longest=3.0):
            a = draw.normals(g=shape, real=shape, fake=shape) | {"epsilon": draw.uniform(0, 1, shape[0])}
            each = (-1, *[1] * (len(shape) - 1))
            lengths = np.sqrt((a["g"].reshape(shape[0], -1) ** 2).sum(axis=1))
            wanted = np.linspace(shortest, longest, shape[0]) * draw.uniform(0.9, 1.1, shape[0])
            return a | {"g": a["g"] * (wanted / lengths).reshape(each), "strength": draw.uniform(0.5, 20)}

        n, h, w, c = draw.sizes(4, high=6)
        still = arguments(n, c)
        still["g"][0] = 0
        return [
            Case(arguments(n, h, w, c)),
            Case(arguments(n, c), "one row a sample", "the norm is over all axes of a sample, height and width too."),
            Case(arguments(n, w, c), "samples with two axes", "the norm is over all axes but the first."),
            Case(arguments(1, h, w, c), "N = 1", "ε is one number a sample, the norm one a sample: keepdims?"),
            Case(arguments(n, h, w, c, longest=0.8), "short gradients", "norms below 1 count as well."),
            Case(still, "a gradient of 0", "there v is 0, and the sample counts (0 - 1)²."),
        ]

    def common_mistakes(self, a):
        g, real, fake, epsilon, strength = a.values()
        n, axes = len(g), tuple(range(1, g.ndim))
        epsilon = epsilon.reshape(-1, *[1] * (real.ndim - 1))
        lengths = np.sqrt((g**2).sum(axis=axes, keepdims=True))
        safe = np.where(lengths > 0, lengths, 1)
        per_pixel = np.sqrt((g**2).sum(axis=-1))
        whole = np.sqrt((g**2).sum())
        v = penalties.wgan_gp(g, strength)[1]
        return {
            "x_hat": [
                ((1 - epsilon) * real + epsilon * fake, "ε belongs to real and 1 - ε to fake; they are swapped."),
                (epsilon * real + epsilon * fake, "fake has the weight 1 - ε, not ε."),
            ],
            "penalty": [
                (strength * ((lengths - 1) ** 2).sum(), "It is the sum over the batch: take the mean."),
                (strength * ((per_pixel - 1) ** 2).mean(), "The norm goes over the channels only, not the sample."),
                (strength * ((np.sqrt((g**2).mean(axis=axes)) - 1) ** 2).mean(),
                 "The norm is the root of a sum, not of a mean, over a sample's entries."),
                (strength * ((abs(g).sum(axis=axes) - 1) ** 2).mean(), "The norm is Σ |g|: the root of Σ g² is meant."),
                (strength * (whole - 1) ** 2, "The norm is that of the whole batch: take one norm a sample."),
                (strength * ((lengths**2 - 1) ** 2).mean(), "The root is missing: ‖g‖, not ‖g‖²."),
                (strength * (lengths**2).mean(), "The norm is pulled to 0: it must be pulled to 1."),
                (((lengths - 1) ** 2).mean(), "The factor λ is missing."),
                (strength * (np.maximum(lengths - 1, 0) ** 2).mean(), "It is one-sided: norms below 1 count too."),
            ],
            "v": [
                *scaled(v, n),
                (2 * strength / n * (lengths - 1) * np.ones_like(g), "The direction g / ‖g‖ is missing."),
                (2 * strength / n * (lengths - 1) * g, "The division by ‖g‖ is missing: ∂‖g‖/∂g = g / ‖g‖."),
                (2 * strength / n * g / safe, "The factor ‖g‖ - 1 is missing."),
                (v / 2, "The factor 2 from the square is missing."),
            ],
        }  # fmt: skip


class FrechetExercise(Exercise):
    name, notebook, paper = "frechet_distance", 16, "Heusel et al. 2017; Dowson and Landau 1982"
    signatures = ("frechet_distance(real, fake) -> distance",)
    tolerance = 1e-6  # the root of an eigenvalue that should be 0 is only known to half the digits

    def cases(self, draw):
        def arguments(n, m, d):
            mix = draw.normal(d, d)
            return {"real": draw.normal(n, d) @ mix, "fake": draw.normal(m, d) + np.arange(d) / 2}

        n, m = draw.sizes(2, low=8, high=13)
        return [
            Case(arguments(n, m, 3)),
            Case(dict.fromkeys(("real", "fake"), draw.normal(n, 3)), "two equal sets"),
            Case(arguments(m, n, 4), "four features"),
            Case(arguments(4, 4, 6), "fewer samples than features"),  # the covariances have no inverse
        ]

    def common_mistakes(self, a):
        real, fake = a.values()
        between = ((real.mean(axis=0) - fake.mean(axis=0)) ** 2).sum()
        cov_r, cov_f = np.cov(real, rowvar=False), np.cov(fake, rowvar=False)
        biased_r, biased_f = np.cov(real, rowvar=False, bias=True), np.cov(fake, rowvar=False, bias=True)

        def root(cov_r, cov_f):  # tr (Σ_r Σ_f)^½
            return np.sqrt(np.maximum(np.linalg.eigvals(cov_r @ cov_f).real, 0)).sum()

        def half(cov):  # Σ^½
            values, vectors = np.linalg.eigh(cov)
            return vectors * np.sqrt(np.maximum(values, 0)) @ vectors.T

        traces, cross = np.trace(cov_r) + np.trace(cov_f), root(cov_r, cov_f)
        entries = np.trace(np.sqrt(abs(cov_r @ cov_f)))
        signed = np.trace(np.sqrt(np.maximum(cov_r @ cov_f, 0)))
        distance = between + traces - 2 * cross
        biased = between + np.trace(biased_r) + np.trace(biased_f) - 2 * root(biased_r, biased_f)
        entry_by_entry = "The root is taken entry by entry: a matrix root is meant."
        return {
            "distance": [
                (between + traces - cross, "The factor 2 before the trace of the root is missing."),
                (traces - 2 * cross, "The term ‖μ_r - μ_f‖² is missing."),
                (np.sqrt(between) + traces - 2 * cross, "The distance of the means is not squared."),
                (between + traces, "The term - 2 tr (…)^½ is missing."),
                (between + traces + 2 * cross, "The term 2 tr (…)^½ has the wrong sign."),
                (
                    between + traces - 2 * np.trace(half(cov_r) @ half(cov_f)),
                    "It is the product of two roots: the root of the product is meant.",
                ),
                (between + traces - 2 * entries, entry_by_entry),
                (between + traces - 2 * signed, entry_by_entry),
                (between + traces - 2 * np.trace(cov_r @ cov_f), "The matrix root is missing."),
                (biased, "The covariances divide by N: np.cov's N - 1 is meant."),
                (np.sqrt(max(distance, 0)), "It is the root of the distance: its square is what is called so here."),
                (between, "The covariances are missing: this is the distance of the means alone."),
                (
                    between + ((np.sqrt(np.diag(cov_r)) - np.sqrt(np.diag(cov_f))) ** 2).sum(),
                    "Only the variances are used: what lies beside the diagonal counts too.",
                ),
            ]
        }


EXERCISES = [
    SigmoidCrossEntropyExercise(),
    SoftmaxCrossEntropyExercise(),
    NonSaturatingExercise(),
    GradientPenaltyExercise(),
    FrechetExercise(),
]
