"""The simplest things that could do the same work: what a network has to beat (lesson 6.2)."""

import numpy as np
import scipy.ndimage

from course_utils.datasets import digits, pictures

LEAST = 6  # pixels of height: what is lower is clutter


def blobs(classifier, picture, level=0.3):
    """Finds digits without a detector: whatever dark pixels hang together is cut out and read.

    Args:
        classifier: From scans `(count, 64)` to logits.
        picture: `(size, size)`, from 0 (paper) to 1 (ink).
        level: What is darker is ink.

    Returns:
        Boxes `(found, 4)`, scores and digits `(found,)`, the best first, as `boxes.found` does.
    """
    cut = [
        (down, across)
        for down, across in scipy.ndimage.find_objects(scipy.ndimage.label(picture > level)[0])
        if down.stop - down.start >= LEAST
    ]
    if not cut:
        return np.empty((0, 4)), np.empty(0), np.empty(0, int)
    scans = np.stack([pictures.to_scan(1 - np.pad(picture[piece], 2)) for piece in cut])
    logits = np.asarray(classifier(scans), np.float64)
    chances = np.exp(logits - logits.max(1, keepdims=True))
    scores = (chances / chances.sum(1, keepdims=True)).max(1)
    boxes = [[across.start, down.start, across.stop, down.stop] for down, across in cut]
    order = np.argsort(-scores, kind="stable")
    return np.array(boxes, float)[order], scores[order], logits.argmax(1)[order]


def class_means(labels):
    """Draws for each label the mean of its training scans: `(count, 64)`."""
    scans, classes = digits.load("train")
    return np.stack([scans[classes == label].mean(0) for label in range(10)])[labels]


def class_normals(labels, seed=0):
    """Draws for each label from the normal distribution with the mean and the covariance of its
    training scans: `(count, 64)`, cut to 0..1."""
    (scans, classes), rng = digits.load("train"), np.random.default_rng(seed)
    drawn = np.empty((len(labels), scans.shape[1]))
    for label in range(10):
        here, of_class = labels == label, scans[classes == label]
        moments = of_class.mean(0), np.cov(of_class, rowvar=False)
        drawn[here] = rng.multivariate_normal(*moments, here.sum())
    return np.clip(drawn, 0, 1).astype(np.float32)
