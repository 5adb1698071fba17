"""Tables: one class for every table that a lesson prints."""

import html
import itertools
import re
import textwrap
import unicodedata

from course_utils.text import _
from course_utils.widgets.html import words

WRAPPED = 46  # letters on a line of a cell, where a table fills the page
SHORT = 24  # letters that are never broken over lines
NUMBER = r"[-+−±]?([\d.,]+|inf)([e^][-+−]?\d+)?( ?(%|[a-zA-Zµσ]{1,3}|×|times))?"
# One number, or several: 7.26; 6.08 to 7.26; 4 of 11; [0.1, 0.3]; 97% [96, 98]; 1/8; 1024 x 64.
BETWEEN = r"(, ?| ?/ ?|-|–|\s+((to|of|x|->) |[\[(])?)"
NUMBERS = re.compile(rf"[\[(]?\s*{NUMBER}({BETWEEN}{NUMBER})*\s*[\])]?")


class Markup(str):
    """A cell that is HTML already: a page shows it as it is, a text without its tags."""


class Table:
    """Rows under a head: aligned text where a page has nothing else, HTML in a notebook.

    A column of numbers stands on its right edge, a column of words on its left one, and its name
    with it. A word among numbers, such as "off", stands where they do. A Chinese letter takes the
    room of two others.

    Args:
        head: The names of the columns.
        rows: Lists of cells, as many as there are names: texts, `Markup`, or anything `str` takes.
        widths: Of the columns, in the words of CSS; the table then takes the whole width of the
            page. Left out, each column is as wide as what stands in it.

    Raises:
        ValueError: If a row has another number of cells than the head.

    Example:

    >>> Table(["bits", "perplexity"], [[8, "6.96"], [4, "7.18"]])
    bits  perplexity
       8        6.96
       4        7.18
    """

    def __init__(self, head, rows, widths=None):
        self.head, self.rows = cells(head), list(map(cells, rows))
        self.widths = widths
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"each row must have {len(self.head)} cells, got {row}")
        columns = list(zip(*self.rows)) or [()] * len(self.head)
        self.right = list(map(numeric, columns))

    def __repr__(self):
        split = [[self.lines(cell) for cell in row] for row in (self.head, *self.rows)]
        widths = [max(room(line) for cell in column for line in cell) for column in zip(*split)]
        lines = [
            "  ".join(map(placed, line, widths, self.right)).rstrip()
            for row in split
            for line in itertools.zip_longest(*row, fillvalue="")
        ]
        return "\n".join(lines)

    def lines(self, cell):
        """Splits a cell into lines; where the table fills the page, long ones are wrapped."""
        whole = plain(cell).split("\n")
        if not self.widths:
            return whole
        return [part for line in whole for part in textwrap.wrap(line, WRAPPED) or [""]]

    def _repr_html_(self):
        whole = "; width: 100%; table-layout: fixed" if self.widths else ""
        style = f"font-variant-numeric: tabular-nums; margin-left: 0{whole}"
        head = self.line("th scope='col'", self.head, self.widths)
        body = "".join(self.line("td", row) for row in self.rows)
        table = f"<table style='{style}'><thead>{head}</thead><tbody>{body}</tbody></table>"
        # What a narrow page has no room for is scrolled to, by keys too, and no number is broken.
        return f"<div tabindex='0' style='overflow-x: auto; outline-offset: -2px'>{table}</div>"

    def line(self, tag, row, widths=None):
        """Returns one row as HTML."""
        shown = []
        for place, cell in enumerate(row):
            side = "right" if self.right[place] else "left"
            space = "normal" if isinstance(cell, Markup) else "pre-wrap"
            space = "pre" if self.right[place] or (short(cell) and not self.widths) else space
            style = f"text-align: {side}; white-space: {space}; padding: 0.3em 0.6em"
            style += "; vertical-align: top" if self.widths else ""
            style += f"; width: {widths[place]}" if widths else ""
            text = cell if isinstance(cell, Markup) else html.escape(cell)
            shown.append(f"<{tag} style='{style}'>{text}</{tag[:2]}>")
        return f"<tr>{''.join(shown)}</tr>"


def cells(row):
    """Returns a row as texts; `Markup` stays what it is."""
    return [cell if isinstance(cell, str) else str(cell) for cell in row]


def plain(cell):
    """Returns a cell as text."""
    return words([cell]) if isinstance(cell, Markup) else cell


def short(cell):
    """Says whether a cell may stand on one line on any page."""
    return not isinstance(cell, Markup) and room(cell) <= SHORT


def timings(measured):
    """Tables what `evaluation.speed.pairs` measured, each candidate beside the first.

    Args:
        measured: By name, a `Timing`.

    Returns:
        A `Table`: the time of one call, how many times as fast that is, and between which ratios
        nine rounds of ten lay.
    """
    head = [_("what ran"), _("one call"), _("times as fast"), _("in 9 of 10 rounds")]
    rows = [
        (
            name,
            f"{1e3 * one.median:.3f} ms",
            f"{one.speedup:.2f}x",
            _("{low:.2f} to {high:.2f}").format(low=one.interval[0], high=one.interval[1]),
        )
        for name, one in measured.items()
    ]
    return Table(head, rows)


def numeric(column):
    """Says whether at least half of the cells that are neither empty nor "off" hold numbers."""
    filled = [cell for cell in column if cell not in ("", "—", "off")]
    numbers = [cell for cell in filled if not isinstance(cell, Markup) and NUMBERS.fullmatch(cell)]
    return bool(filled) and 2 * len(numbers) >= len(filled)


def room(text):
    """Returns how many columns a text takes where letters have one width."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def placed(text, width, right):
    """Fills a text up to a width, on its left or on its right."""
    space = " " * (width - room(text))
    return space + text if right else text + space
