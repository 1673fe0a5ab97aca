"""Conditional networks: G and D that are given y, the condition of each sample, beside z or x.

Both are layers around a network, forward(x, y) and backward(grad), with that network's parameters; y (N,) whole numbers
from 0 to count - 1, or None where nothing is conditional.
"""

import numpy as np

from minigan import penalties
from minigan.layers import one_hot, projection_backward, projection_forward
from minigan.layers.base import Remembered, recall
from minigan.losses import softmax_cross_entropy


class Conditional:
    """What the two share: whatever is not said here is the network's own (params, grads, zero_grad, layers, …)."""

    def __init__(self, network, count):
        self.network, self.count = network, count

    def __getattr__(self, name):
        if name == "network" or name.startswith("__"):  # what a copy asks for before it has a network
            raise AttributeError(name)
        return getattr(self.network, name)

    def __repr__(self):
        return f"{type(self).__name__}({self.network!r})"


class Generator(Conditional):
    """G(z, y) = network([z, e_y]), or network(z) for a count of 0 (Mirza and Osindero 2014)."""

    def forward(self, z, y=None, training=True, extra_input=None):
        """z (N, Z), y (N,) -> samples (N, …). extra_input: what else the network takes while it is trained (N, P), if
        anything: see Preset."""
        self.latent_dim = z.shape[1]
        given = [z, None if y is None else one_hot(y, self.count, z.dtype), extra_input]
        inputs = [array for array in given if array is not None]
        return self.network.forward(z if len(inputs) == 1 else np.concatenate(inputs, axis=1), training)

    def backward(self, grad_output, need_param_grads=True, need_input_grad=True):
        """-> ∂L/∂z."""
        grad = self.network.backward(grad_output, need_param_grads, need_input_grad)
        return np.ascontiguousarray(grad[:, : self.latent_dim]) if need_input_grad else None


class Discriminator(Conditional):
    """D(x): a network of its own accord, whatever y.

    A network that judges J things of a sample at once gives the outputs of each, one after the other, (N, J · outputs);
    y is that of all. outputs: what the network gives for a judgement. channels: what it sees of y beside those of x.
    """

    def __init__(self, network, count=0):
        super().__init__(network, count)
        self.remembered = None

    @staticmethod
    def outputs(count):
        return 1

    @staticmethod
    def channels(count):
        return 0

    def forward(self, x, y=None, training=True, num_splits=1):
        """x (N, …, C), y (N,) -> logits (N · J, 1). num_splits: how many parts, such as real and fake, make up the
        batch; batch norm sees each by itself."""
        out = self.network.forward(self.see(x, y), training, num_splits)
        logits = self.logits(out, y)
        self._grad_auxiliary = None
        self.remembered = Remembered(logits.shape, logits.dtype, (out, y))
        return logits

    def backward(self, grad_logits, need_param_grads=True, need_input_grad=True):
        """-> ∂L/∂x (N, …, C). Errors as of Layer.backward."""
        out, y = recall(self, grad_logits)
        grad = self.spread(grad_logits, y, out.shape)
        if self._grad_auxiliary is not None:
            grad = grad + self._grad_auxiliary
        grad = self.network.backward(grad, need_param_grads, need_input_grad)
        return self.own(grad) if need_input_grad else None

    def auxiliary_loss(self):
        """The loss of what the network is asked for besides, at the last forward; its gradient joins the next backward.
        0 where that is nothing."""
        return 0.0

    def gradient_penalty(self, x, y, penalty):
        """Add the gradient of P(∇ₓ D(x, y)) to grads -> P; y is held constant. penalty: g -> P, ∂P/∂g."""

        def by_sample(g):
            value, v = penalty(self.own(g))
            return value, np.pad(v, [(0, 0)] * (g.ndim - 1) + [(0, g.shape[-1] - v.shape[-1])])

        shape = len(x), self.outputs(self.count)
        signal = self.spread(np.ones((len(x), 1), x.dtype), y, shape)
        return penalties.gradient_penalty(self.network, self.see(x, y), by_sample, signal)

    def see(self, x, y):
        """What the network sees of x and y: (N, …, C + channels)."""
        return x

    def own(self, grad):
        """Of a gradient by what the network sees, that by x."""
        return grad

    def logits(self, out, y):
        """The judgements (N · J, 1), from the network's outputs (N, J · outputs)."""
        return out.reshape(-1, 1)

    def spread(self, grad_logits, y, shape):
        """The gradient by the network's outputs, of this shape, from ∂L/∂logits."""
        return grad_logits.reshape(shape)

    def _each(self, out, y):
        """-> the outputs of each judgement (N · J, outputs), and its condition (N · J,)."""
        each = out.reshape(-1, self.outputs(self.count))
        return each, np.repeat(y, len(each) // len(y))


class Concatenation(Discriminator):
    """D([x, e_y]): each condition is a channel, 1 everywhere where it holds and 0 otherwise (Mirza and Osindero 2014).

    In the place of the paper's second input to a hidden layer, as is usual with convolutions (Radford et al. 2016).
    """

    @staticmethod
    def channels(count):
        return count

    def see(self, x, y):
        rows = one_hot(y, self.count, x.dtype).reshape(len(x), *[1] * (x.ndim - 2), self.count)
        return np.concatenate([x, np.broadcast_to(rows, (*x.shape[:-1], self.count))], axis=-1)

    def own(self, grad):
        return np.ascontiguousarray(grad[..., : -self.count])


class Projection(Discriminator):
    """D(x, y) = ψ(x) + v_y(x), see layers.projection_forward (Miyato and Koyama 2018)."""

    @staticmethod
    def outputs(count):
        return 1 + count

    def logits(self, out, y):
        return projection_forward(*self._each(out, y))[0]

    def spread(self, grad_logits, y, shape):
        each = len(grad_logits), 1 + self.count
        return projection_backward(grad_logits, (np.repeat(y, each[0] // len(y)), each)).reshape(shape)


class Auxiliary(Discriminator):
    """D(x) beside a classifier C(x) that shares its layers: both players also minimise C's cross-entropy on y.

    The network's outputs are D's logit and then C's logits (Odena et al. 2017, AC-GAN). The cross-entropy is that of
    all samples D sees: of real and fake ones in D's move, of fake ones in G's.
    """

    @staticmethod
    def outputs(count):
        return 1 + count

    def logits(self, out, y):
        return np.ascontiguousarray(out.reshape(-1, 1 + self.count)[:, :1])

    def spread(self, grad_logits, y, shape):
        return np.pad(grad_logits, ((0, 0), (0, self.count))).reshape(shape)

    def auxiliary_loss(self):
        out, y = self.remembered.cache
        each, y = self._each(out, y)
        value, grad = softmax_cross_entropy(np.ascontiguousarray(each[:, 1:]), y)
        self._grad_auxiliary = np.pad(grad, ((0, 0), (1, 0))).reshape(out.shape)
        return value


CONDITIONING = {"projection": Projection, "concatenation": Concatenation, "auxiliary": Auxiliary}


def discriminator_kind(config, count):
    """The kind of D for config.conditioning and that many conditions."""
    return CONDITIONING[config.conditioning] if count else Discriminator
