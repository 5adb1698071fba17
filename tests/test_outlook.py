"""Lesson 6.4: early exits, explanations, and finding in a picture what was said."""

import numpy as np
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score
from small import odd

from course_utils import models
from course_utils.backend import tf
from course_utils.compression import Quantize, compress
from course_utils.datasets import digits
from course_utils.decoding import exits
from course_utils.decoding.budget import LOOK, Variant
from course_utils.evaluation import explaining, retrieval
from course_utils.experiments.pair_training import contrast
from course_utils.lessons.outlook import crossing, explorers
from course_utils.models import pairs
from course_utils.models.compiled import compiled
from course_utils.models.speech import SAMPLES, LogMel
from course_utils.quantization import absmax

RNG = np.random.default_rng(0)
TOKENS = RNG.integers(0, 24, (3, 12)).astype(np.int32)


# --- early exit ----------------------------------------------------------------------------------


def test_the_lens_ends_in_what_the_model_says():
    model = odd()
    said = exits.lens(model, TOKENS, exits.untrained(model)).numpy()
    assert said.shape == (2, 3, 12, 24)
    assert np.allclose(said[-1], tf.nn.log_softmax(model(TOKENS)), atol=1e-4)
    first = model.head(
        model.norm(model.blocks[0](model.embedding(TOKENS) + model.positions(np.arange(12))))
    )
    assert np.allclose(said[0], tf.nn.log_softmax(first), atol=1e-4)


def test_fitted_maps_bring_states_nearer_and_leave_the_last_as_it_is():
    model = odd()
    many = RNG.integers(0, 24, (40, 16)).astype(np.int32)
    plain, fitted = exits.untrained(model), exits.fitted(model, many)
    assert np.array_equal(fitted[-1], plain[-1])
    other = RNG.integers(0, 24, (8, 16)).astype(np.int32)
    seen = exits.states(model, other).numpy()
    apart = [np.square(seen[0] @ maps[0] - seen[-1]).mean() for maps in (plain, fitted)]
    assert apart[1] < 0.7 * apart[0]


def test_a_token_leaves_at_the_first_block_that_is_sure():
    confidence = np.array([[0.9, 0.2, 0.2, 0.8], [0.1, 0.9, 0.3, 0.9], [0.95, 0.95, 0.4, 0.1]])
    assert exits.leave(confidence, 0.8).tolist() == [0, 1, 2, 0]
    assert exits.leave(confidence, 0.0).tolist() == [0, 0, 0, 0]
    assert exits.leave(confidence, 1.1).tolist() == [2, 2, 2, 2]


def test_reading_with_exits_is_the_whole_model_where_nobody_leaves():
    model, text = odd(), TOKENS[:1]
    maps, caches = tf.constant(exits.untrained(model)), model.empty_caches(1, 12)
    run = compiled(model, exits.read_with_exits)
    whole, taken = run(text, caches, maps, tf.constant(1.1))
    plain, _ = compiled(model, exits.read_through)(text, caches)
    assert np.allclose(whole, plain, atol=1e-4) and set(taken.numpy()) == {2}
    early, taken = run(text, caches, maps, tf.constant(0.0))
    assert set(taken.numpy()) == {1} and not np.allclose(early, plain, atol=1e-2)
    said = exits.lens(model, text[:, :-1], exits.untrained(model)).numpy()[0, 0]
    wanted = -said[np.arange(11), text[0, 1:]]  # the first block never looks at a skipped one
    assert np.allclose(early, wanted, atol=1e-4)
    _, mixed = run(text, caches, maps, tf.constant(np.float32(np.median(np.exp(said.max(-1))))))
    assert set(mixed.numpy()) == {1, 2}


def test_multiplications_count_blocks_heads_and_what_skipped_blocks_still_need():
    model = odd()  # width 32, an MLP of 128, 24 tokens, 2 blocks
    block, head, keys = 4 * 32 * 32 + 2 * 32 * 128, 32 * 24, 2 * 32 * 32
    assert exits.multiplications(model, None) == 2 * block + head
    assert exits.multiplications(model, 1) == block + head + keys
    assert exits.multiplications(model, 2) == 2 * (block + head)


def test_exits_beat_a_fixed_depth_and_dice():
    """Half of the tokens are easy already after the first block: who looks finds them."""

    found = explorers.Exits.__new__(explorers.Exits)
    easy = np.arange(100) < 50
    confidence = np.array([np.where(easy, 0.99, 0.2), np.full(100, 0.9)])
    losses = np.array([np.where(easy, 0.1, 5.0), np.where(easy, 0.1, 0.5)])
    found.seen, found.work = {"fitted": [confidence, losses, losses < 1]}, [10, 6, 12]
    seen = found.at(0.9, "fitted")
    assert seen.mean == 1.5 and np.isclose(seen.loss, 0.3) and seen.accuracy == 1
    assert np.isclose(seen.fixed, seen.shuffled) and np.isclose(seen.fixed, (2.55 + 0.3) / 2)
    assert np.isclose(seen.work, 0.9)


# --- in time -------------------------------------------------------------------------------------


def test_a_budget_is_in_time_more_often_than_the_best_and_better_than_the_fastest():
    variants = [
        Variant("good", odd(context=96), 1.0),
        Variant("quick", odd(width=16, context=96), 2.0),
    ]
    calm = {"good": np.full(4, 0.001 * LOOK), "quick": np.full(4, 0.0002 * LOOK)}
    loaded = {name: 4 * times for name, times in calm.items()}
    found = explorers.Rehearsal(variants, calm, loaded, 40).at(1.5 * explorers.ANSWER, 0.5)
    assert 0 < found.busy < 1
    assert found.share("good") == 1 - found.busy and found.share("quick") == 1
    assert found.share("budget") > found.share("good")
    assert found.perplexity["good"] < found.perplexity["budget"] < found.perplexity["quick"]
    rehearsal = explorers.Rehearsal(variants, calm, loaded, 40)
    for busy in np.arange(11) / 10:  # what the slider says is what happens
        assert np.isclose(rehearsal.at(1.5 * explorers.ANSWER, busy).busy, busy)
    calmer = rehearsal.at(1.5 * explorers.ANSWER, 0.0)
    assert calmer.share("good") == 1 and np.isclose(calmer.perplexity["budget"], np.e)


# --- explaining ----------------------------------------------------------------------------------


def test_divergence_is_that_of_the_textbook_and_has_a_direction():
    before, after = np.log(RNG.dirichlet(np.ones(6), (2, 5)))
    assert np.allclose(explaining.divergence(before, before), 0)
    assert np.allclose(
        explaining.divergence(before, after), stats.entropy(np.exp(before), np.exp(after), axis=-1)
    )
    back = explaining.divergence(after, before)
    assert not np.allclose(explaining.divergence(before, after), back)


def test_auc_is_scikit_learns():
    scores, found = RNG.integers(0, 9, 200), RNG.random(200) < 0.3  # with ties
    assert np.isclose(explaining.auc(scores, found), roc_auc_score(found, scores))
    assert np.isnan(explaining.auc(scores, np.zeros(200, bool)))


def test_margins_and_rank_correlation():
    assert np.allclose(explaining.margins(np.array([[1.0, 5.0, 3.0], [2.0, 2.0, 0.0]])), [2, 0])
    first, second = RNG.normal(size=(2, 3, 20))
    wanted = [stats.spearmanr(a, b).statistic for a, b in zip(first, second)]
    assert np.allclose(explaining.rank_correlation(first, second), wanted)
    assert np.allclose(explaining.rank_correlation(first, np.exp(first)), 1)


def test_integrated_gradients_are_complete_and_slopes_are_not():
    model, (scans, labels) = models.load("digits-cnn"), digits.load("validation")
    scans, labels = scans[:20], labels[:20]
    found = explaining.integrated_gradients(model, scans, labels, 64)
    ends = [np.asarray(model(each)) for each in (scans, np.zeros((1, 64), np.float32))]
    gain = (ends[0] - ends[1])[np.arange(20), labels]
    assert np.abs(found.sum(1) - gain).max() < 0.02 * np.abs(gain).max()
    slopes = explaining.integrated_gradients(model, scans, labels, 1)  # one place on the way
    assert np.abs(slopes.sum(1) - gain).max() > 0.05 * np.abs(gain).max()
    assert np.all(found[scans == 0] == 0)  # who is not there has no share


def test_explanations_are_of_the_model_and_survive_eight_bits():
    """The control of Adebayo et al.: another model, another explanation."""
    model, scans = models.load("digits-cnn"), digits.load("validation")[0][:30]
    classes = np.asarray(model(scans)).argmax(1)
    other = explaining.randomised(model)
    for mine, theirs in zip(model.get_weights(), other.get_weights()):
        assert np.array_equal(np.sort(mine.ravel()), np.sort(theirs.ravel()))
    rounded = compress(model, [Quantize(absmax, bits=8, group_size=32)]).model
    found = [
        explaining.integrated_gradients(each, scans, classes) for each in (model, rounded, other)
    ]
    alike, control = (explaining.rank_correlation(found[0], each).mean() for each in found[1:])
    assert alike > 0.98 and control < 0.6


def test_a_tree_mimics_what_is_simple():
    scans = digits.load("train")[0]

    def simple(each):
        return np.stack([each[:, 20], 0.5 + 0 * each[:, 0]], axis=1)

    def noise(each):
        return np.random.default_rng(0).random((len(each), 2))

    others = digits.load("validation")[0]
    assert explaining.mimicked(simple, scans, others) == 1
    assert explaining.mimicked(noise, scans, others) < 0.7


# --- finding -------------------------------------------------------------------------------------


def test_a_pair_with_ears_is_the_one_that_looked_at_pictures():
    options = {"size": 8, "widths": (4, 6), "heard": (3, 4, 5), "last": 6}
    seen = pairs.scans_and_pictures(**options)
    seen.set_weights([RNG.uniform(0.1, 0.6, w.shape) for w in seen.get_weights()])
    scans, clips = RNG.random((3, 64)), RNG.normal(0, 0.1, (3, SAMPLES)).astype(np.float32)
    whole = pairs.with_ears(seen, options)
    vectors = whole([scans, clips])
    assert [one.shape for one in vectors] == [(3, 8), (3, 8)]
    assert all(np.allclose(np.linalg.norm(one, axis=1), 1, atol=1e-5) for one in vectors)
    for mine, theirs in zip(vectors, seen([scans, np.asarray(LogMel()(clips))])):
        assert np.allclose(mine, theirs, atol=1e-5)
    for encoder, given, mine in zip(pairs.encoders(whole), (scans, clips), vectors):
        assert np.allclose(encoder(given), mine, atol=1e-5)


def test_contrast_asks_which_belong_together():
    vectors = np.eye(10, 12, dtype=np.float32)
    two = np.concatenate([vectors, vectors])
    right, blind = contrast(0.1)(None, (two, two)), contrast(0.1)(None, (two, 0 * two))
    assert right < 0.01 and np.isclose(blind, np.log(10))
    moved = np.concatenate([np.roll(vectors, 1, 0), vectors])
    assert np.isclose(contrast(0.1)(None, (two, moved)), (right + 10 + right) / 2, atol=0.01)


def test_recall_is_one_for_the_truth_and_a_tenth_for_dice():
    seen, spoken = np.arange(400) % 10, np.arange(300) % 10
    truth = (spoken[:, None] == seen).astype(float)
    found = retrieval.judge(truth, seen, spoken)
    assert found.by_word == found.by_scan == 1
    dice = retrieval.judge(RNG.random((300, 400)), seen, spoken)
    assert all(low < 0.1 < high for low, high in dice.intervals)
    others = retrieval.galleries(seen, 5)
    assert np.array_equal(seen[others], np.tile(np.arange(10), (5, 1)))


def test_what_is_asked_for_stands_there_once():
    pictures, clips, named, true = crossing.asked("validation", 12)
    assert len(pictures) == len(clips) == len(named) == len(true) == 12
    again = crossing.asked("validation", 12)
    assert all(np.array_equal(a, b) for a, b in zip((pictures, clips, named, true), again))
    kept = crossing.seen(models.load("digits-detector"), pictures)
    heard = np.full((12, 14), -9.0)
    heard[np.arange(12), named] = 9  # whoever hears rightly
    chosen = crossing.by_classifiers(kept, heard)
    share = crossing.right(kept, chosen, true).mean()
    assert share > 0.8 and share > crossing.by_chance(kept, true) + 0.3
    deaf = crossing.right(kept, crossing.by_classifiers(kept, np.zeros((12, 14))), true).mean()
    assert deaf < share


def test_a_cut_out_is_what_was_put_in():
    scan = digits.load("test")[0][0].reshape(8, 8)
    picture = np.zeros((40, 40, 1), np.float32)
    picture[10:26, 8:24, 0] = np.kron(scan, np.ones((2, 2)))
    found = crossing.cut_out(picture, np.array([8.0, 10.0, 24.0, 26.0]))
    assert np.corrcoef(found, scan.ravel())[0, 1] > 0.95


@pytest.mark.slow
def test_the_pair_finds_far_more_than_chance():
    task = retrieval.Matching()
    scans, clips, seen, spoken = task.data("test", 200)
    found = task.score(models.load("digits-and-words"), (scans, clips, seen, spoken)).measured
    assert min(found.by_word, found.by_scan) > 0.5
    mixed = task.score(
        explaining.randomised(models.load("digits-and-words")), task.data("test", 200)
    )
    assert max(mixed.measured.by_word, mixed.measured.by_scan) < 0.3
