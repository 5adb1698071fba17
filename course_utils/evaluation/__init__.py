"""Quality of a model: how often it is right, how surprised it is, and how sure we are of both."""

from course_utils.evaluation.classification import Classification, classify
from course_utils.evaluation.intervals import interval, wilson
from course_utils.evaluation.language import NextToken, next_token, score
from course_utils.evaluation.skills import (
    Exercises,
    Skill,
    Telling,
    answered,
    exercises,
    form,
    frequencies,
    guesses,
    read_through,
    skills,
    telling,
)

__all__ = [
    "Classification",
    "Exercises",
    "NextToken",
    "Skill",
    "Telling",
    "answered",
    "classify",
    "exercises",
    "form",
    "frequencies",
    "guesses",
    "interval",
    "next_token",
    "read_through",
    "score",
    "skills",
    "telling",
    "wilson",
]
