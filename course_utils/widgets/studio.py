"""The studio: slide Q and theta on a real model and watch quality and bytes change.

One move runs the whole chain: prune and quantize every matrix, lay the result out as a file, put the
file's weights into a twin of the model, and score the twin on validation data.
"""

import concurrent.futures
import dataclasses
import difflib
import functools
import html
import time

import ipywidgets
import numpy as np

from course_utils import compression, decoding, evaluation, models, pruning, quantization
from course_utils.chart import Axis, Band, Bars, Chart, Line, Points, Rule
from course_utils.checks import one_of
from course_utils.datasets import digits, docs, tales
from course_utils.datasets.tales import words
from course_utils.models.checkpoint import clone, describe
from course_utils.storage import Ledger, encode
from course_utils.widgets.explorer import Explorer, cards, choice, log_slider, readout, slider
from course_utils.widgets.skills import skills_chart

BINS = 80
SEQUENCES = 16  # validation sequences of 128 predictions: 2,048 a move
STORIES = 48  # of the tales: over 2,048 predictions a move, and as many exercises of each other skill
PROMPT = "Returns the "
SCORES = {**pruning.SCORES, "wanda": (pruning.wanda, None)}  # what theta cuts: for single weights, and for units
RULES = {"absmax": quantization.absmax, "affine": quantization.affine}  # besides the document's step Q
GROUP_SIZE = 32
ELSEWHERE = ("docs-ngram", "docs-hmm", "docs-lstm", "tales-seq2seq")  # no Transformer decoders: lessons 1 and 2.1 open these
BESIDE = concurrent.futures.ThreadPoolExecutor(1)


@dataclasses.dataclass(frozen=True)
class Result:
    """What one setting of the studio gives.

    Attributes:
        settings: The values of the controls.
        accuracy, perplexity: On validation data; `chance` of the original's accuracy lies in `original`.
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
    """One shipped model on the bench: the original, a twin whose weights change, and data to score it on."""

    def __init__(self, name):
        self.name, self.original = name, models.load(name)
        self.twin = clone(self.original)
        self.weights = compression.weights(self.original)
        self.targets = compression.weights(self.twin)
        self.matrices = {w.name: w.matrix() for w in self.weights if not w.why_not}
        largest = max(np.abs(m).max() for m in self.matrices.values())
        self.edges = np.linspace(-largest, largest, BINS + 1)
        self.bins = {n: np.clip(((m / largest + 1) * BINS / 2).astype(np.uint8), 0, BINS - 1).ravel()
                     for n, m in self.matrices.items()}
        self.before = sum(np.bincount(b, minlength=BINS) for b in self.bins.values())
        self.description = describe(self.original)
        tensors = self.put(step=None, theta=None, score="magnitude", on="weight")[0]
        self.reference = (*self.score(self.original, "validation")[:2], encode(tensors, model=self.description)[1].total)

    @property
    def speaks(self):
        return self.name.startswith("docs-")

    @property
    def tells(self):
        return self.name.startswith("tales")

    @property
    def opening(self):
        """What stands before a story; a model that has only read stories knows no mark but the end of one."""
        return words.END if self.name == "tales-pretrained" else words.STORY

    def score(self, model, split):
        """Returns accuracy, perplexity and skills, if it has any.

        They rest on 2,048 predictions of validation text, or 16,384 of test text; on 48 or 384 stories, and as many
        exercises of each other skill; on all of the digits.
        """
        if self.tells:
            skills = evaluation.skills(model, STORIES if split == "validation" else 8 * STORIES, split, self.opening)
            return skills["story"].accuracy, skills["story"].perplexity, skills
        if self.speaks:
            result = evaluation.next_token(model, docs.sequences(split, SEQUENCES if split == "validation" else 128))
            return result.accuracy, result.perplexity, None
        result = evaluation.classify(model, *digits.load(split))
        return result.accuracy, result.perplexity, None

    @functools.cached_property
    def inputs(self):
        """What each matrix reads in the original, for scores that ask for it; a look-up table reads nothing."""
        if self.tells:
            data = evaluation.exercises(STORIES, "validation", self.opening).tokens[:, :48]  # hardly any padding
        else:
            data = docs.sequences("validation", SEQUENCES)[:, :-1] if self.speaks else digits.load("validation")[0]
        read, asking = {}, [one for one in self.weights if not one.why_not and not one.name.endswith("embeddings")]
        compression.watch(self.original, asking, data, lambda weight, inputs: read.update({weight.name: inputs}))
        return read

    def put(self, step, theta, score, on, rule="step", bits=4):
        """Compresses the original into the twin; returns what its file will hold, the share removed, and what theta kept."""
        prune, quantize = recipe(step, theta, score, on, rule, bits)
        asks = any(one.needs_inputs for one in prune)
        tensors, removed, after = {}, 0, self.before.copy()
        for weight, target in zip(self.weights, self.targets):
            if weight.why_not:
                tensors[weight.name] = np.asarray(weight.variable)
                continue
            matrix, inputs = self.matrices[weight.name], self.inputs.get(weight.name) if asks else None
            pruned = compression.compress_weight(weight, [] if asks and inputs is None else prune, matrix, inputs)
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
        file = BESIDE.submit(encode, tensors, storage, self.description)  # laid out while the twin is scored
        accuracy, perplexity, skills = self.score(self.twin, "validation")
        return Result({"model": self.name, "storage": storage, **settings}, accuracy, perplexity, file.result()[1],
                      self.reference, removed, self.edges, self.before, after, time.perf_counter() - begun, skills)

    def continuations(self, length=40):
        """Returns a prompt, and what the original and the twin write after it, as lists of tokens."""
        both = self.original, self.twin
        if self.tells:
            told, end = tales.story("validation", 0).english, words.MARKS.index(words.END)
            prompt = tales.prompt("translate", told) if self.opening == words.STORY else words.encode((words.END, *told[:6]))
            written = ([tales.vocabulary()[t] for t in decoding.answers(model, [prompt], end)[0]] for model in both)
            return tales.decode(prompt), *([f"{word} " if word.isascii() else word for word in text] for text in written)
        prompt = docs.tokenizer().encode(PROMPT).ids
        return PROMPT, *([docs.tokenizer().decode([t]) for t in decoding.generate(model, prompt, length)[len(prompt):]]
                         for model in both)


@functools.cache
def bench(name):
    """Returns the bench of a shipped model, set up once."""
    return Bench(one_of("model", name, [each for each in models.names() if each not in ELSEWHERE]))


def compute(model, **settings):
    """Compresses a shipped model and measures it.

    Args:
        model: Name of a shipped model.
        step: Q, the distance between levels; `None` leaves floats.
        theta: Threshold of the score; `None` removes nothing.
        score: `"magnitude"`, `"document"` or `"wanda"`.
        on: `"weight"` or `"unit"`: what theta removes.
        storage: `"fixed"` or `"entropy"`.
        rule: `"step"` rounds to multiples of Q; `"absmax"` and `"affine"` use `bits` and groups of 32.
        bits: Width of a code, where the rule asks for it.

    Returns:
        A `Result`.
    """
    return bench(model).measure(**settings)


def render(result, trail=()):
    """Shows a result: numbers, where the weights lie, and accuracy against bytes."""
    accuracy, perplexity, size = result.original
    ledger = result.ledger
    numbers = cards(
        readout("accuracy", f"{result.accuracy:.1%}", "studio-accuracy", f"original {accuracy:.1%}"),
        readout("perplexity", f"{result.perplexity:.2f}", "studio-perplexity", f"original {perplexity:.2f}"),
        readout("file", f"{ledger.total:,} bytes", "studio-size", f"original {size:,}"),
        readout("times smaller", f"{result.times_smaller:.2f}", "studio-times"),
        readout("bits a weight", f"{ledger.bits_per_weight:.2f}", "studio-bits", "original 32"),
        readout("removed by θ", f"{result.removed:.1%}", "studio-removed"))
    bars = [skills_chart({"now": result.skills}, f"Skills, {STORIES} exercises each")] if result.skills else []
    return [numbers, parts(ledger, result.seconds), histogram(result), plane(result, trail), *bars]


def parts(ledger, seconds):
    """The ledger as one line of parts, and how long the move took."""
    shown = " + ".join(f"{name} {size:,}" for name, size in ledger.parts.items() if size)
    layouts = {}
    for layout, _, _ in ledger.layouts.values():
        layouts[layout] = layouts.get(layout, 0) + 1
    how = ", ".join(f"{count} × {layout}" for layout, count in sorted(layouts.items(), key=lambda item: -item[1])[:4])
    return (f'<div class="course-note studio-ledger">bytes: {shown} = <b>{ledger.total:,}</b>'
            f"<br>tensors: {how}{', …' if len(layouts) > 4 else ''}"
            f'<br>measured in <span class="studio-time">{1000 * seconds:.0f} ms</span></div>')


def histogram(result):
    """The weights before, those that theta kept, and the grid that Q rounds to."""
    step, theta, edge = result.settings["step"], result.settings["theta"], result.edges[-1]
    middles = (result.edges[1:] + result.edges[:-1]) / 2
    marks = [Bars(result.edges, result.after, color="blue", label="kept by θ"),
             Line(middles, result.before, color="orange", label="all weights")]
    if theta is not None and result.settings["on"] == "weight":
        if result.settings["score"] == "magnitude":
            marks.insert(0, Band(-min(theta, edge), min(theta, edge), label="removed"))
        elif (bound := theta**-0.5) < edge:
            marks[:0] = [Band(-edge, -bound, label="removed"), Band(bound, edge)]
    if step is not None and edge / step <= 25:
        marks += [Rule(k * step) for k in range(-int(edge / step), int(edge / step) + 1)]
    if result.settings.get("rule", "step") != "step":
        step = None
        grid = f"{result.settings['bits']} bits, a scale for every {GROUP_SIZE} inputs"
    else:
        grid = "no rounding" if step is None else f"levels every {step:g}"
    return Chart(marks, x=Axis("weight", low=-edge, high=edge), y=Axis("how many"), title=f"Weights; {grid}",
                 description=f"Histogram of the weights; theta removed {result.removed:.1%} of them; {grid}.",
                 width=460, height=260)


def best(points):
    """The settings that no other one beats in both: sorted `(bytes, accuracy)` pairs, rising in accuracy."""
    front = []
    for size, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((size, accuracy))
    return front


def plane(result, trail):
    """Accuracy against bytes: every setting visited, the best of them, and where we are."""
    accuracy, _, size = result.original
    here = (result.ledger.total, result.accuracy)
    points = [*trail, here]
    front = best([*points, (size, accuracy)])
    marks = [Line([p[0] for p in points], [100 * p[1] for p in points], color="grey", label="trail"),
             Line([p[0] for p in front], [100 * p[1] for p in front], color="green", label="best so far"),
             Points([size], [100 * accuracy], label="original", color="blue", marker="square", size=5),
             Points([here[0]], [100 * here[1]], label="now", color="vermillion", marker="circle", size=6)]
    return Chart(marks, x=Axis("bytes of the file", log=True, high=1.5 * size),
                 y=Axis("accuracy, %", low=0, high=110 * accuracy), title="Accuracy against bytes",
                 description=f"Now {here[0]:,} bytes at {here[1]:.1%} accuracy; the original has {size:,} bytes at "
                             f"{accuracy:.1%}; {len(points)} settings visited.", width=460, height=260)


def compared(prompt, original, ours):
    """Two continuations of a prompt as HTML; tokens of the second that differ from the first are marked."""
    marked = []
    for kind, _, _, start, stop in difflib.SequenceMatcher(None, original, ours, autojunk=False).get_opcodes():
        text = html.escape("".join(ours[start:stop])).replace("\n", "<br>")
        marked.append(text if kind == "equal" else f"<mark>{text}</mark>" if text else "")
    before = html.escape("".join(original)).replace("\n", "<br>")
    style = "flex: 1 1 320px; font-family: var(--jp-code-font-family, monospace); font-size: 12px; line-height: 1.4"
    return (f'<div class="course-row studio-sample"><div style="{style}"><b>original</b><br>{html.escape(prompt)}{before}</div>'
            f'<div style="{style}"><b>compressed</b> (differences marked)<br>{html.escape(prompt)}{"".join(marked)}</div></div>')


def controls():
    """The sliders and choices of the studio, by name."""
    return {
        "step": log_slider("Q", 0.0001, 1, None, "step between two levels, in the unit of the weights", off=True),
        "theta": log_slider("θ", 0.001, 100000, None, "what scores at most θ is removed", off=True),
        "score": choice("score", list(SCORES), "magnitude", "what θ cuts: |w|, the document's Σw²/Σw⁴, or |w| times its input"),
        "on": choice("removes", ["weight", "unit"], "weight", "single weights, or whole output neurons"),
        "rule": choice("rule", ["step", *RULES], "step", "rounding: steps of Q, or bits with a scale for every 32 inputs"),
        "bits": slider("bits", 2, 8, 1, 4, "of a code, for the rules absmax and affine"),
        "storage": choice("storage", ["fixed", "entropy"], "fixed", "bits of one width, or an entropy coder"),
    }


class SmallStudio(Explorer):
    """The studio with nothing on it but Q and theta, for one shipped model.

    Args:
        model: Name of a shipped model.

    Attributes:
        trail: By model, the `(bytes, accuracy)` of every setting visited.
    """

    def __init__(self, model):
        fixed = {"model": model, "score": "magnitude", "on": "weight", "storage": "fixed"}
        self.trail = {}
        super().__init__(functools.partial(compute, **fixed), self.with_trail, **{n: controls()[n] for n in ("step", "theta")})

    def with_trail(self, result):
        """Renders a result after those before it, and remembers it."""
        visited = self.trail.setdefault(result.settings["model"], [])
        items = render(result, visited)
        visited.append((result.ledger.total, result.accuracy))
        return items


class Studio(Explorer):
    """The explorer with everything on it: models, trail, text sample, and a button for the test set.

    Args:
        *names: The shipped models to choose from; the first is opened.
    """

    with_trail = SmallStudio.with_trail

    def __init__(self, *names):
        names = names or ("docs-base", "docs-tiny", "tales", "digits-mlp")
        self.trail, self.sample = {}, ipywidgets.HTML(layout={"width": "100%"})
        self.button = ipywidgets.Button(description="Measure on the test set", layout={"width": "auto"})
        self.verdict = ipywidgets.HTML()
        picked = {"model": choice("model", list(names), names[0], "trained and shipped with the course")}
        super().__init__(compute, self.with_trail, **picked, **controls())
        self.children = (*self.children, ipywidgets.HBox([self.button, self.verdict]), self.sample)
        self.button.on_click(lambda button: self.test())

    def _show(self, result):
        super()._show(result)  # the numbers first: the text below may come a moment later
        self.verdict.value = ""
        here = bench(result.settings["model"])
        self.sample.value = compared(*here.continuations()) if here.speaks or here.tells else ""

    def test(self):
        """Measures the current setting, and the original, on the test split."""
        here = bench(self.result.settings["model"])
        here.measure(**{name: value for name, value in self.result.settings.items() if name != "model"})
        (was, was_perplexity, _), (accuracy, perplexity, _) = (here.score(m, "test") for m in (here.original, here.twin))
        self.verdict.value = (f'<span class="studio-test">test set: accuracy {accuracy:.1%} (original {was:.1%}), '
                              f"perplexity {perplexity:.2f} (original {was_perplexity:.2f})</span>")
