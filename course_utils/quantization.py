"""From floats to integers and back: rules that choose a scale, and the tensor that keeps the
integers.

Matrices are read as Keras stores them: `(inputs, units)`. A *channel* is one unit, a column; a
*group* is a run of `group_size` inputs within a column.
"""

import dataclasses
import statistics

import numpy as np

from course_utils.checks import (
    LARGEST,
    finite,
    one_of,
    positive,
    power_of_two,
    read_only,
    whole,
    within,
)

SMALLEST = 2.0**-126  # below it float32 loses digits


@dataclasses.dataclass(frozen=True)
class QuantizedTensor:
    """Integers, and what turns them back into floats: `(codes - zero_point) * scale`.

    Attributes:
        codes: Integer array, of the shape of the weights.
        scale: Length of one integer step, in the unit of the weights. A scalar, or an array of
            shape `(1, units)` (a scale per channel) or `(groups, units)` (a scale per group).
        zero_point: The integer that stands for 0.0; shaped like `scale`. 0 for symmetric rules.
        bits: Bits a code needs at a fixed width.
        group_size: Inputs that share a scale, where `scale` has several rows.
        codebook: Where given, codes are positions in this sorted list of levels, and the weight is
            `codebook[code] * scale`.
    """

    codes: np.ndarray
    scale: np.ndarray
    bits: int
    zero_point: np.ndarray | int = 0
    group_size: int | None = None
    codebook: np.ndarray | None = None

    def dequantize(self):
        """Returns the float32 weights that the integers stand for."""
        values = self.codebook[self.codes] if self.codebook is not None else self.integers()
        return (values * self.broadcast(self.scale)).astype(np.float32)

    def integers(self):
        """Returns `codes - zero_point` as `int32`: what an integer matrix product multiplies."""
        return np.subtract(
            self.codes, self.broadcast(self.zero_point), dtype=np.int32, casting="same_kind"
        )

    @property
    def limits(self):
        """The lowest and the highest code that a weight may get: signed codes are symmetric,
        unsigned ones begin at 0."""
        if self.codes.dtype.kind == "u":
            return 0, 2**self.bits - 1
        return 1 - 2 ** (self.bits - 1), 2 ** (self.bits - 1) - 1

    def broadcast(self, per_group):
        """Repeats a value per group for each input of the group: `(groups, units)` ->
        `(inputs, units)`."""
        if np.ndim(per_group) == 0 or self.group_size is None:
            return per_group
        inputs = self.codes.shape[0]
        return np.repeat(per_group, min(self.group_size, inputs), axis=0)[:inputs]


def bits_for(low, high):
    """Returns how many bits number every integer from `low` to `high`.

    Example:

    >>> bits_for(-7, 7), bits_for(0, 1), bits_for(5, 5)
    (4, 1, 0)
    """
    return (int(high) - int(low)).bit_length()


def step(weights, step):
    """Rounds weights to whole multiples of a step: the document's rule, kept as integers.

    Args:
        weights: Float array of any shape.
        step: Distance Q between neighbouring levels, in the unit of the weights.

    Returns:
        A `QuantizedTensor` whose codes are `round(weights / step)`, halves to even.

    Raises:
        ValueError: If `step` is not positive, so small that codes leave 32 bits, or one of the two
            is not finite or beyond `LARGEST`.

    Example:

    >>> step(np.array([3.14, 2.71]), 0.1).codes
    array([31, 27], dtype=int32)
    """
    weights = finite("weights", weights, LARGEST)
    step = within("step", positive("step", step), SMALLEST, LARGEST)
    with np.errstate(over="ignore"):  # what leaves the floats leaves 32 bits, too
        codes = np.rint(weights / step)
    if np.abs(codes).max() >= 2**31:
        raise ValueError(
            f"step must be at least {np.abs(weights).max() / 2**31:.3g} for these weights, got "
            f"{step!r}"
        )
    codes = codes.astype(np.int32)
    return QuantizedTensor(codes, np.float32(step), bits_for(codes.min(), codes.max()))


def groups(weights, group_size):
    """Views weights as groups that share a scale.

    Args:
        weights: Array of shape `(inputs, units)`; any shape if `group_size` is `"tensor"`.
        group_size: `"tensor"` (one scale), `"channel"` (one a unit), or how many inputs of a unit
            share one; more than there are is `"channel"`. The last group may be shorter: it is
            filled up with zeros.

    Returns:
        Array of shape `(groups, inputs in a group, units)`.
    """
    if group_size == "tensor":
        return weights.reshape(1, -1, 1)
    if weights.ndim != 2:
        raise ValueError(
            "scales per channel or group need weights of shape (inputs, units), got "
            f"{weights.shape}"
        )
    inputs, units = weights.shape
    size = inputs_in_group(group_size, inputs)
    padded = np.pad(weights, ((0, -inputs % size), (0, 0)))
    return padded.reshape(-1, size, units)


def inputs_in_group(group_size, inputs):
    """Returns how many of so many inputs share a scale: all, for `"channel"` and larger groups."""
    if group_size == "channel":
        return inputs
    if isinstance(group_size, str) or group_size is None:
        raise ValueError(
            f"group_size must be 'tensor', 'channel' or a whole number, got {group_size!r}"
        )
    return min(whole("group_size", group_size, 1, 2**31), inputs)


def as_stored(scale):
    """Rounds scales to float16, the precision in which files keep them, where they fit in it.

    Rounding *before* the codes are chosen costs nothing; rounding afterwards would move every
    weight.
    """
    fits = scale.min() >= 2.0**-14 and scale.max() < 65504
    return scale.astype(np.float16 if fits else np.float32).astype(np.float32)


def as_divisor(scale, alive):
    """`as_stored`, for scales that weights are divided by. Where a group is not alive, holding
    nothing but zeros, or a scale is too small for float32, it is 1: all codes become 0."""
    stored = as_stored(np.where(alive, scale, 1.0))
    return np.where(stored > 0, stored, np.float32(1))


def absmax(weights, bits, group_size="channel"):
    """Symmetric integers: the largest weight of each group becomes the largest code.

    Args:
        weights: Float array of shape `(inputs, units)`.
        bits: Width of a code; codes run from `-(2**(bits-1) - 1)` to `2**(bits-1) - 1`.
        group_size: `"tensor"`, `"channel"`, or how many inputs of a unit share a scale.

    Returns:
        A `QuantizedTensor`.

    Raises:
        ValueError: If `bits` is not a whole number from 2 to 8, `weights` is not finite or beyond
            `LARGEST`, or `group_size` is not understood.

    Example:

    >>> absmax(np.array([[-0.7], [0.33]]), bits=4).codes
    array([[-7],
           [ 3]], dtype=int8)
    """
    weights, levels = finite("weights", weights, LARGEST), 2 ** (whole("bits", bits, 2, 8) - 1) - 1
    largest = np.abs(groups(weights, group_size)).max(axis=1)  # (groups, units)
    return round_to(weights, as_divisor(largest / levels, largest > 0), bits, group_size)


def round_to(weights, scale, bits, group_size="channel"):
    """Rounds to the nearest of the symmetric `bits`-bit codes at given scales, clipping what lies
    outside.

    Args:
        weights: Float array of shape `(inputs, units)`.
        scale: Array of shape `(groups, units)`, above 0.
        bits: Width of a code, 2 to 8.
        group_size: As in `absmax`.

    Returns:
        A `QuantizedTensor`.
    """
    return on_grid(weights, _placed(weights, scale, whole("bits", bits, 2, 8), group_size))


def on_grid(weights, grid):
    """Rounds to the nearest of the levels that a tensor of integers stands on, clipping what lies
    outside.

    Args:
        weights: Float array of shape `(inputs, units)`.
        grid: A `QuantizedTensor` without a codebook; its scales, zero points and widths count, not
            its codes.

    Returns:
        A `QuantizedTensor` with other codes.
    """
    codes = np.rint(weights / grid.broadcast(grid.scale)) + grid.broadcast(grid.zero_point)
    return dataclasses.replace(grid, codes=np.clip(codes, *grid.limits).astype(grid.codes.dtype))


def _placed(weights, scale, bits, group_size, dtype=np.int8, **more):
    """A tensor with its scales in place, `(groups, units)` or a scalar, and codes still to be
    chosen."""
    codes = np.empty(weights.shape, dtype)
    if group_size == "tensor":
        return QuantizedTensor(codes, scale.reshape(()), bits, **more)
    size = inputs_in_group(group_size, weights.shape[0])
    return QuantizedTensor(codes, scale, bits, group_size=size, **more)


def clipped(weights, bits, group_size="channel"):
    """Symmetric integers whose largest code may lie below the largest weight.

    A smaller scale rounds the many small weights finer and clips the few large ones. Each group
    takes the scale with the smallest squared error of 33 between the largest weight and a fifth of
    it, as the clipping of OMSE (Choukroun et al., 2019) does.

    Args:
        weights: Float array of shape `(inputs, units)`.
        bits: Width of a code, 2 to 8.
        group_size: As in `absmax`.

    Returns:
        A `QuantizedTensor` whose squared error is never above that of `absmax`.

    Raises:
        ValueError: As `absmax`.
    """
    weights, levels = finite("weights", weights, LARGEST), 2 ** (whole("bits", bits, 2, 8) - 1) - 1
    grouped = groups(weights, group_size)
    largest = np.abs(grouped).max(axis=1, keepdims=True)  # (groups, 1, units)
    unit = power_of_two(largest)  # in this unit squares are neither lost nor too large
    grouped, best, least = grouped / unit, None, np.inf
    for shrink in np.linspace(1, 0.2, 33):
        scale = as_divisor(shrink * largest / levels, largest > 0)
        rounded = np.clip(np.rint(grouped / (scale / unit)), -levels, levels) * (scale / unit)
        error = np.square(rounded - grouped).sum(axis=1, keepdims=True)
        best = scale if best is None else np.where(error < least, scale, best)
        least = np.minimum(error, least)
    return round_to(weights, best[:, 0], bits, group_size)


def affine(weights, bits, group_size="channel"):
    """Unsigned integers between the smallest and the largest weight of each group (Jacob et al.,
    2018).

    No code is wasted on a side where there are no weights. The range is widened to hold 0, and the
    integer `zero_point` stands for exactly 0.0, so that pruned weights and padding stay what they
    are.

    Args:
        weights: Float array of shape `(inputs, units)`.
        bits: Width of a code, 1 to 8; codes run from 0 to `2**bits - 1`.
        group_size: As in `absmax`.

    Returns:
        A `QuantizedTensor` with a `uint8` zero point for each scale.

    Raises:
        ValueError: If `bits` is not a whole number from 1 to 8, `weights` is not finite or beyond
            `LARGEST`, or `group_size` is not understood.

    Example:

    >>> tensor = affine(np.array([[-0.1], [0.0], [0.2]]), bits=2)
    >>> tensor.codes.ravel(), tensor.zero_point.ravel()
    (array([0, 1, 3], dtype=uint8), array([1], dtype=uint8))
    """
    bits = whole("bits", bits, 1, 8)
    weights, top = finite("weights", weights, LARGEST), 2**bits - 1
    grouped = groups(weights, group_size)
    low, high = (
        np.minimum(grouped.min(axis=1), 0),
        np.maximum(grouped.max(axis=1), 0),
    )  # (groups, units)
    scale = as_divisor((high - low) / top, high > low)
    zero_point = np.clip(np.rint(-low / scale), 0, top).astype(np.uint8)
    zero_point = zero_point.reshape(()) if group_size == "tensor" else zero_point
    return on_grid(
        weights, _placed(weights, scale, bits, group_size, np.uint8, zero_point=zero_point)
    )


def clipped_affine(weights, bits, group_size="channel"):
    """The grid of `affine`, whose ends may lie inside the smallest and the largest weight.

    Each group keeps its zero point and takes the scale with the smallest squared error of 33
    between that of `affine` and a fifth of it, as `clipped` does for symmetric codes.

    Args:
        weights: Float array of shape `(inputs, units)`.
        bits: Width of a code, 1 to 8.
        group_size: As in `absmax`.

    Returns:
        A `QuantizedTensor` whose squared error is never above that of `affine`.

    Raises:
        ValueError: As `affine`.
    """
    widest = affine(weights, bits, group_size)
    unit = power_of_two(widest.scale)  # in this unit squares are neither lost nor too large
    best, least = widest, np.inf
    for shrink in np.linspace(1, 0.2, 33):
        scale = as_divisor(shrink * widest.scale, True)
        tensor = on_grid(weights, dataclasses.replace(widest, scale=scale))
        off = (tensor.dequantize() - weights) / widest.broadcast(unit)
        error = np.square(groups(off, group_size)).sum(axis=1).reshape(scale.shape)
        best = dataclasses.replace(widest, scale=np.where(error < least, scale, best.scale))
        least = np.minimum(error, least)
    return on_grid(weights, best)


def nearest(weights, levels):
    """Returns for each weight the position of the nearest of these sorted levels, as `uint8`."""
    return np.searchsorted((levels[1:] + levels[:-1]) / 2, weights).astype(np.uint8)


def kmeans(weights, bits):
    """A codebook of levels that lie where the weights are: k-means, as Deep Compression uses it
    (Han et al., 2016).

    Levels start evenly spaced from the smallest to the largest weight; then each moves to the mean
    of the weights nearest to it until none moves. Where the matrix holds zeros one level stays at
    0, so that pruned weights stay pruned.

    Args:
        weights: Float array of any shape.
        bits: Width of a code, 1 to 8; there are `2**bits` levels.

    Returns:
        A `QuantizedTensor` with a `codebook` of shape `(2**bits,)` and a scale of 1.

    Raises:
        ValueError: If `bits` is not a whole number from 1 to 8 or `weights` is not finite or beyond
            `LARGEST`.
    """
    weights, bits = finite("weights", weights, LARGEST), whole("bits", bits, 1, 8)
    values = np.sort(weights, axis=None).astype(np.float64)  # sorted, a cluster is a run,
    sums = np.append(0, np.cumsum(values))  # and its sum a difference of two running sums
    levels, zero = np.linspace(values[0], values[-1], 2**bits), not np.all(weights)
    for _ in range(300):
        edges = np.concatenate(
            [[0], np.searchsorted(values, (levels[1:] + levels[:-1]) / 2), [values.size]]
        )
        counts, before = np.diff(edges), levels
        levels = np.where(counts > 0, np.diff(sums[edges]) / np.maximum(counts, 1), levels)
        if zero:
            levels[np.abs(levels).argmin()] = 0
        levels = np.sort(levels)
        if np.array_equal(levels, before):
            break
    levels = levels.astype(np.float32)
    return QuantizedTensor(nearest(weights, levels), np.float32(1), bits, codebook=levels)


def normal_levels():
    """Returns the 16 levels of NF4: quantiles of the normal distribution, with 0 and both ends
    exact.

    Eight probabilities above one half and seven below, evenly spaced, so that normally distributed
    weights use every level about equally often (Dettmers et al., 2023).

    Returns:
        Sorted `float32` array of shape `(16,)` from -1 to 1.
    """
    quantile = np.vectorize(statistics.NormalDist().inv_cdf)
    end = 1 - (1 / 32 + 1 / 30) / 2  # half a step short of 1, where the quantile is infinite
    above, below = quantile(np.linspace(0.5, end, 9)), -quantile(np.linspace(end, 0.5, 8))
    return (np.concatenate([below[:-1], above]) / above[-1]).astype(np.float32)


NF4 = read_only(normal_levels())  # every tensor made with it holds this very array
_HALF = np.array(
    [1 / 192, 1 / 6, 1 / 4, 1 / 3, 1 / 2, 2 / 3, 1], np.float32
)  # 0.0625, 2, 3, 4, 6, 8 and 12 twelfths
FP4 = read_only(np.concatenate([-_HALF[::-1], [np.float32(0)], _HALF]))
read_only(_HALF)


def nf4(weights, group_size=64):
    """4-bit codes on the quantiles of a normal distribution (QLoRA, Dettmers et al., 2023).

    Args:
        weights: Float array of shape `(inputs, units)`.
        group_size: As in `absmax`.

    Returns:
        A `QuantizedTensor` with `codebook=NF4`; the scale is each group's largest weight.

    Raises:
        ValueError: If `weights` is not finite or beyond `LARGEST`, or `group_size` is not
            understood.
    """
    return _on_levels(weights, NF4, group_size)


def fp4(weights, group_size=64):
    """4-bit floating point: a sign, two bits of exponent, one of mantissa, as bitsandbytes lays it
    out.

    There are 15 different levels, since 0 has a sign too, and two of the others lie almost at 0.
    See `nf4`.
    """
    return _on_levels(weights, FP4, group_size)


def float_levels(exponent_bits, mantissa_bits, largest):
    """Returns every number that a small floating-point format has, both signs, sorted.

    With bias `b = 2^(exponent_bits - 1) - 1`, an exponent `e` above 0 and a mantissa `m` stand for
    `(1 + m / 2^mantissa_bits) 2^(e - b)`; at `e = 0` the leading 1 is missing.

    Args:
        exponent_bits, mantissa_bits: Widths of the two parts; a sign comes with them.
        largest: What the format can reach at most: it may use its highest codes for something else.

    Returns:
        `float32` array.

    Example:

    >>> float_levels(2, 1, 6)[7:]
    array([0. , 0.5, 1. , 1.5, 2. , 3. , 4. , 6. ], dtype=float32)
    """
    mantissas = np.arange(2**mantissa_bits) / 2**mantissa_bits
    lowest = 2.0 ** (2 - 2 ** (exponent_bits - 1))
    powers = lowest * 2.0 ** np.arange(2**exponent_bits - 1)
    above = np.append(mantissas * lowest, np.outer(powers, 1 + mantissas))
    above = above[above <= largest]
    return np.append(-above[:0:-1], above).astype(np.float32)


E2M1 = read_only(float_levels(2, 1, 6))  # the 4-bit float of MXFP4 and NVFP4
E4M3 = read_only(float_levels(4, 3, 448))  # the 8-bit float; its highest code means "no number"


def fp8(weights, group_size="channel"):
    """8-bit floating point, four bits of exponent and three of mantissa (Micikevicius et al.,
    2022). See `nf4`."""
    return _on_levels(weights, E4M3 / E4M3.max(), group_size, bits=8)


def mxfp4(weights, group_size=32):
    """4-bit floats whose groups share a power of two, stored in 8 bits: MXFP4 (Open Compute
    Project, 2023).

    The exponent of the group's largest weight, less that of the largest level, 6: what lies beyond
    6 steps becomes 6.

    Args:
        weights: Float array of shape `(inputs, units)`.
        group_size: As in `absmax`; the standard has 32.

    Returns:
        A `QuantizedTensor` with `codebook=E2M1`.

    Raises:
        ValueError: As `nf4`.
    """
    return _on_levels(
        weights, E2M1, group_size, lambda largest: 2.0 ** (np.floor(np.log2(largest)) - 2)
    )


def nvfp4(weights, group_size=16):
    """4-bit floats in groups of 16 whose scales are 8-bit floats, `E4M3`, times one float for the
    whole matrix: NVFP4 (NVIDIA, 2025). See `mxfp4`."""

    def scales(largest):
        unit = largest.max() / (E2M1.max() * E4M3.max())  # so that the largest scale is 448 units
        return unit * np.maximum(E4M3[nearest(largest / E2M1.max() / unit, E4M3)], 2.0**-9)

    return _on_levels(weights, E2M1, group_size, scales)


def double_quantized(weights, levels=NF4, group_size=64, scales_together=256):
    """A codebook whose scales are quantized once more: the double quantization of QLoRA (Dettmers
    et al., 2023).

    The mean of all scales is taken off; what is left is rounded to 8-bit integers, 256 scales
    sharing one scale of their own.

    Args:
        weights: Float array of shape `(inputs, units)`.
        levels: The codebook, sorted, from -1 to 1.
        group_size: As in `absmax`.
        scales_together: How many scales share one.

    Returns:
        A `QuantizedTensor`.

    Raises:
        ValueError: As `nf4`.
    """

    def twice(largest):
        mean = largest.mean()
        once = absmax((largest - mean).reshape(-1, 1), 8, scales_together).dequantize()
        return np.maximum(once.reshape(largest.shape) + mean, largest.min())

    return _on_levels(weights, levels, group_size, twice)


def _on_levels(weights, levels, group_size, scales=lambda largest: largest, bits=4):
    weights = finite("weights", weights, LARGEST)
    largest = np.abs(groups(weights, group_size)).max(axis=1)
    scale = scales(np.where(largest > 0, largest, 1.0))
    tensor = _placed(
        weights, as_divisor(scale, largest > 0), bits, group_size, np.uint8, codebook=levels
    )
    return dataclasses.replace(
        tensor, codes=nearest(weights / tensor.broadcast(tensor.scale), levels)
    )


def binary(weights, group_size="channel", kept=None):
    """One bit a weight: its sign, times the mean size in its group (XNOR-Net, Rastegari et al.,
    2016).

    Args:
        weights: Float array of shape `(inputs, units)`.
        group_size: As in `absmax`.
        kept: `None`, or which weights were not removed before: here, all.

    Returns:
        A `QuantizedTensor` with the codebook `[-1, 1]`. There is no level for 0.

    Raises:
        ValueError: If `weights` is not finite or beyond `LARGEST`, `group_size` is not understood,
            or weights were removed: they would come back.
    """
    weights = finite("weights", weights, LARGEST)
    if kept is not None and not np.all(kept):
        raise ValueError(
            f"binary has no level for 0, and {np.size(kept) - np.count_nonzero(kept)} of "
            f"{np.size(kept)} weights were removed before: they would come back"
        )
    sizes = groups(np.ones_like(weights), group_size).sum(axis=1)
    mean = np.abs(groups(weights, group_size)).sum(axis=1) / sizes
    tensor = _placed(
        weights, as_stored(mean), 1, group_size, codebook=np.array([-1, 1], np.float32)
    )
    return dataclasses.replace(tensor, codes=(weights > 0).astype(np.uint8))


def matmul_integer(x, w):
    """Multiplies two matrices of integers exactly.

    A product of two 8-bit codes fits in 16 bits and a sum of `inputs` of them in 32. Processors
    that lack a fast integer product can borrow the float one: a float32 holds every whole number up
    to 2**24, so while no sum can pass that, each partial sum is exact in whatever order they are
    added. With codes up to 127 that is so for up to 1,040 inputs.

    Args:
        x: Integers of shape `(rows, inputs)`.
        w: Integers of shape `(inputs, units)`.

    Returns:
        `int32` of shape `(rows, units)`.

    Raises:
        ValueError: If a sum might leave 32 bits, or the inputs are no integers.
    """
    x, w = np.asarray(x), np.asarray(w)
    if x.dtype.kind not in "iu" or w.dtype.kind not in "iu":
        raise ValueError(f"matmul_integer needs integers, got {x.dtype} and {w.dtype}")
    if not x.size or not w.size:
        raise ValueError(f"matmul_integer needs numbers, got shapes {x.shape} and {w.shape}")
    largest = (
        x.shape[-1]
        * max(abs(int(x.max())), abs(int(x.min())))
        * max(abs(int(w.max())), abs(int(w.min())))
    )
    if largest >= 2**31:
        raise ValueError(f"sums must stay below 2**31 to fit in 32 bits, could reach {largest}")
    if largest <= 2**24:
        return (x.astype(np.float32) @ w.astype(np.float32)).astype(np.int32)
    return x.astype(np.int32) @ w.astype(np.int32)


def quantized_matmul(x, weights, bits=8, per="token"):
    """Multiplies activations and quantized weights as integers, and turns the sums back into
    floats.

    Within a group both scales are constant, so
    `sum(x * w) = scale_x * scale_w * sum(code_x * code_w)`: the loop over inputs sees integers
    only, and one multiplication at the end sets the unit right.

    Args:
        x: Activations, float array of shape `(rows, inputs)`.
        weights: `QuantizedTensor` of shape `(inputs, units)`, without a codebook.
        bits: Width of the activations' codes, 2 to 8.
        per: `"token"` (a scale for each row) or `"tensor"` (one for all).

    Returns:
        `float32` of shape `(rows, units)`.

    Raises:
        ValueError: If the weights have a codebook, shapes do not fit, sums might leave 32 bits, or
            results float32.
    """
    x = finite("x", x, LARGEST)
    inputs = weights.codes.shape[0]
    if weights.codebook is not None:
        raise ValueError(
            "codes of a codebook are positions, not numbers: there is nothing to multiply"
        )
    if x.ndim != 2 or x.shape[1] != inputs:
        raise ValueError(f"x must have shape (rows, {inputs}), got {x.shape}")
    shared = "channel" if one_of("per", per, ("token", "tensor")) == "token" else "tensor"
    rounded = absmax(x.T, bits, shared)  # turned on its side, a token is a channel
    size, scales, codes = (
        weights.group_size or inputs,
        np.atleast_2d(weights.scale),
        weights.integers(),
    )
    runs = [slice(start, start + size) for start in range(0, inputs, size)]
    products = [
        matmul_integer(rounded.codes.T[:, run], codes[run]) * scale
        for run, scale in zip(runs, scales)
    ]
    result = finite("x @ weights", sum(products) * rounded.scale.T, float(np.finfo(np.float32).max))
    return result.astype(np.float32)


def pack_bits(codes, bits):
    """Packs unsigned codes at a fixed width, with no bit between them.

    Eight codes of `b` bits fill `b` bytes exactly. Whole bytes of wide codes are stored as planes
    of their own, so one rule serves every width.

    Args:
        codes: Integer array of any shape with values in `0 .. 2**bits - 1`.
        bits: Width of a code, 0 to 32.

    Returns:
        `uint8` array of `ceil(codes.size * bits / 8)` bytes, up to 7 more where planes end
        unevenly.

    Raises:
        ValueError: If a code does not fit, or the width is not allowed.
    """
    codes, bits = np.asarray(codes), whole("bits", bits, 0, 32)
    are_whole = codes.dtype.kind in "biu" or not codes.size
    if not are_whole or codes.size and (codes.min() < 0 or codes.max() >> bits):
        got = f"{codes.min()} to {codes.max()}" if are_whole else codes.dtype
        raise ValueError(
            f"codes of {bits} bits must be whole numbers from 0 to {2**bits - 1}, got {got}"
        )
    codes = np.ascontiguousarray(codes, dtype=np.uint32).ravel()
    planes, low = [], 0
    while bits - low >= 8:
        planes.append((codes >> low).astype(np.uint8))
        low += 8
    if width := bits - low:
        words = np.zeros(-(-codes.size // 8) * 8, np.uint8)
        words[: codes.size] = codes >> low
        for times, wider in (
            (1, np.uint16),
            (2, np.uint32),
            (4, np.uint64),
        ):  # to pairs, to fours, to eights
            words = words[::2] | words[1::2].astype(wider) << wider(times * width)
        packed = words.astype("<u8", copy=False).view(np.uint8).reshape(-1, 8)[:, :width].ravel()
        planes.append(packed[: -(-codes.size * width // 8)])
    return np.concatenate(planes) if planes else np.empty(0, np.uint8)


def unpack_bits(packed, bits, count):
    """Undoes `pack_bits`: returns `count` codes as `int64`.

    Raises:
        ValueError: If the number of bytes does not fit `bits` and `count`, or one of the two is not
            allowed.
    """
    bits, count = whole("bits", bits, 0, 32), whole("count", count, 0, 2**40)
    if len(packed) != packed_bytes(bits, count):
        raise ValueError(
            f"{count} codes of {bits} bits need {packed_bytes(bits, count)} bytes, got "
            f"{len(packed)}"
        )
    codes, low = np.zeros(count, np.int64), 0
    while bits - low >= 8:
        codes |= packed[:count].astype(np.int64) << low
        packed, low = packed[count:], low + 8
    if width := bits - low:
        eights = -(-count // 8)
        words = np.zeros((eights, 8), np.uint8)
        words[:, :width] = np.pad(packed, (0, eights * width - len(packed))).reshape(eights, width)
        shifted = words.view("<u8") >> (np.arange(8, dtype=np.uint64) * np.uint64(width))
        codes |= ((shifted & np.uint64(2**width - 1)).astype(np.int64) << low).ravel()[:count]
    return codes


def packed_bytes(bits, count):
    """Returns the length of what `pack_bits` writes for `count` codes of `bits` bits."""
    bits, count = whole("bits", bits, 0, 32), whole("count", count, 0, 2**40)
    return bits // 8 * count + -(-count * (bits % 8) // 8)
