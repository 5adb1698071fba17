"""What came before the Transformer, each as `model(tokens) -> logits`: rules, n-grams, a hidden Markov model, an LSTM."""

import collections
import functools

import numpy as np

from course_utils.backend import keras, tf
from course_utils.checks import fraction, whole

# --- rules ----------------------------------------------------------------------------------------

RULES = """
<end>         | Returns | Return the | Compute the | Computes | A | The | Base class for
Parameters⏎   | ----------⏎
Returns⏎      | -------⏎
Examples⏎     | --------⏎
Notes⏎        | -----⏎
See Also⏎     | --------⏎
References⏎   | ----------⏎
Raises⏎       | ------⏎
Attributes⏎   | ----------⏎
Args:⏎        |    ␣
Returns:⏎     |    ␣
Raises:⏎      |    ␣
Example:⏎     | ⏎>>>
⏎⏎            | Parameters⏎ | Returns⏎ | Examples⏎ | Args:⏎ | Returns:⏎ | Notes⏎ | >>> | The | This | If
⏎--------⏎    | >>>
⏎>>           | >
>>>           | ␣import numpy as np⏎ | ␣x = np. | ␣y =
import        | ␣numpy as np⏎ | ␣matplotlib.pyplot as plt⏎
numpy         | ␣as np⏎ | .array
np.           | array([ | zeros( | ones(
␣:            | ␣int | ␣float | ␣array | ␣bool | ␣str | ␣{
int           | , optional⏎ | ␣or | ⏎
float         | , optional⏎ | ␣or | ⏎
bool          | , optional⏎ | , default | ⏎
optional      | ⏎
default       | : None | ␣is | =None | =True | =False
array         | _like | ␣of | s | ,
shape         | ␣( | =( | ␣of
shape (       | n_samples, | n_features,
n_            | samples | features | jobs
whether       | ␣to
If            | ␣True, | ␣None, | ␣the | ␣not
␣of           | ␣the | ␣a
␣in           | ␣the | ␣a
␣on           | ␣the
␣to           | ␣the | ␣be | ␣compute
␣by           | ␣the
␣for          | ␣the | ␣each
␣from         | ␣the
␣with         | ␣the | ␣a
␣is           | ␣the | ␣a | ␣not | ␣used
␣be           | ␣used
␣the          | ␣input | ␣array | ␣function | ␣shape | ␣number of | ␣same | ␣output | ␣values | ␣default
The           | ␣number of | ␣input | ␣output | ␣shape | ␣function
number        | ␣of
same          | ␣shape as | ␣as
See           | ␣also
e.g           | .
,             | ␣
.             | ⏎ | ␣The
:             | ⏎ | ␣
"""
LEXICON = """about algorithm all also array arrays attribute attributes available axes axis based batch between boolean
boundary called class classes coefficients column columns compute computed computes contains coordinates corresponding
data dataset default defaults defined dimension dimensions distribution documentation elements error estimator
example examples existing false features figure first float following format from function functions gradient
image index indices initial input inputs integer integers interface interval iteration kernel label labels layer
length linear list matrix maximum mean method methods minimum model module name names None number object objects only
operation optional order other output outputs parameter parameters point points predict probability random range
reference regression represents required result results return returned returns samples scalar second sequence
shape should single size solution sparse specified standard string structure supported target tensor tensors
training transform True tuple type values variable variance vector version weight weights when where whether which
will with"""


class Rules:
    """Writes by hand-made rules: where the text ends in this, one of these comes next.

    The longest rule that fits decides, also in the middle of what it says, and words of a lexicon are
    spelled to their end. To have a perplexity at all a model must think nothing impossible, so a share
    of each prediction goes to a guess by eye: small letters and spaces before marks, marks before the rest.

    Args:
        tokenizer: A `tokenizers.Tokenizer`.
        trust: Share that goes to what the rules say.
        rules: One a line, as in `RULES`; ⏎ is a new line and ␣ a space.
        lexicon: Words to spell.

    Call arguments:
        tokens: `int32` of shape `(batch, time)`, of any length.

    Returns:
        Logits of shape `(batch, time, vocabulary)`; here they are log-probabilities.
    """

    def __init__(self, tokenizer, trust, rules=RULES, lexicon=LEXICON):
        vocabulary = tokenizer.get_vocab_size()
        self.pieces = [tokenizer.decode([i], skip_special_tokens=False) for i in range(vocabulary)]
        said = collections.defaultdict(lambda: np.zeros(vocabulary))  # by the end of a text: how often a token is said to follow
        for before, *afters in [*spelled_out(rules), *(("", " " + word) for word in lexicon.split())]:
            for after in afters:
                tokens = tokenizer.encode(after).ids
                for place in range(len(tokens)):
                    ending = before + "".join(self.pieces[token] for token in tokens[:place])
                    if ending.strip(" "):  # no rule begins after nothing
                        said[ending][tokens[place]] += 1
        guess = np.array([by_eye(piece) for piece in self.pieces], float)
        self.rows = {ending: row for row, ending in enumerate(["", *said])}
        self.longest = max(map(len, self.rows))
        told = np.array([guess, *said.values()])
        told /= told.sum(axis=1, keepdims=True)
        self.table = tf.constant(np.log(trust * told + (1 - trust) * told[0]), tf.float32)

    def __call__(self, tokens):
        return tf.gather(self.table, [self.rows_of(line) for line in np.asarray(tokens)])

    def rows_of(self, line):
        """Returns, after each token of a line, the row of the longest rule that fits the text so far."""
        text, found = "", []
        for token in line:
            text = (text + self.pieces[token])[-self.longest :]
            ends = (text[start:] for start in range(len(text) + 1))  # the longest first, the empty one last
            found.append(next(self.rows[end] for end in ends if end in self.rows))
        return found


def spelled_out(rules):
    """Returns each rule as a list of texts: the end it waits for, then what may come next."""
    return [[part.strip().replace("⏎", "\n").replace("␣", " ").replace("<end>", "<|end|>") for part in line.split("|")]
            for line in rules.strip().split("\n")]


def by_eye(piece):
    """Returns how likely a piece of text looks to somebody who knows docstrings."""
    if piece.strip().islower() or piece == " ":
        return 10
    return 5 if piece in ".,:()`_='\n" or piece.isspace() else 1


# --- the LSTM ------------------------------------------------------------------------------------


@keras.saving.register_keras_serializable("course_utils")
class LSTM(keras.layers.Layer):
    """Reads from left to right and keeps a memory, its cell (Hochreiter and Schmidhuber, 1997).

    Three gates, numbers from 0 to 1, say how much of the cell to forget (Gers et al., 2000), how much of
    what is new to write into it, and how much of it to show.

    Args:
        width: Length of the cell, and of what it shows.

    Call arguments:
        x: Float tensor of shape `(batch, time, inputs)`.

    Returns:
        What the cell shows after each position, `(batch, time, width)`.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape):
        self.gates = keras.layers.Dense(4 * self.width, name="gates")
        self.gates.build((None, shape[-1]))
        self.gates.bias.assign(tf.repeat([0.0, 1.0, 0.0, 0.0], self.width))  # at first, forget little
        self.recall = keras.layers.Dense(4 * self.width, use_bias=False, kernel_initializer="orthogonal", name="recall")
        self.recall.build((None, self.width))

    def step(self, state, seen):
        """One position: the state `(shown, cell)`, and what the gates make of the new token, `(batch, 4 * width)`."""
        shown, cell = state
        write, keep, new, show = tf.split(seen + self.recall(shown), 4, axis=-1)
        cell = tf.sigmoid(keep) * cell + tf.sigmoid(write) * tf.tanh(new)
        return tf.sigmoid(show) * tf.tanh(cell), cell

    def call(self, x):
        nothing = tf.zeros((tf.shape(x)[0], self.width))
        shown, _ = tf.scan(self.step, tf.transpose(self.gates(x), (1, 0, 2)), (nothing, nothing))
        return tf.transpose(shown, (1, 0, 2))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("course_utils")
class LSTMLM(keras.Model):
    """A language model on one LSTM: embedding, memory, logits.

    Args:
        vocabulary: Number of different tokens.
        width: Length of the vector that stands for a token, and of the memory.

    Call arguments:
        tokens: `int32` of shape `(batch, time)`, of any length.

    Returns:
        Logits of shape `(batch, time, vocabulary)`.
    """

    def __init__(self, vocabulary, width, **kwargs):
        super().__init__(**kwargs)
        self.shape = {"vocabulary": vocabulary, "width": width}
        self.embedding = keras.layers.Embedding(vocabulary, width, name="embedding")
        self.memory = LSTM(width, name="memory")
        self.head = keras.layers.Dense(vocabulary, use_bias=False, name="head")

    def build(self, shape=None):
        self.embedding.build((None, None))
        for layer in (self.memory, self.head):
            layer.build((None, None, self.shape["width"]))
        self.built = True

    def call(self, tokens):
        return self.head(self.memory(self.embedding(tokens)))

    def get_config(self):
        return {**super().get_config(), **self.shape}


# --- the hidden Markov model ----------------------------------------------------------------------


def forward(start, moves, says, tokens):
    """The forward algorithm (Baum et al., 1970; Rabiner, 1989), scaled at each step so that nothing underflows.

    Args:
        start: Probability of each state at the first token, `(states,)`.
        moves: `moves[i, j]`: probability that state j follows state i.
        says: `says[i, w]`: probability that state i says token w.
        tokens: `int32` of shape `(batch, time)`.

    Returns:
        The probability of each state at the *next* position given the tokens so far, `(batch, time, states)`,
        and the log-probability of each token given those before it, `(batch, time)`.
    """
    heard = tf.transpose(tf.gather(tf.transpose(says), tokens), (1, 0, 2))  # (time, batch, states)

    def step(before, heard):
        joint = before[0] * heard  # of state and token, given the tokens before
        likely = tf.reduce_sum(joint, axis=-1, keepdims=True)
        return (joint / likely) @ moves, tf.math.log(likely[:, 0])

    nowhere = tf.zeros(tf.shape(tokens)[:1])
    states, likely = tf.scan(step, heard, (start + nowhere[:, None], nowhere))
    return tf.transpose(states, (1, 0, 2)), tf.transpose(likely)


@keras.saving.register_keras_serializable("course_utils")
class HMM(keras.Model):
    """A hidden Markov model: in each of its states it says a token and moves on to another state.

    Its weights are the logits of three tables of probabilities: of the first state, of the next state
    given this one, and of the token given the state.

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
        self.shape = {"vocabulary": vocabulary, "states": states}

    def build(self, shape=None):
        states, spread = self.shape["states"], keras.initializers.RandomNormal(stddev=0.5, seed=0)
        for name, size in (("start", (states,)), ("moves", (states, states)), ("says", (states, self.shape["vocabulary"]))):
            setattr(self, name, self.add_weight(shape=size, initializer=spread, name=name))
        self.built = True

    def tables(self):
        """Returns start, moves and says as probabilities."""
        return [tf.nn.softmax(table) for table in (self.start, self.moves, self.says)]

    def call(self, tokens):
        start, moves, says = self.tables()
        return tf.math.log(forward(start, moves, says, tokens)[0] @ says + 1e-30)

    def get_config(self):
        return {**super().get_config(), **self.shape}


def baum_welch(model, tokens):
    """Makes a hidden Markov model fit a text better: one step of expectation and maximisation (Baum et al., 1970).

    How often each row of each table was probably used is the slope of the log-likelihood with respect
    to the table's logarithm (Eisner, 2016), so the backward pass does the expectation. The maximisation
    makes shares of these counts.

    Args:
        model: An `HMM`; its tables are changed.
        tokens: `int32` of shape `(batch, time)`.

    Returns:
        The mean log-probability of a token *before* the step, in nats. It never falls from step to step.
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


# --- the n-gram -----------------------------------------------------------------------------------


def count(tokens, order, vocabulary):
    """Counts the n-grams of a text, for n = 1 to `order`.

    Args:
        tokens: `int32` of shape `(length,)`.
        order: Longest n, such that `vocabulary ** order` fits into 63 bits: 1 to 7 for 512 tokens.
        vocabulary: Number of different tokens.

    Returns:
        For each n a pair `(grams, counts)` of `int64` arrays. A gram is one whole number: its tokens are the
        digits, in base `vocabulary`. So `gram // vocabulary` is its context, all but the last token, and
        `gram % vocabulary ** (n - 1)` is its tail, all but the first.
    """
    order = whole("order", order, 1, int(63 / np.log2(vocabulary)))
    tokens, grams, counted = np.asarray(tokens, np.int64), 0, []
    for n in range(1, order + 1):
        grams = (grams[:-1] if n > 1 else 0) * vocabulary + tokens[n - 1 :]
        counted.append(np.unique(grams, return_counts=True))
    return counted


def gains(counted, vocabulary):
    """Returns for each n-gram what remembering it is worth: its count, times how much likelier it makes its last token.

    The comparison is with what a context one token shorter knows (Seymore and Rosenfeld, 1996).
    """
    found = [np.full(len(counted[0][0]), np.inf)]  # single tokens are always remembered
    for n in range(2, len(counted) + 1):
        (grams, counts), (tails, tail_counts) = counted[n - 1], counted[n - 2]
        within = share(grams, counts, vocabulary)
        shorter = share(tails, tail_counts, vocabulary)[np.searchsorted(tails, grams % vocabulary ** (n - 1))]
        found.append(counts * np.log(np.maximum(counts - 0.5, 0) / counts * within / shorter))
    return found


def share(grams, counts, vocabulary):
    """Returns the share of each n-gram among those with the same context."""
    contexts, which = np.unique(grams // vocabulary, return_inverse=True)
    return counts / np.bincount(which, counts, len(contexts))[which]


def contexts_of(kept, vocabulary):
    """Returns, for lengths 0, 1, ..., the contexts that a table of these n-grams needs: theirs and all tails of those."""
    needed, longer = [], np.array([], np.int64)
    for n in range(len(kept), 0, -1):
        longer = np.unique(np.concatenate([kept[n - 1] // vocabulary, longer % vocabulary ** (n - 1)]))
        needed.append(longer)
    return needed[::-1]


def choose(counted, vocabulary, numbers):
    """Returns for each n a mask: the most gainful n-grams whose table has at most so many numbers."""
    worth = gains(counted, vocabulary)
    ranked = np.sort(np.append(np.maximum(np.concatenate(worth), 0), 0))[::-1]

    def masks(rank):
        return [one > ranked[rank] for one in worth]

    def size(rank):
        kept = [grams[mask] for (grams, _), mask in zip(counted, masks(rank))]
        return 2 * sum(map(len, kept)) + 2 * sum(map(len, contexts_of(kept, vocabulary)))

    low, high = len(counted[0][0]), len(ranked) - 1
    while low < high:  # the largest rank that fits
        middle = (low + high + 1) // 2
        low, high = (middle, high) if size(middle) <= numbers else (low, middle - 1)
    return masks(low)


def kneser_ney(counted, vocabulary, discount=None, numbers=None):
    """Makes an n-gram model by interpolated Kneser-Ney smoothing (Kneser and Ney, 1995; Chen and Goodman, 1999).

    Every count loses a discount D; what is saved goes to the shorter context. There a token is counted
    not as often as it occurs but once for each longer n-gram that already remembers it. (Longer ones that
    the table leaves out go on counting as often as they occur: Siivola et al., 2007.)

    Args:
        counted: What `count` gives; its length is the order of the model.
        vocabulary: Number of different tokens.
        discount: D, from 0 to 1; estimated for each n from the text if left out.
        numbers: How many numbers the table may have; no limit if left out.

    Returns:
        An `NGram`.

    Example:

    >>> text = docs.tokens("validation")
    >>> kneser_ney(count(text, 3, 512), 512)(text[None, :10]).shape
    TensorShape([1, 10, 512])
    """
    masks = [np.full(len(grams), True) for grams, _ in counted]
    if numbers is not None:
        masks = choose(counted, vocabulary, numbers)
    contexts = contexts_of([grams[mask] for (grams, _), mask in zip(counted, masks)], vocabulary)
    table, counts = [], counted[-1][1]
    for n in range(len(counted), 0, -1):
        grams, mask = counted[n - 1][0], masks[n - 1]
        D = estimated_discount(counts) if discount is None else fraction("discount", discount)
        values = np.maximum(counts - D, 0) / counts * share(grams, counts, vocabulary)
        leftover = np.ones(len(contexts[n - 1]))
        np.subtract.at(leftover, np.searchsorted(contexts[n - 1], grams[mask] // vocabulary), values[mask])
        table.append((contexts[n - 1], np.maximum(leftover, 0), grams[mask], values[mask]))
        if n > 1:
            tails = np.searchsorted(counted[n - 2][0], grams % vocabulary ** (n - 1))
            counts = np.maximum(np.bincount(tails, np.where(mask, 1, counts), len(counted[n - 2][0])), 1)
    return NGram.of(table[::-1], vocabulary)


def estimated_discount(counts):
    """Returns Ney's estimate of the discount, from how many n-grams occur once and twice."""
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    return once / (once + 2 * twice) if once else 0.5


@keras.saving.register_keras_serializable("course_utils")
class NGram(keras.layers.Layer):
    """Knows how often each token followed each of many contexts, and mixes what it knows of longer and shorter ones.

    The table is a tree of contexts, read backwards: the last token first, then the one before it. A
    context is found under `parent * vocabulary + token`, an n-gram under `context * vocabulary + token`;
    both lists are sorted. It is a Keras layer and no model, because its look-ups have no fixed shapes
    that XLA could compile.

    Args:
        vocabulary: Number of different tokens.
        order: The n of its longest n-grams: it looks n - 1 tokens back.
        contexts: How many contexts the table has.
        entries: How many n-grams it has.

    Call arguments:
        tokens: `int32` of shape `(batch, time)`, of any length.

    Returns:
        Logits of shape `(batch, time, vocabulary)`; here they are log-probabilities.
    """

    def __init__(self, vocabulary, order, contexts, entries, **kwargs):
        super().__init__(**kwargs)
        self.shape = {"vocabulary": vocabulary, "order": order, "contexts": contexts, "entries": entries}

    def build(self, shape=None):
        contexts, entries = self.shape["contexts"], self.shape["entries"]
        wide = "int32" if contexts * self.shape["vocabulary"] < 2**31 else "int64"
        for name, size, dtype in (("contexts", contexts, wide), ("leftover", contexts, "float32"),
                                  ("entries", entries, wide), ("values", entries, "float32")):
            setattr(self, name, self.add_weight(shape=(size,), dtype=dtype, initializer="zeros", trainable=False, name=name))
        self.built = True

    @classmethod
    def of(cls, table, vocabulary):
        """Lays out `(contexts, leftover, grams, values)`, one for each n, as a tree."""
        order, columns, before = len(table), [], np.zeros(1, np.int64)
        first = 0  # the number of the first context of this length
        for n, (contexts, leftover, grams, values) in enumerate(table, 1):
            parents = before[np.searchsorted(table[n - 2][0], contexts % vocabulary ** (n - 2))] if n > 1 else np.array([-1])
            keys = parents * vocabulary + (contexts // vocabulary ** (n - 2) if n > 1 else 0)
            sort = np.argsort(keys)
            number = np.empty(len(contexts), np.int64)
            number[sort] = first + np.arange(len(contexts))
            entries = number[np.searchsorted(contexts, grams // vocabulary)] * vocabulary + grams % vocabulary
            columns.append((keys[sort], leftover[sort], entries, values))
            before, first = number, first + len(contexts)
        contexts, leftover, entries, values = (np.concatenate(column) for column in zip(*columns))
        sort = np.argsort(entries)
        model = cls(vocabulary, order, len(contexts), len(entries), name="ngram")
        model.build()
        model.set_weights([contexts, leftover, entries[sort], values[sort]])
        return model

    def call(self, tokens):
        tokens, vocabulary = np.asarray(tokens, np.int64), self.shape["vocabulary"]
        contexts, leftover, entries, values = (np.asarray(weight) for weight in self.weights)
        p = np.full((tokens.size, vocabulary), 1 / vocabulary, np.float32)
        row, node = np.arange(tokens.size), np.zeros(tokens.size, np.int64)  # the empty context, everywhere
        for back in range(self.shape["order"]):
            if back:
                row, node = self.one_more(contexts, tokens, row, node, back)
            p[row] *= leftover[node, None]
            low, high = (np.searchsorted(entries, (node + i) * vocabulary) for i in (0, 1))
            which = np.repeat(high - np.cumsum(high - low), high - low) + np.arange((high - low).sum())
            p[np.repeat(row, high - low), entries[which] % vocabulary] += values[which]
        with np.errstate(divide="ignore"):  # without a discount there are zeros
            return tf.constant(np.log(p).reshape(*tokens.shape, vocabulary))

    def one_more(self, contexts, tokens, row, node, back):
        """Looks at the token `back` places before the predicted one; keeps where the table knows that longer context."""
        there = row % tokens.shape[1] >= back - 1  # the line is that long
        row, node = row[there], node[there]
        key = node * self.shape["vocabulary"] + tokens.ravel()[row - back + 1]
        found = np.minimum(np.searchsorted(contexts, key), len(contexts) - 1)
        known = contexts[found] == key
        return row[known], found[known]

    def get_config(self):
        return {**super().get_config(), **self.shape}


# --- reading and writing --------------------------------------------------------------------------


@functools.lru_cache(maxsize=16)
def reader(model):
    """Returns a function from tokens `(rows, time)` to log-probabilities `(rows, vocabulary)` of the token after them.

    It is compiled once for texts of any number and length, without XLA, which would compile anew for each.
    """

    def last(tokens):
        return tf.nn.log_softmax(model(tokens)[:, -1])

    if isinstance(model, NGram):
        return lambda tokens: last(tokens[:, 1 - model.shape["order"] or None :])  # it sees no further, so this is faster
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
    """
    read, random, tokens = reader(model), np.random.default_rng(seed), list(prompt)
    for _ in range(length):
        p = tf.nn.softmax(read(tf.constant([tokens], tf.int32))[0] / temperature).numpy().astype(np.float64)
        tokens.append(int(random.choice(len(p), p=p / p.sum())))
    return tokens[len(prompt) :]
