"""One step of training, by hand and in NumPy: a loss, its gradient, an optimizer, and how its rate
runs."""

import math

import numpy as np
import threadpoolctl

from course_utils.checks import one_of, positive, whole
from course_utils.checks import seed as checked_seed


def cross_entropy(logits, targets):
    """The loss of language models: the mean surprise at the tokens that really came.

    Args:
        logits: Scores of shape `(predictions, vocabulary)`.
        targets: Which token came, whole numbers of shape `(predictions,)`.

    Returns:
        The loss in nats, and its gradient by the logits, of their shape: what was predicted minus
        what came.

    Example:

    >>> loss, slopes = cross_entropy(np.zeros((1, 4)), np.array([2]))
    >>> float(loss)  # four equal scores: log 4
    1.3862943611198906
    >>> slopes
    array([[ 0.25,  0.25, -0.75,  0.25]])
    """
    rows = np.arange(len(targets))
    shifted = logits - logits.max(-1, keepdims=True)  # the same softmax, and no overflow
    p = np.exp(shifted)
    total = p.sum(-1, keepdims=True)
    loss = (np.log(total[:, 0]) - shifted[rows, targets]).mean()
    p /= total
    p[rows, targets] -= 1
    return loss, p / len(targets)


def pair_model(vocabulary, width=16, seed=0):
    """Starts the smallest neural language model: it sees one token and predicts the next.

    Returns:
        Two matrices by name: `"embedding"`, `(vocabulary, width)`, and `"head"`,
        `(width, vocabulary)`.
    """
    vocabulary, width = (
        whole("vocabulary", vocabulary, 1, 2**20),
        whole("width", width, 1, 2**20),
    )
    rng = np.random.default_rng(checked_seed(seed))
    shapes = {"embedding": (vocabulary, width), "head": (width, vocabulary)}
    return {
        name: rng.normal(0, width**-0.5, shape).astype(np.float32) for name, shape in shapes.items()
    }


def pair_floor(line, vocabulary):
    """The least loss of a model that sees one token only: the entropy of the next token given this
    one, in nats.

    Args:
        line: Tokens, of shape `(tokens,)`; the model is measured on these.
        vocabulary: How many different ones there are.
    """
    counts = np.zeros((vocabulary, vocabulary))
    np.add.at(counts, (line[:-1], line[1:]), 1)
    pairs, seen = counts[counts > 0], np.repeat(counts.sum(1), (counts > 0).sum(1))
    return float(-(pairs * np.log(pairs / seen)).sum() / counts.sum())


def slopes(weights, inputs, targets):
    """Takes the loss of a `pair_model` and its gradient at both matrices.

    Args:
        weights: As `pair_model` gives them.
        inputs, targets: Tokens and those that followed, whole numbers of shape `(predictions,)`.

    Returns:
        The loss in nats, and the gradients by name.
    """
    x = weights["embedding"][inputs]  # (predictions, width)
    loss, at_logits = cross_entropy(x @ weights["head"], targets)
    at_x = at_logits @ weights["head"].T
    seen = (inputs == np.arange(len(weights["embedding"]))[:, None]).astype(
        np.float32
    )  # a row collects where it was used
    return loss, {"embedding": seen @ at_x, "head": x.T @ at_logits}


def sgd(weights, gradients, moments, step, rate):
    """One step of gradient descent: straight down the slope, `rate` times as far as it is steep."""
    for name, slope in gradients.items():
        weights[name] -= rate * slope


def adamw(
    weights, gradients, moments, step, rate, decay=0.05, beta_1=0.9, beta_2=0.98, epsilon=1e-7
):
    """One step of AdamW (Kingma and Ba, 2015; Loshchilov and Hutter, 2019).

    Each weight moves by about `rate`, however steep its slope: by the mean slope of late over its
    typical size. A little decay pulls all weights towards zero.

    Args:
        weights: Arrays by name; they are changed.
        gradients: Their slopes, by name.
        moments: A dict that this function keeps its means in; empty at the first step.
        step: How many steps went before.
        rate: The learning rate of this step.
        decay: How much of `rate` times the weight is taken away.
        beta_1, beta_2: How slowly the means of the slope and of its square forget.
        epsilon: Keeps the quotient finite.
    """
    for name, slope in gradients.items():
        mean, square = moments.get(name, (0.0, 0.0))
        mean, square = (
            beta_1 * mean + (1 - beta_1) * slope,
            beta_2 * square + (1 - beta_2) * slope**2,
        )
        moments[name] = mean, square
        late = (
            rate * math.sqrt(1 - beta_2 ** (step + 1)) / (1 - beta_1 ** (step + 1))
        )  # both means began at zero
        weights[name] -= rate * decay * weights[name] + late * mean / (np.sqrt(square) + epsilon)


def warm_up_then_cosine(step, steps, rate, warm_up):
    """The learning rate at a step: up in a straight line, then down a cosine to nothing.

    Args:
        step: How many steps went before.
        steps: How many there will be.
        rate: The highest rate.
        warm_up: How many steps the way up takes.
    """
    if step < warm_up:
        return rate * step / warm_up
    return rate * 0.5 * (1 + math.cos(math.pi * (step - warm_up) / (steps - warm_up)))


def constant(step, steps, rate, warm_up):
    """The same learning rate at every step."""
    return rate


OPTIMIZERS = {"sgd": sgd, "adamw": adamw}
SCHEDULES = {"constant": constant, "warm-up and cosine": warm_up_then_cosine}


def learn(
    line, vocabulary, steps=100, rate=0.05, optimizer="adamw", schedule="constant", rows=256, seed=0
):
    """Trains a `pair_model` on pairs of neighbours drawn from a line of tokens.

    Args:
        line: Tokens, of shape `(tokens,)`.
        vocabulary: How many different ones there are.
        steps: How many steps.
        rate: The learning rate, or the highest one of a schedule.
        optimizer: A key of `OPTIMIZERS`.
        schedule: A key of `SCHEDULES`; a tenth of the steps is warm-up.
        rows: Pairs a step.
        seed: Of the start and of the draws.

    Returns:
        The loss before each step, in nats, of shape `(steps,)`. It may be NaN or huge: a rate can
        be too high.

    Raises:
        ValueError: If a number or a name is not allowed.
    """
    update, at = (
        OPTIMIZERS[one_of("optimizer", optimizer, OPTIMIZERS)],
        SCHEDULES[one_of("schedule", schedule, SCHEDULES)],
    )
    steps, rows = whole("steps", steps, 1, 10**6), whole("rows", rows, 1, 10**6)
    rate, seed = positive("rate", rate), checked_seed(seed)
    weights, moments, rng, losses = (
        pair_model(vocabulary, seed=seed),
        {},
        np.random.default_rng(seed),
        [],
    )
    # A rate that is too high is to be seen, not to be warned of; and for matrices this small a
    # second thread is a hindrance.
    with np.errstate(all="ignore"), threadpoolctl.threadpool_limits(1):
        for step in range(steps):
            starts = rng.integers(0, len(line) - 1, rows)
            loss, gradients = slopes(weights, line[starts], line[starts + 1])
            losses.append(loss)
            update(weights, gradients, moments, step, at(step, steps, rate, steps // 10))
    return np.array(losses)
