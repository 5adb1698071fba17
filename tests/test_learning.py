"""Training by hand: against TensorFlow's gradients, Keras's AdamW and schedule, and known
floors."""

import random

import numpy as np
import pytest

from course_utils import learning
from course_utils.backend import keras, tf
from course_utils.datasets import tales
from course_utils.datasets.tales import tasks
from course_utils.experiments import training
from course_utils.lessons.training.explorers import (
    HIGHEST,
    curve_chart,
    descent,
    line,
    show_descent,
)

rng = np.random.default_rng(0)


def test_loss_and_slopes_are_those_of_tensorflow():
    weights = learning.pair_model(50, width=6, seed=3)
    inputs, targets = rng.integers(0, 50, (2, 70))
    loss, ours = learning.slopes(weights, inputs, targets)
    variables = {name: tf.Variable(value) for name, value in weights.items()}
    with tf.GradientTape() as tape:
        logits = tf.gather(variables["embedding"], inputs) @ variables["head"]
        theirs = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits))
    assert loss == pytest.approx(float(theirs), rel=1e-5)
    for name, slope in tape.gradient(theirs, variables).items():
        np.testing.assert_allclose(ours[name], tf.convert_to_tensor(slope).numpy(), atol=1e-6)


def test_large_scores_do_not_overflow():
    loss, gradient = learning.cross_entropy(
        np.array([[1000.0, 0.0], [0.0, 1000.0]]), np.array([0, 0])
    )
    assert (
        loss == pytest.approx(500)
        and np.isfinite(gradient).all()
        and gradient.sum() == pytest.approx(0)
    )


def test_adamw_is_that_of_keras():
    ours, moments = {"w": rng.normal(size=(4, 3)).astype(np.float32)}, {}
    variable, optimizer = (
        keras.Variable(ours["w"]),
        keras.optimizers.AdamW(0.03, weight_decay=0.05, beta_2=0.98),
    )
    for step in range(20):
        slope = rng.normal(size=(4, 3)).astype(np.float32) * 10.0 ** rng.integers(-4, 3)
        learning.adamw(ours, {"w": slope}, moments, step, rate=0.03)
        optimizer.apply([tf.constant(slope)], [variable])
    np.testing.assert_allclose(ours["w"], np.asarray(variable), rtol=1e-4, atol=1e-6)
    assert ours["w"].dtype == np.float32


def test_the_schedule_is_that_of_the_shipped_models():
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, 1000 - 200, warmup_target=3e-3, warmup_steps=200
    )
    for step in (0, 1, 100, 199, 200, 201, 600, 999, 1000):
        assert learning.warm_up_then_cosine(step, 1000, 3e-3, 200) == pytest.approx(
            float(rate(step)), abs=1e-8
        )


def test_learning_beats_word_frequencies_and_not_the_floor():
    losses = learning.learn(line(), len(tales.vocabulary()), rate=0.05)
    counts = np.bincount(line()[1:], minlength=len(tales.vocabulary())) / (len(line()) - 1)
    frequencies = -(counts[counts > 0] * np.log(counts[counts > 0])).sum()
    assert losses[0] == pytest.approx(np.log(689), abs=0.2)
    assert learning.pair_floor(line(), 689) < losses[-10:].mean() < frequencies - 1
    assert np.array_equal(
        losses, learning.learn(line(), len(tales.vocabulary()), rate=0.05)
    )  # the same seed, the same run


def test_a_schedule_forgives_a_rate_that_is_too_high():
    constant, scheduled = (
        descent(3.0, "adamw", schedule).reached for schedule in learning.SCHEDULES
    )
    assert scheduled < constant - 1
    assert not descent(100.0, "sgd", "constant").reached < 100  # lost, without a warning


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rate": 0}, "rate must be a number > 0"),
        ({"rate": -1}, "rate must be"),
        ({"steps": 0}, "steps must be a whole number"),
        ({"optimizer": "adam"}, "unknown optimizer 'adam'; choose from: sgd, adamw"),
        ({"schedule": "linear"}, "unknown schedule 'linear'"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_arguments_are_checked(arguments, says):
    with pytest.raises(ValueError, match=says):
        learning.learn(line(), 689, **arguments)


def test_a_loss_that_left_the_page_is_said_in_words():
    lost = show_descent(descent(100.0, "sgd", "constant"))
    assert "not a number" in lost[0] or "over 1000" in lost[0]
    drawn = lost[1].marks[0].y
    assert np.isnan(drawn).any() and np.nanmax(drawn) <= HIGHEST


def test_answers_only_counts_no_prompt_and_no_story():
    inputs, _, weights = training.answers_only(seed=0, step=1)
    _, _, rehearsed = training.instructions(0, 1)
    stories = inputs[:, 0] == tales.encode(["<story>"])[0]
    assert stories.any() and not weights[stories].any() and (rehearsed[stories] > 0).any()
    assert weights.mean() == pytest.approx(1, rel=1e-5) and ((weights > 0) <= (rehearsed > 0)).all()
    assert (weights > 0).sum() < (rehearsed > 0).sum() / 2


def test_the_floor_of_the_exercises_is_that_of_their_dice():
    _, _, weights = training.instructions(4, 0, "validation", 40)
    total = 0.0
    for i in range(40):  # drawn as `instruction_batch` draws them
        dice, one = random.Random(f"task validation 4 {i}"), tales.story("validation", i, 4)
        name, nats = dice.choices(tales.TASKS, tasks.SHARES)[0], -one.log_probability
        if name == "question":
            kinds = [pairs for pairs in (kind(one) for kind in tasks.QUESTIONS) if pairs]
            first = dice.random()
            nats += np.log(len(kinds)) + np.log(len(kinds[int(first * len(kinds))]))
        total += weights[i, 1] * nats
    assert training.instruction_floor(40, 4) == pytest.approx(total / weights.sum())
    assert training.instruction_floor() < 0.5 < tales.entropy_floor("validation", "english")[0]


def test_curves_show_the_floor():
    record = {
        "curve": [{"step": s, "train_loss": 2 / s, "validation_loss": 2.1 / s} for s in (1, 2, 3)]
    }
    chart = curve_chart(record, 0.5, "t")
    assert chart.marks[-1].y == [0.5, 0.5] and "0.500" in chart.description


# --- sizes and seeds -----------------------------------------------------------------------------


def test_sizes_and_seeds_of_every_type_train_the_same():
    line = np.arange(200) % 7
    plain = learning.learn(line, 7, steps=3, rows=200, seed=3)
    for kind in (np.uint8, np.int64, float):
        same = learning.learn(line, kind(7), steps=kind(3), rows=kind(200), seed=kind(3))
        np.testing.assert_array_equal(same, plain)


@pytest.mark.parametrize("bad", [-1, 1.5, np.inf, np.nan, 4j, "3", None, [3]])
def test_sizes_and_seeds_that_are_none_are_named(bad):
    line = np.arange(20) % 7
    for name in ("steps", "rows", "seed"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number from "):
            learning.learn(line, 7, **{"steps": 1, name: bad})
    with pytest.raises(ValueError, match="vocabulary must be a whole number from 1"):
        learning.pair_model(bad)
