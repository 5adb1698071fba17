"""How sure we are of a number that was measured on a sample: 95% intervals, all of them from here."""

import numpy as np

from course_utils.checks import finite, fraction, whole

Z = 1.96  # standard deviations to either side that hold 95% of a normal distribution


def interval(values):
    """Returns the 95% interval of a mean, from the spread of the values it was taken over."""
    values = np.asarray(values, np.float64)
    half = Z * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.inf
    return float(values.mean() - half), float(values.mean() + half)


def wilson(share, count):
    """Returns the 95% interval of a share that was counted over `count` examples (Wilson, 1927)."""
    share, count = fraction("share", share), whole("count", count, 1, 2**62)
    middle = share + Z * Z / (2 * count)
    width = Z * np.sqrt(share * (1 - share) / count + Z * Z / (4 * count**2))
    low, high = (middle - width) / (1 + Z * Z / count), (middle + width) / (1 + Z * Z / count)
    return float(low), float(high)


def bootstrap(measure, count, rounds=200, seed=0):
    """Returns the 95% interval of whatever is measured on examples, by drawing them anew (Efron,
    1979): how much would it change if other examples of the same kind had come?

    Args:
        measure: Function of the examples' positions, an array of `count` of them with repetitions.
        count: How many examples there are.
        rounds: How often they are drawn.
        seed: Of the draws.

    Returns:
        The 2.5th and the 97.5th percentile of what `measure` gave.

    Example:

    >>> values = np.arange(100.0)
    >>> low, high = bootstrap(lambda drawn: values[drawn].mean(), len(values))
    >>> bool(low < 49.5 < high)
    True
    """
    count, rounds = whole("count", count, 1, 2**31), whole("rounds", rounds, 2, 10**6)
    rng = np.random.default_rng(seed)
    seen = [measure(rng.integers(0, count, count)) for _ in range(rounds)]
    low, high = np.percentile(seen, (2.5, 97.5)).tolist()
    return low, high


def paired(first, second):
    """Compares two ways run by run, where both had the same seeds, or the same texts.

    Args:
        first, second: A number for each run, in the same order; at least two.

    Returns:
        The mean of `second - first`, and its 95% interval by Student's t: with few runs, a wide
        one.

    Raises:
        ValueError: If a number is not finite, or the two have not the same runs.

    Example:

    >>> float(paired([2.0, 2.1, 2.2], [1.9, 2.0, 2.1])[0].round(3))
    -0.1
    """
    first, second = finite("first", first), finite("second", second)
    if first.shape != second.shape or first.ndim != 1 or len(first) < 2:
        raise ValueError(
            "two ways need the same runs, at least two of them, got shapes "
            f"{first.shape} and {second.shape}"
        )
    from scipy import stats  # half a second, which only comparisons should cost

    apart = np.subtract(second, first)
    half = stats.t.ppf(0.975, len(apart) - 1) * apart.std(ddof=1) / np.sqrt(len(apart))
    return apart.mean(), (apart.mean() - half, apart.mean() + half)
