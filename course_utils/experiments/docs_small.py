"""`docs-base-small`: rounding, learned to live with."""

import re
import time

import numpy as np

from course_utils import distillation, evaluation, models, quantization
from course_utils.backend import keras, tf
from course_utils.compression import (
    Quantize,
    compress,
    finetuning,
    load,
    sensitivity,
    weights,
)
from course_utils.container import digest
from course_utils.datasets import docs
from course_utils.experiments import students, training
from course_utils.experiments.record import SEED, results, sizes
from course_utils.models.compiled import compiled

PARTS, STEPS, ROWS, RATE, DECAY = 12, 300, 32, 1.5e-3, 0.1
# nats of loss that one rounded weight may cost before training; chosen for the file's size
HARM = 2.7e-7
PROBE = 0.12  # the step that harm is measured with


def docs_base_small(folder, run):
    """The document's rounding, learned to live with: every matrix of `docs-base` on whole multiples
    of its own step.

    Half of the lesson are the true next tokens, half what docs-base itself would have said.
    Fine-tuning runs in parts of equal length, and a backup after each one holds all that the next
    needs: a run that was cut off ends where an uncut one would.
    """
    model = models.load("docs-base")
    steps = equal_harm(model)
    twin, seconds = learnt(model, steps, run)
    small = compress(twin, steps, "entropy")
    small.save(folder / "compressed" / "docs-base-small.safetensors")
    at_once = compress(model, steps, "entropy")
    texts = {split: docs.sequences(split) for split in ("validation", "test")}
    return {
        "model": "docs-base",
        "seed": SEED,
        "steps": [repr(step) for step in steps],
        "parts": PARTS,
        "seconds": seconds,
        "training": {"steps": STEPS, "rows": ROWS, "learning_rate": RATE, "weight_decay": DECAY},
        **sizes(model, small),
        "before_training": {
            "bytes": len(at_once.content),
            **compare(model, at_once.model, texts["validation"]),
        },
        **{split: compare(model, small.model, tokens) for split, tokens in texts.items()},
    }


def labels_alone(folder, run):
    """The control for `docs_base_small`: the same fine-tuning of the same steps on the same batches,
    without what docs-base would have said. No file is shipped."""
    model = models.load("docs-base")
    twin, seconds = learnt(model, recipe(), run, students.labels_only)
    alone = compress(twin, recipe(), "entropy")
    shipped = load(folder / "compressed" / "docs-base-small.safetensors")
    record = {"model": "docs-base", "seed": SEED, "seconds": seconds, **sizes(model, alone)}
    for split in ("validation", "test"):
        tokens = docs.sequences(split)
        losses = (evaluation.next_token(each, tokens).losses for each in (alone.model, shipped))
        mean, interval = evaluation.paired(*losses)
        record[split] = {
            **compare(model, alone.model, tokens),
            "against_labels": {"mean": mean, "interval": interval},
        }
    return record


def learnt(model, steps, run, loss=None):
    """Fine-tunes part by part; returns the twin and the seconds it took."""
    done = len(run.parts)
    seconds = run.parts[str(done)] if done else 0
    for part in range(done, PARTS):
        twin, begun = run.model(str(part)) if part else model, time.perf_counter()
        twin = learn(twin, soft_targets(model, part), steps, linear_decay(part), loss)
        seconds += round(time.perf_counter() - begun)
        run.keep(str(part + 1), seconds, twin)
        run.drop(str(part))
    return run.model(str(PARTS)), seconds


def recipe():
    """Returns the steps of the shipped file, a `Quantize` for each matrix, read off its record.

    Example:

    >>> recipe()[0].only
    'docs_base/embedding/embeddings'
    """
    said = results("docs-base-small")["steps"]
    pairs = re.findall(r"only='(.+?)', step=([\d.]+)", " ".join(said))
    return [Quantize(quantization.step, only=name, step=float(step)) for name, step in pairs]


def learn(twin, batches, rounding, rate, loss=None):
    """Fine-tunes a model that is rounded before each step; half of the loss are the labels, half
    what the teacher thinks, unless another loss is given."""
    loss = loss or distillation.with_labels(distillation.kl())
    return finetuning.finetune(twin, batches, STEPS, lambda step: rounding, rate, loss, DECAY)


def equal_harm(model):
    """Finds a step for each matrix with which the weights of all of them do the same harm.

    Harm is by how much the loss on training text rises when one matrix alone is rounded; it grows
    with the square of the step. Halving a step costs one bit a weight everywhere, so a bit is best
    spent where a weight does most harm, until none does more than another: reverse water-filling
    (Cover and Thomas, 2006, section 10.3).

    Args:
        model: A language model.

    Returns:
        A `Quantize` for each matrix.
    """
    tokens = docs.sequences("train", 64)
    loss = evaluation.next_token(model, tokens).loss
    harms = sensitivity(
        model,
        [Quantize(quantization.step, step=PROBE)],
        lambda rounded: evaluation.next_token(rounded, tokens).loss - loss,
    )
    counts, steps = (
        {
            weight.name: weight.matrix().size
            for weight in weights(model)
            if not weight.skipped_because
        },
        [],
    )
    for name, harm in harms.items():
        step = PROBE * (HARM * counts[name] / max(harm, 1e-9)) ** 0.5
        steps.append(Quantize(quantization.step, only=name, step=round(min(step, 0.25), 3)))
    return steps


def soft_targets(model, part):
    """Returns the batches of a part: tokens, and beside the next ones the model's own logits."""
    line, ask = docs.tokens("train"), compiled(model, students.logits)

    def batches(step):
        inputs, labels = (
            tokens[:ROWS] for tokens in training.windows(line, SEED, part * STEPS + step)
        )
        return inputs, (labels, ask(tf.constant(inputs)))

    return batches


def linear_decay(part):
    """Returns the learning rate of a part: it falls on a straight line from `RATE` to nothing over
    all parts."""
    first, last = (RATE * (1 - i / PARTS) for i in (part, part + 1))
    return keras.optimizers.schedules.PolynomialDecay(first, STEPS, last)


def compare(model, small, tokens):
    """Measures two language models on the same sequences, and by how much the perplexity rose.

    Both stumble over the same hard sequences. The interval of the rise is taken over the difference
    of each sequence, where that falls out, and is narrower than the two perplexities' own.
    """
    before, after = (evaluation.next_token(each, tokens) for each in (model, small))
    difference = after.losses - before.losses
    rise, *interval = np.expm1([difference.mean(), *evaluation.interval(difference)]).tolist()
    return {
        "sequences": len(tokens),
        "tokens_sha256": digest({"": tokens}, None),
        "float": recorded(before),
        "small": recorded(after),
        "rise": rise,
        "rise_interval": interval,
    }


def recorded(seen):
    """Returns what was measured as JSON can hold it, without the loss of each sequence."""
    return {name: value for name, value in vars(seen).items() if name != "losses"}
