"""What pre-training bought: both starts learn the same, and the record says who learned more."""

import numpy as np

from course_utils import models
from course_utils.experiments import pretraining
from course_utils.experiments.record import results


def test_starts_differ_in_their_weights_alone():
    shipped = models.load("tales-pretrained").get_weights()
    begun = pretraining.begin("pre-trained", 4).get_weights()
    first, again, other = (pretraining.begin("random", seed).get_weights() for seed in (4, 4, 5))
    for kept, mine, one, same, unlike in zip(shipped, begun, first, again, other, strict=True):
        np.testing.assert_array_equal(kept, mine)
        np.testing.assert_array_equal(one, same)
        assert one.shape == kept.shape
        if one.ndim == 2:
            assert np.abs(one - unlike).max() > 0 and np.abs(one - kept).max() > 0


def test_exercises_depend_on_seed_and_step():
    inputs, (targets, counts) = pretraining.exercises(4, 0)
    assert inputs.shape == targets.shape == counts.shape == (pretraining.ROWS, 128)
    np.testing.assert_array_equal(inputs, pretraining.exercises(4, 0)[0])
    assert (inputs != pretraining.exercises(4, 1)[0]).any()
    assert (inputs != pretraining.exercises(5, 0)[0]).any()


def test_what_counts_more_costs_more():
    logits = np.zeros((1, 2, 4), np.float32)
    logits[0, 1, 3] = 10
    targets = np.array([[3, 3]])
    unsure, sure = (
        float(pretraining.counted((targets, np.float32([counts])), logits))
        for counts in ([2, 0], [0, 2])
    )
    assert unsure > 1 > 0.01 > sure


def test_the_record_has_every_run_and_a_clear_answer_for_questions():
    found = results("pretraining")
    assert list(found["test"]) == list(pretraining.RATES) and found["seeds"] == [4, 5]
    runs = zip(found["test"]["random"], found["test"]["pre-trained"], strict=True)
    for random, trained in runs:
        assert trained["question"] > random["question"] + 0.1
        assert set(random) == set(trained) == {"translate", "question", "mood"}
