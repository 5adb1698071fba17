"""Text that appears while it is written: it can be stopped, begun again, and asked for nonsense."""

import asyncio
import html
import os
import pathlib
import re

import ipywidgets
import nbformat
import numpy as np
import pytest
import small
import tokenizers
from browser import axe, browser, jupyter, open_notebook, run_all, screenshot
from sweep import kernel, move_everything

from course_utils import decoding, doctor, text
from course_utils.datasets import docs
from course_utils.decoding.prompts import typed
from course_utils.decoding.windows import stream_on
from course_utils.widgets import stream
from course_utils.widgets.stream import Stream

END = 0  # the id of docs.END


@pytest.fixture(scope="module")
def model():
    """A small untrained model of the tokens of docs; it says all of them about as often."""
    return small.decoder(vocabulary=512, context=64)


@pytest.fixture
def widget(model):
    made = Stream(model, "Returns")
    made.controls["length"].value = 40
    yield made
    made.close()


def seen(widget):
    """The text on the page."""
    return widget.text.value.rpartition("</b>")[2].removesuffix("</div>")


def said(widget):
    return re.sub(r"<[^>]+>", "", widget.message.value)


def shown(tokens):
    return html.escape(docs.tokenizer().decode(tokens, skip_special_tokens=False))


# --- what is typed -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "prompt", ["Returns", " a", "中文 é 😀\n\tx\x00", "   ", "\u202e", "a" * 300]
)
def test_every_character_comes_back(prompt):
    ids = typed(docs.tokenizer(), prompt)
    assert docs.tokenizer().decode(ids, skip_special_tokens=False) == prompt


def test_a_mark_that_is_typed_is_characters():
    tokenizer = docs.tokenizer()
    assert tokenizer.encode(docs.END).ids == [END]  # what would happen without care
    ids = typed(tokenizer, f"a{docs.END}b{docs.END}")
    assert END not in ids and tokenizer.decode(ids) == f"a{docs.END}b{docs.END}"
    assert tokenizer.encode(docs.END).ids == [END]  # and code may still place a mark


def test_what_a_tokenizer_does_not_know_is_said():
    few = tokenizers.Tokenizer(tokenizers.models.BPE({"a": 0, "b": 1}, []))
    few.decoder = tokenizers.decoders.Fuse()
    assert typed(few, "ab").tolist() == [0, 1]
    for tokenizer, prompt, says in (
        (few, "a中b", "must know every character, got '中'"),
        (docs.tokenizer(), "a\ud800", "must know every character, got '\\\\ud800'"),
        (few, "", "at least one character, got ''"),
        (few, None, "at least one character, got None"),
    ):
        with pytest.raises(ValueError, match=says):
            typed(tokenizer, prompt)


# --- texts longer than the context ---------------------------------------------------------------


def test_a_text_goes_on_where_the_context_is_full(model):
    written = [3, 1, 4]
    for new in stream_on(model, written[:], 150, chunk=7):
        written += new.tolist()
    assert len(written) == 153
    first = decoding.generate(model, [3, 1, 4], 61)
    second = decoding.generate(model, first[-32:], 32)
    third = decoding.generate(model, second[-32:], 32)
    assert written[:128] == [*first, *second[32:], *third[32:]]
    drawn = np.concatenate(list(stream_on(model, [3], 200, decoding.Sampling(1.0, seed=1))))
    assert drawn[63:95].tolist() != drawn[95:127].tolist()


def test_a_long_text_ends_at_its_mark(model):
    whole = np.concatenate(list(stream_on(model, [3], 150, decoding.Sampling(1.0)))).tolist()
    mark = whole[100]
    found = np.concatenate(list(stream_on(model, [3], 150, decoding.Sampling(1.0), end=mark)))
    assert found.tolist() == whole[: whole.index(mark)]


# --- the widget, without a loop ------------------------------------------------------------------


def test_without_a_loop_it_writes_at_once(widget, model):
    widget.controls["temperature"].value = 0
    widget.start.click()
    prompt = typed(docs.tokenizer(), "Returns")
    whole = decoding.generate(model, prompt, 40)[len(prompt) :].tolist()
    whole = whole[: whole.index(END)] if END in whole else whole
    assert widget.tokens == whole and not widget.writing
    assert seen(widget) == shown(whole)
    assert said(widget) == f"Done: {len(whole)} tokens."
    assert ">Returns</b>" in widget.text.value and "stream-first" in widget.numbers.value


def test_the_controls_decide_the_draws(widget):
    def text_of(**values):
        for name, value in {"temperature": 1.0, "top_p": 1.0, "seed": 0, **values}.items():
            widget.controls[name].value = value
        widget.write()
        return widget.tokens

    plain, again, other = text_of(), text_of(), text_of(seed=1)
    assert plain == again != other
    greedy = text_of(temperature=0)
    assert text_of(top_p=0) == text_of(top_k=1, top_p=1.0) == greedy != plain
    widget.controls["top_k"].value = 0
    assert text_of(min_p=1.0) == greedy and "must" not in said(widget)


def test_at_temperature_0_what_does_nothing_is_closed(widget):
    widget.controls["temperature"].value = 0
    for name in ("top_k", "top_p", "min_p", "seed"):
        assert widget.controls[name].idle and widget.controls[name].box.disabled
    widget.controls["temperature"].value = 0.5
    assert not widget.controls["top_p"].idle and not widget.controls["top_p"].box.disabled


def test_nonsense_is_one_sentence_and_the_last_text_stays(widget):
    widget.write()
    good = widget.text.value
    for prompt, says in (
        ("", "The prompt is empty: type at least one character."),
        ("é" * 40, "The prompt has 80 tokens; there is room for 63: shorten it."),
        ("a\ud800", "the tokenizer must know every character"),
    ):
        widget.prompt.value = prompt
        widget.start.click()
        assert said(widget).startswith(says) and "course-message" in widget.message.value
        assert widget.text.value == good and not widget.writing
    widget.prompt.value = "Returns"
    widget.controls["temperature"].value = 0.005
    widget.start.click()
    assert said(widget) == "temperature must be a number from 0.01 to 100, got 0.005"
    widget.controls["temperature"].box.value = "hot"
    widget.start.click()
    assert said(widget).startswith("temperature must be a number from 0 to 2; got &#x27;hot")
    widget.controls["temperature"].box.value = "1"
    assert said(widget) == ""
    widget.start.click()
    assert said(widget).startswith("Done")


def test_a_typed_mark_and_strange_characters_are_written_on(widget):
    for prompt in (docs.END, f"x{docs.END}", "<b>&中😀"):
        widget.prompt.value = prompt
        widget.start.click()
        assert said(widget).startswith("Done") and len(widget.tokens) > 0
        assert shown(typed(docs.tokenizer(), prompt).tolist()) in widget.text.value
    assert "<b>&中" not in widget.text.value


def test_a_model_of_other_tokens_is_refused():
    with pytest.raises(ValueError, match="must know the 512 tokens of docs, got one of 64"):
        Stream(small.decoder())


# --- the widget, in a running loop ---------------------------------------------------------------


async def until(happens, seconds=60):
    """Lets the loop go on until something happens."""
    for _turn in range(round(seconds / 0.001)):
        if happens():
            return
        await asyncio.sleep(0.001)
    raise AssertionError("it did not happen")


def test_stop_is_seen_while_it_writes(widget, model, monkeypatch):
    monkeypatch.setattr(stream, "UPDATE", 0)
    widget.controls["length"].value = 2000
    pages = []
    widget.text.observe(lambda change: pages.append(seen(widget)), "value")

    async def press():
        widget.start.click()
        assert widget.writing and widget.tokens == []  # nothing is written before the loop goes on
        await until(lambda: len(widget.tokens) >= 12)
        widget.end.click()
        stopped = list(widget.tokens)
        await asyncio.sleep(0.2)
        assert widget.tokens == stopped and not widget.writing
        assert widget.task.done() and widget.task.exception() is None

    asyncio.run(press())
    assert 12 <= len(widget.tokens) < 200
    assert said(widget) == f"Stopped after {len(widget.tokens)} tokens."
    assert len(pages) >= 3 and all(late.startswith(soon) for soon, late in zip(pages, pages[1:]))
    prompt = typed(docs.tokenizer(), "Returns")
    how = decoding.Sampling(0.8, top_p=0.95)
    assert decoding.generate(model, prompt, 12, how)[len(prompt) :].tolist() == widget.tokens[:12]


def test_write_while_it_writes_begins_anew(widget):
    async def press():
        widget.controls["length"].value = 2000
        widget.start.click()
        await until(lambda: len(widget.tokens) >= 12)
        first, old = widget.task, widget.tokens
        widget.prompt.value = "Raises"
        widget.controls["length"].value = 20
        widget.start.click()
        count = len(old)
        await until(lambda: not widget.writing)
        await until(first.done)
        assert len(old) == count and widget.tokens is not old
        assert first.exception() is None and widget.task.exception() is None

    asyncio.run(press())
    assert said(widget) == f"Done: {len(widget.tokens)} tokens." and len(widget.tokens) <= 20
    assert ">Raises</b>" in widget.text.value and seen(widget) == shown(widget.tokens)


def test_nonsense_while_it_writes_ends_what_was_written(widget):
    async def press():
        widget.controls["length"].value = 2000
        widget.start.click()
        await until(lambda: len(widget.tokens) >= 4)
        widget.prompt.value = ""
        widget.start.click()
        count = len(widget.tokens)
        await until(widget.task.done)
        assert len(widget.tokens) == count and "empty" in said(widget)

    asyncio.run(press())


def test_a_mistake_is_raised_and_the_widget_goes_on(widget, monkeypatch):
    usual = stream.stream_on

    def broken(*args):
        yield from list(usual(*args))[:2]
        raise ZeroDivisionError

    async def press():
        monkeypatch.setattr(stream, "stream_on", broken)
        widget.start.click()
        await until(widget.task.done)
        assert isinstance(widget.task.exception(), ZeroDivisionError) and not widget.writing
        monkeypatch.setattr(stream, "stream_on", usual)
        widget.start.click()
        await until(widget.task.done)

    asyncio.run(press())
    assert said(widget).startswith("Done")


# --- what a page holds ---------------------------------------------------------------------------


def parts(widget):
    found = [widget]
    for part in found:
        found += getattr(part, "children", ())
    return found


class Pseudo(dict):
    """A catalogue that translates every sentence: it puts the sentence between two marks."""

    def get(self, sentence, default=None):
        return f"«{sentence}»"


def test_everything_that_is_said_can_be_translated(model, monkeypatch):
    monkeypatch.setattr(text, "CATALOGUE", Pseudo())
    widget = Stream(model)
    names = [part.description for part in parts(widget) if getattr(part, "description", "")]
    assert len(names) == 9 and all(name.startswith("«") for name in names)
    widget.prompt.value = ""
    widget.write()
    assert said(widget).startswith("«The prompt is empty")


def test_it_is_named_and_speaks(widget):
    assert 'role="status" aria-live="polite"' in widget.message.value
    assert not [part for part in parts(widget) if isinstance(part, ipywidgets.Output)]
    assert all(part.description for part in parts(widget) if isinstance(part, ipywidgets.Text))
    words = widget._repr_mimebundle_()[0]["text/plain"]
    assert "prompt: Returns" in words and "temperature = 0.8" in words


CELL = """
from course_utils import models
from course_utils.widgets.stream import Stream

writer = Stream(models.load("docs-tiny"))
writer.controls["length"].value = 2000
writer
"""


def test_a_sweep_moves_every_control(tmp_path):
    with kernel(tmp_path) as here:
        assert here.run(CELL, 120)[1] is None
        moves = move_everything(here, "lesson.ipynb")
        assert len({owner for owner, _, _ in moves}) >= 1 and len(moves) == 6 * 3
        printed, error = here.run("print(writer.controls['temperature'].value)", 60)
        assert (printed, error) == ("0.8\n", None)


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.skipif(doctor.browser() is None, reason="no Chromium, Chrome or Edge here")
def test_a_learner_writes_stops_and_writes_again(tmp_path):
    shots = pathlib.Path(os.environ.get("COURSE_SCREENSHOTS", tmp_path))
    kind = {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}
    endless = "from course_utils.datasets import docs\ndocs.END = 'no mark'"
    cells = [nbformat.v4.new_code_cell(cell) for cell in (endless, CELL)]
    nbformat.write(nbformat.v4.new_notebook(cells=cells, metadata=kind), tmp_path / "stream.ipynb")
    with jupyter(tmp_path / "stream.ipynb") as server, browser(server) as page:
        open_notebook(page, "stream.ipynb")
        run_all(page)
        box = page.get_by_label("prompt", exact=True)
        box.fill("Computes the ")
        write, stop = (
            page.get_by_role("button", name=name, exact=True) for name in ("Write", "Stop")
        )
        status = page.locator('.course-explorer [role="status"]')
        length = "(document.querySelector('.stream-text')?.innerText.length ?? 0)"

        write.focus()
        page.keyboard.press("Enter")
        page.wait_for_function(f"{length} > 30")
        some = page.evaluate(length)
        assert status.inner_text() == "Writing …"
        page.wait_for_function(f"{length} > {some}")
        stop.focus()
        page.keyboard.press("Space")
        page.wait_for_function(
            "document.querySelector('.course-explorer [role=status]').innerText.startsWith('Stopped')"
        )
        stopped = page.locator(".stream-text").inner_text()
        assert stopped.startswith("Computes the ")
        page.wait_for_timeout(500)
        assert page.locator(".stream-text").inner_text() == stopped and len(stopped) < 4000
        screenshot(page, shots / "stream.png", 1280, show=".course-explorer")

        box.fill("Raises ")
        write.click()
        page.wait_for_function(
            "document.querySelector('.stream-text').innerText.startsWith('Raises')"
        )
        write.click()  # while it writes
        page.wait_for_function(f"{length} > 60")
        stop.click()
        page.wait_for_function(
            "document.querySelector('.course-explorer [role=status]').innerText.startsWith('Stopped')"
        )
        box.fill("")
        write.click()
        page.locator(".course-message").wait_for()
        assert status.inner_text() == "The prompt is empty: type at least one character."
        assert axe(page) == []
