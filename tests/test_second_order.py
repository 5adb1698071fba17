"""GPTQ and SparseGPT: the core against surgery by the book, and both against the methods without a
Hessian."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import evaluation, models, pruning, quantization, second_order
from course_utils.compression import Apply, Prune, Quantize, compress, windows
from course_utils.datasets import docs


def layer(seed, inputs=96, units=40, samples=400):
    """A random matrix and inputs that go together, as those of real layers do:
    `(weights, inputs)`."""
    random = np.random.default_rng(seed)
    mixed = random.standard_normal((samples, inputs // 4)) @ random.standard_normal(
        (inputs // 4, inputs)
    )
    loud = np.exp(random.standard_normal(inputs))
    return (
        random.standard_normal((inputs, units)).astype(np.float32),
        ((mixed + random.standard_normal((samples, inputs))) * loud).astype(np.float32),
    )


def output_error(weights, other, inputs):
    return float(np.square(inputs @ (weights - other)).mean())


# --- the core ------------------------------------------------------------------------------------


def surgery(weights, products, fix):
    """Optimal Brain Surgeon by the book: a fresh inverse for the rows still free, at every row."""
    weights = weights.astype(np.float64)
    for i in range(len(weights)):
        inverse = np.linalg.inv(products[i:, i:])
        fixed = fix(i, weights[i:], None)
        weights[i:] -= np.outer(inverse[:, 0] / inverse[0, 0], weights[i] - fixed)
        weights[i] = fixed
    return weights


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1000), st.integers(1, 40), st.integers(1, 50))
def test_the_core_is_optimal_brain_surgery(seed, inputs, block):
    random = np.random.default_rng(seed)
    weights, products = (
        random.standard_normal((inputs, 3)),
        second_order.hessian(random.standard_normal((60, inputs))),
    )

    def tenths(i, rows, factor):
        return np.round(rows[0], 1)

    np.testing.assert_allclose(
        second_order.settle(weights, products, tenths, block),
        surgery(weights, products, tenths),
        atol=1e-9,
    )


def test_freedom_is_what_the_score_needs():
    weights, inputs = layer(0, inputs=16)
    products, seen = second_order.hessian(inputs), []

    def look(i, rows, factor):
        seen.append(factor[0] ** 2)
        return rows[0]

    second_order.settle(weights, products, look, block=5)
    np.testing.assert_allclose(
        seen, [np.linalg.inv(products[i:, i:])[0, 0] for i in range(16)], rtol=1e-8
    )


def test_inverse_factor_is_upper_and_gives_the_inverse():
    products = second_order.hessian(layer(1)[1])
    factor = second_order.inverse_factor(products)
    np.testing.assert_allclose(factor, np.triu(factor), atol=1e-12 * np.abs(factor).max())
    np.testing.assert_allclose(factor.T @ factor @ products, np.eye(96), atol=1e-8)


def test_the_hessian_is_the_mean_product_with_damping_and_dead_inputs():
    inputs = np.array([[1.0, 0.0, 2.0], [3.0, 0.0, 0.0]])
    np.testing.assert_allclose(
        second_order.hessian(inputs, damping=0), [[5, 0, 1], [0, 1, 0], [1, 0, 2]]
    )
    np.testing.assert_allclose(
        second_order.hessian(inputs, damping=0.3).diagonal(), np.array([5, 1, 2]) + 0.3 * 7 / 3
    )


# --- GPTQ ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits, group_size", [(4, "channel"), (3, 32), (3, "tensor")])
def test_gptq_beats_rounding_with_the_same_scales(seed, bits, group_size):
    weights, inputs = layer(seed)
    for scales in (quantization.absmax, quantization.clipped):
        nearest = output_error(weights, scales(weights, bits, group_size).dequantize(), inputs)
        best = second_order.gptq(weights, inputs, bits, group_size, scales)
        assert output_error(weights, best.dequantize(), inputs) < 0.5 * nearest
        if (
            scales is quantization.absmax
        ):  # the file has the scales of round-to-nearest, in their places
            np.testing.assert_array_equal(best.scale, scales(weights, bits, group_size).scale)
        assert best.codes.dtype == np.int8 and np.abs(best.codes).max() <= 2 ** (bits - 1) - 1


def test_loud_inputs_first_is_better():
    errors = {
        first: sum(
            output_error(w, second_order.gptq(w, x, 3, activation_order=first).dequantize(), x)
            for w, x in map(layer, range(3))
        )
        for first in (True, False)
    }
    assert errors[True] < 0.9 * errors[False]


def test_gptq_is_round_to_nearest_where_inputs_do_not_go_together():
    weights, inputs = layer(0, inputs=16)[0], np.eye(16)
    np.testing.assert_array_equal(
        second_order.gptq(weights, inputs, 4).codes, quantization.clipped(weights, 4).codes
    )


def test_a_last_group_may_be_shorter():
    weights, inputs = layer(2, inputs=40)
    tensor = second_order.gptq(weights, inputs, 4, 32)
    assert tensor.scale.shape == (2, 40)
    assert output_error(weights, tensor.dequantize(), inputs) < output_error(
        weights, quantization.clipped(weights, 4, 32).dequantize(), inputs
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("bits", [4, 3, 2])
def test_gptq_walks_on_an_affine_grid_too(seed, bits):
    weights, inputs = layer(seed)
    plain = quantization.affine(weights, bits, 32)
    best = second_order.gptq(weights, inputs, bits, 32, grid=quantization.affine)
    np.testing.assert_array_equal(best.scale, plain.scale)
    np.testing.assert_array_equal(best.zero_point, plain.zero_point)
    assert best.codes.dtype == np.uint8 and best.codes.max() <= 2**bits - 1
    error = output_error(weights, best.dequantize(), inputs)
    assert error < 0.5 * output_error(weights, plain.dequantize(), inputs)  # the same scales
    skewed = weights + np.float32(1)  # where zero lies aside, symmetric codes are half wasted
    ours, symmetric = (
        output_error(skewed, second_order.gptq(skewed, inputs, bits, 32, rule).dequantize(), inputs)
        for rule in (quantization.affine, quantization.clipped)
    )
    assert ours < 0.9 * symmetric


def moved(seed):
    """A layer whose inputs the layers in front of it have changed: `(weights, inputs, original)`."""
    weights, original = layer(seed)
    mixed = np.eye(96) + 0.03 * np.random.default_rng(seed).standard_normal((96, 96))
    return weights, (original @ mixed).astype(np.float32), original


def test_the_correction_is_the_least_squares_answer_to_what_was_lost():
    weights, original = layer(5, inputs=24)
    inputs = original + np.random.default_rng(5).standard_normal(original.shape).astype(np.float32)
    best = np.linalg.lstsq(inputs, original @ weights, rcond=None)[0]
    products = second_order.hessian(inputs, damping=0)
    np.testing.assert_allclose(
        second_order.output_correction(weights, products, inputs, original, 1), best, atol=1e-3
    )
    half = second_order.output_correction(weights, products, inputs, original, 0.5)
    np.testing.assert_allclose(half, (weights + best) / 2, atol=1e-3)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("grid", [quantization.clipped, quantization.affine])
def test_the_correction_beats_gptq_where_the_inputs_have_moved(seed, grid):
    weights, inputs, original = moved(seed)
    wanted = original @ weights

    def error(tensor):
        return np.square(inputs @ tensor.dequantize() - wanted).mean()

    published = error(second_order.gptq(weights, inputs, 4, 32, grid))
    assert published < error(grid(weights, 4, 32))
    assert (
        error(second_order.corrected_gptq(weights, inputs, original, 4, 32, grid)) < 0.7 * published
    )


def test_without_strength_or_where_nothing_moved_the_corrected_rule_is_gptq():
    weights, inputs, original = moved(0)
    plain = second_order.gptq(weights, inputs, 4, 32).codes
    for same in (
        second_order.corrected_gptq(weights, inputs, original, 4, 32, strength=0),
        second_order.corrected_gptq(weights, inputs, inputs, 4, 32),
    ):
        np.testing.assert_array_equal(same.codes, plain)


def test_gptq_has_no_use_for_what_the_whole_model_read():
    asks = Quantize(second_order.gptq, bits=4).asks
    assert asks == {"inputs", "kept"}  # the method as it was published looks at one layer
    assert Quantize(second_order.corrected_gptq, bits=4).asks == asks | {"original_inputs"}


@pytest.mark.parametrize(
    "solve",
    [
        lambda w, x: second_order.gptq(w, x, 4).dequantize(),
        lambda w, x: second_order.sparsegpt(w, x, pruning.fraction(0.5)),
    ],
)
def test_singular_hessians_are_damped_and_dead_inputs_let_go(solve):
    weights, inputs = layer(3)
    few = inputs[:10].copy()  # fewer samples than inputs
    few[:, 7] = 0
    solved = solve(weights, few)
    assert np.isfinite(solved).all() and not solved[7].any()
    copies = np.repeat(inputs[:, :1], 96, axis=1)  # rank 1
    assert np.isfinite(solve(weights, copies)).all()


# --- SparseGPT -----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    "mask, block",
    [(pruning.fraction(0.5), 16), (pruning.n_of_m(2, 4), 4), (pruning.n_of_m(2, 4), 32)],
)
def test_sparsegpt_beats_the_same_mask_without_repair_and_wanda(seed, mask, block):
    weights, inputs = layer(seed)
    sparse = second_order.sparsegpt(weights, inputs, mask, block)
    assert sparse.dtype == np.float32 and np.count_nonzero(sparse) == weights.size // 2
    error = output_error(weights, sparse, inputs)
    assert error < 0.5 * output_error(weights, np.where(sparse != 0, weights, 0), inputs)
    for score in (pruning.magnitude(weights), pruning.wanda(weights, inputs)):
        assert error < 0.7 * output_error(weights, np.where(mask(score), weights, 0), inputs)


def test_two_of_four_stay_two_of_four_and_are_decided_every_four():
    sparse = second_order.sparsegpt(*layer(4), pruning.n_of_m(2, 4))
    assert (np.count_nonzero(sparse.reshape(-1, 4, 40), axis=1) == 2).all()
    np.testing.assert_array_equal(
        sparse, second_order.sparsegpt(*layer(4), pruning.n_of_m(2, 4), block=4)
    )
    np.testing.assert_array_equal(
        second_order.sparsegpt(*layer(4), pruning.fraction(0.5)),
        second_order.sparsegpt(*layer(4), pruning.fraction(0.5), block=16),
    )


@pytest.mark.parametrize("seed", range(3))
def test_a_mask_that_sees_earlier_removals_is_better(seed):
    weights, inputs = layer(seed)
    late, early = (
        output_error(
            weights, second_order.sparsegpt(weights, inputs, pruning.n_of_m(2, 4), block), inputs
        )
        for block in (4, 96)
    )
    assert late < 0.95 * early


def test_what_all_inputs_share_is_kept_in_the_rows_that_stay():
    weights, inputs = np.ones((4, 1), np.float32), np.repeat(np.arange(1.0, 6)[:, None], 4, axis=1)
    sparse = second_order.sparsegpt(weights, inputs, pruning.n_of_m(1, 4), block=4, damping=1e-6)
    assert np.count_nonzero(sparse) == 1
    assert sparse.sum() == pytest.approx(
        4, rel=1e-3
    )  # four copies of one input: one weight does the work of four


# --- what was removed before ---------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("mask", [pruning.fraction(0.5), pruning.n_of_m(2, 4)])
@pytest.mark.parametrize("bits", [3, 4])
def test_gptq_leaves_removed_what_was_removed_and_still_helps(seed, mask, bits):
    weights, inputs = layer(seed)
    kept = mask(pruning.magnitude(weights))
    pruned = np.where(kept, weights, 0)
    plain = quantization.absmax(pruned, bits, 32).dequantize()
    ours = second_order.gptq(pruned, inputs, bits, 32, kept=kept)
    assert not ours.codes[~kept].any()
    # of what rounding breaks, and of what removing and rounding break together
    assert output_error(pruned, ours.dequantize(), inputs) < 0.5 * output_error(
        pruned, plain, inputs
    )
    assert output_error(weights, ours.dequantize(), inputs) < output_error(weights, plain, inputs)
    free = second_order.gptq(pruned, inputs, bits, 32)
    assert free.codes[~kept].any()  # without `kept` some come back


def test_removed_weights_stay_where_outputs_are_corrected():
    weights, original = layer(5)
    inputs = original + 0.1 * np.random.default_rng(5).standard_normal(original.shape)
    kept = pruning.n_of_m(2, 4)(pruning.magnitude(weights))
    pruned = np.where(kept, weights, 0)
    tensor = second_order.corrected_gptq(pruned, inputs, original, 4, 32, kept=kept)
    assert not tensor.codes[~kept].any() and tensor.codes[kept].any()


def test_sparsegpt_counts_what_was_removed_before():
    weights, inputs = layer(6)
    kept = pruning.n_of_m(2, 4)(pruning.magnitude(weights))
    pruned = np.where(kept, weights, 0)
    same = second_order.sparsegpt(pruned, inputs, pruning.n_of_m(2, 4), kept=kept)
    np.testing.assert_array_equal(same != 0, kept)  # half was to go, and half had gone
    fewer = second_order.sparsegpt(pruned, inputs, pruning.n_of_m(1, 4), kept=kept)
    assert not fewer[~kept].any()
    assert (np.count_nonzero(fewer.reshape(-1, 4, 40), axis=1) == 1).all()


@pytest.mark.parametrize("kept", [np.ones((8, 3)), np.ones((3, 8), bool), True, "all"])
def test_kept_must_be_a_mask_of_the_weights(kept):
    for call in (
        lambda: second_order.gptq(weights, inputs, 4, kept=kept),
        lambda: second_order.sparsegpt(weights, inputs, pruning.fraction(0.5), kept=kept),
    ):
        with pytest.raises(ValueError, match=r"kept must hold True or False .* shape \(8, 3\)"):
            call()


def test_runs_that_would_cross_blocks_are_refused():
    weights, inputs = layer(7, inputs=48, units=8)
    with pytest.raises(ValueError, match=r"block must be a multiple of 3 for n_of_m\(n=1, m=3\)"):
        second_order.sparsegpt(weights, inputs, pruning.n_of_m(1, 3), block=16)
    for block in (None, 15, 48, 64):  # None: 3; 64: a single block
        sparse = second_order.sparsegpt(weights, inputs, pruning.n_of_m(1, 3), block)
        assert (np.count_nonzero(sparse.reshape(-1, 3, 8), axis=1) == 1).all()


# --- quiet and loud calibration ------------------------------------------------------------------


def solved(weights, inputs, original):
    return (
        second_order.corrected_gptq(weights, inputs, original, 4, 32).codes,
        second_order.sparsegpt(weights, inputs, pruning.fraction(0.5)),
    )


@pytest.mark.parametrize("power", [-100, -70, 60, 100, 120])
def test_the_unit_of_calibration_does_not_matter(power):
    weights, inputs = layer(8)
    original, unit = inputs + 0.1 * layer(9)[1], np.float32(2.0) ** power
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        found = solved(weights, inputs * unit, original * unit)
    for ours, plain in zip(found, solved(weights, inputs, original)):
        np.testing.assert_array_equal(ours, plain)


def test_one_quiet_or_loud_input_is_alive():
    weights, inputs = layer(10)
    for size in (1e-30, 1e-44, 1e30):
        mixed = inputs.copy()
        mixed[:, 2] = size
        products = second_order.hessian(mixed, damping=0)
        np.testing.assert_allclose(products[2, 2], np.float64(np.float32(size)) ** 2, rtol=1e-5)
        assert np.isfinite(products).all()
        row = second_order.gptq(weights, mixed, 8).dequantize()[2]
        np.testing.assert_allclose(row, weights[2], atol=0.5 if size > 1 else 0.2)
    dead = inputs.copy()
    dead[:, 2] = 0
    assert second_order.hessian(dead, damping=0)[2, 2] == 1
    assert not second_order.gptq(weights, dead, 8).codes[2].any()


def test_calibration_that_float64_cannot_square_is_named():
    _, inputs = layer(11)
    with pytest.raises(ValueError, match="inputs must reach 1e-100, got at most"):
        second_order.hessian(inputs.astype(np.float64) * 1e-200)
    with pytest.raises(ValueError, match=r"inputs must lie from -1e\+100 to 1e\+100"):
        second_order.hessian(inputs.astype(np.float64) * 1e200)


def test_rare_weights_and_bits_of_numpy():
    weights, inputs = layer(12)
    weights[:, 1] = 1e-45
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        assert np.isfinite(second_order.gptq(weights, inputs, 4).dequantize()).all()
    np.testing.assert_array_equal(
        second_order.gptq(weights, inputs, np.uint8(8)).codes,
        second_order.gptq(weights, inputs, 8).codes,
    )
    np.testing.assert_array_equal(
        second_order.sparsegpt(weights, inputs, pruning.fraction(0.5), np.uint8(16)),
        second_order.sparsegpt(weights, inputs, pruning.fraction(0.5), 16),
    )


# --- a real model --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def perplexity():
    """Perplexity of docs-tiny under a recipe; calibrated on train text, measured on validation."""
    model, tokens = models.load("docs-tiny"), docs.sequences("validation", 64)
    return lambda step, draw=0: (
        evaluation.next_token(
            compress(model, [step], calibration=windows(docs.tokens("train"), 16, draw)).model,
            tokens,
        ).perplexity
    )


THREE = {"only": "block", "bits": 3, "group_size": 32}


@pytest.mark.parametrize("draw", range(3))
@pytest.mark.parametrize("grid", [quantization.clipped, quantization.affine])
def test_gptq_beats_its_own_grid_and_the_correction_beats_gptq(perplexity, grid, draw):
    simple, published, corrected = (
        perplexity(Quantize(rule, **THREE, **more), draw)
        for rule, more in (
            (grid, {}),
            (second_order.gptq, {"grid": grid}),
            (second_order.corrected_gptq, {"grid": grid}),
        )
    )
    assert corrected < published < simple


@pytest.mark.parametrize("draw", range(3))
def test_sparsegpt_beats_the_mask_of_wanda(perplexity, draw):
    four = pruning.n_of_m(2, 4)
    removed = perplexity(Prune(pruning.wanda, four, only="block"), draw)
    repaired = perplexity(Apply(second_order.sparsegpt, only="block", mask=four), draw)
    assert repaired < 0.75 * removed


# --- refusals ------------------------------------------------------------------------------------

weights, inputs = layer(0, inputs=8, units=3, samples=20)


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: second_order.hessian(np.zeros((5, 3))), "calibration saw nothing"),
        (lambda: second_order.hessian(np.full((5, 3), np.nan)), "finite"),
        (lambda: second_order.hessian(np.empty((0, 3))), "at least one"),
        (lambda: second_order.hessian(np.ones(3)), r"\(samples, inputs\)"),
        (lambda: second_order.hessian(inputs, damping=-1), "damping"),
        (lambda: second_order.inverse_factor(-np.eye(3)), "Cholesky"),
        (lambda: second_order.gptq(weights, inputs[:, :5], 4), "agree"),
        (lambda: second_order.gptq(weights[0], inputs, 4), "agree"),
        (lambda: second_order.gptq(weights, inputs, 9), "bits"),
        (lambda: second_order.gptq(weights, inputs, 4, "row"), "group_size"),
        (lambda: second_order.gptq(weights * np.inf, inputs, 4), "finite"),
        (lambda: second_order.gptq(weights, inputs * 0, 4), "calibration saw nothing"),
        (
            lambda: second_order.corrected_gptq(weights, inputs, inputs[:5], 4),
            "original_inputs must have the shape",
        ),
        (
            lambda: second_order.corrected_gptq(weights, inputs, inputs * np.inf, 4),
            "original_inputs must be finite",
        ),
        (
            lambda: second_order.corrected_gptq(weights, inputs, inputs, 4, strength=2),
            "strength",
        ),
        (
            lambda: second_order.sparsegpt(weights, inputs * 0, pruning.fraction(0.5)),
            "calibration saw nothing",
        ),
        (lambda: second_order.sparsegpt(weights, inputs, pruning.fraction(0.5), block=0), "block"),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
