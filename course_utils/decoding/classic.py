"""Reading and writing with any model that predicts tokens, texts of any length."""

import functools

import numpy as np

from course_utils.backend import keras, tf
from course_utils.checks import positive, token_ids, whole


@functools.lru_cache(maxsize=16)
def reader(model):
    """Returns a function from tokens `(rows, time)` to log-probabilities `(rows, vocabulary)` of
    the token after them.

    It is compiled once for texts of any number and length, without XLA, which would compile anew
    for each.
    """

    def last(tokens):
        return tf.nn.log_softmax(model(tokens)[:, -1])

    if hasattr(model, "sees"):  # so many tokens and no more, so a shorter text is faster
        return lambda tokens: last(tokens[:, -model.sees :])
    if isinstance(model, keras.Model):
        return tf.function(last, input_signature=[tf.TensorSpec((None, None), tf.int32)])
    return last


def write(model, prompt, length, temperature=0.7, seed=0):
    """Continues a text by drawing one token after another.

    Args:
        model: Any model of the course that predicts tokens.
        prompt: Token ids, at least one.
        length: How many tokens to add.
        temperature: Below 1, likely tokens get still likelier.
        seed: Decides the draws.

    Returns:
        The list of added token ids.

    Raises:
        ValueError: If the prompt is empty or holds ids the model does not know, the text becomes
            longer than the model can read, or a number is not allowed.
    """
    length, temperature = whole("length", length, 0, 2**31), positive("temperature", temperature)
    prompt, config = np.ravel(prompt), getattr(model, "config", {})
    if context := config.get("context"):  # the last token is written and not read
        whole("prompt length", len(prompt), 1, context)
        whole("prompt length + length", len(prompt) + length, len(prompt), context + 1)
    tokens = token_ids("prompt", prompt, config.get("vocabulary", 2**31)).tolist()
    read, random = reader(model), np.random.default_rng(seed)
    for _ in range(length):
        p = (
            tf.nn.softmax(read(tf.constant([tokens], tf.int32))[0] / temperature)
            .numpy()
            .astype(np.float64)
        )
        tokens.append(int(random.choice(len(p), p=p / p.sum())))
    return tokens[len(prompt) :]
