"""How well a detector does: average precision, as the COCO challenge counts it.

A detection is right if its class is right and its box has enough in common with a true one that no
better detection has taken. Precision is the share of detections that are right, recall the share of
true boxes that were found; both change with the score from which on one listens.
"""

import dataclasses
import functools

import numpy as np

from course_utils.checks import fraction, read_only
from course_utils.evaluation import boxes as box
from course_utils.evaluation.intervals import bootstrap

RECALLS = read_only(np.linspace(0, 1, 101))
LIMITS = read_only(np.linspace(0.5, 0.95, 10))  # of intersection over union
ROWS = 64  # pictures a call


def average_precision(scores, right, count):
    """Average precision with 101 points (Lin et al., 2014): for each recall from 0 to 1 in steps of
    0.01, the best precision at this recall or a higher one.

    Args:
        scores: Of the detections of one class on all pictures, `(n,)`.
        right: For each, whether it is right.
        count: How many true boxes there are.

    Returns:
        A number in 0..1; NaN if there is no true box.

    Example:

    >>> round(average_precision([0.9, 0.8, 0.7], [True, False, True], 2), 4)  # (51 + 50 * 2/3) / 101
    0.835
    """
    if not count:
        return float("nan")
    order = np.argsort(-np.asarray(scores), kind="stable")
    hits = np.cumsum(np.asarray(right, bool)[order])
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / count
    best = np.maximum.accumulate(precision[::-1])[::-1]  # here or later
    at = np.searchsorted(recall, RECALLS - 1e-9)
    return float(np.append(best, 0)[at].mean())


def matched(found, true, limits=LIMITS):
    """Says which detections of one picture are right: the best chooses first, and takes the true
    box of its class with which it has most in common.

    Args:
        found: Boxes, scores and classes, the best first, as `boxes.found` returns them.
        true: Boxes and classes.
        limits: What a right box must at least have in common.

    Returns:
        Booleans of shape `(limits, detections)`.
    """
    (boxes, _, kinds), (true_boxes, true_kinds) = found, true
    common = box.iou(boxes, true_boxes)
    common[kinds[:, None] != np.asarray(true_kinds)[None]] = -1
    right = np.zeros((len(limits), len(kinds)), bool)
    near = [(j, row) for j, row in enumerate(common) if row.max(initial=-1) >= min(limits)]
    for i, limit in enumerate(limits):
        free = np.ones(len(true_kinds), bool)
        for j, row in near:
            left = np.where(free, row, -1)
            best = int(np.argmax(left))
            if left[best] >= limit:
                right[i, j], free[best] = True, False
    return right


@dataclasses.dataclass(frozen=True)
class Detection:
    """How well a detector does on some pictures.

    Attributes:
        scores, kinds: For each picture, of its detections.
        right: For each picture, whether they are right at each of `LIMITS`.
        true: For each picture, how many true boxes each class has, `(pictures, classes)`.
    """

    scores: tuple
    kinds: tuple
    right: tuple
    true: np.ndarray

    @property
    def pictures(self):
        return len(self.scores)

    @functools.cached_property
    def precision(self):
        """Average precision by limit and class, `(10, classes)`."""
        return self.over(np.arange(self.pictures), range(len(LIMITS)))

    @functools.cached_property
    def at_half(self):
        """Mean over the classes, where half of two boxes' union must be common: mAP at 0.5."""
        return mean(self.precision[0])

    @functools.cached_property
    def strict(self):
        """Mean over the classes and all of `LIMITS`: mAP at 0.5 to 0.95."""
        return mean(self.precision)

    @functools.cached_property
    def interval(self):
        """95% interval of mAP at 0.5, by drawing the pictures anew (Efron, 1979)."""
        return bootstrap(lambda drawn: mean(self.over(drawn, [0])), self.pictures)

    def over(self, pictures, limits):
        """Returns average precision by limit and class over some pictures, each as often as it is
        named."""
        scores, kinds = (
            np.concatenate([part[i] for i in pictures]) for part in (self.scores, self.kinds)
        )
        right = np.concatenate([self.right[i] for i in pictures], axis=1)
        counts = self.true[pictures].sum(0)
        return np.array(
            [
                [
                    average_precision(scores[kinds == kind], right[limit, kinds == kind], count)
                    for kind, count in enumerate(counts)
                ]
                for limit in limits
            ]
        )


def mean(precision):
    """Returns the mean over classes that occur, 0 if none does."""
    there = precision[np.isfinite(precision)]
    return float(there.mean()) if there.size else 0.0


def detect(model, pictures, threshold=0.05, limit=0.5):
    """Finds what is on pictures.

    Args:
        model: From pictures `(batch, size, size, 1)` to cells, see `boxes.decode`.
        pictures: Array the model takes.
        threshold, limit: As for `boxes.found`.

    Returns:
        For each picture boxes, scores and classes, the best first.
    """
    parts = [
        np.asarray(model(pictures[start : start + ROWS])) for start in range(0, len(pictures), ROWS)
    ]
    boxes, scores = box.decode(np.concatenate(parts))
    return [box.found(*each, threshold, limit) for each in zip(boxes, scores)]


def judge(found, boxes, labels, classes=10):
    """Compares detections with what is there.

    Args:
        found: As `detect` returns it.
        boxes, labels: Of each picture, filled up with labels of -1, as `scenes.load` gives them.
        classes: How many there are.

    Returns:
        A `Detection`.

    Raises:
        ValueError: If there is no picture, or not one row of boxes for each.
    """
    if not len(found) or len({len(found), len(boxes), len(labels)}) > 1:
        raise ValueError(
            "each picture needs detections, boxes and labels, got "
            f"{len(found)}, {len(boxes)}, {len(labels)}"
        )
    there = [(each[kinds >= 0], kinds[kinds >= 0]) for each, kinds in zip(boxes, labels)]
    return Detection(
        tuple(scores for _, scores, _ in found),
        tuple(kinds for _, _, kinds in found),
        tuple(matched(one, true) for one, true in zip(found, there)),
        np.array([np.bincount(kinds, minlength=classes) for _, kinds in there]),
    )


def curve(detection, kind=None):
    """Returns precision and recall of a detector at mAP's loosest limit, detection by detection,
    the surest first; of one class, or of all together."""
    scores, kinds = (np.concatenate(part) for part in (detection.scores, detection.kinds))
    right = np.concatenate([each[0] for each in detection.right])
    chosen = np.ones(len(kinds), bool) if kind is None else kinds == kind
    counts = detection.true.sum(0)
    count = counts.sum() if kind is None else counts[kind]
    order = np.argsort(-scores[chosen], kind="stable")
    hits = np.cumsum(right[chosen][order])
    return hits / np.arange(1, len(hits) + 1), hits / max(1, count)


def found_share(detection, threshold):
    """Returns precision and recall at one threshold of the score."""
    fraction("threshold", threshold)
    above = [scores > threshold for scores in detection.scores]
    hits = sum(right[0][high].sum() for right, high in zip(detection.right, above))
    said = sum(high.sum() for high in above)
    return float(hits / max(1, said)), float(hits / max(1, detection.true.sum()))
