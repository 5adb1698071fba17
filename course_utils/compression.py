"""A recipe and a Keras model in, a smaller model out; the original is never changed."""

import dataclasses
import inspect
import math
import pathlib

import numpy as np

from course_utils import files
from course_utils.backend import keras
from course_utils.checks import finite
from course_utils.models.checkpoint import clone, describe, rebuild
from course_utils.quantization import QuantizedTensor
from course_utils.storage import Ledger, decode, encode


@dataclasses.dataclass(frozen=True)
class Weight:
    """One weight of a model, and how it is read as a matrix of shape `(inputs, units)`.

    Attributes:
        name: The variable's path, such as `"decoder_lm/block_0/up/kernel"`.
        variable: The Keras variable.
        layer: The layer it belongs to.
        axes: Order of the variable's axes in which inputs come before units; `None` for a weight that
            is no matrix of a linear map, such as a bias.
        inputs: Product of the input axes.
        why_not: Why it is left as it is; empty for a matrix.
    """

    name: str
    variable: object
    layer: object
    axes: tuple | None = None
    inputs: int = 0
    why_not: str = ""

    def matrix(self, values=None):
        """Returns the weight, or `values` of its shape, as `(inputs, units)`."""
        values = np.asarray(self.variable) if values is None else values
        return values.transpose(self.axes).reshape(self.inputs, -1)

    def shaped(self, matrix):
        """Undoes `matrix`."""
        shape = tuple(self.variable.shape[axis] for axis in self.axes)
        return matrix.reshape(shape).transpose(np.argsort(self.axes))


def weights(model):
    """Lists every weight of a built model once, matrices and others.

    Dense, EinsumDense, convolution and embedding weights are matrices; biases, norms and whatever
    belongs to an unknown layer are not, and say why.

    Args:
        model: A built Keras model, sequential, functional or subclassed.

    Returns:
        A list of `Weight`, in the order of `model.weights`.

    Raises:
        ValueError: If the model has no weights yet.
    """
    if not model.weights:
        raise ValueError(f"model {model.name!r} has no weights; build it or call it on data first")
    owners = {}
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            owners.setdefault(id(variable), layer)
    return [weight_of(variable, owners.get(id(variable), model)) for variable in model.weights]


def weight_of(variable, layer):
    """Returns the `Weight` for one variable of a layer."""
    layers, shape, rank = keras.layers, variable.shape, len(variable.shape)
    known = Weight(variable.path, variable, layer)
    if rank < 2:
        return dataclasses.replace(known, why_not="not a matrix: a bias, a norm or a counter")
    if isinstance(layer, layers.Embedding):  # a token is a unit, its coordinates are the inputs
        return dataclasses.replace(known, axes=(1, 0), inputs=shape[1])
    if variable.name != "kernel":
        return dataclasses.replace(known, why_not=f"{type(layer).__name__} has no rule for {variable.name!r}")
    if isinstance(layer, layers.EinsumDense):
        read, result = layer.equation.replace(" ", "").split("->")
        kernel = read.split(",")[1]
        order = sorted(range(rank), key=lambda axis: kernel[axis] in result)
        inputs = math.prod(shape[axis] for axis in order if kernel[axis] not in result)
        return dataclasses.replace(known, axes=tuple(order), inputs=inputs)
    if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return dataclasses.replace(known, axes=tuple(range(rank)), inputs=math.prod(shape[:-2]))
    if isinstance(layer, (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)):
        return dataclasses.replace(known, axes=tuple(range(rank)), inputs=math.prod(shape[:-1]))
    return dataclasses.replace(known, why_not=f"{type(layer).__name__} is not a layer this course knows")


class Apply:
    """One step of a recipe: replaces a matrix by what a rule makes of it.

    Args:
        rule: Function of a matrix `(inputs, units)`. A rule that has a parameter called `inputs` is
            also given what the layer really reads: calibration activations `(samples, inputs)`.
        only: Touch only weights whose name contains this text.
        **arguments: What else the rule needs, such as `bits=4, group_size=32`.
    """

    def __init__(self, rule, only="", **arguments):
        self.rule, self.only, self.arguments = rule, only, arguments
        self.needs_inputs = "inputs" in inspect.signature(rule).parameters

    def __call__(self, matrix, inputs=None):
        return self.rule(matrix, **({"inputs": inputs} if self.needs_inputs else {}), **self.arguments)


class Quantize(Apply):
    """Turns floats into integers, with a rule from `quantization` or `second_order`. See `Apply`."""


class Prune(Apply):
    """Sets weights to zero.

    Args:
        score: From `pruning`: a function from a matrix to scores. It may ask for `inputs`, as in `Apply`.
        mask: From `pruning`: a function from scores to what is kept, such as `above(0.1)`.
        only: Touch only weights whose name contains this text.
    """

    def __init__(self, score, mask, only=""):
        super().__init__(score, only)
        self.mask = mask

    def __call__(self, matrix, inputs=None):
        return np.where(self.mask(super().__call__(matrix, inputs)), matrix, np.float32(0))


def compress_weight(weight, steps, matrix=None, inputs=None):
    """Runs a recipe over one weight.

    Args:
        weight: A `Weight`.
        steps: `Prune`, `Quantize` and other `Apply` steps, in the order in which they run.
        matrix: Its values as `(inputs, units)`, where they are at hand already.
        inputs: What its layer reads, `(samples, inputs)`; only for steps that ask for it.

    Returns:
        A `QuantizedTensor`, or the float32 matrix if no step quantized it.

    Raises:
        ValueError: If the weight is not finite, or a step comes after the weight became integers.
    """
    matrix = finite(weight.name, weight.matrix() if matrix is None else matrix)
    for step in steps:
        if step.only in weight.name:
            if isinstance(matrix, QuantizedTensor):
                raise ValueError(f"{weight.name} is integers already: prune first, quantize once")
            matrix = step(matrix, inputs)
    return matrix


def capture(model, weight, data, batch_size=16):
    """Runs a model on data and keeps what the layer of one weight reads.

    Args:
        model: The Keras model.
        weight: One of its `Weight`s, of a Dense or EinsumDense layer.
        data: What the model is called on, with the batch first.
        batch_size: Rows a call.

    Returns:
        `float32` of shape `(samples, inputs)`: one row for each position of each sequence.

    Raises:
        ValueError: If `data` is empty, the layer is not reached, or what it reads is not finite.
    """
    if len(data) == 0:
        raise ValueError("calibration data must hold at least one row, got none")
    layer, seen = weight.layer, []
    kept = layer.call

    def watching(x, *args, **kwargs):
        seen.append(np.asarray(x, np.float32).reshape(-1, weight.inputs))
        return kept(x, *args, **kwargs)

    layer.call = watching  # an attribute of this one layer hides the method of its class
    try:
        for start in range(0, len(data), batch_size):
            model(data[start : start + batch_size], training=False)
    finally:
        del layer.call
    if not seen:
        raise ValueError(f"{weight.name}: the model never called its layer on the calibration data")
    return finite(f"inputs of {weight.name}", np.concatenate(seen))


@dataclasses.dataclass(frozen=True)
class Compressed:
    """What `compress` made.

    Attributes:
        model: A model of the original's class whose weights are what the file gives back.
        tensors: By name, in the file's order: `QuantizedTensor` or float array.
        skipped: By name, why a weight was left as it is.
        content: The file.
        ledger: Where its bytes went; `ledger.total == len(content)`.
    """

    model: object
    tensors: dict
    skipped: dict
    content: bytes
    ledger: Ledger

    def save(self, path):
        """Writes the file and returns its path."""
        return files.write(path, self.content)


def compress(model, steps, storage="fixed", calibration=None):
    """Prunes and quantizes a copy of a model, and lays it out as a file.

    Args:
        model: A built Keras model; it is not changed.
        steps: `Prune`, `Quantize` and other `Apply` steps, in the order in which they run.
        storage: `"fixed"` or `"entropy"`; see `storage.encode`.
        calibration: What the model is called on to see what its layers read, such as tokens
            `(sequences, length)`; only for steps whose rule asks for `inputs`. Each layer is shown
            what it reads after all earlier layers were compressed.

    Returns:
        A `Compressed`.

    Raises:
        ValueError: If a weight is not finite, the steps cannot follow one another, or a step asks
            for inputs and there is no calibration data.

    Example:

    >>> steps = [Prune(pruning.magnitude, pruning.fraction(0.5)), Quantize(quantization.step, step=0.05)]
    >>> small = compress(models.load("docs-tiny"), steps, storage="entropy")
    >>> small.ledger.total == len(small.content)
    True
    """
    twin = clone(model)
    tensors, skipped = {}, {}
    for weight in weights(twin):
        if weight.why_not:
            tensors[weight.name], skipped[weight.name] = np.asarray(weight.variable), weight.why_not
            continue
        inputs = None
        if any(step.needs_inputs and step.only in weight.name for step in steps):
            if isinstance(weight.layer, keras.layers.Embedding):
                raise ValueError(f"{weight.name} is looked up and has no inputs to calibrate on; use only= to leave it out")
            if calibration is None:
                raise ValueError("a step of this recipe asks for inputs: give calibration data")
            inputs = capture(twin, weight, calibration)
        tensors[weight.name] = tensor = compress_weight(weight, steps, inputs=inputs)
        weight.variable.assign(weight.shaped(floats(tensor)))
    content, ledger = encode(tensors, storage, model=describe(model))
    return Compressed(twin, tensors, skipped, content, ledger)


def floats(tensor):
    """Returns the float32 values of a `QuantizedTensor`, or the array as it is."""
    return tensor.dequantize() if isinstance(tensor, QuantizedTensor) else tensor


def fill(model, tensors):
    """Puts tensors, as `compress` made them, into a model's variables, in the order of its weights."""
    for weight, tensor in zip(weights(model), tensors.values(), strict=True):
        values = floats(tensor)
        weight.variable.assign(values if weight.why_not else weight.shaped(values))


def baseline(model):
    """Returns the length in bytes of the file that holds the model as it is, in float32."""
    return len(compress(model, []).content)


def load(path):
    """Reads a file that `Compressed.save` wrote and returns its Keras model.

    Raises:
        ValueError: If the file is missing, damaged, or holds no compressed model.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no compressed model at {path}")
    tensors, described = decode(path.read_bytes(), path.name)
    model = rebuild(described)
    fill(model, tensors)
    return model
