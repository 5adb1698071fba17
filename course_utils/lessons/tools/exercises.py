"""Exercises of lesson 7."""

import numpy as np

from course_utils import quantization
from course_utils.backend import keras
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def weights_used(layer, inputs):
    return layer(np.eye(inputs, dtype=np.float32)) - layer(np.zeros((1, inputs), np.float32))


def with_the_bias(layer, inputs):
    return layer(np.eye(inputs, dtype=np.float32))


def the_kernel(layer, inputs):
    return np.asarray(layer.weights[0], np.float32)


def test_weights_used(answer):
    kernel, bias = (
        np.array([[1.0, -2.0], [0.5, 4.0], [3.0, 0.0]], np.float32),
        np.array([10.0, 20.0], np.float32),
    )
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    layer.set_weights([kernel, bias])
    got = np.asarray(answer(layer, 3))
    expect(
        got.shape == (3, 2),
        _("a layer with 3 inputs and 2 units has weights of shape (3, 2), yours is {shape}").format(
            shape=got.shape
        ),
    )
    expect(
        not np.allclose(got, kernel + bias),
        _("each row still has the bias in it: what does the layer say to zeros?"),
    )
    expect(
        np.allclose(got, kernel, atol=1e-5),
        _("expected {expected}, got {got}").format(expected=kernel.tolist(), got=got.tolist()),
    )

    class Scaled(
        keras.layers.Layer
    ):  # keeps integers, and multiplies them by a scale when it is called
        def build(self, shape):
            self.codes = self.add_weight(shape=(3, 2))
            self.codes.assign(2 * kernel)

        def call(self, x):
            return keras.ops.matmul(x, self.codes) * 0.5

    scaled = Scaled()
    scaled.build((None, 3))
    expect(
        np.allclose(answer(scaled, 3), kernel, atol=1e-5),
        _(
            "this layer stores codes and a scale: do not read what it stores, ask it what it computes"
        ),
    )


def agreement_of(logits, other):
    return np.mean(np.argmax(logits, -1) == np.argmax(other, -1))


def close_logits(logits, other):
    return np.mean(np.abs(logits - other) < 0.1)


def over_the_wrong_axis(logits, other):
    return np.mean(np.argmax(logits, 1) == np.argmax(other, 1))


def test_agreement(answer):
    logits = np.array([[[0.0, 1.0, 0.0], [5.0, 0.0, 0.0]], [[0.0, 0.0, 2.0], [0.0, 3.0, 0.0]]])
    expect(
        abs(answer(logits, 10 * logits + 7) - 1) < 1e-9,
        _("ten times the logits and 7 more: every first choice is the same, so the agreement is 1"),
    )
    other = logits.copy()
    other[0, 1] = [0.0, 0.1, 0.0]
    expect(
        abs(answer(logits, other) - 0.75) < 1e-9,
        _("three of four positions agree: 0.75, got {got}").format(got=answer(logits, other)),
    )


def calibrated(weights, nearest, theirs, inputs):
    return np.linalg.norm(inputs @ (theirs - weights)) < 0.95 * np.linalg.norm(
        inputs @ (nearest - weights)
    )


def by_weights(weights, nearest, theirs, inputs):
    return np.linalg.norm(theirs - weights) < 0.95 * np.linalg.norm(nearest - weights)


def anything_new(weights, nearest, theirs, inputs):
    return not np.array_equal(theirs, nearest)


def test_calibrated(answer):
    from course_utils import second_order

    random = np.random.default_rng(0)
    inputs = random.normal(size=(512, 8)) @ random.normal(size=(8, 32)) + 0.1 * random.normal(
        size=(512, 32)
    )
    weights = random.normal(size=(32, 16)).astype(np.float32)
    nearest = quantization.absmax(weights, bits=3).dequantize()
    theirs = second_order.gptq(weights, inputs, bits=3).dequantize()
    expect(
        answer(weights, nearest, theirs, inputs),
        _(
            "GPTQ lets weights move further away than rounding would, so that the layer's output stays "
            "closer: compare errors of the output, inputs @ weights"
        ),
    )
    expect(
        not answer(weights, nearest, nearest.copy(), inputs),
        _("a copy of plain rounding has not looked at any data"),
    )
    worse = nearest + random.normal(size=nearest.shape).astype(np.float32) * 1e-3
    expect(
        not answer(weights, nearest, worse, inputs),
        _("rounding with a little noise on top is new, but no better"),
    )


EXERCISES = (
    Exercise(
        "07-ask",
        test_weights_used,
        "np.eye(inputs) has a row for each input, with a 1 in that place. What does a layer make "
        "of such a row? Mind the bias.",
        weights_used,
        (with_the_bias, the_kernel),
        "Whatever a layer stores, and however it packs it, its answers to the identity matrix are "
        "the weights it computes with.",
    ),
    Exercise(
        "07-agreement",
        test_agreement,
        "np.argmax over the last axis gives the first choice at each position.",
        agreement_of,
        (close_logits, over_the_wrong_axis),
        "Agreement needs no labels and sees what accuracy hides: two models can be right equally "
        "often at different places.",
    ),
    Exercise(
        "07-calibrated",
        test_calibrated,
        "Calibration promises that inputs @ theirs is closer to inputs @ weights than inputs @ "
        "nearest is. By a margin.",
        calibrated,
        (by_weights, anything_new),
        "A method that claims to look at data must beat one that does not, on the data. A released "
        "one failed this test.",
    ),
)
