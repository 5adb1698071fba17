"""Filters of a convolutional network: scored, and taken out altogether (Li et al., 2017).

A filter writes one channel, and the next layer reads it. Take both away, and smaller arrays are
left, a smaller file, and less to compute.
"""

import itertools

import numpy as np

from course_utils.backend import keras
from course_utils.checks import one_of
from course_utils.models.checkpoint import put
from course_utils.models.introspection import in_a_row

# What may stand between a filter and its reader: each channel stays by itself.
BETWEEN = (
    keras.layers.Activation,
    keras.layers.AveragePooling2D,
    keras.layers.Dropout,
    keras.layers.Flatten,
    keras.layers.MaxPooling2D,
    keras.layers.ReLU,
    keras.layers.Reshape,  # before the first convolution
)


def readers(model):
    """Lists which layer reads the filters of which convolution.

    Args:
        model: A stack in which one layer follows another: Conv2D and Dense, and between them
            pooling, Flatten, activations and dropout.

    Returns:
        By name of a convolution that another layer reads, `(convolution, reader)`.

    Raises:
        ValueError: If the model is built otherwise.
    """
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    weighted = (keras.layers.Conv2D, keras.layers.Dense)
    if not in_a_row(model, layers) or not all(
        isinstance(layer, BETWEEN + weighted) for layer in layers
    ):
        raise ValueError(f"model {model.name!r} is no stack of convolutions and Dense layers")
    chain = [layer for layer in layers if isinstance(layer, weighted)]
    return {
        writer.name: (writer, reader)
        for writer, reader in itertools.pairwise(chain)
        if isinstance(writer, keras.layers.Conv2D)
    }


def filter_scores(model, score):
    """Scores the filters of each convolution.

    Args:
        model: See `readers`.
        score: A score of units from `pruning`, such as `unit_magnitude`; a filter is a unit whose
            inputs are its window.

    Returns:
        Scores of shape `(filters,)` by name. `{name: mask(scores)}` is what `remove_filters` takes.
    """
    return {
        name: np.ravel(score(np.asarray(writer.kernel).reshape(-1, writer.filters)))
        for name, (writer, _) in readers(model).items()
    }


def remove_filters(model, keep):
    """Returns a model without the filters that are not kept, and without what read them.

    Args:
        model: See `readers`; it is not changed.
        keep: By name of a convolution, booleans of shape `(filters,)`. What has no entry stays
            whole.

    Returns:
        A smaller Keras model. It computes what the model would if the filters gave nothing but
        zeros.

    Raises:
        ValueError: If a name is unknown, a mask has another length, or nothing would be kept.
    """
    found = readers(model)
    values = {id(variable): np.asarray(variable) for variable in model.weights}
    for name, mask in keep.items():
        (writer, reader), mask = found[one_of("convolution", name, found)], np.asarray(mask)
        if mask.dtype != bool or mask.shape != (writer.filters,) or not mask.any():
            raise ValueError(
                f"keep[{name!r}] must hold {writer.filters} booleans and at least one True, got "
                f"{mask.dtype} of shape {mask.shape}, {np.count_nonzero(mask)} True"
            )
        for variable in writer.weights:
            values[id(variable)] = values[id(variable)][..., mask]
        kernel = values[id(reader.kernel)]
        # A Dense layer behind Flatten reads all channels of one place, then those of the next.
        apart = kernel.reshape(-1, writer.filters, kernel.shape[-1])[:, mask]
        shape = (*kernel.shape[:-2], mask.sum(), kernel.shape[-1])
        dense = isinstance(reader, keras.layers.Dense)
        values[id(reader.kernel)] = apart.reshape((-1, kernel.shape[-1]) if dense else shape)

    def narrower(layer):
        config = layer.get_config()
        if layer.name in keep:
            config["filters"] = int(np.sum(keep[layer.name]))
        return layer.from_config(config)

    smaller = keras.models.clone_model(model, clone_function=narrower)
    put(smaller, list(values.values()))
    return smaller
