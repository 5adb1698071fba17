"""Places a chart: every shape and every word at its pixel, for both renderers to draw."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from course_utils.chart.marks import (
    DASHES,
    LETTER,
    MARKERS,
    PALETTE,
    Band,
    Bars,
    Grid,
    Line,
    Note,
    Points,
    Rule,
)
from course_utils.chart.scale import Scale, breadth, plain, spans
from course_utils.text import _


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


class Frame:
    """The chart's plotting area: `left, top, right, bottom` in pixels, and the scales `x` and
    `y`."""

    def __init__(self, chart, top):
        xs, ys = spans(chart)
        kinds = {type(mark) for mark in chart.marks}
        x_axis, y_axis = chart.x, chart.y
        if Grid in kinds and len(xs):  # no margin around a matrix
            x_axis, y_axis = (
                replace(a, log=False, low=v.min(), high=v.max())
                for a, v in ((x_axis, xs), (y_axis, ys))
            )
        elif Bars in kinds and len(ys) and ys.min() >= 0 and not y_axis.log and y_axis.low is None:
            y_axis = replace(
                y_axis, low=0, high=y_axis.high or (1.05 * ys.max() or 1)
            )  # bars stand on the axis
        self.top, self.right = top, chart.width - 12
        self.bottom = chart.height - (16 if chart.x.label else 0) - 26
        if x_axis.turned:
            texts = [text for __, text in Scale(x_axis, xs, 0, chart.width).ticks()]
            self.bottom += 12 - LETTER * max(map(breadth, texts), default=0)
        self.y = Scale(
            y_axis, ys, *((self.top, self.bottom) if Grid in kinds else (self.bottom, self.top))
        )
        widest = max((breadth(text) for __, text in self.y.ticks()), default=1)
        self.left = 12 + LETTER * widest + (18 if chart.y.label else 0)
        self.x = Scale(x_axis, xs, self.left, self.right)


def _marker_path(marker, radius):
    return [(x * radius, y * radius) for x, y in MARKERS[marker]]


def _box(left, top, right, bottom):
    return ((left, top), (right, top), (right, bottom), (left, bottom))


def layout(chart):
    """Places a chart: the frame, and the list of `Shape` and `Word` that both renderers draw in
    order."""
    styles, entries = _style_marks(chart)
    legend, top = _place_legend(chart, entries)
    frame = Frame(chart, top)
    drawn, missing, level = [], 0, 0
    for mark, style in zip(chart.marks, styles, strict=True):
        if isinstance(mark, Rule):
            shapes, level = _draw_rule(mark, frame, level)
        else:
            shapes, absent = DRAW[type(mark)](mark, frame, style)
            missing += absent
        drawn += shapes
    if not drawn:
        drawn = [
            Word(
                (frame.left + frame.right) / 2, (frame.top + frame.bottom) / 2, _("nothing to show")
            )
        ]
    elif missing:
        drawn.append(_missing(chart, frame, _("{count} values not shown").format(count=missing)))
    drawn.sort(key=lambda item: isinstance(item, Word))  # words on top of every shape
    return frame, [*_draw_axes(chart, frame), *drawn, *legend]


def _missing(chart, frame, said):
    """How many values have no place: beside the label of the x axis, where nothing is drawn."""
    label = (frame.left + frame.right + LETTER * breadth(chart.x.label)) / 2
    free = chart.x.label and label + 8 + LETTER * breadth(said) < frame.right
    return Word(frame.right - 4, chart.height - 8 if free else frame.bottom - 6, said, "end")


def _style_marks(chart):
    """Gives every mark a colour, a dash or a marker, none of them used before; and lists the
    legend's entries."""
    colors, taken, styles, entries = list(PALETTE.values()), 0, [], []
    counts = {Line: 0, Bars: 0, Points: 0}
    for mark in chart.marks:
        style = {}
        if type(mark) in counts:
            order = counts[type(mark)]
            # Nobody tells lines without a label apart by their dash: intervals are solid.
            plain = isinstance(mark, Line) and mark.color and not mark.label
            order = 0 if plain else order
            counts[type(mark)] += not plain
            style["color"] = PALETTE[mark.color] if mark.color else colors[taken % 6]
            taken += mark.color is None
            if isinstance(mark, Line):
                style["dash"] = DASHES[order % len(DASHES)]
            elif isinstance(mark, Bars):
                style.update(
                    filled=order == 0, dash=DASHES[(order - 1) % len(DASHES)] if order else ()
                )
            else:
                style["marker"] = mark.marker or list(MARKERS)[order % len(MARKERS)]
        styles.append(style)
        if getattr(mark, "label", "") and not isinstance(mark, Rule):
            entries.append((mark, style))
    return styles, entries


def _place_legend(chart, entries):
    """The title and the legend's samples and words, in as many rows as they need; and where the
    plot may begin."""
    placed = [Word(12, 18, chart.title, "start", bold=True)] if chart.title else []
    y, x = (38 if chart.title else 18), 12
    for mark, style in entries:
        text = _legend_text(mark)
        length = 30 + LETTER * breadth(text)
        if x > 12 and x + length > chart.width - 8:
            x, y = 12, y + 18
        placed += _legend_sample(mark, style, x, y - 4)
        placed.append(Word(x + 24, y, text, "start"))
        x += length + 12
    return placed, (y + 10 if entries else y - 8 if chart.title else 12)


def _legend_text(mark):
    if not isinstance(mark, Grid):
        return mark.label
    ends = (plain(float(f"{end:.2g}")) for end in _ends(mark))
    return _("{label}, {low} to {high}").format(label=mark.label, low=next(ends), high=next(ends))


def _legend_sample(mark, style, x, y):
    """The shapes that stand for a mark in the legend, from (x, y) to the right."""
    if isinstance(mark, Grid):  # five of its shades, from the lowest to the highest
        shades = np.linspace(*_ends(mark), 5)
        depths = np.abs(shades) / (np.abs(shades).max() or 1)
        return [
            Shape(
                _box(x + 4 * i, y - 5, x + 4 * i + 4, y + 5),
                color=_color(shade),
                filled=True,
                opacity=float(depth),
                clipped=False,
            )
            for i, (shade, depth) in enumerate(zip(shades, depths))
        ]
    if isinstance(mark, Band):
        area, grey = _box(x, y - 5, x + 18, y + 5), PALETTE["grey"]
        return [Shape(area, color=grey, filled=True, opacity=0.3, clipped=False)]
    if isinstance(mark, Points):
        marker = _marker_path(style["marker"], 4.5)
        return [Shape(marker, [(x + 9, y)], style["color"], True, clipped=False)]
    if isinstance(mark, Bars) and style["filled"]:
        area = _box(x, y - 5, x + 18, y + 5)
        return [Shape(area, color=style["color"], filled=True, opacity=0.75, clipped=False)]
    ends = ((x, y), (x + 20, y))
    return [Shape(ends, color=style["color"], width=2, dash=style["dash"], clipped=False)]


def _draw_axes(chart, frame):
    """Grid lines, tick texts, the two axes and their labels."""
    drawn, free = [], -math.inf
    cells = any(isinstance(mark, Grid) for mark in chart.marks)
    for value, text in frame.y.ticks():
        y = float(frame.y(value))
        if not cells:  # lines would shine through them
            drawn.append(
                Shape(((frame.left, y), (frame.right, y)), width=1, opacity=0.13, clipped=False)
            )
        drawn.append(Word(frame.left - 6, y + 4, text, "end"))
    for value, text in frame.x.ticks():
        x = float(frame.x(value))
        drawn.append(
            Shape(((x, frame.bottom), (x, frame.bottom + 4)), width=1, opacity=0.6, clipped=False)
        )
        if chart.x.turned:
            drawn.append(Word(x + 4, frame.bottom + 8, text, "end", turned=True))
            continue
        half = LETTER * breadth(text) / 2
        if x - half > free:  # a text that would touch its neighbour is left out
            centre = min(x, chart.width - 2 - half)
            drawn.append(Word(centre, frame.bottom + 17, text))
            free = centre + half + 4
    corner = ((frame.left, frame.top), (frame.left, frame.bottom), (frame.right, frame.bottom))
    drawn.append(Shape(corner, width=1, opacity=0.6, clipped=False))
    if chart.x.label:
        drawn.append(Word((frame.left + frame.right) / 2, chart.height - 8, chart.x.label))
    if chart.y.label:
        half = LETTER * breadth(chart.y.label) / 2  # a long one goes down, not into the legend
        middle = max((frame.top + frame.bottom) / 2, frame.top + half)
        drawn.append(Word(14, middle, chart.y.label, turned=True))
    return drawn


def _draw_line(mark, frame, style):
    points = np.column_stack([frame.x(mark.x), frame.y(mark.y)])
    here = np.isfinite(points).all(axis=1)
    breaks = np.flatnonzero(np.diff(here.astype(int))) + 1
    runs = [run for run in np.split(points, breaks) if len(run) and np.isfinite(run).all()]
    shapes = [Shape(run.tolist(), width=2, **style) for run in runs if len(run) > 1]
    alone = [run[0].tolist() for run in runs if len(run) == 1]
    dots = [Shape(_marker_path("circle", 2.5), alone, style["color"], True)] if alone else []
    lifted = np.isnan(np.asarray(mark.x, float)) & np.isnan(np.asarray(mark.y, float))
    return shapes + dots, int((~here & ~lifted).sum())


def _draw_points(mark, frame, style):
    at = np.column_stack([frame.x(mark.x), frame.y(mark.y)])
    here = np.isfinite(at).all(axis=1)
    shape = Shape(
        _marker_path(style["marker"], mark.size),
        at[here].tolist(),
        style["color"],
        True,
        opacity=0.85,
    )
    return [shape] if here.any() else [], int((~here).sum())


def _draw_bars(mark, frame, style):
    x, tops, ground = frame.x(mark.edges), frame.y(mark.heights), frame.y(0.0)
    ground = (
        float(ground) if np.isfinite(ground) else frame.y.start
    )  # a log axis has no zero: start at its end
    gap = 0.25 if isinstance(frame.x.axis.ticks, Mapping) else 0.06
    nothing = (
        np.asarray(mark.heights, float) == 0
    )  # an empty bar has nothing to draw, and nothing is missing
    here = np.isfinite(tops) & np.isfinite(x[:-1]) & np.isfinite(x[1:]) & ~nothing
    fill = (
        {"filled": True, "opacity": 0.75}
        if style["filled"]
        else {"width": 2, "dash": style["dash"]}
    )
    shapes = []
    for left, right, top in zip(
        x[:-1][here].tolist(), x[1:][here].tolist(), tops[here].tolist(), strict=True
    ):
        inset = gap / 2 * (right - left)
        path = _box(left + inset, top, right - inset, ground)
        shapes.append(
            Shape(path if style["filled"] else (*path, path[0]), color=style["color"], **fill)
        )
    return shapes, int((~here & ~nothing).sum())


def _draw_rule(mark, frame, level):
    """The rule, and its label beside it; labels of further upright rules go one row down."""
    if mark.vertical:
        x, y = float(frame.x(mark.at)), frame.top + 11 + 15 * level
        ends = ((x, frame.top), (x, frame.bottom))
        right = x + 6 + LETTER * breadth(mark.label) < frame.right
        word = Word(x + 5 if right else x - 5, y, mark.label, "start" if right else "end")
    else:
        y = float(frame.y(mark.at))
        ends = ((frame.left, y), (frame.right, y))
        word = Word(frame.right - 4, y - 5 if y > frame.top + 18 else y + 14, mark.label, "end")
    if not np.isfinite(ends).all():
        return [], level
    inside = (
        frame.left - 1 <= ends[1][0] <= frame.right + 1
        and frame.top - 1 <= ends[1][1] <= frame.bottom + 1
    )
    shapes = [Shape(ends, opacity=0.8, dash=(4, 3) if mark.dash else ())]
    return shapes + ([word] if mark.label and inside else []), level + bool(
        mark.label and mark.vertical and inside
    )


def _draw_band(mark, frame, style):
    low, high = frame.x([mark.low, mark.high])
    low = frame.left if not np.isfinite(low) else low
    high = frame.right if not np.isfinite(high) else high
    area = _box(float(low), frame.top, float(high), frame.bottom)
    return [Shape(area, color=PALETTE["grey"], filled=True, opacity=0.3)], 0


def _ends(mark):
    """The least and the largest value of a grid, 0 among them."""
    values = np.asarray(mark.matrix, float)
    values = np.append(values[np.isfinite(values)], 0)
    return float(values.min()), float(values.max())


def _draw_grid(mark, frame, style):
    matrix = np.asarray(mark.matrix, float)
    largest = max(map(abs, _ends(mark))) or 1
    shades = np.rint(matrix / largest * 20)  # 20 depths of each colour
    wide, tall = float(frame.x(1) - frame.x(0)), float(frame.y(1) - frame.y(0))
    cell = _box(0, 0, wide, tall)
    rows, columns = frame.y(np.arange(matrix.shape[0])), frame.x(np.arange(matrix.shape[1]))
    shapes = []
    for shade in np.unique(shades[np.isfinite(shades) & (shades != 0)]):
        i, j = np.nonzero(shades == shade)
        at = np.column_stack([columns[j], rows[i]]).tolist()
        shapes.append(Shape(cell, at, _color(shade), True, opacity=abs(shade) / 20))
    i, j = np.nonzero(~np.isfinite(matrix))
    if len(i):
        cross = ((0.3 * wide, 0.3 * tall), (0.7 * wide, 0.7 * tall))
        shapes.append(
            Shape(cross, np.column_stack([columns[j], rows[i]]).tolist(), width=1, opacity=0.5)
        )
    return shapes, 0


def _color(shade):
    return PALETTE["blue" if shade > 0 else "vermillion"]


def _draw_note(mark, frame, style):
    x, y = float(frame.x(mark.x)), float(frame.y(mark.y))
    return ([Word(x, y, mark.text, "start", bold=True)] if np.isfinite([x, y]).all() else []), 0


DRAW = {
    Line: _draw_line,
    Points: _draw_points,
    Bars: _draw_bars,
    Band: _draw_band,
    Grid: _draw_grid,
    Note: _draw_note,
}
