"""Recipes on whole models: files that load elsewhere, models of every kind, activations, and units
that really go."""

import contextlib
import json
import subprocess
import sys
import threading

import numpy as np
import pytest
import small

from course_utils import (
    compression,
    container,
    decoding,
    evaluation,
    models,
    pruning,
    quantization,
    storage,
)
from course_utils.backend import keras, tf
from course_utils.compression import Prune, Quantize, compress, finetuning
from course_utils.datasets import digits
from course_utils.files import ROOT
from course_utils.models import checkpoint, description
from course_utils.models.introspection import called_instead

rng = np.random.default_rng(0)
TOKENS = rng.integers(0, 512, (2, 24)).astype(np.int32)
RECIPE = [Prune(pruning.magnitude, pruning.fraction(0.5)), Quantize(quantization.absmax, bits=4)]


@pytest.fixture(scope="module")
def shipped():
    return models.load("docs-tiny")


@pytest.fixture(scope="module")
def mlp():
    return models.load("digits-mlp")


@pytest.fixture(scope="module")
def decoder():
    return small.decoder(512, 32, depth=2, heads=4, context=32, seed=3)


@keras.saving.register_keras_serializable("course_utils_tests")
class Subclassed(keras.Model):
    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first, self.second = keras.layers.Dense(6, activation="relu"), keras.layers.Dense(2)

    def build(self, shape=None):
        self.first.build((None, 5))
        self.second.build((None, 6))
        self.built = True

    def call(self, x):
        return self.second(self.first(x))


def sequential():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Conv2D(4, 3),
            layers.BatchNormalization(),
            layers.DepthwiseConv2D(3),
            layers.Flatten(),
            layers.Dense(5),
        ]
    ), rng.standard_normal((2, 8, 8, 3)).astype(np.float32)


def functional():
    layers, tokens = keras.layers, keras.Input((7,), dtype="int32")
    x = layers.Embedding(20, 12)(tokens)
    x = x + layers.MultiHeadAttention(3, 4)(x, x)
    x = layers.EinsumDense("abc,cde->abde", output_shape=(7, 2, 3), bias_axes="de")(
        layers.LayerNormalization()(x)
    )
    return keras.Model(tokens, layers.Dense(4)(layers.Flatten()(x))), rng.integers(0, 20, (2, 7))


def subclassed():
    model = Subclassed()
    model.build()
    return model, rng.standard_normal((2, 5)).astype(np.float32)


def greedy(model, written, given):
    """Says whether each token after the given ones is the model's first choice after all before it:
    one pass shows them all, for no position looks ahead."""
    chosen = np.argmax(np.asarray(model(written[None, :-1])), -1)[0]
    return chosen[given - 1 :].tolist() == written[given:].tolist()


# --- files ---------------------------------------------------------------------------------------


READ = """
import pathlib, sys, numpy as np
from course_utils import compression
folder = pathlib.Path(sys.argv[2])
tokens = np.load(folder / "tokens.npy")
found = {p.stem: np.asarray(compression.load(p)(tokens)) for p in folder.glob("*.safetensors")}
np.savez(folder / "logits.npz", **found)
"""


@pytest.fixture(scope="module")
def eight(shipped, tmp_path_factory):
    """Every combination of score, what it is taken on, and storage, as files, and what a new
    process makes of them."""
    folder, made = tmp_path_factory.mktemp("files"), {}
    matrices = [w.matrix() for w in compression.weights(shipped) if not w.skipped_because]
    for score in pruning.SCORES:
        for on in ("weight", "unit"):
            rule = pruning.SCORES[score][on == "unit"]
            theta = float(np.quantile(np.concatenate([rule(m).ravel() for m in matrices]), 0.3))
            steps = [Prune(rule, pruning.above(theta)), Quantize(quantization.step, step=0.01)]
            for kind in storage.STORAGE:
                name = f"{score}-{on}-{kind}"
                made[name] = compress(shipped, steps, kind)
                made[name].save(folder / f"{name}.safetensors")
    np.save(folder / "tokens.npy", TOKENS)
    subprocess.run([sys.executable, "-c", READ, ROOT, folder], check=True, timeout=300)
    return folder, made, np.load(folder / "logits.npz")


@pytest.mark.parametrize("kind", storage.STORAGE)
@pytest.mark.parametrize("on", ["weight", "unit"])
@pytest.mark.parametrize("score", sorted(pruning.SCORES))
def test_file_is_what_the_ledger_says_and_loads_in_a_new_process(eight, score, on, kind):
    folder, made, logits = eight
    name = f"{score}-{on}-{kind}"
    here, there = made[name], logits[name]
    assert here.ledger.total == len(here.content) == (folder / f"{name}.safetensors").stat().st_size
    np.testing.assert_allclose(
        there, np.asarray(here.model(TOKENS)), atol=1e-5 * np.abs(there).max()
    )
    zeros = np.mean(
        [
            np.mean(t.codes == 0)
            for t in here.tensors.values()
            if isinstance(t, quantization.QuantizedTensor)
        ]
    )
    assert zeros > 0.1  # theta removed something


def test_entropy_files_are_smaller(eight):
    sizes = {name: made.ledger.total for name, made in eight[1].items()}
    for name in sizes:
        if name.endswith("fixed"):
            assert sizes[name.replace("fixed", "entropy")] < sizes[name]


def test_original_is_never_changed(shipped):
    before = [np.asarray(w).copy() for w in shipped.weights]
    made = compress(shipped, RECIPE)
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, shipped.weights))
    assert not np.allclose(np.asarray(made.model(TOKENS)), np.asarray(shipped(TOKENS)))
    untouched = compress(shipped, [])
    np.testing.assert_array_equal(np.asarray(untouched.model(TOKENS)), np.asarray(shipped(TOKENS)))
    assert compression.baseline(shipped) == untouched.ledger.total > 4 * shipped.count_params()


def test_four_bits_are_about_an_eighth(shipped):
    made = compress(shipped, [Quantize(quantization.absmax, bits=4, group_size=32)])
    assert (
        4.5 < made.ledger.bits_per_weight < 4.5 + 0.6
    )  # 4 bits, 16 more for each 32, norms and header
    assert 6 < compression.baseline(shipped) / made.ledger.total < 7.2


@pytest.mark.parametrize(
    "content", [b"", b"not a model", container.pack({"w": np.ones(3)}, {"record": "{}"})]
)
def test_load_refuses_other_files(tmp_path, content):
    path = tmp_path / "it.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"it\.safetensors"):
        compression.load(path)
    with pytest.raises(ValueError, match="no compressed model at"):
        compression.load(tmp_path / "nowhere.safetensors")
    with pytest.raises(ValueError, match="checkpoints are read with models"):
        compression.load(ROOT / "data" / "models" / "digits-mlp.safetensors")


# --- any model -----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [sequential, functional, subclassed])
@pytest.mark.parametrize(
    "steps",
    [
        RECIPE,
        [Quantize(quantization.affine, bits=3, group_size=4)],
        [Quantize(quantization.kmeans, bits=3)],
    ],
)
def test_any_keras_model(make, steps, tmp_path):
    model, inputs = make()
    made = compress(model, steps, "entropy")
    loaded = compression.load(made.save(tmp_path / "m.safetensors"))
    np.testing.assert_allclose(
        np.asarray(loaded(inputs)), np.asarray(made.model(inputs)), atol=1e-6
    )
    assert type(loaded) is type(model)
    for weight, variable in zip(compression.weights(model), model.weights):
        quantized = isinstance(made.tensors[weight.name], quantization.QuantizedTensor)
        assert (
            quantized
            == (weight.name not in made.skipped)
            == (len(variable.shape) >= 2 and variable.name != "bias")
        )
    assert len(made.tensors) == len(model.weights) and all(made.skipped.values())


def test_every_matrix_computes_what_its_layer_computes():
    model, _ = functional()
    einsum = next(layer for layer in model.layers if isinstance(layer, keras.layers.EinsumDense))
    named = {w.name: w for w in compression.weights(model)}
    x = rng.standard_normal((2, 7, 12)).astype(np.float32)
    weight = named[einsum.kernel.path]
    np.testing.assert_allclose(
        np.asarray(einsum(x)).reshape(14, -1), x.reshape(14, 12) @ weight.matrix(), atol=1e-5
    )
    output = next(layer for layer in model._flatten_layers() if layer.name == "attention_output")
    weight, heads = named[output.kernel.path], rng.standard_normal((2, 7, 3, 4)).astype(np.float32)
    assert weight.matrix().shape == (12, 12)
    np.testing.assert_allclose(
        np.asarray(output(heads)).reshape(14, -1),
        heads.reshape(14, 12) @ weight.matrix(),
        atol=1e-5,
    )
    for weight in named.values():
        if not weight.skipped_because:
            np.testing.assert_array_equal(
                weight.shaped(weight.matrix()), np.asarray(weight.variable)
            )


@keras.saving.register_keras_serializable("tests")
class Foreign(keras.layers.Layer):
    """A layer with a matrix that the course cannot know."""

    def build(self, shape):
        self.kernel = self.add_weight(shape=(shape[-1], 4), name="kernel")
        self.lookup = self.add_weight(shape=(3, 3), dtype="int32", name="lookup", trainable=False)

    def call(self, x):
        return x @ self.kernel


def test_what_is_skipped_says_why():
    layers = keras.layers
    x = keras.Input((6, 16))
    read = layers.GRU(4)(layers.MultiHeadAttention(2, 8)(layers.PReLU(name="bent")(x), x))
    model = keras.Model(x, Foreign(name="mine")(layers.BatchNormalization(name="norm")(read)))
    skipped = compress(model, RECIPE).skipped
    why = {"/".join(name.split("/")[-2:]): reason for name, reason in skipped.items()}
    assert why.pop("bent/alpha") == "not a matrix: PReLU scales or shifts with it"
    assert why.pop("mine/kernel") == "Foreign is not a layer this course knows"
    assert why.pop("mine/lookup") == "Foreign is not a layer this course knows"
    assert {"query/bias", "gru_cell/bias", "norm/gamma"} <= set(why)
    assert set(why.values()) == {"not a matrix: a bias, a norm or a counter"}


def test_much_that_was_left_is_told_first():
    model = keras.Sequential([keras.Input((8,)), Foreign(name="mine"), keras.layers.Dense(2)])
    small = compress(model, [Quantize(quantization.absmax, bits=4)])
    assert small.left == (32 + 9 + 2) / (32 + 9 + 8 + 2)
    assert str(small).startswith("84% of the weights were left as they are; the most of them: ")
    assert "mine/kernel: Foreign is not a layer this course knows\n" in str(small)
    assert str(small).endswith(str(small.ledger)) and repr(small) == str(small)
    known = keras.Sequential([keras.Input((80,)), keras.layers.Dense(2)])
    assert str(whole := compress(known, [])) == str(whole.ledger)


EIGHT = Quantize(quantization.absmax, bits=8)
WITH_ONLY = {
    "compress": lambda m, only: compress(m, [Quantize(quantization.absmax, bits=8, only=only)]),
    "sensitivity": lambda m, only: compression.sensitivity(m, [EIGHT], id, only=only),
    "sensitivity's recipe": lambda m, only: compression.sensitivity(
        m, [Quantize(quantization.absmax, bits=8, only=only)], id
    ),
    "change_inputs": lambda m, only: compression.change_inputs(m, lambda w, x: x, only),
    "quantize_activations": lambda m, only: compression.quantize_activations(
        m, 8, "token", only=only
    ),
    "unit_scores": lambda m, only: compression.unit_scores(m, pruning.unit_magnitude, only=only),
    "finetune": lambda m, only: finetuning.finetune(
        m,
        lambda step: (TOKENS[:, :-1], TOKENS[:, 1:]),
        1,
        lambda step: [Quantize(quantization.absmax, bits=8, only=only)],
    ),
}


@pytest.mark.parametrize("name", WITH_ONLY)
@pytest.mark.parametrize("only", ["blok", "norm", "Block", "lock_0", "block_0/u", 7, None])
def test_only_that_touches_nothing_is_refused(decoder, name, only):
    with pytest.raises(ValueError, match="only"):
        WITH_ONLY[name](decoder, only)


@pytest.fixture(scope="module")
def deep():
    return small.decoder(depth=11)  # its last block is block_10


@pytest.mark.parametrize("only, blocks", [("block_1", {1}), ("block", set(range(11)))])
def test_only_names_whole_parts_of_a_path(deep, only, blocks):
    made = compress(deep, [Quantize(quantization.absmax, only=only, bits=4)]).tensors
    rounded = [n for n, t in made.items() if isinstance(t, quantization.QuantizedTensor)]
    assert {name.split("/")[1] for name in rounded} == {f"block_{i}" for i in blocks}


def test_steps_touch_only_what_they_name(decoder):
    with pytest.raises(ValueError, match="only='block_1/mlp' is part of no matrix's name; there"):
        compress(decoder, [Quantize(quantization.absmax, bits=8, only="block_1/mlp")])
    made = compress(decoder, [Quantize(quantization.absmax, bits=8, only="block_1/up")])
    assert [n for n, t in made.tensors.items() if isinstance(t, quantization.QuantizedTensor)] == [
        "small/block_1/up/kernel"
    ]


# --- refusals ------------------------------------------------------------------------------------


def test_weights_that_are_not_finite(decoder):
    broken = checkpoint.clone(decoder)
    broken.blocks[0].up.kernel.assign(np.full(broken.blocks[0].up.kernel.shape, np.nan))
    with pytest.raises(ValueError, match="block_0/up/kernel must be finite"):
        compress(broken, RECIPE)


@pytest.mark.parametrize(
    ("steps", "says"),
    [
        ([Quantize(quantization.step, step=0)], "step must be a number > 0, got 0"),
        ([Quantize(quantization.step, step=-1.0)], "step must be a number > 0, got -1.0"),
        ([Quantize(quantization.absmax, bits=9)], "bits must be a whole number from 2 to 8, got 9"),
        (
            [Quantize(quantization.absmax, bits=4, group_size="row")],
            "group_size must be 'tensor', 'channel'",
        ),
        (
            [Quantize(quantization.absmax, bits=4), Prune(pruning.magnitude, pruning.above(0.1))],
            "prune first, quantize once",
        ),
        (
            [Prune(pruning.wanda, pruning.fraction_per_unit(0.5), only="up")],
            "give calibration data",
        ),
        (
            [Prune(pruning.wanda, pruning.fraction_per_unit(0.5), only="embedding")],
            "has no inputs to calibrate on",
        ),
    ],
)
def test_recipes_that_cannot_be(decoder, steps, says):
    with pytest.raises(ValueError, match=says):
        compress(decoder, steps)


def test_unbuilt_models_and_unknown_storage(decoder):
    with pytest.raises(ValueError, match="has no weights; build it"):
        compress(keras.Sequential([keras.layers.Dense(3)]), RECIPE)
    with pytest.raises(ValueError, match="unknown storage 'zip'"):
        compress(decoder, RECIPE, storage="zip")
    with pytest.raises(ValueError, match="at least one row"):
        compress(
            decoder,
            [Prune(pruning.wanda, pruning.fraction(0.5), only="up")],
            calibration=TOKENS[:0],
        )


# --- calibration ---------------------------------------------------------------------------------


def test_capture_sees_what_the_layer_reads(mlp):
    inputs, _ = digits.load("validation")
    first, second, third = (w for w in compression.weights(mlp) if not w.skipped_because)
    np.testing.assert_array_equal(compression.capture(mlp, first, inputs), inputs)
    hidden = np.maximum(
        inputs @ np.asarray(mlp.layers[0].kernel) + np.asarray(mlp.layers[0].bias), 0
    )
    np.testing.assert_allclose(compression.capture(mlp, second, inputs), hidden, atol=1e-5)
    assert compression.capture(mlp, third, inputs).shape == (300, 32)


def test_a_rule_is_shown_what_its_layer_reads_now_and_what_it_used_to_read(decoder):
    seen = []

    def coarse(matrix, inputs, original_inputs):
        seen.append((inputs, original_inputs))
        return np.round(matrix, 1)

    small = compress(decoder, [compression.Apply(coarse, only="block")], calibration=TOKENS).model
    now, before = (
        [w for w in compression.weights(model) if "block" in w.name and not w.skipped_because]
        for model in (small, decoder)
    )
    assert len(seen) == len(now) > 0
    for weight, original, (inputs, original_inputs) in zip(now, before, seen):
        np.testing.assert_allclose(inputs, compression.capture(small, weight, TOKENS), atol=1e-5)
        np.testing.assert_allclose(
            original_inputs, compression.capture(decoder, original, TOKENS), atol=1e-5
        )
    assert not np.allclose(*seen[-1], atol=1e-3)  # the layers in front have changed


def test_a_rule_that_refuses_is_heard_as_it_spoke_and_the_model_stays(decoder):
    def refuse(matrix, inputs, original_inputs):
        raise ValueError("not this one")

    with pytest.raises(ValueError, match=r"^not this one$"):
        compress(decoder, [compression.Apply(refuse, only="block")], calibration=TOKENS)
    assert not any("call" in vars(layer) for layer in decoder._flatten_layers())


def test_wanda_prunes_what_the_data_does_not_use(mlp):
    inputs, _ = digits.load("train")
    recipes = {
        "wanda": Prune(pruning.wanda, pruning.fraction_per_unit(0.7)),
        "magnitude": Prune(pruning.magnitude, pruning.fraction_per_unit(0.7)),
    }
    loss = {
        name: evaluation.classify(
            compress(mlp, [step], calibration=inputs).model, *digits.load("validation")
        ).perplexity
        for name, step in recipes.items()
    }
    assert loss["wanda"] < loss["magnitude"]  # some corner pixels are never inked


def test_sensitivity_compresses_one_matrix_at_a_time(mlp):
    inputs, labels = digits.load("validation")
    steps = [Quantize(quantization.absmax, bits=2)]

    def measure(model):
        return evaluation.classify(model, inputs, labels).perplexity

    found = compression.sensitivity(mlp, steps, measure)
    assert list(found) == [w.name for w in compression.weights(mlp) if not w.skipped_because]
    for name, value in found.items():
        alone = compress(mlp, [Quantize(quantization.absmax, only=name, bits=2)]).model
        assert value == pytest.approx(measure(alone)) and value > measure(mlp)
    assert list(compression.sensitivity(mlp, steps, measure, only="hidden_0")) == [
        next(iter(found))
    ]


# --- activations ---------------------------------------------------------------------------------


def test_rounding_is_straight_through():
    x = tf.constant([-1.0, -0.74, -0.06, 0.0, 0.04, 0.36, 0.72, 0.8])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = compression.fake_quantize(x, 0.1, 7.0)
        cost = tf.reduce_sum(y * tf.range(1.0, 9.0))
    np.testing.assert_allclose(y, [-0.7, -0.7, -0.1, 0, 0, 0.4, 0.7, 0.7], atol=1e-6)
    np.testing.assert_allclose(tape.gradient(cost, x), [0, 2, 3, 4, 5, 6, 7, 0])


@pytest.mark.parametrize("bits", [8, 3])
def test_activations_are_rounded_as_plain_numpy_rounds_them(mlp, bits):
    inputs, _ = digits.load("validation")
    levels = 2 ** (bits - 1) - 1

    def forward(scale_of):
        x = inputs
        for layer in mlp.layers:
            scale = scale_of(layer, x)
            x = np.clip(np.rint(x / scale), -levels, levels) * scale @ np.asarray(
                layer.kernel
            ) + np.asarray(layer.bias)
            x = x if layer is mlp.layers[-1] else np.maximum(x, 0)
        return x

    largest = {
        layer.name: np.abs(compression.capture(mlp, weight, inputs)).max()
        for layer, weight in zip(
            mlp.layers, (w for w in compression.weights(mlp) if not w.skipped_because)
        )
    }
    ours = {
        "token": forward(lambda layer, x: np.abs(x).max(axis=1, keepdims=True) / levels),
        "tensor": forward(lambda layer, x: largest[layer.name] / levels),
    }
    for per, expected in ours.items():
        twin = compression.quantize_activations(mlp, bits, per, calibration=inputs)
        given = np.asarray(twin(inputs))
        # float32 decides exact halves one way or the other: a few values may differ by one level
        assert np.mean(np.abs(given - expected) < 1e-3) > 0.98
        assert not np.allclose(given, np.asarray(mlp(inputs)), atol=1e-3)


def test_rounded_activations_match_the_integer_product(mlp):
    inputs, _ = digits.load("validation")
    weights = quantization.absmax(np.asarray(mlp.layers[0].kernel), 8)
    integers = np.maximum(
        quantization.quantized_matmul(inputs, weights) + np.asarray(mlp.layers[0].bias), 0
    )
    twin = compression.quantize_activations(
        compress(mlp, [Quantize(quantization.absmax, bits=8)]).model, per="token"
    )
    # the integer product keeps its scales in float16, which may move a value by one level in 127
    np.testing.assert_allclose(np.asarray(twin.layers[0](inputs)), integers, atol=0.02)


def test_a_fixed_range_clips_and_a_token_range_does_not(mlp):
    inputs, _ = digits.load("validation")
    fixed = compression.quantize_activations(mlp, 8, "tensor", inputs, only="hidden_0")
    moving = compression.quantize_activations(mlp, 8, "token", only="hidden_0")
    loud = inputs * 4
    assert np.abs(np.asarray(fixed(loud)) - np.asarray(mlp(loud))).max() > 5
    assert np.abs(np.asarray(moving(loud)) - np.asarray(mlp(loud))).max() < 0.5


def test_rounded_activations_survive_compilation():
    decoder = small.decoder(512, 32, heads=4, context=32, seed=3)
    twin = compression.quantize_activations(decoder, 4, "token")
    measured, plain = evaluation.next_token(twin, TOKENS), evaluation.next_token(decoder, TOKENS)
    logits = np.asarray(twin(TOKENS[:, :-1])).astype(np.float64)
    losses = (
        np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, TOKENS[:, 1:, None], -1)[..., 0]
    )
    assert (
        measured.loss == pytest.approx(losses.mean(), abs=1e-4)
        and abs(measured.loss - plain.loss) > 1e-4
    )
    assert greedy(twin, decoding.generate(twin, [3, 1, 4], 6), 3)
    np.testing.assert_array_equal(
        np.asarray(checkpoint.clone(twin)(TOKENS)), np.asarray(decoder(TOKENS))
    )  # as documented


def test_attention_of_keras_is_rounded_per_token():
    model, inputs = functional()
    output = next(layer for layer in model._flatten_layers() if layer.name == "attention_output")
    assert compression.axes_read(output) == [
        -2,
        -1,
    ]  # two axes, heads and their width, make up one token
    twin = compression.quantize_activations(model, 8, "token")
    np.testing.assert_allclose(np.asarray(twin(inputs)), np.asarray(model(inputs)), atol=0.1)


def test_activation_settings_are_checked(mlp):
    for arguments, says in (
        ({"bits": 1}, "bits must be"),
        ({"per": "row"}, "unknown per 'row'"),
        ({}, "give calibration data"),
    ):
        with pytest.raises(ValueError, match=says):
            compression.quantize_activations(mlp, **arguments)


# --- removal -------------------------------------------------------------------------------------


def halves(model, only=""):
    scores = compression.unit_scores(model, pruning.unit_magnitude, only)
    return {name: pruning.fraction(0.5)(score) for name, score in scores.items()}


def test_removed_hidden_units_are_gone(mlp):
    keep = halves(mlp)
    small, silent, (inputs, _) = (
        compression.remove_units(mlp, keep),
        compression.silence_units(mlp, keep),
        digits.load("test"),
    )
    x = inputs  # plain numpy
    for layer, mask in zip(mlp.layers, [keep["hidden_0"], keep["hidden_1"], np.ones(10, bool)]):
        x = x @ np.asarray(layer.kernel) + np.asarray(layer.bias)
        x = x if layer is mlp.layers[-1] else np.maximum(x, 0) * mask
    np.testing.assert_allclose(np.asarray(silent(inputs)), x, atol=1e-4)
    np.testing.assert_allclose(np.asarray(small(inputs)), x, atol=1e-4)
    assert [layer.units for layer in small.layers] == [32, 16, 10] and type(small) is type(mlp)
    assert small.count_params() == 64 * 32 + 32 + 32 * 16 + 16 + 16 * 10 + 10
    assert compression.baseline(small) < 0.6 * compression.baseline(mlp)


def test_functional_stacks_and_units_with_a_bias_of_their_own():
    keras.utils.set_random_seed(0)
    layers, given = keras.layers, keras.Input((6,))
    x = layers.Dropout(0.5)(
        layers.Dense(8, activation="sigmoid", name="a", bias_initializer="ones")(given)
    )
    model = keras.Model(
        given, layers.Dense(3, name="c")(layers.Activation("tanh")(layers.Dense(5, name="b")(x)))
    )
    keep = {"a": np.arange(8) % 2 == 0, "b": np.array([True, False, False, True, True])}
    x = rng.standard_normal((4, 6)).astype(np.float32)
    small = compression.remove_units(model, keep)
    np.testing.assert_allclose(
        np.asarray(small(x)), np.asarray(compression.silence_units(model, keep)(x)), atol=1e-5
    )
    assert small.count_params() == 6 * 4 + 4 + 4 * 3 + 3 + 3 * 3 + 3


def test_removed_heads_and_mlp_units_of_a_decoder(decoder, tmp_path):
    keep = halves(decoder, "mlp") | {"block_1/attention": np.array([False, True, True, False])}
    keep["block_0/mlp"][:-1] = keep["block_0/mlp"][
        1:
    ]  # another number of units than in block 1, or another choice
    keep["block_0/mlp"][-1] = True
    small, silent = (
        compression.remove_units(decoder, keep),
        compression.silence_units(decoder, keep),
    )
    expected = np.asarray(silent(TOKENS))
    np.testing.assert_allclose(
        np.asarray(small(TOKENS)), expected, atol=1e-5 * np.abs(expected).max()
    )
    assert not np.allclose(expected, np.asarray(decoder(TOKENS)), atol=1e-3)
    removed = sum(np.sum(~keep[f"block_{i}/mlp"]) * 2 * 32 for i in (0, 1)) + 4 * 32 * 16
    assert decoder.count_params() - small.count_params() == removed
    assert compression.baseline(small) < compression.baseline(decoder) - 3.9 * removed
    loaded = compression.load(compress(small, []).save(tmp_path / "small.safetensors"))
    np.testing.assert_array_equal(np.asarray(loaded(TOKENS)), np.asarray(small(TOKENS)))
    written = decoding.generate(small, [5, 6, 7], 20)
    assert len(written) == 23 and greedy(small, written, 3)


def test_removed_twice(decoder):
    once = compression.remove_units(
        decoder, {"block_0/attention": np.array([True, True, False, True])}
    )
    twice = compression.remove_units(once, {"block_0/attention": np.array([False, True, True])})
    directly = compression.remove_units(
        decoder, {"block_0/attention": np.array([False, True, False, True])}
    )
    np.testing.assert_array_equal(np.asarray(twice(TOKENS)), np.asarray(directly(TOKENS)))
    assert twice.config["heads"] == [2, 4]


def test_a_head_scores_the_sum_of_its_units(decoder):
    scores = compression.unit_scores(decoder, pruning.unit_magnitude, only="attention")
    attention = decoder.blocks[0].attention
    kernels = [
        np.asarray(p.kernel)
        for p in (attention.query_projection, attention.key_projection, attention.value_projection)
    ]
    expected = sum(pruning.unit_magnitude(kernel).reshape(4, 8).sum(axis=1) for kernel in kernels)
    np.testing.assert_allclose(scores["block_0/attention"], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("keep", "says"),
    [
        (
            {"block_7/mlp": np.ones(128, bool)},
            "unknown part 'block_7/mlp'; choose from: block_0/attention",
        ),
        ({"block_0/mlp": np.ones(5, bool)}, "must hold 128 booleans"),
        ({"block_0/mlp": np.ones(128)}, "must hold 128 booleans"),
        ({"block_0/attention": np.zeros(4, bool)}, "at least one True"),
    ],
)
def test_removal_is_checked(decoder, keep, says):
    for change in (compression.remove_units, compression.silence_units):
        with pytest.raises(ValueError, match=says):
            change(decoder, keep)


def test_only_stacks_can_lose_units():
    model, _ = functional()
    given = keras.Input((4,))
    residual = keras.Model(given, keras.layers.Dense(2)(keras.layers.Dense(4)(given) + given))
    for other in (model, sequential()[0], residual):
        with pytest.raises(ValueError, match="neither lists what is removable nor is a stack"):
            compression.remove_units(other, {})


def test_descriptions_are_plain_json(decoder):
    small = compression.remove_units(decoder, halves(decoder, "mlp"))
    assert json.loads(json.dumps(description.describe(small)))["config"]["mlp_width"] == [64, 64]


def test_two_threads_may_calibrate_on_one_model():
    layer, both, seen = keras.layers.Dense(3), threading.Barrier(2, timeout=2), []
    layer.build((None, 2))
    usual = layer.call

    def instead(inputs):
        seen.append(threading.get_ident())
        return usual(inputs)

    def replace():
        with called_instead(layer, instead):
            layer(np.ones((1, 2)))
            with contextlib.suppress(threading.BrokenBarrierError):
                both.wait()  # nobody else may come in here

    threads = [threading.Thread(target=replace) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 2 and "call" not in vars(layer)
    with called_instead(layer, instead):  # another thread only calls the layer
        other = threading.Thread(target=layer, args=(np.ones((1, 2)),))
        other.start()
        other.join()
    assert len(seen) == 2 and both.broken


def test_a_draw_of_calibration_text_is_windows_from_random_places():
    line = np.arange(500, 600)
    drawn = compression.windows(line, 6, draw=1, length=20)
    assert drawn.shape == (6, 20) and (np.diff(drawn, axis=1) == 1).all()
    np.testing.assert_array_equal(drawn, compression.windows(line, 6, draw=1, length=20))
    assert len({tuple(row) for row in drawn}) > 1
    assert not np.array_equal(drawn, compression.windows(line, 6, draw=2, length=20))
    for bad in ({"length": 100}, {"draw": -1}, {"count": 0}):
        with pytest.raises(ValueError, match="length|seed|count"):
            compression.windows(line, **{"count": 6, **bad})


def test_what_a_part_of_a_model_takes_is_counted_in_the_file():
    model = small.decoder(40, 32, context=24)
    step = compression.Quantize(quantization.affine, only="block", bits=4, group_size=32)
    made = compression.compress(model, [step])
    size, bits = made.size_of("block")
    count = sum(
        w.matrix().size
        for w in compression.weights(model)
        if "block" in w.name and not w.skipped_because
    )
    assert bits == 8 * size / count and 4.5 < bits <= 4.8  # codes, a float16 scale, a zero point
    assert size < made.size_of("")[0] < made.ledger.total
    with pytest.raises(ValueError, match="names no matrix"):
        made.size_of("nowhere")
