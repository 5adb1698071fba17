"""What a compressed model thinks differently, and whether that can still be explained."""

import numpy as np
from sklearn.tree import DecisionTreeClassifier

from course_utils.backend import tf
from course_utils.checks import finite, whole
from course_utils.checks import seed as checked_seed
from course_utils.models.checkpoint import clone


def divergence(before, after):
    """Kullback-Leibler divergence of what a model says now from what it said before, in nats:
    `sum p_before (log p_before - log p_after)`, 0 where nothing changed.

    Args:
        before, after: Logarithms of probabilities, `(..., classes)`.

    Returns:
        Array of shape `(...)`.

    Example:

    >>> divergence(np.log([0.5, 0.5]), np.log([0.9, 0.1])).round(3)
    np.float64(0.511)
    """
    return np.sum(np.exp(before) * (before - after), axis=-1)


def margins(logits):
    """Returns how far the likeliest class is ahead of the next one, `(..., classes)` -> `(...)`."""
    second, first = np.moveaxis(np.partition(logits, -2, axis=-1)[..., -2:], -1, 0)
    return first - second


def auc(scores, found):
    """Area under the ROC curve: the chance that something that was found has a higher score than
    something that was not (Mann and Whitney, 1947). Half of it is guessing.

    Args:
        scores: Numbers `(n,)`.
        found: Booleans `(n,)`.

    Returns:
        The area; NaN where all or none were found.

    Example:

    >>> float(auc([3.0, 1.0, 2.0, 0.0], [True, False, True, False]))
    1.0
    """
    from scipy.stats import rankdata  # half a second, which only this should cost

    found, ranks = np.asarray(found, bool), rankdata(finite("scores", scores))
    yes, no = found.sum(), (~found).sum()
    return (ranks[found].sum() - yes * (yes + 1) / 2) / (yes * no) if yes and no else np.nan


def integrated_gradients(model, inputs, targets, steps=32):
    """Shares the output of a class out among the inputs: the slope at each of them, averaged on the
    way from nothing to the input, times the input (Sundararajan et al., 2017).

    What all inputs get sums to what the output gained on that way: completeness.

    Args:
        model: Maps inputs `(batch, features)` to logits.
        inputs: Float array `(batch, features)`; nothing is 0.
        targets: Classes `(batch,)`.
        steps: How many places on the way.

    Returns:
        Array of the shape of `inputs`.
    """
    inputs, steps = finite("inputs", inputs).astype(np.float32), whole("steps", steps, 1, 4096)
    way = (np.arange(steps, dtype=np.float32) + 0.5) / steps  # the middle of each piece
    points = tf.constant((way[:, None, None] * inputs).reshape(-1, inputs.shape[-1]))
    with tf.GradientTape() as tape:
        tape.watch(points)
        said = tf.gather(model(points), np.tile(targets, steps), axis=1, batch_dims=1)
    slopes = np.asarray(tape.gradient(said, points)).reshape(steps, *inputs.shape)
    return inputs * slopes.mean(axis=0)


def rank_correlation(first, second):
    """Spearman's rank correlation of two explanations, row by row: 1 is the same order of inputs,
    0 none.

    Args:
        first, second: Arrays `(batch, features)`.

    Returns:
        Array `(batch,)`.
    """
    from scipy.stats import rankdata

    ranks = [rankdata(each, axis=-1) for each in (first, second)]
    centred = [rank - rank.mean(axis=-1, keepdims=True) for rank in ranks]
    lengths = [np.linalg.norm(each, axis=-1) for each in centred]
    return np.sum(centred[0] * centred[1], axis=-1) / np.maximum(lengths[0] * lengths[1], 1e-12)


def randomised(model, seed=0):
    """Returns a twin whose weights are its own in another order, array by array: an explanation
    that stays the same for it explains no model (Adebayo et al., 2018)."""
    twin, rng = clone(model), np.random.default_rng(checked_seed(seed))
    twin.set_weights([rng.permutation(w.ravel()).reshape(w.shape) for w in model.get_weights()])
    return twin


def mimicked(model, examples, others, leaves=40):
    """Says how well a small tree of questions can stand for a classifier: the share of other
    examples on which a decision tree that learned the classifier's answers gives the same one. What
    is simple can be mimicked.

    Args:
        model: Maps inputs `(batch, features)` to logits.
        examples: What the tree learns on.
        others: What the two are compared on.
        leaves: How many the tree may have.
    """
    answers, wanted = (np.asarray(model(each)).argmax(-1) for each in (examples, others))
    tree = DecisionTreeClassifier(max_leaf_nodes=leaves, random_state=0).fit(examples, answers)
    return float(np.mean(tree.predict(others) == wanted))
