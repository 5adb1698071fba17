"""Tokens a model does not know, or has no room for, are refused wherever they are read."""

import numpy as np
import pytest
import small

from course_utils import decoding, evaluation, litert, models
from course_utils.backend import keras, tf
from course_utils.datasets import digits, docs
from course_utils.decoding import classic, translation
from course_utils.evaluation import attribution
from course_utils.evaluation.tasks import TASKS
from course_utils.models.seq2seq import EncoderDecoder

TOKENS = np.random.default_rng(0).integers(0, 64, (4, 9)).astype(np.int32)


def odd(change):
    tokens = TOKENS.astype(np.int64)
    return change(tokens)


def put(tokens, value):
    tokens[0, 0] = value
    return tokens


ODD = {
    "wrapped": (odd(lambda t: t + 2**32), "from 0 to 63, got 42949"),
    "fractions": (odd(lambda t: t + 0.9), "whole number, got float64"),
    "text": (odd(lambda t: t.astype(str)), "whole number, got <U"),
    "unknown": (odd(lambda t: put(t, 600)), "from 0 to 63, got 600"),
    "negative": (odd(lambda t: put(t, -1)), "from 0 to 63, got -1"),
    "truth": (TOKENS > 3, "whole number, got bool"),
}


@pytest.fixture(scope="module")
def model():
    return small.decoder()


@pytest.fixture(scope="module")
def stranger():
    """A language model that says nothing about itself."""
    layers = [keras.Input((None,)), keras.layers.Embedding(64, 8), keras.layers.Dense(64)]
    return keras.Sequential(layers)


@pytest.fixture(scope="module")
def run(model):
    return litert.Runner(litert.export(model, "float", 8))


@pytest.mark.parametrize("tokens, said", ODD.values(), ids=ODD)
def test_tokens_that_are_not_known_are_refused(model, stranger, run, tokens, said):
    readers = [
        lambda: evaluation.next_token(model, tokens),
        lambda: evaluation.next_token(stranger, tokens),
        lambda: evaluation.next_token(run, tokens),
        lambda: run(tokens[:, :-1]),
        lambda: litert.export(model, "int8", 8, calibration=tokens[:, :-1]),
        lambda: decoding.generate(model, tokens[0, :3], 2),
        lambda: decoding.answers(model, [[1, 2], tokens[0, :3]], 0),
        lambda: decoding.sample(model, tokens[:, :3], 0),
        lambda: classic.write(model, tokens[0, :3], 2),
        lambda: attribution.self_attention(model, tokens[0, :8]),
    ]
    for read in readers:
        with pytest.raises(ValueError, match=said):
            read()
    with pytest.raises(ValueError, match="tokens must .*got"):  # of a function nothing is known
        evaluation.next_token(lambda rows: model(rows), tokens)


def test_windows_longer_than_the_context_are_refused(model):
    long = np.tile(TOKENS, 2)
    for read in (
        lambda: evaluation.next_token(model, long),
        lambda: attribution.self_attention(model, long[0]),
    ):
        with pytest.raises(ValueError, match=r"at most 8 .*context, got 1[78]: cut them"):
            read()
    with pytest.raises(ValueError, match="prompt length"):
        classic.write(model, long[0], 2)
    with pytest.raises(ValueError, match="prompt length"):
        classic.write(model, TOKENS[0, :5], 9)
    assert len(classic.write(model, TOKENS[0, :5], 4)) == 4


def test_a_shipped_model_refuses_windows_of_300():
    with pytest.raises(ValueError, match="at most 128 .* got 300"):
        evaluation.next_token(models.load("docs-tiny"), docs.sequences("validation", 1, 300))


def test_whole_numbers_of_any_type_are_read_alike(model, run):
    want = evaluation.next_token(model, TOKENS)
    for kind in (np.int8, np.uint8, np.uint16, np.int64, np.uint64):
        assert evaluation.next_token(model, TOKENS.astype(kind)) == want
    assert np.array_equal(run(TOKENS[:, :-1].astype(np.int64)), run(TOKENS[:, :-1]))
    assert evaluation.next_token(model, TOKENS.tolist()) == want


def test_translations_and_their_marks_are_checked():
    keras.utils.set_random_seed(0)
    model = EncoderDecoder(vocabulary=64, width=16, depth=1, heads=2, context=8)
    model.build()
    source, target = TOKENS[:, :8] % 63 + 1, TOKENS % 63 + 1
    assert attribution.cross_attention(model, source[0], target[0, :8]).shape == (1, 2, 8, 8)
    wide = source.astype(np.int64) + 2**32
    for read in (
        lambda: attribution.cross_attention(model, wide[0], target[0, :8]),
        lambda: translation.translate(model, source, 2**32 + 1, 2),
        lambda: translation.translate(model, source, 1, -2),
        lambda: translation.all_right(model, source, target + np.int64(2**32)),
        lambda: decoding.answers(small.decoder(), [[1]], 64),
        lambda: TASKS["translation"].score(model, (wide, target)),
        lambda: TASKS["translation"].score(model, (source, target + np.int64(2**32))),
        lambda: TASKS["translation"].score(model, (source, target + 0.5)),
        lambda: TASKS["translation"].score(model, (source, target[:2])),
        lambda: TASKS["translation"].score(model, (source, np.tile(target, 2))),
    ):
        with pytest.raises(ValueError, match="got"):
            read()
    assert TASKS["translation"].score(model, (source, target)).perplexity > 1


def test_a_classifier_is_scored_on_classes_that_it_has():
    model, (scans, labels) = models.load("digits-mlp"), digits.load("validation")
    right = evaluation.classify(model, scans, labels)
    assert evaluation.classify(model, scans, labels.astype(np.uint8)) == right
    for odd, said in (
        (labels + 1, "from 0 to 9, got 10"),
        (labels - 1, "from 0 to 9, got -1"),
        (labels.astype(np.int64) + 2**32, "from 0 to 9, got 42949"),
        (labels + 0.5, "whole numbers, got float64"),
        (labels[:, None], "in one row"),
        (labels.astype(str), "whole numbers"),
    ):
        with pytest.raises(ValueError, match=said):
            evaluation.classify(model, scans, odd)
    hole = scans.copy()
    hole[0, 0] = np.nan
    with pytest.raises(ValueError, match="inputs must be finite"):
        evaluation.classify(model, hole, labels)
    with pytest.raises(ValueError, match="a row of logits for each"):
        evaluation.classify(lambda x: tf.zeros(len(x)), scans, labels)
