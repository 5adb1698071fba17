"""Exercises of lesson 4."""

import numpy as np

from course_utils import document
from course_utils.document.code import softmax
from course_utils.lesson.exercise import Exercise, expect
from course_utils.lessons.mathematics import explorers as mathematics
from course_utils.text import _


def rounding_error(weights, Q):
    error = document.quantize(weights, Q) - weights
    return np.mean(error**2) / (Q**2 / 12)


def ratio_of_roots(weights, Q):
    return np.sqrt(rounding_error(weights, Q))


def not_over_theory(weights, Q):
    return np.mean((document.quantize(weights, Q) - weights) ** 2)


def test_rounding_error(answer):
    even = np.linspace(-1, 1, 20001)
    got = answer(even, 0.1)
    expect(
        abs(got - 1) < 0.02,
        _(
            "weights spread evenly and Q = 0.1: theory holds, the ratio is 1; you found {got:.4g}"
        ).format(got=got),
    )
    got = answer(np.full(4, 0.1), 1.0)
    expect(
        abs(got - 0.12) < 1e-9,
        _(
            "four weights of 0.1 and Q = 1 all round to 0: the error is 0.01 each, over 1/12 that "
            "makes 0.12; you found {got:.4g}"
        ).format(got=got),
    )
    expect(
        answer(np.array([0.25, 0.5, -0.75]), 0.25) == 0,
        _("weights that already lie on the levels make no error at all"),
    )


def clip_for(weights, bits):
    clips = np.linspace(0.02, 1, 200) * np.abs(weights).max()
    errors = [
        np.mean((mathematics.clip_and_round(weights, clip, bits) - weights) ** 2) for clip in clips
    ]
    return clips[np.argmin(errors)]


def error_of(clip, weights, bits):
    return np.mean((mathematics.clip_and_round(weights, clip, bits) - weights) ** 2)


def largest(weights, bits):
    return np.abs(weights).max()


def three_sigma(weights, bits):
    return 3 * np.std(weights)


def test_clip_for(answer):
    random = np.random.default_rng(4)
    draws = (
        (_("Gaussian weights"), random.normal(0, 0.1, 4000)),
        (_("Laplace weights"), random.laplace(0, 0.1, 4000)),
        (_("uniform weights"), random.uniform(-1, 1, 4000)),
    )
    for kind, weights in draws:
        for bits in (2, 4, 6):
            ours, yours = (
                error_of(rule(weights, bits), weights, bits) for rule in (clip_for, answer)
            )
            expect(
                yours < 1.05 * ours,
                _(
                    "{weights}, {bits} bits: your clip makes an error {times:.2f} times the smallest "
                    "one"
                ).format(weights=kind, bits=bits, times=yours / ours),
            )


def temperature_gradient(z, v, T):
    return T * (softmax(z / T) - softmax(v / T))


def without_the_square(z, v, T):
    return (softmax(z / T) - softmax(v / T)) / T


def only_the_difference(z, v, T):
    return softmax(z / T) - softmax(v / T)


def uphill(z, v, T):
    return T * (softmax(v / T) - softmax(z / T))


def test_temperature_gradient(answer):
    z, v = np.array([2.0, -1.0, 0.5]), np.array([-1.0, 3.0, 0.0])

    def loss(z, T):
        return -(T**2) * np.sum(softmax(v / T) * np.log(softmax(z / T)))

    for T in (1.0, 2.0, 5.0):
        wanted = np.array([(loss(z + h, T) - loss(z - h, T)) / 2e-5 for h in 1e-5 * np.eye(3)])
        got = np.asarray(answer(z, v, T), float)
        expect(
            got.shape == (3,),
            _("one slope for each of 3 logits: shape (3,), yours has {shape}").format(
                shape=got.shape
            ),
        )
        expect(
            np.abs(got - wanted).max() < 1e-6,
            _(
                "at T = {T:g} the loss changes by {expected} per unit of each logit; you give {got}"
            ).format(T=T, expected=wanted.round(4).tolist(), got=got.round(4).tolist()),
        )


def test_target(answer):
    y = np.asarray(answer, float)
    expect(
        y.shape == (5,),
        _("a target has one share for each of 5 classes, yours has shape {shape}").format(
            shape=y.shape
        ),
    )
    expect(
        y.min() >= 0,
        _("a share is never below 0, your smallest is {smallest:g}").format(smallest=y.min()),
    )
    expect(
        abs(y.sum() - 1) < 1e-6,
        _("the shares of a distribution sum to 1, yours sum to {total:g}").format(total=y.sum()),
    )
    loss = document.squared_error_loss(document.CASES["soft_label"], y)
    expect(
        abs(loss - 0.04) < 5e-4,
        _("the loss against the printed soft label should be 0.04, yours makes {loss:.4f}").format(
            loss=loss
        ),
    )


EXERCISES = (
    Exercise(
        "04-rounding-error",
        test_rounding_error,
        "The error is document.quantize(weights, Q) - weights. Square it, take the mean, divide by "
        "Q**2 / 12.",
        rounding_error,
        (ratio_of_roots, not_over_theory),
        "A ratio of 1 says that the error behaves as if it were evenly spread over one step. It is "
        "the first thing to look "
        "at when a step was chosen by hand.",
    ),
    Exercise(
        "04-clip",
        test_clip_for,
        "Try many clips up to the largest weight, measure the mean squared error of "
        "mathematics.clip_and_round at each, and keep the best.",
        clip_for,
        (largest, three_sigma),
        "No rule such as 'the largest weight' or 'three standard deviations' fits every shape and "
        "every number of bits; a "
        "search over a hundred clips costs next to nothing, and course_utils.quantization.clipped "
        "does just that.",
    ),
    Exercise(
        "04-temperature-gradient",
        test_temperature_gradient,
        "Each logit enters as z / T, which brings a factor 1/T; the loss has a factor T squared in "
        "front.",
        temperature_gradient,
        (without_the_square, only_the_difference, uphill),
        "One T is lost by the chain rule, and the difference p - q shrinks by another. T squared "
        "pays both back.",
    ),
    Exercise(
        "04-target",
        test_target,
        "The five differences to [0.2, 0.4, 0.4, 0.2, 0.2] must have squares that sum to 0.2. "
        "Their own sum is 0.4, because the "
        "printed label sums to 1.4. Take 0.08 off each entry, then move a share d from one entry "
        "to another and solve for d.",
        [0.41, 0.03, 0.32, 0.12, 0.12],
        (
            [0.0, 0.2, 0.2, 0.0, 0.0],
            [0.2] * 5,
            [0.2, 0.4, 0.4, 0.2, 0.2],
            [0.5, 0.5, 0.0, 0.0, 0.0],
        ),
        "You found one, and by moving the share between two other entries you find another. A loss "
        "without its target is "
        "no result: nobody can check it.",
    ),
)
