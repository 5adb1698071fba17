"""A point for each skill of a model of the tales, with its interval, and chance."""

import numpy as np

from course_utils.chart import Axis, Chart, Line, Points
from course_utils.text import _
from course_utils.widgets import names

STYLES = (
    ("blue", "circle"),
    ("orange", "square"),
    ("green", "triangle"),
    ("purple", "diamond"),
)
GAP = (np.nan, np.nan)


def skills_chart(measured, title=None, width=460):
    """Draws a point for each skill, with its 95% interval, and a line across it for chance.

    Args:
        measured: By label, what `evaluation.skills` returned.
        title: One line; what the model can do, if left out.
        width: Of the chart, in pixels.
    """
    known, points, spans = names.skills(), [], []
    for i, (label, result) in enumerate(measured.items()):
        color, marker = STYLES[i % len(STYLES)]
        places = [k + (i + 0.5) / len(measured) * 0.8 + 0.1 for k in range(len(known))]
        scores = [100 * result[name].score for name in known]
        points.append(Points(places, scores, label, color, size=5, marker=marker))
        for x, name in zip(places, known):
            low, high = (100 * min(bound, 1.04) for bound in result[name].interval)
            spans.append(Line([x, x], [low, high], color=color))
    chances = [  # of the last of them: all were asked the same
        point
        for k, name in enumerate(known)
        for point in (
            (k + 0.1, 100 * result[name].chance),
            (k + 0.9, 100 * result[name].chance),
            GAP,
        )
    ]
    said = "; ".join(
        f"{label}: "
        + ", ".join(f"{shown} {result[name].score:.0%}" for name, shown in known.items())
        for label, result in measured.items()
    )
    return Chart(
        [Line(*zip(*chances), color="grey", label=_("chance")), *spans, *points],
        x=Axis(
            low=0, high=len(known), ticks={k + 0.5: shown for k, shown in enumerate(known.values())}
        ),
        y=Axis(_("score and 95% interval, %"), low=-3, high=104, ticks=(0, 25, 50, 75, 100)),
        title=title or _("What it can do"),
        width=width,
        height=260,
        description=_(
            "Share of exercises answered exactly; for stories, floor over perplexity. {shares}."
        ).format(shares=said),
    )
