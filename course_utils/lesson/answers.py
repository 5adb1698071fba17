"""Exercises as a notebook uses them: check, hint, solution."""

import html
import inspect
import numbers
import reprlib
import textwrap
import traceback

import numpy as np
from IPython.display import Markdown

from course_utils.checks import one_of
from course_utils.lesson.exercise import Incorrect, all_exercises
from course_utils.text import _

OUTCOMES = {
    "correct": ("✔", "#0a7d4f"),
    "incorrect": ("✘", "#b3261e"),
    "not attempted": ("…", "#6b6b6b"),
    "raised": ("!", "#a65f00"),
}


def called(outcome):
    """Returns what a learner reads for one of `OUTCOMES`, whose keys are for code to compare."""
    return {
        "correct": _("correct"),
        "incorrect": _("incorrect"),
        "not attempted": _("not attempted"),
        "raised": _("raised"),
    }[outcome]


class Outcome:
    """How an answer fared: `outcome` is one of `OUTCOMES`, `message` says why."""

    def __init__(self, outcome, message):
        self.outcome, self.message = one_of("outcome", outcome, OUTCOMES), message

    def __repr__(self):
        return f"{called(self.outcome)}: {self.message}"

    def _repr_html_(self):
        mark, color = OUTCOMES[self.outcome]
        return (
            f"<div style='border-left: 4px solid {color}; padding: 4px 12px'><b style='color: "
            f"{color}'>"
            f"{mark} {called(self.outcome)}</b><br>{html.escape(self.message)}</div>"
        )


def kind(value):
    """Returns in a learner's words what sort of thing a value is."""
    if value is None:
        return _("nothing")
    if isinstance(value, bool | np.bool_):
        return _("True or False")
    if isinstance(value, numbers.Number):
        return _("a number")
    if isinstance(value, str):
        return _("a text")
    if isinstance(value, tuple | list):
        return _("{count} values").format(count=len(value))
    if hasattr(value, "shape"):
        return _("an array of shape {shape}").format(shape=tuple(value.shape))
    if callable(value):
        return _("a function")
    return _("a value of type {name}").format(name=type(value).__name__)


def unlike(got, wanted):
    """Returns the verdict on an answer that cannot even be compared with the right one."""
    return Outcome(
        "incorrect",
        _("The answer should be {wanted}; yours is {got}: {value}").format(
            wanted=kind(wanted), got=kind(got), value=reprlib.repr(got)
        ),
    )


def told(problem, answer):
    """Returns what an error in the learner's code says, and in which line it arose."""
    file = getattr(getattr(answer, "__code__", None), "co_filename", None)
    lines = [one for one in traceback.extract_tb(problem.__traceback__) if one.filename == file]
    said = f"{type(problem).__name__}: {problem}"
    if lines:
        said = _("{error}, in line {number}: {code}").format(
            error=said, number=lines[-1].lineno, code=lines[-1].line
        )
    if type(problem) is NameError:
        said = _(
            "{error}. If the name is spelt right, run the lesson's first code cell, which imports "
            "what is used here, and then this cell again."
        ).format(error=said)
    return said


class Raised(Exception):
    """The learner's code ended in an error, which is the cause of this one."""


class Watched:
    """A learner's function during a check: what it returned, and which errors are its own."""

    def __init__(self, answer, right):
        self.answer, self.right, self.given, self.seen = answer, right, None, []

    def __call__(self, *args):
        self.given = args
        try:
            self.seen.append(self.answer(*args))
        except Exception as problem:
            raise Raised from problem
        if isinstance(self.seen[-1], float | np.floating) and np.isnan(self.seen[-1]):
            raise Incorrect(
                _(
                    "Your function returned nan, which is not a number: look for 0 / 0, for "
                    "infinity minus infinity, or for the logarithm of something below 0."
                )
            )
        if isinstance(self.seen[-1], str):  # a text is true, and unlike every number
            raise Incorrect(self.unlike().message)
        return self.seen[-1]

    def unlike(self):
        """Returns the verdict on a last answer of the wrong kind."""
        return unlike(self.seen[-1], self.right(*self.given))

    def empty(self):
        """Whether it was called, and returned nothing each time."""
        return bool(self.seen) and all(value is None or value is ... for value in self.seen)


class ExerciseView:
    """An exercise as a notebook uses it: `check`, `hint`, `solution`."""

    def __init__(self, exercise):
        self._exercise = exercise

    def check(self, answer):
        """Tries the learner's answer.

        Args:
            answer: A function or a value; `...` or `None`, or a function that returns one of
                these, counts as not attempted.

        Returns:
            An `Outcome`: correct, incorrect, not attempted, or raised.
        """
        if answer is None or answer is ...:
            return Outcome(
                "not attempted",
                _("Put your answer in place of the three dots, then run this again."),
            )
        right = self._exercise.solution
        if callable(answer) != callable(right):
            return unlike(answer, right)
        watched = Watched(answer, right)
        try:
            self._exercise.test(watched if callable(answer) else answer)
        except Raised as problem:
            return Outcome("raised", told(problem.__cause__, answer))
        except Exception as problem:
            if watched.empty():
                return Outcome("not attempted", _("Your function returns nothing yet."))
            if isinstance(problem, Incorrect):
                return Outcome("incorrect", str(problem))
            return watched.unlike() if callable(answer) else unlike(answer, right)
        return Outcome("correct", _(self._exercise.why))

    def hint(self, step=1):
        """Shows one step towards the answer.

        Args:
            step: Which one: 1 is the first, and each says more than the one before.

        Returns:
            The hint, and how many there are if there is more than one.

        Raises:
            ValueError: If there is no such step.
        """
        hints = self._exercise.hints
        number = one_of("hint", step, range(1, len(hints) + 1))
        hint = _(self._exercise.hints[number - 1])
        if len(hints) == 1:
            return Markdown(_("**Hint.** {hint}").format(hint=hint))
        return Markdown(
            _("**Hint {step} of {steps}.** {hint}").format(step=number, steps=len(hints), hint=hint)
        )

    def solution(self):
        """Shows an answer that passes, and why it does."""
        answer = self._exercise.solution
        shown = (
            textwrap.dedent(inspect.getsource(answer)).rstrip()
            if callable(answer)
            else repr(answer)
        )
        return Markdown(f"```python\n{shown}\n```\n{_(self._exercise.why)}")


def exercise(id):
    """Returns an exercise to check an answer with.

    Example:

    >>> lesson.exercise("03-1-levels").check(lambda w, Q: len(np.unique(np.round(w / Q))))
    correct: ...
    """
    known = all_exercises()
    return ExerciseView(known[one_of("exercise", id, known)])
