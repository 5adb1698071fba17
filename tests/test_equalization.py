"""Equalization: the function stays to the last decimals, and rounding hurts less where it
should."""

import numpy as np
import pytest
from small import decoder

from course_utils import compression, models, quantization
from course_utils.backend import keras
from course_utils.compression import Quantize, compress, equalization
from course_utils.models import checkpoint

tokens = np.random.default_rng(0).integers(0, 40, (6, 24)).astype(np.int32)


@pytest.fixture(scope="module")
def small():
    """An untrained model with uneven gains: enough to see whether a function stays, and what
    rounding does."""
    model = decoder(40, 32, context=24, seed=1)
    random = np.random.default_rng(1)
    for norm, _ in equalization.norms(model):
        norm.scale.assign(np.exp(0.3 * random.standard_normal(32)))
    return model


@pytest.fixture(scope="module")
def planted(small):
    return equalization.plant_outliers(small, channels=3, factor=30, seed=2)


def far(model, other):
    """Root mean square between two models' logits, against that of the logits."""
    return float(
        np.sqrt(
            np.mean(np.square(model(tokens) - other(tokens))) / np.mean(np.square(model(tokens)))
        )
    )


def same_function(model, other):
    np.testing.assert_allclose(
        other(tokens), model(tokens), rtol=1e-4, atol=1e-4 * np.abs(model(tokens)).max()
    )


# --- the function stays --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        lambda m: equalization.plant_outliers(m),
        lambda m: equalization.smoothquant(m, tokens),
        lambda m: equalization.smoothquant(m, tokens, alpha=0.8),
        lambda m: equalization.awq(m, tokens, bits=3, alphas=4),
        lambda m: equalization.awq(
            m, tokens, bits=4, group_size=24, alphas=4
        ),  # 24 does not divide 32
    ],
)
def test_equalization_keeps_the_function_and_the_original(planted, change):
    before = [np.asarray(w).copy() for w in planted.weights]
    other = change(planted)
    same_function(planted, other)
    assert any(not np.allclose(a, b) for a, b in zip(before, other.weights)), (
        "nothing was equalized"
    )
    assert all(np.array_equal(a, b) for a, b in zip(before, planted.weights))


def test_on_a_trained_model_too():
    model = models.load("docs-base")
    text = np.arange(64, dtype=np.int32).reshape(1, 64) * 7 % 512
    other = equalization.plant_outliers(model)
    np.testing.assert_allclose(
        other(text), model(text), rtol=1e-4, atol=1e-4 * np.abs(model(text)).max()
    )


def test_readers_are_the_layers_behind_each_norm(small):
    found = equalization.norms(small)
    assert [(norm.name, [layer.name for layer in layers]) for norm, layers in found] == [
        ("attention_norm", ["query", "key", "value"]),
        ("mlp_norm", ["up"]),
        ("norm", ["head"]),
    ]


def test_planted_outliers_are_as_many_and_as_loud_as_asked(small):
    twin, again = (
        equalization.plant_outliers(small, channels=4, factor=10, seed=5) for _ in range(2)
    )
    chosen = set()
    for (norm, layers), (old, old_layers), (same, _) in zip(
        *map(equalization.norms, (twin, small, again))
    ):
        ratio = np.asarray(norm.scale) / np.asarray(old.scale)
        np.testing.assert_array_equal(norm.scale, same.scale)
        np.testing.assert_allclose(np.sort(ratio), [1] * 28 + [10] * 4, rtol=1e-5)
        for layer, was in zip(layers, old_layers):
            np.testing.assert_allclose(
                np.asarray(layer.kernel) * ratio[:, None], was.kernel, rtol=1e-5
            )
        chosen.add(tuple(np.flatnonzero(ratio > 5)))
    assert len(chosen) > 1  # each norm has its own


# --- SmoothQuant ---------------------------------------------------------------------------------


def test_smoothquant_levels_activations_with_weights(planted):
    twin = equalization.smoothquant(planted, tokens, alpha=0.5)
    for _, layers, inputs in equalization._with_inputs(twin, tokens):
        strong = np.max([np.abs(layer.kernel).max(axis=1) for layer in layers], axis=0)
        np.testing.assert_allclose(np.abs(inputs).max(axis=0), strong, rtol=1e-3)


def test_smoothquant_saves_activations_per_tensor(small, planted):
    def w8a8(model):
        weights = compress(model, [Quantize(quantization.absmax, bits=8)]).model
        return far(small, compression.quantize_activations(weights, 8, "tensor", tokens))

    hurt, plain = w8a8(planted), w8a8(small)
    assert hurt > 3 * plain  # the outliers do harm,
    assert w8a8(equalization.smoothquant(planted, tokens)) < 1.2 * plain  # and all of it is undone


def test_a_silent_channel_stays(small):
    twin = checkpoint.clone(small)
    norm = equalization.norms(twin)[0][0]
    norm.scale.assign(np.where(np.arange(32) == 3, 0, norm.scale))
    for change in (equalization.smoothquant, lambda m, t: equalization.awq(m, t, bits=4, alphas=2)):
        changed = change(twin, tokens)
        same_function(twin, changed)
        assert np.isfinite(equalization.norms(changed)[0][1][0].kernel).all()


# --- AWQ -----------------------------------------------------------------------------------------


def test_awq_saves_weights_that_read_loud_channels(planted):
    def w4(model, rule):
        return far(
            planted,
            compress(model, [Quantize(rule, only="block", bits=4)], calibration=tokens).model,
        )

    scaled = equalization.awq(planted, tokens, bits=4)
    nearest, alone = w4(planted, quantization.absmax), w4(planted, equalization.clipped_by_output)
    with_scales, both = w4(scaled, quantization.absmax), w4(scaled, equalization.clipped_by_output)
    assert with_scales < 0.6 * nearest
    assert both < with_scales and both < 0.6 * alone  # each half does its share


@pytest.mark.parametrize("group_size", ["channel", 24, 8])
@pytest.mark.parametrize("seed", range(3))
def test_clipping_by_the_output_beats_clipping_by_the_weights(seed, group_size):
    random = np.random.default_rng(seed)
    weights = random.standard_t(3, (64, 20)).astype(np.float32)
    inputs = (random.standard_normal((300, 64)) * np.exp(1.5 * random.standard_normal(64))).astype(
        np.float32
    )

    def error(tensor):
        return np.square(inputs @ (tensor.dequantize() - weights)).mean()

    best = error(equalization.clipped_by_output(weights, inputs, 3, group_size))
    assert best < 0.95 * error(quantization.clipped(weights, 3, group_size))
    assert best < 0.95 * error(quantization.absmax(weights, 3, group_size))


@pytest.mark.parametrize("bits", [4, 3])
@pytest.mark.parametrize("seed", range(3))
def test_clipping_an_affine_grid_by_the_output_beats_clipping_it_by_the_weights(seed, bits):
    weights, inputs = loud_layer(seed, np.exp(1.5 * np.random.default_rng(seed).normal(size=64)))
    ours = equalization.clipped_by_output(weights, inputs, bits, 32, quantization.affine)
    wide = quantization.affine(weights, bits, 32)
    np.testing.assert_array_equal(ours.zero_point, wide.zero_point)
    errors = [
        np.square(inputs @ (tensor.dequantize() - weights)).mean()
        for tensor in (ours, quantization.clipped_affine(weights, bits, 32), wide)
    ]
    assert errors[0] < 0.97 * min(errors[1:])


# --- loud channels that ordinary weights read: nobody's inverse ----------------------------------


def loud_layer(seed, loudness):
    """Ordinary weights `(64, 40)`, and inputs `(300, 64)` of a given loudness."""
    random = np.random.default_rng(seed)
    inputs = random.standard_normal((300, 64)) * loudness
    return random.standard_normal((64, 40)).astype(np.float32), inputs.astype(np.float32)


def six_loud(seed, factor=30):
    loudness = np.ones(64)
    loudness[np.random.default_rng(seed).permutation(64)[:6]] = factor
    return loud_layer(seed, loudness)


def eight_bits(inputs, weights, wanted):
    """How far a layer's output is off with 8-bit weights and activations, one scale for these."""
    x = quantization.absmax(inputs.astype(np.float32), 8, "tensor").dequantize()
    w = quantization.absmax(weights.astype(np.float32), 8).dequantize()
    return np.square(x @ w - wanted).mean()


@pytest.mark.parametrize("seed", range(3))
def test_smoothing_half_way_beats_both_ends_where_weights_are_ordinary(seed):
    weights, inputs = six_loud(seed)
    errors = {}
    for alpha in (0.0, 0.5, 1.0):
        scales = equalization.smooth_scales(inputs, [weights], alpha)
        off = eight_bits(inputs / scales, weights * scales[:, None], inputs @ weights)
        errors[alpha] = off
    plain = eight_bits(inputs, weights, inputs @ weights)
    assert errors[0.5] < 0.5 * plain and errors[0.5] < 0.9 * min(errors[0.0], errors[1.0])


@pytest.mark.parametrize("seed", range(3))
def test_a_rotation_beats_plain_rounding_and_needs_no_data(seed):
    weights, inputs = six_loud(seed)
    turn = equalization.hadamard(64, seed)
    np.testing.assert_allclose(turn @ turn.T, np.eye(64), atol=1e-12)
    np.testing.assert_allclose(np.abs(turn), 1 / 8)
    turned = eight_bits(inputs @ turn, turn.T @ weights, inputs @ weights)
    assert turned < 0.5 * eight_bits(inputs, weights, inputs @ weights)
    other = equalization.hadamard(64, seed + 10)  # mixes the channels as well as any other
    assert turned < 1.5 * eight_bits(inputs @ other, other.T @ weights, inputs @ weights)


@pytest.mark.parametrize("seed", range(3))
def test_a_rotation_beats_what_was_calibrated_where_text_is_loud_elsewhere(seed):
    weights, seen = six_loud(seed)
    fresh = six_loud(seed + 50)[1]  # six other channels, or nearly
    turn = equalization.hadamard(64, seed)
    turned = eight_bits(fresh @ turn, turn.T @ weights, fresh @ weights)
    for scales in (
        equalization.smooth_scales(seen, [weights], 0.5),
        equalization.awq_scales(seen, [weights], 4, 32),
    ):
        off = eight_bits(fresh / scales, weights * scales[:, None], fresh @ weights)
        assert turned < 0.3 * off


@pytest.mark.parametrize("size", [0, 3, 96])
def test_a_hadamard_matrix_has_a_power_of_two_rows(size):
    with pytest.raises(ValueError, match="size"):
        equalization.hadamard(size)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grid", [quantization.absmax, quantization.affine])
def test_awq_spares_ordinary_weights_that_read_loud_channels(seed, grid):
    weights, inputs = six_loud(seed)
    scales = equalization.awq_scales(inputs, [weights], 4, 32, grid)[:, None]
    ours = grid((weights * scales).astype(np.float32), 4, 32).dequantize() / scales
    plain = grid(weights, 4, 32).dequantize()
    ours, plain = (np.square(inputs @ (w - weights)).mean() for w in (ours, plain))
    assert ours < 0.7 * plain


def test_output_error_is_what_the_layer_shows():
    random = np.random.default_rng(0)
    inputs, change = random.standard_normal((50, 6)), random.standard_normal((6, 4))
    products = inputs.T @ inputs / 50
    np.testing.assert_allclose(
        equalization.output_error(change, products), np.square(inputs @ change).mean(axis=0)
    )


# --- refusals ------------------------------------------------------------------------------------


def poisoned(model):
    twin = checkpoint.clone(model)
    equalization.norms(twin)[0][0].scale.assign(np.full(32, np.nan))
    return twin


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda m: equalization.norms(keras.Sequential([keras.layers.Dense(3)])), "a method norms"),
        (lambda m: equalization.smoothquant(m, tokens, alpha=1.5), "alpha"),
        (lambda m: equalization.smoothquant(m, tokens, alpha="half"), "alpha"),
        (lambda m: equalization.smoothquant(m, tokens[:0]), "calibration"),
        (lambda m: equalization.smoothquant(poisoned(m), tokens), "finite"),
        (lambda m: equalization.awq(m, tokens[:0], bits=4), "calibration"),
        (lambda m: equalization.awq(poisoned(m), tokens, bits=4), "finite"),
        (lambda m: equalization.awq(m, tokens, bits=1), "bits"),
        (lambda m: equalization.awq(m, tokens, bits=4, group_size=0), "group_size"),
        (lambda m: equalization.awq(m, tokens, bits=4, alphas=0), "alphas"),
        (lambda m: equalization.plant_outliers(m, channels=33), "channels"),
        (lambda m: equalization.plant_outliers(m, factor=0), "factor"),
        (
            lambda m: equalization.clipped_by_output(np.ones((4, 2)), np.zeros((5, 4)), 4),
            "calibration saw nothing",
        ),
        (lambda m: equalization.clipped_by_output(np.ones((4, 2)), np.ones((5, 3)), 4), "agree"),
        (
            lambda m: equalization.clipped_by_output(np.ones((4, 2)), np.ones((5, 4)), 4, "tensor"),
            "group_size",
        ),
    ],
)
def test_bad_input_is_refused(small, call, message):
    with pytest.raises(ValueError, match=message):
        call(small)
