"""A text that appears while a model writes it, and can be stopped."""

import asyncio
import html
import time

import ipywidgets

from course_utils.datasets import docs
from course_utils.decoding.prompts import typed
from course_utils.decoding.sampling import Sampling
from course_utils.decoding.windows import stream_on
from course_utils.text import _
from course_utils.widgets.explorer import STYLE
from course_utils.widgets.html import cards, readout, words
from course_utils.widgets.sampling import controls

CHUNK = 4  # tokens between two looks at what was pressed
UPDATE = 0.05  # seconds between two pictures of the text: each is sent as a whole
LOOK = "white-space: pre-wrap; font-family: var(--jp-code-font-family, monospace); font-size: 13px"


class Stream(ipywidgets.VBox):
    """A box for a prompt, what decides the draws, and the text, which appears while it is written.

    Between two chunks the kernel sees what was pressed meanwhile: it is all one thread. Where no
    event loop runs, as in plain Python, the text is written at once.

    Args:
        model: A `DecoderLM` that knows the tokens of `datasets.docs`.
        prompt: What stands in the box at first.

    Attributes:
        tokens: What was written last, a list of token ids without the prompt.
        writing: Whether it writes.

    Raises:
        ValueError: If the model knows other tokens.
    """

    def __init__(self, model, prompt="Returns the "):
        self.model, self.tokenizer = model, docs.tokenizer()
        known, ours = model.config["vocabulary"], self.tokenizer.get_vocab_size()
        if known != ours:
            raise ValueError(f"model must know the {ours} tokens of docs, got one of {known}")
        self.prompt = ipywidgets.Textarea(
            prompt, description=_("prompt"), rows=2, layout={"width": "auto", "max_width": "700px"}
        )
        self.start = ipywidgets.Button(description=_("Write"))
        self.end = ipywidgets.Button(description=_("Stop"))
        self.message, self.numbers, self.text = (ipywidgets.HTML() for _part in range(3))
        self.controls, self.steps, self.tokens = controls(), None, []
        self.compiled = set()  # the ways of drawing whose loops were compiled
        style = ipywidgets.HTML(STYLE, layout={"display": "none"})
        moved = [control.widget for control in self.controls.values()]
        buttons = ipywidgets.HBox([self.start, self.end])
        super().__init__(
            [style, self.prompt, *moved, buttons, self.message, self.numbers, self.text]
        )
        self.add_class("course-explorer")
        self.say("")
        self.start.on_click(lambda button: self.write())
        self.end.on_click(lambda button: self.stop())
        for control in self.controls.values():
            control.observe(lambda change: self.moved(), ("value", "problem"))

    @property
    def writing(self):
        return self.steps is not None

    def moved(self):
        """Closes what changes nothing where nothing is drawn; says what was typed wrongly."""
        greedy = self.controls["temperature"].value == 0
        reason = _("Not used: at temperature 0 nothing is drawn.") if greedy else ""
        for name in ("top_k", "top_p", "min_p", "seed"):
            if self.controls[name].idle != reason:
                self.controls[name].rest(reason)
        if self.wrong or self.problem():
            self.say(self.problem(), wrong=bool(self.problem()))

    def problem(self):
        return " ".join(one.problem for one in self.controls.values() if one.problem)

    def read(self):
        """Returns the tokens of the prompt, how many are wanted, and how they are drawn; raises
        `ValueError` with a sentence for the learner."""
        if problem := self.problem():
            raise ValueError(problem)
        if not self.prompt.value:
            raise ValueError(_("The prompt is empty: type at least one character."))
        prompt, most = typed(self.tokenizer, self.prompt.value), self.model.config["context"] - 1
        if len(prompt) > most:
            sentence = _("The prompt has {count} tokens; there is room for {most}: shorten it.")
            raise ValueError(sentence.format(count=len(prompt), most=most))
        values = {name: control.value for name, control in self.controls.items()}
        return prompt, values.pop("length"), Sampling(**values)

    def write(self):
        """Begins to write; whatever was being written is left as it stands and forgotten."""
        self.steps = None
        try:
            prompt, length, sampling = self.read()
        except ValueError as error:
            self.say(str(error), wrong=True)
            return
        self.say(_("Writing …"))
        self.tokens, steps = [], self.chunks(prompt, length, sampling)
        self.steps = steps
        try:
            loop = asyncio.get_running_loop()
        except RuntimeError:
            while self.goes_on(steps):
                pass
        else:
            self.task = loop.create_task(self.beside(steps))

    async def beside(self, steps):
        """Writes chunk by chunk, and lets the kernel see to its messages after each."""
        while self.goes_on(steps):
            await asyncio.sleep(0)

    def goes_on(self, steps):
        """Writes one more chunk, if it was not stopped or overtaken; returns whether it was."""
        if self.steps is not steps:
            return False
        try:
            return next(steps, None) is not None
        except BaseException:  # an interrupted kernel, or a mistake, which is raised
            self.stop()
            raise

    def stop(self):
        """Ends the writing; what was written stays."""
        if self.writing:
            self.steps = None
            self.say(_("Stopped after {count} tokens.").format(count=len(self.tokens)))

    def chunks(self, prompt, length, sampling):
        """Writes and shows chunk after chunk; yields how many tokens there are."""
        kind, context = (sampling.greedy, sampling.filters), self.model.config["context"]
        note = "" if kind in self.compiled else _("with compiling, the first time")
        opening, end = self.prompt.value, self.tokenizer.token_to_id(docs.END)
        begun, shown, self.times = time.perf_counter(), 0, []
        self.show(opening, note)
        for new in stream_on(self.model, prompt, length, sampling, CHUNK, end):
            self.tokens += new.tolist()
            now = time.perf_counter()
            self.times.append((now - begun, len(self.tokens)))
            if now - shown > UPDATE:
                self.show(opening, note)
                shown = now
            if len(prompt) + len(self.tokens) >= context:  # compiled for every size of the caches
                self.compiled.add(kind)
            yield len(self.tokens)
        self.show(opening, note)
        self.steps = None
        self.say(_("Done: {count} tokens.").format(count=len(self.tokens)))

    def show(self, opening, note):
        """Shows the text so far, and how fast it came."""
        written = self.tokenizer.decode(self.tokens, skip_special_tokens=False)
        self.text.value = (
            f'<div class="stream-text" style="{LOOK}"><b>{html.escape(opening)}</b>'
            f"{html.escape(written)}</div>"
        )
        first, rate = self.speed()
        together = _("they come {count} at a time").format(count=CHUNK)
        self.numbers.value = cards(
            readout(_("time to first token"), first, "stream-first", note),
            readout(_("tokens a second after it"), rate, "stream-rate", note),
            readout(_("tokens"), len(self.tokens), "stream-count", together),
        )

    def speed(self):
        """Returns the time to the first tokens and the tokens a second after them, as text."""
        if not self.times:
            return "…", "…"
        (first, before), (last, count) = self.times[0], self.times[-1]
        rate = f"{(count - before) / (last - first):,.0f}" if last > first else "…"
        return _("{time:,.0f} ms").format(time=1000 * first), rate

    def say(self, sentence, wrong=False):
        """Says what happens, or what is wrong, on the page and to screen readers."""
        self.wrong, kind = wrong, "course-message" if wrong else "course-note"
        shown = f'<div class="{kind}">{html.escape(sentence)}</div>' if sentence else ""
        self.message.value = f'<div role="status" aria-live="polite">{shown}</div>'

    def _repr_mimebundle_(self, **kwargs):
        """The live widget, and for pages without a kernel what it says in words."""
        settings = ", ".join(
            f"{control.name} = {control.said}" for control in self.controls.values()
        )
        said = [
            f"{_('prompt')}: {self.prompt.value}",
            settings,
            self.numbers.value,
            self.text.value,
        ]
        return {**super()._repr_mimebundle_(**kwargs), "text/plain": words(said)}, {}
