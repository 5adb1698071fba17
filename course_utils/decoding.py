"""Writing text: one token after another, with the keys and values of earlier ones kept."""

import numpy as np

from course_utils.backend import tf
from course_utils.checks import whole
from course_utils.models.compiled import compiled


def write(model, prompt, prompt_length, length):
    """The greedy loop, to be compiled: a padded prompt `(rows, context)` in, tokens `(rows, context)` out.

    Shapes never change and the cache is handed from step to step, so that XLA compiles it once.
    """
    context = model.shape["context"]

    def step(position, tokens, caches):
        logits, caches = model.step(tokens[:, position], caches, position)
        chosen = tf.argmax(logits, -1, output_type=tf.int32)
        place = position + 1
        known = tf.where(place < prompt_length, prompt[:, tf.minimum(place, context - 1)], chosen)
        here = tf.one_hot(place, context, dtype=tf.int32)
        return place, tokens * (1 - here) + known[:, None] * here, caches

    state = (0, prompt, model.empty_caches(prompt.shape[0]))
    return tf.while_loop(lambda position, *_: position < length - 1, step, state)[1]


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
    context, prompt = model.shape["context"], np.asarray(prompt, np.int64).ravel()
    whole("prompt length", len(prompt), 1, context - 1)
    whole("prompt length + length", len(prompt) + length, len(prompt) + 1, context)
    if prompt.min() < 0 or prompt.max() >= model.shape["vocabulary"]:
        raise ValueError(f"prompt must hold token ids from 0 to {model.shape['vocabulary'] - 1}, got {prompt.tolist()}")
    padded = np.zeros((1, context), np.int32)
    padded[0, : len(prompt)] = prompt
    total = len(prompt) + length
    return compiled(model, write)(tf.constant(padded), tf.constant(len(prompt)), tf.constant(total))[0, :total].numpy()
