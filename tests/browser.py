"""JupyterLab in a real browser: a server on copies of notebooks, and the few moves that tests make
there.

The browser is the system's own Chromium or Chrome; nothing is downloaded, and the server has a home
folder of its own, so that neither sees a person's settings.
"""

import contextlib
import json
import os
import pathlib
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

import warm

from course_utils import doctor
from course_utils.files import ROOT

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
# A slider of ipywidgets has no accessible name and no setting that would give it one. Every slider
# of this course stands beside a named box with the same value, so this one finding, on this one
# element, is known.
KNOWN = {"aria-input-field-name": ".noUi-handle"}
JUPYTER_DATA = "share"  # of a server's own folder: where it keeps whom it trusts


@contextlib.contextmanager
def jupyter(*notebooks, ready_timeout=90):
    """Serves copies of notebooks, or of all in a folder, in a JupyterLab of its own.

    Args:
        *notebooks: Paths of `.ipynb` files or of folders that hold some.
        ready_timeout: Seconds to wait for the server.

    Yields:
        The server: its `url`, `token` and the `folder` that holds the copies.
    """
    with tempfile.TemporaryDirectory(prefix="course-browser-", ignore_cleanup_errors=True) as base:
        base = pathlib.Path(base)
        folder = base / "notebooks"
        folder.mkdir()
        for given in map(pathlib.Path, notebooks):
            for path in sorted(given.glob("*.ipynb")) if given.is_dir() else [given]:
                shutil.copy(path, folder)
        server = Server(base, folder)
        try:
            server.wait(ready_timeout)
            yield server
        finally:
            server.close()


class Server:
    """One `jupyter lab` process."""

    def __init__(self, base, folder):
        self.base, self.folder, self.token = base, folder, secrets.token_hex(16)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        config = base / "config"
        (config / "labconfig").mkdir(parents=True)
        quiet = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
        (config / "labconfig" / "page_config.json").write_text(json.dumps(quiet))
        home = {
            name: str(base / place)
            for name, place in {
                "HOME": "home",
                "USERPROFILE": "home",
                "JUPYTER_CONFIG_DIR": "config",
                "JUPYTER_DATA_DIR": JUPYTER_DATA,
                "JUPYTER_RUNTIME_DIR": "runtime",
                "JUPYTERLAB_SETTINGS_DIR": "settings",
                "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
                "IPYTHONDIR": "ipython",
            }.items()
        }
        (base / "home").mkdir()
        if warm.command:
            place = base / JUPYTER_DATA / "kernels" / "python3" / "kernel.json"
            place.parent.mkdir(parents=True)
            kernel = {"argv": warm.command(), "display_name": "Python 3", "language": "python"}
            place.write_text(json.dumps(kernel))
            home["JUPYTER_PATH"] = str(base / JUPYTER_DATA)
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        self.log = open(base / "server.log", "w+")  # noqa: SIM115 - it lives as long as the server
        self.process = subprocess.Popen(
            [
                sys.executable,
                "-m",
                "jupyterlab",
                "--no-browser",
                "--allow-root",
                "--ServerApp.ip=127.0.0.1",
                f"--ServerApp.port={port}",
                "--ServerApp.port_retries=0",
                f"--IdentityProvider.token={self.token}",
                f"--ServerApp.root_dir={folder}",
                "--LabApp.expose_app_in_browser=True",
            ],
            cwd=folder,
            env={**os.environ, **home, "PYTHONPATH": path},
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def wait(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                urllib.request.urlopen(f"{self.url}/api/status?token={self.token}", timeout=5)
                return
            except (urllib.error.URLError, OSError):
                time.sleep(0.3)
        self.log.seek(0)
        raise RuntimeError(
            f"JupyterLab did not start within {seconds} s:\n{self.log.read()[-3000:]}"
        )

    def close(self):
        """Asks the server to stop, which also stops its kernels; insists if it does not."""
        self.process.terminate() if os.name == "nt" else self.process.send_signal(signal.SIGTERM)
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()


@contextlib.contextmanager
def browser(server, width=1280, height=900):
    """A page of a headless browser that knows where the server is."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path=doctor.browser(), args=FLAGS)
        page = launched.new_page(viewport={"width": width, "height": height})
        page.set_default_timeout(60_000)
        page.server = server
        try:
            yield page
        finally:
            launched.close()


def open_notebook(page, name):
    """Opens a notebook by file name, with the side bar closed, and waits for it to be on the
    page."""
    page.goto(f"{page.server.url}/lab/tree/{name}?reset&token={page.server.token}")
    page.wait_for_selector(".jp-Notebook .jp-Cell")
    page.wait_for_function(
        "window.jupyterapp && window.jupyterapp.shell.currentWidget?.sessionContext"
    )
    page.evaluate("window.jupyterapp.shell.collapseLeft()")


CONNECT = """() => {
  const wait = ms => new Promise(resolve => setTimeout(resolve, ms));
  const connected = async () => {
    const session = window.jupyterapp.shell.currentWidget.sessionContext;
    await session.ready;
    const kernel = session.session.kernel;
    await kernel.info;
    while (kernel.connectionStatus !== 'connected') await wait(100);
    await kernel.requestExecute({code: '', silent: true}).done;
  };
  const late = async () => { await wait(60000); throw new Error('no kernel after 60 s: does the notebook name one?'); };
  return Promise.race([connected(), late()]);
}"""

DONE = """() => {
  const panel = window.jupyterapp.shell.currentWidget;
  const cells = panel.content.model.sharedModel.cells.filter(cell => cell.cell_type === 'code');
  return panel.sessionContext.session.kernel.status === 'idle'
    && cells.every(cell => cell.executionState !== 'running' && (cell.execution_count !== null || !cell.source.trim()));
}"""

ERRORS = """() => window.jupyterapp.shell.currentWidget.content.model.sharedModel.cells
  .filter(cell => cell.cell_type === 'code')
  .flatMap(cell => cell.outputs.map(o => o.toJSON ? o.toJSON() : o).filter(o => o.output_type === 'error')
  .map(o => `${cell.id}: ${o.ename}: ${o.evalue}`))"""


def run_all(page, timeout=180):
    """Runs all cells, as the menu's command does, and waits until the last is done.

    The page shows "Idle" before its kernel is connected, so the kernel is first made to answer one
    request.

    Raises:
        AssertionError: If a cell ended in an error.
    """
    page.evaluate(CONNECT)
    page.evaluate("() => { window.jupyterapp.commands.execute('notebook:run-all-cells'); }")
    page.wait_for_function(f"() => ({DONE})() || ({ERRORS})().length", timeout=timeout * 1000)
    errors = page.evaluate(ERRORS)
    assert not errors, errors


def screenshot(page, path, width=1280, height=900, show=None):
    """Writes what the page shows in a window of this size, scrolled to the element `show` if one is
    named."""
    page.set_viewport_size({"width": width, "height": height})
    page.wait_for_timeout(600)  # the notebook lays itself out again
    if show:
        page.locator(show).first.evaluate("e => e.scrollIntoView({block: 'start'})")
        page.wait_for_timeout(300)
    page.screenshot(path=str(path))


def axe(page, known=KNOWN):
    """What axe-core finds serious or critical in the cells' outputs.

    Args:
        page: The page.
        known: Rule -> CSS selector of the elements on which this rule's finding is known and
            answered for.

    Returns:
        A list of `(rule, element as HTML)`; empty if all is well.
    """
    from axe_playwright_python.sync_playwright import Axe

    results = Axe().run(page, context=[".jp-Cell-outputArea"])
    found = []
    for violation in results.response["violations"]:
        if violation["impact"] not in ("serious", "critical"):
            continue
        for node in violation["nodes"]:
            element, excused = page.locator(node["target"][0]).first, known.get(violation["id"])
            if not (excused and element.evaluate("(e, excused) => e.matches(excused)", excused)):
                found.append((violation["id"], node["html"]))
    return found
