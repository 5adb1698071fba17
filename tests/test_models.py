"""Architectures and checkpoints: what is loaded is what was saved, and attention sees only the
past."""

import json

import numpy as np
import pytest
import small

from course_utils import container, files, models, storage
from course_utils.experiments import training
from course_utils.models import checkpoint, description
from course_utils.models.language import DecoderLM

rng = np.random.default_rng(0)
TOKENS = rng.integers(0, 40, (3, 10)).astype(np.int32)


def changed(**changes):
    return small.decoder(**{"vocabulary": 40, "depth": 2, "heads": 4, "context": 12, **changes})


@pytest.fixture(scope="module")
def decoder():
    return changed()


# --- the decoder ---------------------------------------------------------------------------------


def test_no_position_sees_the_future(decoder):
    changed = TOKENS.copy()
    changed[:, 6:] = (changed[:, 6:] + 1) % 40
    one, other = np.asarray(decoder(TOKENS)), np.asarray(decoder(changed))
    np.testing.assert_allclose(one[:, :6], other[:, :6], atol=1e-5)
    assert np.abs(one[:, 6:] - other[:, 6:]).max(axis=-1).min() > 1e-3


def test_every_position_sees_the_whole_past(decoder):
    changed = TOKENS.copy()
    changed[:, 0] = (changed[:, 0] + 1) % 40
    moved = np.abs(np.asarray(decoder(TOKENS)) - np.asarray(decoder(changed))).max(axis=-1)
    assert moved.min() > 1e-5


def test_attention_is_the_formula(decoder):
    layer = decoder.blocks[0].attention
    x = rng.standard_normal((1, 5, 16)).astype(np.float32)
    q, k, v = (
        (x[0] @ np.asarray(p.kernel))
        .reshape(5, 4, 4)
        .transpose(1, 0, 2)  # (heads, time, head_size)
        for p in (layer.query_projection, layer.key_projection, layer.value_projection)
    )
    scores = np.where(np.tril(np.ones((5, 5), bool)), q @ k.transpose(0, 2, 1) / 2, -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    mixed = (weights / weights.sum(-1, keepdims=True) @ v).transpose(1, 0, 2).reshape(5, 16)
    np.testing.assert_allclose(
        np.asarray(layer(x))[0], mixed @ np.asarray(layer.output_projection.kernel), atol=1e-5
    )


def test_parameters_add_up(decoder):
    assert (
        decoder.count_params()
        == 40 * 16 + 12 * 16 + 2 * (4 * 16 * 16 + 2 * 16 * 64 + 2 * 16) + 16 + 16 * 40
    )
    narrow = changed(heads=[3, 4], head_size=4, mlp_width=[10, 20])
    assert (
        narrow.count_params() == 2 * 40 * 16 + 12 * 16 + 4 * 16 * (12 + 16) + 2 * 16 * 30 + 5 * 16
    )


@pytest.mark.parametrize("changes", [{}, {"heads": [3, 4], "head_size": 4, "mlp_width": [10, 20]}])
def test_clone_and_checkpoint(changes, tmp_path):
    model = changed(**changes)
    twin = checkpoint.clone(model)
    path = checkpoint.save(tmp_path / "it.safetensors", model, {"seed": 1})
    for other in (twin, checkpoint.load(path)):
        assert type(other) is DecoderLM and other.name == "small"
        np.testing.assert_array_equal(np.asarray(other(TOKENS)), np.asarray(model(TOKENS)))
    twin.head.kernel.assign(np.zeros(twin.head.kernel.shape))
    assert np.abs(np.asarray(model.head.kernel)).max() > 0  # nothing is shared
    assert checkpoint.read(path)[1]["record"] == {"seed": 1}


def test_descriptions_name_no_training(decoder):
    decoder.compile("adam", "mse")
    described = json.dumps(description.describe(decoder))
    assert "compile_config" not in described and "adam" not in described.lower()


# --- shipped models ------------------------------------------------------------------------------


def test_shipped_models_load_and_have_a_record():
    shipped = {"digits-mlp", "docs-tiny", "docs-base"}
    assert shipped <= set(models.names())
    for name in sorted(shipped):
        model, record = models.load(name), models.record(name)
        assert model.built and record["command"] == f"python3 -m course_utils train {name}"
        assert record["curve"] and "keras" in record["versions"] and "seed" in record
    assert models.load("docs-base").count_params() == 935_040


def test_unknown_model():
    for ask in (models.load, models.record):
        with pytest.raises(ValueError, match="unknown model 'doc-base'") as caught:
            ask("doc-base")
        assert "docs-base" in str(caught.value)


def test_loading_twice_gives_two_models():
    one, other = models.load("digits-mlp"), models.load("digits-mlp")
    one.layers[0].kernel.assign(np.zeros(one.layers[0].kernel.shape))
    assert np.abs(np.asarray(other.layers[0].kernel)).max() > 0


# --- damage --------------------------------------------------------------------------------------


def test_damaged_checkpoints_do_not_load(decoder, tmp_path):
    path = checkpoint.save(tmp_path / "it.safetensors", decoder, {})
    content = path.read_bytes()
    spoiled = bytearray(content)
    spoiled[-5] ^= 1
    for damaged in (b"", content[:100], content[:-1], bytes(spoiled), b"\x80\x04pickle"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"it\.safetensors is damaged"):
            checkpoint.load(path)
    with pytest.raises(ValueError, match="no checkpoint at"):
        checkpoint.load(tmp_path / "nowhere.safetensors")


def test_other_files_are_told_apart(decoder, tmp_path):
    path = files.write(tmp_path / "it.safetensors", storage.encode({"w": np.ones(3)})[0])
    with pytest.raises(
        ValueError, match=r"is no checkpoint; compressed models are read with compression\.load"
    ):
        checkpoint.load(path)
    arrays = {weight.path: np.asarray(weight) for weight in decoder.weights}
    arrays["small/norm/scale"] = np.ones(17, np.float32)
    notes = {
        "model": description.describe(decoder),
        "weights": [w.path for w in decoder.weights],
        "record": {},
    }
    files.write(
        path, container.pack(arrays, {key: json.dumps(value) for key, value in notes.items()})
    )
    with pytest.raises(ValueError, match="does not hold the weights that its model 'small' needs"):
        checkpoint.load(path)


def test_writing_leaves_all_or_nothing(tmp_path):
    path = files.write(tmp_path / "folder" / "it.txt", "θ")
    assert path.read_text("utf8") == "θ"
    with pytest.raises(TypeError):
        files.write(path, 3)
    assert path.read_text("utf8") == "θ" and [p.name for p in path.parent.iterdir()] == ["it.txt"]


# --- training ------------------------------------------------------------------------------------


def test_every_batch_is_a_function_of_seed_and_step():
    line = np.arange(5000)
    inputs, targets = training.windows(line, 1, 7)
    assert inputs.shape == targets.shape == (training.ROWS, training.LENGTH)
    np.testing.assert_array_equal(targets, inputs + 1)
    np.testing.assert_array_equal(inputs, training.windows(line, 1, 7)[0])
    assert not np.array_equal(inputs, training.windows(line, 1, 8)[0])
    assert not np.array_equal(inputs, training.windows(line, 2, 7)[0])


def test_unknown_training():
    with pytest.raises(ValueError, match="unknown model 'doc-base'; choose from: docs-tiny"):
        training.train("doc-base")
