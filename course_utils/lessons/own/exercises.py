"""Exercises of lesson 5.4."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def top_marks(scores, labels, k):
    best = np.argsort(-scores, axis=1)[:, :k]
    return (best == labels[:, None]).any(axis=1).astype(float)


def only_the_first(scores, labels, k):
    return (scores.argmax(axis=1) == labels).astype(float)


def the_smallest(scores, labels, k):
    best = np.argsort(scores, axis=1)[:, :k]
    return (best == labels[:, None]).any(axis=1).astype(float)


def their_mean(scores, labels, k):
    return top_marks(scores, labels, k).mean()


def test_top_marks(answer):
    scores = np.random.default_rng(0).normal(size=(40, 7))
    labels = np.arange(40) % 7
    for k in (1, 3, 7):
        got = np.asarray(answer(scores, labels, k), float)
        expect(
            got.shape == (40,),
            _("one mark for each of 40 examples, shape (40,); yours has shape {shape}").format(
                shape=got.shape
            ),
        )
        right = top_marks(scores, labels, k)
        expect(
            np.array_equal(got, right),
            _(
                "with k = {k}, {right:.0f} of 40 labels are among the best; you count {got:.0f}"
            ).format(k=k, right=right.sum(), got=got.sum()),
        )


EXERCISES = [
    Exercise(
        id="05-own-top-marks",
        test=test_top_marks,
        hint=(
            "Sort each row of scores, from the largest to the smallest: `np.argsort(-scores, axis=1)`.",
            "Is the label among the first k of its row? Compare them with `labels[:, None]`.",
        ),
        solution=top_marks,
        mistakes=(only_the_first, the_smallest, their_mean),
        why="A mark for each example, not their mean, is what a paired comparison needs: it asks "
        "what became of each one, and what both models find equally hard falls out.",
    ),
]
