"""One description of a chart, two renderers: `svg` for a live page, `png` for a page without a kernel.

`layout` turns the description into shapes and words at pixel positions; both renderers only draw those,
so the two pictures cannot disagree.
"""

import base64
import html
import io
import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from course_utils import checks

# Okabe & Ito's colours, told apart by colour-blind readers and visible on white and on black.
PALETTE = {"blue": "#0072B2", "vermillion": "#D55E00", "green": "#009E73", "purple": "#CC79A7",
           "orange": "#E69F00", "sky": "#56B4E9", "grey": "#888888"}
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

    NaN makes a gap; where x and y are both NaN the pen was lifted on purpose, and nothing counts as missing.
    """

    x: Sequence
    y: Sequence
    label: str = ""
    color: str | None = None


@dataclass(frozen=True)
class Bars:
    """Bars from zero to `heights[i]`, between `edges[i]` and `edges[i + 1]`: what `np.histogram` returns.

    The first Bars of a chart are filled, further ones are outlines, so that both can be seen.
    """

    edges: Sequence
    heights: Sequence
    color: str | None = None
    label: str = ""


@dataclass(frozen=True)
class Points:
    """Separate points. `size` is a radius in pixels; `marker` is a name from `MARKERS` or `None` for the next one."""

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
    """A matrix as coloured cells, row 0 on top: blue above zero, vermillion below, empty at zero, crossed at NaN.

    Column j covers x from j to j + 1, row i covers y from i to i + 1. Up to some thousand cells.
    """

    matrix: Sequence


@dataclass(frozen=True)
class Chart:
    """What to draw, and how to say it to a reader who does not see it.

    Args:
        marks: Any of `Line`, `Bars`, `Points`, `Rule`, `Band`, `Grid`; the first is drawn at the back.
        x, y: The axes.
        title: One short line.
        description: What the picture shows, in a sentence that can be read aloud.
        width, height: Size in pixels.

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
        for mark in self.marks:
            if not isinstance(mark, (Line, Bars, Points, Rule, Band, Grid)):
                raise ValueError(f"a mark must be Line, Bars, Points, Rule, Band or Grid, got {mark!r}")
            color, marker = getattr(mark, "color", None), getattr(mark, "marker", None)
            if color is not None:
                checks.one_of("color", color, PALETTE)
            if marker is not None:
                checks.one_of("marker", marker, MARKERS)

    def _repr_mimebundle_(self, **kwargs):
        data, metadata = picture(self)
        return {**data, "text/plain": spoken(self)}, metadata


# ---- layout: from values to pixels -----------------------------------------------------------------


class Shape(NamedTuple):
    """Polygons or open paths in one style. `template` is repeated at every one of `at`."""

    template: Sequence  # (x, y) pixels
    at: Sequence = ((0, 0),)
    color: str = "ink"  # "ink" is the colour of text, "paper" that of the page
    filled: bool = False
    width: float = 1.5
    opacity: float = 1
    dash: tuple = ()
    clipped: bool = True


class Word(NamedTuple):
    """A text; `anchor` says which part of it stands at x: start, middle or end."""

    x: float
    y: float
    text: str
    anchor: str = "middle"
    bold: bool = False
    turned: bool = False


class Scale:
    """Carries values of one axis to pixels between `start` and `end`."""

    def __init__(self, axis, values, start, end):
        self.axis, self.start, self.end = axis, start, end
        if axis.log and any(end is not None and not end > 0 for end in (axis.low, axis.high)):
            raise ValueError(f"the ends of a log axis must be > 0, got low={axis.low} and high={axis.high}")
        values = self.forward(values)
        values = values[np.isfinite(values)]
        low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        room = 0.04 * (high - low) or (0.3 if axis.log else 0.1 * abs(high) or 0.5)
        self.low = low - room if axis.low is None else float(self.forward(axis.low))
        self.high = high + room if axis.high is None else float(self.forward(axis.high))
        if not self.high > self.low:
            raise ValueError(f"the axis {axis.label!r} must have low < high, got low={axis.low} and high={axis.high}")

    def forward(self, values):
        values = np.asarray(values, float)
        if not self.axis.log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, np.log10(values), np.nan)

    def __call__(self, values):
        """Pixels of values; far outside the axis they stop a little way off, so that no number overflows."""
        share = (self.forward(values) - self.low) / (self.high - self.low)
        return self.start + np.clip(share, -10, 11) * (self.end - self.start)

    def ticks(self):
        """Pairs of value and text."""
        ticks = self.axis.ticks
        if isinstance(ticks, Mapping):
            pairs = list(ticks.items())
        else:
            count = max(2, int(abs(self.end - self.start) / (70 if self.end > self.start else 28)))
            ends = (10**self.low, 10**self.high) if self.axis.log else (self.low, self.high)
            values = nice_ticks(*ends, count, self.axis.log) if isinstance(ticks, str) else ticks
            pairs = [(value, number(value)) for value in values]
        slack = 1e-9 * (self.high - self.low)
        return [(v, text) for v, text in pairs if self.low - slack <= self.forward(v) <= self.high + slack]


def number(value):
    """A number as a tick shows it: 0.05, 1,500, 2×10⁷."""
    size = abs(value)
    if size and not 1e-4 <= size < 1e6:
        digits, power = f"{value:.2e}".split("e")
        digits = digits.rstrip("0").rstrip(".").replace("-", "−")
        raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
        return f"10{raised}" if digits == "1" else f"{digits}×10{raised}"
    return f"{value:,.7f}".rstrip("0").rstrip(".").replace("-", "−")


def nice_ticks(low, high, count=5, log=False):
    """At most about `count` round values in `low..high`: steps of 1, 2 or 5, or powers of ten when `log`.

    Example:

    >>> nice_ticks(0, 1, 5), nice_ticks(0.002, 20, 5, log=True)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.01, 0.1, 1.0, 10.0])
    """
    if log and high / low >= 10:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        if last - first >= 2:
            every = math.ceil((last - first + 1) / (count + 1))
            return [float(f"1e{power}") for power in range(first, last + 1) if (power - first) % every == 0]
        values = [float(f"{lead}e{power}") for power in range(first - 1, last + 1) for lead in (1, 2, 5)]
        return [value for value in values if low * (1 - 1e-9) <= value <= high * (1 + 1e-9)]
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    steps = [lead * power for lead in (0.5, 1, 2, 5, 10)]
    place = next(i for i, step in enumerate(steps) if i and step >= rough * (1 - 1e-9))
    coarse, fine = (_multiples(step, low, high) for step in (steps[place], steps[place - 1]))
    return fine if len(coarse) < 3 and len(fine) <= count + 1 else coarse


def _multiples(step, low, high):
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [float(f"{index * step:.15g}") for index in range(first, last + 1)]


def spans(chart):
    """All x values and all y values that the automatic axes must make room for."""
    xs, ys = [np.zeros(0)], [np.zeros(0)]
    for mark in chart.marks:
        if isinstance(mark, (Line, Points)):
            x, y = np.asarray(mark.x, float), np.asarray(mark.y, float)
            if x.shape != y.shape or x.ndim != 1:
                raise ValueError(f"x and y must be lists of the same length, got shapes {x.shape} and {y.shape}")
            here = np.isfinite(x) & np.isfinite(y)
            xs, ys = [*xs, x[here]], [*ys, y[here]]
        elif isinstance(mark, Bars):
            if len(mark.edges) != len(mark.heights) + 1:
                raise ValueError(f"{len(mark.heights)} bars need {len(mark.heights) + 1} edges, got {len(mark.edges)}")
            if len(mark.heights):
                xs, ys = [*xs, mark.edges], [*ys, mark.heights, [0]]
        elif isinstance(mark, Rule):
            (xs if mark.vertical else ys).append([mark.at])
        elif isinstance(mark, Band):
            xs.append([mark.low, mark.high])
        elif np.ndim(mark.matrix) != 2:
            raise ValueError(f"a Grid needs a matrix, got shape {np.shape(mark.matrix)}")
        elif np.size(mark.matrix):
            xs, ys = [*xs, [0, np.shape(mark.matrix)[1]]], [*ys, [0, np.shape(mark.matrix)[0]]]
    xs, ys = (np.concatenate([np.asarray(part, float).ravel() for part in parts]) for parts in (xs, ys))
    return xs[np.isfinite(xs)], ys[np.isfinite(ys)]


class Frame:
    """The chart's plotting area: `left, top, right, bottom` in pixels, and the scales `x` and `y`."""

    def __init__(self, chart, top):
        xs, ys = spans(chart)
        kinds = {type(mark) for mark in chart.marks}
        x_axis, y_axis = chart.x, chart.y
        if Grid in kinds and len(xs):  # no margin around a matrix
            x_axis, y_axis = (replace(a, log=False, low=v.min(), high=v.max()) for a, v in ((x_axis, xs), (y_axis, ys)))
        elif Bars in kinds and len(ys) and ys.min() >= 0 and not y_axis.log and y_axis.low is None:
            y_axis = replace(y_axis, low=0, high=y_axis.high or (1.05 * ys.max() or 1))  # bars stand on the axis
        self.top, self.right = top, chart.width - 12
        self.bottom = chart.height - (16 if chart.x.label else 0) - 26
        if x_axis.turned:
            texts = [text for _, text in Scale(x_axis, xs, 0, chart.width).ticks()]
            self.bottom += 12 - LETTER * max(map(breadth, texts), default=0)
        self.y = Scale(y_axis, ys, *((self.top, self.bottom) if Grid in kinds else (self.bottom, self.top)))
        widest = max((breadth(text) for _, text in self.y.ticks()), default=1)
        self.left = 12 + LETTER * widest + (18 if chart.y.label else 0)
        self.x = Scale(x_axis, xs, self.left, self.right)


def breadth(text):
    """How many Latin letters a text is as wide as; a Chinese one takes nearly two."""
    return sum(1.8 if letter > "\u2e80" else 1 for letter in text)


def sized(marker, radius):
    return [(x * radius, y * radius) for x, y in MARKERS[marker]]


def box(left, top, right, bottom):
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def layout(chart):
    """Places a chart: the frame, and the list of `Shape` and `Word` that both renderers draw in order."""
    styles, entries = styled(chart)
    legend, top = place_legend(chart, entries)
    frame = Frame(chart, top)
    drawn, missing, level = [], 0, 0
    for mark, style in zip(chart.marks, styles, strict=True):
        if isinstance(mark, Rule):
            shapes, level = rule(mark, frame, level)
        else:
            shapes, absent = DRAW[type(mark)](mark, frame, style)
            missing += absent
        drawn += shapes
    if not drawn:
        drawn = [Word((frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2, "nothing to show")]
    elif missing:
        drawn.append(Word(frame.right - 4, frame.bottom - 6, f"{missing} values not shown", "end"))
    drawn.sort(key=lambda item: isinstance(item, Word))  # words on top of every shape
    return frame, [*axes(chart, frame), *drawn, *legend]


def styled(chart):
    """Gives every mark a colour, a dash or a marker, none of them used before; and lists the legend's entries."""
    colors, taken, styles, entries = list(PALETTE.values()), 0, [], []
    counts = {Line: 0, Bars: 0, Points: 0}
    for mark in chart.marks:
        style = {}
        if type(mark) in counts:
            order = counts[type(mark)]
            counts[type(mark)] += 1
            style["color"] = PALETTE[mark.color] if mark.color else colors[taken % 6]
            taken += mark.color is None
            if isinstance(mark, Line):
                style["dash"] = DASHES[order % len(DASHES)]
            elif isinstance(mark, Bars):
                style.update(filled=order == 0, dash=DASHES[(order - 1) % len(DASHES)] if order else ())
            else:
                style["marker"] = mark.marker or list(MARKERS)[order % len(MARKERS)]
        styles.append(style)
        if getattr(mark, "label", "") and not isinstance(mark, Rule):
            entries.append((mark, style))
    return styles, entries


def place_legend(chart, entries):
    """The title and the legend's samples and words, in as many rows as they need; and where the plot may begin."""
    placed = [Word(12, 18, chart.title, "start", bold=True)] if chart.title else []
    y, x = (38 if chart.title else 18), 12
    for mark, style in entries:
        length = 30 + LETTER * len(mark.label)
        if x > 12 and x + length > chart.width - 8:
            x, y = 12, y + 18
        placed.append(sample(mark, style, x, y - 4))
        placed.append(Word(x + 24, y, mark.label, "start"))
        x += length + 12
    return placed, (y + 10 if entries else y - 8 if chart.title else 12)


def sample(mark, style, x, y):
    if isinstance(mark, Band):
        return Shape(box(x, y - 5, x + 18, y + 5), color=PALETTE["grey"], filled=True, opacity=0.3, clipped=False)
    if isinstance(mark, Points):
        return Shape(sized(style["marker"], 4.5), [(x + 9, y)], style["color"], True, clipped=False)
    if isinstance(mark, Bars) and style["filled"]:
        return Shape(box(x, y - 5, x + 18, y + 5), color=style["color"], filled=True, opacity=0.75, clipped=False)
    return Shape(((x, y), (x + 20, y)), color=style["color"], width=2, dash=style["dash"], clipped=False)


def axes(chart, frame):
    """Grid lines, tick texts, the two axes and their labels."""
    drawn, free = [], -math.inf
    for value, text in frame.y.ticks():
        y = float(frame.y(value))
        drawn.append(Shape(((frame.left, y), (frame.right, y)), width=1, opacity=0.13, clipped=False))
        drawn.append(Word(frame.left - 6, y + 4, text, "end"))
    for value, text in frame.x.ticks():
        x = float(frame.x(value))
        drawn.append(Shape(((x, frame.bottom), (x, frame.bottom + 4)), width=1, opacity=0.6, clipped=False))
        if chart.x.turned:
            drawn.append(Word(x + 4, frame.bottom + 8, text, "end", turned=True))
            continue
        half = LETTER * len(text) / 2
        if x - half > free:  # a text that would touch its neighbour is left out
            centre = min(x, chart.width - 2 - half)
            drawn.append(Word(centre, frame.bottom + 17, text))
            free = centre + half + 4
    corner = ((frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom))
    drawn.append(Shape(corner, width=1, opacity=0.6, clipped=False))
    if chart.x.label:
        drawn.append(Word((frame.left + frame.right) / 2, chart.height - 8, chart.x.label))
    if chart.y.label:
        drawn.append(Word(14, (frame.top + frame.bottom) / 2, chart.y.label, turned=True))
    return drawn


def line(mark, frame, style):
    points = np.column_stack([frame.x(mark.x), frame.y(mark.y)])
    here = np.isfinite(points).all(axis=1)
    breaks = np.flatnonzero(np.diff(here.astype(int))) + 1
    runs = [run for run in np.split(points, breaks) if len(run) and np.isfinite(run).all()]
    shapes = [Shape(run.tolist(), width=2, **style) for run in runs if len(run) > 1]
    alone = [run[0].tolist() for run in runs if len(run) == 1]
    dots = [Shape(sized("circle", 2.5), alone, style["color"], True)] if alone else []
    lifted = np.isnan(np.asarray(mark.x, float)) & np.isnan(np.asarray(mark.y, float))
    return shapes + dots, int((~here & ~lifted).sum())


def points(mark, frame, style):
    at = np.column_stack([frame.x(mark.x), frame.y(mark.y)])
    here = np.isfinite(at).all(axis=1)
    shape = Shape(sized(style["marker"], mark.size), at[here].tolist(), style["color"], True, opacity=0.85)
    return [shape] if here.any() else [], int((~here).sum())


def bars(mark, frame, style):
    x, tops, ground = frame.x(mark.edges), frame.y(mark.heights), frame.y(0.0)
    ground = float(ground) if np.isfinite(ground) else frame.y.start  # a log axis has no zero: start at its end
    gap = 0.25 if isinstance(frame.x.axis.ticks, Mapping) else 0.06
    here = np.isfinite(tops) & np.isfinite(x[:-1]) & np.isfinite(x[1:])
    fill = {"filled": True, "opacity": 0.75} if style["filled"] else {"width": 2, "dash": style["dash"]}
    shapes = []
    for left, right, top in zip(x[:-1][here].tolist(), x[1:][here].tolist(), tops[here].tolist(), strict=True):
        inset = gap / 2 * (right - left)
        path = box(left + inset, top, right - inset, ground)
        shapes.append(Shape(path if style["filled"] else (*path, path[0]), color=style["color"], **fill))
    nothing = np.asarray(mark.heights, float) == 0  # an empty bar has nothing to draw, and nothing is missing
    return shapes, int((~here & ~nothing).sum())


def rule(mark, frame, level):
    """The rule, and its label beside it; labels of further upright rules go one row down."""
    if mark.vertical:
        x, y = float(frame.x(mark.at)), frame.top + 11 + 15 * level
        ends = ((x, frame.top), (x, frame.bottom))
        right = x + 6 + LETTER * len(mark.label) < frame.right
        word = Word(x + 5 if right else x - 5, y, mark.label, "start" if right else "end")
    else:
        y = float(frame.y(mark.at))
        ends = ((frame.left, y), (frame.right, y))
        word = Word(frame.right - 4, y - 5 if y > frame.top + 18 else y + 14, mark.label, "end")
    if not np.isfinite(ends).all():
        return [], level
    inside = frame.left - 1 <= ends[1][0] <= frame.right + 1 and frame.top - 1 <= ends[1][1] <= frame.bottom + 1
    shapes = [Shape(ends, opacity=0.8, dash=(4, 3) if mark.dash else ())]
    return shapes + ([word] if mark.label and inside else []), level + bool(mark.label and mark.vertical and inside)


def band(mark, frame, style):
    low, high = frame.x([mark.low, mark.high])
    low = frame.left if not np.isfinite(low) else low
    high = frame.right if not np.isfinite(high) else high
    area = box(float(low), frame.top, float(high), frame.bottom)
    return [Shape(area, color=PALETTE["grey"], filled=True, opacity=0.3)], 0


def grid(mark, frame, style):
    matrix = np.asarray(mark.matrix, float)
    largest = np.abs(matrix[np.isfinite(matrix)]).max(initial=0) or 1
    shades = np.rint(matrix / largest * 20)  # 20 depths of each colour
    wide, tall = float(frame.x(1) - frame.x(0)), float(frame.y(1) - frame.y(0))
    cell = box(0, 0, wide, tall)
    rows, columns = frame.y(np.arange(matrix.shape[0])), frame.x(np.arange(matrix.shape[1]))
    shapes = []
    for shade in np.unique(shades[np.isfinite(shades) & (shades != 0)]):
        i, j = np.nonzero(shades == shade)
        color = PALETTE["blue" if shade > 0 else "vermillion"]
        at = np.column_stack([columns[j], rows[i]]).tolist()
        shapes.append(Shape(cell, at, color, True, opacity=abs(shade) / 20))
    i, j = np.nonzero(~np.isfinite(matrix))
    if len(i):
        cross = ((0.3 * wide, 0.3 * tall), (0.7 * wide, 0.7 * tall))
        shapes.append(Shape(cross, np.column_stack([columns[j], rows[i]]).tolist(), width=1, opacity=0.5))
    return shapes, 0


DRAW = {Line: line, Points: points, Bars: bars, Band: band, Grid: grid}


# ---- the two renderers -----------------------------------------------------------------------------


def spoken(chart):
    """The chart in words: title, description (or, where there is none, the axes and the labels)."""
    said = chart.description
    if not said:
        labels = ", ".join(mark.label for mark in chart.marks if getattr(mark, "label", ""))
        said = f"{chart.y.label or 'y'} against {chart.x.label or 'x'}" + (f": {labels}" if labels else "")
    return f"{chart.title}. {said}" if chart.title else said


def _path(shape):
    """The `d` of an SVG path. A repeated template is moved with `M` and drawn with relative steps."""
    corners, close = shape.template, "z" if shape.filled else ""
    x, y = corners[0]
    steps = "l" + " ".join(f"{b[0] - a[0]:.2f} {b[1] - a[1]:.2f}" for a, b in itertools.pairwise(corners)) + close
    return "".join(f"M{x + dx:.2f} {y + dy:.2f}{steps}" for dx, dy in shape.at)


def svg(chart):
    """Draws a chart as SVG text that takes its colours from the page, light or dark, and its width from its place.

    Args:
        chart: A `Chart`.

    Returns:
        One `<svg role="img">` element, with the spoken description as its accessible name.
    """
    frame, drawn = layout(chart)
    said = html.escape(spoken(chart))
    inner = (f'x="{frame.left:.1f}" y="{frame.top:.1f}" width="{frame.right - frame.left:.1f}" '
             f'height="{frame.bottom - frame.top:.1f}"')
    view = f'viewBox="{frame.left:.1f} {frame.top:.1f} {frame.right - frame.left:.1f} {frame.bottom - frame.top:.1f}"'
    parts, clip_open = [], False
    for item in drawn:
        clipped = isinstance(item, Shape) and item.clipped
        if clipped != clip_open:  # a nested svg cuts off what leaves it, and needs no id
            parts.append(f"<svg {inner} {view}>" if clipped else "</svg>")
            clip_open = clipped
        parts.append(_svg_shape(item) if isinstance(item, Shape) else _svg_word(item))
    return (
        f'<svg role="img" aria-label="{said}" viewBox="0 0 {chart.width:g} {chart.height:g}" width="100%" '
        f'style="max-width:{chart.width:g}px;height:auto;display:block;color:var(--jp-ui-font-color1,currentColor);'
        f'font:{FONT}px var(--jp-ui-font-family,system-ui,sans-serif)" xmlns="http://www.w3.org/2000/svg">'
        f"<desc>{said}</desc>{''.join(parts)}{'</svg>' if clip_open else ''}</svg>"
    )


def _svg_shape(shape):
    color = "currentColor" if shape.color == "ink" else shape.color
    faint = f' opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
    if shape.filled:
        return f'<path d="{_path(shape)}" fill="{color}"{faint}/>'
    dash = f' stroke-dasharray="{" ".join(map(str, shape.dash))}"' if shape.dash else ""
    return f'<path d="{_path(shape)}" fill="none" stroke="{color}" stroke-width="{shape.width:g}"{dash}{faint}/>'


def _svg_word(word):
    turn = f' transform="rotate(-90 {word.x:.1f} {word.y:.1f})"' if word.turned else ""
    bold = ' font-weight="600"' if word.bold else ""
    return (f'<text x="{word.x:.1f}" y="{word.y:.1f}" text-anchor="{word.anchor}"{bold}{turn} fill="currentColor" '
            f'stroke="var(--jp-layout-color0,Canvas)" stroke-width="3" paint-order="stroke">'
            f"{html.escape(word.text)}</text>")


def picture(*charts, caption=""):
    """Returns what Jupyter shows of charts that run nothing, data and metadata: a PNG, no larger than a live chart."""
    data = base64.b64encode(png(*charts, caption=caption)).decode()
    return {"image/png": data}, {"image/png": {"width": sum(chart.width for chart in charts)}}


def png(*charts, scale=2, caption=""):
    """Draws charts side by side as one PNG on white, for pages that run nothing.

    Args:
        *charts: One `Chart` or more.
        scale: Pixels of the picture for one pixel of the chart.
        caption: A line above them.

    Returns:
        The bytes of the file.
    """
    from matplotlib.figure import Figure  # a Figure of its own: pyplot would keep every one alive

    if not charts:
        raise ValueError("png needs at least one chart, got none")
    width, height = sum(chart.width for chart in charts), max(chart.height for chart in charts)
    above = 24 if caption else 0
    figure = Figure(figsize=(width / 72, (height + above) / 72), dpi=72 * scale, facecolor="white")
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.set(xlim=(0, width), ylim=(height, -above))
    canvas.axis("off")
    if caption:
        _png_word(canvas, Word(12, -6, caption, "start"), None, 0)
    offset = 0
    for chart in charts:
        frame, drawn = layout(chart)
        for item in drawn:
            (_png_shape if isinstance(item, Shape) else _png_word)(canvas, item, frame, offset)
        offset += chart.width
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _png_shape(canvas, shape, frame, offset):
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.patches import Rectangle

    paths = np.asarray(shape.template, float)[None] + np.asarray(shape.at, float)[:, None] + (offset, 0)
    color = "#222222" if shape.color == "ink" else shape.color
    if shape.filled:
        drawn = PolyCollection(paths, facecolors=color, linewidths=0, alpha=shape.opacity)
    else:
        dash = (0, [length / shape.width for length in shape.dash]) if shape.dash else "solid"
        drawn = LineCollection(paths, colors=color, linewidths=shape.width, linestyles=[dash], alpha=shape.opacity)
    canvas.add_collection(drawn, autolim=False)
    if shape.clipped:
        window = Rectangle((offset + frame.left, frame.top), frame.right - frame.left, frame.bottom - frame.top,
                           transform=canvas.transData)
        drawn.set_clip_path(window)


def _png_word(canvas, word, frame, offset):
    from matplotlib.patheffects import withStroke

    sides = {"start": "left", "middle": "center", "end": "right"}
    text = re.sub("[\u2e80-\uffff]+", "", word.text)  # matplotlib's own font has no Chinese
    canvas.text(offset + word.x, word.y, text, ha=sides[word.anchor], va="baseline", fontsize=FONT * 0.92,
                color="#222222", weight="bold" if word.bold else "normal", rotation=90 if word.turned else 0,
                rotation_mode="anchor", parse_math=False, path_effects=[withStroke(linewidth=3, foreground="white")])
