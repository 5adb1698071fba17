"""How a run is kept: parts that are done and need not be done again, and what a record says."""

import importlib.metadata
import json
import os
import pathlib
import platform
import re

from course_utils import files
from course_utils.backend import keras
from course_utils.checks import one_of
from course_utils.compression import baseline

SEED = 2  # the models were trained with 0 and 1: fine-tuning sees other batches
PACKAGES = (
    "tensorflow",
    "keras",
    "numpy",
    "scipy",
    "scikit-learn",
    "matplotlib",
    "tokenizers",
    "ai-edge-litert",
)


def results(name):
    """Returns what a recipe gave, as `data/results` keeps it.

    Args:
        name: such as `"docs-base-small"`, `"students"` or `"pretraining"`: a file of that folder.

    Returns:
        A dict: command, seed, versions, and what was measured.

    Raises:
        ValueError: If there are no such results.

    Example:

    >>> results("docs-base-small")["ratio"] >= 12
    True
    """
    there = sorted(path.stem for path in (files.DATA / "results").glob("*.json"))
    path = files.DATA / "results" / f"{one_of('results', name, there)}.json"
    return json.loads(path.read_text("utf8"))


def stamped(command, found):
    """Adds to what a run found how it came about: the command, the machine, the versions."""
    return {
        "command": f"python3 -m course_utils {command}",
        **found,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "versions": {package: importlib.metadata.version(package) for package in PACKAGES},
    }


class Run:
    """A run that may be cut off and then goes on where it was.

    Whatever is done lies beside the result, in files called `NAME.backup.*`, until the run ends.

    Args:
        folder: Where the result goes.
        name: Of the result.

    Attributes:
        parts: By name, what each part that is done gave; in the order in which they were done.
    """

    def __init__(self, folder, name):
        self.folder, self.name = pathlib.Path(folder), name
        path = self.path("json")
        self.parts = json.loads(path.read_text("utf8")) if path.exists() else {}

    def path(self, ending):
        """Returns the path of a backup; what no file system takes in a name becomes a dash."""
        ending = re.sub(r"[^\w.]+", "-", ending)
        return self.folder / f"{self.name}.backup.{ending}"

    def keep(self, part, found, model=None):
        """Notes down what a part gave, and keeps a model with the state of its optimizer.

        The model is there before the note is: whoever finds the note finds the model.
        """
        if model is not None:
            self.folder.mkdir(parents=True, exist_ok=True)
            beside = self.path("beside.keras")
            model.save(beside)
            os.replace(beside, self.path(f"{part}.keras"))
        self.parts[part] = found
        files.write(self.path("json"), json.dumps(self.parts))
        print(f"{self.name}, {part}: {found}", flush=True)

    def model(self, part):
        """Returns the model that was kept with a part."""
        return keras.models.load_model(self.path(f"{part}.keras"))

    def drop(self, part):
        """Forgets the model of a part that a later one has overtaken."""
        self.path(f"{part}.keras").unlink(missing_ok=True)

    def clear(self):
        """Takes all backups away: the result is there."""
        for left_over in self.folder.glob(f"{self.name}.backup.*"):
            left_over.unlink()


def sizes(model, small):
    """Where the bytes went, and how many times smaller the file is than the float32 one."""
    whole = baseline(model)
    return {
        "float_bytes": whole,
        "bytes": len(small.content),
        "ratio": whole / len(small.content),
        "bits_per_weight": small.ledger.bits_per_weight,
        "ledger": small.ledger.parts,
        "layouts": small.ledger.layouts,
    }
