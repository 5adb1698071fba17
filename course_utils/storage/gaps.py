"""Gaps: the positions of kept weights, told by how far each stands from the one before it."""

import numpy as np

from course_utils.quantization import packed_bytes


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


def gap_bits(kept, width):
    """Chooses how many bits the distances between these positions shall take.

    A wide distance costs bits in every entry, a narrow one costs fillers (see `gap_entries`), which
    take an entry each.

    Args:
        kept: Sorted flat positions of the kept weights.
        width: Bits that an entry takes in the payload.

    Returns:
        `(bits, entries)`: the width of a distance, and how many entries that makes, fillers
        included.

    Example:

    >>> kept = np.array([3, 7, 11, 15, 19, 27])  # distances 3, 3, 3, 3, 3 and 7
    >>> gap_bits(kept, width=1), gap_bits(kept, width=16)  # a filler at 23, or wider distances
    ((2, 7), (3, 6))
    """
    skipped = distances(kept)
    widths = range(int(skipped.max()).bit_length() + 1)
    takes = {bits: len(kept) + int((skipped >> bits).sum()) for bits in widths}
    best = min(
        takes,
        key=lambda bits: packed_bytes(bits, takes[bits]) + packed_bytes(width, takes[bits]),
    )
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
