"""The models before the Transformer: each against its definition, and against the weaker method it
could be mistaken for."""

import collections
import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import compression, evaluation, models
from course_utils.backend import keras, tf
from course_utils.chart import Line
from course_utils.datasets import docs
from course_utils.decoding.classic import reader, write
from course_utils.experiments import training
from course_utils.lessons.background import experiments, explorers
from course_utils.models import checkpoint, classic

TEXT = docs.tokens("validation")[:60_000]
HELD_OUT = docs.tokens("validation")[100_000 : 100_000 + 12 * 129].reshape(12, 129)


def probabilities(model, tokens):
    return np.exp(np.asarray(model(np.atleast_2d(tokens)), np.float64))


# --- n-grams -------------------------------------------------------------------------------------


def by_definition(text, order, vocabulary, D, history, token, continuation=True):
    """Interpolated Kneser-Ney as Chen and Goodman write it; without `continuation`, absolute
    discounting."""
    if order == 0:
        return 1 / vocabulary
    context = tuple(history[len(history) - order + 1 :])
    longest = order == len(history) + 1
    grams = [tuple(text[i : i + order]) for i in range(len(text) - order + 1)]
    if not longest and continuation:  # one for each different token before
        grams = [
            gram[1:] for gram in {tuple(text[i : i + order + 1]) for i in range(len(text) - order)}
        ]
        first = tuple(text[:order])  # has no token before it anywhere, perhaps
        grams += [first] if first not in grams else []
    followers = collections.Counter(gram[-1] for gram in grams if gram[:-1] == context)
    shorter = by_definition(text, order - 1, vocabulary, D, history, token, continuation)
    if not followers:
        return shorter
    total = sum(followers.values())
    return max(followers[token] - D, 0) / total + D * len(followers) / total * shorter


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_kneser_ney_is_the_formula(order):
    rng = np.random.default_rng(order)
    text = rng.choice(5, size=120, p=[0.4, 0.3, 0.15, 0.1, 0.05])
    model = classic.kneser_ney(classic.count(text, order, 6), 6, discount=0.7)
    for _ in range(12):
        history = rng.integers(0, 6, order - 1) if order > 1 else np.array([], int)
        p = probabilities(model, history if order > 1 else [0])[0, -1]
        for token in range(6):  # token 5 never occurs
            assert p[token] == pytest.approx(
                by_definition(text, order, 6, 0.7, history.tolist(), token), rel=1e-5
            )


@settings(max_examples=10, deadline=None)
@given(
    st.integers(0, 999),
    st.integers(1, 5),
    st.sampled_from([None, 0.2, 1.0]),
    st.sampled_from([None, 60, 120]),
)
def test_probabilities_sum_to_one(seed, order, discount, numbers):
    text = np.random.default_rng(seed).integers(0, 7, 200)
    model = classic.kneser_ney(classic.count(text, order, 8), 8, discount, numbers)
    np.testing.assert_allclose(probabilities(model, text[:30]).sum(-1), 1, atol=1e-5)
    assert numbers is None or model.count_params() <= numbers


def loss_of(p_of_token):
    return -np.mean(
        np.log([p_of_token(row[i - 2 : i], row[i]) for row in HELD_OUT for i in range(2, 129)])
    )


@pytest.mark.parametrize("discount", (0.0, 0.4, 1.0))
def test_dictionaries_and_sorted_arrays_agree(discount):
    text = np.random.default_rng(0).integers(0, 6, 80).tolist() + [7, 8]
    fast = classic.kneser_ney(classic.count(text, 2, 9), 9, discount)
    for before in range(9):  # 6 never came, and 8 stands last: nothing followed
        by_hand = classic.bigram(text, before, 9, discount)
        np.testing.assert_allclose(by_hand, np.exp(fast(np.array([[before]])))[0, -1], atol=1e-6)


def test_kneser_ney_beats_its_weaker_relatives_on_text_it_has_not_seen():
    counts = [
        collections.Counter(map(tuple, np.lib.stride_tricks.sliding_window_view(TEXT, n).tolist()))
        for n in (1, 2, 3)
    ]
    totals, kinds = collections.Counter(), collections.Counter()
    for n in (1, 2, 3):
        for gram, number in counts[n - 1].items():
            totals[gram[:-1]] += number
            kinds[gram[:-1]] += 1

    def add_one(history, token):
        context = tuple(history)
        return (counts[2][(*context, token)] + 1) / (totals[context] + 512)

    def backoff(
        history, token
    ):  # the longest context that has seen the token, and no discount for it
        for n in (3, 2, 1):
            gram = (*history[3 - n :], token)
            if counts[n - 1][gram]:
                return 0.4 ** (3 - n) * counts[n - 1][gram] / totals[gram[:-1]]
        return 1e-6

    def discounted(history, token, n=3):  # the same discount, but shorter contexts count how often
        if n == 0:
            return 1 / 512
        context = tuple(history[3 - n :])
        shorter = discounted(history, token, n - 1)
        if not totals[context]:
            return shorter
        return (
            max(counts[n - 1][(*context, token)] - 0.75, 0) + 0.75 * kinds[context] * shorter
        ) / totals[context]

    ours = classic.kneser_ney(classic.count(TEXT, 3, 512), 512, 0.75)
    p = probabilities(ours, HELD_OUT[:, :-1])
    loss = -np.mean(np.log(np.take_along_axis(p, HELD_OUT[:, 1:, None], -1)[:, 1:]))
    weaker = {
        "add one": loss_of(add_one),
        "backoff": loss_of(backoff),
        "absolute discounting": loss_of(discounted),
    }
    assert {
        name: round(other - loss, 3) for name, other in weaker.items() if other < loss + 0.005
    } == {}
    estimated = evaluation.next_token(
        classic.kneser_ney(classic.count(TEXT, 3, 512), 512), HELD_OUT
    ).loss
    assert (
        estimated
        < evaluation.next_token(
            classic.kneser_ney(classic.count(TEXT, 3, 512), 512, 0.1), HELD_OUT
        ).loss
    )


def test_a_budget_keeps_what_is_worth_most():
    counted = classic.count(TEXT, 4, 512)
    losses = [
        evaluation.next_token(classic.kneser_ney(counted, 512, numbers=n), HELD_OUT).loss
        for n in (3_000, 20_000, 80_000)
    ]
    assert losses[0] > losses[1] + 0.1 and losses[1] > losses[2] + 0.1
    kept, entries = classic.ngram.choose(counted, 512, 20_000), 0
    entries = sum(mask.sum() for mask in kept)
    ranked = np.sort(np.concatenate([counts for _, counts in counted]))[::-1]
    frequent = [
        counts >= ranked[entries] for _, counts in counted
    ]  # at least as many, chosen by count alone
    frequent[0][:] = True

    def chosen(masks):
        return sum(
            np.sum(gain[mask])
            for gain, mask in zip(classic.ngram.gains(counted, 512)[1:], masks[1:])
        )

    assert chosen(kept) > 1.05 * chosen(frequent)


def test_an_ngram_sees_its_context_and_no_further():
    model, row = classic.kneser_ney(classic.count(TEXT, 3, 512), 512), TEXT[None, :40]
    p = probabilities(model, row)
    far, near = row.copy(), row.copy()
    far[0, 10], near[0, 38] = (far[0, 10] + 1) % 512, (near[0, 38] + 1) % 512
    np.testing.assert_array_equal(probabilities(model, far)[0, 12:], p[0, 12:])
    assert np.abs(probabilities(model, near)[0, -1] - p[0, -1]).max() > 1e-3


def test_orders_are_checked():
    for order in (0, 8, 2.5):
        with pytest.raises(ValueError, match="order must be a whole number from 1 to 7"):
            classic.count(TEXT, order, 512)
    with pytest.raises(ValueError, match="discount must be between 0 and 1, got 1.5"):
        classic.kneser_ney(classic.count(TEXT[:100], 2, 512), 512, discount=1.5)


def test_whole_numbers_survive_a_checkpoint(tmp_path):
    model = classic.kneser_ney(classic.count(TEXT, 3, 512), 512)
    other = checkpoint.load(checkpoint.save(tmp_path / "it.safetensors", model, {}))
    assert other.contexts.dtype == "int32" and int(np.max(other.entries)) > 2**22
    np.testing.assert_array_equal(np.asarray(other(HELD_OUT)), np.asarray(model(HELD_OUT)))


# --- the hidden Markov model ---------------------------------------------------------------------


def hmm(states=2, vocabulary=3, seed=0):
    keras.utils.set_random_seed(seed)
    model = classic.HMM(vocabulary, states, name="small")
    model.build()
    for i, table in enumerate(model.weights):
        table.assign(np.random.default_rng([seed, i]).normal(0, 1, table.shape))
    return model


def enumerated(model, tokens):
    """Joint probability of a text with each sequence of states, by multiplying it out."""
    start, moves, says = (table.numpy().astype(float) for table in model.tables())
    found = {}
    for states in itertools.product(range(len(start)), repeat=len(tokens)):
        p = start[states[0]] * says[states[0], tokens[0]]
        for before, state, token in zip(states, states[1:], tokens[1:]):
            p *= moves[before, state] * says[state, token]
        found[states] = p
    return found


def test_forward_equals_the_sum_over_all_paths():
    model, tokens = hmm(), np.array([[0, 2, 1, 1, 0], [2, 2, 0, 1, 2]])
    _, likely = classic.forward(*model.tables(), tokens)
    for row in (0, 1):
        assert float(tf.reduce_sum(likely[row])) == pytest.approx(
            np.log(sum(enumerated(model, tokens[row]).values())), rel=1e-5
        )
        p = probabilities(model, tokens[row])[0]
        for time in range(4):
            here = [
                sum(enumerated(model, [*tokens[row, : time + 1], token]).values())
                for token in range(3)
            ]
            np.testing.assert_allclose(p[time], np.array(here) / np.sum(here), rtol=1e-4)


def test_one_step_of_baum_welch_takes_the_expected_shares():
    model, tokens = hmm(), np.array([[0, 2, 1, 1, 0]])
    paths = enumerated(model, tokens[0])
    whole, moves, says = sum(paths.values()), np.zeros((2, 2)), np.zeros((2, 3))
    for states, p in paths.items():
        for before, state in zip(states, states[1:]):
            moves[before, state] += p / whole
        for state, token in zip(states, tokens[0]):
            says[state, token] += p / whole
    classic.baum_welch(model, tokens)
    for table, counts in zip(model.tables()[1:], (moves, says)):
        np.testing.assert_allclose(table, counts / counts.sum(1, keepdims=True), atol=1e-4)


def test_baum_welch_never_makes_it_worse_and_learns():
    model, tokens = hmm(states=6, vocabulary=512, seed=1), HELD_OUT[:6, :30]
    seen = [classic.baum_welch(model, tokens) for _ in range(12)]
    assert np.diff(seen).min() > -1e-5 and seen[-1] > seen[0] + 1
    shares = np.bincount(tokens.ravel(), minlength=512) / tokens.size
    assert seen[-1] > np.mean(np.log(shares[tokens]))  # better than one state could be


def test_a_bigram_of_classes_is_a_hidden_markov_model(monkeypatch):
    """With as many classes as tokens it is the bigram; with fewer, alike tokens share a class."""
    monkeypatch.setattr(classic.hmm, "SOFT", 1e-9)
    text = np.random.default_rng(0).permuted(np.tile(np.arange(6), (50, 1)), axis=1).ravel()
    start, moves, says = classic.class_bigram(text, 6, 6)
    state = says.argmax(0)  # which state says a token
    pairs = np.zeros((6, 6))
    np.add.at(pairs, (text[:-1], text[1:]), 1)
    wanted = pairs / pairs.sum(1, keepdims=True)
    np.testing.assert_allclose((moves @ says)[state], wanted, atol=0.03)

    cycle = np.tile(np.arange(6), 50)
    alike = np.where(np.random.default_rng(1).random(len(cycle)) < 0.4, cycle + 6, cycle)
    start, moves, says = classic.class_bigram(alike, 6, 12)
    assert (says.argmax(0)[6:] == says.argmax(0)[:6]).all()  # 6 is met where 0 is, and so on
    for table in (start, moves, says):
        np.testing.assert_allclose(table.sum(-1), 1)


def test_a_long_text_does_not_underflow():
    out = hmm(states=3, vocabulary=512)(TEXT[None, :600])
    assert np.isfinite(out).all() and np.exp(out[0, -1]).sum() == pytest.approx(1, abs=1e-4)


# --- the LSTM ------------------------------------------------------------------------------------


def test_the_lstm_is_keras_lstm():
    keras.utils.set_random_seed(3)
    ours, theirs = classic.LSTM(6), keras.layers.LSTM(6, return_sequences=True)
    x = np.random.default_rng(0).normal(size=(3, 9, 4)).astype(np.float32)
    ours(x), theirs(x)
    theirs.set_weights([ours.gates.kernel, ours.recall.kernel, ours.gates.bias])
    np.testing.assert_allclose(ours(x), theirs(x), atol=1e-6)
    np.testing.assert_array_equal(ours.gates.bias, [0] * 6 + [1] * 6 + [0] * 12)


def test_the_lstm_sees_all_of_the_past_and_nothing_of_the_future():
    model = models.load("docs-lstm")
    tokens, changed = HELD_OUT[:2, :12], HELD_OUT[:2, :12].copy()
    changed[:, 5] = (changed[:, 5] + 7) % 512
    moved = np.abs(np.asarray(model(tokens)) - np.asarray(model(changed))).max(-1)
    assert moved[:, :5].max() < 1e-5 and moved[:, 5:].min() > 1e-4


# --- rules ---------------------------------------------------------------------------------------


def test_the_longest_rule_decides_and_nothing_is_impossible():
    pieces = docs.tokenizer()
    model = classic.Rules(pieces, 0.9, rules="of | ␣the\nshape of | ␣an array", lexicon="optional")

    def after(text):
        p = probabilities(model, pieces.encode(text).ids)[0, -1]
        assert p.sum() == pytest.approx(1, abs=1e-5) and p.min() > 0
        return pieces.decode([int(p.argmax())]), p.max()

    assert (
        after("kind of")[0] == " the"
        and after("the shape of")[0] == " an"
        and after("the shape of an")[0] == " array"
    )
    assert after("an o")[0] == "ptional" and after("an o")[1] > 0.9
    assert after("zzz")[1] < 0.1


def test_rules_help_a_little():
    trusted, by_eye = (
        evaluation.next_token(classic.Rules(docs.tokenizer(), trust), HELD_OUT).perplexity
        for trust in (0.5, 0.0)
    )
    assert trusted < 0.8 * by_eye < by_eye < 512


# --- what is shipped -----------------------------------------------------------------------------


def test_shipped_models_stand_in_the_order_of_their_time():
    tokens = docs.sequences("validation", 64)
    names = ("docs-hmm", "docs-ngram", "docs-lstm", "docs-tiny")
    losses = {name: evaluation.next_token(models.load(name), tokens).loss for name in names}
    assert (
        losses["docs-hmm"] > losses["docs-lstm"] + 0.5 and losses["docs-lstm"] > losses["docs-tiny"]
    )
    assert (
        losses["docs-hmm"] > losses["docs-ngram"] + 0.3
        and losses["docs-ngram"] > losses["docs-tiny"] + 0.05
    )
    sizes = {name: models.load(name).count_params() for name in losses}
    assert all(abs(size / sizes["docs-tiny"] - 1) < 0.005 for size in sizes.values()), sizes


@pytest.mark.parametrize("name", ["docs-ngram", "docs-hmm", "docs-lstm"])
def test_shipped_models_have_a_record_and_can_be_compressed_or_say_why_not(name):
    model, record = models.load(name), models.record(name)
    assert record["command"] == f"python3 -m course_utils train {name}" and record["curve"]
    matrices = [weight.name for weight in compression.weights(model) if not weight.skipped_because]
    assert len(matrices) == (4 if name == "docs-lstm" else 0)


def test_counting_keeps_a_record_of_every_size(monkeypatch):
    monkeypatch.setattr(training.docs, "tokens", lambda split: TEXT[:20_000])
    monkeypatch.setattr(training.docs, "sequences", lambda split, count: HELD_OUT)
    monkeypatch.setitem(
        training.COUNTED, "docs-ngram", {"text": "docs", "order": 2, "numbers": 5000}
    )
    model, record = training.count_ngrams("docs-ngram", None)
    assert model.count_params() <= 5000 and record["train_tokens"] == 20_000
    assert [row["order"] for row in record["curve"]] == [1, 2, 2, 2, 2, 2, 2]
    assert record["curve"][0]["test_loss"] > record["curve"][-2]["test_loss"]


# --- reading, writing, and what the lesson measures ----------------------------------------------


@pytest.mark.parametrize("name", ["docs-ngram", "docs-lstm"])
def test_a_reader_gives_the_last_prediction(name):
    model = models.load(name)
    read = reader(model)
    for tokens in (HELD_OUT[:2, :3], HELD_OUT[:3, :20]):
        np.testing.assert_allclose(
            read(tf.constant(tokens)), tf.nn.log_softmax(model(tokens)[:, -1]), atol=1e-4
        )


def test_writing_is_decided_by_its_seed():
    model, prompt = classic.kneser_ney(classic.count(TEXT, 3, 512), 512), TEXT[:5].tolist()
    one, same, other = (write(model, prompt, 12, seed=seed) for seed in (1, 1, 2))
    assert one == same != other and len(one) == 12
    sure = write(model, prompt, 6, temperature=0.01)
    tokens = list(prompt)
    for token in sure:
        assert token == int(np.argmax(model(np.array([tokens]))[0, -1]))
        tokens.append(token)


def test_bracket_pairs_differ_in_one_bracket_at_the_distance_said():
    pieces = experiments.texts_of_tokens()
    for (low, high), pairs in experiments.bracket_pairs("validation", most=5).items():
        for round_one, square_one in pairs:
            (place,) = np.flatnonzero(round_one != square_one)
            assert low <= len(round_one) - place <= high
            assert (
                pieces[round_one[place]].strip() == "(" and pieces[square_one[place]].strip() == "["
            )
            assert not any(set(pieces[token]) & set("()[]{}") for token in round_one[place + 1 :])


def test_who_sees_no_bracket_gets_one_half_and_who_sees_it_all():
    pairs, pieces = (
        experiments.bracket_pairs("validation", most=20)[9, 16],
        experiments.texts_of_tokens(),
    )
    said = np.random.default_rng(0).normal(size=512).astype(np.float32)

    def blind(tokens):
        return tf.nn.log_softmax(tf.tile(said[None], (len(tokens), 1)))

    def sees(tokens):
        last = [
            "".join(pieces[i] for i in row if set(pieces[i]) & set("()[]{}"))[-1]
            for row in tokens.numpy()
        ]
        return tf.nn.log_softmax(
            [[9.0 * (piece[:1] == {"(": ")", "[": "]"}[one]) for piece in pieces] for one in last]
        )

    assert set(experiments.prefers_right(blind, pairs)) == {0.5} and set(
        experiments.prefers_right(sees, pairs)
    ) == {1}


def test_a_block_less_is_a_prediction_worse():
    model, tokens = models.load("docs-tiny"), HELD_OUT[:4]
    found = experiments.read_out(model, tokens)
    assert found[-1] == pytest.approx(evaluation.next_token(model, tokens).perplexity, rel=1e-3)
    assert found[0] > found[1] > found[2]


def test_a_model_has_one_colour_in_every_chart_of_the_lesson():
    colours = {name: colour for name, (colour, _) in explorers.LOOKS.items()}
    assert len(set(colours.values())) == len(colours)
    names = ("HMM", "Transformer", "larger Transformer")
    tables = [{"order": n, "numbers": 10**n, "test_loss": 5 - n} for n in (1, 2, 3)]
    charts = (
        explorers.bracket_chart({name: [0.5, *[0.9] * 5] for name in names}, [48] * 6),
        explorers.size_chart(tables, {name: (1000, 10.0) for name in names}),
        explorers.growth_chart({name: (1000, 2.0, (1.9, 2.1)) for name in names}),
    )
    for chart in charts:
        drawn = {
            mark.label: mark.color for mark in chart.marks if getattr(mark, "label", "") in names
        }
        assert drawn == {name: colours[name] for name in names}
    bars = [mark for mark in charts[0].marks if isinstance(mark, Line) and len(mark.x) == 2]
    assert len(bars) == 5 * len(names)  # none where a model answers the same both times
