"""Early exit: a token takes as many layers as it needs (Schuster et al., 2022).

After each block the model's own last norm and head are asked what they would say: the logit lens
(nostalgebraist, 2020). Whoever is sure enough leaves there. A matrix for each block may first bring
its states to where the last block's lie (Belrose et al., 2023); it is fitted in closed form.
"""

import numpy as np

from course_utils.backend import tf
from course_utils.checks import finite, positive
from course_utils.models.cache import place


def states(model, tokens):
    """Returns what the head would read after each block, `(depth, rows, time, width)`."""
    x, found = model.embedding(tokens) + model.positions(tf.range(tf.shape(tokens)[1])), []
    for block in model.blocks:
        x = block(x)
        found.append(model.norm(x))
    return tf.stack(found)


def untrained(model):
    """Returns the maps of a plain logit lens: each state is taken as it is.

    Returns:
        `float32` of shape `(depth, width, width)`.
    """
    return np.stack([np.eye(model.config["width"], dtype=np.float32)] * len(model.blocks))


def fitted(model, tokens, ridge=1e-2):
    """Fits a map from the states after each block to those after the last one, by least squares.

    Args:
        model: A `DecoderLM`; it is not changed.
        tokens: What it reads for this, `(rows, time)`, of the train split.
        ridge: What is added to the mean square of each coordinate.

    Returns:
        As `untrained`; the last map is the identity.
    """
    seen = np.asarray(states(model, tokens)).reshape(len(model.blocks), -1, model.config["width"])
    last, extra = seen[-1], positive("ridge", ridge) * len(seen[-1])
    maps = [np.linalg.solve(x.T @ x + extra * np.eye(x.shape[1]), x.T @ last) for x in seen[:-1]]
    return np.stack([*maps, np.eye(last.shape[1])]).astype(np.float32)


def lens(model, tokens, maps):
    """Returns what the model would say after each block, as logarithms of probabilities: to be
    compiled.

    Args:
        model: A `DecoderLM`.
        tokens: `int32` of shape `(rows, time)`.
        maps: As `untrained` or `fitted` returns them.

    Returns:
        `(depth, rows, time, vocabulary)`; the last of them is what the model says.
    """
    mapped = tf.einsum("drtw,dwv->drtv", states(model, tokens), maps)
    return tf.nn.log_softmax(model.head(mapped))


def leave(confidence, threshold):
    """Says after which block each token leaves: the first that is sure enough, else the last.

    Args:
        confidence: Probability of the likeliest token after each block, `(depth, ...)`.
        threshold: From which on it is enough.

    Returns:
        Positions of blocks, from 0, of shape `(...)`.
    """
    sure = np.asarray(finite("confidence", confidence)) >= threshold
    sure[-1] = True  # nobody can stay longer
    return sure.argmax(axis=0)


def multiplications(model, blocks):
    """Counts the multiplications for one token that leaves after so many blocks, without those of
    looking back: blocks, a head after each, and keys and values of the blocks that were skipped.

    Args:
        model: A `DecoderLM` whose blocks are alike.
        blocks: How many blocks the token takes; `None` for the model as it is, which asks its head
            once.
    """
    block, depth = model.blocks[0], len(model.blocks)
    width, a = model.config["width"], block.attention
    each = sum(np.prod(w.shape) for w in block.weights if len(w.shape) == 2)
    keys = sum(np.prod(p.kernel.shape) for p in (a.key_projection, a.value_projection))
    head = width * model.config["vocabulary"]
    if blocks is None:
        return int(depth * each + head)
    return int(blocks * (each + head) + (depth - blocks) * keys)


# --- for real ------------------------------------------------------------------------------------


def read_until_sure(model, token, caches, slot, maps, threshold):
    """Reads one token through as many blocks as it needs. The blocks that it skips get keys and
    values made from the state with which it left, for later tokens will look there.

    Args:
        model: A `DecoderLM`.
        token: `int32` of shape `(1, 1)`.
        caches: As `DecoderLM.empty_caches` makes them.
        slot: Scalar, its place in the text.
        maps: As `lens` takes them.
        threshold: As `leave` takes it.

    Returns:
        Logits `(vocabulary,)`, the caches, and how many blocks it took.
    """
    slots = caches[0].keys.shape[2]
    age = slot - tf.range(slots)[None, None]  # later ones have a negative one: nobody looks there
    x = model.embedding(token) + model.positions(slot)
    logits = tf.zeros(model.config["vocabulary"])
    sure, taken, written = tf.constant(False), tf.constant(0), []
    for block, cache, into in zip(model.blocks, caches, tf.unstack(maps)):

        def go(x=x, block=block, cache=cache, into=into, taken=taken):
            x, cache = block.read(x, cache, slot, age)
            logits = model.head(model.norm(x) @ into)[0, 0]
            sure = tf.reduce_max(tf.nn.softmax(logits)) >= threshold
            return x, cache, logits, sure, taken + 1

        def skip(x=x, block=block, cache=cache, logits=logits, sure=sure, taken=taken):
            _, keys, values = block.attention.projected(block.attention_norm(x))
            return x, cache.place(keys, values, slot), logits, sure, taken

        x, cache, logits, sure, taken = tf.cond(sure, skip, go)
        written.append(cache)
    return logits, tuple(written), taken


def along(text, caches, read):
    """Reads a text token by token and notes how surprising each next one was, and how many blocks
    were taken."""
    count = text.shape[1] - 1

    def step(at, caches, losses, taken):
        logits, caches, blocks = read(text[:, at, None], caches, at)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(text[0, at + 1], logits)
        losses = place(losses, loss[None], at, axis=0)
        return at + 1, caches, losses, place(taken, blocks[None], at, axis=0)

    state = 0, caches, tf.zeros(count), tf.zeros(count, tf.int32)
    return tf.while_loop(lambda at, *_: at < count, step, state)[2:]


def read_with_exits(model, text, caches, maps, threshold):
    """Reads a text `(1, length + 1)` with `read_until_sure`, to be compiled; returns losses and
    blocks, both `(length,)`."""
    return along(
        text,
        caches,
        lambda token, caches, at: read_until_sure(model, token, caches, at, maps, threshold),
    )


def read_through(model, text, caches):
    """The same with all blocks and one head, as decoders usually do."""

    def read(token, caches, at):
        logits, caches = model.read(token, caches, at)
        return logits[0, 0], caches, tf.constant(len(model.blocks))

    return along(text, caches, read)
