"""How well a classifier does."""

import dataclasses

import numpy as np

from course_utils.backend import tf
from course_utils.checks import finite
from course_utils.evaluation.intervals import wilson


@dataclasses.dataclass(frozen=True)
class Classification:
    """How well a classifier does.

    Attributes:
        accuracy: Share of examples it puts into the right class.
        perplexity: `exp` of the mean negative log-probability of the right class.
        interval: 95% Wilson interval of the accuracy.
        examples: How many were classified.
    """

    accuracy: float
    perplexity: float
    interval: tuple
    examples: int


def classify(model, inputs, labels):
    """Measures a classifier.

    Args:
        model: Maps inputs to logits of shape `(examples, classes)`.
        inputs: Array the model takes.
        labels: Whole numbers of shape `(examples,)`.

    Returns:
        A `Classification`.

    Raises:
        ValueError: If there are no examples, not as many labels as inputs, labels of classes that
            the model does not have, or inputs that are not finite.
    """
    labels = np.asarray(labels)
    if labels.ndim != 1 or len(labels) == 0 or len(labels) != len(inputs):
        raise ValueError(
            "labels must be as many as inputs and at least 1, in one row, got "
            f"{labels.shape} for {len(inputs)}"
        )
    logits = np.asarray(model(finite("inputs", inputs)))
    if logits.ndim != 2 or len(logits) != len(labels):
        raise ValueError(
            f"the model must give a row of logits for each of {len(labels)} examples, got shape "
            f"{logits.shape}"
        )
    labels = class_labels(labels, logits.shape[1])
    right = float(np.mean(np.argmax(logits, -1) == labels))
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    with np.errstate(over="ignore"):
        perplexity = float(np.exp(np.float64(loss))) if np.isfinite(loss) else float("inf")
    return Classification(right, perplexity, wilson(right, len(labels)), len(labels))


def class_labels(labels, classes):
    """Returns labels as `int32`, or raises `ValueError` with one that is no number of a class."""
    if labels.dtype.kind not in "iu":
        raise ValueError(f"labels must be whole numbers, got {labels.dtype}")
    outside = labels[(labels < 0) | (labels >= classes)]
    if outside.size:
        raise ValueError(f"labels must be from 0 to {classes - 1}, got {outside[0]}")
    return labels.astype(np.int32)
