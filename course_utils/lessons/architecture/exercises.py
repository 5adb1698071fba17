"""Exercises of lesson 2.1."""

import functools

import numpy as np

from course_utils.document.code import softmax
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def parameters(vocabulary, width, depth, context):
    attention, mlp, norms = 4 * width**2, 2 * width * 4 * width, 2 * width
    return (
        vocabulary * width
        + context * width
        + depth * (attention + mlp + norms)
        + width
        + width * vocabulary
    )


def twelve_d_squared(vocabulary, width, depth, context):
    return 12 * depth * width**2


def without_positions(vocabulary, width, depth, context):
    return parameters(vocabulary, width, depth, 0)


def head_shared(vocabulary, width, depth, context):
    return parameters(vocabulary, width, depth, context) - width * vocabulary


def without_last_norm(vocabulary, width, depth, context):
    return parameters(vocabulary, width, depth, context) - width


@functools.cache
def counted(shape):
    """What Keras counts in a decoder of that shape."""
    from course_utils.models.language import DecoderLM

    vocabulary, width, depth, context = shape
    model = DecoderLM(vocabulary, width, depth, 4, context=context)
    model.build()
    return model.count_params()


def test_parameters(answer):
    for shape in ((512, 128, 4, 128), (40, 16, 3, 12), (7, 8, 1, 50)):
        got, wanted = answer(*shape), counted(shape)
        expect(
            got >= wanted,
            _(
                "with V, d, L, C = {shape} Keras counts {expected:,}, you {got:,}: {apart:,} too few"
            ).format(shape=shape, expected=wanted, got=got, apart=wanted - got),
        )
        expect(
            got == wanted,
            _(
                "with V, d, L, C = {shape} Keras counts {expected:,}, you {got:,}: {apart:,} too many"
            ).format(shape=shape, expected=wanted, got=got, apart=got - wanted),
        )


def attention(q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    scores = np.where(np.tri(len(q), dtype=bool), scores, -np.inf)
    return softmax(scores) @ v


def unmasked(q, k, v):
    return softmax(q @ k.T / np.sqrt(q.shape[1])) @ v


def masked_after_softmax(q, k, v):
    return np.tri(len(q)) * softmax(q @ k.T / np.sqrt(q.shape[1])) @ v


def unscaled(q, k, v):
    return softmax(np.where(np.tri(len(q), dtype=bool), q @ k.T, -np.inf)) @ v


def over_head_size(q, k, v):
    return attention(q / np.sqrt(q.shape[1]), k, v)


def not_itself(q, k, v):
    scores = np.where(
        np.tri(len(q), k=-1, dtype=bool) | (np.arange(len(q)) == 0),
        q @ k.T / np.sqrt(q.shape[1]),
        -np.inf,
    )
    return softmax(scores) @ v


def test_attention(answer):
    rng = np.random.default_rng(21)
    q, k, v = rng.normal(0, 2, (3, 6, 4))
    got, wanted = np.asarray(answer(q, k, v)), attention(q, k, v)
    expect(
        got.shape == (6, 4),
        _("6 positions with vectors of 4: shape (6, 4), yours has {shape}").format(shape=got.shape),
    )
    expect(np.allclose(got[0], v[0]), _("position 0 sees nothing but itself: its output is v[0]"))
    later = v.copy()
    later[4:] += 10
    expect(
        np.allclose(np.asarray(answer(q, k, later))[:4], got[:4]),
        _("values of positions 4 and 5 reach positions before them"),
    )
    shares = np.asarray(answer(q, k, np.ones_like(v)))
    expect(
        np.allclose(shares, 1),
        _("the weights of a row must sum to 1, yours sum to {sums}").format(
            sums=shares[:, 0].round(3).tolist()
        ),
    )
    unlike = np.asarray(answer(np.zeros_like(q), k, v))
    expect(
        np.allclose(unlike[5], v.mean(0)),
        _("with queries of zeros each position takes the mean of all it sees, itself included"),
    )
    expect(
        np.allclose(got, wanted, atol=1e-6),
        _(
            "the shape and the mask are right, the weights are not: off by up to {most:.2g}. By what "
            "are the scores divided?"
        ).format(most=np.abs(got - wanted).max()),
    )


def all_right(chosen, wanted):
    return ((chosen == wanted) | (wanted == 0)).all(axis=1)


def share_right(chosen, wanted):
    return (chosen == wanted).mean(axis=1)


def padding_counts(chosen, wanted):
    return (chosen == wanted).all(axis=1)


def any_right(chosen, wanted):
    return ((chosen == wanted) & (wanted != 0)).any(axis=1)


def zeros_forgive(chosen, wanted):
    return ((chosen == wanted) | (chosen == 0)).all(axis=1)


def test_all_right(answer):
    wanted = np.array([[5, 6, 7, 1], [5, 1, 0, 0], [8, 9, 1, 0], [8, 1, 0, 0]])
    chosen = np.array([[5, 6, 7, 1], [5, 1, 9, 4], [8, 0, 1, 0], [7, 1, 0, 0]])
    got = np.asarray(answer(chosen, wanted))
    expect(
        got.shape == (4,),
        _("one answer for each of 4 rows: shape (4,), yours has {shape}").format(shape=got.shape),
    )
    expect(got[0], _("row 0 agrees everywhere and should be right"))
    expect(
        got[1],
        _("row 1 differs only after its end mark, where the reference is padding (0): it is right"),
    )
    expect(not got[2], _("row 2 chose 0 where 9 was wanted: it is wrong"))
    expect(not got[3], _("row 3 begins with the wrong token: it is wrong"))
    expect(
        got.dtype == bool,
        _("the answer is yes or no for each row, dtype bool; yours has {dtype}").format(
            dtype=got.dtype
        ),
    )


EXERCISES = (
    Exercise(
        "02-1-parameters",
        test_parameters,
        "Go through the table above: two tables, then for each block four matrices of attention, "
        "two of the MLP and two gains, "
        "then one more gain and the head. There is no bias anywhere.",
        parameters,
        (twelve_d_squared, without_positions, head_shared, without_last_norm),
        "In a large model the blocks are nearly everything, 12 d squared for each; in a small one "
        "the tables of words count.",
    ),
    Exercise(
        "02-1-attention",
        test_attention,
        "The mask comes before the softmax: put minus infinity where the column is later than the "
        "row (np.tri marks the rest).",
        attention,
        (unmasked, masked_after_softmax, unscaled, over_head_size, not_itself),
        "Masked before the softmax, the shares of what remains still sum to 1. Masked after it, "
        "early positions would lose most "
        "of their attention to tokens that they never see.",
    ),
    Exercise(
        "02-1-all-right",
        test_all_right,
        "A position is fine if the choice is right or if the reference is padding there. A row is "
        "right if all positions are.",
        all_right,
        (share_right, padding_counts, any_right, zeros_forgive),
        "What stands after the end mark is nobody's business: greedy writing stops there. Read off "
        "the reference, not the "
        "choice, where that is.",
    ),
)
