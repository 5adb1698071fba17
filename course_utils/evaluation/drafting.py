"""What a draft costs, and what it costs to check one: the two times that decide whether speculative
decoding wins."""

from course_utils.backend import tf
from course_utils.checks import whole
from course_utils.decoding.speculative import Speculator, likeliest_token
from course_utils.evaluation import speed
from course_utils.models.cache import place
from course_utils.models.compiled import compiled

TIMES = 32  # passes in one compiled loop, so that the call from Python hardly counts


def passes(model, tokens):
    """Reads as many tokens again and again in the middle of a text, to be compiled."""
    middle = model.config["context"] // 2

    def one(i, tokens, caches):
        logits, caches = model.read(tokens, caches, middle)
        return i + 1, tf.argmax(logits, -1, output_type=tf.int32), caches

    return tf.while_loop(lambda i, *_: i < TIMES, one, (0, tokens, model.empty_caches(1)))[1]


def drafts(pair, text):
    """Drafts again and again in the middle of a text, to be compiled."""
    drafter, ahead = pair.drafter, pair.ahead
    middle = pair.model.config["context"] // 2

    def one(i, text, state):
        drafted, _, state = drafter.propose(text, middle, ahead, state, likeliest_token)
        return i + 1, place(text, drafted[None], middle - 2, axis=1), state

    state = drafter.start(text, tf.constant(middle), pair.model.config["context"] + ahead)
    return tf.while_loop(lambda i, *_: i < TIMES, one, (0, text, state))[1]


def seconds(run, *state):
    """Returns the median time of one turn of a compiled loop."""
    timing = speed.pairs({"loop": lambda: run(*state).numpy()}, rounds=7, warm_up=1)["loop"]
    return timing.median / TIMES


def pass_seconds(model, counts):
    """Measures what a pass of a model costs.

    Args:
        model: A `models.language.DecoderLM`.
        counts: Over how many tokens, a sequence.

    Returns:
        By count, seconds.
    """
    counts = [whole("count", count, 1, model.config["context"] // 2) for count in counts]
    run = compiled(model, passes)
    return {count: seconds(run, tf.ones((1, count), tf.int32)) for count in counts}


def draft_seconds(model, drafter, ahead=4):
    """Measures what one drafted token costs.

    Args:
        model: The model that it drafts for.
        drafter: See `decoding.speculative.Speculator`.
        ahead: Tokens that are drafted in one go.
    """
    pair = Speculator(model, drafter, ahead)
    text = tf.ones((1, model.config["context"] + ahead + 1), tf.int32)
    return seconds(compiled(pair, drafts), text) / ahead
