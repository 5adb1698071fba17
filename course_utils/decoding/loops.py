"""Writing text: one token after another, with the keys and values of earlier ones kept."""

import concurrent.futures
import math
import os

import numpy as np

from course_utils.backend import tf
from course_utils.checks import token_ids, whole
from course_utils.decoding.sampling import Sampling, draw, filtered, uniform
from course_utils.models.cache import Cache, grown, place
from course_utils.models.compiled import compiled

GREEDY = Sampling()
GROUP = 8  # rows that one core writes together
CHUNK = 16  # tokens of a prompt that are read at once
BLOCK = 128  # slots that caches begin with; looking at fewer saves less than one more call costs


def unroll(model, text, given, caches, start, until, choose):
    """Reads texts of which a part is given, and chooses the rest, up to a length.

    Shapes never change and the caches are handed from step to step, so that XLA compiles it once.

    Args:
        text: `int32` of shape `(rows, context)`, of which the first `given` tokens of a row stand.
        given: Scalar, or one for each row.
        caches: As `DecoderLM.empty_caches` makes them; they hold the first `start` tokens.
        start: Scalar, the place of the first token to read.
        until: Scalar, the length at which it stops.
        choose: Function of logits `(rows, vocabulary)` and the position; returns a token for each
            row.

    Returns:
        The text, and the caches with all but its last token.
    """

    def step(position, text, caches):
        logits, caches = model.read(text[:, position, None], caches, position)
        at = position + 1
        chosen = tf.where(at < given, text[:, at], choose(logits[:, 0], position))
        return at, place(text, chosen[:, None], at, axis=1), caches

    return tf.while_loop(lambda at, *_: at < until - 1, step, (start, text, caches))[1:]


def prefill(model, text, given, caches, start=0):
    """Reads all of a prompt but its last token, `CHUNK` tokens at once.

    What is read beyond the prompt is overwritten before anything looks at it. The caches may hold
    the first `start` tokens, whole chunks of them.

    Returns:
        The caches.
    """
    chunk = math.gcd(CHUNK, model.config["context"])  # the last one ends within the context

    def step(position, caches):
        tokens = tf.slice(text, [0, position], [text.shape[0], chunk])
        return position + chunk, model.read(tokens, caches, position)[1]

    return tf.while_loop(lambda position, _: position < given - 1, step, (start, caches))[1]


def best(logits, position):
    """Chooses the token that the model thinks most likely."""
    return tf.argmax(logits, -1, output_type=tf.int32)


def write(model, text, given, caches, start, until):
    """The greedy loop, to be compiled."""
    return unroll(model, text, given, caches, start, until, best)


def roll(model, text, given, caches, start, until, numbers, seed, among=lambda logits, _: logits):
    """The sampling loop, to be compiled: each token is drawn as likely as the model thinks it."""

    def choose(logits, position):
        noise = uniform(logits.shape, seed, position)
        return draw(among(logits / numbers[0], numbers), noise)

    return unroll(model, text, given, caches, start, until, choose)


def roll_filtered(model, *state):
    """The sampling loop with all that `Sampling` offers, to be compiled: it sorts each row."""
    return roll(model, *state, among=filtered)


def writer(model, sampling, group=0):
    """Returns a compiled function of `(text, given, caches, start, until)` that chooses tokens as
    `Sampling` says, and returns the text and the caches. Each group of rows has draws of its own.
    """
    if sampling.greedy:
        return compiled(model, write)
    run = compiled(model, roll_filtered if sampling.filters else roll)
    more = sampling.numbers(), tf.constant((sampling.seed + 7919 * group) % 2**31)
    return lambda *state: run(*state, *more)


def room(length, context):
    """Returns how many slots caches have for a text of this length: `BLOCK`, twice as many, and so
    on up to the context. Each size is compiled once."""
    slots = BLOCK
    while slots < length:
        slots *= 2
    return min(slots, context)


def go_on(run, model, text, given, until, caches=None, start=0, cache=Cache):
    """Goes on with texts up to a length, in caches that grow with them.

    Args:
        run: As `writer` gives it. It is compiled once for each size of the caches.
        text, given, until, caches, start: As `unroll` takes them; no caches, no token read.
        cache: The kind of the caches where none are given: `Cache`, or `Int8Cache`.

    Returns:
        The text and the caches.
    """
    context, longest = model.config["context"], int(np.max(given))
    text, given = tf.constant(text), tf.constant(given)
    while start < until - 1:
        slots = room(max(start + 1, longest), context)
        caches = grown(caches, slots) if caches else model.empty_caches(text.shape[0], slots, cache)
        end = min(until, slots + 1)
        text, caches = run(text, given, caches, tf.constant(start), tf.constant(end))
        start = end - 1
    return text, caches


def side_by_side(model, sampling, text, given, until):
    """Goes on with many texts, `GROUP` of them at a time on each core: the products of a small
    model are too small to be shared out one by one. Groups are the same on every machine, and of
    one size, for which the loop is compiled.

    Returns:
        The text, `int32` of shape `(rows, context)`.
    """
    rows, given = len(text), np.broadcast_to(given, len(text)).astype(np.int32)
    if rows > 1:  # the last group is filled up with its last text
        picked = np.minimum(np.arange(-(-rows // GROUP) * GROUP), rows - 1)
        text, given = text[picked], given[picked]

    def write_group(i):
        part, run = slice(i, i + GROUP), writer(model, sampling, i // GROUP)
        return go_on(run, model, text[part], given[part], until)[0].numpy()

    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return np.concatenate(list(pool.map(write_group, range(0, len(text), GROUP))))[:rows]


def padded(model, prompts, length):
    """Checks prompts and how many tokens are to be added to each; returns them side by side,
    `(rows, context)`, and how long each is."""
    context, prompts = model.config["context"], [np.ravel(prompt) for prompt in prompts]
    if not prompts:
        raise ValueError("prompts must hold at least one prompt, got none")
    given = [whole("prompt length", len(prompt), 1, context - 1) for prompt in prompts]
    whole("prompt length + length", max(given) + length, max(given) + 1, context)
    text = np.zeros((len(prompts), context), np.int32)
    for row, prompt in zip(text, prompts):
        row[: len(prompt)] = token_ids("prompt", prompt, model.config["vocabulary"])
    return text, given


def generate(model, prompt, length, sampling=GREEDY, cache=Cache):
    """Continues a prompt.

    Args:
        model: A `models.language.DecoderLM`.
        prompt: Token ids, at least one.
        length: How many tokens to add.
        sampling: A `Sampling`; greedy if left out: always the token that the model thinks most
            likely.
        cache: How keys and values are kept: `models.cache.Cache`, or `Int8Cache`.

    Returns:
        `int32` array: the prompt and `length` more tokens.

    Raises:
        ValueError: If the prompt is empty, holds ids the model does not know, or is too long.
    """
    text, (given,) = padded(model, [prompt], length)
    run, until = writer(model, sampling), given + length
    text, _ = go_on(run, model, text, given, until, cache=cache)
    return text[0, :until].numpy()


def stream(model, prompt, length, sampling=GREEDY, chunk=8, end=None):
    """Continues a prompt and hands out tokens while it writes.

    It may be left at any time: what was written so far is all that happened.

    Args:
        model, prompt, length, sampling: As `generate` takes them.
        chunk: How many tokens are written between two looks at the reader.
        end: The id of a mark at which the text ends; it is not handed out.

    Yields:
        `int32` arrays of at most `chunk` tokens.

    Raises:
        ValueError: As `generate`, before anything is written.
    """
    text, (given,) = padded(model, [prompt], length)
    chunk = whole("chunk", chunk, 1, model.config["context"])
    if end is not None:
        end = whole("end", end, 0, model.config["vocabulary"] - 1)
    run, total = writer(model, sampling), given + length

    def chunks():
        written, caches, start = text, None, 0
        for at in range(given, total, chunk):
            until = min(at + chunk, total)
            written, caches = go_on(run, model, written, given, until, caches, start)
            start, new = until - 1, written[0, at:until].numpy()
            if end is not None and end in new:
                yield new[: (new == end).argmax()]
                return
            yield new

    return chunks()


def answers(model, prompts, end):
    """Continues several prompts greedily, all at once, each until the model writes its end mark.

    Args:
        model: A `models.language.DecoderLM`.
        prompts: Sequences of token ids, not necessarily of one length.
        end: The id of the mark.

    Returns:
        For each prompt what was written, `int32`, without prompt and mark; all that fits if no mark
        comes.

    Raises:
        ValueError: If a prompt is empty, holds ids the model does not know, or leaves no room for
            an answer.
    """
    context, end = model.config["context"], whole("end", end, 0, model.config["vocabulary"] - 1)
    text, given = padded(model, prompts, 1)
    texts = side_by_side(model, GREEDY, text, given, context)
    written = [text[length:] for text, length in zip(texts, given)]
    return [text[: (text == end).argmax()] if end in text else text for text in written]


def sample(model, prompts, seed):
    """Goes on from many prompts at once until the context is full, drawing every token at random.

    Args:
        model: A `models.language.DecoderLM`.
        prompts: Token ids of shape `(rows, length)`, at least one a row.
        seed: A whole number; the same one draws the same text.

    Returns:
        `int32` of shape `(rows, context)`: the prompts and what the model said.

    Raises:
        ValueError: If the prompts are empty, hold ids the model does not know, or are too long.
    """
    context, prompts = model.config["context"], np.asarray(prompts)
    sampling = Sampling(temperature=1.0, seed=seed)
    if prompts.ndim != 2 or not prompts.size or prompts.shape[1] > context:
        raise ValueError(
            f"prompts must have shape (rows, length) with length from 1 to {context}, got "
            f"{prompts.shape}"
        )
    rows, given = prompts.shape
    text = np.zeros((rows, context), np.int32)
    text[:, :given] = token_ids("prompts", prompts, model.config["vocabulary"])
    return side_by_side(model, sampling, text, given, context)
