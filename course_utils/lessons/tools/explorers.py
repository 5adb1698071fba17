"""The plane on which lesson 7 lays its tools out."""

import numpy as np

from course_utils.chart import Axis, Chart, Note, Points
from course_utils.text import _

COLORS = {"by hand": "blue", "Keras": "vermillion", "LiteRT": "green"}


def plane(sizes, perplexity):
    """Shows files by what they take and how well they predict, a colour for each engine.

    Args:
        sizes: By name of a model, its bytes. The name begins with that of its engine, or belongs to
            the model as trained.
        perplexity: By the same names.

    Returns:
        A `Chart`.
    """
    engines = {"as trained": [], **{engine: [] for engine in COLORS}}
    for name in sizes:
        engine = next((one for one in COLORS if name.startswith(one)), "as trained")
        engines[engine].append(name)
    known = {"as trained": _("as trained"), "by hand": _("by hand")}
    marks = [
        Points(
            [sizes[name] / 1000 for name in names],
            [perplexity[name] for name in names],
            label=known.get(engine, engine),
            color=COLORS.get(engine, "grey"),
            size=6,
        )
        for engine, names in engines.items()
        if names
    ]
    placed, letter = [], max(sizes.values()) / 75_000  # kilobytes that a letter covers
    line = np.ptp(np.log([*perplexity.values()])) / 14
    for name in sorted(sizes, key=sizes.get):
        engine = next((one for one in COLORS if name.startswith(one)), "")
        if not engine:
            continue
        x, y = sizes[name] / 1000, np.log(perplexity[name])
        while any(x < right and abs(y - at) < line for right, at, note in placed):
            y += line  # one that would touch another goes a line higher
        text = " " + name.removeprefix(engine).strip(" ,")
        placed.append((x + letter * (len(text) + 1), y, Note(x, float(np.exp(y)), text)))
    marks += [note for right, at, note in placed]
    said = "; ".join(
        _("{name}: {size:,} bytes, perplexity {value:.2f}").format(
            name=name, size=sizes[name], value=perplexity[name]
        )
        for name in sizes
    )
    return Chart(
        marks,
        x=Axis(_("kilobytes"), low=0, high=1.15 * max(sizes.values()) / 1000),
        y=Axis(_("perplexity"), log=True),
        title=_("Bytes and quality, by engine"),
        description=said,
        width=640,
        height=320,
    )
