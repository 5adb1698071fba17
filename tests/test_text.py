"""A second language can come: all that a learner reads goes through `_`, as whole sentences."""

import ast
import html
import re
import string

import ipywidgets
import numpy as np
import pytest

from course_utils import text
from course_utils.evaluation.products import Roofline
from course_utils.files import ROOT
from course_utils.lessons.frontier_pruning.explorers import pattern_explorer
from course_utils.lessons.frontier_quantization.explorers import pair_explorer
from course_utils.lessons.mathematics import explorers as mathematics
from course_utils.lessons.pruning.explorers import importance_explorer
from course_utils.lessons.quantization.explorers import outlier_explorer, rounding_explorer
from course_utils.lessons.trade_offs.explorers import Product, show_product
from course_utils.lessons.training.explorers import descent_explorer
from course_utils.widgets import Explorer, cards, readout, slider
from course_utils.widgets.html import page
from course_utils.widgets.studio import SmallStudio, controls

WORD = re.compile("[A-Za-z]{2,}")
MATRIX = np.random.default_rng(0).normal(0, 0.1, (64, 48)).astype(np.float32)


# ---- what is shown ------------------------------------------------------------------------------


class Pseudo(dict):
    """A catalogue that translates every sentence: it puts the sentence between two marks."""

    def get(self, sentence, default=None):
        return f"«{sentence}»"


@pytest.fixture(autouse=True)
def pseudo(monkeypatch):
    monkeypatch.setattr(text, "CATALOGUE", Pseudo())


def untranslated(shown, known=()):
    """The words of some HTML that stand outside all marks and are not known otherwise."""
    seen = re.sub(r"<style\b.*?</style>", " ", shown, flags=re.S)
    seen = " ".join([*re.findall(r'aria-label="([^"]*)"', seen), re.sub(r"<[^>]+>", " ", seen)])
    seen, found = html.unescape(seen), 1
    while found:
        seen, found = re.subn("«[^«»]*»", " ", seen)
    return [word for word in WORD.findall(seen) if word not in known]


def told(explorer):
    """Everything an explorer says: names, descriptions, options, numbers, charts, messages; and
    what a page without a kernel shows."""
    said, parts = [explorer._repr_mimebundle_()[0]["text/plain"]], [explorer]
    for part in parts:
        parts += getattr(part, "children", ())
        said += [getattr(part, "description", ""), *getattr(part, "_options_labels", ())]
        said += [part.value] if isinstance(part, (ipywidgets.HTML, ipywidgets.Text)) else []
    return "\n".join(said)


def values(explorer):
    """The words of the options' values, which code compares and nobody translates."""
    options = [getattr(control, "options", ()) for control in explorer.controls.values()]
    return {word for several in options for one in several for word in WORD.findall(str(one))}


def test_what_nobody_translated_is_found():
    card = cards(readout(text._("levels"), "8"), readout("bits a code", "3"))
    assert untranslated(card) == ["bits", "code"]
    plain = Explorer(lambda n: n, lambda n: "", n=slider("many", 0, 9, 1, 3, text._("of them")))
    plain.controls["n"].box.value = "nonsense"
    assert set(untranslated(told(plain), {"nonsense"})) == {"many"}


MADE = {
    "rounding": (lambda: rounding_explorer(MATRIX), "step", (0.001, 0.1)),
    "outlier": (lambda: outlier_explorer(MATRIX), "size", (0.5, 20.0)),
    "pattern": (lambda: pattern_explorer(MATRIX), "pattern", ("any", "runs", "units")),
    "descent": (descent_explorer, "rate", (0.1, 100.0)),
    "importance": (lambda: importance_explorer(MATRIX), "scale", (3.0,)),
    "pair": (pair_explorer, "correlation", (0.8,)),
    "step": (lambda: mathematics.step_explorer(mathematics.laws(MATRIX)), "step", (0.1, 5.0)),
    "clip": (lambda: mathematics.clip_explorer(mathematics.laws(MATRIX)), "law", ("trained",)),
    "slopes": (mathematics.slopes_explorer, "z", (3,)),
}


@pytest.mark.parametrize("name", MADE)
def test_an_explorer_says_nothing_that_could_not_be_translated(name):
    make, moved, visited = MADE[name]
    explorer = make()
    known = values(explorer)
    for value in visited:
        explorer.controls[moved].value = value
        assert untranslated(told(explorer), known) == []
    typed = next(control for control in explorer.controls.values() if hasattr(control, "box"))
    typed.box.value = "?"
    assert "«{allowed}; got {typed!r}.»" not in explorer.message.value  # its names are filled in
    assert "«" in explorer.message.value and untranslated(explorer.message.value) == []


def test_the_studio_says_nothing_that_could_not_be_translated():
    studio = SmallStudio("digits-mlp")
    assert "«off»" in told(studio)
    for step, theta in ((None, None), (0.1, None), (0.1, 0.05)):
        studio.controls["step"].value, studio.controls["theta"].value = step, theta
        assert untranslated(told(studio), {"ms"}) == []
    studio.controls["step"].box.value = "«off»"
    assert studio.result.settings["step"] is None
    for control in controls().values():
        description = control.widget.children[-1].value
        assert untranslated(description) == [] and untranslated(control.name) == []
        shown = getattr(getattr(control, "control", None), "_options_labels", ())
        assert untranslated(" ".join(shown)) == []


@pytest.mark.parametrize("batch", [1, 256])  # memory decides, arithmetic does
def test_a_product_under_its_roof_says_nothing_that_could_not_be_translated(batch):
    product = Product(Roofline(20e9, 100e9, 1), batch, 8, 0.001)
    assert untranslated(page(show_product(product)), {"GFLOP"}) == []


# ---- how it is written --------------------------------------------------------------------------

# Where the words of a call stand, beside title=, description=, label=, note= and name=.
SAID = {
    "Axis": [0],
    "Band": [2],
    "Bars": [3],
    "Button": [],
    "Chart": [],
    "Line": [2],
    "Number": [0, 3],
    "Points": [2],
    "Rule": [2],
    "Typed": [0, 2],
    "checkbox": [0, 2],
    "choice": [0, 3],
    "log_slider": [0, 4],
    "readout": [0, 1, 3],
    "skills_chart": [1],
    "slider": [0, 5],
}
PLACES = ("chart/*.py", "widgets/*.py", "lesson/*.py", "lessons/*/e*.py")
PLACES = [*PLACES, "evaluation/products.py", "storage/layouts.py"]
FILES = [path for place in PLACES for path in sorted((ROOT / "course_utils").glob(place))]


def called(node):
    """The name of what is called, without the module it is from."""
    function = getattr(node, "func", None)
    return getattr(function, "id", getattr(function, "attr", None))


def names_in(sentence):
    """What stands between the braces of a sentence."""
    return [name for _, name, *_ in string.Formatter().parse(sentence) if name is not None]


def bare(node):
    """Yields the texts of an expression that do not come from `_`; what is compared or looked up
    is none."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        if WORD.search(node.value):
            yield node.value
    elif isinstance(node, ast.JoinedStr):
        pieces = [piece.value for piece in node.values if isinstance(piece, ast.Constant)]
        if len(WORD.findall(" ".join(pieces))) > 1:
            yield ast.unparse(node)
    elif not isinstance(node, (ast.Compare, ast.Subscript)) and called(node) in (
        None,
        "format",
        "join",
    ):
        for child in ast.iter_child_nodes(node):
            yield from bare(child)


def hidden(function):
    """Whether a function that calls `_` also has a variable of this name."""
    inside = list(ast.walk(function))
    stored = (node for node in inside if isinstance(getattr(node, "ctx", None), ast.Store))
    calls = any(called(node) == "_" for node in inside)
    return calls and any(getattr(node, "id", None) == "_" for node in stored)


def faults(source, data=False):
    """Yields what is wrong with the words in some Python source.

    Args:
        source: Text of a module.
        data: Whether `_` may be given an attribute, such as a hint that stands with an exercise, or
            one of several.
    """
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and hidden(node):
            yield f"line {node.lineno}: _ is a variable in {node.name}, which calls it"
        if not isinstance(node, ast.Call):
            continue
        if called(node) == "_":
            plain = [arg.value for arg in node.args if isinstance(arg, ast.Constant)]
            kept = node.args[0].value if isinstance(node.args[0], ast.Subscript) else node.args[0]
            if data and isinstance(kept, ast.Attribute):
                continue
            if len(node.args) != 1 or not plain or not isinstance(plain[0], str):
                yield f"line {node.lineno}: not one plain sentence: {ast.unparse(node)}"
            elif not all(name.isidentifier() for name in names_in(plain[0])):
                yield f"line {node.lineno}: not filled in by name: {plain[0]!r}"
        sentence = getattr(node.func, "value", None)
        if called(node) == "format" and called(sentence) == "_":
            given, asked = {part.arg for part in node.keywords}, names_in(sentence.args[0].value)
            if None not in given and given != set(asked):
                yield f"line {node.lineno}: asks for {asked}, is given {sorted(given)}"
        if called(node) in SAID:
            spoken = [node.args[i] for i in SAID[called(node)] if i < len(node.args)]
            spoken += [
                part.value
                for part in node.keywords
                if part.arg in ("title", "description", "label", "note", "name")
            ]
            if called(node) == "choice":
                options = [part for part in node.args[1:2] if isinstance(part, ast.Dict)]
                spoken += [key for part in options for key in part.keys if key]  # None for a **
            for words in (words for one in spoken for words in bare(one)):
                yield f"line {node.lineno}: {called(node)} says {words!r}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_words_are_whole_sentences_with_names_to_fill_in(path):
    source = path.read_text(encoding="utf-8")
    assert list(faults(source, data=path.parent.name in ("lesson", "errata"))) == []


@pytest.mark.parametrize(
    "source",
    [
        '_(f"{bits} bits a weight")',
        '_("{} bits a weight")',
        '_("{0} bits a weight")',
        '_("bits " + what)',
        "_(name)",
        "_(claim.states)",
        '_("{bits} bits").format(bit=3)',
        "def show(pairs): return [_('how many') for name, _ in pairs]",
        'readout(f"{share:.0%} of the weights", 1)',
        'readout(_("share"), "1", note=f"all of them: {count}")',
        'Chart(marks, title="Weights" + ("" if grid else " (too close)"))',
        'Chart(marks, description=", ".join(f"{name} with {n} numbers" for name, n in many))',
        'chart.Axis("weight")',
        'Line(x, y, label="chance")',
        'choice(_("rule"), {"one scale": 1}, 1)',
        'slider("Q", 0, 1, 0.1, 0, "the step")',
    ],
)
def test_words_that_could_not_be_translated_are_found(source):
    assert list(faults(source))


@pytest.mark.parametrize(
    "source",
    [
        '_("one sentence " "on two lines, {count} in all").format(count=2)',
        'readout(_("accuracy"), f"{x:.1%}", "studio-accuracy", _("of all"))',
        """readout("Q²/12", f"{seen.errors['two words']:.1f} s")""",
        'Line(x, y, color="blue", label=known["the key"])',
        'choice(_("rule"), ["step", "absmax"], "step", _("how"))',
        'Chart(marks, title=_("one") if kind == "some kind" else _("other"))',
    ],
)
def test_words_as_they_should_be_are_left_alone(source):
    assert list(faults(source)) == []


def test_without_a_catalogue_a_sentence_stays_as_it_is(monkeypatch):
    monkeypatch.setattr(text, "CATALOGUE", {"{count} bits": "{count} 位"})
    assert text._("{count} bits").format(count=3) == "3 位"
    assert text._("{count} bytes").format(count=3) == "3 bytes"
