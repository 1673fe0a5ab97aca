"""How D is told of a sample's condition: not at all, by channels, by projection, or by being asked for it."""

import numpy as np

from minigan.errors import InputError
from minigan.layers import one_hot, projection_backward, projection_forward
from minigan.losses import softmax_cross_entropy


class Untold:
    """D(x): a network of its own accord. The networks that judge several things at once give several logits a sample.

    count: conditions. outputs: what D gives a sample. channels: what is added to those of a sample before D sees it.
    """

    channels, outputs = 0, 1

    def __init__(self, count):
        self.count = count

    def see(self, x, conditions):
        """What D gets to see for samples x (N, …, C): (N, …, C + channels)."""
        return x

    def logits(self, outputs, conditions):
        """The judgements as logits (M, 1), from D's outputs (N, …)."""
        return outputs.reshape(-1, 1)

    def backward(self, grad_logits, outputs, conditions):
        """-> what is added to the loss, and ∂L/∂outputs from grad_logits = ∂L/∂logits."""
        return 0.0, grad_logits.reshape(outputs.shape)

    def weights(self, n, conditions, dtype):
        """How much each of D's outputs counts in a sample's logit (n, outputs), or None where all do."""
        return None


class Concatenation(Untold):
    """D([x, e_y]): each condition is a channel, 1 everywhere where it holds and 0 otherwise (Mirza and Osindero 2014).

    In the place of the paper's second input to a hidden layer, as is usual with convolutions (Radford et al. 2016).
    """

    def __init__(self, count):
        super().__init__(count)
        self.channels = count

    def see(self, x, conditions):
        rows = one_hot(conditions, self.count, x.dtype).reshape(len(x), *[1] * (x.ndim - 2), self.count)
        return np.concatenate([x, np.broadcast_to(rows, (*x.shape[:-1], self.count))], axis=-1)


class Projection(Untold):
    """D(x, y) = ψ(x) + v_y(x), see layers.projection_forward (Miyato and Koyama 2018)."""

    def __init__(self, count):
        super().__init__(count)
        self.outputs = 1 + count

    def logits(self, outputs, conditions):
        return projection_forward(outputs, conditions)[0]

    def backward(self, grad_logits, outputs, conditions):
        return 0.0, projection_backward(grad_logits, (conditions, outputs.shape))

    def weights(self, n, conditions, dtype):
        return projection_backward(np.ones((n, 1), dtype), (conditions, (n, self.outputs)))


class Auxiliary(Untold):
    """D(x) beside a classifier C(x) that shares its layers: both players also minimise C's cross-entropy on y.

    D's outputs are its logit and then C's logits (Odena et al. 2017, AC-GAN). The cross-entropy is that of all samples
    D sees: of real and fake ones in D's move, of fake ones in G's.
    """

    def __init__(self, count):
        super().__init__(count)
        self.outputs = 1 + count

    def logits(self, outputs, conditions):
        return np.ascontiguousarray(outputs[:, :1])

    def backward(self, grad_logits, outputs, conditions):
        value, grad_classes = softmax_cross_entropy(np.ascontiguousarray(outputs[:, 1:]), conditions)
        return value, np.concatenate([grad_logits, grad_classes], axis=1)

    def weights(self, n, conditions, dtype):
        weights = np.zeros((n, self.outputs), dtype)
        weights[:, 0] = 1
        return weights


TOLD_BY = {"projection": Projection, "concatenation": Concatenation, "auxiliary": Auxiliary}


def how_told(config, count):
    """The object for config.told_by and that many conditions; InputError for what does not go together."""
    if not count:
        return Untold(0)
    if config.told_by == "concatenation" and (config.gradient_penalty or config.r1):
        raise InputError("told_by concatenation does not go with gradient_penalty or r1; use projection.")
    return TOLD_BY[config.told_by](count)
