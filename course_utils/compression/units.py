"""Hidden units and attention heads: scored, silenced, or taken out altogether."""

import dataclasses
import itertools

import numpy as np

from course_utils.backend import keras
from course_utils.checks import one_of
from course_utils.compression.weights import touches
from course_utils.models import by_hand
from course_utils.models.checkpoint import clone, put
from course_utils.models.description import describe
from course_utils.models.introspection import in_a_row


@dataclasses.dataclass(frozen=True)
class Hidden:
    """Units between layers: some layers write them, one reads them, and they can be removed from
    both.

    Attributes:
        writers: Dense layers with a column for each unit.
        reader: The Dense layer with a row for each unit.
        count: How many can be removed one by one: hidden units, or attention heads.
    """

    writers: tuple
    reader: object
    count: int

    def broadcast(self, keep, units):
        """Repeats a choice of heads for each unit of the head: `(count,)` -> `(units,)`."""
        return np.repeat(keep, units // self.count)


def hidden(model):
    """Lists what can be removed from a model as a whole.

    Args:
        model: One with a method `removable`, such as a `DecoderLM`, or a stack in which one layer
            follows another and no layer but Dense, Activation and Dropout stands between two Dense
            layers.

    Returns:
        A dict of `Hidden` by name: what `removable` calls them, such as `"block_0/attention"` (its
        heads) and `"block_0/mlp"`; for a stack, the name of each Dense layer but the last.

    Raises:
        ValueError: If the model is built otherwise.
    """
    if hasattr(model, "removable"):
        return {name: Hidden(*part) for name, part in model.removable().items()}
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    allowed = (keras.layers.Dense, keras.layers.Activation, keras.layers.ReLU, keras.layers.Dropout)
    if not in_a_row(model, layers) or not all(isinstance(layer, allowed) for layer in layers):
        raise ValueError(
            f"model {model.name!r} neither lists what is removable nor is a stack of Dense layers"
        )
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    return {a.name: Hidden((a,), b, a.units) for a, b in itertools.pairwise(dense)}


def unit_scores(model, score, only=""):
    """Scores what can be removed from a model: hidden units and attention heads.

    Args:
        model: See `hidden`.
        score: A score of units from `pruning`, such as `unit_magnitude`. A head's score is the sum
            over its units in query, key and value.
        only: Only what has this part in its path, such as `"mlp"` or `"attention"`; see
            `weights.touches`.

    Returns:
        Scores of shape `(count,)` by name. `{name: mask(scores)}` is what `remove_units` takes.
    """
    found = hidden(model)
    picked = [name for name in found if touches(only, name)]
    if not picked:
        raise ValueError(f"only={only!r} is part of no name; there are: {', '.join(found)}")
    return {
        name: sum(
            score(np.asarray(writer.kernel)).reshape(found[name].count, -1).sum(axis=1)
            for writer in found[name].writers
        )
        for name in picked
    }


def silence_units(model, keep):
    """Returns a twin in which units that are not kept have no effect: their readers' weights are
    zero.

    It computes what the model from `remove_units` computes, at the full size and the full cost.

    Args:
        model: See `hidden`.
        keep: By name, booleans of shape `(count,)`.
    """
    twin = clone(model)
    for part, mask in _chosen(twin, keep):
        kernel = np.asarray(part.reader.kernel)
        part.reader.kernel.assign(kernel * part.broadcast(mask, len(kernel))[:, None])
    return twin


def remove_units(model, keep):
    """Returns a model without the units that are not kept: smaller matrices, smaller file, faster.

    Args:
        model: See `hidden`; it is not changed.
        keep: By name, booleans of shape `(count,)`: hidden units or attention heads to keep. What
            has no entry stays whole.

    Returns:
        A Keras model of the same class and the function of `silence_units(model, keep)`.

    Raises:
        ValueError: If a name is unknown, a mask has another length, or nothing would be kept.

    Example:

    >>> model = models.load("docs-base")
    >>> keep = {name: pruning.fraction(0.5)(scores)
    ...         for name, scores in unit_scores(model, pruning.unit_magnitude, only="mlp").items()}
    >>> remove_units(model, keep).count_params() < model.count_params()
    True
    """
    # By identity: two weights may have one path.
    values = {id(variable): np.asarray(variable) for variable in model.weights}
    for part, mask in _chosen(model, keep):
        for writer in part.writers:
            for variable in writer.weights:  # kernel (inputs, units) and bias (units,)
                kept = part.broadcast(mask, variable.shape[-1])
                values[id(variable)] = values[id(variable)][..., kept]
        kernel = values[id(part.reader.kernel)]
        values[id(part.reader.kernel)] = kernel[part.broadcast(mask, len(kernel))]
    smaller = _resized(model, {name: int(np.sum(mask)) for name, mask in keep.items()})
    by_hand.apply(smaller, describe(model).get("changes", []))
    put(smaller, list(values.values()))
    return smaller


def _chosen(model, keep):
    """Yields `Hidden` and mask of each entry of `keep`, checked."""
    found = hidden(model)
    for name, mask in keep.items():
        part, mask = found[one_of("part", name, found)], np.asarray(mask)
        if mask.dtype != bool or mask.shape != (part.count,) or not mask.any():
            raise ValueError(
                f"keep[{name!r}] must hold {part.count} booleans and at least one True, "
                f"got {mask.dtype} of shape {mask.shape}, {np.count_nonzero(mask)} True"
            )
        yield part, mask


def _resized(model, counts):
    """Builds a model like this one with other numbers of hidden units and heads."""
    if hasattr(model, "resized"):
        return model.resized(counts)

    def like(layer):
        config = layer.get_config()
        return layer.from_config(
            {**config, "units": counts[layer.name]} if layer.name in counts else config
        )

    return keras.models.clone_model(model, clone_function=like)
