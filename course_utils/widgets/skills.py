"""A bar for each skill of a model of the tales, with its interval and chance."""

import numpy as np

from course_utils.chart import Axis, Bars, Chart, Line

NAMES = {"story": "story", "translate": "translation", "question": "questions", "mood": "mood"}
COLORS, GAP, CAP = ("blue", "orange", "green", "purple"), (np.nan, np.nan), 0.05


def skills_chart(measured, title="What it can do", width=460):
    """Draws a bar for each skill, with its 95% interval, and a line across it for chance.

    Args:
        measured: By label, what `evaluation.skills` returned.
        title: One line.
        width: Of the chart, in pixels.
    """
    bars, spans = [], []
    for i, (label, result) in enumerate(measured.items()):
        left, right = (0.1 + 0.8 * (i + part) / len(measured) for part in (0, 1))
        edges = [k + edge for k in range(len(NAMES)) for edge in (left, right)]
        heights = [height for name in NAMES for height in (100 * result[name].score, 0)][:-1]
        bars.append(Bars(edges, heights, color=COLORS[i % len(COLORS)], label=label))
        for k, name in enumerate(NAMES):
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
        100 * result[name].chance for name in NAMES
    ]  # of the last of them: all were asked the same
    chances = [
        point for k, height in enumerate(heights) for point in ((k, height), (k + 1, height), GAP)
    ]
    said = "; ".join(
        f"{label}: "
        + ", ".join(f"{shown} {result[name].score:.0%}" for name, shown in NAMES.items())
        for label, result in measured.items()
    )
    return Chart(
        [
            *bars,
            Line(*zip(*spans), color="grey", label="95% interval"),
            Line(*zip(*chances), color="vermillion", label="chance"),
        ],
        x=Axis(
            low=0, high=len(NAMES), ticks={k + 0.5: shown for k, shown in enumerate(NAMES.values())}
        ),
        y=Axis("right, %", low=0, high=104, ticks=(0, 25, 50, 75, 100)),
        title=title,
        width=width,
        height=260,
        description=f"Share of exercises answered exactly; for stories, floor over perplexity. {said}.",
    )
