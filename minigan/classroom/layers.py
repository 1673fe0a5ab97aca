"""The exercises on layers: a forward pass, and the backward pass that belongs to it."""

import numpy as np

from minigan.classroom.exercise import Case, Exercise, normal, normals
from minigan.layers.activations import leaky_relu_forward
from minigan.layers.batch_norm import batch_norm_forward
from minigan.layers.dense import dense_forward
from minigan.layers.spectral_norm import power_iteration, spectral_norm_forward

ONE_SAMPLE = "is the batch axis forgotten, or a sum or mean over the batch missing?"


class DenseExercise(Exercise):
    name, notebook, paper = "dense", 2, "Rumelhart, Hinton and Williams 1986"
    signatures = (
        "dense_forward(x, weight, bias) -> out, cache",
        "dense_backward(grad_output, cache) -> grad_input, grad_weight, grad_bias",
    )

    def cases(self):
        def arguments(n, d, f):
            return normals(x=(n, d), weight=(d, f), bias=(f,), grad_output=(n, f))

        return [
            Case(arguments(5, 4, 3)),
            Case(arguments(1, 4, 3), "N = 1", ONE_SAMPLE),
            Case(arguments(5, 3, 3), "square weights", "is a transpose missing, or one too many?"),
            Case(arguments(4, 4, 4), "N = D = F", "are two axes swapped?"),
        ]

    def formula(self, a):
        return dense_forward(a["x"], a["weight"], a["bias"])[0]

    def common_mistakes(self, a):
        x, weight, bias, g = a.values()
        return {
            "out": [(x @ weight, "The bias is not added."), (x @ weight - bias, "The bias has the wrong sign.")],
            "grad_bias": [(g.mean(axis=0), "It is the mean over the batch: the gradient of the bias is the sum.")],
        }


class LeakyReluExercise(Exercise):
    name, notebook, paper = "leaky_relu", 3, "Maas, Hannun and Ng 2013"
    signatures = (
        "leaky_relu_forward(x, negative_slope) -> out, cache",
        "leaky_relu_backward(grad_output, cache) -> grad_input",
    )

    def cases(self):
        def arguments(slope, *shape):
            x = normal(1, *shape, away_from_zero=0.1)
            return {"x": x, "negative_slope": slope, "grad_output": normal(2, *shape)}

        positive = arguments(0.2, 3, 4)
        positive["x"] = abs(positive["x"])
        return [
            Case(arguments(0.2, 5, 4)),
            Case(arguments(0.01, 4, 3, 2, 2), "a slope of 0.01"),
            Case(arguments(0.2, 1, 4), "N = 1", ONE_SAMPLE),
            Case(positive, "positive x", "is negative_slope used where x is negative?"),
        ]

    def formula(self, a):
        return leaky_relu_forward(a["x"], a["negative_slope"])[0]

    def common_mistakes(self, a):
        x, slope, g = a.values()
        relu = "It is plain ReLU's: negative values are multiplied by negative_slope, not by 0."
        swapped = "The two branches are swapped: x where x > 0, negative_slope · x elsewhere."
        return {
            "out": [
                (np.maximum(x, 0), relu),
                (np.where(x > 0, slope * x, x), swapped),
                (np.where(x > 0, x, -slope * x), "The negative branch has the wrong sign."),
            ],
            "grad_input": [
                (np.where(x > 0, g, 0), relu),
                (np.where(x > 0, slope * g, g), swapped),
                (np.where(g > 0, g, slope * g), "The branch follows the sign of grad_output; it must follow x's."),
                (np.where(x > 0, 1.0, slope), "The chain rule is missing: multiply by grad_output."),
                (np.where(x > 0, g, slope * x * g), "The slope's factor is negative_slope, not negative_slope · x."),
            ],
        }


class BatchNormExercise(Exercise):
    name, notebook, paper = "batch_norm", 6, "Ioffe and Szegedy 2015"
    signatures = (
        "batch_norm_forward(x, gamma, beta, eps) -> out, cache",
        "batch_norm_backward(grad_output, cache) -> grad_input, grad_gamma, grad_beta",
    )

    def cases(self):
        def arguments(*shape):
            return {
                "x": 2 * normal(1, *shape) + 3,
                "gamma": normal(2, shape[-1], away_from_zero=0.5),
                "beta": normal(3, shape[-1]),
                "eps": 1e-2,
                "grad_output": normal(4, *shape),
            }

        return [
            Case(arguments(4, 3, 2, 3)),
            Case(arguments(6, 3), "x of shape (N, C)", "which axes belong to the means? All but the last."),
            Case(arguments(1, 3, 4, 2), "N = 1", "statistics go over batch, height and width together."),
        ]

    def formula(self, a):
        return batch_norm_forward(a["x"], a["gamma"], a["beta"], a["eps"])[0]

    def common_mistakes(self, a):
        x, gamma, beta, eps, g = a.values()
        axes = tuple(range(x.ndim - 1))
        var, count = x.var(axis=axes), x[..., 0].size
        std = np.sqrt(var + eps)
        centred = x - x.mean(axis=axes)
        x_hat, mean_g, mean_product = centred / std, g.mean(axis=axes), (g * centred / std).mean(axis=axes)
        return {
            "out": [
                (gamma * centred / np.sqrt(var * count / (count - 1) + eps) + beta,
                 "The variance is the unbiased one: batch norm divides by the biased, Σ (x - μ)² / M."),
                (gamma * centred / np.sqrt(var) + beta, "eps is missing under the root."),
                (gamma * centred / (np.sqrt(var) + eps) + beta, "eps stands outside the root: √(σ² + eps) is meant."),
                (gamma * centred / (var + eps) + beta, "It divides by the variance: take its root."),
                (x_hat, "γ and β are missing."),
                (gamma * x / std + beta, "The mean is not subtracted."),
            ],
            "grad_input": [
                (gamma / std * (g - x_hat * mean_product), "The term - mean(g) is missing: μ depends on every x."),
                (gamma / std * (g - mean_g), "The term - x̂ · mean(g x̂) is missing: σ depends on every x."),
                (gamma / std * g, "Both mean terms are missing: μ and σ are no constants, they depend on every x."),
                (g - mean_g - x_hat * mean_product, "The factor γ / √(σ² + eps) is missing."),
                (gamma * (g - mean_g - x_hat * mean_product), "The factor 1 / √(σ² + eps) is missing."),
                ((g - mean_g - x_hat * mean_product) / std, "γ is missing."),
            ],
            "grad_gamma": [
                ((g * x).sum(axis=axes), "It must be Σ g x̂ with the normalised x̂, not with x."),
                (mean_product, "It is the mean: the gradient of γ is the sum."),
            ],
            "grad_beta": [(mean_g, "It is the mean: the gradient of β is the sum.")],
        }  # fmt: skip


class SpectralNormExercise(Exercise):
    name, notebook, paper = "spectral_norm", 6, "Miyato et al. 2018, section 2.1 and appendix A"
    signatures = (
        "power_iteration(matrix, u, iterations) -> u, v",
        "spectral_norm_forward(matrix, right_u, right_v) -> out, cache",
        "spectral_norm_backward(grad_output, cache) -> grad_matrix",
    )

    def cases(self):
        def arguments(rows, columns, iterations=2):
            a = normals(matrix=(rows, columns), u=(rows,), grad_output=(rows, columns)) | {"iterations": iterations}
            a["u"] /= np.linalg.norm(a["u"])
            right_u, right_v = power_iteration(a["matrix"], a["u"], iterations)
            return a | {"right_u": right_u, "right_v": right_v}

        return [
            Case(arguments(4, 3)),
            Case(arguments(3, 5), "more columns than rows"),
            Case(arguments(3, 3), "square matrices", "is a transpose missing, or one too many?"),
            Case(arguments(4, 3, iterations=1), "one iteration", "does it go on with the new u?"),
        ]

    def formula(self, a):
        return spectral_norm_forward(a["matrix"], a["right_u"], a["right_v"])[0]

    def right(self, a):
        return {"u": a["right_u"], "v": a["right_v"], "out": self.formula(a)}

    def common_mistakes(self, a):
        matrix, start, grad, _, u, v = a.values()
        once = power_iteration(matrix, start, 1)
        sigma, raw = u @ matrix @ v, matrix.T @ u
        product = (grad * matrix).sum() / sigma
        return {
            "u": [(once[0], "It is u after one iteration: make all of them, each from the new u.")],
            "v": [
                (once[1], "It is v after one iteration: make all of them, each from the new u."),
                (matrix.T @ once[0], "It is not divided by its length."),
                (raw / np.linalg.norm(raw), "It is made from the new u: v comes first, then u from v."),
            ],
            "out": [
                (matrix / np.linalg.norm(matrix), "It divides by the norm of all entries: σ = uᵀ W v is meant."),
                (matrix * sigma, "It multiplies by σ: divide."),
                (matrix / np.linalg.norm(matrix, 2), "σ is exact, from an SVD: use uᵀ W v, with the u and v given."),
            ],
            "grad_matrix": [
                (grad / sigma, "σ is no constant, it depends on W: the term - ⟪G, W̄⟫ u vᵀ is missing."),
                ((grad + product * np.outer(u, v)) / sigma, "The term ⟪G, W̄⟫ u vᵀ has the wrong sign."),
                ((grad - (grad * matrix).sum() * np.outer(u, v)) / sigma, "⟪G, W̄⟫ is taken with W; W̄ = W/σ is meant."),
                (grad - product * np.outer(u, v), "The division by σ is missing."),
            ],
        }


EXERCISES = [DenseExercise(), LeakyReluExercise(), BatchNormExercise(), SpectralNormExercise()]
