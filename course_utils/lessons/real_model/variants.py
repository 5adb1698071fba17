"""The rows of lesson 08_5: what is done to the pre-trained model, each by its name, and how a row
is measured. The record of all rows and the row that the lesson measures anew come from here."""

import dataclasses
import functools

import numpy as np

from course_utils import litert, pruning, quantization, second_order
from course_utils.backend import tf
from course_utils.compression import Apply, Prune, Quantize, compress, equalization
from course_utils.compression.activations import (
    change_inputs,
    fake_quantize,
    quantize_activations,
)
from course_utils.compression.calibration import watch
from course_utils.compression.weights import matched, multiplying, weights
from course_utils.evaluation import intervals, search, speed, tasks
from course_utils.models import minilm
from course_utils.models.checkpoint import clone
from course_utils.quantization import affine

FEW = 200  # pairs that the lesson measures a row on anew: the first ones
CALIBRATION = 64  # pairs of the train split whose texts layers are calibrated on
ALPHAS = (0, 0.25, 0.5, 0.75, 1)


@dataclasses.dataclass(frozen=True)
class Variant:
    """A changed model.

    Attributes:
        model: It computes in float32.
        bytes: Of its file; `None` where what was changed lives in no file.
    """

    model: object
    bytes: int | None = None


def calibration():
    """Returns texts of the train split that fill their rows, for whatever looks at inputs."""
    task = tasks.of("minilm")
    return task.inputs(task.data("train", CALIBRATION))


def recipe(*steps):
    """Returns a maker of variants: a function of the model and the calibration texts."""

    def make(model, texts):
        small = compress(model, list(steps), calibration=texts)
        return Variant(small.model, small.ledger.total)

    return make


def rounded(rule, bits, only="block", **more):
    """Returns the step that rounds with a scale for each 32 inputs of a unit."""
    return Quantize(rule, only=only, bits=bits, **{"group_size": 32, **more})


def activations(bits, per):
    """Returns a maker of models whose layers round what they read."""
    return lambda model, texts: Variant(quantize_activations(model, bits, per, texts))


def both(bits, alpha=None):
    """Returns a maker of models that round weights and what their layers read, each with one scale
    as wide as integers on a processor allow: a unit's weights, a whole tensor of inputs. With an
    alpha they are smoothed first."""

    def make(model, texts):
        if alpha is not None:
            model = equalization.smoothquant(model.with_scales(), texts, alpha)
        steps = [Quantize(quantization.absmax, only="block", bits=bits)]
        return Variant(quantize_activations(compress(model, steps).model, bits, "tensor", texts))

    return make


def turning(size):
    """Returns a rotation of so many channels: a Hadamard matrix, or several along the diagonal
    where the number is no power of two; `(size, size)`."""
    part = size & -size  # the largest power of two in it
    return np.kron(np.eye(size // part), equalization.hadamard(part)).astype(np.float32)


def rotated(bits):
    """Returns a maker of models whose layers hold their weights in another basis, and are given
    what they read in it: there both are rounded, as `both` rounds them in the old one. Each layer
    turns what it reads for itself, on the way."""
    levels = 2 ** (bits - 1) - 1

    def make(model, texts):
        twin, turns, largest = clone(model), {}, {}
        for weight in multiplying(matched(twin, model), "block"):
            matrix = weight.matrix()  # (inputs, units)
            turn = turns[weight.name] = turning(len(matrix))
            weight.assign(turn @ quantization.absmax(turn.T @ matrix, bits).dequantize())

        def see(weight, read):
            largest[weight.name] = np.abs(read @ turns[weight.name]).max()

        def change(weight, x):
            turn = turns[weight.name]
            turned = tf.matmul(tf.reshape(x, (-1, len(turn))), turn)
            turned = fake_quantize(turned, largest[weight.name] / levels, float(levels))
            return tf.reshape(tf.matmul(turned, turn, transpose_b=True), tf.shape(x))

        watch(model, multiplying(weights(model), "block"), texts, see)
        return Variant(change_inputs(twin, change, "block"))

    return make


def variants():
    """Returns the makers of all rows by name; before the colon stands the table that they are in."""
    half, each = pruning.fraction(0.5), pruning.fraction_per_unit(0.5)
    found = {"float": lambda model, texts: Variant(model, compress(model, []).ledger.total)}
    for bits in (8, 4, 3, 2):
        for rule in (quantization.absmax, quantization.affine, second_order.gptq):
            if bits < 8 or rule is quantization.absmax:
                found[f"weights: {rule.__name__} {bits} bits"] = recipe(rounded(rule, bits))
    for bits in (8, 6):
        for per in ("tensor", "token"):
            found[f"activations: {bits} bits, per {per}"] = activations(bits, per)
    found["smoothing: none"] = both(6)
    for alpha in ALPHAS:
        found[f"smoothing: alpha {alpha:g}"] = both(6, alpha)
    for bits in (6, 4):
        found[f"rotation: {bits} bits"] = rotated(bits)
    found["pruning: magnitude"] = recipe(Prune(pruning.magnitude, half, only="block"))
    found["pruning: wanda"] = recipe(Prune(pruning.wanda, each, only="block"))
    found["pruning: sparsegpt"] = recipe(Apply(second_order.sparsegpt, only="block", mask=half))
    for bits in (4, 3, 2):
        table = rounded(quantization.absmax, bits, only="embedding")
        found[f"table: absmax {bits} bits"] = recipe(table)
    return found


def files():
    """Returns the steps of whole files by name, from the largest to the smallest."""
    gptq, absmax, clipped = second_order.gptq, quantization.absmax, quantization.clipped
    return {
        "files: 4 bits, group 64": [
            Quantize(gptq, only="block", bits=4, group_size=64, grid=affine),
            Quantize(clipped, only="embedding", bits=4),  # one scale a word
            Quantize(absmax, only="positions", bits=4),
        ],
        "files: 4 bits, group 32": [
            Quantize(gptq, only="block", bits=4, group_size=32),
            Quantize(absmax, only="embedding", bits=3, group_size=32),
            Quantize(absmax, only="positions", bits=8),
        ],
        "files: 3 bits, group 64": [
            Quantize(gptq, only="block", bits=3, group_size=64, grid=affine),
            Quantize(clipped, only="embedding", bits=3),
            Quantize(absmax, only="positions", bits=4),
        ],
    }


def by_size_alone():
    """Returns the steps of a whole file that needs no calibration: 4 bits, a scale for
    each 64 inputs in the blocks, and for each token in the table."""
    return [
        Quantize(affine, only="block", bits=4, group_size=64),
        Quantize(quantization.clipped, only="embedding", bits=4),
        Quantize(quantization.absmax, only="positions", bits=8),
    ]


def measure(model, data, vectors):
    """Measures a model at search, beside the original.

    Args:
        model: A `SentenceEncoder`, changed or not.
        data: Tokens of questions and texts, as the task gives them.
        vectors: What the original made of both.

    Returns:
        A dict of numbers, with 95% intervals, as JSON can hold it.
    """
    made = tuple(search.vectors(model, tokens) for tokens in data)
    seen, few = search.judge(*made), search.judge(*(part[:FEW] for part in made))
    return {
        "recall at 1": seen.recall(1),
        "recall at 10": seen.recall(10),
        "reciprocal rank": seen.reciprocal,
        "perplexity": seen.perplexity,
        "cosine": search.cosine(np.concatenate(made), np.concatenate(vectors)),
        "first": np.packbits(seen.ranks == 1).tobytes().hex(),  # who found it, question by question
        "few": {"pairs": len(few.ranks), "recall": few.recall(1), "perplexity": few.perplexity},
    }


def latency(model, question=search.QUESTION, length=16, modes=("float", "dynamic")):
    """Times one question at a time in LiteRT, with one thread, both forms in turns.

    Returns:
        By mode: bytes of the file, the cosine with the Keras model's vector, the median in
        milliseconds, how many times as fast as the first, and the range of that.
    """
    tokens = minilm.encode([question], length)
    tokens = np.pad(tokens, ((0, 0), (0, length - tokens.shape[1])))
    wanted, found, runners = np.asarray(model(tokens)), {}, {}
    for mode in modes:
        content = litert.export(model, mode, length)
        runners[mode] = functools.partial(litert.Runner(content), tokens)
        found[mode] = {"bytes": len(content), "cosine": search.cosine(runners[mode](), wanted)}
    for mode, timing in speed.pairs(runners).items():
        found[mode] |= {"ms": 1000 * timing.median, "speedup": timing.speedup}
        found[mode]["interval"] = timing.interval
    return found


def compare(row, other, pairs):
    """Compares two rows question by question.

    Args:
        row, other: As `measure` returns them, for the same questions.
        pairs: How many questions there were.

    Returns:
        By how much the recall at 1 of the second is above that of the first, its 95% interval, and
        how many questions the second lost and won.
    """
    before, now = (
        np.unpackbits(np.frombuffer(bytes.fromhex(one["first"]), np.uint8), count=pairs)
        for one in (row, other)
    )
    lost, won = int((before > now).sum()), int((now > before).sum())
    return *intervals.paired(np.float64(before), np.float64(now)), (lost, won)
