"""What is shown, as HTML and as plain text."""

import html
import re

from course_utils import chart
from course_utils.text import _


def readout(label, value, css_class=None, note=""):
    """One number with its name, as HTML for `cards`. `css_class` marks the number, so that a test
    can read it."""
    marked = f' class="{html.escape(css_class)}"' if css_class else ""
    below = f'<span class="course-note">{html.escape(note)}</span>' if note else ""
    return (
        f'<div class="course-card"><span>{html.escape(label)}</span>'
        f"<b><span{marked}>{html.escape(str(value))}</span></b>{below}</div>"
    )


def cards(*readouts):
    """A row of readouts that wraps where the page is narrow."""
    return f'<div class="course-cards">{"".join(readouts)}</div>'


def squeezed(small):
    """Readouts of a compressed model, for `cards`: the bytes of its `ledger` beside the original's
    `size`, how many `times_smaller` that is, and the share of its weights that was `removed`."""
    return [
        readout(
            _("file"),
            _("{size:,} bytes").format(size=small.ledger.total),
            note=_("original {size:,}").format(size=small.size),
        ),
        readout(_("times smaller"), f"{small.times_smaller:.1f}"),
        readout(_("removed by θ"), f"{small.removed:.0%}"),
    ]


def visible(word):
    """Spaces and line ends of a word, made visible."""
    return word.replace(" ", "␣").replace("\n", "⏎") or "?"


def page(items):
    """HTML of charts, which share a row while there is room, and of HTML strings, each in a row of
    its own."""
    parts = [
        f'<div class="course-chart" style="max-width:{item.width:g}px">{chart.svg(item)}</div>'
        if isinstance(item, chart.Chart)
        else f'<div class="course-text">{item}</div>'
        for item in items
        if item
    ]
    return f'<div class="course-row">{"".join(parts)}</div>' if parts else ""


def words(items):
    """What is shown, as plain text: charts by their descriptions, HTML without its tags."""
    lines = []
    for item in items:
        if isinstance(item, chart.Chart):
            lines.append(chart.spoken(item))
        else:
            text = re.sub(r"<(style|title|desc)\b.*?</\1>", " ", item, flags=re.S)
            text = re.sub(r"</?a\b[^>]*>", "", text)  # a link stands inside a sentence
            spaced = re.sub(r"</(div|p|tr|li|h\d)>", "\n", text)
            lines += [
                html.unescape(" ".join(re.sub(r"<[^>]+>", " ", line).split()))
                for line in spaced.split("\n")
            ]
    return "\n".join(line for line in lines if line)
