"""How the models of pictures were trained: `python3 -m course_utils train digits-detector`.

Every batch is a function of the seed and the step. Training sees scans of the train split alone;
validation scans say how it goes, and test scans are not looked at.
"""

import numpy as np
import scipy.ndimage

from course_utils.backend import keras, tf
from course_utils.datasets import digits, scenes
from course_utils.decoding import flow
from course_utils.evaluation import boxes as box
from course_utils.experiments.averaged import train_averaged

BRANCHES = 2.5  # pixels: cells that near to the middle of a digit are asked for it
RECIPES = {
    "digits-cnn": {
        "model": {"widths": (16, 32), "hidden": 64},
        "steps": 4000,
        "rows": 64,
        "learning_rate": 3e-3,
        "weight_decay": 0.02,
        "averaged": 0.99,
        "seed": 3,
    },
    "digits-detector": {
        "model": {"widths": (16, 32, 64), "depth": 3},
        "steps": 4000,
        "rows": 32,
        "scenes": 16_000,
        "learning_rate": 2e-3,
        "weight_decay": 0.02,
        "averaged": 0.99,
        "seed": 4,
    },
    "digits-generator": {
        "model": {"width": 256, "depth": 3},
        # More steps fit the training scans better and others worse: the loss on validation scans is
        # 0.466, 0.442 and 0.471 after 1,500, 3,000 and 12,000.
        "steps": 4000,
        "rows": 128,
        "learning_rate": 1e-3,
        "weight_decay": 0.02,
        "averaged": 0.999,
        "seed": 5,
    },
}


def bent(scan, rng):
    """Turns, shears, stretches and moves a scan a little: `(64,)` -> `(64,)`."""
    matrix = np.eye(2) + rng.uniform(-0.15, 0.15, (2, 2))
    middle = np.array([3.5, 3.5])
    offset = middle - matrix @ middle + rng.uniform(-0.7, 0.7, 2)
    moved = scipy.ndimage.affine_transform(scan.reshape(8, 8), matrix, offset, order=1)
    return moved.ravel()


def scan_batches(recipe):
    """Returns the batches of a classifier: bent scans and their labels."""
    scans, labels = digits.load("train")

    def batch(step):
        rng = np.random.default_rng([recipe["seed"], step])
        chosen = rng.integers(0, len(labels), recipe["rows"])
        return np.stack([bent(scans[i], rng) for i in chosen]), labels[chosen]

    return batch


def cells_of(boxes, labels, side=scenes.SIZE // box.STRIDE):
    """Says what each cell of a detector should say.

    A cell is asked for a digit if the middle of its box lies in it, or at most `BRANCHES` pixels
    from its own middle both ways; where several ask, the nearest counts.

    Args:
        boxes, labels: Of one scene, filled up with labels of -1.
        side: Cells of a side.

    Returns:
        `float32` of shape `(side, side, 6)`: 1 where a digit is, its place and size as
        `boxes.decode` reads them, its class.
    """
    rows, columns = np.indices((side, side))
    places = box.STRIDE * (np.stack([columns, rows], axis=-1) + 0.5)
    told, nearest = np.zeros((side, side, 6), np.float32), np.full((side, side), np.inf)
    for one, label in zip(boxes, labels):
        if label >= 0:
            middle, sides = (one[:2] + one[2:]) / 2, one[2:] - one[:2]
            away = np.abs(places - middle).max(-1)
            asked = (away <= BRANCHES) & (away < nearest)
            nearest[asked] = away[asked]
            told[asked, 0], told[asked, 5] = 1, label
            told[asked, 1:3] = (middle - places[asked]) / box.STRIDE
            told[asked, 3:5] = np.log(sides / box.UNIT)
    return told


def scene_batches(recipe):
    """Returns the batches of a detector: pictures, and what each cell should say."""
    pictures, boxes, labels = scenes.load("train", recipe["scenes"], recipe["seed"])
    told = np.stack([cells_of(*each) for each in zip(boxes, labels)])

    def batch(step):
        rng = np.random.default_rng([recipe["seed"], step])
        chosen = rng.integers(0, len(pictures), recipe["rows"])
        return pictures[chosen], told[chosen]

    return batch


def detection_loss(told, cells):
    """Is there a digit? Where and how large? Which? The last two count only where one is."""
    there, asked = told[..., 0], tf.maximum(tf.reduce_sum(told[..., 0]), 1)
    presence = tf.nn.sigmoid_cross_entropy_with_logits(there, cells[..., 0])
    surprise = tf.nn.sparse_softmax_cross_entropy_with_logits(
        tf.cast(told[..., 5], tf.int32), cells[..., 5:]
    )
    off = tf.reduce_sum(tf.abs(told[..., 1:5] - cells[..., 1:5]), -1)
    apart = off + 1 - overlap(told[..., 1:5], cells[..., 1:5])
    return (tf.reduce_sum(presence) + tf.reduce_sum(there * (surprise + apart))) / asked


def overlap(one, other):
    """Returns the intersection over union of boxes as cells tell them, cell by cell."""

    def corners(told):
        middle = box.STRIDE * told[..., :2]
        half = box.UNIT / 2 * tf.exp(tf.clip_by_value(told[..., 2:], -4, 4))
        return middle - half, middle + half

    (low, high), (other_low, other_high) = corners(one), corners(other)
    sides = tf.nn.relu(tf.minimum(high, other_high) - tf.maximum(low, other_low))
    shared, mine, theirs = (
        tf.reduce_prod(each, -1) for each in (sides, high - low, other_high - other_low)
    )
    return shared / (mine + theirs - shared + 1e-6)


def flow_batches(recipe):
    """Returns the batches of a generator: places on the way from noise to scans, and which way the
    scans lie."""
    scans, labels = digits.load("train")

    def batch(step):
        rng = np.random.default_rng([recipe["seed"], step])
        chosen = rng.integers(0, len(labels), recipe["rows"])
        end = 2 * scans[chosen] - 1
        start = rng.standard_normal(end.shape).astype(np.float32)
        time = rng.random((len(end), 1)).astype(np.float32)
        between = (1 - time) * start + time * end
        return flow.state(between, time, labels[chosen]), end - start

    return batch


LOSSES = {
    "digits-cnn": (scan_batches, keras.losses.SparseCategoricalCrossentropy(from_logits=True)),
    "digits-detector": (scene_batches, detection_loss),
    "digits-generator": (flow_batches, keras.losses.MeanSquaredError()),
}


def train_vision(name, run):
    """Trains a model of pictures; returns it with its record."""
    batches, loss = LOSSES[name]
    return train_averaged(name, RECIPES[name], batches, loss)


MAKERS = dict.fromkeys(RECIPES, train_vision)
