"""What only the lessons of chapter 3 use: their explorers, and the front of versions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.lessons.quantization.explorers import (
    SHARED,
    outlier,
    outlier_explorer,
    rounding_explorer,
)
from course_utils.lessons.trade_offs.versions import Version, beats, front, picture

MATRIX = np.random.default_rng(0).normal(0, 0.1, (64, 48)).astype(np.float32)


def test_the_error_curve_is_the_line_for_small_steps_and_the_weights_for_large_ones():
    explorer = rounding_explorer(MATRIX)
    assert explorer.at(step=0.01).error_ratio == pytest.approx(1, abs=0.03)
    large = explorer.at(step=1)
    assert large.levels == 1 and large.error == pytest.approx(MATRIX.std(), rel=0.01)


def test_an_outlier_harms_those_that_share_its_scale_and_no_others():
    calm, loud = outlier(MATRIX, 0.1, 4), outlier(MATRIX, 20.0, 4)
    unit = loud.unit
    for shared, harmed in zip(SHARED, (48, 1, 1)):
        worse = loud.units[shared] > 1.2 * calm.units[shared]
        assert worse[unit] and worse.sum() == harmed
    assert loud.zeroed["tensor"] == 1 > loud.zeroed["channel"] > loud.zeroed[32]
    assert loud.errors["tensor"] > loud.errors["channel"] > loud.errors[32]
    others = np.delete(MATRIX[:, unit], -1)  # all of them became 0, and the error is the weight
    rounded_away = np.sqrt(np.square(others).sum() / 64)
    assert loud.units["channel"][unit] == pytest.approx(rounded_away, rel=1e-4)


def test_the_outlier_leaves_the_matrix_alone():
    before = MATRIX.copy()
    explorer = outlier_explorer(MATRIX)
    assert explorer.at(size=20.0, bits=8).errors["tensor"] < explorer.at(size=20.0).errors["tensor"]
    assert np.array_equal(MATRIX, before)


NUMBERS = st.integers(1, 4)
VERSIONS = st.lists(
    st.builds(Version, st.just(""), st.just("docs-base"), NUMBERS, NUMBERS, NUMBERS), max_size=9
)


@settings(max_examples=50, deadline=None)
@given(VERSIONS)
def test_who_is_not_on_the_front_is_beaten_by_one_that_is(versions):
    for instruments in (("perplexity", "size"), ("perplexity", "size", "speedup")):
        unbeaten = front(versions, instruments)
        assert not any(beats(a, b, instruments) for a in unbeaten for b in unbeaten)
        for one in versions:
            assert one in unbeaten or any(beats(each, one, instruments) for each in unbeaten)


def test_speed_is_good_where_it_is_high():
    slow, fast = (
        Version(name, "docs-tiny", 9.0, 100, speed) for name, speed in (("a", 1), ("b", 2))
    )
    assert front([slow, fast]) == [slow, fast]
    assert front([slow, fast], ("size", "speedup")) == [fast]
    drawn = picture([slow, fast])
    assert "a, b" in drawn.description
    radii = [mark.size for mark in drawn.marks if hasattr(mark, "size")]
    assert radii[1] / radii[0] == pytest.approx(np.sqrt(2))  # the area is the speed
