"""Where the time of one step of decoding goes: each part of a decoder in a compiled loop of its
own."""

import functools
import logging

from course_utils.backend import tf
from course_utils.decoding.loops import best
from course_utils.evaluation import speed
from course_utils.models.compiled import compiled

# A part takes `x` of shape `(rows, 1, width)`, caches and the place of the new token, and gives `x`
# and caches back: what it makes goes into its next turn, so that no turn can be left out.


def token_in(model, x):
    """Makes tokens `(rows, 1)` of vectors: any, as long as they differ with `x`."""
    return tf.cast(tf.abs(x[..., 0]), tf.int32) % model.config["vocabulary"]


def whole_step(model, x, caches, at):
    logits, caches = model.read(token_in(model, x), caches, at)
    chosen = best(logits[:, 0], at)
    return tf.zeros_like(x) + tf.cast(chosen, x.dtype)[:, None, None], caches


def nothing(model, x, caches, at):
    return x + 1, caches


def embedding(model, x, caches, at):
    return model.embedding(token_in(model, x)) + model.positions(at), caches


def projections(model, x, caches, at):
    for block in model.blocks:
        made = block.attention.projected(block.attention_norm(x))
        x = x + tf.add_n([tf.reduce_mean(part) for part in made])
    return x, caches


def attention(model, x, caches, at):
    written = []
    for block, cache in zip(model.blocks, caches):
        own, here = block.attention, tf.range(cache.keys.shape[2]) <= at
        queries, keys = own.split(x), own.split(x)[:, : own.kv_heads]
        cache = cache.place(keys, keys, at)
        x = own.attend(queries, *cache.floats(), tf.cast(here, x.dtype)[None])
        written.append(cache)
    return x, tuple(written)


def output(model, x, caches, at):
    for block in model.blocks:
        x = x + block.attention.output_projection(x)
    return x, caches


def mlp(model, x, caches, at):
    for block in model.blocks:
        x = x + block.down(block.up(block.mlp_norm(x)))
    return x, caches


def head(model, x, caches, at):
    chosen = best(model.head(model.norm(x))[:, 0], at)
    return x + tf.cast(chosen, x.dtype)[:, None, None], caches


PARTS = {
    "embedding": embedding,
    "query, key, value": projections,
    "attention": attention,
    "output": output,
    "MLP": mlp,
    "head": head,
}


@functools.cache
def repeated(part):
    """Returns a loop of a part, to be compiled: started once, it costs nothing but its turns."""

    def run(model, x, caches, at, turns):
        def turn(i, x, caches):
            return i + 1, *part(model, x, caches, at)

        return tf.while_loop(lambda i, *_: i < turns, turn, (0, x, caches))[1]

    return run


def profile(model, at, rounds=8, turns=200):
    """Times one step of decoding and its parts, one after another in turns.

    Args:
        model: A `models.language.DecoderLM` whose heads together are as wide as the model.
        at: The place of the token to write.
        rounds: How often each has its turn.
        turns: How often each is done in one call.

    Returns:
        By name, the seconds of `"whole step"` and of each part, without those of an empty loop.
    """
    x, caches = tf.ones((1, 1, model.config["width"])), model.empty_caches(1)
    state = x, caches, tf.constant(at), tf.constant(turns)
    looped = {"nothing": nothing, "whole step": whole_step, **PARTS}
    runs = {name: compiled(model, repeated(part)) for name, part in looped.items()}
    calls = {name: lambda run=run: run(*state).numpy() for name, run in runs.items()}
    took = {name: one.median / turns for name, one in speed.pairs(calls, rounds).items()}
    empty = took.pop("nothing")
    return {name: max(seconds - empty, 0.0) for name, seconds in took.items()}


def counted(function, *tensors):
    """Lets TensorFlow count the operations of a function, as its own profiler does.

    Args:
        function: A function of tensors.
        *tensors: What it is called with; only their shapes matter.

    Returns:
        How many multiplications, additions and other steps on floats TensorFlow knows of in it. It
        counts the body of a loop once.
    """
    profiler, log = tf.compat.v1.profiler, tf.get_logger()
    options = profiler.ProfileOptionBuilder(profiler.ProfileOptionBuilder.float_operation())
    graph = tf.function(function, autograph=False).get_concrete_function(*tensors).graph
    level = log.level
    log.setLevel(logging.ERROR)  # it warns that it is old
    try:
        seen = profiler.profile(graph, options=options.with_empty_output().build())
    finally:
        log.setLevel(level)
    return seen.total_float_ops


def read_prompt(model, tokens, caches):
    """Reads a prompt in one pass and chooses the first token of the answer, to be compiled."""
    logits, caches = model.read(tokens, caches, 0)
    return best(logits[:, -1], 0), caches
