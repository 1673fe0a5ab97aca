"""out = A B in float32, by tiles of out that stay in registers while their sums grow.

For every k a tile of ROWS x WIDTH sums takes ROWS numbers of A and WIDTH of B, and multiplies each with each
(vectors.py): the processor is kept busy with multiply-adds, two vectors of B and ROWS single numbers of A being all
that has to be read. WIDTH columns of B, at most DEPTH rows of it, are first copied into a panel without gaps, which all
tiles of these columns read from the cache; A is read where it lies (after Goto and van de Geijn 2008, Anatomy of
high-performance matrix multiplication, who copy both; at the sizes of these networks copying A, and clearing out before
adding to it, costs BLAS 5 to 20 %).

Every number of out is the same sum in the same order, into whatever tiles out is cut, and for any number of threads.
"""

import numpy as np
from numba import carray, types
from numba.extending import intrinsic

from minigan.kernels import memory
from minigan.kernels.jit import inlined_kernel, kernel
from minigan.kernels.vectors import LANES, ROWS, WIDTH, copy, tile_kernel, transpose

DEPTH = 1024  # rows of a panel, so that it and ROWS rows of A stay in the cache
FEW_ROWS = ROWS // 3
SCRATCH = WIDTH * (DEPTH + ROWS)  # numbers: a panel, and a tile that reaches beyond the edge of out

_large_tile, _small_tile, _row = (tile_kernel(rows) for rows in (ROWS, FEW_ROWS, 1))


def scratch():
    """What `multiply` needs for itself: (SCRATCH,)."""
    return memory.empty((SCRATCH,), np.float32)


@kernel
def multiply(a, a_row, a_column, b, b_row, b_column, out, out_row, rows, columns, depth, add, scratch):
    """out (rows, columns) = A (rows, depth) B (depth, columns), + out if add is not 0.

    a, b, out: addresses; …_row, …_column: numbers from a row or column to the next, one of B's being 1; columns of out
    lie side by side. scratch: from scratch().
    """
    panel, edge = scratch.ctypes.data, scratch.ctypes.data + 4 * WIDTH * DEPTH
    for column in range(0, columns, WIDTH):
        width = min(WIDTH, columns - column)
        for k in range(0, depth, DEPTH):
            deep, adding = min(DEPTH, depth - k), 1 if add or k else 0
            _fill_panel(b + 4 * (k * b_row + column * b_column), b_row, b_column, deep, width, panel)
            row = 0
            ahead, ahead_row = panel, np.int64(0)
            if b_column == 1 and column + WIDTH < columns:  # the first tile fetches the next panel on the way
                ahead, ahead_row = b + 4 * (k * b_row + column + WIDTH), b_row
            while row < rows:
                high = ROWS if rows - row >= ROWS else FEW_ROWS if rows - row >= FEW_ROWS else 1
                a_here, out_here = a + 4 * (row * a_row + k * a_column), out + 4 * (row * out_row + column)
                if width == WIDTH:
                    _tile(high, a_here, a_row, a_column, panel, out_here, out_row, deep, adding, ahead, ahead_row)
                else:
                    if adding:
                        _move(out_here, out_row, edge, WIDTH, high, width)
                    _tile(high, a_here, a_row, a_column, panel, edge, WIDTH, deep, adding, panel, 0)
                    _move(edge, WIDTH, out_here, out_row, high, width)
                row += high
                ahead, ahead_row = panel, 0


@kernel
def multiply_stack(count, a, a_steps, b, b_steps, out, out_steps, rows, columns, depth, add, scratch):
    """`multiply` for each of `count` matrices; …_steps: numbers from a matrix, a row and a column to the next."""
    for i in range(count):
        a_here = a + 4 * i * a_steps[0], a_steps[1], a_steps[2]
        b_here = b + 4 * i * b_steps[0], b_steps[1], b_steps[2]
        multiply(*a_here, *b_here, out + 4 * i * out_steps[0], out_steps[1], rows, columns, depth, add, scratch)


@kernel
def _tile(high, a, a_row, a_column, b, out, out_row, depth, add, ahead, ahead_row):
    if high == ROWS:
        _large_tile(a, a_row, a_column, b, out, out_row, depth, add, ahead, ahead_row)
    elif high == FEW_ROWS:
        _small_tile(a, a_row, a_column, b, out, out_row, depth, add, ahead, ahead_row)
    else:
        _row(a, a_row, a_column, b, out, out_row, depth, add, ahead, ahead_row)


@kernel
def _fill_panel(b, b_row, b_column, depth, width, panel):
    """panel (depth, WIDTH) = the rows of B there, filled up with zeros beyond `width`."""
    k = 0
    if width == WIDTH and b_column == 1:
        while k < depth:
            copy(b + 4 * k * b_row, panel + 4 * k * WIDTH)
            k += 1
    elif width == WIDTH:
        while k + LANES <= depth:
            for half in range(0, WIDTH, LANES):
                transpose(b + 4 * (k + half * b_column), b_column, panel + 4 * (k * WIDTH + half), WIDTH)
            k += LANES
    source = floats(b, depth * b_row + WIDTH * b_column)
    out = floats(panel, depth * WIDTH)
    while k < depth:
        for c in range(WIDTH):
            out[k * WIDTH + c] = source[k * b_row + c * b_column] if c < width else 0
        k += 1


@inlined_kernel
def _move(source, source_row, out, out_row, rows, columns):
    a, b = floats(source, rows * source_row), floats(out, rows * out_row)
    for r in range(rows):
        for c in range(columns):
            b[r * out_row + c] = a[r * source_row + c]


@intrinsic
def _float_pointer(typing_context, address):
    def generate(context, builder, signature, arguments):
        return builder.inttoptr(arguments[0], context.get_value_type(signature.return_type))

    return types.CPointer(types.float32)(types.int64), generate


@inlined_kernel
def floats(address, size):
    """The float32 numbers at an address as an array (size,)."""
    return carray(_float_pointer(address), (size,))
