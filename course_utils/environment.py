"""The environment in `.venv`: builds it, brings it up to date, and runs the course's commands
inside it.

Until the environment exists there is only Python itself, so this module imports the standard
library alone.
"""

import hashlib
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

from course_utils import SUPPORTED
from course_utils.files import ROOT

TESTS = "with tests\n"
LOCK = "requirements.lock"  # the versions that gave the numbers which the lessons print
UNFINISHED = "unfinished\n"  # in the stamp while an installer runs; whoever finds it begins again


class BuildError(Exception):
    """The environment cannot be built; the message is for the learner."""


def home():
    return ROOT / ".venv"


def stamp():
    return home() / "course_utils.stamp"


def python():
    return home() / ("Scripts/python.exe" if os.name == "nt" else "bin/python")


def fingerprint(tests=False):
    """What a finished environment was built from: the folder it points to, the files that say what
    is in it, and whether what only tests need is there, too."""
    files = [(ROOT / name).read_bytes() for name in ("requirements.txt", "pyproject.toml", LOCK)]
    digest = hashlib.sha256(b"|".join(files)).hexdigest()
    return f"{ROOT}\n{digest}\n{TESTS * tests}"


def has_tests():
    """Says whether the environment holds what only tests need."""
    return stamp().exists() and stamp().read_text("utf8").endswith(TESTS)


def works():
    """Says whether `.venv` holds a Python that starts, is supported, and belongs there (folders get
    moved)."""
    ask = f"import sys; print(sys.version_info[:2] in {SUPPORTED}); print(sys.prefix)"
    try:
        answer = subprocess.run(
            [python(), "-c", ask], capture_output=True, text=True, env=variables(), timeout=60
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    supported, _, prefix = answer.stdout.strip().partition("\n")
    return answer.returncode == 0 and supported == "True" and same(prefix, home())


def state(tests=False):
    """Returns `"ready"`, `"outdated"` (can be brought up to date in place) or `"absent"` (must be
    built afresh).

    Args:
        tests: Whether what only tests need is asked for.
    """
    if not works():
        return "absent"
    if not stamp().exists():
        return "outdated"  # made by hand, with `python3 -m venv .venv`
    found = stamp().read_text("utf8")
    if found == fingerprint(tests or has_tests()):
        return "ready"
    return "outdated" if found.startswith(f"{ROOT}\n") else "absent"


def same(one, other):
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def inside():
    return same(sys.prefix, home())


def variables():
    """The environment variables for a process in `.venv`: as after activating it, and nothing of
    another Python's."""
    foreign = (
        "PYTHONPATH",
        "PYTHONHOME",
        "__PYVENV_LAUNCHER__",
        "PIP_TARGET",
        "PIP_PREFIX",
        "CONDA_PREFIX",
    )
    kept = {name: value for name, value in os.environ.items() if name not in foreign}
    path = os.pathsep.join([str(python().parent), os.environ.get("PATH", os.defpath)])
    pip = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**kept, **pip, "VIRTUAL_ENV": str(home()), "PATH": path}


def run(command):
    """Runs an installer quietly with a sign of life; returns None, or the last lines it wrote if it
    failed."""
    terminal, start, shown = sys.stdout.isatty(), time.monotonic(), 0
    log = home() / "install.log"
    with open(log, "wb") as output:
        child = subprocess.Popen(
            [str(word) for word in command],
            cwd=ROOT,
            env=variables(),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            while child.poll() is None:
                time.sleep(0.1)
                seconds = int(time.monotonic() - start)
                if seconds >= shown + (1 if terminal else 20):
                    shown = seconds
                    print(
                        f"\r  ... {seconds} s " if terminal else f"  ... {seconds} s\n",
                        end="",
                        flush=True,
                    )
        finally:
            if child.poll() is None:
                child.kill()
                child.wait()
            if terminal and shown:
                print("\r             \r", end="", flush=True)
    if child.returncode == 0:
        return None
    lines = log.read_text("utf8", "replace").strip().splitlines()[-15:]
    return "\n".join([*lines, f"({pathlib.Path(command[0]).name} ended with {child.returncode})"])


def install_with_uv(uv, host, afresh, wanted):
    """Lets uv make and fill `.venv`; returns None, or what it said when it failed.

    Args:
        uv: Its path.
        host: The Python to make the environment with.
        afresh: Whether `.venv` has to be made first.
        wanted: What the installer is asked for, one list of words after the other.
    """
    failed = run([uv, "venv", "--allow-existing", "--python", host, home()]) if afresh else None
    for words in wanted:
        failed = failed or run([uv, "pip", "install", "--python", python(), *words])
    return failed


def install_with_pip(host, afresh, wanted):
    """Makes and fills `.venv` with the standard library's venv and with pip; returns as
    `install_with_uv` does.

    Some systems ship a Python whose venv cannot bring pip along (Debian's without `python3-venv`).
    The environment is therefore made without pip, which gets in by `ensurepip`, or else by the pip
    that belongs to the host.
    """
    failed = run([host, "-m", "venv", "--without-pip", home()]) if afresh else None
    if failed:
        return failed
    if run([python(), "-m", "pip", "--version"]) and run([python(), "-m", "ensurepip"]):
        ask = [python(), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
        packages = subprocess.run(
            ask, capture_output=True, text=True, check=True, env=variables()
        ).stdout.strip()
        failed = run([host, "-m", "pip", "install", "--target", packages, "pip"])
        if failed:
            return (
                f"{failed}\n\n{host} has no pip: install it (Debian, Ubuntu: apt install "
                "python3-venv), or uv."
            )
    for words in wanted:
        failed = failed or run([python(), "-m", "pip", "install", "--no-input", *words])
    return failed


def build(tests=False):
    """Brings `.venv` to what requirements.txt asks for, in the versions of requirements.lock; writes
    the stamp last, so that half a job never looks whole.

    Args:
        tests: Whether to add what only tests need; what was there once is kept up to date.

    Raises:
        BuildError: If the folder cannot be written or the installer fails.
    """
    afresh, tests = state() == "absent", tests or has_tests()
    wanted = [["-r", "requirements.txt", "-c", LOCK]]
    if tests:
        wanted.append(["-e", ".[test]", "-c", LOCK])
    host = getattr(sys, "_base_executable", sys.executable) if inside() else sys.executable
    if afresh:
        print(
            f"Building the environment in {home()}: once, about 2 GB, usually 1 to 3 minutes.",
            flush=True,
        )
    else:
        print(
            f"Bringing {home()} up to date with requirements.txt: usually under a minute.",
            flush=True,
        )
    try:
        if afresh:
            clear()
        stamp().write_text(UNFINISHED, "utf8")
        uv = shutil.which("uv")
        failed = install_with_uv(uv, host, afresh, wanted) if uv else None
        if failed:
            print("uv did not manage it, so pip tries.", flush=True)
        if failed or not uv:
            if failed and afresh:
                clear()
            failed = install_with_pip(host, afresh, wanted)
        if failed:
            if (
                not afresh
            ):  # a failed update harms nothing that was there: keep it and try again next time
                stamp().write_text(f"{ROOT}\n", "utf8")
            raise BuildError(
                f"{failed}\n\nThe environment is not complete. Above are the installer's last "
                "words."
            )
        if not works():
            raise BuildError(
                f"{python()} was installed and does not start; remove {home()} and try again."
            )
        stamp().write_text(fingerprint(tests), "utf8")
    except OSError as error:
        raise BuildError(
            f"{home()} cannot be written ({error.strerror or error}): close the programs that use "
            "it, "
            "or copy the course to a folder of your own."
        ) from error
    print("The environment is ready.", flush=True)


def clear():
    """Leaves `.venv` an empty folder that says it is unfinished."""
    if home().exists() or home().is_symlink():
        shutil.rmtree(home())
    home().mkdir()
    stamp().write_text(UNFINISHED, "utf8")


def become(command, env=None):
    """Hands the terminal over to another program and ends with its exit code."""
    command, env = [str(word) for word in command], env or dict(os.environ)
    sys.stdout.flush()
    if os.name != "nt":
        os.execve(command[0], command, env)
    child = subprocess.Popen(command, env=env)
    while True:
        try:
            return child.wait()
        except KeyboardInterrupt:  # the child got it too and decides
            continue


def main(command, arguments):
    """Runs one of the course's commands in the environment, which is built first where that is
    needed."""
    current = os.environ.get("COURSE_UTILS_ENV") == "current"
    try:
        tests = command == "test"
        if not current and state(tests) != "ready":
            build(tests)
        if not current and not inside():
            return become([python(), "-m", "course_utils", command, *arguments], variables())
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next run begins again where it must.", file=sys.stderr)
        return 130
    return {
        "lab": lab,
        "test": test,
        "check": check,
        "train": train,
        "results": results,
        "refresh": refresh,
    }[command](arguments)


def lab(arguments):
    os.chdir(ROOT)
    # with the whole course in the file browser
    first = "--LabApp.default_url=/lab/tree/notebooks/00_start_here.ipynb"
    return become([sys.executable, "-m", "jupyterlab", first, *arguments])


def test(arguments):
    os.chdir(ROOT)
    if importlib.util.find_spec("pytest") is None:
        print('pytest is missing here: pip install -e ".[test]"', file=sys.stderr)
        return 1
    # A notebook stays on one kernel, and the long ones go first; `-n 0` runs one after the other.
    workers = ["-n", "2", "--dist", "loadfile", "--no-loadscope-reorder"]
    one_thread = {
        "OPENBLAS_NUM_THREADS": "1",
        "TF_NUM_INTRAOP_THREADS": "1",
    }  # each: they would wait for one another
    # Sixteen kernels compile the same few models: what XLA has made for one of them the others
    # read, in this run only.
    compiled = ROOT / ".pytest_cache" / "xla"
    shutil.rmtree(compiled, ignore_errors=True)
    shared = {
        "TF_XLA_FLAGS": (
            f"--tf_xla_persistent_cache_directory={json.dumps(str(compiled), ensure_ascii=False)}"
        )
    }
    return become(
        [sys.executable, "-m", "pytest", *workers, *arguments],
        {**os.environ, **one_thread, **shared},
    )


def train(arguments):
    if len(arguments) != 1:
        print("train wants one name: python3 -m course_utils train NAME", file=sys.stderr)
        return 2
    from course_utils.experiments import training

    training.train(arguments[0])
    return 0


def results(arguments):
    from course_utils.experiments import make

    wrong = [name for name in arguments if name not in make.RECIPES]
    if wrong:
        print(
            f"unknown results {wrong[0]!r}; choose from: {', '.join(make.RECIPES)}", file=sys.stderr
        )
        return 2
    for name in arguments or make.RECIPES:
        print(make.make(name), flush=True)
    return 0


def refresh(arguments):
    from course_utils.editions import refresh

    refresh.refresh(arguments)
    return 0


def check(arguments):
    from course_utils import doctor

    return doctor.check()
