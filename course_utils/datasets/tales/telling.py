"""Stories drawn from the world: told in two languages, with the mood at the end and their exact
probability."""

import dataclasses
import functools
import math
import random
import re
import zlib

import numpy as np

from course_utils.checks import one_of, whole
from course_utils.checks import seed as checked_seed
from course_utils.datasets.tales import chinese, english, words, world

SPLITS = ("train", "validation", "test")
LANGUAGES = ("english", "chinese", "both")


@dataclasses.dataclass(frozen=True)
class Story:
    """A chain of events and what follows from it.

    Attributes:
        events: Tuple of `world.Event`.
        log_probability: Natural logarithm of the chance that the generator tells exactly these
            English tokens and then stops. Every choice the generator makes can be read off the
            text, so no other chain of events gives the same text and nothing is left to sum over.
        end: The `world.State` after the last event.
    """

    events: tuple
    log_probability: float
    end: world.State = dataclasses.field(repr=False, compare=False)

    @functools.cached_property
    def english(self):
        """The English tokens, without an end mark."""
        return tuple(token for event in self.events for token in english.sentence(event))

    @functools.cached_property
    def chinese(self):
        """The Chinese tokens, without an end mark: the one correct translation of the English
        ones."""
        return tuple(token for event in self.events for token in chinese.sentence(event))

    @property
    def mood(self):
        """How the person the story is about feels at its end: `"negative"`, `"neutral"` or
        `"positive"`."""
        return words.MOODS[self.end.mood[self.end.main] + 1]


def tell(random, setting=world.WORLD, accept=None):
    """Draws one story.

    Args:
        random: A function without arguments that returns uniform numbers in 0..1.
        setting: The `world.World` in which it plays.
        accept: `None`, or a function of the first two events: where it says no, they are drawn
            again.
    """
    state, events, total = world.State(setting), [], 0.0
    while True:
        event, log_probability = world.draw(state, random)
        total += log_probability
        if event is None:
            return Story(tuple(events), total, state)
        world.happen(state, event)
        events.append(event)
        if len(events) == 2 and accept and not accept(events):
            state, events, total = world.State(setting), [], 0.0


@functools.cache
def patterns():
    """One regular expression a kind of sentence, whose groups are the slots of the event."""

    def group(name, values):
        return f"(?P<{name}>{'|'.join(map(re.escape, values))})"

    slots = {
        "who": world.NAMES,
        "other": world.NAMES,
        "thing": world.WORLD.things,
        "place": world.WORLD.places,
        "look": sorted({look for looks in world.LOOKS.values() for look in looks}),
        "weather": world.WEATHERS,
        "time": world.TIMES,
    }
    said = {
        "has": world.ATTITUDES,
        "does": world.DEEDS,
        "passes_time": world.ACTIVITIES,
        "reacts": [feeling for feelings in world.FEELINGS.values() for feeling in feelings],
    }
    at = {"at": "(?:in|on|by|at) the " + group("place", world.WORLD.places)}
    return {
        kind: re.compile(
            sentence.replace(" .", r" \.").format_map(
                {
                    name: group(name, values)
                    for name, values in {**slots, "word": said.get(kind, ())}.items()
                }
                | at
            )
        )
        for kind, sentence in english.SENTENCES.items()
    }


def read(text):
    """Reads an English story back into its events; the inverse of telling it.

    Args:
        text: A string, or English tokens, of a story this world can tell.

    Returns:
        A `Story`, with the translation, the mood and the answers that belong to it.

    Raises:
        ValueError: If a word is unknown or a sentence is not one that could stand there.
    """
    tokens = words.split(text) if isinstance(text, str) else list(text)
    words.encode(tokens)  # names an unknown word
    state, events, total = world.State(), [], 0.0
    for sentence in re.findall(r"\S[^.]*\.?", " ".join(tokens)):
        for kind, pattern in patterns().items():
            match = pattern.fullmatch(sentence)
            event = match and world.Event(kind, **match.groupdict())
            if event and english.sentence(event) == sentence.split():
                break
        else:
            raise ValueError(f"not a sentence of this world: {sentence!r}")
        try:
            total += world.log_probability(state, event)
        except ValueError:
            raise ValueError(f"this cannot happen here: {sentence!r}") from None
        world.happen(state, event)
        events.append(event)
    fewest, most = (2 + n for n in state.world.lengths)
    if not fewest <= len(events) <= most:
        raise ValueError(f"a story has {fewest} to {most} sentences, got {len(events)}")
    return Story(tuple(events), total + world.log_probability(state, None), state)


def split_of(events):
    """Returns the split a story belongs to, by its first two events: 90 of 100 beginnings go to
    train.

    The checksum knows nothing of what the words mean, so each split is a fair sample of the same
    world, and no story of one has even its beginning in another. `log_probability` is that of the
    whole generator: a model cannot know which beginnings were held back, so this, and not the
    slightly larger probability among the beginnings of one split, is what it can reach on text it
    has not seen.
    """
    bucket = zlib.crc32(" ".join(events[0] + events[1]).encode("utf8")) % 100
    return "validation" if bucket < 5 else "test" if bucket < 10 else "train"


def story(split, index, seed=0):
    """Returns one story; it depends on nothing but these three values, two whole numbers among
    them."""
    return tell(
        random.Random(f"{split} {seed} {index}").random,
        accept=lambda events: split_of(events) == split,
    )


def stories(split, count, seed=0):
    """Draws stories.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        count: How many.
        seed: Another seed gives other stories of the same split.

    Returns:
        A list of `Story`.

    Raises:
        ValueError: If the split is unknown or `count` is not a whole number above zero.
    """
    one_of("split", split, SPLITS)
    seed = checked_seed(seed)
    return [story(split, i, seed) for i in range(whole("count", count, 1, 10**8))]


def told(split, language, seed=0):
    """Yields stories without end, each with its tokens in `language` and the end mark, and its
    log-probability.

    `"both"` tosses a coin for each story; the coin's log 2 is part of the log-probability.
    """
    coin = random.Random(f"language {split} {seed}").random
    index = 0
    while True:
        one = story(split, index, seed)
        chosen = language if language != "both" else "english" if coin() < 0.5 else "chinese"
        yield (
            (*getattr(one, chosen), words.END),
            one.log_probability - math.log(2) * (language == "both"),
        )
        index += 1


def entropy_floor(split, language, count=2000, seed=0):
    """The loss per token that no model can beat: minus the mean log-probability under the generator
    itself.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        language: `"english"`, `"chinese"`, or `"both"` for the mixture of `pretraining_line`.
        count: From how many stories it is estimated.
        seed: As in `stories`.

    Returns:
        The floor in nats per token, the end mark counted, and its standard error; `exp` of the
        floor is the lowest perplexity.

    Raises:
        ValueError: If split or language is unknown, or `count` is below two.
    """
    one_of("split", split, SPLITS)
    one_of("language", language, LANGUAGES)
    count, seed = whole("count", count, 2, 10**8), checked_seed(seed)
    drawn = zip(range(count), told(split, language, seed))
    nats, lengths = np.array(
        [(-log_probability, len(tokens)) for _, (tokens, log_probability) in drawn]
    ).T
    floor = nats.sum() / lengths.sum()
    # A ratio of two means: its error is that of the residuals.
    return float(floor), float(
        (nats - floor * lengths).std(ddof=1) / lengths.mean() / math.sqrt(count)
    )
