"""What a notebook shows: source code as it runs, and verdicts on the document."""

import ast
import html
import inspect
import re
import textwrap

from IPython.display import HTML
from jupyterlab_pygments import JupyterStyle
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_utils import document
from course_utils.document.sections import LESSONS
from course_utils.files import NOTEBOOKS
from course_utils.text import _
from course_utils.widgets.tables import Markup, Table


def source(*things, doc=True):
    """Shows the source of functions or classes as the course really runs it.

    Args:
        *things: Functions, methods or classes of `course_utils`.
        doc: Whether to show docstrings, too. Without them the code stands alone, where its talk
            would be longer than it is.

    Returns:
        HTML: highlighted code in the colours of JupyterLab's theme, whose long lines scroll.
    """
    parts = [textwrap.dedent(inspect.getsource(thing)).rstrip() for thing in things]
    text = "\n\n\n".join(parts if doc else map(without_docstrings, parts))
    colours = HtmlFormatter(
        style=JupyterStyle,
        noclasses=True,
        nobackground=True,
        prestyles="white-space: pre; overflow-x: auto; padding: 0.5em 0 0.5em 1em",
    )
    shown = highlight(text, PythonLexer(), colours)
    return HTML(
        shown.replace("<pre ", '<pre tabindex="0" ', 1)
    )  # what scrolls can be reached by keys


def without_docstrings(code):
    """Returns Python source without the docstrings of its functions and classes. All else stays as
    it is written, comments too; a body that was a docstring alone becomes three dots."""
    lines = code.split("\n")
    told = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    owners = [one for one in ast.walk(ast.parse(code)) if isinstance(one, told)]
    for owner in sorted(owners, key=lambda one: -one.lineno):  # from below: numbers stay right
        if ast.get_docstring(owner) is None:
            continue
        talk = owner.body[0]
        first, last = talk.lineno - 1, talk.end_lineno
        alone = [" " * talk.col_offset + "..."] if len(owner.body) == 1 else []
        while not alone and not lines[last].strip():  # the blank line after it goes with it
            last += 1
        lines[first:last] = alone
    return "\n".join(lines)


def card(*names):
    """Shows the reference card: what shipped models reach on each split, all on the same examples.

    Args:
        *names: Of models; all that are on the card if left out.

    Returns:
        A `Table`.
    """
    from course_utils.evaluation import reference  # wakes TensorFlow

    def quality(known, split):
        value = known[split]["quality"]
        return f"{value:.1f} dB" if known["measure"].startswith("dB") else f"{value:.1%}"

    rows = []
    for name in names or reference.card():
        known = reference.reference(name)
        perplexity = [known[split]["perplexity"] for split in reference.SPLITS]
        both = "" if None in perplexity else "{:.2f}, {:.2f}".format(*perplexity)
        judged = [quality(known, split) for split in reference.SPLITS]
        rows.append((name, f"{known['parameters']:,}", known["measure"], *judged, both))
    head = [_("model"), _("parameters"), _("quality"), _("validation"), _("test"), _("perplexity")]
    return Table(head, rows)


def claims(*sections):
    """Shows what the document states in some sections and what came out when it was run.

    Args:
        *sections: Section numbers of the document, such as `"3.2.1"`; subsections are included.

    Returns:
        A `Table` with their verdicts. Other lessons are links; the one that the first section
        belongs to is taken for the page that shows the table.
    """
    here = next((one.notebook for one in document.SECTIONS if one.number in sections[:1]), None)
    rows = [
        (Markup(claim.section), Markup(f"<b>{_(claim.verdict)}</b>"), Markup(said(claim, here)))
        for section in sections
        for claim in document.claims(section)
    ]
    head = [
        _("section"),
        _("verdict"),
        Markup(_("what it says, <i>and what came out</i>")),
    ]
    return Table(head, rows, widths=("5em", "8em", "auto"))


def said(claim, here=None):
    """Returns quote, meaning, reason, kind of evidence and repaired form of a claim as HTML, in which Jupyter sets
    the formulas, and lessons other than `here` are links. A claim keeps its plain English; it is
    translated here, where it is shown."""
    repaired = ""
    if claim.repaired:
        form = typeset(_(claim.repaired))
        repaired = "<br>" + _("As it should read: {form}").format(form=form)
    return (
        f"<span lang='zh'>{typeset(claim.quote)}</span><br>{linked(_(claim.states), here)} "
        f"<i>{linked(_(claim.because), here)}</i> ({_(claim.evidence)}){repaired}"
    )


def linked(text, here=None):
    """Returns a text as HTML in which the names of lessons other than `here` are links."""
    names = [one.notebook for one in LESSONS if one.notebook != here]
    known = re.compile(rf"\b({'|'.join(names)})\b")
    return known.sub(lambda found: link(found[1]), html.escape(text))


def link(notebook):
    """Returns the name of a lesson as a link to it, where it is there."""
    there = (NOTEBOOKS / f"{notebook}.ipynb").is_file()
    return f"<a href='{notebook}.ipynb'>{notebook}</a>" if there else notebook


def typeset(text):
    """Returns a quote or a formula as HTML: LaTeX between dollars, which Jupyter sets."""
    formula = "\\" in text and "$" not in text
    return f"${html.escape(text)}$" if formula else html.escape(text)


def errata(section):
    """Shows a section of the document heading by heading, each with what became of what it states.

    Args:
        section: A section number of the document, such as `"4"`; subsections are included.

    Returns:
        HTML: every heading with its lesson, and under it its claims with verdict and repaired form.
    """
    parts = []
    for known in document.SECTIONS:
        if known.number == section or known.number.startswith(section + "."):
            where = (
                link(known.notebook)
                if (NOTEBOOKS / f"{known.notebook}.ipynb").is_file()
                else _("here")
            )
            parts.append(
                f"<p style='margin-top: 1.2em'><b>{known.number} <span "
                f"lang='zh'>{html.escape(known.chinese)}</span> · "
                f"{html.escape(_(known.english))}</b> ({where})</p>"
            )
            found = [claim for claim in document.CLAIMS if claim.section == known.number]
            parts += [
                f"<p style='margin-left: 1.5em'><b>{_(claim.verdict)}</b>: {said(claim)}</p>"
                for claim in found
            ]
    return HTML("".join(parts))
