"""The course's best recipes for whole models, and the table of all methods:
`python3 -m course_utils results`.

Each starts from a shipped model and a seed. What it gave lies in `data/results`, the compressed
models in `data/compressed`, where `compression.load` reads them. Recipes were chosen on validation
data; test data were only measured.
"""

import importlib.metadata
import json
import os
import pathlib
import platform

from course_utils import files
from course_utils.checks import one_of
from course_utils.experiments import students
from course_utils.experiments.docs_small import docs_base_small
from course_utils.experiments.lenet_small import digits_lenet_small
from course_utils.experiments.methods_table import methods
from course_utils.experiments.record import PACKAGES


def results(name):
    """Loads what a recipe, or the table of methods, gave when the course was made.

    Args:
        name: `"docs-base-small"`, `"digits-lenet-small"`, `"methods"` or `"students"`.

    Returns:
        A dict, as `data/results/NAME.json` holds it.

    Raises:
        ValueError: If the name is unknown or its file is missing.

    Example:

    >>> results("docs-base-small")["ratio"] >= 12
    True
    """
    path = files.DATA / "results" / f"{one_of('results', name, RECIPES)}.json"
    if not path.is_file():
        raise ValueError(
            f"no results at {path}; make them with: python3 -m course_utils results {name}"
        )
    return json.loads(path.read_text("utf8"))


def make(name, folder=None):
    """Runs a recipe, or goes on with one that was cut off, and writes what it gives.

    Args:
        name: As in `results`.
        folder: Where `results` and `compressed` lie; `data` if left out. Backups of an unfinished
            run lie beside the results and go away at the end.

    Returns:
        The path of the results.

    Raises:
        ValueError: If the name is unknown.
    """
    recipe, folder = RECIPES[one_of("results", name, RECIPES)], pathlib.Path(folder or files.DATA)
    found = recipe(folder)
    record = {
        "command": f"python3 -m course_utils results {name}",
        **found,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {p: importlib.metadata.version(p) for p in PACKAGES},
    }
    path = files.write(folder / "results" / f"{name}.json", json.dumps(record, indent=1) + "\n")
    for left_over in path.parent.glob(f"{name}.backup.*"):
        left_over.unlink()
    if files.DATA in path.parents:
        files.write_manifest()
    return path


RECIPES = {
    "docs-base-small": docs_base_small,
    "digits-lenet-small": digits_lenet_small,
    "methods": methods,
    "students": students.experiment,
}
