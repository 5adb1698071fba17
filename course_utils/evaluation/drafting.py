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


def seconds(loops):
    """Returns the median time of one turn of each of some compiled loops, functions by name."""
    speed.together(loops.values())
    timings = speed.pairs(loops, rounds=7, warm_up=1)
    return {name: timing.median / TIMES for name, timing in timings.items()}


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
    texts = {count: tf.ones((1, count), tf.int32) for count in counts}
    return seconds({count: lambda text=text: run(text).numpy() for count, text in texts.items()})


def draft_seconds(model, drafters, ahead=4):
    """Measures what one drafted token costs.

    Args:
        model: The model that is drafted for.
        drafters: By name, see `decoding.speculative.Speculator`.
        ahead: Tokens that are drafted in one go.

    Returns:
        By name, seconds.
    """
    text = tf.ones((1, model.config["context"] + ahead + 1), tf.int32)
    pairs = {name: Speculator(model, drafter, ahead) for name, drafter in drafters.items()}
    runs = {name: compiled(pair, drafts) for name, pair in pairs.items()}
    found = seconds({name: lambda run=run: run(text).numpy() for name, run in runs.items()})
    return {name: took / ahead for name, took in found.items()}
