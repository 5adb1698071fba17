"""Exercises of lesson 6.4."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _

# --- the merged matrix ---------------------------------------------------------------------------


def merged(W, down, up):
    return W + down @ up


def added_elementwise(W, down, up):
    return W * (1 + down @ up)


def other_way_round(W, down, up):
    return W + (down @ up).T if W.shape[0] == W.shape[1] else W + up.T @ down.T


def replaced(W, down, up):
    return down @ up


def test_merged(answer):
    rng = np.random.default_rng(0)
    W, down, up = rng.normal(size=(4, 4)), rng.normal(size=(4, 2)), rng.normal(size=(2, 4))
    x = rng.normal(size=(3, 4))
    got = np.asarray(answer(W, down, up), float)
    expect(
        got.shape == (4, 4),
        _("one matrix like W, of shape (4, 4); yours has {shape}").format(shape=got.shape),
    )
    same = answer(W, down, 0 * up)
    expect(
        np.allclose(same, W),
        _("with up = 0 the adapter adds nothing, and W must come back as it was"),
    )
    expect(
        np.allclose(x @ got, x @ W + (x @ down) @ up),
        _("x @ merged must be x @ W + (x @ down) @ up for every x; yours is not"),
    )
    W, down, up = rng.normal(size=(5, 3)), rng.normal(size=(5, 1)), rng.normal(size=(1, 3))
    expect(
        np.allclose(answer(W, down, up), W + down @ up),
        _("right for a square matrix, and not for one of 5 inputs and 3 units"),
    )


# --- which way round -----------------------------------------------------------------------------


def divergence(before, after):
    return np.sum(before * np.log(before / after))


def other_direction(before, after):
    return np.sum(after * np.log(after / before))


def both_directions(before, after):
    return np.sum((before - after) * np.log(before / after)) / 2


def cross_entropy(before, after):
    return -np.sum(before * np.log(after))


def test_divergence(answer):
    before, after = np.array([0.7, 0.2, 0.1]), np.array([0.4, 0.3, 0.3])
    got = answer(before, before)
    expect(
        abs(got) < 1e-9,
        _("where nothing changed, nothing diverged: 0; yours says {got:.3f}").format(got=got),
    )
    forward, backward = divergence(before, after), divergence(after, before)
    got = answer(before, after)
    expect(
        abs(got - backward) > 1e-6,
        _(
            "that is the divergence the other way round: what the original says often must count "
            "most, so its probabilities are the weights"
        ),
    )
    expect(
        abs(got - forward) < 1e-9,
        _("for these two it is {right:.4f}; yours says {got:.4f}").format(right=forward, got=got),
    )


# --- who leaves ----------------------------------------------------------------------------------


def exit_block(confidence, threshold):
    sure = np.flatnonzero(np.asarray(confidence) >= threshold)
    return int(sure[0]) if len(sure) else len(confidence) - 1


def surest(confidence, threshold):
    return int(np.argmax(confidence))


def last_that_is_sure(confidence, threshold):
    sure = np.flatnonzero(np.asarray(confidence) >= threshold)
    return int(sure[-1]) if len(sure) else len(confidence) - 1


def first_or_nothing(confidence, threshold):
    return int(np.argmax(np.asarray(confidence) >= threshold))


def strictly_more(confidence, threshold):
    sure = np.flatnonzero(np.asarray(confidence) > threshold)
    return int(sure[0]) if len(sure) else len(confidence) - 1


def test_exit_block(answer):
    expect(
        answer([0.3, 0.85, 0.9, 0.95], 0.8) == 1,
        _("0.85 is enough for 0.8: the token leaves after block 1, and does not wait to be surer"),
    )
    expect(
        answer([0.3, 0.85, 0.6, 0.99], 0.8) == 1,
        _("whoever left does not come back: block 1 was the first that was sure"),
    )
    expect(
        answer([0.3, 0.5, 0.4, 0.45], 0.8) == 3,
        _("nobody is sure here: such a token takes all four blocks and leaves after block 3"),
    )
    expect(answer([0.8, 0.9], 0.8) == 0, _("from the threshold on: 0.8 is enough for 0.8"))


# --- completeness --------------------------------------------------------------------------------


def shares(slopes, x):
    return np.mean(slopes, axis=0) * x


def slopes_alone(slopes, x):
    return np.mean(slopes, axis=0)


def at_the_end(slopes, x):
    return slopes[-1] * x


def summed(slopes, x):
    return np.sum(slopes, axis=0) * x


def sizes(slopes, x):
    return np.abs(np.mean(slopes, axis=0) * x)


def test_shares(answer):
    def output(x):
        return x[..., 0] ** 2 - 3 * x[..., 1] + x[..., 0] * x[..., 2]

    def slope(x):
        a, b, c = np.moveaxis(x, -1, 0)
        return np.stack([2 * a + c, np.full_like(b, -3.0), a], axis=-1)

    x, steps = np.array([1.0, 0.5, 2.0]), 100
    way = (np.arange(steps) + 0.5) / steps
    got = np.asarray(answer(slope(way[:, None] * x), x), float)
    expect(
        got.shape == (3,),
        _("one share for each input: shape (3,), yours has {shape}").format(shape=got.shape),
    )
    gain = output(x) - output(0 * x)
    expect(
        abs(got.sum() - gain) < 1e-6,
        _("the shares must sum to what the output gained, {gain:g}; yours sum to {total:g}").format(
            gain=gain, total=got.sum()
        ),
    )
    expect(
        np.allclose(got, [2.0, -1.5, 1.0]),
        _("the sum is right, and the shares are not: 2, -1.5 and 1 were right"),
    )


EXERCISES = (
    Exercise(
        "06-4-merged",
        test_merged,
        "x W + (x down) up: take x out of the sum. What is it multiplied by?",
        merged,
        (added_elementwise, other_way_round, replaced),
        "Merged, an adapter costs no time at all. But then the matrix is one user's own again: "
        "whoever wants to share it keeps the two thin ones apart.",
    ),
    Exercise(
        "06-4-divergence",
        test_divergence,
        "The weights of the sum are probabilities. Whose? Of the model whose opinion is to be kept.",
        divergence,
        (other_direction, both_directions, cross_entropy),
        "KL(before || after) punishes a compressed model for no longer saying what the original "
        "said. The other way round it punishes new ideas, and forgives forgotten ones.",
    ),
    Exercise(
        "06-4-exit",
        test_exit_block,
        "np.flatnonzero(confidence >= threshold) gives all blocks that are sure. Which of them is "
        "reached first, and what if there is none?",
        exit_block,
        (surest, last_that_is_sure, first_or_nothing, strictly_more),
        "The rule must not look at blocks that have not run: to know the surest one, all of them "
        "would have to be computed, and nothing would be saved.",
    ),
    Exercise(
        "06-4-shares",
        test_shares,
        "The mean slope along the way says how much the output gains for each unit that an input "
        "moves. How far does the input move?",
        shares,
        (slopes_alone, at_the_end, summed, sizes),
        "Completeness is what makes shares comparable before and after compression: both sum to "
        "the gain of their own output.",
    ),
)
