"""How well a language model predicts the next token."""

import dataclasses
import functools

import numpy as np

from course_utils.backend import keras, tf
from course_utils.evaluation.intervals import interval
from course_utils.models.compiled import compiled


@dataclasses.dataclass(frozen=True)
class NextToken:
    """How well a language model predicts the next token.

    Attributes:
        accuracy: Share of tokens that were its first choice.
        perplexity: `exp(loss)`: how many equally likely tokens it hesitates between.
        loss: Mean negative log-probability of the true token, in nats.
        predictions: How many tokens were predicted.
        accuracy_interval: 95% interval of the accuracy over the sequences.
        perplexity_interval: 95% interval of the perplexity over the sequences.
        losses: The mean loss of each sequence, for comparisons that pair them.
    """

    accuracy: float
    perplexity: float
    loss: float
    predictions: int
    accuracy_interval: tuple
    perplexity_interval: tuple
    losses: np.ndarray = dataclasses.field(repr=False, compare=False)


def score(model, tokens):
    """Returns the loss and the share of first choices that were right, one each a sequence."""
    logits = model(tokens[:, :-1])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tokens[:, 1:], logits)
    right = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), tokens[:, 1:])
    return tf.reduce_mean(losses, 1), tf.reduce_mean(tf.cast(right, tf.float32), 1)


def next_token(model, tokens, batch_size=16):
    """Measures next-token accuracy and perplexity.

    Args:
        model: Maps `int32` tokens `(batch, length)` to logits `(batch, length, vocabulary)`. A
            Keras model is compiled first; anything else, such as a `litert.Runner`, is called as it
            is.
        tokens: `int32` of shape `(sequences, length + 1)`, such as `datasets.docs.sequences` gives.
        batch_size: Sequences a step.

    Returns:
        A `NextToken`. A model whose logits are not finite has a perplexity of infinity.

    Raises:
        ValueError: If `tokens` is empty or has another shape.
    """
    tokens = np.asarray(tokens, np.int32)
    if tokens.ndim != 2 or tokens.shape[0] < 1 or tokens.shape[1] < 2:
        raise ValueError(f"tokens must have shape (sequences, length + 1), got {tokens.shape}")
    run = (
        compiled(model, score)
        if isinstance(model, keras.Model)
        else functools.partial(score, model)
    )
    parts = [
        run(tf.constant(tokens[i : i + batch_size])) for i in range(0, len(tokens), batch_size)
    ]
    losses, right = (np.concatenate([part[i].numpy() for part in parts]) for i in (0, 1))
    with np.errstate(over="ignore", invalid="ignore"):
        loss, spread = losses.astype(np.float64).mean(), interval(losses)
        perplexity, bounds = np.exp([loss, *spread])[0], tuple(np.exp(spread).tolist())
    return NextToken(
        float(right.mean()),
        float(perplexity) if np.isfinite(loss) else float("inf"),
        float(loss),
        tokens.shape[0] * (tokens.shape[1] - 1),
        interval(right),
        bounds,
        losses.astype(np.float64),
    )
