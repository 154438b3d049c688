"""The Triton side of :mod:`artv.training.fast.update`: AdamW and the average of tensors that a table points to."""

import triton
import triton.language as tl


@triton.jit
def update_kernel(
    tensor_ptr,
    part_ptr,
    table_ptr,
    factors_ptr,
    beta1,
    new1,
    beta2,
    new2,
    eps,
    HALF: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One part of one tensor. Rows of the table: number of values; where these, their gradient, two moments and average
    are; with HALF, where their bfloat16 is kept, and the gradient is bfloat16. Factors: rate over its correction, root
    of the second moment's correction, what decay leaves, the average's weight. ``new`` is what a beta leaves of one,
    which float32 does not hold exactly enough to subtract.
    """
    row = table_ptr + tl.load(tensor_ptr + tl.program_id(0)).to(tl.int64) * 7
    start = tl.load(part_ptr + tl.program_id(0)).to(tl.int64) * BLOCK
    count = tl.load(row) - start
    if count >= BLOCK:  # without masks loads are wide
        _part(row, start, BLOCK, factors_ptr, beta1, new1, beta2, new2, eps, HALF, BLOCK, False)
    else:
        _part(row, start, count, factors_ptr, beta1, new1, beta2, new2, eps, HALF, BLOCK, True)


@triton.jit
def _part(
    row,
    start,
    count,
    factors_ptr,
    beta1,
    new1,
    beta2,
    new2,
    eps,
    HALF: tl.constexpr,
    BLOCK: tl.constexpr,
    MASKED: tl.constexpr,
):
    place = tl.arange(0, BLOCK)
    inside = place < count if MASKED else None
    value_ptr = _floats(row + 1, start) + place
    first_ptr = _floats(row + 3, start) + place
    second_ptr = _floats(row + 4, start) + place
    average_ptr = _floats(row + 5, start) + place
    if HALF:
        gradient = tl.load(tl.load(row + 2).to(tl.pointer_type(tl.bfloat16)) + start + place, mask=inside)
    else:
        gradient = tl.load(tl.load(row + 2).to(tl.pointer_type(tl.float32)) + start + place, mask=inside)
    gradient = gradient.to(tl.float32)
    value = tl.load(value_ptr, mask=inside)
    first = tl.load(first_ptr, mask=inside)
    second = tl.load(second_ptr, mask=inside)
    average = tl.load(average_ptr, mask=inside)
    rate, root = tl.load(factors_ptr), tl.load(factors_ptr + 1)
    left, weight = tl.load(factors_ptr + 2), tl.load(factors_ptr + 3)
    first = beta1 * first + new1 * gradient
    second = beta2 * second + new2 * gradient * gradient
    value = value * left - rate * first / (tl.sqrt(second) / root + eps)
    tl.store(first_ptr, first, mask=inside)
    tl.store(second_ptr, second, mask=inside)
    tl.store(value_ptr, value, mask=inside)
    tl.store(average_ptr, average + weight * (value - average), mask=inside)
    if HALF:
        half_ptr = tl.multiple_of(tl.load(row + 6).to(tl.pointer_type(tl.bfloat16)), 16) + start + place
        tl.store(half_ptr, value.to(tl.bfloat16), mask=inside)


@triton.jit
def _floats(entry, start):
    return tl.multiple_of(tl.load(entry).to(tl.pointer_type(tl.float32)), 16) + start
