"""A model has one colour and one shape in every chart of the course."""

import ast
import json
import re

import pytest

from course_utils.chart import Chart, Line, Points, svg
from course_utils.chart.marks import MARKERS, PALETTE
from course_utils.files import NOTEBOOKS, ROOT
from course_utils.lessons.background.explorers import MODELS
from course_utils.models.catalogue import CATALOGUE
from course_utils.widgets.names import LOOKS

NAMES = {**{name: name for name in LOOKS}, **MODELS}  # as legends call them
LEGEND = re.compile(
    r'<path [^>]*?(?:fill="(#\w+)"|stroke="(#\w+)")[^>]*/><text [^>]*>([^<]+)</text>'
)


def wrong_colours(pictures):
    """Lists entries of legends that give a model another colour than the table of looks."""
    found = []
    for picture in pictures:
        for filled, drawn, label in LEGEND.findall(picture):
            name = NAMES.get(label)
            if name and (filled or drawn) != PALETTE[LOOKS[name][0]]:
                found.append((label, filled or drawn))
    return found


def pictures(path):
    """The pages of a lesson's saved outputs that hold charts as SVG."""
    for cell in json.loads(path.read_text("utf8"))["cells"]:
        for output in cell.get("outputs", ()):
            page = "".join(output.get("data", {}).get("text/html", ""))
            if "<svg role" in page:
                yield page


def test_no_two_models_look_alike():
    assert set(LOOKS) <= set(CATALOGUE)
    assert len(set(LOOKS.values())) == len(LOOKS)
    for color, marker in LOOKS.values():
        assert color in PALETTE and marker in MARKERS


def test_saved_charts_draw_each_model_in_its_colour():
    shown = [picture for path in sorted(NOTEBOOKS.glob("*.ipynb")) for picture in pictures(path)]
    labels = {label for picture in shown for *_, label in LEGEND.findall(picture)}
    assert {"HMM", "LSTM", "Transformer", "largest Transformer"} <= labels
    assert wrong_colours(shown) == []


def test_another_colour_is_found():
    marks = [Points([1], [1], "LSTM", LOOKS["docs-lstm"][0]), Line([1, 2], [1, 2], "HMM", "green")]
    assert wrong_colours([svg(Chart(marks))]) == [("HMM", PALETTE["green"])]


def own_tables(source):
    """Lists the models to which a source gives a colour by itself."""
    found = []
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values):
                words = {one.value for one in ast.walk(value) if isinstance(one, ast.Constant)}
                if isinstance(key, ast.Constant) and key.value in NAMES and words & set(PALETTE):
                    found.append(key.value)
    return found


@pytest.mark.parametrize("folder", ["lessons", "widgets", "lesson"])
def test_only_the_table_of_looks_gives_models_colours(folder):
    assert own_tables('COLORS = {"docs-base": "blue"}') == ["docs-base"]
    for path in (ROOT / "course_utils" / folder).rglob("*.py"):
        if path.name != "names.py":
            assert own_tables(path.read_text("utf8")) == [], path
