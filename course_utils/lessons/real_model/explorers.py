"""What a pre-trained model's layers read, and what smoothing makes of it (lesson 08_5)."""

import dataclasses

import numpy as np

from course_utils import quantization
from course_utils.chart import Axis, Chart, Line, Points
from course_utils.checks import fraction, one_of
from course_utils.compression import equalization, watch, weights
from course_utils.lessons.real_model import variants
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, readout, slider
from course_utils.widgets.tables import Table

KINDS = ("attention/query", "attention/output", "up", "down")  # key and value read what query does


# ---- rows of the record -------------------------------------------------------------------------


def table(record, part, split="test"):
    """Shows one table of the record: each row beside the float model, question by question.

    Args:
        record: What `results("minilm")` gives.
        part: What stands before the colon in the names of its rows.
        split: `"test"` or `"validation"`.
    """
    rows, pairs = record["rows"], record["pairs"]
    names = [n for n in (*variants.variants(), *variants.files()) if n.startswith(f"{part}: ")]
    shown = []
    for name in names:
        row = rows[f"{name}, {split}"]
        change, (low, high), (lost, won) = variants.compare(rows[f"float, {split}"], row, pairs)
        shown.append(
            [
                name.rpartition(": ")[2],
                f"{row['recall at 1'][0]:.1%}",
                f"{100 * change:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]",
                f"{lost}, {won}",
                f"{row['cosine']:.4f}",
            ]
        )
    head = [_("row"), _("recall"), _("change, points"), _("lost, won"), _("cosine")]
    sizes = [rows[f"{name}, {split}"]["bytes"] for name in names]
    if all(sizes):  # what was changed lives in a file
        head.append(_("MB"))
        shown = [[*line, f"{size / 1e6:.1f}"] for line, size in zip(shown, sizes)]
    return Table(head, shown)


def chosen(record):
    """Returns the name of the smallest file whose loss the questions of validation do not show: the
    interval of its change holds 0."""
    rows, fine = record["rows"], []
    for name in variants.files():
        row = rows[f"{name}, validation"]
        low, high = variants.compare(rows["float, validation"], row, record["pairs"])[1]
        if low <= 0 <= high:
            fine.append(name)
    if not fine:
        raise ValueError("the record has no file without a visible loss")
    return min(fine, key=lambda name: rows[f"{name}, validation"]["bytes"])


def findings(record, small):
    """Shows which findings of the small models hold for this one.

    Args:
        record: What `results("minilm")` gives.
        small: What `results("methods")` gives.
    """
    perplexity = {row["method"]: row["perplexity"] for row in small["rows"]}

    def rise(method):
        return f"{perplexity[method] / perplexity['float'] - 1:+.0%}"

    def both(first, second):
        return f"{rise(first)}, {rise(second)}"

    told = [
        (
            _("at 8 bits: no loss"),
            rise("absmax 8 bits, group 32"),
            ("float", "weights: absmax 8 bits", False),
        ),
        (
            _("at 4: GPTQ, no loss"),
            rise("gptq 4 bits, group 32"),
            ("float", "weights: gptq 4 bits", False),
        ),
        (
            _("at 3: GPTQ > absmax"),
            both("absmax 3 bits, group 32", "gptq 3 bits, group 32"),
            ("weights: absmax 3 bits", "weights: gptq 3 bits", True),
        ),
        (
            _("at 3: affine > absmax"),
            both("absmax 3 bits, group 32", "affine 3 bits, group 32"),
            ("weights: absmax 3 bits", "weights: affine 3 bits", True),
        ),
        (
            _("one scale is enough"),
            "",
            ("activations: 6 bits, per token", "activations: 6 bits, per tensor", False),
        ),
        (
            _("Wanda = size alone"),
            both("magnitude 50%", "wanda 50%"),
            ("pruning: magnitude", "pruning: wanda", False),
        ),
        (
            _("SparseGPT > Wanda"),
            both("wanda 50%", "sparsegpt 50%"),
            ("pruning: wanda", "pruning: sparsegpt", True),
        ),
    ]
    shown = []
    for finding, before, (first, second, better) in told:
        one, other = (record["rows"][f"{name}, test"] for name in (first, second))
        change, (low, high), __ = variants.compare(one, other, record["pairs"])
        now = f"{100 * change:+.1f} [{100 * low:+.1f}, {100 * high:+.1f}]"
        cosines = f"{one['cosine']:.2f}, {other['cosine']:.2f}"
        shown.append((finding, before, now, cosines, verdict(low, high, better)))
    head = [_("there it said"), _("perplexity"), _("here, points"), _("cosines"), _("verdict")]
    return Table(head, shown)


def verdict(low, high, better):
    """Says what became of a finding, from the interval of a change: that it is better, or that it
    makes no difference."""
    if low <= 0 <= high:
        return _("not shown") if better else _("held")
    return _("held") if better and low > 0 else _("not held")


# ---- what the layers read -----------------------------------------------------------------------


def loudness(model, texts):
    """Measures how loud each channel is that a layer reads: its largest size on some texts.

    Returns:
        By layer, such as `"block_0/up"`, an array of one number for each channel.
    """
    found, asking = {}, [weight for weight in weights(model) if weight.calibratable]

    def see(weight, read):
        name = weight.name.partition("/")[2].rpartition("/")[0]
        found[name] = np.abs(read).max(axis=0)

    watch(model, asking, texts, see)
    return found


def ratios(loud):
    """Returns how many times as loud as the median channel the loudest is, by layer."""
    return {name: float(one.max() / np.median(one)) for name, one in loud.items()}


def ratio_chart(ratio):
    """Draws `ratios`, block by block."""
    names = {
        "attention/query": _("query, key, value"),
        "attention/output": _("output of attention"),
        "up": _("up"),
        "down": _("down"),
    }
    depth = 1 + max(int(name.split("/")[0].removeprefix("block_")) for name in ratio)
    blocks = np.arange(depth)
    marks = []
    for kind, color in zip(KINDS, ("blue", "green", "vermillion", "orange")):
        values = [ratio[f"block_{block}/{kind}"] for block in blocks]
        marks += [
            Line(blocks, values, color=color, label=names[kind]),
            Points(blocks, values, color=color),
        ]
    loudest = max(ratio, key=ratio.get)
    return Chart(
        marks,
        x=Axis(_("block")),
        y=Axis(_("loudest over median channel"), log=True),
        title=_("What the layers read"),
        description=_(
            "In every block some channels are much louder than the median one; most in {layer}, {times:.0f} times."
        ).format(layer=loudest, times=ratio[loudest]),
        width=640,
    )


# ---- smoothing ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Smoothed:
    """One layer whose weights are rounded, and its inputs with one scale for all.

    Attributes:
        alpha, bits: As they were set.
        before, after: How loud each channel is, before smoothing and after it, loudest first;
            each in units of its median.
        plain, error: Mean square error of what the layer gives out, relative to its mean square:
            rounded as it is, and rounded after smoothing.
    """

    alpha: float
    bits: int
    before: np.ndarray
    after: np.ndarray
    plain: float
    error: float


class Smoother:
    """The layers `up` of a model, and what they read.

    Args:
        model: A `SentenceEncoder`.
        texts: Tokens of texts that fill their rows.
    """

    def __init__(self, model, texts):
        ups = [weight for weight in weights(model) if weight.name.endswith("/up/kernel")]
        self.kernels = [weight.matrix() for weight in ups]
        self.inputs = [None] * len(ups)
        places = {weight.name: place for place, weight in enumerate(ups)}
        watch(model, ups, texts, self._see(places))

    def _see(self, places):
        return lambda weight, read: self.inputs.__setitem__(places[weight.name], read)

    def at(self, block, alpha, bits):
        """Rounds one layer and what it reads, with and without smoothing; returns a `Smoothed`."""
        block = one_of("block", block, range(len(self.kernels)))
        inputs, kernel = self.inputs[block], self.kernels[block]
        scales = equalization.smooth_scales(inputs, [kernel], fraction("alpha", alpha))
        loud = [np.sort(np.abs(one).max(axis=0))[::-1] for one in (inputs, inputs / scales)]
        wanted = inputs @ kernel
        errors = []
        for factors in (np.ones_like(scales), scales):
            read = quantization.absmax(inputs / factors, bits, "tensor").dequantize()
            rows = quantization.absmax(kernel * factors[:, None], bits).dequantize()
            off = read @ rows - wanted
            errors.append(float(np.mean(off**2) / np.mean(wanted**2)))
        return Smoothed(alpha, bits, *(one / np.median(one) for one in loud), *errors)


def show_smoothed(seen):
    """The error of one layer, and its channels before and after."""
    places = np.arange(1, len(seen.before) + 1)
    return [
        cards(
            readout(_("error as it is"), f"{seen.plain:.2%}"),
            readout(_("error after smoothing"), f"{seen.error:.2%}"),
            readout(
                _("loudest over median"),
                f"{seen.after[0]:.1f}",
                note=_("before {times:.1f}").format(times=seen.before[0]),
            ),
        ),
        Chart(
            [
                Line(places, seen.before, color="vermillion", label=_("as it is")),
                Line(places, seen.after, color="blue", label=_("after smoothing")),
            ],
            x=Axis(_("channel, loudest first"), log=True),
            y=Axis(_("times the median channel"), log=True),
            title=_("One scale for all channels"),
            description=_(
                "With alpha {alpha:g} the loudest channel falls from {before:.1f} to {after:.1f} times the median; the error of the layer is {error:.2%}, {plain:.2%} without smoothing."
            ).format(
                alpha=seen.alpha,
                before=seen.before[0],
                after=seen.after[0],
                error=seen.error,
                plain=seen.plain,
            ),
            width=640,
        ),
    ]


def smoothing_explorer(smoother):
    """Slides alpha on one real layer."""
    blocks = {str(block): block for block in range(len(smoother.kernels))}
    return Explorer(
        smoother.at,
        show_smoothed,
        block=choice(_("block"), blocks, 2, _("whose layer up is looked at")),
        alpha=slider("α", 0, 1, 0.05, 0.5, _("how much of the loudness moves into the weights")),
        bits=slider(_("bits"), 4, 8, 1, 6, _("of the weights, and of what the layer reads")),
    )
