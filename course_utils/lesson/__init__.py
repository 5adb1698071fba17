"""What a notebook uses to talk: source code, tables, verdicts on the document, exercises."""

from course_utils.lesson.answers import ExerciseView, Outcome, exercise
from course_utils.lesson.show import card, claims, errata, source
from course_utils.widgets.tables import Table as table
from course_utils.widgets.tables import timings

__all__ = [
    "ExerciseView",
    "Outcome",
    "card",
    "claims",
    "errata",
    "exercise",
    "source",
    "table",
    "timings",
]
