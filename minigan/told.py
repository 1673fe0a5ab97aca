"""How D is told of a sample's condition: not at all, by channels, by projection, or by being asked for it."""

import numpy as np

from minigan.layers import one_hot, projection_backward, projection_forward
from minigan.losses import softmax_cross_entropy


class Untold:
    """D(x): a network of its own accord.

    A network that judges J things of a sample at once gives the outputs of each, one after the other, (N, J · outputs);
    the condition is that of all. count: conditions. outputs: what D gives for a judgement. channels: what is added to
    those of a sample before D sees it.
    """

    channels, outputs = 0, 1

    def __init__(self, count):
        self.count = count

    def see(self, x, conditions):
        """What D gets to see for samples x (N, …, C): (N, …, C + channels)."""
        return x

    def own(self, grad):
        """Of a gradient by what D sees, that by the sample."""
        return grad

    def logits(self, outputs, conditions):
        """The judgements as logits (N · J, 1), from D's outputs (N, J · outputs)."""
        return self._logits(*self._each(outputs, conditions))

    def backward(self, grad_logits, outputs, conditions):
        """-> what is added to the loss, and ∂L/∂outputs from grad_logits = ∂L/∂logits."""
        more, grad = self._backward(grad_logits, *self._each(outputs, conditions))
        return more, grad.reshape(outputs.shape)

    def weights(self, n, conditions, dtype):
        """How much each output of a judgement counts in its logit (n, outputs), or None where all do."""
        return None

    def _each(self, outputs, conditions):
        """-> the outputs of each judgement (N · J, outputs), and its condition (N · J,) if there are any."""
        each = outputs.reshape(-1, self.outputs)
        return each, None if conditions is None else np.repeat(conditions, len(each) // len(outputs))

    def _logits(self, outputs, conditions):
        return outputs

    def _backward(self, grad_logits, outputs, conditions):
        return 0.0, grad_logits


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

    def own(self, grad):
        return np.ascontiguousarray(grad[..., : -self.channels])


class Projection(Untold):
    """D(x, y) = ψ(x) + v_y(x), see layers.projection_forward (Miyato and Koyama 2018)."""

    def __init__(self, count):
        super().__init__(count)
        self.outputs = 1 + count

    def _logits(self, outputs, conditions):
        return projection_forward(outputs, conditions)[0]

    def _backward(self, grad_logits, outputs, conditions):
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

    def _logits(self, outputs, conditions):
        return np.ascontiguousarray(outputs[:, :1])

    def _backward(self, grad_logits, outputs, conditions):
        value, grad_classes = softmax_cross_entropy(np.ascontiguousarray(outputs[:, 1:]), conditions)
        return value, np.concatenate([grad_logits, grad_classes], axis=1)

    def weights(self, n, conditions, dtype):
        weights = np.zeros((n, self.outputs), dtype)
        weights[:, 0] = 1
        return weights


TOLD_BY = {"projection": Projection, "concatenation": Concatenation, "auxiliary": Auxiliary}


def how_told(config, count):
    """The object for config.told_by and that many conditions."""
    return TOLD_BY[config.told_by](count) if count else Untold(0)
