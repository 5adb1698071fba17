"""One shipped model on the bench: the heart of the studio.

One move runs the whole chain: prune and quantize every matrix, lay the result out as a file, put
the file's weights into a twin of the model, and score the twin on validation data.
"""

import concurrent.futures
import dataclasses
import functools
import threading
import time

import numpy as np

from course_utils import compression, litert, models, pruning, quantization
from course_utils.backend import tf
from course_utils.checks import one_of
from course_utils.evaluation import speed, tasks
from course_utils.models.checkpoint import clone
from course_utils.models.description import describe
from course_utils.storage import Ledger, encode

BINS = 80
GROUP_SIZE = 32
# What theta cuts: a score for single weights, and one for units.
SCORES = {**pruning.SCORES, "wanda": (pruning.wanda, None)}
RULES = {"absmax": quantization.absmax, "affine": quantization.affine}  # beside the document's step
BESIDE = concurrent.futures.ThreadPoolExecutor(1)


@dataclasses.dataclass(frozen=True)
class Result:
    """What one setting of the studio gives.

    Attributes:
        settings: The values of the controls.
        accuracy, perplexity: On validation data; `chance` of the original's accuracy lies in
            `original`.
        ledger: The file's bytes by part.
        original: `(accuracy, perplexity, bytes)` of the uncompressed model.
        removed: Share of the matrices' weights that theta set to zero.
        edges, before, after: Histogram of the matrices' weights, and of those that theta kept.
        seconds: How long it took.
        measured: What the model's task measured in full, see `tasks.Score`.
    """

    settings: dict
    accuracy: float
    perplexity: float
    ledger: Ledger
    original: tuple
    removed: float
    edges: np.ndarray
    before: np.ndarray
    after: np.ndarray
    seconds: float
    measured: object = None

    @property
    def skills(self):
        """What `evaluation.skills` says, where that is what the task measures."""
        return self.measured if isinstance(self.measured, dict) else None

    @property
    def times_smaller(self):
        return self.original[2] / self.ledger.total


def recipe(step, theta, score, on, rule, bits):
    """Returns what the controls stand for: the pruning steps, and the quantizing ones."""
    scorer = SCORES[one_of("score", score, SCORES)][on == "unit"]
    if scorer is None:
        raise ValueError(f"{score} scores single weights, not units")
    prune = [compression.Prune(scorer, pruning.above(theta))] if theta is not None else []
    if rule != "step":
        return prune, [compression.Quantize(RULES[rule], bits=bits, group_size=GROUP_SIZE)]
    return prune, [compression.Quantize(quantization.step, step=step)] if step is not None else []


class Bench:
    """One shipped model on the bench: the original, a twin whose weights change, and data to score
    it on.

    A slider that moves while a cell runs is a second thread. `turn` lets one at a time at the twin,
    so that each number belongs to its setting: hold it round `put` and whatever reads the twin.
    """

    def __init__(self, name):
        self.turn = threading.RLock()
        self.name, self.task, self._original = name, tasks.of(name), models.load(name)
        self.weights = compression.weights(self._original)
        self.matrices = {w.name: w.matrix() for w in self.weights if not w.skipped_because}
        if not self.matrices:
            raise ValueError(f"{name} has no matrix of a layer that could be rounded or pruned")
        self.twin = clone(self._original)
        self.targets = compression.weights(self.twin)
        self.data = self.task.data("validation", self.task.live)
        largest = max(np.abs(m).max() for m in self.matrices.values())
        self.edges = np.linspace(-largest, largest, BINS + 1)
        self.bins = {
            n: np.clip(((m / largest + 1) * BINS / 2).astype(np.uint8), 0, BINS - 1).ravel()
            for n, m in self.matrices.items()
        }
        self.before = sum(np.bincount(b, minlength=BINS) for b in self.bins.values())
        self.description = describe(self._original)
        tensors = self.put(step=None, theta=None, score="magnitude", on="weight")[0]
        self.score = self.task.score(self._original, self.data)
        self.last = None, None  # settings that were measured last, and what came out
        size = encode(tensors, model=self.description)[1].total
        self.reference = self.score.accuracy, self.score.perplexity, size

    @property
    def original(self):
        """The uncompressed model, each time a new copy: whoever trains it changes no number here."""
        return clone(self._original)

    @functools.cached_property
    def inputs(self):
        """What each matrix reads in the original, for scores that ask for it; a look-up table reads
        nothing."""
        read, asking = {}, [w for w in self.weights if w.calibratable]
        compression.watch(
            self._original,
            asking,
            self.task.inputs(self.data),
            lambda weight, inputs: read.update({weight.name: inputs}),
        )
        return read

    def put(self, step, theta, score, on, rule="step", bits=4):
        """Compresses the original into the twin; returns what its file will hold, the share
        removed, and what theta kept."""
        prune, quantize = recipe(step, theta, score, on, rule, bits)
        asks = any(one.needs_inputs for one in prune)
        tensors, removed, after = {}, 0, self.before.copy()
        for weight, target in zip(self.weights, self.targets):
            if weight.skipped_because:
                tensors[weight.name] = np.asarray(weight.variable)
                continue
            matrix = self.matrices[weight.name]
            inputs = self.inputs.get(weight.name) if asks else None
            steps = [] if asks and inputs is None else prune
            pruned = compression.compress_weight(weight, steps, matrix, inputs)
            if prune:
                gone = self.bins[weight.name][(pruned == 0).ravel()]
                removed += gone.size
                after -= np.bincount(gone, minlength=BINS)
            tensors[weight.name] = tensor = compression.compress_weight(weight, quantize, pruned)
            target.assign(tensor)
        return tensors, removed / sum(matrix.size for matrix in self.matrices.values()), after

    def measure(self, storage, **settings):
        """Runs the whole chain for one setting and returns its `Result`."""
        begun = time.perf_counter()
        with self.turn:
            tensors, removed, after = self.put(**settings)
            # The file is laid out while the twin is scored.
            file = BESIDE.submit(encode, tensors, storage, self.description)
            score = self.task.score(self.twin, self.data)
            self.last = settings, score
        return Result(
            settings={"model": self.name, "storage": storage, **settings},
            accuracy=score.accuracy,
            perplexity=score.perplexity,
            ledger=file.result()[1],
            original=self.reference,
            removed=removed,
            edges=self.edges,
            before=self.before,
            after=after,
            seconds=time.perf_counter() - begun,
            measured=score.measured,
        )

    def report(self, **settings):
        """Scores the original and the twin, at one setting or as it stands, on the test split,
        where nothing was chosen."""
        data = self.task.data("test", self.task.report)
        with self.turn:
            if settings:
                self.put(**settings)
            return [self.task.score(model, data) for model in (self._original, self.twin)]

    def exports(self, **settings):
        """Converts for LiteRT, for one input at a time: the original, and one setting, as floats
        and with 8-bit weights.

        Returns:
            By name, the files as `bytes`.

        Raises:
            ValueError: If what the model reads is no single array.
        """
        one = self.one_input()
        shape = tf.TensorSpec(one.shape, one.dtype)
        with self.turn:
            self.put(**settings)
            return {
                name: litert.convert(model, shape, model.variables, mode)
                for name, model, mode in (
                    ("original, float32", self._original, "float"),
                    ("this setting, float32", self.twin, "float"),
                    ("this setting, int8", self.twin, "dynamic"),
                )
            }

    def one_input(self):
        """Returns what the model reads of one example, with a row in front."""
        inputs = self.task.inputs(self.data)
        if not isinstance(inputs, np.ndarray):
            raise ValueError(f"{self.name} reads several arrays at once and is not timed here")
        return inputs[:1]

    def pace(self, **settings):
        """Times the original and one setting in LiteRT, in turns, with one thread.

        Returns:
            By name, as `exports` gives them, a `speed.Timing`.
        """
        one, runners = self.one_input(), {}
        for name, content in self.exports(**settings).items():
            runners[name] = functools.partial(litert.Runner(content), one)
        return speed.pairs(runners)

    def answers(self, question, scores, split="test"):
        """Returns a question, and what the original and the twin find of it among the texts of a
        split that they were scored on."""
        models = self._original, self.twin
        (asked, before), (__, after) = (
            self.task.answer(model, question, split, score.measured.texts)
            for model, score in zip(models, scores)
        )
        return asked, before, after

    @functools.cached_property
    def original_sample(self):
        """A sample of the original's work; see `evaluation.tasks`."""
        return self.task.sample(self._original)

    def samples(self, question=None, **settings):
        """Returns a prompt, and what the original and the twin, at one setting or as it stands, add
        to it; or `None`.

        Args:
            question: For a model that searches: what is asked, the prompt.

        Raises:
            ValueError: If it holds nothing that could be read.
        """
        with self.turn:
            if settings:
                self.put(**settings)
            if question is not None:  # the texts were read when the setting was measured
                known, score = self.last
                score = score if known == settings else self.task.score(self.twin, self.data)
                return self.answers(question, (self.score, score), "validation")
            if self.original_sample is None:
                return None
            prompt, before = self.original_sample
            return prompt, before, self.task.sample(self.twin)[1]


@functools.cache
def bench(name):
    """Returns the bench of a shipped model, set up once."""
    return Bench(one_of("model", name, models.names()))
