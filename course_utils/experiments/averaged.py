"""The training of small models of pictures and of sounds: what is kept is the mean of the weights over
the last steps, and every batch is a function of the seed and the step."""

import numpy as np

from course_utils.backend import keras, tf
from course_utils.compression.finetuning import adamw, training_step, warm_up_then_cosine
from course_utils.evaluation import tasks
from course_utils.models import catalogue, checkpoint

POINTS = 8  # of a curve


def averaging(mean, model):
    """Compiles what moves a model's weights towards those of one that is being trained."""

    @tf.function(autograph=False)
    def follow(slow):
        for average, weight in zip(mean.weights, model.weights):
            average.assign(slow * average + (1 - slow) * weight)

    return follow


def fit_averaged(model, batch, loss, recipe, slow, report):
    """Trains a model and keeps a mean of its weights.

    Args:
        model: A network with random weights.
        batch: Function of the step to `(inputs, targets)`.
        loss: Function of targets and the model's output.
        recipe: `steps`, `learning_rate` and `weight_decay`, for AdamW with a cosine.
        slow: Function of the step: the share of the mean so far in the next one.
        report: Called `POINTS` times, with the step, the loss since the last time and the mean.

    Returns:
        The mean, a model.
    """
    steps, mean, losses = recipe["steps"], checkpoint.clone(model), []
    rate = warm_up_then_cosine(recipe["learning_rate"], steps, steps // 20)
    learn = training_step(model, loss, adamw(rate, recipe["weight_decay"]))
    follow = averaging(mean, model)
    for step in range(steps):
        losses.append(float(learn(*batch(step))))
        follow(tf.constant(slow(step), tf.float32))
        if (step + 1) * POINTS % steps < POINTS:
            report(step + 1, float(np.mean(losses)), mean)
            losses = []
    return mean


def train_averaged(name, recipe, batches, loss):
    """Trains a model of the catalogue.

    Args:
        name: Its name there.
        recipe: What `fit_averaged` reads, `model`, `averaged` and `seed`, and what `batches` reads.
        batches: Function of the recipe to a function of the step to `(inputs, targets)`.
        loss: Function of targets and the model's output.

    Returns:
        The mean of the weights as a model, and its record.
    """
    keras.utils.set_random_seed(recipe["seed"])
    model = catalogue.entry(name).kind(name=name.replace("-", "_"), **recipe["model"])
    task, curve = tasks.of(name), []

    def slow(step):  # over all steps at first, over the last ones later: it forgets how it began
        return min(recipe["averaged"], step / (step + 10))

    def report(step, loss, mean):
        score = float(task.score(mean, task.data("validation", task.live)).quality)
        curve.append({"step": step, "train_loss": round(loss, 4), "validation": round(score, 4)})
        print(name, curve[-1], flush=True)

    mean = fit_averaged(model, batches(recipe), loss, recipe, slow, report)
    return mean, {**recipe, "curve": curve}
