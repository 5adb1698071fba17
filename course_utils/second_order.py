"""GPTQ and SparseGPT: what rounding or removing a weight breaks, the weights still free make good
again.

Both stand on one core, `settle`: Optimal Brain Surgeon (Hassibi and Stork, 1993), made fast by a
Cholesky factor. Matrices are read as Keras stores them, `(inputs, units)`; a *row* is all the
weights of one input.
"""

import numpy as np

from course_utils import quantization
from course_utils.checks import LARGEST, finite, fraction, not_negative, power_of_two, whole

DAMPING_LIMIT = 1.0  # as much again as the inputs' own mean square
LOUDEST, QUIETEST = 1e100, 1e-100  # beyond them squares are lost to float64, too


def hessian(inputs, damping=0.01):
    """Returns how the squared error of a layer's output bends with its weights: `X^T X / samples`.

    The damping is added to the diagonal; it stands for all that the calibration data did not show.
    An input that was always zero gets a 1 there, so that the others can be solved for.

    Args:
        inputs: Float array of shape `(samples, inputs)`: what the layer reads on calibration data.
        damping: Share of the mean diagonal to add; at least 0.

    Returns:
        `float64` of shape `(inputs, inputs)`.

    Raises:
        ValueError: If `inputs` is empty, not finite, no matrix, zero throughout, or so loud or quiet
            that its squares are lost.

    Example:

    >>> hessian(np.array([[1.0, 2.0], [3.0, 0.0]]), damping=0)
    array([[5., 1.],
           [1., 2.]])
    """
    inputs = finite("inputs", inputs, LOUDEST)
    if inputs.ndim != 2:
        raise ValueError(f"inputs must have shape (samples, inputs), got {inputs.shape}")
    largest = np.abs(inputs).max(axis=0)
    if not largest.any():
        raise ValueError(f"calibration saw nothing: all {inputs.size} values of inputs are zero")
    if largest.max() < QUIETEST:
        raise ValueError(f"inputs must reach {QUIETEST:g}, got at most {largest.max():g}")
    unit = power_of_two(largest)  # each input in a unit of its own: no square leaves float32
    scaled = inputs / unit
    products = (scaled.T @ scaled).astype(np.float64) * unit * unit[:, None] / len(inputs)
    diagonal = products.diagonal().copy()
    extra = not_negative("damping", damping) * diagonal.mean()
    np.fill_diagonal(products, np.where(largest > 0, diagonal, 1.0) + extra)
    return products


def inverse_factor(products):
    """Returns the upper triangular `U` with `U^T U = products^-1`.

    Row `i` of `U`, divided by `U[i, i]`, says how the inputs after `i` stand in for input `i` once
    all inputs before it are fixed: one factorisation in place of an inverse for each row.

    Args:
        products: Symmetric array of shape `(inputs, inputs)`, as `hessian` returns it. Where it is
            singular, damping is added, ten times more each time.

    Raises:
        ValueError: If there is no factor even at `DAMPING_LIMIT` times the mean diagonal.
    """
    mean = products.diagonal().mean()
    for extra in (0.0, 0.001, 0.01, 0.1, DAMPING_LIMIT):
        try:
            lower = np.linalg.cholesky(
                (products + extra * mean * np.eye(len(products)))[::-1, ::-1]
            )
            factor = np.linalg.inv(lower)[
                ::-1, ::-1
            ]  # read backwards, a lower triangle is an upper one
        except np.linalg.LinAlgError:
            continue
        if np.isfinite(factor).all():
            return factor
    raise ValueError(
        f"the Hessian of {len(products)} inputs has no Cholesky factor, even with damping "
        f"{DAMPING_LIMIT}"
    )


def settle(weights, products, fix, block=64):
    """Fixes a matrix row by row; each time, the rows still free take over what went wrong.

    Args:
        weights: Float array of shape `(inputs, units)`.
        products: The layer's `hessian`, of shape `(inputs, inputs)`.
        fix: Function of `(i, rows, factor)` that returns what row `i` becomes. `rows` are the
            present weights from row `i` to the end of its block. `factor`, of shape
            `(len(rows),)`, is the factor's diagonal there: how far the weights behind can make up
            for each row.
        block: Rows at a time. Rows behind the block hear of its errors once, in one matrix product.

    Returns:
        `float64` of shape `(inputs, units)`.
    """
    block = whole("block", block, 1, 2**31)
    weights, factor = weights.astype(np.float64), inverse_factor(products)
    for start in range(0, len(weights), block):
        here, behind = slice(start, start + block), slice(start + block, None)
        rows, upper = weights[here], factor[here, here]  # `rows` is a view: changes stay
        errors = np.empty_like(rows)
        for i in range(len(rows)):
            fixed = fix(start + i, rows[i:], upper.diagonal()[i:])
            errors[i] = (rows[i] - fixed) / upper[i, i]
            rows[i] = fixed
            rows[i + 1 :] -= np.outer(upper[i, i + 1 :], errors[i])
        weights[behind] -= factor[here, behind].T @ errors
    return weights


def gptq(
    weights,
    inputs,
    bits,
    group_size="channel",
    grid=quantization.clipped,
    activation_order=True,
    damping=0.01,
    kept=None,
):
    """Rounds row by row and lets the rows behind answer for each error: GPTQ (Frantar et al.,
    2023).

    Scales are fixed before the first row is rounded, for the inputs in their own order, so the file
    looks as it does after round-to-nearest. That and the order of the rows are options of the
    authors' code (`static_groups`, `act_order`) that came after the paper.

    Args:
        weights: Float array of shape `(inputs, units)`.
        inputs: What the layer reads on calibration data, `(samples, inputs)`.
        bits: Width of a code, 2 to 8.
        group_size: `"tensor"`, `"channel"`, or how many inputs of a unit share a scale.
        grid: Rule that chooses scales and zero points: `quantization.clipped`, `absmax` or
            `affine`.
        activation_order: Round the rows of loud inputs first, while most others are free to answer.
        damping: See `hessian`.
        kept: Booleans of shape `(inputs, units)`, or `None` for all: what is `False` was removed
            before and stays 0. The rows behind answer for that, too.

    Returns:
        A `QuantizedTensor`. Weights of inputs that were always zero become 0.

    Raises:
        ValueError: If bits or group size is not allowed, an array is not finite, calibration saw
            nothing, or the shapes do not fit together.
    """
    bits = whole("bits", bits, 2, 8)
    weights, products = with_hessian(weights, inputs, damping)
    return walk_to_grid(weights, products, bits, group_size, grid, activation_order, kept)


def walk_to_grid(weights, products, bits, group_size, grid, activation_order=True, kept=None):
    """The walk of GPTQ: `settle`, with the nearest level of a grid for what each row becomes.

    Args:
        products: The layer's `hessian`, of shape `(inputs, inputs)`. See `gptq` for the others.

    Returns:
        A `QuantizedTensor`.
    """
    kept = mask_for(weights, kept)
    levels = grid(np.where(kept, weights, 0), bits, group_size)
    low, high = levels.limits
    steps, zeros = (
        np.broadcast_to(levels.broadcast(part), weights.shape)  # (inputs, units)
        for part in (levels.scale, levels.zero_point)
    )
    loudest = np.argsort(-products.diagonal(), kind="stable")
    order = loudest if activation_order else np.arange(len(weights))

    def nearest(i, rows, factor):
        step, zero = steps[order[i]], zeros[order[i]]
        codes = np.clip(np.rint(rows[0] / step) + zero, low, high)
        return (codes - zero) * step * kept[order[i]]  # what was removed has one level: 0

    settled = np.empty(weights.shape)
    settled[order] = settle(weights[order], products[np.ix_(order, order)], nearest)
    return quantization.on_grid(settled, levels)


def output_correction(weights, products, inputs, original_inputs, strength=0.5):
    """Moves weights to make good what the layers before have broken.

    A layer of a half-compressed model reads `X` where it used to read `Y`, and `X W` is no longer
    what it used to give. The weights `V` whose `X V` comes closest to the old output `Y W` are
    `W + (X^T X)^-1 X^T (Y - X) W`: least squares. The aim, an output of the whole model, is that of
    GPTAQ's asymmetric calibration (Li et al., 2025), which puts it into the walk, column by column;
    here it is one step before the walk, and only part of the way.

    Args:
        weights: Float array `W` of shape `(inputs, units)`.
        products: The `hessian` of `inputs`; its damping keeps the weights near where they were.
        inputs: What the layer reads now, `X` of shape `(samples, inputs)`.
        original_inputs: What it read on the same data in the whole model, `Y`.
        strength: Share of the way to go. All of it fits the calibration data best; half of it fits
            other text better.

    Returns:
        `float64` of shape `(inputs, units)`.

    Raises:
        ValueError: If strength lies outside 0..1, or the two inputs are not finite and of one
            shape.
    """
    inputs = finite("inputs", inputs, LOUDEST)
    original_inputs = finite("original_inputs", original_inputs, LOUDEST)
    if inputs.shape != original_inputs.shape:
        raise ValueError(
            f"original_inputs must have the shape of inputs, {inputs.shape}, got "
            f"{original_inputs.shape}"
        )
    unit = float(power_of_two(max(np.abs(inputs).max(), np.abs(original_inputs).max())))
    inputs, original_inputs = inputs / unit, original_inputs / unit
    lost = inputs.T @ (original_inputs - inputs) / len(inputs)
    way = np.linalg.solve(products / unit**2, lost @ weights)
    return weights + fraction("strength", strength) * way


def corrected_gptq(
    weights,
    inputs,
    original_inputs,
    bits,
    group_size="channel",
    grid=quantization.clipped,
    activation_order=True,
    damping=0.01,
    strength=0.5,
    kept=None,
):
    """GPTQ that aims at what the whole model gave: `output_correction`, then the walk of `gptq`.

    Args:
        original_inputs: What the layer read before the layers in front of it were compressed, as
            `inputs`; `compression.compress` gives it.
        strength: How far the correction goes, 0 to 1. At 0 this is `gptq`.

    See `gptq` for the other arguments, what is returned, and what is refused.
    """
    bits = whole("bits", bits, 2, 8)
    weights, products = with_hessian(weights, inputs, damping)
    weights = output_correction(weights, products, inputs, original_inputs, strength)
    return walk_to_grid(weights, products, bits, group_size, grid, activation_order, kept)


def sparsegpt(weights, inputs, mask, block=None, damping=0.01, kept=None):
    """Removes weights and lets those that stay, and come later, answer for it: SparseGPT (Frantar &
    Alistarh, 2023).

    The score of a weight is the error that removing it leaves behind, `w^2 / U[i, i]^2`. It is
    taken when the walk arrives at a block, so the mask sees what earlier removals made of the
    weights.

    Args:
        weights: Float array of shape `(inputs, units)`.
        inputs: What the layer reads on calibration data, `(samples, inputs)`.
        mask: From `pruning`: a function from scores to what is kept, such as `fraction(0.5)` or
            `n_of_m(2, 4)`. It is applied to each block of inputs.
        block: Inputs that are decided at a time; for `n_of_m(n, m)` a multiple of `m`. If left out,
            `m` as in the paper; 16 for a mask without `m`, where the paper takes 128: our matrices
            are small.
        damping: See `hessian`.
        kept: As in `gptq`; what was removed before counts among what the mask removes.

    Returns:
        `float32` of shape `(inputs, units)`. Weights of inputs that were always zero become 0.

    Raises:
        ValueError: If an array is not finite, calibration saw nothing, the shapes do not fit
            together, or runs of `m` would not end where blocks do.

    Example:

    >>> model, tokens = models.load("docs-tiny"), docs.sequences("train", 4)[:, :-1]
    >>> half = Apply(sparsegpt, only="block", mask=pruning.fraction(0.5))
    >>> small = compress(model, [half], calibration=tokens)
    """
    weights, products = with_hessian(weights, inputs, damping)
    m, kept, stays = getattr(mask, "m", None), mask_for(weights, kept), None
    block = whole("block", (m or 16) if block is None else block, 1, 2**31)
    if m and block < len(weights) and block % m:
        raise ValueError(f"block must be a multiple of {mask.m} for {mask}, got {block}")

    def keep(i, rows, factor):
        nonlocal stays
        if i % block == 0:
            here = kept[i : i + block]
            stays = mask(np.square(rows / factor[:, None]) * here) & here
        return np.where(stays[i % block], rows[0], 0.0)

    return settle(weights, products, keep, block).astype(np.float32)


def with_hessian(weights, inputs, damping):
    """Checks both arrays; returns the weights, zero where their input was never alive, and the
    `hessian`."""
    weights, inputs = finite("weights", weights, LARGEST), finite("inputs", inputs, LOUDEST)
    if weights.ndim != 2 or inputs.ndim != 2 or inputs.shape[1] != weights.shape[0]:
        raise ValueError(
            "weights (inputs, units) and inputs (samples, inputs) must agree, "
            f"got {weights.shape} and {inputs.shape}"
        )
    return np.where(inputs.any(axis=0)[:, None], weights, weights.dtype.type(0)), hessian(
        inputs, damping
    )


def mask_for(weights, kept):
    """Returns which weights were not removed before, all of them for `None`; raises `ValueError` if
    it is no mask of these weights."""
    kept = np.ones(weights.shape, bool) if kept is None else np.asarray(kept)
    if kept.dtype != bool or kept.shape != weights.shape:
        raise ValueError(
            f"kept must hold True or False for weights of shape {weights.shape}, got {kept.dtype} "
            f"of shape {kept.shape}"
        )
    return kept
