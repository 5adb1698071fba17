"""What lesson 1 measures: how far back a model looks, which bracket it closes, what it knows after
each block."""

import numpy as np

from course_utils.backend import tf
from course_utils.datasets import docs

CONTEXTS = (1, 2, 4, 8, 16, 32, 64, 128)


def perplexity_with(read, tokens, context):
    """Returns how well a model predicts the last token of each row from the `context` tokens before
    it.

    Args:
        read: What `classic.reader` gives for the model.
        tokens: `int32` of shape `(rows, length + 1)`.
        context: How many tokens it may see, at most `length`.
    """
    log_p = read(tf.constant(tokens[:, -1 - context : -1])).numpy()
    return float(np.exp(-log_p[np.arange(len(tokens)), tokens[:, -1]].mean()))


DISTANCES = ((1, 2), (3, 4), (5, 8), (9, 16), (17, 32), (33, 64))
TWINS = {"(": "[", "Ġ(": "Ġ[", "[": "(", "Ġ[": "Ġ("}


def bracket_pairs(split, most=48, length=72):
    """Finds closing brackets in real text, and makes of each place a second text in which the other
    one is right.

    `f(x, y` wants `)`. Exchange its opening bracket, `f[x, y`, and it wants `]`. Between the two
    brackets stands no other.

    Args:
        split: Of `datasets.docs`.
        most: How many places of each distance.
        length: How many tokens each text has.

    Returns:
        By range of distances between the brackets, such as `(5, 8)`: tokens `(places, 2, length)`,
        of which `[:, 0]` want `)` and `[:, 1]` want `]`.
    """
    line, pieces = docs.tokens(split), texts_of_tokens()
    twins = {
        docs.tokenizer().token_to_id(one): docs.tokenizer().token_to_id(other)
        for one, other in TWINS.items()
    }
    brackets = np.flatnonzero(
        np.isin(line, [i for i, piece in enumerate(pieces) if set(piece) & set("()[]{}")])
    )
    found = {distance: [] for distance in DISTANCES}
    for opening, closing in zip(brackets[:-1], brackets[1:]):
        distance = next((one for one in DISTANCES if one[0] <= closing - opening <= one[1]), None)
        if (
            distance is None
            or closing < length
            or line[opening] not in twins
            or pieces[line[closing]][0] not in ")]"
        ):
            continue
        same = line[closing - length : closing]
        other = same.copy()
        other[opening - closing] = twins[line[opening]]
        both = (same, other) if "(" in pieces[line[opening]] else (other, same)
        if len(found[distance]) < most:
            found[distance].append(both)
    return {distance: np.array(places) for distance, places in found.items()}


def texts_of_tokens():
    """Returns the text of every token of the docstrings' vocabulary."""
    pieces = docs.tokenizer()
    return [pieces.decode([i], skip_special_tokens=False) for i in range(pieces.get_vocab_size())]


def prefers_right(read, pairs):
    """Returns, of each place, the share of its two texts in which a model finds the right closing
    bracket likelier than the wrong one.

    A model that cannot see the opening bracket says the same for both texts of a pair: it gets one
    half.

    Args:
        read: What `classic.reader` gives for the model.
        pairs: Tokens `(places, 2, length)` from `bracket_pairs`.
    """
    log_p = read(tf.constant(pairs.reshape(-1, pairs.shape[-1]))).numpy().reshape(len(pairs), 2, -1)
    first = np.array([piece[:1] for piece in texts_of_tokens()])
    lead = np.exp(log_p)[..., first == ")"].sum(-1) - np.exp(log_p)[..., first == "]"].sum(
        -1
    )  # (places, 2)
    return np.mean([lead[:, 0] > 0, lead[:, 1] < 0], axis=0)


def read_out(model, tokens):
    """Reads a Transformer's prediction off after each of its blocks: no block, one, two, ...

    The head was trained to read the last block only, so the early rows are what it makes of a state
    in between.

    Args:
        model: A `DecoderLM`.
        tokens: `int32` of shape `(sequences, length + 1)`.

    Returns:
        The perplexity after 0, 1, ... blocks.
    """
    x, found = model.embedding(tokens[:, :-1]) + model.positions(tf.range(tokens.shape[1] - 1)), []
    for block in (None, *model.blocks):
        x = block(x) if block else x
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(
            tokens[:, 1:], model.head(model.norm(x))
        )
        found.append(float(tf.exp(tf.reduce_mean(losses))))
    return found
