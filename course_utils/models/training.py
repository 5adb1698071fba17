"""How the shipped models were trained: `python3 -m course_utils train docs-tiny`.

Every batch is a function of the seed and the step, so a run that is cut off and started again ends
where an uncut one would.
"""

import importlib.metadata
import json
import os
import pathlib
import platform
import time

import numpy as np

from course_utils import files
from course_utils.backend import keras
from course_utils.checks import one_of
from course_utils.datasets import digits, docs
from course_utils.models import checkpoint, vision
from course_utils.models.language import DecoderLM

ROWS, LENGTH = 32, 128  # sequences a step, predictions a sequence
LANGUAGE = {
    "docs-tiny": {"model": {"width": 64, "depth": 2, "heads": 4}, "steps": 5000, "learning_rate": 4e-3, "seed": 1},
    "docs-base": {"model": {"width": 128, "depth": 4, "heads": 4}, "steps": 5000, "learning_rate": 3e-3, "seed": 1},
    "docs-teacher": {"model": {"width": 256, "depth": 6, "heads": 8}, "steps": 4000, "learning_rate": 2e-3, "seed": 1},
}
VISION = {"digits-mlp": {"model": {"widths": (64, 32)}, "epochs": 60, "learning_rate": 3e-3, "seed": 0}}


def windows(line, seed, step):
    """Draws the batch of one step: `ROWS` windows, inputs and targets of shape `(ROWS, LENGTH)`."""
    starts = np.random.default_rng([seed, step]).integers(0, len(line) - LENGTH, ROWS)
    window = line[starts[:, None] + np.arange(LENGTH + 1)]
    return window[:, :-1], window[:, 1:]


def new(name, recipe):
    """Builds an untrained model with its optimizer: AdamW, warm-up, then a cosine to nothing."""
    keras.utils.set_random_seed(recipe["seed"])
    model = DecoderLM(vocabulary=docs.tokenizer().get_vocab_size(), context=LENGTH,
                      name=name.replace("-", "_"), **recipe["model"])
    model.build()
    warm_up = 200
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, recipe["steps"] - warm_up, warmup_target=recipe["learning_rate"], warmup_steps=warm_up)
    model.compile(keras.optimizers.AdamW(rate, weight_decay=0.05, beta_2=0.98, global_clipnorm=1.0),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True), jit_compile=True)
    return model


def train(name, folder=None):
    """Trains one of the shipped models, or goes on with it, and writes checkpoint and record.

    Args:
        name: A key of `LANGUAGE` or `VISION`.
        folder: Where the checkpoint goes; `data/models` if left out. The backup of an unfinished
            run lies beside it and goes away at the end.

    Returns:
        The path of the checkpoint.
    """
    one_of("model", name, (*LANGUAGE, *VISION))
    folder = pathlib.Path(folder or files.DATA / "models")
    begun = time.perf_counter()
    model, record = train_language(name, folder) if name in LANGUAGE else train_vision(name)
    record = {"command": f"python3 -m course_utils train {name}", "seconds": round(time.perf_counter() - begun),
              "python": platform.python_version(), **record, "versions": {p: importlib.metadata.version(p) for p in (
                  "tensorflow", "keras", "numpy", "scipy", "scikit-learn", "matplotlib", "tokenizers")}}
    path = checkpoint.save(folder / f"{name}.safetensors", model, record)
    for left_over in folder.glob(f"{name}.backup.*"):
        left_over.unlink()
    return path


def train_vision(name):
    """Trains a classifier of handwritten digits; returns it with its record."""
    recipe = VISION[name]
    keras.utils.set_random_seed(recipe["seed"])
    model = vision.mlp(name=name.replace("-", "_"), **recipe["model"])
    model.compile(keras.optimizers.AdamW(recipe["learning_rate"], weight_decay=0.01),
                  keras.losses.SparseCategoricalCrossentropy(from_logits=True), metrics=["accuracy"])
    history = model.fit(*digits.load("train"), batch_size=32, epochs=recipe["epochs"], verbose=0,
                        validation_data=digits.load("validation")).history
    curve = [{"epoch": i + 1, **{key: round(history[key][i], 4) for key in history}} for i in range(recipe["epochs"])]
    return model, {**recipe, "curve": curve}


def train_language(name, folder):
    """Trains a language model on the docstrings, or goes on from its backup; returns it with its record."""
    recipe = LANGUAGE[name]
    backup, notes = folder / f"{name}.backup.keras", folder / f"{name}.backup.json"
    line, held_out = docs.tokens("train"), docs.sequences("validation", 128)
    curve, seconds = [], 0.0
    if notes.exists():
        curve, seconds = (json.loads(notes.read_text())[key] for key in ("curve", "seconds"))
        model = keras.models.load_model(backup)
    else:
        model = new(name, recipe)
    start = curve[-1]["step"] if curve else 0
    losses, begun = [], time.perf_counter()
    for step in range(start, recipe["steps"]):
        losses.append(float(model.train_on_batch(*windows(line, recipe["seed"], step))))
        if (step + 1) % 200 == 0:
            validation = model.evaluate(held_out[:, :-1], held_out[:, 1:], batch_size=32, verbose=0)
            curve.append({"step": step + 1, "train_loss": round(float(np.mean(losses)), 4),
                          "validation_loss": round(float(validation), 4)})
            losses.clear()
            spent = seconds + time.perf_counter() - begun
            print(f"{name} step {step + 1}/{recipe['steps']}  {curve[-1]}  {spent:.0f} s", flush=True)
            beside = backup.with_name(f"beside-{backup.name}")
            folder.mkdir(parents=True, exist_ok=True)
            model.save(beside)
            os.replace(beside, backup)
            files.write(notes, json.dumps({"curve": curve, "seconds": spent}))
    return model, {**recipe, "rows": ROWS, "length": LENGTH, "tokens_seen": recipe["steps"] * ROWS * LENGTH,
                   "train_tokens": len(line), "seconds": round(seconds + time.perf_counter() - begun), "curve": curve}
