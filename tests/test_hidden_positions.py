"""What a model may not look at has no influence: exactly none, however loud its scores are."""

import numpy as np
import pytest
import small

from course_utils import litert, models
from course_utils.backend import keras, tf
from course_utils.datasets import docs
from course_utils.models.checkpoint import clone
from course_utils.models.language import CausalSelfAttention
from course_utils.models.seq2seq import EncoderDecoder


def louder(model, by):
    """The model with every attention score so many times as large."""
    for layer in model._flatten_layers():
        if isinstance(layer, CausalSelfAttention):
            kernel = layer.query_projection.kernel
            kernel.assign(by * np.asarray(kernel))
    return model


def leak(model, tokens, place):
    """How far the logits before a place move when every token from there on is another."""
    other = tokens.copy()
    other[:, place:] = 5
    one, two = (np.asarray(model(rows))[:, :place] for rows in (tokens, other))
    return np.abs(one - two).max()


@pytest.mark.parametrize("by", [1, 12, 1e3, 1e6])
def test_the_future_is_hidden_however_loud_it_is(by):
    tokens = docs.sequences("validation", 2)[:, :64]
    assert leak(louder(clone(models.load("docs-tiny")), by), tokens, 40) == 0


@pytest.mark.parametrize("by", [1, 1e3])
def test_the_past_reads_the_same_in_a_longer_text_and_in_a_cache(by):
    model = louder(small.decoder(depth=2), by)
    tokens = np.random.default_rng(0).integers(0, 64, (3, 8)).astype(np.int32)
    whole, caches = np.asarray(model(tokens)), model.empty_caches(3)
    assert np.allclose(model(tokens[:, :5]), whole[:, :5], atol=1e-5)
    for place in range(8):
        logits, caches = model.read(tf.constant(tokens[:, [place]]), caches, tf.constant(place))
        assert np.allclose(logits[:, 0], whole[:, place], atol=1e-5)


def test_padding_of_a_source_is_hidden():
    keras.utils.set_random_seed(0)
    model = EncoderDecoder(vocabulary=32, width=16, depth=1, heads=2, context=12)
    model.build()
    louder(model, 1e4)
    source, target = np.array([[3, 4, 5]]), np.array([[1, 6, 7]])
    padded = np.pad(source, ((0, 0), (0, 9)))
    assert np.allclose(model((source, target)), model((padded, target)), atol=1e-5)


def test_half_precision_hides_too():
    keras.config.set_dtype_policy("float16")
    try:
        model = louder(small.decoder(), 100)
        tokens = np.random.default_rng(0).integers(0, 64, (2, 8)).astype(np.int32)
        assert np.isfinite(np.asarray(model(tokens))).all() and leak(model, tokens, 4) == 0
    finally:
        keras.config.set_dtype_policy("float32")


def test_a_file_of_integers_hides_the_future_of_loud_scores():
    rng = np.random.default_rng(0)
    tokens = rng.integers(0, 64, (8, 8)).astype(np.int32)
    model = louder(small.decoder(), 300)
    run = litert.Runner(litert.export(model, "int8", 8, calibration=tokens))
    assert leak(run, tokens, 4) == 0
    far, flat = np.asarray(model(tokens)), run(tokens)
    assert np.corrcoef(far.ravel(), flat.ravel())[0, 1] > 0.9  # and has not collapsed
