"""A report on any Keras model: what a recipe does to its quality, its bytes and its speed.

The three numbers come from examples on which nothing was chosen, from a file that was laid out, and
from calls that took turns.
"""

import dataclasses
import functools
import pathlib
import zipfile

import numpy as np

from course_utils import files, litert
from course_utils.backend import keras, tf
from course_utils.checks import finite
from course_utils.compression import Compressed, alone, baseline, compress
from course_utils.compression.calibration import batches
from course_utils.evaluation.intervals import interval, paired, wilson
from course_utils.evaluation.speed import graph, one_row, pairs
from course_utils.models.description import first
from course_utils.text import _

CALIBRATION, LAYERS, FEWEST = 128, 256, 8  # examples: at most, at most, at least
RIGHT, ERROR, COSINE = "share that is right", "squared error", "cosine with the original"


@dataclasses.dataclass(frozen=True)
class Data:
    """Examples, and what is right for each where somebody knows.

    Attributes:
        inputs: What the model is called on, an array or a dict of them, a row for each example.
        targets: Whole numbers, the right class of each row, or of each place in it; floats of the
            output's shape; or `None`, and the original's own answers take their place.
    """

    inputs: object
    targets: np.ndarray | None = None

    def __len__(self):
        return len(keras.tree.flatten(self.inputs)[0])

    def take(self, places):
        """Returns the examples at some places."""
        inputs = keras.tree.map_structure(lambda part: single(part[places]), self.inputs)
        return Data(inputs, None if self.targets is None else self.targets[places])

    def parts(self, seed=0):
        """Returns examples to calibrate on, to compare layers on, and to report on: at most a
        quarter, at most a quarter, and the rest, drawn by lot."""
        order, quarter = np.random.default_rng(seed).permutation(len(self)), len(self) // 4
        one = min(quarter, CALIBRATION)
        two = one + min(quarter, LAYERS)
        return [self.take(np.sort(some)) for some in np.split(order, (one, two))]


def single(values):
    """Returns floats of double precision in single, as models read them, and all else as it is."""
    return values.astype(np.float32) if values.dtype == np.float64 else values


def read_data(path):
    """Reads examples from a file of NumPy.

    Args:
        path: An `.npz` with `inputs`, and `targets` where there are any; for a model that reads
            several arrays by name, each of them under its own name in place of `inputs`.

    Returns:
        A `Data`.

    Raises:
        ValueError: If there is no such file, or it does not hold as many rows of each.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no data at {path}")
    try:
        with open(path, "rb") as raw, np.load(raw, allow_pickle=False) as file:
            found = dict(file)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile, TypeError, AttributeError):
        raise ValueError(
            f"{path.name} is no .npz of plain arrays; one is written with "
            "numpy.savez('data.npz', inputs=..., targets=...)"
        ) from None
    targets = found.pop("targets", None)
    sizes = {name: len(part) if part.ndim else 0 for name, part in found.items()}
    rows = set(sizes.values()) | (set() if targets is None else {len(targets)})
    if not found or len(rows) != 1:
        raise ValueError(f"{path.name} must hold inputs and targets of as many rows, got {sizes}")
    return Data(found["inputs"] if list(found) == ["inputs"] else found, targets)


# --- what a model says, and how right that is ----------------------------------------------------


def outputs(model, inputs):
    """Calls a model, some rows at a time, and returns its outputs as a list of arrays.

    Raises:
        ValueError: If it cannot read such rows, or says what is not finite.
    """
    said = []
    try:
        for batch in batches(inputs, rows=64):
            said.append([np.asarray(one) for one in keras.tree.flatten(model(batch))])
    except Exception as problem:  # TensorFlow and Keras have many kinds of error for this
        shapes = keras.tree.map_structure(lambda part: part.shape[1:], inputs)
        raise ValueError(
            f"the model cannot read rows of shape {shapes}: {first(problem)}"
        ) from None
    return [finite("what the model says", np.concatenate(parts)) for parts in zip(*said)]


def measure(said, targets):
    """Returns which measure fits what a model says and what is right.

    Raises:
        ValueError: If targets have a shape, or are of a type, that fits nothing it says.
    """
    if targets is None:
        return COSINE
    if len(said) != 1:
        raise ValueError(
            f"targets are for one output, and the model has {len(said)}: give it without targets, "
            "or keras.Model(model.inputs, model.outputs[0])"
        )
    shape, kind = said[0].shape, targets.dtype.kind
    classes = kind in "iu" and targets.shape == shape[:-1]
    if classes and targets.min() >= 0 and targets.max() < shape[-1]:
        return RIGHT
    if kind == "f" and targets.shape == shape:
        return ERROR
    raise ValueError(
        f"targets must be classes, whole numbers below {shape[-1]} of shape {shape[:-1]}, or floats "
        f"of shape {shape}; got {targets.dtype} of shape {targets.shape}"
    )


def marks(said, right, by):
    """Returns one number for each example: how right it is, by one of the three measures.

    Args:
        said: What a model says, as `outputs` returns it.
        right: Targets; for the cosine, what the original says.
        by: `RIGHT`, `ERROR` or `COSINE`.
    """
    if by == COSINE:
        one, two = (np.hstack([part.reshape(len(part), -1) for part in s]) for s in (said, right))
        sizes = np.linalg.norm(one, axis=1) * np.linalg.norm(two, axis=1)
        return (np.sum(one * two, axis=1) + 1e-30) / (sizes + 1e-30)  # two zeros agree
    apart = said[0].argmax(-1) == right if by == RIGHT else (said[0] - right) ** 2
    return apart.reshape(len(apart), -1).mean(axis=1)


def moved(said, original):
    """Returns how far outputs lie from the original's, beside how far those lie from each other: 0
    for the same, 1 for a model that says the same to everybody."""
    wide = [np.square(one - two).sum() for one, two in zip(said, original, strict=True)]
    spread = [np.square(two - two.mean(axis=0)).sum() for two in original]
    return float(np.sqrt(sum(wide) / max(sum(spread), 1e-30)))


@dataclasses.dataclass(frozen=True)
class Quality:
    """How good a model is on the examples of a report.

    Attributes:
        marks: A number for each example.
    """

    marks: np.ndarray

    @property
    def mean(self):
        return float(self.marks.mean())

    @property
    def interval(self):
        """95% interval of the mean: Wilson's where each example is right or wrong."""
        counted = np.isin(self.marks, (0, 1)).all()
        return wilson(self.mean, len(self.marks)) if counted else interval(self.marks)

    def minus(self, other):
        """Returns the mean difference, example by example, and its 95% interval. Where right and
        wrong have not changed at all, it is as wide as what so few examples could have missed."""
        apart, known = paired(other.marks, self.marks)
        if np.array_equal(self.marks, other.marks) and np.isin(self.marks, (0, 1)).all():
            unseen = wilson(0.0, len(self.marks))[1]
            known = -unseen, unseen
        return float(apart), tuple(map(float, known))


# --- the report ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Report:
    """What a recipe does to a model.

    Attributes:
        recipe: Its steps.
        examples: How many were calibrated on, layers compared on, and reported on.
        by: The measure.
        before, after: The `Quality` of the original and of the compressed model.
        float_bytes: Length of the original's file.
        small: The `Compressed`.
        layers: By matrix, how far the outputs move with it alone compressed, see `moved`.
        calls: By way to run it, a `Timing` of one example beside its own float model.
        on_device: The LiteRT file with 8-bit weights as `(bytes, float bytes, Quality)`, or the
            sentence that says why there is none.
    """

    recipe: list
    examples: tuple
    by: str
    before: Quality
    after: Quality
    float_bytes: int
    small: Compressed
    layers: dict
    calls: dict
    on_device: object

    def tables(self):
        """Returns by title the report's tables: head, and rows of texts."""
        return {
            _("Quality"): self.quality(),
            _("Bytes"): self.bytes(),
            _("Speed"): self.speed(),
            _("Layers, one alone compressed"): self.sensitivity(),
            _("Left as they were"): self.skipped(),
        }

    def quality(self):
        models = {_("as it was"): self.before, _("compressed"): self.after}
        if not isinstance(self.on_device, str):
            models[_("LiteRT, 8-bit weights")] = self.on_device[2]
        rows = []
        for name, one in models.items():
            apart, known = one.minus(self.before)
            change = f"{apart:+.4f} {between(known, '+.4f')}" if one is not self.before else ""
            rows.append((name, f"{one.mean:.4f} {between(one.interval, '.4f')}", change))
        return [_("model"), _(self.by), _("change, paired")], rows

    def bytes(self):
        total = self.small.ledger.total
        rows = [(_("file as it was"), f"{self.float_bytes:,}", "1.0")]
        rows += [(part, f"{n:,}", "") for part, n in self.small.ledger.parts.items() if n]
        rows.append((_("file"), f"{total:,}", f"{self.float_bytes / total:.1f}"))
        if not isinstance(self.on_device, str):
            small, whole, _quality = self.on_device
            rows.append((_("LiteRT, 8-bit weights"), f"{small:,}", f"{whole / small:.1f}"))
        return [_("part"), _("bytes"), _("times smaller")], rows

    def speed(self):
        rows = [
            (name, f"{1e3 * t.median:.3f} ms", f"{t.speedup:.2f}x", between(t.interval, ".2f"))
            for name, t in self.calls.items()
        ]
        if isinstance(self.on_device, str):
            rows.append((self.on_device, "", "", ""))
        return [
            _("one example"),
            _("one call"),
            _("beside its own float"),
            _("in 9 of 10 rounds"),
        ], rows

    def sensitivity(self):
        order = sorted(self.layers.items(), key=lambda one: -one[1])
        return [_("matrix"), _("outputs move by")], [(name, f"{by:.2%}") for name, by in order]

    def skipped(self):
        counts, reasons = self.small.ledger.layouts, {}
        for name, why in self.small.skipped.items():
            reasons.setdefault(why, []).append(name)
        rows = [
            (why, len(names), f"{sum(counts[name][1] for name in names):,}", names[0])
            for why, names in reasons.items()
        ]
        return [_("why"), _("weights"), _("numbers"), _("the first of them")], rows

    def save(self, folder):
        """Writes the compressed model and the report beside it; returns the paths of both."""
        folder = pathlib.Path(folder)
        return self.small.save(folder / "small.safetensors"), files.write(
            folder / "report.md", self.markdown()
        )

    def markdown(self):
        """Returns the report as a page of Markdown."""
        said = _("Examples: {} to calibrate on, {} to compare layers on, {} for this report.")
        parts = [f"# {self.small.model.name}", f"`{self.recipe}`", said.format(*self.examples)]
        for title, (head, rows) in self.tables().items():
            lines = [head, ["--"] * len(head), *rows]
            parts += [
                f"## {title}",
                "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines),
            ]
        return "\n\n".join(parts) + "\n"


def between(pair, form):
    """Returns an interval in brackets."""
    return f"[{pair[0]:{form}}, {pair[1]:{form}}]"


def report(model, data, recipe, storage="fixed", rounds=30):
    """Compresses a model by a recipe and measures what became of it.

    Args:
        model: A built Keras model; it is not changed.
        data: A `Data`. A part of it calibrates, a part compares layers, the rest reports.
        recipe: As for `compression.compress`.
        storage: `"fixed"` or `"entropy"`.
        rounds: How often each way to run it is timed.

    Returns:
        A `Report`.

    Raises:
        ValueError: If the model cannot read the inputs, the targets do not fit what it says, there
            are too few examples, or the recipe names nothing in it.
    """
    if len(data) < FEWEST:
        raise ValueError(f"a report needs at least {FEWEST} examples, got {len(data)}")
    seen, compared, test = data.parts()
    whole = outputs(model, test.inputs)
    by = measure(whole, test.targets)
    right = whole if by == COSINE else test.targets
    small = compress(model, recipe, storage, seen.inputs)
    told = outputs(model, compared.inputs)

    def far(changed):
        return moved(outputs(changed, compared.inputs), told)

    def judged(said):
        return Quality(marks(said, right, by))

    calls, on_device = timed(model, small, test.inputs, judged, rounds)
    return Report(
        recipe=list(recipe),
        examples=(len(seen), len(compared), len(test)),
        by=by,
        before=judged(whole),
        after=judged(outputs(small.model, test.inputs)),
        float_bytes=baseline(model),
        small=small,
        layers=alone(model, small, far),
        calls=calls,
        on_device=on_device,
    )


def timed(model, small, inputs, judged, rounds):
    """Times one example in Keras, where what was rounded computes in floats, and in LiteRT, where
    integers compute; returns `calls` and `on_device` of the `Report`."""
    one = one_row(inputs)
    candidates = {_("Keras"): graph(model, one), _("Keras, compressed"): graph(small.model, one)}
    calls = pairs(candidates, rounds)
    exported = on_device(model, inputs)
    if isinstance(exported, str):
        return calls, exported
    runners = {mode: litert.Runner(content) for mode, content in exported.items()}
    flat = keras.tree.flatten(one)[0]
    names = _("LiteRT"), _("LiteRT, 8-bit weights")
    steps = [functools.partial(runner, flat) for runner in runners.values()]
    calls.update(pairs(dict(zip(names, steps)), rounds))
    said = [runners["dynamic"](keras.tree.flatten(inputs)[0])]
    sizes = len(exported["dynamic"]), len(exported["float"])
    return calls, (*sizes, judged(said))


def on_device(model, inputs):
    """Converts a model to LiteRT files for one example, with float and with 8-bit weights.

    Returns:
        The files by mode, or the sentence that says why there are none.
    """
    row = one_row(inputs)
    reads, says = len(keras.tree.flatten(row)), len(keras.tree.flatten(model(row)))
    if (reads, says) != (1, 1):
        said = _(
            "no LiteRT: the model has {reads} inputs and {says} outputs, and here one of each is run"
        )
        return said.format(reads=reads, says=says)
    one = keras.tree.flatten(row)[0]

    def run(x):
        return keras.tree.flatten(model(keras.tree.pack_sequence_as(row, [x])))[0]

    try:
        shape = tf.TensorSpec(one.shape, tf.as_dtype(one.dtype))
        modes = ("float", "dynamic")
        made = {mode: litert.convert(run, shape, model.variables, mode) for mode in modes}
        [litert.Runner(content)(one) for content in made.values()]
    except Exception as problem:  # the converter and the interpreter have errors of every kind
        return _("no LiteRT: {why}").format(why=first(problem))
    return made
