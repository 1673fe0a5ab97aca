"""The networks of domain-adversarial training (Ganin et al. 2016, section 5.2.2), smaller than the paper's."""

from minigan.layers import Flatten, GradientReversal, ReLU, Sequential
from minigan.models.base import quarter_size
from minigan.models.blocks import Builder

FEATURES = 128


def domain_features(sample_shape, rng, dtype):
    """Pictures (N, H, W, C) to features (N, 128): 4x4/2 convolutions→32→64 with batch norm, dense→128, ReLU after each.

    The two domains are to be normalised apart: forward(x, num_splits=2).
    """
    h, w, channels = quarter_size(sample_shape)
    make = Builder(rng, dtype)
    layers = [make.halve(channels, 32, bias=False), make.batch_norm(32), ReLU()]
    layers += [make.halve(32, 64, bias=False), make.batch_norm(64), ReLU()]
    return Sequential([*layers, Flatten(), make.dense(h * w * 64, FEATURES), ReLU()])


def label_head(classes, rng, dtype):
    """Features to logits (N, classes): dense→classes."""
    return Sequential([Builder(rng, dtype).dense(FEATURES, classes)])


def domain_head(rng, dtype):
    """Features to the logit of the first domain (N, 1), behind a reversed gradient: dense→100→1, ReLU between."""
    make = Builder(rng, dtype)
    return Sequential([GradientReversal(), make.dense(FEATURES, 100), ReLU(), make.dense(100, 1)])
