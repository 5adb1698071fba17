"""The door of the course: who may come in, and how `.venv` is built, kept true and repaired. No
network."""

import ast
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request

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


def test_uv_leaves_nothing_to_compile(course, monkeypatch):
    """Else every Python that starts would compile TensorFlow again where nothing may be written."""
    monkeypatch.setattr(environment, "run", lambda command: environment.calls.append(command))
    environment.install_with_uv("uv", sys.executable, False, [["-r", "requirements.txt"]])
    assert "--compile-bytecode" in environment.calls[-1]


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


# --- other people's machines -----------------------------------------------------------------------


def python(*words, folder=ROOT, **variables):
    """Runs this Python in a folder; returns its code and what it said, both streams together."""
    kept = {name: value for name, value in os.environ.items() if name != "COURSE_UTILS_ENV"}
    ended = subprocess.run(
        [sys.executable, *map(str, words)],
        cwd=folder,
        env={**kept, "PYTHONPATH": str(ROOT), **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=120,
    )
    return ended.returncode, ended.stdout.decode("utf8", "replace")


BUILDER = """
import pathlib, sys, time
from course_utils import environment
environment.ROOT = pathlib.Path(sys.argv[1])
environment.shutil.which = lambda name: None
really = environment.run
def run(command):
    if "venv" in map(str, command):
        return really(command)
    if "requirements.txt" in command:
        with open(environment.ROOT / "installed", "a") as file:
            file.write("once ")
        time.sleep(1)
environment.run = run
environment.build()
"""


def test_two_builds_at_once_are_one(course):
    command = [sys.executable, "-c", BUILDER, course]
    both = [subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE) for _ in range(2)]
    said = [one.communicate(timeout=60)[0].decode() for one in both]
    assert [one.returncode for one in both] == [0, 0], said
    assert sum("this one waits" in one for one in said) == 1
    assert (course / "installed").read_text() == "once " and environment.state() == "ready"


def test_a_lock_of_a_process_that_died_holds_nobody(course, capsys):
    hold = "import time; from course_utils import environment as e, files\nimport pathlib, sys\n"
    hold += (
        "e.ROOT = pathlib.Path(sys.argv[1])\nwith e.alone(): print(1, flush=True); time.sleep(60)"
    )
    child = subprocess.Popen([sys.executable, "-c", hold, course], cwd=ROOT, stdout=subprocess.PIPE)
    child.stdout.readline()
    with open(course / ".venv.lock", "a+b") as file:
        assert not environment.locked(file)
    child.kill()
    child.communicate()
    with environment.alone():
        assert "waits" not in capsys.readouterr().out


@pytest.fixture(scope="module")
def chinese(tmp_path_factory):
    """A course in a folder with Chinese letters, its environment built and with nothing in it."""
    folder = tmp_path_factory.mktemp("places") / "课程 one"
    (folder / "course_utils").mkdir(parents=True)
    for name in ("__init__", "__main__", "environment", "doctor", "files"):
        shutil.copy(ROOT / "course_utils" / f"{name}.py", folder / "course_utils")
    for name in ("requirements.txt", "pyproject.toml", environment.LOCK):
        shutil.copy(ROOT / name, folder)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / ".venv"], check=True)
    mark = (
        "from course_utils import environment as e; e.stamp().write_text(e.fingerprint(), 'utf8')"
    )
    assert python("-c", mark, folder=folder, PYTHONPATH="") == (0, "")
    return folder


@pytest.mark.parametrize("encoding", ["cp1252", "gbk", "ascii", "utf8"])
def test_a_folder_with_chinese_letters_under_any_encoding(chinese, encoding):
    variables = {"PYTHONUTF8": "0", "PYTHONIOENCODING": encoding, "PYTHONPATH": ""}
    code, said = python("-m", "course_utils", "check", folder=chinese, **variables)
    assert code == 1 and "[OK]   Python" in said  # found ready: nothing is built
    assert "Traceback" not in said and "Building" not in said and "packaging is not" in said


def test_the_stamp_is_the_same_whatever_the_terminal_knows(chinese):
    ask = "from course_utils import environment as e; print(ascii(e.place()))"
    said = {
        python("-c", ask, folder=chinese, PYTHONPATH="", PYTHONUTF8=utf8, LC_ALL=locale)
        for utf8, locale in (("1", "C.UTF-8"), ("0", "C"), ("0", "POSIX"))
    }
    assert len(said) == 1 and "\\u8bfe" in said.pop()[1]


def test_an_editable_install_is_ascii_in_a_folder_with_chinese_letters(tmp_path):
    backend = pytest.importorskip("setuptools.build_meta")
    folder = tmp_path / "课程"
    (folder / "course_utils").mkdir(parents=True)
    (folder / "course_utils" / "__init__.py").touch()
    for name in ("pyproject.toml", "README.md", "LICENSE", "LICENSE-text"):
        shutil.copy(ROOT / name, folder)
    project = (folder / "pyproject.toml").read_text(
        "utf8"
    )  # older setuptools know no licence names
    project = re.sub(r"license(-files)? = .*\n", "", project)
    (folder / "pyproject.toml").write_text(project, "utf8")
    build = f"from {backend.__name__} import build_editable; build_editable({str(tmp_path)!r})"
    code, said = python("-c", build, folder=folder, PYTHONUTF8="1")
    assert code == 0, said
    import zipfile

    with zipfile.ZipFile(next(tmp_path.glob("*.whl"))) as wheel:
        (line,) = (wheel.read(name) for name in wheel.namelist() if name.endswith(".pth"))
    assert line.isascii()  # Python 3.10 to 3.12 read it in the code page of the day


def test_help_survives_a_python_without_docstrings():
    code, said = python("-OO", "-m", "course_utils")
    assert code == 0 and "refresh" in said
    assert python("-m", "course_utils", "train", "--help", PYTHONOPTIMIZE="2") == (0, said)


def test_commands_need_no_standard_streams():
    script = "import os, sys; os.close(0); os.close(1); os.close(2)\n"
    script += "sys.stdin = sys.stdout = sys.stderr = None\n"
    script += "from course_utils import __main__ as door; sys.exit(door.main(['nonsense']))"
    assert python("-c", script) == (2, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="Linux alone has a full device")
def test_output_that_cannot_be_written_is_a_sentence():
    with open("/dev/full", "wb") as full:
        command = [sys.executable, "-m", "course_utils"]
        ended = subprocess.run(command, cwd=ROOT, stdout=full, stderr=subprocess.PIPE)
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"what this command says cannot be written: [Errno 28]")


FOREIGN = """
import os, sys
os.close(2)
sys.stderr = None
from course_utils.backend import keras, quietly, tf
with quietly():
    pass
from course_utils.models import load
from course_utils import compression
print(keras.config.floatx(), keras.config.epsilon(), keras.config.image_data_format())
print(keras.layers.Dense(1).dtype, tf.keras.__name__, compression.baseline(load("docs-tiny")))
"""


def test_what_other_courses_left_changes_no_number(tmp_path):
    said = {"floatx": "float16", "epsilon": 1e-3, "image_data_format": "channels_first"}
    (tmp_path / "keras.json").write_text(json.dumps({**said, "backend": "torch"}))
    left = {"KERAS_HOME": str(tmp_path), "TF_USE_LEGACY_KERAS": "1", "KERAS_MAX_EPOCHS": "1"}
    code, said = python("-c", FOREIGN, **left)  # 4 s: it needs a TensorFlow of its own
    assert code == 0, said
    first, second = said.strip().splitlines()
    assert first == "float32 1e-07 channels_last"
    assert second.startswith("float32 keras.") and 600_000 < int(second.split()[-1]) < 700_000


@pytest.mark.parametrize("backend", ["torch", "jax", "bogus"])
def test_another_backend_is_refused_in_a_sentence(backend):
    code, said = python("-c", "import course_utils.backend", KERAS_BACKEND=backend)
    assert code and f"the variable KERAS_BACKEND says '{backend}'" in said.splitlines()[-1]
    code, said = python("-m", "course_utils", "lab", KERAS_BACKEND=backend)
    assert code == 2 and said.startswith("The course computes with TensorFlow") and backend in said


@pytest.mark.parametrize(
    "settings, sentence",
    [
        ({"floatx": "bfloat16"}, "floatx is 'bfloat16'; allowed are float16, float32, float64"),
        ({"image_data_format": 3}, "image_data_format is 3"),
        ({"epsilon": 1}, "epsilon is 1, no float"),
        ([], "must hold names and values, got []"),
    ],
)
def test_a_keras_json_that_stops_keras_is_named(settings, sentence, tmp_path):
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    code, said = python("-c", "import course_utils.backend", KERAS_HOME=str(tmp_path))
    last = said.strip().splitlines()[-1]
    assert code and sentence in last and "keras.json" in last


def test_words_about_a_package_index_that_is_not_there(monkeypatch):
    for name in (*environment.IN_THE_WAY, *environment.TRUST):
        monkeypatch.delenv(name, raising=False)
    lost = "ERROR: No matching distribution found for tensorflow"
    assert "look at the network first" in environment.advice(lost)
    monkeypatch.setenv("PIP_INDEX_URL", "http://me:secret@127.0.0.1:9/simple")
    said = environment.advice(lost)
    assert "PIP_INDEX_URL says 'http://***@127.0.0.1:9/simple'" in said and "secret" not in said
    monkeypatch.setenv("ALL_PROXY", "socks5h://127.0.0.1:7890")
    said = environment.advice("InvalidSchema: Missing dependencies for SOCKS support.")
    assert "ALL_PROXY says 'socks5h" in said and environment.unset(["ALL_PROXY"]) in said
    monkeypatch.setenv("PIP_CERT", "/etc/other.pem")
    assert "PIP_CERT" in environment.advice("SSLError: CERTIFICATE_VERIFY_FAILED")
    assert "GB free" in environment.advice("OSError: [Errno 28] No space left on device")
    assert environment.advice("error: subprocess-exited-with-error") == ""


def test_without_a_network_no_minutes_are_lost(course, monkeypatch):
    noting = environment.run

    def run(command):
        found = "index" in map(str, command)
        return "ERROR: No matching distribution found" if noting(command) or found else None

    monkeypatch.setattr(environment, "run", run)
    with pytest.raises(environment.BuildError, match="index could not be reached"):
        environment.build()
    assert not any("requirements.txt" in call for call in environment.calls)


def test_a_full_disk_is_said_before_and_after(course, monkeypatch):
    monkeypatch.setattr(
        environment.shutil, "disk_usage", lambda path: type("", (), {"free": 5e8})()
    )
    with pytest.raises(environment.BuildError, match="wants 3 GB, .* has 0.5 GB free"):
        environment.build()


@pytest.mark.skipif(os.name == "nt", reason="links need a privilege there")
def test_an_environment_that_is_a_link(course):
    target = course / "elsewhere"
    environment.home().symlink_to(target, target_is_directory=True)
    with pytest.raises(
        environment.BuildError, match="is a link to .*elsewhere, which is not there"
    ):
        environment.build()
    target.mkdir()
    (target / "mine").touch()
    with pytest.raises(environment.BuildError, match="no environment of this course: remove the"):
        environment.build()
    assert (target / "mine").exists()
    (target / "mine").unlink()
    environment.build()
    assert environment.state() == "ready" and environment.home().is_symlink()
    (target / "pyvenv.cfg").unlink()
    environment.build()  # broken, and ours: built afresh where the link leads
    assert environment.state() == "ready" and environment.home().is_symlink()


def test_a_deep_folder_on_windows_gets_a_sentence():
    assert environment.too_deep(pathlib.PureWindowsPath("C:/course/.venv")) is None
    deep = pathlib.PureWindowsPath("C:/Users/somebody", *["a long name of a folder"] * 4, ".venv")
    assert re.search(r"too deep by \d+ letters .*move the course", environment.too_deep(deep))


def test_no_command_ends_in_a_traceback(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("COURSE_UTILS_ENV", "current")
    (tmp_path / "broken.ipynb").write_text("{}")
    for arguments, words in {
        ("train", "bogus"): "unknown model 'bogus'; choose from: .*docs-tiny",
        ("train",): "train wants one name",
        ("results", "bogus"): "unknown results 'bogus'",
        ("refresh", "nosuch.ipynb"): "nosuch.ipynb does not exist",
        ("refresh", str(tmp_path)): "is a folder",
        ("refresh", str(ROOT / "LICENSE")): "is no notebook",
        ("refresh", str(tmp_path / "broken.ipynb")): "no notebook that can be read .KeyError",
        ("check", "more"): "check takes no more words, got 'more'",
        ("add",): "add wants the name of a model, minilm",
        ("add", "bert"): "add wants the name of a model, minilm, .*, got 'bert'",
        ("add", "minilm", str(tmp_path)): "has no tokenizer.json; wanted are",
    }.items():
        assert door.main(list(arguments)) == 2
        assert re.search(words, capsys.readouterr().err), arguments

    def broken(arguments):
        raise OSError(28, "No space left on device", "/full")

    monkeypatch.setattr(environment, "check", broken)
    assert environment.main("check", []) == 1
    said = capsys.readouterr().err
    assert "check stopped: [Errno 28] No space left on device: '/full'" in said
    log = pathlib.Path(re.search(r"that: (.*)\)", said)[1])
    assert "Traceback" in log.read_text("utf8")
    log.unlink()


# --- Jupyter ---------------------------------------------------------------------------------------


@pytest.fixture
def hostile(tmp_path, monkeypatch):
    """What other courses leave behind: a kernel called python3, a configuration, start-up files, and
    a home that cannot be written."""
    kernel = {"argv": ["no-such-python", "{connection_file}"], "display_name": "old"}
    (tmp_path / "share/kernels/python3").mkdir(parents=True)
    (tmp_path / "share/kernels/python3/kernel.json").write_text(json.dumps(kernel))
    (tmp_path / "config").mkdir()
    (tmp_path / "config/jupyter_server_config.py").write_text(
        "c.ServerApp.root_dir = '/elsewhere'; c.ServerApp.default_url = '/nowhere'\n"
        "c.KernelSpecManager.allowed_kernelspecs = {'old'}; c.ServerApp.port = 1\n"
    )
    (tmp_path / "startup").mkdir()
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "share"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("HOME", str(tmp_path / "no" / "home"))
    monkeypatch.setenv("USERPROFILE", str(tmp_path / "no" / "home"))
    monkeypatch.setenv("PYTHONOPTIMIZE", "2")
    monkeypatch.setenv("COURSE_UTILS_ENV", "current")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    return tmp_path


ANYWHERE = """
import os, sys, pathlib
from course_utils import environment
from course_utils.editions import refresh
with environment.settled():
    print([cell.outputs for cell in refresh.run(pathlib.Path(sys.argv[1]))[0].cells])
"""


def test_a_notebook_runs_with_our_kernel_from_any_folder(hostile):
    import nbformat

    source = "import os, sys\nfrom course_utils import lesson, quantization\n"
    source += "lesson.source(quantization.absmax)\nprint(sys.executable, os.getcwd(), 7 * 6)"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source)])
    path = hostile / "练习.ipynb"
    nbformat.write(notebook, path)
    folder = pathlib.Path(path.anchor)
    code, said = python("-c", ANYWHERE, path, folder=folder)
    assert code == 0 and f"{sys.executable} {hostile} 42" in said, said


@pytest.fixture
def opened(hostile):
    """Starts `lab`; whatever happens afterwards, it and its server are gone in the end."""
    group = {"creationflags": 0x200} if os.name == "nt" else {}
    child = subprocess.Popen(
        [sys.executable, "-m", "course_utils", "lab", "--no-browser", "--ServerApp.port=0"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        **group,
    )
    said = ""
    try:
        while "server.log" not in said and (line := child.stdout.readline()):
            said += line.decode()
        yield child, said
    finally:
        child.kill()  # the server follows
        child.communicate()
        for log in re.findall(r"goes to (.*)\)", said):
            shutil.rmtree(pathlib.Path(log).parent, ignore_errors=True)


def closed(address, seconds=60):
    """Says whether nobody answers at an address any more, within some seconds."""
    for _ in range(5 * seconds):
        try:
            urllib.request.urlopen(address, timeout=20).close()
        except OSError:
            return True
        time.sleep(0.2)
    return False


def test_a_lab_that_is_killed_takes_its_server_along(opened):
    child, said = opened
    address = re.search(r"http\S+\?token=\w+", said)[0]
    assert not closed(address, 1)
    child.kill()
    assert closed(address)


def test_lab_opens_the_first_lesson_whatever_was_configured(opened):  # 5 s: a server starts
    child, said = opened
    try:
        assert "To stop, press Ctrl+C" in said and "Shift+Enter" in said, said
        address = re.search(r"http\S+/lab/tree/notebooks/00_start_here.ipynb\?token=\w+", said)[0]

        def get(place):
            return urllib.request.urlopen(address.replace("lab/tree", place), timeout=20).read()

        assert json.loads(get("api/contents"))["name"] == "00_start_here.ipynb"
        page = get("lab/tree").decode()
        assert "@jupyterlab/apputils-extension:announcements" in page  # among what is switched off
        known = urllib.request.urlopen(
            re.sub(r"lab/tree/.*\?", "api/kernelspecs?", address), timeout=20
        )
        kernels = json.loads(known.read())
        assert kernels["default"] == "python3"
        assert kernels["kernelspecs"]["python3"]["spec"]["argv"][0] == sys.executable
    finally:
        child.send_signal(signal.CTRL_BREAK_EVENT if os.name == "nt" else signal.SIGINT)
        rest = child.communicate(timeout=120)[0].decode()
    assert child.returncode == 0 and "Stopping" in rest
    log = pathlib.Path(re.search(r"goes to (.*)\)", said)[1])
    assert not log.parent.exists()
    with pytest.raises(OSError):
        get("api/contents")


def test_a_server_that_does_not_open_says_where_its_words_are(hostile):
    code, said = python("-m", "course_utils", "lab", "--ServerApp.no_such_thing=1", "--ip=no.such")
    assert code == 1 and "JupyterLab did not open; all it said is in " in said
    log = pathlib.Path(said.strip().splitlines()[-1].split("said is in ")[1])
    assert log.is_file()
    shutil.rmtree(log.parent)


# --- check -----------------------------------------------------------------------------------------


def test_check_knows_every_file_that_should_be_there(tmp_path):
    def tell():
        return [f"{verdict} {line}" for verdict, line in doctor.data(tmp_path / "data")]

    import numpy as np

    from course_utils import container

    (tmp_path / "data").mkdir()
    kept = {
        "one.safetensors": container.pack({"a": np.ones(9)}, {}),
        "two.safetensors": container.pack({"a": np.zeros(7)}, {}),
        "three.json": b'{\n"a": 1}\n',
        "font.otf": b"OTTO" + bytes(40),
    }
    import hashlib

    listed = {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in kept.items()
    }
    put = lambda name, content: (tmp_path / "data" / name).write_bytes(content)  # noqa: E731
    assert tell() == [f"FAIL {tmp_path / 'data' / 'manifest.json'}: missing"]
    put("manifest.json", json.dumps(listed).encode())
    for name, content in kept.items():
        put(name, content)
    assert [line[:4] for line in tell()] == ["OK 4"]
    (tmp_path / "data/one.safetensors").unlink()
    assert tell()[0] == "FAIL data/one.safetensors: missing"
    put("one.safetensors", kept["two.safetensors"])
    assert tell()[0].endswith("not the file this course came with, but two.safetensors")
    put("one.safetensors", container.pack({"a": np.zeros(9)}, {}))
    assert "not the file this course came with (" in tell()[0]
    put("one.safetensors", kept["one.safetensors"][:-1] + b"x")
    assert "data/one.safetensors: damaged (" in tell()[0]
    for name in kept:
        put(name, kept[name][:5])
    assert len(tell()) == 4 and all(": damaged (5 bytes" in line for line in tell())
    put("three.json", kept["three.json"].replace(b"\n", b"\r\n"))
    put("font.otf", b"version https://git-lfs.github.com/spec/v1\n")
    assert "line ends" in tell()[2] and "git lfs pull" in tell()[3]
    put("manifest.json", json.dumps(listed).encode()[:100])
    assert len(tell()) == 1 and "manifest.json: damaged" in tell()[0]


@pytest.mark.skipif(os.name == "nt", reason="there are no such signals there")
def test_check_outlives_a_tensorflow_that_stops_the_processor(tmp_path, monkeypatch):
    (tmp_path / "tensorflow.py").write_text(
        "import os, signal; os.kill(os.getpid(), signal.SIGILL)"
    )
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{ROOT}")
    ((verdict, line),) = doctor.computed()
    assert verdict == "FAIL" and line.startswith("TensorFlow computes 1 + 1: ") and "AVX" in line


def test_ends_of_a_process_are_told_in_words():
    assert "SIGKILL; memory" in doctor.stopped(-9) and "AVX" in doctor.stopped(0xC000001D)
    assert "ended with 3" in doctor.stopped(3)


def test_check_prints_each_line_as_it_comes(monkeypatch, capsys):
    def lines(variables):
        yield "OK", "first"
        assert "[OK]   first" in capsys.readouterr().out
        yield "FAIL", "second"

    monkeypatch.setattr(doctor, "everything", lines)
    assert doctor.check() == 1
    assert capsys.readouterr().out == "[FAIL] second\n"


def test_text_is_found_wherever_packages_lie_and_missing_ones_are_named(tmp_path, monkeypatch):
    from course_utils.datasets import docs

    for name in docs.PACKAGES:  # one of them at home, as after `pip install --user`
        (tmp_path / name / name).mkdir(parents=True)
        (tmp_path / name / name / "__init__.py").write_text("x = 1")
    places = {name: [str(tmp_path / name / name)] for name in docs.PACKAGES}
    spec = type("Spec", (), {"submodule_search_locations": None})
    find = lambda name: type("", (spec,), {"submodule_search_locations": places.get(name)})  # noqa: E731
    monkeypatch.setattr(docs.importlib.util, "find_spec", find)
    docs.folder.cache_clear()
    try:
        found = docs.sources.__wrapped__()
        assert found == tuple(sorted(f"{name}/__init__.py" for name in docs.PACKAGES))
        places.pop("matplotlib")
        docs.folder.cache_clear()
        with pytest.raises(ValueError, match="matplotlib is not installed for .*: pip install"):
            docs.sources.__wrapped__()
    finally:
        docs.folder.cache_clear()
