"""Architectures by recipes: each pair ends in a right file, or in one sentence.

    python tests/any_model.py [PART]      # every pair; with PART, only architectures with it in their name

A right file is as long as its ledger says, has the zeros that its recipe promises, and gives in a
new process what the compressed model gave. A float model takes its own weights' bytes.
"""

import collections
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from course_utils import pruning, quantization, second_order
from course_utils.backend import keras
from course_utils.compression import Prune, Quantize, compress, load
from course_utils.quantization import QuantizedTensor

L = keras.layers
HALF, PATTERN = pruning.fraction(0.5), pruning.n_of_m(2, 4)
RECIPES = {
    "absmax 8": [Quantize(quantization.absmax, bits=8)],
    "absmax 4, group 8": [Quantize(quantization.absmax, bits=4, group_size=8)],
    "affine 4": [Quantize(quantization.affine, bits=4)],
    "nf4": [Quantize(quantization.nf4)],
    "gptq 4": [Quantize(second_order.gptq, bits=4)],
    "pruned": [Prune(pruning.magnitude, HALF)],
    "pruned, rounded": [Prune(pruning.magnitude, HALF), Quantize(quantization.absmax, bits=4)],
    "2:4, gptq 4": [Prune(pruning.magnitude, PATTERN), Quantize(second_order.gptq, bits=4)],
}
REGISTER = keras.saving.register_keras_serializable("any_model")


# --- architectures -------------------------------------------------------------------------------

TEXT = np.array([["the cat sat"], ["on the mat"], ["a cat"], ["sat on"]], object)


def stack(*layers, shape, dtype="float32"):
    return keras.Sequential([keras.Input(shape, dtype=dtype), *layers])


def words(layer, **more):
    """A model that begins with text or with whole numbers."""
    return stack(layer, L.Embedding(50, 8), L.GlobalAveragePooling1D(), L.Dense(2), **more)


@REGISTER
class Subclassed(keras.Model):
    """A model of its own with a weight of its own, two sublayers of one name, a loop."""

    def __init__(self, **more):
        super().__init__(**more)
        self.first, self.second = L.Dense(8, name="inner"), L.Dense(8, name="inner")

    def build(self, shape):
        self.first.build((None, 6))
        self.second.build((None, 8))
        self.mixed = self.add_weight(shape=(8, 8), name="mixed")

    def call(self, x):
        x = self.first(inputs=x)
        for _ in range(3):
            x = keras.ops.tanh(self.second(x))
        return x @ self.mixed


@REGISTER
class Wide(L.Dense):
    """A Dense with a call of its own."""

    def call(self, x):
        return super().call(2 * x)


@REGISTER
class TwoOfOneName(L.Layer):
    def build(self, shape):
        self.a = self.add_weight(shape=(shape[-1], 4), name="w")
        self.b = self.add_weight(shape=(shape[-1], 4), name="w")

    def call(self, x):
        return x @ self.a - x @ self.b


class Unregistered(L.Dense):
    pass


def branches():
    def branch(name):
        x = keras.Input((4,))
        return keras.Model(x, L.Dense(4, name="proj")(x), name=name)

    x = keras.Input((4,))
    return keras.Model(x, L.Add()([branch("a")(x), branch("b")(x)]))


def head_on_a_base():
    x, y = keras.Input((16,)), keras.Input((16,))
    base = keras.Model(x, L.Dense(8, "relu", name="dense")(x), name="base")
    return keras.Model(y, L.Dense(3, name="dense")(base(y)))


def shared():
    x, dense = keras.Input((6,)), L.Dense(6)
    return keras.Model(x, L.Dense(2)(dense(L.Activation("tanh")(dense(x)))))


def residual():
    x = keras.Input((8, 8, 4))
    return keras.Model(x, L.Add()([x, L.Conv2D(4, 3, padding="same", activation="relu")(x)]))


def autoencoder():
    return stack(
        L.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        L.Conv2DTranspose(8, 3, strides=2, padding="same", activation="relu"),
        L.Conv2DTranspose(1, 3, padding="same"),
        shape=(8, 8, 1),
    )


def bidirectional():
    def lstm(units, **more):  # Keras's own start of recurrent weights does not know bfloat16
        return L.Bidirectional(L.LSTM(units, recurrent_initializer="glorot_uniform", **more))

    return stack(
        L.Embedding(50, 16),
        lstm(16, return_sequences=True),
        lstm(8),
        L.Dense(3),
        shape=(5,),
        dtype="int32",
    )


def attention(layer):
    x = keras.Input((6, 16))
    return keras.Model(x, L.Dense(3)(L.LayerNormalization()(layer(x, x))))


def two_inputs():
    a, b = keras.Input((4,), name="a"), keras.Input((6,), name="b")
    return keras.Model({"a": a, "b": b}, L.Dense(2)(L.Concatenate()([L.Dense(5)(a), b])))


def adapted(layer, data):
    layer.adapt(data)
    return layer


def quantized(mode):
    model = stack(L.Dense(64), L.Dense(2), shape=(64,))
    model.quantize(mode)
    return model


def with_adapters():
    model = stack(L.Dense(16), L.Dense(2), shape=(8,))
    model.layers[0].enable_lora(2)
    return model


def not_finite(value):
    model = stack(L.Dense(3), L.BatchNormalization(), shape=(4,))
    model.layers[1].moving_variance.assign([value, 1, 1])
    return model


def of_policy(policy, build):
    """Builds a model under another dtype policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        return build()
    finally:
        keras.config.set_dtype_policy(before)


def dense():
    return stack(L.Dense(32, "relu"), L.LayerNormalization(), L.Dense(4), shape=(16,))


def cnn():
    return stack(
        L.Conv2D(8, 3, activation="relu"),
        L.BatchNormalization(),
        L.DepthwiseConv2D(3),
        L.Flatten(),
        L.Dense(4),
        shape=(8, 8, 1),
    )


def decoder():
    from course_utils.models.language import DecoderLM

    model = DecoderLM(vocabulary=64, width=16, depth=2, heads=2, context=8)
    model.build()
    return model


def one(layer, *shape):
    return lambda: stack(layer(), shape=shape)


CELLS = {"SimpleRNN": L.SimpleRNN, "GRU": L.GRU, "LSTM": L.LSTM}
ARCHITECTURES = {
    "Dense": one(lambda: L.Dense(5), 7),
    "Dense, no bias": one(lambda: L.Dense(5, use_bias=False), 7),
    "Dense on sequences": one(lambda: L.Dense(5), 3, 7),
    "Dense, frozen": one(lambda: L.Dense(5, trainable=False), 7),
    "Dense of one unit": one(lambda: L.Dense(1), 1),
    "Dense, a subclass": one(lambda: Wide(5), 7),
    "Dense, unregistered": one(lambda: Unregistered(5), 7),
    "Dense, Constant": one(
        lambda: L.Dense(8, kernel_initializer=keras.initializers.Constant(np.ones((7, 8)))), 7
    ),
    "EinsumDense, last": one(lambda: L.EinsumDense("abc,cd->abd", (6, 5)), 6, 8),
    "EinsumDense, turned": one(lambda: L.EinsumDense("abc,cbd->ad", (7,)), 6, 8),
    "EinsumDense, not last": one(lambda: L.EinsumDense("abcd,bde->ace", (5, 7)), 4, 5, 6),
    "EinsumDense, heads": one(lambda: L.EinsumDense("abc,cde->abde", (None, 2, 4)), 6, 8),
    "EinsumDense, side by side": one(lambda: L.EinsumDense("abc,bcd->abd", (6, 7)), 6, 8),
    "EinsumDense, ellipsis": one(lambda: L.EinsumDense("...x,xy->...y", 7), 3, 4),
    "EinsumDense, bias": one(lambda: L.EinsumDense("abc,cd->abd", (6, 5), bias_axes="bd"), 6, 8),
    "Conv1D, causal": one(lambda: L.Conv1D(6, 3, padding="causal", dilation_rate=2), 9, 4),
    "Conv1D, groups": one(lambda: L.Conv1D(6, 3, strides=2, padding="same", groups=2), 9, 4),
    "Conv2D": one(lambda: L.Conv2D(6, (3, 2), strides=2, padding="same"), 9, 8, 4),
    "Conv2D, dilated": one(lambda: L.Conv2D(6, 3, dilation_rate=2), 9, 8, 4),
    "Conv2D, groups": one(lambda: L.Conv2D(6, 3, groups=2), 9, 8, 4),
    "Conv2D, 1 x 1": one(lambda: L.Conv2D(6, 1), 9, 8, 4),
    "Conv3D": one(lambda: L.Conv3D(3, 2), 4, 5, 4, 2),
    "DepthwiseConv1D": one(lambda: L.DepthwiseConv1D(3, depth_multiplier=2), 9, 4),
    "DepthwiseConv2D": one(lambda: L.DepthwiseConv2D(3, padding="same"), 9, 8, 4),
    "SeparableConv1D": one(lambda: L.SeparableConv1D(6, 3), 9, 4),
    "SeparableConv2D": one(lambda: L.SeparableConv2D(6, 3, depth_multiplier=2), 9, 8, 4),
    "Conv1DTranspose": one(lambda: L.Conv1DTranspose(6, 3, strides=2), 9, 4),
    "Conv2DTranspose": one(lambda: L.Conv2DTranspose(6, 3, strides=2, padding="same"), 5, 6, 4),
    "Conv3DTranspose": one(lambda: L.Conv3DTranspose(3, 2, strides=2), 3, 4, 3, 2),
    **{
        f"{name}{how}": one(lambda kind=kind, more=more: kind(6, **more), 5, 3)
        for name, kind in CELLS.items()
        for how, more in (("", {}), (", sequences", {"return_sequences": True}))
    },
    "GRU, one bias": one(lambda: L.GRU(6, reset_after=False), 5, 3),
    "ConvLSTM1D": one(lambda: L.ConvLSTM1D(4, 3), 3, 8, 2),
    "ConvLSTM2D": one(lambda: L.ConvLSTM2D(4, 3), 3, 8, 8, 2),
    "ConvLSTM3D": one(lambda: L.ConvLSTM3D(2, 2), 2, 4, 4, 4, 1),
    "Bidirectional GRU": one(lambda: L.Bidirectional(L.GRU(6)), 5, 3),
    "RNN of cells": one(lambda: L.RNN([L.LSTMCell(4), L.GRUCell(3), L.SimpleRNNCell(2)]), 5, 3),
    "two bidirectional LSTMs": bidirectional,
    "TimeDistributed Dense": one(lambda: L.TimeDistributed(L.Dense(4)), 5, 3),
    "TimeDistributed Conv2D": one(lambda: L.TimeDistributed(L.Conv2D(4, 3)), 3, 6, 6, 2),
    "SpectralNormalization": one(lambda: L.SpectralNormalization(L.Dense(4)), 6),
    "Embedding": lambda: words(L.Activation("linear"), shape=(5,), dtype="int32"),
    "ReversibleEmbedding": lambda: stack(L.ReversibleEmbedding(50, 8), shape=(5,), dtype="int32"),
    "ReversibleEmbedding, untied": lambda: stack(
        L.ReversibleEmbedding(50, 8, tie_weights=False), shape=(5,), dtype="int32"
    ),
    "MultiHeadAttention": lambda: attention(L.MultiHeadAttention(2, 8)),
    "GroupQueryAttention": lambda: attention(L.GroupQueryAttention(8, 4, 2)),
    "Attention": lambda: attention(lambda x, y: L.Attention(use_scale=True)([x, y])),
    "AdditiveAttention": lambda: attention(lambda x, y: L.AdditiveAttention()([x, y])),
    "BatchNormalization": one(L.BatchNormalization, 6),
    "GroupNormalization": one(lambda: L.GroupNormalization(2), 4, 6),
    "LayerNormalization of two axes": one(lambda: L.LayerNormalization(axis=(1, 2)), 4, 6),
    "RMSNormalization": one(L.RMSNormalization, 6),
    "PReLU": one(L.PReLU, 4, 6),
    "STFTSpectrogram": one(lambda: L.STFTSpectrogram("log", 64, 32, 64), 256, 1),
    "two branches of one name": branches,
    "a head named like its base": head_on_a_base,
    "a layer called twice": shared,
    "residual": residual,
    "autoencoder": autoencoder,
    "two inputs": two_inputs,
    "nested Sequential": lambda: stack(dense(), L.Dense(3), shape=(16,)),
    "subclassed": lambda: built(Subclassed(), (None, 6)),
    "two weights of one name": one(TwoOfOneName, 6),
    "decoder": decoder,
    "Normalization": lambda: stack(
        adapted(L.Normalization(), 100 + 5 * drawn((200, 4))), L.Dense(3), shape=(4,)
    ),
    "Discretization": lambda: stack(
        adapted(L.Discretization(num_bins=8), drawn((200, 1))), L.Embedding(9, 4), shape=(4,)
    ),
    "TextVectorization": lambda: words(
        adapted(L.TextVectorization(max_tokens=50, output_sequence_length=6), TEXT.ravel()),
        shape=(1,),
        dtype="string",
    ),
    "StringLookup": lambda: words(
        adapted(L.StringLookup(), TEXT.ravel()), shape=(1,), dtype="string"
    ),
    "IntegerLookup": lambda: words(
        adapted(L.IntegerLookup(), np.arange(20)), shape=(5,), dtype="int64"
    ),
    "Keras int8": lambda: quantized("int8"),
    "Keras int4": lambda: quantized("int4"),
    "Keras float8": lambda: quantized("float8"),
    "LoRA": with_adapters,
    "Lambda": lambda: stack(L.Lambda(lambda x: 2 * x), L.Dense(2), shape=(4,)),
    "NaN in a norm": lambda: not_finite(np.nan),
    "infinity in a norm": lambda: not_finite(np.inf),
    **{
        f"{build.__name__}, {policy}": lambda build=build, policy=policy: of_policy(policy, build)
        for policy in ("float16", "bfloat16", "mixed_float16", "mixed_bfloat16", "float64")
        for build in (dense, cnn, bidirectional)
    },
}
KEPT = ("NaN", "infinity", "Keras", "Normalization", "STFT")  # their weights mean something


def drawn(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def built(model, shape):
    model.build(shape)
    return model


def inputs(model):
    """Returns something to call a model on: four rows of what its inputs take."""

    def rows(tensor):
        kind, shape = str(tensor.dtype), (4, *(side or 3 for side in tensor.shape[1:]))
        if kind == "string":
            return TEXT
        return (
            (np.arange(np.prod(shape)).reshape(shape) % 50).astype(kind)
            if "int" in kind
            else drawn(shape)
        )

    if type(model).__name__ == "DecoderLM":
        return np.arange(32).reshape(4, 8)
    if isinstance(model, Subclassed):
        return drawn((4, 6))
    if isinstance(model, keras.Sequential):
        return rows(model.inputs[0])
    return keras.tree.map_structure(rows, model.input)


def made(name):
    """Builds an architecture, with weights of which none is zero."""
    keras.utils.set_random_seed(0)
    model = ARCHITECTURES[name]()
    for i, weight in enumerate(model.weights):
        if "float" in str(weight.dtype) and not name.startswith(KEPT):
            weight.assign(
                np.abs(drawn(weight.shape, i)) / 4 + 0.01
                if "var" in weight.name
                else drawn(weight.shape, i) / 4
            )
    return model


# --- what must hold ------------------------------------------------------------------------------


def promised(small, recipe, recipe_name):
    """Says whether what a recipe removed is not in the file."""
    if "pruned" not in recipe_name and "2:4" not in recipe_name:
        return True
    for name, tensor in small.tensors.items():
        if name in small.skipped:
            continue
        values = (
            tensor.dequantize()
            if isinstance(tensor, QuantizedTensor)
            else np.asarray(tensor, np.float32)
        )
        if "2:4" in recipe_name:
            whole = values[: len(values) // 4 * 4].reshape(-1, 4, values.shape[1])
            if np.count_nonzero(whole, axis=1).max(initial=0) > 2:
                return False
        elif np.count_nonzero(values) > values.size - values.size // 2:
            return False
    return True


def tried(model, x, steps, recipe_name, path):
    """Compresses a model into a file; returns what came of it, and its outputs."""
    try:
        small = compress(model, steps, calibration=x)
    except ValueError as refused:
        return f"refused: {refused}", None
    if small.ledger.total != len(small.content):
        return "WRONG: the ledger is not the file", None
    if small.ledger.weights != sum(int(np.prod(w.shape)) for w in model.weights):
        return "WRONG: the ledger counts other weights than the model has", None
    if not promised(small, steps, recipe_name):
        return "WRONG: removed weights are back", None
    if steps == []:
        stored = small.ledger.total - small.ledger.parts["header"]
        own = sum(np.asarray(weight).nbytes for weight in model.weights)
        zeros = any(not np.all(np.asarray(weight, np.float32)) for weight in model.weights)
        if stored > own or (stored < own and not zeros):  # zeros may be stored as a list of places
            return f"WRONG: {stored} bytes for weights of {own}", None
    small.save(path)
    return "file", outputs(small.model, x)


def outputs(model, x):
    flat = keras.tree.flatten(model(x, training=False))
    return np.concatenate([np.asarray(one, np.float64).ravel() for one in flat])


def run(names, folder):
    """Tries architectures with every recipe; returns outcomes by architecture and recipe."""
    found, given = {}, {}
    for number, name in enumerate(names):
        try:
            model = made(name)
        except Exception as problem:
            found[name, "build"] = f"NOT BUILT: {type(problem).__name__}: {problem}"
            continue
        x = inputs(model)
        for kind, (recipe_name, steps) in enumerate({"float": [], **RECIPES}.items()):
            path = pathlib.Path(folder) / f"{number}-{kind}.safetensors"
            try:
                found[name, recipe_name], there = tried(model, x, steps, recipe_name, path)
            except Exception as problem:
                told = " ".join(str(problem).split())
                found[name, recipe_name] = f"WRONG: {type(problem).__name__}: {told}"
                continue
            if there is not None:
                given[path.stem] = name, recipe_name, there
    child = [sys.executable, __file__, "--load", str(folder), *names]
    done = subprocess.run(child, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr)
    with np.load(pathlib.Path(folder) / "loaded.npz") as loaded:
        for stem, (name, recipe_name, there) in given.items():
            if stem not in loaded:
                found[name, recipe_name] = "WRONG: does not load in a new process"
                continue
            far = np.abs(loaded[stem] - there).max(initial=0)
            found[name, recipe_name] = "right" if far <= 1e-5 else f"WRONG: off by {far:.3g}"
    return found


def load_all(folder, names):
    """In a new process: loads every file and keeps what the models give."""
    found, given = {}, {}
    for path in sorted(pathlib.Path(folder).glob("*.safetensors")):
        name = names[int(path.stem.split("-")[0])]
        if name not in given:
            given[name] = inputs(made(name))
        try:
            found[path.stem] = outputs(load(path), given[name])
        except Exception as problem:
            print(f"{name}: {type(problem).__name__}: {problem}", file=sys.stderr)
    np.savez(pathlib.Path(folder) / "loaded.npz", **found)


def main(part=""):
    names = [name for name in ARCHITECTURES if part in name]
    with tempfile.TemporaryDirectory() as folder:
        found = run(names, folder)
    columns = ["float", *RECIPES]
    print(f"{'':34}" + " ".join(f"{column[:9]:9}" for column in columns))
    for name in names:
        told = [found.get((name, column), found.get((name, "build"), "")) for column in columns]
        print(f"{name:34}" + " ".join(f"{one.split(':')[0]:9}" for one in told))
    for sentence in sorted({one for one in found.values() if one.startswith("refused")}):
        print(sentence[:200])
    wrong = {pair: one for pair, one in found.items() if one.startswith(("WRONG", "NOT"))}
    for pair, one in wrong.items():
        print(pair, one[:300])
    print(
        f"{len(names)} architectures:",
        dict(collections.Counter(o.split(":")[0] for o in found.values())),
    )
    return int(bool(wrong))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--load"]:
        load_all(sys.argv[2], sys.argv[3:])
    else:
        sys.exit(main(*sys.argv[1:2]))
