"""What a language model can do before and after compression, asked in your own words (lesson
6.1)."""

import dataclasses
import functools
import html
import types

import ipywidgets
import numpy as np

from course_utils import decoding, evaluation
from course_utils.datasets import tales
from course_utils.datasets.tales import words
from course_utils.evaluation.bench import bench
from course_utils.evaluation.tasks import TASKS
from course_utils.storage import Ledger
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, names, readout, slider
from course_utils.widgets.controls import Control, row, without_use
from course_utils.widgets.html import squeezed
from course_utils.widgets.skills import skills_chart
from course_utils.widgets.tables import Markup, Table

END, STORIES = words.MARKS.index(words.END), TASKS["tales"].live
STORY = (
    "On a cold Friday, John and Daniel are at the school. John has a black parrot and needs it. "
    "The parrot runs away "
    "from John. Adam comes to the school. Daniel praises Adam. Daniel catches the parrot."
)
QUESTION = "Who has the parrot?"


def respond(model, task, text="", asked=""):
    """Lets a model do a task on your own words.

    Args:
        model: A `models.language.DecoderLM` that knows the tales.
        task: `"story"`, `"translate"`, `"question"` or `"mood"`.
        text: An English story; for `"story"` its beginning, which may be empty.
        asked: The question, for `"question"`.

    Returns:
        What the model writes, as text; a story with its beginning.

    Raises:
        ValueError: If a word is unknown, something is missing, or the text is too long.
    """
    return respond_all(model, [(task, text, asked)])[0]


def respond_all(model, requests):
    """The same for several `(task, text, asked)`, which are written side by side."""
    prompts = [tales.prompt(*request) for request in requests]
    return [
        tales.decode(np.concatenate([prompt[1:], written]) if task == "story" else written)
        for prompt, written, (task, *__) in zip(
            prompts, decoding.answers(model, prompts, END), requests
        )
    ]


def truth(task, text, asked=""):
    """Returns the right answer if the text is a story of this world and the question can be asked
    of it; or `None`."""
    try:
        one = tales.read(text)
    except ValueError:
        return None
    answers = {
        "translate": one.chinese,
        "mood": (one.mood,),
        "question": dict(tales.questions(one)).get(" ".join(words.split(asked)), "").split(),
    }
    return tales.decode(words.encode(answers[task])) if answers.get(task) else None


class Typed(Control):
    """A box to type words into."""

    def __init__(self, name, value, description):
        self.name = name
        self.box = ipywidgets.Textarea(
            value,
            description=name,
            continuous_update=False,
            rows=4 if len(value) > 80 else 1,
            layout={"flex": "1 1 380px", "width": "auto"},
            style={"description_width": "100px"},
        )
        self.widget, self.examples = row(self.box, description), [value]
        super().__init__(value=value)
        ipywidgets.link((self, "value"), (self.box, "value"))

    def positions(self):
        return self.examples


@dataclasses.dataclass(frozen=True)
class Spoken:
    """What a compressed model can do, and what it says.

    Attributes:
        skills, original: What `evaluation.skills` says of it, and of the model as it was trained.
        ledger: Its file's bytes by part.
        size: Bytes of the original's file.
        removed: Share of the matrices' weights that theta set to zero.
        answers: For each request to it:
            `(task, the original's answer, its own, the right one or None)`.
    """

    skills: dict
    original: dict
    ledger: Ledger
    size: int
    removed: float
    answers: tuple

    @property
    def times_smaller(self):
        return self.size / self.ledger.total


@functools.lru_cache(maxsize=8)
def _original_says(name, requests):
    return tuple(respond_all(bench(name).original, requests))


@functools.cache
def _original_can(name):
    return types.MappingProxyType(evaluation.skills(bench(name).original, STORIES, "validation"))


def speak(name, story, question, step, theta, rule, bits):
    """Compresses a model of the tales, measures its skills on validation stories, and lets it
    answer.

    Args:
        name: A shipped model, `"tales"`.
        story, question: In the learner's own words.
        step: Q, where the rule is `"step"`; `None` leaves floats.
        theta: Weights of at most this size are removed; `None` removes none.
        rule: `"step"`, or `"absmax"` with a scale for every 32 inputs.
        bits: Width of a code, where the rule is `"absmax"`.

    Returns:
        A `Spoken`.
    """
    here, beginning = bench(name), story.split(".")[0] + "."
    requests = (
        ("story", beginning, ""),
        ("translate", story, ""),
        ("question", story, question),
        ("mood", story, ""),
    )
    with here.turn:  # a slider may move meanwhile, in another thread
        said = _original_says(name, requests)  # first, for it may find an unknown word
        original = _original_can(name)
        seen = here.measure(
            step=step,
            theta=theta,
            score="magnitude",
            on="weight",
            storage="entropy",
            rule=rule,
            bits=bits,
        )
        ours = respond_all(here.twin, requests)
    answers = tuple(
        (request[0], a, b, truth(*request)) for request, a, b in zip(requests, said, ours)
    )
    return Spoken(seen.skills, original, seen.ledger, here.reference[2], seen.removed, answers)


def show_spoken(seen):
    """Numbers, a bar for each skill, and what both models say."""
    told = seen.skills["story"]
    return [
        cards(
            *squeezed(seen),
            readout(
                _("perplexity of stories"),
                f"{told.perplexity:.2f}",
                note=_("the generator's {floor:.2f}").format(floor=told.floor),
            ),
        ),
        skills_chart(
            {_("original"): seen.original, _("compressed"): seen.skills},
            _("Skills, on {count} validation stories").format(count=STORIES),
            width=560,
        ),
        conversation(seen.answers),
    ]


def conversation(answers):
    """What both models say, as a table; a wrong answer is marked, where the right one is known."""

    def cell(text, right):
        wrong = right is not None and text != right
        return Markup(f"<mark>{html.escape(text)}</mark>" if wrong else html.escape(text))

    known = names.skills()
    rows = [(known[task], cell(a, right), cell(b, right)) for task, a, b, right in answers]
    head = ["", _("original"), _("compressed (wrong answers marked)")]
    return Table(head, rows, widths=("96px", "50%", "50%"))._repr_html_()


def speak_explorer(name="tales"):
    """Slides Q, θ and bits of a model that tells, translates, answers and judges, and lets you talk
    to it.

    Returns:
        An `Explorer` whose results are `Spoken`.
    """
    rules = names.rules()
    return Explorer(
        functools.partial(speak, name),
        show_spoken,
        without_use,
        story=Typed(_("story"), STORY, _("in words this world has")),
        question=Typed(_("question"), QUESTION, _("about the story")),
        rule=choice(
            _("rule"),
            {rules[rule]: rule for rule in ("step", "absmax")},
            "step",
            _("rounding: steps of Q, or bits with a scale for every 32 inputs"),
        ),
        step=log_slider(
            "Q", 0.001, 1, 0.1, _("step between two levels, for the rule step"), off=True
        ),
        bits=slider(_("bits"), 2, 8, 1, 4, _("of a code, for the rule absmax")),
        theta=log_slider(
            "θ", 0.001, 1, None, _("weights of at most this size are removed"), off=True
        ),
    )
