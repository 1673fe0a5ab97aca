"""A small convolutional classifier: four convolutions with batch norm, pooled down to a vector of features."""

from minigan.layers import AveragePool2D, BatchNorm, Conv2D, Flatten, MaxPool2D, ReLU, Sequential
from minigan.models.base import quarter_size

FEATURES = 128


def plain_body(sample_shape, rng, dtype):
    """Pictures (N, H, W, C) to features (N, 128): a 5x5 convolution of stride 2 →32, two 3x3 →64, max pooling, a 3x3
    →128, mean over the pixels; batch norm and ReLU after each convolution."""
    h, w, channels = quarter_size(sample_shape)

    def block(inputs, outputs, kernel_size=3, stride=1):
        padding = kernel_size // 2
        convolution = Conv2D(inputs, outputs, kernel_size, stride, padding, bias=False, rng=rng, dtype=dtype)
        return [convolution, BatchNorm(outputs, dtype=dtype), ReLU()]

    return Sequential(
        [
            *block(channels, 32, kernel_size=5, stride=2),
            *block(32, 64),
            *block(64, 64),
            MaxPool2D(2),
            *block(64, FEATURES),
            AveragePool2D((h, w)),
            Flatten(),
        ]
    )
