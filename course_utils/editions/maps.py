"""Writes the tables that lead to the lessons, so that none of them can say what is no longer true.

A page keeps its own words; what stands between `<!-- NAME -->` and `<!-- /NAME -->` is made here.
"""

import json
import re

from course_utils import files
from course_utils.document.sections import LESSONS, SECTIONS

RECORD = "results/lessons.json"  # under data: how long each lesson ran, and with what


def write():
    """Brings the tables on every page up to date; returns the paths of the pages that changed."""
    changed = {p: text for p, text in pages().items() if p.read_text("utf8") != text}
    return [files.write(path, text) for path, text in changed.items()]


def pages(repository=None):
    """Returns what every page with a table should hold.

    Args:
        repository: As in `badges`; what pyproject.toml says if left out.

    Returns:
        A dict: path of the page -> its whole text.

    Raises:
        ValueError: If a page lacks its marks, or a lesson does not say how many minutes it takes.
    """
    home, folder = files.ROOT / "README.md", files.NOTEBOOKS / "README.md"
    first = files.NOTEBOOKS / f"{LESSONS[0].notebook}.ipynb"
    links = badges(setting() if repository is None else repository)
    text = filled(home.read_text("utf8"), "badges", links)
    return {
        home: filled(text, "map", lessons()),
        folder: filled(folder.read_text("utf8"), "headings", headings()),
        first: within(first.read_text("utf8"), "map", short_map(first.stem)),
    }


def filled(page, name, content):
    """Returns a page with `content` between the marks of this name."""
    start, end = f"<!-- {name} -->", f"<!-- /{name} -->"
    if page.count(start) != 1 or page.count(end) != 1 or page.index(start) > page.index(end):
        raise ValueError(f"a page needs {start} and {end} once each, in this order")
    before, rest = page.split(start)
    inside = f"\n\n{content}\n\n" if content else "\n"  # a table wants an empty line around it
    return f"{before}{start}{inside}{end}{rest.split(end)[1]}"


def within(notebook, name, content):
    """Returns the text of a notebook with `content` between the marks in one of its cells."""
    parsed = json.loads(notebook)
    for cell in parsed["cells"]:
        source = "".join(cell["source"])
        if f"<!-- {name} -->" in source:
            cell["source"] = filled(source, name, content).splitlines(keepends=True)
            break
    else:
        raise ValueError(f"no cell of the first lesson has <!-- {name} -->")
    return json.dumps(parsed, ensure_ascii=False, indent=1) + "\n"


def lessons():
    """The map of the lessons: what each answers, the minutes it asks for, the seconds it runs."""
    shown, measured = there(), times()
    studied = {lesson.notebook: minutes(lesson.notebook) for lesson in shown}
    ran = {name: measured[name]["seconds"] for name in studied if name in measured}
    rows = [
        f"| {lesson.heading} | [{lesson.notebook}](notebooks/{lesson.notebook}.ipynb) | "
        f"{lesson.answers} | {studied[lesson.notebook]} | {seconds(ran, lesson.notebook)} |"
        for lesson in shown
    ]
    hours, rest = divmod(sum(studied.values()), 60)
    cores = " or ".join(sorted({str(measured[name]["cores"]) for name in ran}))
    head = ["| document | lesson | it answers | minutes | seconds |", "|:--|:--|:--|--:|--:|"]
    total = (
        f"Together {hours} hours and {rest} minutes to study, and {sum(ran.values()):.0f} seconds "
        f"to run: from top to bottom on {cores} cores, the start of the kernel included, as last "
        f"measured. [data/{RECORD}](data/{RECORD}) has the versions of the packages beside them."
    )
    return "\n".join([*head, *rows, "", total])


def short_map(here):
    """The map as the first lesson shows it, from its own folder."""
    rows = [
        f"| {lesson.heading} | {link(lesson.notebook, here)} | {lesson.answers} |"
        for lesson in there()
    ]
    return "\n".join(["| document | notebook | it answers |", "|:--|:--|:--|", *rows])


def headings():
    """From every heading of the document to its lesson."""
    rows = [
        f"| {section.number} {section.chinese} | {section.english} | {link(section.notebook)} |"
        for section in SECTIONS
    ]
    return "\n".join(["| heading | in English | lesson |", "|:--|:--|:--|", *rows])


def link(notebook, here=None):
    """A link to a notebook from beside it; the one the reader is in is not worth a link."""
    return f"**{notebook}**" if notebook == here else f"[{notebook}]({notebook}.ipynb)"


def there():
    """The lessons whose notebooks exist, in the order of the course."""
    return [one for one in LESSONS if (files.NOTEBOOKS / f"{one.notebook}.ipynb").is_file()]


def minutes(notebook):
    """Returns the minutes that the first cell of a lesson asks for."""
    path = files.NOTEBOOKS / f"{notebook}.ipynb"
    first = "".join(json.loads(path.read_text("utf8"))["cells"][0]["source"])
    if not (found := re.search(r"(\d+) minutes", first)):
        raise ValueError(f"the first cell of {path.name} does not say how many minutes it takes")
    return int(found[1])


def times():
    """Returns the record of run times: notebook -> its `seconds`, `cores` and `versions`."""
    path = files.DATA / RECORD
    return json.loads(path.read_text("utf8"))["lessons"] if path.is_file() else {}


def seconds(ran, notebook):
    """The seconds of a lesson as the map shows them; nothing where none were measured."""
    return f"{ran[notebook]:.0f}" if notebook in ran else ""


def setting():
    """Returns `repository` of `[tool.course]` in pyproject.toml; empty if there is none.

    Read by hand, for Python 3.10 cannot read TOML by itself.
    """
    text = (files.ROOT / "pyproject.toml").read_text("utf8")
    section = re.search(r"^\[tool\.course\]\n((?:(?!\[).*\n?)*)", text, re.MULTILINE)
    found = section and re.search(r'^repository = "(.*)"', section[1], re.MULTILINE)
    return found[1] if found else ""


def badges(repository):
    """Links to the state of the tests and to the course in Binder.

    Args:
        repository: `"owner/name"` on GitHub; nothing is linked while it is empty.

    Raises:
        ValueError: If it has another form.
    """
    if not repository:
        return ""
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", repository):
        raise ValueError(f"repository must be empty or 'owner/name', got {repository!r}")
    tests = f"https://github.com/{repository}/actions/workflows/ci.yml"
    lesson = f"notebooks/{LESSONS[0].notebook}.ipynb"
    binder = f"https://mybinder.org/v2/gh/{repository}/HEAD?urlpath=lab/tree/{lesson}"
    return (
        f"[![state of the tests]({tests}/badge.svg)]({tests}) "
        f"[![open in Binder](https://mybinder.org/badge_logo.svg)]({binder})"
    )
