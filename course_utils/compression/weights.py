"""The weights of a Keras model, and how each is read as a matrix `(inputs, units)`."""

import dataclasses
import math

import numpy as np

from course_utils.backend import keras
from course_utils.models.introspection import owners
from course_utils.quantization import QuantizedTensor


@dataclasses.dataclass(frozen=True)
class Weight:
    """One weight of a model, and how it is read as a matrix of shape `(inputs, units)`.

    Attributes:
        name: The variable's path, such as `"decoder_lm/block_0/up/kernel"`.
        variable: The Keras variable.
        layer: The layer it belongs to.
        axes: Order of the variable's axes in which inputs come before units; `None` for a weight
            that is no matrix of a linear map, such as a bias.
        inputs: Product of the input axes.
        skipped_because: Why it is left as it is; empty for a matrix.
    """

    name: str
    variable: object
    layer: object
    axes: tuple | None = None
    inputs: int = 0
    skipped_because: str = ""

    @property
    def looked_up(self):
        """Whether its layer looks rows up: such a layer reads nothing that could calibrate it."""
        return isinstance(self.layer, keras.layers.Embedding)

    def matrix(self, values=None):
        """Returns the weight, or `values` of its shape, as `(inputs, units)`."""
        values = np.asarray(self.variable) if values is None else values
        return values.transpose(self.axes).reshape(self.inputs, -1)

    def assign(self, tensor):
        """Puts a matrix or a `QuantizedTensor` into the variable."""
        self.variable.assign(self.shaped(floats(tensor)))

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
    made_by = owners(model)
    return [weight_of(variable, made_by.get(id(variable), model)) for variable in model.weights]


def matched(twin, model):
    """Lists the weights of a clone under the names they have in the original: Keras may number
    layers anew."""
    return [
        dataclasses.replace(mine, name=other.name)
        for mine, other in zip(weights(twin), weights(model))
    ]


def weight_of(variable, layer):
    """Returns the `Weight` for one variable of a layer."""
    layers, shape, rank = keras.layers, variable.shape, len(variable.shape)
    known = Weight(variable.path, variable, layer)
    if rank < 2:
        return dataclasses.replace(
            known, skipped_because="not a matrix: a bias, a norm or a counter"
        )
    if isinstance(layer, layers.Embedding):  # a token is a unit, its coordinates are the inputs
        return dataclasses.replace(known, axes=(1, 0), inputs=shape[1])
    if variable.name != "kernel":
        return dataclasses.replace(
            known, skipped_because=f"{type(layer).__name__} has no rule for {variable.name!r}"
        )
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
    return dataclasses.replace(
        known, skipped_because=f"{type(layer).__name__} is not a layer this course knows"
    )


def floats(tensor):
    """Returns the float32 values of a `QuantizedTensor`, or the array as it is."""
    return tensor.dequantize() if isinstance(tensor, QuantizedTensor) else tensor


def fill(model, tensors):
    """Puts tensors, as `compress` made them, into a model's variables, in the order of its
    weights."""
    for weight, tensor in zip(weights(model), tensors.values(), strict=True):
        values = floats(tensor)
        weight.variable.assign(values if weight.skipped_because else weight.shaped(values))


def _multiplying(found, only):
    """Those weights that what a layer is given is multiplied by."""
    return [
        weight
        for weight in found
        if not weight.skipped_because
        and only in weight.name
        and isinstance(weight.layer, (keras.layers.Dense, keras.layers.EinsumDense))
    ]


def axes_read(layer):
    """Returns which axes of its input a Dense or EinsumDense layer sums over, counted from the
    end."""
    if isinstance(layer, keras.layers.Dense):
        return [-1]
    read, result = layer.equation.replace(" ", "").split("->")
    letters = read.split(",")[0]
    return [
        i - len(letters)
        for i, letter in enumerate(letters)
        if letter.isalpha() and letter not in result
    ]
