"""Attention that keeps less of each token, or fewer of them: heads that share keys and values, and a
window."""

import numpy as np

from course_utils.checks import whole
from course_utils.models import by_hand
from course_utils.models.checkpoint import put
from course_utils.models.description import describe


def share_heads(model, kv_heads):
    """Returns a model in which neighbouring heads share keys and values: smaller caches.

    What they share is the mean of what they had of their own (Ainslie et al., 2023). No training
    made these heads alike, so the model has to be trained on for a while: `finetuning.finetune`.

    Args:
        model: A `DecoderLM`; it is not changed.
        kv_heads: How many heads of each block keep keys and values of their own; the number that it
            has now must be a multiple.

    Returns:
        A model of the same class.

    Raises:
        ValueError: If heads cannot be shared out so, or the model does not say what it keeps.

    Example:

    >>> from course_utils.models import cache
    >>> model = models.load("docs-base")
    >>> [cache.slot_size(share_heads(model, n)) for n in (4, 2, 1)]  # bytes a token
    [4096, 2048, 1024]
    """
    # By identity: two weights may have one path.
    values = {id(variable): np.asarray(variable) for variable in model.weights}
    for layer, heads in _cached(model):
        kv_heads = whole("kv_heads", kv_heads, 1, heads)
        if heads % kv_heads:
            raise ValueError(f"{heads} heads with keys of their own cannot be shared by {kv_heads}")
        for variable in layer.weights:
            values[id(variable)] = mean_of_neighbours(np.asarray(variable), heads, kv_heads)
    return _remade(model, list(values.values()), kv_heads=kv_heads)


def mean_of_neighbours(weights, heads, groups):
    """Averages weights over the heads of each group: `(..., heads * size)` ->
    `(..., groups * size)`."""
    apart = weights.reshape(*weights.shape[:-1], groups, heads // groups, -1)
    return apart.mean(axis=-2).reshape(*weights.shape[:-1], -1)


def with_window(model, window):
    """Returns a model with the same weights in which each position looks at the last tokens alone
    (Beltagy et al., 2020): its caches need no more than `window` slots, however long the text.

    Args:
        model: A `DecoderLM`; it is not changed.
        window: How many tokens a position looks at, itself among them. Through one block more than
            that arrives: what a neighbour saw of its own neighbours.

    Raises:
        ValueError: If the window is no whole number from 1, or the model has none.
    """
    _cached(model)
    return _remade(model, model.get_weights(), window=whole("window", window, 1, 2**31 - 1))


def _cached(model):
    """Returns what a model lists as written into its caches."""
    if not hasattr(model, "cached"):
        raise ValueError(
            f"smaller caches need a model with a method cached(), got {type(model).__name__}"
        )
    return model.cached()


def _remade(model, weights, **options):
    """Builds a model like this one but for some options, and gives it weights."""
    other = model.remade(**options)
    by_hand.apply(other, describe(model).get("changes", []))
    put(other, weights)
    return other
