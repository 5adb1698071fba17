"""The document's formulas and its listing, exactly as printed: nothing is checked and nothing is
mended.

The repaired methods live in `course_utils.quantization`, `course_utils.pruning` and
`course_utils.distillation`. These stay as they are so that a lesson can show where they stop
working.
"""

import numpy as np

# Section 5.2: what the listing works on.
PRINTED = {
    "x": np.array([3.14, 2.71, 1.41, 0.87]),
    "Q": 0.1,
    "theta": 0.5,
    "W_y": np.array([1, 1, 1, 1]),
    "b_y": 0,
    "w": np.array([1, 2, 3, 4, 5]),
    "h": np.array([0.1, 0.2, 0.3, 0.2, 0.1]),
}

# Section 4.3: the same names again, with other values; the last three are the results printed
# there.
CASES = {
    "x": 3.14,
    "Q": 0.1,
    "w": np.array([1, 2, 3, 4, 5]),
    "theta": 0.5,
    "h": np.array([0.1, 0.2, 0.3, 0.2, 0.1]),
    "W_y": np.array([1, 1, 1, 1, 1]),
    "b_y": 0,
    "importance": 0.355,
    "soft_label": np.array([0.2, 0.4, 0.4, 0.2, 0.2]),
    "loss": 0.04,
}

for _array in (*PRINTED.values(), *CASES.values()):
    if isinstance(_array, np.ndarray):
        _array.flags.writeable = False


def quantize(x, Q):
    """Rounds to multiples of a step: sections 4.2.1 and 5.2.

    Args:
        x: Float array of any shape.
        Q: The step, in the unit of `x`.

    Returns:
        `round(x / Q) * Q`: floats again, in the type of `x`.

    Example:

    >>> quantize(PRINTED["x"], 0.1)
    array([3.1, 2.7, 1.4, 0.9])
    """
    return np.round(x / Q) * Q


def importance(w):
    """One number for a whole vector of weights, in the unit 1 / weight squared: sections 4.2.2 and
    5.2."""
    return np.sum(w**2) / np.sum(w**4)


def prune(w, theta):
    """Keeps the whole vector if its importance is above `theta`, else all zeros: sections 4.2.2 and
    5.2."""
    return np.where(importance(w) > theta, w, 0)


def soft_label(h, W_y, b_y):
    """Softmax of a matrix product: sections 4.2.3 and 5.2. Uses TensorFlow, as the listing does.

    Args:
        h: Matrix of shape `(samples, features)`; the document hands it a vector.
        W_y: Matrix of shape `(features, classes)`; the document hands it a vector.
        b_y: A number, or one per class.

    Returns:
        A tensor of shape `(samples, classes)` whose rows sum to 1.

    Raises:
        tf.errors.InvalidArgumentError: On the document's own inputs, which are not matrices.
    """
    from course_utils.backend import tf

    return tf.nn.softmax(tf.matmul(h, W_y) + b_y)


def squared_error_loss(probabilities, targets):
    """The loss of section 4.2.3: the mean squared difference, over every entry as in case 4.3.3.

    Args:
        probabilities: Array of any shape, what the student says.
        targets: Array of the same shape, the soft labels.

    Returns:
        A float, at least 0.
    """
    return np.mean((np.asarray(probabilities) - np.asarray(targets)) ** 2)


def embed(x, W_x, A):
    """The embedding of section 4.1.1, `W_x e^(A x)`, for a word given as a vector `x` of shape
    `(words,)`."""
    return W_x @ np.exp(A @ x)


def encode(h_prev, W_h, b_h, activation=np.tanh):
    """The encoder layer of section 4.1.2: one dense layer, `activation(W_h h_prev + b_h)`."""
    return activation(W_h @ h_prev + b_h)


def decode(h, W_y, b_y):
    """The output of section 4.1.3, `softmax(W_y h + b_y)`: one distribution over the rows of
    `W_y`."""
    return softmax(W_y @ h + b_y)


def softmax(z):
    """`e^z / sum(e^z)` over the last axis; the largest entry is subtracted first so that nothing
    overflows."""
    e = np.exp(z - np.max(z, axis=-1, keepdims=True))
    return e / np.sum(e, axis=-1, keepdims=True)


def listing():
    """Runs the listing of section 5.2 as printed.

    Returns:
        A dictionary with `"quantize"`, `"prune"` and `"soft_label"`: what the step gives, or the
        exception it raises (the last one does).
    """
    given = PRINTED
    steps = {
        "quantize": lambda: quantize(given["x"], given["Q"]),
        "prune": lambda: prune(given["w"], given["theta"]),
        "soft_label": lambda: soft_label(given["h"], given["W_y"], given["b_y"]).numpy(),
    }
    outcome = {}
    for name, step in steps.items():
        try:
            outcome[name] = step()
        except Exception as error:  # whatever it is, it is the result the lesson shows
            outcome[name] = error
    return outcome
