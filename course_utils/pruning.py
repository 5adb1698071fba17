"""Which weights matter, and which to remove: a score for each weight or unit, and a mask over
scores.

Matrices are read as Keras stores them: `(inputs, units)`; a *unit* is one output neuron, a column.
Scores have the shape `(inputs, units)` or, one a unit, `(1, units)`. A mask keeps what is `True`.
"""

import dataclasses

import numpy as np

from course_utils.checks import LARGEST, finite, not_negative, power_of_two, whole
from course_utils.checks import fraction as checked_fraction


def magnitude(weights):
    """Scores each weight by its size, `|w|`: shape `(inputs, units)`."""
    return np.abs(finite("weights", weights))


def unit_magnitude(weights):
    """Scores each unit by the root mean square of its weights: shape `(1, units)`.

    It ranks the units of a layer as their L2 norm does, and is measured like a single weight, so
    one threshold means the same for layers of any width.
    """
    weights, unit = _near_one("weights", weights)
    return _scores(np.sqrt(np.mean(np.square(weights), axis=0, keepdims=True)), unit)


def document(weights):
    """Scores each weight by the document's importance (4.2.2), which for one weight is
    `1 / w^2`."""
    weights, unit = _near_one("weights", weights, each=True)
    return _scores(_ratio(np.square(weights), np.square(weights) ** 2), unit, power=-2)


def unit_document(weights):
    """Scores each unit by the document's importance, `sum(w^2) / sum(w^4)`: shape `(1, units)`.

    Its unit is 1/w^2: it *falls* when weights grow.
    """
    weights, unit = _near_one("weights", weights)
    squares = np.square(weights)
    ratio = _ratio(
        squares.sum(axis=0, keepdims=True), np.square(squares).sum(axis=0, keepdims=True)
    )
    return _scores(ratio, unit, power=-2)


def participation_ratio(weights):
    """Scores each unit by how many of its weights take part: `sum(w^2)^2 / sum(w^4)`, from 1 to
    inputs.

    The document's importance times `sum(w^2)`, which takes its unit away (Bell and Dean, 1970): the
    score says how evenly a unit spreads its weights, and nothing about how strong they are.
    """
    squares = np.square(_near_one("weights", weights)[0])
    return _ratio(
        squares.sum(axis=0, keepdims=True) ** 2, np.square(squares).sum(axis=0, keepdims=True)
    )


def _near_one(name, values, each=False):
    """Values over a power of two near the largest of their column, or near each, and that power: so
    a fourth power is neither lost nor too large, and no digit changes. Where all are so already the
    power is 1."""
    values = finite(name, values, LARGEST)
    low, high = (
        (values, values) if each else (f(values, 0, keepdims=True) for f in (np.min, np.max))
    )
    sizes = np.maximum(high, -low)
    if np.all((sizes == 0) | (sizes > 1e-9) & (sizes < 1e9)):
        return values, 1.0
    unit = power_of_two(sizes)
    return values / unit, unit


def _ratio(above, below):
    """Divides; where a unit holds nothing but zeros its score is 0, and it goes first."""
    return np.divide(above, below, out=np.zeros_like(above), where=below > 0)


def _scores(values, unit, power=1):
    """`values * unit**power`, in float64 where a score would leave float32."""
    if np.ndim(unit) == 0:
        return values * unit**power
    with np.errstate(over="ignore"):
        exact = values * np.power(unit, power, dtype=np.float64)
        short = exact.astype(np.result_type(values, unit))
    lost = ~np.isfinite(short) | ((short == 0) & (exact != 0))
    return finite("scores", exact if lost.any() else short)


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
        ValueError: If either is not finite or beyond `LARGEST`, or they do not fit
            together.
    """
    weights, inputs = finite("weights", weights, LARGEST), np.asarray(inputs)
    if inputs.ndim != 2 or inputs.shape[1] != weights.shape[0]:
        raise ValueError(
            f"inputs must have shape (samples, {weights.shape[0]}), got {inputs.shape}"
        )
    inputs, unit = _near_one("inputs", inputs)
    loud = np.linalg.norm(inputs, axis=0, keepdims=True) * unit
    return _scores(np.abs(weights), loud.T)


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
    gradients = np.abs(finite("gradients", gradients, LARGEST))

    def score(weights):
        weights = finite("weights", weights, LARGEST)
        if weights.shape != gradients.shape:
            raise ValueError(
                f"these gradients belong to weights of shape {gradients.shape}, got {weights.shape}"
            )
        return _scores(np.abs(weights), gradients)

    return score


SCORES = {"magnitude": (magnitude, unit_magnitude), "document": (document, unit_document)}


# A mask is a small object: it says its own name, `above(theta=0.1)`, and equals another like it.


def _comparable(scores):
    """Returns scores as an array of floats; raises `ValueError` if one is NaN, which has no rank."""
    scores = np.asarray(scores)
    scores = scores if scores.dtype.kind == "f" else scores.astype(np.float64)
    if np.isnan(scores).any():
        raise ValueError(
            f"scores must be numbers, got {np.isnan(scores).sum()} NaN of {scores.size}"
        )
    return scores


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
        return _comparable(scores) > self.theta


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
        scores = _comparable(scores)
        keep, removed = np.ones(scores.size, bool), round(float(self.share) * scores.size)
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
        scores = _comparable(scores)
        return _ranks(scores) >= round(float(self.share) * scores.shape[0])


@dataclasses.dataclass(frozen=True)
class n_of_m:
    """Keeps the `n` highest of every `m` scores that follow one another along a unit's inputs.

    2 of 4 is the pattern that NVIDIA's sparse tensor cores multiply at up to twice the speed
    (Mishra et al., 2021).

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
        object.__setattr__(self, "m", whole("m", self.m, 1, 2**31))
        object.__setattr__(self, "n", whole("n", self.n, 0, self.m))

    def __call__(self, scores):
        scores = _comparable(scores)
        inputs, units = scores.shape
        m = min(self.m, inputs)  # one short run: the n best of all inputs
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
    step, begin, end = (
        float(not_negative(name, number))
        for name, number in (("step", step), ("begin", begin), ("end", end))
    )
    if not begin < end:
        raise ValueError(f"end must lie after begin ({begin:g}), got {end:g}")
    done = min(max((step - begin) / (end - begin), 0.0), 1.0)
    return checked_fraction("final", final) * (1 - (1 - done) ** 3)
