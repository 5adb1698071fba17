"""Checkpoints: a model's float weights, with what is needed to build it again and how it was
trained."""

import itertools
import json
import pathlib

import numpy as np

from course_utils import files
from course_utils.container import pack, parsed, unpack
from course_utils.models.description import describe, rebuild
from course_utils.models.introspection import names, settle


def save(path, model, record, dtype=None):
    """Writes a model's weights as safetensors, with the model's description and training record.

    Args:
        path: Where the file goes.
        model: A built Keras model.
        record: How it was made, as JSON can hold it.
        dtype: How the file keeps each number, such as `"float16"`, in half the bytes; as the model
            does if left out. What is loaded computes as this model does.
    """
    arrays = {name: stored(np.asarray(w, dtype)) for name, w in zip(names(model), model.weights)}
    notes = {"model": describe(model), "weights": list(arrays), "record": record}
    return files.write(path, pack(arrays, {key: json.dumps(value) for key, value in notes.items()}))


def read(path):
    """Reads a checkpoint.

    Returns:
        The weights by name, in the order of the model, and a dict with `model` (its description)
        and `record`.

    Raises:
        ValueError: If there is no such file, or it is damaged or foreign.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no checkpoint at {path}")
    arrays, notes = unpack(path.read_bytes(), path.name)
    if "record" not in notes:
        raise ValueError(
            f"{path.name} is no checkpoint; compressed models are read with compression.load"
        )
    notes = {key: parsed(f"{key} of {path.name}", value) for key, value in notes.items()}
    if set(notes) != {"model", "weights", "record"} or not isinstance(notes["weights"], list):
        raise ValueError(f"{path.name} must hold a model, weights and a record, got {set(notes)}")
    if sorted(map(repr, notes["weights"])) != sorted(map(repr, arrays)):
        raise ValueError(f"{path.name} names other weights than the {len(arrays)} that it holds")
    return {name: arrays[name] for name in notes["weights"]}, notes


def load(path):
    """Reads a checkpoint and returns the Keras model with its weights.

    Raises:
        ValueError: If the file is missing, damaged or foreign, or does not fit its own description.
    """
    arrays, notes = read(path)
    if not all(np.isfinite(array).all() for array in arrays.values()):
        raise ValueError(f"{pathlib.Path(path).name} holds weights that are NaN or infinite")
    model = rebuild(notes["model"], arrays.values())
    if [tuple(weight.shape) for weight in model.weights] != [
        array.shape for array in arrays.values()
    ]:
        raise ValueError(
            f"{pathlib.Path(path).name} does not hold the weights that its model {model.name!r} "
            "needs"
        )
    put(model, list(arrays.values()))
    return model


def stored(array):
    """Returns an array in a type that a safetensors file of NumPy knows: bfloat16 becomes float32."""
    return array.astype(np.float32) if array.dtype.name == "bfloat16" else array


def put(model, arrays):
    """Gives a model its weights, and lets its layers make of them what they compute with.

    Raises:
        ValueError: If these are not the weights that the model's configuration builds.
    """
    ours = [tuple(weight.shape) for weight in model.weights]
    if ours != (theirs := [tuple(array.shape) for array in arrays]):
        here, there = next(
            pair for pair in itertools.zip_longest(ours, theirs) if len(set(pair)) > 1
        )
        raise ValueError(
            f"model {model.name!r} as its configuration builds it has other weights ({here} where "
            f"{there} was given): what was changed after building, such as by enable_lora or "
            "quantize, must stand in the configuration"
        )
    model.set_weights(arrays)
    settle(model)


def clone(model):
    """Returns a model of the same class, configuration and weights that shares nothing with
    `model`."""
    twin = rebuild(describe(model))
    put(twin, model.get_weights())
    return twin
