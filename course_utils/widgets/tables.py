"""Tables: one class for every table that a lesson prints."""

import html
import re
import unicodedata

NUMBER = re.compile(r"[-+−]?[\d.,]+(e[-+]?\d+)? ?(%|[a-zA-Z]{1,3}|[×x]|times)?|off|—|")


class Table:
    """Rows under a head: aligned text where a page has nothing else, HTML in a notebook.

    A column of numbers stands on its right edge, a column of words on its left one, and its name
    with it. A Chinese letter takes the room of two others.

    Args:
        head: The names of the columns.
        rows: Lists of cells, as many as there are names: texts, or anything `str` takes.

    Raises:
        ValueError: If a row has another number of cells than the head.

    Example:

    >>> Table(["bits", "perplexity"], [[8, "6.96"], [4, "7.18"]])
    bits  perplexity
       8        6.96
       4        7.18
    """

    def __init__(self, head, rows):
        self.head, self.rows = list(map(str, head)), [list(map(str, row)) for row in rows]
        for row in self.rows:
            if len(row) != len(self.head):
                raise ValueError(f"each row must have {len(self.head)} cells, got {row}")
        columns = list(zip(*self.rows)) or [()] * len(self.head)
        self.right = [all(map(NUMBER.fullmatch, column)) for column in columns]

    def __repr__(self):
        columns = list(zip(self.head, *self.rows))
        widths = [max(map(room, column)) for column in columns]
        lines = [
            "  ".join(map(placed, row, widths, self.right)).rstrip()
            for row in (self.head, *self.rows)
        ]
        return "\n".join(lines)

    def _repr_html_(self):
        sides = ["right" if right else "left" for right in self.right]

        def line(tag, row):
            cells = (
                f"<{tag} style='text-align: {side}; white-space: pre-line'>{html.escape(text)}"
                f"</{tag[:2]}>"
                for side, text in zip(sides, row)
            )
            return f"<tr>{''.join(cells)}</tr>"

        body = "".join(line("td", row) for row in self.rows)
        head = line("th scope='col'", self.head)
        style = "font-variant-numeric: tabular-nums; margin-left: 0"
        return f"<table style='{style}'><thead>{head}</thead><tbody>{body}</tbody></table>"


def room(text):
    """Returns how many columns a text takes where letters have one width."""
    return sum(1 + (unicodedata.east_asian_width(letter) in "WF") for letter in text)


def placed(text, width, right):
    """Fills a text up to a width, on its left or on its right."""
    space = " " * (width - room(text))
    return space + text if right else text + space
