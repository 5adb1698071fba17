"""Which matrices deserve more bits? Any model, at two widths (lesson 5.4)."""

import dataclasses

from course_utils import compression, quantization
from course_utils.chart import Axis, Bars, Chart
from course_utils.evaluation.report import moved, outputs
from course_utils.text import _
from course_utils.widgets import Explorer, cards, readout, slider

GROUP_SIZE, WIDE = 32, 8


@dataclasses.dataclass(frozen=True)
class Mix:
    """What two widths give.

    Attributes:
        bits: Width of most matrices.
        wide: Names of those that keep 8 bits.
        moved: How far the outputs lie from the original's, see `evaluation.report.moved`.
        bytes: Length of the file; `whole` that of the original's.
    """

    bits: int
    wide: tuple
    moved: float
    bytes: int
    whole: int


def two_widths(order, bits, kept):
    """Returns a recipe: the first few matrices of an order in 8 bits, the others in fewer."""
    return [
        compression.Quantize(
            quantization.absmax,
            only=name,
            bits=WIDE if place < kept else bits,
            group_size=GROUP_SIZE,
        )
        for place, name in enumerate(order)
    ]


def mix(model, inputs, original, whole, order, bits, kept):
    """Compresses a model with two widths and returns a `Mix`."""
    small = compression.compress(model, two_widths(order, bits, kept))
    far = moved(outputs(small.model, inputs), original)
    return Mix(bits, tuple(order[:kept]), far, len(small.content), whole)


def show_mix(seen, layers):
    """Numbers, and what each matrix alone did to the outputs; those that keep 8 bits in orange."""
    places, values = range(len(layers) + 1), list(layers.values())
    wide = [value if name in seen.wide else 0 for name, value in layers.items()]
    narrow = [0 if name in seen.wide else value for name, value in layers.items()]
    return [
        cards(
            readout(_("outputs move by"), f"{seen.moved:.1%}", note=_("0 is the original")),
            readout(
                _("file"),
                _("{size:,} bytes").format(size=seen.bytes),
                note=_("{times:.1f} times smaller").format(times=seen.whole / seen.bytes),
            ),
            readout(_("in 8 bits"), f"{len(seen.wide)}", note=", ".join(seen.wide)),
        ),
        Chart(
            [
                Bars(list(places), [100 * value for value in narrow], color="blue"),
                Bars(list(places), [100 * value for value in wide], color="orange"),
            ],
            x=Axis(_("matrix, from the most harmful to the least")),
            y=Axis(_("outputs move by, %")),
            title=_("One matrix compressed at a time"),
            width=560,
            height=240,
            description=_(
                "How far the outputs move with one matrix compressed: {most:.1%} with the most "
                "harmful one, {least:.1%} with the least."
            ).format(most=max(values), least=min(values)),
        ),
    ]


def mix_explorer(model, inputs, layers):
    """Slides the bits of most matrices, and how many of the most harmful ones keep 8.

    Args:
        model: A built Keras model.
        inputs: What it is called on at each move: examples on which nothing is reported.
        layers: By matrix, what it did to the outputs alone, as `Report.layers` says.

    Returns:
        An `Explorer` whose results are `Mix`es.
    """
    layers = dict(sorted(layers.items(), key=lambda one: -one[1]))
    original, whole = outputs(model, inputs), compression.baseline(model)
    return Explorer(
        lambda bits, kept: mix(model, inputs, original, whole, list(layers), bits, kept),
        lambda seen: show_mix(seen, layers),
        bits=slider(_("bits"), 2, 8, 1, 3, _("width of most matrices")),
        kept=slider(_("in 8 bits"), 0, len(layers), 1, 0, _("how many of the most harmful")),
    )
