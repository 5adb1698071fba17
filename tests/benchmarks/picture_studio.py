"""Takes the picture of the studio that README.md shows, in JupyterLab in Chromium.

python tests/benchmarks/picture_studio.py
"""

import pathlib
import sys
import tempfile

import nbformat

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from browser import browser, jupyter, open_notebook, run_all

from course_utils.files import ROOT

PICTURE = ROOT / ".github" / "images" / "studio.png"
CODE = 'from course_utils.widgets.studio import Studio\n\nStudio("docs-base")'
MOVES = [("Q", "0.01"), ("Q", "0.02"), ("Q", "0.05"), ("Q", "0.1"), ("θ", "0.02")]
READOUTS = ("accuracy", "perplexity", "size", "times", "bits", "removed")
FRAME = ".course-explorer { padding: 12px; background: white; }"
MOVED = "old => document.querySelector('.course-cards').parentElement.innerText !== old"


def take(page):
    """Moves the sliders, one after the other, and takes the picture; returns what it says."""
    page.locator(".studio-size").wait_for()
    for name, value in MOVES:
        before = page.evaluate("document.querySelector('.course-cards').parentElement.innerText")
        box = page.get_by_label(name, exact=True)
        box.fill(value)
        box.press("Enter")
        page.wait_for_function(MOVED, arg=before)
        page.wait_for_timeout(2000)  # the text sample comes after the numbers
    page.evaluate("document.activeElement.blur()")
    page.add_style_tag(content=FRAME)
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    page.locator(".course-explorer").screenshot(path=str(PICTURE))
    said = [page.locator(f".studio-{name}").inner_text() for name in READOUTS]
    return dict(zip(READOUTS, said)), page.locator(".studio-sample").inner_text()


def main():
    kernel = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    cell = nbformat.v4.new_code_cell(CODE)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "studio.ipynb"
        nbformat.write(nbformat.v4.new_notebook(cells=[cell], metadata=kernel), path)
        with jupyter(path) as server, browser(server, 1170, 1300) as page:
            open_notebook(page, path.name)
            run_all(page)
            readouts, sample = take(page)
    print(f"{PICTURE.relative_to(ROOT)}, for its description in README.md:")
    print(*(f"{name:<11}{said}" for name, said in readouts.items()), sample, sep="\n")


if __name__ == "__main__":
    main()
