"""How pictures and boxes are shown in lesson 6.2, on a page and in words."""

import numpy as np

from course_utils.chart import Axis, Chart, Grid, Line, Note
from course_utils.datasets.scenes import SIZE
from course_utils.text import _

BARE = Axis(ticks={})


def sheet(pictures, captions=(), columns=10, title="", description=""):
    """Shows scans side by side, as many in a row as `columns`.

    Args:
        pictures: `(count, 64)`, from 0 (paper) to 1 (ink).
        captions: A few letters under each, where all stand in one row.
        columns: How many in a row.
        title, description: Of the `Chart`.

    Returns:
        A `Chart`.
    """
    rows = -(-len(pictures) // columns)
    page = np.zeros((9 * rows - 1, 9 * columns - 1))
    for i, picture in enumerate(pictures):
        top, left = 9 * (i // columns), 9 * (i % columns)
        page[top : top + 8, left : left + 8] = np.reshape(picture, (8, 8))
    ticks = {9 * i + 4: text for i, text in enumerate(captions)}
    scale = 560 / (9 * 10)
    return Chart(
        [Grid(page)],
        x=Axis(ticks=ticks),
        y=BARE,
        title=title,
        description=description,
        width=scale * page.shape[1] + 24,
        height=scale * page.shape[0] + 52,
    )


def outline(boxes, label, color):
    """Returns a line round each box, with gaps between them."""
    gap = [np.nan]
    corners = ([0, 2, 2, 0, 0], [1, 1, 3, 3, 1])
    x, y = (np.concatenate([[*box[at], *gap] for box in boxes] or [gap]) for at in corners)
    return Line(x, y, label if len(boxes) else "", color)


def beside(boxes, digits):
    """Returns a `Note` for each box, at the first of its corners where no other note stands; none
    where all four are taken."""
    wide, high = 1.2, 1.6  # of a digit, in pixels of the scene
    placed = []
    for (left, top, right, bottom), digit in zip(boxes, digits):
        above, below = max(2.4, top - 0.5), min(SIZE - 0.4, bottom + 2.2)
        for x, y in ((left, above), (right - wide, above), (left, below), (right - wide, below)):
            if all(abs(x - one.x) > wide or abs(y - one.y) > high for one in placed):
                placed.append(Note(x, y, str(digit)))
                break
    return placed


def framed(picture, right, wrong, missed, title="", description=""):
    """Shows a scene with boxes: right ones with their digit, wrong ones, and digits that no box
    found.

    Args:
        picture: `(SIZE, SIZE)`.
        right, wrong, missed: Pairs of boxes `(n, 4)` and digits `(n,)`.
        title, description: Of the `Chart`.

    Returns:
        A `Chart`.
    """
    notes = beside([*right[0], *wrong[0]], [*right[1], *wrong[1]])
    marks = [
        outline(right[0], _("right"), "green"),
        outline(wrong[0], _("wrong"), "vermillion"),
        outline(missed[0], _("missed"), "purple"),
    ]
    return Chart(
        [Grid(np.reshape(picture, (SIZE, SIZE))), *(m for m in marks if m.label), *notes],
        x=BARE,
        y=BARE,
        title=title,
        description=description,
        width=400,
        height=460,
    )
