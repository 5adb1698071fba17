"""Exercises of lesson 08_2."""

import numpy as np

from course_utils import pruning
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _

# --- Wanda's score -------------------------------------------------------------------------------


def wanda_score(weights, inputs):
    return np.abs(weights) * np.sqrt(np.sum(inputs**2, axis=0))[:, None]


def without_inputs(weights, inputs):
    return np.abs(weights)


def signed_inputs(weights, inputs):
    return np.abs(weights) * np.abs(inputs.mean(axis=0))[:, None]


def along_units(weights, inputs):
    return np.abs(weights) * np.linalg.norm(inputs, axis=0)[None, :]


def test_wanda_score(answer):
    random = np.random.default_rng(0)
    weights, inputs = random.normal(size=(4, 4)), random.normal(size=(50, 4))
    got = np.asarray(answer(weights, inputs))
    expect(
        got.shape == weights.shape,
        _("one score a weight: expected shape {expected}, got {shape}").format(
            expected=weights.shape, shape=got.shape
        ),
    )
    loud = inputs * np.array([1, 1, 10, 1])
    expect(
        not np.allclose(answer(weights, loud), got),
        _("an input grew ten times louder and no score changed"),
    )
    expected = pruning.wanda(weights, inputs)
    expect(
        not np.allclose(got, np.abs(weights) * np.linalg.norm(inputs, axis=0)[None, :]),
        _("input i belongs to *row* i of the weights; yours multiplies columns"),
    )
    expect(
        not np.allclose(answer(weights, np.concatenate([inputs, -inputs])), 0),
        _(
            "an input that swings between + and - has a mean of 0 and is loud all the same: square "
            "before you sum"
        ),
    )
    got, expected = got / got.sum(), expected / expected.sum()  # a common factor ranks nothing anew
    expect(
        np.allclose(got, expected),
        _("expected |w| times the L2 norm of the weight's input over the samples"),
    )


# --- 2 of 4 --------------------------------------------------------------------------------------


def keep_two(scores):
    runs = scores.reshape(-1, 4, scores.shape[1])
    ranks = runs.argsort(axis=1).argsort(axis=1)
    return (ranks >= 2).reshape(scores.shape)


def half_of_each_unit(scores):
    return scores >= np.median(scores, axis=0, keepdims=True)


def along_a_row(scores):
    return keep_two(scores.T).T if scores.shape[1] % 4 == 0 else keep_two(scores)


def sorted_places(scores):
    runs = scores.reshape(-1, 4, scores.shape[1])
    return (runs.argsort(axis=1) >= 2).reshape(scores.shape)


def test_two_of_four(answer):
    column = np.array([[0.9], [0.8], [0.7], [0.6], [0.1], [0.2], [0.3], [0.4]])
    got = np.asarray(answer(column))
    expect(
        got.shape == column.shape and got.dtype == bool,
        _("expected booleans of shape {expected}, got {dtype} of shape {shape}").format(
            expected=column.shape, dtype=got.dtype, shape=got.shape
        ),
    )
    expect(got[4:].any(), _("the second run of four lost everything: every run keeps its own two"))
    expect(
        got[:, 0].tolist() == [True, True, False, False, False, False, True, True],
        _(
            "of 0.9 0.8 0.7 0.6 the first two stay, of 0.1 0.2 0.3 0.4 the last two; got {got}"
        ).format(got=got[:, 0].tolist()),
    )
    scores = np.random.default_rng(1).random((16, 8))
    got = np.asarray(answer(scores))
    counts = got.reshape(4, 4, 8).sum(axis=1)
    expect(
        (counts == 2).all(),
        _(
            "a run is four *inputs* of one unit, four scores below one another; some of yours do not "
            "keep two"
        ),
    )
    expect(
        np.array_equal(got, pruning.n_of_m(2, 4)(scores)),
        _(
            "each run keeps two, but not its two highest: argsort says which score stands at a rank, "
            "not which rank a score has"
        ),
    )


# --- bytes of 2:4 --------------------------------------------------------------------------------


def pattern_bytes(weights, bits):
    kept = weights // 2
    return kept * (bits + 2) // 8


def no_places(weights, bits):
    return weights // 2 * bits // 8


def places_of_all(weights, bits):
    return (weights // 2 * bits + 2 * weights) // 8


def test_two_of_four_bytes(answer):
    expect(
        answer(1024, 32) != 2048,
        _("2,048 bytes are the values; where each stands in its four must be stored as well"),
    )
    for bits, expected in ((32, 2176), (4, 384)):
        expect(
            (got := answer(1024, bits)) == expected,
            _(
                "512 weights of {bits} bits and 512 places of 2 bits are {expected:,} bytes, got {got}"
            ).format(bits=bits, expected=expected, got=got),
        )


# --- the cubic schedule --------------------------------------------------------------------------


def schedule(step, steps, final):
    return final * (1 - (1 - min(step / steps, 1)) ** 3)


def straight(step, steps, final):
    return final * min(step / steps, 1)


def slow_start(step, steps, final):
    return final * min(step / steps, 1) ** 3


def runs_on(step, steps, final):
    return final * (1 - (1 - step / steps) ** 3)


def test_schedule(answer):
    expect(abs(answer(0, 100, 0.8)) < 1e-12, _("nothing is removed at step 0"))
    expect(
        abs(answer(100, 100, 0.8) - 0.8) < 1e-12, _("at the last step the share is the final one")
    )
    middle = answer(50, 100, 0.8)
    expect(
        middle > 0.4 + 1e-9,
        _("fast at first: half way, more than half is gone; yours removed {got:.3f} of 0.8").format(
            got=middle
        ),
    )
    expect(
        abs(middle - 0.7) < 1e-9,
        _("half way, 0.8 (1 - 0.5^3) = 0.7, got {got:.3f}").format(got=middle),
    )
    late = answer(150, 100, 0.8)
    expect(
        abs(late - 0.8) < 1e-12,
        _("after the last step it stays: expected 0.8 at step 150 of 100, got {got:.3f}").format(
            got=late
        ),
    )


EXERCISES = (
    Exercise(
        "08-2-wanda",
        test_wanda_score,
        "np.linalg.norm(inputs, axis=0) has one number for each input, and row i of the weights "
        "reads input i: [:, None].",
        wanda_score,
        (without_inputs, signed_inputs, along_units),
        "One pass over some text and one product. No gradient and no training.",
    ),
    Exercise(
        "08-2-two-of-four",
        test_two_of_four,
        "Reshape to (runs, 4, units). argsort twice along the four gives each score its rank; keep "
        "ranks 2 and 3.",
        keep_two,
        (half_of_each_unit, along_a_row, sorted_places),
        "Every four give two, even where all four are strong. That is the factor hardware asks "
        "for, and its price.",
    ),
    Exercise(
        "08-2-bytes",
        test_two_of_four_bytes,
        "Half of the weights stay; each takes its own bits and 2 more, which say at which of four "
        "places it stands.",
        pattern_bytes,
        (no_places, places_of_all),
        "With float32 the places are 1/16 of the values. With 4-bit weights they are half of them: "
        "384 bytes, against "
        "512 for all the weights at 4 bits.",
    ),
    Exercise(
        "08-2-schedule",
        test_schedule,
        "t = min(step / steps, 1) runs from 0 to 1; what is still to be removed shrinks as (1 - t) "
        "** 3.",
        schedule,
        (straight, slow_start, runs_on),
        "Early on many weights are idle and go cheaply; near the end each removal hurts, and "
        "training needs time "
        "between them (Zhu and Gupta, 2017).",
    ),
)
