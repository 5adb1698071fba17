"""One-word checks for arguments: each returns the value it was given, or says what is allowed."""

import numbers
import sys

import numpy as np

MOST = sys.float_info.max
LARGEST = 1e30  # of a weight: beyond it sums and differences might leave float32


def finite(name, values, most=None):
    """Returns `values` as a float array, or raises if it is empty or holds NaN or infinity.

    Args:
        name: What the message should call the values.
        values: Anything `np.asarray` takes, of any shape.
        most: The largest size that is allowed, where what is computed from it would overflow.

    Returns:
        The values as a floating-point `np.ndarray` of the same shape; float32 and float64 are kept.

    Raises:
        ValueError: If there is no value, or one that is no real number, not finite or too large.
    """
    values = _floats(name, values)
    if values.size == 0:
        raise ValueError(f"{name} must hold at least one value, got shape {values.shape}")
    largest = float(max(values.max(), -values.min()))  # NaN if one is
    if not np.isfinite(largest):
        bad = int(values.size - np.isfinite(values).sum())
        raise ValueError(
            f"{name} must be finite, got {bad} NaN or infinite of {values.size} values"
        )
    if most is not None and largest > most:
        raise ValueError(f"{name} must lie from {-most:g} to {most:g}, got one of size {largest:g}")
    return values


def _floats(name, values):
    try:
        values = np.asarray(values)
        if values.dtype.kind in "cSU":
            raise TypeError(f"cannot convert {values.dtype}")
        return values if values.dtype in (np.float32, np.float64) else values.astype(np.float64)
    except (TypeError, ValueError, OverflowError) as e:
        raise ValueError(f"{name} must be an array of real numbers: {e}") from None


def _is_number(value, low, high):
    """Whether it is one real number, of Python or NumPy, that is not NaN and lies in
    `low..high`."""
    value = float(value) if isinstance(value, np.floating) else value  # a float16 ends at 65504
    return isinstance(value, numbers.Real) and bool(low <= value <= high)


def positive(name, value):
    """Returns `value` if it is a finite number above zero; raises `ValueError` otherwise."""
    if not (_is_number(value, 0, MOST) and value > 0):
        raise ValueError(f"{name} must be a number > 0, got {value!r}")
    return value


def not_negative(name, value):
    """Returns `value` if it is a finite number of at least zero; raises `ValueError` otherwise."""
    if not _is_number(value, 0, MOST):
        raise ValueError(f"{name} must be a number >= 0, got {value!r}")
    return value


def within(name, value, low, high):
    """Returns `value` if it is a number in `low..high`; raises `ValueError` otherwise."""
    if not _is_number(value, low, high):
        raise ValueError(f"{name} must be a number from {low:g} to {high:g}, got {value!r}")
    return value


def fraction(name, value):
    """Returns `value` if it lies in 0..1; raises `ValueError` otherwise."""
    if not _is_number(value, 0, 1):
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    return value


def whole(name, value, low, high):
    """Returns `value` as an `int` if it is a whole number in `low..high`; raises otherwise.

    NumPy's numbers are numbers too; what is returned is not one of them, for `2 ** np.uint8(9)` is
    0 and `-np.uint8(7)` is 249. So go on with what is returned.
    """
    if isinstance(value, bool) or not _is_number(value, low, high) or int(value) != value:
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    return int(value)


def power_of_two(sizes):
    """Returns for each size the power of two just above it, as far as that is a float by which one
    can divide: a unit in which numbers are near 1 and keep every digit, so that no square of them
    is lost or too large."""
    end = -6 - np.finfo(sizes.dtype).minexp  # 2**-120 to 2**120 in float32
    return np.ldexp(np.ones_like(sizes), np.clip(np.frexp(sizes)[1], -end, end))


def seed(value):
    """Returns a seed as an `int`, or raises if it is not a whole number from 0 to 2**31 - 1: what
    every generator here takes."""
    return whole("seed", value, 0, 2**31 - 1)


def read_only(array):
    """Returns the array after no one can write into it any more: what is kept and handed out again
    must stay what it is."""
    array.setflags(write=False)
    return array


def token_ids(name, tokens, vocabulary):
    """Returns `tokens` as an `int32` array if a vocabulary of that size has them all; raises
    `ValueError` with one that it has not otherwise."""
    tokens = np.asarray(tokens)
    if tokens.dtype.kind not in "iu" or not tokens.size:
        raise ValueError(
            f"{name} must hold at least one token id, a whole number, got {tokens.dtype} of shape "
            f"{tokens.shape}"
        )
    outside = tokens[(tokens < 0) | (tokens >= vocabulary)]
    if outside.size:
        raise ValueError(f"{name} must hold token ids from 0 to {vocabulary - 1}, got {outside[0]}")
    return tokens.astype(np.int32)


def one_of(name, value, allowed):
    """Returns `value` if it is among `allowed`; raises `ValueError` that lists them otherwise."""
    if value not in tuple(allowed):
        raise ValueError(f"unknown {name} {value!r}; choose from: {', '.join(map(str, allowed))}")
    return value
