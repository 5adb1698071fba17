"""How many bits? Every matrix of a language model at one width, scored at each move (lesson 9)."""

import dataclasses

import numpy as np

from course_utils import compression, evaluation, models, quantization
from course_utils.chart import Axis, Bars, Chart
from course_utils.datasets import docs
from course_utils.storage import Ledger
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, names, readout, slider


@dataclasses.dataclass(frozen=True)
class Width:
    """What one width of the codes gives.

    Attributes:
        bits: Width of a code.
        original: Perplexity as trained.
        perplexity: Perplexity at this width; `interval` is its 95% interval over the sequences.
        ledger: Where the bytes of the file went.
        counts: By code, from the smallest to the largest, how many weights have it.
    """

    bits: int
    original: float
    perplexity: float
    interval: tuple
    ledger: Ledger
    counts: np.ndarray

    @property
    def entropy(self):
        """Bits a code would need on average, were frequent codes given short names."""
        shares = self.counts[self.counts > 0] / self.counts.sum()
        return float(-np.sum(shares * np.log2(shares)))


def width(model, tokens, original, bits, group_size):
    """Rounds every matrix of a model to a width, scores the result on tokens, and returns a
    `Width`."""
    small = compression.compress(
        model, [compression.Quantize(quantization.absmax, bits=bits, group_size=group_size)]
    )
    seen = evaluation.next_token(small.model, tokens)
    largest = 2 ** (bits - 1) - 1
    codes = (
        tensor.codes
        for tensor in small.tensors.values()
        if isinstance(tensor, quantization.QuantizedTensor)
    )
    counts = sum(
        np.bincount(c.ravel().astype(int) + largest, minlength=2 * largest + 1) for c in codes
    )
    return Width(bits, original, seen.perplexity, seen.perplexity_interval, small.ledger, counts)


def show_width(seen):
    """Numbers, how often each code is used, and the bytes part by part."""
    low, high = seen.interval
    largest = len(seen.counts) // 2
    known = names.parts()
    parts = {known[part]: size / 1000 for part, size in seen.ledger.parts.items() if size}
    times = 4 * seen.ledger.weights / seen.ledger.total
    return [
        cards(
            readout(
                _("perplexity"),
                f"{seen.perplexity:.2f}",
                note=_("as trained {perplexity:.2f}").format(perplexity=seen.original),
            ),
            readout(_("95% interval"), _("{low:.1f} to {high:.1f}").format(low=low, high=high)),
            readout(
                _("file"),
                _("{size:,} bytes").format(size=seen.ledger.total),
                note=_("{times:.1f} times below float32").format(times=times),
            ),
            readout(
                _("bits a weight"),
                f"{seen.ledger.bits_per_weight:.2f}",
                note=_("the codes alone {bits}").format(bits=seen.bits),
            ),
            readout(_("entropy of a code"), f"{seen.entropy:.2f}", note=_("bits")),
        ),
        Chart(
            [Bars(np.arange(-largest, largest + 2) - 0.5, seen.counts, color="blue")],
            x=Axis(_("code")),
            y=Axis(_("how many weights")),
            title=_("{count} codes of {bits} bits").format(count=len(seen.counts), bits=seen.bits),
            width=460,
            height=260,
            description=_(
                "How many weights have each of {count} codes; 0 is taken by {share:.0%} of them."
            ).format(count=len(seen.counts), share=seen.counts[largest] / seen.counts.sum()),
        ),
        Chart(
            [Bars(np.arange(len(parts) + 1), list(parts.values()), color="orange")],
            y=Axis(_("kB")),
            x=Axis(_("part of the file"), ticks={i + 0.5: name for i, name in enumerate(parts)}),
            title=_("Where the bytes go"),
            width=460,
            height=260,
            description=", ".join(
                _("{part} {size:.1f} kB").format(part=part, size=size)
                for part, size in parts.items()
            ),
        ),
    ]


def width_explorer(name="docs-tiny", sequences=32):
    """Slides the bits of a code, and how many weights share a scale.

    Args:
        name: A shipped language model that was trained on docstrings.
        sequences: How many validation sequences each move is scored on.

    Returns:
        An `Explorer` whose results are `Width`s.
    """
    model, tokens = models.load(name), docs.sequences("validation", sequences)
    original = evaluation.next_token(model, tokens).perplexity
    return Explorer(
        lambda bits, group_size: width(model, tokens, original, bits, group_size),
        show_width,
        bits=slider(_("bits"), 2, 8, 1, 4, _("width of a code")),
        group_size=choice(
            _("one scale per"),
            {_("matrix"): "tensor", _("unit"): "channel", _("64 inputs"): 64, _("16 inputs"): 16},
            "channel",
            _("the more scales, the finer and the larger"),
        ),
    )
