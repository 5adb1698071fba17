"""A model changed by hand is measured, copied and compressed as changed, or refused by name."""

import time

import numpy as np
import pytest
import small

from course_utils import compression, decoding, evaluation, models
from course_utils.backend import keras
from course_utils.compression import activations, compress
from course_utils.evaluation import sweeps
from course_utils.models import by_hand, checkpoint
from course_utils.models.description import describe, rebuild
from course_utils.models.language import Block

TOKENS = np.random.default_rng(0).integers(0, 64, (6, 9)).astype(np.int32)


def loud(seed=0):
    """A tiny model whose predictions are not all alike."""
    model = small.decoder(depth=2, seed=seed)
    for weight in model.weights:
        weight.assign(4 * np.asarray(weight))
    return model


@pytest.fixture(scope="module")
def plain():
    """A model that nobody changes: what is done to others must not reach it."""
    return loud()


def right(model):
    """Perplexity as the model itself computes it, and nothing compiled."""
    logits = np.asarray(model(TOKENS[:, :-1]), np.float64)
    logits -= logits.max(-1, keepdims=True)
    nats = (
        np.log(np.exp(logits).sum(-1)) - np.take_along_axis(logits, TOKENS[:, 1:, None], 2)[..., 0]
    )
    return np.exp(nats.mean())


def measured(model):
    return evaluation.next_token(model, TOKENS).perplexity


def activation(model):
    model.blocks[0].up.activation = keras.activations.relu


def epsilon(model):
    model.blocks[0].mlp_norm.epsilon = 1000.0


def fewer_blocks(model):
    model.blocks = model.blocks[:1]


def swapped_blocks(model):
    model.blocks = model.blocks[::-1]


def own_call(model):
    layer = model.blocks[0].up
    layer.call = lambda x, call=layer.call: 0 * call(x)


def own_method(model):
    layer = model.blocks[0].attention
    layer.split = lambda x, split=layer.split: -split(x)


def own_activation(model):
    model.blocks[0].up.activation = lambda x: 2 * x


def all_that_keeps_its_blocks(model):
    for change in (activation, epsilon, swapped_blocks):
        change(model)


CARRIED = (activation, epsilon, fewer_blocks, swapped_blocks)
REFUSED = (own_call, own_method, own_activation)


@pytest.mark.parametrize("change", [*CARRIED, *REFUSED])
def test_a_changed_model_is_measured_as_changed(plain, change):
    model = loud()
    if change not in (activation, own_call):  # the others after their first measurement
        assert measured(model) == pytest.approx(right(plain), rel=1e-4)
    change(model)
    assert abs(right(model) / right(plain) - 1) > 1e-3
    assert measured(model) == pytest.approx(right(model), rel=1e-4)
    assert measured(plain) == pytest.approx(right(plain), rel=1e-4)


def test_the_same_change_later_and_back_again():
    model = loud()
    layer = model.blocks[0].up
    before = layer.activation
    for function in (before, keras.activations.relu, before):
        layer.activation = function
        assert measured(model) == pytest.approx(right(model), rel=1e-4)


def test_a_method_of_a_class_replaced_in_the_notebook(monkeypatch):
    model = loud()
    before = measured(model)
    monkeypatch.setattr(Block, "call", lambda block, x: x + block.attention(x))
    assert measured(model) == pytest.approx(right(model), rel=1e-4) and measured(model) != before


def test_text_is_written_by_the_model_as_it_is(plain):
    model = loud()
    written = [decoding.generate(one, [1, 2], 6).tolist() for one in (plain, model)]
    assert written[0] == written[1]
    fewer_blocks(model)
    assert decoding.generate(model, [1, 2], 6).tolist() != written[0]


def test_each_change_is_heard_beside_the_others():
    """A copy that lost one of several changes computes something else."""
    whole = loud()
    all_that_keeps_its_blocks(whole)
    for lost in (activation, epsilon, swapped_blocks):
        model = loud()
        for change in (activation, epsilon, swapped_blocks):
            if change is not lost:
                change(model)
        assert abs(right(model) / right(whole) - 1) > 1e-3, lost.__name__


@pytest.mark.parametrize("change", [all_that_keeps_its_blocks, fewer_blocks])
def test_copies_and_files_have_the_change(plain, change, tmp_path):
    model = loud()
    change(model)
    made = compress(model, [])
    keep = {"block_0/mlp": np.arange(64) >= 0}
    copies = [
        checkpoint.clone(model),
        made.model,
        compression.load(made.save(tmp_path / "small.safetensors")),
        checkpoint.load(checkpoint.save(tmp_path / "model.safetensors", model, {})),
        compression.silence_units(model, {}),
        compression.remove_units(model, keep),
        activations.change_inputs(model, lambda weight, x: x),
    ]
    expected = right(model)
    for copy in copies:
        assert measured(copy) == pytest.approx(expected, rel=1e-4)
    assert len(made.content) == made.ledger.total
    assert sweeps.identity(model) != sweeps.identity(plain)


@pytest.mark.parametrize(
    "change, said",
    [
        (own_call, "block_0/up: its 'call' was changed by hand"),
        (own_method, "block_0/attention: its 'split' was changed by hand"),
        (own_activation, "block_0/up: its 'activation' was changed by hand"),
        (lambda m: m.head.quantize("int8"), "head: its 'dtype' was changed by hand"),
        (lambda m: m.blocks[0].up.enable_lora(2), "block_0/up: its 'weights' was changed"),
    ],
)
def test_what_no_file_can_hold_is_refused_by_name(change, said, tmp_path):
    model = loud()
    change(model)
    for use in (
        checkpoint.clone,
        lambda m: compress(m, []),
        lambda m: compression.silence_units(m, {}),
    ):
        with pytest.raises(ValueError, match=said):
            use(model)
    with pytest.raises(ValueError, match=said):
        checkpoint.save(tmp_path / "model.safetensors", model, {})
    assert not list(tmp_path.iterdir())


def test_models_as_they_were_built_have_no_changes_and_share():
    for name in ("docs-tiny", "digits-lenet", "tales-seq2seq"):
        one, two = models.load(name), checkpoint.clone(models.load(name))
        assert "changes" not in describe(one)
        assert by_hand.fingerprint(one) == by_hand.fingerprint(two)


@pytest.fixture(scope="module")
def described():
    return describe(loud())


@pytest.mark.parametrize("kind", ("sequential", "functional", "decoder"))
def test_a_model_that_was_trained_and_asked_has_no_changes(kind, tmp_path):
    """Keras keeps notes in a model that was fitted, evaluated or asked: no output depends on them."""
    if kind == "decoder":
        model, x, y = small.decoder(), np.ones((4, 8), np.int32), np.ones((4, 8), np.int32)
    else:
        begin = keras.Input((4,))
        dense = keras.layers.Dense(3)
        model = (
            keras.Sequential([begin, dense])
            if kind == "sequential"
            else keras.Model(begin, dense(begin))
        )
        x, y = np.ones((4, 4), np.float32), np.ones(4, np.int32)
    model.compile("adam", keras.losses.SparseCategoricalCrossentropy(True), run_eagerly=True)
    model.fit(x, y, verbose=0, epochs=2, validation_data=(x, y))
    model.evaluate(x, y, verbose=0)
    model.predict(x, verbose=0)
    model.train_on_batch(x, y)
    model.test_on_batch(x, y)
    model.predict_on_batch(x)
    again = checkpoint.load(checkpoint.save(tmp_path / "it.safetensors", model, {}))
    np.testing.assert_array_equal(again(x), model(x))
    assert not by_hand.changes(model, describe(model), rebuild)


@pytest.mark.parametrize(
    "done",
    [
        [[0, "activation", {"activation": "get"}]],
        [[5, "activation", {"activation": "keras.utils.get_file"}]],
        [[5, "activation", {"activation": "__builtins__"}]],
        [[5, "call", None]],
        [[5, "_tracker", None]],
        [[999, "epsilon", 1]],
        [[0, "blocks", {"config": "Lambda"}]],
        [[0, "blocks", [{"layer": 10**9}]]],
        [[0]],
        5,
        {"a": 1},
        "text",
    ],
)
def test_a_stranger_s_changes_are_refused(described, done):
    with pytest.raises(ValueError, match="a change made by hand must name"):
        rebuild({**described, "changes": done})


def test_looking_costs_next_to_nothing():
    model = models.load("docs-base")
    by_hand.fingerprint(model)
    times = []
    for _ in range(20):
        begun = time.perf_counter()
        by_hand.fingerprint(model)
        times.append(time.perf_counter() - begun)
    assert min(times) < 0.005  # 0.7 ms on the machine that wrote this


def test_a_compiled_function_whose_model_is_gone_says_so():
    import gc

    from course_utils.models.compiled import compiled

    run = compiled(small.decoder(), say)
    gc.collect()
    with pytest.raises(ReferenceError, match="is gone"):
        run(TOKENS)


def say(model, inputs):
    return model(inputs)
