"""Scenes: several scanned digits on one canvas, of different sizes, among clutter and noise.

Nothing is stored. A scene is drawn anew from a split, a seed and an index, and uses only scans of
its split, so no digit that a detector was trained on stands in a test scene.
"""

import dataclasses
import functools

import numpy as np

from course_utils.checks import one_of, read_only, whole
from course_utils.checks import seed as checked_seed
from course_utils.datasets import digits

SIZE = 40  # pixels of a side
SHARES = (0.05, 0.2, 0.3, 0.25, 0.2)  # of scenes with 0, 1, 2, 3 and 4 digits
SCALES = (9.0, 18.0)  # pixels of a scan's side, drawn evenly
INK = 0.2  # of 1: what is fainter does not belong to a digit's box
OVERLAP = 0.25  # share of the smaller box that two digits may have in common
CLUTTER, NOISE = 3, 0.08  # scraps at most, and the noise's standard deviation at most


@dataclasses.dataclass(frozen=True)
class Scene:
    """One picture, and what is on it.

    Attributes:
        picture: `float32` of shape `(SIZE, SIZE)`, from 0 (paper) to 1 (ink).
        boxes: `float32` of shape `(digits, 4)`: left, top, right, bottom, in pixels.
        labels: `int32` of shape `(digits,)`.
    """

    picture: np.ndarray
    boxes: np.ndarray
    labels: np.ndarray


def stretched(size, pixels=8):
    """Returns the matrix `(size, pixels)` that stretches a line of pixels by linear
    interpolation."""
    at = (np.arange(size) + 0.5) * pixels / size - 0.5
    return np.maximum(0, 1 - np.abs(at[:, None] - np.arange(pixels))).astype(np.float32)


def scaled(scan, height, width):
    """Stretches a picture to `(height, width)` pixels."""
    rows, columns = scan.shape
    return stretched(height, rows) @ scan @ stretched(width, columns).T


def inked(picture):
    """Returns the box round what has ink: left, top, right, bottom."""
    rows, columns = (np.flatnonzero((picture > INK).any(axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1] + 1, rows[-1] + 1], np.float32)


def common(box, others):
    """Returns the largest share of the smaller box that a box has in common with others."""
    if not len(others):
        return 0.0
    low, high = np.maximum(box[:2], others[:, :2]), np.minimum(box[2:], others[:, 2:])
    shared = np.prod(np.maximum(0, high - low), axis=1)
    areas = [np.prod(b[..., 2:] - b[..., :2], axis=-1) for b in (box, others)]
    return float(np.max(shared / np.minimum(*areas)))


def scene(split, index, seed=0):
    """Draws a scene.

    Args:
        split: `"train"`, `"validation"` or `"test"`: whose scans are used.
        index: Number of the scene.
        seed: Another seed gives other scenes.

    Returns:
        A `Scene`.

    Raises:
        ValueError: If the split is unknown, or a number is not allowed.

    Example:

    >>> drawn = scene("test", 1)
    >>> drawn.picture.shape, len(drawn.boxes) == len(drawn.labels)
    ((40, 40), True)
    """
    place = list(digits.SPLITS).index(one_of("split", split, digits.SPLITS))
    index = whole("index", index, 0, 2**31 - 1)
    rng = np.random.default_rng([checked_seed(seed), place, index])
    scans, labels = digits.load(split)
    picture, boxes, found = paper(rng, scans), np.empty((0, 4), np.float32), []
    for _ in range(rng.choice(len(SHARES), p=SHARES)):
        one, box = None, None
        for _ in range(8):  # tries to find room
            chosen = rng.integers(len(scans))
            one, box = placed(rng, scans[chosen].reshape(8, 8))
            if common(box, boxes) <= OVERLAP:
                picture = np.maximum(picture, one)
                boxes, found = np.vstack([boxes, box]), [*found, labels[chosen]]
                break
    picture = picture + rng.normal(0, rng.uniform(0, NOISE), picture.shape)
    picture = np.clip(picture, 0, 1).astype(np.float32)
    return Scene(*map(read_only, (picture, boxes, np.array(found, np.int32))))


def placed(rng, scan):
    """Puts a scan somewhere on an empty canvas; returns the canvas and the box round its ink."""
    side = rng.uniform(*SCALES)
    height, width = (round(side * stretch) for stretch in rng.uniform(0.9, 1.1, 2))
    one, canvas = scaled(scan, height, width), np.zeros((SIZE, SIZE), np.float32)
    top, left = rng.integers(0, SIZE - height + 1), rng.integers(0, SIZE - width + 1)
    canvas[top : top + height, left : left + width] = one
    return canvas * np.float32(rng.uniform(0.6, 1)), inked(canvas)


def paper(rng, scans):
    """Draws what stands behind the digits: a shade that fades, strokes, and scraps of digits."""
    slope = rng.uniform(-0.1, 0.1, 2) @ (np.indices((SIZE, SIZE)) / SIZE - 0.5).reshape(2, -1)
    picture = (rng.uniform(0, 0.15) + slope.reshape(SIZE, SIZE)).astype(np.float32)
    for _ in range(rng.integers(0, CLUTTER + 1)):
        scrap = rng.random() < 0.5
        small = torn(rng, scans) if scrap else stroke(rng)
        top, left = (rng.integers(0, SIZE - side + 1) for side in small.shape)
        there = picture[top : top + small.shape[0], left : left + small.shape[1]]
        np.maximum(there, small * np.float32(rng.uniform(0.3, 0.9)), out=there)
    return picture


def torn(rng, scans):
    """Tears a corner of 3 x 3 pixels out of a scan: ink like a digit's that is none."""
    scan = scans[rng.integers(len(scans))].reshape(8, 8)
    top, left = rng.integers(0, 6, 2)
    return scaled(scan[top : top + 3, left : left + 3], *rng.integers(4, 7, 2))


def stroke(rng):
    """Draws a straight line of 5 to 12 pixels at some angle."""
    length, angle = rng.integers(5, 13), rng.uniform(0, np.pi)
    along = np.linspace(-length / 2, length / 2, 4 * length)
    x, y = along * np.cos(angle), along * np.sin(angle)
    x, y = (np.rint(line - line.min()).astype(int) for line in (x, y))
    drawn = np.zeros((y.max() + 1, x.max() + 1), np.float32)
    drawn[y, x] = 1
    return drawn


@functools.lru_cache(maxsize=8)
def load(split, count, seed=0):
    """Returns the first scenes of a split.

    Args:
        split: As for `scene`.
        count: How many.
        seed: As for `scene`.

    Returns:
        Pictures `(count, SIZE, SIZE, 1)`, boxes `(count, 4, 4)` and labels `(count, 4)`. Where a
        scene has fewer than four digits, the rest of its boxes are 0 and the labels -1. None of
        them can be written into.
    """
    count, most = whole("count", count, 1, 10**6), len(SHARES) - 1
    pictures = np.empty((count, SIZE, SIZE, 1), np.float32)
    boxes, labels = np.zeros((count, most, 4), np.float32), np.full((count, most), -1, np.int32)
    for index in range(count):
        drawn = scene(split, index, seed)
        pictures[index, :, :, 0] = drawn.picture
        boxes[index, : len(drawn.boxes)] = drawn.boxes
        labels[index, : len(drawn.labels)] = drawn.labels
    return tuple(map(read_only, (pictures, boxes, labels)))
