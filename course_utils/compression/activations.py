"""Quantized operations: what a layer is given is rounded, too."""

import functools
import inspect

import numpy as np

from course_utils.backend import tf
from course_utils.checks import one_of, whole
from course_utils.compression.calibration import watch
from course_utils.compression.weights import axes_read, matched, multiplying, weights
from course_utils.models.checkpoint import clone
from course_utils.models.introspection import replace_call


@tf.custom_gradient
def fake_quantize(x, scale, levels):
    """Rounds to whole multiples of `scale`, at most `levels` of them on either side, and stays
    float.

    Rounding has a slope of 0 almost everywhere, and nothing could be learned through it. The
    straight-through estimator (Bengio et al., 2013) takes it for the identity on the way back,
    except where values were clipped.

    Args:
        x: Float tensor.
        scale: Length of one step; a number, or a tensor that broadcasts to `x`.
        levels: The largest code.

    Returns:
        A tensor of the shape of `x`.
    """
    codes = x / scale

    def slope(upstream):
        return upstream * tf.cast(tf.abs(codes) <= levels + 0.5, x.dtype), None, None

    return tf.clip_by_value(tf.round(codes), -levels, levels) * scale, slope


def change_inputs(model, change, only=""):
    """Returns a twin whose Dense and EinsumDense layers read something else than they are given.

    Args:
        model: A built Keras model; it is not changed.
        change: Function of a `Weight` and the tensor its layer is given, returning a tensor like
            it.
        only: Touch only layers with this part in their path, see `weights.touches`.

    Returns:
        A Keras model. The change lives in this object alone: a clone or a saved file does not have
        it.
    """
    twin = clone(model)
    for weight in multiplying(matched(twin, model), only):
        replace_call(weight.layer, _changed(weight, weight.layer.call, change))
    return twin


def _changed(weight, call, change):
    name = next(iter(inspect.signature(call).parameters))  # it may be given by keyword

    @functools.wraps(call)
    def changed(*args, **kwargs):
        if not args:
            return call(**{**kwargs, name: change(weight, kwargs[name])})
        return call(change(weight, args[0]), *args[1:], **kwargs)

    return changed


def quantize_activations(model, bits=8, per="tensor", calibration=None, only=""):
    """Returns a twin whose Dense and EinsumDense layers round what they read: quantized operations.

    The values are rounded to `bits`-bit levels and stay float32: this shows what it costs in
    quality and nothing about speed. `quantization.quantized_matmul` does the same with integers.
    What is added, normalised or multiplied between the layers is left as it is.

    Args:
        model: A built Keras model; it is not changed. To quantize weights too, give
            `compress(...).model`.
        bits: Width of an activation's code, 2 to 8.
        per: `"tensor"` (one scale for each layer, fixed beforehand by the largest value it reads on
            calibration data; larger ones are clipped) or `"token"` (a scale for each vector, from
            its own largest value).
        calibration: What the model is called on; only for `"tensor"`.
        only: Touch only layers with this part in their path, see `weights.touches`.

    Returns:
        A Keras model. The rounding lives in this object alone: a clone or a saved file does not
        have it.

    Raises:
        ValueError: If `per` or `bits` is not allowed, or calibration data is missing.
    """
    levels = 2 ** (whole("bits", bits, 2, 8) - 1) - 1
    if one_of("per", per, ("tensor", "token")) == "tensor" and calibration is None:
        raise ValueError("a scale per tensor is fixed beforehand: give calibration data")

    def per_token(weight, x):
        largest = tf.reduce_max(tf.abs(x), axis=axes_read(weight.layer), keepdims=True)
        return fake_quantize(x, tf.maximum(largest, 1e-30) / levels, float(levels))

    if per == "token":
        return change_inputs(model, per_token, only)
    largest = {}
    watch(
        model,
        multiplying(weights(model), only),
        calibration,
        lambda weight, read: largest.update({weight.name: np.abs(read).max()}),
    )
    return change_inputs(
        model,
        lambda weight, x: fake_quantize(
            x, max(largest[weight.name], 1e-30) / levels, float(levels)
        ),
        only,
    )
