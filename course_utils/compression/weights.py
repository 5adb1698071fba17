"""The weights of a Keras model, and how each is read as a matrix `(inputs, units)`."""

import dataclasses
import re

import numpy as np

from course_utils.backend import keras
from course_utils.checks import finite
from course_utils.compression.layers import Product, letters, product
from course_utils.models.introspection import names, owners, settle
from course_utils.quantization import QuantizedTensor


@dataclasses.dataclass(frozen=True)
class Weight:
    """One weight of a model, and how it is read as a matrix of shape `(inputs, units)`.

    Attributes:
        name: The variable's path, such as `"decoder_lm/block_0/up/kernel"`; the second of a path
            has a number behind it.
        variable: The Keras variable.
        layer: The layer it belongs to.
        product: How it multiplies, a `layers.Product`; `None` for a weight that is no matrix of a
            linear map, such as a bias.
        skipped_because: Why it is left as it is; empty for a matrix.
    """

    name: str
    variable: object
    layer: object
    product: Product | None = None
    skipped_because: str = ""

    @property
    def inputs(self):
        """How many inputs a unit sums over."""
        return self.product.inputs

    @property
    def calibratable(self):
        """Whether it is a matrix, and what it is multiplied by can be seen."""
        return self.product is not None and self.product.reads is not None

    def matrix(self, values=None):
        """Returns the weight in float32 (or wider), or `values` of its shape, as
        `(inputs, units)`."""
        values = widened(np.asarray(self.variable)) if values is None else values
        return values.transpose(self.product.axes).reshape(self.inputs, -1)

    def assign(self, tensor):
        """Puts a matrix or a `QuantizedTensor` into the variable."""
        self.variable.assign(self.shaped(floats(tensor)))

    def shaped(self, matrix):
        """Undoes `matrix`."""
        axes = self.product.axes
        shape = tuple(self.variable.shape[axis] for axis in axes)
        return matrix.reshape(shape).transpose(np.argsort(axes))

    def read(self, x):
        """Returns what the weight is multiplied by when its layer is called on `x`.

        Returns:
            `float32` of shape `(samples, inputs)`; `(parts, samples, inputs)` where a layer is
            several maps side by side.

        Raises:
            ValueError: If that cannot be seen, or is not finite.
        """
        if self.product.reads is None:
            raise ValueError(
                f"{self.name} {self.product.unseen}, so it has no inputs to calibrate on; "
                "use only= to leave it out"
            )
        if not hasattr(x, "numpy") and not isinstance(x, np.ndarray):
            raise ValueError(
                f"{self.name}: its layer runs inside a compiled loop, where nothing can be seen; "
                "use only= to leave it out"
            )
        seen = self.product.reads(self.layer, np.asarray(x, np.float32))
        finite(f"inputs of {self.name}", seen)
        return seen[0] if self.product.parts == 1 else seen


def weights(model):
    """Lists every weight of a built model once, matrices and others.

    What `layers.TABLE` holds is a matrix: Dense, EinsumDense, convolution, recurrent and embedding
    weights. Biases, norms and whatever belongs to an unknown layer are not, and say why.

    Args:
        model: A built Keras model, sequential, functional or subclassed.

    Returns:
        A list of `Weight`, in the order of `model.weights`.

    Raises:
        ValueError: If the model has no weights.
    """
    if not model.weights:
        raise ValueError(
            f"model {model.name!r} has no weights; build it or call it on data first, if it should "
            "have some"
        )
    made_by = owners(model)
    return [
        weight_of(name, variable, made_by.get(id(variable), model))
        for name, variable in zip(names(model), model.weights)
    ]


def matched(twin, model):
    """Lists the weights of a clone under the names they have in the original: Keras may number
    layers anew."""
    return [
        dataclasses.replace(mine, name=other)
        for mine, other in zip(weights(twin), names(model), strict=True)
    ]


def weight_of(name, variable, layer):
    """Returns the `Weight` for one variable of a layer."""
    kind = keras.backend.standardize_dtype(variable.dtype)
    found = product(layer, variable.name, tuple(variable.shape))
    if isinstance(found, Product) and "float" not in kind:
        found = f"holds {kind}, codes of a quantization of its own"
    if isinstance(found, str):
        return Weight(name, variable, layer, skipped_because=found)
    return Weight(name, variable, layer, found)


def touches(only, name):
    """Says whether a step with `only=` touches the weight of this name.

    Args:
        only: Parts of a path: a layer's name, such as `"block_1"`, also `"block_1/up"`, or, for all
            that are numbered alike, `"block"`. Empty for every weight.
        name: A weight's name.

    Example:

    >>> [touches(only, "block_10/up/kernel") for only in ("block", "block_10/up", "block_1", "blo")]
    [True, True, False, False]
    """
    if not isinstance(only, str):
        raise ValueError(f"only must be text, a part of a weight's name, got {only!r}")
    return not only or bool(re.search(rf"(^|/){re.escape(only)}(_\d+/|/|$)", name))


def chosen(found, only):
    """Returns those matrices of a list of `Weight`s that `only` touches.

    Raises:
        ValueError: If there are none.
    """
    matrices = [weight for weight in found if not weight.skipped_because]
    picked = [weight for weight in matrices if touches(only, weight.name)]
    if matrices and not picked:
        known = ", ".join(weight.name for weight in matrices)
        raise ValueError(f"only={only!r} is part of no matrix's name; there are: {known}")
    return picked


def widened(values):
    """Returns floats narrower than float32 as float32, and anything else as it is."""
    narrow = values.dtype.itemsize < 4 and values.dtype.kind not in "iub"
    return values.astype(np.float32) if narrow else values


def floats(tensor):
    """Returns the float32 values of a `QuantizedTensor`, or the array as it is."""
    return tensor.dequantize() if isinstance(tensor, QuantizedTensor) else tensor


def fill(model, tensors):
    """Puts tensors, as `compress` made them, into a model's variables, in the order of its
    weights.

    Raises:
        ValueError: If there are more or fewer tensors than weights, or one has another shape.
    """
    found = weights(model)
    if len(found) != len(tensors):
        raise ValueError(
            f"model {model.name!r} has {len(found)} weights, the file {len(tensors)} tensors"
        )
    for weight, (name, tensor) in zip(found, tensors.items()):
        values = floats(tensor)
        shape = tuple(weight.variable.shape)
        expected = shape if weight.skipped_because else weight.matrix(np.empty(shape, "b")).shape
        if values.shape != expected:
            raise ValueError(f"{name} has shape {values.shape}, its model needs {expected}")
        weight.variable.assign(values if weight.skipped_because else weight.shaped(values))
    settle(model)


def multiplying(found, only):
    """Returns those weights that what a Dense or EinsumDense layer is given is multiplied by."""
    kinds = (keras.layers.Dense, keras.layers.EinsumDense)
    return [weight for weight in chosen(found, only) if isinstance(weight.layer, kinds)]


def axes_read(layer):
    """Returns which axes of its input a Dense or EinsumDense layer sums over, counted from the
    end."""
    if isinstance(layer, keras.layers.Dense):
        return [-1]
    read, _, result = letters(layer)
    # Counted from the end: nothing is summed before an ellipsis.
    return [i - len(read) for i, k in enumerate(read) if k.isalpha() and k not in result]
