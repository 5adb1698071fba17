"""A recipe and a Keras model in, a smaller model and its file out; the original is never
changed."""

from course_utils.compression.activations import change_inputs, fake_quantize, quantize_activations
from course_utils.compression.attention import share_heads, with_window
from course_utils.compression.calibration import capture, watch, windows
from course_utils.compression.parsing import parse
from course_utils.compression.recipe import Apply, Prune, Quantize, compress_weight, spell
from course_utils.compression.units import Hidden, hidden, remove_units, silence_units, unit_scores
from course_utils.compression.weights import Weight, axes_read, fill, floats, matched, weights
from course_utils.compression.whole import (
    Compressed,
    alone,
    baseline,
    compress,
    load,
    sensitivity,
)

__all__ = [
    "Apply",
    "Compressed",
    "Hidden",
    "Prune",
    "Quantize",
    "Weight",
    "alone",
    "axes_read",
    "baseline",
    "capture",
    "change_inputs",
    "compress",
    "compress_weight",
    "fake_quantize",
    "fill",
    "floats",
    "hidden",
    "load",
    "matched",
    "parse",
    "quantize_activations",
    "remove_units",
    "sensitivity",
    "share_heads",
    "silence_units",
    "spell",
    "unit_scores",
    "watch",
    "weights",
    "windows",
    "with_window",
]
