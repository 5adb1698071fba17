"""A recipe and a Keras model in, a smaller model and its file out; the original is never
changed."""

import dataclasses
import pathlib

import numpy as np

from course_utils import files
from course_utils.checks import finite
from course_utils.compression.calibration import watch
from course_utils.compression.recipe import compress_weight
from course_utils.compression.weights import chosen, fill, matched, touches, weights
from course_utils.models.checkpoint import clone
from course_utils.models.description import describe, rebuild
from course_utils.quantization import QuantizedTensor
from course_utils.storage import Ledger, decode, encode
from course_utils.text import _


@dataclasses.dataclass(frozen=True, repr=False)
class Compressed:
    """What `compress` made.

    Attributes:
        model: A model of the original's class whose weights are what the file gives back.
        tensors: By name, in the file's order: `QuantizedTensor` or float array.
        skipped: By name, why a weight was left as it is.
        content: The file.
        ledger: Where its bytes went; `ledger.total == len(content)`.
    """

    model: object
    tensors: dict
    skipped: dict
    content: bytes
    ledger: Ledger

    @property
    def left(self):
        """Share of the weights that no step could touch: biases, norms, unknown layers."""
        counts = self.ledger.layouts
        return sum(counts[name][1] for name in self.skipped) / self.ledger.weights

    def size_of(self, only):
        """Returns what the matrices with this part in their path take in the file, without its
        header: bytes, and bits a weight, zeros included."""
        layouts = [
            (count, size)
            for name, (layout, count, size) in self.ledger.layouts.items()
            if touches(only, name) and name not in self.skipped
        ]
        if not layouts:
            raise ValueError(f"only={only!r} names no matrix of this model")
        count, size = map(sum, zip(*layouts))
        return size, 8 * size / count

    def __str__(self):
        if self.left <= 0.1:
            return str(self.ledger)
        most = max(self.skipped, key=lambda name: self.ledger.layouts[name][1])
        said = _(
            "{share:.0%} of the weights were left as they are; the most of them: {name}: {why}"
        )
        said = said.format(share=self.left, name=most, why=self.skipped[most])
        return f"{said}\n{self.ledger}"

    __repr__ = __str__

    def save(self, path):
        """Writes the file and returns its path."""
        return files.write(path, self.content)


def compress(model, recipe, storage="fixed", calibration=None):
    """Prunes and quantizes a copy of a model, and lays it out as a file.

    Args:
        model: A built Keras model; it is not changed.
        recipe: `Prune`, `Quantize` and other `Apply` steps, in the order in which they run.
        storage: `"fixed"` or `"entropy"`; see `storage.encode`.
        calibration: What the model is called on to see what its layers read, such as tokens
            `(sequences, length)`; only for steps whose rule asks for `inputs`. Each layer is shown
            what it reads once all layers before it are compressed.

    Returns:
        A `Compressed`.

    Raises:
        ValueError: If a weight is not finite, a step names no matrix, the steps cannot follow one
            another, or a step asks for inputs and there is no calibration data.

    Example:

    >>> half = Prune(pruning.magnitude, pruning.fraction(0.5))
    >>> recipe = [half, Quantize(quantization.step, step=0.05)]
    >>> small = compress(models.load("docs-tiny"), recipe, storage="entropy")
    >>> small.ledger.total == len(small.content)
    True
    """
    twin = clone(model)
    mine, made, originals = matched(twin, model), {}, {}
    matrices = [weight for weight in mine if not weight.skipped_because]
    for weight in mine:
        if weight.skipped_because and weight.variable.shape.num_elements():
            finite(weight.name, np.asarray(weight.variable))
    asking, comparing = (_asking(mine, recipe, name) for name in ("inputs", "original_inputs"))
    if asking and calibration is None:
        raise ValueError("a step of this recipe asks for inputs: give calibration data")

    def shrink(weight, inputs=None):
        tensor = compress_weight(
            weight, recipe, inputs=inputs, original_inputs=originals.pop(weight.name, None)
        )
        weight.assign(tensor)
        # Floats are kept as the model has them: a float16 weight takes two bytes.
        kept = isinstance(tensor, QuantizedTensor)
        made[weight.name] = tensor if kept else weight.matrix(np.asarray(weight.variable))

    for weight in matrices:
        if weight.name not in asking:
            shrink(weight)
    if comparing:
        watch(
            model,
            [weight for weight in weights(model) if weight.name in comparing],
            calibration,
            lambda weight, inputs: originals.update({weight.name: inputs}),
        )
    if asking:
        watch(twin, [weight for weight in mine if weight.name in asking], calibration, shrink)
    tensors = {
        weight.name: np.asarray(weight.variable) if weight.skipped_because else made[weight.name]
        for weight in mine
    }
    skipped = {weight.name: weight.skipped_because for weight in mine if weight.skipped_because}
    content, ledger = encode(tensors, storage, model=describe(model))
    return Compressed(twin, tensors, skipped, content, ledger)


def _asking(found, recipe, name):
    """Returns the names of the weights with a step whose rule has a parameter of this name; checks
    that each step touches a matrix."""
    asking = set()
    for step in recipe:
        for weight in chosen(found, step.only):
            if name in step.asks:
                if not weight.calibratable:
                    weight.read(None)  # says why
                asking.add(weight.name)
    return asking


def baseline(model):
    """Returns the length in bytes of the file that holds the model as it is, in its own precision:
    4 bytes a float32 weight, 2 a float16 or bfloat16 one."""
    return len(compress(model, []).content)


def load(path):
    """Reads a file that `Compressed.save` wrote and returns its Keras model.

    Raises:
        ValueError: If the file is missing, damaged, or holds no compressed model.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no compressed model at {path}")
    tensors, described = decode(path.read_bytes(), path.name)
    model = rebuild(described, tensors.values())
    fill(model, tensors)
    return model


def sensitivity(model, recipe, measure, only="", calibration=None):
    """Measures a model with one matrix compressed at a time: which layers can bear it?

    Args:
        model: A built Keras model; it is not changed.
        recipe: As for `compress`.
        measure: Function of a model, such as
            `lambda m: evaluation.next_token(m, tokens).perplexity`. Give it validation data: what
            is chosen by it must be reported on other data.
        only: Try only weights with this part in their path, see `weights.touches`.
        calibration: As for `compress`.

    Returns:
        By name of the weight, what `measure` gave with that weight alone compressed; for every
        weight that it changes.
    """
    return alone(model, compress(model, recipe, calibration=calibration), measure, only)


def alone(model, small, measure, only=""):
    """Measures a model with one matrix of a compressed one at a time; see `sensitivity`.

    Args:
        model: The original.
        small: Its `Compressed`.
        measure, only: As for `sensitivity`.
    """
    twin, found = clone(model), {}
    for weight in chosen(matched(twin, model), only):
        matrix, made = weight.matrix().copy(), small.tensors[weight.name]
        if isinstance(made, QuantizedTensor) or not np.array_equal(made, matrix):
            weight.assign(made)
            found[weight.name] = measure(twin)
            weight.assign(matrix)
    return found
