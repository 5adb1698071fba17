"""A large model teaches a small one: the losses, the document's among them, and where the teacher speaks.

Every loss takes what the teacher said first and the student's logits second, both `(..., classes)`, and
returns one number, in nats where it is an entropy.
"""

import numpy as np

from course_utils.backend import tf
from course_utils.checks import fraction, positive


def soften(logits, temperature=1.0):
    """Returns the soft label `softmax(logits / temperature)` (Hinton et al., 2015).

    Args:
        logits: Array or tensor of shape `(..., classes)`.
        temperature: 1 leaves the probabilities as they are, more makes them more alike.

    Returns:
        Probabilities of the same shape.

    Raises:
        ValueError: If `temperature` is not positive.

    Example:

    >>> soften([2.0, 1.0, 0.0], temperature=10).numpy().round(2)
    array([0.37, 0.33, 0.3 ], dtype=float32)
    """
    return tf.nn.softmax(tf.convert_to_tensor(logits, tf.float32) / positive("temperature", temperature))


def squared_error(teacher, student):
    """The document's loss (4.2.3): squared difference of two softmaxes, averaged over everything."""
    return tf.reduce_mean(tf.square(soften(teacher) - soften(student)))


def cross_entropy(temperature=1.0):
    """Cross-entropy of the student under the softened teacher, times the temperature squared.

    Softening divides the gradient of a logit by about `temperature ** 2`; the factor puts it back, so
    that the loss keeps its weight beside others when the temperature changes (Hinton et al., 2015).

    Returns:
        A loss: a function of the teacher's and the student's logits.
    """
    positive("temperature", temperature)

    def loss(teacher, student):
        log_student = tf.nn.log_softmax(student / temperature)
        return -tf.reduce_mean(tf.reduce_sum(soften(teacher, temperature) * log_student, -1)) * temperature**2

    return loss


def kl(temperature=1.0):
    """Kullback-Leibler divergence from the softened teacher to the student: `cross_entropy` less the
    teacher's own entropy, which the student cannot change. It is 0 where both agree.

    Returns:
        A loss: a function of the teacher's and the student's logits.
    """
    positive("temperature", temperature)

    def loss(teacher, student):
        log_teacher, log_student = (tf.nn.log_softmax(logits / temperature) for logits in (teacher, student))
        return tf.reduce_mean(tf.reduce_sum(tf.exp(log_teacher) * (log_teacher - log_student), -1)) * temperature**2

    return loss


def reverse_kl(temperature=1.0):
    """`kl` with the two exchanged: the student is punished for saying what the teacher would not, and
    may leave out what the teacher also says (Gu et al., 2024)."""
    forward = kl(temperature)
    return lambda teacher, student: forward(student, teacher)


def label_smoothing(share=0.1):
    """The rival that needs no teacher: `share` of each label is spread evenly (Szegedy et al., 2016).

    Returns:
        A loss: a function of whole-number labels `(...,)` and the student's logits.
    """
    fraction("share", share)

    def loss(labels, student):
        log_student = tf.nn.log_softmax(student)
        true = tf.gather(log_student, labels, batch_dims=len(log_student.shape) - 1)
        return -tf.reduce_mean((1 - share) * true + share * tf.reduce_mean(log_student, -1))

    return loss


def both(loss, soft=0.5):
    """Mixes a teacher's lesson with the true labels.

    Args:
        loss: One of the losses above.
        soft: Weight of the teacher; the labels get `1 - soft`.

    Returns:
        A loss whose first argument is the pair `(labels, teacher's logits)`.
    """
    fraction("soft", soft)

    def mixed(targets, student):
        labels, teacher = targets
        hard = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, student))
        return soft * loss(teacher, student) + (1 - soft) * hard

    return mixed


class Lessons:
    """What a teacher said about some batches, kept: its largest logits only, in half precision.

    Asking the teacher is the dear part of distillation. Asked once, its answers serve many students.
    What is not kept is treated as equally unlikely, as much as the kept ones leave over.

    Args:
        ask: Function from inputs to the teacher's logits `(rows, length, classes)`.
        batches: Function from a step to `(inputs, labels)`.
        steps: How many batches are kept; later steps start again with the first.
        kept: How many logits of each position.
    """

    def __init__(self, ask, batches, steps, kept=32):
        self.batches, self.steps, self.answers = batches, steps, []
        for step in range(steps):
            logits = tf.convert_to_tensor(ask(batches(step)[0]))
            self.classes = logits.shape[-1]
            if kept > self.classes:
                raise ValueError(f"kept must be at most the {self.classes} classes of the teacher, got {kept}")
            log_probabilities = tf.nn.log_softmax(logits)
            values, indices = tf.math.top_k(log_probabilities, kept)
            self.answers.append((values.numpy().astype(np.float16), indices.numpy().astype(np.uint16)))

    @property
    def nbytes(self):
        """Bytes in memory of all that is kept."""
        return sum(values.nbytes + indices.nbytes for values, indices in self.answers)

    def __call__(self, step):
        """Returns `(inputs, (labels, teacher's log-probabilities))` of a step, for `finetuning.finetune`."""
        inputs, labels = self.batches(step % self.steps)
        values, indices = self.answers[step % self.steps]
        values = values.astype(np.float32)
        rest = np.log(np.maximum(1 - np.exp(values).sum(-1, keepdims=True), 1e-6) / max(self.classes - values.shape[-1], 1))
        full = np.repeat(rest, self.classes, -1)
        np.put_along_axis(full, indices.astype(np.int64), values, -1)
        return inputs, (labels, full)
