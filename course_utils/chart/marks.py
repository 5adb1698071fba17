"""What a chart is made of: axes, marks, and a sentence that can be read aloud."""

import html
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from course_utils import checks
from course_utils.text import _

# Okabe & Ito's colours, told apart by colour-blind readers and visible on white and on black.
PALETTE = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "grey": "#888888",
}
DASHES = ((), (7, 4), (2, 3), (9, 3, 2, 3))
FONT = 12  # pixels
LETTER = 0.56 * FONT  # mean width of a letter, good enough to leave room for a word
CIRCLE = tuple((math.cos(a), math.sin(a)) for a in np.arange(12) * math.pi / 6)
MARKERS = {
    "circle": CIRCLE,
    "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
    "triangle": ((0, -1.2), (1.1, 0.8), (-1.1, 0.8)),
    "diamond": ((0, -1.3), (1.3, 0), (0, 1.3), (-1.3, 0)),
}


@dataclass(frozen=True)
class Axis:
    """One axis.

    Args:
        label: What it shows, with the unit.
        log: Whether equal distances are equal ratios. Values of zero and below have no place on it.
        low, high: Ends of the axis; `None` takes them from what is drawn.
        ticks: `"auto"`, a list of values, or a dict of value to text (for categories).
        turned: Whether the texts of an x axis stand upright, so that words have room side by side.
    """

    label: str = ""
    log: bool = False
    low: float | None = None
    high: float | None = None
    ticks: str | Sequence | Mapping = "auto"
    turned: bool = False


@dataclass(frozen=True)
class Line:
    """A line through points. Lines without a `color` differ in colour and in dash.

    NaN makes a gap; where x and y are both NaN the pen was lifted on purpose, and nothing counts as
    missing.
    """

    x: Sequence
    y: Sequence
    label: str = ""
    color: str | None = None


@dataclass(frozen=True)
class Bars:
    """Bars from zero to `heights[i]`, between `edges[i]` and `edges[i + 1]`: what `np.histogram`
    returns.

    The first Bars of a chart are filled, further ones are outlines, so that both can be seen.
    """

    edges: Sequence
    heights: Sequence
    color: str | None = None
    label: str = ""


@dataclass(frozen=True)
class Points:
    """Separate points. `size` is a radius in pixels; `marker` is a name from `MARKERS` or `None`
    for the next one."""

    x: Sequence
    y: Sequence
    label: str = ""
    color: str | None = None
    size: float = 4
    marker: str | None = None


@dataclass(frozen=True)
class Rule:
    """A straight line across the whole chart at one value of x (`vertical`) or of y."""

    at: float
    vertical: bool = True
    label: str = ""
    dash: bool = True


@dataclass(frozen=True)
class Band:
    """A shaded range of x; an end at infinity reaches the end of the axis."""

    low: float
    high: float
    label: str = ""


@dataclass(frozen=True)
class Grid:
    """A matrix as coloured cells, row 0 on top: blue above zero, vermillion below, empty at zero,
    crossed at NaN.

    Column j covers x from j to j + 1, row i covers y from i to i + 1. Up to some thousand cells.
    `label` says what a shade measures; the legend then has a scale of shades.
    """

    matrix: Sequence
    label: str = ""


@dataclass(frozen=True)
class Note:
    """A word that begins at a point of the picture."""

    x: float
    y: float
    text: str


@dataclass(frozen=True)
class Chart:
    """What to draw, and how to say it to a reader who does not see it.

    Args:
        marks: Any of `Line`, `Bars`, `Points`, `Rule`, `Band`, `Grid`, `Note`; the first is drawn at
            the back.
        x, y: The axes.
        title: One short line.
        description: What the picture shows, in a sentence that can be read aloud.
        width, height: Size in pixels, each from 10 to 4000.

    Raises:
        ValueError: If a mark, a colour or a marker is unknown, or the size is not allowed.

    Example:

    >>> counts, edges = np.histogram([0.1, 0.2, 0.2, 0.4], bins=3)
    >>> picture = svg(Chart([Bars(edges, counts)], x=Axis("weight"), y=Axis("how many")))
    """

    marks: Sequence
    x: Axis = Axis()
    y: Axis = Axis()
    title: str = ""
    description: str = ""
    width: float = 420
    height: float = 240

    def __post_init__(self):
        checks.within("width", self.width, 10, 4000)
        checks.within("height", self.height, 10, 4000)
        for mark in self.marks:
            if not isinstance(mark, (Line, Bars, Points, Rule, Band, Grid, Note)):
                raise ValueError(
                    f"a mark must be Line, Bars, Points, Rule, Band, Grid or Note, got {mark!r}"
                )
            color, marker = getattr(mark, "color", None), getattr(mark, "marker", None)
            if color is not None:
                checks.one_of("color", color, PALETTE)
            if marker is not None:
                checks.one_of("marker", marker, MARKERS)

    def _repr_mimebundle_(self, **kwargs):
        from course_utils.chart.png import picture  # which draws what is described here

        data, shown = picture(self)
        shown = shown["image/png"]
        # JupyterLab gives a PNG no words for those who cannot see it; an image in HTML has them.
        page = (
            f'<img alt="{html.escape(shown["alt"])}" width="{shown["width"]:g}" '
            f'style="max-width: 100%" src="data:image/png;base64,{data["image/png"]}">'
        )
        return {"text/html": page, "text/plain": spoken(self)}


def spoken(chart):
    """The chart in words: title, description (or, where there is none, the axes and the labels)."""
    said = chart.description
    if not said:
        labels = ", ".join(mark.label for mark in chart.marks if getattr(mark, "label", ""))
        sentence = _("{y} against {x}: {labels}") if labels else _("{y} against {x}")
        said = sentence.format(y=chart.y.label or "y", x=chart.x.label or "x", labels=labels)
    if not chart.title:
        return said
    asks = chart.title.endswith("?")  # and has its mark already
    sentence = _("{title} {description}") if asks else _("{title}. {description}")
    return sentence.format(title=chart.title, description=said)
