"""What Numba cannot say of vector registers, said in LLVM's own language: the inmost loops of `sgemm`.

Addresses are those of float32 numbers, steps are counted in numbers. LANES: float32 numbers in a register of this
processor; ROWS and WIDTH: a tile of sums that fits into its registers, with some to spare for the factors; FUSED:
whether it is known to multiply and add in one, without which BLAS is as fast and `gemm` leaves products to it.
"""

from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)


def _registers():
    """-> LANES, ROWS and FUSED for this processor."""
    features = get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 12, True
    if features.get("avx2") and features.get("fma"):
        return 8, 6, True
    return (4, 12, True) if features.get("neon") else (4, 6, False)


LANES, ROWS, FUSED = _registers()
WIDTH = 2 * LANES
_VECTOR = ir.VectorType(_FLOAT, LANES)


def tile_kernel(rows):
    """tile(a, a_row, a_column, b, out, out_row, depth, add, ahead, ahead_row): out[r, c] = Σ_k a[r, k] b[k, c], plus
    out[r, c] if add.

    For r < rows and c < WIDTH; b holds rows of WIDTH numbers, one behind the other, depth is at least 1. Every sum is
    taken in the order of k. The WIDTH numbers at ahead + k · ahead_row, for each k, are fetched into the cache on the
    way, for they are needed next.
    """

    def generate(context, builder, signature, arguments):
        a, a_row, a_column, b, out, out_row, depth, add, ahead, ahead_row = arguments
        a, b, out, ahead = (builder.inttoptr(address, _FLOAT.as_pointer()) for address in (a, b, out, ahead))
        cells = [(r, half) for r in range(rows) for half in range(2)]
        places = [_vector_at(builder, out, builder.mul(out_row, _INT64(r)), half) for r, half in cells]
        for place in places:
            _fetch(builder, place, to_write=True)
        start, load = builder.block, builder.append_basic_block("load")
        loop, end = builder.append_basic_block("loop"), builder.append_basic_block("end")
        builder.cbranch(builder.icmp_signed("!=", add, _INT64(0)), load, loop)

        builder.position_at_end(load)
        before = [builder.load(place, align=4) for place in places]
        builder.branch(loop)

        builder.position_at_end(loop)
        k, a_k, b_k, ahead_k = builder.phi(_INT64), builder.phi(a.type), builder.phi(b.type), builder.phi(b.type)
        sums = [builder.phi(_VECTOR) for _ in cells]
        for half in range(2):
            _fetch(builder, _vector_at(builder, ahead_k, _INT64(0), half))
        halves = [builder.load(_vector_at(builder, b_k, _INT64(0), half), align=4) for half in range(2)]
        spread = []
        for r in range(rows):
            number = builder.load(builder.gep(a_k, [builder.mul(a_row, _INT64(r))]), align=4)
            spread.append(_in_every_lane(builder, number))
        later = [
            _multiply_add(builder, spread[r], halves[half], total) for (r, half), total in zip(cells, sums, strict=True)
        ]
        next_k = builder.add(k, _INT64(1))
        nexts = (
            next_k,
            builder.gep(a_k, [a_column]),
            builder.gep(b_k, [_INT64(WIDTH)]),
            builder.gep(ahead_k, [ahead_row]),
        )
        for phi, first, following in zip((k, a_k, b_k, ahead_k), (_INT64(0), a, b, ahead), nexts, strict=True):
            for value, block in ((first, start), (first, load), (following, loop)):
                phi.add_incoming(value, block)
        for phi, old, following in zip(sums, before, later, strict=True):
            for value, block in ((ir.Constant(_VECTOR, [0.0] * LANES), start), (old, load), (following, loop)):
                phi.add_incoming(value, block)
        builder.cbranch(builder.icmp_signed("<", next_k, depth), loop, end)

        builder.position_at_end(end)
        for place, total in zip(places, later, strict=True):
            builder.store(total, place, align=4)
        return context.get_dummy_value()

    @intrinsic
    def tile(typing_context, a, a_row, a_column, b, out, out_row, depth, add, ahead, ahead_row):
        return types.void(*[types.int64] * 10), generate

    return tile


@intrinsic
def copy(typing_context, source, out):
    """out[c] = source[c] for c < WIDTH."""

    def generate(context, builder, signature, arguments):
        source, out = (builder.inttoptr(address, _FLOAT.as_pointer()) for address in arguments)
        for half in range(2):
            numbers = builder.load(_vector_at(builder, source, _INT64(0), half), align=4)
            builder.store(numbers, _vector_at(builder, out, _INT64(0), half), align=4)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), generate


@intrinsic
def transpose(typing_context, source, source_row, out, out_row):
    """out[c, r] = source[r, c] for r, c < LANES.

    In log₂(LANES) rounds: with s = 1, 2, 4, …, each pair of rows r and r + s, r without the bit s, exchanges the blocks
    of s numbers that belong to the other.
    """

    def generate(context, builder, signature, arguments):
        source, source_row, out, out_row = arguments
        source, out = (builder.inttoptr(address, _FLOAT.as_pointer()) for address in (source, out))
        rows = []
        for r in range(LANES):
            place = _vector_at(builder, source, builder.mul(source_row, _INT64(r)), 0)
            rows.append(builder.load(place, align=4))
        s = 1
        while s < LANES:
            upper = _lanes([LANES + i - s if i & s else i for i in range(LANES)])
            lower = _lanes([LANES + i if i & s else i + s for i in range(LANES)])
            for r in (r for r in range(LANES) if not r & s):
                pair = rows[r], rows[r + s]
                rows[r], rows[r + s] = builder.shuffle_vector(*pair, upper), builder.shuffle_vector(*pair, lower)
            s *= 2
        for r, row in enumerate(rows):
            builder.store(row, _vector_at(builder, out, builder.mul(out_row, _INT64(r)), 0), align=4)
        return context.get_dummy_value()

    return types.void(*[types.int64] * 4), generate


def _vector_at(builder, pointer, offset, half):
    """The address of the vector `offset` numbers and `half` vectors behind the pointer."""
    place = builder.gep(pointer, [builder.add(offset, _INT64(half * LANES))])
    return builder.bitcast(place, _VECTOR.as_pointer())


def _multiply_add(builder, a, b, total):
    """a b + total, rounded once where FUSED."""
    if not FUSED:
        return builder.fadd(builder.fmul(a, b), total)
    multiply_add = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
    multiply_add = cgutils.get_or_insert_function(builder.module, multiply_add, f"llvm.fma.v{LANES}f32")
    return builder.call(multiply_add, [a, b, total])


def _fetch(builder, pointer, to_write=False):
    """Start to bring the line of the cache at the pointer, and do not wait for it."""
    byte, nearest, data = ir.IntType(8).as_pointer(), 3, 1
    fetch = ir.FunctionType(ir.VoidType(), [byte, _INT32, _INT32, _INT32])
    fetch = cgutils.get_or_insert_function(builder.module, fetch, "llvm.prefetch.p0i8")
    builder.call(fetch, [builder.bitcast(pointer, byte), _INT32(int(to_write)), _INT32(nearest), _INT32(data)])


def _in_every_lane(builder, number):
    nothing = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(nothing, number, _INT32(0))
    return builder.shuffle_vector(first, nothing, _lanes([0] * LANES))


def _lanes(indices):
    return ir.Constant(ir.VectorType(_INT32, len(indices)), indices)
