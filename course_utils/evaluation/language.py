"""How well a language model predicts the next token."""

import dataclasses

import numpy as np

from course_utils.backend import keras, tf
from course_utils.checks import token_ids, whole
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
    return scored(model(tokens[:, :-1]), tokens)


def scored(logits, tokens):
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tokens[:, 1:], logits)
    right = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), tokens[:, 1:])
    return tf.reduce_mean(losses, 1), tf.reduce_mean(tf.cast(right, tf.float32), 1)


def readable(model, name, tokens, ahead=0):
    """Returns tokens as `int32` rows that a language model knows and has room for.

    A model that is asked for what it does not know answers all the same: compiled, it reads the
    nearest row of its table instead.

    Args:
        model: A Keras model or any other function from tokens to logits. What it knows stands in
            its `config` where it has one, and is counted in its logits where not.
        name: What a message should call the tokens.
        tokens: Token ids `(rows, length + ahead)`.
        ahead: How many tokens at the end of each row are not read but predicted.

    Raises:
        ValueError: With what was given and what the model knows.
    """
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or tokens.shape[0] < 1 or tokens.shape[1] < 1 + ahead:
        shape = f"(sequences, length{' + 1' if ahead else ''})"
        raise ValueError(f"{name} must have shape {shape}, got {tokens.shape}")
    config = getattr(model, "config", None)
    config = config if isinstance(config, dict) else {}
    context, length = config.get("context"), tokens.shape[1] - ahead
    if context is not None and length > context:
        raise ValueError(
            f"{name} must be at most {context} to be read at once, the model's context, got "
            f"{length}: cut them into shorter windows"
        )
    known = config.get("vocabulary", 2**31)
    if not config and isinstance(model, keras.Model):
        known = model(np.zeros((1, length), np.int32)).shape[-1]
    return token_ids(name, tokens, known)


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
        ValueError: If `tokens` is empty, has another shape, holds what the model does not know, or
            is longer than it can read.
    """
    tokens = readable(model, "tokens", tokens, ahead=1)
    batch_size = whole("batch_size", batch_size, 1, 2**31)

    def called(part):
        try:
            logits = model(part[:, :-1])
        except tf.errors.InvalidArgumentError:  # a look-up without XLA says what XLA does not
            raise ValueError(
                f"tokens must be known to the model, got {tokens.min()} to {tokens.max()}"
            ) from None
        token_ids("tokens", part, logits.shape[-1])
        return scored(logits, part)

    run = compiled(model, score) if isinstance(model, keras.Model) else called
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
