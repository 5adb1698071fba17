"""An n-gram model of text: Kneser-Ney smoothing in a table pruned to a size."""

import collections

import numpy as np

from course_utils.backend import keras, tf
from course_utils.checks import fraction, whole


def count(tokens, order, vocabulary):
    """Counts the n-grams of a text, for n = 1 to `order`.

    Args:
        tokens: `int32` of shape `(length,)`.
        order: Longest n, such that `vocabulary ** order` fits into 63 bits: 1 to 7 for 512 tokens.
        vocabulary: Number of different tokens.

    Returns:
        For each n a pair `(grams, counts)` of `int64` arrays. A gram is one whole number: its
        tokens are the digits, in base `vocabulary`. So `gram // vocabulary` is its context, all but
        the last token, and `gram % vocabulary ** (n - 1)` is its tail, all but the first.
    """
    order = whole("order", order, 1, int(63 / np.log2(vocabulary)))
    tokens, grams, counted = np.asarray(tokens, np.int64), 0, []
    for n in range(1, order + 1):
        grams = (grams[:-1] if n > 1 else 0) * vocabulary + tokens[n - 1 :]
        counted.append(np.unique(grams, return_counts=True))
    return counted


def gains(counted, vocabulary):
    """Returns for each n-gram what remembering it is worth: its count, times how much likelier it
    makes its last token.

    The comparison is with what a context one token shorter knows (Seymore and Rosenfeld, 1996).
    """
    found = [np.full(len(counted[0][0]), np.inf)]  # single tokens are always remembered
    for n in range(2, len(counted) + 1):
        (grams, counts), (tails, tail_counts) = counted[n - 1], counted[n - 2]
        within = share(grams, counts, vocabulary)
        shorter = share(tails, tail_counts, vocabulary)[
            np.searchsorted(tails, grams % vocabulary ** (n - 1))
        ]
        found.append(counts * np.log(np.maximum(counts - 0.5, 0) / counts * within / shorter))
    return found


def share(grams, counts, vocabulary):
    """Returns the share of each n-gram among those with the same context."""
    contexts, which = np.unique(grams // vocabulary, return_inverse=True)
    return counts / np.bincount(which, counts, len(contexts))[which]


def contexts_of(kept, vocabulary):
    """Returns, for lengths 0, 1, ..., the contexts that a table of these n-grams needs: theirs and
    all tails of those."""
    needed, longer = [], np.array([], np.int64)
    for n in range(len(kept), 0, -1):
        longer = np.unique(
            np.concatenate([kept[n - 1] // vocabulary, longer % vocabulary ** (n - 1)])
        )
        needed.append(longer)
    return needed[::-1]


def choose(counted, vocabulary, numbers):
    """Returns for each n a mask: the most gainful n-grams whose table has at most so many
    numbers."""
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


def bigram(text, before, vocabulary, discount):
    """What comes after one token, by Kneser and Ney's rule for n = 2, with dictionaries alone.

    `kneser_ney` gives the same numbers, for any n and fast.

    Args:
        text: Token ids, a list.
        before: The token that stands before.
        vocabulary: Number of different tokens.
        discount: D, from 0 to 1.

    Returns:
        A list of `vocabulary` probabilities.
    """
    pairs = collections.Counter(zip(text[:-1], text[1:]))
    endings = collections.Counter(w for _, w in pairs)  # in how many different pairs each is last
    followed = {w: count for (h, w), count in pairs.items() if h == before}

    def shares(counts, shorter):
        total, left = sum(counts.values()), discount * len(counts) / sum(counts.values())
        kept = [max(counts.get(w, 0) - discount, 0) / total for w in range(vocabulary)]
        return [share + left * less for share, less in zip(kept, shorter)]

    alone = shares(endings, [1 / vocabulary] * vocabulary)
    return shares(followed, alone) if followed else alone


def kneser_ney(counted, vocabulary, discount=None, numbers=None):
    """Makes an n-gram model by interpolated Kneser-Ney smoothing (Kneser and Ney, 1995; Chen and
    Goodman, 1999).

    Every count loses a discount D; what is saved goes to the shorter context. There a token is
    counted not as often as it occurs but once for each longer n-gram that already remembers it.
    (Longer ones that the table leaves out go on counting as often as they occur: Siivola et al.,
    2007.)

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
        np.subtract.at(
            leftover, np.searchsorted(contexts[n - 1], grams[mask] // vocabulary), values[mask]
        )
        table.append((contexts[n - 1], np.maximum(leftover, 0), grams[mask], values[mask]))
        if n > 1:
            tails = np.searchsorted(counted[n - 2][0], grams % vocabulary ** (n - 1))
            counts = np.maximum(
                np.bincount(tails, np.where(mask, 1, counts), len(counted[n - 2][0])), 1
            )
    return NGram.of(table[::-1], vocabulary)


def estimated_discount(counts):
    """Returns Ney's estimate of the discount, from how many n-grams occur once and twice."""
    once, twice = np.count_nonzero(counts == 1), np.count_nonzero(counts == 2)
    return once / (once + 2 * twice) if once else 0.5


@keras.saving.register_keras_serializable("course_utils")
class NGram(keras.layers.Layer):
    """Knows how often each token followed each of many contexts, and mixes what it knows of longer
    and shorter ones.

    The table is a tree of contexts, read backwards: the last token first, then the one before it. A
    context is found under `parent * vocabulary + token`, an n-gram under
    `context * vocabulary + token`; both lists are sorted. It is a Keras layer and no model, because
    its look-ups have no fixed shapes that XLA could compile.

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
        self.config = {
            "vocabulary": vocabulary,
            "order": order,
            "contexts": contexts,
            "entries": entries,
        }

    def build(self, shape=None):
        contexts, entries = self.config["contexts"], self.config["entries"]
        wide = "int32" if contexts * self.config["vocabulary"] < 2**31 else "int64"
        for name, size, dtype in (
            ("contexts", contexts, wide),
            ("leftover", contexts, "float32"),
            ("entries", entries, wide),
            ("values", entries, "float32"),
        ):
            setattr(
                self,
                name,
                self.add_weight(
                    shape=(size,), dtype=dtype, initializer="zeros", trainable=False, name=name
                ),
            )
        self.built = True

    @classmethod
    def of(cls, table, vocabulary):
        """Lays out `(contexts, leftover, grams, values)`, one for each n, as a tree."""
        order, columns, before = len(table), [], np.zeros(1, np.int64)
        first = 0  # the number of the first context of this length
        for n, (contexts, leftover, grams, values) in enumerate(table, 1):
            parents = (
                before[np.searchsorted(table[n - 2][0], contexts % vocabulary ** (n - 2))]
                if n > 1
                else np.array([-1])
            )
            keys = parents * vocabulary + (contexts // vocabulary ** (n - 2) if n > 1 else 0)
            sort = np.argsort(keys)
            number = np.empty(len(contexts), np.int64)
            number[sort] = first + np.arange(len(contexts))
            entries = (
                number[np.searchsorted(contexts, grams // vocabulary)] * vocabulary
                + grams % vocabulary
            )
            columns.append((keys[sort], leftover[sort], entries, values))
            before, first = number, first + len(contexts)
        contexts, leftover, entries, values = (np.concatenate(column) for column in zip(*columns))
        sort = np.argsort(entries)
        model = cls(vocabulary, order, len(contexts), len(entries), name="ngram")
        model.build()
        model.set_weights([contexts, leftover, entries[sort], values[sort]])
        return model

    @property
    def sees(self):
        """How many tokens it looks back at, at least one: a prediction needs a text."""
        return max(self.config["order"] - 1, 1)

    def call(self, tokens):
        tokens, vocabulary = np.asarray(tokens, np.int64), self.config["vocabulary"]
        contexts, leftover, entries, values = (np.asarray(weight) for weight in self.weights)
        p = np.full((tokens.size, vocabulary), 1 / vocabulary, np.float32)
        row, node = (
            np.arange(tokens.size),
            np.zeros(tokens.size, np.int64),
        )  # the empty context, everywhere
        for back in range(self.config["order"]):
            if back:
                row, node = self.one_more(contexts, tokens, row, node, back)
            p[row] *= leftover[node, None]
            low, high = (np.searchsorted(entries, (node + i) * vocabulary) for i in (0, 1))
            which = np.repeat(high - np.cumsum(high - low), high - low) + np.arange(
                (high - low).sum()
            )
            p[np.repeat(row, high - low), entries[which] % vocabulary] += values[which]
        with np.errstate(divide="ignore"):  # without a discount there are zeros
            return tf.constant(np.log(p).reshape(*tokens.shape, vocabulary))

    def one_more(self, contexts, tokens, row, node, back):
        """Looks at the token `back` places before the predicted one; keeps where the table knows
        that longer context."""
        there = row % tokens.shape[1] >= back - 1  # the line is that long
        row, node = row[there], node[there]
        key = node * self.config["vocabulary"] + tokens.ravel()[row - back + 1]
        found = np.minimum(np.searchsorted(contexts, key), len(contexts) - 1)
        known = contexts[found] == key
        return row[known], found[known]

    def get_config(self):
        return {**super().get_config(), **self.config}
