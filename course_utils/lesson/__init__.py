"""What a notebook uses to talk: source code, verdicts on the document, exercises."""

from course_utils.lesson.answers import ExerciseView, Outcome, exercise
from course_utils.lesson.show import claims, errata, source

__all__ = ["ExerciseView", "Outcome", "claims", "errata", "exercise", "source"]
