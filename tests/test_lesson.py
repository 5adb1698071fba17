"""Exercises: the solution passes, known mistakes do not, and each of the four outcomes can be
had."""

import html
import inspect
import json
import re

import pytest

from course_utils import document, files, lesson
from course_utils.files import ROOT
from course_utils.lesson.exercise import all_exercises

EXERCISES = all_exercises()


@pytest.mark.parametrize("id", EXERCISES)
def test_the_solution_passes(id):
    outcome = lesson.exercise(id).check(EXERCISES[id].solution)
    assert outcome.outcome == "correct", outcome.message
    assert EXERCISES[id].hint in lesson.exercise(id).hint().data
    assert EXERCISES[id].why in lesson.exercise(id).solution().data


@pytest.mark.parametrize(
    "id, mistake", [(id, mistake) for id, one in EXERCISES.items() for mistake in one.mistakes]
)
def test_a_mistake_is_told(id, mistake):
    outcome = lesson.exercise(id).check(mistake)
    assert outcome.outcome == "incorrect"
    assert len(outcome.message) > 20, "the message should say what is wrong"


@pytest.mark.parametrize("id", EXERCISES)
def test_not_attempted_and_raised(id):
    assert lesson.exercise(id).check(...).outcome == "not attempted"
    if callable(EXERCISES[id].solution):
        assert lesson.exercise(id).check(lambda *args, **kwargs: None).outcome == "not attempted"
        assert lesson.exercise(id).check(lambda *args, **kwargs: 1 / 0).outcome == "raised"


def test_every_exercise_stands_in_a_notebook_and_the_other_way_round():
    text = "".join(path.read_text(encoding="utf8") for path in (ROOT / "notebooks").glob("*.ipynb"))
    used = set(re.findall(r'exercise\(\\"([\w-]+)\\"\)', text))
    assert used == set(EXERCISES)


def test_an_unknown_exercise_lists_the_known_ones():
    with pytest.raises(ValueError, match="03-1-clamp"):
        lesson.exercise("03-1-clamps")


def test_claims_are_shown_as_a_table_with_their_verdicts():
    shown = lesson.claims("4.3").data
    assert shown.count("<tr>") == len(document.claims("4.3")) + 1
    assert "wrong" in shown


def test_the_source_shown_is_the_source_that_runs():
    shown = re.sub("<[^>]*>", "", lesson.source(document.quantize, document.prune).data)
    assert (
        html.unescape(shown)
        == f"{inspect.getsource(document.quantize)}\n\n{inspect.getsource(document.prune)}\n"
    )


def test_the_manifest_is_true():
    assert json.loads((files.DATA / "manifest.json").read_text()) == files.manifest()
    assert sum(one["bytes"] for one in files.manifest().values()) < 80e6
