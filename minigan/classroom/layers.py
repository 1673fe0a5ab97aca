"""The exercises on layers: a forward pass, and the backward pass that belongs to it."""

import numpy as np

from minigan.classroom.exercise import Case, Exercise
from minigan.layers.spectral_norm import power_iteration

LARGE = "rounding eats a difference of values: derive the gradient."
ONE_SAMPLE = "is the batch axis forgotten, or a sum or mean over the batch missing?"


class DenseExercise(Exercise):
    name, notebook, paper = "dense", 2, "Rumelhart, Hinton and Williams 1986"
    signatures = (
        "dense_forward(x, weight, bias) -> out, cache",
        "dense_backward(grad_output, cache) -> grad_input, grad_weight, grad_bias",
    )

    def cases(self, draw):
        def arguments(n, d, f, scale=1.0):
            a = draw.normals(x=(n, d), weight=(d, f), bias=(f,), grad_output=(n, f))
            return a | {"x": scale * a["x"], "grad_output": scale * a["grad_output"]}

        n, d, f = draw.sizes(3)
        return [
            Case(arguments(n, d, f)),
            Case(arguments(1, d, f), "N = 1", ONE_SAMPLE),
            Case(arguments(n, f, f), "square weights", "is a transpose missing, or one too many?"),
            Case(arguments(d, d, d), "N = D = F", "are two axes swapped?"),
            Case(arguments(n, d, 1), "F = 1"),
            Case(arguments(n, d, f, 1e6), "large numbers", LARGE),
        ]

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

    def cases(self, draw):
        def arguments(slope, *shape, scale=1.0):
            x, g = scale * draw.normal(*shape, away=0.1), scale * draw.normal(*shape)
            return {"x": x, "negative_slope": slope, "grad_output": g}

        n, d = draw.sizes(2)
        slope = draw.uniform(0.1, 0.6)
        positive, at_zero = arguments(slope, n, d), arguments(slope, n, d)
        positive["x"] = abs(positive["x"])
        at_zero["x"][0] = 0
        return [
            Case(arguments(slope, n, d)),
            Case(arguments(0.01, n, d, 2, 2), "a slope of 0.01 and pictures"),
            Case(arguments(slope, 1, d), "N = 1", ONE_SAMPLE),
            Case(positive, "positive x", "is negative_slope used where x is negative?"),
            Case(at_zero, "x = 0", "there the slope is negative_slope, and the output 0: no division by x."),
            Case(arguments(1 + slope, n, d), "a slope above 1", "max(x, a x) holds for slopes up to 1 only."),
            Case(arguments(-slope, n, d), "a slope below 0", "x > 0 decides, not the sign of the output."),
            Case(arguments(slope, n, d, scale=1e6), "large numbers", LARGE),
        ]

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

    def cases(self, draw):
        def arguments(*shape):
            return {
                "x": 2 * draw.normal(*shape) + draw.uniform(-3, 3, shape[-1]),
                "gamma": draw.normal(shape[-1], away=0.5),
                "beta": draw.normal(shape[-1]),
                "eps": draw.uniform(1e-3, 0.5),
                "grad_output": draw.normal(*shape),
            }

        n, h, w, c = draw.sizes(4)
        without, still = arguments(n, h, w, c), arguments(n, h, w, c)
        without["gamma"][0] = 0
        still["x"][..., 0] = draw.uniform(1, 2)
        return [
            Case(arguments(n, h, w, c)),
            Case(arguments(n, c), "x of shape (N, C)", "which axes belong to the means? All but the last."),
            Case(arguments(1, h, w, c), "N = 1", "statistics go over batch, height and width together."),
            Case(arguments(n, n), "N = C", "is an axis taken for another?"),
            Case(without, "a γ of 0", "no division by γ."),
            Case(still, "a channel that is constant", "σ² is 0 there: eps belongs into forward and backward."),
        ]

    def common_mistakes(self, a):
        x, gamma, beta, eps, g = a.values()
        axes = tuple(range(x.ndim - 1))
        var, count = x.var(axis=axes), x[..., 0].size
        std = np.sqrt(var + eps)
        centred = x - x.mean(axis=axes)
        x_hat, mean_g, mean_product = centred / std, g.mean(axis=axes), (g * centred / std).mean(axis=axes)
        bare = centred / np.sqrt(var)  # x̂ without eps
        counts = [
            (max(count - 1, 1), "Its means divide by M - 1: by the count M, as the variance does."),
            (len(x), "Its means divide by N alone: they go over height and width too."),
        ]
        return {
            "out": [
                (gamma * centred / np.sqrt(var * count / (count - 1) + eps) + beta,
                 "The variance is the unbiased one: batch norm divides by the biased, Σ (x - μ)² / M."),
                (gamma * centred / np.sqrt(var) + beta, "eps is missing under the root."),
                (gamma * centred / (np.sqrt(var) + eps) + beta, "eps stands outside the root: √(σ² + eps) is meant."),
                (gamma * centred / (np.sqrt(var) + np.sqrt(eps)) + beta, "It is a sum of two roots: √(σ² + eps)."),
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
                *((gamma / std * (g - (mean_g + x_hat * mean_product) * count / wrong), sentence)
                  for wrong, sentence in counts),
                (gamma / np.sqrt(var) * (g - mean_g - bare * (g * bare).mean(axis=axes)),
                 "eps is missing in the backward pass."),
            ],
            "grad_gamma": [
                ((g * x).sum(axis=axes), "It must be Σ g x̂ with the normalised x̂, not with x."),
                (mean_product, "It is the mean: the gradient of γ is the sum."),
                (g.sum(axis=axes), "γ's and β's gradients stand in each other's place."),
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

    def cases(self, draw):
        def unit(size):
            u = draw.normal(size)
            return u / np.linalg.norm(u)

        def arguments(rows, columns, iterations):
            a = draw.normals(matrix=(rows, columns), grad_output=(rows, columns))
            a = {"matrix": a["matrix"], "u": unit(rows), "grad_output": a["grad_output"], "iterations": iterations}
            right_u, right_v = power_iteration(a["matrix"], a["u"], iterations)
            return a | {"right_u": right_u, "right_v": right_v}

        rows, columns = draw.sizes(2)
        other, negative = arguments(rows, columns, 4), arguments(rows, columns, 3)
        other["right_u"], other["right_v"] = unit(rows), unit(columns)
        negative["right_u"] = -negative["right_u"]
        given = "σ = uᵀ W v with the u and v that are given, whatever they are."
        return [
            Case(arguments(rows, columns, 2)),
            Case(arguments(columns, rows, 3), "a matrix of the other form", "are rows and columns swapped?"),
            Case(arguments(rows, rows, 2), "square matrices", "is a transpose missing, or one too many?"),
            Case(arguments(rows, columns, 1), "one iteration", "does it go on with the new u?"),
            Case(arguments(rows, columns, 5), "five iterations", "make as many as are asked for."),
            Case(other, "u and v that are no singular vectors", given),
            Case(negative, "σ below 0", given),
        ]

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
