"""Which units go first, and why; what a threshold does to a model (lesson 3.2.2)."""

import dataclasses
import functools

import numpy as np

from course_utils import compression, evaluation, pruning
from course_utils.chart import Axis, Bars, Chart, Line, Points, Rule
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
            x=Axis(_("size of the unit's weights (RMS)"), log=True, low=0.003, high=6),
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


def at_random(seed):
    """Returns a score of units that knows nothing: the control for all others."""
    return lambda weights: np.random.default_rng(seed).random((1, weights.shape[1]))


@dataclasses.dataclass(frozen=True)
class Cut:
    """Accuracy of a classifier after a share of its hidden units was removed.

    Attributes:
        share: The share.
        accuracy: By name of the score.
        chance: The lowest, the mean and the highest accuracy of units removed at random.
    """

    share: float
    accuracy: dict
    chance: tuple


def cut_explorer(measure, scores, draws=10):
    """Slides the share of removed units over measured curves.

    Args:
        measure: Function of a score and a share to an accuracy on validation data.
        scores: By name, functions that score units.
        draws: How often units are removed at random.

    Returns:
        An `Explorer` whose results are `Cut`s.
    """
    shares = np.linspace(0, 0.9, 10).round(1)

    @functools.cache
    def cut(share):
        lots = [measure(at_random(seed), share) for seed in range(draws)]
        found = {name: measure(score, share) for name, score in scores.items()}
        return Cut(share, found, (min(lots), float(np.mean(lots)), max(lots)))

    drawn = [cut(float(share)) for share in shares]

    def show(seen):
        low, mean, high = seen.chance
        lines = [Line(100 * shares, [100 * one.accuracy[n] for one in drawn], n) for n in scores]
        ends = ([100 * one.chance[end] for one in drawn] for end in (0, 2))
        across = [*(100 * shares), np.nan, *(100 * shares)]  # two lines, the pen lifted between
        label = _("at random, lowest and highest")
        lines.append(Line(across, [*next(ends), np.nan, *next(ends)], label, color="grey"))
        return [
            cards(
                *(readout(name, f"{accuracy:.1%}") for name, accuracy in seen.accuracy.items()),
                readout(
                    _("at random"),
                    f"{mean:.1%}",
                    note=_("{low:.1%} to {high:.1%}").format(low=low, high=high),
                ),
            ),
            Chart(
                [*lines, Rule(100 * seen.share)],
                x=Axis(_("hidden units removed, %")),
                y=Axis(_("validation accuracy, %"), low=0, high=100),
                title=_("Which units go first?"),
                width=560,
                height=320,
                description=_(
                    "Validation accuracy with {share:.0%} of the hidden units removed, by score, and at random."
                ).format(share=seen.share),
            ),
        ]

    return Explorer(
        cut,
        show,
        share=slider(
            _("share"),
            0.0,
            0.9,
            0.1,
            0.5,
            _("of the hidden units is removed, lowest score first"),
        ),
    )


@dataclasses.dataclass(frozen=True)
class Thresholded:
    """A classifier whose weights up to a threshold were removed.

    Attributes:
        theta: The threshold.
        removed: The share removed, by name of the matrix.
        accuracy: On the scans given.
        size: Bytes of the file.
    """

    theta: float
    removed: dict
    accuracy: float
    size: int


def threshold_explorer(model, scans, labels):
    """Slides one threshold over all matrices of a classifier.

    Args:
        model: A Keras model.
        scans, labels: Validation data that it is scored on.

    Returns:
        An `Explorer` whose results are `Thresholded`s.
    """

    def cut(theta):
        small = compression.compress(
            model, [compression.Prune(pruning.magnitude, pruning.above(theta))]
        )
        removed = {
            weight.name.removesuffix("/kernel"): float(np.mean(weight.matrix() == 0))
            for weight in compression.weights(small.model)
            if not weight.skipped_because
        }
        right = evaluation.classify(small.model, scans, labels).accuracy
        return Thresholded(theta, removed, right, small.ledger.total)

    def show(seen):
        names = list(seen.removed)
        told = ", ".join(f"{name} {share:.0%}" for name, share in seen.removed.items())
        return [
            cards(
                readout("θ", f"{seen.theta:.3g}"),
                readout(_("validation accuracy"), f"{seen.accuracy:.1%}"),
                readout(_("file"), _("{size:,} bytes").format(size=seen.size)),
            ),
            Chart(
                [Bars(np.arange(len(names) + 1), [100 * share for share in seen.removed.values()])],
                x=Axis(ticks={i + 0.5: name for i, name in enumerate(names)}),
                y=Axis(_("weights removed, %"), low=0, high=100),
                title=_("One threshold, three layers"),
                description=_("Share of each matrix that is removed: {told}.").format(told=told),
            ),
        ]

    return Explorer(
        cut,
        show,
        theta=log_slider("θ", 0.01, 1, 0.3, _("weights up to this size are removed")),
    )
