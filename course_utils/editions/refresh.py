"""Runs notebooks and saves their outputs, and notes how long each took."""

import importlib.metadata
import json
import os
import pathlib
import platform
import time

from course_utils import files
from course_utils.editions import maps

PACKAGES = ("tensorflow", "keras", "ai-edge-litert", "numpy", "scipy", "matplotlib")


def refresh(paths=()):
    """Runs notebooks from top to bottom and saves their outputs, without widget state; then brings
    the record of run times and the tables of the lessons up to date.

    Args:
        paths: Notebooks; all of the course if left out. Of any other page, such as `README.md`,
            only the tables are made again, as they are after every refresh.

    Raises:
        ValueError: If a notebook is read-only, or somebody saved it while it ran; it is then left
            alone.
    """
    import nbformat

    for path in map(pathlib.Path, paths or sorted(files.NOTEBOOKS.glob("*.ipynb"))):
        if path.suffix != ".ipynb":
            continue
        print(f"running {path.name}", flush=True)
        before = path.read_bytes()
        files.writable(path)  # said before the minutes that it takes to run
        notebook, seconds = run(path)
        if path.read_bytes() != before:
            raise ValueError(
                f"{path} was saved while it ran, and stays as it was saved; run it again"
            )
        files.write(path, nbformat.writes(notebook) + "\n")
        print(f"  {seconds:.0f} s", flush=True)
        if path.resolve().parent == files.NOTEBOOKS:
            record(path.stem, seconds)
    for path in maps.write():
        print(f"tables in {path.relative_to(files.ROOT)}", flush=True)


def run(path):
    """Runs a notebook and saves nothing.

    Args:
        path: Of the notebook.

    Returns:
        The notebook with its outputs, and the seconds it took with the start of its kernel.
    """
    import nbformat
    from nbclient import NotebookClient

    notebook, begun = nbformat.read(path, as_version=4), time.perf_counter()
    NotebookClient(
        notebook,
        timeout=300,
        kernel_name="python3",
        store_widget_state=False,
        resources={"metadata": {"path": str(path.parent)}},
    ).execute()
    seconds = time.perf_counter() - begun
    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of this run, which say nothing to a reader
        if cell.cell_type == "code":
            cell.outputs = joined(cell.outputs)
    return notebook, seconds


def record(lesson, seconds):
    """Notes how long a lesson ran and with what, in place of what stood there for it."""
    versions = {name: importlib.metadata.version(name) for name in PACKAGES}
    entry = {
        "seconds": round(seconds, 1),
        "cores": os.cpu_count(),
        "versions": {"python": platform.python_version(), **versions},
    }
    known = sorted({**maps.times(), lesson: entry}.items())
    kept = {name: one for name, one in known if (files.NOTEBOOKS / f"{name}.ipynb").is_file()}
    content = {"command": "python3 -m course_utils refresh", "lessons": kept}
    files.write(files.DATA / maps.RECORD, json.dumps(content, indent=1) + "\n")
    files.write_manifest()


def joined(outputs):
    """Joins what a cell printed in several pieces, as a page shows it."""
    whole = []
    for output in outputs:
        if whole and output.output_type == "stream" and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole
