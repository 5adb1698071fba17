"""What lesson 6.3 asks of its models: `python3 -m course_utils results speech`.

Which ingredient of the recipe helps a recogniser with voices of other kinds, and with people? Short
trainings, each with one ingredient left out; two seeds. Then small recognisers, with and without a
teacher.
"""

import time

import numpy as np

from course_utils import compression, distillation, models
from course_utils.backend import keras
from course_utils.datasets import speech
from course_utils.evaluation.speech import answers, by_kind, by_person
from course_utils.experiments.disturbing import INGREDIENTS
from course_utils.experiments.speech_training import (
    RECIPES,
    fit_pictures,
    training_pictures,
    with_ears,
)

LANGUAGE, MODEL = "english", "speech-recogniser"
SEEDS = (11, 12)
SHORT = {
    **RECIPES[MODEL],
    "model": {**RECIPES[MODEL]["model"], "momentum": 0.9},
    "copies": (3000, 1500),
    "steps": 300,
}
SMALL = {"words": 14, "widths": (8, 16, 24), "last": 32, "momentum": 0.9}
TEMPERATURE = 2.0
WITHOUT = ((), *((one,) for one in INGREDIENTS))


def heard(model):
    """Returns what a recogniser gets right: on validation voices, on the four kinds that it never
    heard, and of the recordings of people."""
    rows, labels = speech.load(LANGUAGE, "validation")
    found = {"validation": float(np.mean(answers(model, rows) == labels))}
    found |= {kind: seen.accuracy for kind, seen in by_kind(model, LANGUAGE).items()}
    return {**found, "people": sum(right for right, _ in by_person(model, LANGUAGE).values())}


def trained(without, seed, options=None, teacher=None):
    """Trains a recogniser briefly.

    Args:
        without: Those of `INGREDIENTS` that are left out.
        seed: Of everything.
        options: Of the model, if another size.
        teacher: A model that looks at pictures, whose softened answers are learned instead of
            labels.

    Returns:
        What `heard` says, with the seconds; and the model.
    """
    begun = time.perf_counter()
    recipe = {**SHORT, "seed": seed, "model": options or SHORT["model"]}
    pools = training_pictures(LANGUAGE, recipe, without)
    loss = None
    if teacher is not None:
        pools = [(seen, said(teacher, seen)) for seen, _ in pools]
        loss = distillation.cross_entropy(TEMPERATURE)
    seen = fit_pictures(pools, recipe, loss=loss)
    model = with_ears(seen, recipe, "short", without)
    found = heard(model)
    return {"seed": seed, "seconds": round(time.perf_counter() - begun), **found}, model


def said(teacher, pictures, rows=500):
    """Returns the logits of a teacher for pictures."""
    parts = [
        np.asarray(teacher(pictures[i : i + rows][..., None].astype(np.float32)))
        for i in range(0, len(pictures), rows)
    ]
    return np.concatenate(parts)


def ablation(run):
    """Trains without each ingredient; returns a list of dicts."""
    found = []
    for without in WITHOUT:
        name = ", ".join(without) or "nothing"
        for seed in SEEDS:
            if (part := f"without {name}, seed {seed}") not in run.parts:
                run.keep(part, trained(without, seed)[0])
        runs = [run.parts[f"without {name}, seed {seed}"] for seed in SEEDS]
        found.append({"without": name, "runs": runs})
    return found


def students(run):
    """Trains small recognisers from labels and from the shipped one; returns a list of dicts."""
    teacher = eyes(models.load(MODEL))
    found = []
    for name, taught in (("half as wide, from labels", None), ("half as wide, taught", teacher)):
        for seed in SEEDS:
            if (part := f"{name}, seed {seed}") not in run.parts:
                seen, model = trained((), seed, SMALL, taught)
                seen |= {"weights": model.count_params(), "bytes": compression.baseline(model)}
                run.keep(part, seen)
        runs = [run.parts[f"{name}, seed {seed}"] for seed in SEEDS]
        found.append({"student": name, "weights": runs[0]["weights"], "runs": runs})
    return found


def eyes(model):
    """Returns the part of a recogniser that looks at pictures."""
    return keras.Model(model.get_layer("log_mel").output, model.outputs[0])


def experiment(folder, run):
    """Makes the study of lesson 6.3. Nothing is chosen by what test voices or people gave."""
    return {
        "language": LANGUAGE,
        "copies": SHORT["copies"],
        "steps": SHORT["steps"],
        "rows": SHORT["rows"],
        "temperature": TEMPERATURE,
        "ablation": ablation(run),
        "students": students(run),
    }
