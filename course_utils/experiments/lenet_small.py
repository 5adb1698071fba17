"""`digits-lenet-small`: Deep Compression on LeNet-300-100."""

import dataclasses
import time

import numpy as np

from course_utils import distillation, evaluation, models, pruning, quantization
from course_utils.backend import keras
from course_utils.compression import (
    Prune,
    Quantize,
    compress,
    finetuning,
    remove_units,
    unit_scores,
)
from course_utils.datasets import digits
from course_utils.experiments.record import SEED, sizes

KEEP = {"hidden_0": 100, "hidden_1": 50}  # of 300 and 100 units


def digits_lenet_small(folder, run):
    """Deep Compression (Han et al., 2016) on LeNet-300-100: remove, share values, code by entropy.

    Most hidden units go first, with their biases, then the small weights of those that stay, a few
    more at each step; what is left shares four values a matrix. The network is trained through
    every stage.
    """
    model, begun = models.load("digits-lenet"), time.perf_counter()
    units = {
        name: pruning.fraction(1 - KEEP[name] / len(scores))(scores)
        for name, scores in unit_scores(model, pruning.unit_magnitude).items()
    }
    shared = [*gradual_pruning(300), Quantize(quantization.kmeans, bits=2)]
    narrow = distil(model, remove_units(model, units), 400, lambda step: [], 2e-3)
    sparse = distil(model, narrow, 500, gradual_pruning, 2e-3)
    final = distil(model, sparse, 300, lambda step: shared, 1e-3)
    small = compress(final, shared, "entropy")
    small.save(folder / "compressed" / "digits-lenet-small.safetensors")
    stages = {
        "float": compress(model, []),
        "units removed": compress(narrow, []),
        "weights removed": compress(sparse, gradual_pruning(300)),
        "values shared": compress(final, shared),
        "coded by entropy": small,
    }
    return {
        "model": "digits-lenet",
        "seed": SEED,
        "steps": [repr(step) for step in shared],
        "units": KEEP,
        "seconds": round(time.perf_counter() - begun),
        **sizes(model, small),
        "stages": {
            name: {
                "bytes": len(stage.content),
                "accuracy": score(stage.model, "validation")["accuracy"],
            }
            for name, stage in stages.items()
        },
        **{
            split: {"float": score(model, split), "small": score(small.model, split)}
            for split in ("validation", "test")
        },
    }


def gradual_pruning(step):
    """Removes more weights at each step, up to 60% of the hidden layers and 30% of the last at step
    300."""
    return [
        Prune(pruning.magnitude, pruning.fraction(pruning.cubic(step, 0, 300, share)), only=layer)
        for layer, share in (("hidden", 0.6), ("logits", 0.3))
    ]


def distil(teacher, student, steps, recipe, rate):
    """Fine-tunes a classifier of digits on the labels and on what the teacher says about the same
    scans."""
    scans, labels = digits.load("train")
    soft = np.asarray(teacher(scans))

    def batches(step):
        chosen = np.random.default_rng([SEED, step]).integers(0, len(labels), 128)
        return scans[chosen], (labels[chosen], soft[chosen])

    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, 0.05)
    return finetuning.finetune(
        student, batches, steps, recipe, schedule, distillation.with_labels(distillation.kl())
    )


def score(model, split):
    return dataclasses.asdict(evaluation.classify(model, *digits.load(split)))
