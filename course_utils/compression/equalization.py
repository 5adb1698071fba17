"""Equalization: the same function with other numbers inside, chosen so that rounding hurts it less.

A norm multiplies each of its channels by a gain, and the layers after it multiply the same channel
by a row of weights. Divide the gain and multiply the row by one number, and nothing changes but
what is rounded. Everything here is a choice of that number.
"""

import dataclasses

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
    twin = clone(model)
    for norm, layers, inputs in _with_inputs(twin, calibration):
        kernels = [np.asarray(layer.kernel) for layer in layers]
        fold(norm, layers, smooth_scales(inputs, kernels, alpha))
    return twin


def smooth_scales(inputs, kernels, alpha=0.5):
    """Returns SmoothQuant's factor for each channel.

    Args:
        inputs: What the layers read, `(samples, channels)`; to be divided.
        kernels: Their weights, a list of `(channels, units)`; to be multiplied.
        alpha: How much of the difficulty moves, 0 to 1.

    Returns:
        Array of shape `(channels,)`.
    """
    alpha = checked_fraction("alpha", alpha)
    loud = np.abs(inputs).max(axis=0)
    strong = np.max([np.abs(kernel).max(axis=1) for kernel in kernels], axis=0)
    both = (loud > 0) & (strong > 0)  # a silent channel stays as it is
    return np.where(both, loud**alpha / np.where(both, strong, 1) ** (1 - alpha), 1)


def awq(model, calibration, bits, group_size="channel", grid=quantization.absmax, alphas=20):
    """Enlarges the rows that read loud channels, so that rounding spares them (Lin et al., 2024).

    A row counts as much as its channel is loud. Multiplied by `s = mean|x|^alpha` before rounding,
    and the channel divided by it, its rounding error shrinks by `s` while the step hardly grows.
    Alpha runs over a grid; each norm takes the one with the smallest error in what its layers give
    out. The authors' code also scales between value and output and between up and down, which have
    no norm between them, and does not clip query and key; here norms are all.

    Args:
        model: A model that lists its `norms`; it is not changed.
        calibration: Tokens of shape `(sequences, length)`.
        bits: Width of a code that the search rounds to, 2 to 8.
        group_size: As in `quantization.absmax`.
        grid: Rule that the search rounds with: `quantization.absmax` or `affine`, the authors'
            choice.
        alphas: Steps of alpha between 0 and 1.

    Returns:
        A model of the same function, still in float: round it with the rule of the grid, or with
        `clipped_by_output`, the method's second half.

    Raises:
        ValueError: If bits or group size is not allowed, or calibration is empty or not finite in
            the model.

    Example:

    >>> model, tokens = models.load("docs-tiny"), docs.sequences("train", 4)[:, :-1]
    >>> scaled = awq(model, tokens, bits=4, alphas=2)
    >>> steps = [Quantize(clipped_by_output, only="block", bits=4)]
    >>> small = compress(scaled, steps, calibration=tokens)
    """
    twin = clone(model)
    for norm, layers, inputs in _with_inputs(twin, calibration):
        kernels = [np.asarray(layer.kernel) for layer in layers]
        fold(norm, layers, awq_scales(inputs, kernels, bits, group_size, grid, alphas))
    return twin


def awq_scales(inputs, kernels, bits, group_size="channel", grid=quantization.absmax, alphas=20):
    """Returns AWQ's factor for each channel: `mean|x|^alpha`, with the best alpha of a grid.

    Args:
        inputs: What the layers read, `(samples, channels)`; to be divided.
        kernels: Their weights, a list of `(channels, units)`; to be multiplied.

    See `awq` for the other arguments. Returns an array of shape `(channels,)`.
    """
    bits, alphas = whole("bits", bits, 2, 8), whole("alphas", alphas, 1, 1000)
    products, errors = second_order.hessian(inputs, damping=0), {}
    loud = np.abs(inputs).mean(axis=0)
    loud[loud == 0] = 1  # a silent channel stays as it is
    for alpha in np.linspace(0, 1, alphas + 1):
        scales = (loud**alpha)[:, None]
        rounded = (grid(kernel * scales, bits, group_size).dequantize() for kernel in kernels)
        changes = [now / scales - kernel for now, kernel in zip(rounded, kernels)]
        errors[alpha] = sum(output_error(change, products).sum() for change in changes)
    return loud ** min(errors, key=errors.get)


def hadamard(size, seed=0):
    """Returns a rotation that spreads each channel evenly over all: what QuaRot (Ashkboos et al.,
    2024) puts on both sides of a matrix.

    `x H` has no loud channel left, and `H^T w` undoes it: `(x H) (H^T w) = x w`. Every entry is
    plus or minus `1 / sqrt(size)`.

    Args:
        size: How many channels; a power of two.
        seed: Chooses the signs of the rows: without them a constant vector would stay in one
            channel.

    Returns:
        Array of shape `(size, size)`; its transpose is its inverse.

    Raises:
        ValueError: If `size` is no power of two.

    Example:

    >>> float(np.abs(hadamard(4)).max())
    0.5
    """
    if whole("size", size, 1, 2**20).bit_count() != 1:
        raise ValueError(f"size must be a power of two, got {size}")
    rotation = np.ones((1, 1))
    while len(rotation) < size:
        rotation = np.block([[rotation, rotation], [rotation, -rotation]])
    signs = np.random.default_rng(checked_seed(seed)).choice([-1.0, 1.0], size)
    return signs[:, None] * rotation / np.sqrt(size)


def output_error(change, products):
    """Returns, for each unit, the mean square by which its output moves when its weights change.

    Args:
        change: Array of shape `(..., inputs, units)`.
        products: `second_order.hessian(inputs, damping=0)`, of shape `(..., inputs, inputs)`.

    Returns:
        Array of shape `(..., units)`.
    """
    return np.sum(change * (products @ change), axis=-2)


def clipped_by_output(weights, inputs, bits, group_size="channel", grid=quantization.absmax):
    """Integers whose scales make the layer's output err least: the clipping of AWQ.

    `quantization.clipped` weighs all errors alike; here each group of inputs tries 21 scales from
    the grid's own down to half of it, and takes the one that moves its share of the output least.

    Args:
        weights: Float array of shape `(inputs, units)`.
        inputs: What the layer reads on calibration data, `(samples, inputs)`.
        bits: Width of a code, 2 to 8.
        group_size: `"channel"`, or how many inputs of a unit share a scale.
        grid: `quantization.absmax` or `affine`.

    Returns:
        A `QuantizedTensor` with the zero points of the grid.

    Raises:
        ValueError: As `quantization.absmax` and `second_order.hessian`.
    """
    weights, products = second_order.with_hessian(weights, inputs, damping=0)
    widest = grid(weights, bits, group_size)
    if (size := widest.group_size) is None:
        raise ValueError(
            "group_size must be 'channel' or a whole number: each unit is clipped on its own, got "
            "'tensor'"
        )
    runs = [slice(start, start + size) for start in range(0, len(weights), size)]
    best, least = widest.scale, np.inf
    for shrink in np.linspace(1, 0.5, 21):
        scale = quantization.as_divisor(shrink * widest.scale, True)
        tensor = quantization.on_grid(weights, dataclasses.replace(widest, scale=scale))
        change = tensor.dequantize() - weights
        error = np.stack([output_error(change[run], products[run, run]) for run in runs])
        best, least = np.where(error < least, scale, best), np.minimum(error, least)
    return quantization.on_grid(weights, dataclasses.replace(widest, scale=best))


def _with_inputs(model, calibration):
    """Yields each norm, the layers that read it and what they read, `(samples, channels)`."""
    matrices = (weight for weight in weights(model) if not weight.skipped_because)
    by_layer = {id(weight.layer): weight for weight in matrices}  # a layer may have a bias, too
    for norm, layers in norms(model):
        yield norm, layers, capture(model, by_layer[id(layers[0])], calibration)
