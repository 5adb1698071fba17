"""Exercises of lesson 08_4."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _

# --- rows that are filled again ------------------------------------------------------------------


def continuous_steps(lengths, rows):
    free = [0] * rows  # when each row is free again
    for length in lengths:
        row = free.index(min(free))
        free[row] += length
    return max(free)


def static_steps(lengths, rows):
    return sum(max(lengths[i : i + rows]) for i in range(0, len(lengths), rows))


def never_idle(lengths, rows):
    return -(-sum(lengths) // rows)


def dealt_in_turn(lengths, rows):
    return max(sum(lengths[row::rows]) for row in range(rows))


def test_continuous_steps(answer):
    got = answer([8, 1, 1, 1], 2)
    expect(
        got != 9,
        _("9 is static batching: the second text leaves after one step, and its row is free"),
    )
    expect(
        got == 8,
        _(
            "while one row writes 8 tokens, the other writes the three short texts: 8, got {got}"
        ).format(got=got),
    )
    got = answer([5, 5, 5], 2)
    expect(
        got == 10,
        _(
            "a text keeps its row: the third one begins after 5 steps and ends after 10, got {got}"
        ).format(got=got),
    )
    got = answer([4, 1, 1, 4], 2)
    expect(
        got == 6,
        _(
            "the fourth text takes the row that is free first, after 2 steps: 6 in all, got {got}"
        ).format(got=got),
    )
    expect(answer([3, 2], 4) == 3, _("with more rows than texts the longest one decides"))


# --- goodput -------------------------------------------------------------------------------------


def goodput(first, each, first_limit, each_limit, seconds):
    return np.sum((first <= first_limit) & (each <= each_limit)) / seconds


def all_of_them(first, each, first_limit, each_limit, seconds):
    return len(first) / seconds


def either(first, each, first_limit, each_limit, seconds):
    return np.sum((first <= first_limit) | (each <= each_limit)) / seconds


def on_average(first, each, first_limit, each_limit, seconds):
    fine = np.mean(first) <= first_limit and np.mean(each) <= each_limit
    return len(first) / seconds if fine else 0.0


def the_share(first, each, first_limit, each_limit, seconds):
    return np.mean((first <= first_limit) & (each <= each_limit))


def test_goodput(answer):
    first, each = np.array([0.1, 0.2, 0.9, 0.3]), np.array([0.01, 0.05, 0.01, 0.02])
    got = answer(first, each, 0.5, 0.03, 2.0)
    expect(got != 2, _("2 a second is throughput: all four were served, and two of them too late"))
    expect(got != 0.5, _("0.5 is the share that was in time; goodput is how many of them a second"))
    expect(
        got == 1,
        _(
            "the second writes too slowly and the third begins too late: two in 2 seconds are 1 a "
            "second, got {got}"
        ).format(got=got),
    )
    expect(
        answer(np.array([0.5]), np.array([0.03]), 0.5, 0.03, 1.0) == 1,
        _("a time equal to its limit is in time"),
    )


# --- the best that is in time --------------------------------------------------------------------


def pick(milliseconds, losses, budget):
    fits = [i for i, took in enumerate(milliseconds) if took <= budget]
    if not fits:
        return int(np.argmin(milliseconds))
    return min(fits, key=lambda i: losses[i])


def fastest(milliseconds, losses, budget):
    return int(np.argmin(milliseconds))


def best(milliseconds, losses, budget):
    return int(np.argmin(losses))


def slowest_in_time(milliseconds, losses, budget):
    fits = [i for i, took in enumerate(milliseconds) if took <= budget]
    return max(fits, key=lambda i: milliseconds[i]) if fits else int(np.argmin(milliseconds))


def test_pick(answer):
    milliseconds, losses = [2.0, 1.0, 0.5, 0.8], [1.9, 2.1, 2.6, 2.0]
    got = answer(milliseconds, losses, 3.0)
    expect(
        got == 0, _("all four keep 3 ms, and the first is the best: 0, got {got}").format(got=got)
    )
    got = answer(milliseconds, losses, 1.5)
    expect(
        got == 3,
        _(
            "of those that keep 1.5 ms the last has the lowest loss, though another takes longer: 3, "
            "got {got}"
        ).format(got=got),
    )
    got = answer(milliseconds, losses, 0.1)
    expect(got == 2, _("nobody keeps 0.1 ms: the fastest writes, 2, got {got}").format(got=got))


EXERCISES = (
    Exercise(
        "08-4-rows",
        test_continuous_steps,
        "Keep for each row the step at which it is free again. Who comes next takes the earliest.",
        continuous_steps,
        (static_steps, never_idle, dealt_in_turn),
        "The gain is as large as lengths differ. With texts of one length both ways take equally "
        "long.",
    ),
    Exercise(
        "08-4-goodput",
        test_goodput,
        "Make an array of True and False, one for each request: in time by both limits? Then count.",
        goodput,
        (all_of_them, either, on_average, the_share),
        "An average hides the ones that waited. A benchmark that reports tokens a second and no "
        "limit reports how busy the machine was.",
    ),
    Exercise(
        "08-4-pick",
        test_pick,
        "First those that keep the budget, then the lowest loss among them. And if there are none?",
        pick,
        (fastest, best, slowest_in_time),
        "Slower is not better by itself: a variant may be slow and wrong. And a budget that nobody "
        "can keep needs an answer, too: the fastest, and a word that it was late.",
    ),
)
