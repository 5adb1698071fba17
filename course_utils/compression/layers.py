"""What the layers of Keras multiply: one table that says how each weight is read as a matrix.

A linear map is a matrix `(inputs, units)`: each unit sums over its inputs. Some layers are several
such maps side by side, each with inputs of its own: a convolution in groups, a depthwise one (each
channel by itself), an `EinsumDense` with an axis that kernel, input and output share. Their units
then stand part by part.
"""

import dataclasses
import math
from collections.abc import Callable

import numpy as np

from course_utils.backend import keras


@dataclasses.dataclass(frozen=True)
class Product:
    """How one weight of a layer multiplies.

    Attributes:
        axes: Order of the weight's axes in which inputs come before units.
        inputs: Product of the input axes.
        parts: How many maps stand side by side; their units follow one another.
        reads: Function of the layer and what it is called on, as a float32 array; returns what the
            weight is multiplied by, `(parts, samples, inputs)`. `None` where that cannot be seen.
        unseen: Why it cannot be seen.
    """

    axes: tuple
    inputs: int
    parts: int = 1
    reads: Callable | None = None
    unseen: str = ""


def rows(layer, x, inputs):
    """Views what a layer is called on as one map's inputs: `(1, samples, inputs)`."""
    return x.reshape(1, -1, inputs)


def dense(layer, shape):
    """`(inputs, units)`."""
    return Product((0, 1), shape[0], reads=lambda layer, x: rows(layer, x, shape[0]))


def einsum_dense(layer, shape):
    """Axes that the result lacks are summed over; those that all three share part the maps."""
    read, kernel, result = letters(layer)
    shared = [k for k in kernel if k in result and k in read]
    order = sorted(range(len(kernel)), key=lambda i: (kernel[i] in result, kernel[i] not in shared))
    summed = [i for i in order if kernel[i] not in result]
    size = dict(zip(kernel, shape))
    inputs, parts = math.prod(shape[i] for i in summed), math.prod(size[k] for k in shared)
    # A letter of the kernel alone is summed without an input: there the layer reads ones.
    alone = "".join(k for k in kernel if k not in read and k not in result)
    samples = [k for k in read if k.isalpha() and k in result and k not in shared]
    rest = "..." if "..." in read else ""
    target = "".join([*shared, rest, *samples, *(kernel[i] for i in summed)])

    def reads(layer, x):
        ones = np.ones([size[k] for k in alone], np.float32)
        return np.einsum(f"{read},{alone}->{target}", x, ones).reshape(parts, -1, inputs)

    return Product(tuple(order), inputs, parts, reads)


def letters(layer):
    """Returns the letters of an `EinsumDense`: of what it reads, of its kernel, of its result."""
    operands, result = layer.equation.replace(" ", "").split("->")
    read, kernel = operands.split(",")
    return read, kernel, result


def conv(layer, shape):
    """`(*window, channels of a group, units)`: each unit sums over a patch."""

    def reads(layer, x):
        return in_groups(layer, patches(layer, x, keras.ops.conv), layer.groups)

    return Product(tuple(range(len(shape))), math.prod(shape[:-1]), layer.groups, reads)


def conv_transpose(layer, shape):
    """`(*window, units, channels)`: each unit sums over whatever its place is reached from."""
    last = len(shape) - 1

    def reads(layer, x):
        return in_groups(layer, patches(layer, x, keras.ops.conv_transpose), 1)

    axes = (*range(last - 1), last, last - 1)
    return Product(axes, math.prod(shape[:-2]) * shape[-1], 1, reads)


def depthwise(layer, shape):
    """`(*window, channels, units of a channel)`: each channel is a map of its own."""

    def reads(layer, x):
        return in_groups(layer, patches(layer, x, keras.ops.conv), shape[-2])

    return Product(tuple(range(len(shape))), math.prod(shape[:-2]), shape[-2], reads)


def pointwise(layer, shape):
    """A window of one place, over what the depthwise half of the layer gives."""

    def reads(layer, x):
        x = padded(layer, channels_last(layer, x))
        between = keras.ops.depthwise_conv(
            x,
            np.asarray(layer.depthwise_kernel, np.float32),
            strides=layer.strides,
            padding=padding(layer),
            dilation_rate=layer.dilation_rate,
            data_format="channels_last",
        )
        return rows(layer, np.asarray(between), shape[-2])

    return Product(tuple(range(len(shape))), shape[-2], 1, reads)


def embedding(layer, shape):
    """A token is a unit, its coordinates are the inputs."""
    return Product((1, 0), shape[1], unseen="is looked up")


def reverse_embedding(layer, shape):
    """`(inputs, units)`, beside a table of the same layer."""
    return Product((0, 1), shape[0], unseen="is one of two that its layer is called for")


def cell(layer, shape):
    """`(inputs, units)`, or a window before them, at every step of a sequence."""
    return Product(
        tuple(range(len(shape))), math.prod(shape[:-1]), unseen="is read step by step, in a loop"
    )


# By class of Keras and name of the weight. A subclass is what the first of its bases in here is.
TABLE = {
    ("Dense", "kernel"): dense,
    ("EinsumDense", "kernel"): einsum_dense,
    ("BaseConv", "kernel"): conv,
    ("BaseConvTranspose", "kernel"): conv_transpose,
    ("BaseDepthwiseConv", "kernel"): depthwise,
    ("BaseSeparableConv", "depthwise_kernel"): depthwise,
    ("BaseSeparableConv", "pointwise_kernel"): pointwise,
    ("Embedding", "embeddings"): embedding,
    ("ReversibleEmbedding", "embeddings"): embedding,
    ("ReversibleEmbedding", "reverse_embeddings"): reverse_embedding,
    **{
        (kind, weight): cell
        for kind in ("SimpleRNNCell", "GRUCell", "LSTMCell", "ConvLSTMCell")
        for weight in ("kernel", "recurrent_kernel")
    },
}
# Layers whose weights of two axes and more multiply nothing.
WITHOUT_MATRIX = (
    "AdditiveAttention",
    "Attention",
    "BatchNormalization",
    "GroupNormalization",
    "LayerNormalization",
    "Normalization",
    "PReLU",
    "RMSNormalization",
    "STFTSpectrogram",
    "MelSpectrogram",
    "SpectralNormalization",
)


def product(layer, name, shape):
    """Returns how a layer's weight multiplies, or why it is no matrix that the table knows.

    Args:
        layer: The Keras layer.
        name: What the layer calls the weight, such as `"kernel"`.
        shape: Shape of the weight.

    Returns:
        A `Product`, or a sentence.
    """
    kind, own = type(layer), type(layer).__name__
    if len(shape) < 2 or name == "bias":
        return "not a matrix: a bias, a norm or a counter"
    if name.startswith("lora_"):
        return f"{own} adds it to another weight: an adapter"
    keras_own = [base for base in kind.__mro__ if base.__module__.split(".")[0] == "keras"]
    for base in keras_own:
        if (base.__name__, name) in TABLE:
            found = TABLE[base.__name__, name](layer, shape)
            if found.reads and not _calls_like(kind, keras_own[0]):
                return dataclasses.replace(
                    found, reads=None, unseen=f"belongs to {own}, which has a call of its own"
                )
            return found
        if base.__name__ in WITHOUT_MATRIX:
            return f"not a matrix: {own} scales or shifts with it"
    if any(kind_name == base.__name__ for base in keras_own for kind_name, _ in TABLE):
        return f"{own} has no rule for {name!r}"
    return f"{own} is not a layer this course knows"


def _calls_like(kind, base):
    """Says whether a class computes as its base of Keras does."""
    return all(
        getattr(kind, method, None) is getattr(base, method, None)
        for method in ("call", "__call__", "convolution_op")
    )


# --- patches -------------------------------------------------------------------------------------


def patches(layer, x, operation):
    """Returns what each tap of a window meets at each place: `(samples, taps, channels)`.

    The layer's own operation tells it: with one channel at a time, and a window for each tap that
    is 1 there and 0 elsewhere, its result is what that tap was multiplied by.

    Args:
        layer: A convolution of any kind.
        x: What it is called on, with the batch first.
        operation: `keras.ops.conv` or `keras.ops.conv_transpose`.
    """
    x = padded(layer, channels_last(layer, x))
    taps, channels = math.prod(layer.kernel_size), x.shape[-1]
    singles = np.moveaxis(x, -1, 1).reshape(-1, *x.shape[1:-1], 1)
    each = np.eye(taps, dtype=np.float32).reshape(*layer.kernel_size, 1, taps)
    more = {}
    if operation is keras.ops.conv_transpose:
        each, more = np.swapaxes(each, -1, -2), {"output_padding": layer.output_padding}
    met = np.asarray(
        operation(
            singles,
            each,
            strides=layer.strides,
            padding=padding(layer),
            dilation_rate=layer.dilation_rate,
            data_format="channels_last",
            **more,
        )
    )
    return met.reshape(len(x), channels, -1, taps).transpose(0, 2, 3, 1).reshape(-1, taps, channels)


def in_groups(layer, met, groups):
    """Parts patches by groups of channels: `(samples, taps, channels)` -> `(groups, samples, taps
    times channels of a group)`."""
    samples, taps, channels = met.shape
    parted = met.reshape(samples, taps, groups, channels // groups)
    return parted.transpose(2, 0, 1, 3).reshape(groups, samples, -1)


def channels_last(layer, x):
    return np.moveaxis(x, 1, -1) if layer.data_format == "channels_first" else x


def padded(layer, x):
    """Puts zeros before the first place where a convolution must not look ahead."""
    if layer.padding != "causal":
        return x
    before = (layer.kernel_size[0] - 1) * layer.dilation_rate[0]
    return np.pad(x, ((0, 0), (before, 0), (0, 0)))


def padding(layer):
    return "valid" if layer.padding == "causal" else layer.padding
