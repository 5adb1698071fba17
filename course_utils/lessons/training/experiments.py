"""What lesson 2.2 trains beside the shipped models."""

import numpy as np

from course_utils.backend import keras, tf
from course_utils.compression import adapters


def counted(told, logits):
    """The loss of targets `told[..., 0]`, each of which counts `told[..., 1]`."""
    targets = tf.cast(told[..., 0], tf.int32)
    nats = keras.losses.sparse_categorical_crossentropy(targets, logits, from_logits=True)
    return tf.reduce_mean(told[..., 1] * nats)


def with_an_addition(model, batch, steps, rank, rate):
    """Trains two thin matrices beside each matrix of a model, and none of its own weights (LoRA).

    Args:
        model: A built Keras model; it is not changed.
        batch: Function of seed and step, that draws inputs, targets and how much each target counts.
        steps: How many steps.
        rank: How many directions each addition has.
        rate: The learning rate.

    Returns:
        The model with the addition put on, and how many numbers the addition has.
    """

    def batches(step):
        inputs, targets, counts = batch(seed=0, step=step)
        return inputs, np.stack([targets, counts], axis=-1).astype(np.float32)

    adapter = adapters.begin(model, rank)
    adapter = adapters.learn(model, adapter, batches, steps, rate, counted)
    return adapters.fold(model, adapter), sum(
        part.size for pair in adapter.values() for part in pair
    )


def loss_on(model, inputs, targets, counts):
    """Returns a model's loss on exercises, in nats; each target counts as much as `counts` says."""
    return float(counted(np.stack([targets, counts], axis=-1), model(inputs)))
