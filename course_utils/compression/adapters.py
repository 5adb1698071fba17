"""Adapters: what one user adds to a model that many share. Beside a matrix stand two thin ones, and
nothing else is trained (LoRA, Hu et al., 2021). The shared model may be rounded (QLoRA, Dettmers et
al., 2023).

An adapter is a dict: by name of a weight the pair `down`, `(inputs, rank)`, and `up`,
`(rank, units)`. The layer gives `x W + (x down) up`, which is `x (W + down up)`. The paper's factor
alpha / rank is left out: with AdamW it is a learning rate by another name.
"""

import numpy as np

from course_utils import files, quantization
from course_utils.backend import keras, tf
from course_utils.checks import finite, one_of, whole
from course_utils.checks import seed as checked_seed
from course_utils.compression.finetuning import CROSS_ENTROPY, adamw
from course_utils.compression.weights import floats, matched, multiplying, weights
from course_utils.models.checkpoint import clone
from course_utils.models.introspection import replace_call
from course_utils.storage import decode, encode


def begin(model, rank, only="", seed=0):
    """Returns an adapter that changes nothing yet: `down` is drawn, `up` is zero.

    Args:
        model: A built Keras model.
        rank: How many directions a layer may learn.
        only: Touch only Dense layers with this part in their path, see `weights.touches`.
        seed: Of the draws.

    Raises:
        ValueError: If a matrix has fewer inputs or units than `rank`, or `only` names none.
    """
    rng, adapter = np.random.default_rng(checked_seed(seed)), {}
    for weight in multiplying(weights(model), only):
        if isinstance(weight.layer, keras.layers.Dense):
            inputs, units = weight.matrix().shape
            width = whole(f"rank for {weight.name}", rank, 1, min(inputs, units))
            down = rng.normal(0, inputs**-0.5, (inputs, width)).astype(np.float32)
            adapter[weight.name] = down, np.zeros((width, units), np.float32)
    if not adapter:
        raise ValueError(f"model {model.name!r} has no Dense layer that could be adapted")
    return adapter


def attach(model, adapter):
    """Returns a twin whose layers add what an adapter says.

    Args:
        model: A built Keras model; it is not changed.
        adapter: As `begin` makes it. With `down` of shape `(batch, inputs, rank)` and `up` of shape
            `(batch, rank, units)` each row of a batch has an adapter of its own: users side by
            side, and the shared matrix is multiplied once for all of them.

    Returns:
        A Keras model. What is added lives in this object alone: a clone or a file does not have it.
    """
    twin = clone(model)
    for weight, pair in found(matched(twin, model), adapter):
        replace_call(weight.layer, beside(weight.layer, *pair))
    return twin


def beside(layer, down, up):
    """Returns what a Dense layer computes with an adapter beside its kernel."""

    def call(x, training=None):  # as Keras calls it
        y = keras.ops.matmul(x, layer.kernel)
        y = y + keras.ops.matmul(keras.ops.matmul(x, down), up)
        return layer.activation(y if layer.bias is None else y + layer.bias)

    return call


def fold(model, adapter):
    """Returns a twin with `W + down up` for each matrix `W`: it computes what `attach` computes, up
    to rounding, and costs no more than the model. Its matrices are its own again, and floats."""
    twin = clone(model)
    for weight, (down, up) in found(matched(twin, model), adapter):
        weight.assign(weight.matrix() + np.asarray(down) @ np.asarray(up))
    return twin


def found(weights, adapter):
    """Yields those weights that an adapter is for, each with its pair.

    Raises:
        ValueError: If a pair is for no weight, or does not fit its shape.
    """
    known = {weight.name: weight for weight in weights}
    for name, (down, up) in adapter.items():
        if name not in known:
            raise ValueError(f"the adapter is for {name}, which this model does not have")
        inputs, units = known[name].matrix().shape
        if (down.shape[-2], up.shape[-1]) != (inputs, units) or down.shape[-1] != up.shape[-2]:
            raise ValueError(
                f"{name} has shape {(inputs, units)}; an adapter of shapes {tuple(down.shape)} and "
                f"{tuple(up.shape)} does not fit"
            )
        yield known[name], (down, up)


def learn(model, adapter, batches, steps, learning_rate=1e-3, loss=CROSS_ENTROPY):
    """Trains an adapter; every weight of the model stays as it is.

    Args:
        model: A built Keras model, of floats or with the values that rounding left.
        adapter: Where to begin.
        batches: Function from a step to `(inputs, targets)`, always of the same shape.
        steps: How many steps.
        learning_rate: For AdamW: a number or a Keras schedule.
        loss: Function of targets and the model's output.

    Returns:
        The trained adapter, of NumPy arrays.

    Example:

    >>> model, tokens = models.load("docs-tiny"), docs.sequences("validation", 4)
    >>> fresh = begin(model, rank=2, only="query")
    >>> trained = learn(model, fresh, lambda step: (tokens[:, :-1], tokens[:, 1:]), steps=2)
    >>> [bool(np.any(trained[name][1])) for name in trained]
    [True, True]
    """
    variables = {name: [keras.Variable(part) for part in pair] for name, pair in adapter.items()}
    twin, trained = attach(model, variables), [v for pair in variables.values() for v in pair]
    optimizer = adamw(learning_rate, 0.0)
    optimizer.build(trained)

    @tf.function(autograph=False)  # XLA would take longer to compile it than it saves
    def step(inputs, targets):
        with tf.GradientTape() as tape:
            cost = loss(targets, twin(inputs, training=True))
        optimizer.apply(tape.gradient(cost, [variable.value for variable in trained]))

    for number in range(whole("steps", steps, 0, 2**31)):
        step(*batches(number))
    return {name: tuple(part.numpy() for part in pair) for name, pair in variables.items()}


def side_by_side(adapters):
    """Puts the adapters of several users together, one for each row of a batch: see `attach`."""
    return {
        name: tuple(np.stack(parts) for parts in zip(*(one[name] for one in adapters)))
        for name in adapters[0]
    }


def pack(adapter, bits=8):
    """Lays an adapter out as a file, rounded with one scale for each of its directions.

    Returns:
        The file as `bytes`, and its `storage.Ledger`.
    """
    tensors = {}
    for name, (down, up) in adapter.items():
        for part, matrix in (("down", down), ("up", np.transpose(up))):  # a column a direction
            tensors[f"{name}/{part}"] = quantization.absmax(finite(name, matrix), bits=bits)
    return encode(tensors, model={"adapter": list(adapter)})


def unpack(content, name="the file"):
    """Reads what `pack` wrote.

    Raises:
        ValueError: If the bytes are damaged, or hold no adapter.
    """
    tensors, told = decode(content, name)
    named = told.get("adapter") if isinstance(told, dict) else None
    named = named if isinstance(named, list) else []
    wanted = [f"{each}/{part}" for each in named for part in ("down", "up")]
    if not wanted or wanted != list(tensors):
        raise ValueError(f"{name} holds no adapter")
    pairs = [(floats(tensors[f"{n}/down"]), floats(tensors[f"{n}/up"]).T) for n in named]
    return dict(zip(named, pairs))


def names():
    """Returns the names of the shipped adapters: whose, and of which rank."""
    return tuple(sorted(path.stem for path in (files.DATA / "adapters").glob("*.safetensors")))


def load(name):
    """Reads a shipped adapter.

    Args:
        name: One of `names()`, such as `"scipy-rank4"`.

    Raises:
        ValueError: If there is none of this name, or its file is damaged.
    """
    path = files.DATA / "adapters" / f"{one_of('adapter', name, names())}.safetensors"
    return unpack(path.read_bytes(), path.name)
