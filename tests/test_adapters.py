"""Adapters: they begin as nothing, fold away exactly, learn while the base stands still, and help
the one they were trained for."""

import numpy as np
import pytest
from small import odd

from course_utils import evaluation, models, quantization
from course_utils.compression import Quantize, adapters, compress
from course_utils.datasets import readers
from course_utils.experiments import personal, training
from course_utils.lessons.training import experiments
from course_utils.models import vision
from course_utils.models.language import DecoderLM
from course_utils.storage import encode

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 24, (3, 12)).astype(np.int32)


def moved(adapter, seed=1):
    """An adapter that says something."""
    rng = np.random.default_rng(seed)
    return {
        name: (down, rng.normal(0, 0.3, up.shape).astype(np.float32))
        for name, (down, up) in adapter.items()
    }


def built(kind):
    """A decoder without biases, and a classifier with biases and ReLU; inputs for each."""
    if kind == "decoder":
        return odd(), TOKENS
    model = vision.mlp((9, 7))
    model.set_weights([np.random.default_rng(2).normal(0, 0.5, w.shape) for w in model.weights])
    return model, RNG.random((4, 64)).astype(np.float32)


@pytest.mark.parametrize("kind", ["decoder", "classifier"])
def test_an_adapter_begins_as_nothing_and_folds_away(kind):
    model, inputs = built(kind)
    fresh, before = adapters.begin(model, 2), np.asarray(model(inputs))
    assert np.array_equal(adapters.attach(model, fresh)(inputs), before)
    assert np.array_equal(adapters.fold(model, fresh)(inputs), before)
    adapter = moved(fresh)
    beside, folded = (
        np.asarray(do(model, adapter)(inputs)) for do in (adapters.attach, adapters.fold)
    )
    assert np.abs(beside - before).max() > 0.1  # it does say something
    assert np.allclose(beside, folded, atol=1e-4)
    assert np.array_equal(model(inputs), before)  # the base is never changed


def test_only_what_is_named_is_adapted():
    assert {name.split("/")[-2] for name in adapters.begin(odd(), 1, "query")} == {"query"}
    assert len(adapters.begin(odd(), 1, "block")) == 12 and len(adapters.begin(odd(), 1)) == 13


def test_users_side_by_side_are_each_their_own():
    model = odd()
    each = [moved(adapters.begin(model, 2, seed=i), i) for i in range(3)]
    together = adapters.attach(model, adapters.side_by_side(each))(TOKENS)
    for i, one in enumerate(each):
        assert np.allclose(together[i], adapters.attach(model, one)(TOKENS)[i], atol=1e-4)
    other = adapters.attach(model, each[1])(TOKENS)[0]
    assert not np.allclose(together[0], other, atol=1e-2)


def test_it_learns_what_a_frozen_model_does_not_and_the_base_stands_still():
    """A text of one token, over and over: the rank-2 update finds it, on a rounded base."""
    model = compress(odd(), [Quantize(quantization.absmax, bits=4)]).model
    text = np.full((4, 9), 7, np.int32)
    before, weights = evaluation.next_token(model, text).loss, model.get_weights()
    fresh = adapters.begin(model, 2, "block")
    learned = adapters.learn(model, fresh, lambda step: (text[:, :-1], text[:, 1:]), 40, 3e-2)
    assert all(np.array_equal(*pair) for pair in zip(weights, model.get_weights()))
    folded = adapters.fold(model, learned)
    assert evaluation.next_token(folded, text).loss < before - 1
    for old, new in zip(weights, folded.get_weights()):
        if old.ndim == 2:
            assert np.linalg.matrix_rank(new - old, tol=1e-4) <= 2
    still = adapters.learn(model, fresh, lambda step: (text[:, :-1], text[:, 1:]), 0)
    assert evaluation.next_token(adapters.fold(model, still), text).loss == before


def test_a_file_gives_back_what_it_was_given():
    adapter = moved(adapters.begin(odd(), 2, "block"))
    content, ledger = adapters.pack(adapter)
    assert ledger.total == len(content)
    assert ledger.bits_per_weight < 16  # with the names of layers, in a file this small
    again = adapters.unpack(content)
    assert list(again) == list(adapter)
    for name, (down, up) in adapter.items():
        for mine, theirs in zip((down, up), again[name]):
            assert mine.shape == theirs.shape
            assert np.abs(mine - theirs).max() <= np.abs(mine).max() / 127
    twice = adapters.unpack(adapters.pack(again)[0])  # what was rounded stays as it is
    for name, pair in again.items():
        assert all(np.allclose(*both, rtol=1e-5) for both in zip(pair, twice[name]))
    coarse = adapters.pack(adapter, bits=3)[0]
    assert len(coarse) < 0.75 * len(content)


def test_what_is_no_adapter_is_refused():
    model, adapter = odd(), adapters.begin(odd(), 2, "query")
    with pytest.raises(ValueError, match="rank for .*query.* must be a whole number from 1 to 32"):
        adapters.begin(model, 33, "query")
    with pytest.raises(ValueError, match="part of no matrix's name"):
        adapters.begin(model, 2, "nowhere")
    with pytest.raises(ValueError, match="which this model does not have"):
        adapters.fold(model, {"elsewhere/kernel": next(iter(adapter.values()))})
    with pytest.raises(ValueError, match="does not fit"):
        adapters.fold(odd(width=16), adapter)
    content = adapters.pack(adapter)[0]
    with pytest.raises(ValueError, match="damaged"):
        adapters.unpack(content[:-1] + b"?")
    for told in (None, {"adapter": 3}, {"adapter": ["other"]}):
        with pytest.raises(ValueError, match="holds no adapter"):
            adapters.unpack(encode({"x/down": np.ones((2, 2), np.float32)}, model=told)[0])
    with pytest.raises(ValueError, match="unknown adapter"):
        adapters.load("nobody")


def test_an_adapter_is_shipped_for_each_reader_and_rank():
    wanted = {f"{reader}-rank{rank}" for reader in readers.READERS for rank in personal.RANKS}
    assert set(adapters.names()) == wanted
    base = models.load(personal.BASE)
    for name in wanted:
        for down, up in adapters.load(name).values():
            assert down.shape[1] == up.shape[0] == int(name.rpartition("rank")[2])
        adapters.fold(base, adapters.load(name))  # fits


def test_readers_have_texts_of_their_own():
    for reader in readers.READERS:
        seen = {tuple(row) for row in readers.sequences(reader, "test", 20).tolist()}
        held = {tuple(row) for row in readers.sequences(reader, "validation", 20).tolist()}
        assert len(seen) == 20 and not seen & held
    with pytest.raises(ValueError, match="unknown reader"):
        readers.sequences("keras", "test")
    names = readers.modules("python", "test")
    assert names and not set(names) & set(readers.modules("python", "validation"))


@pytest.mark.slow
def test_each_readers_own_adapter_is_the_best_for_them():
    """On test text, window by window: better than none and than anybody else's."""
    small = compress(models.load(personal.BASE), personal.ROUNDING).model
    worn = {r: adapters.fold(small, adapters.load(f"{r}-rank4")) for r in readers.READERS}
    for reader in readers.READERS:
        tokens = readers.sequences(reader, "test", 64)
        own = evaluation.next_token(worn[reader], tokens).losses
        for name, model in (("none", small), *worn.items()):
            if name != reader:
                other = evaluation.next_token(model, tokens).losses
                assert evaluation.paired(other, own)[1][1] < 0, (reader, name)


def test_an_addition_learns_exercises_and_leaves_the_model_as_it_was():
    model = DecoderLM(vocabulary=689, width=16, depth=1, heads=2)
    model.build()
    before, exercises = model.get_weights(), training.answers_only(0, 0, "validation", 8)
    adapted, size = experiments.with_an_addition(model, training.answers_only, 8, 2, 0.03)
    assert all(np.array_equal(now, then) for now, then in zip(model.get_weights(), before))
    # query, key, value, output, up, down and head: rank times inputs and units
    assert size == 2 * (4 * (16 + 16) + 2 * (16 + 64) + 16 + 689)
    assert experiments.loss_on(adapted, *exercises) < 0.98 * experiments.loss_on(model, *exercises)
