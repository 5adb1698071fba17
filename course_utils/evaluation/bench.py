"""One shipped model on the bench: the heart of the studio.

One move runs the whole chain: prune and quantize every matrix, lay the result out as a file, put
the file's weights into a twin of the model, and score the twin on validation data.
"""

import concurrent.futures
import dataclasses
import functools
import time

import numpy as np

from course_utils import compression, decoding, evaluation, models, pruning, quantization
from course_utils.checks import one_of
from course_utils.datasets import digits, docs, tales
from course_utils.datasets.tales import words
from course_utils.models.checkpoint import clone, describe
from course_utils.storage import Ledger, encode

BINS = 80
SEQUENCES = 16  # validation sequences of 128 predictions: 2,048 a move
STORIES = (
    48  # of the tales: over 2,048 predictions a move, and as many exercises of each other skill
)
PROMPT = "Returns the "
SCORES = {
    **pruning.SCORES,
    "wanda": (pruning.wanda, None),
}  # what theta cuts: for single weights, and for units
RULES = {
    "absmax": quantization.absmax,
    "affine": quantization.affine,
}  # besides the document's step Q
GROUP_SIZE = 32
ELSEWHERE = (
    "docs-ngram",
    "docs-hmm",
    "docs-lstm",
    "tales-seq2seq",
)  # no Transformer decoders: lessons 1 and 2.1 open these
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
        skills: What `evaluation.skills` says of a model of the tales; `None` for others.
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
    skills: dict | None = None

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
    it on."""

    def __init__(self, name):
        self.name, self.original = name, models.load(name)
        self.twin = clone(self.original)
        self.weights = compression.weights(self.original)
        self.targets = compression.weights(self.twin)
        self.matrices = {w.name: w.matrix() for w in self.weights if not w.why_not}
        largest = max(np.abs(m).max() for m in self.matrices.values())
        self.edges = np.linspace(-largest, largest, BINS + 1)
        self.bins = {
            n: np.clip(((m / largest + 1) * BINS / 2).astype(np.uint8), 0, BINS - 1).ravel()
            for n, m in self.matrices.items()
        }
        self.before = sum(np.bincount(b, minlength=BINS) for b in self.bins.values())
        self.description = describe(self.original)
        tensors = self.put(step=None, theta=None, score="magnitude", on="weight")[0]
        self.reference = (
            *self.score(self.original, "validation")[:2],
            encode(tensors, model=self.description)[1].total,
        )

    @property
    def speaks(self):
        return self.name.startswith("docs-")

    @property
    def tells(self):
        return self.name.startswith("tales")

    @property
    def opening(self):
        """What stands before a story; a model that has only read stories knows no mark but the end
        of one."""
        return words.END if self.name == "tales-pretrained" else words.STORY

    def score(self, model, split):
        """Returns accuracy, perplexity and skills, if it has any.

        They rest on 2,048 predictions of validation text, or 16,384 of test text; on 48 or 384
        stories, and as many exercises of each other skill; on all of the digits.
        """
        if self.tells:
            skills = evaluation.skills(
                model, STORIES if split == "validation" else 8 * STORIES, split, self.opening
            )
            return skills["story"].accuracy, skills["story"].perplexity, skills
        if self.speaks:
            result = evaluation.next_token(
                model, docs.sequences(split, SEQUENCES if split == "validation" else 128)
            )
            return result.accuracy, result.perplexity, None
        result = evaluation.classify(model, *digits.load(split))
        return result.accuracy, result.perplexity, None

    @functools.cached_property
    def inputs(self):
        """What each matrix reads in the original, for scores that ask for it; a look-up table reads
        nothing."""
        if self.tells:
            data = evaluation.exercises(STORIES, "validation", self.opening).tokens[
                :, :48
            ]  # hardly any padding
        else:
            data = (
                docs.sequences("validation", SEQUENCES)[:, :-1]
                if self.speaks
                else digits.load("validation")[0]
            )
        read, asking = (
            {},
            [
                one
                for one in self.weights
                if not one.why_not and not one.name.endswith("embeddings")
            ],
        )
        compression.watch(
            self.original, asking, data, lambda weight, inputs: read.update({weight.name: inputs})
        )
        return read

    def put(self, step, theta, score, on, rule="step", bits=4):
        """Compresses the original into the twin; returns what its file will hold, the share
        removed, and what theta kept."""
        prune, quantize = recipe(step, theta, score, on, rule, bits)
        asks = any(one.needs_inputs for one in prune)
        tensors, removed, after = {}, 0, self.before.copy()
        for weight, target in zip(self.weights, self.targets):
            if weight.why_not:
                tensors[weight.name] = np.asarray(weight.variable)
                continue
            matrix, inputs = (
                self.matrices[weight.name],
                self.inputs.get(weight.name) if asks else None,
            )
            pruned = compression.compress_weight(
                weight, [] if asks and inputs is None else prune, matrix, inputs
            )
            if prune:
                gone = self.bins[weight.name][(pruned == 0).ravel()]
                removed += gone.size
                after -= np.bincount(gone, minlength=BINS)
            tensors[weight.name] = tensor = compression.compress_weight(weight, quantize, pruned)
            target.variable.assign(target.shaped(compression.floats(tensor)))
        return tensors, removed / sum(matrix.size for matrix in self.matrices.values()), after

    def measure(self, storage, **settings):
        """Runs the whole chain for one setting and returns its `Result`."""
        begun = time.perf_counter()
        tensors, removed, after = self.put(**settings)
        file = BESIDE.submit(
            encode, tensors, storage, self.description
        )  # laid out while the twin is scored
        accuracy, perplexity, skills = self.score(self.twin, "validation")
        return Result(
            {"model": self.name, "storage": storage, **settings},
            accuracy,
            perplexity,
            file.result()[1],
            self.reference,
            removed,
            self.edges,
            self.before,
            after,
            time.perf_counter() - begun,
            skills,
        )

    def continuations(self, length=40):
        """Returns a prompt, and what the original and the twin write after it, as lists of
        tokens."""
        both = self.original, self.twin
        if self.tells:
            told, end = tales.story("validation", 0).english, words.MARKS.index(words.END)
            prompt = (
                tales.prompt("translate", told)
                if self.opening == words.STORY
                else words.encode((words.END, *told[:6]))
            )
            written = (
                [tales.vocabulary()[t] for t in decoding.answers(model, [prompt], end)[0]]
                for model in both
            )
            return tales.decode(prompt), *(
                [f"{word} " if word.isascii() else word for word in text] for text in written
            )
        prompt = docs.tokenizer().encode(PROMPT).ids
        return PROMPT, *(
            [
                docs.tokenizer().decode([t])
                for t in decoding.generate(model, prompt, length)[len(prompt) :]
            ]
            for model in both
        )


@functools.cache
def bench(name):
    """Returns the bench of a shipped model, set up once."""
    return Bench(one_of("model", name, [each for each in models.names() if each not in ELSEWHERE]))
