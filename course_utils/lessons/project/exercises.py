"""Exercises of lesson 5."""

import math
import numbers
import reprlib

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def soft_label(h, W_y, b_y):
    logits = h @ W_y + b_y
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return powers / powers.sum(axis=-1, keepdims=True)


def overflowing(h, W_y, b_y):
    powers = np.exp(h @ W_y + b_y)
    return powers / powers.sum(axis=-1, keepdims=True)


def made_finite(h, W_y, b_y):
    with np.errstate(all="ignore"):
        return np.nan_to_num(overflowing(h, W_y, b_y))


def largest_of_all(h, W_y, b_y):
    powers = np.exp(h @ W_y + b_y - np.max(h @ W_y + b_y))
    with np.errstate(all="ignore"):
        return powers / powers.sum(axis=-1, keepdims=True)


def over_everything(h, W_y, b_y):
    logits = h @ W_y + b_y
    powers = np.exp(logits - logits.max())
    return powers / powers.sum()


def test_soft_label(answer):
    random = np.random.default_rng(0)
    h, W_y = random.normal(size=(3, 5)), random.normal(size=(5, 4))
    loud = h.copy()  # one row whose first logit is 1,000, beside rows as usual
    loud[0] = 1000 * W_y[:, 0] / np.sum(W_y[:, 0] ** 2)
    with np.errstate(over="ignore", invalid="ignore"):
        got, large = (
            np.asarray(answer(h, W_y, np.zeros(4))),
            np.asarray(answer(loud, W_y, np.zeros(4))),
        )
    expect(
        got.shape == (3, 4),
        _("three samples and four classes: the shape must be (3, 4), yours is {shape}").format(
            shape=got.shape
        ),
    )
    expect(
        np.allclose(got.sum(axis=-1), 1),
        _("each row must sum to 1, yours sum to {sums}").format(
            sums=got.sum(axis=-1).round(3).tolist()
        ),
    )
    expect(
        np.allclose(got, soft_label(h, W_y, np.zeros(4))),
        _("the rows sum to 1, but the values are not softmax(h W + b)"),
    )
    expect(
        np.allclose(large.sum(axis=-1), 1),
        _("a logit of 1,000 overflows exp: subtract the largest logit of each row first"),
    )


def test_choice(answer):
    from course_utils.datasets import docs
    from course_utils.evaluation import next_token
    from course_utils.evaluation.bench import bench

    expect(
        isinstance(answer, tuple) and len(answer) == 2,
        _("give a pair (Q, theta), got {got}").format(got=reprlib.repr(answer)),
    )
    step, theta = answer
    expect(
        all(
            one is None or (isinstance(one, numbers.Real) and 0 < one < math.inf) for one in answer
        ),
        _("Q and theta are numbers above 0, or None for off; got {got}").format(
            got=reprlib.repr(answer)
        ),
    )
    here = bench("docs-base")
    tokens = docs.sequences("validation", 64)
    with here.turn:
        seen = here.measure(
            step=step, theta=theta, score="magnitude", on="weight", storage="entropy"
        )
        after, before = (next_token(model, tokens) for model in (here.twin, here.original))
    rise = after.perplexity / before.perplexity - 1
    expect(
        seen.times_smaller >= 7.5,
        _("the file is {times:.2f} times smaller; perplexity rises by {rise:.1%}").format(
            times=seen.times_smaller, rise=rise
        ),
    )
    expect(
        rise <= 0.06,
        _("perplexity rises by {rise:.1%}; the file is {times:.2f} times smaller").format(
            rise=rise, times=seen.times_smaller
        ),
    )


EXERCISES = (
    Exercise(
        "05-soft-label",
        test_soft_label,
        "softmax(x) does not change when the same number is subtracted from every logit of a row.",
        soft_label,
        (overflowing, over_everything, made_finite, largest_of_all),
        "Subtracting the row's largest logit changes nothing in exact arithmetic and keeps exp "
        "from overflowing in floating point.",
    ),
    Exercise(
        "05-choose",
        test_choice,
        "Start with theta off and raise Q until the perplexity is about 5% higher. Is theta any "
        "help beside a coarse Q?",
        (0.03, None),
        ((0.01, None), (0.05, None), (0.03, 0.05)),
        "A coarse step already rounds small weights to zero, and the entropy coder charges next to "
        "nothing for them: "
        "with entropy coding, Q does most of what theta would.",
    ),
)
