"""The encoder-decoder: who sees what, padding that nobody sees, writing, exact matches, and the
pictures of lesson 2.1."""

import numpy as np
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import evaluation, models
from course_utils.backend import keras, tf
from course_utils.datasets import tales
from course_utils.decoding.translation import all_right, translate
from course_utils.evaluation import attribution
from course_utils.experiments import training
from course_utils.lessons.architecture import explorers, today
from course_utils.models import checkpoint
from course_utils.models.seq2seq import EncoderDecoder

rng = np.random.default_rng(3)
SOURCE = rng.integers(1, 30, (3, 7)).astype(np.int32)
TARGET = rng.integers(1, 30, (3, 6)).astype(np.int32)
START, END = 1, 2


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(2)
    small = EncoderDecoder(30, width=16, depth=2, heads=4, context=12, name="small")
    small.build()
    for table, times in (
        (small.embedding.embeddings, 20),
        (small.positions.embeddings, 20),
        (small.head.kernel, 3),
    ):
        table.assign(
            times * table.numpy()
        )  # as far from zero as in a trained model, so that every influence is seen
    return small


def other(tokens, places):
    changed = tokens.copy()
    changed[:, places] = changed[:, places] % 29 + 1
    return changed


def change(one, two):
    return np.abs(np.asarray(one) - np.asarray(two)).max(axis=(0, 2))  # one number a position


# --- who sees what -------------------------------------------------------------------------------


def test_padding_is_not_seen(model):
    padded = np.pad(SOURCE, [(0, 0), (0, 5)])
    np.testing.assert_allclose(model((padded, TARGET)), model((SOURCE, TARGET)), atol=1e-5)
    np.testing.assert_allclose(model.encode(padded)[:, :7], model.encode(SOURCE), atol=1e-5)
    seen = np.where(
        padded == 0, 29, padded
    )  # the same places filled with a word do change the answer
    assert change(model((seen, TARGET)), model((SOURCE, TARGET))).min() > 1e-3
    # and a row's own padding is masked, not that of its neighbours
    mixed = SOURCE.copy()
    mixed[1, 4:] = 0
    np.testing.assert_allclose(model((mixed, TARGET))[0], model((SOURCE, TARGET))[0], atol=1e-5)
    np.testing.assert_allclose(
        model((mixed, TARGET))[1:2], model((SOURCE[1:2, :4], TARGET[1:2])), atol=1e-5
    )


def test_the_encoder_looks_both_ways_and_the_decoder_back_only(model):
    for place in (0, 6):
        assert change(model.encode(SOURCE), model.encode(other(SOURCE, [place]))).min() > 1e-3
    moved = change(model((SOURCE, TARGET)), model((SOURCE, other(TARGET, [4]))))
    assert moved[:4].max() < 1e-5 and moved[4:].min() > 1e-3


def test_every_target_position_reads_every_source_position(model):
    for place in range(7):
        assert change(model((SOURCE, TARGET)), model((other(SOURCE, [place]), TARGET))).min() > 1e-4


def test_attention_with_padding_agrees_with_keras(model):
    layer, x, memory = model.decoder[0].cross, model.embed(TARGET), model.embed(SOURCE)
    visible = np.array([[1] * 7, [1] * 4 + [0] * 3, [1] * 2 + [0] * 5], np.float32)
    theirs = keras.layers.MultiHeadAttention(4, 4, use_bias=False)
    theirs(x, memory)
    names = (layer.query_projection, layer.key_projection, layer.value_projection)
    theirs.set_weights(
        [
            *(p.kernel.numpy().reshape(16, 4, 4) for p in names),
            layer.output_projection.kernel.numpy().reshape(4, 4, 16),
        ]
    )
    wanted = theirs(x, memory, attention_mask=np.repeat(visible[:, None] > 0, 6, axis=1))
    np.testing.assert_allclose(layer(x, memory, tf.constant(visible)), wanted, atol=1e-5)


# --- the model as an object ----------------------------------------------------------------------


def test_parameters_add_up(model):
    d, V, C = 16, 30, 12
    encoder, decoder = 4 * d * d + 8 * d * d + 2 * d, 8 * d * d + 8 * d * d + 3 * d
    assert model.count_params() == 2 * V * d + C * d + 2 * (encoder + decoder) + 2 * d


def test_clone_and_checkpoint(model, tmp_path):
    path = checkpoint.save(tmp_path / "it.safetensors", model, {"seed": 1})
    for twin in (checkpoint.clone(model), checkpoint.load(path)):
        assert type(twin) is EncoderDecoder and twin.config == model.config
        np.testing.assert_array_equal(twin((SOURCE, TARGET)), model((SOURCE, TARGET)))


def test_training_goes_on_from_a_backup_as_if_nothing_had_happened(tmp_path):
    keras.utils.set_random_seed(4)
    uncut = EncoderDecoder(30, width=8, depth=1, heads=2, context=12)
    uncut.build()
    uncut.compile(
        "adam", keras.losses.SparseCategoricalCrossentropy(from_logits=True), run_eagerly=True
    )
    first, second = (((SOURCE, row[:, :-1]), row[:, 1:]) for row in (TARGET, other(TARGET, [2])))
    uncut.train_on_batch(*first)
    uncut.save(tmp_path / "backup.keras")
    again = keras.models.load_model(tmp_path / "backup.keras")
    for one in (uncut, again):
        one.train_on_batch(*second)
    for a, b in zip(uncut.get_weights(), again.get_weights()):
        np.testing.assert_allclose(a, b, atol=1e-6)


# --- writing, and when a translation is right ----------------------------------------------------


def padded(rows):
    width = max(len(row) for row in rows) + 1
    return np.array([[START, *row, *[0] * (width - 1 - len(row))] for row in rows], np.int32)


@pytest.fixture(scope="module")
def written(model):
    """Sources, and what the model writes for them greedily."""
    source = rng.integers(1, 30, (12, 7)).astype(np.int32)
    return source, translate(model, source, START, END)


def test_greedy_writing_takes_the_first_choice_at_every_step(model, written):
    lengths = set()
    for one, row in zip(*written):
        assert row.dtype == np.int32 and (row[-1] == END or len(row) == 12) and END not in row[:-1]
        choices = np.argmax(model((one[None], np.array([[START, *row[:-1]]], np.int32))), axis=-1)[
            0
        ]
        assert choices.tolist() == row.tolist()
        lengths.add(len(row))
    assert (
        len(lengths) > 2 and 12 in lengths
    )  # some rows end by themselves, at different lengths, and some are cut


def test_what_was_written_is_all_right(model, written):
    source, rows = written
    assert all_right(model, source, padded(rows)).all()


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 11), st.integers(0, 11), st.integers(1, 28))
def test_one_token_that_greedy_writing_does_not_choose_makes_a_row_wrong(
    model, written, row, place, shift
):
    source, rows = written
    spoiled = rows[row].copy()
    place %= len(spoiled)
    spoiled[place] = (spoiled[place] + shift - 1) % 29 + 1
    assert not all_right(model, source[row : row + 1], padded([spoiled]))[0]


def test_all_right_does_not_depend_on_the_size_of_its_batches(model, written):
    source, target = written[0], padded(written[1])
    target[::3, 1] = target[::3, 1] % 29 + 1
    wanted = [row % 3 != 0 for row in range(12)]
    assert (
        all_right(model, source, target, 5).tolist()
        == all_right(model, source, target).tolist()
        == wanted
    )


@pytest.mark.parametrize(
    "tokens, message",
    [
        (np.zeros((0, 3), int), r"got int64 of shape \(0, 3\)"),
        (np.zeros((1, 0), int), r"got int64 of shape \(1, 0\)"),
        ([1, 2, 3], r"got int64 of shape \(3,\)"),
        ([[1.5, 2.0]], "got float64"),
        ([[1, 30]], "from 0 to 29, got 30"),
        ([[-1, 2]], "from 0 to 29, got -1"),
        ([[1, 2], [0, 0]], "row 1 is all padding"),
        (np.ones((1, 13), int), "length of source must be a whole number from 1 to 12, got 13"),
    ],
)
def test_wrong_sources_are_named(model, tokens, message):
    for ask in (
        lambda: translate(model, tokens, START, END),
        lambda: all_right(model, tokens, [[START, END]]),
    ):
        with pytest.raises(ValueError, match=message):
            ask()


def test_wrong_targets_are_named(model):
    with pytest.raises(
        ValueError, match="length of target must be a whole number from 1 to 12, got 13"
    ):
        all_right(model, SOURCE, np.ones((3, 14), int))
    with pytest.raises(ValueError, match="target must hold token ids from 0 to 29, got 31"):
        all_right(model, SOURCE, np.full((3, 4), 31))
    with pytest.raises(ValueError, match="as many targets as sources, got 2 for 3"):
        all_right(model, SOURCE, np.ones((2, 4), int))


# --- stories to translate, and the model that was trained on them --------------------------------


def test_pairs_are_stories_and_their_translations():
    source, target = tales.translation_batch("test", 5, 64, step=2)
    assert (
        source.shape == (5, 64)
        and target.shape == (5, 65)
        and source.dtype == target.dtype == np.int32
    )
    for row, index in zip(range(5), range(10, 15)):
        one = tales.story("test", index)
        assert tales.decode(source[row]) == tales.decode(tales.encode(one.english))
        assert tales.decode(target[row]) == tales.decode(
            tales.encode(("<answer>", *one.chinese, "<end>"))
        )
    with pytest.raises(ValueError, match="length must be at least"):
        tales.translation_batch("test", 5, 20)
    with pytest.raises(ValueError, match="unknown split 'tests'"):
        tales.translation_batch("tests", 5)


def test_a_training_batch_pairs_what_is_read_with_what_comes_next():
    (source, read), wanted, weights = training.translations(1, 3)
    assert (
        source.shape
        == read.shape
        == wanted.shape
        == weights.shape
        == (training.ROWS, training.LENGTH // 2)
    )
    np.testing.assert_array_equal(read[:, 1:], wanted[:, :-1])
    assert ((weights > 0) == (wanted != 0)).all() and weights.mean() == pytest.approx(1)
    assert not np.array_equal(source, training.translations(1, 4)[0][0])


@pytest.fixture(scope="module")
def trained():
    return models.load("tales-seq2seq")


def test_the_trained_model_translates(trained):
    assert trained.count_params() == 841_472 and models.record("tales-seq2seq")["curve"]
    source, target = tales.translation_batch("test", 64)
    right = all_right(trained, source, target)
    assert right.mean() >= 0.95  # 99.3% of 1000
    # What it writes is what was counted; and it reads: a name that is changed in the source is
    # changed in the translation.
    start, end = tales.encode("<answer> <end>")
    text = (
        "on a cold night , anna is in the park . anna has a red kite and loves it . anna yawns . "
        "anna smiles . anna nods ."
    )
    told = [tales.encode(text.replace("anna", name)) for name in ("anna", "oscar")]
    mine = np.array([np.pad(one, (0, 64 - len(one))) for one in told])
    *written, anna, oscar = map(
        tales.decode, translate(trained, np.vstack([source[14:16], mine]), start, end)
    )
    assert (
        [one == tales.decode(row[1:]) for one, row in zip(written, target[14:16])]
        == right[14:16].tolist()
        == [True, False]
    )
    assert (
        anna.count("安娜") == oscar.count("奥斯卡") == 5 and anna.replace("安娜", "奥斯卡") == oscar
    )


# --- the lesson's pictures -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def decoder():
    return small.decoder(30, depth=2, heads=4, context=12, seed=5)


def test_the_pass_by_hand_is_the_model_and_every_part_counts(decoder):
    np.testing.assert_allclose(attribution.forward(decoder, SOURCE), decoder(SOURCE), atol=1e-6)
    for part in attribution.PARTS:
        assert (
            np.abs(attribution.forward(decoder, SOURCE, [part]) - decoder(SOURCE)).max() > 1e-3
        ), part
    with pytest.raises(ValueError, match="unknown part 'head'"):
        attribution.forward(decoder, SOURCE, ["head"])


def test_maps_are_the_weights_the_layers_use(decoder, model):
    maps = attribution.self_attention(decoder, SOURCE[0])
    assert (
        maps.shape == (2, 4, 7, 7)
        and np.allclose(maps.sum(-1), 1)
        and np.triu(maps, 1).max() < 1e-9
    )
    layer, x = (
        decoder.blocks[0].attention,
        decoder.blocks[0].attention_norm(
            decoder.embedding(SOURCE[:1]) + decoder.positions(np.arange(7))
        ),
    )
    mixed = (
        maps[0] @ np.asarray(layer.split(layer.value_projection(x)))[0]
    )  # (heads, time, head_size)
    out = mixed.transpose(1, 0, 2).reshape(7, 16) @ layer.output_projection.kernel.numpy()
    np.testing.assert_allclose(out, layer(x)[0], atol=1e-5)

    cross = attribution.cross_attention(model, [*SOURCE[0], 0, 0], TARGET[0])
    assert (
        cross.shape == (2, 4, 6, 9)
        and np.allclose(cross.sum(-1), 1)
        and cross[..., 7:].max() < 1e-6
    )


def test_a_look_counts_what_it_says():
    weights = np.array([[1, 0, 0, 0], [0.5, 0.5, 0, 0], [0.2, 0.6, 0.2, 0], [0.1, 0.2, 0.3, 0.4]])
    look = explorers.Look(weights, tuple("abcd"), tuple("abcd"), "it")
    assert look.previous == pytest.approx((0.5 + 0.6 + 0.3) / 3) and look.itself == pytest.approx(
        (0.5 + 0.2 + 0.4) / 3
    )
    assert look.first == pytest.approx(0.15) and look.choices.tolist() == [0, 0, 1, 3]
    assert explorers.Look(np.full((3, 4), 0.25), (), (), "").spread == pytest.approx(4)
    assert explorers.Look(np.eye(4), (), (), "").spread == pytest.approx(1)


def test_a_silenced_head_takes_no_part_and_comes_back(decoder):
    before = decoder.get_weights()
    tokens = rng.integers(0, 30, (4, 12)).astype(np.int32)
    found = attribution.perplexity_without_heads(decoder, tokens)
    assert found.shape == (2, 4) and len(set(found.round(6).ravel().tolist())) == 8
    for weight, kept in zip(decoder.get_weights(), before):
        np.testing.assert_array_equal(weight, kept)


def test_a_head_that_gives_its_mean_costs_nothing_where_it_says_the_same_to_all(decoder):
    tokens = rng.integers(0, 30, (4, 12)).astype(np.int32)
    typical = attribution.typical_heads(decoder, tokens[:, :-1])
    assert typical.shape == (2, 4, 4)
    by_hand = attribution.forward_with(decoder, tokens, lambda number, mixed: mixed)
    np.testing.assert_allclose(by_hand, decoder(tokens), atol=1e-5)

    layer = decoder.blocks[0].attention
    x = decoder.embedding(tokens[:, :-1]) + decoder.positions(np.arange(11))
    mixed = layer.attend(
        *layer.projected(decoder.blocks[0].attention_norm(x)), np.tri(11, dtype=np.float32)
    )
    np.testing.assert_allclose(typical[0].ravel(), np.mean(mixed, (0, 1)), atol=1e-6)

    found = attribution.perplexity_with_typical_heads(decoder, tokens, typical)
    silent = attribution.perplexity_with_typical_heads(decoder, tokens, 0 * typical)
    np.testing.assert_allclose(
        silent, attribution.perplexity_without_heads(decoder, tokens), rtol=1e-4
    )
    assert found.shape == (2, 4) and np.abs(found - silent).min() > 1e-6

    constant = checkpoint.clone(decoder)  # a head whose values are zero gives zero to everybody
    kernel = constant.blocks[0].attention.value_projection.kernel
    kernel.assign(np.concatenate([np.zeros((16, 4)), np.asarray(kernel)[:, 4:]], axis=1))
    still = attribution.typical_heads(constant, tokens[:, :-1])
    costs = attribution.perplexity_with_typical_heads(constant, tokens, still)
    assert costs[0, 0] == pytest.approx(evaluation.next_token(constant, tokens).perplexity)


# --- the decoder of today ------------------------------------------------------------------------


def test_rotated_scores_know_the_distance_alone():
    q, k = rng.normal(size=(2, 1, 8))
    scores = [
        float(today.rotated(q, np.array([at + away]))[0] @ today.rotated(k, np.array([at]))[0])
        for away in (0, 3)
        for at in (0, 5, 100_000)
    ]
    np.testing.assert_allclose(scores[:3], scores[0], atol=1e-6)
    np.testing.assert_allclose(scores[3:], scores[3], atol=1e-6)
    assert abs(scores[0] - scores[3]) > 1e-3 and scores[0] == pytest.approx(float(q[0] @ k[0]))
    vectors = rng.normal(size=(2, 5, 8))
    turned = today.rotated(vectors, np.arange(5))
    np.testing.assert_allclose(np.linalg.norm(turned, axis=-1), np.linalg.norm(vectors, axis=-1))
    half = today.rotated(np.eye(2)[:1], np.array([1]))
    np.testing.assert_allclose(half[0], [np.cos(1), np.sin(1)])


def test_a_gate_lets_through_what_it_opens_for():
    x, gate, up, down = (rng.normal(size=shape) for shape in ((3, 4), (4, 6), (4, 6), (6, 4)))
    shut = today.swiglu(x, 0 * gate, up, down)
    np.testing.assert_allclose(shut, 0)
    opened = np.asarray(keras.activations.silu((x @ gate).astype(np.float32)))
    np.testing.assert_allclose(
        today.swiglu(x, gate, up, down), (opened * (x @ up)) @ down, rtol=1e-5, atol=1e-5
    )


def test_published_sizes_are_counted():
    mixtral = dict(vocabulary=32000, width=4096, depth=32, heads=32, head_size=128, kv_heads=8)
    there, passed, cache = today.parameters(**mixtral, hidden=14336, experts=8, used=2)
    assert (round(there / 1e9, 1), round(passed / 1e9, 1)) == (46.7, 12.9)  # Jiang et al., 2024
    llama = dict(vocabulary=32000, width=4096, depth=32, heads=32, head_size=128, kv_heads=32)
    assert today.parameters(**llama, hidden=11008)[:2] == (6_738_415_616, 6_738_415_616)
    assert today.parameters(**llama, hidden=11008)[2] == 4 * cache
