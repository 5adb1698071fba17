"""Where attention looks, and what a model is without one of its parts."""

import numpy as np

from course_utils import compression, evaluation
from course_utils.backend import tf
from course_utils.checks import one_of
from course_utils.decoding.translation import checked
from course_utils.evaluation.language import readable

PARTS = ("positions", "attention", "residuals", "norms", "MLPs")


def forward(model, tokens, without=()):
    """Runs a `DecoderLM` by hand, layer by layer, with some of its parts left out.

    Args:
        model: A `DecoderLM`.
        tokens: `int32` of shape `(batch, time)`.
        without: Any of `PARTS`. Without residuals, an update replaces what came in and is not added
            to it.

    Returns:
        Logits of shape `(batch, time, vocabulary)`; with nothing left out, those of the model.

    Raises:
        ValueError: If there is no such part.
    """
    has = {part: part not in [one_of("part", part, PARTS) for part in without] for part in PARTS}

    def norm(layer, h):
        return layer(h) if has["norms"] else h

    x = model.embedding(tokens)
    if has["positions"]:
        x += model.positions(np.arange(tokens.shape[1]))
    for block in model.blocks:
        if has["attention"]:
            x = x * has["residuals"] + block.attention(norm(block.attention_norm, x))
        if has["MLPs"]:
            x = x * has["residuals"] + block.down(block.up(norm(block.mlp_norm, x)))
    return model.head(norm(model.norm, x))


def perplexity_without_heads(model, tokens):
    """Silences one head after the other and measures what that costs.

    Args:
        model: A `DecoderLM` whose blocks have the same number of heads.
        tokens: As `evaluation.next_token` takes them.

    Returns:
        Perplexities of shape `(blocks, heads)`.
    """
    found = []
    for name, part in compression.hidden(model).items():
        if name.endswith("attention"):
            for head in range(part.count):
                silent = compression.silence_units(model, {name: np.arange(part.count) != head})
                found.append(evaluation.next_token(silent, tokens).perplexity)
    return np.reshape(found, (len(model.blocks), -1))


def typical_heads(model, tokens):
    """Returns what each head of a `DecoderLM` gives on average over a text, before the output
    projection: `(blocks, heads, head_size)`.

    Args:
        model: A `DecoderLM` whose blocks have the same number of heads.
        tokens: `int32` of shape `(sequences, time)`.
    """
    found = []

    def noted(_, mixed):
        found.append(np.mean(mixed, axis=(0, 1)))
        return mixed

    forward_with(model, tokens, noted)
    heads = model.blocks[0].attention.heads
    return np.reshape(found, (len(found), heads, -1))


def perplexity_with_typical_heads(model, tokens, typical):
    """Puts in place of one head after the other what it gives on average, whatever the text, and
    measures what that costs.

    Silence is a value that the later layers never met; the mean is not.

    Args:
        model: A `DecoderLM` whose blocks have the same number of heads.
        tokens: As `evaluation.next_token` takes them.
        typical: From `typical_heads`, measured on other text.

    Returns:
        Perplexities of shape `(blocks, heads)`.
    """
    blocks, heads, size = typical.shape

    def measured(block, head):
        here = np.repeat(np.arange(heads) == head, size)
        fixed = np.tile(typical[block, head], heads)

        def changed(number, mixed):
            return tf.where(here, fixed, mixed) if number == block else mixed

        return evaluation.next_token(lambda x: forward_with(model, x, changed), tokens).perplexity

    return np.array([[measured(block, head) for head in range(heads)] for block in range(blocks)])


def forward_with(model, tokens, changed):
    """Runs a `DecoderLM` by hand with a change to what its heads give.

    Args:
        model: A `DecoderLM`.
        tokens: `int32` of shape `(batch, time)`.
        changed: Function of a block's number and what its heads give side by side,
            `(batch, time, heads * head_size)`; it returns what stands in its place.

    Returns:
        Logits of shape `(batch, time, vocabulary)`.
    """
    x = model.embedding(tokens) + model.positions(np.arange(tokens.shape[1]))
    past = np.tri(tokens.shape[1], dtype=np.float32)
    for number, block in enumerate(model.blocks):
        layer = block.attention
        mixed = layer.attend(*layer.projected(block.attention_norm(x)), past)
        x += layer.output_projection(changed(number, mixed))
        x += block.down(block.up(block.mlp_norm(x)))
    return model.head(model.norm(x))


def weights_of(layer, x, memory, visible):
    """Returns who looks where in an attention layer, `(heads, x, memory)`, for one row.

    The layer itself is asked to mix unit vectors in place of its values: what comes out are its
    weights.
    """
    queries, keys = (
        layer.split(layer.query_projection(x)),
        layer.split(layer.key_projection(memory)),
    )
    units = tf.eye(memory.shape[1], batch_shape=(1, layer.heads))
    mixed = layer.attend(queries, keys, units, visible)  # (1, x, heads * memory)
    return np.reshape(mixed, (x.shape[1], layer.heads, memory.shape[1])).transpose(1, 0, 2)


def self_attention(model, tokens):
    """Returns all attention maps of a `DecoderLM` for one row of tokens,
    `(blocks, heads, time, time)`."""
    tokens = readable(model, "tokens", np.asarray(tokens)[None])
    past = np.tri(tokens.shape[1], dtype=np.float32)
    x, maps = model.embedding(tokens) + model.positions(np.arange(tokens.shape[1])), []
    for block in model.blocks:
        normed = block.attention_norm(x)
        maps.append(weights_of(block.attention, normed, normed, past))
        x = block(x)
    return np.stack(maps)


def cross_attention(model, source, target):
    """Returns how an `EncoderDecoder` looks from a target at its source,
    `(blocks, heads, target, source)`.

    Row t is the look with which the model, having read target tokens 0..t, predicts token t + 1.
    """
    source = checked(model, "source", np.asarray(source)[None])
    target = checked(model, "target", np.asarray(target)[None])
    memory, visible = model.encode(source), model.visible(source)
    x, maps = model.embed(target), []
    for block in model.decoder:
        seen = x + block.attention(block.attention_norm(x))
        maps.append(weights_of(block.cross, block.cross_norm(seen), memory, visible[:, None, None]))
        x = block(x, memory, visible)
    return np.stack(maps)
