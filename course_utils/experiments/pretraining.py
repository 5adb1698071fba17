"""The experiment of lesson 2.2: what did pre-training buy?

The same exercises in the same order, learned from random weights and from those of
`tales-pretrained`. `python3 -m course_utils results pretraining` makes all of it.
"""

from course_utils import evaluation, models
from course_utils.backend import keras, tf
from course_utils.compression.finetuning import adamw, training_step, warm_up_then_cosine
from course_utils.datasets import tales
from course_utils.experiments import training

RATES = {"random": 4e-3, "pre-trained": 2e-3}  # what suits a small start, and what `tales` had
SEEDS, STEPS, ROWS = (4, 5), 200, 8  # the shipped models saw seeds 1 to 3
EXAMPLES = 200  # of each task, to score a model on


def begin(start, seed):
    """Returns a model of the shape of `tales-pretrained`: with its weights, or with random ones."""
    model = models.load("tales-pretrained")
    if start == "random":
        keras.utils.set_random_seed(seed)
        model = type(model).from_config(model.get_config())
        model.build()
    return model


def counted(targets, logits):
    """The mean surprise at the targets, each as much as it counts; `targets` is a pair with that."""
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(targets[0], logits)
    return tf.reduce_mean(targets[1] * losses)


def exercises(seed, step):
    """Returns a batch of exercises: inputs, and a pair of targets and how much each counts."""
    inputs, *targets = training.instructions(seed, step, rows=ROWS)
    return inputs, tuple(targets)


def learn(model, seed, rate):
    """Fine-tunes a model, which is changed, on `STEPS` batches that depend on the seed alone."""
    schedule = warm_up_then_cosine(rate, STEPS, STEPS // 10)
    step = training_step(model, counted, adamw(schedule, 0.05))
    for number in range(STEPS):
        step(*exercises(seed, number))


def experiment(folder, run):
    """Fine-tunes both starts with each seed, and scores them on test stories."""
    for seed in SEEDS:
        for start, rate in RATES.items():
            if (part := f"{start}, seed {seed}") not in run.parts:
                learn(model := begin(start, seed), seed, rate)
                measured = evaluation.skills(model, EXAMPLES, "test")
                run.keep(part, {task: measured[task].score for task in tales.TASKS[1:]})
    return {
        "rows": ROWS,
        "steps": STEPS,
        "exercises": ROWS * STEPS,
        "rates": RATES,
        "seeds": SEEDS,
        "examples": EXAMPLES,
        "test": {start: [run.parts[f"{start}, seed {seed}"] for seed in SEEDS] for start in RATES},
    }
