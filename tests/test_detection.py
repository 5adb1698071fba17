"""Detection: boxes, suppression, average precision, scenes; and how generated pictures are judged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from course_utils.backend import tf
from course_utils.datasets import digits, scenes
from course_utils.evaluation import boxes, detection, generation, intervals
from course_utils.lessons.vision.pictures import beside


def drawn(count, seed):
    """Random boxes and scores, many of which lie over one another."""
    rng = np.random.default_rng(seed)
    low = rng.uniform(0, 20, (count, 2))
    return np.hstack([low, low + rng.uniform(1, 15, (count, 2))]), rng.random(count)


# --- boxes ---------------------------------------------------------------------------------------


def test_intersection_over_union_by_hand():
    one = [[0, 0, 10, 10]]
    others = [[0, 0, 10, 10], [5, 0, 15, 10], [0, 0, 5, 5], [10, 10, 20, 20], [20, 0, 30, 10]]
    assert np.allclose(boxes.iou(one, others), [[1, 1 / 3, 1 / 4, 0, 0]])


def test_intersection_over_union_by_counting_pixels():
    rng = np.random.default_rng(0)
    low = rng.integers(0, 10, (2, 20, 2))
    first, second = np.concatenate([low, low + rng.integers(1, 10, (2, 20, 2))], -1)
    grid = np.zeros((2, 20, 25, 25), bool)
    for side, some in enumerate((first, second)):
        for i, (left, top, right, bottom) in enumerate(some):
            grid[side, i, top:bottom, left:right] = True
    for i in range(20):
        for j in range(20):
            shared = (grid[0, i] & grid[1, j]).sum() / (grid[0, i] | grid[1, j]).sum()
            assert boxes.iou(first[[i]], second[[j]])[0, 0] == pytest.approx(shared)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 25), st.integers(0, 10**6), st.sampled_from([0.0, 0.3, 0.5, 0.9]))
def test_suppression_agrees_with_tensorflow(count, seed, limit):
    some, scores = drawn(count, seed)
    theirs = tf.image.non_max_suppression(some.astype(np.float32), scores, count, limit)
    assert boxes.nms(some.astype(np.float32), scores, limit) == theirs.numpy().tolist()


def test_suppression_goes_on_with_the_best_of_the_rest():
    """A box that was dropped suppresses no other: the third stays, though the second covers it."""
    chain = [[0, 0, 10, 10], [4, 0, 14, 10], [8, 0, 18, 10]]
    assert boxes.nms(chain, [0.9, 0.8, 0.7], 0.3) == [0, 2]


def test_nothing_is_found_where_nothing_is():
    assert boxes.nms(np.empty((0, 4)), np.empty(0)) == []
    empty, scores, kinds = boxes.found(np.ones((3, 4)), np.zeros((3, 10)))
    assert empty.shape == (0, 4) and len(scores) == len(kinds) == 0


def test_one_class_does_not_suppress_another():
    same = np.array([[0, 0, 10, 10], [0, 0, 10, 10]], float)
    found = boxes.found(same, np.array([[0.9, 0.0], [0.0, 0.8]]))
    assert found[2].tolist() == [0, 1]


def test_cells_are_read_as_they_were_written():
    from course_utils.experiments.vision_training import cells_of

    _, some, labels = scenes.load("train", 30)
    for true, kinds in zip(some, labels):
        told = cells_of(true, kinds)
        logits = np.full((10, 10, 10), -9.0)
        where = np.nonzero(told[..., 0])
        logits[(*where, told[..., 5][where].astype(int))] = 9
        cells = np.concatenate([20 * told[..., :1] - 10, told[..., 1:5], logits], -1)
        found, scores, classes = boxes.found(*(part[0] for part in boxes.decode(cells[None])))
        common = boxes.iou(true[kinds >= 0], found)
        assert len(common) == 0 or np.all(common.max(1) > 0.99)
        assert sorted(set(classes)) == sorted(set(kinds[kinds >= 0])) and np.all(scores > 0.9)


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: boxes.iou([[0, 0, 1]], [[0, 0, 1, 1]]), r"of shape \(n, 4\), got \(1, 3\)"),
        (lambda: boxes.iou([[5, 0, 1, 1]], [[0, 0, 1, 1]]), "end lies before its beginning"),
        (lambda: boxes.iou([[0, 0, np.nan, 1]], [[0, 0, 1, 1]]), "must be finite"),
        (lambda: boxes.nms([[0, 0, 1, 1]], [1], 1.5), "limit must be between 0 and 1, got 1.5"),
        (lambda: boxes.decode(np.zeros((1, 10, 15))), "cells must have shape"),
        (lambda: boxes.decode(np.full((1, 2, 2, 15), np.inf)), "cells must be finite"),
        (lambda: boxes.found(np.ones((1, 4)), np.ones((1, 2)), -1), "threshold must be between"),
        (lambda: detection.judge([], [], []), "each picture needs"),
    ],
)
def test_wrong_boxes_are_refused(call, says):
    with pytest.raises(ValueError, match=says):
        call()


# --- average precision ---------------------------------------------------------------------------


def brute_force(scores, right, count):
    """The definition, point by point."""
    best = np.zeros(101)
    for threshold in sorted(set(scores)):
        hits = sum(r for s, r in zip(scores, right) if s >= threshold)
        said = sum(s >= threshold for s in scores)
        for i in range(101):
            if hits / count >= i / 100 - 1e-9:
                best[i] = max(best[i], hits / said)
    return best.mean()


def test_average_precision_by_hand():
    # right, wrong, right, of two: precision 1 up to recall 1/2 (51 points), then 2/3 (50 points)
    got = detection.average_precision([0.9, 0.8, 0.7], [True, False, True], 2)
    assert got == pytest.approx((51 + 50 * 2 / 3) / 101)
    assert detection.average_precision([0.9], [True], 2) == pytest.approx(51 / 101)
    assert detection.average_precision([], [], 2) == 0
    assert np.isnan(detection.average_precision([0.5], [False], 0))


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 30), st.integers(0, 10**6))
def test_average_precision_agrees_with_its_definition(count, seed):
    rng = np.random.default_rng(seed)
    scores, right = rng.random(count), rng.random(count) < 0.6
    true = int(right.sum()) + int(rng.integers(0, 4)) + 1
    assert detection.average_precision(scores, right, true) == pytest.approx(
        brute_force(scores, right, true)
    )


def test_average_precision_is_near_scikit_learns_which_interpolates_nothing():
    rng = np.random.default_rng(0)
    right = rng.random(2000) < 0.5
    scores = right + rng.normal(0, 1, 2000)
    ours = detection.average_precision(scores, right, right.sum())
    theirs = average_precision_score(right, scores)
    assert theirs < ours < theirs + 0.02


def test_the_best_detection_takes_the_box_and_the_second_is_wrong():
    true = np.array([[0, 0, 10, 10]]), np.array([3])
    found = np.array([[0, 0, 10, 9], [0, 0, 10, 10]], float), np.array([0.9, 0.8]), np.array([3, 3])
    assert detection.matched(found, true, [0.5]).tolist() == [[True, False]]
    # 0.9 in common is not 0.95: there the second one is right
    assert detection.matched(found, true, [0.95]).tolist() == [[False, True]]
    other = (*found[:2], np.array([4, 3]))
    assert detection.matched(other, true, [0.5]).tolist() == [[False, True]]


def test_a_box_that_is_taken_is_taken_though_others_are_free():
    true = np.array([[0, 0, 10, 10], [20, 20, 30, 30]]), np.array([3, 5])
    found = np.array([[0, 0, 10, 10]] * 3, float), np.array([0.9, 0.8, 0.7]), np.array([3, 3, 3])
    assert detection.matched(found, true, [0.5]).tolist() == [[True, False, False]]


def test_no_more_detections_count_than_in_the_challenge():
    rng = np.random.default_rng(0)
    some, _ = drawn(400, 0)
    found = boxes.found(some, rng.random((400, 10)), limit=1.0)
    assert len(found[1]) == boxes.MOST and np.all(np.diff(found[1]) <= 0)


def perfect(some, labels):
    return [
        (b[k >= 0], np.linspace(1, 0.5, (k >= 0).sum()), k[k >= 0]) for b, k in zip(some, labels)
    ]


def test_a_perfect_detector_has_one_and_each_fault_costs():
    _, some, labels = scenes.load("validation", 40)
    found = perfect(some, labels)
    whole = detection.judge(found, some, labels)
    assert whole.at_half == whole.strict == 1 and whole.interval == (1, 1)
    moved = [(each + [2, 0, 2, 0], scores, kinds) for each, scores, kinds in found]
    shifted = detection.judge(moved, some, labels)
    assert shifted.strict < 0.8 * shifted.at_half
    confused = [(each, scores, (kinds + 1) % 10) for each, scores, kinds in found]
    assert detection.judge(confused, some, labels).at_half < 0.1
    twice = [tuple(np.concatenate([part, part]) for part in each) for each in found]
    assert detection.judge(twice, some, labels).at_half < 1
    missing = [tuple(part[:1] for part in each) for each in found]
    assert detection.judge(missing, some, labels).at_half < 0.8


def test_the_interval_holds_the_value_and_narrows_with_more_scenes():
    rng = np.random.default_rng(0)
    _, some, labels = scenes.load("validation", 80)
    found = [
        (b, s * rng.random(len(s)), np.where(rng.random(len(k)) < 0.8, k, (k + 1) % 10))
        for b, s, k in perfect(some, labels)
    ]
    few, many = (detection.judge(found[:n], some[:n], labels[:n]) for n in (20, 80))
    for one in (few, many):
        assert one.interval[0] < one.at_half < one.interval[1]
    assert np.ptp(many.interval) < np.ptp(few.interval)


def test_precision_and_recall_at_one_threshold():
    _, some, labels = scenes.load("validation", 10)
    seen = detection.judge(perfect(some, labels), some, labels)
    assert detection.found_share(seen, 0.0) == (1, 1)
    precision, recall = detection.found_share(seen, 0.8)
    assert precision == 1 and 0 < recall < 1
    precision, recall = detection.curve(seen)
    assert np.all(precision == 1) and recall[-1] == 1 and np.all(np.diff(recall) > 0)


# --- scenes --------------------------------------------------------------------------------------


def test_a_scene_is_the_same_each_time_and_another_for_each_number():
    one = scenes.scene("test", 5)
    assert np.array_equal(one.picture, scenes.scene("test", 5).picture)
    for other in (scenes.scene("test", 6), scenes.scene("test", 5, 1), scenes.scene("train", 5)):
        assert not np.array_equal(one.picture, other.picture)
    pictures, some, labels = scenes.load("test", 8)
    assert np.array_equal(pictures[5, :, :, 0], one.picture)
    assert np.array_equal(some[5][labels[5] >= 0], one.boxes)
    assert not pictures.flags.writeable and not one.picture.flags.writeable


def test_a_scene_uses_scans_of_its_split_alone(monkeypatch):
    asked = []
    load = digits.load
    monkeypatch.setattr(scenes.digits, "load", lambda split: asked.append(split) or load(split))
    for index in range(20):
        scenes.scene("validation", index, seed=77)
    assert set(asked) == {"validation"}


def test_boxes_lie_close_round_ink_and_overlap_little():
    pictures, some, labels = scenes.load("train", 200)
    counts = (labels >= 0).sum(1)
    assert set(counts) == {0, 1, 2, 3, 4}
    sides = (some[..., 2:] - some[..., :2])[labels >= 0]
    assert sides.min() >= 3 and sides[:, 1].min() >= 7 and sides.max() <= 20
    assert some.min() >= 0 and some.max() <= scenes.SIZE
    for true, kinds, picture in zip(some, labels, pictures):
        true = true[kinds >= 0]
        for i, (left, top, right, bottom) in enumerate(true.astype(int)):
            assert scenes.common(true[i], np.delete(true, i, 0)) <= scenes.OVERLAP + 1e-6
            assert picture[top:bottom, left:right].mean() > picture.mean()


def test_a_box_is_where_its_digit_is():
    rng = np.random.default_rng(0)
    canvas, box = scenes.placed(rng, digits.load("train")[0][0].reshape(8, 8))
    left, top, right, bottom = box.astype(int)
    inside = canvas[top:bottom, left:right].sum()
    assert inside > 0.97 * canvas.sum()
    assert all(side.max() > 0.1 for side in (canvas[top], canvas[bottom - 1], canvas[:, left]))


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("exam", 0), "unknown split 'exam'"),
        (("test", -1), "index must be a whole number"),
        (("test", 0, -1), "seed must be a whole number"),
    ],
)
def test_a_scene_that_there_is_not_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        scenes.scene(*arguments)


# --- generated pictures --------------------------------------------------------------------------


def test_frechet_distance_of_known_clouds():
    rng = np.random.default_rng(0)
    cloud = rng.standard_normal((4000, 5))
    assert generation.frechet(cloud, cloud) < 1e-6
    assert generation.frechet(cloud, cloud + [1, 2, 0, 0, 0]) == pytest.approx(5, abs=1e-6)
    # N(0, 1) and N(0, 4): (1 - 2)^2 for each feature; the means alone would say 0
    other = 2 * rng.standard_normal((4000, 5))
    assert generation.frechet(cloud, other) == pytest.approx(5, rel=0.1)


def test_frechet_distance_sees_how_features_go_together():
    rng = np.random.default_rng(0)
    cloud = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 4000)
    apart = np.stack([rng.permutation(cloud[:, 0]), cloud[:, 1]], 1)
    assert generation.frechet(cloud, apart) > 0.3
    wanted = 4 - 2 * (np.sqrt(1.9) + np.sqrt(0.1))  # trace(C1 + C2) - 2 trace(C1^(1/2)), C2 = 1
    assert generation.frechet(cloud, apart) == pytest.approx(wanted, rel=0.15)


@pytest.mark.parametrize("wrong", [np.ones((1, 3)), np.ones(4), np.full((4, 3), np.nan), []])
def test_features_that_are_none_are_refused(wrong):
    with pytest.raises(ValueError, match="features must"):
        generation.frechet(np.ones((4, 3)) * np.arange(4)[:, None], wrong)


def test_real_scans_are_recognised_new_and_near_to_themselves():
    scans, labels = (part[:300] for part in digits.load("test"))
    real = generation.score_pictures(scans, labels)
    assert real.recognised > 0.95 and real.frechet < 1e-6
    copied = generation.score_pictures(*(part[:300] for part in digits.load("train")))
    assert copied.nearest < 1e-3 < 0.5 < real.nearest
    noise = np.random.default_rng(0).random((300, 64)).astype(np.float32)
    bad = generation.score_pictures(noise, labels)
    assert bad.recognised < 0.3 and bad.frechet > 10 * copied.frechet


def test_two_draws_are_not_told_apart_strangers_are_and_copies_show():
    scans = digits.load("test")[0]
    draws = generation.told_apart(scans[:200], scans[200:])
    assert 0.4 < draws < 0.6
    noise = np.random.default_rng(0).random((200, 64)).astype(np.float32)
    assert generation.told_apart(noise, scans[:200]) > 0.95
    copies = scans[:200] + np.float32(0.001)
    assert generation.told_apart(copies, scans[:200]) < 0.05


def test_judges_are_two_and_none_is_a_generator_or_what_it_learned_from():
    chooser, reporter = generation.JUDGES["validation"], generation.JUDGES["test"]
    assert chooser != reporter


def test_a_bootstrap_is_as_wide_as_theory_says():
    values = np.random.default_rng(1).standard_normal(400)
    low, high = intervals.bootstrap(lambda at: values[at].mean(), 400, rounds=1000)
    exact = intervals.interval(values)
    assert high - low == pytest.approx(exact[1] - exact[0], rel=0.15)
    assert (low, high) == intervals.bootstrap(lambda at: values[at].mean(), 400, rounds=1000)


def test_digits_beside_boxes_never_touch():
    square = (10.0, 10.0, 20.0, 20.0)
    one, *others = beside([square] * 6, range(6))
    assert (one.x, one.text) == (10, "0") and len(others) == 3  # four corners, then none
    close = beside(np.random.default_rng(0).uniform(0, 12, (30, 4)).cumsum(1), range(30))
    assert len(close) > 4
    for i, one in enumerate(close):
        assert all(abs(one.x - two.x) > 1.2 or abs(one.y - two.y) > 1.6 for two in close[:i])
