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
        ValueError: If there are no examples, or not as many labels as inputs.
    """
    labels = np.asarray(labels)
    if len(labels) == 0 or len(labels) != len(inputs):
        raise ValueError(
            f"labels must be as many as inputs and at least 1, got {len(labels)} for {len(inputs)}"
        )
    logits = model(finite("inputs", inputs))
    right = float(np.mean(np.argmax(logits, -1) == labels))
    loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))
    return Classification(right, float(np.exp(loss)), wilson(right, len(labels)), len(labels))
