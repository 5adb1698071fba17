"""The explorer: controls -> compute -> result -> render -> page. Nothing here knows what is
computed."""

import html
import textwrap

import ipywidgets

from course_utils import chart, checks
from course_utils.widgets.html import page, words

WIDE = 78  # characters of a line of plain text
STYLE = """<style>
.course-explorer { max-width: 1000px; overflow: hidden; }
.course-explorer .widget-html { margin: 0; }
.course-explorer .widget-html-content { line-height: 1.4; font-size: 13px; align-self: stretch; }
.course-control { flex-flow: row wrap; align-items: center; margin: 3px 0; }
.course-control .widget-label { font-weight: 600; }
.course-control .widget-toggle-buttons { display: flex; flex-wrap: nowrap; align-items: center; width: auto; max-width: 100%; margin-right: 10px; }
.course-control > .widget-html { flex: 1 1 140px; min-width: min(140px, 100%); }
.course-control .widget-hslider { margin-right: 10px; }
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


class Explorer(ipywidgets.VBox):
    """Shows what a computation gives, while its inputs are moved.

    Each move calls `compute` with the values of all controls and shows what `render` makes of the
    result. If `compute` raises `ValueError`, its message appears above the last good picture; any
    other exception is a mistake in the course and is raised.

    Args:
        compute: Function of the controls' values by name; returns a result and changes nothing.
        render: Function of the result; returns HTML, a `chart.Chart`, or a list of both.
        idle: Function of all values as a dict; names the controls that change nothing there, each
            with a sentence that says why. They are closed until that is over.
        **controls: From `log_slider`, `slider`, `choice` or `checkbox`, under the names of
            compute's arguments.

    Attributes:
        result: The last good result.
        values: What the controls say now, by name.
        controls: The controls, by name.

    Example:

    >>> double = Explorer(lambda x: 2 * x, str, x=slider("x", 0, 10, 1, value=3))
    >>> double.result, double.at(x=5)
    (6, 10)
    """

    def __init__(self, compute, render, idle=lambda values: {}, /, **controls):
        self.compute, self.render, self.controls = compute, render, controls
        self.idle = idle
        self.picture = ipywidgets.HTML(layout={"width": "100%"})
        self.message = ipywidgets.HTML(layout={"width": "100%"})
        style = ipywidgets.HTML(STYLE, layout={"display": "none"})
        super().__init__(
            [style, *(control.widget for control in controls.values()), self.message, self.picture]
        )
        self.add_class("course-explorer")
        self._say("")
        self._rest()
        self._show(compute(**self.values))
        for control in controls.values():
            control.observe(lambda change: self._update(), ("value", "problem"))

    @property
    def values(self):
        return {name: control.value for name, control in self.controls.items()}

    def at(self, **values):
        """The result of `compute` at these values, with the controls' own for the rest; moves
        nothing."""
        for name in values:
            checks.one_of("control", name, self.controls)
        return self.compute(**{**self.values, **values})

    def _rest(self):
        """Closes the controls that change nothing now, and opens the others."""
        reasons = self.idle(self.values)
        for name, control in self.controls.items():
            if control.idle != reasons.get(name, ""):
                control.rest(reasons.get(name, ""))

    def _update(self):
        self._rest()
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
        self.result, self.items = (
            result,
            rendered if isinstance(rendered, (list, tuple)) else [rendered],
        )
        self.picture.value = page(self.items)

    def _say(self, problem):
        shown = f'<div class="course-message">{html.escape(problem)}</div>' if problem else ""
        self.message.value = f'<div role="status" aria-live="polite">{shown}</div>'

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and for pages without a kernel a picture of its charts and what it says
        in words."""
        set_to = ", ".join(f"{control.name} = {control.said}" for control in self.controls.values())
        charts = [item for item in self.items if isinstance(item, chart.Chart)]
        data, metadata = chart.picture(*charts, caption=set_to) if charts else ({}, {})
        said = words(self.items)
        if charts:
            metadata["image/png"]["alt"] = " ".join(said.split("\n"))
        else:  # nothing but words: they are what a page without a kernel shows
            said = "\n".join(textwrap.fill(line, WIDE) for line in said.split("\n"))
        return {
            **super()._repr_mimebundle_(**kwargs),
            **data,
            "text/plain": f"{set_to}\n{said}".strip(),
        }, metadata
