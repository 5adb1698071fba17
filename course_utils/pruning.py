"""Which weights matter, and which to remove: a score for each weight or unit, and a mask over scores.

Matrices are read as Keras stores them: `(inputs, units)`; a *unit* is one output neuron, a column.
Scores have the shape `(inputs, units)` or, one a unit, `(1, units)`. A mask keeps what is `True`.
"""

import numpy as np

from course_utils.checks import finite, not_negative
from course_utils.checks import fraction as checked_fraction


def magnitude(weights):
    """Scores each weight by its size, `|w|`: shape `(inputs, units)`."""
    return np.abs(finite("weights", weights))


def unit_magnitude(weights):
    """Scores each unit by the root mean square of its weights: shape `(1, units)`.

    It ranks the units of a layer as their L2 norm does, and is measured like a single weight, so one
    threshold means the same for layers of any width.
    """
    return np.sqrt(np.mean(np.square(finite("weights", weights)), axis=0, keepdims=True))


def document(weights):
    """Scores each weight by the document's importance (4.2.2), which for one weight is `1 / w^2`."""
    return _ratio(np.square(finite("weights", weights)), np.square(weights) ** 2)


def unit_document(weights):
    """Scores each unit by the document's importance, `sum(w^2) / sum(w^4)`: shape `(1, units)`.

    Its unit is 1/w^2: it *falls* when weights grow.
    """
    squares = np.square(finite("weights", weights))
    return _ratio(squares.sum(axis=0, keepdims=True), np.square(squares).sum(axis=0, keepdims=True))


def participation_ratio(weights):
    """Scores each unit by how many of its weights take part: `sum(w^2)^2 / sum(w^4)`, from 1 to inputs.

    The document's importance times `sum(w^2)`, which takes its unit away (Bell and Dean, 1970): the
    score says how evenly a unit spreads its weights, and nothing about how strong they are.
    """
    squares = np.square(finite("weights", weights))
    return _ratio(squares.sum(axis=0, keepdims=True) ** 2, np.square(squares).sum(axis=0, keepdims=True))


def _ratio(above, below):
    """Divides; where a unit holds nothing but zeros its score is 0, and it goes first."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


SCORES = {"magnitude": (magnitude, unit_magnitude), "document": (document, unit_document)}


def above(theta):
    """Keeps what scores more than the threshold: the document's rule.

    Args:
        theta: Threshold, in the unit of the score; at least 0.

    Returns:
        A function from scores to a mask.

    Example:

    >>> above(0.5)(np.array([0.2, 0.5, 0.9]))
    array([False, False,  True])
    """
    theta = not_negative("theta", theta)
    return lambda scores: scores > theta


def fraction(share):
    """Removes the given share of the lowest scores, counted exactly; ties fall in order of place.

    Args:
        share: Between 0 (keep all) and 1 (remove all).

    Returns:
        A function from scores to a mask.

    Example:

    >>> fraction(0.5)(np.array([4.0, 1.0, 3.0, 2.0]))
    array([ True, False,  True, False])
    """
    share = checked_fraction("share", share)

    def mask(scores):
        keep = np.ones(scores.size, bool)
        keep[np.argsort(scores, axis=None, kind="stable")[: round(share * scores.size)]] = False
        return keep.reshape(scores.shape)

    return mask
