"""The experiment of lesson 3.2.3: one small model, taught in several ways on equal terms.

Same start, same batches, same steps: only the loss differs.
`python3 -m course_utils results students` makes all of it.
"""

import time

import numpy as np

from course_utils import checks, decoding, distillation, evaluation, models
from course_utils.backend import keras, tf
from course_utils.checks import whole
from course_utils.compression import baseline
from course_utils.compression.finetuning import adamw, training_step, warm_up_then_cosine
from course_utils.datasets import docs
from course_utils.experiments import training
from course_utils.models import catalogue, checkpoint
from course_utils.models.compiled import compiled

TEACHER, SHAPE = "docs-base", training.LANGUAGE["docs-tiny"]["model"]
SEEDS, STEPS, BATCHES, ROWS = (0, 1, 2), 500, 250, 8  # each batch is seen twice
RATE = training.LANGUAGE["docs-tiny"]["learning_rate"]
TEXT_SEED = 3  # the shipped models were trained on other batches


def labels_only(targets, student):
    """Cross-entropy of the true next tokens; what the teacher said is not looked at."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(targets[0], student))


def of_labels(loss):
    return lambda targets, student: loss(targets[0], student)


def of_teacher(loss, times=1.0):
    return lambda targets, student: times * loss(targets[1], student)


OWN_TEXT = "teacher's own text"
# by name and setting, a loss of the pair (labels, teacher's logits) and the student's logits
WAYS = {
    "labels": {"": labels_only},
    "label smoothing": {
        f"share {share}": of_labels(distillation.label_smoothing(share)) for share in (0.02, 0.1)
    },
    "squared error": {
        f"times {times}": of_teacher(distillation.squared_error, times) for times in (1, 512)
    },
    "KL": {f"T = {T:g}": of_teacher(distillation.kl(T)) for T in (1.0, 2.0)},
    "KL and labels": {
        f"T = {T:g}": distillation.with_labels(distillation.kl(T)) for T in (1.0, 2.0)
    },
    "reverse KL": {"T = 1": of_teacher(distillation.reverse_kl())},
    OWN_TEXT: {"": labels_only},
}


def teach(student, batches, steps, loss, learning_rate=RATE):
    """Trains a student, which is changed, on what `batches` gives it.

    Args:
        student: A built Keras model that maps inputs to logits.
        batches: Function from a step to `(inputs, targets)`, always of the same shape.
        steps: How many steps. The rate rises over the first tenth, then falls along a cosine to
            nothing.
        loss: Function of targets and the student's logits.
        learning_rate: The highest one.

    Returns:
        The loss of each step, an array of shape `(steps,)`.
    """
    steps = whole("steps", steps, 2, 2**31)
    rate = warm_up_then_cosine(learning_rate, steps, -(-steps // 10))
    learn = training_step(student, loss, adamw(rate, 0.05))
    return np.array([float(learn(*batches(step))) for step in range(steps)])


def new(seed):
    """Returns an untrained student: the shape of `docs-tiny`, with weights drawn from a seed."""
    keras.utils.set_random_seed(checks.seed(seed))
    kind = catalogue.entry("docs-student").kind
    vocabulary = docs.tokenizer().get_vocab_size()
    student = kind(vocabulary=vocabulary, name="docs_student", **SHAPE)
    student.build()
    return student


def logits(model, tokens):
    return model(tokens)


def batch(step):
    """Returns inputs and labels of one of the experiment's batches of real text."""
    return tuple(
        tokens[:ROWS] for tokens in training.windows(docs.tokens("train"), TEXT_SEED, step)
    )


def teacher_logits(teacher, batches):
    """Asks a teacher once about each batch: `distillation.TeacherLogits`."""
    ask = compiled(teacher, logits)
    return distillation.TeacherLogits(lambda inputs: ask(tf.constant(inputs)), batch, batches)


def sequence_level(teacher, batches, given=16):
    """Lets a teacher go on from the first tokens of each batch: lessons of its own text (Kim and
    Rush, 2016).

    Nothing but the text is passed on; the true next tokens and the teacher's probabilities are not.
    """
    texts = [decoding.sample(teacher, batch(step)[0][:, :given], step) for step in range(batches)]
    return lambda step: (texts[step][:, :-1], (texts[step][:, 1:],))


def shuffled(batches, count, seed):
    """Returns the first `count` batches in an order of the seed's own, another one each time
    round."""

    def batch(step):
        order = np.random.default_rng([seed, step // count]).permutation(count)
        return batches(int(order[step % count]))

    return batch


def quality(model, teacher, split):
    """Measures a student on 256 sequences, and how often its first choice is the teacher's."""
    tokens = docs.sequences(split)
    quality = evaluation.next_token(model, tokens)
    choices = [
        np.concatenate(
            [
                compiled(each, logits)(tf.constant(part)).numpy().argmax(-1)
                for part in np.split(tokens[:, :-1], 16)
            ]
        )
        for each in (model, teacher)
    ]
    return {
        "loss": quality.loss,
        "perplexity": quality.perplexity,
        "accuracy": quality.accuracy,
        "agreement": float(np.mean(choices[0] == choices[1])),
    }


def losses(runs, way, split):
    """Returns the losses of one way of teaching, seed by seed."""
    return [run[split]["loss"] for run in runs if run["way"] == way]


def pilot(run):
    """Tries the settings of each way on validation text, with another seed and fewer steps.

    Returns:
        By way and setting, the validation loss; of the ways that have more than one setting.
    """
    seed, steps, tried, batches = 9, 300, {}, None
    for way, settings in WAYS.items():
        if len(settings) == 1:
            continue
        for setting, loss in settings.items():
            if (part := f"pilot, {way}, {setting}") not in run.parts:
                batches = batches or teacher_logits(models.load(TEACHER), steps // 2)
                student = new(seed)
                teach(student, shuffled(batches, steps // 2, seed), steps, loss)
                run.keep(part, evaluation.next_token(student, docs.sequences("validation")).loss)
            tried.setdefault(way, {})[setting] = run.parts[part]
    return tried


def experiment(folder, run):
    """Teaches students in every way, once for each seed; ships the first seed's best as
    `docs-student`.

    The setting of each way, and then the best way, are chosen on validation text; test text is only
    measured.
    """
    teacher, tried, batches, runs = models.load(TEACHER), pilot(run), {}, []
    chosen = {
        way: min(settings, key=lambda setting: tried[way][setting] if way in tried else 0)
        for way, settings in WAYS.items()
    }
    for way, setting in chosen.items():
        source = sequence_level if way == OWN_TEXT else teacher_logits
        for seed in SEEDS:
            if (part := f"{way}, seed {seed}") not in run.parts:
                if source not in batches:  # no other is kept: half a gigabyte is enough
                    batches = {source: source(teacher, BATCHES)}
                student, begun = new(seed), time.perf_counter()
                teach(student, shuffled(batches[source], BATCHES, seed), STEPS, WAYS[way][setting])
                seconds = round(time.perf_counter() - begun)
                found = {"way": way, "setting": setting, "seed": seed, "seconds": seconds}
                for split in ("validation", "test"):
                    found[split] = quality(student, teacher, split)
                run.keep(part, found, student)
            runs.append(run.parts[part])
    best = min(WAYS, key=lambda way: np.mean(losses(runs, way, "validation")))
    student = run.model(f"{best}, seed {SEEDS[0]}")
    checkpoint.save(
        folder / "models" / "docs-student.safetensors",
        student,
        {
            "command": "python3 -m course_utils results students",
            "teacher": TEACHER,
            "way": best,
            "setting": chosen[best],
            "seed": SEEDS[0],
            "steps": STEPS,
            "tokens_seen": STEPS * ROWS * training.LENGTH,
        },
    )
    return {
        "teacher": TEACHER,
        "steps": STEPS,
        "batches": BATCHES,
        "rows": ROWS,
        "length": training.LENGTH,
        "learning_rate": RATE,
        "seeds": SEEDS,
        "pilot": tried,
        "chosen": chosen,
        "best": best,
        "bytes": {"teacher": baseline(teacher), "student": baseline(student)},
        "parameters": {"teacher": teacher.count_params(), "student": student.count_params()},
        "kept_bytes": BATCHES * ROWS * training.LENGTH * teacher.config["vocabulary"],
        "runs": runs,
        "alone": {
            name: {split: quality(model, teacher, split) for split in ("validation", "test")}
            for name, model in (("teacher", teacher), ("untrained student", new(SEEDS[0])))
        },
        "against_labels": {
            split: {
                way: dict(
                    zip(
                        ("mean", "interval"),
                        evaluation.paired(losses(runs, "labels", split), losses(runs, way, split)),
                    )
                )
                for way in WAYS
                if way != "labels"
            }
            for split in ("validation", "test")
        },
    }
