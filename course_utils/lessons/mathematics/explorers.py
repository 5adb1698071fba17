"""What a distribution does to a rounding error, and what a loss does to a student who is wrong
(lesson 4)."""

import dataclasses
import functools

import numpy as np
from scipy.optimize import minimize_scalar

from course_utils import document
from course_utils.chart import Axis, Bars, Chart, Line, Rule
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, readout, slider


@dataclasses.dataclass(frozen=True, eq=False)
class Law:
    """A distribution of standard deviation 1: values, and the probability of each.

    Attributes:
        name: As code calls it.
        values: Array of shape `(values,)`, in standard deviations.
        chances: Array of shape `(values,)` that sums to 1.
    """

    name: str
    values: np.ndarray
    chances: np.ndarray

    @property
    def label(self):
        """Its name as a learner reads it."""
        known = {
            "Gaussian": _("Gaussian"),
            "Laplace": _("Laplace"),
            "uniform": _("uniform"),
            "trained": _("trained"),
        }
        return known.get(self.name, self.name)

    def mean(self, what):
        """The expectation of `what`, an array of shape `(values,)`."""
        return float(self.chances @ what)


def laws(weights):
    """Three textbook distributions and one of trained weights, all of standard deviation 1.

    The first three are densities on a grid so fine that a mean over them is the integral to three
    digits or more.

    Args:
        weights: Float array of any shape.

    Returns:
        A dict of name to `Law`: `"Gaussian"`, `"Laplace"`, `"uniform"`, `"trained"`.
    """
    x = (np.arange(32_000) + 0.5) / 1000 - 16
    gaussian, laplace = np.exp(-(x**2) / 2), np.exp(-np.sqrt(2) * np.abs(x))
    flat = np.linspace(-np.sqrt(3), np.sqrt(3), 32_001)
    trained = np.ravel(weights) / np.std(weights)
    made = (
        Law("Gaussian", x, gaussian / gaussian.sum()),
        Law("Laplace", x, laplace / laplace.sum()),
        Law("uniform", (flat[1:] + flat[:-1]) / 2, np.full(32_000, 1 / 32_000)),
        Law("trained", trained, np.full(trained.size, 1 / trained.size)),
    )
    return {law.name: law for law in made}


# ---- the embedding -----------------------------------------------------------------------------


def onehot_chart(words=8, which=3):
    """Draws the exponential of a one-hot column: where it has zeros, 1 is left, and that lets every
    other word through."""
    onehot = np.eye(words)[which]
    edges, exponential = np.arange(words + 1), np.exp(onehot)
    return Chart(
        [
            Bars(edges, exponential, color="vermillion", label=_("its exponential")),
            Bars(edges, onehot, color="blue", label=_("the one-hot column")),
        ],
        x=Axis(_("word"), ticks={i + 0.5: str(i) for i in range(words)}),
        y=Axis(_("entry"), low=0),
        title=_("What the exponential does to a one-hot column"),
        width=560,
        height=220,
        description=_(
            "Word {which} goes from 1 to {most:.2f}; each of the {rest} others goes from 0 to 1."
        ).format(which=which, most=exponential.max(), rest=words - 1),
    )


# ---- the step -----------------------------------------------------------------------------------


def error_over_theory(law, step):
    """The mean squared error of the document's rounding, over the `step**2 / 12` of theory."""
    error = document.quantize(law.values, step) - law.values
    return law.mean(np.square(error)) / (step**2 / 12)


@dataclasses.dataclass(frozen=True)
class Rounded:
    """What one step Q, in standard deviations, does to one distribution."""

    law: Law
    step: float
    ratio: float

    @property
    def error(self):
        """The mean squared error."""
        return self.ratio * self.step**2 / 12


def histogram(law):
    """The distribution as bars between -5 and 5 standard deviations."""
    chances, edges = np.histogram(law.values, 100, (-5, 5), weights=law.chances)
    return Bars(edges, 100 * chances, color="blue", label=law.label)


def step_explorer(laws):
    """Slides Q over distributions.

    Args:
        laws: From `laws`.

    Returns:
        An `Explorer` whose results are `Rounded`s.
    """
    steps = np.geomspace(0.1, 10, 61)
    curves = [
        Line(steps, [error_over_theory(law, step) for step in steps], label=law.label)
        for law in laws.values()
    ]

    def show(seen):
        count = int(5 / seen.step)
        grid = [Rule(k * seen.step) for k in range(-count, count + 1)] if count <= 12 else []
        title = (
            _("{law}, levels every {step:g} σ")
            if grid
            else _("{law}, levels every {step:g} σ (too close to draw)")
        )
        return [
            cards(
                readout(_("mean squared error"), f"{seen.error:.4g}"),
                readout("Q²/12", f"{seen.step**2 / 12:.4g}"),
                readout(_("error over Q²/12"), f"{seen.ratio:.3f}"),
            ),
            Chart(
                [histogram(seen.law), *grid],
                x=Axis(_("weight / σ"), low=-5, high=5),
                y=Axis(_("% of the weights")),
                title=title.format(law=seen.law.label, step=seen.step),
                description=_(
                    "Histogram of the {law} distribution with levels {step:g} apart."
                ).format(law=seen.law.label, step=seen.step),
            ),
            Chart(
                [*curves, Rule(seen.step)],
                x=Axis("Q / σ", log=True),
                y=Axis(_("error over Q²/12"), low=0, high=1.4),
                title=_("Where theory holds"),
                description=_(
                    "The measured error over Q²/12: 1 up to Q = 2σ for the Gaussian, below 1 from about "
                    "half a σ for the Laplace, and to and fro around 1 for the uniform one."
                ),
            ),
        ]

    return Explorer(
        lambda law, step: Rounded(laws[law], step, error_over_theory(laws[law], step)),
        show,
        law=choice(
            _("weights"),
            {law.label: name for name, law in laws.items()},
            "trained",
            _("how they are distributed"),
        ),
        step=log_slider(
            "Q / σ", 0.1, 10, 1.0, _("the step, in standard deviations of the weights")
        ),
    )


# ---- the clip -----------------------------------------------------------------------------------


def clip_and_round(values, clip, bits):
    """Rounds to the nearest of `2**bits` levels that fill the range from `-clip` to `clip` evenly.

    The outermost levels lie half a step inside the range, so no value within it moves by more than
    that.
    """
    half = 2 ** (bits - 1)
    step = clip / half
    return (np.clip(np.floor(values / step), -half, half - 1) + 0.5) * step


@dataclasses.dataclass(frozen=True)
class Clipped:
    """The squared error that a range from `-clip` to `clip` makes, inside it and outside."""

    law: Law
    bits: int
    clip: float
    rounding: float
    clipping: float

    @property
    def step(self):
        """The distance of two levels."""
        return 2 * self.clip / 2**self.bits

    @property
    def error(self):
        """The mean squared error, of both kinds."""
        return self.rounding + self.clipping


def clipped(law, bits, clip):
    """Measures one clip and returns a `Clipped`."""
    error = np.square(clip_and_round(law.values, clip, bits) - law.values)
    inside = np.abs(law.values) <= clip
    return Clipped(law, bits, clip, law.mean(error * inside), law.mean(error * ~inside))


@functools.lru_cache
def clip_curve(law, bits):
    """Measures 37 clips from 0.4 to 12 standard deviations."""
    return tuple(clipped(law, bits, clip) for clip in np.geomspace(0.4, 12, 37))


@functools.lru_cache
def best_clip(law, bits):
    """Returns the clip of the smallest error as a `Clipped`: the best of `clip_curve`, refined
    between its neighbours."""
    tried = clip_curve(law, bits)
    best = int(np.argmin([one.error for one in tried]))
    around = tried[max(best - 1, 0)].clip, tried[min(best + 1, len(tried) - 1)].clip
    found = minimize_scalar(
        lambda clip: clipped(law, bits, clip).error,
        bounds=around,
        method="bounded",
        options={"xatol": 1e-4},
    )
    return clipped(law, bits, float(found.x))


def clip_explorer(laws):
    """Slides the clip and the bits over distributions.

    Args:
        laws: From `laws`.

    Returns:
        An `Explorer` whose results are `Clipped`s.
    """

    def show(seen):
        curve, best = clip_curve(seen.law, seen.bits), best_clip(seen.law, seen.bits)
        clips = [one.clip for one in curve]
        lines = [
            Line(clips, [getattr(one, part) for one in curve], label=label)
            for part, label in (
                ("rounding", _("inside: rounding")),
                ("clipping", _("outside: clipping")),
                ("error", _("both")),
            )
        ]
        return [
            cards(
                readout(_("step"), f"{seen.step:.4f} σ"),
                readout(_("error by rounding"), f"{seen.rounding:.3g}"),
                readout(_("error by clipping"), f"{seen.clipping:.3g}"),
                readout(_("both"), f"{seen.error:.3g}"),
                readout(
                    _("the best clip"),
                    f"{best.clip:.2f} σ",
                    note=_("error {error:.3g}").format(error=best.error),
                ),
            ),
            Chart(
                [histogram(seen.law), *(Rule(end) for end in (-seen.clip, seen.clip))],
                x=Axis(_("weight / σ"), low=-5, high=5),
                y=Axis(_("% of the weights")),
                title=_("{law}, clip {clip:g} σ").format(law=seen.law.label, clip=seen.clip),
                description=_(
                    "Histogram of the {law} distribution, clipped at {clip:g} on both sides."
                ).format(law=seen.law.label, clip=seen.clip),
            ),
            Chart(
                [*lines, Rule(seen.clip)],
                x=Axis(_("clip / σ"), log=True, low=0.4, high=12),
                y=Axis(_("mean squared error"), log=True, low=best.error / 5, high=2),
                title=_("Two errors that pull apart, {bits} bits").format(bits=seen.bits),
                description=_(
                    "The error inside the range grows with the clip, the error outside falls; their sum is smallest at {clip:.2f} standard deviations."
                ).format(clip=best.clip),
            ),
        ]

    return Explorer(
        lambda law, bits, clip: clipped(laws[law], bits, clip),
        show,
        law=choice(
            _("weights"),
            {law.label: name for name, law in laws.items()},
            "Gaussian",
            _("how they are distributed"),
        ),
        bits=slider(_("bits"), 2, 8, 1, 4, _("of a code")),
        clip=log_slider(_("clip / σ"), 0.5, 10, 4.0, _("codes end here, in standard deviations")),
    )


# ---- the loss -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Slopes:
    """How hard two losses pull at a student who gives the right one of two classes the share
    `p`."""

    z: float
    p: float
    squared: float
    cross_entropy: float


def slopes(z):
    """The slopes, against z, of `(1 - p)**2` and `-log p` where `p = 1 / (1 + exp(-z))` is the
    share of the right class.

    Args:
        z: Logit of the right class minus that of the wrong one.

    Returns:
        A `Slopes`; both slopes are negative, for a larger z is always better.
    """
    p = 1 / (1 + np.exp(-z))
    return Slopes(z, p, -2 * (1 - p) * p * (1 - p), -(1 - p))


def steps_until_right(z, loss, limit=100_000):
    """Counts the steps of gradient descent, at a learning rate of 1, until the right class leads (z
    > 0)."""
    for count in range(limit):
        if z > 0:
            return count
        z -= getattr(slopes(z), loss)
    return limit


def slopes_explorer():
    """Slides the student's logit; the results are `Slopes`."""
    many = np.linspace(-10, 10, 201)
    pulls = slopes(many)

    def show(seen):
        names = {"squared": _("squared error"), "cross_entropy": _("cross-entropy")}
        pull = [
            readout(_("pull towards right"), f"{-getattr(seen, loss):.2g}", note=name)
            for loss, name in names.items()
        ]
        steps = [
            readout(_("steps until right"), f"{steps_until_right(seen.z, loss):,}", note=name)
            for loss, name in names.items()
        ]
        return [
            cards(readout(_("share of the right class"), f"{seen.p:.4g}"), *pull, *steps),
            Chart(
                [
                    *(
                        Line(many, -getattr(pulls, loss), label=name)
                        for loss, name in names.items()
                    ),
                    Rule(seen.z),
                ],
                x=Axis(_("z: right logit minus wrong logit")),
                y=Axis(_("pull towards right"), low=0, high=1.1),
                title=_("How hard each loss pulls"),
                width=520,
                description=_(
                    "Cross-entropy pulls with a strength near 1 at a student who is sure and wrong; squared "
                    "error pulls hardest near z = -0.7 and not at all at both ends."
                ),
            ),
        ]

    return Explorer(
        slopes,
        show,
        z=slider("z", -10, 10, 1, -8, _("below 0 the student prefers the wrong class")),
    )
