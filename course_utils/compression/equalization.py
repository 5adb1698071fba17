"""Equalization: the same function with other numbers inside, chosen so that rounding hurts it less.

A norm multiplies each of its channels by a gain, and the layers after it multiply the same channel
by a row of weights. Divide the gain and multiply the row by one number, and nothing changes but
what is rounded. Everything here is a choice of that number.
"""

import numpy as np

from course_utils import quantization, second_order
from course_utils.checks import fraction as checked_fraction
from course_utils.checks import positive, whole
from course_utils.checks import seed as checked_seed
from course_utils.compression.calibration import capture
from course_utils.compression.weights import weights
from course_utils.models.checkpoint import clone


def norms(model):
    """Lists each norm of a model with the layers that read it, and nothing else does.

    Args:
        model: One with a method `norms`, such as a `DecoderLM`.

    Returns:
        A list of `(norm, (dense, ...))`.

    Raises:
        ValueError: If the model does not know its norms.
    """
    if not hasattr(model, "norms"):
        raise ValueError(
            f"equalization needs a model with a method norms(), got {type(model).__name__}"
        )
    return model.norms()


def fold(norm, layers, scales):
    """Moves a factor a channel from a norm's output into the rows that read it; the function stays.

    Args:
        norm: A norm with a gain, `norm.scale` of shape `(channels,)`; it is divided.
        layers: The Dense layers that read it; their kernels `(channels, units)` are multiplied.
        scales: Positive array of shape `(channels,)`.
    """
    norm.scale.assign(np.asarray(norm.scale) / scales)
    for layer in layers:
        layer.kernel.assign(np.asarray(layer.kernel) * scales[:, None])


def plant_outliers(model, channels=6, factor=30, seed=0):
    """Gives a small model what large ones grow by themselves: a few channels that shout.

    Outliers in activations appear with billions of parameters (Dettmers et al., 2022), and methods
    that deal with them have nothing to do on a small model. Here they are planted, by hand and in
    plain sight: chosen channels of each norm grow by `factor`, the rows that read them shrink by
    it.

    Args:
        model: A model that lists its `norms`; it is not changed.
        channels: How many channels of each norm, 1 to its width.
        factor: How many times louder they become; more than 0.
        seed: Chooses the channels, others for each norm.

    Returns:
        A model of the same function.
    """
    twin, factor = clone(model), positive("factor", factor)
    random = np.random.default_rng(checked_seed(seed))
    for norm, layers in norms(twin):
        scales = np.ones(norm.scale.shape[0], np.float32)
        scales[random.permutation(len(scales))[: whole("channels", channels, 1, len(scales))]] /= (
            factor
        )
        fold(norm, layers, scales)
    return twin


def smoothquant(model, calibration, alpha=0.5):
    """Moves loudness from activations into weights, so that both can be rounded (Xiao et al.,
    2023).

    One scale for a whole tensor must reach its loudest channel, and leaves the others a few levels.
    Each channel is divided by `s = max|x|^alpha / max|w|^(1 - alpha)`; at 1/2, activations and
    weights of a channel end up with the same largest value.

    Args:
        model: A model that lists its `norms`; it is not changed.
        calibration: Tokens of shape `(sequences, length)`.
        alpha: How much of the difficulty moves, 0 to 1.

    Returns:
        A model of the same function, for `compression.quantize_activations`.

    Raises:
        ValueError: If alpha lies outside 0..1, or calibration is empty or not finite in the model.
    """
    twin, alpha = clone(model), checked_fraction("alpha", alpha)
    for norm, layers, inputs in _with_inputs(twin, calibration):
        loud = np.abs(inputs).max(axis=0)  # (channels,)
        strong = np.max([np.abs(np.asarray(layer.kernel)).max(axis=1) for layer in layers], axis=0)
        both = (loud > 0) & (strong > 0)  # a silent channel stays as it is
        fold(
            norm, layers, np.where(both, loud**alpha / np.where(both, strong, 1) ** (1 - alpha), 1)
        )
    return twin


def awq(model, calibration, bits, group_size="channel", grid=20):
    """Enlarges the rows that read loud channels, so that rounding spares them (Lin et al., 2024).

    A row counts as much as its channel is loud. Multiplied by `s = mean|x|^alpha` before rounding,
    and the channel divided by it, its rounding error shrinks by `s` while the step hardly grows.
    Alpha runs over a grid; each norm takes the one with the smallest error in what its layers give
    out.

    Args:
        model: A model that lists its `norms`; it is not changed.
        calibration: Tokens of shape `(sequences, length)`.
        bits: Width of a code that the search rounds to, 2 to 8.
        group_size: As in `quantization.absmax`.
        grid: Steps of alpha between 0 and 1.

    Returns:
        A model of the same function, still in float: round it with `quantization.absmax`, or with
        `clipped_absmax`, the method's second half.

    Raises:
        ValueError: If bits or group size is not allowed, or calibration is empty or not finite in
            the model.

    Example:

    >>> model, tokens = models.load("docs-tiny"), docs.sequences("train", 4)[:, :-1]
    >>> scaled = awq(model, tokens, bits=4, grid=2)
    >>> steps = [Quantize(clipped_absmax, only="block", bits=4)]
    >>> small = compress(scaled, steps, calibration=tokens)
    """
    twin, bits = clone(model), whole("bits", bits, 2, 8)
    for norm, layers, inputs in _with_inputs(twin, calibration):
        kernels, products = (
            [np.asarray(layer.kernel) for layer in layers],
            second_order.hessian(inputs, damping=0),
        )
        loud, errors = np.abs(inputs).mean(axis=0), {}
        loud[loud == 0] = 1  # a silent channel stays as it is
        for alpha in np.linspace(0, 1, whole("grid", grid, 1, 1000) + 1):
            scales = loud**alpha
            rounded = [
                quantization.absmax(kernel * scales[:, None], bits, group_size).dequantize()
                for kernel in kernels
            ]
            errors[alpha] = sum(
                output_error(now / scales[:, None] - kernel, products).sum()
                for now, kernel in zip(rounded, kernels)
            )
        fold(norm, layers, loud ** min(errors, key=errors.get))
    return twin


def output_error(change, products):
    """Returns, for each unit, the mean square by which its output moves when its weights change.

    Args:
        change: Array of shape `(..., inputs, units)`.
        products: `second_order.hessian(inputs, damping=0)`, of shape `(..., inputs, inputs)`.

    Returns:
        Array of shape `(..., units)`.
    """
    return np.sum(change * (products @ change), axis=-2)


def clipped_absmax(weights, inputs, bits, group_size="channel"):
    """Symmetric integers whose scales make the layer's output err least: the clipping of AWQ.

    `quantization.clipped` weighs all errors alike; here each group of inputs tries the same scales
    and takes the one that moves its share of the output least.

    Args:
        weights: Float array of shape `(inputs, units)`.
        inputs: What the layer reads on calibration data, `(samples, inputs)`.
        bits: Width of a code, 2 to 8.
        group_size: `"channel"`, or how many inputs of a unit share a scale.

    Returns:
        A `QuantizedTensor`.

    Raises:
        ValueError: As `quantization.absmax` and `second_order.hessian`.
    """
    weights, products = second_order.with_hessian(weights, inputs, damping=0)
    widest = quantization.absmax(weights, bits, group_size)
    if (size := widest.group_size) is None:
        raise ValueError(
            "group_size must be 'channel' or a whole number: each unit is clipped on its own, got "
            "'tensor'"
        )
    starts = range(0, len(weights), size)
    best = least = None
    for shrink in np.linspace(1, 0.5, 21):
        scale = quantization.as_divisor(shrink * widest.scale, True)
        change = quantization.round_to(weights, scale, bits, group_size).dequantize() - weights
        error = np.stack(
            [
                output_error(change[i : i + size], products[i : i + size, i : i + size])
                for i in starts
            ]
        )
        best, least = (
            (scale, error)
            if best is None
            else (np.where(error < least, scale, best), np.minimum(error, least))
        )
    return quantization.round_to(weights, best, bits, group_size)


def _with_inputs(model, calibration):
    """Yields each norm, the layers that read it and what they read, `(samples, channels)`."""
    by_layer = {id(weight.layer): weight for weight in weights(model)}
    for norm, layers in norms(model):
        yield norm, layers, capture(model, by_layer[id(layers[0])], calibration)
