"""Compressing what lies on a bench with two sliders: bits, and the share of weights removed."""

import numpy as np

from course_utils import compression, pruning, quantization
from course_utils.compression import adapters
from course_utils.evaluation.bench import GROUP_SIZE
from course_utils.storage import encode
from course_utils.text import _
from course_utils.widgets import slider


def squeeze(here, bits, sparsity=0.0):
    """Prunes and rounds the model on a `Bench` into its twin. Hold `here.turn`.

    Args:
        here: The bench.
        bits: Of a code, with a scale for every 32 inputs; 9 leaves floats.
        sparsity: Share of each matrix that is removed, the smallest weights first.

    Returns:
        Bytes of the file, and by name what the matrices hold now.
    """
    recipe = []
    if sparsity:
        recipe.append(compression.Prune(pruning.magnitude, pruning.fraction(sparsity)))
    if bits < 9:
        rule = quantization.absmax
        recipe.append(compression.Quantize(rule, bits=bits, group_size=GROUP_SIZE))
    tensors, held = {}, {}
    for weight, target in zip(here.weights, here.targets):
        if weight.skipped_because:
            tensors[weight.name] = np.asarray(weight.variable)
            continue
        matrix = here.matrices[weight.name]
        tensors[weight.name] = made = compression.compress_weight(weight, recipe, matrix)
        held[weight.name] = compression.floats(made)
        target.assign(held[weight.name])
    return encode(tensors, "fixed", here.description)[1].total, held


def add(here, held, adapter):
    """Puts what matrices hold into the twin on a `Bench`, with an adapter folded in."""
    places = {weight.name: target for weight, target in zip(here.weights, here.targets)}
    for weight, (down, up) in adapters.found(here.weights, adapter):
        places[weight.name].assign(held[weight.name] + down @ up)


def bits_slider(value=4):
    """Returns the control for bits, which all explorers of this lesson share."""
    return slider(_("bits"), 2, 9, 1, value, _("of a code; at 9 the floats stay as they are"))


def sparsity_slider(value=0.0):
    """Returns the control for the share of weights that are removed."""
    return slider(
        _("sparsity"), 0.0, 0.9, 0.05, value, _("share of each matrix's weights that are removed")
    )
