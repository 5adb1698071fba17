"""Exercises of lesson 4."""

import functools

import numpy as np

from course_utils import document
from course_utils.checks import read_only
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


def levels(values, count):
    values = np.sort(values, axis=None)
    found = np.quantile(values, (np.arange(count) + 0.5) / count)
    for turn in range(100):
        ends = np.searchsorted(values, (found[1:] + found[:-1]) / 2)
        parts = np.split(values, ends)
        found = np.array([part.mean() if part.size else old for part, old in zip(parts, found)])
    return found


def even(values, count):
    most = np.abs(values).max()
    return most * ((2 * np.arange(count) + 1) / count - 1)


def quantiles(values, count):
    return np.quantile(values, (np.arange(count) + 0.5) / count)


def well_clipped(values, count):
    tried = [share * even(values, count) for share in np.linspace(0.1, 1, 46)]
    return min(tried, key=lambda found: squared_error(values, found))


def nearest(values, levels):
    """Returns the level next to each value."""
    levels = np.sort(np.asarray(levels, float).ravel())
    return levels[np.searchsorted((levels[1:] + levels[:-1]) / 2, values)]


def squared_error(values, levels):
    return float(np.mean(np.square(nearest(values, levels) - values)))


@functools.cache
def three_bits():
    """`docs-tiny` to write into, its matrices by path as they were, and text to read."""
    from course_utils import models
    from course_utils.datasets import docs

    model = models.load("docs-tiny")
    matrices = {
        weight.path: read_only(weight.numpy())
        for weight in model.trainable_variables
        if "kernel" in weight.path
    }
    return model, matrices, docs.sequences("validation", 16)


def perplexity_with(answer):
    """The perplexity of `docs-tiny` when each of its matrices has 8 levels, those of an answer."""
    from course_utils import evaluation

    model, matrices, tokens = three_bits()
    for weight in model.trainable_variables:
        if weight.path in matrices:
            value = matrices[weight.path]
            weight.assign(nearest(value, answer(value.ravel().copy(), 8)).astype(np.float32))
    return evaluation.next_token(lambda x: model(x), tokens).perplexity


@functools.cache
def perplexity_well_clipped():
    return perplexity_with(well_clipped)


def test_levels(answer):
    got = np.asarray(answer(np.array([0.0, 10, 0, 10, 0, 0.3]), 2))
    expect(
        got.shape == (2,) and got.dtype.kind in "iuf",
        _("for count = 2 the answer is 2 numbers, shape (2,); yours has shape {shape}").format(
            shape=got.shape
        ),
    )
    expect(
        np.allclose(np.sort(got), [0.075, 10]),
        _(
            "the values 0, 10, 0, 10, 0 and 0.3 fall into two heaps, with means 0.075 and 10; your "
            "levels are {got}"
        ).format(got=np.sort(got).round(3).tolist()),
    )
    values = np.random.default_rng(24).normal(0, 1, 100_000)
    error = squared_error(values, answer(values.copy(), 16))
    expect(
        error < 0.0100,
        _(
            "for a Gaussian and 16 levels your error is {error:.5f}. Even levels with the best clip "
            "have 0.01154, the best levels of all 0.00950 (Max, 1960); to reach: 0.0100"
        ).format(error=error),
    )
    reached, clipped = perplexity_with(answer), perplexity_well_clipped()
    expect(
        reached < 0.97 * clipped,
        _(
            "docs-tiny with 8 levels a matrix has perplexity {reached:.1f} with yours, {clipped:.1f} "
            "with even ones and the best clip; to reach: {wanted:.1f}"
        ).format(reached=reached, clipped=clipped, wanted=0.97 * clipped),
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
    Exercise(
        "04-levels",
        test_levels,
        (
            "Two facts, in turn. Given the levels, each value belongs to the nearest one. Given which "
            "values belong to a level, which number has the least squared distance from them?",
            "Their mean. So: begin with any levels, such as quantiles of the values; assign; replace "
            "each level by the mean of its values; again. No round can make the error larger.",
            "With sorted values it is fast: the borders lie half-way between neighbouring levels, "
            "np.searchsorted finds where they cut the values, np.split cuts. A level with no values "
            "stays where it is. Some dozens of rounds are enough.",
        ),
        levels,
        (even, quantiles, well_clipped),
        "This is Lloyd's and Max's quantizer, k-means in one dimension. Even levels need only a step "
        "to be stored and let integers be multiplied; free levels need a table, and their codes mean "
        "nothing by themselves. 08_1 puts such codebooks to work.",
    ),
)
