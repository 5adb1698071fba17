"""Lesson 6.1: answers to your own words, equal bytes, and what the page shows of it."""

import numpy as np
import pytest

from course_utils import chart, compression, evaluation, models, quantization
from course_utils.compression.fitting import pruned_to, rounded_to
from course_utils.datasets import tales
from course_utils.evaluation import Skill, StorySkill
from course_utils.evaluation.tasks import TASKS
from course_utils.lessons.language.explorers import (
    QUESTION,
    STORY,
    conversation,
    respond,
    respond_all,
    speak_explorer,
    truth,
)
from course_utils.widgets import names
from course_utils.widgets.skills import skills_chart


@pytest.fixture(scope="module")
def explorer():
    return speak_explorer()


def test_the_truth_is_that_of_the_world():
    one = tales.read(STORY)
    assert tales.encode(truth("translate", STORY)).tolist() == tales.encode(one.chinese).tolist()
    assert (
        truth("mood", STORY).lower() == one.mood and truth("question", STORY, QUESTION) == "Daniel"
    )
    assert (
        truth("question", STORY, "Who has the guitar?") is None
    )  # a question that cannot be asked of this story
    assert truth("translate", "Anna smiles.") is None  # known words, and no story of this world
    assert truth("story", STORY) is None  # there is no one right story


def test_the_model_answers_in_your_own_words():
    model = models.load("tales")
    requests = [
        ("story", "On a rainy Monday,", ""),
        ("translate", STORY, ""),
        ("question", STORY, QUESTION),
        ("mood", STORY, ""),
    ]
    together = respond_all(model, requests)
    assert together[3] == respond(model, *requests[3])  # the others, too: see test_skills
    assert together[0].startswith("On a rainy Monday, ") and together[0].endswith(".")
    assert together[1] == truth("translate", STORY) and together[2] == truth(
        "question", STORY, QUESTION
    )


def test_a_wrong_word_is_named_and_the_last_good_state_stays(explorer):
    good = explorer.result
    explorer.controls["story"].box.value = "John has a bycicle."
    assert "unknown word &#x27;bycicle&#x27;" in explorer.message.value and explorer.result is good
    explorer.controls["story"].box.value = ""
    assert (
        "needs a story" in explorer.message.value or "at least one word" in explorer.message.value
    )
    explorer.controls["story"].box.value = STORY
    assert "unknown" not in explorer.message.value and explorer.result is not good


def test_what_the_explorer_shows_is_what_compress_makes(explorer):
    seen = explorer.at(step=0.1)
    small = compression.compress(
        models.load("tales"), [compression.Quantize(quantization.step, step=0.1)], "entropy"
    )
    assert seen.ledger.total == len(small.content)
    assert seen.skills == evaluation.skills(small.model, TASKS["tales"].live, "validation")
    requests = [
        ("story", STORY.split(".")[0] + ".", ""),
        ("translate", STORY, ""),
        ("question", STORY, QUESTION),
        ("mood", STORY, ""),
    ]
    assert [said[2] for said in seen.answers] == respond_all(small.model, requests)
    assert explorer.at(step=None).skills == seen.original
    rough = explorer.at(rule="absmax", bits=2)
    assert rough.skills["translate"].score < seen.original["translate"].score - 0.3


@pytest.mark.parametrize("fit", [rounded_to, pruned_to])
def test_files_of_equal_size(fit):
    model = models.load("docs-tiny")
    size = compression.baseline(model) // 6
    small = fit(model, size)
    assert 0.96 * size < small.ledger.total <= size
    with pytest.raises(ValueError, match="no setting makes a file of 100 bytes"):
        fit(model, 100)


def test_wrong_answers_are_marked():
    shown = conversation(
        (("question", "Tom", "Anna", "Tom"), ("mood", "Neutral", "Negative", None))
    )
    assert shown.count("<mark>") == 1 and "<mark>Anna</mark>" in shown


def test_each_skill_has_its_point_interval_and_chance():
    result = {"story": StorySkill(0.9, (0.85, 0.95), 0.1, 9, 0.5, 2.8, (2.7, 2.9), 2.5)}
    result |= {name: Skill(0.5, (0.4, 0.6), 0.25, 9) for name in tales.TASKS[1:]}
    drawn = skills_chart({"now": result})
    chance, *intervals, points = drawn.marks
    assert list(points.y) == [90, 50, 50, 50]
    assert [list(one.y) for one in intervals] == [[85, 95]] + 3 * [[40, 60]] and 25 in chance.y
    assert "not shown" not in chart.svg(drawn) and all(
        name in chart.svg(drawn) for name in names.skills().values()
    )
    assert np.isfinite([y for y in chance.y if y == y]).all()
