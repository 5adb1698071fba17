"""What the layers of a model really read, seen on calibration data."""

import contextlib

import numpy as np

from course_utils.checks import finite
from course_utils.models.introspection import called_instead

ROWS = 16  # a call of `capture`


class _Left(BaseException):
    """Ends a pass through a model. Keras would wrap any mere `Exception`."""


def capture(model, weight, data):
    """Runs a model on data and keeps what the layer of one weight reads.

    Each pass ends there: what comes after the layer is not computed, nor its own second call in a
    pass.

    Args:
        model: The Keras model.
        weight: One of its `Weight`s, of a Dense or EinsumDense layer.
        data: What the model is called on, with the batch first.

    Returns:
        `float32` of shape `(samples, inputs)`: one row for each position of each sequence.

    Raises:
        ValueError: If `data` is empty, the layer is not reached, or what it reads is not finite.
    """
    if len(data) == 0:
        raise ValueError("calibration data must hold at least one row, got none")
    seen = []

    def watching(x, *args, **kwargs):
        seen.append(np.asarray(x, np.float32).reshape(-1, weight.inputs))
        raise _Left

    with called_instead(weight.layer, watching):
        for start in range(0, len(data), ROWS):
            with contextlib.suppress(_Left):
                model(data[start : start + ROWS], training=False)
    if not seen:
        raise ValueError(f"{weight.name}: the model never called its layer on the calibration data")
    return finite(f"inputs of {weight.name}", np.concatenate(seen))


def watch(model, watched, data, see):
    """Runs a model on data, once, and shows what its layers read, each just before it computes.

    All rows go through together. So `see` may change a layer's weight, and the layers behind it
    read what the changed layer gives: a whole model is calibrated in the time of one pass.

    Args:
        model: The Keras model.
        watched: Those of its `Weight`s to watch, of Dense or EinsumDense layers.
        data: What the model is called on, with the batch first.
        see: Function of a `Weight` and what its layer reads, `(samples, inputs)`; called once for
            each.

    Raises:
        ValueError: If `data` is empty, a layer is not reached, or what it reads is not finite.
    """
    if len(data) == 0:
        raise ValueError("calibration data must hold at least one row, got none")
    waiting = {weight.name for weight in watched}

    def seen(weight, call):
        def run(x, *args, **kwargs):
            if weight.name in waiting:
                waiting.remove(weight.name)
                try:
                    values = np.asarray(x, np.float32).reshape(-1, weight.inputs)
                    see(weight, finite(f"inputs of {weight.name}", values))
                except Exception as error:
                    raise _Left from error
            return call(x, *args, **kwargs)

        return run

    with contextlib.ExitStack() as hooks:
        for weight in watched:
            hooks.enter_context(called_instead(weight.layer, seen(weight, weight.layer.call)))
        try:
            model(data, training=False)
        except _Left as left:
            raise left.__cause__ from None
    if waiting:
        raise ValueError(
            f"{min(waiting)}: the model never called its layer on the calibration data"
        )
