"""Distillation: the losses against plain formulas, their gradients, kept answers, students, and the
record."""

import numpy as np
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from course_utils import decoding, distillation, document, evaluation, models
from course_utils.backend import keras, tf
from course_utils.datasets import docs
from course_utils.experiments import docs_small, long_students, make, record, students, training
from course_utils.lessons.distillation.explorers import soft_label, temperature_explorer

logits = arrays(np.float32, (3, 5), elements=st.floats(-8, 8, width=32))


def softmax(x):
    powers = np.exp(x - x.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def slope(loss, teacher, student):
    student = tf.Variable(student)
    with tf.GradientTape() as tape:
        cost = loss(tf.constant(teacher), student)
    return tape.gradient(cost, student).numpy()


@settings(max_examples=30, deadline=None)
@given(logits, logits, st.floats(0.5, 10))
def test_losses_are_their_formulas(teacher, student, temperature):
    p, q = (
        softmax(teacher.astype(float) / temperature),
        softmax(student.astype(float) / temperature),
    )
    crossed = -(p * np.log(q)).sum(-1).mean() * temperature**2
    apart = (p * np.log(p / q)).sum(-1).mean() * temperature**2
    close = {"rtol": 1e-3, "atol": 1e-3}
    np.testing.assert_allclose(
        distillation.cross_entropy(temperature)(teacher, student), crossed, **close
    )
    np.testing.assert_allclose(distillation.kl(temperature)(teacher, student), apart, **close)
    np.testing.assert_allclose(
        distillation.reverse_kl(temperature)(student, teacher), apart, **close
    )
    squared = document.squared_error_loss(
        softmax(teacher.astype(float)), softmax(student.astype(float))
    )
    np.testing.assert_allclose(distillation.squared_error(teacher, student), squared, **close)


@settings(max_examples=30, deadline=None)
@given(logits)
def test_kl_is_nought_where_both_agree_and_never_below(teacher):
    assert abs(float(distillation.kl(2.0)(teacher, teacher))) < 1e-5
    assert float(distillation.kl(2.0)(teacher, teacher[::-1].copy())) > -1e-5


@pytest.mark.parametrize("temperature", [1.0, 3.0, 10.0])
def test_gradient_of_a_logit_is_temperature_times_the_difference(temperature):
    random = np.random.default_rng(0)
    teacher, student = random.normal(size=(2, 1, 6)).astype(np.float32)
    expected = temperature * (softmax(student / temperature) - softmax(teacher / temperature))
    np.testing.assert_allclose(
        slope(distillation.cross_entropy(temperature), teacher, student), expected, atol=1e-5
    )


def test_squared_error_says_nothing_to_a_student_that_is_surely_wrong_and_kl_does():
    teacher, student = np.array([[12.0, 0, 0]], np.float32), np.array([[0, 12.0, 0]], np.float32)
    quiet, loud = (
        np.abs(slope(loss, teacher, student)).max()
        for loss in (distillation.squared_error, distillation.kl())
    )
    assert quiet < 1e-4 < 0.9 < loud


def test_label_smoothing_is_cross_entropy_with_spread_labels():
    random = np.random.default_rng(1)
    student, labels = (
        random.normal(size=(2, 4, 7)).astype(np.float32),
        random.integers(0, 7, (2, 4)),
    )
    spread = 0.9 * np.eye(7)[labels] + 0.1 / 7
    expected = -(spread * np.log(softmax(student))).sum(-1).mean()
    np.testing.assert_allclose(
        distillation.label_smoothing(0.1)(labels, student), expected, rtol=1e-5
    )


def test_both_mixes_teacher_and_labels():
    random = np.random.default_rng(2)
    teacher, student = random.normal(size=(2, 4, 7)).astype(np.float32)
    labels = random.integers(0, 7, 4)
    hard = -np.log(softmax(student)[np.arange(4), labels]).mean()
    mixed = distillation.with_labels(distillation.kl(), soft=0.25)((labels, teacher), student)
    np.testing.assert_allclose(
        mixed, 0.25 * distillation.kl()(teacher, student) + 0.75 * hard, rtol=1e-5
    )


@settings(max_examples=30, deadline=None)
@given(logits)
def test_a_byte_for_a_logit_is_enough(teacher):
    heard = distillation.decode_logits(distillation.encode_logits(teacher))
    assert (
        np.abs(
            (heard - heard.max(-1, keepdims=True)) - (teacher - teacher.max(-1, keepdims=True))
        ).max()
        <= 0.05 + 1e-5
    )
    assert (
        float(distillation.kl()(teacher, heard)) < 0.05**2 / 2 + 1e-6
    )  # half the largest possible variance of the error


def test_a_logit_out_of_reach_stays_as_far_as_a_byte_goes():
    codes = distillation.encode_logits([[0.0, -25.4, -900.0]])
    assert codes.tolist() == [[0, 254, 255]] and codes.dtype == np.uint8


def test_largest_keeps_what_it_says_and_spreads_the_rest():
    said = (3 * np.random.default_rng(3).normal(size=(2, 4, 40))).astype(np.float32)
    true, heard = softmax(said), np.exp(distillation.top_k(said, 10))
    np.testing.assert_allclose(heard.sum(-1), 1, atol=1e-5)
    order = np.argsort(-true, -1)
    first, rest = (
        np.take_along_axis(heard, places, -1) for places in (order[..., :10], order[..., 10:])
    )
    np.testing.assert_allclose(first, np.take_along_axis(true, order[..., :10], -1), rtol=1e-4)
    assert np.ptp(rest, axis=-1).max() < 1e-6
    np.testing.assert_allclose(np.exp(distillation.top_k(said, 40)), true, rtol=1e-4, atol=1e-7)
    for T in (
        1.0,
        2.0,
    ):  # a byte for each of 40 says more than 4 bytes for each of 10, and costs as much
        dropped, rounded = (
            distillation.top_k(said, 10),
            distillation.decode_logits(distillation.encode_logits(said)),
        )
        assert float(distillation.kl(T)(said, rounded)) < 0.1 * float(
            distillation.kl(T)(said, dropped)
        )


def test_lessons_repeat_and_count_their_bytes():
    said = (3 * np.random.default_rng(3).normal(size=(2, 2, 4, 40))).astype(np.float32)
    batches = [(np.full((2, 4), step), np.full((2, 4), 7 + step)) for step in range(2)]
    asked = []

    def ask(inputs):
        asked.append(inputs[0, 0])
        return said[inputs[0, 0]]

    lessons = distillation.TeacherLogits(ask, lambda step: batches[step], 2)
    for step in (0, 1, 2, 5):
        inputs, (labels, heard) = lessons(step)
        assert (inputs == step % 2).all() and (labels == 7 + step % 2).all()
        np.testing.assert_allclose(softmax(heard), softmax(said[step % 2]), rtol=0.11)
    assert asked == [0, 1] and lessons.nbytes == 2 * 2 * 4 * 40


def test_hints_pull_the_hidden_vectors_together():
    random = np.random.default_rng(4)
    teacher, student = random.normal(size=(2, 5, 3)).astype(np.float32)
    aim, hidden = random.normal(size=(2, 5, 8)).astype(np.float32)
    plain, hinted = distillation.kl(), distillation.with_hints(distillation.kl(), 0.5)
    np.testing.assert_allclose(
        hinted((teacher, aim), (student, hidden)),
        plain(teacher, student) + 0.5 * np.mean((aim - hidden) ** 2),
        rtol=1e-5,
    )
    assert hinted((teacher, aim), (student, aim)) == plain(teacher, student)


# --- quiet and loud ------------------------------------------------------------------------------


@pytest.mark.parametrize("temperature", [1e-5, 0.1, 1.0, 100.0, 1e3, 1e4, 1e5])
@pytest.mark.parametrize("seed", range(3))
def test_divergences_are_right_at_every_temperature(temperature, seed):
    a, b = (np.random.default_rng([seed, one]).standard_normal((4, 10)) for one in (0, 1))
    a, b = (np.longdouble(one.astype(np.float32)) / temperature for one in (a, b))
    log = [one - one.max(-1, keepdims=True) for one in (a, b)]
    log = [one - np.log(np.exp(one).sum(-1, keepdims=True)) for one in log]
    a, b = np.float64(a * temperature), np.float64(b * temperature)
    for loss, (p, q) in ((distillation.kl, log), (distillation.reverse_kl, log[::-1])):
        true = float((np.exp(p) * (p - q)).sum(-1).mean() * temperature**2)
        assert float(loss(temperature)(a, b)) == pytest.approx(true, rel=1e-5)
    crossed = float(-(np.exp(log[0]) * log[1]).sum(-1).mean() * temperature**2)
    ours = float(distillation.cross_entropy(temperature)(a, b))
    assert ours == pytest.approx(crossed, rel=1e-5)


@pytest.mark.parametrize("temperature", [1.0, 1e4, 1e5])
def test_no_divergence_is_below_zero(temperature):
    for seed in range(30):
        a = np.random.default_rng(seed).standard_normal((4, 10))
        for loss in (distillation.kl, distillation.reverse_kl):
            assert float(loss(temperature)(a, a + 1e-4 * a[::-1])) >= 0
            assert float(loss(temperature)(a, a)) == 0


@pytest.mark.parametrize("temperature", [1e-40, 1e-6, 1e6, np.inf, np.nan, 4j, "2", 0, -1])
def test_temperatures_that_cool_or_heat_too_much_are_named(temperature):
    losses = distillation.kl, distillation.reverse_kl, distillation.cross_entropy
    for call in (*losses, lambda T: distillation.soften([1.0, 2.0], T)):
        with pytest.raises(ValueError, match="temperature must be a number"):
            call(temperature)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 3.4e38, 1e300])
def test_a_logit_that_nobody_could_learn_from_is_named(bad):
    wrong, fine = np.array([[bad, 5, 0]]), np.ones((1, 3))
    for call in (
        lambda: distillation.encode_logits(wrong),
        lambda: distillation.soften(wrong),
        lambda: distillation.top_k(wrong, 1),
        lambda: distillation.label_smoothing()([0], wrong),
        lambda: distillation.squared_error(fine, wrong),
        lambda: distillation.kl()(wrong, fine),
        lambda: distillation.cross_entropy()(fine, wrong),
        lambda: distillation.with_hints(distillation.kl())((fine, wrong), (fine, fine)),
        lambda: distillation.TeacherLogits(lambda x: wrong, lambda step: (fine, None), 1),
    ):
        with pytest.raises(ValueError, match=r"(must be finite|must lie from -1e\+15 to 1e\+15)"):
            call()


def test_logits_far_apart_stay_finite():
    loud, fine = np.float32([[1e15, -1e15, 0]]), np.float32([[0, 1, 2]])
    for loss in (
        *(kind(T) for kind in (distillation.kl, distillation.reverse_kl) for T in (1e-5, 1, 1e5)),
        *(distillation.cross_entropy(T) for T in (1e-5, 1, 1e5)),
        distillation.squared_error,
    ):
        assert np.isfinite(float(loss(loud, fine))) and np.isfinite(float(loss(fine, loud)))
    kept = distillation.top_k(np.float32([[0, -1000, -1001]]), 1)
    np.testing.assert_allclose(kept, [[0, -1000.38, -1000.38]], atol=1e-3)
    assert distillation.top_k(loud, np.uint8(3)).shape == (1, 3)


# --- whole students ------------------------------------------------------------------------------


def pupil(seed, width=8):
    keras.utils.set_random_seed(seed)
    return keras.Sequential(
        [keras.Input((20,)), keras.layers.Dense(width, activation="tanh"), keras.layers.Dense(10)]
    )


def taught(loss, seed, count=60):
    """Accuracy on new inputs of a student that saw `count` inputs of a random teacher, with labels
    drawn from it."""
    random = np.random.default_rng(seed)
    inputs, matrix = (
        random.normal(size=(2060, 20)).astype(np.float32),
        random.normal(size=(20, 10)).astype(np.float32) / 2,
    )
    said = inputs @ matrix
    labels = (said + random.gumbel(size=said.shape)).argmax(-1)

    def lesson(step):
        rows = np.random.default_rng([seed, step]).integers(0, count, 32)
        return inputs[rows], (labels[rows], said[rows])

    student = pupil(seed)
    students.teach(student, lesson, 150, loss, 0.02)
    return np.mean(student(inputs[60:]).numpy().argmax(-1) == said[60:].argmax(-1))


def test_few_labels_teach_less_than_what_the_teacher_says_about_the_same_inputs():
    by_teacher = taught(students.of_teacher(distillation.kl()), seed=0)
    by_labels = taught(students.labels_only, seed=0)
    smoothed = taught(students.of_labels(distillation.label_smoothing(0.1)), seed=0)
    assert (
        by_teacher > max(by_labels, smoothed) + 0.1
    )  # a loss that does not listen to the teacher cannot pass


def test_a_student_starts_from_its_seed_and_ends_where_its_lessons_lead():
    assert all(
        np.array_equal(a, b)
        for a, b in zip(students.new(5).get_weights(), students.new(5).get_weights())
    )
    assert not np.array_equal(students.new(5).get_weights()[0], students.new(6).get_weights()[0])
    inputs = np.random.default_rng(0).normal(size=(16, 20)).astype(np.float32)
    ends = []
    for _ in range(2):
        student = pupil(1)
        curve = students.teach(
            student, lambda step: (inputs, (np.arange(16) % 10,)), 40, students.labels_only, 0.02
        )
        ends.append(student.get_weights())
    assert curve.shape == (40,) and curve[-1] < 0.7 * curve[0]
    assert all(np.allclose(a, b, atol=1e-5) for a, b in zip(*ends))


def test_every_seed_sees_all_lessons_in_an_order_of_its_own():
    orders = [
        [students.shuffled(lambda step: step, 7, seed)(step) for step in range(14)]
        for seed in (0, 0, 1)
    ]
    assert orders[0] == orders[1] != orders[2] and orders[0][:7] != orders[0][7:]
    assert sorted(orders[0][:7]) == sorted(orders[0][7:]) == list(range(7))


def test_paired_differences_see_what_the_seeds_hide():
    labels = np.array([3.0, 3.2, 3.1])
    mean, (low, high) = evaluation.paired(labels, labels - [0.04, 0.06, 0.05])
    assert mean == pytest.approx(-0.05) and high < 0
    assert high - low == pytest.approx(
        2 * 4.3027 * 0.01 / np.sqrt(3), rel=1e-3
    )  # Student's t with 2 degrees of factor


def test_sampling_draws_what_the_model_says():
    model = small.decoder(vocabulary=5, width=8, context=6)
    prompts = np.tile([[1, 2]], (2000, 1))
    texts = decoding.sample(model, prompts, seed=3)
    assert texts.shape == (2000, 6) and (texts[:, :2] == prompts).all()
    assert np.array_equal(texts, decoding.sample(model, prompts, seed=3))
    assert not np.array_equal(texts, decoding.sample(model, prompts, seed=4))
    expected = softmax(model(prompts[:1]).numpy()[0, -1])
    np.testing.assert_allclose(
        np.bincount(texts[:, 2], minlength=5) / 2000, expected, atol=0.05
    )  # 4 deviations of 0.011


@pytest.mark.parametrize(
    "prompts",
    [np.zeros((0, 3), int), np.zeros((2, 0), int), [[5]], [[-1]], [1, 2], np.zeros((1, 7), int)],
)
def test_sampling_refuses_prompts_that_make_no_sense(prompts):
    model = small.decoder(vocabulary=5, width=8, context=6)
    with pytest.raises(ValueError, match="prompts must"):
        decoding.sample(model, prompts, 0)


# --- the explorer --------------------------------------------------------------------------------


def test_soft_labels_of_a_position_are_those_of_the_teacher():
    said = (2 * np.random.default_rng(0).normal(size=(4, 6))).astype(np.float32)
    words = ["a", " b", "c", "\n", "<", "&"]
    entropies = []
    for T in (0.5, 1.0, 4.0):
        seen = soft_label(said, np.array([0, 1, 2, 3, 4]), words, 2, T, shown=3)
        p = softmax(said[1] / T)
        np.testing.assert_allclose(seen.soft, np.sort(p)[::-1][:3], rtol=1e-4)
        assert seen.entropy == pytest.approx(-(p * np.log(p)).sum(), rel=1e-4)
        assert seen.true_share == pytest.approx(p[2], rel=1e-4)
        assert (
            seen.before == ("a", " b")
            and seen.true == "c"
            and seen.words[0] == words[said[1].argmax()]
        )
        entropies.append(seen.entropy)
    assert entropies == sorted(entropies) and entropies[-1] < np.log(6)


def test_the_explorer_refuses_what_is_not_in_the_text():
    said, words = np.zeros((4, 3), np.float32), ["a", "b", "c"]
    for position, T, told in (
        (0, 1, "position"),
        (5, 1, "position"),
        (1, 0, "temperature"),
        (1, -2, "temperature"),
    ):
        with pytest.raises(ValueError, match=f"{told} must be"):
            soft_label(said, [0, 1, 2, 0, 1], words, position, T)
    tokenizer = docs.tokenizer()
    for tokens in ([[512, 0]], [[-1, 0]]):
        with pytest.raises(ValueError, match="token ids from 0 to 511"):
            temperature_explorer(lambda t: np.zeros((1, 1, 512)), {"x": tokens[0]}, tokenizer)
    with pytest.raises(ValueError, match="among 10 tokens, the tokenizer has 512"):
        temperature_explorer(lambda t: np.zeros((1, 1, 10), np.float32), {"x": [1, 2]}, tokenizer)


# --- refusals ------------------------------------------------------------------------------------

LOSSES = {
    "squared error": distillation.squared_error,
    "cross-entropy": distillation.cross_entropy(2.0),
    "kl": distillation.kl(),
    "reverse kl": distillation.reverse_kl(),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_teacher_of_other_classes_is_refused(name):
    for teacher, student, told in (
        ((2, 512), (2, 300), "512|300"),
        ((2, 1), (2, 3), "same classes"),
        ((0, 5), (0, 5), "at least one"),
        ((2, 5), (3, 5), "same questions"),
    ):
        with pytest.raises(ValueError, match=told):
            LOSSES[name](np.zeros(teacher, np.float32), np.zeros(student, np.float32))


def test_a_teacher_of_another_vocabulary_is_refused_before_any_step():
    student = pupil(0)
    before = student.get_weights()

    def lesson(step):
        return np.zeros((4, 20), np.float32), (np.zeros(4, int), np.zeros((4, 512), np.float32))

    with pytest.raises(ValueError, match="same classes, got 512 and 10"):
        students.teach(student, lesson, 5, students.of_teacher(distillation.kl()))
    assert all(np.array_equal(a, b) for a, b in zip(before, student.get_weights()))


def test_nonsense_is_refused():
    for call in (
        lambda: distillation.soften([1.0], 0),
        lambda: distillation.kl(-1),
        lambda: distillation.label_smoothing(2),
        lambda: distillation.with_labels(distillation.kl(), 1.5),
        lambda: distillation.cross_entropy(0),
        lambda: distillation.with_hints(distillation.kl(), -1),
        lambda: distillation.top_k(np.zeros((1, 4)), 9),
        lambda: distillation.top_k(np.zeros((1, 4)), 0),
        lambda: distillation.TeacherLogits(None, None, 0),
        lambda: students.teach(pupil(0), None, 1, None),
    ):
        with pytest.raises(ValueError, match="must be"):
            call()
    with pytest.raises(ValueError, match=r"must hold inputs, got shape \(0, 128\) at step 0"):
        distillation.TeacherLogits(None, lambda step: (np.zeros((0, 128)), None), 1)


# --- the record ----------------------------------------------------------------------------------


def test_the_record_is_whole_and_the_shipped_student_is_in_it():
    found = make.results("students")
    done = {(run["way"], run["seed"]) for run in found["runs"]}
    assert done == {(way, seed) for way in students.WAYS for seed in found["seeds"]}
    assert (
        len(found["runs"]) == len(students.WAYS) * len(found["seeds"]) and len(found["seeds"]) >= 3
    )
    for split in ("validation", "test"):
        for way, gain in found["against_labels"][split].items():
            pair = (students.losses(found["runs"], name, split) for name in ("labels", way))
            mean, interval = evaluation.paired(*pair)
            assert gain["mean"] == pytest.approx(mean) and gain["interval"] == pytest.approx(
                interval
            )
    best = min(
        students.WAYS, key=lambda way: np.mean(students.losses(found["runs"], way, "validation"))
    )
    record = models.record("docs-student")
    assert record["way"] == found["best"] == best and record["seed"] == found["seeds"][0]
    assert found["bytes"]["teacher"] > 4 * found["bytes"]["student"]
    student = models.load("docs-student")
    assert student.count_params() == found["parameters"]["student"]
    told = next(
        run["test"] for run in found["runs"] if (run["way"], run["seed"]) == (best, record["seed"])
    )
    fresh = evaluation.next_token(student, docs.sequences("test", 64))
    # 64 of the 256 sequences, and docstrings of whatever versions are installed: known to about 4%
    assert fresh.perplexity == pytest.approx(told["perplexity"], rel=0.15)


def test_the_long_record_is_whole_and_its_intervals_are_those_of_its_runs():
    found = make.results("long-students")
    assert found["tokens"] >= 20_000_000 and len(found["seeds"]) >= 3
    done = [(run["way"], run["seed"]) for run in found["runs"]]
    assert sorted(done) == sorted(
        (way, seed) for way in ("labels", "KL") for seed in found["seeds"]
    )
    for split in ("validation", "test"):
        gain = long_students.against_labels(found["runs"], split)
        assert found["against_labels"][split]["mean"] == pytest.approx(gain["mean"])
        assert found["against_labels"][split]["interval"] == pytest.approx(gain["interval"])
    for run in found["runs"]:  # the curve is another, smaller sample of the same split
        steps, losses = zip(*run["curve"])
        assert steps[-1] == found["steps"] and losses[-1] == pytest.approx(
            run["validation"]["loss"], abs=0.05
        )


def test_a_long_training_goes_on_where_it_was_cut_off(tmp_path, monkeypatch):
    monkeypatch.setattr(training, "EVERY", 2)
    monkeypatch.setattr(training, "ROWS", 4)
    monkeypatch.setattr(training, "warm_up_then_cosine", lambda *told: 1e-3)
    small = {"width": 16, "depth": 1, "heads": 2}
    recipe = {"text": "docs", "model": small, "steps": 4, "seed": 5, "teacher": "docs-base"}
    recipe["learning_rate"] = 1e-3
    whole, curve = long_students.learn(recipe, record.Run(tmp_path, "whole"), "KL")
    cut = record.Run(tmp_path, "cut")

    def keep(*what, kept=cut.keep):
        kept(*what)
        raise KeyboardInterrupt

    monkeypatch.setattr(cut, "keep", keep)
    with pytest.raises(KeyboardInterrupt):
        long_students.learn(recipe, cut, "KL")
    again, resumed = long_students.learn(recipe, record.Run(tmp_path, "cut"), "KL")
    assert resumed["curve"] == curve["curve"] and [step for step, _ in curve["curve"]] == [2, 4]
    for one, other in zip(whole.get_weights(), again.get_weights()):
        np.testing.assert_allclose(one, other, atol=1e-6)


def test_a_teacher_takes_the_place_of_the_labels_and_of_nothing_else():
    inputs, labels = training.windows(docs.tokens("train"), 5, 0)
    seen, soft, weights = training.taught("docs-base")(inputs, labels, "weights")
    assert seen is inputs and weights == "weights" and soft.shape[:2] == labels.shape
    np.testing.assert_allclose(soft.sum(-1), 1, atol=1e-5)
    np.testing.assert_allclose(
        soft, distillation.soften(models.load("docs-base")(inputs), 1.0), atol=1e-5
    )
    assert 0.4 < np.mean(soft.argmax(-1) == labels) < 0.7  # as often as docs-base is right


def test_the_control_of_the_small_file_is_the_same_fine_tuning_without_a_teacher(
    tmp_path, monkeypatch
):
    found, shipped = make.results("docs-base-small-labels"), make.results("docs-base-small")
    assert found["test"]["tokens_sha256"] == shipped["test"]["tokens_sha256"]
    assert found["test"]["float"]["loss"] == pytest.approx(shipped["test"]["float"]["loss"])
    apart = found["test"]["against_labels"]["mean"]
    assert apart == pytest.approx(
        shipped["test"]["small"]["loss"] - found["test"]["small"]["loss"], rel=1e-3
    )
    heard = []
    monkeypatch.setattr(docs_small, "PARTS", 1)
    monkeypatch.setattr(docs_small.finetuning, "finetune", lambda *told: heard.append(told))
    monkeypatch.setattr(record.Run, "keep", lambda *told: None)
    monkeypatch.setattr(record.Run, "model", lambda self, part: None)
    model, steps = models.load("docs-base"), docs_small.recipe()
    docs_small.learnt(model, steps, record.Run(tmp_path, "a"), students.labels_only)
    docs_small.learnt(model, steps, record.Run(tmp_path, "b"))
    (one, batches, count, rounding, _, labels, _decay), other = heard
    assert one is other[0] and count == other[2] and rounding(0) == other[3](0) == steps
    inputs, targets = batches(0)
    np.testing.assert_array_equal(inputs, other[1](0)[0])
    silent = (targets[0], targets[1] * 0)
    logits = model(inputs)
    assert labels(targets, logits) == labels(silent, logits)
    assert other[5](targets, logits) != other[5](silent, logits)
