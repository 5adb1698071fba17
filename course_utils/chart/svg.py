"""Draws a chart as SVG text, for a live page."""

import html
import itertools

from course_utils.chart.layout import Shape, layout
from course_utils.chart.marks import FONT, spoken


def _path(shape):
    """The `d` of an SVG path. A repeated template is moved with `M` and drawn with relative
    steps."""
    corners, close = shape.template, "z" if shape.filled else ""
    x, y = corners[0]
    steps = (
        "l"
        + " ".join(f"{b[0] - a[0]:.2f} {b[1] - a[1]:.2f}" for a, b in itertools.pairwise(corners))
        + close
    )
    return "".join(f"M{x + dx:.2f} {y + dy:.2f}{steps}" for dx, dy in shape.at)


def svg(chart):
    """Draws a chart as SVG text that takes its colours from the page, light or dark, and its width
    from its place.

    Args:
        chart: A `Chart`.

    Returns:
        One `<svg role="img">` element, with the spoken description as its accessible name.
    """
    frame, drawn = layout(chart)
    said = html.escape(spoken(chart))
    inner = (
        f'x="{frame.left:.1f}" y="{frame.top:.1f}" width="{frame.right - frame.left:.1f}" '
        f'height="{frame.bottom - frame.top:.1f}"'
    )
    view = (
        f'viewBox="{frame.left:.1f} {frame.top:.1f} {frame.right - frame.left:.1f} '
        f'{frame.bottom - frame.top:.1f}"'
    )
    parts, clip_open = [], False
    for item in drawn:
        clipped = isinstance(item, Shape) and item.clipped
        if clipped != clip_open:  # a nested svg cuts off what leaves it, and needs no id
            parts.append(f"<svg {inner} {view}>" if clipped else "</svg>")
            clip_open = clipped
        parts.append(_svg_shape(item) if isinstance(item, Shape) else _svg_word(item))
    return (
        f'<svg role="img" aria-label="{said}" viewBox="0 0 {chart.width:g} {chart.height:g}" '
        'width="100%" '
        f'style="max-width:{chart.width:g}px;height:auto;display:block;color:var(--jp-ui-font-color1,currentColor);'
        f'font:{FONT}px var(--jp-ui-font-family,system-ui,sans-serif)" '
        'xmlns="http://www.w3.org/2000/svg">'
        f"<desc>{said}</desc>{''.join(parts)}{'</svg>' if clip_open else ''}</svg>"
    )


def _svg_shape(shape):
    color = "currentColor" if shape.color == "ink" else shape.color
    faint = f' opacity="{shape.opacity:g}"' if shape.opacity < 1 else ""
    if shape.filled:
        return f'<path d="{_path(shape)}" fill="{color}"{faint}/>'
    dash = f' stroke-dasharray="{" ".join(map(str, shape.dash))}"' if shape.dash else ""
    return (
        f'<path d="{_path(shape)}" fill="none" stroke="{color}" '
        f'stroke-width="{shape.width:g}"{dash}{faint}/>'
    )


def _svg_word(word):
    turn = f' transform="rotate(-90 {word.x:.1f} {word.y:.1f})"' if word.turned else ""
    bold = ' font-weight="600"' if word.bold else ""
    return (
        f'<text x="{word.x:.1f}" y="{word.y:.1f}" text-anchor="{word.anchor}"{bold}{turn} '
        'fill="currentColor" '
        f'stroke="var(--jp-layout-color0,Canvas)" stroke-width="3" paint-order="stroke">'
        f"{html.escape(word.text)}</text>"
    )
