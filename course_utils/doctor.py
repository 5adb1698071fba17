"""Says [OK] or [FAIL] for everything that the course stands on."""

import os
import shutil
import sys
from importlib import metadata

from course_utils.files import ROOT

BROWSERS = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "chrome",
    "msedge",
    "microsoft-edge",
)
PLACES = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    os.path.expandvars(r"%ProgramFiles%\Google\Chrome\Application\chrome.exe"),
    os.path.expandvars(r"%ProgramFiles(x86)%\Microsoft\Edge\Application\msedge.exe"),
)


def check():
    """Prints a line for everything the course stands on; returns 1 if something is missing."""
    # any other Python was refused at the door
    results = [("OK", f"Python {sys.version.split()[0]}, {sys.executable}")]
    results += requirements()
    results += [attempt("TensorFlow computes 1 + 1", add)]
    results += shipped()
    found = browser()
    results += [
        ("OK", f"browser, {found}")
        if found
        else ("--", "Chromium, Chrome or Edge: only needed for the browser test")
    ]
    for verdict, what in results:
        print(f"{f'[{verdict}]':<7}{what}")
    return int(any(verdict == "FAIL" for verdict, _ in results))


def requirements():
    """Returns a verdict and a line for each package that the course needs: is it installed, and new
    enough?"""
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return [("FAIL", "packaging is not installed: pip install -r requirements.txt")]
    results = []
    for line in asked_for():
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate({"extra": ""}):
            continue
        try:
            found = metadata.version(wanted.name)
        except metadata.PackageNotFoundError:
            found = "nothing"
        good = found != "nothing" and wanted.specifier.contains(found, prereleases=True)
        results.append(
            ("OK", f"{wanted.name} {found}") if good else ("FAIL", f"{line}: {found} is installed")
        )
    return results


def asked_for():
    """Returns the lines of requirements.txt, and what the package itself asks for, each once."""
    lines = (ROOT / "requirements.txt").read_text("utf8").splitlines()
    lines = [line.partition("#")[0].strip() for line in lines]
    try:
        own = metadata.requires("course_utils") or []
    except metadata.PackageNotFoundError:
        own = ["course_utils"]  # which is then found to be missing
    return list(dict.fromkeys(line for line in [*lines, *own] if line and line[0] != "-"))


def attempt(what, function):
    try:
        function()
    except Exception as error:
        return "FAIL", f"{what}: {type(error).__name__}: {error}"
    return "OK", what


def add():
    from course_utils.backend import tf

    if int(tf.constant(1) + tf.constant(1)) != 2:
        raise ArithmeticError("1 + 1 is not 2")


def shipped():
    """Returns a verdict and a line for each model that comes with the course: does it load?"""
    try:
        from course_utils import models

        results = [
            attempt(f"model {name}", lambda name=name: models.load(name)) for name in models.names()
        ]
        return results or [("FAIL", "models: none in data/models")]
    except Exception as error:
        return [("FAIL", f"models: {type(error).__name__}: {error}")]


def browser():
    """Returns the path of an installed Chromium, Chrome or Edge, or None."""
    found = (shutil.which(name) for name in BROWSERS)
    return next((path for path in (*found, *PLACES) if path and os.path.exists(path)), None)
