"""The entropy coder: frequent codes get few bits, rare ones many."""

import constriction
import numpy as np

NEVER = 255  # in the table: a level that never occurs
LONGEST = 184  # 23 bits, so that no level's weight in `_model` comes near 0


def entropy_encode(codes, low, high):
    """Codes integers near their entropy with asymmetric numeral systems (Duda, 2013).

    Args:
        codes: Integer array with values from `low` to `high`.

    Returns:
        `(table, words)`: for each level its code length in eighths of a bit (`uint8`, 255 for a
        level that never occurs), and the coded stream (`uint32`).

    Example:

    >>> table, words = entropy_encode(np.array([3, 3, 3, 3, 5, 3, 3, 4]), low=3, high=5)
    >>> table  # 3 stands in six of eight places: log2(8/6) bits, 3 eighths
    array([ 3, 24, 24], dtype=uint8)
    """
    counts = np.bincount((codes - low).ravel(), minlength=high - low + 1)
    with np.errstate(divide="ignore"):
        lengths = np.rint(-8 * np.log2(counts / codes.size))
    table = np.where(counts > 0, np.minimum(lengths, LONGEST), NEVER).astype(np.uint8)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(_dense(codes.ravel() - low, table), _model(table))
    return table, coder.get_compressed()


def entropy_decode(table, words, count, low):
    """Undoes `entropy_encode`: returns `count` integers.

    Raises:
        ValueError: If table and stream cannot come from `entropy_encode`, or the stream holds more
            or fewer codes.
    """
    levels = np.flatnonzero(table != NEVER) + low
    if not len(levels) or table[table != NEVER].max() > LONGEST:
        raise ValueError(f"code lengths must lie from 0 to {LONGEST}, and some level must have one")
    coder = constriction.stream.stack.AnsCoder(words)
    codes = coder.decode(_model(table), count)
    if not coder.is_empty() or codes.max() >= len(levels):
        raise ValueError(f"a stream of {len(words)} words does not hold {count} codes")
    return levels[codes]


def _dense(codes, table):
    """Renumbers the levels that occur 0, 1, 2, ...: the coder gives no room to the others."""
    return (np.cumsum(table != NEVER) - 1).astype(np.int32)[codes]


def _model(table):
    """How often the coder shall expect each level that occurs."""
    # Whole numbers, so that every machine arrives at the same probabilities to the last bit.
    weights = np.rint(np.exp2(24 - table[table != NEVER] / 8.0))
    weights = np.append(weights, 1.0) if weights.size == 1 else weights  # a model needs two symbols
    return constriction.stream.model.Categorical(weights.astype(np.float32), perfect=False)
