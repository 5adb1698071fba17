"""The reference card: it says what is measured, and lessons print what it says."""

import hashlib
import json
import re

import pytest

from course_utils import lesson
from course_utils.evaluation import reference
from course_utils.files import DATA, NOTEBOOKS

# lesson, cell, and a row of its table: the model, its split, and which number of the row
PRINTED = (
    ("01_background", "01-compare-run", "HMM", "docs-hmm", "test"),
    ("01_background", "01-compare-run", "6-gram", "docs-ngram", "test"),
    ("01_background", "01-compare-run", "LSTM", "docs-lstm", "test"),
    ("01_background", "01-compare-run", "Transformer", "docs-tiny", "test"),
)


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


def printed(notebook, cell):
    """Returns what a cell of a lesson printed, as text."""
    cells = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text("utf8"))["cells"]
    outputs = next(one["outputs"] for one in cells if one["id"] == cell)
    return "\n".join("".join(one.get("text") or one["data"]["text/plain"]) for one in outputs)


@pytest.mark.parametrize("notebook, cell, row, name, split", PRINTED)
def test_lessons_print_the_baselines_of_the_card(notebook, cell, row, name, split):
    value = re.search(rf"^{row} +([\d.]+)", printed(notebook, cell), re.M)[1]
    assert value == f"{reference.reference(name)[split]['perplexity']:.2f}"
