"""What one step Q does to one matrix, and one large weight to those that share its scale (lesson
3.2.1)."""

import dataclasses

import numpy as np

from course_utils import quantization
from course_utils.chart import Axis, Bars, Chart, Line, Points, Rule
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, readout


@dataclasses.dataclass(frozen=True)
class Rounding:
    """What one step does to one matrix: its levels, the bits of a code, and the error it makes."""

    step: float
    levels: int
    bits: int
    error: float
    edges: np.ndarray
    counts: np.ndarray

    @property
    def error_ratio(self):
        """The root mean square error, over `step / sqrt(12)`."""
        return self.error / (self.step / np.sqrt(12))


def rounding(weights, step):
    """Rounds weights with the document's rule and returns a `Rounding`."""
    tensor = quantization.step(weights, step)
    counts, edges = np.histogram(weights, 80)
    error = rms(tensor.dequantize() - weights)
    return Rounding(step, len(np.unique(tensor.codes)), tensor.bits, error, edges, counts)


def rms(values, axis=None):
    """Returns the root of the mean square."""
    return np.sqrt(np.mean(np.square(values, dtype=np.float64), axis=axis))


def show_rounding(seen, curve):
    """Numbers, the weights with the levels under them, and the error beside `Q / sqrt(12)`.

    Args:
        seen: A `Rounding`.
        curve: `Rounding`s of the same weights at steps from small to large.
    """
    edge = np.abs(seen.edges).max()
    count = int(edge / seen.step + 0.5)  # the outermost level that a weight is rounded to
    levels = seen.step * np.arange(-count, count + 1) if count <= 25 else []
    feet = 0.02 * np.max(seen.counts)  # where a mark stands whole on the axis
    title = (
        _("Weights and the levels every {step:g}")
        if len(levels)
        else _("Weights and the levels every {step:g} (too close to draw)")
    )
    steps = np.array([one.step for one in curve])
    return [
        cards(
            readout(_("levels"), seen.levels),
            readout(_("bits a code"), seen.bits),
            readout(_("error (RMS)"), f"{seen.error:.4f}"),
            readout(_("error over Q/√12"), f"{seen.error_ratio:.2f}"),
        ),
        Chart(
            [
                Bars(seen.edges, seen.counts, color="blue", label=_("weights")),
                Points(
                    levels, np.full(len(levels), feet), _("levels"), "vermillion", marker="triangle"
                ),
            ],
            x=Axis(_("weight")),
            y=Axis(_("how many")),
            title=title.format(step=seen.step),
            description=_("Histogram of the weights with {levels} levels {step:g} apart.").format(
                levels=seen.levels, step=seen.step
            ),
        ),
        Chart(
            [
                Line(steps, steps / np.sqrt(12), "Q/√12", color="grey"),
                Line(steps, [one.error for one in curve], _("measured"), color="blue"),
                Points([seen.step], [seen.error], _("here"), "vermillion", size=5),
            ],
            x=Axis("Q", log=True),
            y=Axis(_("error (RMS)"), log=True),
            title=_("Where the error leaves the line"),
            description=_(
                "Error against Q. At Q = {step:g} it is {error:.4f}, {ratio:.2f} times Q/√12."
            ).format(step=seen.step, error=seen.error, ratio=seen.error_ratio),
        ),
    ]


def rounding_explorer(weights):
    """Slides Q over one matrix.

    Args:
        weights: Float matrix `(inputs, units)`.

    Returns:
        An `Explorer` whose results are `Rounding`s.
    """
    curve = [rounding(weights, step) for step in np.geomspace(0.001, 1, 46)]
    return Explorer(
        lambda step: rounding(weights, step),
        lambda seen: show_rounding(seen, curve),
        step=log_slider(
            "Q", 0.001, 1, 0.5, _("step between two levels, in the unit of the weights")
        ),
    )


SHARED = ("tensor", "channel", 32)  # who shares a scale


@dataclasses.dataclass(frozen=True)
class Outlier:
    """What one large weight does to the others, by who shares a scale.

    Attributes:
        size: The large weight.
        bits: Width of a code.
        unit: Its column.
        errors: By `group_size`, the error (RMS) of all other weights.
        units: By `group_size`, the error of the other weights in each unit, `(units,)`.
        zeroed: By `group_size`, the share of all other weights that became 0.
    """

    size: float
    bits: int
    unit: int
    errors: dict
    units: dict
    zeroed: dict


def outlier(weights, size, bits):
    """Sets one weight, in the middle of the last row, and rounds all by absmax: an `Outlier`."""
    unit, changed = weights.shape[1] // 2, weights.copy()
    changed[-1, unit] = size
    others = np.ones(weights.shape, bool)
    others[-1, unit] = False
    errors, units, zeroed = {}, {}, {}
    for group_size in SHARED:
        tensor = quantization.absmax(changed, bits, group_size)
        off = np.where(others, tensor.dequantize() - changed, 0)
        errors[group_size], units[group_size] = rms(off[others]), rms(off, axis=0)
        zeroed[group_size] = float(np.mean(tensor.codes[others] == 0))
    return Outlier(size, bits, unit, errors, units, zeroed)


def show_outlier(seen, curve):
    """Numbers, the error against the size of the one weight, and who bears it.

    Args:
        seen: An `Outlier`.
        curve: `Outlier`s of the same weights and bits, the large weight growing.
    """
    names = {
        "tensor": _("a scale per tensor"),
        "channel": _("per channel"),
        32: _("per group of 32"),
    }
    colors = dict(zip(SHARED, ("vermillion", "orange", "blue")))
    sizes, places = [one.size for one in curve], np.arange(len(seen.units["tensor"]))
    told = ", ".join(f"{names[shared]} {seen.errors[shared]:.4f}" for shared in SHARED)
    return [
        cards(
            *(
                readout(
                    name,
                    f"{seen.errors[shared]:.4f}",
                    note=_("{share:.0%} became 0").format(share=seen.zeroed[shared]),
                )
                for shared, name in names.items()
            )
        ),
        Chart(
            [
                *(
                    Line(sizes, [one.errors[shared] for one in curve], name, colors[shared])
                    for shared, name in names.items()
                ),
                Rule(seen.size),
            ],
            x=Axis(_("the one large weight"), log=True),
            y=Axis(_("error of all others (RMS)"), log=True),
            title=_("One weight grows"),
            description=_(
                "With one weight of {size:g}, the error of all others is: {told}."
            ).format(size=seen.size, told=told),
        ),
        Chart(
            [
                Line(places, seen.units[shared], name, colors[shared])
                for shared, name in names.items()
            ],
            x=Axis(_("unit")),
            y=Axis(_("its error (RMS)"), log=True),
            title=_("Who pays: the error in each unit"),
            description=_(
                "The large weight stands in unit {unit}. With a scale per tensor all units pay, with "
                "finer scales that one alone."
            ).format(unit=seen.unit),
        ),
    ]


def outlier_explorer(weights):
    """Slides the size of one weight of a matrix, and rounds the matrix with three kinds of scale.

    Args:
        weights: Float matrix `(inputs, units)`.

    Returns:
        An `Explorer` whose results are `Outlier`s.
    """
    sizes = np.geomspace(0.5, 20, 25)
    curves = {bits: [outlier(weights, size, bits) for size in sizes] for bits in (8, 4)}
    return Explorer(
        lambda size, bits: outlier(weights, size, bits),
        lambda seen: show_outlier(seen, curves[seen.bits]),
        size=log_slider(_("size"), 0.5, 20, 10, _("of one weight; all others stay")),
        bits=choice(_("bits"), [8, 4], 4, _("width of a code")),
    )
