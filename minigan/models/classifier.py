"""A small convolutional classifier: four convolutions with batch norm, pooled down to a vector of features."""

from minigan.layers import AveragePool2D, Flatten, MaxPool2D, Sequential
from minigan.models.base import quarter_size
from minigan.models.blocks import Builder

FEATURES = 128


def plain_body(sample_shape, rng, dtype):
    """Pictures (N, H, W, C) to features (N, 128), the mean over the pixels of what the last convolution gives."""
    h, w, channels = quarter_size(sample_shape)
    make = Builder(rng, dtype)
    return Sequential(
        [
            *make.conv_norm_relu(channels, 32, kernel_size=5, stride=2),
            *make.conv_norm_relu(32, 64),
            *make.conv_norm_relu(64, 64),
            MaxPool2D(2),
            *make.conv_norm_relu(64, FEATURES),
            AveragePool2D((h, w)),
            Flatten(),
        ]
    )
