"""A lesson in JupyterLab as a learner meets it: keys move the slider, nonsense is answered, nothing
is out of reach."""

import os
import pathlib

import nbformat
import pages
import pytest
from browser import axe, browser, jupyter, open_notebook, run_all, screenshot

from course_utils import doctor
from course_utils.files import NOTEBOOKS, ROOT

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(doctor.browser() is None, reason="no Chromium, Chrome or Edge here"),
]

LESSON = """
import numpy as np
from course_utils import chart, widgets

weights = np.random.default_rng(0).normal(0, 0.1, 4000)

def rounding(step, bits, rule, shared):
    if step and step > 5 and bits == 2:
        raise ValueError("2 bits are too few for a step above 5")
    return step, weights if step is None else np.round(weights / step) * step

def show(result):
    step, rounded = result
    edges = np.linspace(-0.4, 0.4, 41)
    before, after = (np.histogram(values, edges)[0] for values in (weights, rounded))
    error = np.abs(weights - rounded)
    picture = chart.Chart([chart.Bars(edges, before, label="before"), chart.Bars(edges, after, label="after")],
                          chart.Axis("weight"), chart.Axis("how many"), "Weights", f"Weights rounded to {step}")
    steps = np.geomspace(0.001, 10, 30)
    means = [np.abs(weights - np.round(weights / s) * s).mean() for s in steps]
    errors = chart.Chart([chart.Line(steps, means, "mean"), chart.Rule(step or 0.001, label=f"Q = {step}")],
                         chart.Axis("step Q", log=True), chart.Axis("error", log=True), "Error", "Grows with the step")
    readouts = widgets.cards(
        widgets.readout("step", step or "off", "seen-step"),
        widgets.readout("largest error", f"{error.max():.4f}", "seen-error", "in units of the weight"),
        widgets.readout("levels used", len(set(np.round(rounded, 6))), "seen-levels"))
    return [readouts, picture, errors]

lesson = widgets.Explorer(rounding, show,
    step=widgets.log_slider("Q", 0.001, 10, 0.1, "distance between two neighbouring levels", off=True),
    bits=widgets.slider("bits", 2, 8, 1, 4, "for each weight"),
    rule=widgets.choice("rule", ["step", "absmax", "affine"], "step", "how the levels are placed"),
    shared=widgets.checkbox("one step for all", True, "or one for each row"))
lesson
"""


def write(path, *cells):
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    nbformat.write(nbformat.v4.new_notebook(cells=list(cells), metadata=kernel), path)
    return path


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    path = tmp_path_factory.mktemp("lesson") / "lesson.ipynb"
    v4 = nbformat.v4
    cells = [v4.new_markdown_cell("# A lesson"), v4.new_code_cell(LESSON), v4.new_code_cell("")]
    with jupyter(write(path, *cells)) as running:
        yield running


@pytest.fixture(scope="module")
def page(server):
    with browser(server) as page:
        yield page


def test_a_learner_moves_the_slider_and_types(page, tmp_path):
    shots = pathlib.Path(
        os.environ.get("COURSE_SCREENSHOTS", tmp_path)
    )  # set it to a folder to look at them
    open_notebook(page, "lesson.ipynb")
    run_all(page)
    step = page.locator(".seen-step")
    step.wait_for()
    assert step.inner_text() == "0.1"

    error = page.locator(".seen-error").inner_text()
    picture = page.locator(".course-explorer svg").first.inner_html()
    page.locator(".course-explorer .noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "document.querySelector('.seen-step').innerText === '0.112'"
    )  # one step of 20 a decade
    assert page.locator(".seen-error").inner_text() != error
    assert page.locator(".course-explorer svg").first.inner_html() != picture
    box = page.get_by_label("Q", exact=True)
    assert box.input_value() == "0.112"
    page.keyboard.press("Home")
    page.wait_for_function("document.querySelector('.seen-step').innerText === 'off'")
    page.keyboard.press("ArrowRight")
    page.wait_for_function("document.querySelector('.seen-step').innerText === '0.001'")

    box.fill("many")
    box.press("Enter")
    message = page.locator(".course-message")
    message.wait_for()
    assert message.inner_text() == "Q must be a number from 0.001 to 10, or \"off\"; got 'many'."
    assert (
        step.inner_text() == "0.001"
        and message.locator("xpath=..").get_attribute("aria-live") == "polite"
    )
    assert axe(page) == [] and {rule for rule, _ in axe(page, known={})} == {
        "aria-input-field-name"
    }
    screenshot(page, shots / "message.png", 800, show=".course-explorer")
    box.fill("0.05")
    box.press("Enter")
    page.wait_for_function("document.querySelector('.seen-step').innerText === '0.05'")
    message.wait_for(state="detached")

    for width in (800, 1280):
        screenshot(page, shots / f"{width}.png", width, show=".course-explorer")
        inside = page.evaluate("""() => {
            const edge = document.querySelector('.jp-WindowedPanel-outer').getBoundingClientRect().right;
            const parts = document.querySelectorAll('.course-explorer svg, .course-card, .course-control');
            const explorer = document.querySelector('.course-explorer');
            return explorer.scrollWidth <= explorer.clientWidth + 1
                && [...parts].every(part => part.getBoundingClientRect().right <= edge);
        }""")
        assert inside, f"something is cut off at {width} pixels"


def test_what_is_wrong_is_found(server, page):
    poor = "from IPython.display import HTML\nHTML('<button></button><input type=\"text\">')"
    write(
        server.folder / "wrong.ipynb",
        nbformat.v4.new_code_cell(poor),
        nbformat.v4.new_code_cell("1 / 0"),
    )
    open_notebook(page, "wrong.ipynb")
    with pytest.raises(AssertionError, match="ZeroDivisionError"):
        run_all(page)
    page.locator(".jp-OutputArea button").wait_for()
    assert {rule for rule, _ in axe(page)} == {"button-name", "label"}


def test_keys_move_the_studio(server, page, tmp_path):
    shots = pathlib.Path(
        os.environ.get("COURSE_SCREENSHOTS", tmp_path)
    )  # set it to a folder to look at them
    lesson = nbformat.read(ROOT / "notebooks" / "05_project.ipynb", 4)
    lesson.cells = [
        cell for cell in lesson.cells if cell.id == "05-studio"
    ]  # nbval runs the others
    nbformat.write(lesson, server.folder / "studio.ipynb")
    open_notebook(page, "studio.ipynb")
    run_all(page)
    read = {name: page.locator(f".studio-{name}") for name in ("accuracy", "perplexity", "size")}
    read["size"].wait_for()
    before = {name: where.inner_text() for name, where in read.items()}

    def moved(before):
        page.wait_for_function(
            "old => document.querySelector('.studio-size').innerText !== old", arg=before["size"]
        )
        after = {name: where.inner_text() for name, where in read.items()}
        assert after["perplexity"] != before["perplexity"]
        return after

    for slider, name in enumerate(("Q", "θ")):
        box, handle = (
            page.get_by_label(name, exact=True),
            page.locator(".course-explorer .noUi-handle").nth(slider),
        )
        box.fill("0.02")
        box.press("Enter")
        before = moved(before)
        handle.focus()
        page.keyboard.press("ArrowRight")
        # the numbers of the last move may still be coming in: the box follows the key
        page.wait_for_function("box => box.value !== '0.02'", arg=box.element_handle())
        before = moved(before)
        assert 0.02 < float(box.input_value()) < 0.025
    screenshot(page, shots / "studio-1280.png", 1280, show=".course-explorer")
    screenshot(page, shots / "studio-800.png", 800, show=".course-explorer")
    assert axe(page) == []


def test_pages_find_what_is_planted_and_nothing_else_in_any_lesson(server, page):
    """At 1280 and 800 pixels, with the outputs that the lessons keep."""
    books = {path.stem: nbformat.read(path, 4) for path in sorted(NOTEBOOKS.glob("*.ipynb"))}
    whole, owners = pages.gathered({**books, "planted": pages.planted()})
    pages.show(page, whole)
    for width in (1280, 800):
        found = pages.faults(page, owners, width)
        faults = [line for line in found if "planted: " in line]
        for kind in pages.KINDS:
            assert any(f"planted: {kind.replace(' ', '-')}: {kind}" in line for line in faults), (
                kind
            )
        assert len(faults) == len(pages.KINDS), faults
        assert [line for line in found if line not in faults] == []
