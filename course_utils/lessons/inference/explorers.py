"""What one step of decoding waits for: a model's shape, a batch and a context under the roof of
this machine (lesson 2.3)."""

import dataclasses
import math

import numpy as np

from course_utils.chart import Axis, Chart, Line, Rule
from course_utils.checks import read_only
from course_utils.evaluation import products
from course_utils.lessons.inference.shapes import SHAPES, Shape
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, readout
from course_utils.widgets.controls import Number

# By its data sheet: an NVIDIA H100 with HBM3, and its tensor cores on dense 16-bit floats.
H100 = products.Roofline(bandwidth=3.35e12, peak=989e12, threads=1)
CONTEXTS = read_only(2 ** np.arange(4, 17.01, 0.25))  # 16 to 131,072 tokens


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of decoding, under a roof. It is arithmetic: nothing is run.

    Attributes:
        machine: Its `products.Roofline`.
        shape: The model's `Shape`.
        batch: Texts that are written side by side.
        context: Tokens that each of them has so far.
        bits, cache_bits: Width of a weight, and of a number in the cache.
    """

    machine: products.Roofline
    shape: Shape
    batch: int
    context: int
    bits: float
    cache_bits: float

    @property
    def work(self):
        """Operations, bytes of weights and bytes of cache."""
        return self.shape.step(self.batch, self.context, self.bits, self.cache_bits)

    @property
    def bytes(self):
        """What is read: weights and cache."""
        return sum(self.work[1:])

    @property
    def intensity(self):
        """Operations a byte."""
        return self.work[0] / self.bytes

    @property
    def limit(self):
        """What the step waits for: `"memory"` or `"arithmetic"`."""
        return "memory" if self.intensity < self.machine.ridge else "arithmetic"

    @property
    def least(self):
        """Seconds that the roof allows for the step; each text gets one token in it."""
        return max(self.bytes / self.machine.bandwidth, self.work[0] / self.machine.peak)

    @property
    def turns(self):
        """The batch from which on arithmetic decides, `inf` if none: each text brings operations,
        but a cache to read as well."""
        operations, weights, cache = dataclasses.replace(self, batch=1).work
        gained = operations / self.machine.peak - cache / self.machine.bandwidth
        return math.ceil(weights / self.machine.bandwidth / gained) if gained > 0 else math.inf

    @property
    def even(self):
        """The context from which on the caches of the batch are more bytes than the weights."""
        a_token = self.batch * self.shape.cache_bytes(1, self.cache_bits)
        return math.ceil(self.work[1] / a_token)


def size(count):
    """Writes a number of bytes with a unit: kB, MB, GB and TB of 1,000 each.

    Example:

    >>> size(13_476_831_232)
    '13.5 GB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 999.5:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:,.4g} TB"


def milliseconds(seconds):
    """Writes a time in milliseconds, with three digits."""
    shown = 1000 * seconds
    return f"{shown:,.0f} ms" if shown >= 100 else f"{shown:.3g} ms"


def show_step(seen):
    """Numbers, the step and its two halves under the roof, and what is read as the context grows."""
    operations, weights, cache = seen.work
    looking = seen.batch * seen.shape.operations(seen.context)["attention"]
    halves = {
        _("matrices"): (operations - looking, weights),
        _("attention"): (looking, cache),
        _("whole step"): (operations, weights + cache),
    }
    roof = seen.machine
    dots = {
        name: (work, moved, max(moved / roof.bandwidth, work / roof.peak))
        for name, (work, moved) in halves.items()
    }
    limits = {"memory": _("memory"), "arithmetic": _("arithmetic")}
    never = math.isinf(seen.turns)
    turns = _("never") if never else _("batch {batch:,}").format(batch=seen.turns)
    return [
        cards(
            readout(
                _("weights, read once"),
                size(weights),
                note=_("stored: {bytes}").format(bytes=size(seen.shape.parameters * seen.bits / 8)),
            ),
            readout(
                _("cache, read once"),
                size(cache),
                note=_("more than the weights from {context:,} tokens on").format(
                    context=seen.even
                ),
            ),
            readout(
                _("the step waits for"),
                limits[seen.limit],
                note=_("for arithmetic from: {turns}").format(turns=turns),
            ),
            readout(
                _("least time of a step"),
                milliseconds(seen.least),
                note=_("{rate:,.4g} tokens a second in all").format(rate=seen.batch / seen.least),
            ),
        ),
        roof.chart(dots),
        bytes_chart(seen),
    ]


def bytes_chart(seen):
    """What a step reads, against the context: the weights stay, the caches grow."""
    _operations, weights, cache = seen.work
    grown = CONTEXTS * seen.batch * seen.shape.cache_bytes(1, seen.cache_bits)
    return Chart(
        [
            Line(CONTEXTS[[0, -1]], [weights / 1e9] * 2, label=_("weights")),
            Line(CONTEXTS, grown / 1e9, label=_("cache")),
            Rule(seen.context),
        ],
        x=Axis(_("context (tokens)"), log=True),
        y=Axis(_("GB read in a step"), log=True),
        title=_("What a step reads"),
        description=_(
            "With {context:,} tokens in each of {batch:,} texts a step reads {weights} of weights "
            "and {cache} of cache; from {even:,} tokens on the cache is more."
        ).format(
            context=seen.context,
            batch=seen.batch,
            weights=size(weights),
            cache=size(cache),
            even=seen.even,
        ),
    )


def step_explorer(roof):
    """Slides batch, context and bits of one step of decoding.

    Args:
        roof: `products.Roofline` of this machine.

    Returns:
        An `Explorer` whose results are `Step`s.
    """
    return Explorer(
        Step,
        show_step,
        machine=choice(
            _("machine"),
            {_("this one"): roof, _("H100, by its data sheet"): H100},
            roof,
            _("its bandwidth and its peak"),
        ),
        shape=choice(_("model"), SHAPES, SHAPES["7 billion"], _("its shape")),
        batch=Number(
            _("batch"),
            [2**n for n in range(11)],
            1,
            _("texts that share one reading of the weights"),
        ),
        context=Number(
            _("context"), [2**n for n in range(4, 18)], 1024, _("tokens that each text has so far")
        ),
        bits=choice(_("bits"), [32, 16, 8, 4], 16, _("width of a weight")),
        cache_bits=choice(_("cache bits"), [32, 16, 8], 16, _("width of a number in the cache")),
    )
