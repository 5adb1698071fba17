"""The first minute: from `lab` to a slider that answers, as a person does it, in Chromium.

    python3 tests/benchmarks/first_minute.py            # prints the seconds
    python3 tests/benchmarks/first_minute.py FOLDER     # and puts pictures of the way there

The environment must have been built, with what tests need (`python3 -m course_utils test`).
"""

import pathlib
import re
import subprocess
import sys
import tempfile
import time

from playwright.sync_api import sync_playwright

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent))
from browser import FLAGS, screenshot

from course_utils import doctor
from course_utils.files import ROOT

ADDRESS = re.compile(r"http://(?:localhost|127\.0\.0\.1):\d+/\S+")
CELLS = 3  # the title, what the sliders mean, the sliders


def address(lab, log, seconds=120):
    """Waits until `lab` says where it is open."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and lab.poll() is None:
        if found := ADDRESS.search(log.read_text("utf8")):
            return found[0]
        time.sleep(0.1)
    raise RuntimeError(f"lab did not open:\n{log.read_text('utf8')[-2000:]}")


def walk(page, url, reached):
    """Opens the first lesson, runs its first cells by key as its text asks, moves a slider."""
    page.goto(url)
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    reached("the lesson is on the page")
    page.locator(".jp-Notebook .jp-Cell").first.click()
    for _ in range(CELLS):
        page.keyboard.press("Shift+Enter")
        page.wait_for_timeout(100)
    page.wait_for_selector(".course-explorer .noUi-handle")
    reached("a slider is on the page")
    shown = page.locator(".course-explorer").first
    before = shown.inner_text()
    page.locator(".noUi-handle").first.focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_function(
        "old => document.querySelector('.course-explorer').innerText !== old", arg=before
    )
    reached("the slider has answered")


def main(folder=None):
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as base, sync_playwright() as kit:
        log, begun, spent = pathlib.Path(base) / "log", time.monotonic(), 0
        command = [sys.executable, "-m", "course_utils", "lab", "--no-browser", "--port=0"]
        with open(log, "w") as said:
            lab = subprocess.Popen(command, cwd=ROOT, stdout=said, stderr=subprocess.STDOUT)

        def reached(what):
            nonlocal spent  # taking the pictures is not on the way
            print(f"{time.monotonic() - begun - spent:5.1f} s  {what}", flush=True)
            start = time.monotonic()
            for width in (1280, 800) if folder else ():
                screenshot(
                    page, pathlib.Path(folder) / f"{what}-{width}.png".replace(" ", "-"), width
                )
            spent += time.monotonic() - start

        try:
            url = address(lab, log)
            page = kit.chromium.launch(executable_path=doctor.browser(), args=FLAGS).new_page(
                viewport={"width": 1280, "height": 900}
            )
            page.set_default_timeout(60_000)
            reached("lab says where it is open, and a browser")
            walk(page, url, reached)
        finally:
            lab.terminate()
            lab.wait(60)
        print(log.read_text("utf8"))


if __name__ == "__main__":
    main(*sys.argv[1:])
