"""From floats to integers and back: rules that choose a scale, and the tensor that keeps the integers.

Matrices are read as Keras stores them: `(inputs, units)`. A *channel* is one unit, a column; a *group*
is a run of `group_size` inputs within a column.
"""

import dataclasses

import numpy as np

from course_utils.checks import finite, positive, whole


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
        values = self.codebook[self.codes] if self.codebook is not None else self.codes - self.spread(self.zero_point)
        return (values * self.spread(self.scale)).astype(np.float32)

    def spread(self, per_group):
        """Repeats a value per group for each input of the group: `(groups, units)` -> `(inputs, units)`."""
        if np.ndim(per_group) == 0 or self.group_size is None:
            return per_group
        return np.repeat(per_group, self.group_size, axis=0)[: self.codes.shape[0]]


def bits_for(low, high):
    """Returns how many bits number every integer from `low` to `high`.

    Example:

    >>> bits_for(-7, 7), bits_for(0, 1), bits_for(5, 5)
    (4, 1, 0)
    """
    return int(high - low).bit_length()


def step(weights, step):
    """Rounds weights to whole multiples of a step: the document's rule, kept as integers.

    Args:
        weights: Float array of any shape.
        step: Distance Q between neighbouring levels, in the unit of the weights.

    Returns:
        A `QuantizedTensor` whose codes are `round(weights / step)`, halves to even.

    Raises:
        ValueError: If `step` is not positive, so small that codes leave 32 bits, or `weights` is
            not finite.

    Example:

    >>> step(np.array([3.14, 2.71]), 0.1).dequantize()
    array([3.1, 2.7], dtype=float32)
    """
    weights = finite("weights", weights)
    codes = np.rint(weights / positive("step", step))
    if np.abs(codes).max() > 2**31 - 1:
        raise ValueError(f"step must be at least {np.abs(weights).max() / 2**31:.3g} for these weights, got {step!r}")
    codes = codes.astype(np.int32)
    return QuantizedTensor(codes, np.float32(step), bits_for(codes.min(), codes.max()))


def groups(weights, group_size):
    """Views weights as groups that share a scale.

    Args:
        weights: Array of shape `(inputs, units)`; any shape if `group_size` is `"tensor"`.
        group_size: `"tensor"` (one scale), `"channel"` (one a unit), or how many inputs of a unit
            share one. The last group may be shorter: it is filled up with zeros.

    Returns:
        Array of shape `(groups, inputs in a group, units)`.
    """
    if group_size == "tensor":
        return weights.reshape(1, -1, 1)
    if weights.ndim != 2:
        raise ValueError(f"scales per channel or group need weights of shape (inputs, units), got {weights.shape}")
    inputs, units = weights.shape
    size = inputs if group_size == "channel" else group_size_of(group_size)
    padded = np.pad(weights, ((0, -inputs % size), (0, 0)))
    return padded.reshape(-1, size, units)


def group_size_of(group_size):
    """Returns a group size that was given as a number; raises `ValueError` for anything else."""
    if isinstance(group_size, str) or group_size is None:
        raise ValueError(f"group_size must be 'tensor', 'channel' or a whole number, got {group_size!r}")
    return whole("group_size", group_size, 1, 2**31)


def as_stored(scale):
    """Rounds scales to float16, the precision in which files keep them, where they fit in it.

    Rounding *before* the codes are chosen costs nothing; rounding afterwards would move every weight.
    """
    short = scale.astype(np.float16).astype(np.float32)
    return short if np.isfinite(short).all() and short.min() >= 2.0**-14 else scale.astype(np.float32)


def absmax(weights, bits, group_size="channel"):
    """Symmetric integers: the largest weight of each group becomes the largest code.

    Args:
        weights: Float array of shape `(inputs, units)`.
        bits: Width of a code; codes run from `-(2**(bits-1) - 1)` to `2**(bits-1) - 1`.
        group_size: `"tensor"`, `"channel"`, or how many inputs of a unit share a scale.

    Returns:
        A `QuantizedTensor`.

    Raises:
        ValueError: If `bits` is not a whole number from 2 to 8, `weights` is not finite, or
            `group_size` is not understood.

    Example:

    >>> absmax(np.array([[-0.7], [0.33]]), bits=4).codes
    array([[-7],
           [ 3]], dtype=int8)
    """
    weights, levels = finite("weights", weights), 2 ** (whole("bits", bits, 2, 8) - 1) - 1
    largest = np.abs(groups(weights, group_size)).max(axis=1)  # (groups, units)
    scale = as_stored(np.where(largest > 0, largest / levels, 1.0))
    return round_to(weights, scale, bits, group_size)


def round_to(weights, scale, bits, group_size="channel"):
    """Rounds to the nearest of the symmetric `bits`-bit codes at given scales, clipping what lies outside.

    Args:
        weights: Float array of shape `(inputs, units)`.
        scale: Array of shape `(groups, units)`.
        bits: Width of a code.
        group_size: As in `absmax`.

    Returns:
        A `QuantizedTensor`.
    """
    levels = 2 ** (bits - 1) - 1
    if group_size == "tensor":
        return QuantizedTensor(_clip(weights / scale.item(), levels), scale.reshape(()), bits)
    size = weights.shape[0] if group_size == "channel" else group_size
    tensor = QuantizedTensor(np.empty(weights.shape, np.int8), scale, bits, group_size=size)
    return dataclasses.replace(tensor, codes=_clip(weights / tensor.spread(scale), levels))


def _clip(codes, levels):
    return np.clip(np.rint(codes), -levels, levels).astype(np.int8)


def pack_bits(codes, bits):
    """Packs unsigned codes at a fixed width, with no bit between them.

    Eight codes of `b` bits fill `b` bytes exactly. Whole bytes of wide codes are stored as planes of
    their own, so one rule serves every width.

    Args:
        codes: Integer array of any shape with values in `0 .. 2**bits - 1`.
        bits: Width of a code, 0 to 32.

    Returns:
        `uint8` array of `ceil(codes.size * bits / 8)` bytes, up to 7 more where planes end unevenly.
    """
    codes = np.ascontiguousarray(codes, dtype=np.uint32).ravel()
    planes, low = [], 0
    while bits - low >= 8:
        planes.append((codes >> low).astype(np.uint8))
        low += 8
    if width := bits - low:
        rest = np.zeros(-(-codes.size // 8) * 8, np.uint64)
        rest[: codes.size] = codes >> low
        words = (rest.reshape(-1, 8) << (np.arange(8, dtype=np.uint64) * np.uint64(width))).sum(1, dtype=np.uint64)
        planes.append(words.astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].ravel()[: -(-codes.size * width // 8)])
    return np.concatenate(planes) if planes else np.empty(0, np.uint8)


def unpack_bits(packed, bits, count):
    """Undoes `pack_bits`: returns `count` codes as `int64`.

    Raises:
        ValueError: If the number of bytes does not fit `bits` and `count`.
    """
    if len(packed) != packed_bytes(bits, count):
        raise ValueError(f"{count} codes of {bits} bits need {packed_bytes(bits, count)} bytes, got {len(packed)}")
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
    return bits // 8 * count + -(-count * (bits % 8) // 8)
