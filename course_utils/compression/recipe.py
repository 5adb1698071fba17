"""Recipes: steps that prune and quantize one matrix after another, and say what they are."""

import dataclasses
import functools
import inspect
import re

import numpy as np

from course_utils.checks import finite
from course_utils.container import digest
from course_utils.quantization import QuantizedTensor


class Apply:
    """One step of a recipe: replaces a matrix by what a rule makes of it.

    Args:
        rule: Function of a matrix `(inputs, units)`. A rule that has a parameter called `inputs` is
            also given what the layer really reads: calibration activations `(samples, inputs)`. One
            that has `original_inputs` too is given what the layer read in the whole model.
        only: Touch only weights whose name contains this text.
        **arguments: What else the rule needs, such as `bits=4, group_size=32`.
    """

    def __init__(self, rule, only="", **arguments):
        self.rule, self.only, self.arguments = rule, only, arguments
        self.asks = {"inputs", "original_inputs"} & set(inspect.signature(rule).parameters)
        self.needs_inputs = "inputs" in self.asks

    def __call__(self, matrix, inputs=None, original_inputs=None):
        given = {"inputs": inputs, "original_inputs": original_inputs}
        return self.rule(matrix, **{name: given[name] for name in self.asks}, **self.arguments)

    def __repr__(self):
        parts = [
            spell(value) for value in (self.rule, getattr(self, "mask", None)) if value is not None
        ]
        named = {
            **({"only": self.only} if self.only else {}),
            **dict(sorted(self.arguments.items())),
        }
        return f"{type(self).__name__}({', '.join(parts + [f'{key}={spell(value)}' for key, value in named.items()])})"


class Quantize(Apply):
    """Turns floats into integers, with a rule from `quantization` or `second_order`. See
    `Apply`."""


class Prune(Apply):
    """Sets weights to zero.

    Args:
        score: From `pruning`: a function from a matrix to scores. It may ask for `inputs`, as in
            `Apply`.
        mask: From `pruning`: a function from scores to what is kept, such as `above(0.1)`.
        only: Touch only weights whose name contains this text.
    """

    def __init__(self, score, mask, only=""):
        super().__init__(score, only)
        self.mask = mask

    def __call__(self, matrix, inputs=None, original_inputs=None):
        return np.where(
            self.mask(super().__call__(matrix, inputs, original_inputs)), matrix, np.float32(0)
        )


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
        ValueError: If the weight is not finite, or a step comes after the weight became integers.
    """
    matrix = finite(weight.name, weight.matrix() if matrix is None else matrix)
    for step in recipe:
        if step.only in weight.name:
            if isinstance(matrix, QuantizedTensor):
                raise ValueError(f"{weight.name} is integers already: prune first, quantize once")
            matrix = step(matrix, inputs, original_inputs)
    return matrix
