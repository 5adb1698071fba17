"""Distillation: the losses against plain formulas, their gradients, and the kept answers of a teacher."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from course_utils import distillation, document
from course_utils.backend import tf

logits = arrays(np.float32, (3, 5), elements=st.floats(-8, 8, width=32))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def slope(loss, teacher, student):
    student = tf.Variable(student)
    with tf.GradientTape() as tape:
        cost = loss(tf.constant(teacher), student)
    return tape.gradient(cost, student).numpy()


@settings(max_examples=30, deadline=None)
@given(logits, logits, st.floats(0.5, 10))
def test_losses_are_their_formulas(teacher, student, temperature):
    p, q = softmax(teacher.astype(float) / temperature), softmax(student.astype(float) / temperature)
    crossed = -(p * np.log(q)).sum(-1).mean() * temperature**2
    apart = (p * np.log(p / q)).sum(-1).mean() * temperature**2
    close = {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(distillation.cross_entropy(temperature)(teacher, student), crossed, **close)
    np.testing.assert_allclose(distillation.kl(temperature)(teacher, student), apart, **close)
    np.testing.assert_allclose(distillation.reverse_kl(temperature)(student, teacher), apart, **close)
    squared = document.squared_error_loss(softmax(teacher.astype(float)), softmax(student.astype(float)))
    np.testing.assert_allclose(distillation.squared_error(teacher, student), squared, **close)


@settings(max_examples=30, deadline=None)
@given(logits)
def test_kl_is_nought_where_both_agree_and_never_below(teacher):
    assert abs(float(distillation.kl(2.0)(teacher, teacher))) < 1e-5
    assert float(distillation.kl(2.0)(teacher, teacher[::-1].copy())) > -1e-5


@pytest.mark.parametrize("temperature", [1.0, 3.0, 10.0])
def test_gradient_of_a_logit_is_temperature_times_the_difference(temperature):
    random = np.random.default_rng(0)
    teacher, student = random.normal(size=(2, 1, 6)).astype(np.float32)
    expected = temperature * (softmax(student / temperature) - softmax(teacher / temperature))
    np.testing.assert_allclose(slope(distillation.cross_entropy(temperature), teacher, student), expected, atol=1e-5)


def test_squared_error_says_nothing_to_a_student_that_is_surely_wrong_and_kl_does():
    teacher, student = np.array([[12.0, 0, 0]], np.float32), np.array([[0, 12.0, 0]], np.float32)
    quiet, loud = (np.abs(slope(loss, teacher, student)).max() for loss in (distillation.squared_error, distillation.kl()))
    assert quiet < 1e-4 < 0.9 < loud


def test_label_smoothing_is_cross_entropy_with_spread_labels():
    random = np.random.default_rng(1)
    student, labels = random.normal(size=(2, 4, 7)).astype(np.float32), random.integers(0, 7, (2, 4))
    spread = 0.9 * np.eye(7)[labels] + 0.1 / 7
    expected = -(spread * np.log(softmax(student))).sum(-1).mean()
    np.testing.assert_allclose(distillation.label_smoothing(0.1)(labels, student), expected, rtol=1e-5)


def test_both_mixes_teacher_and_labels():
    random = np.random.default_rng(2)
    teacher, student = random.normal(size=(2, 4, 7)).astype(np.float32)
    labels = random.integers(0, 7, 4)
    hard = -np.log(softmax(student)[np.arange(4), labels]).mean()
    mixed = distillation.both(distillation.kl(), soft=0.25)((labels, teacher), student)
    np.testing.assert_allclose(mixed, 0.25 * distillation.kl()(teacher, student) + 0.75 * hard, rtol=1e-5)


def test_kept_answers_stand_for_the_teacher():
    random = np.random.default_rng(3)
    said = [(3 * random.normal(size=(2, 4, 40))).astype(np.float32) for _ in range(2)]
    batches = [(np.full((2, 4), step), np.zeros((2, 4), int)) for step in range(2)]
    lessons = distillation.Lessons(lambda inputs: said[inputs[0, 0]], lambda step: batches[step], 2, kept=10)
    for step in (0, 1, 2):
        inputs, (_, answers) = lessons(step)
        assert inputs[0, 0] == step % 2
        true, kept = softmax(said[step % 2]), softmax(answers)
        np.testing.assert_allclose(np.exp(answers).sum(-1), 1, atol=2e-3)
        best = np.argsort(true, -1)[..., -10:]
        np.testing.assert_allclose(np.take_along_axis(kept, best, -1), np.take_along_axis(true, best, -1), rtol=5e-3, atol=1e-4)
    assert lessons.nbytes == 2 * 2 * 4 * 10 * 4


def test_nonsense_is_refused():
    for call in (lambda: distillation.soften([1.0], 0), lambda: distillation.kl(-1), lambda: distillation.label_smoothing(2),
                 lambda: distillation.both(distillation.kl(), 1.5)):
        with pytest.raises(ValueError, match="must be"):
            call()
    with pytest.raises(ValueError, match="at most the 4 classes"):
        distillation.Lessons(lambda inputs: np.zeros((1, 1, 4), np.float32), lambda step: (np.zeros((1, 1)), 0), 1, kept=9)
