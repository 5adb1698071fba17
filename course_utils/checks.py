"""One-word checks for arguments: each returns the value it was given, or says what is allowed."""

import numpy as np


def finite(name, values):
    """Returns `values` as a float array, or raises if it is empty or holds NaN or infinity.

    Args:
        name: What the message should call the values.
        values: Anything `np.asarray` takes, of any shape.

    Returns:
        The values as a floating-point `np.ndarray` of the same shape; float32 and float64 are kept.

    Raises:
        ValueError: If there is no value, or one that is not finite.
    """
    values = np.asarray(values)
    if values.dtype not in (np.float32, np.float64):
        values = values.astype(np.float64)
    if values.size == 0:
        raise ValueError(f"{name} must hold at least one value, got shape {values.shape}")
    if not np.isfinite(values).all():
        bad = int(values.size - np.isfinite(values).sum())
        raise ValueError(
            f"{name} must be finite, got {bad} NaN or infinite of {values.size} values"
        )
    return values


def positive(name, value):
    """Returns `value` if it is a finite number above zero; raises `ValueError` otherwise."""
    if not (np.isscalar(value) and np.isreal(value) and np.isfinite(value) and value > 0):
        raise ValueError(f"{name} must be a number > 0, got {value!r}")
    return value


def not_negative(name, value):
    """Returns `value` if it is a finite number of at least zero; raises `ValueError` otherwise."""
    if not (np.isscalar(value) and np.isreal(value) and np.isfinite(value) and value >= 0):
        raise ValueError(f"{name} must be a number >= 0, got {value!r}")
    return value


def fraction(name, value):
    """Returns `value` if it lies in 0..1; raises `ValueError` otherwise."""
    if not (np.isscalar(value) and np.isreal(value) and 0 <= value <= 1):
        raise ValueError(f"{name} must be between 0 and 1, got {value!r}")
    return value


def whole(name, value, low, high):
    """Returns `value` as an `int` if it is a whole number in `low..high`; raises otherwise."""
    if (
        isinstance(value, bool)
        or not np.isscalar(value)
        or value != value
        or int(value) != value
        or not low <= value <= high
    ):
        raise ValueError(f"{name} must be a whole number from {low} to {high}, got {value!r}")
    return int(value)


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
