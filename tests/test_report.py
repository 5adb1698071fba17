"""The report on a model of one's own: right numbers, one sentence for what cannot be, and the
notebook under papermill."""

import json
import re

import numpy as np
import papermill
import pytest

from course_utils import compression, files
from course_utils.backend import keras
from course_utils.compression import Quantize, parse
from course_utils.datasets import digits
from course_utils.evaluation import report as reports
from course_utils.evaluation.report import COSINE, ERROR, RIGHT, Data, Quality, report
from course_utils.models.opened import open_model

L = keras.layers
NOTEBOOK = files.NOTEBOOKS / "05_your_own.ipynb"


def classifier():
    """A small classifier of scans that learned for two seconds."""
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((64,)), L.Dense(48, "relu", name="one"), L.Dense(10, name="two")], name="own"
    )
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    model.fit(*digits.load("train"), epochs=10, verbose=0)
    return model


@pytest.fixture(scope="module")
def own():
    return classifier(), Data(*digits.load("test"))


@pytest.fixture(scope="module")
def found(own):
    return report(*own, parse("Quantize(quantization.absmax, bits=3)"), rounds=3)


# --- numbers -------------------------------------------------------------------------------------


def test_the_parts_share_no_example_and_lose_none():
    data = Data(np.arange(2000)[:, None], np.arange(2000))
    parts = data.parts()
    assert [len(part) for part in parts] == [128, 256, 1616]
    assert np.array_equal(np.sort(np.concatenate([p.targets for p in parts])), np.arange(2000))
    assert all(np.array_equal(part.inputs[:, 0], part.targets) for part in parts)
    assert [len(part) for part in data.take(np.arange(8)).parts()] == [2, 2, 4]


def test_quality_is_that_of_the_part_on_which_nothing_was_chosen(own, found):
    model, data = own
    test = data.parts()[2]
    right = np.asarray(model(test.inputs)).argmax(1) == test.targets
    after = np.asarray(found.small.model(test.inputs)).argmax(1) == test.targets
    assert found.by == RIGHT and found.examples == (100, 100, 200)
    assert found.before.mean == right.mean() and found.after.mean == after.mean()
    apart, (low, high) = found.after.minus(found.before)
    assert apart == pytest.approx(after.mean() - right.mean()) and low <= apart <= high
    # Paired, the difference is known better than from two intervals side by side.
    wide = [one.interval[1] - one.interval[0] for one in (found.before, found.after)]
    assert high - low < np.hypot(*wide)


def test_bytes_are_the_files_and_the_model_comes_back(own, found, tmp_path):
    model, data = own
    path, page = found.save(tmp_path)
    assert path.stat().st_size == found.small.ledger.total
    assert found.float_bytes == compression.baseline(model)
    again = reports.outputs(compression.load(path), data.inputs)
    np.testing.assert_allclose(again[0], found.small.model(data.inputs), atol=1e-5)
    text = page.read_text("utf8")
    assert f"| file | {path.stat().st_size:,} |" in text and "own/one/bias" in text


def test_a_layer_alone_moves_the_outputs_as_far_as_it_does(own, found):
    model, data = own
    part = data.parts()[1]
    told = reports.outputs(model, part.inputs)
    assert list(found.layers) == ["own/one/kernel", "own/two/kernel"]
    for name, far in found.layers.items():
        step = Quantize(found.recipe[0].rule, only=name, bits=3)
        alone = compression.compress(model, [step]).model
        assert far == pytest.approx(reports.moved(reports.outputs(alone, part.inputs), told))
        assert 0 < far < 1
    assert reports.moved(told, told) == 0
    same_to_all = [np.broadcast_to(told[0].mean(0), told[0].shape)]
    assert reports.moved(same_to_all, told) == pytest.approx(1)


def test_layers_of_a_calibrated_recipe_are_measured_as_they_were_calibrated(own):
    model, data = own
    steps, seen = parse("Quantize(second_order.gptq, bits=3)"), data.parts()[0].inputs
    made = compression.compress(model, steps, calibration=seen)

    def one(changed):
        return np.asarray(changed.get_layer("one").kernel)

    kernels = compression.sensitivity(model, steps, one, calibration=seen)
    assert np.array_equal(kernels["own/one/kernel"], one(made.model))
    assert np.array_equal(kernels["own/two/kernel"], one(model))


def test_on_the_device_it_runs_beside_its_own_float(found):
    assert list(found.calls) == ["Keras", "Keras, compressed", "LiteRT", "LiteRT, 8-bit weights"]
    assert found.calls["LiteRT"].speedup == 1
    small, whole, quality = found.on_device
    assert small < whole / 2 and abs(quality.minus(found.before)[0]) < 0.03


def test_what_is_right_or_wrong_and_did_not_change_is_not_known_to_the_last_digit():
    one = Quality(np.array([1.0] * 60))
    apart, (low, high) = one.minus(one)
    assert apart == 0 and -low == high and 3 / 60 < high < 0.07  # the rule of three is one-sided
    assert one.interval[0] < 0.95 and one.interval[1] == pytest.approx(1)
    values = Quality(np.linspace(0.1, 0.9, 60))
    assert values.minus(values) == (0, (0, 0))


def test_targets_choose_the_measure(own):
    model, data = own
    said = reports.outputs(model, data.inputs)
    assert reports.measure(said, data.targets) == RIGHT
    assert reports.measure(said, said[0]) == ERROR and reports.measure(said, None) == COSINE
    assert reports.marks(said, data.targets, RIGHT).mean() > 0.8
    np.testing.assert_allclose(reports.marks(said, said[0] + 2, ERROR), 4, rtol=1e-5)
    np.testing.assert_allclose(reports.marks(said, [-said[0]], COSINE), -1, rtol=1e-5)
    places = np.zeros((5, 7, 3))
    places[..., 1] = 1
    want = np.ones((5, 7), int)
    want[0, :3] = 0
    assert reports.measure([places], want) == RIGHT
    np.testing.assert_allclose(reports.marks([places], want, RIGHT), [4 / 7, 1, 1, 1, 1])


def test_a_model_with_two_inputs_is_reported_on_without_litert(tmp_path):
    a, b = keras.Input((4,), name="a"), keras.Input((6,), name="b")
    model = keras.Model({"a": a, "b": b}, L.Dense(3)(L.Concatenate()([L.Dense(5)(a), b])))
    rng = np.random.default_rng(0)
    np.savez(tmp_path / "two.npz", a=rng.normal(size=(40, 4)), b=rng.normal(size=(40, 6)))
    data = reports.read_data(tmp_path / "two.npz")
    seen = report(model, data, parse("Quantize(quantization.absmax, bits=4)"), rounds=1)
    assert seen.by == COSINE and 0.8 < seen.after.mean < 1
    assert seen.on_device == (
        "no LiteRT: the model has 2 inputs and 1 outputs, and here one of each is run"
    )
    assert seen.on_device in seen.markdown()


# --- what cannot be ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "targets, said",
    [
        (np.zeros(400, bool), "got bool of shape"),
        (np.full(400, 10), "whole numbers below 10"),
        (np.full(400, -1), "whole numbers below 10"),
        (np.zeros((400, 9)), r"floats of shape \(200, 10\); got float64 of shape \(200, 9\)"),
    ],
)
def test_targets_that_fit_nothing(own, targets, said):
    model, data = own
    with pytest.raises(ValueError, match=said):
        report(model, Data(data.inputs, targets), parse("Quantize(quantization.nf4)"))


def test_data_that_is_none(own, tmp_path):
    model, steps = own[0], parse("Quantize(quantization.nf4)")
    with pytest.raises(ValueError, match=r"cannot read rows of shape \(7,\)"):
        report(model, Data(np.ones((20, 7))), steps)
    with pytest.raises(ValueError, match="at least 8 examples, got 7"):
        report(model, Data(np.ones((7, 64))), steps)
    with pytest.raises(ValueError, match="no data at"):
        reports.read_data(tmp_path / "nowhere.npz")
    for name, content in {
        "words.npz": b"words",
        "empty.npz": b"",
        "zip.npz": b"PK\x03\x04",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=r"is no \.npz"):
            reports.read_data(tmp_path / name)
    np.save(tmp_path / "one.npy", np.ones(3))
    with pytest.raises(ValueError, match=r"is no \.npz"):
        reports.read_data(tmp_path / "one.npy")
    np.savez(tmp_path / "pickled.npz", inputs=np.array([{}, {}], object))
    with pytest.raises(ValueError, match=r"is no \.npz of plain arrays"):
        reports.read_data(tmp_path / "pickled.npz")
    np.savez(tmp_path / "uneven.npz", inputs=np.ones((9, 2)), targets=np.ones(8))
    with pytest.raises(ValueError, match="as many rows"):
        reports.read_data(tmp_path / "uneven.npz")


@pytest.mark.parametrize(
    "text, said",
    [
        ("", "a recipe reads like"),
        ("[]", "a recipe names steps, of Apply, Prune, Quantize"),
        ("4 bits", "a recipe reads like"),
        ("quantization.absmax", "a recipe names steps"),
        ("Quantize(quantization.absmaks, bits=4)", "unknown name 'quantization.absmaks'.*absmax"),
        ("Quantise(quantization.absmax, bits=4)", "unknown name 'Quantise'"),
        ("Quantize(quantization.absmax)", "missing a required argument: 'bits'"),
        ("Quantize(quantization.absmax, bits=4, group=8)", "unexpected keyword argument 'group'"),
        ("Prune(pruning.magnitude)", "mask"),
        ("Prune(pruning.magnitude, pruning.above(-1))", "theta"),
        ("Quantize(quantization.absmax, bits=open('x'))", "unknown name 'open'"),
        ("__import__('os').system('true')", "unknown name"),
        ("Quantize(quantization.absmax, bits=2**9)", "no plain value"),
        ("Quantize(*[1])", "no plain value"),
        ("Quantize(quantization.absmax, **{'bits': 4})", "in a recipe"),
    ],
)
def test_text_that_is_no_recipe(text, said):
    with pytest.raises(ValueError, match=said):
        parse(text)


@pytest.mark.parametrize(
    "text",
    [
        "[Quantize(quantization.absmax, bits=4, group_size=32)]",
        "[Prune(pruning.magnitude, pruning.fraction(share=0.5)), Quantize(quantization.nf4)]",
        "[Prune(pruning.wanda, pruning.n_of_m(m=4, n=2), only='one')]",
        "[Quantize(second_order.gptq, only='one', bits=3, group_size='channel')]",
    ],
)
def test_a_recipe_is_read_as_it_prints(text):
    assert repr(parse(text)) == text


def test_a_path_without_a_model(tmp_path):
    with pytest.raises(ValueError, match="no model at"):
        open_model(tmp_path / "nowhere.keras")
    with pytest.raises(ValueError, match=r"is no preset of KerasHub: it has no config\.json"):
        open_model(tmp_path)
    (tmp_path / "words.keras").write_text("words")
    with pytest.raises(ValueError, match=r"is no \.keras file"):
        open_model(tmp_path / "words.keras")


def test_a_file_that_holds_code_is_not_opened(tmp_path):
    model = keras.Sequential([keras.Input((2,)), L.Lambda(lambda x: 2 * x), L.Dense(1)])
    model.save(tmp_path / "code.keras")
    with pytest.raises(ValueError, match="Lambda holds code"):
        open_model(tmp_path / "code.keras")


def test_a_compiled_and_trained_model_opens(own, tmp_path):
    model, data = own
    model.save(tmp_path / "own.keras")
    again = open_model(tmp_path / "own.keras")
    np.testing.assert_allclose(again(data.inputs), model(data.inputs), atol=1e-6)


# --- the notebook --------------------------------------------------------------------------------


def said(notebook, id):
    """Returns what a cell printed, or its table in plain text."""
    cell = next(cell for cell in notebook.cells if cell.get("id") == id)
    outputs = cell.outputs
    return "".join(o.get("text", "") or o.get("data", {}).get("text/plain", "") for o in outputs)


@pytest.mark.slow
@pytest.mark.parametrize(
    "recipe, storage, targets, by",
    [
        ("Quantize(quantization.absmax, bits=2)", "entropy", True, RIGHT),
        (
            "[Prune(pruning.magnitude, pruning.fraction(0.5), only='two'), "
            "Quantize(second_order.gptq, bits=4)]",
            "fixed",
            False,
            COSINE,
        ),
    ],
)
def test_the_notebook_runs_under_papermill(own, tmp_path, recipe, storage, targets, by):
    model, data = own
    model.save(tmp_path / "own.keras")
    more = {"targets": data.targets} if targets else {}
    np.savez(tmp_path / "own.npz", inputs=data.inputs, **more)
    given = {
        "model_path": str(tmp_path / "own.keras"),
        "data_path": str(tmp_path / "own.npz"),
        "recipe": recipe,
        "storage": storage,
        "report_folder": str(tmp_path / "report"),
    }
    ran = papermill.execute_notebook(
        NOTEBOOK, tmp_path / "ran.ipynb", given, kernel_name="python3", progress_bar=False
    )
    expected = report(
        model, Data(data.inputs, more.get("targets")), parse(recipe), storage, rounds=1
    )
    assert f"measured by: {by}" in said(ran, "05-own-open")
    quality = said(ran, "05-own-report")
    assert re.search(rf"^compressed +{expected.after.mean:.4f} ", quality, re.MULTILINE), quality
    size = (tmp_path / "report" / "small.safetensors").stat().st_size
    assert abs(size - expected.small.ledger.total) < 16  # Keras numbers layers anew in each process
    assert f"{size:,}" in said(ran, "05-own-bytes")
    assert "Layers, one alone" in (tmp_path / "report" / "report.md").read_text("utf8")


def test_the_notebook_has_parameters_of_plain_values():
    cells = json.loads(NOTEBOOK.read_text("utf8"))["cells"]
    (one,) = [cell for cell in cells if "parameters" in cell["metadata"].get("tags", [])]
    room = {}
    exec("".join(one["source"]), room)
    room.pop("__builtins__")
    assert set(room) == {"model_path", "data_path", "recipe", "storage", "report_folder"}
    assert all(isinstance(value, str) for value in room.values())
