"""Exercises of lesson 1."""

import functools

import numpy as np

from course_utils.checks import read_only
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def perplexity(p):
    return np.exp(-np.mean(np.log(p)))


def mean_of_inverses(p):
    return np.mean(1 / np.asarray(p))


def inverse_of_mean(p):
    return 1 / np.mean(p)


def test_perplexity(answer):
    expect(
        abs(answer(np.full(10, 1 / 512)) - 512) < 1e-6,
        _("who gives every one of 512 tokens the same share has perplexity 512"),
    )
    got = answer(np.array([0.5, 0.125]))
    expect(
        abs(got - 4) < 1e-9,
        _(
            "for shares of 1/2 and 1/8 the mean surprise is (log 2 + log 8) / 2 = log 4, so the "
            "perplexity is 4; got {got:.3f}"
        ).format(got=got),
    )


def continuation(bigrams, word):
    return len({before for before, after in bigrams if after == word}) / len(set(bigrams))


def plain_share(bigrams, word):
    return sum(after == word for _, after in bigrams) / len(bigrams)


def contexts_only(bigrams, word):
    return len({before for before, after in bigrams if after == word})


def test_continuation(answer):
    bigrams = [("San", "Francisco")] * 8 + [
        ("my", "glasses"),
        ("the", "glasses"),
        ("two", "glasses"),
    ]
    got = answer(bigrams, "Francisco"), answer(bigrams, "glasses")
    expect(
        abs(got[0] - 8 / 11) > 1e-9,
        _("Francisco occurs 8 times, but only ever after San: count different words before it"),
    )
    expect(
        np.allclose(got, (0.25, 0.75)),
        _(
            "of 4 different bigrams 1 ends in Francisco and 3 in glasses; got {francisco} and {glasses}"
        ).format(francisco=got[0], glasses=got[1]),
    )
    expect(answer(bigrams, "San") == 0, _("San ends no bigram of this list: its share is 0"))


def hear(belief, moves, says, token):
    joint = (belief @ moves) * says[:, token]
    return joint / joint.sum(), joint.sum()


def hear_unscaled(belief, moves, says, token):
    joint = (belief @ moves) * says[:, token]
    return joint, joint.sum()


def hear_backwards(belief, moves, says, token):
    joint = (moves @ belief) * says[:, token]
    return joint / joint.sum(), joint.sum()


def test_hear(answer):
    moves, says = np.array([[0.9, 0.1], [0.5, 0.5]]), np.array([[0.8, 0.2], [0.1, 0.9]])
    belief, likely = answer(np.array([0.5, 0.5]), moves, says, 1)
    expect(
        abs(likely - 0.41) < 1e-9,
        _(
            "before the token it is in state 0 with 0.7 and in state 1 with 0.3, so token 1 has 0.7 * "
            "0.2 + 0.3 * 0.9 = 0.41; got {likely:.3f}"
        ).format(likely=likely),
    )
    expect(
        abs(np.sum(belief) - 1) < 1e-9,
        _("what it believes afterwards must sum to 1: divide by the probability of the token"),
    )
    expect(
        np.allclose(belief, [0.14 / 0.41, 0.27 / 0.41]),
        _("expected about [0.341, 0.659], got {got}").format(got=np.round(belief, 3).tolist()),
    )


def gigabytes(parameters, bits):
    return parameters * bits / 8 / 1e9


def gigabits(parameters, bits):
    return parameters * bits / 1e9


def gibibytes(parameters, bits):
    return parameters * bits / 8 / 2**30


def test_gigabytes(answer):
    got = answer(7e9, 16)
    expect(abs(got - 112) > 1e-6, _("these are gigabits: a byte has 8 bits"))
    expect(
        abs(got - 14) < 1e-6,
        _(
            "7 billion parameters of 16 bits are 14 GB, if a GB is 10**9 bytes; got {got:.3f}"
        ).format(got=got),
    )
    expect(abs(answer(1e12, 4) - 500) < 1e-6, _("a trillion parameters of 4 bits are 500 GB"))


def together(p, q):
    def doubt(shares):  # the entropy, in nats
        return -(shares * np.log(shares)).sum(-1, keepdims=True)

    share = 1 / (1 + np.exp(doubt(p) - doubt(q) + 0.4))  # of the table; the network is the better
    return share * p + (1 - share) * q


def half_of_each(p, q):
    return (p + q) / 2


def geometric(p, q):
    return np.sqrt(p * q)


def geometric_shares(p, q):
    return geometric(p, q) / geometric(p, q).sum(-1, keepdims=True)


def network_alone(p, q):
    return q


def doubt_wins(p, q):
    return together(p, q) * -1 + p + q


def the_surest_alone(p, q):
    def doubt(shares):
        return -(shares * np.log(shares)).sum(-1, keepdims=True)

    return np.where(doubt(p) < doubt(q), p, q)


@functools.cache
def said_by_both():
    """What the table and the network say at each position of some test text, and what came."""
    from course_utils import models
    from course_utils.datasets import docs
    from course_utils.document.code import softmax

    tokens = docs.sequences("test", 24)
    said = [
        softmax(np.asarray(models.load(name)(tokens[:, :-1]), np.float64))
        for name in ("docs-ngram", "docs-tiny")
    ]
    return *map(read_only, said), read_only(tokens[:, 1:].copy())


def perplexity_of(p, came):
    return float(np.exp(-np.log(np.take_along_axis(p, came[..., None], axis=-1)).mean()))


def test_together(answer):
    p, q = np.random.default_rng(1).dirichlet(np.ones(6), (2, 3, 4))
    got = np.asarray(answer(p, q))
    expect(
        got.shape == p.shape,
        _("for p and q of shape {wanted} the answer has that shape, too; yours has {shape}").format(
            wanted=p.shape, shape=got.shape
        ),
    )
    expect(
        np.allclose(got.sum(-1), 1) and got.min() >= 0,
        _(
            "at each position the probabilities must sum to 1, none below 0; at the first one yours "
            "sum to {sum:.3f}"
        ).format(sum=got[0, 0].sum()),
    )
    p, q, came = said_by_both()
    reached = perplexity_of(np.asarray(answer(p, q)), came)
    table, network, half = (perplexity_of(each, came) for each in (p, q, (p + q) / 2))
    expect(
        reached < 0.98 * half,
        _(
            "on test text your model has perplexity {reached:.2f}. The table alone has {table:.2f}, the "
            "network {network:.2f}, half of each {half:.2f}; to reach: {wanted:.2f}"
        ).format(reached=reached, table=table, network=network, half=half, wanted=0.98 * half),
    )


EXERCISES = (
    Exercise(
        "01-perplexity",
        test_perplexity,
        "The surprise at one token is -log p. Take the mean over all tokens first, and exp of that.",
        perplexity,
        (mean_of_inverses, inverse_of_mean),
        "Perplexity is one over the geometric mean of the probabilities. One token with p = 0 "
        "makes it infinite, however "
        "good the rest.",
    ),
    Exercise(
        "01-continuation",
        test_continuation,
        "A set forgets how often. How many different bigrams are there, and how many of them end "
        "in the word?",
        continuation,
        (plain_share, contexts_only),
        "Where a longer context has nothing to say, the question is whether a word turns up in new "
        "places, not whether it "
        "is frequent. This is what sets Kneser and Ney apart from other discounts.",
    ),
    Exercise(
        "01-forward",
        test_hear,
        "First move: belief @ moves is where it may be now. Then multiply each state by how likely "
        "it says the token.",
        hear,
        (hear_unscaled, hear_backwards),
        "All an HMM knows of the past is this one vector, and the next step reads nothing else. "
        "Its log-likelihood is the "
        "sum of the logs of the second number; the division keeps the first from underflowing.",
    ),
    Exercise(
        "01-gigabytes",
        test_gigabytes,
        "Eight bits make a byte, and a gigabyte is 10**9 bytes.",
        gigabytes,
        (gigabits, gibibytes),
        "The document's trillion is 4,000 GB as float32. That is why the rest of the course exists.",
    ),
    Exercise(
        "01-together",
        test_together,
        (
            "Begin with half of each: it is better than either. Now, when should the table get more "
            "than half? Look at its distribution at one position: is it sharp, or nearly flat?",
            "The entropy, -sum of p log p over the 512 tokens, says how much a model doubts. Give the "
            "one that doubts less the larger share, but never all of it: even a sure model errs.",
            "Let the share of the table be 1 / (1 + exp(doubt of p - doubt of q)), with a shape of "
            "(texts, time, 1), and mix with it. As the network is the better of the two on the whole, "
            "a small number added inside exp helps.",
        ),
        together,
        (
            half_of_each,
            geometric,
            geometric_shares,
            network_alone,
            doubt_wins,
            the_surest_alone,
        ),
        "Two models that are wrong in different places are together better than either, with no "
        "training at all: where a docstring stands nearly word for word in another module the table "
        "is sure, and the network fills in the rest. The cheap trick of asking each how sure it is "
        "beats any fixed share. File compressors have mixed models like this for decades.",
    ),
)
