"""Layers: each formula a pair of functions, `…_forward` and `…_backward`, under a thin class with the parameters."""

from minigan.layers.activations import (
    LeakyReLU,
    ReLU,
    Sigmoid,
    Softplus,
    Tanh,
    leaky_relu_backward,
    leaky_relu_forward,
    relu_backward,
    relu_forward,
    sigmoid,
    sigmoid_backward,
    sigmoid_forward,
    softplus,
    softplus_backward,
    softplus_forward,
    tanh_backward,
    tanh_forward,
)
from minigan.layers.attention import SelfAttention2D, self_attention, self_attention_backward, self_attention_forward
from minigan.layers.base import Layer
from minigan.layers.batch_norm import (
    BatchNorm,
    batch_norm_backward,
    batch_norm_forward,
    batch_norm_inference_backward,
    batch_norm_inference_forward,
)
from minigan.layers.container import Composite, Sequential
from minigan.layers.conv import (
    Conv2D,
    ConvTranspose2D,
    conv2d_backward,
    conv2d_forward,
    conv_transpose2d_backward,
    conv_transpose2d_forward,
)
from minigan.layers.dense import Dense, dense_backward, dense_forward
from minigan.layers.dropout import (
    Dropout,
    GaussianNoise,
    dropout_backward,
    dropout_forward,
    gaussian_noise_backward,
    gaussian_noise_forward,
)
from minigan.layers.embedding import ConditionalBatchNorm, embedding_backward, embedding_forward
from minigan.layers.group_norm import GroupNorm, InstanceNorm, LayerNorm, group_norm_backward, group_norm_forward
from minigan.layers.minibatch import (
    MinibatchDiscrimination,
    MinibatchStd,
    minibatch_discrimination_backward,
    minibatch_discrimination_forward,
    minibatch_std_backward,
    minibatch_std_forward,
)
from minigan.layers.pixel_norm import PixelNorm, pixel_norm_backward, pixel_norm_forward
from minigan.layers.projection import one_hot, projection_backward, projection_forward
from minigan.layers.resample import (
    AveragePool2D,
    MaxPool2D,
    UpsampleNearest2D,
    average_pool2d_backward,
    average_pool2d_forward,
    max_pool2d_backward,
    max_pool2d_forward,
    upsample_nearest2d_backward,
    upsample_nearest2d_forward,
)
from minigan.layers.residual import Concatenation, Residual
from minigan.layers.reversal import GradientReversal, gradient_reversal_backward, gradient_reversal_forward
from minigan.layers.shape import Flatten, Reshape
from minigan.layers.spectral_norm import (
    EqualizedRate,
    SpectralNorm,
    power_iteration,
    spectral_norm_backward,
    spectral_norm_forward,
)
