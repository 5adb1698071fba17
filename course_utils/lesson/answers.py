"""Exercises as a notebook uses them: check, hint, solution."""

import html
import inspect
import textwrap

from IPython.display import Markdown

from course_utils.checks import one_of
from course_utils.lesson.exercise import all_exercises
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
        seen = []

        def watched(*args, **kwargs):
            seen.append(answer(*args, **kwargs))
            return seen[-1]

        try:
            self._exercise.test(watched if callable(answer) else answer)
        except AssertionError as problem:
            if seen and all(value is None or value is ... for value in seen):
                return Outcome("not attempted", _("Your function returns nothing yet."))
            return Outcome("incorrect", str(problem) or _("Not yet; .hint() gives one step."))
        except Exception as problem:
            if seen and all(value is None or value is ... for value in seen):
                return Outcome("not attempted", _("Your function returns nothing yet."))
            return Outcome("raised", f"{type(problem).__name__}: {problem}")
        return Outcome("correct", _(self._exercise.why))

    def hint(self):
        """Shows one step towards the answer."""
        return Markdown(_("**Hint.** {hint}").format(hint=_(self._exercise.hint)))

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
