"""The studio: slide Q and theta on a real model and watch quality and bytes change."""

import asyncio
import collections
import difflib
import functools
import html

import ipywidgets

from course_utils.chart import Axis, Band, Bars, Chart, Line, Points, Rule
from course_utils.evaluation.bench import GROUP_SIZE, RULES, SCORES, bench
from course_utils.evaluation.search import QUESTION
from course_utils.evaluation.sweeps import front
from course_utils.models import added
from course_utils.text import _
from course_utils.widgets import names
from course_utils.widgets.controls import choice, log_slider, slider, without_use
from course_utils.widgets.explorer import Explorer
from course_utils.widgets.html import cards, readout
from course_utils.widgets.skills import skills_chart

QUIET = 0.2  # seconds after a move before the models write: the numbers come first


def compute(model, **settings):
    """Compresses a shipped model and measures it.

    Args:
        model: Name of a shipped model.
        step: Q, the distance between levels; `None` leaves floats.
        theta: Threshold of the score; `None` removes nothing.
        score: `"magnitude"`, `"document"` or `"wanda"`.
        on: `"weight"` or `"unit"`: what theta removes.
        storage: `"fixed"` or `"entropy"`.
        rule: `"step"` rounds to multiples of Q; `"absmax"` and `"affine"` use `bits` and groups of
            32.
        bits: Width of a code, where the rule asks for it.

    Returns:
        A `Result`.
    """
    return bench(model).measure(**settings)


def render(result, trail=()):
    """Shows a result: numbers, where the weights lie, and accuracy against bytes."""
    accuracy, perplexity, size = result.original
    ledger = result.ledger
    numbers = cards(
        readout(
            _("accuracy"),
            f"{result.accuracy:.1%}",
            "studio-accuracy",
            _("original {accuracy:.1%}").format(accuracy=accuracy),
        ),
        readout(
            _("perplexity"),
            f"{result.perplexity:.2f}",
            "studio-perplexity",
            _("original {perplexity:.2f}").format(perplexity=perplexity),
        ),
        readout(
            _("file"),
            _("{size:,} bytes").format(size=ledger.total),
            "studio-size",
            _("original {size:,}").format(size=size),
        ),
        readout(_("times smaller"), f"{result.times_smaller:.2f}", "studio-times"),
        readout(
            _("bits a weight"),
            f"{ledger.bits_per_weight:.2f}",
            "studio-bits",
            _("original {bits:.2f}").format(bits=8 * size / ledger.weights),
        ),
        readout(_("removed by θ"), f"{result.removed:.1%}", "studio-removed"),
    )
    bars = []
    if result.skills:
        title = _("Skills, {count} exercises each").format(count=result.skills["story"].examples)
        bars = [skills_chart({_("now"): result.skills}, title)]
    return [numbers, parts(ledger, result.seconds), histogram(result), plane(result, trail), *bars]


def parts(ledger, seconds):
    """The ledger as one line of parts, and how long the move took."""
    known = names.parts()
    sizes = " + ".join(f"{known[part]} {size:,}" for part, size in ledger.parts.items() if size)
    layouts = collections.Counter(layout for layout, __, __ in ledger.layouts.values())
    common = ", ".join(f"{count} × {layout}" for layout, count in layouts.most_common(4))
    lines = (
        _("bytes: {parts} = {total}").format(parts=sizes, total=f"<b>{ledger.total:,}</b>"),
        _("tensors: {layouts}").format(layouts=common + ", …" * (len(layouts) > 4)),
        _("measured on validation data in {time}").format(
            time=f'<span class="studio-time">{1000 * seconds:.0f} ms</span>'
        ),
    )
    return f'<div class="course-note studio-ledger">{"<br>".join(lines)}</div>'


def histogram(result):
    """The weights before, those that theta kept, and the grid that Q rounds to."""
    step, theta, edge = result.settings["step"], result.settings["theta"], result.edges[-1]
    middles = (result.edges[1:] + result.edges[:-1]) / 2
    marks = [
        Bars(result.edges, result.after, color="blue", label=_("kept by θ")),
        Line(middles, result.before, color="orange", label=_("all weights")),
    ]
    if theta is not None and result.settings["on"] == "weight":
        if result.settings["score"] == "magnitude":
            marks.insert(0, Band(-min(theta, edge), min(theta, edge), label=_("removed")))
        elif (bound := theta**-0.5) < edge:
            marks[:0] = [Band(-edge, -bound, label=_("removed")), Band(bound, edge)]
    if result.settings.get("rule", "step") != "step":
        step = None
        grid = _("{bits} bits, a scale for every {size} inputs").format(
            bits=result.settings["bits"], size=GROUP_SIZE
        )
    else:
        grid = _("no rounding") if step is None else _("levels every {step:g}").format(step=step)
    if step is not None and edge / step <= 25:
        marks += [Rule(k * step) for k in range(-int(edge / step), int(edge / step) + 1)]
    return Chart(
        marks,
        x=Axis(_("weight"), low=-edge, high=edge),
        y=Axis(_("how many")),
        title=_("Weights; {grid}").format(grid=grid),
        description=_(
            "Histogram of the weights; theta removed {removed:.1%} of them; {grid}."
        ).format(removed=result.removed, grid=grid),
        width=460,
        height=260,
    )


def plane(result, trail):
    """Accuracy against bytes: every setting visited, the best of them, and where we are."""
    accuracy, __, size = result.original
    here = (result.ledger.total, result.accuracy)
    points = [*trail, here]
    best = front([*points, (size, accuracy)])
    marks = [
        Line([p[0] for p in points], [100 * p[1] for p in points], color="grey", label=_("trail")),
        Line(
            [p[0] for p in best], [100 * p[1] for p in best], color="green", label=_("best so far")
        ),
        Points(
            [size], [100 * accuracy], label=_("original"), color="blue", marker="square", size=5
        ),
        Points(
            [here[0]], [100 * here[1]], label=_("now"), color="vermillion", marker="circle", size=6
        ),
    ]
    return Chart(
        marks,
        x=Axis(_("bytes of the file"), log=True, high=1.5 * size),
        y=Axis(_("accuracy, %"), low=0, high=110 * accuracy),
        title=_("Accuracy against bytes"),
        description=_(
            "Now {bytes:,} bytes at {now:.1%} accuracy; the original has {size:,} bytes at {accuracy:.1%}; {count} settings visited."
        ).format(bytes=here[0], now=here[1], size=size, accuracy=accuracy, count=len(points)),
        width=460,
        height=260,
    )


def compared(prompt, original, ours):
    """Two continuations of a prompt as HTML; tokens of the second that differ from the first are
    marked."""
    marked = []
    for kind, __, __, start, stop in difflib.SequenceMatcher(
        None, original, ours, autojunk=False
    ).get_opcodes():
        text = html.escape("".join(ours[start:stop])).replace("\n", "<br>")
        marked.append(text if kind == "equal" else f"<mark>{text}</mark>" if text else "")
    before = html.escape("".join(original)).replace("\n", "<br>")
    style = (
        "flex: 1 1 320px; font-family: var(--jp-code-font-family, monospace); font-size: 12px; "
        "line-height: 1.4"
    )
    heads = _("<b>original</b>"), _("<b>compressed</b> (differences marked)")
    columns = (
        f'<div style="{style}">{head}<br>{html.escape(prompt)}{text}</div>'
        for head, text in zip(heads, (before, "".join(marked)))
    )
    return f'<div class="course-row studio-sample">{"".join(columns)}</div>'


def controls():
    """The sliders and choices of the studio, by name."""
    scores, rules = names.scores(), names.rules()
    return {
        "step": log_slider(
            "Q", 0.0001, 1, None, _("step between two levels, in the unit of the weights"), off=True
        ),
        "theta": log_slider(
            "θ", 0.001, 100000, None, _("what scores at most θ is removed"), off=True
        ),
        "score": choice(
            _("score"),
            {scores[name]: name for name in SCORES},
            "magnitude",
            _("what θ cuts: |w|, the document's Σw²/Σw⁴, or |w| times its input"),
        ),
        "on": choice(
            _("removes"),
            {_("weight"): "weight", _("unit"): "unit"},
            "weight",
            _("single weights, or whole output neurons"),
        ),
        "rule": choice(
            _("rule"),
            {rules[name]: name for name in ("step", *RULES)},
            "step",
            _("rounding: steps of Q, or bits with a scale for every 32 inputs"),
        ),
        "bits": slider(_("bits"), 2, 8, 1, 4, _("of a code, for the rules absmax and affine")),
        "storage": choice(
            _("storage"),
            {_("fixed"): "fixed", _("entropy"): "entropy"},
            "fixed",
            _("bits of one width, or an entropy coder"),
        ),
    }


class SmallStudio(Explorer):
    """The studio with nothing on it but Q and theta, for one shipped model.

    Args:
        model: Name of a shipped model.

    Attributes:
        trail: By model, the `(bytes, accuracy)` of every setting visited.
    """

    def __init__(self, model):
        fixed = {"model": model, "score": "magnitude", "on": "weight", "storage": "fixed"}
        self.trail = {}
        super().__init__(
            functools.partial(compute, **fixed),
            self.with_trail,
            step=controls()["step"],
            # It scores by size alone: at 1 hardly a weight is left.
            theta=log_slider(
                "θ", 0.001, 1, None, _("weights of at most θ in size are removed"), off=True
            ),
        )

    def with_trail(self, result):
        """Renders a result after those before it, and remembers it."""
        visited = self.trail.setdefault(result.settings["model"], [])
        items = render(result, visited)
        visited.append((result.ledger.total, result.accuracy))
        return items


def later(seconds, work):
    """Does some work when the page has had time to show what came before it.

    Returns:
        A handle with `cancel()`; `None` where nothing runs that could wait: then it is done at once.
    """
    try:
        return asyncio.get_running_loop().call_later(seconds, work)
    except RuntimeError:
        return work()


class Studio(Explorer):
    """The explorer with everything on it: models, trail, text sample, and a button for the test
    set.

    Args:
        *models: The models to choose from; the first is opened. If left out some that are shipped,
            and those that were added.

    Attributes:
        question: What a model that searches is asked; shown where there is one.
    """

    with_trail = SmallStudio.with_trail

    def __init__(self, *models):
        models = models or ("docs-base", "docs-tiny", "tales", "digits-mlp", *added())
        self.trail, self.sample = {}, ipywidgets.HTML(layout={"width": "100%"})
        self.question = ipywidgets.Text(
            QUESTION, description=_("question"), continuous_update=False, layout={"width": "100%"}
        )
        self.waiting = None  # the text that is still to be written
        whole = {"width": "auto", "flex": "0 0 auto"}  # a long answer would squeeze it
        self.button = ipywidgets.Button(description=_("Measure on the test set"), layout=whole)
        self.verdict = ipywidgets.HTML()
        self.clock = ipywidgets.Button(description=_("Measure the speed"), layout=whole)
        self.pace = ipywidgets.HTML()
        picked = {
            "model": choice(
                _("model"), list(models), models[0], _("shipped with the course, or added")
            )
        }
        super().__init__(compute, self.with_trail, without_use, **picked, **controls())
        test = ipywidgets.HBox([self.button, self.verdict])
        pace = ipywidgets.HBox([self.clock, self.pace])
        self.children = (*self.children, test, pace, self.question, self.sample)
        self.button.on_click(lambda button: self.test())
        self.clock.on_click(lambda button: self.time())
        self.question.observe(lambda change: self._write(), "value")

    def _show(self, result):
        super()._show(result)
        self.verdict.value = self.pace.value = ""
        if self.waiting:
            self.waiting.cancel()
        self.waiting = later(QUIET, self._write)

    def _write(self):
        """Shows what the original and the compressed model write, or find."""
        here, settings = self._setting()
        asked = hasattr(here.task, "question")
        self.question.layout.display = "" if asked else "none"
        try:
            samples = here.samples(self.question.value if asked else None, **settings)
        except ValueError as error:
            self.sample.value = f'<div class="course-message">{html.escape(str(error))}</div>'
        else:
            self.sample.value = compared(*samples) if samples else ""

    def _setting(self):
        """Returns the bench of the model that is shown, and what was done to its weights."""
        settings = dict(self.result.settings)
        del settings["storage"]
        return bench(settings.pop("model")), settings

    def time(self):
        """Times the current setting beside the original, in an engine that has a kernel for 8-bit
        weights."""
        here, settings = self._setting()
        self.pace.value = _("some seconds ...")
        found = here.pace(**settings)
        floats, codes = (
            _("{times:.2f} ({low:.2f} to {high:.2f})").format(
                times=found[name].speedup, low=found[name].interval[0], high=found[name].interval[1]
            )
            for name in list(found)[1:]
        )
        told = _(
            "one input in LiteRT, one thread, beside the original in float32: this setting in float32 {floats} times as fast, with 8-bit weights {codes} times"
        ).format(floats=floats, codes=codes)
        self.pace.value = f'<span class="studio-test">{told}</span>'

    def test(self):
        """Measures the current setting, and the original, on the test split."""
        here, settings = self._setting()
        before, after = here.report(**settings)
        verdict = _(
            "test set: accuracy {after:.1%} (original {before:.1%}), perplexity {perplexity:.2f} (original {original:.2f})"
        ).format(
            after=after.accuracy,
            before=before.accuracy,
            perplexity=after.perplexity,
            original=before.perplexity,
        )
        self.verdict.value = f'<span class="studio-test">{verdict}</span>'
        if hasattr(here.task, "question") and self.question.value.strip():
            found = here.answers(self.question.value, (before, after))
            self.sample.value = compared(*found)
