"""Hear a digit and find it in the picture; see a picture and say what is on it."""

import numpy as np

from course_utils.checks import whole
from course_utils.datasets import scenes, speaking
from course_utils.evaluation import boxes as box
from course_utils.evaluation.retrieval import GALLERY, words
from course_utils.evaluation.speech import in_parts
from course_utils.models import pairs
from course_utils.models import speech as networks

SIDE = 8  # pixels of a scan
FOUND = 0.3  # least score of a box that is looked at
NEAR = 0.5  # what a right box must have in common with the true one


def asked(split, count):
    """Draws scenes in which a spoken digit is asked for: the first ones with two different digits or
    more, of which one that stands there once is named, in a voice of the same split.

    Args:
        split: `"validation"` or `"test"`: of scenes and of voices.
        count: How many.

    Returns:
        Pictures `(count, SIZE, SIZE, 1)`, clips `(count, samples)`, the digits asked for `(count,)`
        and their true boxes `(count, 4)`.
    """
    rng, found = np.random.default_rng(3), []
    clips, spoken = words(split)
    pictures, boxes, labels = scenes.load(split, 4 * whole("count", count, 1, 500))
    for picture, true, there in zip(pictures, boxes, labels):
        once = [d for d in range(GALLERY) if np.sum(there == d) == 1]
        if len(set(there[there >= 0])) > 1 and once and len(found) < count:
            digit = rng.choice(once)
            clip = clips[rng.choice(np.flatnonzero(spoken == digit))]
            found.append((picture, clip, digit, true[there == digit][0]))
    return [np.stack(each) for each in zip(*found)]


def seen(detector, pictures):
    """Returns for each picture the boxes that a detector finds, and the chances of each digit in
    each of them."""
    boxes, scores = box.decode(in_parts(detector, pictures))
    kept = []
    for every, score in zip(boxes, scores):
        best = score.max(1)
        high = np.flatnonzero(best > FOUND)
        stay = high[box.nms(every[high], best[high])] if len(high) else high
        kept.append((every[stay], score[stay]))
    return kept


def chances(logits):
    """Returns the probabilities of the ten digits among those of all words, which sum to 1."""
    few = np.exp(logits[:, :GALLERY] - logits[:, :GALLERY].max(1, keepdims=True))
    return few / few.sum(1, keepdims=True)


def by_classifiers(kept, logits):
    """Returns which box each spoken word means: the one in which the digit that was heard is
    likeliest. -1 where there is no box."""
    heard = chances(logits)
    return np.array(
        [np.argmax(score @ word) if len(score) else -1 for (_, score), word in zip(kept, heard)]
    )


def cut_out(picture, one):
    """Cuts the square round a box out of a picture and brings it to 8 x 8 pixels, as scans are."""
    middle, half = (one[:2] + one[2:]) / 2, np.max(one[2:] - one[:2]) / 2
    corners = np.clip(np.round([middle - half, middle + half]), 0, scenes.SIZE).astype(int)
    (left, top), (right, bottom) = np.minimum(corners[0], scenes.SIZE - 1), corners[1]
    part = picture[top : max(bottom, top + 1), left : max(right, left + 1), 0]
    smaller = [scenes.stretched(side, SIDE) for side in part.shape]
    smaller = [each / np.maximum(each.sum(0), 1e-6) for each in smaller]  # means of the pixels
    scan = smaller[0].T @ part @ smaller[1]
    return ((scan - scan.min()) / max(float(np.ptp(scan)), 1e-6)).ravel().astype(np.float32)


def by_vectors(kept, pictures, of_scan, vectors):
    """Returns which box each spoken word means: the one whose cut-out lies closest to the word."""
    chosen = []
    for (boxes, _), picture, vector in zip(kept, pictures, vectors):
        scans = np.array([cut_out(picture, one) for one in boxes]).reshape(-1, SIDE * SIDE)
        chosen.append(np.argmax(np.asarray(of_scan(scans)) @ vector) if len(scans) else -1)
    return np.array(chosen)


def right(kept, chosen, true):
    """Says for each picture whether the chosen box is that of the digit."""
    return np.array(
        [
            at >= 0 and box.iou(boxes[at : at + 1], one[None])[0, 0] >= NEAR
            for (boxes, _), at, one in zip(kept, chosen, true)
        ]
    )


def by_chance(kept, true):
    """Returns how often a box that is picked blindly is right."""
    shares = [
        np.mean(box.iou(boxes, one[None])[:, 0] >= NEAR) if len(boxes) else 0.0
        for (boxes, _), one in zip(kept, true)
    ]
    return float(np.mean(shares))


# ---- reading aloud ------------------------------------------------------------------------------


def read_aloud(detector, speaker, picture, voice="paul"):
    """Finds the digits on a picture and says them from left to right.

    Args:
        detector, speaker: Models.
        picture: `(SIZE, SIZE, 1)`.
        voice: One of `speaking.VOICES`.

    Returns:
        The digits, and a sound for each, `(digits, samples)`.
    """
    ((boxes, scores),) = seen(detector, picture[None])
    digits = scores.argmax(1)[np.argsort(boxes[:, 0])]
    asked_for = [(digit, speaking.VOICES.index(voice)) for digit in digits]
    if not asked_for:
        return digits, np.zeros((0, 0), np.float32)
    said = in_parts(speaker, speaking.asked(asked_for)).clip(-1, 0)
    return digits, np.asarray(networks.voiced(said))


def pipeline(recogniser, classifier, scans, clips):
    """Returns how close two classifiers take words (rows) and scans (columns) to be: the chance that
    both are the same digit."""
    reading = np.asarray(classifier(scans))
    return chances(in_parts(recogniser, clips)) @ chances(reading).T


def vectors(model, scans, clips):
    """Returns how close a pair of encoders puts words (rows) and scans (columns)."""
    of_scan, of_word = pairs.encoders(model)
    return in_parts(of_word, clips) @ in_parts(of_scan, scans).T


def spoken(digit, split="test", at=0):
    """Returns a clip of a spoken digit."""
    clips, labels = words(split)
    return clips[np.flatnonzero(labels == digit)[at]]
