"""Watching a loss fall: a small training that is run anew at each move, and the curves of the
shipped models (lesson 2.2)."""

import dataclasses
import functools

import numpy as np

from course_utils import learning
from course_utils.chart import Axis, Chart, Line
from course_utils.checks import read_only
from course_utils.datasets import tales
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, readout

HIGHEST = 9.0  # nats; what lies above is off the page


@functools.cache
def line():
    """The tokens that the small training draws its pairs from."""
    return read_only(tales.pretraining_line("train", 100_000))


@dataclasses.dataclass(frozen=True)
class Descent:
    """How a small training went: its settings, and the loss before each step, in nats."""

    rate: float
    optimizer: str
    schedule: str
    losses: np.ndarray

    @property
    def reached(self):
        """The mean loss of the last ten steps; not a number, or huge, where the rate was too
        high."""
        with np.errstate(all="ignore"):
            return float(self.losses[-10:].mean())


def descent(rate, optimizer, schedule):
    """Trains a pair model for 100 steps and returns a `Descent`."""
    return Descent(
        rate,
        optimizer,
        schedule,
        learning.learn(
            line(), len(tales.vocabulary()), rate=rate, optimizer=optimizer, schedule=schedule
        ),
    )


def schedules():
    """The schedules' names in the learner's language."""
    return {"constant": _("constant"), "warm-up and cosine": _("warm-up and cosine")}


def show_descent(seen):
    """Numbers, and the loss between knowing nothing and the least that one token of context
    allows."""
    nothing, floor = (
        np.log(len(tales.vocabulary())),
        learning.pair_floor(line(), len(tales.vocabulary())),
    )
    drawn = np.where(seen.losses <= HIGHEST, seen.losses, np.nan)
    reached = (
        f"{seen.reached:.2f}"
        if seen.reached < 1000
        else _("not a number")
        if np.isnan(seen.reached)
        else _("over 1000")
    )
    return [
        cards(
            readout(_("loss at the start"), f"{seen.losses[0]:.2f}"),
            readout(_("after 100 steps"), reached),
            readout(
                _("perplexity"), f"{np.exp(seen.reached):.1f}" if seen.reached < 10 else _("lost")
            ),
        ),
        Chart(
            [
                Line(np.arange(len(drawn)), drawn, color="blue", label=_("loss")),
                Line([0, len(drawn)], [nothing] * 2, color="grey", label=_("knows nothing")),
                Line(
                    [0, len(drawn)],
                    [floor] * 2,
                    color="green",
                    label=_("least possible with one token"),
                ),
            ],
            x=Axis(_("step"), low=0, high=len(drawn)),
            y=Axis(_("loss, nats"), low=2, high=HIGHEST),
            title=_("{optimizer}, {schedule}, rate {rate:g}").format(
                optimizer=seen.optimizer, schedule=schedules()[seen.schedule], rate=seen.rate
            ),
            width=560,
            height=280,
            description=_(
                "The loss over 100 steps goes from {start:.2f} to {reached}; {nothing:.2f} is knowing nothing, {floor:.2f} the least a model can reach that sees one token."
            ).format(start=seen.losses[0], reached=reached, nothing=nothing, floor=floor),
        ),
    ]


def descent_explorer():
    """Slides the learning rate of a small training; each move trains from the same start.

    Returns:
        An `Explorer` whose results are `Descent`s.
    """
    return Explorer(
        descent,
        show_descent,
        rate=log_slider(_("rate"), 0.001, 100, 0.001, _("the learning rate: how far a step goes")),
        optimizer=choice(
            _("optimizer"), list(learning.OPTIMIZERS), "sgd", _("how a slope becomes a step")
        ),
        schedule=choice(
            _("schedule"),
            {schedules()[name]: name for name in learning.SCHEDULES},
            "constant",
            _("how the rate runs over the 100 steps"),
        ),
    )


def curve_chart(record, floor, title):
    """Draws the loss curve of a shipped model.

    Args:
        record: From `models.record`.
        floor: The loss that no model can beat, in nats.
        title: One line.
    """
    steps = [point["step"] for point in record["curve"]]
    trained, validation = (
        [point[name] for point in record["curve"]] for name in ("train_loss", "validation_loss")
    )
    marks = [
        Line(steps, trained, color="sky", label=_("training text")),
        Line(steps, validation, color="blue", label=_("validation")),
    ]
    return Chart(
        [*marks, Line([0, steps[-1]], [floor, floor], color="grey", label=_("entropy floor"))],
        x=Axis(_("step"), low=0),
        y=Axis(_("loss, nats"), low=0.8 * floor, high=max(trained[1:]) * 1.1),
        title=title,
        width=560,
        height=260,
        description=_(
            "Validation loss falls from {first:.3f} at step {start} to {last:.3f} at step {end}; the floor is {floor:.3f}."
        ).format(
            first=validation[0], start=steps[0], last=validation[-1], end=steps[-1], floor=floor
        ),
    )
