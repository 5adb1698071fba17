"""Exercises of lesson 8.1."""

import statistics

import numpy as np

from course_utils import second_order
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def spread(w, correlation):
    first = np.rint(w[0])
    return first, np.rint(w[1] + correlation * (w[0] - first))


def each_alone(w, correlation):
    return np.rint(w[0]), np.rint(w[1])


def wrong_way(w, correlation):
    first = np.rint(w[0])
    return first, np.rint(w[1] - correlation * (w[0] - first))


def all_of_it(w, correlation):
    first = np.rint(w[0])
    return first, np.rint(w[1] + (w[0] - first))


def test_spread(answer):
    for w, correlation, right in (
        ((0.4, 0.4), 0.9, (0, 1)),
        ((0.6, 0.6), 0.9, (1, 0)),
        ((0.4, 0.4), 0.1, (0, 0)),
        ((0.4, 0.6), -0.9, (0, 0)),
        ((1.3, 2.3), 1.0, (1, 3)),
    ):
        got = tuple(float(value) for value in answer(np.array(w), correlation))
        expect(
            got == right,
            _(
                "for weights {weights} and a correlation of {correlation} expected {expected}, got "
                "{got}"
            ).format(weights=w, correlation=correlation, expected=right, got=got),
        )


def walk(weights, products):
    weights = weights.astype(float)
    for i in range(len(weights)):
        inverse = np.linalg.inv(products[i:, i:])
        fixed = np.rint(weights[i])
        weights[i:] -= np.outer(inverse[:, 0] / inverse[0, 0], weights[i] - fixed)
        weights[i] = fixed
    return weights


def nobody_moves(weights, products):
    return np.rint(weights)


def one_inverse_for_all(weights, products):
    weights, inverse = weights.astype(float), np.linalg.inv(products)
    for i in range(len(weights)):
        fixed = np.rint(weights[i])
        weights[i:] -= np.outer(inverse[i:, i] / inverse[i, i], weights[i] - fixed)
        weights[i] = fixed
    return weights


def without_the_others(weights, products):
    weights = weights.astype(float)
    for i in range(len(weights)):
        fixed = np.rint(weights[i])
        weights[i:] += np.outer(products[i:, i] / products[i, i], weights[i] - fixed)
        weights[i] = fixed
    return weights


def test_walk(answer):
    for seed in range(3):
        random = np.random.default_rng(seed)
        weights = 2 * random.normal(size=(6, 4))
        inputs = random.normal(size=(40, 3)) @ random.normal(size=(3, 6))
        products = second_order.hessian(inputs + 0.3 * random.normal(size=(40, 6)))
        right = second_order.settle(weights, products, lambda i, rows, factor: np.rint(rows[0]))
        got = np.asarray(answer(weights.copy(), products), float)
        expect(
            got.shape == right.shape,
            _("expected shape {expected}, got {got}").format(expected=right.shape, got=got.shape),
        )
        expect(np.array_equal(got, np.rint(got)), _("what comes back must be whole numbers"))
        differ = np.flatnonzero((got != right).any(axis=1))
        expect(
            not len(differ),
            _("settle and your walk part at row {row}: expected {expected}, got {got}").format(
                row=differ[0] if len(differ) else 0,
                expected=right[differ[:1]].tolist(),
                got=got[differ[:1]].tolist(),
            ),
        )


def calibrated(products):
    return bool(np.any(products - np.diag(np.diag(products))))


def anything_there(products):
    return bool(np.any(products))


def any_difference(products):
    return bool(np.ptp(np.diag(products)) > 0)


def test_calibrated(answer):
    inputs = np.random.default_rng(0).normal(size=(50, 4)) + 1
    expect(
        answer(inputs.T @ inputs / 50),
        _("this one was calibrated: its entries are means of products of inputs"),
    )
    expect(not answer(np.zeros((4, 4))), _("nothing was ever added to a matrix of zeros"))
    expect(
        not answer(1.01 * np.eye(4)),
        _(
            "the rule for silent inputs leaves ones on the diagonal, and damping a hundredth more; "
            "nothing was seen"
        ),
    )
    even = np.array([[1.0, 0.5], [0.5, 1.0]])
    expect(
        answer(even),
        _("an even diagonal is no sign of death: these inputs have a correlation of 0.5"),
    )


def smooth_scale(x, w, alpha):
    return np.abs(x).max() ** alpha / np.abs(w).max() ** (1 - alpha)


def exponents_swapped(x, w, alpha):
    return np.abs(x).max() ** (1 - alpha) / np.abs(w).max() ** alpha


def by_the_mean(x, w, alpha):
    return np.abs(x).mean() ** alpha / np.abs(w).mean() ** (1 - alpha)


def activations_alone(x, w, alpha):
    return np.abs(x).max() ** alpha


def test_smooth_scale(answer):
    x, w = np.array([1.0, -16.0, 2.0]), np.array([0.25, -0.1])
    got = float(answer(x, w, 0.5))
    expect(
        np.isclose(got, 8),
        _("the largest values are 16 and 0.25: at 1/2 that is 4 / 0.5 = 8, got {got:g}").format(
            got=got
        ),
    )
    got = float(answer(x, w, 0.75))
    expect(
        np.isclose(got, 8 * np.sqrt(2)),
        _("at alpha = 0.75 it is 16^0.75 / 0.25^0.25 = 11.31, got {got:.4g}").format(got=got),
    )


def quantile_levels(count):
    import statistics

    middles = (np.arange(count) + 0.5) / count
    levels = np.array([statistics.NormalDist().inv_cdf(p) for p in middles])
    return levels / levels.max()


def evenly_spaced(count):
    return np.linspace(-1, 1, count)


def not_scaled(count):
    return np.array([statistics.NormalDist().inv_cdf((i + 0.5) / count) for i in range(count)])


def test_quantile_levels(answer):
    got = np.asarray(answer(4), float)
    expect(
        got.shape == (4,), _("4 levels were asked for, got shape {shape}").format(shape=got.shape)
    )
    outermost = np.abs(got).max()
    expect(
        np.isclose(outermost, 1),
        _("the outermost level must be 1, yours is {got:.3f}").format(got=outermost),
    )
    right = np.array([-1, -0.277, 0.277, 1])
    expect(
        np.allclose(got, right, atol=0.001),
        _("expected {expected} for 4 levels, got {got}").format(
            expected=right.tolist(), got=got.round(3).tolist()
        ),
    )


EXERCISES = (
    Exercise(
        "08-1-spread",
        test_spread,
        "Round the first weight and look at what was lost, w[0] - first. The second input "
        "resembles the first by the "
        "correlation, so the second weight can carry that share of the loss before it is rounded "
        "itself.",
        spread,
        (each_alone, wrong_way, all_of_it),
        "This is the whole of GPTQ for two inputs of the same size: the error moves to the weights "
        "still free, by as "
        "much as their inputs can stand in. The Cholesky factor does the same for any number of "
        "inputs.",
    ),
    Exercise(
        "08-1-walk",
        test_walk,
        "At step i take the inverse of products[i:, i:], the part that is still free. Its first "
        "column, divided by its first entry, says which share of the loss weights[i] - rounded "
        "each free row gives up.",
        walk,
        (nobody_moves, one_inverse_for_all, without_the_others),
        "This is the Optimal Brain Surgeon in a fixed order: an inverse for each row, a cost that "
        "grows with the fourth power of the inputs. `settle` reads the same shares from one "
        "Cholesky factor.",
    ),
    Exercise(
        "08-1-dead-hessian",
        test_calibrated,
        "The rule for silent inputs writes ones on the diagonal when no data ever came, and damping "
        "adds to them. Which entries of a mean of products x_i x_j can come from data alone?",
        calibrated,
        (anything_there, any_difference),
        "Off the diagonal stand the correlations, the only thing GPTQ knows beyond "
        "round-to-nearest. If all of them are "
        "zero, its result is round-to-nearest, however long it took.",
    ),
    Exercise(
        "08-1-smooth-scale",
        test_smooth_scale,
        "Two largest values, one of the channel and one of the row that reads it; alpha is the "
        "exponent of the first, "
        "1 - alpha of the second.",
        smooth_scale,
        (exponents_swapped, by_the_mean, activations_alone),
        "The channel is divided by this number and the row multiplied. At 1/2 both end up with the "
        "largest value "
        "sqrt(16 * 0.25) = 2: the difficulty is shared evenly.",
    ),
    Exercise(
        "08-1-quantiles",
        test_quantile_levels,
        "Cut the normal distribution into `count` parts of equal probability and take the middle "
        "of each: "
        "statistics.NormalDist().inv_cdf((i + 0.5) / count).",
        quantile_levels,
        (evenly_spaced, not_scaled),
        "Levels stand close where weights are many. NF4 is made so, with one more wish: one of its "
        "levels is exactly 0, and therefore the two sides differ.",
    ),
)
