"""The course's best recipes for whole models, and its tables: `python3 -m course_utils results`.

Each starts from shipped models and a seed. What it gave lies in `data/results`, the compressed
models in `data/compressed`, where `compression.load` reads them. Recipes were chosen on validation
data; test data were only measured.
"""

import json
import pathlib

from course_utils import files
from course_utils.checks import one_of
from course_utils.experiments import (
    applications,
    caches,
    long_students,
    personal,
    pretraining,
    real_model,
    reference,
    speech_study,
    students,
    tokenizer,
    voices,
)
from course_utils.experiments.docs_small import docs_base_small, labels_alone
from course_utils.experiments.lenet_small import digits_lenet_small
from course_utils.experiments.methods_table import methods, recovered
from course_utils.experiments.record import Run, results, stamped

__all__ = ["RECIPES", "make", "results"]

RECIPES = {
    "docs-base-small": docs_base_small,
    "docs-base-small-labels": labels_alone,
    "digits-lenet-small": digits_lenet_small,
    "methods": methods,
    "recovered": recovered,
    "students": students.experiment,
    "long-students": long_students.experiment,
    "pretraining": pretraining.experiment,
    "reference": reference.experiment,
    "caches": caches.experiment,
    "voices": voices.experiment,
    "speech": speech_study.experiment,
    "applications": applications.experiment,
    "personal": personal.experiment,
    "minilm": real_model.experiment,
    "tokenizer": tokenizer.learn,
}


def make(name, folder=None):
    """Runs a recipe, or goes on with one that was cut off, and writes what it gives.

    Args:
        name: A key of `RECIPES`.
        folder: Where `results` and `compressed` lie; `data` if left out.

    Returns:
        The path of the results.

    Raises:
        ValueError: If the name is unknown.
    """
    recipe, folder = RECIPES[one_of("results", name, RECIPES)], pathlib.Path(folder or files.DATA)
    run = Run(folder / "results", name)
    record = stamped(f"results {name}", recipe(folder, run))
    path = files.write(folder / "results" / f"{name}.json", json.dumps(record, indent=1) + "\n")
    run.clear()
    if files.DATA in path.parents:
        files.write_manifest()
    return path
