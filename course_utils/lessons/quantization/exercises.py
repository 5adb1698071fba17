"""Exercises of lesson 3.2.1."""

import numpy as np

from course_utils import compression, evaluation, models, quantization
from course_utils.datasets import docs
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
    expect(abs(answer(1024, 3, 128) - 3.125) < 1e-9, _("try 3 bits with groups of 128: 3.125"))


def clipping_scales(weights, bits):
    largest_code = 2 ** (bits - 1) - 1
    largest = np.abs(weights).max(axis=0) + 1e-12
    best, least = largest / largest_code, np.full(weights.shape[1], np.inf)
    for share in np.linspace(1, 0.3, 36):
        scales = share * largest / largest_code
        codes = np.clip(np.round(weights / scales), -largest_code, largest_code)
        error = np.sum((codes * scales - weights) ** 2, axis=0)
        best = np.where(error < least, scales, best)
        least = np.minimum(error, least)
    return best


def no_search(weights, bits):
    return np.abs(weights).max(axis=0) / (2 ** (bits - 1) - 1)


def never_clipped(weights, bits):
    largest = no_search(weights, bits)
    tried = [share * largest for share in np.linspace(1, 0.3, 36)]
    errors = [np.sum((np.round(weights / s) * s - weights) ** 2, axis=0) for s in tried]
    return np.array(tried)[np.argmin(errors, axis=0), np.arange(weights.shape[1])]


def one_share_for_all(weights, bits):
    return 0.8 * no_search(weights, bits)


def a_scale_an_input(weights, bits):
    return clipping_scales(weights.T, bits)


def least_largest_error(weights, bits):
    top, largest = 2 ** (bits - 1) - 1, no_search(weights, bits)
    tried = [share * largest for share in np.linspace(1, 0.3, 36)]
    errors = [
        np.abs(np.clip(np.round(weights / s), -top, top) * s - weights).max(axis=0) for s in tried
    ]
    return np.array(tried)[np.argmin(errors, axis=0), np.arange(weights.shape[1])]


def lost(weights, scales, bits):
    """Returns the squared error of each unit, rounded at these scales."""
    off = quantization.round_to(weights, scales[None], bits).dequantize() - weights
    return np.sum(np.square(off), axis=0)


def rounded_perplexity(scales_of):
    """Returns the validation perplexity of `docs-tiny` in 4 bits, at the scales of a function."""

    def rule(weights, bits):
        scales = np.asarray(scales_of(weights, bits), np.float32)
        return quantization.round_to(weights, scales[None], bits)

    small = compression.compress(models.load("docs-tiny"), [compression.Quantize(rule, bits=4)])
    return evaluation.next_token(small.model, docs.sequences("validation", 64)).perplexity


def test_clipping_scales(answer):
    weights = np.random.default_rng(0).normal(0, 0.1, (64, 5)).astype(np.float32)
    weights[3, 2] = 0.5
    scales, plain = np.asarray(answer(weights, 4), np.float32), no_search(weights, 4)
    expect(
        scales.shape == (5,),
        _("5 units of 64 inputs have 5 scales: shape (5,), yours has {shape}").format(
            shape=scales.shape
        ),
    )
    expect(
        np.all(np.isfinite(scales) & (scales > 0)),
        _("each scale is a number above 0, got {got}").format(got=scales.round(4).tolist()),
    )
    mine, theirs = lost(weights, scales, 4), lost(weights, plain, 4)
    worse = int(np.argmax(mine - theirs))
    expect(
        mine[worse] <= 1.0001 * theirs[worse],
        _(
            "in unit {unit} your scale has a squared error of {mine:.4f}, absmax has {theirs:.4f}. "
            "Does each unit choose for itself, and did you clip the codes before you measured?"
        ).format(unit=worse, mine=mine[worse], theirs=theirs[worse]),
    )
    expect(
        mine.sum() < 0.96 * theirs.sum(),
        _(
            "clipping takes a twentieth off the squared error of absmax here, and more; yours is "
            "{share:.1%} of it"
        ).format(share=mine.sum() / theirs.sum()),
    )
    reached, before = rounded_perplexity(answer), rounded_perplexity(no_search)
    expect(
        reached < 0.93 * before,
        _(
            "docs-tiny has a validation perplexity of {reached:.2f} with your scales and {before:.2f} "
            "with absmax: the aim is 7% below that"
        ).format(reached=reached, before=before),
    )


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
    Exercise(
        "03-1-clipping",
        test_clipping_scales,
        "For each share from 1 down to 0.3: the scale is share * largest / largest code. Round, "
        "clip, measure the squared error of each column, and keep each column's best so far with "
        "np.where.",
        clipping_scales,
        (no_search, never_clipped, one_share_for_all, a_scale_an_input, least_largest_error),
        "The same bytes, and a good part of the damage taken back: the many small weights round "
        "finer, the few large ones are clipped. quantization.clipped does it with 33 shares. It is "
        "still blind: it asks how far the weights move, not what that does to the output, as GPTQ "
        "does in 08_1.",
    ),
)
