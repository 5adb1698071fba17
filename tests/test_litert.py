"""LiteRT: the file computes what the model computes, in as many bytes as its mode promises."""

import numpy as np
import pytest
import small

from course_utils import evaluation, litert, models
from course_utils.datasets import docs

LENGTH = 64
MADE = ("float", "dynamic", "int8")


@pytest.fixture(scope="module")
def model():
    return models.load("docs-base")


@pytest.fixture(scope="module")
def tokens():
    return docs.sequences("validation", 16, LENGTH)


@pytest.fixture(scope="module")
def content(model):
    calibration = docs.sequences("test", 8, LENGTH)[:, :-1]
    made = {mode: litert.export(model, mode, LENGTH, calibration=calibration) for mode in MADE}
    if "int4" in litert.modes():
        made["int4"] = litert.to_int4(made["float"])  # as `convert` does: see test_speed
    return made


def floats(content):
    """How many tensors of a file, weights and results between layers, are float32."""
    return sum(
        detail["dtype"] == np.float32
        for detail in litert.Runner(content).interpreter.get_tensor_details()
    )


def test_float_computes_what_keras_computes(model, tokens, content):
    assert np.allclose(
        litert.Runner(content["float"])(tokens[:2, :-1]), model(tokens[:2, :-1]), atol=1e-4
    )


def test_two_threads_compute_the_same(tokens, content):
    one, two = (litert.Runner(content["dynamic"], threads)(tokens[:2, :-1]) for threads in (1, 2))
    assert np.allclose(one, two, atol=1e-5)


@pytest.mark.parametrize(
    "mode, most, rise",
    [("float", 1.02, 1e-4), ("dynamic", 0.31, 0.01), ("int8", 0.29, 0.03), ("int4", 0.26, 0.10)],
)
def test_each_mode_keeps_its_promise_on_bytes_and_perplexity(
    model, tokens, content, mode, most, rise
):
    if mode not in content:
        pytest.skip("ai-edge-quantizer is not installed")
    score = evaluation.next_token(litert.Runner(content[mode]), tokens)
    original = evaluation.next_token(model, tokens)
    assert len(content[mode]) < most * 4 * model.count_params()
    assert abs(score.perplexity / original.perplexity - 1) < rise
    unchanged = score.perplexity == pytest.approx(original.perplexity, rel=1e-6)
    assert unchanged == (mode == "float")  # the others did round


def test_int8_computes_in_integers_and_dynamic_only_stores_them(content):
    assert floats(content["int8"]) < 0.25 * floats(content["dynamic"])


def test_calibration_decides_the_scales(tokens):
    model = small.decoder()
    rows = np.random.default_rng(0).integers(0, 64, (8, 8))
    files = [
        litert.export(model, "int8", 8, calibration=some) for some in (rows, np.zeros_like(rows))
    ]
    wanted = np.asarray(model(rows))
    errors = [np.abs(litert.Runner(file)(rows) - wanted).mean() for file in files]
    assert errors[0] < 0.5 * errors[1]


def test_rows_may_be_any_number_and_batches_change_nothing():
    model = small.decoder()
    rows = np.random.default_rng(1).integers(0, 64, (5, 8))
    runner = litert.Runner(litert.export(model, "float", 8, batch=2))
    assert np.allclose(runner(rows), model(rows), atol=1e-4)


def test_bad_arguments_are_named(tokens):
    model = small.decoder()
    rows = np.zeros((4, 8), np.int32)
    with pytest.raises(
        ValueError, match=r"unknown mode 'int7'; choose from: float, dynamic, int8, int4"
    ):
        litert.export(model, "int7", 8)
    with pytest.raises(ValueError, match="needs calibration data"):
        litert.export(model, "int8", 8)
    with pytest.raises(ValueError, match=r"calibration must have shape .*, 8\), got \(4, 7\)"):
        litert.export(model, "int8", 8, calibration=rows[:, 1:])
    with pytest.raises(ValueError, match="length must be a whole number from 1 to 8, got 9"):
        litert.export(model, "float", 9)
    runner = litert.Runner(litert.export(model, "float", 8))
    with pytest.raises(ValueError, match=r"rows of shape \(8,\), got inputs of shape \(4, 7\)"):
        runner(rows[:, 1:])
    with pytest.raises(ValueError, match="threads"):
        litert.Runner(b"", threads=0)
