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


def train_averaged(name, recipe, batches, loss, weight_decay):
    """Trains a model of the catalogue.

    Args:
        name: Its name there.
        recipe: `model`, `steps`, `learning_rate`, `averaged` and `seed`, and what `batches` reads.
        batches: Function of the recipe to a function of the step to `(inputs, targets)`.
        loss: Function of targets and the model's output.
        weight_decay: For AdamW.

    Returns:
        The mean of the weights as a model, and its record.
    """
    keras.utils.set_random_seed(recipe["seed"])
    model = catalogue.entry(name).kind(name=name.replace("-", "_"), **recipe["model"])
    rate = warm_up_then_cosine(recipe["learning_rate"], recipe["steps"], recipe["steps"] // 20)
    learn, batch = training_step(model, loss, adamw(rate, weight_decay)), batches(recipe)
    mean, task = checkpoint.clone(model), tasks.of(name)
    follow, curve, losses = averaging(mean, model), [], []
    for step in range(recipe["steps"]):
        losses.append(float(learn(*batch(step))))
        # An average over all steps at first, over the last ones later: it forgets how it began.
        follow(tf.constant(min(recipe["averaged"], step / (step + 10)), tf.float32))
        if (step + 1) % (recipe["steps"] // POINTS) == 0:
            score = task.score(mean, task.data("validation", task.live))
            point = {"step": step + 1, "train_loss": round(float(np.mean(losses)), 4)}
            curve.append({**point, "validation": round(float(score.quality), 4)})
            print(name, curve[-1], flush=True)
            losses = []
    return mean, {**recipe, "curve": curve}
