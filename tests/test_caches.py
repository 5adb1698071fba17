"""Smaller caches: heads that share, 8 bits, a window; and what each costs on real text."""

import numpy as np
import pytest
import small
from small import odd

from course_utils import decoding, evaluation, files, litert, models
from course_utils.backend import keras, tf
from course_utils.compression import finetuning, remove_units, share_heads, with_window
from course_utils.container import digest
from course_utils.datasets import docs
from course_utils.decoding import on_device
from course_utils.evaluation import cached_logits, cached_next_token, caches
from course_utils.experiments import make
from course_utils.models import checkpoint
from course_utils.models.cache import Cache, Int8Cache, size, slot_size
from course_utils.models.language import CausalSelfAttention

TOKENS = np.random.default_rng(0).integers(0, 24, (3, 32)).astype(np.int32)


@pytest.fixture(scope="module")
def base():
    return models.load("docs-base")


@pytest.fixture(scope="module")
def text():
    return docs.sequences("validation", 32)


# --- heads that share ----------------------------------------------------------------------------


def repeated(heads):
    """Attention as it is with a copy of keys and values for each head."""

    def attend(self, queries, keys, values, visible):
        keys, values = (tf.repeat(x, heads // x.shape[1], 1) for x in (keys, values))
        return CausalSelfAttention(heads, keys.shape[-1]).attend(queries, keys, values, visible)

    return attend


@pytest.mark.parametrize("kv_heads", [1, 2, 3, 6])
def test_heads_that_share_look_at_what_copies_would_show_them(kv_heads):
    random = np.random.default_rng(0)
    queries = random.standard_normal((2, 6, 5, 8)).astype(np.float32)
    keys, values = random.standard_normal((2, 2, kv_heads, 7, 8)).astype(np.float32)
    visible = (random.random((2, 1, 5, 7)) < 0.8).astype(np.float32)
    layer = CausalSelfAttention(6, 8, kv_heads)
    wanted = repeated(6)(layer, queries, keys, values, visible)
    assert np.allclose(layer.attend(queries, keys, values, visible), wanted, atol=1e-6)


def elements(model, new=5, slots=7, rows=3):
    """How many numbers each tensor holds in the graph of a model that reads from caches."""
    kept = model.empty_caches(rows, slots)

    @tf.function(autograph=False)
    def run(tokens, slot):
        return model.read(tokens, kept, slot)[0]

    read = run.get_concrete_function(tf.TensorSpec((rows, new), tf.int32), 0)
    made = [tensor for operation in read.graph.get_operations() for tensor in operation.outputs]
    return {tensor.shape.num_elements() for tensor in made}


def test_no_keys_are_copied_for_heads_that_share(monkeypatch):
    model = odd(kv_heads=2)
    copied, kept = 3 * 4 * 7 * 8, 3 * 2 * 7 * 8  # rows, heads, slots, size
    assert kept in elements(model) and copied not in elements(model)
    monkeypatch.setattr(CausalSelfAttention, "together", lambda self, own, shared: None)
    monkeypatch.setattr(CausalSelfAttention, "attend", copying)
    assert copied in elements(model)  # the count would tell


def copying(self, queries, keys, values, visible):
    keys, values = (tf.repeat(x, self.heads // self.kv_heads, 1) for x in (keys, values))
    weights = tf.nn.softmax(queries @ tf.transpose(keys, (0, 1, 3, 2)) - 1e9 * (1 - visible))
    mixed = tf.transpose(weights @ values, (0, 2, 1, 3))
    return tf.reshape(mixed, (*mixed.shape[:2], -1))


@pytest.mark.parametrize("mode", ["float", "int8"])
def test_heads_that_share_go_to_litert(mode):
    model = small.decoder(heads=4, kv_heads=2, window=5)
    rows = np.random.default_rng(1).integers(0, 64, (4, 8)).astype(np.int32)
    runner = litert.Runner(litert.export(model, mode, 8, calibration=rows))
    wrong = np.abs(runner(rows) - np.asarray(model(rows)))
    assert wrong.max() < 1e-4 if mode == "float" else wrong.mean() < 0.1  # logits are about 1
    writer = on_device.Writer(model, on_device.export_step(model, "float"))
    assert np.array_equal(writer.generate([3, 1], 6), decoding.generate(model, [3, 1], 6))


@pytest.mark.parametrize("options", [{}, {"kv_heads": 1}, {"kv_heads": 2}, {"window": 5}])
@pytest.mark.parametrize("chunk", [1, 4, 5])
def test_caches_show_what_a_full_pass_shows(options, chunk):
    model = odd(**options)
    whole = np.asarray(model(TOKENS))
    assert np.allclose(cached_logits(model, TOKENS, chunk=chunk), whole, atol=1e-5)
    if options:
        assert not np.allclose(whole, np.asarray(odd()(TOKENS)), atol=0.1)


def test_conversion_is_the_mean_of_neighbours():
    model = odd()
    for heads, kv_heads in ((4, 2), (4, 1), (2, 1)):
        start = model if heads == 4 else share_heads(model, heads)
        shared = share_heads(start, kv_heads)
        share = heads // kv_heads
        for before, after in zip(start.blocks, shared.blocks):
            for name in ("key_projection", "value_projection"):
                old, new = (np.asarray(getattr(b.attention, name).kernel) for b in (before, after))
                for head in range(kv_heads):
                    mean = sum(
                        old[:, 8 * i : 8 * i + 8] for i in range(share * head, share * head + share)
                    )
                    assert np.allclose(new[:, 8 * head : 8 * head + 8], mean / share, atol=1e-6)
            for name in ("query_projection", "output_projection"):
                old, new = (np.asarray(getattr(b.attention, name).kernel) for b in (before, after))
                assert np.array_equal(old, new)
        assert slot_size(shared) == slot_size(model) * kv_heads / 4


def test_heads_that_were_alike_may_share_for_nothing():
    model = odd()
    for block in model.blocks:
        for layer in (block.attention.key_projection, block.attention.value_projection):
            kernel = np.asarray(layer.kernel).copy()
            kernel[:, 8:16], kernel[:, 24:] = kernel[:, :8], kernel[:, 16:24]
            layer.kernel.assign(kernel)
    before = [np.asarray(weight).copy() for weight in model.weights]
    shared = share_heads(model, 2)
    assert np.allclose(shared(TOKENS), model(TOKENS), atol=1e-5)
    assert not np.allclose(share_heads(model, 1)(TOKENS), model(TOKENS), atol=0.1)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.weights))
    assert np.array_equal(share_heads(model, 4)(TOKENS), model(TOKENS))


def test_converted_models_are_models_like_any_other(tmp_path):
    model = odd()
    model.blocks[0].up.activation = keras.activations.relu  # done by hand, and kept
    small_one = with_window(share_heads(model, 2), 7)
    assert small_one.blocks[0].up.activation is keras.activations.relu
    fewer = remove_units(small_one, {"block_0/attention": np.array([True, False])})
    path = checkpoint.save(tmp_path / "it.safetensors", fewer, {})
    again = checkpoint.load(path)
    assert np.array_equal(again(TOKENS), fewer(TOKENS))
    assert np.allclose(cached_logits(again, TOKENS), fewer(TOKENS), atol=1e-5)
    assert again.blocks[0].attention.kv_heads == 1 and again.blocks[1].attention.kv_heads == 2


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: share_heads(odd(), 3), "4 heads with keys of their own cannot be shared by 3"),
        (lambda: share_heads(odd(), 8), "kv_heads must be a whole number from 1 to 4, got 8"),
        (lambda: share_heads(odd(kv_heads=2), 4), "kv_heads must be .* from 1 to 2, got 4"),
        (lambda: with_window(odd(), 0), "window must be a whole number from 1"),
        (lambda: share_heads(models.load("docs-lstm"), 1), r"method cached\(\), got LSTMLM"),
        (lambda: cached_logits(odd(), TOKENS, chunk=33), "chunk must be .* from 1 to 32, got 33"),
        (lambda: cached_logits(odd(), TOKENS + 9), "token ids from 0 to 23, got"),
        (lambda: cached_next_token(odd(), np.zeros((2, 34), int)), "at most 32 to be read at once"),
    ],
)
def test_what_cannot_be_done_is_said(change, says):
    with pytest.raises(ValueError, match=says):
        change()


def test_training_brings_back_what_sharing_lost(base, text):
    line = docs.tokens("train")

    def batches(step):
        starts = np.random.default_rng([9, step]).integers(0, len(line) - 129, 4)
        rows = line[starts[:, None] + np.arange(129)]
        return rows[:, :-1], rows[:, 1:]

    shared = share_heads(base, 2)
    trained = finetuning.finetune(shared, batches, 12, lambda step: [], 2e-3)
    assert trained.blocks[0].attention.kv_heads == 2
    before, after = (evaluation.next_token(m, text).perplexity for m in (shared, trained))
    assert after < 0.5 * before


# --- windows -------------------------------------------------------------------------------------


def test_a_ring_holds_what_a_window_sees(base):
    tokens = docs.sequences("validation", 3)[:, :128].astype(np.int32)
    for window in (8, 32):
        model = with_window(base, window)
        assert caches.slots(model, 128) == window
        assert size(model.empty_caches(1, window)) == slot_size(model) * window
        whole, ring = np.asarray(model(tokens)), np.asarray(cached_logits(model, tokens))
        assert np.abs(ring - whole).max() < 1e-4
        assert np.abs(whole[:, :window] - base(tokens)[:, :window]).max() < 1e-4
        assert np.abs(whole - base(tokens)).max() > 1


def test_a_ring_has_room_for_a_chunk():
    model = odd(window=5)
    assert [caches.slots(model, 32, chunk) for chunk in (1, 2, 3, 8)] == [5, 6, 9, 16]
    assert [caches.slots(odd(), 32, chunk) for chunk in (1, 5)] == [32, 35]
    assert caches.slots(odd(window=[5, 9]), 32) == 9 and caches.slots(odd(window=99), 32) == 32
    short = model.empty_caches(3, 4)  # one slot too few would be seen
    parts = tf.constant(TOKENS.T[:, :, None])
    assert not np.allclose(caches.reading(model, parts, short), model(TOKENS), atol=0.1)


# --- 8 bits, and what it costs -------------------------------------------------------------------


def test_bytes_a_token_are_the_formula(base):
    for kv_heads in (4, 2, 1):
        shared = share_heads(base, kv_heads)
        assert slot_size(shared) == 2 * 4 * kv_heads * (32 * 4)
        assert slot_size(shared, Int8Cache) == 2 * 4 * kv_heads * (32 + 4)
        assert size(shared.empty_caches(3, 7, Int8Cache)) == 3 * 7 * slot_size(shared, Int8Cache)


def test_an_int8_cache_costs_less_than_half_a_percent(base, text):
    whole = evaluation.next_token(base, text)
    plain = cached_next_token(base, text, chunk=16)
    assert np.allclose(plain.losses, whole.losses, atol=1e-4)
    eight = cached_next_token(base, text, Int8Cache, chunk=16)
    assert plain.perplexity != eight.perplexity
    assert abs(eight.perplexity / plain.perplexity - 1) < 0.005


def test_chunks_change_no_rounding():
    model = odd()
    found = [np.asarray(cached_logits(model, TOKENS, Int8Cache, n)) for n in (1, 8)]
    assert np.allclose(*found, atol=1e-4)
    assert not np.allclose(found[0], model(TOKENS), atol=1e-3)


def test_text_is_written_from_8_bits(base):
    prompt = docs.tokenizer().encode("Returns the ").ids
    model, length = odd(), 28
    usual = decoding.generate(model, [3, 1], length)
    assert np.array_equal(decoding.generate(model, [3, 1], length, cache=Cache), usual)
    for one, start, more in ((model, [3, 1], length), (base, prompt, 60)):
        plain, eight = (
            decoding.generate(one, start, more, cache=kind) for kind in (Cache, Int8Cache)
        )
        # What it writes is what it thinks likeliest after reading all of it from 8 bits. A code
        # at the edge of two may fall to either side.
        wanted = np.argmax(cached_logits(one, eight[None, :-1], Int8Cache)[0], -1)
        assert np.mean(eight[len(start) :] == wanted[len(start) - 1 :]) > 0.9
        assert np.mean(plain == eight) > 0.5


def test_one_table_has_bytes_quality_and_speed():
    model, tokens = odd(), np.concatenate([TOKENS, TOKENS])
    ways = {
        "full": (model, Cache),
        "8 bits": (model, Int8Cache),
        "one head": (share_heads(model, 1), Cache),
        "window": (with_window(model, 4), Cache),
    }
    rows = caches.costs(ways, tokens, rows=6, rounds=2)
    assert [row.name for row in rows] == list(ways)
    assert [row.bytes for row in rows] == [31 * 512, 31 * 192, 31 * 128, 4 * 512]
    for row, (one, _) in zip(rows, ways.values()):
        assert row.quality.losses.shape == (6,) and row.rate > 0
        if row.name != "8 bits":
            wanted = evaluation.next_token(one, tokens).perplexity
            assert row.quality.perplexity == pytest.approx(wanted, rel=1e-4)
    assert rows[0].timing.speedup == 1


def test_a_file_of_half_precision_is_half_as_long(tmp_path):
    model = small.decoder(width=64)
    whole, half = (
        checkpoint.save(tmp_path / f"{dtype}.safetensors", model, {}, dtype)
        for dtype in (None, "float16")
    )
    assert half.stat().st_size < 0.55 * whole.stat().st_size
    again = checkpoint.load(half)
    assert {weight.dtype for weight in again.weights} == {"float32"}
    assert np.allclose(again(TOKENS[:, :8]), model(TOKENS[:, :8]), atol=0.01)


# --- the experiment ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def found():
    return make.results("caches")


def test_every_run_is_there_and_beside_its_control(found):
    runs = {(run["kv_heads"], run["steps"], run["seed"]): run for run in found["runs"]}
    wanted = {(n, k, seed) for n in (4, 2, 1) for k in found["steps"] for seed in found["seeds"]}
    assert set(runs) == wanted and len(found["runs"]) == len(wanted)
    for (heads, steps, seed), run in runs.items():
        for split in ("validation", "test"):
            low, high = run[split]["perplexity_interval"]
            assert low < run[split]["perplexity"] < high
            if heads < 4:
                control = runs[4, steps, seed][split]["perplexity"]
                told = run["over_control"][split]["rise"]
                assert run[split]["perplexity"] / control - 1 == pytest.approx(told, abs=1e-5)
    for heads, tried in found["pilot"]["loss"].items():
        assert found["rates"][heads] == float(min(tried, key=tried.get))


def test_fewer_heads_cost_more_and_training_brings_most_of_it_back(found):
    longest = {
        run["kv_heads"]: run["validation"]["perplexity"]
        for run in found["runs"]
        if run["steps"] == max(found["steps"]) and run["seed"] == found["seeds"][0]
    }
    at_once = {n: shared["validation"]["perplexity"] for n, shared in found["shared"].items()}
    assert longest[4] < longest[2] < longest[1]
    assert at_once["2"] > 10 * at_once["4"] and at_once["1"] > at_once["2"]
    assert longest[2] < 0.1 * at_once["2"] and longest[1] < 0.1 * at_once["1"]
    rises = [of["validation"]["rise"] for of in found["windows"].values()]
    assert rises == sorted(rises, reverse=True) and rises[0] > 0.2 and rises[-1] == 0


def test_the_shipped_model_is_the_one_of_the_record(found, text):
    shipped = found["shipped"]
    path = files.DATA / "models" / f"{shipped['name']}.safetensors"
    assert path.stat().st_size == shipped["bytes"] < 2e6
    model = models.load(shipped["name"])
    assert model.name == shipped["name"].replace("-", "_")
    assert model.blocks[0].attention.kv_heads == 2
    told = models.record(shipped["name"])
    run = next(
        run
        for run in found["runs"]
        if (run["kv_heads"], run["steps"], run["seed"]) == (2, told["steps"], told["seed"])
    )
    for split in ("validation", "test"):  # half precision changes nothing
        assert shipped[split]["perplexity"] == pytest.approx(run[split]["perplexity"], rel=1e-3)
    tokens = docs.sequences("validation")
    if digest({"": tokens}, None) == found["tokens_sha256"]["validation"]:
        perplexity = evaluation.next_token(model, tokens).perplexity
        assert perplexity == pytest.approx(shipped["validation"]["perplexity"], rel=1e-3)
    for name, kinds in found["caches"].items():
        for kind in (Cache, Int8Cache):
            assert kinds[kind.__name__]["bytes_a_token"] == slot_size(models.load(name), kind)
        plain, eight = (kinds[kind]["test"]["perplexity"] for kind in ("Cache", "Int8Cache"))
        assert abs(eight / plain - 1) < 0.005
