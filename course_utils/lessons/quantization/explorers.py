"""What one step Q does to one matrix (lesson 3.2.1)."""

import dataclasses

import numpy as np

from course_utils import quantization
from course_utils.chart import Axis, Bars, Chart, Rule
from course_utils.text import _
from course_utils.widgets import Explorer, cards, log_slider, readout


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
    error = float(np.sqrt(np.mean(np.square(tensor.dequantize() - weights))))
    return Rounding(step, len(np.unique(tensor.codes)), tensor.bits, error, edges, counts)


def show_rounding(seen):
    """Numbers, the weights under their grid, and the error beside `Q / sqrt(12)`."""
    edge = np.abs(seen.edges).max()
    count = int(edge / seen.step)
    grid = [Rule(k * seen.step) for k in range(-count, count + 1)] if count <= 25 else []
    title = (
        _("Weights and the levels every {step:g}")
        if grid
        else _("Weights and the levels every {step:g} (too close to draw)")
    )
    return [
        cards(
            readout(_("levels"), seen.levels),
            readout(_("bits a code"), seen.bits),
            readout(_("error (RMS)"), f"{seen.error:.4f}"),
            readout(_("error over Q/√12"), f"{seen.error_ratio:.2f}"),
        ),
        Chart(
            [Bars(seen.edges, seen.counts, color="blue", label=_("weights")), *grid],
            x=Axis(_("weight")),
            y=Axis(_("how many")),
            title=title.format(step=seen.step),
            description=_("Histogram of the weights with {levels} levels {step:g} apart.").format(
                levels=seen.levels, step=seen.step
            ),
        ),
    ]


def rounding_explorer(weights):
    """Slides Q over one matrix.

    Args:
        weights: Float matrix `(inputs, units)`.

    Returns:
        An `Explorer` whose results are `Rounding`s.
    """
    return Explorer(
        lambda step: rounding(weights, step),
        show_rounding,
        step=log_slider(
            "Q", 0.001, 1, 0.05, _("step between two levels, in the unit of the weights")
        ),
    )
