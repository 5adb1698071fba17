"""Speculative decoding: a cheap drafter guesses several tokens, the model checks all of them in one
pass, and what it would not have written itself is thrown away (Leviathan et al., 2023)."""

import dataclasses

import numpy as np

from course_utils.backend import keras, tf
from course_utils.checks import token_ids, whole
from course_utils.decoding.loops import GREEDY, padded, prefill
from course_utils.decoding.sampling import draw, filtered, uniform
from course_utils.models.cache import place
from course_utils.models.compiled import compiled


def accepted(p, q, drafted, noise):
    """Says how many drafted tokens stay, so that what stays is distributed as if `p` had drawn it.

    A token that the drafter chose with probability `q` and the model would have chosen with `p`
    stays with probability `p / q`, or surely if `p` is larger. All after the first that goes, go.

    Args:
        p: The model's probabilities at each drafted token, `(ahead, vocabulary)`.
        q: The drafter's, of the same shape.
        drafted: The tokens, `(ahead,)`.
        noise: Numbers evenly between 0 and 1, `(ahead,)`.

    Returns:
        How many stay, from 0 to `ahead`.
    """
    chosen = tf.stack([tf.range(drafted.shape[0]), drafted], axis=1)
    stays = noise * tf.gather_nd(q, chosen) < tf.gather_nd(p, chosen)
    return tf.reduce_sum(tf.math.cumprod(tf.cast(stays, tf.int32)))


def left_over(p, q):
    """Returns what a token is drawn from where a drafted one went: all that `p` has more than `q`.

    Drawing from `p` again looks as right, and is wrong: tokens that the drafter likes would then
    come too often, once as drafted and once more from here.
    """
    more = tf.nn.relu(p - q)
    total = tf.reduce_sum(more, axis=-1, keepdims=True)
    return tf.where(total > 0, more / total, p)


@dataclasses.dataclass(frozen=True)
class Speculated:
    """What speculative decoding wrote, and how.

    Attributes:
        tokens: The prompt and what was added, `int32`.
        passes: How often the model was asked.
        accepted: How many of the drafted tokens stayed: `accepted[n]` is the number of passes in
            which `n` did.
    """

    tokens: np.ndarray
    passes: int
    accepted: np.ndarray

    @property
    def rate(self):
        """The share of drafted tokens that stayed, of those that were looked at: all up to the
        first that went."""
        stayed = np.arange(len(self.accepted)) @ self.accepted
        return float(stayed / max(1, stayed + self.accepted[:-1].sum()))


class ModelDrafter(keras.Model):
    """Guesses with a smaller model that knows the same tokens."""

    def __init__(self, model):
        super().__init__()
        self.model, self.vocabulary = model, model.config["vocabulary"]

    def start(self, text, given, slots):
        return prefill(self.model, text, given, self.model.empty_caches(1, slots))

    def propose(self, text, length, ahead, caches, choose):
        """Returns drafted tokens `(ahead,)`, the probabilities they were drawn from
        `(ahead, vocabulary)`, and the caches."""
        slot = tf.maximum(length - 2, 0)  # the last draft of all was never read
        tokens = tf.slice(text, [0, slot], [1, 2])
        logits, caches = self.model.read(tokens, caches, slot)
        token, q = choose(logits[0, length - 1 - slot], 0)
        drafted, chances = tf.repeat(token, ahead), tf.repeat(q[None], ahead, axis=0)

        def one_more(i, token, drafted, chances, caches):
            logits, caches = self.model.read(token[None, None], caches, length + i - 1)
            token, q = choose(logits[0, 0], i)
            drafted = place(drafted, token[None], i, axis=0)
            return i + 1, token, drafted, place(chances, q[None], i, axis=0), caches

        state = 1, token, drafted, chances, caches
        _, _, *found = tf.while_loop(lambda i, *_: i < ahead, one_more, state)
        return found

    def guesses(self, text, ahead):
        """Says what is drafted after each beginning of a text, as far as the drafts before it are
        what stands there: `(lengths, ahead)`, of which row 0 means nothing."""
        read = text[: self.model.config["context"]]
        said = np.argmax(self.model(read[None])[0], axis=-1)  # one pass reads all beginnings
        said = np.pad(said, (1, ahead))  # what is said after n tokens stands at n
        return np.lib.stride_tricks.sliding_window_view(said, ahead)


class TableDrafter(keras.Model):
    """Guesses what followed most often on the last two tokens: one look-up a token.

    Args:
        line: Tokens to count in, `(tokens,)`.
        vocabulary: How many there are.
    """

    def __init__(self, line, vocabulary):
        super().__init__()
        self.vocabulary = whole("vocabulary", vocabulary, 1, 4096)  # the table holds its square
        table = np.broadcast_to(likeliest(line[:-1, None], line[1:], vocabulary), (vocabulary,) * 2)
        pairs = likeliest(np.stack([line[:-2], line[1:-1]], 1), line[2:], vocabulary, table)
        self.table = self.add_weight(shape=pairs.shape, dtype="int32", trainable=False)
        self.table.assign(pairs)
        self.built = True

    def start(self, text, given, slots):
        return ()

    def propose(self, text, length, ahead, state, choose):
        before, last = text[0, tf.maximum(length - 2, 0)], text[0, length - 1]
        drafted = []
        for _ in range(ahead):
            before, last = last, tf.convert_to_tensor(self.table)[before, last]
            drafted.append(last)
        return tf.stack(drafted), tf.one_hot(drafted, self.table.shape[0]), state

    def guesses(self, text, ahead):
        """As `ModelDrafter.guesses`."""
        before = np.concatenate([text[:1], text])  # one token has no two before it
        said = self.table.numpy()[before[:-1], before[1:]]
        return np.lib.stride_tricks.sliding_window_view(np.pad(said, (1, ahead)), ahead)


def likeliest(before, after, vocabulary, table=None):
    """Returns for each token, or pair of tokens, what followed most often; `table` where nothing
    did."""
    key = before @ vocabulary ** np.arange(before.shape[1])[::-1]
    pairs, counts = np.unique(key * vocabulary + after, return_counts=True)
    order = np.argsort(counts, kind="stable")  # the most frequent one is written last
    found = np.zeros(vocabulary ** before.shape[1], np.int32)
    if table is not None:
        found[:] = table.ravel()
    found[pairs[order] // vocabulary] = pairs[order] % vocabulary
    return found.reshape((vocabulary,) * before.shape[1])


class LookUpDrafter(keras.Model):
    """Guesses that the text repeats itself: what followed when its last two tokens came before
    (Saxena, 2023)."""

    def __init__(self, vocabulary):
        super().__init__()
        self.vocabulary, self.built = vocabulary, True

    def start(self, text, given, slots):
        return ()

    def propose(self, text, length, ahead, state, choose):
        last = tf.slice(text[0], [tf.maximum(length - 2, 0)], [2])
        place = tf.range(text.shape[1] - 1)
        same = (text[0, :-1] == last[0]) & (text[0, 1:] == last[1]) & (place < length - 2)
        found = 2 + tf.reduce_max(tf.where(same, place, -2))  # else all of the text comes again
        drafted = tf.gather(text[0], found + tf.range(ahead) % (length - found))
        return drafted, tf.one_hot(drafted, self.vocabulary), state

    def guesses(self, text, ahead):
        """As `ModelDrafter.guesses`."""
        lengths = np.maximum(1, np.arange(len(text) - ahead))
        return np.stack([self.propose(text[None], n, ahead, (), None)[0] for n in lengths])


def early_exit(model, depth):
    """Returns the first blocks of a model with its last norm and head, all shared with it: a drafter
    that needs no weights of its own (Elhoushi et al., 2024)."""
    depth = whole("depth", depth, 1, len(model.blocks) - 1)
    config = {**model.get_config(), "depth": depth, "name": f"{model.name}_{depth}"}
    first = type(model).from_config(config)
    for part in ("embedding", "positions", "norm", "head"):
        setattr(first, part, getattr(model, part))
    first.blocks = model.blocks[:depth]
    first.built = True
    return first


class Speculator(keras.Model):
    """A model and its drafter.

    Args:
        model: The `DecoderLM` whose text is wanted.
        drafter: A `ModelDrafter`, `TableDrafter` or `LookUpDrafter`.
        ahead: How many tokens are drafted before the model looks.

    Raises:
        ValueError: If the drafter knows other tokens, or `ahead` is not from 1 to 16.
    """

    def __init__(self, model, drafter, ahead=4):
        super().__init__()
        if drafter.vocabulary != model.config["vocabulary"]:
            raise ValueError(
                f"the drafter must know the model's {model.config['vocabulary']} tokens, got one "
                f"that knows {drafter.vocabulary}"
            )
        self.model, self.drafter = model, drafter
        self.ahead, self.built = whole("ahead", ahead, 1, 16), True

    def generate(self, prompt, length, sampling=GREEDY):
        """Continues a prompt with what the model alone would write.

        Args:
            prompt, length, sampling: As `loops.generate` takes them.

        Returns:
            A `Speculated`. Greedy, its tokens are those of `loops.generate`; drawn, they have the
            same distribution.

        Raises:
            ValueError: As `loops.generate`.
        """
        text, (given,) = padded(self.model, [prompt], length)
        text = np.pad(text, ((0, 0), (0, self.ahead + 1)))
        state = tf.constant(text), tf.constant(given), tf.constant(given + length)
        if sampling.greedy:
            text, histogram = compiled(self, greedily)(*state)
        else:
            more = sampling.numbers(), tf.constant(sampling.seed)
            text, histogram = compiled(self, by_chance)(*state, *more)
        histogram = histogram.numpy()
        return Speculated(text[0, : given + length].numpy(), int(histogram.sum()), histogram)

    def right(self, text, given):
        """Says how many drafted tokens would stay after each beginning of a text that the model
        wrote greedily, so that every draft length up to `ahead` can be counted out.

        Args:
            text: The tokens, as `generate` returns them.
            given: How many of them were the prompt.

        Returns:
            `int` array: entry `i` is about the text's first `given + i` tokens.
        """
        room = np.zeros(self.model.config["context"] + self.ahead + 1, np.int32)
        room[: len(text)] = token_ids("text", text, self.model.config["vocabulary"])
        guessed = self.drafter.guesses(room, self.ahead)
        stays = [guessed[n] == room[n : n + self.ahead] for n in range(given, len(text))]
        return np.cumprod(stays, axis=1).sum(axis=1)


def likeliest_token(logits, i):
    """Chooses greedily: a token, and the probabilities that say so."""
    token = tf.argmax(logits, output_type=tf.int32)
    return token, tf.one_hot(token, logits.shape[-1])


def counted(right, ahead):
    """Counts out speculative decoding with a draft length, from what `Speculator.right` says.

    Returns:
        How many passes had how many right drafts: entry `n` is about `n` of them. Of the last pass
        only those that still belong to the text count.
    """
    histogram, at = np.zeros(ahead + 1, int), 0
    while at < len(right):
        stay = min(right[at], ahead)
        histogram[stay] += 1
        at += stay + 1
    return histogram


def speculate(pair, text, given, until, choose, verify):
    """The loop: draft, check, keep.

    Args:
        text: `int32` `(1, context + ahead + 1)`, of which the first `given` tokens stand.
        until: The length at which it stops.
        choose: Function of logits `(vocabulary,)` and a place in the draft; returns a token and the
            probabilities it was drawn from.
        verify: Function of the model's logits `(ahead + 1, vocabulary)`, the draft, and what it was
            drawn from; returns how many stay, and the token after them.
    """
    model, drafter, ahead = pair.model, pair.drafter, pair.ahead
    slots = model.config["context"] + ahead

    def one_pass(length, text, caches, state, histogram):
        drafted, q, state = drafter.propose(text, length, ahead, state, choose(length))
        text = place(text, drafted[None], length, axis=1)
        looked = tf.slice(text, [0, length - 1], [1, ahead + 1])
        logits, caches = model.read(looked, caches, length - 1)
        stay, token = verify(length, logits[0], drafted, q)
        text = place(text, token[None, None], length + stay, axis=1)
        histogram += tf.one_hot(stay, ahead + 1, dtype=tf.int32)
        return length + stay + 1, text, caches, state, histogram

    caches = prefill(model, text, given, model.empty_caches(1, slots))
    begin = given, text, caches, drafter.start(text, given, slots), tf.zeros(ahead + 1, tf.int32)
    _, text, *_, histogram = tf.while_loop(lambda length, *_: length < until, one_pass, begin)
    return text, histogram


def greedily(pair, text, given, until):
    """Speculative decoding without chance, to be compiled."""

    def choose(length):
        return likeliest_token

    def verify(length, logits, drafted, q):
        wanted = tf.argmax(logits, axis=-1, output_type=tf.int32)
        right = tf.cast(wanted[:-1] == drafted, tf.int32)
        stay = tf.reduce_sum(tf.math.cumprod(right))
        return stay, wanted[stay]

    return speculate(pair, text, given, until, choose, verify)


def by_chance(pair, text, given, until, numbers, seed):
    """Speculative decoding with draws, to be compiled."""

    def chances(logits):
        return tf.nn.softmax(filtered(logits / numbers[0], numbers))

    def choose(length):
        def drawn(logits, i):
            q = chances(logits[None])
            noise = uniform(q.shape, seed, 64 * length + i)
            return draw(tf.math.log(q), noise)[0], q[0]

        return drawn

    def verify(length, logits, drafted, q):
        p, ahead = chances(logits), drafted.shape[0]
        stay = accepted(p[:-1], q, drafted, uniform((ahead,), seed, 64 * length + ahead))
        rest = left_over(p, tf.concat([q, tf.zeros_like(q[:1])], axis=0))[stay]
        noise = uniform((1, p.shape[-1]), seed, 64 * length + ahead + 1)
        return stay, draw(tf.math.log(rest[None]), noise)[0]

    return speculate(pair, text, given, until, choose, verify)


def speed_up(rate, ahead, draft_cost, check_cost):
    """How many times as fast speculative decoding is expected to be (Leviathan et al., 2023,
    theorem 3.8, with a cost for checking).

    Args:
        rate: The chance that a drafted token stays, each as likely as the other.
        ahead: How many are drafted.
        draft_cost: The time of one draft, in steps of the model.
        check_cost: The time of one check, likewise: 1 where a pass takes as long for `ahead + 1`
            tokens as for one.
    """
    tokens = ahead + 1 if rate == 1 else (1 - rate ** (ahead + 1)) / (1 - rate)
    return tokens / (ahead * draft_cost + check_cost)
