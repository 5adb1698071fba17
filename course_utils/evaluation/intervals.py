"""How sure we are of a number that was measured on a sample."""

import numpy as np


def interval(values):
    """Returns the 95% interval of a mean, from the spread of the values it was taken over."""
    values = np.asarray(values, np.float64)
    half = 1.96 * values.std(ddof=1) / np.sqrt(len(values)) if len(values) > 1 else np.inf
    return float(values.mean() - half), float(values.mean() + half)


def wilson(share, count):
    """Returns the 95% interval of a share that was counted over `count` examples (Wilson, 1927)."""
    z = 1.96
    middle, width = (
        share + z * z / (2 * count),
        z * np.sqrt(share * (1 - share) / count + z * z / (4 * count**2)),
    )
    return float((middle - width) / (1 + z * z / count)), float(
        (middle + width) / (1 + z * z / count)
    )
