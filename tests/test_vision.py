"""The models of pictures: what they can do, how they are built, and what is taken out of them."""

import numpy as np
import pytest
from sklearn.neighbors import KNeighborsClassifier

from course_utils import compression, evaluation, models, pruning, quantization
from course_utils.compression import filters
from course_utils.container import digest
from course_utils.datasets import digits, scenes
from course_utils.decoding import flow
from course_utils.evaluation import detection, generation
from course_utils.evaluation.tasks import TASKS
from course_utils.experiments import averaged, vision_training
from course_utils.models import vision

# --- filters -------------------------------------------------------------------------------------


def built(kind):
    """A small network with random weights and biases, and inputs for it."""
    if kind == "classifier":
        model, inputs = vision.scan_classifier((4, 6), 8), digits.load("train")[0][:5]
    else:
        model, inputs = vision.scene_detector((3, 4, 5), 2), scenes.load("train", 3)[0]
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.5, w.shape) for w in model.weights])
    return model, inputs


@pytest.mark.parametrize("kind", ["classifier", "detector"])
def test_a_model_without_filters_computes_as_if_they_were_silent(kind):
    model, inputs = built(kind)
    scores = filters.filter_scores(model, pruning.unit_magnitude)
    keep = {name: pruning.fraction(0.5)(each) for name, each in scores.items()}
    small = filters.remove_filters(model, keep)
    for name, mask in keep.items():  # silence: what a filter gives is zero
        layer = model.get_layer(name)
        kernel, bias = layer.get_weights()
        layer.set_weights([kernel * mask, bias * mask])
    assert np.allclose(small(inputs), model(inputs), atol=1e-4)
    assert small.count_params() < 0.6 * model.count_params()


def test_a_wrong_choice_of_filters_is_refused():
    model, _ = built("classifier")
    for keep, says in (
        ({"conv_9": np.ones(4, bool)}, "unknown convolution 'conv_9'"),
        ({"conv_0a": np.ones(3, bool)}, "must hold 4 booleans"),
        ({"conv_0a": np.zeros(4, bool)}, "at least one True"),
        ({"conv_0a": np.ones(4)}, "got float64"),
    ):
        with pytest.raises(ValueError, match=says):
            filters.remove_filters(model, keep)
    with pytest.raises(ValueError, match="is no stack of convolutions"):
        filters.readers(vision.velocity_network(8, 1))


# --- drawing -------------------------------------------------------------------------------------


def test_euler_follows_a_known_field_exactly():
    """From noise x at time 0 a field that points at one scan leads there, in any number of
    steps."""
    goal = 2 * digits.load("train")[0][:10] - 1

    def field(state):
        pictures, waves = state[:, :64], state[:, 64]
        time = np.arcsin(np.clip(waves, -1, 1)) / np.pi  # its first wave, on 0..1/2
        return (goal - pictures) / (1 - time[:, None])

    for steps in (1, 2):
        drawn = flow.draw(field, np.arange(10), steps)
        assert np.allclose(drawn, (goal + 1) / 2, atol=1e-5)
    assert not np.allclose(flow.draw(lambda s: 0 * s[:, :64], np.arange(10), 2), (goal + 1) / 2)


def test_a_state_holds_picture_time_and_class():
    state = flow.state(np.ones((2, 64)), 0.5, [3, 9])
    assert state.shape == (2, 90) and state.dtype == np.float32
    assert np.allclose(state[:, :64], 1) and np.allclose(state[:, 64], 1)  # sin(pi / 2)
    assert state[0, 80:].argmax() == 3 and state[1, 80:].argmax() == 9
    times = [flow.state(np.zeros((1, 64)), t, [0])[0, 64:80] for t in np.linspace(0, 1, 33)]
    assert min(np.abs(a - b).max() for a, b in zip(times, times[1:])) > 0.05


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (([10],), "labels must be from 0 to 9"),
        (([],), "labels must be a row"),
        (([0.5],), "labels must be a row"),
        (([1], 0), "steps must be a whole number"),
        (([1], 4, -1), "seed must be a whole number"),
    ],
)
def test_what_cannot_be_drawn_is_refused(arguments, says):
    with pytest.raises(ValueError, match=says):
        flow.draw(lambda state: state[:, :64], *arguments)


# --- the shipped ones ----------------------------------------------------------------------------


def test_the_classifier_beats_a_perceptron_and_the_nearest_scan():
    found = {
        name: evaluation.classify(models.load(name), *digits.load("test")).accuracy
        for name in ("digits-cnn", "digits-mlp")
    }
    nearest = KNeighborsClassifier(1).fit(*digits.load("train")).score(*digits.load("test"))
    assert found["digits-cnn"] >= 0.98 and found["digits-cnn"] > max(found["digits-mlp"], nearest)


def test_the_detector_finds_nine_in_ten():
    pictures, boxes, labels = scenes.load("test", 150)
    found = detection.detect(models.load("digits-detector"), pictures)
    seen = detection.judge(found, boxes, labels)
    assert seen.at_half >= 0.9 and seen.strict >= 0.6
    unsuppressed = detection.detect(models.load("digits-detector"), pictures, limit=1.0)
    assert detection.judge(unsuppressed, boxes, labels).at_half < seen.at_half - 0.05


def test_the_generator_draws_what_is_asked_and_nothing_it_learned_by_heart():
    task = TASKS["generation"]
    score = task.score(models.load("digits-generator"), task.data("test", 200))
    seen, scans = score.measured, digits.load("test")[0]
    assert score.quality == seen.recognised >= 0.9
    drawn = flow.draw(models.load("digits-generator"), generation.asked(200), task.steps)
    assert np.array_equal(drawn, seen.pictures)
    assert seen.nearest > 0.8 * generation.to_nearest(scans).mean()
    wrong = generation.score_pictures(seen.pictures, (seen.labels + 1) % 10)
    assert wrong.recognised < 0.1 and wrong.frechet == seen.frechet


@pytest.mark.parametrize("name", ["digits-cnn", "digits-detector", "digits-generator"])
def test_each_is_rounded_with_what_it_really_reads_and_read_again(name, tmp_path):
    model, task = models.load(name), TASKS[models.catalogue.entry(name).task]
    inputs = task.inputs(task.data("train", 16))
    four = [compression.Quantize(quantization.absmax, bits=4, group_size=32)]
    small = compression.compress(model, four, "entropy", inputs)
    again = compression.load(small.save(tmp_path / "small.safetensors"))
    assert np.allclose(again(inputs), small.model(inputs), atol=1e-5)
    assert len(small.content) < compression.baseline(model) / 5


@pytest.mark.parametrize("draw", range(3))
def test_wanda_sees_the_patches_of_the_detector(draw):
    """Half of each unit's weights go: by size, or by patches whose columns are mixed, nothing is
    found any more."""
    model, task = models.load("digits-detector"), TASKS["detection"]
    seen, held_out = task.inputs(task.data("train", 64)), task.data("validation", 40)
    shown = np.random.default_rng(draw).permutation(seen)[:32]

    def mixed(weights, inputs):
        return pruning.wanda(weights, np.random.default_rng(draw).permuted(inputs, axis=1))

    def found(score):
        step = compression.Prune(score, pruning.fraction_per_unit(0.5))
        pruned = compression.compress(model, [step], calibration=shown).model
        return task.score(pruned, held_out).quality

    assert found(pruning.wanda) > 0.9
    assert max(found(pruning.magnitude), found(mixed)) < 0.4


@pytest.mark.parametrize("name", vision_training.RECIPES)
def test_training_is_the_same_each_time(name, monkeypatch):
    recipe = vision_training.RECIPES[name] | {"steps": 4, "scenes": 40}
    monkeypatch.setattr(averaged, "POINTS", 2)
    monkeypatch.setitem(vision_training.RECIPES, name, recipe)
    monkeypatch.setattr(type(TASKS[models.catalogue.entry(name).task]), "live", 20)
    weights = []
    for _ in range(2):
        model, record = vision_training.train_vision(name, None)
        weights.append(digest({str(i): w for i, w in enumerate(model.get_weights())}, None))
        assert len(record["curve"]) == 2 and np.isfinite(record["curve"][-1]["train_loss"])
    assert weights[0] == weights[1]


@pytest.mark.parametrize("name", vision_training.RECIPES)
def test_training_learns_from_the_train_split_alone(name, monkeypatch):
    asked, load = [], digits.load
    for module in (vision_training.digits, scenes.digits):
        monkeypatch.setattr(module, "load", lambda split: asked.append(split) or load(split))
    recipe = vision_training.RECIPES[name] | {"scenes": 3, "seed": 991}
    batches, _ = vision_training.LOSSES[name]
    batches(recipe)(0)
    assert set(asked) == {"train"}


# --- rivals, and what is shown -------------------------------------------------------------------


def test_rivals_are_fair_and_beaten():
    from course_utils.lessons.vision import rivals

    pictures, boxes, labels = scenes.load("validation", 60)
    classifier = models.load("digits-cnn")
    found = [rivals.blobs(classifier, picture[..., 0]) for picture in pictures]
    rival = detection.judge(found, boxes, labels).at_half
    ours = detection.detect(models.load("digits-detector"), pictures)
    assert 0.4 < rival < detection.judge(ours, boxes, labels).at_half - 0.1
    asked = generation.asked(200)
    mean, normal = (
        generation.score_pictures(draw(asked), asked)
        for draw in (rivals.class_means, rivals.class_normals)
    )
    assert min(mean.recognised, normal.recognised) > 0.9 and normal.frechet < mean.frechet


def test_no_ink_is_no_digit():
    from course_utils.lessons.vision import rivals

    found = rivals.blobs(models.load("digits-cnn"), np.zeros((40, 40), np.float32))
    assert [len(part) for part in found] == [0, 0, 0]


def test_a_finding_says_what_is_right_wrong_and_missed():
    from course_utils.lessons.vision.explorers import detect

    seen = detect(4, "absmax", None, 8, None, 0.3, 0.5)
    labels = scenes.load("validation", TASKS["detection"].live)[2][4]
    assert seen.right.sum() + len(seen.missed[1]) == (labels >= 0).sum()
    deaf = detect(4, "absmax", None, 8, None, 0.95, 0.5)
    assert deaf.recall < seen.recall and deaf.precision >= seen.precision
    assert seen.measured.at_half > 0.9 and detect(4, "absmax", None, 2, None, 0.3, 0.5).recall < 0.1
    loose = detect(4, "absmax", None, 8, None, 0.3, 1.0)
    assert loose.precision < seen.precision - 0.2 and loose.recall <= 1


def test_a_reading_counts_its_confusions():
    from course_utils.lessons.vision.explorers import recognise

    seen = recognise("absmax", None, 2, None)
    assert seen.confusions.sum() == len(seen.misread) > 20
    assert seen.measured.accuracy == pytest.approx(1 - len(seen.misread) / len(seen.labels))
    assert np.all(np.diag(seen.confusions) == 0)


def test_more_steps_and_more_bits_draw_better():
    from course_utils.lessons.vision.explorers import draw

    fine, coarse, hasty = (
        draw("absmax", None, *more) for more in ((8, None, 8), (2, None, 8), (8, None, 1))
    )
    assert fine.measured.frechet < 0.7 * hasty.measured.frechet < 10 * coarse.measured.frechet
    assert fine.small.ledger.total > coarse.small.ledger.total
