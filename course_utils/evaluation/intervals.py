"""How sure we are of a number that was measured on a sample: 95% intervals, all of them from here."""

import numpy as np

Z = 1.96  # standard deviations to either side that hold 95% of a normal distribution


def interval(values):
    """Returns the 95% interval of a mean, from the spread of the values it was taken over."""
    values = np.asarray(values, np.float64)
    half = Z * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.inf
    return float(values.mean() - half), float(values.mean() + half)


def wilson(share, count):
    """Returns the 95% interval of a share that was counted over `count` examples (Wilson, 1927)."""
    middle = share + Z * Z / (2 * count)
    width = Z * np.sqrt(share * (1 - share) / count + Z * Z / (4 * count**2))
    low, high = (middle - width) / (1 + Z * Z / count), (middle + width) / (1 + Z * Z / count)
    return float(low), float(high)


def paired(first, second):
    """Compares two ways run by run, where both had the same seeds, or the same texts.

    Args:
        first, second: A number for each run, in the same order; at least two.

    Returns:
        The mean of `second - first`, and its 95% interval by Student's t: with few runs, a wide
        one.

    Example:

    >>> float(paired([2.0, 2.1, 2.2], [1.9, 2.0, 2.1])[0].round(3))
    -0.1
    """
    from scipy import stats  # half a second, which only comparisons should cost

    apart = np.subtract(second, first)
    half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))
    return apart.mean(), (apart.mean() - half, apart.mean() + half)
