"""The staircase: one text, or many, written in slower and faster ways, each beside the one before it
and beside what the machine allows."""

import dataclasses
import time

import numpy as np

from course_utils.backend import tf
from course_utils.checks import whole
from course_utils.decoding import loops, on_device
from course_utils.evaluation import speed
from course_utils.models.compiled import compiled


@dataclasses.dataclass(frozen=True)
class Stair:
    """One way to write.

    Attributes:
        name: The way.
        rate: Tokens a second.
        factor: How many times as fast as the way before it, in the same run.
        share: Of what the bound allows, 0 to 1.
    """

    name: str
    rate: float
    factor: float
    share: float


def climb(ways, tokens, least, rounds=5):
    """Measures ways to write in turns.

    Args:
        ways: By name, functions that write, each called once before; the slowest first.
        tokens: How many tokens each of them writes.
        least: Seconds a token that the machine's bound allows.
        rounds: How often each has its turn.

    Returns:
        A list of `Stair`.
    """
    measured = speed.pairs(ways, rounds, warm_up=0)
    faster = [timing.speedup for timing in measured.values()]
    factors = [1.0, *(after / before for before, after in zip(faster, faster[1:]))]
    seconds = [timing.median / tokens for timing in measured.values()]
    return [Stair(n, 1 / s, f, least / s) for n, s, f in zip(measured, seconds, factors)]


def whole_text(model, text):
    """Reads a whole text and says what is likeliest after each of its tokens; to be compiled."""
    return tf.argmax(model(text)[0], -1, output_type=tf.int32)


def next_token(model, tokens, slot, *kept):
    """Reads one token beside caches and says what is likeliest next; to be compiled."""
    caches = tf.nest.pack_sequence_as(model.empty_caches(1, 1), list(kept))
    logits, caches = model.read(tokens, caches, slot)
    return tf.argmax(logits[:, 0], -1, output_type=tf.int32), *tf.nest.flatten(caches)


def recompute(read, model, prompt, length):
    """Continues a prompt by reading all of it again for each token."""
    text, _ = loops.padded(model, [prompt], length)
    for at in range(len(prompt), len(prompt) + length):
        text[0, at] = read(tf.constant(text)).numpy()[at - 1]
    return text[0, : len(prompt) + length]


def step_by_step(read, model, prompt, length):
    """Continues a prompt with a cache, in one call a token."""
    text, (given,) = loops.padded(model, [prompt], length)
    kept = tf.nest.flatten(model.empty_caches(1))
    for at in range(given + length - 1):
        token, *kept = read(tf.constant(text[:, at, None]), tf.constant(at), *kept)
        if at + 1 >= given:
            text[0, at + 1] = token.numpy()[0]
    return text[0, : given + length]


def graph(model, function):
    """Makes a graph of a function of a model, without XLA."""
    return tf.function(lambda *tensors: function(model, *tensors), autograph=False)


def one_text(model, prompt, length):
    """Lists ways to continue a prompt greedily, the slowest first.

    Args:
        model: A `models.language.DecoderLM`.
        prompt: Token ids, at least one.
        length: How many tokens each writes.

    Returns:
        By name, a function without arguments that returns the text. All return the same, but for
        LiteRT's int8, which has other weights.
    """
    length = whole("length", length, 1, model.config["context"] - len(prompt))
    reads = {
        "recompute, graph": (recompute, graph(model, whole_text)),
        "recompute, XLA": (recompute, compiled(model, whole_text)),
        "cache, graph": (step_by_step, graph(model, next_token)),
        "cache, XLA": (step_by_step, compiled(model, next_token)),
    }
    ways = {
        name: lambda way=way, read=read: way(read, model, prompt, length)
        for name, (way, read) in reads.items()
    }
    ways["cache, XLA, the loop too"] = lambda: loops.generate(model, prompt, length)
    for name, mode in (("LiteRT float32", "float"), ("LiteRT int8", "dynamic")):
        file = on_device.Writer(model, on_device.export_step(model, mode))
        ways[name] = lambda file=file: file.generate(prompt, length)
    return ways


def many_texts(model, prompts, length):
    """Lists ways to continue prompts of one length greedily, the slowest first.

    Args:
        model: A `models.language.DecoderLM`.
        prompts: Token ids, `(rows, given)`.
        length: How many tokens each of them gets.

    Returns:
        By name, a function without arguments that returns the texts; all return the same.
    """
    (text, given), write = loops.padded(model, prompts, length), loops.writer(model, loops.GREEDY)
    until = given[0] + length

    def at_once(rows):
        groups = [slice(i, i + rows) for i in range(0, len(text), rows)]
        parts = [loops.go_on(write, model, text[g], given[0], until)[0] for g in groups]
        return np.concatenate(parts)[:, :until]

    ways = {"one text after the other": lambda: at_once(1)}
    for rows in (loops.GROUP, len(text)):
        ways[f"{rows} rows in a call"] = lambda rows=rows: at_once(rows)
    ways[f"{loops.GROUP} rows in a call, a call on each core"] = lambda: loops.side_by_side(
        model, loops.GREEDY, text, given, until
    )[:, :until]
    return ways


def matrices(model):
    """Returns the weights that each token is multiplied with: all but those that are looked up."""
    tables = {id(model.embedding.embeddings), id(model.positions.embeddings)}
    return [np.asarray(w) for w in model.weights if id(w) not in tables and len(w.shape) == 2]


def bytes_a_token(model, position):
    """Returns how many bytes writing a token has to read: every matrix, and the keys and values of
    `position` tokens."""
    kept = 2 * sum(block.attention.kv_heads * block.head_size for block in model.blocks)
    return sum(w.nbytes for w in matrices(model)) + 4 * kept * position


def operations_a_token(model, position):
    """Returns how many multiplications and additions writing a token takes."""
    mixed = 2 * sum(block.attention.heads * block.head_size for block in model.blocks)
    return 2 * (sum(w.size for w in matrices(model)) + mixed * position)


def bandwidth(model, rounds=200):
    """Measures how many bytes a second this machine reads of a model's matrices from where they lie,
    which for a small model is a cache: the best of some products of each with a vector."""
    pairs = [(np.ones(w.shape[0], np.float32), speed.aligned(w)) for w in matrices(model)]
    best = np.inf
    for _ in range(rounds):
        begun = time.perf_counter()
        for vector, matrix in pairs:
            vector @ matrix
        best = min(best, time.perf_counter() - begun)
    return sum(matrix.nbytes for _, matrix in pairs) / best
