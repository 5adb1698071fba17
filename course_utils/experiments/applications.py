"""One table over applications: each model as it is, rounded, pruned, and both, at its own work.

Choices are made on validation data, reports on test data. What is rounded here computes in float32
like the original: its milliseconds say so. Only a LiteRT file computes with fewer bits.
"""

import functools
import time

from course_utils import litert, models, pruning, quantization, second_order
from course_utils.backend import tf
from course_utils.checks import one_of
from course_utils.compression import Prune, Quantize, compress, weights
from course_utils.evaluation import speed, tasks

# By application: the model, and which of its skills where it has several.
APPLICATIONS = {
    "text generation": ("tales", "story"),
    "machine translation": ("tales", "translate"),
    "question answering": ("tales", "question"),
    "image classification": ("digits-cnn", ""),
    "object detection": ("digits-detector", ""),
    "image generation": ("digits-generator", ""),
    "speech recognition": ("speech-recogniser", ""),
    "speech synthesis": ("speech-synthesiser", ""),
    "speech enhancement": ("speech-enhancer", ""),
}
GROUP_SIZE, BITS, SPARSITIES = 32, (8, 4, 3), (0.3, 0.5, 0.7, 0.8)
ROUNDING = {
    "absmax": quantization.absmax,
    "affine": quantization.affine,
    "corrected GPTQ": second_order.corrected_gptq,
}
SCORES = {
    "magnitude": (pruning.magnitude, pruning.fraction),
    "Wanda": (pruning.wanda, pruning.fraction_per_unit),
}
SPARE = 0.02  # share of the original's quality that a choice may cost on validation data
CALIBRATION = 64  # rows of the train split, where a task does not want more


def rounded(model, rule, bits):
    """Returns steps that round every matrix; one whose inputs nobody can see gets absmax where a
    rule asks for them."""
    return [
        Quantize(
            ROUNDING[rule if weight.calibratable else instead(rule, "corrected GPTQ", "absmax")],
            only=weight.name,
            bits=bits,
            group_size=GROUP_SIZE,
        )
        for weight in matrices(model)
    ]


def pruned(model, score, sparsity):
    """Returns steps that prune every matrix, in the same manner."""
    steps = []
    for weight in matrices(model):
        fitting = score if weight.calibratable else instead(score, "Wanda", "magnitude")
        rule, mask = SCORES[fitting]
        steps.append(Prune(rule, mask(sparsity), only=weight.name))
    return steps


def roundings(model):
    """Returns by label the steps of each way to round a model."""
    return {
        f"{rule}, {bits} bits": rounded(model, rule, bits) for rule in ROUNDING for bits in BITS
    }


def prunings(model):
    """Returns by label the steps of each way to prune a model."""
    return {
        f"{score}, {sparsity:.0%}": pruned(model, score, sparsity)
        for score in SCORES
        for sparsity in SPARSITIES
    }


def combinations(model, score, rule):
    """Returns by label the steps that prune by one score and then round by one rule."""
    return {
        f"{score}, {sparsity:.0%}; {rule}, {bits} bits": [
            *pruned(model, score, sparsity),
            *rounded(model, rule, bits),
        ]
        for sparsity in SPARSITIES
        for bits in BITS
    }


def instead(name, asking, other):
    """Returns `other` for the name of a rule that asks for inputs, and any other name as it is."""
    return other if name == asking else name


def matrices(model):
    return [weight for weight in weights(model) if not weight.skipped_because]


class Variants:
    """The variants of one model, each measured once on validation data and chosen for a skill.

    Args:
        name: A shipped model whose task is in `evaluation.tasks`.
        run: Keeps what is measured, so that a run that was cut off goes on.
        count: How much data to score on; what the task reports on if left out.

    Attributes:
        found: By label: bytes, and by skill the quality on validation data.
    """

    def __init__(self, name, run=None, count=None):
        self.name, self.run, self.found, self.files = name, run, {}, {}
        self.model, self.task = models.load(name), tasks.of(name)
        self.count = count or self.task.report
        rows = getattr(self.task, "calibration", CALIBRATION)
        self.calibration = self.task.inputs(self.task.data("train", rows))
        self.validation = self.task.data("validation", self.count)

    def made(self, label, steps, storage="fixed"):
        """Returns a compressed model; the last few stay in memory."""
        if label not in self.files:
            self.files = dict(list(self.files.items())[-8:])
            self.files[label] = compress(self.model, steps, storage, self.calibration)
        return self.files[label]

    def measure(self, label, steps, storage="fixed"):
        """Measures one variant on validation data, unless a run has it already."""
        part = f"{self.name}, {label}"
        if self.run and part in self.run.parts:
            self.found[label] = self.run.parts[part]
        if label not in self.found:
            small = self.made(label, steps, storage)
            score = judged(self.task.score(small.model, self.validation))
            quality = {skill: value for skill, (value, interval) in score.items()}
            self.found[label] = {"bytes": len(small.content), "quality": quality}
            if self.run:
                self.run.keep(part, self.found[label])
        return self.found[label]

    def best(self, skill, choices, storage="fixed"):
        """Chooses the smallest file that costs at most `SPARE` of the original's quality on
        validation data; where none is that good, the best one.

        Args:
            skill: A key of `judged`.
            choices: By label, the steps.
            storage: As for `compress`.

        Returns:
            The label.
        """
        whole = self.measure("float", [])["quality"][skill]
        seen = {label: self.measure(label, steps, storage) for label, steps in choices.items()}
        least = whole - SPARE * abs(whole)
        good = [label for label in seen if seen[label]["quality"][skill] >= least]
        if good:
            return min(good, key=lambda label: seen[label]["bytes"])
        return max(seen, key=lambda label: seen[label]["quality"][skill])

    def rows(self, skill=""):
        """Chooses a variant of each kind for a skill, and reports it on test data.

        Returns:
            A list of dicts: `kind`, `variant`, `storage`, `validation`, `quality` with its 95%
            `interval` on test data, `bytes` of the file, `ms` of one call and how it compares with
            the float model in the same run.
        """
        one, two = roundings(self.model), prunings(self.model)
        quantized, thinned = self.best(skill, one), self.best(skill, two)
        both = combinations(self.model, thinned.split(",")[0], quantized.split(",")[0])
        combined = self.best(skill, both, "entropy")
        chosen = {
            "float": ("float", [], "fixed"),
            "quantized": (quantized, one[quantized], "fixed"),
            "pruned": (thinned, two[thinned], "fixed"),
            "combined": (combined, both[combined], "entropy"),
        }
        return self.reported(skill, chosen)

    def reported(self, skill, chosen):
        """Scores what was chosen on test data and times it, all in one run."""
        data, rows, calls = self.task.data("test", self.count), {}, {}
        for kind, (label, steps, storage) in chosen.items():
            small = self.made(label, steps, storage)
            quality, interval = judged(self.task.score(small.model, data))[skill]
            rows[kind] = {
                "kind": kind,
                "variant": label,
                "storage": storage,
                "validation": self.found[label]["quality"][skill],
                "quality": quality,
                "interval": interval,
                "bytes": len(small.content),
            }
            calls[kind] = speed.graph(small.model, speed.one_row(self.task.inputs(data)))
        if getattr(self.task, "portable", False):
            for mode in ("float", "dynamic"):
                kind = f"LiteRT, {mode}"
                runner, size = self.on_device(mode)
                quality, interval = judged(self.task.score(runner, data))[skill]
                rows[kind] = {
                    "kind": kind,
                    "quality": quality,
                    "interval": interval,
                    "bytes": size,
                }
                single = speed.one_row(self.task.inputs(data))
                calls[kind] = functools.partial(runner, single)
        for kind, timing in speed.pairs(calls).items():
            more = {"speedup": timing.speedup, "speedup_interval": timing.interval}
            rows[kind].update({"ms": 1e3 * timing.median, **more})
        return list(rows.values())

    def on_device(self, mode):
        """Returns the model as a LiteRT file that runs, and the file's bytes."""
        single = speed.one_row(self.task.inputs(self.validation))
        shape = tf.TensorSpec(single.shape, tf.as_dtype(single.dtype))
        content = litert.convert(self.model, shape, self.model.variables, mode)
        return litert.Runner(content), len(content)


def judged(score):
    """Returns by skill the quality that a `tasks.Score` tells and its 95% interval, if it has one.

    A model with one skill calls it `""`. An interval is taken from `measured.interval`.
    """
    if isinstance(score.measured, dict):
        return {skill: (one.score, one.interval) for skill, one in score.measured.items()}
    interval = getattr(score.measured, "interval", None)
    return {"": (score.quality, interval)}


def rows(application, run=None):
    """Returns the rows of one application; see `Variants.rows`.

    Args:
        application: A key of `APPLICATIONS`.
        run: Where parts that are done are kept.
    """
    name, skill = APPLICATIONS[one_of("application", application, APPLICATIONS)]
    return Variants(name, run).rows(skill)


def table(applications, run):
    """Returns the rows of several applications, each kept in `run` as soon as it is there."""
    found = {}
    for application in applications:
        part, begun = f"rows of {application}", time.perf_counter()
        if part not in run.parts:
            made = rows(application, run)
            seconds = round(time.perf_counter() - begun)
            run.keep(part, {"rows": made, "seconds": seconds})
        found[application] = {"model": APPLICATIONS[application][0], **run.parts[part]}
    return found


def experiment(folder, run):
    """Makes the table over all applications whose models are shipped."""
    shipped = [name for name, (model, _) in APPLICATIONS.items() if model in models.names()]
    return {
        "spare": SPARE,
        "calibration": CALIBRATION,
        "group_size": GROUP_SIZE,
        "applications": table(shipped, run),
    }
