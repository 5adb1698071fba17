"""Memory or arithmetic: what holds one matrix product back, and what fewer bits could win (lesson
3.3)."""

import dataclasses
import functools

import numpy as np
import threadpoolctl

from course_utils.chart import Axis, Chart, Line, Rule
from course_utils.checks import read_only
from course_utils.evaluation import products, speed
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, readout
from course_utils.widgets.controls import Number

# inputs and units of the matrix: 16 MiB in float32, as much as a layer of a small language model
SIZE = 2048


@dataclasses.dataclass(frozen=True)
class Product:
    """One product of `batch` rows with a matrix, under the roof of this machine.

    Attributes:
        roof: The machine's `products.Roofline`, on one thread.
        batch: Rows that are multiplied with the matrix.
        bits: Width of a weight in the compressed matrix.
        seconds: Measured for float32 with cold caches; the median of some calls.
    """

    roof: products.Roofline
    batch: int
    bits: int
    seconds: float

    @property
    def operations(self):
        """A multiplication and an addition for each weight and each row."""
        return 2 * self.batch * SIZE**2

    def bytes(self, bits=32):
        """What has to be read and written: the matrix once, the rows in float32."""
        return SIZE**2 * bits / 8 + 2 * 4 * self.batch * SIZE

    def intensity(self, bits=32):
        """Operations a byte."""
        return self.operations / self.bytes(bits)

    def least(self, bits=32):
        """Seconds that the roof allows: memory and arithmetic work at once, and the slower one
        decides."""
        return max(self.bytes(bits) / self.roof.bandwidth, self.operations / self.roof.peak)

    @property
    def limit(self):
        """What decides in float32: `"memory"` or `"arithmetic"`."""
        return "memory" if self.intensity() < self.roof.ridge else "arithmetic"

    @property
    def gain(self):
        """How many times as fast the compressed matrix could be, at most, if nothing but its bytes
        changed."""
        return self.least() / self.least(self.bits)


@functools.cache
def _matrix():
    matrix = np.random.default_rng(0).normal(size=(SIZE, SIZE)).astype(np.float32)
    return read_only(speed.aligned(matrix))


def product(roof, batch, bits):
    """Times one product in float32 and returns a `Product`."""
    rows = np.ones((batch, SIZE), np.float32)
    with threadpoolctl.threadpool_limits(roof.threads):
        timing = speed.pairs(
            {"float32": lambda: rows @ _matrix()}, rounds=5, warm_up=1, before=speed.empty_caches
        )
    return Product(roof, batch, bits, timing["float32"].median)


def show_product(seen):
    """Numbers, the product under the roof, and how the gain shrinks as the batch grows."""
    batches = 2 ** np.arange(0, 8.01, 0.25)
    gains = [dataclasses.replace(seen, batch=batch).gain for batch in batches]
    on_roof = {
        _("{bits} bits, at most").format(bits=bits): (
            seen.operations,
            seen.bytes(bits),
            seen.least(bits),
        )
        for bits in (32, seen.bits)
    }
    limits = {"memory": _("memory"), "arithmetic": _("arithmetic")}
    measured = {_("float32, measured"): (seen.operations, seen.bytes(), seen.seconds)}
    return [
        cards(
            readout(
                _("operations a byte"),
                f"{seen.intensity():.1f}",
                note=_("the roof bends at {ridge:.1f}").format(ridge=seen.roof.ridge),
            ),
            readout(_("in float32 it waits for"), limits[seen.limit]),
            readout(
                _("float32, measured"),
                f"{seen.operations / seen.seconds / 1e9:.1f} GFLOP/s",
                note=_("{share:.0%} of the roof").format(share=seen.least() / seen.seconds),
            ),
            readout(
                _("{bits} bits could be").format(bits=seen.bits),
                _("{gain:.1f}x as fast").format(gain=seen.gain),
                note=_("at most"),
            ),
        ),
        seen.roof.chart({**on_roof, **measured}),
        Chart(
            [Line(batches, gains, color="blue"), Rule(seen.batch)],
            x=Axis(_("batch"), log=True),
            y=Axis(_("times as fast, at most"), low=0, high=32 / seen.bits + 0.5),
            title=_("What {bits} bits can win through fewer bytes").format(bits=seen.bits),
            description=_(
                "At batch 1 the gain is at most {first:.1f}, at batch 256 at most {last:.1f}; at batch {batch} it is {gain:.1f}."
            ).format(first=gains[0], last=gains[-1], batch=seen.batch, gain=seen.gain),
        ),
    ]


def product_explorer(roof):
    """Slides the batch of one matrix product; each move times it.

    Args:
        roof: `products.Roofline` of this machine on one thread.

    Returns:
        An `Explorer` whose results are `Product`s.
    """
    return Explorer(
        functools.partial(product, roof),
        show_product,
        batch=Number(
            _("batch"),
            [2**power for power in range(9)],
            1,
            _("rows that share one reading of the matrix"),
        ),
        bits=choice(_("bits"), [16, 8, 4], 8, _("width of a weight in the compressed matrix")),
    )
