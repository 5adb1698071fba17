"""Exercises of lesson 3.2.3."""

import numpy as np

from course_utils import distillation, evaluation, models
from course_utils.backend import keras, tf
from course_utils.datasets import digits
from course_utils.lesson.exercise import Exercise, expect
from course_utils.models import vision
from course_utils.text import _


def soften(logits, T):
    z = np.asarray(logits, float) / T
    e = np.exp(z - z.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def soften_afterwards(logits, T):
    p = soften(logits, 1) / T
    return p / p.sum(axis=-1, keepdims=True)


def soften_the_wrong_way(logits, T):
    return soften(np.asarray(logits, float) * T, 1)


def soften_overflowing(logits, T):
    with np.errstate(all="ignore"):
        e = np.exp(np.asarray(logits, float) / T)
        return e / e.sum(axis=-1, keepdims=True)


def soften_made_finite(logits, T):
    return np.nan_to_num(soften_overflowing(logits, T))


def soften_all_rows(logits, T):
    e = np.exp(np.asarray(logits, float) / T - np.max(logits) / T)
    return e / e.sum()


def test_soften(answer):
    got = answer(np.array([2.0, 1.0, 0.0]), 1.0)
    got = np.asarray(got).round(4)
    expect(
        np.allclose(got, [0.6652, 0.2447, 0.09], atol=2e-4),
        _("at T = 1 it is the plain softmax, yours is {got}").format(got=got),
    )
    warm = np.asarray(answer(np.array([2.0, 1.0, 0.0]), 10.0)).round(4)
    expect(
        warm[0] < 0.5,
        _(
            "a high temperature makes the shares more alike: divide the logits, not the shares; yours "
            "gives {got}"
        ).format(got=warm),
    )
    expect(
        np.allclose(warm, [0.3672, 0.3322, 0.3006], atol=2e-4),
        _("at T = 10 expected [0.3672, 0.3322, 0.3006], got {got}").format(got=warm),
    )
    rows = np.asarray(answer(np.array([[1000.0, 0.0], [0.0, 0.0]]), 1.0))
    wanted = [[1, 0], [0.5, 0.5]]
    expect(
        np.allclose(rows, wanted),
        _("each row sums to 1, and a logit of 1,000 must not overflow: got {got}").format(
            got=rows.tolist()
        ),
    )


def divergence(teacher, student):
    def softmax(logits):
        powers = np.exp(logits - np.max(logits, axis=-1, keepdims=True))
        return powers / powers.sum(axis=-1, keepdims=True)

    p, q = softmax(teacher), softmax(student)
    return float(np.mean(np.sum(p * np.log(p / q), axis=-1)))


def divergence_reversed(teacher, student):
    return divergence(student, teacher)


def divergence_over_everything(teacher, student):
    return divergence(teacher, student) / np.shape(teacher)[-1]


def divergence_of_logits(teacher, student):
    p, q = (np.clip(x, 1e-7, 1) for x in (teacher, student))
    return float(np.mean(np.sum(p * np.log(p / q), axis=-1)))


def test_divergence(answer):
    teacher, student = (
        np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 0.5]]),
        np.array([[0.0, 1.0, 0.0], [0.5, 0.5, 0.5]]),
    )
    got = answer(teacher, student)
    expect(
        abs(answer(teacher, teacher)) < 1e-9,
        _("a student that says what the teacher says has nothing to learn: 0"),
    )
    expect(
        abs(answer(teacher + 5, student) - got) < 1e-9,
        _(
            "adding 5 to all logits of a row changes no probability: take the softmax before you "
            "compare"
        ),
    )
    expect(
        abs(got - 0.49129) > 1e-4,
        _("that is the other direction: the teacher's probabilities weigh the logarithms"),
    )
    expect(
        abs(got - 0.45649) < 1e-4,
        _("sum over the classes, average over the rows: expected 0.4565, got {got:.4f}").format(
            got=got
        ),
    )


def kept_bytes(positions, classes, kept, value_bytes):
    index_bytes = int(np.ceil(np.log2(classes) / 8))
    return positions * min(kept * (value_bytes + index_bytes), classes * value_bytes)


def without_places(positions, classes, kept, value_bytes):
    return positions * kept * value_bytes


def always_with_places(positions, classes, kept, value_bytes):
    return positions * kept * (value_bytes + int(np.ceil(np.log2(classes) / 8)))


def test_kept_bytes(answer):
    got = answer(1000, 512, 32, 2)
    expect(
        got != 64000,
        _("64,000 bytes are the values; which 32 of the 512 they belong to must be kept as well"),
    )
    expect(
        got == 128000,
        _(
            "1,000 positions of 32 values of 2 bytes, each with an index of 2 bytes: 128,000, got {got}"
        ).format(got=got),
    )
    large = answer(1000, 50000, 100, 2)
    expect(
        large == 400000,
        _("indices up to 49,999 fit into 2 bytes: 400,000, got {got}").format(got=large),
    )
    expect(
        answer(1, 200, 10, 2) == 30,
        _("indices up to 199 fit into 1 byte: 30, got {got}").format(got=answer(1, 200, 10, 2)),
    )
    expect(
        answer(1000, 512, 512, 1) == 512000,
        _("where all are kept, their order says which is which: no index is needed"),
    )


def gain(labels, taught):
    apart = np.subtract(labels, taught)
    return float(apart.mean()), float(apart.std(ddof=1) / np.sqrt(len(apart)))


def gain_unpaired(labels, taught):
    spread = np.var(labels, ddof=1) / len(labels) + np.var(taught, ddof=1) / len(taught)
    return float(np.mean(labels) - np.mean(taught)), float(np.sqrt(spread))


def gain_of_the_best(labels, taught):
    return float(np.min(labels) - np.min(taught)), gain(labels, taught)[1]


def gain_of_the_population(labels, taught):
    return gain(labels, taught)[0], float(
        np.std(np.subtract(labels, taught)) / np.sqrt(len(labels))
    )


def test_gain(answer):
    labels, taught = [3.00, 3.20, 3.10], [2.96, 3.10, 3.04]
    got = answer(labels, taught)
    mean, error = got
    expect(
        abs(mean - 0.0666667) < 1e-5,
        _("the mean of 0.04, 0.10 and 0.06 is 0.0667, yours is {mean:.4f}").format(mean=mean),
    )
    expect(
        error < 0.05,
        _(
            "an error of {error:.4f} ignores that the same seed stands in both lists: subtract first"
        ).format(error=error),
    )
    expect(
        abs(error - 0.0176383) < 1e-5,
        _("standard deviation with n - 1, over the root of n: 0.0176, yours is {error:.4f}").format(
            error=error
        ),
    )


def distil(student, scans, logits):
    optimizer = keras.optimizers.AdamW(0.02)
    optimizer.build(student.trainable_variables)

    @tf.function  # compiled: a step takes a tenth of the time
    def learn():
        with tf.GradientTape() as tape:
            loss = distillation.kl(4.0)(logits, student(scans))
        slopes = tape.gradient(loss, student.trainable_variables)
        optimizer.apply_gradients(zip(slopes, student.trainable_variables))

    for step in range(120):
        learn()
    return student


def descended(student, cost):
    optimizer = keras.optimizers.AdamW(0.02)
    optimizer.build(student.trainable_variables)

    @tf.function
    def learn():
        with tf.GradientTape() as tape:
            loss = cost(student)
        slopes = tape.gradient(loss, student.trainable_variables)
        optimizer.apply_gradients(zip(slopes, student.trainable_variables))

    for step in range(120):
        learn()
    return student


def distil_first_choices(student, scans, logits):
    first = np.argmax(logits, axis=1)
    right = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    return descended(student, lambda student: right(first, student(scans)))


def distil_plain(student, scans, logits):
    return descended(student, lambda student: distillation.kl(1.0)(logits, student(scans)))


def distil_nothing(student, scans, logits):
    return student


DISTILLED = 0.84  # the mean of two students; labels alone give about 0.80


def test_distil(answer):
    scans = digits.load("train")[0][:50]
    logits, reached = np.asarray(models.load("digits-lenet")(scans)), []
    for seed in (0, 1):
        keras.utils.set_random_seed(seed)
        taught = answer(vision.mlp((16,)), scans, logits)
        expect(
            isinstance(taught, keras.Model) and taught.output_shape == (None, 10),
            _("return the student: a Keras model that gives 10 logits for each scan"),
        )
        expect(
            taught.count_params() == vision.mlp((16,)).count_params(),
            _("train the student that you are given; this one has {count:,} weights").format(
                count=taught.count_params()
            ),
        )
        reached.append(evaluation.classify(taught, *digits.load("validation")).accuracy)
    expect(
        np.mean(reached) >= DISTILLED,
        _(
            "your students read {first:.1%} and {second:.1%} of the validation scans; the aim is a "
            "mean of {aim:.0%}. What does the teacher say beyond its first choice, and at which "
            "temperature can one hear it?"
        ).format(first=reached[0], second=reached[1], aim=DISTILLED),
    )


EXERCISES = (
    Exercise(
        "03-3-soften",
        test_soften,
        "Divide the logits by T, subtract the largest of each row, then exponentiate and normalise "
        "each row.",
        soften,
        (
            soften_afterwards,
            soften_the_wrong_way,
            soften_all_rows,
            soften_overflowing,
            soften_made_finite,
        ),
        "Dividing probabilities by T does nothing once they are normalised again. Only before the "
        "exponential does T matter.",
    ),
    Exercise(
        "03-3-divergence",
        test_divergence,
        "Make probabilities p and q of both; the sum of p * log(p / q) over the classes; the mean "
        "over the rows.",
        divergence,
        (divergence_reversed, divergence_over_everything, divergence_of_logits),
        "Three numbers go by the name of KL: the other direction, the mean over classes as well, "
        "and the one of raw logits. "
        "All of them fall during training, and only one of them is what you meant.",
    ),
    Exercise(
        "03-3-kept-bytes",
        test_kept_bytes,
        "Each kept value brings an index of ceil(log2(classes) / 8) bytes, unless a full row "
        "without indices is smaller.",
        kept_bytes,
        (without_places, always_with_places),
        "The same account as for a pruned matrix: values alone are not the file. Where most are "
        "kept, a dense row is smaller.",
    ),
    Exercise(
        "03-3-gain",
        test_gain,
        "Subtract seed by seed, then take mean and standard error of the differences.",
        gain,
        (gain_unpaired, gain_of_the_best, gain_of_the_population),
        "The same seed gives both students the same start and the same batches. What the two share "
        "falls out of the difference, "
        "and a small gain becomes visible.",
    ),
    Exercise(
        "03-3-distil",
        test_distil,
        "A hundred steps and more on all 50 scans at once: inside a tf.GradientTape the loss "
        "distillation.kl(T) of the teacher's logits and the student's, then the gradient, then the "
        "optimizer. Which T?",
        distil,
        (distil_first_choices, distil_plain, distil_nothing),
        "The same 50 scans, and not one label: what the student gained is what the teacher said of "
        "the nine other digits. At T = 1 that was a whisper.",
    ),
)
