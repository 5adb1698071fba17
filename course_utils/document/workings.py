"""Small real computations that several claims share: a digit classifier, flow charts, counts and
bounds."""

import functools
import time

import numpy as np

from course_utils.checks import read_only
from course_utils.document.code import quantize, softmax

# The document's flow charts, one chain of letters per line of boxes.
CHARTS = {
    "2.1": ("ABCDE",),
    "2.2": ("ABCDEFGH", "IJKLMNOP"),
    "2.3": ("ABCDE", "FGHI", "JKLM", "NOP"),
    "3.2.3": ("ABCD",),
}


def arrows(chart):
    """The arrows of a flow chart as a set of `(from, to)` pairs of boxes."""
    return {pair for chain in CHARTS[chart] for pair in zip(chain, chain[1:])}


def pieces(chart):
    """How many unconnected pieces a flow chart falls into."""
    groups = []
    for start, end in sorted(arrows(chart)):
        joined = {start, end}.union(*(g for g in groups if start in g or end in g))
        groups = [g for g in groups if not g & joined] + [joined]
    return len(groups)


@functools.lru_cache(maxsize=1)
def digits():
    """A linear classifier of 650 weights, fitted to 1000 scanned digits in closed form.

    Returns:
        `weights (65, 10)`, and the 797 held-out digits: `images (797, 65)` with a constant column,
        `labels (797,)`.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    images = np.c_[data.data / 16, np.ones(len(data.data))]
    fit, held_out = images[:1000], images[1000:]
    targets = np.eye(10)[data.target[:1000]]
    weights = np.linalg.solve(fit.T @ fit + 0.1 * np.eye(65), fit.T @ targets)
    return read_only(weights), read_only(held_out), read_only(data.target[1000:])


def digit_accuracy(Q=None, keep=1.0):
    """Held-out accuracy after rounding the weights to a step, or after keeping only a share of the
    largest."""
    weights, images, labels = digits()
    if Q is not None:
        weights = quantize(weights, Q)
    smallest_kept = np.quantile(np.abs(weights), 1 - keep)
    weights = np.where(np.abs(weights) >= smallest_kept, weights, 0)
    return float(np.mean((images @ weights).argmax(axis=1) == labels))


def student_agreement():
    """How often a student that sees every second pixel names the digit its teacher names.

    The student is fitted to the teacher's outputs on half of the held-out digits and asked about
    the rest.
    """
    weights, images, _ = digits()
    teacher, half = images @ weights, images[:, ::2]
    seen, asked = half[:400], half[400:]
    student = np.linalg.solve(seen.T @ seen + 0.1 * np.eye(half.shape[1]), seen.T @ teacher[:400])
    return float(np.mean((asked @ student).argmax(axis=1) == teacher[400:].argmax(axis=1)))


def takes_about_as_long(change):
    """Whether a float32 matrix product takes between half and twice the time after
    `change(matrix)`.

    The bounds are wide on purpose: machines are shared, and the point is that nothing like the
    tenfold gain of "90 % of the weights are gone" appears. Best of 50 interleaved runs each.
    """
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((4, 256)).astype(np.float32)  # few rows: numpy stays on one thread
    weights = rng.standard_normal((256, 256)).astype(np.float32)
    best = [np.inf, np.inf]
    matrices = weights, change(weights).astype(np.float32)
    for run in range(100):
        start = time.perf_counter()
        for _ in range(20):
            inputs @ matrices[run % 2]
        best[run % 2] = min(best[run % 2], time.perf_counter() - start)
    return bool(0.5 <= best[1] / best[0] <= 2)


def mask(weights, share=0.9):
    """The weights with the smallest `share` of them set to zero, in an array of the same size."""
    return np.where(np.abs(weights) > np.quantile(np.abs(weights), share), weights, 0)


def seconds_per_token(parameters, bits, bytes_per_second):
    """Least time to read every weight once, which producing one token at batch 1 has to do."""
    return parameters * bits / 8 / bytes_per_second


def gpt3_parameters():
    """Parameters of GPT-3 counted from its published shape: 96 layers of width 12288 (Brown et al.,
    2020)."""
    layers, width, vocabulary, context = 96, 12288, 50257, 2048
    block = (
        12 * width**2 + 13 * width
    )  # four attention and two MLP matrices, their biases, two norms
    return layers * block + (vocabulary + context) * width + 2 * width


def bert_base_parameters():
    """Parameters of BERT-base counted from its published shape: 12 layers of width 768 (Devlin et
    al., 2018)."""
    layers, width, vocabulary, context = 12, 768, 30522, 512
    block = 12 * width**2 + 13 * width
    return layers * block + (vocabulary + context + 2) * width + 2 * width + width**2 + width


def same_labels_other_weights():
    """Two teachers with different weights and the same soft labels.

    Returns:
        The largest difference of their soft labels, and the largest difference of their weights.
    """
    rng = np.random.default_rng(0)
    inputs, weights = rng.standard_normal((20, 8)), rng.standard_normal((8, 5))
    other = weights + np.arange(8.0)[:, None]  # softmax ignores what is added to all classes alike
    labels = np.abs(softmax(inputs @ weights) - softmax(inputs @ other)).max()
    return float(labels), float(np.abs(weights - other).max())


def squared_error_gradient_share():
    """Gradient of the squared error over that of the cross-entropy, for a student that is sure and
    wrong."""
    logits, target = np.array([10.0, 0.0]), np.array([0.0, 1.0])
    p = softmax(logits)
    slope = np.diag(p) - np.outer(p, p)  # d softmax / d logits
    squared = slope @ (2 * (p - target) / 2)
    cross_entropy = p - target
    return float(np.abs(squared).max() / np.abs(cross_entropy).max())
