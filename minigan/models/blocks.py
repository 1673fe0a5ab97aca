"""The layers that the architectures are listed from: `make = Builder(rng, dtype)`, then `make.conv(64, 128)`."""

import itertools

from minigan import init
from minigan.layers import BatchNorm, Conv2D, ConvTranspose2D, Dense, InstanceNorm, LeakyReLU, ReLU

HALVE = {"kernel_size": 4, "stride": 2, "padding": 1}  # of a convolution; its transpose doubles


class Builder:
    """Makes the layers of one network. rng: draws their weights, in the order in which they are made. wrap: what is put
    around each layer with a weight.

    `conv` keeps height and width, or divides them by the stride, for an odd kernel size; `halve` is a 4x4 convolution
    of stride 2, `double` its transpose.
    """

    def __init__(self, rng, dtype, wrap=lambda layer: layer):
        self.rng, self.dtype, self.wrap = rng, dtype, wrap

    def dense(self, inputs, outputs, bias=True):
        return self.wrap(Dense(inputs, outputs, bias=bias, rng=self.rng, dtype=self.dtype))

    def conv(self, inputs, outputs, kernel_size=3, stride=1, bias=True):
        padding = kernel_size // 2
        return self.wrap(Conv2D(inputs, outputs, kernel_size, stride, padding, bias, self.rng, self.dtype))

    def halve(self, inputs, outputs, bias=True):
        return self.wrap(Conv2D(inputs, outputs, **HALVE, bias=bias, rng=self.rng, dtype=self.dtype))

    def double(self, inputs, outputs):
        return self.wrap(ConvTranspose2D(inputs, outputs, **HALVE, rng=self.rng, dtype=self.dtype))

    def batch_norm(self, features):
        return BatchNorm(features, dtype=self.dtype)

    def instance_norm(self, features):
        return InstanceNorm(features, dtype=self.dtype)

    # ---- lists of layers

    def dense_layers(self, *widths):
        """A dense layer from each of these widths to the next, leaky ReLU 0.2 between them."""
        layers = []
        for inputs, outputs in itertools.pairwise(widths):
            layers += [self.dense(inputs, outputs), LeakyReLU(0.2)]
        return layers[:-1]

    def conv_norm_relu(self, inputs, outputs, kernel_size=3, stride=1):
        """`conv` without biases, which the batch norm after it would subtract again; batch norm, ReLU."""
        return [self.conv(inputs, outputs, kernel_size, stride, bias=False), self.batch_norm(outputs), ReLU()]


def redraw_weights(network, rng, std=0.02):
    """Draw every weight anew from N(0, std²), as DCGAN does; biases and normalisations stay. -> the network."""
    for name, param in network.params.items():
        if name.rsplit(".", 1)[-1] == "weight":
            network.params[name] = init.normal(param.shape, rng, param.dtype, std)
    return network
