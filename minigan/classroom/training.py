"""The exercises on training: how the parameters move."""

import numpy as np

from minigan import losses
from minigan.classroom.exercise import Case, Exercise
from minigan.layers.activations import sigmoid
from minigan.optim import adam


class AdamExercise(Exercise):
    name, notebook, paper = "adam", 7, "Kingma and Ba 2015, algorithm 1"
    signatures = ("adam_step(param, grad, mean, square, step, lr, beta1, beta2, eps) -> param, mean, square",)

    def cases(self, draw):
        def arguments(step, *shape):
            a = draw.normals(param=shape, grad=shape, mean=shape, square=shape)
            a["mean"], a["square"] = (0.1 * a["mean"], 0.1 * a["square"] ** 2) if step > 1 else np.zeros((2, *shape))
            a |= {"step": step, "lr": draw.uniform(0.01, 0.5)}
            return a | {
                "beta1": draw.uniform(0.3, 0.9),
                "beta2": draw.uniform(0.91, 0.99),
                "eps": draw.uniform(1e-3, 0.1),
            }

        shape = tuple(draw.sizes(2))
        return [
            Case(arguments(3, *shape)),
            Case(arguments(1, *shape), "the first step", "β₁ᵗ and β₂ᵗ need the power t = step."),
            Case(arguments(200, shape[0]), "a late step", "the bias corrections 1 - β₁ᵗ and 1 - β₂ᵗ."),
            Case(arguments(2, *shape, 2, 2), "parameters of four axes"),
        ]

    def run(self, student, a):
        param, *others = super().run(student, a)
        yield from (*others, param)  # which is made of them

    def common_mistakes(self, a):
        param, grad, mean, square, t, lr, beta1, beta2, eps = a.values()
        _, m, v = adam(*a.values())
        m_hat, v_hat = m / (1 - beta1**t), v / (1 - beta2**t)

        def moved(m, v):
            return param - lr * m / (np.sqrt(v) + eps)

        return {
            "mean": [
                (beta1 * mean + grad, "The factor 1 - β₁ of g is missing."),
                ((1 - beta1) * grad, "The old mean is not used: it starts from 0 each time."),
                (beta2 * mean + (1 - beta2) * grad, "β₁ and β₂ are swapped."),
                (m_hat, "It is corrected for its bias: return m itself, m̂ is for the step only."),
            ],
            "square": [
                (beta2 * square + grad**2, "The factor 1 - β₂ of g² is missing."),
                (beta2 * square + (1 - beta2) * grad, "g is not squared."),
                ((1 - beta2) * grad**2, "The old square is not used: it starts from 0 each time."),
                (v_hat, "It is corrected for its bias: return v itself, v̂ is for the step only."),
            ],
            "param": [
                (moved(m, v), "The bias corrections m / (1 - β₁ᵗ) and v / (1 - β₂ᵗ) are missing."),
                (moved(m, v_hat), "The bias correction of m is missing."),
                (moved(m_hat, v), "The bias correction of v is missing."),
                (moved(m / (1 - beta1), v / (1 - beta2)), "The bias corrections lack the power t: 1 - βᵗ, not 1 - β."),
                (moved(m / (1 - beta1) ** t, v / (1 - beta2) ** t), "The power is of β: 1 - βᵗ, not (1 - β)ᵗ."),
                (
                    moved(m_hat, np.maximum(square, v) / (1 - beta2**t)),
                    "That is AMSGrad: v̂ is of v, not of the largest.",
                ),
                (moved(m / (1 - beta1 ** (t + 1)), v / (1 - beta2 ** (t + 1))), "step is t already: no t + 1."),
                (
                    param - lr * m_hat / (np.sqrt(v) + eps) * np.sqrt(1 - beta2**t),
                    "eps is added to √v: to √v̂ it belongs.",
                ),
                (2 * param - moved(m_hat, v_hat), "It goes up: θ ← θ - lr …"),
                (param - lr * m_hat / (v_hat + eps), "The root of v̂ is missing."),
                (param - lr * m_hat / np.sqrt(v_hat + eps), "eps stands under the root: √v̂ + eps is meant."),
                (param - lr * m_hat / np.sqrt(v_hat), "eps is missing."),
                (param - m_hat / (np.sqrt(v_hat) + eps), "The learning rate is missing."),
            ],
        }


class MinimaxStepExercise(Exercise):
    name, notebook, paper = "minimax_step", 8, "Goodfellow et al. 2014, algorithm 1"
    signatures = ("minimax_step(weight, bias, shift, real, z, lr) -> weight, bias, shift",)

    def cases(self, draw):
        def arguments(n, d):
            a = draw.normals(weight=(d,), bias=(1,), shift=(d,), real=(n, d), z=(n, d))
            return a | {"real": a["real"] + 1, "lr": draw.uniform(0.1, 0.9)}

        n, d = draw.sizes(2)
        return [
            Case(arguments(n, d)),
            Case(arguments(1, d), "N = 1", "is the 1/N of the means missing?"),
            Case(arguments(n, 1), "one feature", "which axis is the batch?"),
            Case(arguments(d, d), "N = D", "which axis is the batch?"),
        ]

    @staticmethod
    def moved_shift(a, loss="minimax", lr=None):
        """G's shift after a step down its loss, judged by the D of a."""
        logits = (a["z"] + a["shift"]) @ a["weight"] + a["bias"]
        slope = losses.LOSSES[loss]().generator(logits)[1]
        return a["shift"] - (a["lr"] if lr is None else lr) * slope.sum() * a["weight"]

    def common_mistakes(self, a):
        right, n = self.right(a), len(a["real"])
        after = {**a, "weight": right["weight"], "bias": right["bias"]}
        up = "It goes the wrong way: D climbs V, the gradient of V is added."
        total = "The 1/N of the means is missing."
        half = "Only {} is counted: V has a term for real and one for fake."
        again = self.right({**a, "weight": right["weight"], "bias": right["bias"]})
        only, unmoved = {}, self.right({**a, "shift": np.zeros_like(a["shift"])})
        for name in ("weight", "bias"):
            x = np.ones((n, 1)) if name == "bias" else a["real"]
            fakes = np.ones((n, 1)) if name == "bias" else a["z"] + a["shift"]
            real_part = sigmoid(-(a["real"] @ a["weight"] + a["bias"])) @ x / n
            fake_part = -sigmoid((a["z"] + a["shift"]) @ a["weight"] + a["bias"]) @ fakes / n
            only[name] = [
                (a[name] + a["lr"] * real_part, half.format("the real half")),
                (a[name] + a["lr"] * fake_part, half.format("the fake half")),
                (a[name] + a["lr"] * (real_part - fake_part), "The fake term has the wrong sign."),
                (2 * a[name] - right[name], up),
                ((a[name] + right[name]) / 2, "It is half of the step: V is the sum of two means, not their mean."),
                (again[name], "D moves twice: one step of D, then one of G."),
                (unmoved[name], "The fakes are z: G(z) = z + shift."),
                (a[name] + n * (right[name] - a[name]), total),
                (a[name] + (right[name] - a[name]) / a["lr"], "The learning rate is missing."),
            ]
        return {
            **only,
            "shift": [
                (a["shift"], "G does not move."),
                (self.moved_shift(a), "G is judged by the old D: it moves after D, judged by the D just moved."),
                (self.moved_shift(after, "non_saturating"),
                 "That is the non-saturating step: here G goes down V itself."),
                (self.moved_shift({**after, "bias": a["bias"]}), "The new weight stands beside the old bias."),
                (2 * a["shift"] - right["shift"], "It goes the wrong way: G goes down V, the gradient is subtracted."),
                (self.moved_shift(after, lr=a["lr"] * n), total),
                (self.moved_shift(after, lr=1.0), "The learning rate is missing."),
            ],
        }  # fmt: skip


class WeightClippingExercise(Exercise):
    name, notebook, paper = "weight_clipping", 13, "Arjovsky, Chintala and Bottou 2017, algorithm 1"
    signatures = ("critic_step(weight, bias, real, fake, lr, limit) -> weight, bias",)

    def cases(self, draw):
        def arguments(n, m, d, limit, bias):
            shift = draw.normal(d, away=0.3)
            a = {"weight": draw.normal(d) / 2, "bias": np.array([bias]), "real": draw.normal(n, d) + shift}
            return a | {"fake": draw.normal(m, d), "lr": draw.uniform(0.1, 0.9), "limit": limit}

        n, m, d = draw.sizes(3)
        limit = draw.uniform(0.2, 0.5)
        return [
            Case(arguments(n, m, d, limit, 1.5 * limit)),
            Case(arguments(n, m, d, 100.0, -0.7), "a limit that is never reached", "look at the clipping."),
            Case(arguments(1, 1, d, limit, limit / 3), "N = 1", "is the mean over the batch missing?"),
            Case(
                arguments(m, n, d, limit, -2 * limit), "a bias below -limit", "the bias is clipped from below as well."
            ),
            Case(arguments(n, m, d, limit / 20, limit / 40), "a small limit", "limit is an argument, no constant."),
        ]

    @staticmethod
    def step(a):
        """The weight after the step, before it is clipped."""
        return a["weight"] - a["lr"] * (a["fake"].mean(axis=0) - a["real"].mean(axis=0))

    def common_mistakes(self, a):
        limit, weight, free = a["limit"], a["weight"], self.step(a)
        real, fake = a["real"], a["fake"]
        up = "It goes the wrong way: the critic goes down mean D(fake) - mean D(real)."
        sums = weight - a["lr"] * (fake.sum(axis=0) - real.sum(axis=0))
        gradient = (free - weight) / a["lr"]
        early = np.clip(weight, -limit, limit) + free - weight
        return {
            "weight": [
                (free, "It is not clipped."),
                (np.minimum(free, limit), "It is clipped from above only: -limit … limit is meant."),
                (np.clip(free, 0, limit), "It is clipped to 0 … limit: -limit … limit is meant."),
                (np.maximum(free, -limit), "It is clipped from below only: -limit … limit is meant."),
                (np.clip(2 * weight - free, -limit, limit), up),
                (weight + a["lr"] * np.clip(gradient, -limit, limit), "The gradient is clipped: clip the weight."),
                (early, "It is clipped before the step: the step comes first."),
                (free * limit / max(abs(free).max(), limit), "It is scaled as a whole: clip each entry by itself."),
                (np.clip(weight, -limit, limit), "It is clipped, but the step is missing."),
                (np.clip(weight + gradient, -limit, limit), "The learning rate is missing."),
                (np.clip(sums, -limit, limit), "The sums over the batch are used: take the means."),
            ],
            "bias": [(a["bias"], "The bias is not clipped: all of the critic's parameters are.")],
        }


EXERCISES = [AdamExercise(), MinimaxStepExercise(), WeightClippingExercise()]
