"""How the encoders of scans and spoken words were trained: `python3 -m course_utils train
digits-and-words`.

They see scans of the train split, and hear what the course ships of the train voices, disturbed
anew. Each batch holds some groups of ten pairs, one of each digit: the tenth that belongs together
has to be told from the nine that do not (van den Oord et al., 2018).
"""

import numpy as np

from course_utils.backend import keras, tf
from course_utils.compression.finetuning import adamw, training_step, warm_up_then_cosine
from course_utils.datasets import digits, speech
from course_utils.evaluation import tasks
from course_utils.evaluation.retrieval import GALLERY, galleries
from course_utils.experiments.speech_training import copies
from course_utils.experiments.vision_training import averaging, bent
from course_utils.models import catalogue, checkpoint, pairs

POINTS = 6  # of a curve
RECIPE = {
    "model": {"size": 32, "widths": (16, 32), "heard": (16, 24, 32)},
    "copies": 9000,
    "groups": 6,  # of ten pairs, a batch
    "temperature": 0.1,
    "steps": 3000,
    "learning_rate": 2e-3,
    "averaged": 0.99,
    "seed": 10,
    "dtype": "float16",  # of the file: it changes no result
}


def contrast(temperature):
    """Returns the loss of a pair's vectors, group by group of ten: the cross-entropy of which scan
    belongs to a word, and of which word to a scan."""

    def loss(targets, vectors):
        scans, words = (tf.reshape(v, (-1, GALLERY, v.shape[-1])) for v in vectors)
        close = tf.einsum("gsv,gwv->gsw", scans, words) / temperature
        own = tf.broadcast_to(tf.range(GALLERY), tf.shape(close)[:2])
        both = (close, tf.transpose(close, (0, 2, 1)))
        losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(own, one) for one in both]
        return tf.reduce_mean(losses)

    return loss


def batches(recipe):
    """Returns the batches: bent scans and pictures of disturbed words, in groups of ten."""
    scans, seen = digits.load("train")
    sounds, spoken, _ = speech.sounds("english", "train")
    sounds = [sound for sound, word in zip(sounds, spoken) if word < GALLERY]
    heard, spoken = copies(sounds, spoken[spoken < GALLERY], recipe["copies"], recipe["seed"])

    def batch(step):
        seed = [recipe["seed"], step]
        rng = np.random.default_rng(seed)
        chosen = galleries(seen, recipe["groups"], seed).ravel()
        picked = galleries(spoken, recipe["groups"], [*seed, 1]).ravel()
        shown = np.stack([bent(scans[i], rng) for i in chosen])
        return (shown, heard[picked][..., None].astype(np.float32)), np.zeros(len(chosen))

    return batch


def train_pair(name, run):
    """Trains the pair; returns it with its record."""
    recipe = RECIPE
    keras.utils.set_random_seed(recipe["seed"])
    model = catalogue.entry(name).kind(**recipe["model"])
    mean, task = checkpoint.clone(model), tasks.of(name)
    rate = warm_up_then_cosine(recipe["learning_rate"], recipe["steps"], recipe["steps"] // 20)
    trained, loss = pairs.seen_and_heard(model), contrast(recipe["temperature"])
    learn, batch = training_step(trained, loss, adamw(rate, 0.02)), batches(recipe)
    follow, curve, losses = averaging(mean, model), [], []
    for step in range(recipe["steps"]):
        losses.append(float(learn(*batch(step))))
        follow(tf.constant(min(recipe["averaged"], step / (step + 10)), tf.float32))
        if (step + 1) % (recipe["steps"] // POINTS) == 0:
            score = task.score(mean, task.data("validation", task.live))
            point = {"step": step + 1, "train_loss": round(float(np.mean(losses)), 4)}
            curve.append({**point, "validation": round(score.quality, 4)})
            print(name, curve[-1], flush=True)
            losses = []
    return mean, {**recipe, "curve": curve}


MAKERS = {"digits-and-words": train_pair}
