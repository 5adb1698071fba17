"""What smaller caches cost: text is read token by token, and each sees what the caches kept of those
before it."""

import dataclasses

import numpy as np

from course_utils.backend import tf
from course_utils.checks import whole
from course_utils.evaluation import speed
from course_utils.evaluation.language import next_token, readable
from course_utils.models.cache import Cache, place, slot_size
from course_utils.models.compiled import compiled


def slots(model, length, chunk=1):
    """Returns how many slots caches need for a text: one for each token, but where every block has
    a window only as many as the widest of them looks at. They are a ring then: a token is written
    where the oldest one stood.

    Args:
        model: A `models.language.DecoderLM`.
        length: Tokens of the text.
        chunk: How many are read at once; the first of them still sees a whole window.
    """
    windows = [block.attention.window for block in model.blocks]
    needed = length if None in windows else min(length, max(windows) + chunk - 1)
    return -(-needed // chunk) * chunk  # a chunk lies in one piece


def reading(model, parts, caches):
    """Reads texts part by part, each beside the caches of those before; to be compiled.

    Args:
        parts: `int32` of shape `(parts, rows, chunk)`.
        caches: Empty ones.

    Returns:
        Logits `(rows, parts * chunk, vocabulary)`.
    """
    count, rows, chunk = parts.shape
    room = caches[0].keys.shape[2]

    def step(i, caches, logits):
        at = i * chunk
        new, caches = model.read(parts[i], caches, at % room, tf.fill([rows], at))
        return i + 1, caches, place(logits, new, at, axis=1)

    logits = tf.zeros((rows, count * chunk, model.config["vocabulary"]), model.compute_dtype)
    return tf.while_loop(lambda i, *_: i < count, step, (0, caches, logits))[2]


def cached_logits(model, tokens, kind=Cache, chunk=1):
    """Reads texts as writing does: from the second part on each looks at what the caches kept.

    Args:
        model: A `models.language.DecoderLM`. With a window in every block its caches are rings.
        tokens: Token ids `(rows, length)`.
        kind: `Cache`, or `Int8Cache`.
        chunk: How many tokens are read at once. More of them take less time, and nothing else
            changes: within a chunk, too, keys and values are looked at as the caches keep them.

    Returns:
        Logits `(rows, length, vocabulary)`.

    Raises:
        ValueError: If tokens are unknown to the model or too many, or a chunk is longer than they.
    """
    tokens = readable(model, "tokens", tokens)
    rows, length = tokens.shape
    chunk = whole("chunk", chunk, 1, length)
    parts = np.pad(tokens, [(0, 0), (0, -length % chunk)]).reshape(rows, -1, chunk)
    caches = model.empty_caches(rows, slots(model, length, chunk), kind)
    return compiled(model, reading)(tf.constant(parts.swapaxes(0, 1)), caches)[:, :length]


def cached_next_token(model, tokens, kind=Cache, chunk=1, batch_size=16):
    """Measures next-token accuracy and perplexity of a model that reads from caches.

    With a `Cache` that is what `next_token` measures in one pass. What another kind costs shows only
    here: a later token sees the earlier ones as the caches keep them.

    Args:
        model, kind, chunk: As `cached_logits` takes them.
        tokens: `int32` of shape `(sequences, length + 1)`.
        batch_size: Sequences a step.

    Returns:
        A `NextToken`.

    Raises:
        ValueError: As `next_token` and `cached_logits`.

    Example:

    >>> from course_utils.models.cache import Int8Cache
    >>> model, tokens = models.load("docs-base"), docs.sequences("validation", 8)
    >>> found = [cached_next_token(model, tokens, kind) for kind in (Cache, Int8Cache)]
    >>> 0 < abs(found[1].perplexity / found[0].perplexity - 1) < 0.01
    True
    """
    tokens = readable(model, "tokens", tokens, ahead=1)
    return next_token(lambda part: cached_logits(model, part, kind, chunk), tokens, batch_size)


@dataclasses.dataclass(frozen=True)
class Kept:
    """What one way to keep keys and values costs.

    Attributes:
        name: The way.
        slot: Bytes a token.
        slots: How many tokens are kept of the text that was read.
        quality: A `NextToken`, of a model that reads one token after another.
        rate: Tokens a second, all rows together.
        timing: How many times as fast as the first way in the same run: a `speed.Timing`.
    """

    name: str
    slot: int
    slots: int
    quality: object
    rate: float
    timing: speed.Timing

    @property
    def bytes(self):
        """How many bytes the caches of one text take."""
        return self.slot * self.slots


def costs(ways, tokens, rows=16, rounds=10):
    """Measures ways to keep keys and values: bytes, quality, and speed in turns.

    Args:
        ways: By name, a `DecoderLM` and the kind of its caches; the first is what the others' speed
            is compared with.
        tokens: `int32` of shape `(sequences, length + 1)`. Choose on validation data.
        rows: How many of the sequences are read side by side, while the time is taken and after.
        rounds: How often each way has its turn.

    Returns:
        A list of `Kept`.

    Example:

    >>> model, tokens = models.load("docs-tiny"), docs.sequences("validation", 16)
    >>> ways = {"float32": (model, Cache), "window of 32": (with_window(model, 32), Cache)}
    >>> [(kept.name, kept.slots, kept.bytes) for kept in costs(ways, tokens, rounds=1)]
    [('float32', 128, 131072), ('window of 32', 32, 32768)]
    """
    tokens = np.asarray(tokens)
    text = tokens[: whole("rows", rows, 1, len(tokens)), :-1]
    reads = {
        name: lambda model=model, kind=kind: cached_logits(model, text, kind).numpy()
        for name, (model, kind) in ways.items()
    }
    speed.together(reads.values())
    timings = speed.pairs(reads, rounds, warm_up=0)
    return [
        Kept(
            name,
            slot_size(model, kind),
            slots(model, text.shape[1]),
            cached_next_token(model, tokens, kind, batch_size=rows),
            text.size / timings[name].median,
            timings[name],
        )
        for name, (model, kind) in ways.items()
    ]
