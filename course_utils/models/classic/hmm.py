"""A hidden Markov model of text, trained by gradients or by expectation and maximisation."""

import numpy as np

from course_utils.backend import keras, tf

SOFT = 0.3  # share of what a state says that is left to all tokens, for training to move


def forward(start, moves, says, tokens):
    """The forward algorithm (Baum et al., 1970; Rabiner, 1989), scaled at each step so that nothing
    underflows.

    Args:
        start: Probability of each state at the first token, `(states,)`.
        moves: `moves[i, j]`: probability that state j follows state i.
        says: `says[i, w]`: probability that state i says token w.
        tokens: `int32` of shape `(batch, time)`.

    Returns:
        The probability of each state at the *next* position given the tokens so far,
        `(batch, time, states)`, and the log-probability of each token given those before it,
        `(batch, time)`.
    """
    emitted = tf.gather(tf.transpose(says), tf.transpose(tokens))  # (time, batch, states)

    def step(before, emitted):
        joint = before[0] * emitted  # of state and token, given the tokens before
        likely = tf.reduce_sum(joint, axis=-1, keepdims=True)
        return (joint / likely) @ moves, tf.math.log(likely[:, 0])

    zeros = tf.zeros(tf.shape(tokens)[:1])
    states, likely = tf.scan(step, emitted, (start + zeros[:, None], zeros))
    return tf.transpose(states, (1, 0, 2)), tf.transpose(likely)


@keras.saving.register_keras_serializable("course_utils")
class HMM(keras.Model):
    """A hidden Markov model: in each of its states it says a token and moves on to another state.

    Its weights are the logits of three tables of probabilities: of the first state, of the next
    state given this one, and of the token given the state.

    Args:
        vocabulary: Number of different tokens.
        states: How many states; what it knows of the past is which one it may be in.

    Call arguments:
        tokens: `int32` of shape `(batch, time)`, of any length.

    Returns:
        Logits of shape `(batch, time, vocabulary)`; here they are log-probabilities.
    """

    def __init__(self, vocabulary, states, **kwargs):
        super().__init__(**kwargs)
        self.config = {"vocabulary": vocabulary, "states": states}

    def build(self, shape=None):
        states, spread = self.config["states"], keras.initializers.RandomNormal(stddev=0.5, seed=0)
        for name, size in (
            ("start", (states,)),
            ("moves", (states, states)),
            ("says", (states, self.config["vocabulary"])),
        ):
            setattr(self, name, self.add_weight(shape=size, initializer=spread, name=name))
        self.built = True

    def tables(self):
        """Returns start, moves and says as probabilities."""
        return [tf.nn.softmax(table) for table in (self.start, self.moves, self.says)]

    def begin_with(self, line):
        """Begins as a bigram of classes: a state for each, see `class_bigram`."""
        tables = class_bigram(line, self.config["states"], self.config["vocabulary"])
        for weight, table in zip((self.start, self.moves, self.says), tables):
            weight.assign(np.log(table))

    def call(self, tokens):
        start, moves, says = self.tables()
        return tf.math.log(forward(start, moves, says, tokens)[0] @ says + 1e-30)

    def get_config(self):
        return {**super().get_config(), **self.config}


def class_bigram(line, states, vocabulary):
    """Counts a bigram of classes (Brown et al., 1992), which is a hidden Markov model whose states
    hide nothing: each token belongs to one of them.

    The most frequent tokens found a class each. Every other one joins the class whose neighbours,
    before and behind, make its own likeliest.

    Args:
        line: Token ids, `(tokens,)`.
        states: How many classes.
        vocabulary: Number of different tokens.

    Returns:
        The tables `start`, `moves` and `says` of an `HMM`, smoothed.
    """
    line = np.asarray(line, np.int64)
    pairs = np.bincount(line[:-1] * vocabulary + line[1:], minlength=vocabulary**2)
    pairs = pairs.reshape(vocabulary, vocabulary).astype(np.float64)
    counts = np.bincount(line, minlength=vocabulary) + 0.1
    founders = counts.argsort()[::-1][:states]

    def fits(pairs):
        founded = pairs[founders] + 0.1
        return pairs @ np.log(founded / founded.sum(1, keepdims=True)).T

    belongs = (fits(pairs) + fits(pairs.T)).argmax(1)
    belongs[founders] = np.arange(states)
    member = np.eye(states)[belongs]  # (vocabulary, states)
    start = counts @ member / counts.sum()
    moves = member.T @ pairs @ member + start  # as if each class had been followed once more
    says = (1 - SOFT) * member.T * counts / (counts @ member)[
        :, None
    ] + SOFT * counts / counts.sum()
    return start, moves / moves.sum(1, keepdims=True), says


def baum_welch(model, tokens):
    """Makes a hidden Markov model fit a text better: one step of expectation and maximisation (Baum
    et al., 1970).

    How often each row of each table was probably used is the slope of the log-likelihood with
    respect to the table's logarithm (Eisner, 2016), so the backward pass does the expectation. The
    maximisation makes shares of these counts.

    Args:
        model: An `HMM`; its tables are changed.
        tokens: `int32` of shape `(batch, time)`.

    Returns:
        The mean log-probability of a token *before* the step, in nats. It never falls from step to
        step.
    """
    logs = [tf.math.log(table) for table in model.tables()]
    with tf.GradientTape() as tape:
        tape.watch(logs)
        likely = forward(*map(tf.exp, logs), tokens)[1]
        total = tf.reduce_sum(likely)
    for table, counts in zip((model.start, model.moves, model.says), tape.gradient(total, logs)):
        counts += 1e-10  # a state that is never used has no shares
        table.assign(tf.math.log(counts / tf.reduce_sum(counts, axis=-1, keepdims=True)))
    return float(tf.reduce_mean(likely))
