"""Scores and masks: formulas, counts, ties, patterns, and agreement with plain numpy."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from course_utils import document, pruning

sizes = st.tuples(st.integers(1, 20), st.integers(1, 6))
matrices = arrays.arrays(np.float64, sizes, elements=st.integers(-800, 800).map(lambda v: v / 100))
rng = np.random.default_rng(0)
normal = rng.standard_normal((64, 24)).astype(np.float32)
UNIT_SCORES = (pruning.unit_magnitude, pruning.unit_document, pruning.participation_ratio)


# --- scores --------------------------------------------------------------------------------------


@given(matrices)
def test_unit_document_is_the_printed_formula(weights):
    scores = pruning.unit_document(weights)
    for unit, score in zip(weights.T, scores[0]):
        assert score == pytest.approx(document.importance(unit) if unit.any() else 0)


def test_scores_of_the_documents_vector():
    w = np.array([[1.0], [2], [3], [4], [5]])
    assert pruning.unit_document(w).item() == pytest.approx(55 / 979)
    assert pruning.participation_ratio(w).item() == pytest.approx(55**2 / 979)
    assert pruning.unit_magnitude(w).item() == pytest.approx(np.sqrt(11))
    np.testing.assert_allclose(pruning.document(w), 1 / w**2)


@given(matrices, st.sampled_from([0.5, 2.0, 10.0]))
def test_only_the_participation_ratio_has_no_unit(weights, unit):
    np.testing.assert_allclose(
        pruning.participation_ratio(weights * unit), pruning.participation_ratio(weights)
    )
    np.testing.assert_allclose(
        pruning.unit_document(weights * unit), pruning.unit_document(weights) / unit**2
    )
    np.testing.assert_allclose(
        pruning.unit_magnitude(weights * unit), pruning.unit_magnitude(weights) * unit
    )


@given(matrices)
def test_participation_counts_weights(weights):
    ratio = pruning.participation_ratio(weights)[0]
    live = np.count_nonzero(weights, axis=0)
    assert np.all(ratio <= live + 1e-9) and np.all((ratio >= 1 - 1e-9) | (live == 0))
    assert pruning.participation_ratio(np.ones((7, 1))).item() == pytest.approx(7)


def test_the_documents_importance_ranks_large_weights_last():
    np.testing.assert_array_equal(
        np.argsort(pruning.document(normal), axis=None),
        np.argsort(-pruning.magnitude(normal), axis=None, kind="stable"),
    )


def test_wanda_sees_loud_inputs():
    inputs = rng.standard_normal((200, 64)) * np.where(np.arange(64) < 8, 30, 1)
    scores = pruning.wanda(normal, inputs)
    np.testing.assert_allclose(
        scores, np.abs(normal) * np.sqrt((inputs**2).sum(axis=0))[:, None], rtol=1e-6
    )
    kept = pruning.fraction_per_unit(0.5)(scores)
    assert (
        kept[:8].mean() > 0.9 > pruning.fraction_per_unit(0.5)(pruning.magnitude(normal))[:8].mean()
    )
    # scaling an input up and its weights down changes no output, and no score
    loud = np.where(np.arange(64) < 8, 30, 1)
    np.testing.assert_allclose(
        pruning.wanda(normal / loud[:, None], inputs * loud), scores, rtol=1e-5
    )


def test_wanda_damages_outputs_less_than_magnitude():
    inputs = rng.standard_normal((200, 64)) * np.exp(rng.standard_normal(64))
    damage = {}
    for name, scores in (
        ("wanda", pruning.wanda(normal, inputs)),
        ("magnitude", pruning.magnitude(normal)),
    ):
        kept = np.where(pruning.fraction_per_unit(0.5)(scores), normal, 0)
        damage[name] = np.square(inputs @ (kept - normal)).sum()
    assert damage["wanda"] < 0.8 * damage["magnitude"]


def test_taylor_predicts_what_removal_costs():
    # A quadratic loss: removing one weight changes it by -w * gradient + curvature, here made small
    w, target = normal[:6, :1].astype(np.float64), np.full((6, 1), 100.0)
    gradient = w - target
    change = [
        abs(
            0.5 * np.sum((np.where(np.arange(6)[:, None] == i, 0, w) - target) ** 2)
            - 0.5 * np.sum((w - target) ** 2)
        )
        for i in range(6)
    ]
    np.testing.assert_allclose(pruning.taylor(gradient)(w).ravel(), change, rtol=0.1)


SIZES = [1e-45, 1e-30, 1e-12, 1e-3, 1e3, 1e12, 1e29]


@pytest.mark.parametrize("score", [pruning.magnitude, pruning.document, *UNIT_SCORES])
@pytest.mark.parametrize("size", SIZES)
def test_a_weight_that_is_there_has_a_score(score, size):
    weights = (np.array([[4, 2, 0], [-2, 0, 0], [3, 0.5, 0]]) * size).astype(np.float32)
    with np.errstate(divide="raise", invalid="raise", over="raise"):
        scores = score(weights)
    assert np.isfinite(scores).all()
    there = weights != 0 if scores.shape == weights.shape else weights.any(0, keepdims=True)
    np.testing.assert_array_equal(scores > 0, there)
    if size > 1e-40:  # smaller ones have few digits of their own
        np.testing.assert_allclose(scores, score(weights.astype(np.float64)), rtol=1e-5)


def test_a_score_keeps_the_type_of_the_weights_where_it_can():
    for score in (pruning.document, *UNIT_SCORES):
        assert score(normal).dtype == np.float32 and score(normal * 1.0e-12).dtype == np.float32
    assert pruning.document(normal * np.float32(1e-30)).dtype == np.float64  # up to 1e60


def test_loud_inputs_and_small_gradients_do_not_leave_the_floats():
    quiet = normal * np.float32(1e-30)
    with np.errstate(over="raise", invalid="raise"):
        scores = pruning.wanda(normal, np.full((9, 64), 1e25, np.float32))
        np.testing.assert_allclose(scores, np.abs(normal) * 3e25, rtol=1e-5)
        assert np.all(pruning.wanda(quiet, np.full((9, 64), 1e-30, np.float32)) > 0)
        assert np.all(pruning.taylor(quiet)(quiet) > 0)
        assert np.isfinite(pruning.wanda(normal * np.float32(1e29), 1e29 * np.ones((9, 64)))).all()
    for score in (pruning.magnitude, pruning.document, *UNIT_SCORES):
        if score is not pruning.magnitude:
            with pytest.raises(ValueError, match=r"weights must lie from -1e\+30 to 1e\+30"):
                score(np.full((2, 1), 3e38, np.float32))


# --- masks ---------------------------------------------------------------------------------------


@given(matrices, st.floats(0, 1))
def test_fraction_removes_exactly_that_many_of_the_smallest(weights, share):
    scores = pruning.magnitude(weights)
    kept = pruning.fraction(share)(scores)
    removed = round(share * scores.size)
    assert kept.size - kept.sum() == removed
    ranked = np.sort(scores, axis=None)  # plain numpy
    np.testing.assert_array_equal(np.sort(scores[kept]), ranked[removed:])
    if 0 < removed < scores.size:
        assert scores[~kept].max() <= scores[kept].min()


@given(matrices, st.floats(0, 1))
def test_fraction_per_unit_takes_the_same_from_each(weights, share):
    scores = pruning.magnitude(weights)
    kept = pruning.fraction_per_unit(share)(scores)
    for unit in range(scores.shape[1]):
        np.testing.assert_array_equal(kept[:, unit], pruning.fraction(share)(scores[:, unit]))


@given(matrices, st.integers(1, 5), st.integers(0, 5))
def test_n_of_m_keeps_the_best_of_each_run(weights, m, n):
    n, scores = min(n, m), pruning.magnitude(weights)
    kept = pruning.n_of_m(n, m)(scores)
    for start in range(0, len(scores), m):
        here, among = kept[start : start + m], scores[start : start + m]
        assert np.all(here.sum(axis=0) == min(n, len(among)))
        for unit in range(scores.shape[1]):
            best = np.sort(among[:, unit])[len(among) - here[:, unit].sum() :]
            np.testing.assert_array_equal(np.sort(among[here[:, unit], unit]), best)


@given(matrices, st.floats(0, 9))
def test_above_is_a_strict_threshold_and_nested(weights, theta):
    scores = pruning.magnitude(weights)
    np.testing.assert_array_equal(pruning.above(theta)(scores), scores > theta)
    assert np.all(pruning.above(theta)(scores) >= pruning.above(theta + 1)(scores))


@pytest.mark.parametrize(
    "mask",
    [
        pruning.above(0.1),
        pruning.fraction(0.5),
        pruning.fraction_per_unit(0.5),
        pruning.n_of_m(1, 2),
    ],
)
def test_a_score_of_nan_has_no_rank(mask):
    with pytest.raises(ValueError, match="scores must be numbers, got 1 NaN of 4"):
        mask(np.array([[1.0, np.nan], [2.0, 3.0]]))
    whole = np.array([[4, 1], [2, 3]], np.uint8)
    np.testing.assert_array_equal(mask(whole), mask(whole.astype(float)))
    assert mask(np.array([[np.inf], [1.0]]))[0, 0]  # what must stay


def test_runs_longer_than_the_matrix_cost_nothing():
    scores = pruning.magnitude(normal)
    best = pruning.n_of_m(3, 2**31)(scores)
    np.testing.assert_array_equal(best, pruning.n_of_m(3, 64)(scores))
    assert pruning.n_of_m(70, 100)(scores).all()


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32])
def test_patterns_and_schedules_take_numbers_of_every_type(kind):
    assert repr(pruning.n_of_m(kind(2), kind(4))) == "n_of_m(n=2, m=4)"
    assert pruning.n_of_m(kind(2), kind(4)) == pruning.n_of_m(2, 4)
    assert pruning.cubic(kind(1), kind(2), kind(100), 0.8) == 0
    assert pruning.cubic(kind(50), kind(0), kind(100), 0.8) == pytest.approx(0.7)
    half = pruning.fraction(np.float16(0.5))(np.arange(100_001))
    assert half.sum() == 50_001 and not half[:50_000].any()


def test_ties_fall_in_order_of_place():
    same = np.ones((4, 2))
    assert pruning.fraction(0.5)(same).tolist() == [
        [False, False],
        [False, False],
        [True, True],
        [True, True],
    ]
    assert pruning.n_of_m(2, 4)(same)[:, 0].tolist() == [False, False, True, True]


def test_cubic_schedule():
    steps = np.arange(0, 201)
    shares = np.array([pruning.cubic(step, 50, 150, 0.9) for step in steps])
    assert np.all(shares[:51] == 0) and np.all(shares[150:] == 0.9) and np.all(np.diff(shares) >= 0)
    first, second = np.diff(shares)[50:100].sum(), np.diff(shares)[100:150].sum()
    assert first == pytest.approx(7 * second)  # seven eighths in the first half
    with pytest.raises(ValueError, match="end must lie after begin"):
        pruning.cubic(0, 5, 5, 0.5)


# --- refusals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("theta", [-0.1, np.nan, np.inf, "1", None])
def test_theta_must_not_be_negative(theta):
    with pytest.raises(ValueError, match="theta must be a number >= 0"):
        pruning.above(theta)


@pytest.mark.parametrize("share", [-0.1, 1.1, np.nan, "half"])
@pytest.mark.parametrize("mask", [pruning.fraction, pruning.fraction_per_unit])
def test_share_must_be_a_fraction(mask, share):
    with pytest.raises(ValueError, match="share must be between 0 and 1"):
        mask(share)


@pytest.mark.parametrize(("n", "m"), [(5, 4), (-1, 4), (2, 0), (1.5, 4)])
def test_n_of_m_refuses(n, m):
    with pytest.raises(ValueError, match="must be a whole number"):
        pruning.n_of_m(n, m)


@pytest.mark.parametrize("score", [pruning.magnitude, pruning.document, *UNIT_SCORES])
def test_scores_refuse_nan(score):
    with pytest.raises(ValueError, match="weights must be finite"):
        score(np.array([[np.nan], [1.0]]))


def test_scores_refuse_what_does_not_fit():
    with pytest.raises(ValueError, match=r"inputs must have shape \(samples, 64\)"):
        pruning.wanda(normal, np.ones((5, 3)))
    with pytest.raises(ValueError, match="gradients belong to weights of shape"):
        pruning.taylor(np.ones((2, 2)))(normal)


def test_masks_say_their_names_and_are_equal_to_others_like_them():
    assert repr(pruning.n_of_m(2, 4)) == "n_of_m(n=2, m=4)"
    assert pruning.above(0.1) == pruning.above(0.1) != pruning.above(0.2)
    assert len({pruning.fraction(0.5), pruning.fraction(0.5), pruning.fraction_per_unit(0.5)}) == 2
