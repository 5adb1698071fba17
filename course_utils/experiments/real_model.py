"""The record of lesson 08_5: a pre-trained model under the recipes of the course, on the test split.

`python3 -m course_utils results minilm` makes it, where the model was added.
"""

import time

import numpy as np

from course_utils import models
from course_utils.compression import compress
from course_utils.container import digest
from course_utils.evaluation import search, tasks
from course_utils.lessons.real_model import explorers, variants

SPLITS = ("test", "validation")
SWEPT = {"block": 2, "bits": 6}  # of the layer that the lesson smooths


def experiment(folder, run):
    """Measures every row of the lesson, see `variants.variants`, and whole files.

    Files are measured on validation, too: the smallest whose loss the questions there do not show
    is the one that is chosen. What it reaches on test is only told.
    """
    model, task = models.load("minilm"), tasks.of("minilm")
    texts = variants.calibration()
    data = {split: task.data(split, task.report) for split in SPLITS}

    def measured(name, split, make):
        if (part := f"{name}, {split}") not in run.parts:
            begun = time.perf_counter()
            made = make()
            seconds = time.perf_counter() - begun
            vectors = originals(run, split, model, data[split])
            row = variants.measure(made.model, data[split], vectors)
            run.keep(part, {**row, "bytes": made.bytes, "seconds": round(seconds, 1)})

    if "layers" not in run.parts:
        run.keep("layers", layers(model, texts))
    makers = variants.variants()
    for name, make in makers.items():
        measured(name, "test", lambda make=make: make(model, texts))
    measured("float", "validation", lambda: makers["float"](model, texts))
    for name, steps in variants.files().items():
        if any(f"{name}, {split}" not in run.parts for split in SPLITS):
            small = compress(model, steps, "entropy", texts)
            for split in SPLITS:
                made = variants.Variant(small.model, small.ledger.total)
                measured(name, split, lambda made=made: made)
    if "latency" not in run.parts:
        run.keep("latency", variants.latency(model))
    return {
        "model": "minilm",
        "pairs": len(data["test"][0]),
        "tokens_sha256": {split: digest(dict(zip("qt", data[split])), None) for split in SPLITS},
        "calibration_sha256": digest({"": texts}, None),
        "layers": run.parts["layers"],
        "latency": run.parts["latency"],
        "rows": {name: run.parts[name] for name in run.parts if name.endswith(SPLITS)},
    }


def originals(run, split, model, data):
    """Returns what the original makes of questions and texts, which every row is compared with."""
    path = run.path(f"{split}.npz")
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez(path, *(search.vectors(model, tokens) for tokens in data))
    with np.load(path) as kept:
        return tuple(kept.values())


def layers(model, texts):
    """Measures what layers read, and what smoothing makes of one of them."""
    smoother = explorers.Smoother(model, texts)
    swept = {alpha: smoother.at(alpha=alpha, **SWEPT) for alpha in variants.ALPHAS}
    return {
        "ratios": explorers.ratios(explorers.loudness(model, texts)),
        "plain": swept[0].plain,
        "smoothed": {str(alpha): one.error for alpha, one in swept.items()},
    }
