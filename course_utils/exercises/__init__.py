"""The exercises of the lessons: one module a lesson, each with `EXERCISES`."""

import dataclasses
import importlib
import pkgutil
from collections.abc import Callable


@dataclasses.dataclass(frozen=True)
class Exercise:
    """One exercise.

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
    modules = (importlib.import_module(f"{__name__}.{found.name}") for found in pkgutil.iter_modules(__path__))
    return {exercise.id: exercise for module in modules for exercise in module.EXERCISES}
