"""A recipe and a Keras model in, a smaller model out; the original is never changed."""

import contextlib
import dataclasses
import functools
import inspect
import itertools
import math
import pathlib

import numpy as np

from course_utils import files
from course_utils.backend import keras, tf
from course_utils.checks import finite, one_of, whole
from course_utils.models.checkpoint import clone, describe, rebuild
from course_utils.models.language import DecoderLM, each
from course_utils.quantization import QuantizedTensor
from course_utils.storage import Ledger, decode, digest, encode


@dataclasses.dataclass(frozen=True)
class Weight:
    """One weight of a model, and how it is read as a matrix of shape `(inputs, units)`.

    Attributes:
        name: The variable's path, such as `"decoder_lm/block_0/up/kernel"`.
        variable: The Keras variable.
        layer: The layer it belongs to.
        axes: Order of the variable's axes in which inputs come before units; `None` for a weight that
            is no matrix of a linear map, such as a bias.
        inputs: Product of the input axes.
        why_not: Why it is left as it is; empty for a matrix.
    """

    name: str
    variable: object
    layer: object
    axes: tuple | None = None
    inputs: int = 0
    why_not: str = ""

    def matrix(self, values=None):
        """Returns the weight, or `values` of its shape, as `(inputs, units)`."""
        values = np.asarray(self.variable) if values is None else values
        return values.transpose(self.axes).reshape(self.inputs, -1)

    def shaped(self, matrix):
        """Undoes `matrix`."""
        shape = tuple(self.variable.shape[axis] for axis in self.axes)
        return matrix.reshape(shape).transpose(np.argsort(self.axes))


def weights(model):
    """Lists every weight of a built model once, matrices and others.

    Dense, EinsumDense, convolution and embedding weights are matrices; biases, norms and whatever
    belongs to an unknown layer are not, and say why.

    Args:
        model: A built Keras model, sequential, functional or subclassed.

    Returns:
        A list of `Weight`, in the order of `model.weights`.

    Raises:
        ValueError: If the model has no weights yet.
    """
    if not model.weights:
        raise ValueError(f"model {model.name!r} has no weights; build it or call it on data first")
    owners = {}
    for layer in model._flatten_layers():
        for variable in layer._trainable_variables + layer._non_trainable_variables:
            owners.setdefault(id(variable), layer)
    return [weight_of(variable, owners.get(id(variable), model)) for variable in model.weights]


def matched(twin, model):
    """Lists the weights of a clone under the names they have in the original: Keras may number layers anew."""
    return [dataclasses.replace(mine, name=other.name) for mine, other in zip(weights(twin), weights(model))]


def weight_of(variable, layer):
    """Returns the `Weight` for one variable of a layer."""
    layers, shape, rank = keras.layers, variable.shape, len(variable.shape)
    known = Weight(variable.path, variable, layer)
    if rank < 2:
        return dataclasses.replace(known, why_not="not a matrix: a bias, a norm or a counter")
    if isinstance(layer, layers.Embedding):  # a token is a unit, its coordinates are the inputs
        return dataclasses.replace(known, axes=(1, 0), inputs=shape[1])
    if variable.name != "kernel":
        return dataclasses.replace(known, why_not=f"{type(layer).__name__} has no rule for {variable.name!r}")
    if isinstance(layer, layers.EinsumDense):
        read, result = layer.equation.replace(" ", "").split("->")
        kernel = read.split(",")[1]
        order = sorted(range(rank), key=lambda axis: kernel[axis] in result)
        inputs = math.prod(shape[axis] for axis in order if kernel[axis] not in result)
        return dataclasses.replace(known, axes=tuple(order), inputs=inputs)
    if isinstance(layer, (layers.DepthwiseConv1D, layers.DepthwiseConv2D)):
        return dataclasses.replace(known, axes=tuple(range(rank)), inputs=math.prod(shape[:-2]))
    if isinstance(layer, (layers.Dense, layers.Conv1D, layers.Conv2D, layers.Conv3D)):
        return dataclasses.replace(known, axes=tuple(range(rank)), inputs=math.prod(shape[:-1]))
    return dataclasses.replace(known, why_not=f"{type(layer).__name__} is not a layer this course knows")


class Apply:
    """One step of a recipe: replaces a matrix by what a rule makes of it.

    Args:
        rule: Function of a matrix `(inputs, units)`. A rule that has a parameter called `inputs` is
            also given what the layer really reads: calibration activations `(samples, inputs)`. One
            that has `original_inputs` too is given what the layer read in the whole model.
        only: Touch only weights whose name contains this text.
        **arguments: What else the rule needs, such as `bits=4, group_size=32`.
    """

    def __init__(self, rule, only="", **arguments):
        self.rule, self.only, self.arguments = rule, only, arguments
        self.asks = {"inputs", "original_inputs"} & set(inspect.signature(rule).parameters)
        self.needs_inputs = "inputs" in self.asks

    def __call__(self, matrix, inputs=None, original_inputs=None):
        given = {"inputs": inputs, "original_inputs": original_inputs}
        return self.rule(matrix, **{name: given[name] for name in self.asks}, **self.arguments)

    def __repr__(self):
        parts = [spell(value) for value in (self.rule, getattr(self, "mask", None)) if value is not None]
        named = {**({"only": self.only} if self.only else {}), **dict(sorted(self.arguments.items()))}
        return f"{type(self).__name__}({', '.join(parts + [f'{key}={spell(value)}' for key, value in named.items()])})"


class Quantize(Apply):
    """Turns floats into integers, with a rule from `quantization` or `second_order`. See `Apply`."""


class Prune(Apply):
    """Sets weights to zero.

    Args:
        score: From `pruning`: a function from a matrix to scores. It may ask for `inputs`, as in `Apply`.
        mask: From `pruning`: a function from scores to what is kept, such as `above(0.1)`.
        only: Touch only weights whose name contains this text.
    """

    def __init__(self, score, mask, only=""):
        super().__init__(score, only)
        self.mask = mask

    def __call__(self, matrix, inputs=None, original_inputs=None):
        return np.where(self.mask(super().__call__(matrix, inputs, original_inputs)), matrix, np.float32(0))


def spell(value):
    """Says what a rule or one of its arguments is, in the same words in every run.

    A mask such as `pruning.above(0.1)` is told by the function that made it and by what it remembers.
    An array is told by its shape and the first digits of its digest.

    Example:

    >>> Prune(pruning.magnitude, pruning.above(0.1))
    Prune(pruning.magnitude, pruning.above(theta=0.1))
    """
    if isinstance(value, np.ndarray):
        return f"array(shape={value.shape}, sha256={digest({'': value}, None)[:12]})"
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key!r}: {spell(item)}' for key, item in value.items())}}}"
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(map(spell, value))}]"
    if isinstance(value, functools.partial):
        given = [*map(spell, value.args), *(f"{key}={spell(item)}" for key, item in value.keywords.items())]
        return f"{spell(value.func)}({', '.join(given)})"
    owner = getattr(value, "__self__", None)
    if not hasattr(value, "__qualname__") or not (owner is None or inspect.ismodule(owner)):
        return repr(value)
    name = f"{value.__module__}.{value.__qualname__}".removeprefix("course_utils.")
    held = inspect.getclosurevars(value).nonlocals if inspect.isfunction(value) else {}
    held = ", ".join(f"{key}={spell(item)}" for key, item in sorted(held.items()))
    return f"{name.partition('.<locals>')[0]}({held})" if held else name


def compress_weight(weight, steps, matrix=None, inputs=None, original_inputs=None):
    """Runs a recipe over one weight.

    Args:
        weight: A `Weight`.
        steps: `Prune`, `Quantize` and other `Apply` steps, in the order in which they run.
        matrix: Its values as `(inputs, units)`, where they are at hand already.
        inputs: What its layer reads, `(samples, inputs)`; only for steps that ask for it.
        original_inputs: What it read before anything was compressed; likewise.

    Returns:
        A `QuantizedTensor`, or the float32 matrix if no step quantized it.

    Raises:
        ValueError: If the weight is not finite, or a step comes after the weight became integers.
    """
    matrix = finite(weight.name, weight.matrix() if matrix is None else matrix)
    for step in steps:
        if step.only in weight.name:
            if isinstance(matrix, QuantizedTensor):
                raise ValueError(f"{weight.name} is integers already: prune first, quantize once")
            matrix = step(matrix, inputs, original_inputs)
    return matrix


class _Left(BaseException):
    """Ends a pass through a model. Keras would wrap any mere `Exception`."""


@contextlib.contextmanager
def _called_instead(layer, call):
    """Lets a layer run another function for a while."""
    before = vars(layer).get("call")  # `change_inputs` may have left one
    layer.call = call  # an attribute of this one layer hides the method of its class
    try:
        yield
    finally:
        del layer.call
        if before:
            layer.call = before


def capture(model, weight, data, batch_size=16):
    """Runs a model on data and keeps what the layer of one weight reads.

    Each pass ends there: what comes after the layer is not computed, nor its own second call in a pass.

    Args:
        model: The Keras model.
        weight: One of its `Weight`s, of a Dense or EinsumDense layer.
        data: What the model is called on, with the batch first.
        batch_size: Rows a call.

    Returns:
        `float32` of shape `(samples, inputs)`: one row for each position of each sequence.

    Raises:
        ValueError: If `data` is empty, the layer is not reached, or what it reads is not finite.
    """
    if len(data) == 0:
        raise ValueError("calibration data must hold at least one row, got none")
    seen = []

    def watching(x, *args, **kwargs):
        seen.append(np.asarray(x, np.float32).reshape(-1, weight.inputs))
        raise _Left

    with _called_instead(weight.layer, watching):
        for start in range(0, len(data), batch_size):
            with contextlib.suppress(_Left):
                model(data[start : start + batch_size], training=False)
    if not seen:
        raise ValueError(f"{weight.name}: the model never called its layer on the calibration data")
    return finite(f"inputs of {weight.name}", np.concatenate(seen))


def watch(model, watched, data, see):
    """Runs a model on data, once, and shows what its layers read, each just before it computes.

    All rows go through together. So `see` may change a layer's weight, and the layers behind it read
    what the changed layer gives: a whole model is calibrated in the time of one pass.

    Args:
        model: The Keras model.
        watched: Those of its `Weight`s to watch, of Dense or EinsumDense layers.
        data: What the model is called on, with the batch first.
        see: Function of a `Weight` and what its layer reads, `(samples, inputs)`; called once for each.

    Raises:
        ValueError: If `data` is empty, a layer is not reached, or what it reads is not finite.
    """
    if len(data) == 0:
        raise ValueError("calibration data must hold at least one row, got none")
    waiting = {weight.name for weight in watched}

    def seen(weight, call):
        def run(x, *args, **kwargs):
            if weight.name in waiting:
                waiting.remove(weight.name)
                try:
                    values = np.asarray(x, np.float32).reshape(-1, weight.inputs)
                    see(weight, finite(f"inputs of {weight.name}", values))
                except Exception as error:
                    raise _Left from error
            return call(x, *args, **kwargs)

        return run

    with contextlib.ExitStack() as hooks:
        for weight in watched:
            hooks.enter_context(_called_instead(weight.layer, seen(weight, weight.layer.call)))
        try:
            model(data, training=False)
        except _Left as left:
            raise left.__cause__ from None
    if waiting:
        raise ValueError(f"{min(waiting)}: the model never called its layer on the calibration data")


@dataclasses.dataclass(frozen=True)
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

    def save(self, path):
        """Writes the file and returns its path."""
        return files.write(path, self.content)


def compress(model, steps, storage="fixed", calibration=None):
    """Prunes and quantizes a copy of a model, and lays it out as a file.

    Args:
        model: A built Keras model; it is not changed.
        steps: `Prune`, `Quantize` and other `Apply` steps, in the order in which they run.
        storage: `"fixed"` or `"entropy"`; see `storage.encode`.
        calibration: What the model is called on to see what its layers read, such as tokens
            `(sequences, length)`; only for steps whose rule asks for `inputs`. Each layer is shown
            what it reads once all layers before it are compressed.

    Returns:
        A `Compressed`.

    Raises:
        ValueError: If a weight is not finite, the steps cannot follow one another, or a step asks
            for inputs and there is no calibration data.

    Example:

    >>> steps = [Prune(pruning.magnitude, pruning.fraction(0.5)), Quantize(quantization.step, step=0.05)]
    >>> small = compress(models.load("docs-tiny"), steps, storage="entropy")
    >>> small.ledger.total == len(small.content)
    True
    """
    twin = clone(model)
    mine, made, originals = matched(twin, model), {}, {}
    asking, comparing = (_asking(mine, steps, name) for name in ("inputs", "original_inputs"))
    if asking and calibration is None:
        raise ValueError("a step of this recipe asks for inputs: give calibration data")

    def shrink(weight, inputs=None):
        made[weight.name] = tensor = compress_weight(
            weight, steps, inputs=inputs, original_inputs=originals.pop(weight.name, None))
        weight.variable.assign(weight.shaped(floats(tensor)))

    for weight in mine:
        if not weight.why_not and weight.name not in asking:
            shrink(weight)
    if comparing:
        watch(model, [weight for weight in weights(model) if weight.name in comparing], calibration,
              lambda weight, inputs: originals.update({weight.name: inputs}))
    if asking:
        watch(twin, [weight for weight in mine if weight.name in asking], calibration, shrink)
    tensors = {weight.name: np.asarray(weight.variable) if weight.why_not else made[weight.name] for weight in mine}
    skipped = {weight.name: weight.why_not for weight in mine if weight.why_not}
    content, ledger = encode(tensors, storage, model=describe(model))
    return Compressed(twin, tensors, skipped, content, ledger)


def _asking(found, steps, name):
    """Returns the names of the weights with a step whose rule has a parameter of this name."""
    names = set()
    for weight in found:
        if not weight.why_not and any(name in step.asks and step.only in weight.name for step in steps):
            if isinstance(weight.layer, keras.layers.Embedding):
                raise ValueError(f"{weight.name} is looked up and has no inputs to calibrate on; "
                                 "use only= to leave it out")
            names.add(weight.name)
    return names


def floats(tensor):
    """Returns the float32 values of a `QuantizedTensor`, or the array as it is."""
    return tensor.dequantize() if isinstance(tensor, QuantizedTensor) else tensor


def fill(model, tensors):
    """Puts tensors, as `compress` made them, into a model's variables, in the order of its weights."""
    for weight, tensor in zip(weights(model), tensors.values(), strict=True):
        values = floats(tensor)
        weight.variable.assign(values if weight.why_not else weight.shaped(values))


def baseline(model):
    """Returns the length in bytes of the file that holds the model as it is, in float32."""
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
    model = rebuild(described)
    fill(model, tensors)
    return model


def sensitivity(model, steps, measure, only=""):
    """Measures a model with one matrix compressed at a time: which layers can bear it?

    Args:
        model: A built Keras model; it is not changed.
        steps: A recipe as for `compress`, of steps that need no calibration.
        measure: Function of a model, such as `lambda m: evaluation.next_token(m, tokens).perplexity`.
            Give it validation data: what is chosen by it must be reported on other data.
        only: Try only weights whose name contains this text.

    Returns:
        By name of the weight, what `measure` gave with that weight alone compressed.
    """
    twin, found = clone(model), {}
    for weight in matched(twin, model):
        if weight.why_not or only not in weight.name:
            continue
        matrix = weight.matrix()
        weight.variable.assign(weight.shaped(floats(compress_weight(weight, steps, matrix))))
        found[weight.name] = measure(twin)
        weight.variable.assign(weight.shaped(matrix))
    return found


# --- activations ---------------------------------------------------------------------------------


@tf.custom_gradient
def fake_quantize(x, scale, levels):
    """Rounds to whole multiples of `scale`, at most `levels` of them on either side, and stays float.

    Rounding has a slope of 0 almost everywhere, and nothing could be learned through it. The
    straight-through estimator (Bengio et al., 2013) takes it for the identity on the way back, except
    where values were clipped.

    Args:
        x: Float tensor.
        scale: Length of one step; a number, or a tensor that broadcasts to `x`.
        levels: The largest code.

    Returns:
        A tensor of the shape of `x`.
    """
    codes = x / scale

    def slope(upstream):
        return upstream * tf.cast(tf.abs(codes) <= levels + 0.5, x.dtype), None, None

    return tf.clip_by_value(tf.round(codes), -levels, levels) * scale, slope


def change_inputs(model, change, only=""):
    """Returns a twin whose Dense and EinsumDense layers read something else than they are given.

    Args:
        model: A built Keras model; it is not changed.
        change: Function of a `Weight` and the tensor its layer is given, returning a tensor like it.
        only: Touch only layers whose weight's name contains this text.

    Returns:
        A Keras model. The change lives in this object alone: a clone or a saved file does not have it.
    """
    twin = clone(model)
    for weight in _multiplying(matched(twin, model), only):
        weight.layer.call = _changed(weight, weight.layer.call, change)  # hides the method of its class
    return twin


def _multiplying(found, only):
    """Those weights that what a layer is given is multiplied by."""
    return [weight for weight in found if not weight.why_not and only in weight.name
            and isinstance(weight.layer, (keras.layers.Dense, keras.layers.EinsumDense))]


def _changed(weight, call, change):
    return lambda x, *args, **kwargs: call(change(weight, x), *args, **kwargs)


def quantize_activations(model, bits=8, per="tensor", calibration=None, only=""):
    """Returns a twin whose Dense and EinsumDense layers round what they read: quantized operations.

    The values are rounded to `bits`-bit levels and stay float32: this shows what it costs in quality
    and nothing about speed. `quantization.quantized_matmul` does the same with integers. What is
    added, normalised or multiplied between the layers is left as it is.

    Args:
        model: A built Keras model; it is not changed. To quantize weights too, give `compress(...).model`.
        bits: Width of an activation's code, 2 to 8.
        per: `"tensor"` (one scale for each layer, fixed beforehand by the largest value it reads on
            calibration data; larger ones are clipped) or `"token"` (a scale for each vector, from its
            own largest value).
        calibration: What the model is called on; only for `"tensor"`.
        only: Touch only layers whose weight's name contains this text.

    Returns:
        A Keras model. The rounding lives in this object alone: a clone or a saved file does not have it.

    Raises:
        ValueError: If `per` or `bits` is not allowed, or calibration data is missing.
    """
    levels = 2 ** (whole("bits", bits, 2, 8) - 1) - 1
    if one_of("per", per, ("tensor", "token")) == "tensor" and calibration is None:
        raise ValueError("a scale per tensor is fixed beforehand: give calibration data")

    def per_token(weight, x):
        largest = tf.reduce_max(tf.abs(x), axis=axes_read(weight.layer), keepdims=True)
        return fake_quantize(x, tf.maximum(largest, 1e-30) / levels, float(levels))

    if per == "token":
        return change_inputs(model, per_token, only)
    largest = {}
    watch(model, _multiplying(weights(model), only), calibration,
          lambda weight, read: largest.update({weight.name: np.abs(read).max()}))
    return change_inputs(model, lambda weight, x: fake_quantize(
        x, max(largest[weight.name], 1e-30) / levels, float(levels)), only)


def axes_read(layer):
    """Returns which axes of its input a Dense or EinsumDense layer sums over, counted from the end."""
    if isinstance(layer, keras.layers.Dense):
        return [-1]
    read, result = layer.equation.replace(" ", "").split("->")
    letters = read.split(",")[0]
    return [i - len(letters) for i, letter in enumerate(letters) if letter.isalpha() and letter not in result]


# --- removal -------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Hidden:
    """Units between layers: some layers write them, one reads them, and they can be removed from both.

    Attributes:
        writers: Dense layers with a column for each unit.
        reader: The Dense layer with a row for each unit.
        count: How many can be removed one by one: hidden units, or attention heads.
    """

    writers: tuple
    reader: object
    count: int

    def spread(self, keep):
        """Repeats a choice of heads for each unit of the head: `(count,)` -> `(units,)`."""
        return np.repeat(keep, self.reader.kernel.shape[0] // self.count)


def hidden(model):
    """Lists what can be removed from a model as a whole.

    Args:
        model: A `DecoderLM`, or a stack in which one layer follows another and no layer but Dense,
            Activation and Dropout stands between two Dense layers.

    Returns:
        A dict of `Hidden` by name: `"block_0/attention"` (its heads) and `"block_0/mlp"` for a
        `DecoderLM`; the name of each Dense layer but the last for a stack.

    Raises:
        ValueError: If the model is built otherwise.
    """
    if isinstance(model, DecoderLM):
        found = {}
        for block in model.blocks:
            a = block.attention
            found[f"{block.name}/attention"] = Hidden(
                (a.query_projection, a.key_projection, a.value_projection), a.output_projection, block.heads)
            found[f"{block.name}/mlp"] = Hidden((block.up,), block.down, block.mlp_width)
        return found
    layers = [layer for layer in model.layers if not isinstance(layer, keras.layers.InputLayer)]
    allowed = (keras.layers.Dense, keras.layers.Activation, keras.layers.ReLU, keras.layers.Dropout)
    if not _in_a_row(model, layers) or not all(isinstance(layer, allowed) for layer in layers):
        raise ValueError(f"model {model.name!r} is neither a DecoderLM nor a stack of Dense layers")
    dense = [layer for layer in layers if isinstance(layer, keras.layers.Dense)]
    return {a.name: Hidden((a,), b, a.units) for a, b in itertools.pairwise(dense)}


def _in_a_row(model, layers):
    """Says whether each layer reads the one before it and nothing else."""
    by_depth = getattr(model, "_nodes_by_depth", {})  # of a functional model: a node for each call of a layer
    nodes = [node for same_depth in by_depth.values() for node in same_depth]
    reads = {id(node.operation): [parent.operation for parent in node.parent_nodes] for node in nodes}
    chained = len(nodes) == len(layers) + 1 and all(reads[id(b)] == [a] for a, b in itertools.pairwise(layers))
    return isinstance(model, keras.Sequential) or chained


def unit_scores(model, score, only=""):
    """Scores what can be removed from a model: hidden units and attention heads.

    Args:
        model: See `hidden`.
        score: A score of units from `pruning`, such as `unit_magnitude`. A head's score is the sum
            over its units in query, key and value.
        only: Only what has this text in its name, such as `"mlp"` or `"attention"`.

    Returns:
        Scores of shape `(count,)` by name. `{name: mask(scores)}` is what `remove_units` takes.
    """
    return {name: sum(score(np.asarray(writer.kernel)).reshape(part.count, -1).sum(axis=1) for writer in part.writers)
            for name, part in hidden(model).items() if only in name}


def silence_units(model, keep):
    """Returns a twin in which units that are not kept have no effect: their readers' weights are zero.

    It computes what the model from `remove_units` computes, at the full size and the full cost.

    Args:
        model: See `hidden`.
        keep: By name, booleans of shape `(count,)`.
    """
    twin = clone(model)
    for part, mask in _chosen(twin, keep):
        part.reader.kernel.assign(np.asarray(part.reader.kernel) * part.spread(mask)[:, None])
    return twin


def remove_units(model, keep):
    """Returns a model without the units that are not kept: smaller matrices, smaller file, faster.

    Args:
        model: See `hidden`; it is not changed.
        keep: By name, booleans of shape `(count,)`: hidden units or attention heads to keep. What has
            no entry stays whole.

    Returns:
        A Keras model of the same class and the function of `silence_units(model, keep)`.

    Raises:
        ValueError: If a name is unknown, a mask has another length, or nothing would be kept.

    Example:

    >>> model = models.load("docs-base")
    >>> keep = {name: pruning.fraction(0.5)(scores)
    ...         for name, scores in unit_scores(model, pruning.unit_magnitude, only="mlp").items()}
    >>> remove_units(model, keep).count_params() < model.count_params()
    True
    """
    values = {variable.path: np.asarray(variable) for variable in model.weights}
    for part, mask in _chosen(model, keep):
        kept = part.spread(mask)
        for writer in part.writers:
            for variable in writer.weights:  # kernel (inputs, units) and bias (units,)
                values[variable.path] = values[variable.path][..., kept]
        values[part.reader.kernel.path] = values[part.reader.kernel.path][kept]
    smaller = _resized(model, {name: int(np.sum(mask)) for name, mask in keep.items()})
    smaller.set_weights(list(values.values()))
    return smaller


def _chosen(model, keep):
    """Yields `Hidden` and mask of each entry of `keep`, checked."""
    found = hidden(model)
    for name, mask in keep.items():
        part, mask = found[one_of("part", name, found)], np.asarray(mask)
        if mask.dtype != bool or mask.shape != (part.count,) or not mask.any():
            raise ValueError(f"keep[{name!r}] must hold {part.count} booleans and at least one True, "
                             f"got {mask.dtype} of shape {mask.shape}, {np.count_nonzero(mask)} True")
        yield part, mask


def _resized(model, counts):
    """Builds a model like this one with other numbers of hidden units and heads."""
    if isinstance(model, DecoderLM):
        config, depth = model.get_config(), model.shape["depth"]
        for key, part in (("heads", "attention"), ("mlp_width", "mlp")):
            config[key] = [counts.get(f"block_{i}/{part}", n) for i, n in enumerate(each(config[key], depth))]
        smaller = DecoderLM.from_config(config)
        smaller.build()
        return smaller

    def like(layer):
        config = layer.get_config()
        return layer.from_config({**config, "units": counts[layer.name]} if layer.name in counts else config)

    return keras.models.clone_model(model, clone_function=like)
