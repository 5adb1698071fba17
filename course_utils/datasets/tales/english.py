"""How the world's events are told in English, one sentence each; `{slot}` is filled by the
event."""

from course_utils.datasets.tales import world

SENTENCES = {
    "alone": "on a {weather} {time} , {who} is {at} .",
    "together": "on a {weather} {time} , {who} and {other} are {at} .",
    "has": "{who} has a {look} {thing} {word} .",
    "wants": "{who} wants a {look} {thing} .",
    "goes": "{who} goes to the {place} .",
    "comes": "{who} comes to the {place} .",
    "brings": "{who} comes to the {place} with a {look} {thing} .",
    "brings_wanted": "{who} comes to the {place} with the {thing} {other} wants .",
    "gets": "{who} finally gets the {thing} .",
    "searches": "{who} cannot find the {thing} anywhere .",
    "discovers": "{who} finds a {look} {thing} .",
    "buys": "{who} buys a {look} {thing} .",
    "gives": "{who} gives the {thing} to {other} .",
    "takes": "{who} takes the {thing} from {other} .",
    "shows": "{who} shows the {thing} to {other} .",
    "loses": "{who} loses the {thing} .",
    "runs": "the {thing} runs away from {who} .",
    "picks": "{who} picks up the {thing} .",
    "catches": "{who} catches the {thing} .",
    "leaves": "{who} leaves the {thing} {at} .",
    "breaks": "{who} breaks the {thing} .",
    "repairs": "{who} repairs the {thing} .",
    "eats": "{who} eats the {thing} .",
    "does": "{who} {word} {other} .",
    "gets_wet": "it starts to rain , and {who} gets wet .",
    "stays_dry": "it starts to rain , but {who} has the {thing} .",
    "passes_time": "{who} {word} .",
    "reacts": "{who} {word} .",
}

PREPOSITIONS = {
    **dict.fromkeys(("beach", "bridge", "farm", "playground", "island"), "on"),
    **dict.fromkeys(("lake", "river"), "by"),
    **dict.fromkeys(("market", "harbor", "school", "station", "airport", "zoo", "stadium"), "at"),
}
PROPER = {*world.NAMES, *world.TIMES[4:]}  # written with a capital


def at(place):
    """`"park"` becomes `"in the park"`."""
    return f"{PREPOSITIONS.get(place, 'in')} the {place}"


def sentence(event):
    """Tells one event, as a list of tokens."""
    return SENTENCES[event.kind].format_map({**event._asdict(), "at": at(event.place)}).split()


def words():
    """Every English word of the stories, in a fixed order."""
    lists = (
        world.NAMES,
        map(at, world.WORLD.places),
        world.WORLD.things,
        *world.LOOKS.values(),
        world.WEATHERS,
        world.TIMES,
        world.ATTITUDES,
        world.DEEDS,
        *world.FEELINGS.values(),
        world.ACTIVITIES,
        (s for s in SENTENCES.values()),
    )
    return [w for phrases in lists for phrase in phrases for w in phrase.split() if "{" not in w]
