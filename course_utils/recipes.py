"""The course's best recipes for whole models, and the table of all methods: `python3 -m course_utils results`.

Each is made by one function from a shipped model and a seed. What it found lies in `data/results`, the
compressed models in `data/compressed`, and `compression.load` reads them. Recipes were chosen on validation
data; the test data were only measured.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import time

import numpy as np

from course_utils import distillation, equalization, evaluation, files, finetuning, litert, models, pruning, quantization, speed, sweeps
from course_utils.backend import keras, tf
from course_utils.checks import one_of
from course_utils.compression import Apply, Prune, Quantize, baseline, compress, remove_units, unit_scores
from course_utils.datasets import digits, docs
from course_utils.models import checkpoint
from course_utils.models.compiled import compiled
from course_utils.models.training import windows
from course_utils.second_order import gptq, sparsegpt

SEED = 2  # the models themselves were trained with 0 and 1: fine-tuning sees other batches


def results(name):
    """Loads what a recipe or the table of methods found when the course was made.

    Args:
        name: `"docs-base-small"`, `"digits-lenet-small"` or `"methods"`.

    Returns:
        A dict, as `data/results/NAME.json` holds it.

    Raises:
        ValueError: If the name is unknown, or its file is missing.

    Example:

    >>> results("docs-base-small")["ratio"] >= 12
    True
    """
    path = files.DATA / "results" / f"{one_of('results', name, RECIPES)}.json"
    if not path.is_file():
        raise ValueError(f"no results at {path}; make them with: python3 -m course_utils results {name}")
    return json.loads(path.read_text("utf8"))


def make(name, folder=None):
    """Runs a recipe, or goes on with it, and writes what it gives.

    Args:
        name: As in `results`.
        folder: Where `results/NAME.json` and `compressed/NAME.safetensors` go; `data` if left out.

    Returns:
        The path of the results.
    """
    recipe, folder = RECIPES[one_of("results", name, RECIPES)], pathlib.Path(folder or files.DATA)
    begun = time.perf_counter()
    backups = Backups(folder / "results", name)
    found = recipe(folder, backups)
    record = {"command": f"python3 -m course_utils results {name}", "seed": SEED, **found,
              "seconds": round(time.perf_counter() - begun + backups.seconds), "cores": os.cpu_count(),
              "python": platform.python_version(), "versions": {p: importlib.metadata.version(p) for p in PACKAGES}}
    path = files.write(folder / "results" / f"{name}.json", json.dumps(record, indent=1) + "\n")
    backups.clear()
    if files.DATA in path.parents:
        files.write_manifest()
    return path
