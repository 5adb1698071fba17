"""Exercises of lesson 2.2."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def perplexity(p):
    return np.exp(-np.mean(np.log(p)))


def of_the_mean(p):
    return 1 / np.mean(p)


def mean_of_inverses(p):
    return np.mean(1 / np.asarray(p))


def in_bits(p):
    return np.exp(-np.mean(np.log2(p)))


def test_perplexity(answer):
    got = answer(np.array([0.5, 0.125]))
    expect(
        abs(got - 1 / 0.3125) > 1e-6,
        _("take the mean over the surprises, -log p, and not over the probabilities"),
    )
    expect(
        abs(got - 5) > 1e-6, _("the mean of 1/p is not it: take the mean of -log p first, then exp")
    )
    expect(
        abs(got - 4) < 1e-9,
        _(
            "for probabilities 1/2 and 1/8 the perplexity is 4, as between 4 equal tokens; got {got}"
        ).format(got=got),
    )
    expect(
        abs(answer(np.full(7, 0.1)) - 10) < 1e-9,
        _("a model that gives 0.1 each time hesitates between 10: perplexity 10"),
    )


def answer_loss(nats, counts):
    return (nats * counts).sum() / counts.sum()


def everything(nats, counts):
    return nats.mean()


def row_by_row(nats, counts):
    return np.mean((nats * counts).sum(1) / counts.sum(1))


def padding_counts(nats, counts):
    return (nats * counts).mean()


def test_answer_loss(answer):
    nats, counts = (
        np.array([[9.0, 1.0, 1.0, 1.0], [9.0, 9.0, 9.0, 5.0]]),
        np.array([[0, 1, 1, 1], [0, 0, 0, 1]]),
    )
    got = answer(nats, counts)
    expect(
        got != nats.mean(),
        _(
            "the prompts and the padding are counted too; only the answers, where `counts` is 1, "
            "should be"
        ),
    )
    expect(abs(got - 1) > 1e-9, _("you divide by all positions; divide by how many count"))
    expect(
        abs(got - 3) > 1e-9,
        _(
            "you average each row first: a one-word answer then counts as much as a whole translation"
        ),
    )
    expect(
        abs(got - 2) < 1e-9,
        _("four tokens are answers, with 1 + 1 + 1 + 5 nats: 2 nats a token; got {got}").format(
            got=got
        ),
    )


def rate(step, steps, highest, warm_up):
    if step < warm_up:
        return highest * step / warm_up
    done = (step - warm_up) / (steps - warm_up)
    return highest * (1 + np.cos(np.pi * done)) / 2


def cosine_from_the_start(step, steps, highest, warm_up):
    if step < warm_up:
        return highest * step / warm_up
    return highest * (1 + np.cos(np.pi * step / steps)) / 2


def no_warm_up(step, steps, highest, warm_up):
    return highest * (1 + np.cos(np.pi * step / steps)) / 2


def up_to_one(step, steps, highest, warm_up):
    return (
        min(1, step / warm_up)
        * (1 + np.cos(np.pi * max(0, step - warm_up) / (steps - warm_up)))
        / 2
    )


def test_rate(answer):
    got = [answer(step, 100, 0.01, 20) for step in (0, 10, 20, 60, 100)]
    expect(
        abs(got[0]) < 1e-12, _("before the first step the rate is 0, got {got}").format(got=got[0])
    )
    expect(
        abs(got[1] - 0.005) < 1e-9,
        _("half-way up the ramp, at step 10 of 20, the rate is half of 0.01; got {got:.4f}").format(
            got=got[1]
        ),
    )
    expect(
        abs(got[2] - 0.01) < 1e-9,
        _("at the end of the ramp the rate is the highest, 0.01; got {got:.4f}").format(got=got[2]),
    )
    expect(
        abs(got[3] - 0.005) < 1e-9,
        _(
            "step 60 is half-way between 20 and 100: the cosine is at half of 0.01; got {got:.4f}"
        ).format(got=got[3]),
    )
    expect(abs(got[4]) < 1e-12, _("at the last step nothing is left, got {got}").format(got=got[4]))


EXERCISES = (
    Exercise(
        "02-2-perplexity",
        test_perplexity,
        "The surprise at a token is -log p. Take the mean of the surprises, and exp of that.",
        perplexity,
        (of_the_mean, mean_of_inverses, in_bits),
        "Perplexity is the inverse of the geometric mean of the probabilities: one token with p = "
        "0 makes it infinite.",
    ),
    Exercise(
        "02-2-answers",
        test_answer_loss,
        "Add up the nats where counts is 1, and divide by how many that are.",
        answer_loss,
        (everything, row_by_row, padding_counts),
        "Fine-tuning asks for the answer only. What the loss does not count, the model is free to "
        "forget.",
    ),
    Exercise(
        "02-2-rate",
        test_rate,
        "Two cases. While step < warm_up the rate grows in proportion; after that let x run from 0 "
        "to 1 between warm_up "
        "and steps, and use (1 + cos(pi x)) / 2.",
        rate,
        (cosine_from_the_start, no_warm_up, up_to_one),
        "The ramp lets the optimizer's means settle before long steps are taken; the cosine ends "
        "in steps so short that they "
        "only polish.",
    ),
)
