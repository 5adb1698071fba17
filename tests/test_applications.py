"""The table over applications: chosen on validation data, reported on test data, never done twice."""

import dataclasses

import numpy as np
import pytest

from course_utils.evaluation.tasks import TASKS, Score
from course_utils.experiments import applications
from course_utils.experiments.record import Run, results

KINDS = ["float", "quantized", "pruned", "combined"]


@pytest.fixture(scope="module")
def variants():
    return applications.Variants("digits-mlp")


@pytest.fixture(scope="module")
def rows(variants):
    return {row["kind"]: row for row in variants.rows()}


def test_each_kind_is_chosen_and_has_a_file_an_interval_and_a_time(rows):
    assert list(rows)[:4] == KINDS
    assert all(row["bytes"] > 0 and row["ms"] > 0 for row in rows.values())
    assert all(row["interval"][0] <= row["quality"] <= row["interval"][1] for row in rows.values())
    assert rows["combined"]["bytes"] < min(rows[kind]["bytes"] for kind in KINDS[:3])


def test_the_choice_is_the_smallest_that_is_good_enough(variants, rows):
    least = variants.found["float"]["quality"][""] * (1 - applications.SPARE)
    tried = {label: one for label, one in variants.found.items() if " bits" in label}
    tried = {label: one for label, one in tried.items() if ";" not in label}
    assert len(tried) == 9
    good = {label: one["bytes"] for label, one in tried.items() if one["quality"][""] >= least}
    assert 0 < len(good) < len(tried)
    assert rows["quantized"]["variant"] in good
    assert rows["quantized"]["bytes"] == min(good.values())


def test_test_data_are_not_looked_at_before_the_choice(monkeypatch):
    seen = []

    class Watched(type(TASKS["digits"])):
        def data(self, split, count=None):
            seen.append(split)
            return super().data(split, 20)

    monkeypatch.setattr(applications.tasks, "of", lambda name: Watched())
    watched = applications.Variants("digits-mlp")
    watched.best("", {"8": applications.rounded(watched.model, "absmax", 8)})
    assert seen == ["train", "validation"]


def test_where_nothing_is_good_enough_the_best_is_taken(variants):
    choices = {f"{bits}": applications.rounded(variants.model, "absmax", bits) for bits in (2, 3)}
    kept = dict(variants.found)
    variants.found["float"] = {"bytes": 1, "quality": {"": 2.0}}
    assert variants.best("", choices) == "3"
    variants.found.update(kept)


def test_what_is_measured_is_not_measured_again(tmp_path, monkeypatch):
    run = Run(tmp_path, "applications")
    first = applications.Variants("digits-mlp", run)
    steps = {"4": applications.rounded(first.model, "absmax", 4)}
    first.best("", steps)

    def never(*_):
        raise AssertionError("measured again")

    again = applications.Variants("digits-mlp", Run(tmp_path, "applications"))
    monkeypatch.setattr(again.task, "score", never, raising=False)
    assert again.best("", steps) == "4" and again.found == first.found


def test_skills_and_single_qualities_are_told_apart():
    @dataclasses.dataclass
    class Seen:
        score: float
        interval: tuple

    several = Score(0.5, None, {"a": Seen(0.25, (0, 1)), "b": Seen(0.75, (0, 1))})
    assert applications.judged(several)["b"] == (0.75, (0, 1))
    assert applications.judged(Score(0.5, None, None, value=7.0)) == {"": (7.0, None)}


def test_a_rule_that_asks_for_inputs_spares_what_has_none():
    from course_utils import models
    from course_utils.compression import compress
    from course_utils.datasets import docs

    model = models.load("docs-tiny")
    steps = applications.rounded(model, "corrected GPTQ", 4)
    names = {step.rule.__name__ for step in steps}
    assert names == {"absmax", "corrected_gptq"}  # the embedding is looked up
    small = compress(model, steps, calibration=docs.sequences("train", 4)[:, :-1])
    assert np.isfinite(small.model(docs.sequences("validation", 1)[:, :-1])).all()


def test_an_unknown_application_is_named():
    with pytest.raises(ValueError, match="unknown application 'cooking'; choose from: text"):
        applications.rows("cooking")


@pytest.mark.slow
@pytest.mark.parametrize(
    "application", ("image classification", "speech recognition", "speech enhancement")
)
def test_what_is_recorded_is_measured_anew(application):
    found = results("applications")["applications"][application]
    variants = applications.Variants(found["model"])
    skill = applications.APPLICATIONS[application][1]
    data = variants.task.data("test", variants.count)
    rows = {row["kind"]: row for row in found["rows"]}
    score, rule = (rows[kind]["variant"].split(",")[0] for kind in ("pruned", "quantized"))
    choices = {
        "quantized": applications.roundings(variants.model),
        "pruned": applications.prunings(variants.model),
        "combined": applications.combinations(variants.model, score, rule),
    }
    for kind, choice in choices.items():
        label = rows[kind]["variant"]
        small = variants.made(label, choice[label], rows[kind]["storage"])
        quality, _ = applications.judged(variants.task.score(small.model, data))[skill]
        assert abs(quality - rows[kind]["quality"]) < 0.01
        assert abs(len(small.content) / rows[kind]["bytes"] - 1) < 0.01
        assert rows[kind]["bytes"] < rows["float"]["bytes"]
