"""Recipes as text: what a recipe prints, read back."""

import ast
import inspect

from course_utils import pruning, quantization, second_order
from course_utils.compression.recipe import Apply, Prune, Quantize, named

STEPS = {"Apply": Apply, "Prune": Prune, "Quantize": Quantize}
MASKS = {
    named(mask): mask
    for mask in (pruning.above, pruning.fraction, pruning.fraction_per_unit, pruning.n_of_m)
}
RULES = {
    named(rule): rule
    for rule in (
        *(pruning.magnitude, pruning.document, pruning.wanda),
        *(quantization.step, quantization.absmax, quantization.clipped, quantization.affine),
        *(quantization.clipped_affine, quantization.kmeans, quantization.nf4, quantization.fp8),
        *(quantization.mxfp4, quantization.nvfp4, quantization.binary),
        *(second_order.gptq, second_order.corrected_gptq, second_order.sparsegpt),
    )
}


def parse(text):
    """Reads a recipe from the words in which recipes print themselves.

    Text can come from a parameter or a file. Nothing in it is run: steps, masks and rules are
    looked up by name, and their arguments are plain values.

    Args:
        text: A step, or several between brackets.

    Returns:
        A list of steps, as for `compress`.

    Raises:
        ValueError: If the text is no recipe, or a name or an argument in it is unknown.

    Example:

    >>> parse("Quantize(quantization.absmax, bits=4, group_size=32)")
    [Quantize(quantization.absmax, bits=4, group_size=32)]
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
    except (SyntaxError, ValueError, AttributeError):
        raise ValueError(
            f"a recipe reads like Quantize(quantization.absmax, bits=4), got {text!r}"
        ) from None
    nodes = tree.elts if isinstance(tree, ast.List | ast.Tuple) else [tree]
    steps = [value(node) for node in nodes]
    if not steps or not all(isinstance(step, Apply) for step in steps):
        raise ValueError(f"a recipe names steps, of {', '.join(STEPS)}, got {text!r}")
    return steps


def value(node):
    """Returns what one part of a recipe stands for."""
    if isinstance(node, ast.Call):
        made = looked_up(node.func, {**STEPS, **MASKS})
        given = [value(argument) for argument in node.args]
        return checked(made, given, {word.arg: value(word.value) for word in node.keywords})
    if isinstance(node, ast.Attribute | ast.Name):
        return looked_up(node, RULES)
    try:
        return ast.literal_eval(node)
    except (ValueError, TypeError):
        raise ValueError(f"{ast.unparse(node)!r} in a recipe is no plain value") from None


def looked_up(node, known):
    """Returns what is known under a name."""
    if (name := ast.unparse(node)) not in known:
        raise ValueError(f"unknown name {name!r} in a recipe; choose from: {', '.join(known)}")
    return known[name]


def checked(made, given, words):
    """Makes a step or a mask; says which argument nobody asked for before any model is touched."""
    try:
        step = made(*given, **words)
        if isinstance(step, Apply):
            inspect.signature(step.rule).bind(None, **dict.fromkeys(step.asks), **step.arguments)
    except TypeError as problem:
        raise ValueError(f"{made.__name__} in a recipe: {problem}") from None
    return step
