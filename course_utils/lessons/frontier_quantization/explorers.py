"""Two weights that share a rounding error, calibration by the sequence, and outliers (lesson
8.1)."""

import dataclasses
import functools
import time

import numpy as np

from course_utils import compression, evaluation, quantization, second_order
from course_utils.chart import Axis, Bars, Chart, Grid, Line, Points, Rule
from course_utils.checks import read_only
from course_utils.compression import Quantize, compress, equalization
from course_utils.storage import encode
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, readout, slider

PAIR = read_only(np.array([0.4, 0.4]))  # the two weights of `pair`


# ---- bytes ----------------------------------------------------------------------------------------


def stored(tensors):
    """Returns the bytes that tensors take in a file, and the bits a weight that this makes.

    Args:
        tensors: By name, a `QuantizedTensor` or a float array; scales, zero points and codebooks
            count, the file's header does not.
    """
    ledger = encode(tensors)[1]
    size = sum(count for _, _, count in ledger.layouts.values())
    return size, 8 * size / ledger.weights


# ---- two weights --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two weights rounded to whole numbers, one alone and one with the other in mind.

    Attributes:
        products: `X^T X / samples` of the two inputs, `(2, 2)`.
        nearest, settled: What round-to-nearest and `second_order.settle` make of `PAIR`.
        errors: By name of these two, the mean squared error of the output.
    """

    products: np.ndarray
    nearest: np.ndarray
    settled: np.ndarray
    errors: dict


def pair(correlation):
    """Rounds the two weights of `PAIR` for inputs of mean square 1 and this correlation; returns a
    `Pair`."""
    products = np.array([[1, correlation], [correlation, 1]])
    settled = second_order.settle(
        PAIR[:, None], products, lambda i, rows, factor: np.rint(rows[0])
    )[:, 0]
    found = {"nearest": np.rint(PAIR), "settled": settled}
    errors = {
        name: float(equalization.output_error((found[name] - PAIR)[:, None], products)[0])
        for name in found
    }
    return Pair(products, **found, errors=errors)


def show_pair(seen):
    """Both choices on the plane of the two weights, and all points whose output errs as much as
    that of the second."""
    angles = np.linspace(0, 2 * np.pi, 121)
    circle = np.stack([np.cos(angles), np.sin(angles)])
    along = (
        np.linalg.inv(np.linalg.cholesky(seen.products)).T
        @ circle
        * np.sqrt(seen.errors["settled"])
    )
    whole = np.array([(a, b) for a in range(-1, 3) for b in range(-1, 3)])
    correlation = seen.products[0, 1]
    return [
        cards(
            readout(_("round-to-nearest"), "{:g}, {:g}".format(*seen.nearest)),
            readout(_("round-to-nearest errs by"), f"{seen.errors['nearest']:.3f}"),
            readout(_("with compensation"), "{:g}, {:g}".format(*seen.settled)),
            readout(_("with compensation errs by"), f"{seen.errors['settled']:.3f}"),
        ),
        Chart(
            [
                Line(
                    PAIR[0] + along[0],
                    PAIR[1] + along[1],
                    color="green",
                    label=_("weights whose output errs as much as the compensated pair"),
                ),
                Points(*whole.T, color="grey", size=3, marker="circle"),
                Points(
                    *PAIR[:, None], label=_("the weights"), color="blue", marker="diamond", size=5
                ),
                Points(
                    *seen.nearest[:, None],
                    label=_("nearest"),
                    color="vermillion",
                    marker="square",
                    size=6,
                ),
                Points(
                    *seen.settled[:, None],
                    label=_("with compensation"),
                    color="green",
                    marker="triangle",
                    size=6,
                ),
            ],
            x=Axis(_("first weight"), low=-1.2, high=2.2, ticks=[-1, 0, 1, 2]),
            y=Axis(_("second weight"), low=-1.2, high=2.2, ticks=[-1, 0, 1, 2]),
            title=_("Inputs correlated by {correlation:g}").format(correlation=correlation),
            width=420,
            height=460,
            description=_(
                "With a correlation of {correlation:g}, round-to-nearest errs by {nearest:.3f} and rounding with compensation by {settled:.3f}."
            ).format(correlation=correlation, **seen.errors),
        ),
    ]


def pair_explorer():
    """Slides the correlation of two inputs. Returns an `Explorer` whose results are `Pair`s."""
    return Explorer(
        pair,
        show_pair,
        correlation=slider(_("correlation"), -0.9, 0.9, 0.05, 0.6, _("of the two inputs")),
    )


# ---- a real Hessian -----------------------------------------------------------------------------


def likeness(products):
    """Shows which inputs of a layer go together: a Hessian in units of its diagonal, which is left
    out.

    Args:
        products: As `second_order.hessian` returns it, `(inputs, inputs)`.

    Returns:
        A `Chart`: the entries are cosines, from -1 to 1.
    """
    size = np.sqrt(products.diagonal())
    alike = products / np.outer(size, size) - np.eye(len(products))
    return square(
        alike,
        _("cosine"),
        _("Which inputs go together?"),
        _(
            "A square of {count} by {count} cells, blue where two inputs rise together and orange where one falls as the other rises; the largest of them is {most:.2f}."
        ).format(count=len(alike), most=np.abs(alike).max()),
    )


def shares(factor):
    """Shows what each input hands on to those behind it: `-U[i, j] / U[i, i]`.

    Args:
        factor: As `second_order.inverse_factor` returns it, `(inputs, inputs)`.

    Returns:
        A `Chart`: row `i` says which share of its error each later row takes over.
    """
    handed = np.eye(len(factor)) - factor / factor.diagonal()[:, None]
    return square(
        handed,
        _("share of the error"),
        _("Who takes over how much of an error?"),
        _(
            "An upper triangle of {count} rows: each row's error is handed to the rows behind it, at most {most:.2f} of it to one."
        ).format(count=len(handed), most=np.abs(handed).max()),
    )


def square(matrix, label, title, description):
    """A matrix as a picture whose rows and columns are the inputs of a layer."""
    return Chart(
        [Grid(matrix, label)],
        x=Axis(_("input")),
        y=Axis(_("input")),
        title=title,
        description=description,
        width=440,
        height=440,
    )


# ---- calibration --------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Calibration:
    """What GPTQ made of some calibration text.

    Attributes:
        sequences, bits: What was asked for.
        exact: Perplexity of the model as it is.
        perplexity: By name of the method, afterwards: `"nearest"`, `"clipped"`, `"GPTQ"`.
        seconds: How long calibrating, rounding and measuring took.
    """

    sequences: int
    bits: int
    exact: float
    perplexity: dict
    seconds: float

    def recovered(self, method):
        """Share of round-to-nearest's rise in perplexity that a method takes back."""
        return recovered(self.perplexity["nearest"], self.perplexity[method], self.exact)


def recovered(nearest, method, exact):
    """Returns the share of a simple method's rise in perplexity that a better one takes back: 1 is
    all of it."""
    return 1 - (method - exact) / (nearest - exact)


def calibration_explorer(model, draw, tokens, group_size=32):
    """Slides how much text GPTQ sees, how many bits it may use, and which text that is.

    Args:
        model: A language model; its blocks are rounded.
        draw: Function of a seed and a number of sequences that returns calibration tokens.
        tokens: What perplexity is measured on.
        group_size: As in `quantization.absmax`.

    Returns:
        An `Explorer` whose results are `Calibration`s.
    """
    exact, trail = evaluation.next_token(model, tokens).perplexity, {}

    def perplexity(rule, bits, calibration=None):
        step = Quantize(rule, only="block", bits=bits, group_size=group_size)
        return evaluation.next_token(
            compress(model, [step], calibration=calibration).model, tokens
        ).perplexity

    @functools.cache
    def simple(bits):
        return {
            "nearest": perplexity(quantization.absmax, bits),
            "clipped": perplexity(quantization.clipped, bits),
        }

    def compute(sequences, bits, seed):
        start = time.perf_counter()
        best = perplexity(second_order.gptq, bits, draw(seed, sequences))
        found = {**simple(bits), "GPTQ": best}
        return Calibration(sequences, bits, exact, found, time.perf_counter() - start)

    def show(seen):
        known = {"nearest": _("nearest"), "clipped": _("clipped"), "GPTQ": _("GPTQ")}
        shares = trail.setdefault(seen.bits, [])
        shares.append((seen.sequences, 100 * seen.recovered("GPTQ")))
        return [
            cards(
                readout(_("float"), f"{exact:.2f}"),
                *(
                    readout(
                        known[name],
                        f"{value:.2f}",
                        note=_("recovers {share:.0%}").format(share=seen.recovered(name)),
                    )
                    for name, value in seen.perplexity.items()
                ),
                readout(_("computed in"), f"{seen.seconds:.1f} s"),
            ),
            Chart(
                [
                    Points(*zip(*shares), label=_("GPTQ, as visited"), color="blue"),
                    Points(
                        *zip(shares[-1]),
                        label=_("now"),
                        color="vermillion",
                        size=7,
                        marker="diamond",
                    ),
                    Rule(100 * seen.recovered("clipped"), vertical=False, label=known["clipped"]),
                ],
                x=Axis(
                    _("calibration sequences"),
                    log=True,
                    low=0.8,
                    high=40,
                    ticks=[1, 2, 4, 8, 16, 32],
                ),
                y=Axis(_("recovered, %"), low=-75, high=100),
                title=_("{bits} bits: how much text is enough?").format(bits=seen.bits),
                width=560,
                height=280,
                description=_(
                    "{count} visited settings at {bits} bits; the last, with {sequences} sequences, recovers {gptq:.0%}, clipping {clipped:.0%}."
                ).format(
                    count=len(shares),
                    bits=seen.bits,
                    sequences=seen.sequences,
                    gptq=seen.recovered("GPTQ"),
                    clipped=seen.recovered("clipped"),
                ),
            ),
        ]

    return Explorer(
        compute,
        show,
        sequences=slider(_("sequences"), 1, 32, 1, 8, _("of 128 tokens that GPTQ sees")),
        bits=choice(_("bits"), [2, 3, 4], 3, _("of a code")),
        seed=slider(_("draw"), 0, 9, 1, 0, _("other places in the text, as many")),
    )


# ---- outliers -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Outliers:
    """What planted outliers do to a model with 8-bit weights and activations.

    Attributes:
        factor: How many times louder the planted channels are.
        loudest: Before and after SmoothQuant, the largest value of each channel the layer reads.
        plain, smooth: Perplexity with 8 bits, without and with SmoothQuant.
    """

    factor: float
    loudest: tuple
    plain: float
    smooth: float

    @property
    def steps(self):
        """How many steps each channel may use, before and after, where the loudest uses 127."""
        return tuple(127 * loud / loud.max() for loud in self.loudest)

    @property
    def levels(self):
        """How many the median channel may use, before and after."""
        return tuple(float(np.median(steps)) for steps in self.steps)


def w8a8(model, calibration, tokens):
    """Perplexity of a model with 8-bit weights and, one scale a tensor, 8-bit activations."""
    rounded = compress(model, [Quantize(quantization.absmax, bits=8)]).model
    rounded = compression.quantize_activations(rounded, 8, "tensor", calibration)
    return evaluation.next_token(
        lambda batch: rounded(batch), tokens
    ).perplexity  # to compile it would take longer


def outliers(model, factor, calibration, tokens, layer="block_0/up"):
    """Plants outliers, quantizes with and without SmoothQuant, and returns `Outliers`."""
    planted = equalization.plant_outliers(model, factor=factor)
    smooth = equalization.smoothquant(planted, calibration)

    def loudest(model):
        weight = next(
            weight for weight in compression.weights(model) if f"{layer}/kernel" in weight.name
        )
        return np.abs(compression.capture(model, weight, calibration)).max(axis=0)

    return Outliers(
        factor,
        (loudest(planted), loudest(smooth)),
        w8a8(planted, calibration, tokens),
        w8a8(smooth, calibration, tokens),
    )


def outlier_explorer(model, calibration, tokens):
    """Slides how loud planted outliers are.

    Args:
        model: A `DecoderLM` without outliers.
        calibration: Tokens of shape `(sequences, length)` that scales are taken from.
        tokens: What perplexity is measured on.

    Returns:
        An `Explorer` whose results are `Outliers`.
    """
    exact, trail = evaluation.next_token(model, tokens).perplexity, []

    def show(seen):
        trail.append((seen.factor, seen.plain, seen.smooth))
        factors, plain, smooth = zip(*trail)
        edges = np.arange(len(seen.loudest[0]) + 1)
        return [
            cards(
                readout(_("float"), f"{exact:.2f}"),
                readout(_("8 bits, plain"), f"{seen.plain:.2f}"),
                readout(_("8 bits, SmoothQuant"), f"{seen.smooth:.2f}"),
                readout(
                    _("steps for the median channel"),
                    "{:.0f} → {:.0f}".format(*seen.levels),
                    note=_("plain → SmoothQuant"),
                ),
            ),
            Chart(
                [
                    Bars(edges, seen.steps[0], color="vermillion", label=_("planted")),
                    Points(
                        edges[:-1] + 0.5,
                        seen.steps[1],
                        color="blue",
                        size=3,
                        label=_("after SmoothQuant"),
                    ),
                ],
                x=Axis(_("channel of what block_0/up reads")),
                y=Axis(_("steps it may use"), low=0, high=130),
                title=_("One scale for all: who gets the 127 steps?"),
                description=_(
                    "Steps that each of {count} channels may use: the median channel has {planted:.0f} with the planted outliers and {smooth:.0f} after SmoothQuant."
                ).format(count=len(edges) - 1, planted=seen.levels[0], smooth=seen.levels[1]),
            ),
            Chart(
                [
                    Points(factors, plain, label=_("plain, as visited"), color="vermillion"),
                    Points(factors, smooth, label=_("SmoothQuant"), color="blue"),
                    Rule(exact, vertical=False, label=_("float")),
                ],
                x=Axis(
                    _("factor of the planted channels"),
                    log=True,
                    low=0.8,
                    high=125,
                    ticks=[1, 3, 10, 30, 100],
                ),
                y=Axis(_("perplexity"), log=True, low=0.8 * exact, high=200 * exact),
                title=_("8-bit weights and activations"),
                description=_(
                    "At factor {factor:g} perplexity is {plain:.2f} plain and {smooth:.2f} with SmoothQuant; in float it is {exact:.2f}."
                ).format(factor=seen.factor, plain=seen.plain, smooth=seen.smooth, exact=exact),
            ),
        ]

    return Explorer(
        lambda factor: outliers(model, factor, calibration, tokens),
        show,
        factor=log_slider(
            _("factor"), 1, 100, 30, _("how many times louder the planted channels are")
        ),
    )
