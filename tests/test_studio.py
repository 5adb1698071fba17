"""The studio: what it shows is what is on disk, and nonsense is answered."""

import asyncio
import difflib
import re
import threading

import numpy as np
import pytest
import small

from course_utils import compression, evaluation, litert, models, pruning, quantization
from course_utils.datasets import docs, tales
from course_utils.evaluation.bench import bench
from course_utils.evaluation.sweeps import front
from course_utils.evaluation.tasks import TASKS
from course_utils.lessons.frontier_pruning.explorers import Contest
from course_utils.widgets import studio as studio_room
from course_utils.widgets.html import page
from course_utils.widgets.studio import Studio, compared, render

PLAIN = {"step": None, "theta": None, "score": "magnitude", "on": "weight", "storage": "fixed"}


def test_docs_base_is_as_good_as_promised():
    # 7.0 is asked for; the text comes from installed packages, whose versions move it by a percent
    # or two
    assert (
        evaluation.next_token(
            models.load("docs-base"), docs.sequences("validation", 256)
        ).perplexity
        <= 7.0
    )


def test_the_number_under_the_slider_is_the_length_of_the_file():
    seen = bench("docs-tiny").measure(
        **{**PLAIN, "step": 0.05, "theta": 0.02, "storage": "entropy"}
    )
    recipe = [
        compression.Prune(pruning.magnitude, pruning.above(0.02)),
        compression.Quantize(quantization.step, step=0.05),
    ]
    made = compression.compress(models.load("docs-tiny"), recipe, "entropy")
    assert seen.ledger.total == len(made.content)
    after = evaluation.next_token(made.model, docs.sequences("validation", 16))
    assert (
        np.isclose(seen.perplexity, after.perplexity, rtol=1e-6) and seen.accuracy == after.accuracy
    )


def test_both_sliders_off_is_the_original():
    seen = bench("docs-tiny").measure(**PLAIN)
    assert (seen.accuracy, seen.perplexity, seen.ledger.total) == seen.original


def test_whoever_trains_the_original_trains_a_copy():
    here = bench("docs-tiny")
    for weight in here.original.weights:
        weight.assign(0 * weight)
    assert here.report()[0].accuracy > 0.3
    assert np.any(here.original.weights[0])


def test_each_move_measures_anew():
    here = bench("docs-tiny")
    quality = [here.measure(**{**PLAIN, "step": step}).perplexity for step in (0.01, 0.1, 0.4)]
    assert quality == sorted(quality) and quality[2] > 2 * quality[0]
    assert np.isclose(here.measure(**{**PLAIN, "step": 0.01}).perplexity, quality[0], rtol=1e-6)


def while_another_thread(moves, work):
    """What `work` gives, six times, while another thread moves a slider."""
    stop = threading.Event()

    def slide():
        while not stop.is_set():
            for move in moves:
                move()

    thread = threading.Thread(target=slide)
    thread.start()
    try:
        return [work() for _ in range(6)]
    finally:
        stop.set()
        thread.join()


def test_each_number_belongs_to_its_setting_whatever_other_threads_do():
    here = bench("digits-mlp")

    def setting(step, **more):
        return {name: v for name, v in {**PLAIN, "step": step, **more}.items() if name != "storage"}

    def seen(step, **more):
        result = here.measure("fixed", **setting(step, **more))
        return result.perplexity, result.accuracy, result.ledger.total, result.removed

    moves = [lambda: seen(1.0), lambda: seen(0.5, score="wanda", theta=0.5), lambda: seen(0.01)]
    want, report = seen(0.2), here.report(**setting(0.2))
    assert while_another_thread(moves, lambda: seen(0.2)) == [want] * 6
    assert while_another_thread(moves, lambda: here.report(**setting(0.2))) == [report] * 6


def test_a_race_belongs_to_its_sparsity_whatever_other_threads_do():
    tokens = np.random.default_rng(0).integers(0, 64, (4, 9))
    race = Contest(small.decoder(), tokens[:, :-1], tokens)

    def seen(sparsity):
        result = race.measure(sparsity, False)
        return result.perplexity, result.bytes, result.original

    want = seen(0.3)
    assert while_another_thread([lambda: seen(0.9), lambda: seen(0.6)], lambda: seen(0.3)) == (
        [want] * 6
    )


def test_a_model_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="unknown model 'gpt-5'.*docs-base"):
        Studio("gpt-5")


def test_nonsense_is_answered_and_the_last_good_state_stays():
    studio = Studio("digits-mlp")
    studio.controls["step"].value = 0.1
    good = studio.result
    for text in ("-1", "0", "abc", "nan", "1e9"):
        studio.controls["step"].box.value = text
        assert "Q must be a number from 0.0001 to 1" in studio.message.value
        assert studio.result is good and studio.controls["step"].value == 0.1
    studio.controls["step"].box.value = "0.1"
    studio.controls["theta"].box.value = "-0.5"
    assert "θ must be a number from" in studio.message.value
    studio.controls["theta"].box.value = "0.1"
    assert "must be" not in studio.message.value and studio.result.removed > 0


def test_other_rules_and_scores_are_live_too():
    here = bench("docs-tiny")
    eight, three = (here.measure(**PLAIN, rule="absmax", bits=bits) for bits in (8, 3))
    assert eight.perplexity < three.perplexity and eight.ledger.total > three.ledger.total
    share = here.measure(**{**PLAIN, "score": "wanda", "theta": 0.5}).removed
    assert 0 < share < 0.9
    studio = Studio("digits-mlp")
    studio.controls["score"].value, studio.controls["theta"].value = "wanda", 1.0
    studio.controls["on"].value = "unit"
    assert "wanda scores single weights" in studio.message.value


def test_a_model_of_the_tales_shows_its_skills():
    here = bench("tales")
    fine, rough = (here.measure(**{**PLAIN, "step": step}) for step in (None, 0.3))
    assert (fine.accuracy, fine.perplexity, fine.ledger.total) == fine.original
    assert fine.skills == evaluation.skills(models.load("tales"), TASKS["tales"].live, "validation")
    assert (
        evaluation.examples(TASKS["tales"].live, "validation").answers[: TASKS["tales"].live].sum()
        >= 2048
    )  # predictions, of stories alone
    for name in ("translate", "question", "mood"):
        assert rough.skills[name].score < fine.skills[name].score - 0.2
    shown = page(render(rough))
    assert all(skill in shown for skill in ("story", "translation", "questions", "mood"))
    prompt, original, ours = here.samples()
    assert prompt.startswith("<translate>") and original != ours
    right = tales.decode(tales.encode(tales.story("validation", 0).chinese))
    assert difflib.SequenceMatcher(None, "".join(original), right).ratio() > 0.9


def test_trail_and_front():
    studio = Studio("digits-mlp")
    for step in (0.01, 0.05, 0.2, 1.0):
        studio.controls["step"].value = step
    assert len(studio.trail["digits-mlp"]) == 5
    assert front([(10, 0.5), (20, 0.4), (30, 0.9), (5, 0.1)]) == [(5, 0.1), (10, 0.5), (30, 0.9)]


def test_the_button_reports_the_test_set():
    studio = Studio("digits-mlp")
    studio.controls["step"].value = 0.1
    studio.test()
    assert "test set: accuracy" in studio.verdict.value


def test_what_is_timed_is_the_setting_and_the_original():
    here, one = bench("digits-mlp"), bench("digits-mlp").one_input()
    files = here.exports(step=0.5, theta=None, score="magnitude", on="weight")
    said = [litert.Runner(content)(one) for content in files.values()]
    assert next(iter(files)) == "original, float32" and one.shape == (1, 64)
    np.testing.assert_allclose(said[0], here.original(one), atol=1e-4)
    np.testing.assert_allclose(said[1], here.twin(one), atol=1e-4)
    assert np.abs(said[0] - said[1]).max() > 0.1
    assert len(files["this setting, int8"]) < 0.6 * len(files["this setting, float32"])
    with pytest.raises(ValueError, match="several arrays"):
        bench("tales-seq2seq").exports(step=0.5, theta=None, score="magnitude", on="weight")


def test_speed_is_measured_on_demand_and_belongs_to_one_setting():
    studio = Studio("digits-mlp")
    studio.clock.click()
    assert re.search(r"float32 \d+\.\d\d \(\d.*8-bit weights \d+\.\d\d \(", studio.pace.value)
    studio.controls["step"].value = 0.1
    assert studio.pace.value == ""


def test_differences_in_the_text_are_marked():
    shown = compared("<p>", ["a", "b", "<c>"], ["a", "x", "<c>"])
    assert "<mark>x</mark>" in shown and "&lt;c&gt;" in shown and shown.count("&lt;p&gt;") == 2


def test_the_text_is_written_when_the_numbers_have_had_time(monkeypatch):
    monkeypatch.setattr(studio_room, "QUIET", 0.05)

    async def move():
        studio = Studio("docs-tiny")
        assert studio.sample.value == "" and studio.result
        for step in (0.1, 0.2):  # the first text is overtaken and never written
            studio.controls["step"].value = step
        await asyncio.sleep(0.5)
        return studio

    writes = []
    monkeypatch.setattr(
        studio_room, "compared", lambda *samples: writes.append(samples) or "written"
    )
    assert asyncio.run(move()).sample.value == "written" and len(writes) == 1
    Studio("docs-tiny")  # where nothing can wait it is written at once
    assert len(writes) == 2
