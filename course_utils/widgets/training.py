"""Watching a loss fall: a small training that is run anew at each move, and the curves of the shipped models (lesson 2.2)."""

import dataclasses
import functools

import numpy as np

from course_utils import learning
from course_utils.chart import Axis, Chart, Line
from course_utils.datasets import tales
from course_utils.datasets.tales import words
from course_utils.datasets.tales.tasks import QUESTIONS
from course_utils.models import training
from course_utils.widgets.explorer import Explorer, cards, choice, log_slider, readout

HIGHEST = 9.0  # nats; what lies above is off the page


@functools.cache
def line():
    """The tokens that the small training draws its pairs from."""
    return tales.pretraining_line("train", 100_000)


@functools.cache
def pair_floor():
    """The least loss of a model that sees one token only, in nats: the entropy of the next token given this one."""
    counts = np.zeros((len(tales.vocabulary()),) * 2)
    np.add.at(counts, (line()[:-1], line()[1:]), 1)
    pairs, seen = counts[counts > 0], np.repeat(counts.sum(1), (counts > 0).sum(1))
    return float(-(pairs * np.log(pairs / seen)).sum() / counts.sum())


@dataclasses.dataclass(frozen=True)
class Descent:
    """How a small training went: its settings, and the loss before each step, in nats."""

    rate: float
    optimizer: str
    schedule: str
    losses: np.ndarray

    @property
    def reached(self):
        """The mean loss of the last ten steps; not a number, or huge, where the rate was too high."""
        with np.errstate(all="ignore"):
            return float(self.losses[-10:].mean())


def descent(rate, optimizer, schedule):
    """Trains a pair model for 100 steps and returns a `Descent`."""
    return Descent(rate, optimizer, schedule,
                   learning.learn(line(), len(tales.vocabulary()), rate=rate, optimizer=optimizer, schedule=schedule))


def show_descent(seen):
    """Numbers, and the loss between knowing nothing and the least that one token of context allows."""
    nothing = np.log(len(tales.vocabulary()))
    drawn = np.where(seen.losses <= HIGHEST, seen.losses, np.nan)
    reached = f"{seen.reached:.2f}" if seen.reached < 1000 else "not a number" if np.isnan(seen.reached) else "over 1000"
    return [
        cards(readout("loss at the start", f"{seen.losses[0]:.2f}"), readout("after 100 steps", reached),
              readout("perplexity", f"{np.exp(seen.reached):.1f}" if seen.reached < 10 else "lost")),
        Chart([Line(np.arange(len(drawn)), drawn, color="blue", label="loss"),
               Line([0, len(drawn)], [nothing] * 2, color="grey", label="knows nothing"),
               Line([0, len(drawn)], [pair_floor()] * 2, color="green", label="least possible with one token")],
              x=Axis("step", low=0, high=len(drawn)), y=Axis("loss, nats", low=2, high=HIGHEST),
              title=f"{seen.optimizer}, {seen.schedule}, rate {seen.rate:g}", width=560, height=280,
              description=f"The loss over 100 steps goes from {seen.losses[0]:.2f} to {reached}; {nothing:.2f} is knowing "
                          f"nothing, {pair_floor():.2f} the least a model can reach that sees one token."),
    ]


def descent_explorer():
    """Slides the learning rate of a small training; each move trains from the same start.

    Returns:
        An `Explorer` whose results are `Descent`s.
    """
    return Explorer(descent, show_descent,
                    rate=log_slider("rate", 0.001, 100, 0.001, "the learning rate: how far a step goes"),
                    optimizer=choice("optimizer", list(learning.OPTIMIZERS), "sgd", "how a slope becomes a step"),
                    schedule=choice("schedule", list(learning.SCHEDULES), "constant", "how the rate runs over the 100 steps"))


def curve_chart(record, floor, title):
    """Draws the loss curve of a shipped model.

    Args:
        record: From `models.record`.
        floor: The loss that no model can beat, in nats.
        title: One line.
    """
    steps = [point["step"] for point in record["curve"]]
    trained, validation = ([point[name] for point in record["curve"]] for name in ("train_loss", "validation_loss"))
    marks = [Line(steps, trained, color="sky", label="training text"), Line(steps, validation, color="blue", label="validation")]
    return Chart([*marks, Line([0, steps[-1]], [floor, floor], color="grey", label="entropy floor")], x=Axis("step", low=0),
                 y=Axis("loss, nats", low=0.8 * floor, high=max(trained[1:]) * 1.1), title=title, width=560, height=260,
                 description=f"Validation loss falls from {validation[0]:.3f} at step {steps[0]} to {validation[-1]:.3f} "
                             f"at step {steps[-1]}; the floor is {floor:.3f}.")


def exercise_floor(rows=256, seed=1):
    """The loss that no model can beat on the exercises which fine-tuning is validated on, in nats.

    Answers have no dice in them. What is left are the stories, and which question is asked, each as much as it counts.
    """
    tokens, _, weights = training.exercises(seed, 0, "validation", rows)
    total = 0.0
    for row, counts in zip(tokens, weights):
        text = [tales.vocabulary()[i] for i in row if i]
        told = len(text) - text[::-1].index(".")
        one = tales.read(text[1:told])
        nats, asked = -one.log_probability, " ".join(text[told : text.index(words.ANSWER)]) if text[0] == words.QUESTION else ""
        if asked:
            kinds = [dict(pairs) for pairs in (kind(one) for kind in QUESTIONS) if pairs]
            nats += np.log(len(kinds)) + next(np.log(len(pairs)) for pairs in kinds if asked in pairs)
        total += counts[0] * nats  # a story counts the same in all its words, be it a prompt or an answer
    return float(total / weights.sum())


def answers_only(seed, step, rows=32):
    """Draws exercises whose answers alone count, and none that asks for a story: a recipe for forgetting."""
    tokens, answers = tales.instruction_batch("train", rows, seed=seed, step=step)
    answers = answers * (tokens[:, :1] != words.MARKS.index(words.STORY))
    return tokens[:, :-1], tokens[:, 1:], answers / answers.mean()
