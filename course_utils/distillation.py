"""A large model teaches a small one: the losses, the document's among them, and where the teacher
speaks.

Every loss takes what the teacher said first and the student's logits second, both `(..., classes)`,
and returns one number, in nats where it is an entropy.
"""

import dataclasses
from collections.abc import Callable

import numpy as np

from course_utils.backend import tf
from course_utils.checks import finite, fraction, not_negative, positive, whole, within

LARGEST = 1e15  # of a logit: squares and quotients of larger ones might leave float32


def checked_logits(name, logits):
    """Returns logits as a `float32` tensor; raises `ValueError` if they are not finite or beyond
    `LARGEST`, which only a graph under construction cannot know."""
    logits = tf.cast(logits, tf.float32)
    if tf.executing_eagerly():
        finite(name, logits.numpy(), LARGEST)
    return logits


def checked_temperature(temperature):
    """Returns a temperature at which float64 can still tell two answers apart; raises `ValueError`
    otherwise."""
    return within("temperature", positive("temperature", temperature), 1e-5, 1e5)


def soften(logits, temperature=1.0):
    """Returns the soft label `softmax(logits / temperature)` (Hinton et al., 2015).

    Args:
        logits: Array or tensor of shape `(..., classes)`.
        temperature: 1 leaves the probabilities as they are, more makes them more alike.

    Returns:
        Probabilities of the same shape.

    Raises:
        ValueError: If `temperature` is not from 1e-5 to 1e5, or a logit is not finite.

    Example:

    >>> soften([2.0, 1.0, 0.0], temperature=10).numpy().round(2)
    array([0.37, 0.33, 0.3 ], dtype=float32)
    """
    return tf.nn.softmax(checked_logits("logits", logits) / checked_temperature(temperature))


def log_soften(logits, temperature=1.0):
    """Returns the logarithm of `soften`, in float64: losses multiply small differences of it by the
    temperature squared."""
    return tf.nn.log_softmax(tf.cast(logits, tf.float64) / temperature)


def pair(teacher, student):
    """Returns both logits as tensors; raises `ValueError` if there are none, if one is not finite, or
    if the two name different things.

    Example:

    >>> pair(np.zeros((1, 512)), np.zeros((1, 10)))
    Traceback (most recent call last):
    ValueError: teacher and student must choose among the same classes, got 512 and 10
    """
    teacher, student = tf.cast(teacher, tf.float32), tf.cast(student, tf.float32)
    if teacher.shape[-1] != student.shape[-1]:
        raise ValueError(
            "teacher and student must choose among the same classes, "
            f"got {teacher.shape[-1]} and {student.shape[-1]}"
        )
    if teacher.shape != student.shape or 0 in teacher.shape:
        raise ValueError(
            "teacher and student must answer the same questions, at least one, "
            f"got shapes {tuple(teacher.shape)} and {tuple(student.shape)}"
        )
    teacher = checked_logits("the teacher's logits", teacher)
    return teacher, checked_logits("the student's logits", student)


def squared_error(teacher, student):
    """The document's loss (4.2.3): squared difference of two softmaxes, averaged over
    everything."""
    teacher, student = pair(teacher, student)
    return tf.reduce_mean(tf.square(soften(teacher) - soften(student)))


# A loss with a setting is a small object, called like a function: `kl(2.0)(teacher, student)`.


@dataclasses.dataclass(frozen=True)
class cross_entropy:
    """Cross-entropy of the student under the softened teacher, times the temperature squared.

    Softening divides the gradient of a logit by about `temperature ** 2`; the factor puts it back,
    so that the loss keeps its weight beside others when the temperature changes (Hinton et al.,
    2015).

    Call arguments:
        teacher, student: Logits of shape `(..., classes)`.
    """

    temperature: float = 1.0

    def __post_init__(self):
        checked_temperature(self.temperature)

    def __call__(self, teacher, student):
        log_teacher, log_student = (
            log_soften(logits, self.temperature) for logits in pair(teacher, student)
        )
        surprise = -tf.reduce_sum(tf.exp(log_teacher) * log_student, -1)
        return tf.cast(tf.reduce_mean(surprise) * self.temperature**2, tf.float32)


@dataclasses.dataclass(frozen=True)
class kl:
    """Kullback-Leibler divergence from the softened teacher to the student: `cross_entropy` less
    the teacher's own entropy, which the student cannot change. It is 0 where both agree.

    Call arguments:
        teacher, student: Logits of shape `(..., classes)`.
    """

    temperature: float = 1.0

    def __post_init__(self):
        checked_temperature(self.temperature)

    def __call__(self, teacher, student):
        log_teacher, log_student = (
            log_soften(logits, self.temperature) for logits in pair(teacher, student)
        )
        apart = tf.reduce_sum(tf.exp(log_teacher) * (log_teacher - log_student), -1)
        apart = tf.maximum(tf.reduce_mean(apart), 0.0)  # only a rounding falls below
        return tf.cast(apart * self.temperature**2, tf.float32)


@dataclasses.dataclass(frozen=True)
class reverse_kl:
    """`kl` with the two exchanged: the student is punished for saying what the teacher would not,
    and may leave out what the teacher also says (Gu et al., 2024)."""

    temperature: float = 1.0

    def __post_init__(self):
        checked_temperature(self.temperature)

    def __call__(self, teacher, student):
        return kl(self.temperature)(student, teacher)


@dataclasses.dataclass(frozen=True)
class label_smoothing:
    """The rival that needs no teacher: `share` of each label is spread evenly (Szegedy et al.,
    2016).

    Call arguments:
        labels: Whole numbers of shape `(...,)`.
        student: Logits of shape `(..., classes)`.
    """

    share: float = 0.1

    def __post_init__(self):
        fraction("share", self.share)

    def __call__(self, labels, student):
        log_student = tf.nn.log_softmax(checked_logits("the student's logits", student))
        true = tf.gather(log_student, labels, batch_dims=len(log_student.shape) - 1)
        even = tf.reduce_mean(log_student, -1)
        return -tf.reduce_mean((1 - self.share) * true + self.share * even)


@dataclasses.dataclass(frozen=True)
class with_labels:
    """Mixes a teacher's loss with the cross-entropy of the true labels (Hinton et al., 2015).

    Args:
        loss: One of the losses above.
        soft: Weight of the teacher; the labels get `1 - soft`.

    Call arguments:
        targets: The pair `(labels, teacher's logits)`.
        student: Logits of shape `(..., classes)`.
    """

    loss: Callable
    soft: float = 0.5

    def __post_init__(self):
        fraction("soft", self.soft)

    def __call__(self, targets, student):
        labels, teacher = targets
        hard = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, student))
        return self.soft * self.loss(teacher, student) + (1 - self.soft) * hard


@dataclasses.dataclass(frozen=True)
class with_hints:
    """Adds to a loss how far the student's hidden vectors are from the teacher's (Romero et al.,
    2015).

    The two are seldom equally wide, so the student's pass through a matrix of their own first,
    which is trained with it and thrown away afterwards.

    Args:
        loss: A loss of targets and the student's logits.
        weight: Of the mean squared distance.

    Call arguments:
        targets: The pair `(targets of the loss, teacher's hidden vectors)`.
        outputs: The pair `(student's logits, student's hidden vectors)`.
    """

    loss: Callable
    weight: float = 1.0

    def __post_init__(self):
        not_negative("weight", self.weight)

    def __call__(self, targets, outputs):
        (rest, hints), (logits, hidden) = targets, outputs
        hidden = checked_logits("the student's hidden vectors", hidden)
        apart = checked_logits("hints", hints) - hidden
        return self.loss(rest, logits) + self.weight * tf.reduce_mean(tf.square(apart))


STEP = 0.1  # nats: a kept log-probability is off by at most half of it


def encode_logits(logits):
    """Rounds log-probabilities to whole steps below the largest: one byte for each class.

    This is the document's rule (4.2.1) with Q = 0.1, on what a teacher said. A class that is e^25
    times less likely than the first is beyond the last step, and nobody's lesson.

    Args:
        logits: Array or tensor of shape `(..., classes)`.

    Returns:
        `uint8` array of the same shape.

    Raises:
        ValueError: If a logit is not finite: nobody could learn from it.
    """
    logits = finite("logits", logits, LARGEST).astype(np.float32)
    return np.minimum(np.rint((logits.max(-1, keepdims=True) - logits) / STEP), 255).astype(
        np.uint8
    )


def decode_logits(codes):
    """Returns logits from what `encode_logits` returned; their softmax is the teacher's, but for the
    rounding."""
    return codes * np.float32(-STEP)


def top_k(logits, k):
    """Keeps the largest logits only; what the others have together is spread evenly over them.

    Args:
        logits: Array or tensor of shape `(..., classes)`.
        k: How many stay.

    Returns:
        Log-probabilities of the same shape, as a student hears them.

    Raises:
        ValueError: If `k` is not from 1 to the number of classes, or a logit is not finite.
    """
    log_probabilities = tf.nn.log_softmax(checked_logits("logits", logits)).numpy()
    classes = log_probabilities.shape[-1]
    order = np.argsort(-log_probabilities, -1)[..., whole("k", k, 1, classes) :]
    others = np.take_along_axis(log_probabilities, order, -1)
    first = others.max(-1, keepdims=True, initial=-np.inf)  # a share of e^-1000 is no zero
    share = first + np.log(np.mean(np.exp(others - first), -1, keepdims=True)) if k < classes else 0
    kept = log_probabilities.copy()
    np.put_along_axis(kept, order, np.broadcast_to(share, others.shape), -1)
    return kept


class TeacherLogits:
    """A teacher's logits for some batches, kept: one byte for each, as `encode_logits` makes it.

    Asking the teacher is the expensive part of distillation. Asked once, its answers serve many
    students.

    Args:
        ask: Function from inputs to the teacher's logits `(rows, length, classes)`.
        batches: Function from a step to `(inputs, labels)`.
        steps: How many batches are kept; later steps start again with the first.

    Raises:
        ValueError: If no step is to be kept, a batch is empty, or a logit is not finite.

    Example:

    >>> teacher = models.load("digits-mlp")
    >>> batches = lambda step: (np.full((2, 64), step / 10), np.array([3, 5]))
    >>> lessons = TeacherLogits(teacher, batches, steps=4)
    >>> inputs, (labels, said) = lessons(0)
    >>> said.shape, lessons.nbytes
    ((2, 10), 80)
    """

    def __init__(self, ask, batches, steps):
        self.batches, self.answers = batches, []
        for step in range(whole("steps", steps, 1, 2**31)):
            inputs = batches(step)[0]
            if not np.size(inputs):
                raise ValueError(
                    f"every batch must hold inputs, got shape {np.shape(inputs)} at step {step}"
                )
            self.answers.append(encode_logits(ask(inputs)))

    @property
    def nbytes(self):
        """Bytes in memory of all that is kept."""
        return sum(answers.nbytes for answers in self.answers)

    def __call__(self, step):
        """Returns `(inputs, (labels, teacher's logits))` of a step, for `students.teach` and
        `finetuning.finetune`."""
        step %= len(self.answers)
        inputs, labels = self.batches(step)
        return inputs, (labels, decode_logits(self.answers[step]))
