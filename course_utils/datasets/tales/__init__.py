"""A story world of our own, told in English and Chinese by a generator that knows every right
answer.

The text is drawn anew at each run; nothing is stored. `world` holds the rules, `english` and
`chinese` the words, `telling` the stories and their probability, `tasks` what a model is asked to
do.
"""

from course_utils.datasets.tales.tasks import (
    LENGTH,
    SHARES,
    TASKS,
    ask,
    ask_log_probability,
    instruction_batch,
    pretraining_line,
    prompt,
    questions,
    task,
    translation_batch,
)
from course_utils.datasets.tales.telling import (
    SPLITS,
    Story,
    entropy_floor,
    read,
    split_of,
    stories,
    story,
)
from course_utils.datasets.tales.words import decode, encode, vocabulary

__all__ = [
    "LENGTH",
    "SHARES",
    "SPLITS",
    "TASKS",
    "Story",
    "ask",
    "ask_log_probability",
    "decode",
    "encode",
    "entropy_floor",
    "instruction_batch",
    "pretraining_line",
    "prompt",
    "questions",
    "read",
    "split_of",
    "stories",
    "story",
    "task",
    "translation_batch",
    "vocabulary",
]
