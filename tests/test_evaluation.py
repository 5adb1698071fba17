"""Measuring and writing: against plain numpy, known values and the slow way of doing the same."""

import numpy as np
import pytest
import small

from course_utils import decoding, evaluation, models
from course_utils.backend import tf
from course_utils.datasets import digits
from course_utils.models.checkpoint import clone

rng = np.random.default_rng(0)
TOKENS = rng.integers(0, 50, (5, 21)).astype(np.int32)


@pytest.fixture(scope="module")
def decoder():
    model = small.decoder(vocabulary=50, width=24, depth=2, heads=3, context=24, seed=1)
    # larger weights, so that choices differ
    for layer in (model.embedding, *(block.down for block in model.blocks), model.head):
        layer.weights[0].assign(layer.weights[0] * 4)
    return model


def plain(model, tokens):
    """Loss and hits of each prediction, by the definition."""
    logits = np.asarray(model(tokens[:, :-1])).astype(np.float64)
    logits -= logits.max(-1, keepdims=True)
    true = np.take_along_axis(logits, tokens[:, 1:, None], -1)[..., 0]
    return np.log(np.exp(logits).sum(-1)) - true, logits.argmax(-1) == tokens[:, 1:]


# --- next token ----------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [2, 16])
def test_next_token_is_what_plain_numpy_says(decoder, batch_size):
    losses, hits = plain(decoder, TOKENS)
    result = evaluation.next_token(decoder, TOKENS, batch_size)
    assert result.loss == pytest.approx(losses.mean(), rel=1e-5)
    assert result.perplexity == pytest.approx(np.exp(losses.mean()), rel=1e-4)
    assert result.accuracy == pytest.approx(hits.mean()) and result.predictions == 100
    rows = losses.mean(axis=1)
    half = 1.96 * rows.std(ddof=1) / np.sqrt(5)
    assert result.perplexity_interval == pytest.approx(
        np.exp([rows.mean() - half, rows.mean() + half]), rel=1e-4
    )
    rows = hits.mean(axis=1)
    assert np.mean(result.accuracy_interval) == pytest.approx(rows.mean())


def test_weights_are_read_anew_at_each_call(decoder):
    twin = clone(decoder)
    before = evaluation.next_token(twin, TOKENS).loss
    assert before == pytest.approx(evaluation.next_token(decoder, TOKENS).loss)
    twin.head.kernel.assign(np.zeros(twin.head.kernel.shape))
    uniform = evaluation.next_token(twin, TOKENS)
    assert uniform.perplexity == pytest.approx(50, rel=1e-5) and uniform.loss == pytest.approx(
        np.log(50), rel=1e-5
    )
    assert evaluation.next_token(decoder, TOKENS).loss == pytest.approx(before)


def test_a_broken_model_is_infinitely_surprised(decoder):
    twin = clone(decoder)
    twin.head.kernel.assign(np.full(twin.head.kernel.shape, np.nan))
    assert evaluation.next_token(twin, TOKENS).perplexity == np.inf


def test_interval_covers_the_truth_about_nineteen_times_in_twenty():
    draws = np.random.default_rng(2).normal(3, 1, (2000, 30))
    bounds = np.array([evaluation.interval(row) for row in draws])
    assert np.mean((bounds[:, 0] < 3) & (bounds[:, 1] > 3)) == pytest.approx(0.94, abs=0.02)
    assert evaluation.interval([1.0]) == (-np.inf, np.inf)


@pytest.mark.parametrize(
    "tokens", [np.empty((0, 5)), np.empty((3, 1)), np.arange(5), np.zeros((2, 3, 4))]
)
def test_tokens_of_another_shape(decoder, tokens):
    with pytest.raises(ValueError, match=r"tokens must have shape \(sequences, length \+ 1\)"):
        evaluation.next_token(decoder, tokens)


# --- classes -------------------------------------------------------------------------------------


def test_digits_are_read_well():
    result = evaluation.classify(models.load("digits-mlp"), *digits.load("test"))
    assert result.accuracy >= 0.97 and result.examples == 400
    assert result.interval[0] < result.accuracy < result.interval[1] and 1 < result.perplexity < 1.2


def test_classify_is_what_plain_numpy_says():
    inputs, labels = np.eye(3, dtype=np.float32) * 2, np.array([0, 1, 0])
    result = evaluation.classify(lambda x: x, inputs, labels)
    right, wrong = np.log(np.exp(2) + 2) - 2, np.log(np.exp(2) + 2)
    assert result.accuracy == pytest.approx(2 / 3)
    assert result.perplexity == pytest.approx(np.exp((2 * right + wrong) / 3))
    for bad in ([], [0, 1]):
        with pytest.raises(ValueError, match="labels must be as many as inputs"):
            evaluation.classify(lambda x: x, inputs, bad)


def test_wilson_against_published_values():
    # Newcombe (1998), table I, method 3 (score): 81 of 263, 15 of 148, 0 of 20, 1 of 29
    for hits, count, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        assert evaluation.wilson(hits / count, count) == pytest.approx((low, high), abs=1e-4)


@pytest.mark.parametrize(
    ("share", "count"), [(0.5, 0), (0.5, -1), (0.5, 2.5), (1.1, 3), (np.nan, 3), (0.5, np.inf)]
)
def test_a_share_of_nothing_has_no_interval(share, count):
    with pytest.raises(ValueError, match="(share|count) must be"):
        evaluation.wilson(share, count)


def test_counts_of_every_type_have_the_same_interval():
    assert evaluation.wilson(0.3, np.uint8(200)) == evaluation.wilson(0.3, 200)
    assert evaluation.wilson(0.3, np.int32(10**6)) == evaluation.wilson(0.3, 10**6)


@pytest.mark.parametrize("second", [[1.0], [1.0, 2.0], [1.0, np.nan, 2.0]])
def test_runs_are_compared_one_by_one(second):
    with pytest.raises(ValueError, match="(same runs|second must be finite)"):
        evaluation.paired([1.0, 2.0, 3.0], second)
    with pytest.raises(ValueError, match="at least two"):
        evaluation.paired([1.0], [2.0])


# --- writing -------------------------------------------------------------------------------------


@pytest.mark.parametrize("prompt", [[7], [3, 1, 4, 1, 5], list(range(20))])
def test_cached_writing_equals_full_recompute(decoder, prompt):
    length = min(18, 24 - len(prompt))
    row = list(prompt)
    for _ in range(length):
        row.append(int(np.argmax(np.asarray(decoder(np.array([row])))[0, -1])))
    written = decoding.generate(decoder, prompt, length)
    assert written.tolist() == row
    assert (
        len(prompt) > 5 or len(set(row)) > 3
    )  # the model does not repeat itself, so equality means something


def test_each_step_gives_the_logits_of_a_full_pass(decoder):
    tokens, caches = TOKENS[:, :20], decoder.empty_caches(5)
    full = np.asarray(decoder(tokens))
    for position in range(20):
        logits, caches = decoder.read(tokens[:, position, None], caches, tf.constant(position))
        np.testing.assert_allclose(
            np.asarray(logits)[:, 0], full[:, position], atol=1e-4 * np.abs(full).max()
        )
    assert caches[0].keys.shape == (5, 3, 24, 8)


@pytest.mark.parametrize(
    ("prompt", "length", "says"),
    [
        ([], 3, "prompt length must be"),
        ([50], 3, "token ids from 0 to 49"),
        ([-1], 3, "token ids from 0 to 49"),
        ([1] * 20, 5, "prompt length [+] length must be"),
        ([1], 0, "prompt length [+] length must be"),
    ],
)
def test_prompts_are_checked(decoder, prompt, length, says):
    with pytest.raises(ValueError, match=says):
        decoding.generate(decoder, prompt, length)
