"""One rounded model, several readers, and a small file for each of them (lesson 6.4)."""

import dataclasses
import functools

import numpy as np

from course_utils import evaluation
from course_utils.chart import Axis, Bars, Chart
from course_utils.checks import read_only
from course_utils.compression import adapters
from course_utils.datasets import readers
from course_utils.evaluation.bench import bench
from course_utils.lessons.vision.explorers import Small, compressed
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, readout, slider
from course_utils.widgets.html import squeezed

BASE, ROWS = "docs-tiny", 16
RANKS = (1, 4)


@functools.cache
def adapter(reader, rank=4):
    """Returns a shipped adapter and the bytes of its file."""
    found = adapters.load(f"{reader}-rank{rank}")
    kept = {name: tuple(map(read_only, pair)) for name, pair in found.items()}
    return kept, len(adapters.pack(found)[0])


def matrix(model, windows, worn):
    """Measures every reader's text with every adapter.

    Args:
        model: The base that the adapters are folded into.
        windows: By reader, tokens `(rows, length + 1)`.
        worn: The adapters; `None` for none.

    Returns:
        Losses by text and adapter, of each window: `(readers, adapters, rows)`.
    """
    own = [adapters.fold(model, each) if each else model for each in worn]
    return np.array(
        [[evaluation.next_token(one, text).losses for one in own] for text in windows.values()]
    )


@dataclasses.dataclass(frozen=True)
class Adapted:
    """A reader's text under one base and several adapters.

    Attributes:
        small: The `Small` base.
        reader: Whose text.
        whose: Whose adapter is worn; `""` for nobody's.
        perplexity: By whose adapter, on the reader's validation text.
        change: Mean and interval, over the windows, of what this adapter changes in the loss.
        adapter_bytes: Of the adapter's file.
        plain: Perplexity of the base before it was rounded.
    """

    small: Small
    reader: str
    whose: str
    perplexity: dict
    change: tuple
    adapter_bytes: int
    plain: float


@functools.cache
def _plain(reader):
    return evaluation.next_token(bench(BASE).original, _windows(reader)).perplexity


@functools.cache
def _windows(reader):
    return read_only(readers.sequences(reader, "validation", ROWS))


def wear(reader, whose, rank, bits):
    """Rounds the base, adds adapters one after the other, and reads a reader's validation text.

    Args:
        reader: Whose text.
        whose: Whose adapter is looked at; `""` for nobody's.
        rank: Of the adapters, one of `RANKS`.
        bits: Of the base, with a scale for every 32 inputs.

    Returns:
        An `Adapted`.
    """
    here, windows = bench(BASE), _windows(reader)
    with here.turn:  # a slider may move meanwhile, in another thread
        small = compressed(here, "absmax", None, bits, None)
        held = {
            w.name: (t, t.matrix())
            for w, t in zip(here.weights, here.targets)
            if not w.skipped_because
        }
        found = {"": evaluation.next_token(here.twin, windows)}
        for who in readers.READERS:
            for weight, (down, up) in adapters.found(here.weights, adapter(who, rank)[0]):
                target, rounded = held[weight.name]
                target.assign(rounded + down @ up)
            found[who] = evaluation.next_token(here.twin, windows)
    change = evaluation.paired(found[""].losses, found[whose].losses) if whose else (0.0, (0.0, 0))
    return Adapted(
        small,
        reader,
        whose,
        {who: one.perplexity for who, one in found.items()},
        change,
        adapter(whose, rank)[1] if whose else 0,
        _plain(reader),
    )


def show_adapted(seen):
    """Perplexity with this adapter, what it changes, what it weighs, and all others beside it."""
    mean, (low, high) = seen.change
    whose, names = list(seen.perplexity), {"": _("nobody's")}
    ticks = {i + 0.5: names.get(who, who) for i, who in enumerate(whose)}
    heights = np.array(list(seen.perplexity.values()))
    now = whose.index(seen.whose)
    told = ", ".join(f"{names.get(who, who)} {p:.2f}" for who, p in seen.perplexity.items())
    return [
        cards(
            readout(
                _("perplexity"),
                f"{seen.perplexity[seen.whose]:.2f}",
                note=_("no adapter {bare:.2f}; float base {plain:.2f}").format(
                    bare=seen.perplexity[""], plain=seen.plain
                ),
            ),
            readout(
                _("change of the loss"),
                _("{mean:+.3f} nats").format(mean=mean),
                note=_("{low:+.3f} to {high:+.3f}").format(low=low, high=high),
            ),
            readout(_("adapter"), _("{size:,} bytes").format(size=seen.adapter_bytes)),
            *squeezed(seen.small)[:2],
        ),
        Chart(
            [
                Bars(np.arange(len(whose) + 1), heights, "sky", _("each adapter")),
                Bars([now, now + 1], heights[now : now + 1], "vermillion", _("the one worn")),
            ],
            x=Axis(_("whose adapter"), ticks=ticks),
            y=Axis(_("perplexity"), low=0),
            title=_("What {reader}'s reader reads, with everybody's adapter").format(
                reader=seen.reader
            ),
            description=_("Perplexity by whose adapter is worn: {list}.").format(list=told),
            width=560,
        ),
    ]


def wear_explorer():
    """Slides rank and bits, and lets a reader wear anybody's adapter; results are `Adapted`."""
    several = list(readers.READERS)
    return Explorer(
        wear,
        show_adapted,
        lambda values: {} if values["whose"] else {"rank": _("Nobody's adapter has no rank.")},
        reader=choice(_("text of"), several, several[-1], _("whose validation text is read")),
        whose=choice(
            _("adapter of"),
            {_("nobody"): "", **{who: who for who in several}},
            several[-1],
            _("who it was trained for"),
        ),
        rank=choice(_("rank"), RANKS, 4, _("directions that each layer may learn")),
        bits=slider(_("bits"), 2, 8, 1, 4, _("of a code of the base that all share")),
    )
