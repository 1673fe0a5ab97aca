"""Attention, a sample at a time: the scores of one fit in the cache, and the samples are shared among the threads."""

import numpy as np

from minigan.kernels import gemm
from minigan.kernels.parallel import memory, threads


def self_attention_forward(x, query, key, value, output, gamma):
    rows = np.ascontiguousarray(x).reshape(-1, x.shape[3])
    joined = np.concatenate((query, key, value), axis=1)  # one product in the place of three
    projected = gemm.product(rows, joined).reshape(len(x), -1, joined.shape[1])
    borders = query.shape[1], query.shape[1] + key.shape[1]
    attended, attending = attention_forward(*np.split(projected, borders, axis=2))
    attended = attended.reshape(len(rows), -1)
    seen = gemm.product(attended, output)
    out = np.multiply(seen, gamma, out=memory.empty(seen.shape, seen.dtype))
    out += rows
    return out.reshape(x.shape), (rows, joined, borders, attending, attended, output, seen, gamma)


def self_attention_backward(grad_output, cache, need_params=True, need_input=True):
    rows, joined, borders, attending, attended, output, seen, gamma = cache
    grad = np.ascontiguousarray(grad_output).reshape(rows.shape)
    grad_seen = gamma * grad
    grad_attended = gemm.product(grad_seen, output.T).reshape(len(grad_output), -1, output.shape[0])
    grad_projected = np.concatenate(attention_backward(grad_attended, attending), axis=2).reshape(len(rows), -1)
    grad_input, grad_weights = None, (None,) * 5
    if need_params:
        grad_joined, grad_o = gemm.product(rows.T, grad_projected), gemm.product(attended.T, grad_seen)
        grad_gamma = (grad * seen).sum(dtype=np.float64, keepdims=True).reshape(1).astype(grad.dtype)
        grad_weights = (*np.split(grad_joined, borders, axis=1), grad_o, grad_gamma)
    if need_input:
        grad_input = gemm.product(grad_projected, joined.T)
        grad_input += grad
        grad_input = grad_input.reshape(grad_output.shape)
    return grad_input, *grad_weights


def attention_forward(queries, keys, values):
    n, p, _ = queries.shape
    weights = memory.empty((n, p, keys.shape[1]), queries.dtype)
    out = memory.empty((n, p, values.shape[2]), queries.dtype)
    with threads.one_blas_thread:
        threads.run(_attend, n, 4 * weights.size, queries, keys, values, weights, out)
    return out, (queries, keys, values, weights, out)


def attention_backward(grad_output, cache):
    grads = tuple(memory.empty(array.shape, array.dtype) for array in cache[:3])
    with threads.one_blas_thread:
        threads.run(_attend_backward, len(grad_output), 4 * cache[3].size, grad_output, *cache, *grads)
    return grads


def _attend(start, stop, queries, keys, values, weights, out):
    for n in range(start, stop):
        beta = np.matmul(queries[n], keys[n].T, out=weights[n])
        beta -= beta.max(axis=1, keepdims=True)
        np.exp(beta, out=beta)
        beta /= beta.sum(axis=1, keepdims=True)
        np.matmul(beta, values[n], out=out[n])


def _attend_backward(
    start, stop, grad_output, queries, keys, values, weights, out, grad_queries, grad_keys, grad_values
):
    for n in range(start, stop):
        g, beta = grad_output[n], weights[n]
        grad_scores = g @ values[n].T
        grad_scores -= (g * out[n]).sum(axis=1, keepdims=True)
        grad_scores *= beta
        np.matmul(grad_scores, keys[n], out=grad_queries[n])
        np.matmul(grad_scores.T, queries[n], out=grad_keys[n])
        np.matmul(beta.T, g, out=grad_values[n])


self_attention = self_attention_forward, self_attention_backward
