"""Both commands in a fresh clone with an empty home, for one Python and one installer.

    python3 tests/benchmarks/fresh_clone.py python3.10          # with pip
    python3 tests/benchmarks/fresh_clone.py python3.10 uv       # with uv, which must be on the PATH

It clones what is committed into a folder with a space in its name, opens the lessons, looks at what
was installed, and runs a part of the suite. Some minutes and about 3 GB, which are given back.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
ONLY_TESTS = ("playwright", "hypothesis", "ruff", "pytest-benchmark", "import-linter")


def variables(home, installer):
    """The environment of somebody who has just come: no settings, no cache, uv only if wanted."""
    kept = {
        name: os.environ[name] for name in os.environ if not name.startswith(("PYTHON", "VIRTUAL"))
    }
    uv = shutil.which("uv")
    path = os.environ["PATH"].split(os.pathsep)
    if installer == "uv":
        tools = home / "tools"
        tools.mkdir()
        (tools / "uv").symlink_to(uv)
        path = [str(tools), *path]
    elif uv:
        path = [folder for folder in path if not (pathlib.Path(folder) / "uv").exists()]
    return {**kept, "HOME": str(home), "PATH": os.pathsep.join(path)}


def opens(python, course, env):
    """Starts `lab`, waits until JupyterLab answers with the first lesson, and ends it."""
    command = [python, "-m", "course_utils", "lab", "--no-browser", "--allow-root", "--port=0"]
    log = course / ".venv.log"
    with open(log, "w") as said:
        lab = subprocess.Popen(command, cwd=course, env=env, stdout=said, stderr=said)
        try:
            for _ in range(900):
                time.sleep(1)
                found = re.search(
                    r"(http://(?:localhost|127\.0\.0\.1):\d+)/\S*token=(\w+)", log.read_text()
                )
                if found:
                    break
                assert lab.poll() is None, log.read_text()[-2000:]
            url = (
                f"{found[1]}/api/contents/notebooks/00_start_here.ipynb?token={found[2]}&content=0"
            )
            with urllib.request.urlopen(url, timeout=60) as answer:
                return answer.status == 200
        finally:
            lab.terminate()
            lab.wait(60)


def main(python, installer="pip"):
    with tempfile.TemporaryDirectory(prefix="fresh-", ignore_cleanup_errors=True) as base:
        home, course = pathlib.Path(base) / "home", pathlib.Path(base) / "a course"
        home.mkdir()
        subprocess.run(["git", "clone", "-q", ROOT, course], check=True)
        env, begun = variables(home, installer), time.monotonic()
        assert opens(python, course, env), "JupyterLab did not show the first lesson"
        print(f"{python}, {installer}: lab answers after {time.monotonic() - begun:.0f} s")
        ask = "from importlib import metadata; print(*(d.name for d in metadata.distributions()))"
        inside = [course / ".venv/bin/python", "-c", ask]
        there = subprocess.run(inside, capture_output=True, text=True, check=True, env=env).stdout
        assert not set(ONLY_TESTS) & set(there.lower().split()), there
        assert "nbval" in there.split(), there
        print("   lessons' environment holds none of", *ONLY_TESTS)
        part = ["tests/test_storage.py", "tests/test_quantization.py", "tests/test_lesson.py",
                "course_utils/quantization.py", "notebooks/03_1_quantization.ipynb"]  # fmt: skip
        test = [python, "-m", "course_utils", "test", "-q", *part]
        done = subprocess.run(test, cwd=course, env=env, capture_output=True, text=True)
        print("  ", *done.stdout.strip().splitlines()[-1:])
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]


if __name__ == "__main__":
    main(*sys.argv[1:])
