"""`docs-base-small`: rounding, learned to live with."""

import dataclasses
import time

import numpy as np

from course_utils import distillation, evaluation, models, quantization
from course_utils.backend import keras, tf
from course_utils.compression import (
    Quantize,
    compress,
    finetuning,
    sensitivity,
    weights,
)
from course_utils.container import digest
from course_utils.datasets import docs
from course_utils.experiments import students, training
from course_utils.experiments.record import SEED, sizes
from course_utils.models import checkpoint
from course_utils.models.compiled import compiled

PARTS, STEPS, ROWS, RATE, DECAY = 12, 300, 32, 1.5e-3, 0.1
# nats of loss that one rounded weight may cost before training; chosen for the file's size
HARM = 2.7e-7


def docs_base_small(folder, run):
    """The document's rounding, learned to live with: every matrix of `docs-base` on whole multiples
    of its own step.

    Half of the lesson are the true next tokens, half what docs-base itself would have said.
    Fine-tuning runs in parts of equal length, and a backup after each one holds all that the next
    needs: a run that was cut off ends where an uncut one would.
    """
    name, model, begun = "docs-base-small", models.load("docs-base"), time.perf_counter()
    steps, backup = balanced(model), folder / "results" / f"{name}.backup.safetensors"
    twin, done = model, {"parts": 0, "seconds": 0}
    if backup.exists():
        twin, done = checkpoint.load(backup), checkpoint.read(backup)[1]["record"]
    for part in range(done["parts"], PARTS):
        twin = finetuning.finetune(
            twin,
            lessons(model, part),
            STEPS,
            lambda step: steps,
            falling(part),
            distillation.both(distillation.kl()),
            DECAY,
        )
        done = {"parts": part + 1, "seconds": done["seconds"] + round(time.perf_counter() - begun)}
        begun = time.perf_counter()
        checkpoint.save(backup, twin, done)
        print(f"{name}: part {part + 1} of {PARTS}, {done['seconds']} s", flush=True)
    small = compress(twin, steps, "entropy")
    small.save(folder / "compressed" / f"{name}.safetensors")
    at_once = compress(model, steps, "entropy")
    texts = {split: docs.sequences(split) for split in ("validation", "test")}
    return {
        "model": "docs-base",
        "seed": SEED,
        "steps": [repr(step) for step in steps],
        **done,
        "training": {"steps": STEPS, "rows": ROWS, "learning_rate": RATE, "weight_decay": DECAY},
        **sizes(model, small),
        "before_training": {
            "bytes": len(at_once.content),
            **compared(model, at_once.model, texts["validation"]),
        },
        **{split: compared(model, small.model, tokens) for split, tokens in texts.items()},
    }


def balanced(model, probe=0.12):
    """Finds a step for each matrix with which the weights of all of them do the same harm.

    Harm is by how much the loss on training text rises when one matrix alone is rounded; it grows
    with the square of the step. Halving a step costs one bit a weight everywhere, so a bit is best
    spent where a weight does most harm, until none does more than another: reverse water-filling
    (Cover and Thomas, 2006, section 10.3).

    Args:
        model: A language model.
        probe: The step that the harm is measured with.

    Returns:
        A `Quantize` for each matrix.
    """
    tokens = docs.sequences("train", 64)
    loss = evaluation.next_token(model, tokens).loss
    harms = sensitivity(
        model,
        [Quantize(quantization.step, step=probe)],
        lambda rounded: evaluation.next_token(rounded, tokens).loss - loss,
    )
    counts, steps = (
        {weight.name: weight.matrix().size for weight in weights(model) if not weight.why_not},
        [],
    )
    for name, harm in harms.items():
        step = probe * (HARM * counts[name] / max(harm, 1e-9)) ** 0.5
        steps.append(Quantize(quantization.step, only=name, step=round(min(step, 0.25), 3)))
    return steps


def lessons(model, part):
    """Returns the batches of a part: tokens, and beside the next ones the model's own logits."""
    line, ask = docs.tokens("train"), compiled(model, students.logits)

    def batches(step):
        inputs, labels = (
            tokens[:ROWS] for tokens in training.windows(line, SEED, part * STEPS + step)
        )
        return inputs, (labels, ask(tf.constant(inputs)))

    return batches


def falling(part):
    """Returns the learning rate of a part: it falls on a straight line from `RATE` to nothing over
    all parts."""
    first, last = (RATE * (1 - i / PARTS) for i in (part, part + 1))
    return keras.optimizers.schedules.PolynomialDecay(first, STEPS, last)


def compared(model, small, tokens):
    """Measures two language models on the same sequences, and by how much the perplexity rose.

    Both stumble over the same hard sequences. The interval of the rise is taken over the difference
    of each sequence, where that falls out, and is narrower than the two perplexities' own.
    """
    before, after = (evaluation.next_token(each, tokens) for each in (model, small))
    difference = sequence_losses(small, tokens) - sequence_losses(model, tokens)
    rise, *interval = np.expm1([difference.mean(), *evaluation.interval(difference)]).tolist()
    return {
        "sequences": len(tokens),
        "tokens_sha256": digest({"": tokens}, None),
        "float": dataclasses.asdict(before),
        "small": dataclasses.asdict(after),
        "rise": rise,
        "rise_interval": interval,
    }


def sequence_losses(model, tokens, batch_size=16):
    """Returns the mean loss of each sequence, `float64`."""
    run, starts = compiled(model, evaluation.score), range(0, len(tokens), batch_size)
    return np.concatenate(
        [run(tf.constant(tokens[i : i + batch_size]))[0] for i in starts], dtype=np.float64
    )
