"""Recipes: steps that prune and quantize one matrix after another, and say what they are."""

import dataclasses
import functools
import inspect
import re

import numpy as np

from course_utils.checks import finite
from course_utils.compression.weights import touches
from course_utils.container import digest
from course_utils.quantization import QuantizedTensor


class Apply:
    """One step of a recipe: replaces a matrix by what a rule makes of it.

    Args:
        rule: Function of a matrix `(inputs, units)`. A rule that has a parameter called `inputs` is
            also given what the layer really reads: calibration activations `(samples, inputs)`. One
            that has `original_inputs` too is given what the layer read in the whole model, and one
            that has `kept` a mask that is `False` where a step before removed a weight (`None` if
            none did), for what was removed must stay 0.
        only: Touch only weights with this part in their path, see `weights.touches`.
        **arguments: What else the rule needs, such as `bits=4, group_size=32`.
    """

    def __init__(self, rule, only="", **arguments):
        self.rule, self.only, self.arguments = rule, only, arguments
        parameters = set(inspect.signature(rule).parameters) - set(arguments)
        self.asks = {"inputs", "original_inputs", "kept"} & parameters
        self.needs_inputs = "inputs" in self.asks

    def __call__(self, matrix, inputs=None, original_inputs=None, kept=None):
        given = {"inputs": inputs, "original_inputs": original_inputs, "kept": kept}
        asked = {name: given[name] for name in self.asks}
        if np.ndim(inputs) < 3:
            return self.rule(matrix, **asked, **self.arguments)
        # Maps side by side, each with inputs of its own: the rule sees one after another.
        columns = np.split(matrix, len(inputs), axis=1)
        if asked.get("kept") is not None:
            asked["kept"] = np.split(kept, len(inputs), axis=1)
        parts = [
            {name: None if value is None else value[i] for name, value in asked.items()}
            for i in range(len(inputs))
        ]
        return joined(
            [self.rule(part, **seen, **self.arguments) for part, seen in zip(columns, parts)]
        )

    def __repr__(self):
        parts = [
            spell(value) for value in (self.rule, getattr(self, "mask", None)) if value is not None
        ]
        named = {
            **({"only": self.only} if self.only else {}),
            **dict(sorted(self.arguments.items())),
        }
        return f"{type(self).__name__}({', '.join(parts + [f'{key}={spell(value)}' for key, value in named.items()])})"


def joined(parts):
    """Puts what a rule made of maps side by side back into one matrix, `(inputs, units)`."""
    if not isinstance(parts[0], QuantizedTensor):
        return np.hstack(parts)
    first = parts[0]
    if any(not np.array_equal(part.codebook, first.codebook) for part in parts):
        raise ValueError("a rule with levels of its own for each part of a layer cannot be stored")

    def beside(key):
        per_unit = [np.atleast_2d(getattr(part, key)) for part in parts]
        wide = [np.broadcast_to(v, (len(v), p.codes.shape[1])) for v, p in zip(per_unit, parts)]
        return np.hstack(wide)

    zero_point = (
        0 if np.ndim(first.zero_point) == 0 and not first.zero_point else beside("zero_point")
    )
    return dataclasses.replace(
        first,
        codes=np.hstack([part.codes for part in parts]),
        scale=beside("scale"),
        zero_point=zero_point,
        bits=max(part.bits for part in parts),
        group_size=first.group_size or first.codes.shape[0],
    )


class Quantize(Apply):
    """Turns floats into integers, with a rule from `quantization` or `second_order`. See
    `Apply`."""


class Prune(Apply):
    """Sets weights to zero.

    Args:
        score: From `pruning`: a function from a matrix to scores. It may ask for `inputs`, as in
            `Apply`.
        mask: From `pruning`: a function from scores to what is kept, such as `above(0.1)`.
        only: Touch only weights with this part in their path, see `weights.touches`.
    """

    def __init__(self, score, mask, only=""):
        super().__init__(score, only)
        self.mask = mask

    def __call__(self, matrix, inputs=None, original_inputs=None, kept=None):
        scores = super().__call__(matrix, inputs, original_inputs, kept)
        return np.where(self.mask(scores), matrix, np.float32(0))


def spell(value):
    """Says what a rule or one of its arguments is, in the same words in every run.

    A mask such as `pruning.above(0.1)` is told by its name and by what it remembers, an array by
    its shape and the first digits of its digest.

    Example:

    >>> Prune(pruning.magnitude, pruning.above(0.1))
    Prune(pruning.magnitude, pruning.above(theta=0.1))
    """
    if isinstance(value, np.ndarray):
        return f"array(shape={value.shape}, sha256={digest({'': value}, None)[:12]})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {spell(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(spell, value))}]"
    if isinstance(value, functools.partial):
        given = [
            *map(spell, value.args),
            *(f"{key}={spell(item)}" for key, item in value.keywords.items()),
        ]
        return f"{spell(value.func)}({', '.join(given)})"
    if dataclasses.is_dataclass(value):  # a mask
        held = {field.name: getattr(value, field.name) for field in dataclasses.fields(value)}
        return f"{named(type(value))}({told(held)})"
    owner = getattr(value, "__self__", None)
    if not hasattr(value, "__qualname__") or not (owner is None or inspect.ismodule(owner)):
        return repr(value)
    held = inspect.getclosurevars(value).nonlocals if inspect.isfunction(value) else {}
    if held:
        return f"{named(value).partition('.<locals>')[0]}({told(held)})"
    return named(value)


def told(held):
    """Says what a rule remembers, in order of the alphabet."""
    return ", ".join(f"{key}={spell(item)}" for key, item in sorted(held.items()))


def named(rule):
    """Returns the name of a rule: the same wherever it lives, for sweeps and records know their
    recipes by it."""
    name = f"{rule.__module__}.{rule.__qualname__}"
    return re.sub(r"^course_utils\.(compression\.)?", "", name)


def compress_weight(weight, recipe, matrix=None, inputs=None, original_inputs=None):
    """Runs a recipe over one weight.

    Args:
        weight: A `Weight`.
        recipe: `Prune`, `Quantize` and other `Apply` steps, in the order in which they run.
        matrix: Its values as `(inputs, units)`, where they are at hand already.
        inputs: What its layer reads, `(samples, inputs)`; only for steps that ask for it.
        original_inputs: What it read before anything was compressed; likewise.

    Returns:
        A `QuantizedTensor`, or the float32 matrix if no step quantized it.

    Raises:
        ValueError: If the weight is not finite, a step comes after the weight became integers, or a
            step brings back what one before it removed.
    """
    matrix, kept = finite(weight.name, weight.matrix() if matrix is None else matrix), None
    for step in recipe:
        if touches(step.only, weight.name):
            if isinstance(matrix, QuantizedTensor):
                raise ValueError(f"{weight.name} is integers already: prune first, quantize once")
            made = step(matrix, inputs, original_inputs, kept)
            if kept is not None:
                still_removed(weight.name, step, made, kept)
            kept = what_stays(step, matrix, made, kept)
            matrix = made
    return matrix


def what_stays(step, before, made, kept):
    """Returns where weights are left, `None` for everywhere, after a step that may have removed
    some."""
    if isinstance(made, QuantizedTensor) or np.shape(made) != before.shape:
        return kept
    left = made != 0
    return left if isinstance(step, Prune) or np.any((before != 0) > left) else kept


def still_removed(name, step, made, kept):
    """Raises `ValueError` if a step made something else than 0 of weights that were removed."""
    if isinstance(made, QuantizedTensor):
        if made.codebook is None:
            other = made.codes != made.broadcast(made.zero_point)
        else:
            other = (made.codebook != 0)[made.codes]
    else:
        other = made != 0
    back = np.count_nonzero(other > kept)
    if back:
        why = "has no level for 0 and " if isinstance(made, QuantizedTensor) else ""
        raise ValueError(
            f"{name}: {spell(step.rule)} {why}would bring back {back:,} of the "
            f"{np.count_nonzero(~kept):,} weights that were removed: use a rule that leaves a 0 as "
            "it is, or has a parameter called kept"
        )
