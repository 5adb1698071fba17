"""Handwritten digits: 1,797 real scans of 8 x 8 grey levels that come with scikit-learn."""

import functools

import numpy as np
from sklearn.datasets import load_digits

from course_utils.checks import one_of, read_only

SPLITS = {"train": (0, 1097), "validation": (1097, 1397), "test": (1397, 1797)}


@functools.cache
def _shuffled():
    scans = load_digits()
    order = np.random.default_rng(0).permutation(len(scans.target))
    grey, labels = scans.data[order] / 16, scans.target[order]
    return read_only(grey.astype(np.float32)), read_only(labels.astype(np.int32))


def load(split):
    """Returns the scans of a split.

    Args:
        split: `"train"` (1,097 scans), `"validation"` (300) or `"test"` (400).

    Returns:
        `float32` of shape `(scans, 64)` with values in 0..1, and `int32` labels of shape
        `(scans,)`. Both are the same at each call and cannot be written into: change a `.copy()`.
    """
    start, stop = SPLITS[one_of("split", split, SPLITS)]
    scans, labels = _shuffled()
    return scans[start:stop], labels[start:stop]
