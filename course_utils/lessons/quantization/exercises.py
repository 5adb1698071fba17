"""Exercises of lesson 3.2.1."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def levels(w, Q):
    return len(np.unique(np.round(w / Q)))


def levels_of_floats(w, Q):
    return len(np.unique(w))


def test_levels(answer):
    w = np.array([0.31, -0.29, 0.02, 0.33, 0.11, -0.31])
    expect(
        answer(w, 0.1) == 4,
        _("for {weights} and Q = 0.1 four integers occur: 3, -3, 0 and 1; you found {got}").format(
            weights=w.tolist(), got=answer(w, 0.1)
        ),
    )
    expect(answer(np.zeros(5), 0.1) == 1, _("five zeros use one level"))
    expect(
        answer(np.array([0.5, 1.5, 2.5]), 1.0) == 2,
        _("0.5 and 1.5 and 2.5 become 0, 2 and 2: halves go to the even neighbour"),
    )


def to_int8(x, scale):
    return np.clip(np.rint(x / scale), -128, 127).astype(np.int8)


def cast_first(x, scale):
    return np.clip(np.rint(x / scale).astype(np.int32).astype(np.int8), -128, 127)


def no_clip(x, scale):
    return np.rint(x / scale).astype(np.int32)


def test_to_int8(answer):
    x = np.array([0.0, 1.0, -1.28, 2.0, -9.0])
    got = np.asarray(answer(x, 0.01))
    expect(
        got.dtype == np.int8, _("the result must be int8, yours is {dtype}").format(dtype=got.dtype)
    )
    expect(
        got[3] != -56,
        _("2.0 / 0.01 is 200; cast to int8 before clamping it wraps around to -56: clamp first"),
    )
    expect(
        got.tolist() == [0, 100, -128, 127, -128],
        _("for {numbers} and a scale of 0.01 expected [0, 100, -128, 127, -128], got {got}").format(
            numbers=x.tolist(), got=got.tolist()
        ),
    )


def honest_bits(count, bits, group_size):
    return bits + 16 / group_size


def without_scales(count, bits, group_size):
    return bits


def scales_in_float32(count, bits, group_size):
    return bits + 32 / group_size


def test_honest_bits(answer):
    got = answer(4096, 4, 32)
    expect(got != 4, _("the scales are part of the file: one float16 for each group"))
    expect(
        abs(got - 4.5) < 1e-9,
        _(
            "4 bits and a float16 scale for every 32 weights make 4.5 bits a weight, got {got}"
        ).format(got=got),
    )
    expect(abs(answer(1000, 3, 128) - 3.125) < 1e-9, _("try 3 bits with groups of 128: 3.125"))


EXERCISES = (
    Exercise(
        "03-1-levels",
        test_levels,
        "The integer behind a weight is round(w / Q). How many different ones are there? np.unique "
        "finds them.",
        levels,
        (levels_of_floats,),
        "The number of levels, and not Q itself, decides how many bits a code needs: "
        "ceil(log2(levels)) at a fixed width.",
    ),
    Exercise(
        "03-1-clamp",
        test_to_int8,
        "Three steps: divide and round, clamp to -128..127, and only then change the type.",
        to_int8,
        (cast_first, no_clip),
        "A cast wraps around, a clamp saturates. Cast first and the largest weight of the layer "
        "changes its sign, silently.",
    ),
    Exercise(
        "03-1-honest-bits",
        test_honest_bits,
        "Each group of group_size weights brings one scale of 16 bits. How many bits is that for "
        "one weight?",
        honest_bits,
        (without_scales, scales_in_float32),
        "Small groups follow the weights better and cost more scales. '4-bit' with groups of 32 is "
        "4.5 bits in the file.",
    ),
)
