"""Exercises of lesson 08_5."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _

# --- mean reciprocal rank ------------------------------------------------------------------------


def reciprocal_rank(close, own):
    ranks = [1 + np.sum(row > row[place]) for row, place in zip(close, own)]
    return np.mean(1 / np.array(ranks))


def counted_from_zero(close, own):
    ranks = [np.sum(row > row[place]) for row, place in zip(close, own)]
    return np.mean([1 / rank if rank else 1.0 for rank in ranks])


def of_the_mean(close, own):
    ranks = [1 + np.sum(row > row[place]) for row, place in zip(close, own)]
    return 1 / np.mean(ranks)


def share_of_first(close, own):
    return np.mean(np.argmax(close, axis=1) == own)


def test_reciprocal_rank(answer):
    close = np.array([[0.9, 0.1, 0.2], [0.5, 0.4, 0.3], [0.6, 0.7, 0.1]])
    own = np.array([0, 1, 2])
    got = answer(close, own)
    expect(
        not np.isclose(got, 1 / 3),
        _("one in three is the share that comes first; the second and third count for something"),
    )
    expect(
        not np.isclose(got, 0.5),
        _("0.5 is 1 over the mean rank: take 1 over each rank first, then the mean"),
    )
    expect(
        np.isclose(got, (1 + 1 / 2 + 1 / 3) / 3),
        _("the ranks are 1, 2 and 3, so the mean of 1, 1/2 and 1/3 is wanted, got {got}").format(
            got=got
        ),
    )
    got = answer(close, np.array([1, 0, 1]))
    expect(
        np.isclose(got, (1 / 3 + 1 + 1) / 3),
        _("own[i] says which column is right for row i, got {got} for own = [1, 0, 1]").format(
            got=got
        ),
    )


# --- a factor that is folded ---------------------------------------------------------------------


def smoothed(inputs, kernel, scales):
    return inputs / scales, kernel * scales[:, None]


def columns_instead(inputs, kernel, scales):
    return inputs / scales, kernel * scales


def both_divided(inputs, kernel, scales):
    return inputs / scales, kernel / scales[:, None]


def the_wrong_way(inputs, kernel, scales):
    return inputs * scales, kernel / scales[:, None]


def test_smoothed(answer):
    inputs = np.array([[8.0, 1.0], [-4.0, 0.5]])
    kernel = np.array([[0.5, -0.25], [2.0, 1.0]])
    scales = np.array([4.0, 0.5])
    read, rows = answer(inputs, kernel, scales)
    expect(
        np.shape(rows) == (2, 2)
        and np.allclose(np.asarray(read) @ np.asarray(rows), inputs @ kernel),
        _(
            "the product must not change: inputs @ kernel is {wanted}, yours is {got}; a row of the "
            "kernel belongs to a channel of the inputs"
        ).format(
            wanted=(inputs @ kernel).tolist(), got=(np.asarray(read) @ np.asarray(rows)).tolist()
        ),
    )
    expect(
        np.allclose(read, inputs / scales),
        _("the inputs are divided by the scales, so that a loud channel becomes quiet"),
    )


# --- a change that is paired ---------------------------------------------------------------------


def paired_error(before, after):
    apart = after.astype(float) - before
    return apart.std(ddof=1) / np.sqrt(len(apart))


def unpaired_error(before, after):
    return np.sqrt((before.var(ddof=1) + after.var(ddof=1)) / len(before))


def without_the_root(before, after):
    return (after.astype(float) - before).std(ddof=1)


def of_one_alone(before, after):
    return after.std(ddof=1) / np.sqrt(len(after))


def test_paired_error(answer):
    before = np.array([1, 1, 0, 0, 1, 0, 1, 0])
    after = np.array([1, 1, 0, 0, 0, 0, 1, 0])
    got = answer(before, after)
    expect(
        not np.isclose(got, unpaired_error(before, after)),
        _("that is the error of two groups of different questions; here the same ones were asked"),
    )
    expect(
        np.isclose(got, 0.125),
        _(
            "seven questions of eight did not change and one was lost: the standard deviation of the "
            "differences over the root of 8 is 0.125, got {got}"
        ).format(got=got),
    )
    expect(
        answer(before, before.copy()) == 0,
        _("where no question changed, the change is known exactly: 0"),
    )


EXERCISES = (
    Exercise(
        "08-5-reciprocal",
        test_reciprocal_rank,
        "How many of a row are larger than the right one? One more than that is its rank.",
        reciprocal_rank,
        (counted_from_zero, of_the_mean, share_of_first),
        "Recall at 1 sees no difference between the second place and the last. The reciprocal rank "
        "does, and moves less from one sample of questions to the next.",
    ),
    Exercise(
        "08-5-smoothed",
        test_smoothed,
        "A channel of the inputs meets one row of the kernel. What one is divided by, the other must "
        "be multiplied by.",
        smoothed,
        (columns_instead, both_divided, the_wrong_way),
        "Nothing changes but what is rounded. Whether the division is free depends on what stands "
        "before the layer: here the sum reads the norm, too, so it is a multiplication of its own.",
    ),
    Exercise(
        "08-5-paired",
        test_paired_error,
        "Take the difference for each question first. Most are 0, and that is the point.",
        paired_error,
        (unpaired_error, without_the_root, of_one_alone),
        "Two models that answer the same questions mostly agree. Compared question by question a "
        "small loss can be seen; beside two intervals that overlap it cannot.",
    ),
)
