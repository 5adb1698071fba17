"""The explorer: controls -> compute -> result -> render -> page. Nothing here knows what is computed."""

import html
import math
import re
import textwrap

import ipywidgets
import numpy as np
import traitlets

from course_utils import chart, checks

STYLE = """<style>
.course-explorer { max-width: 1000px; overflow: hidden; }
.course-explorer .widget-html { margin: 0; }
.course-explorer .widget-html-content { line-height: 1.4; font-size: 13px; align-self: stretch; }
.course-control { flex-flow: row wrap; align-items: center; }
.course-control .widget-label { font-weight: 600; }
.course-control .widget-toggle-buttons { display: flex; align-items: center; width: auto; margin-right: 10px; }
.course-control .widget-dropdown { width: max-content; margin-right: 10px; }
.course-control .widget-toggle-buttons > .widget-label { text-align: right; margin-right: 8px; flex-shrink: 0; }
.course-row { display: flex; flex-wrap: wrap; gap: 10px 18px; align-items: flex-start; margin: 6px 0; }
.course-row > .course-chart { flex: 1 1 360px; }
.course-row > .course-text { flex: 1 1 100%; }
.course-note { color: var(--jp-ui-font-color1, inherit); opacity: .8; }
.course-message { border-left: 4px solid #D55E00; padding: 6px 10px; margin: 6px 0;
  background: var(--jp-layout-color2, #eee); color: var(--jp-ui-font-color1, inherit); }
.course-cards { display: flex; flex-wrap: wrap; gap: 8px; margin: 6px 0; }
.course-card { flex: 0 1 auto; min-width: 110px; padding: 6px 12px; border-radius: 4px;
  border: 1px solid var(--jp-border-color1, #bbb); background: var(--jp-layout-color1, transparent); }
.course-card b { display: block; font-size: 20px; line-height: 1.3; font-variant-numeric: tabular-nums; }
</style>"""


# ---- controls --------------------------------------------------------------------------------------


class Value(traitlets.Any):
    """Any value that the control's validator lets pass; traitlets itself would let every `None` pass unseen."""

    allow_none = False


class Control(traitlets.HasTraits):
    """One thing to move. `value` is its state, `problem` says what is wrong with what was typed, if anything.

    Assigning to `value` moves what is on the page; `ValueError` if there is no such position.
    """

    value = Value()
    problem = traitlets.Unicode()

    def positions(self):
        """The values worth visiting: minimum, middle and maximum, or every option."""
        raise NotImplementedError


class Number(Control):
    """A slider over a list of numbers, and a box beside it for any number between its ends.

    A slider of ipywidgets has no name that a screen reader could say, so the box carries it.
    """

    def __init__(self, name, stops, value, description):
        self.name, self.stops = name, stops  # stops: ascending numbers, perhaps with None ("off") before them
        self.whole = all(isinstance(stop, int) for stop in stops)
        self.low, self.high = next(stop for stop in stops if stop is not None), stops[-1]
        self.box = ipywidgets.Text(description=name, continuous_update=False, layout={"width": "190px"},
                                   style={"description_width": "100px"})
        self.slider = ipywidgets.IntSlider(min=0, max=len(stops) - 1, readout=False,
                                           layout={"flex": "1 1 160px", "max_width": "320px", "min_width": "120px"})
        self.widget = row(self.box, self.slider, description)
        self._moving = False
        super().__init__(value=value)
        self._show()
        self.observe(lambda change: self._show(), "value")
        self.slider.observe(self._slid, "value")
        self.box.observe(self._typed, "value")

    @property
    def allowed(self):
        off = ', or "off"' if self.stops[0] is None else ""
        return f"{self.name} must be a {'whole ' * self.whole}number from {self.low:g} to {self.high:g}{off}"

    @traitlets.validate("value")
    def _allowed_only(self, proposal):
        value = proposal["value"]
        if value is None and self.stops[0] is None:
            return None
        real = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
        if not real or not self.low <= value <= self.high or (self.whole and value != int(value)):
            raise ValueError(f"{self.allowed}, got {value!r}")
        return int(value) if self.whole else value

    def _show(self):
        """Puts the value into the box, and the slider on the stop nearest to it."""
        self._moving = True
        self.box.value = "off" if self.value is None else f"{self.value:.12g}"
        numbers = np.array([-math.inf if stop is None else stop for stop in self.stops])
        self.slider.value = 0 if self.value is None else int(np.abs(numbers - self.value).argmin())
        self._moving = False
        self.problem = ""

    def _slid(self, change):
        if not self._moving:
            self.value = self.stops[change["new"]]
            self._show()  # also where the value stays and only a wrong text has to go

    def _typed(self, change):
        if self._moving:
            return
        text = change["new"].strip()
        try:
            self.value = None if text.lower() == "off" else float(text)
        except ValueError:
            self.problem = f"{self.allowed}; got {text!r}."
        else:
            self._show()

    def positions(self):
        return [self.stops[0], self.stops[len(self.stops) // 2], self.stops[-1]]


class Chosen(Control):
    """One of several options, or a box to tick: wraps the ipywidgets control that shows it.

    `codes[i]` is what that control calls `options[i]`: it cannot hold every value itself, `None` for one.
    """

    def __init__(self, name, control, codes, options, value, description):
        self.name, self.options, self.control = name, options, control
        self.widget = row(control, description)
        super().__init__(value=value)

        def show(change=None):
            control.value = codes[options.index(self.value)]

        show()
        self.observe(show, "value")
        control.observe(lambda change: setattr(self, "value", options[codes.index(change["new"])]), "value")

    @traitlets.validate("value")
    def _allowed_only(self, proposal):
        return checks.one_of(self.name, proposal["value"], self.options)

    def positions(self):
        return list(self.options)


def row(*controls_and_description):
    """Controls and what they do, side by side where there is room."""
    *controls, description = controls_and_description
    note = ipywidgets.HTML(f'<span class="course-note">{html.escape(description)}</span>',
                           layout={"flex": "1 1 200px", "min_width": "0"})
    widget = ipywidgets.HBox([*controls, note])
    widget.add_class("course-control")
    return widget


def log_slider(name, low, high, value, description="", off=False):
    """A slider whose steps are equal ratios, 20 to a factor of ten, with a box to type any number between its ends.

    Args:
        name: What stands before it, such as `"Q"`.
        low, high: Its ends, both above zero.
        value: Where it starts; `None` for "off".
        description: What it does, in a few words.
        off: Whether a position "off", with the value `None`, comes before `low`.

    Returns:
        A control with `value`, `widget` and `positions()`.

    Raises:
        ValueError: If the ends or the value make no sense.
    """
    checks.positive("low", low)
    if not checks.positive("high", high) > low:
        raise ValueError(f"high must be > low = {low}, got {high}")
    count = max(20, round(20 * math.log10(high / low))) + 1
    inner = {float(f"{stop:.3g}") for stop in np.geomspace(low, high, count)}  # three digits are easy to read
    stops = [float(low), *sorted(stop for stop in inner if low < stop < high), float(high)]
    return Number(name, [None] * off + stops, value, description)


def slider(name, low, high, step, value, description=""):
    """A slider with equal steps from `low` to `high`; whole numbers stay whole. See `log_slider`."""
    checks.positive("step", step)
    if not high > low:
        raise ValueError(f"high must be > low = {low}, got {high}")
    stops = [low + index * step for index in range(int((high - low) / step + 1e-9) + 1)]
    stops = [stop if isinstance(stop, int) else float(f"{stop:.12g}") for stop in stops]
    return Number(name, stops if stops[-1] == high else [*stops, high], value, description)


def choice(name, options, value, description=""):
    """One of a list of options: buttons where they fit on a line, a menu where they do not.

    Args:
        name: What stands before it.
        options: The values, or a dict of text to value.
        value: Which is chosen at the start.
        description: What it does, in a few words.

    Returns:
        A control with `value`, `widget` and `positions()`.

    Raises:
        ValueError: If `value` is none of the options.
    """
    pairs = list(options.items()) if isinstance(options, dict) else [(str(option), option) for option in options]
    short = len(pairs) <= 4 and sum(len(text) for text, _ in pairs) <= 44
    kind = ipywidgets.ToggleButtons if short else ipywidgets.Dropdown
    control = kind(options=[(text, i) for i, (text, _) in enumerate(pairs)], description=name,
                   style={"description_width": "100px"})
    if short:
        control.style.button_width = "auto"
    return Chosen(name, control, range(len(pairs)), [option for _, option in pairs], value, description)


def checkbox(name, value, description=""):
    """A box to tick; its value is `True` or `False`."""
    control = ipywidgets.Checkbox(description=name, indent=False,
                                  layout={"width": "auto", "margin": "2px 12px 2px 106px"})
    return Chosen(name, control, [False, True], [False, True], value, description)


# ---- what is shown ---------------------------------------------------------------------------------


def readout(label, value, css_class=None, note=""):
    """One number with its name, as HTML for `cards`. `css_class` marks the number, so that a test can read it."""
    marked = f' class="{html.escape(css_class)}"' if css_class else ""
    below = f'<span class="course-note">{html.escape(note)}</span>' if note else ""
    return (f'<div class="course-card"><span>{html.escape(label)}</span>'
            f"<b><span{marked}>{html.escape(str(value))}</span></b>{below}</div>")


def cards(*readouts):
    """A row of readouts that wraps where the page is narrow."""
    return f'<div class="course-cards">{"".join(readouts)}</div>'


class Explorer(ipywidgets.VBox):
    """Shows what a computation gives, while its inputs are moved.

    Each move calls `compute` with the values of all controls and shows what `render` makes of the
    result. If `compute` raises `ValueError`, its message appears above the last good picture; any
    other exception is a mistake in the course and is raised.

    Args:
        compute: Function of the controls' values by name; returns a result and changes nothing.
        render: Function of the result; returns HTML, a `chart.Chart`, or a list of both.
        **controls: From `log_slider`, `slider`, `choice` or `checkbox`, under the names of compute's arguments.

    Attributes:
        result: The last good result.
        values: What the controls say now, by name.
        controls: The controls, by name.

    Example:

    >>> double = Explorer(lambda x: 2 * x, str, x=slider("x", 0, 10, 1, value=3))
    >>> double.result, double.at(x=5)
    (6, 10)
    """

    def __init__(self, compute, render, /, **controls):
        self.compute, self.render, self.controls = compute, render, controls
        self.picture = ipywidgets.HTML(layout={"width": "100%"})
        self.message = ipywidgets.HTML(layout={"width": "100%"})
        style = ipywidgets.HTML(STYLE, layout={"display": "none"})
        super().__init__([style, *(control.widget for control in controls.values()), self.message, self.picture])
        self.add_class("course-explorer")
        self._say("")
        self._show(compute(**self.values))
        for control in controls.values():
            control.observe(lambda change: self._update(), ("value", "problem"))

    @property
    def values(self):
        return {name: control.value for name, control in self.controls.items()}

    def at(self, **values):
        """The result of `compute` at these values, with the controls' own for the rest; moves nothing."""
        for name in values:
            checks.one_of("control", name, self.controls)
        return self.compute(**{**self.values, **values})

    def _update(self):
        problem = " ".join(control.problem for control in self.controls.values() if control.problem)
        if not problem:
            try:
                result = self.compute(**self.values)
            except ValueError as error:
                problem = str(error)
            else:
                self._show(result)
        self._say(problem)

    def _show(self, result):
        rendered = self.render(result)
        self.result, self.items = result, rendered if isinstance(rendered, (list, tuple)) else [rendered]
        self.picture.value = page(self.items)

    def _say(self, problem):
        shown = f'<div class="course-message">{html.escape(problem)}</div>' if problem else ""
        self.message.value = f'<div role="status" aria-live="polite">{shown}</div>'

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and for pages without a kernel a picture of its charts and what it says in words."""
        set_to = ", ".join(f"{control.name} = {'off' if control.value is None else textwrap.shorten(str(control.value), 40)}"
                           for control in self.controls.values())
        charts = [item for item in self.items if isinstance(item, chart.Chart)]
        data, metadata = chart.picture(*charts, caption=set_to) if charts else ({}, {})
        return {**super()._repr_mimebundle_(**kwargs), **data,
                "text/plain": f"{set_to}\n{words(self.items)}".strip()}, metadata


def page(items):
    """HTML of charts, which share a row while there is room, and of HTML strings, each in a row of its own."""
    parts = [
        f'<div class="course-chart" style="max-width:{item.width:g}px">{chart.svg(item)}</div>'
        if isinstance(item, chart.Chart) else f'<div class="course-text">{item}</div>'
        for item in items if item
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
            spaced = re.sub(r"</(div|p|tr|li|h\d)>", "\n", text)
            lines += [html.unescape(" ".join(re.sub(r"<[^>]+>", " ", line).split())) for line in spaced.split("\n")]
    return "\n".join(line for line in lines if line)
