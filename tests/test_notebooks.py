"""What every notebook of the course must be, apart from running (which nbval checks)."""

import ast
import json
import re

import pytest
from again import Reads, overwritten

from course_utils import document
from course_utils.files import ROOT

NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
COLUMNS = (
    78  # that fit into a window of 800 pixels; a longer line is wrapped, and no table survives that
)


def printed(output):
    """What an output says as text: printed lines, or a table's."""
    data = output.get("data", {})
    return output.get("text", data.get("text/plain", "") if "text/html" in data else "")


def problems(notebook):
    """Lists what is wrong with a notebook, given as the dict its file holds."""
    cells = notebook["cells"]
    code = [
        cell for cell in cells if cell["cell_type"] == "code" and "".join(cell["source"]).strip()
    ]
    ids = [cell.get("id", "") for cell in cells]
    checked = [cell for cell in code if "NBVAL_CHECK_OUTPUT" in "".join(cell["source"])]
    text = json.dumps(notebook, ensure_ascii=False)
    found = []
    if not checked:
        found.append("no cell is marked NBVAL_CHECK_OUTPUT")
    found += [
        f"{cell['id']} is to be checked but has no saved output"
        for cell in checked
        if not cell["outputs"]
    ]
    found += [f"{cell['id']} was never run" for cell in code if cell["execution_count"] is None]
    found += [
        f"{cell['id']} has an error as its output"
        for cell in code
        if any(output["output_type"] == "error" for output in cell["outputs"])
    ]
    found += [
        f"{cell['id']} writes to stderr: {''.join(output['text'])[:80]!r}"
        for cell in code
        for output in cell["outputs"]
        if output.get("name") == "stderr"
    ]
    if "widgets" in notebook["metadata"]:
        found.append("metadata.widgets is saved")
    if path := re.search(r"(/(?:root|home|tmp|work|Users|var)/[\w.]+|[A-Z]:\\\\)", text):
        found.append(f"an absolute path: {path[0]}")
    found += [
        f"{id!r} is no readable cell id"
        for id in ids
        if not re.fullmatch(r"\d\d[a-z0-9-]*[a-z][a-z0-9-]*", id)
    ]
    found += [f"cell id {id} stands twice" for id in set(ids) if ids.count(id) > 1]
    found += [
        f"{cell['id']} has a line of {len(line)} characters"
        for cell in code
        for line in "".join(cell["source"]).split("\n")
        if len(line) > 130
    ]
    for cell in code:
        lines = "".join("".join(printed(output)) + "\n" for output in cell["outputs"]).splitlines()
        wide = sum(len(line) > COLUMNS for line in lines)
        if wide > max(1, len(lines) / 3):
            found.append(f"{cell['id']} prints {wide} lines of more than {COLUMNS} characters")
    if not any(re.search(r"\bassert\b|\.check\(", "".join(cell["source"])) for cell in code):
        found.append("nothing is asserted and no exercise is checked")
    if not re.search(r"[\u4e00-\u9fff]", "".join(cells[0]["source"])):
        found.append("the first cell lacks the document's own heading")
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_notebook_is_fit_to_ship(path):
    assert problems(json.loads(path.read_text(encoding="utf8"))) == []


def test_the_check_finds_what_is_wrong():
    bad = {
        "metadata": {"widgets": {}},
        "cells": [
            {
                "cell_type": "code",
                "id": "3f2a99c1",
                "execution_count": None,
                "outputs": [],
                "metadata": {},
                "source": ["# NBVAL_CHECK_OUTPUT\n", "open('/home/me/x')"],
            },
            {
                "cell_type": "code",
                "id": "00-wide",
                "execution_count": 1,
                "metadata": {},
                "source": ["print(table)"],
                "outputs": [
                    {
                        "output_type": "stream",
                        "name": "stdout",
                        "text": ["a" * 79 + "\n", "b" * 79 + "\n"],
                    }
                ],
            },
        ],
    }
    found = " ".join(problems(bad))
    for part in (
        "no saved output",
        "never run",
        "metadata.widgets",
        "absolute path",
        "readable cell id",
        "asserted",
        "heading",
        "00-wide prints 2 lines",
    ):
        assert part in found


def test_the_map_names_every_notebook_and_every_link_leads_somewhere():
    readme = (ROOT / "README.md").read_text(encoding="utf8")
    for path in NOTEBOOKS:
        assert f"notebooks/{path.name}" in readme, f"README.md does not mention {path.name}"
        text = "".join(
            "".join(cell["source"])
            for cell in json.loads(path.read_text(encoding="utf8"))["cells"]
            if cell["cell_type"] == "markdown"
        )
        for named in lessons_named(text):
            assert (path.parent / f"{named}.ipynb").is_file(), (
                f"{path.name} names {named}, which is not there"
            )
        for target in re.findall(r"\]\(([\w./-]+\.ipynb)\)", text):
            assert (path.parent / target).is_file(), (
                f"{path.name} links to {target}, which is not there"
            )
    for page in ("README.md", "notebooks/README.md", "CONTRIBUTING.md", "CHANGELOG.md"):
        text = (ROOT / page).read_text(encoding="utf8")
        for target in re.findall(r"\]\(([\w./-]+)(?:#[\w-]+)?\)", text):
            there = (ROOT / page).parent / target
            assert there.exists(), f"{page} links to {target}, which is not there"


def lessons_named(text):
    return re.findall(r"\b\d\d_(?:\d_)?[a-z][a-z_]*", text)


def test_claims_lead_to_lessons_that_are_there():
    assert lessons_named("see 06_9_nowhere, and 07_tools.") == ["06_9_nowhere", "07_tools"]
    for claim in document.CLAIMS:
        for named in lessons_named(claim.because):
            assert (ROOT / "notebooks" / f"{named}.ipynb").is_file(), (
                f"claim {claim.id} names {named}, which is not there"
            )


def test_the_notebooks_readme_leads_from_every_heading_to_a_notebook():
    readme = (ROOT / "notebooks" / "README.md").read_text(encoding="utf8")
    for section in document.SECTIONS:
        own = ROOT / "notebooks" / f"{section.notebook}.ipynb"
        name = section.notebook if own.is_file() else "10_errata"  # which has every heading
        row = f"| {section.number} {section.chinese} | {section.english} | [{name}]({name}.ipynb) |"
        assert row in readme


def test_the_errata_has_every_heading_and_every_claim():
    cells = json.loads((ROOT / "notebooks" / "10_errata.ipynb").read_text(encoding="utf8"))["cells"]
    shown = "".join(
        str(output.get("data", {}).get("text/html", ""))
        for cell in cells
        for output in cell.get("outputs", [])
    )
    assert [
        section.number for section in document.SECTIONS if f"<b>{section.number} <span" not in shown
    ] == []
    assert shown.count("margin-left: 1.5em") == len(document.CLAIMS)


def code(path):
    """Returns the code cells of a notebook: `(id, source)` of each."""
    cells = json.loads(path.read_text("utf8"))["cells"]
    return [(one["id"], "".join(one["source"])) for one in cells if one["cell_type"] == "code"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_cells_can_be_run_again_from_any_cell_on(path):
    ids, sources = zip(*code(path))
    assert [(ids[number], name) for number, name in overwritten(sources)] == []


@pytest.mark.parametrize(
    "cells, found",
    [
        (["w = 1", "print(w)", "w = 2"], [(1, "w")]),
        (["h = 1", "h = h + 1"], [(1, "h")]),
        (["h = 1", "for one in range(3):\n    h += one"], [(1, "h")]),
        (["w = 1", "def f(): return w", "w = 2\nf()"], []),
        (["w = 1", "def f(): return w", "f()", "w = 2"], [(2, "w")]),
        (["w = 1", "x = [w for w in range(3)]", "w = 2"], []),
        (["import numpy as np", "np.zeros(3)", "import numpy as np"], []),
        (["import numpy as np", "np.zeros(3)", "import numpy.ma as np"], [(1, "np")]),
        (["w = 1", "w = 2\nprint(w)"], []),
    ],
)
def test_a_name_that_is_overwritten_is_found(cells, found):
    assert overwritten(cells) == found


def test_next_leads_through_all_lessons_in_order():
    following = [path.stem for path in NOTEBOOKS[1:]]
    said = [json.loads(path.read_text("utf8"))["cells"][-1]["source"] for path in NOTEBOOKS[:-1]]
    assert [re.search(r"Next: \[(\w+)\]", "".join(one))[1] for one in said] == following


def linked(name, after="Next: "):
    """The lessons to which the last cell of one leads, in the paragraphs that begin with a word."""
    cell = json.loads((ROOT / "notebooks" / f"{name}.ipynb").read_text("utf8"))["cells"][-1]
    paragraphs = "".join(cell["source"]).split("\n\n")
    return [
        target
        for paragraph in paragraphs
        if paragraph.startswith(after)
        for target in re.findall(r"\]\((\w+)\.ipynb\)", paragraph)
    ]


def test_what_comes_next_is_on_one_of_the_two_lanes():
    whole = [path.stem for path in NOTEBOOKS]
    fast = ["00_start_here", *linked("00_start_here", after="Or straight to Q and θ")]
    assert len(fast) >= 4
    lanes = {pair for lane in (whole, fast) for pair in zip(lane, lane[1:])}
    for name in whole:
        for target in filter(lambda target: target > name, linked(name)):  # back is no next
            assert (name, target) in lanes, f"{name} leads to {target}, which no lane does"
    for name, target in zip(fast[1:], fast[2:]):  # the first page names all of it at once
        assert target in linked(name), f"the fast lane is lost after {name}"


def test_the_first_page_promises_the_minutes_of_the_lessons():
    texts = {path.stem: path.read_text(encoding="utf8") for path in NOTEBOOKS}
    promised = re.findall(r"\((\w+)\.ipynb\) \((\d+) minutes\)", texts["00_start_here"])
    assert len(promised) >= 3
    for name, minutes in promised:
        assert re.search(r"About (\d+) minutes", texts[name])[1] == minutes, name


def leans_on(cells):
    """Lists the names that only optional cells give, and a later cell that is not optional takes."""
    found, given, core, functions, optional = [], {}, set(), {}, 0
    for cell in cells:
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            for marks, words in re.findall(r"^(#+) (.*)$", text, re.MULTILINE):
                if not optional or len(marks) <= optional:
                    optional = len(marks) * words.endswith("(optional)")
            continue
        reads = Reads(functions)
        reads.visit(ast.parse(text))
        functions, gives = reads.functions, set(reads.set)
        if optional:
            given.update(dict.fromkeys(gives - core, cell["id"]))
            continue
        found += [
            f"{cell['id']} takes {name}, which only {given[name]} gives"
            for name in sorted((reads.read & given.keys()) - core)
        ]
        core |= gives
        given = {name: owner for name, owner in given.items() if name not in gives}
    return found


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_what_is_optional_can_be_skipped(path):
    assert leans_on(json.loads(path.read_text(encoding="utf8"))["cells"]) == []


def test_what_leans_on_an_optional_cell_is_found():
    def cell(kind, text):
        return {"cell_type": kind, "id": "01-" + text.split()[0].strip("#"), "source": text}

    cells = [
        cell("code", "kept = 1"),
        cell("markdown", "# More (optional)\n\n### A part of it"),
        cell("code", "kept = more = 2"),
        cell("markdown", "# Core"),
        cell("code", "print(kept)"),
        cell("code", "def f():\n    return [more for i in (1, 2)]\n\nf()"),
    ]
    assert leans_on(cells) == ["01-def takes more, which only 01-kept gives"]
    cells[-1]["source"] = "more = 3\nprint(more)"
    assert leans_on(cells) == []
