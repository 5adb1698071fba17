# Any Python that is tried reads this file, 2.7 too, so that it can say what to do: old syntax here,
# and only here. The help has a name, for `python3 -OO` throws docstrings away.

from __future__ import print_function

import errno
import os
import platform
import shutil
import subprocess
import sys

if not __package__:  # started as `python3 path/to/course_utils`, from any folder
    sys.path[0] = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))

from course_utils import SUPPORTED

HELP = """The course's commands, for `python3 -m course_utils`.

    lab       open the lessons in JupyterLab
              (more arguments go to JupyterLab, such as --no-browser)
    test      run every notebook and every test
              (more arguments go to pytest, such as -x tests/test_files.py)
    check     say [OK] or [FAIL] for each requirement, TensorFlow and the shipped models
    train     train a shipped model again: train NAME
    results   make compressed models and tables again: results [NAME ...]
    add       bring a published model that is not shipped: add minilm [FOLDER]
              (a download of 83 MB, or the files of a folder that has them)
    refresh   run notebooks and save their outputs: refresh [NOTEBOOK ...]

The first time, each of them builds an environment in .venv (2 to 3 GB).
COURSE_UTILS_ENV=current uses the Python that runs this instead, with the packages it has.
"""

COMMANDS = ("lab", "test", "check", "train", "results", "add", "refresh")


def settle(streams=("stdin", "stdout", "stderr")):
    """Makes standard input, output and error safe to use: there (a service or `2>&-` has none), and
    able to take every letter (a folder may have a Chinese name where the terminal knows English)."""
    for number, name in enumerate(streams):
        try:
            os.fstat(number)
        except OSError:
            nothing = os.open(os.devnull, os.O_RDWR)  # takes the lowest free number: this one
            getattr(os, "set_inheritable", lambda *_: None)(nothing, True)
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w" if number else "r"))  # noqa: SIM115
        elif number and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def starts(command):
    """Says whether a command runs at all: a version manager's stand-in for a missing Python does
    not."""
    if not getattr(shutil, "which", lambda name: None)(command[0]):
        return False
    with open(os.devnull, "w") as nowhere:
        return subprocess.call(command + ["-c", ""], stdout=nowhere, stderr=nowhere) == 0


def refusal(version, system, machine, arguments, starts=starts):
    """Returns the sentence that says why the course cannot run here and what to do, or None if it
    can.

    Args:
        version: Major and minor number of the Python that runs.
        system, machine: What `platform` calls them.
        arguments: What was typed after `python3`.
        starts: Tells whether a command, a list of words, starts a Python.
    """
    if system == "Darwin" and machine == "x86_64":
        return (
            "TensorFlow has no build for Intel Macs: open the course in Binder or in Docker "
            "(README.md says how), "
            "or, if this Mac has Apple silicon, use a Python built for arm64."
        )
    if version in SUPPORTED:
        return None
    wrong = "The course runs on Python 3.10 to 3.13, as TensorFlow does, and this is Python {}.{}".format(
        *version
    )
    rest = " ".join(arguments)
    for major, minor in reversed(SUPPORTED):
        name = "{}.{}".format(major, minor)
        for command in (["python" + name], ["py", "-" + name]):
            if starts(command):
                return "{}: type   {} {}".format(wrong, " ".join(command), rest)
    return (
        "{}: install 3.13 from https://www.python.org/downloads/ and type   python3.13 {}".format(
            wrong, rest
        )
    )


def main(arguments):
    settle()
    own = arguments[:1] not in (["lab"], ["test"])  # those two hand what they are given on
    if not arguments or arguments[0] == "help" or own and {"-h", "--help"} & set(arguments):
        print(HELP.strip())
        return 0
    if arguments[0] not in COMMANDS:
        print(
            "unknown command {!r}; choose from: {}".format(arguments[0], ", ".join(COMMANDS)),
            file=sys.stderr,
        )
        return 2
    typed = (["-m", "course_utils"] if __package__ else sys.argv[:1]) + arguments
    problem = refusal(sys.version_info[:2], platform.system(), platform.machine(), typed)
    if problem:
        print(problem, file=sys.stderr)
        return 1
    from course_utils import environment

    return environment.main(arguments[0], arguments[1:])


def written(arguments):
    """Runs `main`; where what it says cannot be written, says that, and that alone."""
    try:
        code = main(arguments)
        sys.stdout.flush()
    except EnvironmentError as error:  # a full disk, or `| head`, which has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if error.errno != errno.EPIPE:
            print("what this command says cannot be written: {}".format(error), file=sys.stderr)
        code = 1
    return code


if __name__ == "__main__":
    sys.exit(written(sys.argv[1:]))
