"""Boxes: what a detector says, how much two of them have in common, and which of many are one
thing.

A box is left, top, right, bottom, in pixels, as corners; its sides are right - left and bottom -
top.
"""

import numpy as np

from course_utils.checks import finite, fraction

STRIDE, UNIT = 4, 8.0  # pixels of a cell, and of a box that a detector calls size 0
MOST = 100  # detections of a picture that count, as in the COCO challenge


def iou(boxes, others):
    """Intersection over union of each box with each other: 1 is the same box, 0 nothing in common.

    Args:
        boxes: Array of shape `(n, 4)`.
        others: Array of shape `(m, 4)`.

    Returns:
        Array of shape `(n, m)`.

    Example:

    >>> iou([[0, 0, 4, 4]], [[2, 0, 6, 4], [9, 9, 10, 10]]).round(3)
    array([[0.333, 0.   ]])
    """
    boxes, others = (as_boxes(each)[:, None] for each in (boxes, others))
    others = np.swapaxes(others, 0, 1)
    low = np.maximum(boxes[..., :2], others[..., :2])
    high = np.minimum(boxes[..., 2:], others[..., 2:])
    shared = np.prod(np.maximum(high - low, 0), axis=-1)
    union = area(boxes) + area(others) - shared
    return shared / np.maximum(union, 1e-9)


def area(boxes):
    """Returns the area of boxes `(..., 4)`."""
    return np.prod(boxes[..., 2:] - boxes[..., :2], axis=-1)


def nms(boxes, scores, limit=0.5):
    """Non-maximum suppression: of boxes that show one thing, only the one with the highest score.

    Take the best box, drop all that have more than `limit` in common with it, and go on with the
    best of the rest.

    Args:
        boxes: Array of shape `(n, 4)`, of one class.
        scores: Array of shape `(n,)`.
        limit: Intersection over union above which two boxes are taken for one thing.

    Returns:
        Positions of the boxes that stay, the best first.

    Example:

    >>> nms([[0, 0, 4, 4], [0, 0, 4, 5], [8, 8, 12, 12]], [0.8, 0.9, 0.3])
    [1, 2]
    """
    fraction("limit", limit)
    waiting, kept = np.argsort(-np.asarray(scores), kind="stable"), []
    common = iou(boxes, boxes)
    while len(waiting):
        best, rest = waiting[0], waiting[1:]
        kept.append(int(best))
        waiting = rest[common[best, rest] <= limit]
    return kept


def decode(cells):
    """Reads what a detector gives: a box, a score and a class for each cell.

    Args:
        cells: Array of shape `(batch, rows, columns, 5 + classes)`: whether a middle is here (as
            log-odds), how far it lies from the middle of the cell, to the right and down (in
            cells), width and height (logarithms, 0 for 8 pixels), and logits of the classes.

    Returns:
        Boxes `(batch, cells, 4)`; for each class a score in 0..1, `(batch, cells, classes)`: the
        chance that something is there, times the chance that it is this.
    """
    cells = finite("cells", cells)
    if cells.ndim != 4 or cells.shape[-1] < 6:
        raise ValueError(
            f"cells must have shape (batch, rows, columns, 5 + classes), got {cells.shape}"
        )
    rows, columns = np.indices(cells.shape[1:3])
    places = STRIDE * (np.stack([columns, rows], axis=-1) + 0.5)  # x before y
    middle = places + STRIDE * cells[..., 1:3]
    half = UNIT / 2 * np.exp(np.clip(cells[..., 3:5], -4, 4))
    there = 1 / (1 + np.exp(-np.clip(cells[..., :1], -50, 50)))
    kinds = np.exp(cells[..., 5:] - cells[..., 5:].max(-1, keepdims=True))
    scores = there * kinds / kinds.sum(-1, keepdims=True)
    batch = len(cells)
    boxes = np.concatenate([middle - half, middle + half], axis=-1).reshape(batch, -1, 4)
    return boxes, scores.reshape(batch, -1, scores.shape[-1])


def found(boxes, scores, threshold=0.05, limit=0.5):
    """Picks what a detector found on one picture: class by class, what scores enough and is not
    another's shadow.

    Args:
        boxes: `(cells, 4)`.
        scores: `(cells, classes)`.
        threshold: Least score.
        limit: For `nms`.

    Returns:
        Boxes `(found, 4)`, scores and classes `(found,)`, the best first, at most `MOST`.
    """
    fraction("threshold", threshold)
    picked = []
    for kind in range(scores.shape[1]):
        high = np.flatnonzero(scores[:, kind] > threshold)
        picked += [(high[i], kind) for i in nms(boxes[high], scores[high, kind], limit)]
    at, kinds = np.array(picked, int).reshape(-1, 2).T
    order = np.argsort(-scores[at, kinds], kind="stable")[:MOST]
    return boxes[at][order], scores[at, kinds][order], kinds[order]


def as_boxes(boxes):
    """Returns boxes as an array `(n, 4)`, or says what is wrong with them."""
    boxes = np.asarray(boxes, np.float64)
    boxes = boxes.reshape(0, 4) if boxes.size == 0 else boxes
    if boxes.ndim != 2 or boxes.shape[1] != 4 or not np.isfinite(boxes).all():
        raise ValueError(f"boxes must be finite and of shape (n, 4), got {boxes.shape}")
    wrong = (boxes[:, 2:] < boxes[:, :2]).any(axis=1)
    if wrong.any():
        raise ValueError(
            f"a box is left, top, right, bottom, got {boxes[wrong][0].tolist()} whose end lies "
            "before its beginning"
        )
    return boxes
