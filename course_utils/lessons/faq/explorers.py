"""How many bits? Every matrix of a language model at one width, scored at each move (lesson 9)."""

import dataclasses

import numpy as np

from course_utils import compression, evaluation, models, quantization
from course_utils.chart import Axis, Bars, Chart
from course_utils.datasets import docs
from course_utils.storage import Ledger
from course_utils.widgets import Explorer, cards, choice, readout, slider


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
    parts = {name: size / 1000 for name, size in seen.ledger.parts.items() if size}
    times = 4 * seen.ledger.weights / seen.ledger.total
    return [
        cards(
            readout("perplexity", f"{seen.perplexity:.2f}", note=f"as trained {seen.original:.2f}"),
            readout("95% interval", f"{low:.1f} to {high:.1f}"),
            readout(
                "file", f"{seen.ledger.total:,} bytes", note=f"{times:.1f} times below float32"
            ),
            readout(
                "bits a weight",
                f"{seen.ledger.bits_per_weight:.2f}",
                note=f"the codes alone {seen.bits}",
            ),
            readout("entropy of a code", f"{seen.entropy:.2f}", note="bits"),
        ),
        Chart(
            [Bars(np.arange(-largest, largest + 2) - 0.5, seen.counts, color="blue")],
            x=Axis("code"),
            y=Axis("how many weights"),
            title=f"{len(seen.counts)} codes of {seen.bits} bits",
            width=460,
            height=260,
            description=f"How many weights have each of {len(seen.counts)} codes; 0 is taken by "
            f"{seen.counts[largest] / seen.counts.sum():.0%} of them.",
        ),
        Chart(
            [Bars(np.arange(len(parts) + 1), list(parts.values()), color="orange")],
            y=Axis("kB"),
            x=Axis("part of the file", ticks={i + 0.5: name for i, name in enumerate(parts)}),
            title="Where the bytes go",
            width=460,
            height=260,
            description=", ".join(f"{name} {size:.1f} kB" for name, size in parts.items()),
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
        bits=slider("bits", 2, 8, 1, 4, "width of a code"),
        group_size=choice(
            "one scale per",
            {"matrix": "tensor", "unit": "channel", "64 inputs": 64, "16 inputs": 16},
            "channel",
            "the more scales, the finer and the larger",
        ),
    )
