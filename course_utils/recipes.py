"""The course's best recipes for whole models, and the table of all methods: `python3 -m course_utils results`.

Each starts from a shipped model and a seed. What it gave lies in `data/results`, the compressed models in
`data/compressed`, where `compression.load` reads them. Recipes were chosen on validation data; test data
were only measured.
"""

import dataclasses
import importlib.metadata
import json
import os
import pathlib
import platform
import time

import numpy as np

from course_utils import (
    distillation,
    equalization,
    evaluation,
    files,
    finetuning,
    litert,
    models,
    pruning,
    quantization,
    second_order,
    speed,
    students,
    sweeps,
)
from course_utils.backend import keras, tf
from course_utils.checks import one_of
from course_utils.compression import (
    Apply,
    Prune,
    Quantize,
    baseline,
    compress,
    remove_units,
    sensitivity,
    unit_scores,
    weights,
)
from course_utils.datasets import digits, docs
from course_utils.models import checkpoint, training
from course_utils.models.compiled import compiled
from course_utils.storage import digest

SEED = 2  # the models were trained with 0 and 1: fine-tuning sees other batches
PACKAGES = ("tensorflow", "keras", "numpy", "scipy", "scikit-learn", "matplotlib", "tokenizers", "ai-edge-litert")


def results(name):
    """Loads what a recipe, or the table of methods, gave when the course was made.

    Args:
        name: `"docs-base-small"`, `"digits-lenet-small"`, `"methods"` or `"students"`.

    Returns:
        A dict, as `data/results/NAME.json` holds it.

    Raises:
        ValueError: If the name is unknown or its file is missing.

    Example:

    >>> results("docs-base-small")["ratio"] >= 12
    True
    """
    path = files.DATA / "results" / f"{one_of('results', name, RECIPES)}.json"
    if not path.is_file():
        raise ValueError(f"no results at {path}; make them with: python3 -m course_utils results {name}")
    return json.loads(path.read_text("utf8"))


def make(name, folder=None):
    """Runs a recipe, or goes on with one that was cut off, and writes what it gives.

    Args:
        name: As in `results`.
        folder: Where `results` and `compressed` lie; `data` if left out. Backups of an unfinished run lie
            beside the results and go away at the end.

    Returns:
        The path of the results.

    Raises:
        ValueError: If the name is unknown.
    """
    recipe, folder = RECIPES[one_of("results", name, RECIPES)], pathlib.Path(folder or files.DATA)
    found = recipe(folder)
    record = {"command": f"python3 -m course_utils results {name}", **found, "cores": os.cpu_count(),
              "python": platform.python_version(), "versions": {p: importlib.metadata.version(p) for p in PACKAGES}}
    path = files.write(folder / "results" / f"{name}.json", json.dumps(record, indent=1) + "\n")
    for left_over in path.parent.glob(f"{name}.backup.*"):
        left_over.unlink()
    if files.DATA in path.parents:
        files.write_manifest()
    return path


# --- docs-base-small -----------------------------------------------------------------------------

PARTS, STEPS, ROWS, RATE, DECAY = 12, 300, 32, 1.5e-3, 0.1
HARM = 2.7e-7  # nats of loss that one rounded weight may cost before training; chosen for the file's size


def docs_base_small(folder):
    """The document's rounding, learned to live with: every matrix of `docs-base` on whole multiples of its own step.

    Half of the lesson are the true next tokens, half what docs-base itself would have said. Fine-tuning runs
    in parts of equal length, and a backup after each one holds all that the next needs: a run that was cut
    off ends where an uncut one would.
    """
    name, model, begun = "docs-base-small", models.load("docs-base"), time.perf_counter()
    steps, backup = balanced(model), folder / "results" / f"{name}.backup.safetensors"
    twin, done = model, {"parts": 0, "seconds": 0}
    if backup.exists():
        twin, done = checkpoint.load(backup), checkpoint.read(backup)[1]["record"]
    for part in range(done["parts"], PARTS):
        twin = finetuning.finetune(twin, lessons(model, part), STEPS, lambda step: steps, falling(part),
                                   distillation.both(distillation.kl()), DECAY)
        done = {"parts": part + 1, "seconds": done["seconds"] + round(time.perf_counter() - begun)}
        begun = time.perf_counter()
        checkpoint.save(backup, twin, done)
        print(f"{name}: part {part + 1} of {PARTS}, {done['seconds']} s", flush=True)
    small = compress(twin, steps, "entropy")
    small.save(folder / "compressed" / f"{name}.safetensors")
    at_once = compress(model, steps, "entropy")
    texts = {split: docs.sequences(split) for split in ("validation", "test")}
    return {"model": "docs-base", "seed": SEED, "steps": [repr(step) for step in steps], **done,
            "training": {"steps": STEPS, "rows": ROWS, "learning_rate": RATE, "weight_decay": DECAY},
            **sizes(model, small),
            "before_training": {"bytes": len(at_once.content), **compared(model, at_once.model, texts["validation"])},
            **{split: compared(model, small.model, tokens) for split, tokens in texts.items()}}


def balanced(model, probe=0.12):
    """Finds a step for each matrix with which the weights of all of them do the same harm.

    Harm is by how much the loss on training text rises when one matrix alone is rounded; it grows with
    the square of the step. Halving a step costs one bit a weight everywhere, so a bit is best spent
    where a weight does most harm, until none does more than another: reverse water-filling (Cover and
    Thomas, 2006, section 10.3).

    Args:
        model: A language model.
        probe: The step that the harm is measured with.

    Returns:
        A `Quantize` for each matrix.
    """
    tokens = docs.sequences("train", 64)
    loss = evaluation.next_token(model, tokens).loss
    harms = sensitivity(model, [Quantize(quantization.step, step=probe)],
                        lambda rounded: evaluation.next_token(rounded, tokens).loss - loss)
    counts, steps = {weight.name: weight.matrix().size for weight in weights(model) if not weight.why_not}, []
    for name, harm in harms.items():
        step = probe * (HARM * counts[name] / max(harm, 1e-9)) ** 0.5
        steps.append(Quantize(quantization.step, only=name, step=round(min(step, 0.25), 3)))
    return steps


def lessons(model, part):
    """Returns the batches of a part: tokens, and beside the next ones the model's own logits."""
    line, ask = docs.tokens("train"), compiled(model, students.logits)

    def batches(step):
        inputs, labels = (tokens[:ROWS] for tokens in training.windows(line, SEED, part * STEPS + step))
        return inputs, (labels, ask(tf.constant(inputs)))

    return batches


def falling(part):
    """Returns the learning rate of a part: it falls on a straight line from `RATE` to nothing over all parts."""
    first, last = (RATE * (1 - i / PARTS) for i in (part, part + 1))
    return keras.optimizers.schedules.PolynomialDecay(first, STEPS, last)


def sizes(model, small):
    """Where the bytes went, and how many times smaller the file is than the float32 one."""
    whole = baseline(model)
    return {"float_bytes": whole, "bytes": len(small.content), "ratio": whole / len(small.content),
            "bits_per_weight": small.ledger.bits_per_weight,
            "ledger": small.ledger.parts, "layouts": small.ledger.layouts}


def compared(model, small, tokens):
    """Measures two language models on the same sequences, and by how much the perplexity rose.

    Both stumble over the same hard sequences. The interval of the rise is taken over the difference of
    each sequence, where that falls out, and is narrower than the two perplexities' own.
    """
    before, after = (evaluation.next_token(each, tokens) for each in (model, small))
    difference = sequence_losses(small, tokens) - sequence_losses(model, tokens)
    rise, *interval = np.expm1([difference.mean(), *evaluation.interval(difference)]).tolist()
    return {"sequences": len(tokens), "tokens_sha256": digest({"": tokens}, None), "float": dataclasses.asdict(before),
            "small": dataclasses.asdict(after), "rise": rise, "rise_interval": interval}


def sequence_losses(model, tokens, batch_size=16):
    """Returns the mean loss of each sequence, `float64`."""
    run, starts = compiled(model, evaluation.score), range(0, len(tokens), batch_size)
    return np.concatenate([run(tf.constant(tokens[i : i + batch_size]))[0] for i in starts], dtype=np.float64)


# --- digits-lenet-small --------------------------------------------------------------------------

KEEP = {"hidden_0": 100, "hidden_1": 50}  # of 300 and 100 units


def digits_lenet_small(folder):
    """Deep Compression (Han et al., 2016) on LeNet-300-100: remove, share values, code by entropy.

    Most hidden units go first, with their biases, then the small weights of those that stay, a few more at
    each step; what is left shares four values a matrix. The network is trained through every stage.
    """
    model, begun = models.load("digits-lenet"), time.perf_counter()
    units = {name: pruning.fraction(1 - KEEP[name] / len(scores))(scores)
             for name, scores in unit_scores(model, pruning.unit_magnitude).items()}
    shared = [*thinned(300), Quantize(quantization.kmeans, bits=2)]
    narrow = taught(model, remove_units(model, units), 400, lambda step: [], 2e-3)
    sparse = taught(model, narrow, 500, thinned, 2e-3)
    final = taught(model, sparse, 300, lambda step: shared, 1e-3)
    small = compress(final, shared, "entropy")
    small.save(folder / "compressed" / "digits-lenet-small.safetensors")
    stages = {"float": compress(model, []), "units removed": compress(narrow, []),
              "weights removed": compress(sparse, thinned(300)), "values shared": compress(final, shared),
              "coded by entropy": small}
    return {"model": "digits-lenet", "seed": SEED, "steps": [repr(step) for step in shared], "units": KEEP,
            "seconds": round(time.perf_counter() - begun), **sizes(model, small),
            "stages": {name: {"bytes": len(stage.content), "accuracy": scored(stage.model, "validation")["accuracy"]}
                       for name, stage in stages.items()},
            **{split: {"float": scored(model, split), "small": scored(small.model, split)}
               for split in ("validation", "test")}}


def thinned(step):
    """Removes more weights at each step, up to 60% of the hidden layers and 30% of the last at step 300."""
    return [Prune(pruning.magnitude, pruning.fraction(pruning.cubic(step, 0, 300, share)), only=layer)
            for layer, share in (("hidden", 0.6), ("logits", 0.3))]


def taught(teacher, student, steps, recipe, rate):
    """Fine-tunes a classifier of digits on the labels and on what the teacher says about the same scans."""
    scans, labels = digits.load("train")
    soft = np.asarray(teacher(scans))

    def batches(step):
        chosen = np.random.default_rng([SEED, step]).integers(0, len(labels), 128)
        return scans[chosen], (labels[chosen], soft[chosen])

    schedule = keras.optimizers.schedules.CosineDecay(rate, steps, 0.05)
    return finetuning.finetune(student, batches, steps, recipe, schedule, distillation.both(distillation.kl()))


def scored(model, split):
    return dataclasses.asdict(evaluation.classify(model, *digits.load(split)))


# --- the table of methods ------------------------------------------------------------------------

REPEATED = ("float", "step 0.05", "absmax 4 bits, group 32")  # a test measures these again, on 64 sequences
COMPUTED = {"float": "float", "absmax 8 bits, channel": "dynamic", "absmax 4 bits, group 32": "int4"}  # LiteRT's modes


def methods(folder):
    """Measures each method on the blocks of `docs-base`: perplexity, bytes of the whole file, and speed.

    Embeddings and head stay float32. Every row is a float32 model when it computes, with the graph of the
    original: only where LiteRT has a form of the method do fewer bits reach the processor.
    """
    model, tokens, begun = models.load("docs-base"), docs.sequences("validation"), time.perf_counter()
    calibration, path = docs.sequences("train", 16)[:, :-1], folder / "results" / "methods.backup.jsonl"

    def swept(start, recipes):
        return sweeps.sweep(start, recipes, tokens, ("fixed", "entropy"), calibration, path)

    rows = swept("docs-base", method_recipes())
    for bits in (4, 3, 2):
        scaled = equalization.awq(model, calibration, bits, 32)
        rows += swept(scaled, {f"awq {bits} bits, group 32": [
            Quantize(equalization.clipped_absmax, only="block", bits=bits, group_size=32)]})
    computed = forms(model, tokens)
    table = [{"method": fixed.recipe, "accuracy": fixed.accuracy, "perplexity": fixed.perplexity, "bytes": fixed.bytes,
              "bits_per_weight": fixed.bits_per_weight, "bytes_entropy": coded.bytes,
              "computed": computed.get(fixed.recipe)}
             for fixed, coded in zip(rows[::2], rows[1::2], strict=True)]
    few = docs.sequences("validation", 64)
    twins = {name: compress(model, method_recipes()[name]).model for name in REPEATED}
    again = {name: evaluation.next_token(twin, few).perplexity for name, twin in twins.items()}
    return {"model": "docs-base", "sequences": len(tokens), "tokens_sha256": digest({"": tokens}, None),
            "calibration": "docs.sequences('train', 16)[:, :-1]", "baseline": baseline(model),
            "seconds": round(time.perf_counter() - begun), "rows": table,
            "repeated": {"sequences": len(few), "tokens_sha256": digest({"": few}, None), "perplexity": again}}


def method_recipes():
    """Returns the table's recipes by name. AWQ is not among them: it changes the model first."""
    recipes = {"float": []}
    for size in (0.01, 0.03, 0.05):
        recipes[f"step {size}"] = [Quantize(quantization.step, only="block", step=size)]
    for rule, widths in ((quantization.absmax, (8, 4, 3, 2)), (quantization.clipped, (4, 3, 2)),
                         (quantization.affine, (4, 3, 2)), (second_order.gptq, (4, 3, 2))):
        for group in ("channel", 32):
            for bits in widths:
                shared = group if group == "channel" else f"group {group}"
                steps = [Quantize(rule, only="block", bits=bits, group_size=group)]
                recipes[f"{rule.__name__} {bits} bits, {shared}"] = steps
    recipes["nf4 4 bits, group 32"] = [Quantize(quantization.nf4, only="block", group_size=32)]
    for label, mask in (("50%", pruning.fraction(0.5)), ("2:4", pruning.n_of_m(2, 4))):
        each = pruning.fraction_per_unit(0.5) if label == "50%" else mask
        recipes[f"magnitude {label}"] = [Prune(pruning.magnitude, mask, only="block")]
        recipes[f"wanda {label}"] = [Prune(pruning.wanda, each, only="block")]
        recipes[f"sparsegpt {label}"] = [Apply(second_order.sparsegpt, only="block", mask=mask)]
    return recipes


def forms(model, tokens, rounds=30):
    """Times one call of 1 x 128 tokens in TensorFlow's graph, XLA and LiteRT, all in one run.

    Returns:
        By method, for each form that this machine has: the median in milliseconds, and how many times as
        fast it is as the float model in TensorFlow's graph. For LiteRT, which uses one thread, also bytes and
        perplexity of its own file; there, int8 reaches embeddings and head as well.
    """
    one, calls, own = tokens[:1, :-1], {}, {}
    for name, mode in COMPUTED.items():
        twin = compress(model, method_recipes()[name]).model
        for form, jit in (("TF graph", False), ("XLA", True)):
            run = tf.function(twin, jit_compile=jit, autograph=False)
            calls[name, form] = lambda run=run: run(tf.constant(one)).numpy()
        if mode in litert.modes():
            content = litert.export(model, mode)
            runner = litert.Runner(content)
            calls[name, "LiteRT"] = lambda runner=runner: runner(one)
            perplexity = evaluation.next_token(runner, tokens).perplexity
            own[name] = {"mode": mode, "bytes": len(content), "perplexity": perplexity}
    found = {name: {} for name in COMPUTED}
    for (name, form), timing in speed.pairs(calls, rounds).items():
        more = own[name] if form == "LiteRT" else {}
        found[name][form] = {"ms": 1e3 * timing.median, "speedup": timing.speedup, "interval": timing.interval, **more}
    return found


RECIPES = {"docs-base-small": docs_base_small, "digits-lenet-small": digits_lenet_small, "methods": methods,
           "students": students.experiment}
