"""Fast twins of the formulas in layers/: Numba loops over a range of rows, and matrix products shared among threads.

Nobody needs this folder to understand the rest. Each name below holds the functions of one formula, of the same
arguments and results, and in the same order: forward, backward and, where there are any, jvp and jvp_backward; the
formula's own take the place of those left out. Their backward is given besides which gradients are needed.
"""

from minigan.kernels.attention import self_attention
from minigan.kernels.convolution import conv2d, conv_transpose2d
from minigan.kernels.gemm import dense
from minigan.kernels.group_norm import group_norm
from minigan.kernels.norm import batch_norm, batch_norm_inference
from minigan.kernels.pointwise import dropout, leaky_relu, relu
from minigan.kernels.pooling import max_pool2d
