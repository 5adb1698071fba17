"""What a notebook uses to talk: source code, verdicts on the document, exercises."""

import html
import inspect
import pathlib
import textwrap

from IPython.display import HTML, Markdown
from jupyterlab_pygments import JupyterStyle
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexers import PythonLexer

from course_utils import document
from course_utils.checks import one_of
from course_utils.exercises import all_exercises

NOTEBOOKS = pathlib.Path(__file__).resolve().parent.parent / "notebooks"


def source(*things):
    """Shows the source of functions or classes as the course really runs it.

    Args:
        *things: Functions, methods or classes of `course_utils`.

    Returns:
        HTML: highlighted code in the colours of JupyterLab's theme, whose long lines scroll.
    """
    text = "\n\n\n".join(textwrap.dedent(inspect.getsource(thing)).rstrip() for thing in things)
    colours = HtmlFormatter(style=JupyterStyle, noclasses=True, nobackground=True,
                            prestyles="white-space: pre; overflow-x: auto; padding: 0.5em 0 0.5em 1em")
    return HTML(highlight(text, PythonLexer(), colours))


def claims(*sections):
    """Shows what the document states in some sections and what came out when it was run.

    Args:
        *sections: Section numbers of the document, such as `"3.2.1"`; subsections are included.

    Returns:
        An HTML table with its verdicts.
    """
    rows = "".join(f"<tr><td>{claim.section}</td><td><b>{claim.verdict}</b></td><td>{said(claim)}</td></tr>"
                   for section in sections for claim in document.claims(section))
    head = "".join(f"<th scope='col' style='width: {width}'>{name}</th>" for name, width in
                   (("section", "5em"), ("verdict", "8em"), ("what it says, <i>and what came out</i>", "auto")))
    style = ("<style>.claims {table-layout: fixed; width: 100%} .claims td, .claims th {text-align: left !important; "
             "vertical-align: top; white-space: normal}</style>")
    return HTML(f"{style}<table class='claims'><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>")


def said(claim):
    """Returns quote, meaning, reason and repaired form of a claim as HTML, in which Jupyter sets the formulas."""
    repaired = f"<br>As it should read: {typeset(claim.repaired)}" if claim.repaired else ""
    return (f"<span lang='zh'>{typeset(claim.quote)}</span><br>{html.escape(claim.states)} "
            f"<i>{html.escape(claim.because)}</i>{repaired}")


def typeset(text):
    """Returns a quote or a formula as HTML: LaTeX between dollars, which Jupyter sets, and pieces of it as code."""
    if "\\" not in text or "$" in text:
        return html.escape(text)
    whole = "&" not in text and "\\begin" not in text
    return f"${html.escape(text)}$" if whole else f"<code>{html.escape(text)}</code>"


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
            where = (f"<a href='{known.notebook}.ipynb'>{known.notebook}</a>" if (NOTEBOOKS / f"{known.notebook}.ipynb").is_file()
                     else "here")
            parts.append(f"<p style='margin-top: 1.2em'><b>{known.number} <span lang='zh'>{html.escape(known.chinese)}</span> · "
                         f"{html.escape(known.english)}</b> ({where})</p>")
            found = [claim for claim in document.CLAIMS if claim.section == known.number]
            parts += [f"<p style='margin-left: 1.5em'><b>{claim.verdict}</b>: {said(claim)}</p>" for claim in found]
    return HTML("".join(parts))


OUTCOMES = {"correct": ("✔", "#0a7d4f"), "incorrect": ("✘", "#b3261e"), "not attempted": ("…", "#6b6b6b"),
            "raised": ("!", "#a65f00")}


class Outcome:
    """How an answer fared: `outcome` is one of `OUTCOMES`, `message` says why."""

    def __init__(self, outcome, message):
        self.outcome, self.message = one_of("outcome", outcome, OUTCOMES), message

    def __repr__(self):
        return f"{self.outcome}: {self.message}"

    def _repr_html_(self):
        mark, color = OUTCOMES[self.outcome]
        return (f"<div style='border-left: 4px solid {color}; padding: 4px 12px'><b style='color: {color}'>"
                f"{mark} {self.outcome}</b><br>{html.escape(self.message)}</div>")


class ExerciseView:
    """An exercise as a notebook uses it: `check`, `hint`, `solution`."""

    def __init__(self, exercise):
        self._exercise = exercise

    def check(self, answer):
        """Tries the learner's answer.

        Args:
            answer: A function or a value; `...` or `None`, or a function that returns one of
                these, counts as not attempted.

        Returns:
            An `Outcome`: correct, incorrect, not attempted, or raised.
        """
        if answer is None or answer is ...:
            return Outcome("not attempted", "Put your answer in place of the three dots, then run this again.")
        seen = []

        def watched(*args, **kwargs):
            seen.append(answer(*args, **kwargs))
            return seen[-1]

        try:
            self._exercise.test(watched if callable(answer) else answer)
        except AssertionError as problem:
            if seen and all(value is None or value is ... for value in seen):
                return Outcome("not attempted", "Your function returns nothing yet.")
            return Outcome("incorrect", str(problem) or "Not yet; .hint() gives one step.")
        except Exception as problem:
            if seen and all(value is None or value is ... for value in seen):
                return Outcome("not attempted", "Your function returns nothing yet.")
            return Outcome("raised", f"{type(problem).__name__}: {problem}")
        return Outcome("correct", self._exercise.why)

    def hint(self):
        """Shows one step towards the answer."""
        return Markdown(f"**Hint.** {self._exercise.hint}")

    def solution(self):
        """Shows an answer that passes, and why it does."""
        answer = self._exercise.solution
        shown = textwrap.dedent(inspect.getsource(answer)).rstrip() if callable(answer) else repr(answer)
        return Markdown(f"```python\n{shown}\n```\n{self._exercise.why}")


def exercise(id):
    """Returns an exercise to check an answer with.

    Example:

    >>> lesson.exercise("03-1-clamp").check(my_function)
    correct: ...
    """
    known = all_exercises()
    return ExerciseView(known[one_of("exercise", id, known)])


def refresh(paths=()):
    """Runs notebooks from top to bottom and saves their outputs, without widget state.

    Args:
        paths: Notebooks; all of the course if left out.
    """
    import nbformat
    from nbclient import NotebookClient

    from course_utils import files

    for path in map(pathlib.Path, paths or sorted(NOTEBOOKS.glob("*.ipynb"))):
        notebook = nbformat.read(path, as_version=4)
        print(f"running {path.name}", flush=True)
        NotebookClient(notebook, timeout=300, kernel_name="python3", store_widget_state=False,
                       resources={"metadata": {"path": str(path.parent)}}).execute()
        notebook.metadata.pop("widgets", None)
        for cell in notebook.cells:
            cell.metadata.pop("execution", None)  # times of this run, which say nothing to a reader
            if cell.cell_type == "code":
                cell.outputs = joined(cell.outputs)
        files.write(path, nbformat.writes(notebook) + "\n")


def joined(outputs):
    """Joins what a cell printed in several pieces, as a page shows it."""
    whole = []
    for output in outputs:
        if whole and output.output_type == "stream" and whole[-1].get("name") == output.name:
            whole[-1].text += output.text
        else:
            whole.append(output)
    return whole
