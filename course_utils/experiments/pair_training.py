"""How the encoders of scans and spoken words were trained: `python3 -m course_utils train
digits-and-words`.

They see scans of the train split and hear the train voices that the recogniser heard, disturbed as
for it. Each batch holds some groups of ten pairs, one of each digit: the tenth that belongs together
has to be told from the nine that do not (van den Oord et al., 2018).
"""

import numpy as np

from course_utils.backend import keras, tf
from course_utils.datasets import digits
from course_utils.evaluation import tasks
from course_utils.evaluation.retrieval import GALLERY, galleries
from course_utils.experiments.averaged import fit_averaged
from course_utils.experiments.speech_training import training_pictures
from course_utils.experiments.vision_training import bent
from course_utils.models import pairs

RECIPE = {
    "model": {"size": 32, "widths": (16, 32), "heard": (12, 24, 32), "last": 48},
    "copies": (4_500, 2_500),  # of espeak-ng's words and of flite's; ten of fourteen are digits
    "groups": 6,  # of ten pairs, a batch
    "temperature": 0.1,
    "steps": 500,
    "learning_rate": 3e-3,
    "weight_decay": 0.02,
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
        both = close, tf.transpose(close, (0, 2, 1))
        losses = [tf.nn.sparse_softmax_cross_entropy_with_logits(own, one) for one in both]
        return tf.reduce_mean(losses)

    return loss


def batches(recipe):
    """Returns the batches: bent scans and pictures of disturbed words, in groups of ten."""
    scans, seen = digits.load("train")
    pools = training_pictures("english", recipe)
    heard, spoken = (np.concatenate(parts) for parts in zip(*pools))

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
    recipe, task, curve = RECIPE, tasks.of(name), []
    keras.utils.set_random_seed(recipe["seed"])
    model, loss = pairs.scans_and_pictures(**recipe["model"]), contrast(recipe["temperature"])

    def slow(step):  # over all steps at first, over the last ones later: it forgets how it began
        return min(recipe["averaged"], step / (step + 10))

    def report(step, loss, mean):
        score = task.score(
            pairs.with_ears(mean, recipe["model"]), task.data("validation", task.live)
        )
        point = {"step": step, "train_loss": round(loss, 4), "validation": round(score.quality, 4)}
        curve.append(point)
        print(name, point, flush=True)

    mean = fit_averaged(model, batches(recipe), loss, recipe, slow, report)
    return pairs.with_ears(mean, recipe["model"]), {**recipe, "curve": curve}


MAKERS = {"digits-and-words": train_pair}
