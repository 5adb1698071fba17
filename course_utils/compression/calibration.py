"""What the layers of a model really read, seen on calibration data."""

import collections
import contextlib
import functools
import inspect

import numpy as np

from course_utils.backend import keras
from course_utils.checks import seed, whole
from course_utils.models.introspection import called_instead

ROWS = 16  # a call of `capture`


def windows(line, count, draw=0, length=128):
    """Cuts windows from random places of a text: one draw of calibration data.

    Args:
        line: Token ids, `(tokens,)`: those of the train split, for what is calibrated on is not
            reported on.
        count: How many windows.
        draw: Seed of the places: another number, another text.
        length: Tokens a window.

    Returns:
        Array of shape `(count, length)`.

    Raises:
        ValueError: If the text is shorter than a window, or a number is not allowed.

    Example:

    >>> windows(np.arange(100), 2, length=3).shape
    (2, 3)
    """
    length, count = whole("length", length, 1, len(line) - 1), whole("count", count, 1, 2**31)
    starts = np.random.default_rng(seed(draw)).integers(0, len(line) - length, count)
    return line[starts[:, None] + np.arange(length)]


class _Left(BaseException):
    """Ends a pass through a model. Keras would wrap any mere `Exception`."""


def capture(model, weight, data):
    """Runs a model on data and keeps what the layer of one weight reads, in all its calls.

    Args:
        model: The Keras model.
        weight: One of its `Weight`s.
        data: What the model is called on, with the batch first; an array or a structure of them.

    Returns:
        `float32` of shape `(samples, inputs)`: one row for each position of each sequence, or each
        place of each image. `(parts, samples, inputs)` for a layer that is several maps side by
        side.

    Raises:
        ValueError: If `data` is empty, the layer is not reached, or what it reads cannot be seen or
            is not finite.
    """
    seen = []

    def watching(call, x):
        seen.append(weight.read(x))

    for batch in batches(data):
        run(model, batch, {weight.layer: watching})
    if not seen:
        raise ValueError(f"{weight.name}: the model never called its layer on the calibration data")
    return np.concatenate(seen, axis=-2)


def watch(model, watched, data, see):
    """Runs a model on data and shows what its layers read, each just before it computes.

    All rows go through together. So `see` may change a layer's weight, and the layers behind it
    read what the changed layer gives: a whole model is calibrated in the time of one pass. A layer
    that the model calls several times is shown at its first call what it reads in all of them, as
    they were before anything changed.

    Args:
        model: The Keras model.
        watched: Those of its `Weight`s to watch.
        data: What the model is called on, with the batch first; an array or a structure of them.
        see: Function of a `Weight` and what it is multiplied by, `(samples, inputs)` or
            `(parts, samples, inputs)`; called once for each.

    Raises:
        ValueError: If `data` is empty, a layer is not reached, or what it reads cannot be seen or
            is not finite.
    """
    by_layer, calls = {}, collections.Counter()
    for weight in watched:
        by_layer.setdefault(weight.layer, []).append(weight)
    data = next(iter(batches(data, rows=None)))
    run(
        model,
        data,
        {layer: lambda call, x, layer=layer: calls.update([layer]) for layer in by_layer},
    )
    for weight in watched:
        if not calls[weight.layer]:
            raise ValueError(
                f"{weight.name}: the model never called its layer on the calibration data"
            )
    again = {
        weight.name: capture(model, weight, data) for weight in watched if calls[weight.layer] > 1
    }
    waiting = dict(by_layer)

    def showing(layer):
        def show(call, x):
            for weight in waiting.pop(layer, ()):
                see(weight, again[weight.name] if weight.name in again else weight.read(x))

        return show

    run(model, data, {layer: showing(layer) for layer in by_layer})


def batches(data, rows=ROWS):
    """Yields calibration data some rows at a time, or all of them at once."""
    length = len(next(iter(keras.tree.flatten(data)), ()))
    if not length:
        raise ValueError("calibration data must hold at least one row, got none")
    for start in range(0, length, rows or length):
        piece = slice(start, start + (rows or length))
        yield keras.tree.map_structure(lambda x, piece=piece: x[piece], data)


def run(model, data, hooks):
    """Calls a model once; each layer's hook is called before it, with its call and what it reads."""

    def hooked(call, hook):
        name = next(iter(inspect.signature(call).parameters))  # it may be given by keyword

        @functools.wraps(call)
        def before(*args, **kwargs):
            try:
                hook(call, args[0] if args else kwargs[name])
            except Exception as error:
                raise _Left from error
            return call(*args, **kwargs)

        return before

    with contextlib.ExitStack() as stack:
        for layer, hook in hooks.items():
            stack.enter_context(called_instead(layer, hooked(layer.call, hook)))
        try:
            model(data, training=False)
        except _Left as left:
            raise left.__cause__ from None
