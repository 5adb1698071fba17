"""The door of the course: who may come in, and how `.venv` is built, kept true and repaired. No
network."""

import ast
import json
import os
import subprocess
import sys

import pytest

from course_utils import SUPPORTED, doctor, environment
from course_utils import __main__ as door
from course_utils.files import ROOT

LAB = ["-m", "course_utils", "lab"]


@pytest.mark.parametrize("version", [(3, 10), (3, 11), (3, 12), (3, 13)])
def test_supported_pythons_come_in(version):
    assert door.refusal(version, "Linux", "x86_64", LAB) is None
    assert door.refusal(version, "Darwin", "arm64", LAB) is None


@pytest.mark.parametrize("version", [(2, 7), (3, 6), (3, 9), (3, 14)])
def test_other_pythons_hear_what_to_type(version):
    found = door.refusal(
        version, "Linux", "x86_64", LAB, starts=lambda command: command == ["python3.11"]
    )
    assert "this is Python {}.{}".format(*version) in found and found.endswith(
        "python3.11 -m course_utils lab"
    )
    launcher = door.refusal(
        version, "Windows", "AMD64", LAB, starts=lambda command: command[0] == "py"
    )
    assert launcher.endswith("py -3.13 -m course_utils lab")
    assert "https://www.python.org" in door.refusal(
        version, "Linux", "x86_64", LAB, starts=lambda command: False
    )


def test_intel_macs_hear_of_binder_and_docker():
    assert "Docker" in door.refusal((3, 12), "Darwin", "x86_64", LAB)


def test_a_stand_in_that_starts_nothing_is_not_suggested(tmp_path, monkeypatch):
    name = "python3.12" + (".bat" if os.name == "nt" else "")
    (tmp_path / name).write_text("@exit 127" if os.name == "nt" else "#!/bin/sh\nexit 127\n")
    (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert not door.starts(["python3.12"])
    assert door.starts([sys.executable])


def test_an_old_python_can_read_the_door():
    for name in ("__main__.py", "__init__.py"):
        tree = ast.parse((ROOT / "course_utils" / name).read_text("utf8"), feature_version=(3, 4))
        assert not [node for node in ast.walk(tree) if isinstance(node, ast.JoinedStr)]


def test_import_stays_light():
    ask = "import course_utils.__main__, course_utils.environment, sys; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", ask], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert not {"numpy", "tensorflow", "keras"} & set(loaded.split())


def test_the_supported_pythons_are_the_same_everywhere():
    names = [f"{major}.{minor}" for major, minor in SUPPORTED]
    workflow = (ROOT / ".github/workflows/ci.yml").read_text("utf8")
    assert f"python: {json.dumps(names)}" in workflow
    project = (ROOT / "pyproject.toml").read_text("utf8")
    above = f"{SUPPORTED[-1][0]}.{SUPPORTED[-1][1] + 1}"
    assert f'requires-python = ">={names[0]},<{above}"' in project
    readme = (ROOT / "README.md").read_text("utf8")
    assert all(name in readme for name in names) and above not in readme


@pytest.mark.parametrize("arguments, code", [([], 0), (["--help"], 0), (["nonsense"], 2)])
def test_help_and_mistakes_build_nothing(arguments, code, monkeypatch, capsys):
    monkeypatch.setattr(
        environment, "main", lambda *_: pytest.fail("no environment is needed for this")
    )
    assert door.main(arguments) == code
    printed = capsys.readouterr()
    assert all(name in printed.out + printed.err for name in door.COMMANDS)


@pytest.fixture
def course(tmp_path, monkeypatch):
    """A course that needs nothing, whose installers only take notes: `calls` is what they were
    asked."""
    (tmp_path / "requirements.txt").write_text("# nothing\n")
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / environment.LOCK).write_text("")
    monkeypatch.setattr(environment, "ROOT", tmp_path)
    monkeypatch.setattr(doctor, "ROOT", tmp_path)
    monkeypatch.setattr(environment.shutil, "which", lambda name: None)
    monkeypatch.delenv("COURSE_UTILS_ENV", raising=False)
    calls, really = [], environment.run

    def run(command):
        command = [str(word) for word in command]
        calls.append(command)
        if "uv" in command:
            return "uv is out of order"
        return (
            really(command) if "venv" in command else None
        )  # a real environment, and no installer in it

    monkeypatch.setattr(environment, "run", run)
    environment.calls = calls
    yield tmp_path
    del environment.calls


def test_a_new_course_is_built_and_then_ready(course):
    assert environment.state() == "absent"
    environment.build()
    assert environment.state() == "ready"
    assert environment.calls[-1][1:] == [
        "-m",
        "pip",
        "install",
        "--no-input",
        "-r",
        "requirements.txt",
        "-c",
        "requirements.lock",
    ]
    assert environment.calls[-1][0] == str(environment.python())


def test_what_only_tests_need_is_added_the_first_time_they_run(course):
    environment.build()
    assert environment.state() == "ready" and environment.state(tests=True) == "outdated"
    environment.build(tests=True)
    extra = ["-m", "pip", "install", "--no-input", "-e", ".[test]", "-c", "requirements.lock"]
    assert environment.calls[-1][1:] == extra
    assert environment.state() == environment.state(tests=True) == "ready"
    (course / "requirements.txt").write_text("# changed\n")
    environment.build()  # `lab` after it keeps what is there up to date
    assert environment.calls[-1][1:] == extra and environment.state(tests=True) == "ready"


@pytest.mark.parametrize("name", ["requirements.txt", "pyproject.toml", environment.LOCK])
def test_changed_requirements_update_in_place(course, name):
    environment.build()
    kept = environment.home() / "kept"
    kept.touch()
    (course / name).write_text("# changed\n")
    assert environment.state() == "outdated"
    environment.build()
    assert environment.state() == "ready" and kept.exists()


def test_an_interrupted_build_begins_again(course, monkeypatch):
    noting = environment.run

    def interrupted(command):
        if "install" in command:
            raise KeyboardInterrupt
        return noting(command)

    monkeypatch.setattr(environment, "run", interrupted)
    assert environment.main("check", []) == 130
    assert environment.python().exists() and environment.state() == "absent"
    half = environment.home() / "half"
    half.touch()
    monkeypatch.setattr(environment, "run", noting)
    environment.build()
    assert environment.state() == "ready" and not half.exists()


def test_a_failed_update_keeps_what_was_there(course, monkeypatch):
    environment.build()
    (course / "requirements.txt").write_text("# changed\n")
    noting = environment.run
    monkeypatch.setattr(
        environment,
        "run",
        lambda command: "no network" if "install" in command else noting(command),
    )
    with pytest.raises(environment.BuildError, match="no network"):
        environment.build()
    assert environment.state() == "outdated"


def test_a_failed_build_says_why_and_ends_with_1(course, monkeypatch, capsys):
    noting = environment.run
    monkeypatch.setattr(
        environment, "run", lambda command: "disk full" if "install" in command else noting(command)
    )
    assert environment.main("check", []) == 1
    assert "disk full" in capsys.readouterr().err
    assert environment.state() == "absent"


def test_a_moved_course_is_built_afresh(course, monkeypatch):
    environment.build()
    moved = course.with_name(course.name + "-moved")
    course.rename(moved)
    monkeypatch.setattr(environment, "ROOT", moved)
    assert environment.state() == "absent"


def test_an_environment_made_by_hand_is_kept(course):
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment.home()], check=True)
    assert environment.state() == "outdated"


def test_pip_takes_over_where_uv_fails(course, monkeypatch, capsys):
    monkeypatch.setattr(environment.shutil, "which", lambda name: name)
    environment.build()
    assert environment.calls[0][:2] == ["uv", "venv"] and environment.calls[-1][1:3] == [
        "-m",
        "pip",
    ]
    assert "pip tries" in capsys.readouterr().out
    assert environment.state() == "ready"


def test_the_hosts_pip_helps_where_ensurepip_is_missing(course, monkeypatch):
    noting = environment.run
    missing = {"ensurepip", "--version"}
    monkeypatch.setattr(
        environment, "run", lambda words: "no" if missing & set(words) else noting(words)
    )
    environment.build()
    assert any("--target" in call and call[-1] == "pip" for call in environment.calls)
    assert environment.state() == "ready"


def test_a_place_that_cannot_be_written_gets_a_sentence(course, capsys):
    environment.home().write_text("a file, where a folder should be")
    assert environment.main("lab", []) == 1
    assert "cannot be written" in capsys.readouterr().err


def test_another_pythons_variables_stay_outside(course, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    monkeypatch.setenv("PYTHONHOME", "elsewhere")
    variables = environment.variables()
    assert "PYTHONPATH" not in variables and "PYTHONHOME" not in variables
    assert variables["PATH"].split(os.pathsep)[0] == str(environment.python().parent)


def test_current_uses_the_python_that_runs(course, monkeypatch):
    monkeypatch.setenv("COURSE_UTILS_ENV", "current")
    monkeypatch.setattr(environment, "check", lambda arguments: 7)
    assert environment.main("check", []) == 7
    assert not environment.home().exists()


def test_check_tells_missing_and_old_from_good(course):
    lines = [
        "pytest~=9.0  # why",
        "numpy~=99.0",
        "no-such-package",
        "not-here; python_version < '3'",
        "-e .",
    ]
    (course / "requirements.txt").write_text("\n".join(lines))
    verdicts = doctor.requirements()
    assert [verdict for verdict, _ in verdicts[:3]] == ["OK", "FAIL", "FAIL"]
    assert "numpy~=99.0" in verdicts[1][1] and "nothing is installed" in verdicts[2][1]


def test_an_installers_last_words_are_kept(course, monkeypatch):
    monkeypatch.undo()
    monkeypatch.setattr(environment, "ROOT", course)
    environment.home().mkdir()
    assert environment.run([sys.executable, "-c", "print('fine')"]) is None
    said = environment.run([sys.executable, "-c", "print('no space left'); raise SystemExit(3)"])
    assert "no space left" in said and "ended with 3" in said
    # silence is a failure too
    assert environment.run([sys.executable, "-c", "raise SystemExit(1)"])
