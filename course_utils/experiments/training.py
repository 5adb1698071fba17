"""How the shipped models were trained: `python3 -m course_utils train docs-tiny`.

Every batch is a function of the seed and the step, so a run that is cut off and started again ends
where an uncut one would.
"""

import pathlib
import time

import numpy as np

from course_utils import files
from course_utils.backend import keras, tf
from course_utils.checks import one_of
from course_utils.compression.finetuning import adamw, warm_up_then_cosine
from course_utils.datasets import digits, docs, tales
from course_utils.experiments import pair_training, speech_training, vision_training
from course_utils.experiments.growing import grow
from course_utils.experiments.record import Run, stamped
from course_utils.models import catalogue, checkpoint, classic
from course_utils.models.compiled import bound

ROWS, LENGTH = 32, 128  # sequences a step, predictions a sequence
EVERY = 200  # steps between two points of the curve, each of which a cut-off run goes on from
LANGUAGE = {
    "docs-tiny": {
        "text": "docs",
        "model": {"width": 64, "depth": 2, "heads": 4},
        "steps": 5000,
        "learning_rate": 4e-3,
    },
    "docs-base": {
        "text": "docs",
        "model": {"width": 128, "depth": 4, "heads": 4},
        "steps": 5000,
        "learning_rate": 3e-3,
    },
    "docs-teacher": {
        "text": "docs",
        "start": "docs-base",
        "model": {"width": 256, "depth": 6, "heads": 8},
        "steps": 1000,
        "learning_rate": 1e-3,
        "seed": 2,
        "dtype": "float16",  # of the file: it changes no result
    },
    "tales-pretrained": {
        "text": "tales",
        "model": {"width": 128, "depth": 4, "heads": 4},
        "steps": 6000,
        "learning_rate": 3e-3,
    },
    "tales-seq2seq": {
        "text": "translations",
        "model": {"width": 128, "depth": 2, "heads": 4, "mlp_width": 256},
        "steps": 2000,
        "learning_rate": 3e-3,
    },
    "tales-first": {
        "text": "exercises",
        "start": "tales-pretrained",
        "steps": 6000,
        "learning_rate": 2e-3,
    },
    "tales-second": {
        "text": "many questions",
        "start": "tales-first",
        "steps": 6000,
        "learning_rate": 2e-3,
        "seed": 2,
    },
    "tales": {
        "text": "many questions",
        "start": "tales-second",
        "steps": 7000,
        "learning_rate": 2e-3,
        "seed": 3,
    },
    "tales-student": {
        "text": "many questions",
        "teacher": "tales",
        "model": {"width": 64, "depth": 4, "heads": 4},
        "steps": 6000,
        "learning_rate": 4e-3,
        "seed": 4,
    },
    "docs-lstm": {
        "text": "docs",
        "model": {"width": 96},
        "steps": 5000,
        "learning_rate": 1e-2,
    },
    "docs-hmm": {
        "text": "docs",
        "model": {"states": 231},
        "counted": True,  # begins as a bigram of classes
        "steps": 5000,
        "learning_rate": 1e-1,
        "weight_decay": 0,
    },
}
# How often each task is drawn, and how many questions a story is asked: in the later stages as many
# as fit.
INSTRUCTIONS = {"exercises": {}, "many questions": {"shares": (1, 3, 5, 1), "asked": 8}}
COUNTED = {
    "docs-ngram": {"text": "docs", "order": 6, "numbers": 172_352}
}  # as many as docs-tiny has
VISION = {
    "digits-mlp": {"model": {"widths": (64, 32)}, "epochs": 60, "learning_rate": 3e-3, "seed": 0},
    "digits-lenet": {
        "model": {"widths": (300, 100)},
        "epochs": 30,
        "learning_rate": 1e-3,
        "seed": 0,
    },
}


def windows(line, seed, step):
    """Draws `ROWS` windows of a line of tokens: inputs and targets of shape `(ROWS, LENGTH)`."""
    starts = np.random.default_rng([seed, step]).integers(0, len(line) - LENGTH, ROWS)
    window = line[starts[:, None] + np.arange(LENGTH + 1)]
    return window[:, :-1], window[:, 1:]


def instructions(seed, step, split="train", rows=ROWS, shares=tales.SHARES, asked=1):
    """Draws exercises in the tales' four tasks: inputs, targets, and how much each target counts.

    What a row answers counts the same, long or short: else translations would drown the one word of
    a mood. The story in the prompt counts a little, so that the model does not forget how to tell
    one; padding nothing.
    """
    tokens, answers = tales.instruction_batch(split, rows, LENGTH, seed, step, shares, asked)
    weights = np.where(tokens[:, 1:] == 0, 0, 0.1 + 40 * answers / answers.sum(1, keepdims=True))
    return tokens[:, :-1], tokens[:, 1:], (weights / weights.mean()).astype(np.float32)


def answers_only(seed, step, split="train", rows=ROWS):
    """Draws exercises whose answers alone count, and none that asks for a story: a recipe for
    forgetting."""
    tokens, answers = tales.instruction_batch(split, rows, LENGTH, seed, step)
    answers = answers * (tokens[:, :1] != tales.encode("<story>"))
    return tokens[:, :-1], tokens[:, 1:], answers / answers.mean()


def instruction_floor(rows=256, seed=1):
    """The loss that no model can beat on the exercises which fine-tuning is validated on, in nats.

    Answers have no dice in them. What is left are the stories, and which question is asked, each as
    much as it counts.
    """
    tokens, _, weights = instructions(seed, 0, "validation", rows)
    total = 0.0
    for row, counts in zip(tokens, weights):
        text = [tales.vocabulary()[i] for i in row if i]
        told = len(text) - text[::-1].index(".")
        one = tales.read(text[1:told])
        total -= (
            counts[0] * one.log_probability
        )  # a story counts the same in all its words, be it a prompt or an answer
        if text[0] == "<question>":
            asked = " ".join(text[told : text.index("<answer>")])
            total -= counts[0] * tales.ask_log_probability(one, asked)
    return float(total / weights.sum())


def translations(seed, step, split="train", rows=ROWS):
    """Draws stories to translate: English and what is written so far, the next tokens, and 1 where
    there is one."""
    source, target = tales.translation_batch(split, rows, LENGTH // 2, seed, step)
    weights = (target[:, 1:] != 0).astype(np.float32)
    return (source, target[:, :-1]), target[:, 1:], weights / weights.mean()


def text(name, seed):
    """Returns what a language model is trained on: the number of tokens known, a batch for each
    step, and one large batch to validate on.
    """
    if name in INSTRUCTIONS:
        return (
            len(tales.vocabulary()),
            lambda step: instructions(seed, step, **INSTRUCTIONS[name]),
            instructions(seed, 0, "validation", 256),
        )
    if name == "translations":
        return (
            len(tales.vocabulary()),
            lambda step: translations(seed, step),
            translations(seed, 0, "validation", 256),
        )
    if name == "tales":
        line, held_out = (
            tales.pretraining_line("train", 10_000_000),
            tales.pretraining_line("validation", 128 * 129),
        )
        return (
            len(tales.vocabulary()),
            lambda step: windows(line, seed, step),
            split_rows(held_out.reshape(128, 129)),
        )
    line = docs.tokens("train")
    held_out = split_rows(docs.sequences("validation", 128))
    return docs.tokenizer().get_vocab_size(), lambda step: windows(line, seed, step), held_out


def chances(model, inputs):
    """What a model thinks likely at each position, to be compiled."""
    return tf.nn.softmax(model(inputs))


def taught(name):
    """Returns a function that puts what a model thinks likely in the place of what came: a soft
    label at each position of a batch."""
    teacher = checkpoint.load(files.DATA / "models" / f"{name}.safetensors")
    say = bound(teacher, chances)

    def soft(inputs, targets, *weights):
        return inputs, say(tf.constant(inputs)).numpy(), *weights

    return soft


def split_rows(tokens):
    """Splits `(rows, length + 1)` into inputs and targets."""
    return tokens[:, :-1], tokens[:, 1:]


def begin(name, recipe, vocabulary):
    """Builds a model: with random weights, with those of another one, or as that one grown."""
    keras.utils.set_random_seed(recipe["seed"])
    first = checkpoint.load(started_from(recipe)) if "start" in recipe else None
    options = recipe["model"] if "model" in recipe else first.get_config()
    kind, name = catalogue.entry(name).kind, name.replace("-", "_")
    model = kind.from_config({"vocabulary": vocabulary, **options, "name": name})
    model.build()
    if first and "model" in recipe:
        grow(first, model)
    elif first:
        model.set_weights(first.get_weights())
    elif "counted" in recipe:
        model.begin_with(docs.tokens("train"))
    return model


def ready(model, recipe):
    """Gives a model its optimizer: AdamW, warm-up, then a cosine to nothing; returns it."""
    rate = warm_up_then_cosine(recipe["learning_rate"], recipe["steps"], 200)
    soft = "teacher" in recipe
    loss = (
        keras.losses.CategoricalCrossentropy if soft else keras.losses.SparseCategoricalCrossentropy
    )
    model.compile(
        adamw(rate, recipe.get("weight_decay", 0.05)), loss(from_logits=True), jit_compile=True
    )
    return model


def fit(model, batch, steps, done=0):
    """Takes step after step, each on a batch of its own. Every `EVERY` of them yields how many were
    taken, and the mean loss of those since the last time."""
    losses = []
    for step in range(done, steps):
        losses.append(float(model.train_on_batch(*batch(step))))
        if (step + 1) % EVERY == 0:
            yield step + 1, float(np.mean(losses))
            losses.clear()


def started_from(recipe):
    """Returns the path of the model that a training begins with, which is trained first where it is
    missing."""
    path = files.DATA / "models" / f"{recipe['start']}.safetensors"
    return path if path.is_file() else train(recipe["start"])


def train_vision(name, run):
    """Trains a classifier of handwritten digits; returns it with its record."""
    recipe = VISION[name]
    keras.utils.set_random_seed(recipe["seed"])
    model = catalogue.entry(name).kind(name=name.replace("-", "_"), **recipe["model"])
    model.compile(
        keras.optimizers.AdamW(recipe["learning_rate"], weight_decay=0.01),
        keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    history = model.fit(
        *digits.load("train"),
        batch_size=32,
        epochs=recipe["epochs"],
        verbose=0,
        validation_data=digits.load("validation"),
    ).history
    curve = [
        {"epoch": i + 1, **{key: round(history[key][i], 4) for key in history}}
        for i in range(recipe["epochs"])
    ]
    return model, {**recipe, "curve": curve}


def count_ngrams(name, run):
    """Makes an n-gram model; returns it with its record, which also tells what smaller and larger
    tables reach."""
    recipe, vocabulary = COUNTED[name], docs.tokenizer().get_vocab_size()
    line = docs.tokens("train")
    counted, curve = classic.count(line, recipe["order"], vocabulary), []

    def made(order, numbers):
        model = classic.kneser_ney(counted[:order], vocabulary, numbers=numbers)
        losses = {
            f"{split}_loss": round(loss_of(model, docs.sequences(split, 256)), 4)
            for split in ("validation", "test")
        }
        curve.append({"order": order, "numbers": model.count_params(), **losses})
        print(name, curve[-1], flush=True)
        return model

    for order in range(1, recipe["order"]):
        made(order, None)
    for numbers in (10_000, 30_000, 1_000_000, 5_000_000, None):
        made(recipe["order"], numbers)
    model = made(recipe["order"], recipe["numbers"])
    return model, {**recipe, "train_tokens": len(line), "curve": curve}


def loss_of(model, tokens):
    """Returns the mean loss of a model that cannot be compiled, over tokens
    `(sequences, length + 1)`."""
    parts = [
        keras.losses.sparse_categorical_crossentropy(
            part[:, 1:], model(part[:, :-1]), from_logits=True
        )
        for part in np.array_split(tokens, max(1, len(tokens) // 16))
    ]
    return float(np.mean(np.concatenate(parts)))


def train_language(name, run):
    """Trains a language model, or goes on from its backup; returns it with its record."""
    recipe = {"seed": 1, **LANGUAGE[name]}
    vocabulary, hard, held_out = text(recipe["text"], recipe["seed"])
    soft = taught(recipe["teacher"]) if "teacher" in recipe else lambda *batch: batch
    held_out = dict(zip(("x", "y", "sample_weight"), soft(*held_out)))
    done = max(map(int, run.parts), default=0)
    model = run.model(str(done)) if done else ready(begin(name, recipe, vocabulary), recipe)
    seconds = run.parts[str(done)]["seconds"] if done else 0
    begun = time.perf_counter()
    for step, train_loss in fit(model, lambda step: soft(*hard(step)), recipe["steps"], done):
        loss = float(model.evaluate(**held_out, batch_size=32, verbose=0))
        point = {
            "step": step,
            "train_loss": round(train_loss, 4),
            "validation_loss": round(loss, 4),
            "seconds": round(seconds + time.perf_counter() - begun),
        }
        run.keep(str(step), point, model)
        run.drop(str(step - EVERY))
    if "start" in recipe:
        recipe["start_record"] = checkpoint.read(started_from(recipe))[1]["record"]
    curve = [
        {key: value for key, value in point.items() if key != "seconds"}
        for point in run.parts.values()
    ]
    return model, {
        **recipe,
        "rows": ROWS,
        "length": LENGTH,
        "tokens_seen": recipe["steps"] * ROWS * LENGTH,
        "seconds": round(seconds + time.perf_counter() - begun),
        "curve": curve,
    }


MAKERS = {
    **dict.fromkeys(LANGUAGE, train_language),
    **dict.fromkeys(COUNTED, count_ngrams),
    **dict.fromkeys(VISION, train_vision),
    **vision_training.MAKERS,
    **speech_training.MAKERS,
    **pair_training.MAKERS,
}


def train(name, folder=None):
    """Trains one of the shipped models, or goes on with it, and writes checkpoint and record.

    Args:
        name: A key of `MAKERS`.
        folder: Where the checkpoint goes; `data/models` if left out.

    Returns:
        The path of the checkpoint.
    """
    maker, folder = (
        MAKERS[one_of("model", name, MAKERS)],
        pathlib.Path(folder or files.DATA / "models"),
    )
    run, begun = Run(folder, name), time.perf_counter()
    model, record = maker(name, run)
    record = stamped(f"train {name}", {"seconds": round(time.perf_counter() - begun), **record})
    path = checkpoint.save(folder / f"{name}.safetensors", model, record, record.get("dtype"))
    run.clear()
    if files.DATA in path.parents:
        files.write_manifest()
    return path
