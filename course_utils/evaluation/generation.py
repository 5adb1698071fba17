"""How well a generator does: are its pictures what was asked for, and are they like real ones?

Two questions, for neither is enough: a generator that draws one perfect digit for each class is
always recognised, and one that copies its training scans is both. So a third number tells how near
its pictures come to scans that it was trained on.
"""

import dataclasses
import functools

import numpy as np
import scipy.linalg

from course_utils import models
from course_utils.backend import keras
from course_utils.checks import finite, whole
from course_utils.datasets import digits
from course_utils.evaluation.intervals import wilson

# Who recognises: one network where settings are chosen, another one, of another architecture, where
# they are reported. Neither has ever seen a generated picture.
JUDGES = {"train": "digits-lenet", "validation": "digits-lenet", "test": "digits-mlp"}


@dataclasses.dataclass(frozen=True)
class Generation:
    """What generated pictures are worth.

    Attributes:
        recognised: Share that the judge takes for the class that was asked for.
        interval: Its 95% Wilson interval.
        frechet: Distance between the judge's features of generated pictures and of as many scans.
        nearest: Mean distance of a picture to the nearest training scan.
        pictures: `(count, 64)`.
        labels: What was asked for, `(count,)`.
    """

    recognised: float
    interval: tuple
    frechet: float
    nearest: float
    pictures: np.ndarray
    labels: np.ndarray


def frechet(features, others):
    """The distance of Frechet (1957) between two clouds of features, each taken for a normal
    distribution; for features of pictures, Heusel et al. (2017).

    `|m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2))`, with means `m` and covariances `C`. It shrinks
    with the number of samples: compare only where that is the same.

    Args:
        features, others: Arrays of shape `(samples, features)`.

    Returns:
        A number, 0 for two equal clouds.

    Example:

    >>> cloud = np.random.default_rng(0).standard_normal((500, 3))
    >>> round(frechet(cloud, cloud + 2), 6)  # three features, each 2 apart
    12.0
    """
    clouds = [finite("features", each).astype(np.float64) for each in (features, others)]
    shapes = [cloud.shape for cloud in clouds]
    if any(len(shape) != 2 or shape[0] < 2 for shape in shapes) or shapes[0][1] != shapes[1][1]:
        raise ValueError(
            "features must be two arrays of at least 2 samples and equally many features, got "
            f"shapes {shapes[0]} and {shapes[1]}"
        )
    (mean, other_mean), (spread, other_spread) = (
        [cloud.mean(0) for cloud in clouds],
        [np.atleast_2d(np.cov(cloud, rowvar=False)) for cloud in clouds],
    )
    # The trace of (C1 C2)^(1/2) is the sum of the roots of its eigenvalues, which are real.
    roots = np.sqrt(np.maximum(scipy.linalg.eigvals(spread @ other_spread).real, 0))
    apart = np.sum((mean - other_mean) ** 2)
    return float(max(0, apart + np.trace(spread) + np.trace(other_spread) - 2 * roots.sum()))


@functools.cache
def judge(name):
    """Returns a classifier, and the part of it that gives its last hidden layer."""
    classifier = models.load(name)
    return classifier, keras.Model(classifier.inputs[0], classifier.layers[-2].output)


def features(pictures, split="test"):
    """Returns what the judge of a split sees in pictures: its last hidden layer, `(count, units)`."""
    return np.asarray(judge(JUDGES[split])[1](pictures))


def to_nearest(pictures, split="train"):
    """Returns the distance of each picture to the nearest scan of a split."""
    scans = digits.load(split)[0]
    squares = (pictures**2).sum(1)[:, None] + (scans**2).sum(1) - 2 * pictures @ scans.T
    return np.sqrt(np.maximum(squares, 0)).min(1)


def told_apart(pictures, scans):
    """How well two sets of pictures can be told apart: each is said to belong where its nearest
    neighbour among all others does (Lopez-Paz and Oquab, 2017).

    Args:
        pictures, scans: Arrays of shape `(count, 64)`, equally many.

    Returns:
        Share that is told rightly: about 0.5 for two draws from one source, 1 for strangers. Below
        0.5, each has its nearest neighbour on the other side: one is a copy of the other.
    """
    both = np.concatenate([pictures, scans])
    squares = (both**2).sum(1)
    apart = squares[:, None] + squares - 2 * both @ both.T
    np.fill_diagonal(apart, np.inf)
    mine = np.arange(len(both)) < len(pictures)
    return float(np.mean(mine[apart.argmin(1)] == mine))


def asked(count):
    """Returns the labels to draw: each digit equally often."""
    return np.arange(whole("count", count, 1, 10**6), dtype=np.int32) % 10


def score_pictures(pictures, labels, split="test"):
    """Judges pictures.

    Args:
        pictures: `(count, 64)`, from 0 (paper) to 1 (ink).
        labels: What each should be, `(count,)`.
        split: Whose scans they are compared with, and whose judge looks at them.

    Returns:
        A `Generation`. Its Frechet distance is to as many scans of the split as there are pictures,
        or to all if there are fewer.
    """
    pictures, scans = finite("pictures", pictures), digits.load(split)[0]
    same = np.asarray(judge(JUDGES[split])[0](pictures)).argmax(1) == labels
    share, count = float(same.mean()), min(len(scans), len(pictures))
    return Generation(
        share,
        wilson(share, len(labels)),
        frechet(features(pictures[:count], split), features(scans[:count], split)),
        float(to_nearest(pictures).mean()),
        pictures,
        labels,
    )
