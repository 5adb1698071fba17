"""Exercises of lesson 3.2.2."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def importance(w):
    return np.sum(w**2) / np.sum(w**4)


def participation(w):
    return np.sum(w**2) ** 2 / np.sum(w**4)


def norm(w):
    return np.sqrt(np.sum(w**2))


def test_participation(answer):
    w = np.array([1.0, 2.0, 3.0, 4.0, 5.0])
    expect(
        abs(answer(10 * w) - answer(w)) < 1e-9 * abs(answer(w)),
        _(
            "it must not change when all weights grow: yours gives {got:.4g} and, ten times larger, "
            "{larger:.4g}"
        ).format(got=answer(w), larger=answer(10 * w)),
    )
    expect(
        abs(answer(np.array([3.0, 3.0, 3.0, 3.0])) - 4) < 1e-9,
        _("four equal weights all take part: the answer is 4"),
    )
    expect(
        abs(answer(np.array([0.0, 7.0, 0.0])) - 1) < 1e-9, _("one weight alone: the answer is 1")
    )


def smallest_share(weights, share):
    pruned = weights.copy().ravel()
    pruned[np.argsort(np.abs(pruned), kind="stable")[: round(share * pruned.size)]] = 0
    return pruned.reshape(weights.shape)


def signed(weights, share):
    pruned = weights.copy().ravel()
    pruned[np.argsort(pruned)[: round(share * pruned.size)]] = 0
    return pruned.reshape(weights.shape)


def in_place(weights, share):
    weights[np.abs(weights) <= np.quantile(np.abs(weights), share)] = 0
    return weights


def test_smallest_share(answer):
    weights = np.array([[0.5, -0.1], [-0.9, 0.2]])
    kept = weights.copy()
    got = np.asarray(answer(weights, 0.5))
    expect(
        np.array_equal(weights, kept),
        _("your function changed the array that it was given: work on a copy"),
    )
    expect(
        got.shape == weights.shape,
        _("the shape must stay {expected}, yours is {shape}").format(
            expected=weights.shape, shape=got.shape
        ),
    )
    expect(got[1, 0] == -0.9, _("-0.9 is the strongest weight: compare sizes, not signed values"))
    expect(
        got.tolist() == [[0.5, 0.0], [-0.9, 0.0]],
        _(
            "half of four weights are the two smallest: expected [[0.5, 0], [-0.9, 0]], got {got}"
        ).format(got=got.tolist()),
    )
    many = np.linspace(-1, 1, 1001)
    expect(
        np.count_nonzero(answer(many, 0.9) == 0) in (900, 901), _("0.9 of 1,001 weights are 901")
    )


def sparse_bytes(weights):
    return int(np.count_nonzero(weights)) * 4 + -(-weights.size // 8)


def no_indices(weights):
    return int(np.count_nonzero(weights)) * 4


def still_dense(weights):
    return weights.nbytes


def test_sparse_bytes(answer):
    weights = np.zeros((100, 80), np.float32)
    weights[:10] = 1
    expect(
        answer(weights) != 3200,
        _("3,200 bytes are the 800 values; where they stand must be stored as well"),
    )
    expect(
        answer(weights) == 4200,
        _("800 values of 4 bytes and 8,000 bits of mask are 4,200 bytes, got {got}").format(
            got=answer(weights)
        ),
    )
    expect(answer(np.zeros(9, np.float32)) == 2, _("nine bits of mask fill two bytes"))


EXERCISES = (
    Exercise(
        "03-2-scale-free",
        test_participation,
        "The importance has the unit 1/w^2. Multiply it by something that has the unit w^2.",
        participation,
        (importance, norm),
        "The repaired score counts how many weights take part. It no longer cares how strong they "
        "are, which is why it is "
        "no good as the only reason to remove a unit.",
    ),
    Exercise(
        "03-2-fraction",
        test_smallest_share,
        "np.argsort(np.abs(...)) puts the smallest first. Work on a copy.",
        smallest_share,
        (signed, in_place),
        "Choosing a share instead of a threshold lets layers with large and with small weights "
        "give the same part.",
    ),
    Exercise(
        "03-2-sparse-bytes",
        test_sparse_bytes,
        "Four bytes for each weight that is left, and one bit for every position.",
        sparse_bytes,
        (no_indices, still_dense),
        "A published lab counted the values and forgot the indices. The mask alone puts a floor of "
        "1/32 under the file.",
    ),
)
