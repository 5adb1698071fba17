"""Sweeps: many recipes measured on one model, on all cores or on a cluster, and never twice.

Recipes travel to other processes through joblib, which pickles them on the way. That is transport
between two running processes: no pickle is ever a file, and what is kept is one line of JSON a row.
"""

import dataclasses
import hashlib
import json
import os
import pathlib
import threading
import time

import joblib
import numpy as np
from tqdm.auto import tqdm

from course_utils import models
from course_utils.backend import tf
from course_utils.checks import one_of
from course_utils.compression import compress
from course_utils.container import digest
from course_utils.evaluation import exact, tasks
from course_utils.models.description import describe, rebuild
from course_utils.storage import STORAGE, encode

START = b'{"key": "'  # how each line of a file begins
CUT = b" was cut off"  # how a line ends that a run did not finish
_loaded = {}  # the model this process is working on, by its digest
_turn = threading.Lock()  # a cluster's worker may have several threads, but they share that model


@dataclasses.dataclass(frozen=True)
class Row:
    """What one recipe gave.

    Attributes:
        recipe: Its name.
        storage: How its file was laid out.
        accuracy, perplexity: Of next-token prediction on the sweep's tokens.
        bytes: Length of the file.
        bits_per_weight: The same, spread over all weights, zeros included.
        seconds: How long it took to compress and to measure.
    """

    recipe: str
    storage: str
    accuracy: float
    perplexity: float
    bytes: int
    bits_per_weight: float
    seconds: float


def sweep(
    model, recipes, data, storage=("fixed",), calibration=None, path=None, jobs=None, task=None
):
    """Measures many recipes on one model.

    Inside `with joblib.parallel_config(backend="dask")` the same call runs on the cluster that a
    `dask.distributed.Client` is connected to.

    Args:
        model: Name of a shipped model, or a Keras model whose class every process can import.
        recipes: By name, a list of steps as for `compression.compress`.
        data: What the models are scored on, as the task's `data` gives it, such as tokens
            `(sequences, length + 1)`. Choose on validation data.
        storage: Layouts of the file, `"fixed"`, `"entropy"` or both; each makes a row.
        calibration: What the model is called on, for recipes that ask for inputs.
        path: File that each row is appended to as soon as it is there. A sweep that was cut off
            goes on from it: rows of the same weights, steps, storage and data are read, not
            measured again.
        jobs: Processes; all cores if left out. With 1, all runs in this one, which is faster for a
            few quick recipes: a new process takes some seconds to start.
        task: From `evaluation.tasks`: what scores the models. A shipped model's own if left out,
            next-token prediction for any other.

    Returns:
        A list of `Row`, in the order of the recipes.

    Raises:
        ValueError: If there are no recipes, a name is unknown, `path` holds something else, or a
            recipe would not be recognised in a later run although there is a `path`. Without one, a
            recipe that cannot be told exactly is measured and shares its row with no other.
    """
    kinds = [storage] if isinstance(storage, str) else list(storage)
    for kind in kinds:
        one_of("storage", kind, STORAGE)
    if not recipes or not kinds:
        raise ValueError(
            f"a sweep needs at least one recipe and one storage, got {len(recipes)} and "
            f"{len(kinds)}"
        )
    shipped = isinstance(model, str)
    original = models.load(model) if shipped else model
    task = task or (tasks.of(model) if shipped else tasks.TASKS["docs"])
    who, source = identity(original), model if shipped else (describe(model), model.get_weights())
    parts = [who, digest({**named("tokens", data), **named("calibration", calibration)}, None)]
    parts += [] if isinstance(task, tasks.Docs) else [type(task).__qualname__]
    keys = {
        (name, kind): key([*parts, kind], recipes[name], path, str(name))
        for name in recipes
        for kind in kinds
    }
    rows = finished(path) if path else {}
    missing = {name: [kind for kind in kinds if keys[name, kind] not in rows] for name in recipes}
    waiting = [
        joblib.delayed(measure)(who, source, name, recipes[name], left, data, calibration, task)
        for name, left in missing.items()
        if left
    ]
    # One recipe at a time: a batch of rows would be lost where a single one need not be.
    run = joblib.Parallel(
        n_jobs=-1 if jobs is None else jobs, batch_size=1, return_as="generator_unordered"
    )
    there = sum(known in rows for known in keys.values())
    with tqdm(total=len(keys), initial=there, unit="row", desc="sweep") as bar:
        for made in run(waiting):
            for row in made:
                rows[keys[row.recipe, row.storage]] = row
                if path:
                    append(path, keys[row.recipe, row.storage], row)
                bar.update()
    return [dataclasses.replace(rows[of], recipe=name) for (name, _), of in keys.items()]


def named(name, data):
    """Returns the arrays of some data by name, for a digest of them."""
    if isinstance(data, tuple):
        return {f"{name} {place}": np.asarray(part) for place, part in enumerate(data)}
    return {name: np.asarray(() if data is None else data)}


def measure(who, source, name, steps, kinds, data, calibration, task):
    """Compresses and scores one recipe in whatever process this is; returns a `Row` for each
    storage."""
    with _turn:
        begun = time.perf_counter()
        model = restored(who, source)
        small = compress(model, steps, kinds[0], calibration)
        others = [encode(small.tensors, kind, describe(model))[1] for kind in kinds[1:]]
        score = task.score(small.model, data)
        seconds = time.perf_counter() - begun
        return [
            Row(
                name,
                kind,
                score.accuracy,
                score.perplexity,
                ledger.total,
                ledger.bits_per_weight,
                seconds,
            )
            for kind, ledger in zip(kinds, [small.ledger, *others], strict=True)
        ]


def restored(who, source):
    """Returns the sweep's model, loaded once in each process; `source` is a name, or a description
    with weights."""
    if who not in _loaded:
        one_thread()
        if isinstance(source, str):
            model = models.load(source)
        else:
            model = rebuild(source[0])
            model.set_weights(source[1])
        if identity(model) != who:
            raise ValueError(
                f"this worker has another model called {source!r}: bring its course up to date"
            )
        _loaded.clear()
        _loaded[who] = model
    return _loaded[who]


def one_thread():
    """Keeps TensorFlow to one thread in a new process: the other cores have recipes of their
    own."""
    try:
        tf.config.threading.set_intra_op_parallelism_threads(1)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # it computes already: this is the learner's own process


def identity(model):
    """Returns a digest of a model's description and weights."""
    return digest(
        {str(i): np.asarray(weight) for i, weight in enumerate(model.weights)}, describe(model)
    )


def key(parts, steps, path, alone):
    """Returns the digest that a row is known by: model, data, storage, and exactly what the recipe
    is.

    Args:
        parts: Digests of model and data, and the storage.
        steps: The recipe.
        path: Where rows are kept, if they are.
        alone: A name that no other row of the call has, for a recipe that cannot be told exactly:
            it shares its row with no other.

    Raises:
        ValueError: If rows are kept and a later run would not know this recipe.
    """
    described = repr(list(steps))
    try:
        told = exact.told([[type(step), vars(step)] for step in steps])
    except exact.Unknown as unknown:
        if path:
            raise ValueError(
                "with a path, each rule needs a name by which a later run can know it, and so does "
                f"all that it rests on; got {unknown} in {described}: write a function of a module "
                "or a cell, and give it numbers, texts and arrays as arguments"
            ) from None
        return hashlib.sha256(json.dumps([*parts, alone]).encode()).hexdigest()
    if path and "<lambda>" in json.dumps(told):
        raise ValueError(
            f"with a path, each rule needs a name by which a later run can know it; got {described}"
        )
    # What rests on the package and on numbers alone is told by its words, and has been from the
    # first: rows of earlier versions stay valid.
    words = (described, []) if exact.plain(told) else ("exactly", told)
    return hashlib.sha256(json.dumps([*parts, *words]).encode()).hexdigest()


def finished(path):
    """Reads the rows of an earlier run, by key. A line that was cut off is passed over: the file
    stays as it is, for another process may be adding to it.

    Raises:
        ValueError: If the file holds anything but rows.
    """
    path, rows = pathlib.Path(path), {}
    content = path.read_bytes() if path.exists() else b""
    *lines, torn = content.split(b"\n")
    for number, line in enumerate([*lines, torn], 1):
        try:
            entry = json.loads(line) if line and number <= len(lines) else None
        except ValueError:
            entry = None
        if entry is None and line:
            begun = line.removesuffix(CUT)[: len(START)]
            if begun == START[: len(begun)]:
                continue
            raise ValueError(f"{path.name} is no file of a sweep: line {number} is {line[:60]!r}")
        try:
            if line:
                known_as = entry.pop("key")
                rows[known_as] = checked(Row(**entry))
        except (ValueError, TypeError, KeyError, AttributeError):
            raise ValueError(
                f"{path.name}, line {number}, is no row of a sweep: {line[:60]!r}"
            ) from None
    return rows


def checked(row):
    """Returns a row that a measurement may have given, and raises `ValueError` for any other."""
    numbers = row.accuracy, row.bits_per_weight, row.seconds
    if not all(type(text) is str for text in (row.recipe, row.storage)):
        raise ValueError("names must be text")
    if not all(type(number) in (int, float) and np.isfinite(number) for number in numbers):
        raise ValueError("numbers must be finite")
    if type(row.perplexity) not in (int, float) or not row.perplexity >= 0:  # infinite is allowed
        raise ValueError("a perplexity is at least 0")
    if type(row.bytes) is not int or min(row.bytes, row.bits_per_weight, row.seconds) < 0:
        raise ValueError("sizes and times are at least 0")
    return row


def append(path, known_as, row):
    """Adds one row in one write, behind a line that was cut off on a line of its own, and leaves
    only when the disk has it."""
    line = json.dumps({"key": known_as, **dataclasses.asdict(row)}).encode() + b"\n"
    path = pathlib.Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a+b", buffering=0) as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            line = line if file.read(1) == b"\n" else CUT + b"\n" + line
        if file.write(line) != len(line):
            raise OSError(f"{path} could not take the whole row; is the disk full?")
        os.fsync(file.fileno())


def front(points):
    """Returns the points that no other one beats, from small to large.

    Args:
        points: Pairs of bytes and quality, of which more is better: an accuracy, or a perplexity
            with a minus before it.

    Returns:
        Those pairs than which no other is as small and as good, in rising order of both.
    """
    kept = []
    for size, quality in sorted(points, key=lambda point: (point[0], -point[1])):
        if not kept or quality > kept[-1][1]:
            kept.append((size, quality))
    return kept
