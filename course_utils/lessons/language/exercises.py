"""Exercises of lesson 6.1."""

import numpy as np

from course_utils import evaluation
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def exact_share(written, right):
    return np.mean([mine == true for mine, true in zip(written, right)])


def words_in_place(written, right):
    return np.mean(
        [np.mean([a == b for a, b in zip(mine, true)]) for mine, true in zip(written, right)]
    )


def same_words(written, right):
    return np.mean([sorted(mine) == sorted(true) for mine, true in zip(written, right)])


def beginning_is_enough(written, right):
    return np.mean([all(a == b for a, b in zip(mine, true)) for mine, true in zip(written, right)])


def test_exact_share(answer):
    right = [["anna", "笑", "了"], ["no"], ["at", "the", "lake"], ["tom"]]
    written = [["anna", "笑", "了"], ["no"], ["at", "the", "park"], ["tom", "and", "anna"]]
    got = answer(written, right)
    expect(
        abs(got - np.mean([1, 1, 2 / 3, 1])) > 1e-9,
        _("an answer counts only as a whole: two right words of three are not right"),
    )
    expect(
        abs(got - 0.75) > 1e-9,
        _("'tom and anna' begins like 'tom', and is another answer: the lengths must agree, too"),
    )
    expect(
        abs(got - 0.5) < 1e-9,
        _("two of the four answers are right in every word: 0.5, got {got}").format(got=got),
    )
    expect(
        answer([["a", "gives", "b"]], [["b", "gives", "a"]]) == 0,
        _("the order of the words matters: who gave what to whom?"),
    )


def whole_answer(p, n):
    return p**n


def first_order(p, n):
    return 1 - n * (1 - p)


def one_word(p, n):
    return p


def test_whole_answer(answer):
    expect(answer(0.99, 1) == 0.99, _("an answer of one word is right as often as the word"))
    expect(
        abs(answer(0.9, 40) + 3) > 1e-9,
        _("1 - n (1 - p) falls below zero; the chances that all words are right multiply"),
    )
    expect(
        abs(answer(0.99, 40) - 0.99**40) < 1e-9,
        _("0.99 forty times over is 0.669; got {got}").format(got=answer(0.99, 40)),
    )


def really_better(hits, count, chance):
    interval = evaluation.wilson(hits / count, count)
    return interval[0] > chance


def share_is_enough(hits, count, chance):
    return hits / count > chance


def upper_end(hits, count, chance):
    share = hits / count
    return share + 1.96 * np.sqrt(share * (1 - share) / count) > chance


def test_really_better(answer):
    expect(
        not answer(12, 30, 1 / 3),
        _("12 of 30 is 40%, but its interval reaches from 25% to 58%: a third lies inside"),
    )
    expect(
        answer(400, 1000, 1 / 3),
        _("400 of 1,000 is 40%, too, and its interval begins at 37%: better than a third"),
    )
    expect(
        not answer(30, 100, 1 / 3) and not answer(0, 20, 0.0),
        _("not better than chance if the share itself is not above it"),
    )
    expect(answer(20, 20, 0.5), _("20 of 20 beats a coin"))


EXERCISES = (
    Exercise(
        "06-1-exact",
        test_exact_share,
        "Compare each answer as a whole, `mine == true` for lists, and take the mean.",
        exact_share,
        (words_in_place, same_words, beginning_is_enough),
        "Exact match is strict, and for facts it is right: a translation with one wrong name tells "
        "another story.",
    ),
    Exercise(
        "06-1-length",
        test_whole_answer,
        "All n words must be right at once. If each is right with probability p, whatever the "
        "others are, what is that?",
        whole_answer,
        (first_order, one_word),
        "Long answers are the first to die: what one word hardly notices, forty words multiply.",
    ),
    Exercise(
        "06-1-chance",
        test_really_better,
        "evaluation.wilson(share, count) gives the two ends of the 95% interval. Which of them "
        "must lie above chance?",
        really_better,
        (share_is_enough, upper_end),
        "With few exercises an interval is wide. Before you say that a skill survived, see where "
        "its interval begins.",
    ),
)
