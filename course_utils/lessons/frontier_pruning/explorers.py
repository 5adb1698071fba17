"""Which weights may go, and in what pattern (lesson 08_2)."""

import dataclasses
import functools
import html
import threading

import numpy as np

from course_utils import compression, evaluation, pruning
from course_utils.chart import Axis, Chart, Grid, Line, Points, Rule
from course_utils.compression import equalization
from course_utils.models.checkpoint import clone
from course_utils.models.description import describe
from course_utils.storage import encode
from course_utils.text import _
from course_utils.widgets import Explorer, cards, checkbox, choice, readout, slider

SHARES = (0.0, 0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9)  # where the curves are measured
FACTOR = 32.0  # a power of two: floats are multiplied and divided by it without rounding


# ---- magnitude against Wanda --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Race:
    """Two scores remove the same share of each unit's weights.

    Attributes:
        sparsity: Share that is removed from the blocks' matrices.
        planted: Whether the model has planted outliers.
        perplexity: By score, `"magnitude"` and `"Wanda"`.
        agree: Share of the weights on which the two masks say the same.
        bytes: Length of the file; it is the same for both.
        original: `(perplexity, bytes)` before anything was removed.
        curves: By score, perplexities at `SHARES`.
    """

    sparsity: float
    planted: bool
    perplexity: dict
    agree: float
    bytes: int
    original: tuple
    curves: dict


class Contest:
    """One model, a twin to prune, and each matrix scored twice: by size, and by size times
    loudness.

    The loudness is taken once, on the whole model; `compression.compress` takes it anew after each
    layer.
    """

    def __init__(self, model, calibration, tokens):
        self.twin, self.tokens, self.description = clone(model), tokens, describe(model)
        self.turn = threading.RLock()  # one thread at a time: they share the twin
        self.weights = compression.matched(self.twin, model)
        self.matrices = {
            w.name: w.matrix().copy()
            for w in self.weights
            if not w.skipped_because and "block" in w.name
        }
        self.scores = {"magnitude": {}, "Wanda": {}}
        for weight in self.weights:
            if weight.name in self.matrices:
                matrix, inputs = (
                    self.matrices[weight.name],
                    compression.capture(self.twin, weight, calibration),
                )
                self.scores["magnitude"][weight.name] = pruning.magnitude(matrix)
                self.scores["Wanda"][weight.name] = pruning.wanda(matrix, inputs)
        self.curves = {
            score: [self.cut(score, share)[0] for share in SHARES] for score in self.scores
        }

    def cut(self, score, share):
        """Removes a share of each unit's weights from the twin; returns its perplexity and the
        masks."""
        mask = pruning.fraction_per_unit(share)
        masks = {name: mask(scores) for name, scores in self.scores[score].items()}
        for weight in self.weights:
            if weight.name in masks:
                kept = np.where(masks[weight.name], self.matrices[weight.name], np.float32(0))
                weight.assign(kept)
        return evaluation.next_token(self.twin, self.tokens).perplexity, masks

    def size(self):
        """Returns the length of the file that holds the twin as it is."""
        tensors = {
            w.name: np.asarray(w.variable) if w.skipped_because else w.matrix()
            for w in self.weights
        }
        return len(encode(tensors, model=self.description)[0])

    @functools.cached_property
    def original(self):
        """Perplexity and bytes with every weight in its place."""
        return self.cut("magnitude", 0.0)[0], self.size()

    def measure(self, sparsity, planted):
        """Prunes by both scores and returns a `Race`."""
        with self.turn:
            original = self.original
            cuts, size = {score: self.cut(score, sparsity) for score in self.scores}, self.size()
        by_size, by_wanda = (masks for perplexity, masks in cuts.values())
        agree = sum(np.count_nonzero(by_size[name] == by_wanda[name]) for name in by_size)
        return Race(
            sparsity,
            planted,
            {score: perplexity for score, (perplexity, masks) in cuts.items()},
            agree / sum(mask.size for mask in by_size.values()),
            size,
            original,
            self.curves,
        )


def show_race(seen):
    """Both perplexities, the file, and the whole curves with the present position on them."""
    (perplexity, size), known = seen.original, {"magnitude": _("magnitude"), "Wanda": _("Wanda")}
    numbers = cards(
        *(
            readout(
                _("perplexity, {score}").format(score=known[score]),
                f"{value:.2f}",
                note=_("original {perplexity:.2f}").format(perplexity=perplexity),
            )
            for score, value in seen.perplexity.items()
        ),
        readout(
            _("file"),
            _("{size:,} bytes").format(size=seen.bytes),
            note=_("original {size:,}").format(size=size),
        ),
        readout(_("masks agree on"), f"{seen.agree:.1%}", note=_("of the weights")),
    )
    across = [100 * share for share in SHARES]
    marks = [
        Line(across, values, label=known[score], color=color)
        for (score, values), color in zip(seen.curves.items(), ("blue", "vermillion"))
    ]
    marks += [
        Rule(100 * seen.sparsity),
        *(
            Points([100 * seen.sparsity], [value], color=color, size=6)
            for value, color in zip(seen.perplexity.values(), ("blue", "vermillion"))
        ),
    ]
    title = _("Planted outliers") if seen.planted else _("The model as it was trained")
    said = ", ".join(f"{known[score]} {value:.2f}" for score, value in seen.perplexity.items())
    return [
        numbers,
        Chart(
            marks,
            x=Axis(_("weights removed from the blocks, %"), low=0, high=92),
            y=Axis(_("perplexity"), log=True),
            title=title,
            width=560,
            height=280,
            description=_("{title}; {sparsity:.0%} removed: perplexity by {scores}.").format(
                title=title, sparsity=seen.sparsity, scores=said
            ),
        ),
    ]


def race_explorer(model, calibration, tokens):
    """Slides the sparsity and prunes a language model by magnitude and by Wanda.

    Args:
        model: A `DecoderLM`; it is not changed.
        calibration: Tokens `(sequences, length)` on which loudness is taken.
        tokens: Tokens `(sequences, length + 1)` to score on; others than the calibration's.

    Returns:
        An `Explorer` whose results are `Race`s.
    """
    contests = {
        False: Contest(model, calibration, tokens),
        True: Contest(equalization.plant_outliers(model, factor=FACTOR), calibration, tokens),
    }
    return Explorer(
        lambda sparsity, planted: contests[planted].measure(sparsity, planted),
        show_race,
        sparsity=slider(_("sparsity"), 0.0, 0.9, 0.05, 0.5, _("of each unit's weights is removed")),
        planted=checkbox(
            _("plant outliers"), False, _("6 channels of each norm 32 times louder, same function")
        ),
    )


# ---- patterns -----------------------------------------------------------------------------------

CORNER = 32  # rows and columns of the matrix that are drawn


def patterns():
    """The patterns by their names in the learner's language."""
    return {_("any weight"): "any", _("n of 4"): "runs", _("whole units"): "units"}


@dataclasses.dataclass(frozen=True)
class Pattern:
    """What a mask keeps of one matrix.

    Attributes:
        name: `"any"`, `"runs"` or `"units"`.
        kept: The matrix `(inputs, units)`, zero where weights were removed.
        energy: Share of the sum of squares that is kept.
        values, places: Bytes of the float32 weights that are left, and of saying where they stand.
    """

    name: str
    kept: np.ndarray
    energy: float
    values: int
    places: int


def pattern_of(matrix, name, removed):
    """Removes a share of a matrix by size in one of three patterns.

    Args:
        matrix: Float array `(inputs, units)`.
        name: `"any"` (single weights), `"runs"` (the same number of every 4 along a unit's inputs)
            or `"units"` (whole columns).
        removed: 0.25, 0.5 or 0.75.

    Returns:
        A `Pattern`.
    """
    scores = (pruning.unit_magnitude if name == "units" else pruning.magnitude)(matrix)
    left = round(4 * (1 - removed))
    mask = (pruning.n_of_m(left, 4) if name == "runs" else pruning.fraction(removed))(scores)
    mask = np.broadcast_to(mask, matrix.shape)
    runs = -(-matrix.shape[0] // 4) * matrix.shape[1]
    # A bit for each weight; two bits for each weight that is left of a run; a bit for each unit.
    bits = {"any": mask.size, "runs": 2 * left * runs, "units": mask.shape[1]}[name]
    kept = np.where(mask, matrix, np.float32(0))
    return Pattern(
        name,
        kept,
        float(np.square(kept).sum() / np.square(matrix).sum()),
        4 * int(np.count_nonzero(mask)),
        -(-bits // 8),
    )


def show_pattern(seen):
    """The bytes, and a corner of the matrix: blue above zero, orange-red below, empty where
    removed."""
    share = np.mean(seen.kept != 0)
    rows, columns = seen.kept[:CORNER, :CORNER].shape
    title = {
        "any": _("{share:.0%} kept: single weights"),
        "runs": _("{share:.0%} kept: some of every four down a column"),
        "units": _("{share:.0%} kept: whole columns"),
    }[seen.name]
    description = {
        "any": _(
            "A corner of {corner} by {corner} weights; {share:.0%} are kept; removed were single weights."
        ),
        "runs": _(
            "A corner of {corner} by {corner} weights; {share:.0%} are kept; removed were some of every four down a column."
        ),
        "units": _(
            "A corner of {corner} by {corner} weights; {share:.0%} are kept; removed were whole columns."
        ),
    }[seen.name]
    return [
        cards(
            readout(_("weights left"), f"{share:.0%}"),
            readout(_("sum of squares left"), f"{seen.energy:.1%}"),
            readout(
                _("bytes of the weights"),
                f"{seen.values:,}",
                note=_("all of them: {size:,}").format(size=4 * seen.kept.size),
            ),
            readout(_("bytes of their places"), f"{seen.places:,}"),
        ),
        Chart(
            [Grid(seen.kept[:CORNER, :CORNER])],
            x=Axis(_("unit, {shown} of {all}").format(shown=columns, all=seen.kept.shape[1])),
            y=Axis(
                _("input, {shown} of {all}").format(shown=rows, all=seen.kept.shape[0]),
                ticks=list(range(0, rows + 1, 4)),  # runs of four end at a line
            ),
            title=title.format(share=share),
            width=400,
            height=420,
            description=description.format(corner=CORNER, share=share),
        ),
        html.escape(
            _(
                "The picture shows a corner of {rows} by {columns} weights. Blue: above zero; "
                "orange-red: below; the stronger, the larger; empty: removed."
            ).format(rows=rows, columns=columns)
        ),
    ]


def pattern_explorer(matrix):
    """Shows which weights of a matrix three patterns keep, and what the file must say about it.

    Args:
        matrix: Float array `(inputs, units)`.

    Returns:
        An `Explorer` whose results are `Pattern`s.
    """
    return Explorer(
        lambda pattern, removed: pattern_of(matrix, pattern, removed),
        show_pattern,
        pattern=choice(_("pattern"), patterns(), "runs", _("what may be removed")),
        removed=slider(
            _("removed"), 0.25, 0.75, 0.25, 0.5, _("share of the weights; n = 3, 2 or 1 of 4")
        ),
    )
