"""Exercises of lesson 3.1, 3.3 and 3.4."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def least_seconds(operations, size, bandwidth, peak):
    return max(size / bandwidth, operations / peak)


def one_after_the_other(operations, size, bandwidth, peak):
    return size / bandwidth + operations / peak


def the_faster_one(operations, size, bandwidth, peak):
    return min(size / bandwidth, operations / peak)


def test_least_seconds(answer):
    from_memory, by_arithmetic = answer(10, 400, 100, 1000), answer(4000, 400, 100, 1000)
    expect(
        abs(from_memory - 4) < 1e-9,
        _(
            "400 bytes at 100 a second take 4 s, 10 operations at 1,000 a second 0.01 s meanwhile: 4 "
            "s, got {got}"
        ).format(got=from_memory),
    )
    expect(
        abs(by_arithmetic - 4) < 1e-9,
        _("both take 4 s and run at once: 4 s, got {got}").format(got=by_arithmetic),
    )
    expect(
        abs(answer(8000, 400, 100, 1000) - 8) < 1e-9,
        _("8,000 operations take 8 s: now arithmetic decides"),
    )


def tokens_per_second(parameters, bits, bandwidth):
    return bandwidth / (parameters * bits / 8)


def bits_for_bytes(parameters, bits, bandwidth):
    return bandwidth / (parameters * bits)


def whatever_the_bits(parameters, bits, bandwidth):
    return bandwidth / (parameters * 4)


def test_tokens_per_second(answer):
    got = answer(7e9, 16, 140e9)
    expect(got != 1.25, _("the bandwidth counts bytes and a weight has 16 bits: divide them by 8"))
    expect(
        abs(got - 10) < 1e-6,
        _(
            "7 billion weights of 2 bytes are 14 GB; 140 GB/s read them 10 times a second, not {got}"
        ).format(got=got),
    )
    fewer = answer(7e9, 4.5, 140e9)
    expect(
        abs(fewer - 140 / 3.9375) < 1e-6,
        _("at 4.5 bits it is {expected:.1f}, got {got}").format(expected=140 / 3.9375, got=fewer),
    )


def exact_product(x, w):
    return x.astype(np.int32) @ w.astype(np.int32)


def in_eight_bits(x, w):
    return x @ w


def widened_too_late(x, w):
    return (x @ w).astype(np.int32)


def in_sixteen_bits(x, w):
    return x.astype(np.int16) @ w.astype(np.int16)


def test_exact_product(answer):
    random = np.random.default_rng(0)
    small = np.asarray(answer(np.array([[100, 3]], np.int8), np.array([[2], [1]], np.int8)))
    expect(
        small.shape == (1, 1),
        _("one row times one column is one number: shape (1, 1), yours has {shape}").format(
            shape=small.shape
        ),
    )
    expect(
        small.tolist() == [[203]],
        _(
            "100 * 2 + 3 * 1 is 203, got {got}: NumPy multiplies int8 in 8 bits and wraps around"
        ).format(got=small.tolist()),
    )
    x, w = (random.integers(100, 128, shape).astype(np.int8) for shape in ((4, 512), (512, 3)))
    got = np.asarray(answer(x, w))
    expect(
        np.array_equal(got, x.astype(np.int64) @ w.astype(np.int64)),
        _("512 products of up to 127 * 127 do not fit in 16 bits: the sums need 32"),
    )
    expect(
        got.dtype == np.int32, _("the sums are int32, yours are {dtype}").format(dtype=got.dtype)
    )


EXERCISES = (
    Exercise(
        "03-4-roof",
        test_least_seconds,
        "While one part of the matrix is multiplied, the next one is on its way. Which of the two "
        "has to be waited for?",
        least_seconds,
        (one_after_the_other, the_faster_one),
        "That is the whole roofline. Fewer bytes shorten the first term alone; where the second is "
        "larger, nothing is won.",
    ),
    Exercise(
        "03-4-tokens",
        test_tokens_per_second,
        "To write one token, each weight is read once. How many bytes is that, and how often do "
        "they fit into the bandwidth?",
        tokens_per_second,
        (bits_for_bytes, whatever_the_bits),
        "This is why 4-bit files write faster on computers that multiply no 4-bit integers at all: "
        "they only have to be read.",
    ),
    Exercise(
        "03-4-exact",
        test_exact_product,
        "Widen both arrays before they are multiplied, not after.",
        exact_product,
        (in_eight_bits, widened_too_late, in_sixteen_bits),
        "A product of two codes fits in 16 bits, their sum does not. Processors with 8-bit "
        "products add them up in 32.",
    ),
)
