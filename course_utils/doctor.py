"""Says [OK] or [FAIL] for everything that the course stands on."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import zipfile
from importlib import metadata

from course_utils import files
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


def check(variables=None):
    """Prints a line for everything the course stands on, as soon as it is known; returns 1 if
    something is missing.

    Args:
        variables: The environment variables that lessons run with; this process's if left out.
    """
    failed = False
    for verdict, what in everything(variables):
        print(f"{f'[{verdict}]':<7}{what}", flush=True)
        failed |= verdict == "FAIL"
    return int(failed)


def everything(variables):
    """Yields a verdict and a line for each thing."""
    # any other Python was refused at the door
    yield "OK", f"Python {sys.version.split()[0]}, {sys.executable}"
    yield from requirements()
    yield from data(files.DATA)
    yield from computed(variables)
    found = browser()
    yield (
        ("OK", f"browser, {found}")
        if found
        else ("--", "Chromium, Chrome or Edge: only needed for the browser test")
    )


def data(folder):
    """Yields a verdict and a line for each shipped file that is not the one which manifest.json
    lists, and one for all the others.

    Args:
        folder: That holds manifest.json and the files.
    """
    try:
        listed = json.loads((folder / "manifest.json").read_text("utf8"))
        expected = [(name, one["bytes"], one["sha256"]) for name, one in listed.items()]
        total = sum(size for _, size, _ in expected) / 1e6
    except FileNotFoundError:
        yield "FAIL", f"{folder / 'manifest.json'}: missing"
        return
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        yield "FAIL", f"{folder / 'manifest.json'}: damaged ({type(error).__name__}: {error})"
        return
    names, good = {digest: name for name, _, digest in expected}, 0
    for name, size, digest in expected:
        problem = wrong_file(folder / name, name, size, digest, names)
        if problem:
            yield "FAIL", f"{folder.name}/{name}: {problem}"
        good += not problem
    if good:
        yield "OK", f"{good} of {len(expected)} shipped files in {folder} ({total:.0f} MB in all)"


def wrong_file(path, name, size, digest, names):
    """Returns what is wrong with a shipped file, or None.

    Args:
        path: Where it should be.
        name: What the manifest calls it.
        size, digest: Its bytes and their sha256, as the manifest says.
        names: What the manifest calls the file of each sha256.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return "missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    found = hashlib.sha256(content).hexdigest()
    if found == digest:
        return None
    if content.startswith(b"version https://git-lfs"):
        return "damaged: a pointer of Git LFS stands in its place; type   git lfs pull"
    if hashlib.sha256(content.replace(b"\r\n", b"\n")).hexdigest() == digest:
        return "damaged: its line ends were changed; git config core.autocrlf false, and check out"
    length = f"{len(content):,} bytes, {size:,} expected"
    if found in names:
        return f"not the file this course came with, but {names[found]}"
    if whole(content, path.suffix, name, len(content) >= size):
        return f"not the file this course came with ({length})"
    return f"damaged ({length})"


def whole(content, suffix, name, long_enough):
    """Says whether the bytes of a file are sound in themselves, whatever they hold."""
    try:
        if suffix == ".safetensors":
            from course_utils import container

            container.unpack(content, name)
        elif suffix == ".json":
            json.loads(content)
        elif suffix == ".npz":
            import io

            return zipfile.ZipFile(io.BytesIO(content)).testzip() is None
        else:
            return long_enough
    except Exception:  # whatever a library says about bytes that nobody wrote
        return False
    return True


def computed(variables=None):
    """Yields a verdict and a line for each thing that TensorFlow must do here.

    It does them in another process: where TensorFlow does not suit the processor, it ends the
    process that it is in without a word.
    """
    with tempfile.TemporaryFile() as noise:
        begun, ended = "TensorFlow computes 1 + 1", False
        child = subprocess.Popen(
            [sys.executable, "-c", "from course_utils import doctor; doctor.compute()"],
            cwd=ROOT,
            env=variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=noise,
        )
        with child.stdout:
            for line in child.stdout:
                try:
                    kind, *said = json.loads(line)
                except ValueError:
                    continue  # something else that was printed
                if kind == "begins":
                    (begun,) = said
                elif kind == "ends":
                    ended = True
                else:
                    yield kind, *said
        if child.wait() == 0 and ended:
            return
        noise.seek(0)
        last = noise.read().decode("utf8", "replace").strip().splitlines()[-1:]
    yield "FAIL", f"{begun}: {stopped(child.returncode)}{''.join(f' ({line})' for line in last)}"


def stopped(code):
    """Says how a process ended.

    Args:
        code: What it returned: minus the signal's number, or what Windows gives instead.
    """
    illegal = "this processor lacks instructions that TensorFlow was built with (AVX): open the "
    illegal += "course in Binder or on another machine; README.md says how"
    with contextlib.suppress(ValueError):
        if code < 0:
            name = signal.Signals(-code).name
            why = {"SIGILL": f"; {illegal}", "SIGKILL": "; memory ran out, or somebody stopped it"}
            why["SIGABRT"] = f"; TensorFlow gave up. Perhaps {illegal}"
            return f"the process was stopped by {name}{why.get(name, '')}"
    if code & 0xFFFFFFFF == 0xC000001D:
        return f"the process was stopped by Windows; {illegal}"
    flags = [name for name in ("TF_XLA_FLAGS", "XLA_FLAGS", "LD_PRELOAD") if os.environ.get(name)]
    look = "; look at " + " and ".join(f"{name}={os.environ[name]!r}" for name in flags)
    return f"the process ended with {code}{look if flags else ''}"


def compute():
    """What the other process does: a line of JSON before each thing, and one with its verdict."""
    out = os.fdopen(os.dup(1), "w", encoding="ascii")

    def say(*words):
        print(json.dumps(words), file=out, flush=True)

    for what, function in tasks():
        say("begins", what)
        verdict, line = attempt(what, function)
        say(verdict, line)
        if function is add and verdict == "FAIL":
            break  # nothing below would do better
    say("ends")


def tasks():
    """Yields the name of each thing that must work, and the function that tries it."""
    yield "TensorFlow computes 1 + 1", add
    try:
        from course_utils import models

        names = models.names()
    except Exception as error:
        names, problem = [], error

        def fail():
            raise problem

        yield "models", fail
    for name in names:
        yield f"model {name}", lambda name=name: models.load(name)
    yield "the text of the installed packages is there", text
    yield "a kernel answers", kernel


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
        said = f"{what}: {type(error).__name__}: {error}"
        if "DLL load failed" in said:  # Windows without what TensorFlow's libraries need
            said += "; install https://aka.ms/vs/17/release/vc_redist.x64.exe"
        return "FAIL", said
    return "OK", what


def add():
    from course_utils.backend import tf

    if int(tf.function(tf.add, jit_compile=True)(1, 1)) != 2:  # XLA too, as the sliders do
        raise ArithmeticError("1 + 1 is not 2")


def text():
    from course_utils.datasets import docs

    docs.sources()


def kernel():
    """Starts a kernel as a lesson does, and asks it something."""
    from jupyter_client.manager import start_new_kernel

    manager, client = start_new_kernel(kernel_name="python3", startup_timeout=60)
    try:
        answer = client.execute_interactive(
            "import sys, course_utils", timeout=60, output_hook=lambda message: None
        )["content"]
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    if answer["status"] != "ok":
        raise RuntimeError(f"{answer.get('ename')}: {answer.get('evalue')}")


def browser():
    """Returns the path of an installed Chromium, Chrome or Edge, or None."""
    found = (shutil.which(name) for name in BROWSERS)
    return next((path for path in (*found, *PLACES) if path and os.path.exists(path)), None)
