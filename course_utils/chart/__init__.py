"""One description of a chart, two renderers: `svg` for a live page, `png` for a page without a
kernel.

`layout` turns the description into shapes and words at pixel positions; both renderers only draw
those, so the two pictures cannot disagree.
"""

from course_utils.chart.layout import Frame, Shape, Word, layout
from course_utils.chart.marks import (
    PALETTE,
    Axis,
    Band,
    Bars,
    Chart,
    Grid,
    Line,
    Note,
    Points,
    Rule,
    spoken,
)
from course_utils.chart.png import picture, png
from course_utils.chart.scale import nice_ticks
from course_utils.chart.svg import svg

__all__ = [
    "PALETTE",
    "Axis",
    "Band",
    "Bars",
    "Chart",
    "Frame",
    "Grid",
    "Line",
    "Note",
    "Points",
    "Rule",
    "Shape",
    "Word",
    "layout",
    "nice_ticks",
    "picture",
    "png",
    "spoken",
    "svg",
]
