"""Texts longer than a model can read at once."""

import dataclasses

from course_utils.decoding.loops import GREEDY, stream


def stream_on(model, prompt, length, sampling=GREEDY, chunk=8, end=None):
    """Streams a text that may be longer than the context. Where that is full, the last half of it is
    the prompt of what follows, and all before it is forgotten.

    Args:
        model, prompt, length, sampling, chunk, end: As `decoding.stream` takes them; `length` may
            be any.

    Yields:
        `int32` arrays of at most `chunk` tokens.
    """
    text, context, draws = list(prompt), model.config["context"], sampling.seed
    while length:
        count = min(length, context - len(text))
        for new in stream(model, text, count, sampling, chunk, end):
            yield new
            text, count, length = [*text, *new.tolist()], count - len(new), length - len(new)
        if count:
            return  # it wrote its end
        draws = (draws + 104729) % 2**31  # the same places, other draws
        text, sampling = text[-context // 2 :], dataclasses.replace(sampling, seed=draws)
