"""What an exercise is, and where all of them are: in each lesson's `exercises.EXERCISES`."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable


class Incorrect(Exception):
    """An answer is wrong; the message says what about it."""


def expect(right, message):
    """Refuses an answer unless something holds of it. A function, for Python leaves out every
    `assert` where it is told to optimize, and all answers would be right there.

    Args:
        right: What must hold.
        message: What the learner reads if it does not.

    Raises:
        Incorrect: If it does not.
    """
    if not right:
        raise Incorrect(message)


@dataclasses.dataclass(frozen=True)
class Exercise:
    """One exercise.

    `hint` and `why` are plain English here, for a lesson may be imported before its language is
    known: they are translated when they are shown. Whoever collects the sentences to translate
    takes them from these two fields.

    Attributes:
        id: As the notebook calls it; the lesson's number first.
        test: Takes the learner's answer and raises `Incorrect`, with what is wrong, if it is.
        hint: One step towards the answer, or several, each of which says more than the one before.
        solution: An answer that passes: a function, or a value. A function has the name that the
            lesson asks for and uses only what the lesson's first cell imports, so that it can be
            pasted there.
        mistakes: Answers people give that must not pass.
        why: What the solution's reader should take away.
    """

    id: str
    test: Callable
    hint: str | tuple[str, ...]
    solution: object
    mistakes: tuple
    why: str

    @property
    def hints(self):
        """Its steps towards the answer, first to last."""
        return (self.hint,) if isinstance(self.hint, str) else self.hint


def all_exercises():
    """Returns every exercise by id."""
    lessons = importlib.import_module(
        "course_utils.lessons"
    )  # they stand upstairs: found when somebody asks
    modules = (
        importlib.import_module(f"{lessons.__name__}.{found.name}.exercises")
        for found in pkgutil.iter_modules(lessons.__path__)
    )
    return {exercise.id: exercise for module in modules for exercise in module.EXERCISES}
