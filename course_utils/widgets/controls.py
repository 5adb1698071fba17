"""What a learner moves: sliders with a box beside them, choices, check boxes."""

import html
import math
import textwrap

import ipywidgets
import numpy as np
import traitlets

from course_utils import checks
from course_utils.text import _


class Value(traitlets.Any):
    """Any value that the control's validator lets pass; traitlets itself would let every `None`
    pass unseen."""

    allow_none = False


class Control(traitlets.HasTraits):
    """One thing to move. `value` is its state, `problem` says what is wrong with what was typed, if
    anything.

    Assigning to `value` moves what is on the page; `ValueError` if there is no such position.
    """

    value = Value()
    problem = traitlets.Unicode()
    idle = ""  # why it changes nothing now, where that is so

    def rest(self, reason=""):
        """Closes the control and says why it changes nothing now; without a reason, opens it."""
        *parts, note = self.widget.children
        if not self.idle:
            self.described = note.value
        note.value = noted(reason) if reason else self.described
        for part in parts:
            part.disabled = bool(reason)
        self.idle = reason

    @property
    def said(self):
        """The value in the words of the page, short enough for a caption."""
        return _("off") if self.value is None else textwrap.shorten(str(self.value), 40)

    def positions(self):
        """The values worth visiting: minimum, middle and maximum, or every option."""
        raise NotImplementedError


class Number(Control):
    """A slider over a list of numbers, and a box beside it for any number between its ends.

    A slider of ipywidgets has no name that a screen reader could say, so the box carries it.
    """

    def __init__(self, name, stops, value, description):
        self.name, self.stops = (
            name,
            stops,
        )  # stops: ascending numbers, perhaps with None ("off") before them
        self.whole = all(isinstance(stop, int) for stop in stops)
        self.low, self.high = next(stop for stop in stops if stop is not None), stops[-1]
        self.box = ipywidgets.Text(
            description=name,
            continuous_update=False,
            layout={"width": "190px"},
            style={"description_width": "100px"},
        )
        self.slider = ipywidgets.IntSlider(
            min=0,
            max=len(stops) - 1,
            readout=False,
            layout={"flex": "1 1 160px", "max_width": "320px", "min_width": "120px"},
        )
        self.widget = row(self.box, self.slider, description)
        self._moving = False
        super().__init__(value=value)
        self._show()
        self.observe(lambda change: self._show(), "value")
        self.slider.observe(self._slid, "value")
        self.box.observe(self._typed, "value")

    @property
    def allowed(self):
        """Says what may be typed."""
        if self.whole:
            sentence = _("{name} must be a whole number from {low:g} to {high:g}")
        elif self.stops[0] is None:
            sentence = _('{name} must be a number from {low:g} to {high:g}, or "off"')
        else:
            sentence = _("{name} must be a number from {low:g} to {high:g}")
        return sentence.format(name=self.name, low=self.low, high=self.high)

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
        self.box.value = _("off") if self.value is None else f"{self.value:.12g}"
        numbers = np.array([-math.inf if stop is None else stop for stop in self.stops])
        self.slider.value = 0 if self.value is None else int(np.abs(numbers - self.value).argmin())
        self._moving = False
        self.problem = ""

    def _slid(self, change):
        if not self._moving:
            with self.box.hold_sync():  # one message fewer for the page while the result is made
                self.value = self.stops[change["new"]]
                self._show()  # also where the value stays and only a wrong text has to go

    def _typed(self, change):
        if self._moving:
            return
        text = change["new"].strip()
        try:
            self.value = None if text.lower() in ("off", _("off")) else float(text)
        except ValueError:
            self.problem = _("{allowed}; got {typed!r}.").format(allowed=self.allowed, typed=text)
        else:
            self._show()

    def positions(self):
        return [self.stops[0], self.stops[len(self.stops) // 2], self.stops[-1]]


class Chosen(Control):
    """One of several options, or a box to tick: wraps the ipywidgets control that shows it.

    `codes[i]` is what that control calls `options[i]`: it cannot hold every value itself, `None`
    for one. `texts[i]` is what a caption calls it.
    """

    def __init__(self, name, control, codes, options, texts, value, description):
        self.name, self.options, self.control = name, options, control
        self.texts = texts
        self.widget = row(control, description)
        super().__init__(value=value)

        def show(change=None):
            control.value = codes[options.index(self.value)]

        show()
        self.observe(show, "value")
        control.observe(
            lambda change: setattr(self, "value", options[codes.index(change["new"])]), "value"
        )

    @traitlets.validate("value")
    def _allowed_only(self, proposal):
        return checks.one_of(self.name, proposal["value"], self.options)

    @property
    def said(self):
        return textwrap.shorten(self.texts[self.options.index(self.value)], 40)

    def positions(self):
        return list(self.options)


def without_use(values):
    """Names which of Q, bits and what belongs to θ change nothing at these values, and why.

    Args:
        values: Of the controls by name: `rule`, `step`, `bits`, `theta`, and others.

    Returns:
        By name, a sentence: what `Explorer` asks of its `idle`.
    """
    if values["rule"] == "step":
        reasons = {"bits": _("Not used: the rule step rounds to multiples of Q.")}
    else:
        reasons = {"step": _("Not used: this rule takes its steps from bits.")}
    if values["rule"] == "step" and values["step"] is None:
        reasons["storage"] = _("Not used: Q is off, and floats are stored as they are.")
    if values["theta"] is None:
        nothing = _("Not used: θ is off, and nothing is removed.")
        reasons.update(score=nothing, on=nothing)
    return reasons


def noted(text):
    """A remark beside a control, as HTML."""
    return f'<span class="course-note">{html.escape(text)}</span>'


def row(*controls_and_description):
    """Controls and what they do, side by side where there is room."""
    *controls, description = controls_and_description
    note = ipywidgets.HTML(noted(description), layout={"flex": "1 1 140px", "min_width": "0"})
    widget = ipywidgets.HBox([*controls, note])
    widget.add_class("course-control")
    return widget


def log_slider(name, low, high, value, description="", off=False):
    """A slider whose steps are equal ratios, 20 to a factor of ten, with a box to type any number
    between its ends.

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
    inner = {
        float(f"{stop:.3g}") for stop in np.geomspace(low, high, count)
    }  # three digits are easy to read
    stops = [float(low), *sorted(stop for stop in inner if low < stop < high), float(high)]
    return Number(name, [None] * off + stops, value, description)


def slider(name, low, high, step, value, description=""):
    """A slider with equal steps from `low` to `high`; whole numbers stay whole. See
    `log_slider`."""
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
    pairs = (
        list(options.items())
        if isinstance(options, dict)
        else [(str(option), option) for option in options]
    )
    short = len(pairs) <= 4 and sum(len(text) for text, option in pairs) <= 44
    kind = ipywidgets.ToggleButtons if short else ipywidgets.Dropdown
    control = kind(
        options=[(text, i) for i, (text, option) in enumerate(pairs)],
        description=name,
        style={"description_width": "100px"},
    )
    if short:
        control.style.button_width = "auto"
    texts, values = [text for text, option in pairs], [option for text, option in pairs]
    return Chosen(name, control, range(len(pairs)), values, texts, value, description)


def checkbox(name, value, description=""):
    """A box to tick; its value is `True` or `False`."""
    control = ipywidgets.Checkbox(
        description=name, indent=False, layout={"width": "auto", "margin": "2px 12px 2px 106px"}
    )
    ticks = [False, True]
    return Chosen(name, control, ticks, ticks, [_("no"), _("yes")], value, description)
