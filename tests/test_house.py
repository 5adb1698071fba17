"""The house rules hold: imports point down, the code is in one form, examples say what is true."""

import os
import re
import shutil
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from course_utils import SUPPORTED
from course_utils.files import ROOT

RUFF = [sys.executable, "-m", "ruff"]


def run(command, folder=ROOT):
    """Runs a command in a folder, where that folder's own course_utils is found first."""
    env = {**os.environ, "PYTHONPATH": str(folder)}
    return subprocess.run(
        list(map(str, command)), cwd=folder, env=env, capture_output=True, text=True
    )


def imports(folder):
    ask = "import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))"
    return run([sys.executable, "-c", ask], folder)


@pytest.fixture
def house(tmp_path):
    """A copy of the package with the files that say what it must be like."""
    for name in ("course_utils", "tests"):
        ignore = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, tmp_path / name, ignore=ignore)
    for name in ("pyproject.toml", "README.md", "conftest.py"):
        shutil.copy(ROOT / name, tmp_path)
    return tmp_path


def plant(path, old, new):
    """Puts a fault into a file."""
    text = path.read_text("utf8")
    assert old in text
    path.write_text(text.replace(old, new, 1), "utf8")


def test_imports_only_point_down():
    found = imports(ROOT)
    assert found.returncode == 0, found.stdout


def test_an_import_that_points_up_is_found(house):
    plant(
        house / "course_utils/checks.py",
        "import numpy",
        "from course_utils import widgets\nimport numpy",
    )
    found = imports(house)
    assert found.returncode == 1 and "course_utils.checks is not allowed to import" in found.stdout


def test_a_room_that_the_contract_does_not_know_is_found(house):
    (house / "course_utils/attic.py").write_text("", "utf8")
    found = imports(house)
    assert found.returncode == 1 and "attic" in found.stdout + found.stderr


def test_the_code_is_in_one_form():
    found = run([*RUFF, "format", "--check", "."])
    assert found.returncode == 0, found.stdout
    found = run([*RUFF, "check", "--output-format", "concise", "."])
    assert found.returncode == 0, found.stdout


def test_a_file_in_another_form_is_found(house):
    plant(house / "course_utils/checks.py", "import numpy as np", "import numpy  as np")
    assert "checks.py" in run([*RUFF, "format", "--check", "."], house).stdout
    plant(house / "course_utils/files.py", "import os", "import os, sys")
    found = run([*RUFF, "check", "."], house)
    assert found.returncode == 1 and "files.py" in found.stdout


def test_a_false_example_is_found(house):
    plant(house / "course_utils/quantization.py", "(4, 1, 0)", "(4, 1, 1)")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    found = run([*command, "course_utils/quantization.py", "--rootdir", house], house)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "bits_for" in found.stdout and "1 failed" in found.stdout


def test_every_example_of_a_docstring_is_run(request):
    """What begins with >>> is collected by pytest: the option stands in pyproject.toml."""
    assert "--doctest-modules" in request.config.getini("addopts")
    assert "course_utils" in request.config.getini("testpaths")
    for path in (ROOT / "course_utils").rglob("*.py"):
        assert "doctest: +SKIP" not in path.read_text("utf8"), path


def needed(name):
    """Returns what a file asks for, or [project] of pyproject.toml: by package, the versions."""
    text = (ROOT / name).read_text("utf8").partition("[tool.")[0]
    quoted = name.endswith("toml")
    lines = re.findall(r'^ +"([a-z][^"]*)",' if quoted else r"^([a-z].*)$", text, re.MULTILINE)
    if quoted:
        lines += (
            re.findall(r"^(?:author|cluster) = \[(.*)\]", text, re.MULTILINE)[0]
            .strip('"')
            .split('", "')
        )
    found = {}
    for line in lines:
        package, versions = re.match(r"([\w.-]+)(?:\[\w+\])?([^;]*)", line).groups()
        found.setdefault(package.lower().replace("_", "-"), []).append(versions.strip())
    return found


def test_the_lock_holds_a_version_of_everything_that_is_asked_for():
    locked = needed("requirements.lock")
    for file in ("requirements.txt", "pyproject.toml"):
        for package, (allowed, *_) in needed(file).items():
            assert package in locked, f"{package} of {file} is not in requirements.lock"
            for version in locked[package]:
                assert version.removeprefix("==") in SpecifierSet(allowed), (package, version)
    text = (ROOT / "requirements.lock").read_text("utf8")
    assert not re.search(r"https?:|file:|--index| @ ", text)


def closed(pins, releases):
    """Lists the pins of a lock that pip would refuse: releases closed to a Python they are for.

    Args:
        pins: Lines of a lock.
        releases: For each name and version that is known, which Pythons it is for.
    """
    found = []
    for pin in map(Requirement, pins):
        (version,) = (one.version for one in pin.specifier)
        opened = SpecifierSet(releases.get((canonicalize_name(pin.name), version)) or "")
        found += [
            f"{pin.name} {version} is not for Python {python}"
            for python in (f"{major}.{minor}.9" for major, minor in SUPPORTED)
            if (pin.marker is None or pin.marker.evaluate(described(python)))
            and python not in opened
        ]
    return found


def described(python):
    """Returns what markers ask of a Python."""
    return {"python_version": python.rpartition(".")[0], "python_full_version": python}


def test_every_pin_can_be_installed_on_each_python_it_is_for():
    """uv installs a release that is closed to its Python, and pip does not. Judged by the releases
    that are installed here."""
    text = (ROOT / "requirements.lock").read_text("utf8")
    pins = [line for line in text.splitlines() if not line.startswith("#")]
    releases = {
        (canonicalize_name(one.name), one.version): one.metadata["Requires-Python"]
        for one in metadata.distributions()
    }
    assert closed(pins, releases) == []
    planted = {("strenum", "1.3.1"): "<3.11,>=3.8.6"}
    assert closed(["strenum==1.3.1 ; python_version < '3.11'"], planted) == []
    assert closed(["strenum==1.3.1"], planted)[0] == "strenum 1.3.1 is not for Python 3.11.9"


def test_a_package_named_in_two_places_is_pinned_alike():
    package = needed("pyproject.toml")
    for name, allowed in needed("requirements.txt").items():
        assert package.get(name, allowed)[0] == allowed[0], name


def test_a_minor_of_0_is_pinned_like_a_major():
    for file in ("requirements.txt", "pyproject.toml"):
        for package, (allowed, *_) in needed(file).items():
            assert not re.fullmatch(r"~=0\.\d+", allowed), f"{package}{allowed} in {file}"
