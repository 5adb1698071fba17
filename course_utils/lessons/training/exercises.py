"""Exercises of lesson 2.2."""

import functools

import numpy as np

from course_utils import learning
from course_utils.checks import read_only
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


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


def train(x, y, classes):
    weights, moments = {"head": np.zeros((x.shape[1], classes), np.float32)}, {}
    draw = np.random.default_rng(0)
    for step in range(200):
        rows = draw.integers(0, len(x), 256)
        _, at_scores = learning.cross_entropy(x[rows] @ weights["head"], y[rows])
        rate = learning.warm_up_then_cosine(step, 200, 0.02, 20)
        learning.adamw(weights, {"head": x[rows].T @ at_scores}, moments, step, rate)
    return weights["head"]


def one_step(x, y, classes):
    _, at_scores = learning.cross_entropy(np.zeros((len(x), classes)), y)
    return -x.T @ at_scores


def uphill(x, y, classes):
    return -train(x, y, classes)


def class_means(x, y, classes):
    return np.stack(
        [x[y == one].mean(0) if (y == one).any() else 0 * x[0] for one in range(classes)], 1
    )


def least_squares(x, y, classes):
    return np.linalg.solve(x.T @ x + np.eye(x.shape[1]), x.T @ np.eye(classes, dtype=np.float32)[y])


@functools.cache
def last_vectors(split):
    """What the blocks of `tales-pretrained` make of some stories, and the tokens that came next:
    `(positions, width)` and `(positions,)`; and the loss of its own head on them."""
    from course_utils import models
    from course_utils.datasets import tales

    model, rows = models.load("tales-pretrained"), {"train": 64, "validation": 16}[split]
    line = tales.pretraining_line(split, rows * 129).reshape(rows, 129)
    x = model.embedding(line[:, :-1]) + model.positions(np.arange(128))
    for block in model.blocks:
        x = block(x)
    x = model.norm(x).numpy().reshape(-1, x.shape[-1])
    y = line[:, 1:].reshape(-1)
    loss, _ = learning.cross_entropy(x @ model.head.kernel.numpy(), y)
    return read_only(x), read_only(y), float(loss)


def test_train(answer):
    rng = np.random.default_rng(23)
    y = rng.integers(0, 3, 300)
    x = (3 * np.eye(3, 5)[y] + rng.normal(0, 0.5, (300, 5))).astype(np.float32)
    got = np.asarray(answer(x, y, 3), np.float32)
    expect(
        got.shape == (5, 3),
        _("for vectors of 5 and 3 classes the head has shape (5, 3), yours has {shape}").format(
            shape=got.shape
        ),
    )
    right = float(np.mean((x @ got).argmax(-1) == y))
    expect(
        right > 0.95,
        _(
            "three clouds of points that lie far apart: your head puts {right:.0%} of them into the "
            "right class, where nearly all is easy. Does the loss fall?"
        ).format(right=right),
    )
    x, y, own = last_vectors("train")
    head = np.asarray(answer(x, y, 689), np.float32)
    x, y, own = last_vectors("validation")
    loss, _slopes = learning.cross_entropy(x @ head, y)
    expect(
        loss < PROBE,
        _(
            "with your head tales-pretrained has a loss of {loss:.2f} nats on stories that nobody "
            "trained on. Its own head has {own:.2f}, knowing nothing 6.54; to reach: {wanted}"
        ).format(loss=loss, own=own, wanted=PROBE),
    )


PROBE = 2.0  # nats to reach

EXERCISES = (
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
    Exercise(
        "02-2-train",
        test_train,
        (
            "A loop of four lines: draw some rows, take the loss and its slope at the scores, carry "
            "the slope to the matrix, move the matrix. `learning.cross_entropy(scores, y)` gives loss "
            "and slope.",
            "The scores are x @ W. So the slope at W is x.T @ (slope at the scores). Start with W at "
            "zero: nothing in this problem is symmetric, so it need not be random.",
            "Plain descent with any one rate is slow here. Use `learning.adamw` with {'head': W}, some "
            "200 steps of 256 rows, and a rate of about 0.02 that ends in a cosine.",
        ),
        train,
        (one_step, uphill, class_means, least_squares),
        "This is the lesson's loop, and it is all there is: data, loss, slope, optimizer. It was easy "
        "because pre-training had put what matters into the vectors; on those of an untrained model "
        "the same loop stays at 6.0 nats.",
    ),
)
