"""The ways to write, which must write the same, and what the machine's bounds are about."""

import numpy as np
import pytest
from small import decoder

from course_utils import models
from course_utils.evaluation import speed, staircase
from course_utils.models.cache import size


@pytest.fixture(scope="module")
def model():
    return decoder(vocabulary=24, width=32, depth=2, heads=4, context=32)


def test_every_way_writes_the_same_text(model):
    ways = staircase.one_text(model, [3, 1, 4], 20)
    texts = {name: write().tolist() for name, write in ways.items()}
    assert len(texts) == 7 and len(texts["cache, graph"]) == 23
    for name, text in texts.items():  # int8 has other weights
        assert text == texts["recompute, graph"] or name == "LiteRT int8", name


def test_grouping_changes_no_text(model):
    prompts = np.random.default_rng(0).integers(1, 24, (12, 3))
    ways = staircase.many_texts(model, prompts, 10)
    texts = [write().tolist() for write in ways.values()]
    assert len(texts) == 4 and all(text == texts[0] for text in texts[1:])
    assert np.shape(texts[0]) == (12, 13)


def test_a_token_reads_every_matrix_and_the_keys_and_values_before_it(model):
    looked_up = 24 * 32 + 32 * 32  # tokens and positions
    norms = 5 * 32
    read = 4 * (model.count_params() - looked_up - norms)
    assert staircase.bytes_a_token(model, 0) == read
    assert staircase.bytes_a_token(model, 7) == read + size(model.empty_caches(1, 7))
    shared = decoder(vocabulary=24, width=32, depth=2, heads=4, context=32, kv_heads=1)
    more = staircase.bytes_a_token(shared, 7) - staircase.bytes_a_token(shared, 0)
    assert more == size(shared.empty_caches(1, 7)) == size(model.empty_caches(1, 7)) / 4


def test_operations_are_two_for_each_weight_and_each_pair_that_is_mixed(model):
    read = staircase.bytes_a_token(model, 0) / 4
    assert staircase.operations_a_token(model, 0) == 2 * read
    # scores and mixing: one product each over 7 positions, in two blocks of width 32
    assert staircase.operations_a_token(model, 7) == 2 * read + 2 * 2 * 2 * 32 * 7


def test_a_factor_is_over_the_row_before_and_a_share_of_the_bound(monkeypatch):
    timings = {
        "slow": speed.Timing(0.8, 1.0, (1, 1), 3),
        "fast": speed.Timing(0.1, 8.0, (7, 9), 3),
        "fastest": speed.Timing(0.05, 16.0, (15, 17), 3),
    }
    monkeypatch.setattr(speed, "pairs", lambda ways, *more, **others: timings)
    stairs = staircase.climb(timings, 10, least=0.001)
    assert [one.factor for one in stairs] == [1, 8, 2]
    assert [one.rate for one in stairs] == pytest.approx([12.5, 100, 200])
    assert [one.share for one in stairs] == pytest.approx([0.0125, 0.1, 0.2])


def test_shipped_models_take_what_their_shapes_say():
    base = models.load("docs-base")
    assert staircase.bytes_a_token(base, 0) == 4 * (4 * 12 * 128**2 + 128 * 512)
