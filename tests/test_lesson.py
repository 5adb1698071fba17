"""Exercises: the solution passes, known mistakes do not, and each of the four outcomes can be
had, in any language."""

import ast
import html
import inspect
import json
import re
import string

import pytest

from course_utils import document, files, lesson, text
from course_utils.files import ROOT
from course_utils.lesson.answers import OUTCOMES
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


class Marked(dict):
    """A language for tests: every sentence that was looked up stands between « and »."""

    def get(self, sentence, default=None):
        return f"«{sentence}»"


@pytest.fixture
def marked(monkeypatch):
    monkeypatch.setattr(text, "CATALOGUE", Marked())


@pytest.mark.parametrize("id", EXERCISES)
def test_whatever_an_exercise_says_is_translated(id, marked):
    one, view = EXERCISES[id], lesson.exercise(id)
    assert f"«{one.hint}»" in view.hint().data
    assert view.solution().data.endswith(f"\n«{one.why}»")
    assert view.check(one.solution).message == f"«{one.why}»"
    for mistake in one.mistakes:
        message = view.check(mistake).message
        assert message.startswith("«") and message.endswith("»"), message


def test_outcomes_are_compared_in_english_and_shown_in_the_language(marked):
    for name in OUTCOMES:
        outcome = lesson.Outcome(name, "")
        assert outcome.outcome == name
        assert f"«{name}»" in repr(outcome) and f" «{name}»<" in outcome._repr_html_()
    nothing, empty = (lesson.exercise("03-1-levels").check(one) for one in (..., lambda w, Q: None))
    assert nothing.message.startswith("«Put ") and empty.message.startswith("«Your ")


def test_claims_are_translated_where_they_are_shown(marked):
    claim = next(claim for claim in document.claims("4.3") if claim.repaired)
    said = [f"«{html.escape(words)}»" for words in (claim.states, claim.because, claim.verdict)]
    for shown in (lesson.claims("4.3")._repr_html_(), lesson.errata("4.3").data):
        for words in (*said, "«As it should read: "):
            assert words in shown
    assert "«section»" in lesson.claims("4.3")._repr_html_()


def is_a_sentence(message):
    """Whether an assertion's message is `_("...")`, with every name of it in `.format(...)`."""
    given = set()
    if isinstance(message, ast.Call) and getattr(message.func, "attr", "") == "format":
        given = {keyword.arg for keyword in message.keywords}
        message = message.func.value
    match message:
        case ast.Call(func=ast.Name(id="_"), args=[ast.Constant(value=str(sentence))]):
            names = {part[1] for part in string.Formatter().parse(sentence)} - {None}
            return names == given
    return False


def not_translatable(code):
    """Returns the lines of assertions whose message could not be had in another language."""
    asserts = (node for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Assert))
    return [node.lineno for node in asserts if node.msg and not is_a_sentence(node.msg)]


CODE = sorted((ROOT / "course_utils/lessons").glob("*/exercises.py"))


@pytest.mark.parametrize("path", CODE, ids=lambda path: path.parent.name)
def test_messages_are_whole_sentences_with_named_places(path):
    assert not_translatable(path.read_text("utf8")) == []


@pytest.mark.parametrize(
    "message",
    [
        'f"you found {got}"',
        '"you found too few"',
        '_(f"you found {got}")',
        '_("you found {got}")',
        '_("you found {got}").format(found=got)',
        '_("you found {}").format(got)',
        '_("you found ") + str(got)',
    ],
)
def test_a_message_that_cannot_be_translated_is_found(message):
    code = CODE[0].read_text("utf8")
    line = code.count("\n") + 1
    assert not_translatable(f"{code}assert got == 4, {message}\n") == [line]


def test_every_exercise_stands_in_a_notebook_and_the_other_way_round():
    lessons = (path.read_text(encoding="utf8") for path in (ROOT / "notebooks").glob("*.ipynb"))
    used = set(re.findall(r'exercise\(\\"([\w-]+)\\"\)', "".join(lessons)))
    assert used == set(EXERCISES)


def test_an_unknown_exercise_lists_the_known_ones():
    with pytest.raises(ValueError, match="03-1-clamp"):
        lesson.exercise("03-1-clamps")


def test_claims_are_shown_as_a_table_with_their_verdicts():
    shown = lesson.claims("4.3")._repr_html_()
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
