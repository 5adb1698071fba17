"""Sweeps: rows say what a lone measurement says, on every kind of worker, and what is measured
stays measured."""

import dataclasses
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest
import small
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils import compression, evaluation, models, pruning, quantization
from course_utils.backend import tf
from course_utils.compression import Apply, Prune, Quantize
from course_utils.datasets import docs
from course_utils.evaluation import sweeps
from course_utils.models import description

TOKENS = np.random.default_rng(0).integers(0, 64, (6, 9)).astype(np.int32)
RECIPES = {
    "as it is": [],
    "8 bits": [Quantize(quantization.absmax, bits=8)],
    "half": [Prune(pruning.magnitude, pruning.fraction(0.5))],
    "both": [
        Prune(pruning.magnitude, pruning.fraction(0.5)),
        Quantize(quantization.absmax, bits=3),
    ],
}


@pytest.fixture(scope="module")
def model():
    return small.decoder(width=32)


@pytest.fixture(scope="module")
def rows(model):
    return sweeps.sweep(model, RECIPES, TOKENS, storage=("fixed", "entropy"), jobs=1)


def timeless(rows):
    return [dataclasses.replace(row, seconds=0) for row in rows]


def test_rows_say_what_compress_and_next_token_say(model, rows):
    wanted = [(name, kind) for name in RECIPES for kind in ("fixed", "entropy")]
    assert [(row.recipe, row.storage) for row in rows] == wanted
    for row in rows:
        small = compression.compress(model, RECIPES[row.recipe], row.storage)
        score = evaluation.next_token(small.model, TOKENS)
        assert (row.bytes, row.bits_per_weight) == (
            len(small.content),
            small.ledger.bits_per_weight,
        )
        assert row.accuracy == score.accuracy and row.perplexity == pytest.approx(
            score.perplexity, rel=1e-6
        )
    assert len({row.bytes for row in rows}) > 4


def test_a_shipped_model_is_known_by_its_name():
    tokens = docs.sequences("validation", 2)
    (row,) = sweeps.sweep(
        "docs-tiny", {"4 bits": [Quantize(quantization.absmax, bits=4)]}, tokens, jobs=1
    )
    small = compression.compress(models.load("docs-tiny"), [Quantize(quantization.absmax, bits=4)])
    assert row.bytes == len(small.content)
    assert row.perplexity == pytest.approx(
        evaluation.next_token(small.model, tokens).perplexity, rel=1e-5
    )


def test_processes_give_the_rows_of_one_process(model, rows, tmp_path):
    apart = sweeps.sweep(
        model, RECIPES, TOKENS, storage=("fixed", "entropy"), path=tmp_path / "rows.jsonl", jobs=2
    )
    for one, other in zip(timeless(rows), timeless(apart), strict=True):
        assert one.perplexity == pytest.approx(other.perplexity, rel=1e-5)
        assert dataclasses.replace(one, perplexity=0) == dataclasses.replace(other, perplexity=0)
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 8


def threads_of_a_worker(who, source):
    sweeps.restored(who, source)
    return tf.config.threading.get_intra_op_parallelism_threads()


def test_a_worker_computes_on_one_thread_and_the_learner_keeps_all(model):
    source = description.describe(model), model.get_weights()
    task = joblib.delayed(threads_of_a_worker)(sweeps.identity(model), source)
    assert set(joblib.Parallel(n_jobs=2)([task, task])) == {1}
    assert threads_of_a_worker(sweeps.identity(model), source) == 0  # as many as there are


def test_a_cluster_gives_the_rows_of_one_process(model, rows, monkeypatch):
    distributed = pytest.importorskip("distributed", reason="the extra 'cluster' is not installed")
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(path for path in sys.path if path))
    with (
        distributed.LocalCluster(
            n_workers=2, threads_per_worker=1, dashboard_address=None
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        with joblib.parallel_config(backend="dask"):
            apart = sweeps.sweep(model, RECIPES, TOKENS, storage=("fixed", "entropy"))
        loaded = client.run(
            lambda: len(vars(sys.modules.get("course_utils.sweeps", sys)).get("_loaded", ()))
        )
    assert [row.bytes for row in apart] == [row.bytes for row in rows]
    assert np.allclose(
        [row.perplexity for row in apart], [row.perplexity for row in rows], rtol=1e-5
    )
    assert sum(loaded.values()) >= 1  # the work was done over there


# --- nothing is lost -----------------------------------------------------------------------------


def interrupting(weights, after):
    """A rule that stops the run as a learner would, at the first matrix of its recipe."""
    raise KeyboardInterrupt


def test_an_interrupted_sweep_goes_on_where_it_was(model, rows, tmp_path, monkeypatch):
    path = tmp_path / "rows.jsonl"
    broken = {
        "as it is": RECIPES["as it is"],
        "8 bits": RECIPES["8 bits"],
        "stop": [Apply(interrupting, after=2)],
    }
    with pytest.raises(KeyboardInterrupt):
        sweeps.sweep(model, broken, TOKENS, path=path, jobs=1)
    assert [json.loads(line)["recipe"] for line in path.read_text().splitlines()] == [
        "as it is",
        "8 bits",
    ]
    measured, measure = [], sweeps.measure
    monkeypatch.setattr(
        sweeps, "measure", lambda *args: measured.append(args[2:5:2]) or measure(*args)
    )
    whole = sweeps.sweep(model, RECIPES, TOKENS, storage=("fixed", "entropy"), path=path, jobs=1)
    assert measured == [
        ("as it is", ["entropy"]),
        ("8 bits", ["entropy"]),
        ("half", ["fixed", "entropy"]),
        ("both", ["fixed", "entropy"]),
    ]
    assert timeless(whole) == timeless(rows)
    again = sweeps.sweep(model, RECIPES, TOKENS, storage=("fixed", "entropy"), path=path, jobs=1)
    assert again == whole and len(measured) == 4


KILLED = """
import sys, time
from test_sweeps import *
def slow(weights, number):
    time.sleep(0.05)
    return weights
recipes = {str(number): [Apply(slow, number=number)] for number in range(200)}
sweeps.sweep(small.decoder(width=32), recipes, TOKENS, path=sys.argv[1], jobs=1)
"""


def test_a_killed_sweep_leaves_only_whole_rows(tmp_path):
    path, script = tmp_path / "rows.jsonl", tmp_path / "killed.py"
    script.write_text(KILLED)
    here = {
        "PYTHONPATH": os.pathsep.join([str(pathlib.Path(__file__).parent), *filter(None, sys.path)])
    }
    command = [sys.executable, script, path]
    with subprocess.Popen(command, env={**os.environ, **here}, stderr=subprocess.DEVNULL) as run:
        while run.poll() is None and (not path.exists() or path.read_bytes().count(b"\n") < 2):
            time.sleep(0.02)
        run.kill()
    assert 2 <= len(sweeps.finished(path)) < 200


def line(number):
    row = sweeps.Row(f"recipe {number}", "fixed", 0.5, 7.5 + number, 10, 4.0, 0.1)
    return json.dumps({"key": str(number), **dataclasses.asdict(row)}).encode() + b"\n"


LINES = b"".join(map(line, range(4)))


@given(cut=st.integers(0, len(LINES)))
@settings(max_examples=60, deadline=None)
def test_a_file_cut_anywhere_keeps_its_whole_rows_and_can_be_added_to(tmp_path_factory, cut):
    path = tmp_path_factory.mktemp("cut") / "rows.jsonl"
    path.write_bytes(LINES[:cut])
    kept = sweeps.finished(path)
    assert list(kept) == [str(i) for i in range(LINES[:cut].count(b"\n"))]
    sweeps.append(path, "new", sweeps.Row("new", "fixed", 0.5, float("inf"), 10, 4.0, 0.1))
    assert list(sweeps.finished(path)) == [*kept, "new"]
    assert sweeps.finished(path)["new"].perplexity == float("inf")


@pytest.mark.parametrize(
    "content", [b"model weights", b"a,b\n1,2\n", b'{"key": "0"}\n', b"[]\n", LINES + b"\x00\x01"]
)
def test_a_foreign_file_is_refused_and_left_alone(model, tmp_path, content):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="of a sweep"):
        sweeps.sweep(model, RECIPES, TOKENS, path=path, jobs=1)
    assert path.read_bytes() == content


# --- what makes two rows the same ----------------------------------------------------------------


def scaled(weights, by):
    return weights * by


class Remembering:
    def rule(self, weights):
        return weights


def test_recipes_say_what_they_are():
    described = {
        "Quantize(quantization.absmax, bits=4, group_size=32)": Quantize(
            quantization.absmax, group_size=32, bits=4
        ),
        "Prune(pruning.magnitude, pruning.above(theta=0.1))": Prune(
            pruning.magnitude, pruning.above(0.1)
        ),
        "Prune(pruning.unit_magnitude, pruning.fraction(share=0.5), only='up')": Prune(
            pruning.unit_magnitude, pruning.fraction(0.5), only="up"
        ),
        "Apply(test_sweeps.scaled, by=[2, 0.5])": Apply(scaled, by=(2, 0.5)),
    }
    assert [repr(step) for step in described.values()] == list(described)
    large = [np.zeros(5000), np.eye(1, 5000, 2500)]  # numpy prints both as [0. 0. ... 0. 0.]
    zeros, one = (repr(Apply(scaled, by=values)) for values in large)
    assert zeros != one and " at 0x" not in zeros


@pytest.mark.parametrize(
    "make, value, other",
    [
        (pruning.above, 0.1, 0.2),
        (pruning.fraction, 0.1, 0.2),
        (pruning.taylor, np.ones((2, 2)), np.zeros((2, 2))),
    ],
)
def test_what_a_mask_remembers_is_in_its_words(make, value, other):
    words = [compression.spell(make(argument)) for argument in (value, value, other)]
    assert words[0] == words[1] != words[2] and words[0].startswith(f"pruning.{make.__name__}(")


def edited(version):
    """A rule as a learner's notebook holds it, before and after an edit."""
    space = {"__name__": "__main__"}
    source = f"def rule(weights):\n    return weights * {version}\n"
    import linecache

    linecache.cache[f"<cell {version}>"] = (
        len(source),
        None,
        source.splitlines(True),
        f"<cell {version}>",
    )
    exec(compile(source, f"<cell {version}>", "exec"), space)
    return [Apply(space["rule"])]


def test_a_row_is_measured_anew_when_anything_it_rests_on_changes(model, tmp_path, monkeypatch):
    path, measured, measure = tmp_path / "rows.jsonl", [], sweeps.measure
    monkeypatch.setattr(sweeps, "measure", lambda *args: measured.append(args[2]) or measure(*args))
    other = small.decoder(width=32, seed=1)
    eight = RECIPES["8 bits"]
    for changed in (
        (model, eight, TOKENS),
        (other, eight, TOKENS),
        (model, eight, TOKENS[:5]),
        (model, RECIPES["both"], TOKENS),
        (model, [Quantize(quantization.absmax, bits=7)], TOKENS),
        (model, eight, TOKENS, "entropy"),
        (model, eight, TOKENS, "fixed", TOKENS[:, :-1]),
        (model, edited(1), TOKENS),
        (model, edited(2), TOKENS),
    ):
        before = len(measured)
        sweeps.sweep(changed[0], {"one": changed[1]}, *changed[2:], path=path, jobs=1)
        (row,) = sweeps.sweep(changed[0], {"the same": changed[1]}, *changed[2:], path=path, jobs=1)
        assert (
            len(measured) == before + 1 and row.recipe == "the same"
        )  # once, and a new name costs nothing


SCALE = 1.0


def scale(by):
    def rule(weights, by=by):
        return weights * np.float32(by)

    return rule


def scale_by_keyword(by):
    def rule(weights, *, by=by):
        return weights * np.float32(by)

    return rule


def nested(by):
    inner = scale(by)

    def rule(weights):
        return inner(weights)

    return rule


class Rule:
    def __init__(self, by):
        self.by = by

    def __call__(self, weights):
        return weights * np.float32(self.by)

    def __repr__(self):
        return "Rule"


def closed_over(by):
    held = Rule(by)

    def rule(weights):
        return held(weights)

    return rule


@dataclasses.dataclass(frozen=True)
class Held:
    values: object

    def __call__(self, weights):
        return weights * np.float32(np.asarray(self.values)[1000])


def like(weights, of):
    return weights * np.float32(np.any(np.asarray(of.get_weights()[0])))


def times(weights, values):
    return weights * np.float32(np.asarray(values)[1000])


def by_global(weights):
    return weights * np.float32(SCALE)


def middle(value):
    values = np.ones(2000, np.float32)
    values[1000] = value
    return values


def silent(by):
    model = small.decoder()
    if not by:
        model.set_weights([0 * weight for weight in model.get_weights()])
    return model


PAIRS = {
    "lambdas": lambda by: (lambda w: w) if by else (lambda w: 0 * w),
    "defaults": scale,
    "defaults of keywords": scale_by_keyword,
    "a function in a closure": nested,
    "an object that always says the same": Rule,
    "a closure over one": closed_over,
    "an array in a dataclass": lambda by: Held(middle(by)),
    "a tensor in a dataclass": lambda by: Held(tf.constant(middle(by))),
}
ARGUMENTS = {
    "a model": lambda by: Apply(like, of=silent(by)),
    "a tensor": lambda by: Apply(times, values=tf.constant(middle(by))),
    "an array in a list": lambda by: Apply(
        lambda w, values: times(w, values[0]), values=[middle(by)]
    ),
    "an object": lambda by: Apply(lambda w, then: then(w), then=Rule(by)),
}


def step_of(kind, by):
    return ARGUMENTS[kind](by) if kind in ARGUMENTS else Apply(PAIRS[kind](by))


@pytest.mark.parametrize("kind", [*PAIRS, *ARGUMENTS])
def test_two_recipes_share_a_row_only_if_they_are_the_same(model, rows, tmp_path, kind):
    recipes = {"all": [step_of(kind, 1)], "none": [step_of(kind, 0)]}
    (all_of_it, __), none = rows[:2], sweeps.sweep(model, recipes, TOKENS, jobs=1)
    assert none[0].perplexity == pytest.approx(all_of_it.perplexity, rel=1e-6)
    assert none[1].perplexity == pytest.approx(64, rel=1e-6)  # it knows nothing
    path, known = tmp_path / "rows.jsonl", {}
    for by in (1, 0):
        try:
            (row,) = sweeps.sweep(model, {"one": [step_of(kind, by)]}, TOKENS, path=path, jobs=1)
            known[by] = row.perplexity
        except ValueError as refusal:
            assert "needs a name" in str(refusal)
    assert known in ({}, {1: none[0].perplexity, 0: none[1].perplexity})


def test_a_global_that_a_rule_reads_is_part_of_it(model, tmp_path, monkeypatch):
    found = []
    for value in (1.0, 0.0, 1.0):
        monkeypatch.setitem(globals(), "SCALE", value)
        (row,) = sweeps.sweep(
            model, {"one": [Apply(by_global)]}, TOKENS, path=tmp_path / "rows.jsonl", jobs=1
        )
        found.append(row)
    assert found[0].perplexity != found[1].perplexity and found[0] == found[2]


def test_a_changed_model_has_an_identity_of_its_own(model):
    other = small.decoder(width=32)
    assert sweeps.identity(other) == sweeps.identity(model)
    other.blocks[0].mlp_norm.epsilon = 10.0
    assert sweeps.identity(other) != sweeps.identity(model)


def test_keys_of_the_package_s_own_recipes_stay_as_they_were():
    steps = [
        Prune(pruning.magnitude, pruning.above(0.1)),
        Quantize(quantization.absmax, bits=4, group_size=32),
    ]
    assert (
        sweeps.key(["a", "b", "fixed"], steps, None, "x")
        == hashlib.sha256(json.dumps(["a", "b", "fixed", repr(steps), []]).encode()).hexdigest()
    )


@pytest.mark.parametrize(
    "odd",
    [
        {"accuracy": float("nan")},
        {"accuracy": "much"},
        {"bytes": -5},
        {"bytes": 5.5},
        {"perplexity": "much"},
        {"perplexity": float("nan")},
        {"seconds": None},
        {"recipe": 5},
        {"bits_per_weight": True},
    ],
)
def test_rows_that_no_measurement_gives_are_refused(tmp_path, odd):
    path = tmp_path / "rows.jsonl"
    path.write_text(json.dumps({**json.loads(line(0)), **odd}) + "\n")
    with pytest.raises(ValueError, match="line 1, is no row of a sweep"):
        sweeps.finished(path)


def test_reading_never_writes(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_bytes(LINES[:-20])  # another process may be adding to it
    assert len(sweeps.finished(path)) == 3 and path.read_bytes() == LINES[:-20]


def test_a_rule_without_a_name_is_refused_where_rows_are_kept(model, tmp_path):
    for rule in (lambda weights: weights / 2, Remembering().rule):
        assert len(sweeps.sweep(model, {"half": [Apply(rule)]}, TOKENS, jobs=1)) == 1
        with pytest.raises(ValueError, match="needs a name"):
            sweeps.sweep(
                model, {"half": [Apply(rule)]}, TOKENS, path=tmp_path / "rows.jsonl", jobs=1
            )


def test_a_worker_with_another_model_of_that_name_says_so():
    sweeps._loaded.clear()
    with pytest.raises(ValueError, match="another model called 'docs-base'"):
        sweeps.restored("0" * 64, "docs-base")


def test_bad_arguments_are_named(model):
    with pytest.raises(ValueError, match="at least one recipe"):
        sweeps.sweep(model, {}, TOKENS)
    with pytest.raises(ValueError, match="unknown storage 'zip'"):
        sweeps.sweep(model, RECIPES, TOKENS, storage="zip")
    with pytest.raises(ValueError, match="unknown model 'docs-huge'"):
        sweeps.sweep("docs-huge", RECIPES, TOKENS)


# --- what it shows -------------------------------------------------------------------------------


def test_the_front_holds_what_nothing_beats():
    better_for_more = [(100, 9.0), (200, 9.5), (400, 9.7)]
    assert sweeps.front([(300, 9.2), *better_for_more, (100, 8.0), (500, 9.7)]) == better_for_more
    assert sweeps.front([]) == []
