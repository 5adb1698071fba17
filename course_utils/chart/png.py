"""Draws charts as a PNG, for a page without a kernel."""

import base64
import functools
import io

import numpy as np

from course_utils import checks, files
from course_utils.chart.layout import Shape, Word, layout
from course_utils.chart.marks import FONT, LETTER, spoken
from course_utils.chart.scale import WIDE, breadth

INK = "#222222"
PIXELS = 10**8  # 400 MB while it is drawn
CHINESE = files.DATA / "fonts" / "NotoSansSC-subset.otf"  # experiments.font makes it


def picture(*charts, caption=""):
    """Returns what Jupyter shows of charts that run nothing, data and metadata: a PNG, no larger
    than a live chart."""
    data = base64.b64encode(png(*charts, caption=caption)).decode()
    shown = {"width": sum(chart.width for chart in charts), "alt": " ".join(map(spoken, charts))}
    return {"image/png": data}, {"image/png": shown}


def png(*charts, scale=2, caption=""):
    """Draws charts side by side as one PNG on white, for pages that run nothing.

    Args:
        *charts: One `Chart` or more.
        scale: Pixels of the picture for one pixel of the chart.
        caption: Words above them, on as many lines as they need.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: If there is no chart, or the picture would have more than `PIXELS`.
    """
    from matplotlib.figure import Figure  # a Figure of its own: pyplot would keep every one alive

    if not charts:
        raise ValueError("png needs at least one chart, got none")
    width, height = sum(chart.width for chart in charts), max(chart.height for chart in charts)
    lines, scale = _lines(caption, width - 24), checks.within("scale", scale, 0.1, 10)
    above = 8 + 16 * len(lines) if lines else 0
    if (pixels := width * (height + above) * scale**2) > PIXELS:
        raise ValueError(f"a picture may have at most {PIXELS:,} pixels, got {pixels:,.0f}")
    figure = Figure(figsize=(width / 72, (height + above) / 72), dpi=72 * scale, facecolor="white")
    canvas = figure.add_axes((0, 0, 1, 1))
    canvas.set(xlim=(0, width), ylim=(height, -above))
    canvas.axis("off")
    for row, line in enumerate(reversed(lines)):
        _png_word(canvas, Word(12, -6 - 16 * row, line, "start"), None, 0)
    offset = 0
    for chart in charts:
        frame, drawn = layout(chart)
        for item in drawn:
            (_png_shape if isinstance(item, Shape) else _png_word)(canvas, item, frame, offset)
        offset += chart.width
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()


def _lines(text, width):
    """Splits a text into lines that have room in a width of pixels."""
    lines = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and LETTER * breadth(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _png_shape(canvas, shape, frame, offset):
    from matplotlib.collections import LineCollection, PolyCollection
    from matplotlib.patches import Rectangle

    paths = (
        np.asarray(shape.template, float)[None] + np.asarray(shape.at, float)[:, None] + (offset, 0)
    )
    color = INK if shape.color == "ink" else shape.color
    if shape.filled:
        drawn = PolyCollection(paths, facecolors=color, linewidths=0, alpha=shape.opacity)
    else:
        dash = (0, [length / shape.width for length in shape.dash]) if shape.dash else "solid"
        drawn = LineCollection(
            paths, colors=color, linewidths=shape.width, linestyles=[dash], alpha=shape.opacity
        )
    canvas.add_collection(drawn, autolim=False)
    if shape.clipped:
        window = Rectangle(
            (offset + frame.left, frame.top),
            frame.right - frame.left,
            frame.bottom - frame.top,
            transform=canvas.transData,
        )
        drawn.set_clip_path(window)


def _png_word(canvas, word, frame, offset):
    from matplotlib.patheffects import withStroke

    sides = {"start": "left", "middle": "center", "end": "right"}
    text, families = word.text, None
    weight = "bold" if word.bold else "normal"
    around = [withStroke(linewidth=3, foreground="white")]
    if any(letter > WIDE for letter in text):
        families, known = _fonts()
        text = "".join(x if x <= WIDE or ord(x) in known else "□" for x in text)
        if word.bold:  # the Chinese font has one weight: a stroke makes all letters bold alike
            weight = "normal"
            around.append(withStroke(linewidth=0.6, foreground=INK))
    canvas.text(
        offset + word.x,
        word.y,
        text,
        ha=sides[word.anchor],
        va="baseline",
        family=families,
        fontsize=FONT * 0.92,
        color=INK,
        weight=weight,
        rotation=90 if word.turned else 0,
        rotation_mode="anchor",
        parse_math=False,
        path_effects=around,
    )


@functools.cache
def _fonts():
    """Names of matplotlib's own font and of the Chinese one, which draws what the first lacks; and
    all letters that the two have."""
    from matplotlib import font_manager

    font_manager.fontManager.addfont(CHINESE)
    paths = (font_manager.findfont(font_manager.FontProperties()), CHINESE)
    fonts = [font_manager.get_font(path) for path in paths]
    return [font.family_name for font in fonts], set().union(*(f.get_charmap() for f in fonts))
