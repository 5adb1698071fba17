"""GPTQ and SparseGPT: what rounding or removing one weight breaks, the weights still free make good again.

Both stand on one core, `settle`, which is Optimal Brain Surgeon (Hassibi and Stork, 1993) made fast by a
Cholesky factor. Matrices are read as Keras stores them: `(inputs, units)`, and a *row* is all the
weights that read one input.
"""

import numpy as np

from course_utils import quantization
from course_utils.checks import finite, not_negative, whole

DAMPING_LIMIT = 1.0  # as much again as the inputs' own mean square


def hessian(inputs, damping=0.01):
    """Returns how the squared error of a layer's output bends with its weights: `X^T X / samples`.

    The damping, a share of the mean diagonal, is added to the diagonal: the pull of inputs that were
    not in the calibration data. An input that was always zero gets a 1 there, so that the rest can be
    solved for; its weights change nothing and are free.

    Args:
        inputs: Float array of shape `(samples, inputs)`: what the layer reads on calibration data.
        damping: Share of the mean diagonal to add; at least 0.

    Returns:
        `float64` of shape `(inputs, inputs)`.

    Raises:
        ValueError: If `inputs` is empty, not finite, not a matrix, or all zero.
    """
    inputs = _samples(inputs).astype(np.float64)
    products = inputs.T @ inputs / len(inputs)
    diagonal = products.diagonal().copy()
    if not diagonal.any():
        raise ValueError(f"inputs must not all be zero: {len(inputs)} samples of {len(products)} inputs, none alive")
    np.fill_diagonal(products, np.where(diagonal > 0, diagonal, 1.0) + not_negative("damping", damping) * diagonal.mean())
    return products


def inverse_factor(products):
    """Returns the upper triangular `U` with `U^T U = products^-1`.

    Row `i` of `U` says, up to its length, how the inputs after `i` can stand in for input `i` once all
    inputs before it are fixed. One factorisation replaces an inverse a row.

    Args:
        products: Symmetric array of shape `(inputs, inputs)`, as `hessian` returns it.

    Raises:
        ValueError: If the matrix stays singular under a hundred times the usual damping.
    """
    mean, extra = products.diagonal().mean(), 0.0
    while extra <= DAMPING_LIMIT:
        try:
            lower = np.linalg.cholesky((products + extra * mean * np.eye(len(products)))[::-1, ::-1])
            return np.linalg.inv(lower)[::-1, ::-1]  # H = L L^T read backwards is U^-1 U^-T
        except np.linalg.LinAlgError:
            extra = max(10 * extra, 0.001)
    raise ValueError(f"the Hessian of {len(products)} inputs has no Cholesky factor, even with damping {DAMPING_LIMIT}")


def settle(weights, products, fix, block=64):
    """Fixes a matrix row by row; each time, the rows still free take over what went wrong.

    Args:
        weights: Float array of shape `(inputs, units)`.
        products: The layer's `hessian`, of shape `(inputs, inputs)`.
        fix: Function of `(i, rows, lengths)` that returns what row `i` shall be. `rows` are the present
            weights of rows `i` to the end of the block; `lengths` is the diagonal of the factor there.
        block: Rows at a time. Rows beyond the block hear of its errors once, in one product of matrices.

    Returns:
        `float64` of shape `(inputs, units)`.
    """
    weights, factor = weights.astype(np.float64), inverse_factor(products)
    for start in range(0, len(weights), block):
        stop = min(start + block, len(weights))
        rows, upper = weights[start:stop], factor[start:stop, start:stop]
        errors = np.empty_like(rows)
        for i in range(len(rows)):
            fixed = fix(start + i, rows[i:], upper.diagonal()[i:])
            errors[i] = (rows[i] - fixed) / upper[i, i]
            rows[i] = fixed
            rows[i + 1 :] -= np.outer(upper[i, i + 1 :], errors[i])
        weights[stop:] -= factor[start:stop, stop:].T @ errors
    return weights


def gptq(weights, inputs, bits, group_size="channel", activation_order=True, damping=0.01, scale_of=None):
    tensor = (scale_of or quantization.absmax)(weights, inputs, bits, group_size) if scale_of else quantization.absmax(weights, bits, group_size)
    scale = np.broadcast_to(tensor.spread(tensor.scale), weights.shape)
    levels = 2 ** (bits - 1) - 1
    products = hessian(inputs, damping)
    weights = np.where(_alive(inputs)[:, None], weights, 0)
    order = np.argsort(-products.diagonal(), kind="stable") if activation_order else np.arange(len(products))
    steps = scale[order]

    def nearest(i, rows, lengths):
        return np.clip(np.rint(rows[0] / steps[i]), -levels, levels) * steps[i]

    settled = np.empty(weights.shape)
    settled[order] = settle(weights[order], products[np.ix_(order, order)], nearest)
    return quantization.round_to(settled, tensor.scale, bits, group_size)


def sparsegpt(weights, inputs, mask, block=128, damping=0.01):
    kept = None

    def remove(i, rows, lengths):
        nonlocal kept
        if i % block == 0:
            kept = mask((rows / lengths[:, None]) ** 2)
        return np.where(kept[i % block], rows[0], 0)

    return settle(np.where(_alive(inputs)[:, None], weights, 0), hessian(inputs, damping), remove, block).astype(np.float32)


def _samples(inputs):
    inputs = finite("inputs", inputs)
    if inputs.ndim != 2:
        raise ValueError(f"inputs must have shape (samples, inputs), got {inputs.shape}")
    return inputs


def _alive(inputs):
    return np.asarray(inputs).any(axis=0)
