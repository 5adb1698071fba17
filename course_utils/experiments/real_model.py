"""The record of lesson 08_5: a pre-trained model under the recipes of the course, on the test split.

`python3 -m course_utils results minilm` makes it, where the model was added.
"""

import time

from course_utils import models
from course_utils.container import digest
from course_utils.evaluation import tasks
from course_utils.lessons.real_model import variants


def experiment(folder, run):
    """Measures every row of the lesson; see `variants.variants`."""
    model, task = models.load("minilm"), tasks.of("minilm")
    data, texts = task.data("test", task.report), variants.calibration()
    vectors = None
    for name, make in variants.variants().items():
        if name in run.parts and name != "float":
            continue
        begun = time.perf_counter()
        made = make(model, texts)
        seconds = time.perf_counter() - begun
        row, found = variants.measure(made.model, data, vectors)
        vectors = found if vectors is None else vectors
        run.keep(name, {**row, "bytes": made.bytes, "seconds": round(seconds, 1)})
    return {
        "model": "minilm",
        "pairs": len(data[0]),
        "tokens_sha256": digest({"asked": data[0], "found": data[1]}, None),
        "calibration_sha256": digest({"": texts}, None),
        "rows": run.parts,
    }
