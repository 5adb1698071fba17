"""Four uses of one language model: each is a prompt that opens with a mark and has one exact
answer."""

import array
import math
import random

import numpy as np

from course_utils.checks import one_of, whole
from course_utils.checks import seed as checked_seed
from course_utils.datasets.tales import english, words, world
from course_utils.datasets.tales.telling import SPLITS, story, told

TASKS = ("story", "translate", "question", "mood")
SHARES = (1, 3, 4, 2)  # of a batch of exercises: questions and translation have the most to learn
LENGTH = 128


# Each kind of question returns the [(question, answer)] it can ask about a story; the events say
# what is true.


def _where_is_somebody(one):
    return [(f"where is {who} ?", english.at(place)) for who, place in one.end.where.items()]


def _where_is_something(one):
    places = {thing: place for thing, (place, known) in one.end.lying.items() if known}
    places.update((thing, one.end.where[who]) for thing, who in one.end.holder.items())
    return [(f"where is the {thing} ?", english.at(place)) for thing, place in places.items()]


def _who_has(one):
    return [
        (f"who has the {thing} ?", one.end.holder.get(thing, "nobody")) for thing in one.end.looks
    ]


def _what_has(one):
    carried = {
        who: [thing for thing, holder in one.end.holder.items() if holder == who]
        for who in one.end.where
    }
    return [
        (f"what does {who} have ?", f"the {things[0]}" if things else "nothing")
        for who, things in carried.items()
        if len(things) < 2
    ]


def _color(one):
    return [
        (f"what color is the {thing} ?", look)
        for thing, look in one.end.looks.items()
        if thing in world.THINGS or look in ("black", "white", "brown", "gray")
    ]


def _feels(one):
    return [
        (f"is {who} {word} ?", "yes" if mood == valence else "no")
        for who, mood in one.end.mood.items()
        for word, valence in (("happy", 1), ("sad", -1))
    ]


def _why(one):
    def because(cause):
        return f"because of {cause if cause in one.end.where else 'the ' + cause}"

    return [
        (f"why is {who} {'happy' if one.end.mood[who] > 0 else 'sad'} ?", because(cause))
        for who, cause in one.end.cause.items()
    ]


def _weather(one):
    return [] if one.end.raining else [("what is the weather like ?", one.end.weather)]


def _when(one):
    return [("when does it happen ?", one.end.time)]


def _who_did(one):
    asked = {}  # a question that two people would answer is not asked
    for event in one.events:
        if event.kind == "does":
            asked.setdefault(f"who {event.word} {event.other} ?", set()).add(event.who)
        if event.kind == "gives":
            asked.setdefault(f"who gives the {event.thing} to {event.other} ?", set()).add(
                event.who
            )
    return [(question, *who) for question, who in asked.items() if len(who) == 1]


def _how_many(one):
    return [("how many people are there ?", ("one", "two", "three")[len(one.end.where) - 1])]


QUESTIONS = (
    _where_is_somebody,
    _where_is_something,
    _who_has,
    _what_has,
    _color,
    _feels,
    _why,
    _weather,
    _when,
    _who_did,
    _how_many,
)


def askable(one):
    """Returns the pairs of each kind of question that a story has any of."""
    return [pairs for pairs in (kind(one) for kind in QUESTIONS) if pairs]


def questions(one):
    """Returns every question that can be asked about a story: `[(question, answer), ...]`, both
    English text."""
    return [pair for pairs in askable(one) for pair in pairs]


def ask(one, draw):
    """Draws a kind of question, and then a question of that kind; `draw` returns uniform numbers in
    0..1."""
    kinds = askable(one)
    pairs = kinds[int(draw() * len(kinds))]
    return pairs[int(draw() * len(pairs))]


def ask_log_probability(one, asked):
    """Returns the logarithm of how likely `ask` draws a question about a story."""
    kinds = askable(one)
    return -math.log(len(kinds)) - next(
        math.log(len(pairs)) for pairs in kinds if asked in dict(pairs)
    )


def task(name, one, rng):
    """Builds one exercise from a story.

    Args:
        name: `"story"` (tell one in English), `"translate"` (English to Chinese), `"question"` (in
            English), or `"mood"` (of the person the story is about).
        one: A `Story`.
        rng: A `random.Random`, which draws the question; the other tasks leave it alone.

    Returns:
        The prompt and the exact answer with its end mark, each `int32` of shape `(tokens,)`.

    Raises:
        ValueError: If there is no task of that name.

    Example:

    >>> prompt, answer = task("mood", tales.stories("train", 1)[0], random.Random(0))
    >>> tales.decode(answer)
    'Neutral <end>'
    """
    one_of("task", name, TASKS)
    if name == "question":
        asked, answer = (text.split() for text in ask(one, rng.random))
        return prompt(name, one.english, asked), words.encode((*answer, words.END))
    answer = one.english if name == "story" else one.chinese if name == "translate" else (one.mood,)
    return prompt(name, one.english if name != "story" else ()), words.encode((*answer, words.END))


def prompt(name, text="", asked=""):
    """Builds what stands before the answer, from a story of your own.

    Args:
        name: A task, as in `task`.
        text: An English story, or any words that the vocabulary has; for `"story"` a beginning,
            which may be empty.
        asked: The question, for `"question"`.

    Returns:
        `int32` of shape `(tokens,)`.

    Raises:
        ValueError: If there is no task of that name, a word is unknown, a text is missing, or it
            holds a mark.

    Example:

    >>> tales.decode(prompt("question", "Anna has a red ball and loves it.", "Who has the ball?"))
    '<question> Anna has a red ball and loves it. Who has the ball? <answer>'
    """
    one_of("task", name, TASKS)
    text, asked = (
        words.split(part) if isinstance(part, str) else list(part) for part in (text, asked)
    )
    if not text and name != "story":
        raise ValueError(f"the task {name!r} needs a story, got none")
    if not asked and name == "question":
        raise ValueError("the task 'question' needs a question, got none")
    for mark in words.MARKS:
        if mark in text or mark in asked:
            raise ValueError(f"the marks are set here and must not stand in a text, got {mark}")
    rest = (
        () if name == "story" else (*asked, words.ANSWER) if name == "question" else (words.ANSWER,)
    )
    return words.encode((f"<{name}>", *text, *rest))


def pretraining_line(split, tokens, seed=0):
    """Stories one after the other, each in one of the two languages, with an end mark after each.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        tokens: How long the line is; its last story may be cut.
        seed: As in `stories`.

    Returns:
        `int32` of shape `(tokens,)`. No mark but the end mark occurs in it.

    Raises:
        ValueError: If the split is unknown or `tokens` is not a whole number above zero.
    """
    one_of("split", split, SPLITS)
    tokens, seed = whole("tokens", tokens, 1, 10**9), checked_seed(seed)
    line = array.array("i")
    for told_tokens, _ in told(split, "both", seed):
        line.extend(words.ids(told_tokens))
        if len(line) >= tokens:
            return np.array(line[:tokens], np.int32)


def instruction_batch(split, rows, length=LENGTH, seed=0, step=0, shares=SHARES, asked=1):
    """One batch of exercises, the four tasks mixed, each in a row of its own.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        rows: How many.
        length: How many predictions a row asks for; at most 128 are needed.
        seed: As in `stories`.
        step: The number of the batch: another one gives other stories.
        shares: How often each of `TASKS` is drawn, relative to the others.
        asked: How many questions about its story a row holds, one after the other, as far as they
            fit.

    Returns:
        Tokens, `int32` of shape `(rows, length + 1)`, padded at the end; and a mask, `float32` of
        shape `(rows, length)`, that is 1 where the token to predict, `tokens[:, 1:]`, belongs to an
        answer.

    Raises:
        ValueError: If the split is unknown, or an exercise is longer than `length + 1`.
    """
    one_of("split", split, SPLITS)
    rows, step = whole("rows", rows, 1, 10**6), whole("step", step, 0, 10**9)
    asked, length = whole("asked", asked, 1, 100), whole("length", length, 1, 10**6)
    seed = checked_seed(seed)
    tokens = np.zeros((rows, length + 1), np.int32)  # <pad> is token 0
    mask = np.zeros((rows, length), np.float32)
    for row in range(rows):
        index = step * rows + row
        rng = random.Random(f"task {split} {seed} {index}")
        name, one = rng.choices(TASKS, shares)[0], story(split, index, seed)
        parts, used = [task(name, one, rng)], 0
        if name == "question":
            parts += further_questions(one, parts[0][0], asked - 1, rng)
        for given, answer in parts:
            end = used + len(given) + len(answer)
            if end > length + 1:
                if used:  # no more questions fit
                    break
                raise ValueError(
                    f"length must be at least {end - 1} for exercise {index}, got {length}"
                )
            tokens[row, used:end] = np.concatenate([given, answer])
            mask[row, end - len(answer) - 1 : end - 1] = 1
            used = end
    return tokens, mask


def further_questions(one, prompt, count, rng):
    """Draws questions about a story that a prompt does not ask:
    `[(tokens of the question, of the answer)]`."""
    pairs = [
        (words.encode((*asked.split(), words.ANSWER)), words.encode((*answer.split(), words.END)))
        for asked, answer in questions(one)
    ]
    new = [pair for pair in pairs if not np.array_equal(pair[0], prompt[-len(pair[0]) :])]
    return rng.sample(new, min(count, len(new)))


def translation_batch(split, rows, length=64, seed=0, step=0):
    """One batch of translations for a model that reads and writes in two separate places.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        rows: How many.
        length: How many tokens a source has, and how many predictions a target asks for.
        seed: As in `stories`.
        step: The number of the batch: another one gives other stories.

    Returns:
        English sources, `int32` of shape `(rows, length)`, and Chinese targets of shape
        `(rows, length + 1)`, which begin with `<answer>` and end with `<end>`; both padded at the
        end.

    Raises:
        ValueError: If the split is unknown, or a story does not fit.
    """
    one_of("split", split, SPLITS)
    rows, step = whole("rows", rows, 1, 10**6), whole("step", step, 0, 10**9)
    length, seed = whole("length", length, 1, 10**6), checked_seed(seed)
    source, target = np.zeros((rows, length), np.int32), np.zeros((rows, length + 1), np.int32)
    for row in range(rows):
        one = story(split, step * rows + row, seed)
        read, written = words.ids(one.english), words.ids((words.ANSWER, *one.chinese, words.END))
        if len(read) > length or len(written) > length + 1:
            raise ValueError(
                f"length must be at least {max(len(read), len(written) - 1)} for story {row}, got "
                f"{length}"
            )
        source[row, : len(read)], target[row, : len(written)] = read, written
    return source, target
