"""Tables on a page, and the chart of a sweep."""

import html

from course_utils.chart import Axis, Chart, Line, Points
from course_utils.evaluation.sweeps import front


class Table:
    """Rows as text, and in a notebook as an HTML table."""

    HEAD = ("recipe", "storage", "accuracy", "perplexity", "bytes", "bits/weight", "seconds")

    def __init__(self, rows):
        self.cells = [
            (
                row.recipe,
                row.storage,
                f"{row.accuracy:.2%}",
                f"{row.perplexity:.4g}",
                f"{row.bytes:,}",
                f"{row.bits_per_weight:.2f}",
                f"{row.seconds:.1f}",
            )
            for row in rows
        ]

    def __str__(self):
        widths = [max(map(len, column)) for column in zip(self.HEAD, *self.cells, strict=True)]
        layout = "  ".join(
            f"{{:{'<' if place < 2 else '>'}{width}}}" for place, width in enumerate(widths)
        )
        return "\n".join(layout.format(*line) for line in (self.HEAD, *self.cells))

    __repr__ = __str__

    def _repr_html_(self):
        head = "".join(f"<th scope='col'>{name}</th>" for name in self.HEAD)
        body = "".join(
            f"<tr>{''.join(f'<td>{html.escape(text)}</td>' for text in line)}</tr>"
            for line in self.cells
        )
        return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def table(rows):
    """Returns rows as a `Table`."""
    return Table(rows)


def pareto(rows):
    """Draws bytes against perplexity, with a line along the `front`."""
    best = front(rows)
    line = Line(
        [row.bytes / 1000 for row in best],
        [row.perplexity for row in best],
        "best at its size",
        "grey",
    )
    kinds = dict.fromkeys(row.storage for row in rows)
    dots = [
        Points(
            [row.bytes / 1000 for row in rows if row.storage == kind],
            [row.perplexity for row in rows if row.storage == kind],
            label=kind,
        )
        for kind in kinds
    ]
    named = (
        f"{row.recipe} ({row.storage}): {row.bytes / 1000:.0f} kB, perplexity {row.perplexity:.3g}"
        for row in best
    )
    said = f"From small to large, the best are {'; '.join(named)}."
    return Chart(
        [line, *dots],
        x=Axis("file, kB", log=True),
        y=Axis("perplexity", log=True),
        title=f"{len(rows)} files",
        description=said,
    )
