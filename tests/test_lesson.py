"""Exercises: the solution passes, known mistakes do not, and each of the four outcomes can be
had, in any language."""

import ast
import dataclasses
import html
import inspect
import json
import re
import string
import subprocess
import sys
import textwrap

import numpy as np
import pytest

from course_utils import document, files, lesson, text
from course_utils.document.sections import LESSONS
from course_utils.files import ROOT
from course_utils.lesson.answers import OUTCOMES, ExerciseView
from course_utils.lesson.exercise import all_exercises
from course_utils.lesson.show import without_docstrings

EXERCISES = all_exercises()


class Marked(dict):
    """A language for tests: every sentence that was looked up stands between « and »."""

    def get(self, sentence, default=None):
        return f"«{sentence}»"


@pytest.fixture
def marked(monkeypatch):
    monkeypatch.setattr(text, "CATALOGUE", Marked())


# Whatever an exercise says is looked up, so both tests read it in the language of marks.


@pytest.mark.parametrize("id", EXERCISES)
def test_the_solution_passes(id, marked):
    one, view = EXERCISES[id], lesson.exercise(id)
    outcome = view.check(one.solution)
    assert outcome.outcome == "correct" and outcome.message == f"«{one.why}»", outcome.message
    for step, hint in enumerate(one.hints, 1):
        assert f"«{hint}»" in view.hint(step).data
    assert view.solution().data.endswith(f"\n«{one.why}»")


@pytest.mark.parametrize(
    "id, mistake", [(id, mistake) for id, one in EXERCISES.items() for mistake in one.mistakes]
)
def test_a_mistake_is_told(id, mistake, marked):
    outcome = lesson.exercise(id).check(mistake)
    assert outcome.outcome == "incorrect"
    assert outcome.message.startswith("«") and outcome.message.endswith("»"), outcome.message
    assert len(outcome.message) > 22, "the message should say what is wrong"


@pytest.mark.parametrize("id", EXERCISES)
def test_not_attempted_and_raised(id):
    assert lesson.exercise(id).check(...).outcome == "not attempted"
    if callable(EXERCISES[id].solution):
        assert lesson.exercise(id).check(lambda *args, **kwargs: None).outcome == "not attempted"
        assert lesson.exercise(id).check(lambda *args, **kwargs: 1 / 0).outcome == "raised"


def test_hints_come_in_steps_and_a_single_one_is_the_only_step():
    one = EXERCISES["03-1-levels"]
    single, steps = (
        ExerciseView(dataclasses.replace(one, hint=hint)) for hint in ("Look.", ("Look.", "Count."))
    )
    assert single.hint().data == single.hint(1).data == "**Hint.** Look."
    assert steps.hint().data == "**Hint 1 of 2.** Look."
    assert steps.hint(2).data == "**Hint 2 of 2.** Count."
    for view, step in ((single, 2), (steps, 3), (steps, 0), (steps, -1), (steps, "2")):
        with pytest.raises(ValueError, match="hint"):
            view.hint(step)


# ---- any answer ---------------------------------------------------------------------------------


def cells():
    """Returns for each exercise its cell's source and the imports of its lesson's first cell."""
    found = {}
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        lesson_cells = [
            "".join(cell["source"])
            for cell in json.loads(path.read_text("utf8"))["cells"]
            if cell["cell_type"] == "code"
        ]
        imports = "".join(
            f"{ast.unparse(node)}\n"
            for node in ast.parse(lesson_cells[0]).body
            if isinstance(node, ast.Import | ast.ImportFrom)
        )
        for source in lesson_cells:
            for id in re.findall(r'lesson\.exercise\("([\w-]+)"\)\.check', source):
                found[id] = source, imports
    return found


CELLS = cells()
FUNCTIONS = [id for id, one in EXERCISES.items() if callable(one.solution)]


@pytest.mark.parametrize("id", EXERCISES)
def test_a_pasted_solution_passes(id):
    source, imports = CELLS[id]
    shown = lesson.exercise(id).solution().data.split("```")[1].removeprefix("python\n")
    asked = re.search(r"\.check\((\w+)\)", source)[1]
    if id in FUNCTIONS:
        assert re.search(r"def .*:", source)[0] == re.search(r"def .*:", shown)[0]
    else:
        shown = f"{asked} = {shown}"
    room = {}
    exec(imports + shown, room)
    if id in FUNCTIONS:
        assert lesson.exercise(id).check(room[asked]).outcome == "correct"
    else:
        assert room[asked] == EXERCISES[id].solution


@pytest.mark.parametrize("id", EXERCISES)
def test_a_cell_that_is_run_first_says_what_is_missing(id):
    room = {}
    exec("\n".join(CELLS[id][0].splitlines()[:-1]), room)  # its import, and a function of dots
    last = CELLS[id][0].splitlines()[-1]
    assert eval(last, room).outcome == "not attempted"
    if id in FUNCTIONS:
        outcome = lesson.exercise(id).check(eval("lambda *given: np.sum(given)", {}))
        assert outcome.outcome == "raised" and "first code cell" in outcome.message


NONSENSE = {
    "a text": "text",
    "nan": float("nan"),
    "an object": object(),
    "a function": len,
    "a dictionary": {"a": 1},
    "an empty list": [],
    "another shape": np.zeros((7, 9, 2)),
    "an array of nan": np.full((2, 3), np.nan),
    "a complex number": 1j,
}


@pytest.mark.parametrize("id", EXERCISES)
def test_nonsense_is_incorrect_and_never_an_error_of_the_check(id):
    view = lesson.exercise(id)
    for name, nonsense in NONSENSE.items():
        with np.errstate(all="ignore"):
            answer = (lambda *given, _it=nonsense: _it) if id in FUNCTIONS else nonsense
            outcome = view.check(answer)
        assert outcome.outcome == "incorrect" and len(outcome.message) < 300, (name, outcome)
    if id in FUNCTIONS:
        assert view.check(5).outcome == view.check("text").outcome == "incorrect"


def test_an_answer_of_the_wrong_kind_is_described_in_plain_words():
    said = lesson.exercise("03-3-gain").check(lambda labels, taught: 3.5).message
    assert said == "The answer should be 2 values; yours is a number: 3.5"
    said = lesson.exercise("07-agreement").check(lambda logits, other: [1]).message
    assert said == "The answer should be a number; yours is 1 values: [1]"
    assert "nan" in lesson.exercise("03-3-divergence").check(lambda p, q: np.float32("nan")).message


@pytest.mark.parametrize("id", FUNCTIONS)
def test_an_error_is_shown_with_its_line(id):
    def broken(*given):
        missing = {}
        return missing["key"]

    outcome = lesson.exercise(id).check(broken)
    line = inspect.getsourcelines(broken)[1] + 2
    assert outcome.outcome == "raised"
    assert outcome.message == f"KeyError: 'key', in line {line}: return missing[\"key\"]"


def test_checks_hold_where_python_optimizes():
    code = (
        "from course_utils.lesson.answers import ExerciseView\n"
        "from course_utils.lessons.mathematics.exercises import EXERCISES\n"
        "for one in EXERCISES:\n"
        "    for mistake in (lambda *given: 0, *one.mistakes):\n"
        "        print(ExerciseView(one).check(mistake).outcome)\n"
    )
    done = subprocess.run([sys.executable, "-O", "-c", code], capture_output=True, text=True)
    assert set(done.stdout.split()) == {"incorrect"}, done.stderr


def test_every_lesson_with_exercises_says_how_to_be_helped():
    for path in sorted((ROOT / "notebooks").glob("*.ipynb")):
        text = path.read_text("utf8")
        helped = re.findall(r'"Stuck\? `lesson\.exercise\(\\"([\w-]+)\\"\)', text)
        ids = re.findall(r'exercise\(\\"([\w-]+)\\"\)\.check', text)
        assert len(helped) == bool(ids) and set(helped) <= set(ids), path.name


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
    """Whether a message is `_("...")`, with every name of it in `.format(...)`."""
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
    """Returns the lines of checks whose message could not be had in another language, or that
    Python leaves out when it optimizes."""
    nodes = list(ast.walk(ast.parse(code)))
    calls = (node for node in nodes if getattr(getattr(node, "func", 0), "id", "") == "expect")
    bad = [node.lineno for node in calls if not is_a_sentence(node.args[1])]
    return bad + [node.lineno for node in nodes if isinstance(node, ast.Assert)]


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
        None,
    ],
)
def test_a_message_that_cannot_be_translated_is_found(message):
    code = CODE[0].read_text("utf8")
    line = code.count("\n") + 1
    check = f"expect(got == 4, {message})" if message else "assert got == 4, _('not 4')"
    assert not_translatable(f"{code}{check}\n") == [line]


def test_every_exercise_stands_in_a_notebook_and_the_other_way_round():
    lessons = (path.read_text(encoding="utf8") for path in (ROOT / "notebooks").glob("*.ipynb"))
    used = set(re.findall(r'exercise\(\\"([\w-]+)\\"\)', "".join(lessons)))
    assert used == set(EXERCISES)


def test_an_unknown_exercise_lists_the_known_ones():
    with pytest.raises(ValueError, match="03-1-clamp"):
        lesson.exercise("03-1-clamps")


def test_other_lessons_are_links_in_what_is_said_of_claims():
    shown = lesson.claims("8.3")._repr_html_()
    names = {name for name in re.findall(r"href='(\w+)\.ipynb'", shown)}
    assert "08_2_frontier_pruning" in shown and names and "08_2_frontier_pruning" not in names
    assert "see 02_1_architecture." in " ".join(repr(lesson.claims("1")).split())
    whole = "".join(lesson.errata(str(section)).data for section in range(10))
    assert "<a href='08_2_frontier_pruning.ipynb'>08_2_frontier_pruning</a>" in whole
    bare = re.sub(r"<a .*?</a>", "", whole)
    assert not [one for one in LESSONS if one.notebook in bare]


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


class Told:
    """What a class says."""

    def short(self):
        """What a method says."""
        # a comment stays
        return """and a text that is no docstring"""

    def nothing(self):
        """A body that is talk alone."""

    def silent(self, step):
        return step


def test_source_without_docstrings_is_the_same_code():
    shown = html.unescape(re.sub("<[^>]*>", "", lesson.source(Told, doc=False).data)).rstrip()
    assert shown.splitlines() == [
        "class Told:",
        "    def short(self):",
        "        # a comment stays",
        '        return """and a text that is no docstring"""',
        "",
        "    def nothing(self):",
        "        ...",
        "",
        "    def silent(self, step):",
        "        return step",
    ]


@pytest.mark.parametrize("thing", [document.quantize, lesson.source, ExerciseView, lesson.Outcome])
def test_whatever_is_shown_without_docstrings_runs_the_same(thing):
    shown = without_docstrings(textwrap.dedent(inspect.getsource(thing)))
    whole = ast.parse(textwrap.dedent(inspect.getsource(thing)))
    for one in ast.walk(whole):
        if isinstance(one, ast.FunctionDef | ast.ClassDef) and ast.get_docstring(one) is not None:
            one.body = one.body[1:] or [ast.Expr(ast.Constant(...))]
    assert ast.dump(ast.parse(shown)) == ast.dump(whole)


def test_the_manifest_is_true():
    assert json.loads((files.DATA / "manifest.json").read_text()) == files.manifest()
    assert sum(one["bytes"] for one in files.manifest().values()) < 80e6
