"""Which units go first, and why (lesson 3.2.2)."""

import dataclasses

import numpy as np

from course_utils import pruning
from course_utils.chart import Axis, Chart, Line, Points, Rule
from course_utils.text import _
from course_utils.widgets import Explorer, cards, log_slider, readout, slider


@dataclasses.dataclass(frozen=True)
class Importance:
    """The scores of the units of one matrix after all weights were multiplied by `scale`."""

    scale: float
    norms: np.ndarray
    document: np.ndarray
    ratio: np.ndarray


def importance_of(weights, scale):
    """Scores every unit of `weights * scale` three ways and returns an `Importance`."""
    scaled = weights * scale
    return Importance(
        scale,
        pruning.unit_magnitude(scaled).ravel(),
        pruning.unit_document(scaled).ravel(),
        pruning.participation_ratio(scaled).ravel(),
    )


def show_importance(seen):
    """Each unit as a point: the document's importance, and the participation ratio, against its
    size."""

    def against(scores, formula, name, color, low, high):
        title = _("{formula}, {name}").format(formula=formula, name=name)
        return Chart(
            [Points(seen.norms, scores, color=color, size=3)],
            y=Axis(formula, log=True, low=low, high=high),
            x=Axis(_("size of the unit's weights (RMS)"), log=True, low=0.003, high=3),
            title=title,
            description=_("{title} of {count} units against the size of their weights.").format(
                title=title, count=len(scores)
            ),
        )

    return [
        cards(
            readout(_("weights times"), f"{seen.scale:g}"),
            readout(_("median importance"), f"{np.median(seen.document):.4g}"),
            readout(_("median participation ratio"), f"{np.median(seen.ratio):.4g}"),
        ),
        against(
            seen.document, "Σw² / Σw⁴", _("the document's importance"), "vermillion", 0.01, 100000
        ),
        against(
            seen.ratio,
            "(Σw²)² / Σw⁴",
            _("participation ratio"),
            "green",
            1,
            len(seen.document) * 10,
        ),
    ]


def importance_explorer(weights):
    """Slides a factor on all weights of a matrix and shows what its units score.

    Args:
        weights: Float matrix `(inputs, units)`.

    Returns:
        An `Explorer` whose results are `Importance`s.
    """
    return Explorer(
        lambda scale: importance_of(weights, scale),
        show_importance,
        scale=log_slider(_("factor"), 0.1, 10, 1, _("multiplies every weight")),
    )


@dataclasses.dataclass(frozen=True)
class Cut:
    """Accuracy of a classifier after a share of its hidden units was removed, by three scores."""

    share: float
    accuracy: dict
    curves: dict


def cut_explorer(curves):
    """Slides the share of removed units over measured curves.

    Args:
        curves: By name of the score: function of the share to an accuracy.

    Returns:
        An `Explorer` whose results are `Cut`s.
    """
    shares = np.linspace(0, 0.95, 20)
    drawn = {name: [measure(share) for share in shares] for name, measure in curves.items()}

    def show(seen):
        marks = [
            Line(100 * shares, [100 * a for a in values], label=name)
            for name, values in drawn.items()
        ]
        return [
            cards(*(readout(name, f"{accuracy:.1%}") for name, accuracy in seen.accuracy.items())),
            Chart(
                [*marks, Rule(100 * seen.share)],
                x=Axis(_("hidden units removed, %")),
                y=Axis(_("accuracy, %"), low=0, high=100),
                title=_("Which units go first?"),
                width=520,
                height=280,
                description=_(
                    "Accuracy with {share:.0%} of the hidden units removed, by score."
                ).format(share=seen.share),
            ),
        ]

    return Explorer(
        lambda share: Cut(share, {name: measure(share) for name, measure in curves.items()}, drawn),
        show,
        share=slider(
            _("share"),
            0.0,
            0.95,
            0.05,
            0.5,
            _("of the hidden units is removed, lowest score first"),
        ),
    )
