"""Which weights matter, and which to remove: a score for each weight or unit, and a mask over
scores.

Matrices are read as Keras stores them: `(inputs, units)`; a *unit* is one output neuron, a column.
Scores have the shape `(inputs, units)` or, one a unit, `(1, units)`. A mask keeps what is `True`.
"""

import dataclasses

import numpy as np

from course_utils.checks import finite, not_negative, whole
from course_utils.checks import fraction as checked_fraction


def magnitude(weights):
    """Scores each weight by its size, `|w|`: shape `(inputs, units)`."""
    return np.abs(finite("weights", weights))


def unit_magnitude(weights):
    """Scores each unit by the root mean square of its weights: shape `(1, units)`.

    It ranks the units of a layer as their L2 norm does, and is measured like a single weight, so
    one threshold means the same for layers of any width.
    """
    return np.sqrt(np.mean(np.square(finite("weights", weights)), axis=0, keepdims=True))


def document(weights):
    """Scores each weight by the document's importance (4.2.2), which for one weight is
    `1 / w^2`."""
    return _ratio(np.square(finite("weights", weights)), np.square(weights) ** 2)


def unit_document(weights):
    """Scores each unit by the document's importance, `sum(w^2) / sum(w^4)`: shape `(1, units)`.

    Its unit is 1/w^2: it *falls* when weights grow.
    """
    squares = np.square(finite("weights", weights))
    return _ratio(squares.sum(axis=0, keepdims=True), np.square(squares).sum(axis=0, keepdims=True))


def participation_ratio(weights):
    """Scores each unit by how many of its weights take part: `sum(w^2)^2 / sum(w^4)`, from 1 to
    inputs.

    The document's importance times `sum(w^2)`, which takes its unit away (Bell and Dean, 1970): the
    score says how evenly a unit spreads its weights, and nothing about how strong they are.
    """
    squares = np.square(finite("weights", weights))
    return _ratio(
        squares.sum(axis=0, keepdims=True) ** 2, np.square(squares).sum(axis=0, keepdims=True)
    )


def _ratio(above, below):
    """Divides; where a unit holds nothing but zeros its score is 0, and it goes first."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def wanda(weights, inputs):
    """Scores each weight by its size times how loud its input is (Sun et al., 2024).

    A small weight on a loud input moves the output more than a large one on a quiet input. Scores
    are meant to be compared within a unit, whose inputs are all the same: see `fraction_per_unit`.

    Args:
        weights: Float array of shape `(inputs, units)`.
        inputs: What the layer reads on calibration data, `(samples, inputs)`.

    Returns:
        Scores of shape `(inputs, units)`: `|w|` times the L2 norm of the input over the samples.

    Raises:
        ValueError: If either is not finite or they do not fit together.
    """
    weights, inputs = finite("weights", weights), finite("inputs", inputs)
    if inputs.ndim != 2 or inputs.shape[1] != weights.shape[0]:
        raise ValueError(
            f"inputs must have shape (samples, {weights.shape[0]}), got {inputs.shape}"
        )
    return np.abs(weights) * np.linalg.norm(inputs, axis=0)[:, None]


def taylor(gradients):
    """Scores each weight by how much the loss would change without it, to first order (Molchanov et
    al., 2017).

    Setting `w` to zero changes the loss by about `-w * dloss/dw`.

    Args:
        gradients: The loss's gradient at the weights, `(inputs, units)`; see
            `finetuning.gradients`.

    Returns:
        A function from this matrix of weights to scores `|w * gradient|`.
    """
    gradients = finite("gradients", gradients)

    def score(weights):
        weights = finite("weights", weights)
        if weights.shape != gradients.shape:
            raise ValueError(
                f"these gradients belong to weights of shape {gradients.shape}, got {weights.shape}"
            )
        return np.abs(weights * gradients)

    return score


SCORES = {"magnitude": (magnitude, unit_magnitude), "document": (document, unit_document)}


# A mask is a small object: it says its own name, `above(theta=0.1)`, and equals another like it.


@dataclasses.dataclass(frozen=True)
class above:
    """Keeps what scores more than the threshold: the document's rule.

    Args:
        theta: Threshold, in the unit of the score; at least 0.

    Call arguments:
        scores: Array of any shape.

    Returns:
        A mask of the same shape.

    Example:

    >>> above(0.5)(np.array([0.2, 0.5, 0.9]))
    array([False, False,  True])
    """

    theta: float

    def __post_init__(self):
        not_negative("theta", self.theta)

    def __call__(self, scores):
        return scores > self.theta


@dataclasses.dataclass(frozen=True)
class fraction:
    """Removes the given share of the lowest scores, counted exactly; ties fall in order of place.

    Args:
        share: Between 0 (keep all) and 1 (remove all).

    Call arguments:
        scores: Array of any shape.

    Returns:
        A mask of the same shape.

    Example:

    >>> fraction(0.5)(np.array([4.0, 1.0, 3.0, 2.0]))
    array([ True, False,  True, False])
    """

    share: float

    def __post_init__(self):
        checked_fraction("share", self.share)

    def __call__(self, scores):
        keep, removed = np.ones(scores.size, bool), round(self.share * scores.size)
        keep[np.argsort(scores, axis=None, kind="stable")[:removed]] = False
        return keep.reshape(scores.shape)


@dataclasses.dataclass(frozen=True)
class fraction_per_unit:
    """Removes the given share of the lowest scores of each unit, so that none loses more than
    another.

    Args:
        share: Between 0 (keep all) and 1 (remove all).

    Call arguments:
        scores: Array of shape `(inputs, units)`.

    Returns:
        A mask of the same shape.

    Example:

    >>> fraction_per_unit(0.5)(np.array([[1.0, 8.0], [2.0, 9.0]]))
    array([[False, False],
           [ True,  True]])
    """

    share: float

    def __post_init__(self):
        checked_fraction("share", self.share)

    def __call__(self, scores):
        return _ranks(scores) >= round(self.share * scores.shape[0])


@dataclasses.dataclass(frozen=True)
class n_of_m:
    """Keeps the `n` highest of every `m` scores that follow one another along a unit's inputs.

    2 of 4 is the pattern that NVIDIA's sparse tensor cores multiply at twice the speed (Mishra et
    al., 2021).

    Args:
        n: How many are kept, 0 to `m`.
        m: Length of a run. A shorter run at the end keeps at most `n`.

    Call arguments:
        scores: Array of shape `(inputs, units)`.

    Returns:
        A mask of the same shape.

    Example:

    >>> n_of_m(2, 4)(np.array([[0.3], [0.1], [0.4], [0.2]])).ravel()
    array([ True, False,  True, False])
    """

    n: int
    m: int

    def __post_init__(self):
        whole("n", self.n, 0, whole("m", self.m, 1, 2**31))

    def __call__(self, scores):
        (inputs, units), m = scores.shape, int(self.m)
        padded = np.pad(scores, ((0, -inputs % m), (0, 0)), constant_values=-np.inf)
        runs = padded.reshape(-1, m, units)
        return (_ranks(runs) >= m - self.n).reshape(-1, units)[:inputs]


def _ranks(scores):
    """Counts for each score how many of its column lie below it; ties rank in order of place."""
    return np.argsort(np.argsort(scores, axis=-2, kind="stable"), axis=-2)


def cubic(step, begin, end, final):
    """The share to remove at a step of gradual pruning: fast at first, gently at the end (Zhu and
    Gupta, 2017).

    Args:
        step: The training step.
        begin: Up to here nothing is removed.
        end: From here on it is `final`.
        final: The share removed in the end, 0 to 1.

    Returns:
        `final * (1 - (1 - t)**3)`, where `t` goes from 0 at `begin` to 1 at `end`.

    Example:

    >>> [round(cubic(step, 0, 100, 0.8), 3) for step in (0, 50, 100)]
    [0.0, 0.7, 0.8]
    """
    if not begin < end:
        raise ValueError(f"end must lie after begin ({begin}), got {end}")
    done = min(max((step - begin) / (end - begin), 0.0), 1.0)
    return checked_fraction("final", final) * (1 - (1 - done) ** 3)
