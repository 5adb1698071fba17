"""Versions of models on three instruments at once: which of them does no other beat? (lesson 3.3)"""

import dataclasses

import numpy as np

from course_utils.chart import Axis, Chart, Line, Note, Points
from course_utils.text import _
from course_utils.widgets.names import LOOKS


@dataclasses.dataclass(frozen=True)
class Version:
    """One file on all three instruments.

    Attributes:
        name: Of the version.
        model: What it was made from, a name in `LOOKS`.
        perplexity: Of the file, as it runs.
        size: Bytes of the file.
        speedup: How many times as fast it runs as the first version, in one run.
    """

    name: str
    model: str
    perplexity: float
    size: int
    speedup: float


def beats(one, other, instruments):
    """Says whether one version is as good as another on all instruments, and better on one."""
    signs = {"perplexity": -1, "size": -1, "speedup": 1}  # which direction is good
    gains = [signs[name] * (getattr(one, name) - getattr(other, name)) for name in instruments]
    return min(gains) >= 0 and max(gains) > 0


def front(versions, instruments=("perplexity", "size")):
    """Returns the versions that no other beats: the Pareto front.

    Args:
        versions: `Version`s.
        instruments: What counts, of `"perplexity"`, `"size"` and `"speedup"`.

    Returns:
        A list in the order given. Whoever is not on it should not be chosen: another one is as good
        in all that counts, and better in something.

    Example:

    >>> good = Version("good", "docs-base", 7.0, 1000, 1.0)
    >>> small, poor = (Version(name, "docs-tiny", 9.0, size, 2.0) for name, size in
    ...                (("small", 100), ("poor", 200)))
    >>> [one.name for one in front([good, small, poor])]
    ['good', 'small']
    """
    return [
        one for one in versions if not any(beats(other, one, instruments) for other in versions)
    ]


def picture(versions):
    """Draws perplexity against bytes, with the speed as the area of a dot, and the front.

    Args:
        versions: `Version`s of models in `LOOKS`.

    Returns:
        A `Chart`.
    """
    unbeaten = sorted(front(versions), key=lambda one: one.size)
    dots = [
        Points(
            [one.size],
            [one.perplexity],
            one.model if one.model not in [each.model for each in versions[:i]] else "",
            LOOKS[one.model][0],
            size=float(5 * np.sqrt(one.speedup)),
            marker="circle",
        )
        for i, one in enumerate(versions)
    ]
    edge = Line(
        [one.size for one in unbeaten],
        [one.perplexity for one in unbeaten],
        _("beaten by none in bytes and perplexity"),
        color="grey",
    )
    by_size = sorted(versions, key=lambda one: (one.size, -one.perplexity))
    heights = (0.93, 1.05, 0.93, 1.12)  # names below, above, below, higher above: none on the next
    names = [
        Note(one.size * 1.09, one.perplexity * heights[i % 4], one.name)
        for i, one in enumerate(by_size)
    ]
    return Chart(
        [edge, *dots, *names],
        x=Axis(
            _("size of the file"),
            log=True,
            low=0.75 * by_size[0].size,
            high=2 * by_size[-1].size,  # room for its name
            ticks={size * 1e6: _("{size} MB").format(size=size) for size in (0.3, 0.5, 1, 2, 4)},
        ),
        y=Axis(_("test perplexity"), log=True, low=6, ticks=[6, 8, 10, 15, 20, 30, 40]),
        title=_("Lower and further left is better; the larger the dot, the faster"),
        description=_("On the front of bytes and test perplexity: {names}.").format(
            names=", ".join(one.name for one in unbeaten)
        ),
        width=800,
        height=460,
    )
