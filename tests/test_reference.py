"""The reference card: it says what is measured, and lessons print what it says."""

import functools
import hashlib
import json

import pytest
from measured import SPLITS, Reader, Score

from course_utils import lesson
from course_utils.evaluation import reference
from course_utils.files import DATA, NOTEBOOKS

LESSONS = sorted(path.stem for path in NOTEBOOKS.glob("*.ipynb"))


def test_every_shipped_model_is_on_the_card():
    assert list(reference.card()) == reference.shipped()
    shown = repr(lesson.card())
    assert all(name in shown for name in reference.shipped())
    assert len(lesson.card("docs-tiny").rows) == 1
    with pytest.raises(ValueError, match="docs-base"):
        lesson.card("docs-huge")


def test_the_card_is_about_the_files_that_are_there():
    """Whoever trains a model anew measures the card anew: `results reference`."""
    for name, known in reference.card().items():
        content = (DATA / "models" / f"{name}.safetensors").read_bytes()
        assert known["sha256"] == hashlib.sha256(content).hexdigest(), name


@pytest.mark.parametrize("name", ["docs-tiny", "digits-mlp"])
def test_the_card_can_be_measured_again(name):
    now, kept = reference.measure(name), reference.reference(name)
    assert {key: now[key] for key in ("parameters", "examples", "measure")} == {
        key: kept[key] for key in ("parameters", "examples", "measure")
    }
    for split in reference.SPLITS:  # docstrings of other versions move them by a few percent
        assert now[split]["perplexity"] == pytest.approx(kept[split]["perplexity"], rel=0.05)
        assert now[split]["quality"] == pytest.approx(kept[split]["quality"], abs=0.02)


def printed(cell):
    """What a cell printed, as text."""
    outputs = (
        one.get("text") or one.get("data", {}).get("text/plain", "") for one in cell["outputs"]
    )
    return "\n".join("".join(text) for text in outputs)


@functools.cache
def read(name):
    """Reads a lesson.

    Returns:
        Of each code cell: its id, its text, the scores that it prints, and those it takes anew.
    """
    reader, found = Reader(), []
    for cell in json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf8"))["cells"]:
        if cell["cell_type"] == "code":
            before = set(reader.scores)
            shown = reader.read("".join(cell["source"]))
            found.append((cell["id"], printed(cell), shown, reader.scores - before))
    return found


def on_the_card(score):
    """What the card has for a score of a shipped model on as many examples, or None."""
    known = reference.card().get(score.model)
    if known is None or score.split not in SPLITS[1:] or known["examples"] != score.examples:
        return None
    row = known[score.split]
    perplexity = [] if row["perplexity"] is None else [f"{row['perplexity']:.2f}"]
    return [*perplexity, f"{row['quality']:.1%}"]


@pytest.mark.parametrize("name", LESSONS)
def test_lessons_print_the_baselines_of_the_card(name):
    cells = read(name)
    for number, (id, _, _, taken) in enumerate(cells):
        later = "\n".join(text for _, text, *_ in cells[number:])
        for score in taken:
            wanted = on_the_card(score)
            assert not wanted or any(one in later for one in wanted), (
                f"{id} measures {score.model} on {score.split}: the card has {wanted}"
            )


@pytest.mark.parametrize("name", LESSONS)
def test_another_number_than_the_cards_is_explained(name):
    """Who measures on more or fewer examples than the card says in prose what the card has."""
    cells = json.loads((NOTEBOOKS / f"{name}.ipynb").read_text("utf8"))["cells"]
    prose = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
    for id, text, shown, _ in read(name):
        for score in shown if "perplexity" in text else ():
            row = reference.card().get(score.model, {}).get(score.split)
            if row and row["perplexity"] and not on_the_card(score):
                wanted = f"{row['perplexity']:.2f}"
                assert wanted in prose and "00_start_here.ipynb" in prose, (
                    f"{id} prints another perplexity of {score.model} than the card's {wanted}"
                )


def test_baselines_are_found_without_a_list_of_them():
    found = {
        (name, score.model, score.split)
        for name in LESSONS
        for *_, taken in read(name)
        for score in taken
        if on_the_card(score)
    }
    rivals = ("docs-hmm", "docs-ngram", "docs-lstm", "docs-tiny")
    assert {("01_background", model, "test") for model in rivals} <= found
    assert ("03_2_pruning", "digits-mlp", "validation") in found
    assert len({name for name, *_ in found}) >= 4


@pytest.mark.parametrize("name", LESSONS)
def test_a_printed_number_says_its_split(name):
    for id, text, shown, _ in read(name):
        splits = {score.split for score in shown}
        assert (
            not splits or not any(map(str.isdigit, text)) or any(one in text for one in splits)
        ), f"{id} prints numbers measured on {' and '.join(splits)} and does not say so"


@pytest.mark.parametrize(
    "cells, taken, shown",
    [
        (  # the plainest
            ['m, t = models.load("a"), docs.sequences("test", 128)', "print(next_token(m, t))"],
            {Score("a", "test", 128)},
            {Score("a", "test", 128)},
        ),
        (  # of a dict, through a comprehension; then from a loop into rows
            [
                'every = {"x": models.load("a"), "y": models.load("b")}\nv = docs.sequences("validation")',
                "found = {name: evaluation.next_token(one, v) for name, one in every.items()}",
                "rows = []\nfor name, one in found.items():\n    rows.append(one.loss)\nlesson.table([], rows)",
            ],
            {Score("a", "validation", 256), Score("b", "validation", 256)},
            {Score("a", "validation", 256), Score("b", "validation", 256)},
        ),
        (  # in a function, of what became of a model
            [
                'scans, labels = digits.load("test")\nmodel = models.load("a")',
                "def right(share):\n    return evaluation.classify(compress(model, share).model, scans, labels)",
                "print(right(0.5))",
            ],
            {Score(None, "test", None)},
            {Score(None, "test", None)},
        ),
        (  # a part of the data is not the size that the card has
            [
                't = docs.sequences("test", 128)\nm = models.load("a")',
                "print(next_token(m, t[:8]))",
            ],
            {Score(None, "test", 128)},
            {Score(None, "test", 128)},
        ),
        (  # what was chosen by a score is none
            [
                't = docs.sequences("validation", 4)\nm = models.load("a")\ns = {1: next_token(m, t)}',
                "print(min(s, key=s.get))",
            ],
            {Score("a", "validation", 4)},
            set(),
        ),
    ],
)
def test_what_is_measured_is_read_off_the_code(cells, taken, shown):
    reader = Reader()
    last = [reader.read(cell) for cell in cells][-1]
    assert (reader.scores, last) == (taken, shown)
