"""The networks of domain-adversarial training (Ganin et al. 2016, section 5.2.2), smaller than the paper's."""

from minigan.layers import BatchNorm, Conv2D, Dense, Flatten, GradientReversal, ReLU, Sequential
from minigan.models.base import quarter_size
from minigan.models.dcgan import HALVE

FEATURES = 128


def domain_features(sample_shape, rng, dtype):
    """Pictures (N, H, W, C) to features (N, 128): 4x4/2 convolutions→32→64 with batch norm, dense→128, ReLU after each.

    The two domains are to be normalised apart: forward(x, num_splits=2).
    """
    h, w, channels = quarter_size(sample_shape)
    layers = []
    for inputs, outputs in ((channels, 32), (32, 64)):
        convolution = Conv2D(inputs, outputs, **HALVE, bias=False, rng=rng, dtype=dtype)
        layers += [convolution, BatchNorm(outputs, dtype=dtype), ReLU()]
    return Sequential([*layers, Flatten(), Dense(h * w * 64, FEATURES, rng=rng, dtype=dtype), ReLU()])


def label_head(classes, rng, dtype):
    """Features to logits (N, classes): dense→classes."""
    return Sequential([Dense(FEATURES, classes, rng=rng, dtype=dtype)])


def domain_head(rng, dtype):
    """Features to the logit of the first domain (N, 1), behind a reversed gradient: dense→100→1, ReLU between."""
    hidden = Dense(FEATURES, 100, rng=rng, dtype=dtype)
    return Sequential([GradientReversal(), hidden, ReLU(), Dense(100, 1, rng=rng, dtype=dtype)])
