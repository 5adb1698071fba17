"""The record of lesson 08_5: a pre-trained model under the recipes of the course, on the test split.

`python3 -m course_utils results minilm` makes it, where the model was added.
"""

import time

from course_utils import models
from course_utils.compression import compress
from course_utils.container import digest
from course_utils.evaluation import tasks
from course_utils.lessons.real_model import variants

SPLITS = ("test", "validation")


def experiment(folder, run):
    """Measures every row of the lesson, see `variants.variants`, and whole files.

    Files are measured on validation, too: the smallest whose loss the questions there do not show
    is the one that is chosen. What it reaches on test is only told.
    """
    model, task = models.load("minilm"), tasks.of("minilm")
    texts = variants.calibration()
    data = {split: task.data(split, task.report) for split in SPLITS}
    vectors = {}

    def measured(part, split, make):
        if part in run.parts and part != f"float, {split}":
            return
        begun = time.perf_counter()
        made = make()
        seconds = time.perf_counter() - begun
        row, found = variants.measure(made.model, data[split], vectors.get(split))
        vectors.setdefault(split, found)
        run.keep(part, {**row, "bytes": made.bytes, "seconds": round(seconds, 1)})

    makers = variants.variants()
    for name, make in makers.items():
        measured(f"{name}, test", "test", lambda make=make: make(model, texts))
    measured("float, validation", "validation", lambda: makers["float"](model, texts))
    for name, steps in variants.files().items():
        if all(f"{name}, {split}" in run.parts for split in SPLITS):
            continue
        small = compress(model, steps, "entropy", texts)
        for split in SPLITS:
            made = variants.Variant(small.model, small.ledger.total)
            measured(f"{name}, {split}", split, lambda made=made: made)
    return {
        "model": "minilm",
        "pairs": len(data["test"][0]),
        "tokens_sha256": {split: digest(dict(zip("qt", data[split])), None) for split in SPLITS},
        "calibration_sha256": digest({"": texts}, None),
        "rows": run.parts,
    }
