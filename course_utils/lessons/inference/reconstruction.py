"""What the document's 重构 is in practice: weights that stay are moved until a layer says again
what it said."""

import numpy as np

from course_utils import pruning, second_order


def reconstruct(weights, inputs, mask, damping=0.01):
    """Removes the smallest weights, and moves those that stay so that the layer's output is as near
    as can be to what it was.

    With `X` the inputs and `W` the weights, it finds the `V` that is zero where a weight was removed,
    and whose `X V` is closest to `X W`: least squares, for each unit alone. SparseGPT comes close to
    this without an inverse for each unit (Frantar & Alistarh, 2023).

    Args:
        weights: Float array of shape `(inputs, units)`.
        inputs: What the layer reads on calibration data, `(samples, inputs)`.
        mask: From `pruning`: a function from scores to what is kept, such as `fraction(0.5)`.
        damping: See `second_order.hessian`; it keeps the weights near where they were.

    Returns:
        `float32` of shape `(inputs, units)`.

    Raises:
        ValueError: If an array is not finite, calibration saw nothing, or the shapes do not fit
            together.
    """
    weights, products = second_order.with_hessian(weights, inputs, damping)  # X^T X
    kept, wanted = mask(pruning.magnitude(weights)), products @ weights
    made = np.zeros(weights.shape, np.float32)
    for unit, stays in enumerate(kept.T):
        made[stays, unit] = np.linalg.solve(products[np.ix_(stays, stays)], wanted[stays, unit])
    return made
