"""Choosing the next token: filters that take unlikely ones out, and the draw itself.

Each filter takes logits `(rows, vocabulary)` and returns them with minus infinity at what it takes
out; the most likely token always stays.
"""

import dataclasses

import numpy as np

from course_utils.backend import tf
from course_utils.checks import whole, within


def top_k(logits, k):
    """Keeps the `k` most likely tokens, and others that are exactly as likely as the last of them
    (Fan et al., 2018)."""
    k = tf.clip_by_value(k, 1, logits.shape[-1])
    last = tf.sort(logits, direction="DESCENDING")[:, k - 1, None]
    return tf.where(logits >= last, logits, -np.inf)


def top_p(logits, p):
    """Keeps the smallest set of most likely tokens that hold `p` of the probability together: the
    nucleus (Holtzman et al., 2020)."""
    ranked = tf.sort(logits, direction="DESCENDING")
    before = tf.cumsum(tf.nn.softmax(ranked), axis=-1, exclusive=True)
    # A token stays while those before it hold less; rounded sums may reach 1 before the last one.
    kept = tf.where((before < p) | (p >= 1), ranked, np.inf)
    last = tf.minimum(tf.reduce_min(kept, axis=-1, keepdims=True), ranked[:, :1])
    return tf.where(logits >= last, logits, -np.inf)


def min_p(logits, p):
    """Keeps the tokens at least `p` times as likely as the most likely one (Nguyen et al., 2025)."""
    best = tf.reduce_max(logits, axis=-1, keepdims=True)
    return tf.where(logits >= best + tf.math.log(tf.cast(p, logits.dtype)), logits, -np.inf)


def draw(logits, noise):
    """Draws a token of each row as likely as the logits say, by Gumbel's trick.

    Args:
        logits: `(rows, vocabulary)`.
        noise: Of the same shape, evenly between 0 and 1, neither of them among it.
    """
    return tf.argmax(logits - tf.math.log(-tf.math.log(noise)), -1, output_type=tf.int32)


@dataclasses.dataclass(frozen=True)
class Sampling:
    """How the next token is chosen.

    Args:
        temperature: Divides the logits: below 1 likely tokens get still likelier. 0 is greedy: the
            most likely token, always; else from 0.01 to 100.
        top_k: Keep so many of the most likely tokens; 0 keeps all.
        top_p: Keep the most likely tokens that hold this share of the probability; 1 keeps all, 0
            the most likely one.
        min_p: Keep the tokens at least so many times as likely as the most likely one; 0 keeps all.
        seed: Decides the draws.

    Raises:
        ValueError: If a number is not allowed.

    Example:

    >>> Sampling(temperature=0.7, top_p=0.9).greedy
    False
    """

    temperature: float = 0.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    seed: int = 0

    def __post_init__(self):
        if self.temperature != 0:
            within("temperature", self.temperature, 0.01, 100)
        whole("top_k", self.top_k, 0, 2**20)
        within("top_p", self.top_p, 0, 1)
        within("min_p", self.min_p, 0, 1)
        whole("seed", self.seed, 0, 2**31 - 1)

    @property
    def greedy(self):
        """Whether chance plays no part."""
        return self.temperature == 0

    @property
    def filters(self):
        """Whether some tokens are taken out before the draw."""
        return bool(self.top_k or self.top_p < 1 or self.min_p)

    def numbers(self):
        """Returns all of it as one tensor, so that a compiled function takes any values."""
        return tf.constant([self.temperature, self.top_k, self.top_p, self.min_p], tf.float32)


def filtered(logits, numbers):
    """Returns log-probabilities after top-k, top-p and min-p, in this order.

    Args:
        logits: `(rows, vocabulary)`, divided by the temperature.
        numbers: As `Sampling.numbers` gives them.
    """
    _, k, p, least = tf.unstack(numbers)
    k = tf.where(k > 0, tf.cast(k, tf.int32), logits.shape[-1])
    return tf.nn.log_softmax(min_p(top_p(top_k(logits, k), p), least))


def uniform(shape, seed, position):
    """Returns numbers between 0 and 1, neither of them among it, for a seed and a position."""
    return tf.random.stateless_uniform(shape, [seed, position], 1e-9, 1)
