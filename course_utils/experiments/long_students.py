"""The long experiment of lesson 3.2.3: what is left of a teacher's help after a whole training?

`docs-tiny`'s own recipe, 20 million tokens, once on labels and once on what `docs-base` thinks
likely, for three seeds: `python3 -m course_utils results long-students`, an hour of two cores.
"""

import time

import numpy as np

from course_utils import evaluation, models
from course_utils.experiments import training
from course_utils.experiments.students import TEACHER, quality

SEEDS = (11, 12, 13)  # no shipped model began with them, or saw their batches
WAYS = {"labels": {}, "KL": {"teacher": TEACHER}}


def experiment(folder, run):
    """Trains a student for each way and seed: same start, same batches, same steps within a seed.

    Nothing is chosen: not a step, not a rate. Both splits are only measured.
    """
    teacher, runs = models.load(TEACHER), []
    for seed in SEEDS:
        for way, lessons in WAYS.items():
            recipe = {**training.LANGUAGE["docs-tiny"], "seed": seed, **lessons}
            if (part := f"{way}, seed {seed}") not in run.parts:
                student, found = learn(recipe, run, part)
                for split in ("validation", "test"):
                    found[split] = quality(student, teacher, split)
                run.keep(part, found, student)
            runs.append({"way": way, "seed": seed, **run.parts[part]})
    return {
        "teacher": TEACHER,
        **{key: training.LANGUAGE["docs-tiny"][key] for key in ("model", "steps", "learning_rate")},
        "rows": training.ROWS,
        "length": training.LENGTH,
        "tokens": training.LANGUAGE["docs-tiny"]["steps"] * training.ROWS * training.LENGTH,
        "seeds": SEEDS,
        "runs": runs,
        "against_labels": {split: against_labels(runs, split) for split in ("validation", "test")},
    }


def learn(recipe, run, part):
    """Trains a student, or goes on with it; returns it and its curve: steps and validation loss."""
    vocabulary, hard, held_out = training.text(recipe["text"], recipe["seed"])
    soft = training.taught(recipe["teacher"]) if "teacher" in recipe else lambda *batch: batch
    held_out = np.concatenate([held_out[0], held_out[1][:, -1:]], axis=1)
    kept = f"{part}, so far"
    curve = run.parts.get(kept, {"curve": [], "seconds": 0})
    done = curve["curve"][-1][0] if curve["curve"] else 0
    student = (
        run.model(kept)
        if done
        else training.ready(training.begin("docs-tiny", recipe, vocabulary), recipe)
    )
    begun = time.perf_counter()
    for step, _ in training.fit(student, lambda step: soft(*hard(step)), recipe["steps"], done):
        loss = evaluation.next_token(student, held_out).loss
        curve = {
            "curve": [*curve["curve"], [step, round(loss, 4)]],
            "seconds": curve["seconds"] + round(time.perf_counter() - begun),
        }
        begun = time.perf_counter()
        run.keep(kept, curve, student)
    run.drop(kept)
    return student, curve


def against_labels(runs, split):
    """What a teacher adds to the loss, seed by seed: the mean and its 95% interval."""
    labels, taught = (
        [run[split]["loss"] for run in runs if run["way"] == way] for way in ("labels", "KL")
    )
    mean, interval = evaluation.paired(labels, taught)
    return {"mean": mean, "interval": interval}
