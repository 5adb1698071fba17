"""Writing text: one token after another, with the keys and values of earlier ones kept."""

import weakref

import numpy as np

from course_utils.backend import tf
from course_utils.checks import whole

_writers = weakref.WeakKeyDictionary()


def writer(model):
    """Returns the model's compiled greedy loop, made once for each model.

    It maps a padded prompt `(1, context)`, its length and the length wanted to tokens `(1, context)`.
    Shapes never change and the cache is an input of each step, so that XLA compiles it once.
    """
    if model not in _writers:
        kept = weakref.ref(model)
        shape = model.shape
        head = shape["width"] // shape["heads"]

        @tf.function(jit_compile=True, autograph=False)
        def write(prompt, prompt_length, length):
            def step(position, tokens, caches):
                logits, caches = kept().step(tokens[:, position], tf.unstack(caches), position)
                chosen = tf.argmax(logits, -1, output_type=tf.int32)
                place = position + 1
                known = tf.where(place < prompt_length, prompt[:, tf.minimum(place, shape["context"] - 1)], chosen)
                here = tf.one_hot(place, shape["context"], dtype=tf.int32)
                return place, tokens * (1 - here) + known[:, None] * here, caches

            caches = tf.zeros((shape["depth"], 2, prompt.shape[0], shape["heads"], shape["context"], head))
            return tf.while_loop(lambda position, *_: position < length - 1, step, (0, prompt, caches))[1]

        _writers[model] = write
    return _writers[model]


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
    return writer(model)(tf.constant(padded), tf.constant(len(prompt)), tf.constant(total))[0, :total].numpy()
