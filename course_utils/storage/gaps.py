"""Gaps: the positions of kept weights, told by how far each stands from the one before it."""

import numpy as np


def distances(kept):
    """Returns how many weights are skipped before each of these sorted positions.

    Example:

    >>> distances([0, 1, 5])
    array([0, 0, 3])
    """
    return np.diff(kept, prepend=-1) - 1


def positions(skipped):
    """Undoes `distances`."""
    return np.cumsum(skipped + 1) - 1


def gap_bits(kept):
    """Chooses how many bits the distances between these positions shall take.

    A wide distance costs bits in every entry, a narrow one costs fillers (see `gap_entries`). Of
    four widths, from that of the mean distance upwards, the one is taken whose distances are the
    shortest altogether; the zeros that fillers put into the payload do not count.

    Args:
        kept: Sorted flat positions of the kept weights.

    Returns:
        `(bits, entries)`: the width, and how many entries it takes, fillers included.

    Example:

    >>> gap_bits(np.array([3, 7, 11, 19]))  # distances 3, 3, 3 and 7: one filler at 15
    (2, 5)
    """
    skipped = distances(kept)
    around = max(1, int(np.log2(skipped.mean() + 1)))
    takes = {bits: len(kept) + int((skipped >> bits).sum()) for bits in range(around, around + 4)}
    best = min(takes, key=lambda bits: bits * takes[bits])
    return best, takes[best]


def gap_entries(kept, bits):
    """Positions to store so that every distance between two of them fits in `bits` bits.

    Where two kept weights stand further apart, fillers are put between them, which point at weights
    that were removed and carry a zero, as in Deep Compression (Han et al., 2016).

    Args:
        kept: Sorted flat positions of the kept weights.
        bits: Width of a distance.

    Returns:
        The sorted positions of kept weights and fillers. `distances` of it are below `2**bits`.

    Example:

    >>> gap_entries(np.array([1, 9]), bits=2)
    array([1, 5, 9])
    """
    fillers = distances(kept) >> bits
    # Each kept weight becomes a run that begins this far left of it and ends with it.
    first = np.repeat(kept - (fillers << bits), fillers + 1)
    begins = np.cumsum(fillers + 1) - fillers - 1
    step = np.arange(len(first)) - np.repeat(begins, fillers + 1)
    return first + (step << bits)
