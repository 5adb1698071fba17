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


def step(q, k, v, kept):
    new = k[:, None], v[:, None]  # (heads, 1, head size)
    if kept is not None:
        new = [np.concatenate(pair, axis=1) for pair in zip(kept, new)]
    keys, values = new
    scores = np.einsum("hd,htd->ht", q, keys) / np.sqrt(q.shape[1])
    return np.einsum("ht,htd->hd", softmax(scores), values), (keys, values)


def sees_itself_alone(q, k, v, kept):
    return v, (k, v)


def sees_itself_too_late(q, k, v, kept):
    mixed = v if kept is None else step(q, kept[0][:, -1], kept[1][:, -1], less(kept))[0]
    return mixed, step(q, k, v, kept)[1]


def less(kept):
    """What was kept before the last token."""
    return (kept[0][:, :-1], kept[1][:, :-1]) if kept[0].shape[1] > 1 else None


def forgets_the_scale(q, k, v, kept):
    return step(q * np.sqrt(q.shape[1]), k, v, kept)


def keeps_the_queries(q, k, v, kept):
    mixed, new = step(q, k, v, kept[:2] if kept else None)
    asked = q[:, None] if kept is None else np.concatenate([kept[2], q[:, None]], axis=1)
    return mixed, (*new, asked)


def numbers_in(kept):
    """How many numbers stand in arrays, lists, tuples or dictionaries of them."""
    if isinstance(kept, dict):
        return numbers_in(list(kept.values()))
    return sum(map(numbers_in, kept)) if isinstance(kept, tuple | list) else np.size(kept)


@functools.cache
def read_at_once():
    """`docs-base`, a sentence, and the logits of the whole pass."""
    from course_utils import models
    from course_utils.datasets import docs

    model = models.load("docs-base")
    tokens = docs.tokenizer().encode("Returns the sum of the array elements.").ids
    return model, tokens, np.asarray(model(np.array([tokens])))[0]


def read_by_steps(model, tokens, answer):
    """Lets a model read token by token with a learner's cache; returns its logits, and how many
    numbers were kept at the end."""
    caches, logits = [None] * len(model.blocks), []
    for position, token in enumerate(tokens):
        x = model.embedding(np.array([[token]])) + model.positions(np.array([position]))
        for number, block in enumerate(model.blocks):
            layer = block.attention
            q, k, v = (part.numpy()[0, :, 0] for part in layer.projected(block.attention_norm(x)))
            mixed, caches[number] = answer(q, k, v, caches[number])
            mixed = np.reshape(np.asarray(mixed, np.float32), (1, 1, -1))
            x += layer.output_projection(mixed)
            x += block.down(block.up(block.mlp_norm(x)))
        logits.append(model.head(model.norm(x)).numpy()[0, 0])
    return np.array(logits), numbers_in(caches)


def test_step(answer):
    q, k, v = np.random.default_rng(22).normal(0, 2, (3, 3, 2, 4))  # three tokens, two heads
    got, kept = answer(q[0], k[0], v[0], None)
    expect(
        np.shape(got) == (2, 4),
        _("for 2 heads of size 4 attention gives shape (2, 4), yours has {shape}").format(
            shape=np.shape(got)
        ),
    )
    expect(
        np.allclose(got, v[0]),
        _("the first token sees nothing but itself: attention gives its own value"),
    )
    got, kept = answer(0 * q[1], k[1], v[1], kept)
    expect(
        np.allclose(got, v[:2].mean(0)),
        _(
            "a second token whose query is zero takes the mean of both values, the first one's and "
            "its own"
        ),
    )
    got, kept = answer(q[2], k[2], v[2], kept)
    wanted = [attention(q[:, head], k[:, head], v[:, head])[2] for head in range(2)]
    expect(
        np.allclose(got, wanted),
        _(
            "the third token sees three tokens, and weighs them wrongly: off by up to {most:.2g}. By "
            "what are the scores divided?"
        ).format(most=np.abs(np.asarray(got) - wanted).max()),
    )
    model, tokens, wanted = read_at_once()
    got, numbers = read_by_steps(model, tokens, answer)
    most = float(np.abs(got - wanted).max())
    expect(
        most < 1e-3,
        _("docs-base reads with your cache, and its logits are off by up to {most:.2g}").format(
            most=most
        ),
    )
    a = model.blocks[0].attention
    allowed = 2 * len(tokens) * len(model.blocks) * a.heads * a.head_size
    expect(
        numbers <= allowed,
        _(
            "the logits are right, but you keep {numbers:,} numbers of {tokens} tokens, where keys "
            "and values are {allowed:,}"
        ).format(numbers=numbers, tokens=len(tokens), allowed=allowed),
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
    Exercise(
        "02-1-cache",
        test_step,
        (
            "What of earlier tokens does the new one need? It asks with its own query, so their "
            "queries are over and done with. It needs their keys and their values: keep those two.",
            "Give k and v an axis for time, `k[:, None]`, and join them to what you kept along it, "
            "before you look: a token sees itself, too. You need no mask, for nothing later is there.",
            "The scores are `np.einsum('hd,htd->ht', q, keys)` over the root of the head size. Softmax "
            "along the last axis, and mix the values with `np.einsum('ht,htd->hd', ...)`.",
        ),
        step,
        (sees_itself_alone, sees_itself_too_late, forgets_the_scale, keeps_the_queries),
        "Each token's key and value are computed once, not once for every later token. The price is "
        "memory that grows with the text, which is what sharing, windows and 8 bits are for.",
    ),
)
