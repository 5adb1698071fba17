"""What is derived from the notebooks: the tables that lead to them and the record of run times."""

import json
import re

import nbformat
import pytest

from course_utils import files
from course_utils.document.sections import SECTIONS
from course_utils.editions import maps, refresh
from course_utils.files import ROOT

NOTEBOOKS = sorted(path.stem for path in files.NOTEBOOKS.glob("*.ipynb"))
AGAIN = "; type: python3 -m course_utils refresh README.md"


def lesson(*code):
    """A small lesson that says how many minutes it takes and holds a place for the map."""
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# 量化\n\nAbout 7 minutes."), *map(v4.new_code_cell, code)]
    cells.append(v4.new_markdown_cell("<!-- map -->\n<!-- /map -->"))
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    return v4.new_notebook(cells=cells, metadata=kernel)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course of two lessons, whose first one prints something."""
    for name, place in {"ROOT": "", "DATA": "data", "NOTEBOOKS": "notebooks"}.items():
        monkeypatch.setattr(files, name, tmp_path / place)
        (tmp_path / place).mkdir(exist_ok=True)
    (tmp_path / "README.md").write_text(
        "# A\n<!-- badges -->\n<!-- /badges -->\nB\n<!-- map -->\nold\n<!-- /map -->\nC\n", "utf8"
    )
    (tmp_path / "notebooks/README.md").write_text("<!-- headings -->\n<!-- /headings -->", "utf8")
    (tmp_path / "pyproject.toml").write_text(
        '[project.urls]\nrepository = "elsewhere"\n\n[tool.course]\nrepository = ""\n', "utf8"
    )
    nbformat.write(lesson("print(6 * 7)"), tmp_path / "notebooks/00_start_here.ipynb")
    nbformat.write(lesson(), tmp_path / "notebooks/03_2_pruning.ipynb")
    return tmp_path


def test_every_page_says_what_the_lessons_say():
    for path, text in maps.pages().items():
        assert path.read_text("utf8") == text, f"{path.name} is out of date{AGAIN}"


def test_whatever_was_timed_is_a_lesson():
    """A time is shown and never judged: machines are shared."""
    lessons = {path.stem for path in files.NOTEBOOKS.glob("*.ipynb")}
    timed = maps.times()
    assert timed and set(timed) <= lessons and all(run["seconds"] > 0 for run in timed.values())


def test_the_map_counts_minutes_and_seconds(course):
    refresh.record("00_start_here", 12.34)
    maps.write()
    page = (course / "README.md").read_text("utf8")
    row = "| the map, and one slider in the first minute | 7 | 12 |"
    assert f"[00_start_here](notebooks/00_start_here.ipynb) {row}" in page
    assert "what do zeros save? | 7 |  |" in page  # never timed
    assert "Together 0 hours and 14 minutes to study, and 12 seconds to run" in page
    assert "old" not in page and page.startswith("# A\n") and page.endswith("<!-- /map -->\nC\n")
    assert "01_background" not in page  # no notebook, no row
    first = json.loads((course / "notebooks/00_start_here.ipynb").read_text("utf8"))["cells"][-1]
    assert "| **00_start_here** |" in "".join(first["source"])
    assert "[03_2_pruning](03_2_pruning.ipynb)" in "".join(first["source"])
    folder = (course / "notebooks/README.md").read_text("utf8")
    assert "| 3.2.2 剪枝 | Pruning | [03_2_pruning](03_2_pruning.ipynb) |" in folder
    assert maps.write() == []


def test_every_heading_of_the_document_has_a_lesson():
    lessons = {path.stem for path in files.NOTEBOOKS.glob("*.ipynb")}
    assert {section.notebook for section in SECTIONS} <= lessons


def test_refresh_replaces_its_own_entry_only(course, capsys):
    refresh.record("00_start_here", 50)
    refresh.record("03_2_pruning", 40)
    refresh.record("99_gone", 30)  # a lesson that was removed leaves no time behind
    foreign = course / "mine.ipynb"
    nbformat.write(lesson("'mine'"), foreign)
    refresh.refresh([course / "notebooks/00_start_here.ipynb", foreign])
    seconds = {name: entry["seconds"] for name, entry in maps.times().items()}
    assert set(seconds) == {"00_start_here", "03_2_pruning"}
    assert 0 < seconds["00_start_here"] < 50 and seconds["03_2_pruning"] == 40
    run = nbformat.read(course / "notebooks/00_start_here.ipynb", 4)
    assert run.cells[1].outputs[0].text == "42\n" and "**00_start_here**" in run.cells[-1].source
    assert "results/lessons.json" in files.manifest()
    assert json.loads((course / "data/manifest.json").read_text("utf8")) == files.manifest()
    assert "tables in README.md" in capsys.readouterr().out


def test_refresh_of_a_page_runs_nothing(course, monkeypatch):
    monkeypatch.setattr(refresh, "run", lambda path: pytest.fail("nothing is to be run"))
    refresh.refresh(["README.md"])
    assert "03_2_pruning" in (course / "README.md").read_text("utf8")


def test_badges_come_with_a_repository_and_only_then(course):
    home = course / "README.md"
    maps.write()
    assert maps.setting() == "" and "http" not in home.read_text("utf8")
    setting = course / "pyproject.toml"
    setting.write_text('[tool.course]\n# where\nrepository = "someone/course"\n[tool.x]\n', "utf8")
    maps.write()
    page = home.read_text("utf8")
    binder = "https://mybinder.org/v2/gh/someone/course/HEAD?urlpath=lab/tree/notebooks/00_start"
    assert binder in page and "github.com/someone/course/actions/workflows/ci.yml/badge" in page
    setting.write_text('[tool.course]\n[tool.x]\nrepository = "x/y"\n', "utf8")
    maps.write()
    assert "http" not in home.read_text("utf8")


@pytest.mark.parametrize("wrong", ["course", "https://github.com/a/b", "a/b/c", "a b/c"])
def test_a_repository_of_another_form_is_refused(wrong):
    with pytest.raises(ValueError, match="owner/name"):
        maps.badges(wrong)


@pytest.mark.parametrize(
    "page", ["", "<!-- map -->", "<!-- /map --> <!-- map -->", 2 * "<!-- map --><!-- /map -->"]
)
def test_a_page_without_its_marks_is_refused(page):
    with pytest.raises(ValueError, match="once each"):
        maps.filled(page, "map", "x")


def test_a_lesson_without_minutes_is_refused(course):
    silent = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell("# A")])
    nbformat.write(silent, course / "notebooks/03_2_pruning.ipynb")
    with pytest.raises(ValueError, match=r"03_2_pruning\.ipynb does not say how many minutes"):
        maps.pages()


def test_the_readme_names_every_room_from_the_top():
    """Each row may hold several layers of the contract, but none that lies above the row before."""
    package = ROOT / "course_utils"
    rooms = {path.parent.name for path in package.glob("*/__init__.py")}
    rooms |= {path.stem for path in package.glob("*.py")} - {"__init__"}
    table = (ROOT / "README.md").read_text("utf8").partition("| rooms, from the top |")[2]
    lines = table.split("\n\n")[0].split("\n")[2:]
    rows = [re.findall(r"`(\w+)`", line.split("|")[1]) for line in lines]
    assert sorted(name for row in rows for name in row) == sorted(rooms)
    contract = (ROOT / "pyproject.toml").read_text("utf8").partition("layers = [")[2]
    layers = [re.findall(r"\w+", line) for line in contract.partition("]")[0].split("\n") if line]
    depth = {name: level for level, names in enumerate(layers) for name in names}
    for above, below in zip(rows, rows[1:]):
        assert max(depth[name] for name in above) < min(depth[name] for name in below)


def test_the_versions_of_the_course_are_one():
    version = re.search(r'^version = "(.+)"', (ROOT / "pyproject.toml").read_text("utf8"), re.M)[1]
    changes = re.search(r"^## \[([\d.]+)\]", (ROOT / "CHANGELOG.md").read_text("utf8"), re.M)[1]
    assert changes == version
    yaml = pytest.importorskip("yaml")
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf8"))
    assert cited["version"] == version and cited["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "type", "license"} <= set(cited)
    assert cited["type"] == "software" and cited["license"] == "Apache-2.0"


def test_the_form_for_a_wrong_number_asks_for_what_is_needed():
    yaml = pytest.importorskip("yaml")
    form = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/wrong_number.yml").read_text("utf8"))
    asked = [one["id"] for one in form["body"] if one["type"] != "markdown"]
    assert asked == ["lesson", "cell", "printed", "got", "versions"]
    assert {"name", "description", "body"} <= set(form)
