"""From values to pixels along one axis, and the ticks in between."""

import math
from collections.abc import Mapping

import numpy as np

from course_utils.chart.marks import Band, Bars, Line, Note, Points, Rule

LARGEST, LEAST = 1e300, 1e-300  # of a value on an axis; beyond, differences and powers are lost
WIDE = "\u2e80"  # Chinese letters, and their punctuation, come after this one


class Scale:
    """Carries values of one axis to pixels between `start` and `end`."""

    def __init__(self, axis, values, start, end):
        self.axis, self.start, self.end = axis, start, end
        if axis.log and any(end is not None and not end > 0 for end in (axis.low, axis.high)):
            raise ValueError(
                f"the ends of a log axis must be > 0, got low={axis.low} and high={axis.high}"
            )
        self._check_ends(values)
        values = self.forward(values)
        values = values[np.abs(values) <= LARGEST]
        low, high = (values.min(), values.max()) if len(values) else (0.0, 1.0)
        room = _wide(0.04 * (high - low)) or (0.3 if axis.log else _wide(0.1 * abs(high)) or 0.5)
        self.low = low - room if axis.low is None else float(self.forward(axis.low))
        self.high = high + room if axis.high is None else float(self.forward(axis.high))
        if axis.log:  # so that ten to the power of an end is a float
            self.low, self.high = max(self.low, -307.0), min(self.high, 308.0)
        if not _wide(self.high - self.low) > 0:
            raise ValueError(
                f"the axis {axis.label!r} must have low < high, got low={axis.low} and "
                f"high={axis.high}"
            )

    def _check_ends(self, values):
        """What an axis must reach: what is drawn, unless its ends are given."""
        axis, values = self.axis, np.asarray(values, float)
        drawn = values[np.isfinite(values) & ((values > 0) | (not axis.log))]
        ends = [
            drawn.min(initial=1) if axis.low is None else axis.low,
            drawn.max(initial=1) if axis.high is None else axis.high,
        ]
        for end in map(float, ends):
            if not abs(end) <= LARGEST or axis.log and end < LEAST:
                reach = f"{LEAST:g}" if axis.log else f"{-LARGEST:g}"
                raise ValueError(
                    f"the axis {axis.label!r} must lie within {reach} and {LARGEST:g}, got {end:g}"
                )

    def forward(self, values):
        values = np.asarray(values, float)
        if not self.axis.log:
            return values
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(values > 0, np.log10(values), np.nan)

    def __call__(self, values):
        """Pixels of values; far outside the axis they stop a little way off, so that no number
        overflows."""
        with np.errstate(over="ignore"):
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
            pairs = list(zip(values, labels(values)))
        slack = 1e-9 * (self.high - self.low)
        return [
            (v, text)
            for v, text in pairs
            if self.low - slack <= self.forward(v) <= self.high + slack
        ]


def _wide(span):
    """The span of an axis, or 0 where it is too short to be divided into ticks."""
    return span if span >= LEAST else 0


def labels(values):
    """The numbers of one axis as its ticks show them: 0.05, 1,500 or, where the largest or the
    smallest would have many digits, all of them like 2×10⁷."""
    sizes = [abs(value) for value in values if value]
    powers = bool(sizes) and not (1e6 > max(sizes) >= 1e-4 and min(sizes) >= 1e-6)
    return [with_power(value) if powers and value else plain(value) for value in values]


def plain(value):
    return f"{value:,.7f}".rstrip("0").rstrip(".").replace("-", "−")


def with_power(value):
    digits, power = f"{value:.2e}".split("e")
    digits = digits.rstrip("0").rstrip(".").replace("-", "−")
    raised = str(int(power)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"10{raised}" if digits == "1" else f"{digits}×10{raised}"


def nice_ticks(low, high, count=5, log=False):
    """At most about `count` round values in `low..high`: steps of 1, 2 or 5, or powers of ten when
    `log`.

    Example:

    >>> nice_ticks(0, 1, 5), nice_ticks(0.002, 20, 5, log=True)
    ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [0.01, 0.1, 1.0, 10.0])
    """
    low, high = float(low), float(high)
    if not (0 < low < high < math.inf if log else LEAST <= high - low < math.inf):
        above = ", both > 0" if log else ""
        raise ValueError(
            f"ticks need low < high{above}, less than 1e308 apart, got {low:g} and {high:g}"
        )
    if log and high / low >= 10:
        first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
        if last - first >= 2:
            every = math.ceil((last - first + 1) / (count + 1))
            return [
                float(f"1e{power}")
                for power in range(first, last + 1)
                if (power - first) % every == 0
            ]
        values = [
            float(f"{lead}e{power}") for power in range(first - 1, last + 1) for lead in (1, 2, 5)
        ]
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
                raise ValueError(
                    f"x and y must be lists of the same length, got shapes {x.shape} and {y.shape}"
                )
            here = np.isfinite(x) & np.isfinite(y)
            xs, ys = [*xs, x[here]], [*ys, y[here]]
        elif isinstance(mark, Bars):
            if len(mark.edges) != len(mark.heights) + 1:
                raise ValueError(
                    f"{len(mark.heights)} bars need {len(mark.heights) + 1} edges, got "
                    f"{len(mark.edges)}"
                )
            if len(mark.heights):
                xs, ys = [*xs, mark.edges], [*ys, mark.heights, [0]]
        elif isinstance(mark, Rule):
            (xs if mark.vertical else ys).append([mark.at])
        elif isinstance(mark, Band):
            xs.append([mark.low, mark.high])
        elif isinstance(mark, Note):
            xs, ys = [*xs, [mark.x]], [*ys, [mark.y]]
        elif np.ndim(mark.matrix) != 2:
            raise ValueError(f"a Grid needs a matrix, got shape {np.shape(mark.matrix)}")
        elif np.size(mark.matrix):
            xs, ys = [*xs, [0, np.shape(mark.matrix)[1]]], [*ys, [0, np.shape(mark.matrix)[0]]]
    xs, ys = (
        np.concatenate([np.asarray(part, float).ravel() for part in parts]) for parts in (xs, ys)
    )
    return xs[np.isfinite(xs)], ys[np.isfinite(ys)]


def breadth(text):
    """How many Latin letters a text is as wide as; a Chinese one takes nearly two."""
    return sum(1.8 if letter > WIDE else 1 for letter in text)
