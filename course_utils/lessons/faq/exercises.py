"""Exercises of lesson 9."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def times_smaller(quantized, untouched, bits, group_size):
    before = 4 * (quantized + untouched)
    after = quantized * bits / 8 + 2 * quantized / group_size + 4 * untouched
    return before / after


def by_bits(quantized, untouched, bits, group_size):
    return 32 / bits


def without_scales(quantized, untouched, bits, group_size):
    return 4 * (quantized + untouched) / (quantized * bits / 8 + 4 * untouched)


def without_untouched(quantized, untouched, bits, group_size):
    return 32 / (bits + 16 / group_size)


def test_times_smaller(answer):
    got = answer(1024, 0, 4, 32)
    expect(got != 8, _("32 / 4 = 8 forgets the scales: every 32 weights bring a float16"))
    expect(
        abs(got - 64 / 9) < 1e-9,
        _("1,024 weights are 4,096 bytes before and 512 + 64 after: 7.11 times, got {got}").format(
            got=got
        ),
    )
    got = answer(9000, 1000, 4, 50)
    expect(
        abs(got - 40000 / 8860) < 1e-9,
        _(
            "9,000 weights at 4 bits in groups of 50 and 1,000 left as float32: 40,000 bytes against "
            "4,500 + 360 + 4,000, which is 4.51 times, got {got:.2f}"
        ).format(got=got),
    )


def choose(candidates, limit):
    allowed = [one for one in candidates if one[1] <= limit]
    share, _, test = max(allowed)
    return share, test


def by_the_test_set(candidates, limit):
    share, _, test = max(one for one in candidates if one[2] <= limit)
    return share, test


def gentlest(candidates, limit):
    share, _, test = min(candidates, key=lambda one: one[1])
    return share, test


def validation_reported(candidates, limit):
    share, validation, _ = max(one for one in candidates if one[1] <= limit)
    return share, validation


def test_choose(answer):
    candidates = [(0.2, 0.03, 0.02), (0.4, 0.20, 0.09), (0.1, 0.01, 0.04), (0.3, 0.08, 0.11)]
    got = answer(candidates, 0.1)
    expect(
        tuple(got) != (0.4, 0.09),
        _("0.4 passes on the test set only: the test set must not take part in the choice"),
    )
    expect(
        tuple(got) != (0.3, 0.08),
        _("0.08 is what validation gave; a choice made there is reported on the test set"),
    )
    expect(
        tuple(got) == (0.3, 0.11),
        _(
            "0.3 is the largest share whose validation rise is at most 0.1, and its test rise is 0.11: "
            "expected (0.3, 0.11), got {got}. That it ended above the limit is the honest result"
        ).format(got=got),
    )


def paired_interval(right_before, right_after):
    change = np.asarray(right_after, float) - np.asarray(right_before, float)
    half = 1.96 * change.std(ddof=1) / np.sqrt(len(change))
    return change.mean() - half, change.mean() + half


def two_groups(right_before, right_after):
    before, after = np.asarray(right_before, float), np.asarray(right_after, float)
    half = 1.96 * np.sqrt(before.var(ddof=1) / len(before) + after.var(ddof=1) / len(after))
    return after.mean() - before.mean() - half, after.mean() - before.mean() + half


def spread_of_one(right_before, right_after):
    change = np.asarray(right_after, float) - np.asarray(right_before, float)
    return change.mean() - 1.96 * change.std(ddof=1), change.mean() + 1.96 * change.std(ddof=1)


def test_paired_interval(answer):
    before = np.arange(1000) < 900
    after = before.copy()
    after[:2], after[900:912] = False, True  # breaks 2, mends 12
    low, high = answer(before, after)
    middle = (low + high) / 2
    expect(
        abs(middle - 0.01) < 1e-6,
        _(
            "2 broken and 12 mended of 1,000 is a change of +0.010; the middle of yours is "
            "{middle:+.3f}"
        ).format(middle=middle),
    )
    expect(
        high - low < 0.1,
        _("this is the spread of a single example: a mean of n examples has it over sqrt(n)"),
    )
    expect(
        high - low < 0.02,
        _(
            "yours is {width:.4f} wide, as for two groups of different examples; the examples are the "
            "same: take the difference for each of them first"
        ).format(width=high - low),
    )
    expect(
        abs(high - low - 0.01462) < 2e-4,
        _("the interval should be 0.0146 wide, yours is {width:.4f}").format(width=high - low),
    )


EXERCISES = (
    Exercise(
        "09-times-smaller",
        test_times_smaller,
        "Bytes before: 4 for each weight. Bytes after: the codes, a float16 for each group, and 4 "
        "for each untouched weight.",
        times_smaller,
        (by_bits, without_scales, without_untouched),
        "What is left alone sets a limit, as in Amdahl's law for time: with one weight in ten "
        "untouched a file cannot "
        "become ten times smaller, however few bits the others get.",
    ),
    Exercise(
        "09-choose",
        test_choose,
        "Look at the validation column alone to find the share; only then read the test column of "
        "that one row.",
        choose,
        (by_the_test_set, gentlest, validation_reported),
        "The test set answers one question once. Choose on it, and it tells you about your "
        "choosing, not about new text.",
    ),
    Exercise(
        "09-paired",
        test_paired_interval,
        "For each example the change is -1, 0 or +1. You want the 95% interval of the mean of "
        "these changes.",
        paired_interval,
        (two_groups, spread_of_one),
        "Both models were asked the same questions, so what makes a question hard falls out of the "
        "difference. "
        "The interval becomes much narrower than that of two separate groups.",
    ),
)
