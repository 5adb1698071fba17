"""Quality of a model: how often it is right, how surprised it is, and how sure we are of both."""

from course_utils.evaluation.caches import cached_logits, cached_next_token
from course_utils.evaluation.classification import Classification, classify
from course_utils.evaluation.intervals import bootstrap, interval, paired, wilson
from course_utils.evaluation.language import NextToken, next_token, score
from course_utils.evaluation.skills import (
    Examples,
    Skill,
    StorySkill,
    answer_losses,
    commonest_answers,
    examples,
    question_form,
    run_examples,
    skills,
    story_skill,
    unigram_probabilities,
)

__all__ = [
    "Classification",
    "Examples",
    "NextToken",
    "Skill",
    "StorySkill",
    "answer_losses",
    "bootstrap",
    "cached_logits",
    "cached_next_token",
    "classify",
    "commonest_answers",
    "examples",
    "interval",
    "next_token",
    "paired",
    "question_form",
    "run_examples",
    "score",
    "skills",
    "story_skill",
    "unigram_probabilities",
    "wilson",
]
