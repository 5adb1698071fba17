"""The story world: who may do what next, how likely it is, and what it changes. It knows no
language.

A story is a chain of events. At each step the rules that are possible are weighed against one
another, and the people, things and places of the chosen one are drawn uniformly from what the
moment allows. So the probability of an event is a product that can be written down, and that of a
story is their product.
"""

import dataclasses
import itertools
import math
from functools import lru_cache
from typing import NamedTuple

NAMES = """anna tom lucy jack mary david emma peter alice john linda mike sara paul nina leo kate sam rosa max
julia oscar diana henry eva frank grace simon helen adam irene victor laura felix carol robert sophie martin
jenny daniel amy bill ella george""".split()
OUTDOORS = """park garden beach bridge forest farm lake river square playground zoo harbor village island valley
field market orchard meadow stadium""".split()
INDOORS = """school library kitchen museum hospital bakery cafe bookstore hotel restaurant shop office classroom
cinema theater gym station airport bank castle garage attic basement church factory supermarket mall""".split()
SHOPS = ("market", "shop", "supermarket", "mall")
MENDABLE = """kite doll umbrella lamp clock watch guitar violin drum flute camera radio phone robot box basket
mirror lantern""".split()
THINGS = (
    MENDABLE
    + """ball book hat scarf coat raincoat bag cup plate vase ring necklace key pen pencil brush map
letter photo painting ticket postcard bottle candle blanket pillow shirt dress belt balloon flower stone shell
coin""".split()
)
FOOD = "apple pear peach banana lemon egg cake cookie sandwich tomato carrot mango".split()
ANIMALS = "cat dog rabbit bird duck turtle parrot hamster".split()
SHELTERS = ("umbrella", "raincoat")
COLORS = "red blue green yellow black white purple pink".split()
LOOKS = {
    **dict.fromkeys(THINGS, COLORS),
    **dict.fromkeys(FOOD, "fresh tasty big small cheap special nice strange".split()),
    **dict.fromkeys(ANIMALS, "black white brown gray big small fat lively".split()),
}
WEATHERS = "rainy stormy snowy clear windy cloudy foggy hot cold cool warm quiet".split()
WET = ("rainy", "stormy", "snowy")  # on these days no rain can start
TIMES = "morning afternoon evening night monday tuesday wednesday thursday friday saturday sunday".split()
ATTITUDES = {
    "and loves it": 1,
    "and likes it a lot": 1,
    "and needs it": 1,
    "but does not care about it": 0,
    "but does not need it": 0,
    "but does not like it": -1,
    "but is tired of it": -1,
    "but hates it": -1,
}
DEEDS = {
    **dict.fromkeys(("praises", "thanks", "hugs", "helps", "encourages"), 1),
    **dict.fromkeys(
        ("greets", "talks with", "waves to", "looks at", "sits next to", "walks past"), 0
    ),
    **dict.fromkeys(("scolds", "laughs at", "shouts at", "pushes", "lies to"), -1),
}
FEELINGS = {
    1: ("is happy", "is glad", "smiles", "jumps for joy", "sings a song", "feels great"),
    0: ("does not mind", "shrugs", "stays calm", "says nothing", "nods"),
    -1: ("is sad", "is upset", "cries", "sighs", "is angry", "feels terrible"),
}
ACTIVITIES = (
    "sits down",
    "looks around",
    "drinks some water",
    "takes a rest",
    "waits for a while",
    "takes a walk",
    "makes a call",
    "tells a joke",
    "yawns",
    "sneezes",
)


@dataclasses.dataclass(frozen=True, eq=False)  # one world is another only if it is the same object
class World:
    """Everything that may occur. A smaller world is
    `dataclasses.replace(WORLD, names=("anna", "tom"), ...)`.

    `lengths` is the fewest and the most events after the two that open the story.
    """

    names: tuple = tuple(NAMES)
    places: tuple = (*OUTDOORS, *INDOORS)
    things: tuple = (*THINGS, *FOOD, *ANIMALS)
    looks: int = 8  # how many of each thing's eight looks are in use
    weathers: tuple = tuple(WEATHERS)
    times: tuple = tuple(TIMES)
    attitudes: tuple = tuple(ATTITUDES)
    deeds: tuple = tuple(DEEDS)
    feelings: int = 6  # how many reactions of each kind are in use
    activities: tuple = ACTIVITIES
    lengths: tuple = (3, 4)


WORLD = World()


class Event(NamedTuple):
    """One sentence's worth of the world: the rule's name and what fills its slots."""

    kind: str
    who: str = ""
    other: str = ""
    thing: str = ""
    look: str = ""
    place: str = ""
    word: str = ""  # the attitude, deed, feeling or activity
    weather: str = ""
    time: str = ""


class State:
    """What holds at one moment of a story, and what may come next."""

    def __init__(self, world=WORLD):
        self.world = world
        self.events = 0
        self.main = None  # whom the story is about
        self.where = {}  # person -> place
        self.looks = {}  # thing -> look, for every thing there is
        self.holder = {}  # thing -> person who carries it
        self.lying = {}  # thing -> (place, whether a reader knows it lies there)
        self.broken = set()
        self.wanted = self.wanted_look = (
            None  # what the main person wants and nobody has brought yet
        )
        self.attitude = {}  # thing -> how much the main person likes it; 1 where nothing is said
        self.mood = {}  # person -> 1, 0 or -1
        self.cause = {}  # person -> the thing, person or "rain" behind that mood
        self.touched = None  # whom the last event happened to: the one who may react
        self.weather = self.time = None
        self.raining = False

    def value(self, person, thing):
        """What having a thing is worth to a person: 1, 0 or -1. Only the main person is ever
        choosy."""
        return self.attitude.get(thing, 1) if person == self.main else 1

    def touch(self, person, valence, cause):
        """Something happened to a person. What leaves them cold does not change how they feel."""
        self.touched = person
        if valence:
            self.mood[person], self.cause[person] = valence, cause

    def together(self):
        """Every (person, other) who are in one place."""
        return [
            (a, b)
            for a in self.where
            for b in self.where
            if a != b and self.where[a] == self.where[b]
        ]

    def absent(self):
        """Who could come to the main person: somebody known from elsewhere, or, up to three people,
        anybody new."""
        here = self.where[self.main]
        known = [name for name, place in self.where.items() if place != here]
        return (
            known + list(_without(self.world.names, tuple(self.where)))
            if len(self.where) < 3
            else known
        )

    def new_things(self):
        """Every (thing, look) not in the story yet, or nothing once two things are in it."""
        known = (*self.looks, self.wanted) if self.wanted else tuple(self.looks)
        return _looks(self.world, known) if len(known) < 2 else ()


@lru_cache(maxsize=4096)
def _without(values, taken):
    return tuple(v for v in values if v not in taken)


@lru_cache(maxsize=4096)
def _looks(world, taken):
    return tuple(
        (thing, look)
        for thing in world.things
        if thing not in taken
        for look in LOOKS[thing][: world.looks]
    )


@lru_cache(maxsize=8)
def _pairs(world):
    return tuple(itertools.permutations(world.names, 2))


class Rule(NamedTuple):
    """A kind of event. `options(state)` returns one list of choices a draw; an empty list: not
    possible now."""

    weight: float
    slots: tuple
    options: callable
    effect: callable


RULES = {}
IMPOSSIBLE = ((),)  # one draw, and nothing to draw from


def rule(weight, slots, effect):
    """Makes a rule of a function `options(state)`; the function's name becomes the kind of
    event."""

    def register(options):
        RULES[options.__name__] = Rule(weight, tuple(slots.split()), options, effect)
        return options

    return register


# What each kind of event changes.


def _open(state, event):
    state.main, state.weather, state.time = event.who, event.weather, event.time
    for person in filter(None, (event.who, event.other)):
        state.where[person], state.mood[person] = event.place, 0


def _has(state, event):
    state.looks[event.thing], state.holder[event.thing] = event.look, event.who
    state.attitude[event.thing] = ATTITUDES[event.word]


def _wants(state, event):
    state.wanted, state.wanted_look = event.thing, event.look


def _move(state, event):
    state.where[event.who] = event.place
    state.mood.setdefault(event.who, 0)


def _bring(state, event):
    _move(state, event)
    state.looks[event.thing], state.holder[event.thing] = event.look, event.who


def _bring_wanted(state, event):
    _move(state, event)
    state.looks[event.thing], state.holder[event.thing], state.wanted = (
        state.wanted_look,
        event.who,
        None,
    )


def _gain(state, event):  # something new, found or bought
    state.looks[event.thing] = event.look or state.wanted_look
    if event.thing == state.wanted:
        state.wanted = None
    _hold(state, event)


def _hold(state, event):  # something that lay about
    state.lying.pop(event.thing, None)
    state.holder[event.thing] = event.who
    state.touch(event.who, state.value(event.who, event.thing), event.thing)


def _search(state, event):
    state.touch(event.who, -1, event.thing)


def _give(
    state, event
):  # who gives does so freely, and feels as before; so does who leaves something behind
    state.holder[event.thing] = event.other
    state.touch(event.other, state.value(event.other, event.thing), event.thing)


def _take(state, event):
    state.holder[event.thing] = event.who
    state.touch(event.who, state.value(event.who, event.thing), event.thing)
    state.touch(event.other, -state.value(event.other, event.thing), event.thing)


def _lose(state, event):
    del state.holder[event.thing]
    state.lying[event.thing] = (state.where[event.who], False)
    state.touch(event.who, -state.value(event.who, event.thing), event.thing)


def _leave(state, event):
    del state.holder[event.thing]
    state.lying[event.thing] = (event.place, True)


def _break(state, event):
    state.broken.add(event.thing)
    state.touch(event.who, -state.value(event.who, event.thing), event.thing)


def _repair(state, event):
    state.broken.discard(event.thing)
    state.touch(event.who, state.value(event.who, event.thing), event.thing)


def _eat(state, event):
    del state.holder[event.thing]
    state.touch(event.who, state.value(event.who, event.thing), event.thing)


def _deed(state, event):
    state.touch(event.other, DEEDS[event.word], event.who)


def _wet(state, event):
    state.raining = True
    state.touch(event.who, -1, "rain")


def _dry(state, event):
    state.raining = True


def _nothing(state, event):
    pass


# What each kind of event needs. The first two kinds open a story, the next two follow, then all
# others.


@rule(1, "weather time who place", _open)
def alone(state):
    return state.world.weathers, state.world.times, state.world.names, state.world.places


@rule(2, "weather time who other place", _open)
def together(state):
    return state.world.weathers, state.world.times, _pairs(state.world), state.world.places


@rule(4, "who thing look word", _has)
def has(state):
    return (state.main,), _looks(state.world, ()), state.world.attitudes


@rule(1, "who thing look", _wants)
def wants(state):
    return (state.main,), _looks(state.world, ())


@rule(2, "who place", _move)
def goes(state):
    return tuple(state.where), _without(state.world.places, tuple(state.where.values()))


@rule(2, "who place", _move)
def comes(state):
    return state.absent(), (state.where[state.main],)


@rule(2, "who place thing look", _bring)
def brings(state):
    return state.absent(), (state.where[state.main],), state.new_things()


@rule(4, "who place thing other", _bring_wanted)
def brings_wanted(state):
    return (
        state.absent(),
        (state.where[state.main],),
        [(state.wanted, state.main)] if state.wanted else (),
    )


@rule(2, "who thing", _gain)
def gets(state):
    return ([(state.main, state.wanted)] if state.wanted else (),)


@rule(2, "who thing", _search)
def searches(state):
    again = state.cause.get(state.main) == state.wanted
    return ([(state.main, state.wanted)] if state.wanted and not again else (),)


@rule(1, "who thing look", _gain)
def discovers(state):
    return tuple(state.where), state.new_things()


@rule(4, "who thing look", _gain)
def buys(state):
    return [who for who, place in state.where.items() if place in SHOPS], state.new_things()


def _handovers(state):
    return [
        (who, thing, other)
        for thing, who in state.holder.items()
        for other, place in state.where.items()
        if other != who and place == state.where[who]
    ]


@rule(5, "who thing other", _give)
def gives(state):
    return (_handovers(state),)


@rule(4, "other thing who", _take)
def takes(state):
    return (_handovers(state),)


@rule(1, "who thing other", _nothing)
def shows(state):
    return (_handovers(state),)


@rule(4, "who thing", _lose)
def loses(state):
    return ([(who, thing) for thing, who in state.holder.items() if thing not in ANIMALS],)


@rule(5, "who thing", _lose)
def runs(state):
    return ([(who, thing) for thing, who in state.holder.items() if thing in ANIMALS],)


def _within_reach(state):
    return [
        (who, thing)
        for thing, (place, _) in state.lying.items()
        for who in state.where
        if state.where[who] == place
    ]


@rule(6, "who thing", _hold)
def picks(state):
    return ([(who, thing) for who, thing in _within_reach(state) if thing not in ANIMALS],)


@rule(6, "who thing", _hold)
def catches(state):
    return ([(who, thing) for who, thing in _within_reach(state) if thing in ANIMALS],)


@rule(1, "who thing place", _leave)
def leaves(state):
    return ([(who, thing, state.where[who]) for thing, who in state.holder.items()],)


@rule(3, "who thing", _break)
def breaks(state):
    return (
        [
            (who, thing)
            for thing, who in state.holder.items()
            if thing in MENDABLE and thing not in state.broken
        ],
    )


@rule(4, "who thing", _repair)
def repairs(state):
    return ([(who, thing) for thing, who in state.holder.items() if thing in state.broken],)


@rule(5, "who thing", _eat)
def eats(state):
    return ([(who, thing) for thing, who in state.holder.items() if thing in FOOD],)


@rule(3, "who other word", _deed)
def does(state):
    return state.together(), state.world.deeds


@rule(1.5, "who", _wet)
def gets_wet(state):
    if state.raining or state.weather in WET:
        return IMPOSSIBLE
    sheltered = [who for thing, who in state.holder.items() if thing in SHELTERS]
    return (
        [who for who, place in state.where.items() if place in OUTDOORS and who not in sheltered],
    )


@rule(6, "who thing", _dry)
def stays_dry(state):
    if state.raining or state.weather in WET:
        return IMPOSSIBLE
    return (
        [
            (who, thing)
            for thing, who in state.holder.items()
            if thing in SHELTERS and state.where[who] in OUTDOORS and thing not in state.broken
        ],
    )


@rule(2, "who word", _nothing)
def passes_time(state):
    return tuple(state.where), state.world.activities


@rule(8, "who word", _nothing)
def reacts(state):
    if state.touched is None:
        return IMPOSSIBLE
    return (state.touched,), FEELINGS[state.mood[state.touched]][: state.world.feelings]


OPENINGS, POSSESSIONS = ("alone", "together"), ("has", "wants")
HAPPENINGS = tuple(name for name in RULES if name not in OPENINGS + POSSESSIONS)
ENDING = 0.4  # chance that a story which may end does


def possible(state):
    """Lists what may come next, as `[(probability, kind, choices)]`; the probabilities add up to
    one.

    `choices` holds one sequence a draw, and each draw is uniform. The kind `end` closes the story.
    """
    done = state.events - 2
    kinds = OPENINGS if done == -2 else POSSESSIONS if done == -1 else HAPPENINGS
    fewest, most = state.world.lengths
    ending = 0.0 if done < fewest else ENDING if done < most else 1.0
    found = []
    if ending < 1:
        for kind in kinds:
            choices = RULES[kind].options(state)
            if all(choices):
                found.append((RULES[kind].weight, kind, choices))
        scale = (1 - ending) / sum(weight for weight, _, _ in found)
        found = [(weight * scale, kind, choices) for weight, kind, choices in found]
    return found + [(ending, "end", ())] if ending else found


def event(kind, picks):
    """Puts the picks of a rule, some of which are pairs or triples, into the slots of an
    `Event`."""
    values = []
    for pick in picks:
        values.extend((pick,) if isinstance(pick, str) else pick)
    return Event(kind, **dict(zip(RULES[kind].slots, values)))


def happen(state, event):
    """Lets an event change the state."""
    state.touched = None
    state.events += 1
    RULES[event.kind].effect(state, event)


def draw(state, random):
    """Draws what comes next.

    Args:
        state: The `State` so far; it is not changed.
        random: A function without arguments that returns uniform numbers in 0..1.

    Returns:
        The `Event`, or `None` where the story ends, and the natural logarithm of its probability.
    """
    options, level = possible(state), random()
    for probability, kind, choices in options:
        level -= probability
        if level < 0:
            break
    if kind == "end":
        return None, math.log(probability)
    picks = [choice[int(random() * len(choice))] for choice in choices]
    return event(kind, picks), math.log(probability / math.prod(map(len, choices)))


def log_probability(state, wanted):
    """The natural logarithm of the probability that `wanted`, an `Event` or `None`, comes next.

    Raises:
        ValueError: If it cannot come next: somebody gives what they do not carry, say.
    """
    for probability, kind, choices in possible(state):
        if kind == (wanted.kind if wanted else "end"):
            if not wanted:
                return math.log(probability)
            slots = [getattr(wanted, slot) for slot in RULES[kind].slots]
            for choice in (
                choices
            ):  # take from the slots what this draw fills, and look whether it was on offer
                size = 1 if isinstance(choice[0], str) else len(choice[0])
                pick, slots = slots[:size], slots[size:]
                if (pick[0] if size == 1 else tuple(pick)) not in choice:
                    break
            else:
                return math.log(probability / math.prod(map(len, choices)))
    raise ValueError(f"this cannot happen here: {wanted or 'the end'}")
