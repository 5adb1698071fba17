"""The sweep, which conftest.py adds to every notebook, visits every position; and proof that it can
fail."""

import contextlib
import os
import subprocess
import sys

import nbformat
import pytest
from sweep import Report, SweepError, kernel, move_everything, run_cells

from course_utils.files import ROOT

# Empties a kernel, with the last error, whose frames hold on to what failed; says how many widgets
# outlive that.
CLEAN = """
get_ipython().reset(new_session=True)
import gc, sys, ipywidgets
ipywidgets.Widget.close_all()
shell = get_ipython()
shell.last_execution_result = shell.InteractiveTB.tb = shell.InteractiveTB.evalue = None
sys.last_value = sys.last_traceback = sys.last_exc = None
gc.collect()
print(sum(isinstance(thing, ipywidgets.Widget) for thing in gc.get_objects()))
"""


@pytest.fixture(scope="module")
def empty(tmp_path_factory):
    """Gives a kernel with nothing in it: the last one, or another where something is left."""
    with contextlib.ExitStack() as stack:
        running = []

        def empty():
            if running and running[0].run(CLEAN, 60) != ("0\n", None):
                running.clear()
            if not running:
                running.append(stack.enter_context(kernel(tmp_path_factory.mktemp("kernel"))))
            return running[0]

        yield empty


@pytest.fixture
def sweep(empty):
    """Runs a notebook in an empty kernel and moves everything in it."""

    def sweep(path):
        here = empty()
        return Report(run_cells(here, path), move_everything(here, path.name))

    return sweep


def notebook(folder, *cells):
    path = folder / "lesson.ipynb"
    nbformat.write(
        nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells]), path
    )
    return path


def test_visits_every_position_and_leaves_the_controls_as_they_were(sweep, tmp_path):
    explorer = """
from course_utils.widgets import Explorer, choice, log_slider, slider
seen = []
def compute(**values):
    seen.append(tuple(values.values()))
    return values
lesson = Explorer(compute, str, Q=log_slider("Q", 0.01, 1, 0.1, off=True), bits=slider("bits", 2, 8, 1, 4),
                  rule=choice("rule", ["step", "absmax"], "step"))
lesson"""
    report = sweep(
        notebook(
            tmp_path,
            explorer,
            "import ipywidgets; plain = ipywidgets.FloatLogSlider(min=-2, max=2)",
        )
    )
    assert report.cells == 2
    values = {}
    for owner, control, value in report.moves:
        values.setdefault((owner, control), []).append(value)
    assert values[("lesson", "Q")][0] == "None" and values[("lesson", "Q")][-1] == "1.0"
    assert values[("lesson", "bits")] == ["2", "5", "8"] and values[("lesson", "rule")] == [
        "'step'",
        "'absmax'",
    ]
    assert values[("plain", "")] == ["0.01", "1.0", "100.0"]
    assert len(values) == 4  # the explorers' own parts are not swept a second time


BROKEN = {
    "explorer": """
from course_utils.widgets import Explorer, slider
broken = Explorer(lambda bits: 1 // (8 - bits), str, bits=slider("bits", 2, 8, 1, 4))""",
    "empty": """
from course_utils.widgets import Explorer, slider
broken = Explorer(lambda bits: bits, lambda bits: "" if bits == 8 else "seen", bits=slider("bits", 2, 8, 1, 4))""",
    "dead": """
from course_utils.widgets import Explorer, slider
broken = Explorer(lambda bits: 1, str, bits=slider("bits", 2, 8, 1, 4))""",
    "closed, yet alive": """
from course_utils.widgets import Explorer, slider
broken = Explorer(lambda bits: bits, str, lambda values: {"bits": "Not used."}, bits=slider("bits", 2, 8, 1, 4))""",
    "interact": """
import ipywidgets
bits = ipywidgets.IntSlider(4, 2, 8, description="bits")
ipywidgets.interactive(lambda b: 1 // (8 - b), b=bits)""",
    "interactive_output": """
import ipywidgets
bits = ipywidgets.IntSlider(4, 2, 8, description="bits")
def f(bits): 1 // (8 - bits)
out = ipywidgets.interactive_output(f, {"bits": bits})""",
    "observe": """
import ipywidgets
bits = ipywidgets.IntSlider(4, 2, 8, description="bits")
bits.observe(lambda change: 1 // (8 - change["new"]), "value")""",
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_widget_is_found(sweep, tmp_path, kind):
    with pytest.raises(
        SweepError, match=r"lesson\.ipynb: .*'bits' at 8: (ZeroDivisionError|AssertionError)"
    ):
        sweep(notebook(tmp_path, BROKEN[kind]))


@pytest.mark.parametrize("where, found", [((1, 1), "'one' and 'two' overlap"), ((1, 2.4), "")])
def test_words_that_touch_in_a_live_picture_are_found(sweep, tmp_path, where, found):
    picture = f"""
from course_utils.chart import Axis, Chart, Note
from course_utils.widgets import Explorer, slider
def show(y):
    notes = [Note(1, 1, "one"), Note({where[0]}, y, "two")]
    return [Chart(notes, Axis(low=0, high=4), Axis(low=0, high=4), title=f"at {{y}}")]
notes = Explorer(lambda y: y, show, y=slider("y", {where[1]}, 3, 0.1, 3))"""
    if not found:
        assert len(sweep(notebook(tmp_path, picture)).moves) == 3
        return
    with pytest.raises(SweepError, match=found):
        sweep(notebook(tmp_path, picture))


def test_a_message_for_the_learner_is_no_failure(sweep, tmp_path):
    careful = """
from course_utils.widgets import Explorer, slider
def compute(bits):
    if bits == 8:
        raise ValueError("8 bits are taken")
    return bits
careful = Explorer(compute, str, bits=slider("bits", 2, 8, 1, 4))"""
    assert len(sweep(notebook(tmp_path, careful)).moves) == 3


def test_a_broken_cell_is_found_and_an_announced_one_is_not(sweep, tmp_path):
    assert sweep(notebook(tmp_path, "# NBVAL_RAISES_EXCEPTION\n1 / 0")).cells == 1
    with pytest.raises(SweepError, match="ZeroDivisionError"):
        sweep(notebook(tmp_path, "1 / 0"))


def test_pytest_itself_moves_the_controls_of_a_notebook(tmp_path):
    notebook(tmp_path, BROKEN["observe"])
    (tmp_path / "conftest.py").write_text((ROOT / "conftest.py").read_text("utf8"), "utf8")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "--nbval-lax",
        "--nbval-current-env",
        "-p",
        "no:cacheprovider",
    ]
    run = subprocess.run(
        command,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT / "tests")},
        capture_output=True,
        text=True,
    )
    assert "1 failed, 1 passed" in run.stdout and "'bits' at 8: ZeroDivisionError" in run.stdout, (
        run.stdout
    )
