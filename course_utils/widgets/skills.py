"""A bar for each skill of a model of the tales, with its interval and chance."""

import numpy as np

from course_utils.chart import Axis, Bars, Chart, Line
from course_utils.text import _
from course_utils.widgets import names

COLORS, GAP, CAP = ("blue", "orange", "green", "purple"), (np.nan, np.nan), 0.05


def skills_chart(measured, title=None, width=460):
    """Draws a bar for each skill, with its 95% interval, and a line across it for chance.

    Args:
        measured: By label, what `evaluation.skills` returned.
        title: One line; what the model can do, if left out.
        width: Of the chart, in pixels.
    """
    known, bars, spans = names.skills(), [], []
    for i, (label, result) in enumerate(measured.items()):
        left, right = (0.1 + 0.8 * (i + part) / len(measured) for part in (0, 1))
        edges = [k + edge for k in range(len(known)) for edge in (left, right)]
        heights = [height for name in known for height in (100 * result[name].score, 0)][:-1]
        bars.append(Bars(edges, heights, color=COLORS[i % len(COLORS)], label=label))
        for k, name in enumerate(known):
            x, (low, high) = (
                k + (left + right) / 2,
                (100 * min(bound, 1.04) for bound in result[name].interval),
            )
            spans += [
                (x - CAP, high),
                (x + CAP, high),
                GAP,
                (x, high),
                (x, low),
                GAP,
                (x - CAP, low),
                (x + CAP, low),
                GAP,
            ]
    heights = [
        100 * result[name].chance for name in known
    ]  # of the last of them: all were asked the same
    chances = [
        point for k, height in enumerate(heights) for point in ((k, height), (k + 1, height), GAP)
    ]
    said = "; ".join(
        f"{label}: "
        + ", ".join(f"{shown} {result[name].score:.0%}" for name, shown in known.items())
        for label, result in measured.items()
    )
    return Chart(
        [
            *bars,
            Line(*zip(*spans), color="grey", label=_("95% interval")),
            Line(*zip(*chances), color="vermillion", label=_("chance")),
        ],
        x=Axis(
            low=0, high=len(known), ticks={k + 0.5: shown for k, shown in enumerate(known.values())}
        ),
        y=Axis(_("score, %"), low=0, high=104, ticks=(0, 25, 50, 75, 100)),
        title=title or _("What it can do"),
        width=width,
        height=260,
        description=_(
            "Share of exercises answered exactly; for stories, floor over perplexity. {shares}."
        ).format(shares=said),
    )
