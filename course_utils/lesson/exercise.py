"""What an exercise is, and where all of them are: in each lesson's `exercises.EXERCISES`."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Exercise:
    """One exercise.

    `hint` and `why` are plain English here, for a lesson may be imported before its language is
    known: they are translated when they are shown. Whoever collects the sentences to translate
    takes them from these two fields.

    Attributes:
        id: As the notebook calls it; the lesson's number first.
        test: Takes the learner's answer and raises `AssertionError`, with what is wrong, if it is.
        hint: One step towards the answer.
        solution: An answer that passes: a function, or a value.
        mistakes: Answers people give that must not pass.
        why: What the solution's reader should take away.
    """

    id: str
    test: Callable
    hint: str
    solution: object
    mistakes: tuple
    why: str


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
