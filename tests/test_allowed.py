"""What a file may name: Keras's layers, this course's and what a learner registered; and what a
description must hold for a model to come back."""

import copy
import sys
import types

import fuzz_files
import numpy as np
import pytest

from course_utils import compression, storage
from course_utils.backend import keras, tf
from course_utils.compression import compress
from course_utils.models import allowed, checkpoint, description

layers, rng = keras.layers, np.random.default_rng(0)
PLAIN = description.describe(keras.Sequential([keras.Input((2,)), layers.Dense(2)]))
TENSORS = {"kernel": np.ones((2, 2), np.float32), "bias": np.zeros(2, np.float32)}


def changed(top=(), **config):
    """The description of a Dense layer that somebody has edited."""
    described = copy.deepcopy(PLAIN)
    described["config"]["layers"][1]["config"].update(config)
    described["config"]["layers"][1].update(dict(top))
    return described


def load(described, folder, tensors=TENSORS):
    path = folder / "it.safetensors"
    path.write_bytes(storage.encode(tensors, model=described)[0])
    return compression.load(path)


def function(module, name):
    return {"module": module, "class_name": "function", "config": name, "registered_name": name}


@pytest.mark.parametrize(
    "where",
    [
        *("os.system", "builtins.eval", "builtins.get", "keras.activations.deserialize"),
        *("keras.utils.get_file", "keras.utils.set_random_seed", "keras.config.set_floatx"),
        *("keras.datasets.mnist.load_data", "keras.saving.load_model"),
    ],
)
def test_functions_that_are_no_activations_are_refused(where, tmp_path):
    module, _, name = where.rpartition(".")
    with pytest.raises(ValueError, match=f"{where} is no activation"):
        load(changed(activation=function(module, name)), tmp_path)


@pytest.mark.parametrize("name", allowed.NEVER)
@pytest.mark.parametrize("module", ["keras.layers", "keras.src.layers"])
def test_layers_that_hold_or_load_code_are_refused(name, module, tmp_path):
    with pytest.raises(ValueError, match=f"{name} (holds code|is no layer)"):
        load(changed({"class_name": name, "module": module}), tmp_path)


@pytest.mark.parametrize(
    "top",
    [
        {"module": "keras_hub", "registered_name": "Dense"},
        {"module": "keras.nowhere"},
        {"module": "keras.optimizers", "class_name": "Adam"},
        {"module": "keras.utils", "class_name": "get_file"},
        {"module": None},
        {"module": ["keras"]},
        {"class_name": "__lambda__"},
        {"class_name": "__typespec__"},
        {"registered_name": {}},
        {"config": None},
    ],
)
def test_classes_that_are_not_on_the_list_are_refused(top, tmp_path):
    with pytest.raises(ValueError, match="is no layer of Keras|is described by its name"):
        load(changed(top), tmp_path)


def test_no_module_is_imported_for_a_description(tmp_path, monkeypatch):
    (tmp_path / "keras_hub.py").write_text("raise SystemExit('code ran')")
    (tmp_path / "keras_cv.py").write_text("raise SystemExit('code ran')")
    monkeypatch.syspath_prepend(tmp_path)
    for module in ("keras_hub", "keras_cv.layers"):
        with pytest.raises(ValueError, match="is no layer of Keras"):
            load(changed({"module": module}), tmp_path)
        assert module not in sys.modules


def test_a_vocabulary_is_no_path(tmp_path):
    (tmp_path / "words.txt").write_text("secret")
    path = str(tmp_path / "words.txt")
    model = keras.Sequential([keras.Input((1,), dtype="string"), layers.StringLookup()])
    for layer in (layers.StringLookup(vocabulary=["a"]), layers.TextVectorization()):
        model = keras.Sequential([keras.Input((1,), dtype="string"), layer])
        described = description.describe(model)
        described["config"]["layers"][1]["config"]["vocabulary"] = path
        with pytest.raises(ValueError, match="a vocabulary must be a list, got the path"):
            load(described, tmp_path, {})


@pytest.mark.parametrize(
    ("described", "says"),
    [
        *((nothing, "a model is described by its class") for nothing in (None, 3, "Dense", [], {})),
        (changed(units=2**31), "asks for more numbers than the file holds"),
        (changed(units=-1), "builds no model"),
        (changed({"class_name": "TextVectorization"}), "builds no model"),
        ({"class_name": "__numpy__", "config": {"value": [1], "dtype": "f4"}}, "builds no model"),
    ],
)
def test_descriptions_that_build_nothing_are_refused(described, says, tmp_path):
    with pytest.raises(ValueError, match=says) as caught:
        load(described, tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("wicked", [{"depth": 2**31}, {"context": 2**40}, {"width": 10**9}])
def test_a_model_of_this_course_is_no_larger_than_its_file(wicked, decoder, tmp_path):
    described = description.describe(decoder)
    described["config"].update(wicked)
    tensors = {weight.path: np.asarray(weight) for weight in decoder.weights}
    with pytest.raises(ValueError, match="must be at most|than the file holds"):
        load(described, tmp_path, tensors)


@pytest.fixture
def decoder():
    from small import decoder

    return decoder()


def test_models_in_models_without_end_are_refused(tmp_path):
    described = changed()
    for _ in range(80):
        described = {**PLAIN, "config": {"name": "m", "layers": [described]}}
    with pytest.raises(ValueError, match="nested deeper than 200"):
        load(described, tmp_path)


# --- what is a learner's own ---------------------------------------------------------------------


class Doubled(layers.Dense):
    """A class that nobody registered."""


def test_what_is_not_registered_is_told_when_it_is_compressed():
    model = keras.Sequential([keras.Input((3,)), Doubled(2)])
    with pytest.raises(ValueError, match=r"Doubled .*keras\.saving\.register_keras_serializable"):
        compress(model, [])
    code = keras.Sequential([keras.Input((3,)), layers.Lambda(lambda x: 2 * x), layers.Dense(2)])
    with pytest.raises(
        ValueError, match=r"Lambda .*keras\.saving\.register_keras_serial"
    ) as caught:
        compress(code, [])
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 250


def test_what_is_registered_loads_where_it_is_registered(tmp_path):
    @keras.saving.register_keras_serializable("tests_allowed")
    class Own(layers.Dense):
        pass

    @keras.saving.register_keras_serializable("tests_allowed")
    def bend(x):
        return keras.ops.square(x)

    model = keras.Sequential([keras.Input((3,)), Own(2, activation=bend)])
    path = compress(model, []).save(tmp_path / "own.safetensors")
    x = np.ones((1, 3), np.float32)
    np.testing.assert_allclose(compression.load(path)(x), model(x), rtol=1e-6)
    for name in ("tests_allowed>Own", "tests_allowed>bend"):
        del keras.saving.get_custom_objects()[name]
    with pytest.raises(ValueError, match=r"Own .*keras\.saving\.register_keras_serializable"):
        compression.load(path)


def test_every_layer_that_keras_offers_is_on_the_list_or_named():
    for name, kind in vars(layers).items():
        if isinstance(kind, type) and issubclass(kind, layers.Layer):
            described = {"module": "keras.layers", "class_name": name, "config": {}}
            try:
                allowed.check(described)
            except ValueError:
                assert name in allowed.NEVER
            else:
                assert name not in allowed.NEVER


def test_it_holds_whatever_keras_itself_would_build(monkeypatch, tmp_path):
    """The list is asked before Keras is: older releases build what newer ones refuse."""
    asked = types.SimpleNamespace(
        deserialize_keras_object=lambda *a: pytest.fail("Keras was asked")
    )
    monkeypatch.setattr(
        keras, "saving", types.SimpleNamespace(**{**vars(keras.saving), **vars(asked)})
    )
    for top in ({"class_name": "TFSMLayer"}, {"module": "os", "class_name": "system"}):
        with pytest.raises(ValueError, match="which no file here may|is no layer"):
            load(changed(top), tmp_path)


# --- what is no weight, and comes back all the same ----------------------------------------------


def same_after_loading(model, x, folder):
    path = compress(model, []).save(folder / "it.safetensors")
    np.testing.assert_array_equal(np.asarray(compression.load(path)(x)), np.asarray(model(x)))
    again = checkpoint.load(checkpoint.save(folder / "checkpoint.safetensors", model, {}))
    np.testing.assert_array_equal(np.asarray(again(x)), np.asarray(model(x)))


@pytest.mark.parametrize("mode", ["int", "tf_idf", "multi_hot"])
def test_text_that_was_adapted_comes_back(mode, tmp_path):
    text = layers.TextVectorization(
        max_tokens=9, output_mode=mode, output_sequence_length=6 if mode == "int" else None
    )
    text.adapt(["the cat sat", "on the mat", "θ"])
    rest = [layers.Embedding(9, 8), layers.Flatten()] if mode == "int" else []
    model = keras.Sequential([keras.Input((1,), dtype="string"), text, *rest, layers.Dense(2)])
    same_after_loading(model, tf.constant([["the cat"], ["a θ on the mat"]]), tmp_path)
    assert text.get_config()["vocabulary"] is None  # the layer itself stays as it was


@pytest.mark.parametrize("kind", [layers.StringLookup, layers.IntegerLookup])
@pytest.mark.parametrize("oov", [0, 1, 2])
def test_lookups_that_were_adapted_come_back(kind, oov, tmp_path):
    known = (
        np.array([5, 7, 7, 9]) if kind is layers.IntegerLookup else np.array(["a", "b", "b", "c"])
    )
    lookup = kind(num_oov_indices=oov, output_mode="one_hot")
    lookup.adapt(known)
    dtype = "int64" if kind is layers.IntegerLookup else "string"
    model = keras.Sequential([keras.Input((1,), dtype=dtype), lookup, layers.Dense(3)])
    same_after_loading(model, tf.constant(known[:, None]), tmp_path)


def test_a_vocabulary_from_a_file_goes_into_the_model(tmp_path):
    (tmp_path / "words.txt").write_text("cat\nmat\n")
    lookup = layers.StringLookup(vocabulary=str(tmp_path / "words.txt"), output_mode="one_hot")
    model = keras.Sequential([keras.Input((1,), dtype="string"), lookup, layers.Dense(3)])
    x, path = tf.constant([["mat"], ["dog"]]), tmp_path / "it.safetensors"
    expected, content = np.asarray(model(x)), compress(model, []).content
    (tmp_path / "words.txt").unlink()
    path.write_bytes(content)
    np.testing.assert_array_equal(np.asarray(compression.load(path)(x)), expected)


def test_bins_that_were_learned_come_back(tmp_path):
    bins = layers.Discretization(num_bins=4)
    bins.adapt(rng.standard_normal(99).astype("f4"))
    model = keras.Sequential([keras.Input((3,)), bins, layers.Rescaling(0.5), layers.Dense(2)])
    same_after_loading(model, rng.standard_normal((5, 3)).astype("f4"), tmp_path)


def test_a_matrix_that_weights_began_with_is_not_written_twice(tmp_path):
    words = keras.initializers.Constant(rng.standard_normal((200, 50)).astype("f4"))
    embedding = layers.Embedding(200, 50, embeddings_initializer=words)
    model = keras.Sequential([keras.Input((10,)), embedding, layers.Dense(1)])
    assert compression.baseline(model) < 4 * model.count_params() + 1500
    same_after_loading(model, rng.integers(0, 200, (3, 10)), tmp_path)


def test_other_initializers_are_described_as_they_were():
    one = layers.Dense(2, kernel_initializer=keras.initializers.Constant(0.5))
    described = description.describe(keras.Sequential([keras.Input((3,)), one]))
    kept = described["config"]["layers"][1]["config"]["kernel_initializer"]
    assert kept["class_name"] == "Constant" and kept["config"]["value"] == 0.5


# --- by the thousand -----------------------------------------------------------------------------


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_files_of_strangers_load_rightly_or_end_in_value_error():
    """500 files with a true checksum and one wrong place, and 500 damaged ones: 15 s, most of it
    for the child that loads them."""
    found = fuzz_files.fuzz(500)
    assert not fuzz_files.faults(found), fuzz_files.faults(found)
    assert len(found["signed", "ValueError"]) > 300 and len(found["signed", "loads"]) > 30


def test_the_fuzzer_tells_what_is_wrong(monkeypatch):
    files = {"it": storage.encode(TENSORS, model=PLAIN)[0]}
    monkeypatch.setattr(fuzz_files, "originals", lambda: files)
    monkeypatch.setattr(fuzz_files.Loader, "outcome", lambda self, content: "KeyError")
    assert set(fuzz_files.faults(fuzz_files.fuzz(3))) == {
        ("signed", "KeyError"),
        ("damaged", "KeyError"),
    }
