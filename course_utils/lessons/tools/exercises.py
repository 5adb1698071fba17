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


def calibrated(rule, weights, inputs, other):
    theirs, elsewhere = rule(weights, inputs), rule(weights, other)

    def off(candidate):
        return np.linalg.norm(inputs @ (candidate - weights))

    return off(theirs) < 0.95 * off(elsewhere)


def better_than_nearest(rule, weights, inputs, other):
    from course_utils import quantization

    def off(candidate):
        return np.linalg.norm(inputs @ (candidate - weights))

    return off(rule(weights, inputs)) < 0.95 * off(quantization.absmax(weights, 3).dequantize())


def anything_new(rule, weights, inputs, other):
    from course_utils import quantization

    return not np.array_equal(rule(weights, inputs), quantization.absmax(weights, 3).dequantize())


def other_data_other_weights(rule, weights, inputs, other):
    return not np.array_equal(rule(weights, inputs), rule(weights, other))


def test_calibrated(answer):
    from course_utils import second_order

    random = np.random.default_rng(0)
    inputs, other = (
        random.normal(size=(512, 8)) @ random.normal(size=(8, 32))
        + 0.1 * random.normal(size=(512, 32))
        for _both in range(2)
    )
    weights = random.normal(size=(32, 16)).astype(np.float32)

    def gptq(weights, inputs):
        return second_order.gptq(weights, inputs, bits=3).dequantize()

    def affine(weights, inputs):
        return quantization.affine(weights, bits=3, group_size=8).dequantize()

    def nearest(weights, inputs):
        return quantization.absmax(weights, bits=3).dequantize()

    def noisy(weights, inputs):
        seed = int(np.abs(inputs).sum()) % 1000
        noise = np.random.default_rng(seed).normal(size=weights.shape).astype(np.float32)
        return nearest(weights, inputs) + 1e-3 * noise

    expect(
        answer(gptq, weights, inputs, other),
        _(
            "this is GPTQ: what it makes for `inputs` errs less on them than what it makes for `other`"
        ),
    )
    expect(
        not answer(nearest, weights, inputs, other),
        _("plain rounding never looks at its inputs"),
    )
    expect(
        not answer(affine, weights, inputs, other),
        _(
            "a finer grid with zero points beats rounding to nearest by a third, and has seen no "
            "data: being better is no proof of having looked"
        ),
    )
    expect(
        not answer(noisy, weights, inputs, other),
        _("other data give other weights here, but they are no better for their own data"),
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
        "Let the rule make weights for `inputs` and once more for `other`, and judge both by their "
        "error on `inputs`. By a margin.",
        calibrated,
        (better_than_nearest, anything_new, other_data_other_weights),
        "A better grid is better without data, so beating plain rounding proves nothing. What only "
        "data can do is to fit these data better than other ones. A released method failed this "
        "test.",
    ),
)
