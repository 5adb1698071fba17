"""Says [OK] or [FAIL] for everything that the course stands on."""

import os
import shutil
import sys

from course_utils.files import ROOT


def check():
    """Prints a line for everything the course stands on; returns 1 if something is missing."""
    results = [
        ("OK", f"Python {sys.version.split()[0]}, {sys.executable}")
    ]  # any other was refused at the door
    results += requirements()
    results += [attempt("TensorFlow computes 1 + 1", add)]
    results += shipped()
    browser = chromium()
    results += [
        ("OK", f"Chromium, {browser}")
        if browser
        else ("--", "Chromium: only needed for the browser test")
    ]
    for verdict, what in results:
        print(f"{f'[{verdict}]':<7}{what}")
    return int(any(verdict == "FAIL" for verdict, _ in results))


def requirements():
    """Returns a verdict and a line for each package of requirements.txt: is it installed, and new
    enough?"""
    from importlib import metadata

    try:
        from packaging.requirements import Requirement
    except ImportError:
        return [("FAIL", "packaging is not installed: pip install -r requirements.txt")]
    results = []
    for line in (ROOT / "requirements.txt").read_text("utf8").splitlines():
        line = line.partition("#")[0].strip()
        if not line or line.startswith("-"):
            continue
        wanted = Requirement(line)
        if wanted.marker and not wanted.marker.evaluate():
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


def chromium():
    """Returns the path of a Chromium or Chrome on this machine, or None."""
    for name in ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"):
        if shutil.which(name):
            return shutil.which(name)
    usual = (
        "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
        "/Applications/Chromium.app/Contents/MacOS/Chromium",
        "C:/Program Files/Google/Chrome/Application/chrome.exe",
    )
    return next((path for path in usual if os.path.exists(path)), None)
