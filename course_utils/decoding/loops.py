"""Writing text: one token after another, with the keys and values of earlier ones kept."""

import numpy as np

from course_utils.backend import tf
from course_utils.checks import token_ids, whole
from course_utils.models.compiled import compiled


def unroll(model, prompt, given, length, choose):
    """Reads a padded prompt `(rows, context)`, of which so many tokens are given, and chooses the
    rest up to a length.

    Shapes never change and the cache is handed from step to step, so that XLA compiles it once.

    Args:
        choose: Function of logits `(rows, vocabulary)` and the position; returns a token for each
            row.
    """
    context = model.config["context"]

    def step(position, tokens, caches):
        logits, caches = model.step(tokens[:, position], caches, position)
        place = position + 1
        next_ones = tf.where(
            place < given, prompt[:, tf.minimum(place, context - 1)], choose(logits, position)
        )
        here = tf.one_hot(place, context, dtype=tf.int32)
        return place, tokens * (1 - here) + next_ones[:, None] * here, caches

    state = (0, prompt, model.empty_caches(prompt.shape[0]))
    return tf.while_loop(lambda position, *_: position < length - 1, step, state)[1]


def write(model, prompt, given, length):
    """The greedy loop, to be compiled: always the token the model thinks most likely."""
    return unroll(
        model, prompt, given, length, lambda logits, _: tf.argmax(logits, -1, output_type=tf.int32)
    )


def roll(model, prompt, given, seed):
    """The sampling loop, to be compiled: each token is drawn as the model's probabilities say."""

    def draw(logits, position):
        noise = tf.random.stateless_uniform(logits.shape, [seed, position], 1e-9, 1)
        return tf.argmax(
            logits - tf.math.log(-tf.math.log(noise)), -1, output_type=tf.int32
        )  # Gumbel's trick

    return unroll(model, prompt, given, model.config["context"], draw)


def generate(model, prompt, length):
    """Continues a prompt greedily: always with the token the model thinks most likely.

    Args:
        model: A `models.language.DecoderLM`.
        prompt: Token ids, at least one.
        length: How many tokens to add.

    Returns:
        `int32` array: the prompt and `length` more tokens.

    Raises:
        ValueError: If the prompt is empty, holds ids the model does not know, or is too long.
    """
    context, prompt = model.config["context"], np.ravel(prompt)
    whole("prompt length", len(prompt), 1, context - 1)
    total = whole("prompt length + length", len(prompt) + length, len(prompt) + 1, context)
    prompt = token_ids("prompt", prompt, model.config["vocabulary"])
    padded = np.zeros((1, context), np.int32)
    padded[0, : len(prompt)] = prompt
    return compiled(model, write)(
        tf.constant(padded), tf.constant(len(prompt)), tf.constant(total)
    )[0, :total].numpy()


def answers(model, prompts, end):
    """Continues several prompts greedily, all at once, each until the model writes its end mark.

    Args:
        model: A `models.language.DecoderLM`.
        prompts: Sequences of token ids, not necessarily of one length.
        end: The id of the mark.

    Returns:
        For each prompt what was written, `int32`, without prompt and mark; all that fits if no mark
        comes.

    Raises:
        ValueError: If a prompt is empty, holds ids the model does not know, or leaves no room for
            an answer.
    """
    context, end = model.config["context"], whole("end", end, 0, model.config["vocabulary"] - 1)
    prompts = [np.ravel(prompt) for prompt in prompts]
    if not prompts:
        raise ValueError("prompts must hold at least one prompt, got none")
    lengths = [whole("prompt length", len(prompt), 1, context - 1) for prompt in prompts]
    padded = np.zeros((len(prompts), context), np.int32)
    for row, prompt in zip(padded, prompts):
        row[: len(prompt)] = token_ids("prompts", prompt, model.config["vocabulary"])
    texts = compiled(model, write)(
        tf.constant(padded), tf.constant(lengths), tf.constant(context)
    ).numpy()
    written = [text[length:] for text, length in zip(texts, lengths)]
    return [text[: (text == end).argmax()] if end in text else text for text in written]


def sample(model, prompts, seed):
    """Goes on from many prompts at once until the context is full, drawing every token at random.

    Args:
        model: A `models.language.DecoderLM`.
        prompts: Token ids of shape `(rows, length)`, at least one a row.
        seed: A whole number; the same one draws the same text.

    Returns:
        `int32` of shape `(rows, context)`: the prompts and what the model said.

    Raises:
        ValueError: If the prompts are empty, hold ids the model does not know, or are too long.
    """
    context, prompts = model.config["context"], np.asarray(prompts)
    seed = whole("seed", seed, 0, 2**31 - 1)
    if prompts.ndim != 2 or not prompts.size or prompts.shape[1] > context:
        raise ValueError(
            f"prompts must have shape (rows, length) with length from 1 to {context}, got "
            f"{prompts.shape}"
        )
    padded = np.zeros((len(prompts), context), np.int32)
    padded[:, : prompts.shape[1]] = token_ids("prompts", prompts, model.config["vocabulary"])
    return compiled(model, roll)(
        tf.constant(padded), tf.constant(prompts.shape[1]), tf.constant(seed)
    ).numpy()
