"""Decoding: whatever is done for speed, the text is the one that plain recomputing writes."""

import sys

import numpy as np
import pytest
from scipy import stats
from small import odd

from course_utils import decoding
from course_utils.backend import keras, tf
from course_utils.datasets import docs
from course_utils.decoding import loops, prompts, sampling, serving, speculative
from course_utils.decoding.sampling import Sampling
from course_utils.models.cache import grown
from course_utils.models.compiled import compiled, with_weights
from course_utils.models.language import DecoderLM


@pytest.fixture(scope="module")
def model():
    return odd()


def recomputed(model, prompt, length):
    """What reading everything again for each token writes. What is not yet written is padding, and
    hidden."""
    text = np.zeros((1, model.config["context"]), np.int32)
    text[0, : len(prompt)] = prompt
    for at in range(len(prompt), len(prompt) + length):
        text[0, at] = np.argmax(np.asarray(model(text))[0, at - 1])
    return text[0, : len(prompt) + length].tolist()


def is_recomputed(model, written, given):
    """Says whether `recomputed` would write the same after the given tokens: no position looks
    ahead, so one pass shows what is chosen after each."""
    chosen = np.argmax(np.asarray(model(np.array([written[:-1]]))), -1)[0]
    return chosen[given - 1 :].tolist() == list(written[given:])


# --- caches --------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{"kv_heads": 1}, {"kv_heads": 2}, {"window": 5}])
def test_shared_heads_and_windows_write_what_they_would_without_a_cache(options):
    model = odd(depth=1, **options)
    tokens = np.random.default_rng(0).integers(0, 24, (3, 32)).astype(np.int32)
    whole = np.asarray(model(tokens))
    assert not np.allclose(whole, np.asarray(odd(depth=1)(tokens)), atol=0.1)
    assert is_recomputed(model, decoding.generate(model, tokens[0, :4], 20).tolist(), 4)
    config = model.get_config()
    again = DecoderLM.from_config(config)
    again.build()
    again.set_weights(model.get_weights())
    assert np.array_equal(np.asarray(again(tokens)), whole)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"kv_heads": 3}, "heads must be a multiple of kv_heads=3, got 4"),
        ({"kv_heads": 0}, "kv_heads must be a whole number from 1 to 4, got 0"),
        ({"window": 0}, "window must be a whole number from 1"),
    ],
)
def test_heads_and_windows_say_what_is_allowed(options, says):
    with pytest.raises(ValueError, match=says):
        odd(**options)


def test_caches_grow_and_keep_what_they_hold(model):
    tokens = np.random.default_rng(0).integers(0, 24, (2, 12)).astype(np.int32)
    _, caches = model.read(tf.constant(tokens[:, :8]), model.empty_caches(2, 8), 0)
    caches = grown(caches, 12)
    later, _ = model.read(tf.constant(tokens[:, 8:]), caches, tf.constant(8))
    assert np.allclose(later, np.asarray(model(tokens))[:, 8:], atol=1e-5)


# --- sampling ------------------------------------------------------------------------------------


def kept(filtered):
    return np.isfinite(np.asarray(filtered))


def test_filters_keep_what_they_say():
    logits = np.log([[0.5, 0.3, 0.15, 0.05]]).astype(np.float32)
    assert kept(sampling.top_k(logits, 2)).tolist() == [[True, True, False, False]]
    assert kept(sampling.top_p(logits, 0.79)).tolist() == [[True, True, False, False]]
    assert kept(sampling.top_p(logits, 0.81)).tolist() == [[True, True, True, False]]
    assert kept(sampling.min_p(logits, 0.29)).tolist() == [[True, True, True, False]]
    assert kept(sampling.min_p(logits, 0.31)).tolist() == [[True, True, False, False]]
    # Of the second row the first token alone holds what float32 rounds to 1.
    sharp = np.array([[30, 1, 0, -80]], np.float32)
    for some in (logits, sharp):
        for nothing in (
            sampling.top_k(some, 4),
            sampling.top_p(some, 1),
            sampling.min_p(some, 0),
        ):
            assert kept(nothing).all()


def test_filters_never_take_the_most_likely_token():
    logits = np.random.default_rng(0).normal(size=(20, 9)).astype(np.float32)
    best = logits.argmax(1)
    for left in (sampling.top_k(logits, 1), sampling.top_p(logits, 0), sampling.min_p(logits, 1)):
        assert (kept(left).sum(1) == 1).all() and (np.argmax(left, 1) == best).all()


def test_draws_have_the_distribution_of_the_model():
    model, rows, prompt = odd(depth=1, context=4), 4000, [3, 1, 4]
    text = decoding.sample(model, np.tile(prompt, (rows, 1)), seed=5)[:, 3]
    p = tf.nn.softmax(model(np.array([prompt]))[0, -1]).numpy().astype(np.float64)
    counts = np.bincount(text, minlength=24)
    assert stats.chisquare(counts, rows * p / p.sum()).pvalue > 0.001


def test_a_nucleus_of_nothing_and_no_temperature_are_greedy(model):
    greedy = decoding.generate(model, [3, 1], 12).tolist()
    for same in (Sampling(), Sampling(1.0, top_p=0), Sampling(1.0, top_k=1), Sampling(0.01)):
        assert decoding.generate(model, [3, 1], 12, same).tolist() == greedy
    assert decoding.generate(model, [3, 1], 12, Sampling(1.0)).tolist() != greedy


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"temperature": -1}, "temperature must be a number from 0.01 to 100, got -1"),
        ({"temperature": 0.001}, "temperature must be a number from 0.01 to 100, got 0.001"),
        ({"temperature": float("nan")}, "temperature must be"),
        ({"top_p": 1.5}, "top_p must be a number from 0 to 1, got 1.5"),
        ({"top_k": -1}, "top_k must be a whole number"),
        ({"min_p": 2}, "min_p must be"),
        ({"seed": -1}, "seed must be"),
    ],
)
def test_sampling_says_what_is_allowed(wrong, says):
    with pytest.raises(ValueError, match=says):
        Sampling(**wrong)


# --- streaming -----------------------------------------------------------------------------------


def test_a_stream_is_the_text_in_pieces(model):
    for how in (Sampling(), Sampling(0.8, top_p=0.9, seed=3)):
        whole = decoding.generate(model, [3, 1, 4], 25, how)[3:]
        pieces = list(decoding.stream(model, [3, 1, 4], 25, how, chunk=4))
        assert [len(piece) for piece in pieces] == [4] * 6 + [1]
        assert np.concatenate(pieces).tolist() == whole.tolist()


def test_a_stream_ends_at_the_mark_and_may_be_left(model):
    whole = decoding.generate(model, [3, 1, 4], 25)[3:].tolist()
    mark = whole[9]
    written = np.concatenate(list(decoding.stream(model, [3, 1, 4], 25, chunk=4, end=mark)))
    assert written.tolist() == whole[: whole.index(mark)]
    left = decoding.stream(model, [3, 1, 4], 25, chunk=4)
    next(left)
    left.close()
    assert decoding.generate(model, [3, 1, 4], 25)[3:].tolist() == whole


@pytest.mark.parametrize("how", [Sampling(), Sampling(1.0), Sampling(0.8, top_p=0.9, seed=3)])
@pytest.mark.parametrize("chunks", [0, 1, 3])
def test_a_stop_in_the_middle_changes_nothing_that_is_written_later(model, how, chunks):
    whole = decoding.generate(model, [3, 1, 4], 25, how)[3:].tolist()
    stopped, other = (decoding.stream(model, [3, 1, 4], 25, how, chunk=4) for _ in range(2))
    found = [next(stopped).tolist() for _ in range(chunks)]
    before = next(other).tolist()  # both at once
    stopped.close()
    assert [token for piece in found for token in piece] == whole[: 4 * chunks]
    assert before + np.concatenate(list(other)).tolist() == whole
    assert decoding.generate(model, [3, 1, 4], 25, how)[3:].tolist() == whole


def test_a_stream_without_chance_is_greedy_however_that_is_said(model):
    greedy = decoding.generate(model, [3, 1], 12)[2:].tolist()
    for how in (Sampling(0), Sampling(0.0, top_k=5, seed=9), Sampling(1.0, top_p=0, seed=9)):
        assert np.concatenate(list(decoding.stream(model, [3, 1], 12, how))).tolist() == greedy


def test_a_mark_that_somebody_typed_neither_ends_a_text_nor_begins_one():
    model, tokenizer = odd(vocabulary=512, context=64), docs.tokenizer()
    end = tokenizer.token_to_id(docs.END)
    typed = prompts.typed(tokenizer, f"a{docs.END}")
    meant = [*prompts.typed(tokenizer, "a"), end]
    written = np.concatenate(list(decoding.stream(model, typed, 20, end=end))).tolist()
    alone = recomputed(model, typed, 20)[len(typed) :]
    assert end not in typed and written == (alone + [end])[: (alone + [end]).index(end)]
    assert recomputed(model, meant, 20)[len(meant) :] != alone


@pytest.mark.parametrize(
    ("prompt", "length"), [([], 3), ([24], 3), ([-1], 3), ([1] * 30, 5), ([1] * 40, 1), ([1], 0)]
)
def test_every_door_refuses_what_the_model_cannot_read(model, prompt, length):
    pair = speculative.Speculator(model, speculative.LookUpDrafter(24))
    request = serving.Request(0.0, tuple(prompt), length)
    for door in (
        lambda: decoding.generate(model, prompt, length),
        lambda: decoding.stream(model, prompt, length),
        lambda: pair.generate(prompt, length),
        lambda: serving.serve(serving.Engine(model, 2), [request]),
    ):
        with pytest.raises(ValueError, match="prompt|length"):
            door()


def test_texts_of_different_length_are_written_as_alone(model):
    prompts = [[3], [1, 2, 3, 4, 5], [7, 7], list(range(9))] * 5  # more than one group
    end = int(decoding.generate(model, prompts[1], 9)[-1])
    together = decoding.answers(model, prompts, end)
    for prompt, answer in zip(prompts[:4], together):
        written = [*prompt, *answer.tolist(), end][:32]
        assert end not in answer and is_recomputed(model, written, len(prompt))
    assert [a.tolist() for a in together[4:8]] == [a.tolist() for a in together[:4]]


# --- speculative decoding ------------------------------------------------------------------------


def drafters(model):
    line = np.random.default_rng(0).integers(0, 24, 5000)
    keras.utils.set_random_seed(1)
    other = DecoderLM(vocabulary=24, width=16, depth=1, heads=2, context=32)
    other.build()
    return {
        "another model": lambda: speculative.ModelDrafter(other),
        "itself": lambda: speculative.ModelDrafter(model),
        "early exit": lambda: speculative.ModelDrafter(speculative.early_exit(model, 1)),
        "table": lambda: speculative.TableDrafter(line, 24),
        "look-up": lambda: speculative.LookUpDrafter(24),
    }


@pytest.fixture(scope="module")
def pairs(model):
    """The model with each drafter, which is compiled once."""
    made = {name: make() for name, make in drafters(model).items()}
    return {name: speculative.Speculator(model, drafter, 2) for name, drafter in made.items()}


@pytest.mark.parametrize("name", ["another model", "itself", "early exit", "table", "look-up"])
def test_speculating_writes_the_same_text(model, pairs, name):
    pair = pairs[name]
    for prompt in ([5], [3, 1, 4, 1, 5], list(range(20))):
        length = 32 - len(prompt)
        found = pair.generate(prompt, length)
        assert found.tokens[: len(prompt)].tolist() == prompt and len(found.tokens) == 32
        assert is_recomputed(model, found.tokens.tolist(), len(prompt))
        assert found.accepted.sum() == found.passes
        if name == "itself":
            assert found.rate == 1 and found.passes == -(-length // 3)


@pytest.mark.parametrize("name", ["another model", "early exit", "table", "look-up"])
def test_passes_are_foretold_for_every_draft_length(model, pairs, name):
    near = pairs[name]
    far = speculative.Speculator(model, near.drafter, ahead=5)
    for prompt in ([5], [3, 1, 4, 1, 5, 3, 1]):
        found = near.generate(prompt, 32 - len(prompt))
        right = far.right(found.tokens, len(prompt))
        assert speculative.counted(right, 2).sum() == found.passes


def test_a_model_changed_by_hand_is_speculated_with_up_to_its_last_place():
    model = odd(depth=1, context=16)
    layer = model.blocks[0].up
    usual, layer.call = layer.call, lambda x: usual(x) / 2  # run as a graph, not by XLA
    pair = speculative.Speculator(model, speculative.LookUpDrafter(24), ahead=3)
    assert pair.generate([3, 1], 14).tokens.tolist() == recomputed(model, [3, 1], 14)


def test_a_drafter_of_another_language_is_refused(model):
    with pytest.raises(ValueError, match="must know the model's 24 tokens, got one that knows 8"):
        speculative.Speculator(model, speculative.LookUpDrafter(8))


def first_tokens(pair, prompt, draws):
    """The two tokens after a prompt, as many draws of them."""
    text = np.zeros((1, 16 + pair.ahead + 1), np.int32)
    text[0, : len(prompt)] = prompt
    state = [tf.constant(x) for x in (text, len(prompt), len(prompt) + 2)]
    how, seeds = Sampling(1.0).numbers(), tf.range(draws)
    drawn = compiled(pair, many)(*state, how, seeds).numpy()
    return drawn[:, 0, len(prompt) : len(prompt) + 2]


def many(pair, *state):
    *state, seeds = state
    return tf.map_fn(lambda seed: speculative.by_chance(pair, *state, seed)[0], seeds)


def likely(model, prompt, found):
    """The chance of seeing pairs of tokens that lie further from the model's distribution."""
    first = tf.nn.softmax(model(np.array([prompt]))[0, -1]).numpy().astype(np.float64)
    rows = np.array([[*prompt, token] for token in range(len(first))])
    second = tf.nn.softmax(model(rows)[:, -1]).numpy().astype(np.float64)
    expected = len(found) * (first[:, None] * second).ravel()
    counts = np.bincount(found[:, 0] * len(first) + found[:, 1], minlength=expected.size)
    order = np.argsort(expected)  # rare pairs are counted together
    bins = np.minimum(np.cumsum(expected[order]) // 20, 24).astype(int)
    counts, expected = (np.bincount(bins, x[order]) for x in (counts, expected))
    there = expected > 0
    return stats.chisquare(counts[there], expected[there] * len(found) / expected.sum()).pvalue


@pytest.mark.parametrize("name", ["another model", "table"])
def test_drawn_tokens_have_the_models_distribution_and_a_planted_fault_is_seen(monkeypatch, name):
    model = odd(vocabulary=8, width=16, depth=1, heads=2, context=16)
    prompt, draws = [3, 1, 4], 1500
    line = np.random.default_rng(0).integers(0, 8, 500)
    keras.utils.set_random_seed(1)
    other = DecoderLM(vocabulary=8, width=16, depth=1, heads=2, context=16)
    other.build()
    made = {
        "another model": lambda: speculative.ModelDrafter(other),
        "table": lambda: speculative.TableDrafter(line, 8),
    }[name]
    wrong, right = tf.Variable(False), speculative.left_over  # wrong: drawn from p again
    monkeypatch.setattr(speculative, "left_over", lambda p, q: tf.where(wrong, p, right(p, q)))
    pair = speculative.Speculator(model, made(), ahead=2)
    assert likely(model, prompt, first_tokens(pair, prompt, draws)) > 0.001
    wrong.assign(True)
    assert likely(model, prompt, first_tokens(pair, prompt, draws)) < 1e-6


def test_the_expected_speed_up_is_that_of_the_paper():
    assert speculative.speed_up(0.8, 5, 0, 1) == pytest.approx((1 - 0.8**6) / 0.2)
    assert speculative.speed_up(1, 4, 0.25, 1) == pytest.approx(2.5)
    assert speculative.speed_up(0, 4, 0.25, 1) == pytest.approx(0.5)


# --- serving -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def requests():
    random = np.random.default_rng(0)
    prompts = [random.integers(0, 24, random.integers(1, 20)) for _ in range(14)]
    lengths = [int(random.integers(1, 32 - len(prompt))) for prompt in prompts]
    return serving.arrivals(prompts, lengths, rate=100)


@pytest.mark.parametrize("how", [{}, {"policy": "static"}, {"chunks": 1}])
def test_served_rows_write_what_they_would_alone(model, requests, how):
    engine = serving.Engine(model, 3)
    for one in serving.serve(engine, requests, **how):
        given = one.request.prompt
        assert is_recomputed(model, [*given, *one.tokens], len(given))
        assert len(one.tokens) == len(one.times) == one.request.length and np.all(
            np.diff(one.times) > 0
        )
        assert one.first > 0
    assert sorted(engine.free) == [0, 1, 2]


def test_serving_says_what_is_allowed(model, requests):
    engine = serving.Engine(model, 2)
    with pytest.raises(ValueError, match="chunks must be a whole number from 1"):
        serving.serve(engine, requests, chunks=0)
    with pytest.raises(ValueError, match="unknown policy 'fair'; choose from: continuous, static"):
        serving.serve(engine, requests, policy="fair")
    engine.free.pop()
    with pytest.raises(ValueError, match="all 2 rows of the engine must be free, 1 are"):
        serving.serve(engine, requests)
    with pytest.raises(ValueError, match="at least one request"):
        serving.report([], 1, 1)


def test_a_known_prefix_is_not_read_again_and_changes_no_token(model):
    shared = list(np.random.default_rng(2).integers(0, 24, 16))
    prompts = [[*shared, *end] for end in ([1], [2, 3], [4, 5, 6])]
    engine = serving.Engine(model, 2, prefixes=True)
    read = []
    plain = engine.read
    engine.read = lambda reading: read.append(reading.done) or plain(reading)
    for one in serving.serve(engine, serving.arrivals(prompts, [8] * 3, rate=100)):
        given = one.request.prompt
        assert len(one.tokens) == 8 and is_recomputed(model, [*given, *one.tokens], len(given))
    assert read == [0, 16, 16, 16]


def test_a_rehearsal_keeps_the_order_of_real_serving(model, requests):
    prices = {"read": 0.003, "enter": 0.001, "step": 0.002}

    def clock(function, *args):
        return function(*args), prices[function.__name__]

    real = serving.serve(serving.Engine(model, 3), requests, clock=clock)
    rehearsed = serving.rehearse(requests, prices, 3, 32)
    assert [one.times for one in real] == [one.times for one in rehearsed]


def test_rows_that_are_refilled_serve_more_in_time():
    random = np.random.default_rng(0)
    prompts, lengths = [[1] * 8] * 200, random.choice([4, 100], 200)
    prices = {"read": 0.001, "enter": 0.0005, "step": 0.002}
    requests = serving.arrivals(prompts, lengths, rate=60)
    reports = {
        policy: serving.report(serving.rehearse(requests, prices, 8, 128, policy), 0.2, 0.005)
        for policy in ("continuous", "static")
    }
    assert reports["continuous"].goodput > 1.5 * reports["static"].goodput


def test_reports_are_what_was_experienced():
    request = serving.Request(1.0, (1,), 3)
    served = [serving.Served(request, [5, 6, 7], [1.5, 2.0, 3.0])]
    found = serving.report(served, first_limit=0.5, each_limit=0.75)
    assert found.first == (0.5, 0.5) and found.each == (0.75, 0.75)
    assert found.throughput == 1.5 and found.goodput == 0.5 and found.within == 1
    assert serving.report(served, 0.4, 0.75).within == 0


def test_a_compiled_loop_is_shared_by_models_of_one_kind(model):
    other = odd()
    assert compiled(model, loops.write) is not None
    assert decoding.generate(model, [1], 5).tolist() == decoding.generate(other, [1], 5).tolist()


def test_caches_that_grow_change_no_text(model, monkeypatch):
    whole = [loops.generate(model, prompt, 20).tolist() for prompt in ([5], [3, 1, 4])]
    monkeypatch.setattr(loops, "BLOCK", 8)  # 8, 16 and 32 slots, one after the other
    assert [loops.room(n, 32) for n in (1, 8, 9, 17)] == [8, 8, 16, 32]
    assert [loops.generate(model, prompt, 20).tolist() for prompt in ([5], [3, 1, 4])] == whole


def test_texts_of_many_sizes_are_written_without_a_warning(caplog, monkeypatch):
    """TensorFlow advises to trace less often; XLA, which takes long, has no part in that."""
    room, usual = sys.modules[compiled.__module__], with_weights

    def traced(function):
        return usual(function, xla=False)

    traced.__name__ = usual.__name__  # the log is filtered by it
    monkeypatch.setattr(room, "with_weights", traced)
    monkeypatch.setattr(room, "_shared", {})
    model, log = odd(depth=1, context=128), tf.get_logger()
    log.addHandler(caplog.handler)
    try:
        for rows in (1, 2, 9):
            decoding.answers(model, [[1, 2]] * rows, 0)
    finally:
        log.removeHandler(caplog.handler)
    assert not caplog.records


def test_a_loop_is_compiled_for_few_sizes(monkeypatch):
    model, shapes = odd(depth=1, context=256), set()

    def run(text, given, caches, start, until):
        shapes.add((*text.shape, caches[0].keys.shape[2]))
        return text, caches

    monkeypatch.setattr(loops, "writer", lambda *_: run)
    for rows in (1, 2, 5, 8, 9, 33):
        for length in (1, 20, 140):
            decoding.answers(model, [[1] * length] * rows, 0)
    assert shapes == {(rows, 256, slots) for rows in (1, 8) for slots in (128, 256)}
