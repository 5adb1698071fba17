"""Kinds of models: an entry in the catalogue and a task are all that a new one needs."""

import ast

import numpy as np
import pytest

from course_utils import compression, files, models, quantization
from course_utils.backend import keras, tf
from course_utils.compression import Quantize
from course_utils.evaluation import bench, sweeps, tasks
from course_utils.files import ROOT
from course_utils.models import catalogue, checkpoint
from course_utils.widgets.studio import Studio

# --- a kind of its own ---------------------------------------------------------------------------


@keras.saving.register_keras_serializable("course_utils_tests")
class Compass(keras.Model):
    """Says from two coordinates in which of four quarters a point lies."""

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.first = keras.layers.Dense(16, activation="relu", name="first")
        self.quarters = keras.layers.Dense(4, name="quarters")

    def build(self, shape=None):
        self.first.build((None, 2))
        self.quarters.build((None, 16))
        self.built = True

    def call(self, points):
        return self.quarters(self.first(points))


class Quarters:
    """Which quarter of the plane a point lies in."""

    live, report = 200, 400

    def data(self, split, count):
        seed = ("train", "validation", "test").index(split)
        points = np.random.default_rng(seed).normal(size=(count, 2)).astype(np.float32)
        return points, (points[:, 0] > 0) + 2 * (points[:, 1] > 0)

    def score(self, model, data):
        points, right = data
        logits = model(points)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(right, logits)
        accuracy = float(np.mean(np.argmax(logits, -1) == right))
        return tasks.Score(accuracy, float(np.exp(np.mean(loss))), None)

    def inputs(self, data):
        return data[0]

    def sample(self, model):
        return "north-east: ", [str(np.argmax(model(np.ones((1, 2), np.float32))))]


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder of data that holds one compass and nothing else, and the compass."""
    keras.utils.set_random_seed(0)
    model = Compass(name="compass")
    model.build()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(0.03), loss)
    model.fit(*Quarters().data("train", 2000), epochs=3, verbose=0)
    folder = tmp_path_factory.mktemp("data")
    checkpoint.save(folder / "models" / "compass.safetensors", model, {"command": "a test"})
    return folder, model


@pytest.fixture
def compass(trained, monkeypatch):
    """A trained compass among the shipped models: an entry, a task, a checkpoint."""
    monkeypatch.setitem(catalogue.CATALOGUE, "compass", catalogue.Entry(Compass, "quarters"))
    monkeypatch.setitem(tasks.TASKS, "quarters", Quarters())
    monkeypatch.setattr(files, "DATA", trained[0])
    monkeypatch.setattr(files, "ADDED", trained[0] / "added")  # nor what somebody brought
    yield trained[1]
    bench.bench.cache_clear()


def test_a_new_kind_is_listed_and_loads(compass):
    assert models.names() == ("compass",)
    points = Quarters().data("test", 5)[0]
    assert np.array_equal(models.load("compass")(points), compass(points))


def test_a_new_kind_opens_in_the_studio_and_its_sliders_move(compass):
    studio = Studio("compass")
    fine = studio.result
    assert fine.accuracy > 0.9 and fine.ledger.total == compression.baseline(compass)
    assert "north-east: 3" in studio.sample.value
    studio.controls["step"].value = 1.0
    assert studio.result.accuracy < fine.accuracy and studio.result.ledger.total < fine.ledger.total
    studio.controls["score"].value = "wanda"  # which asks for what its layers read
    studio.controls["theta"].value = 0.5
    assert 0 < studio.result.removed < 1
    studio.test()
    assert "test set: accuracy" in studio.verdict.value


def test_a_new_kind_sweeps(compass):
    recipes = {"float": [], "2 bits": [Quantize(quantization.absmax, bits=2)]}
    data = Quarters().data("validation", 300)
    rows = sweeps.sweep("compass", recipes, data, jobs=1)
    assert rows[0].accuracy == Quarters().score(compass, data).accuracy > rows[1].accuracy
    assert rows[0].bytes > rows[1].bytes


def test_a_new_kind_is_saved_small_and_read_again(compass, tmp_path):
    small = compression.compress(compass, [Quantize(quantization.absmax, bits=4)])
    path, points = tmp_path / "small.safetensors", Quarters().data("test", 50)[0]
    again = compression.load(small.save(path))
    assert np.array_equal(again(points), small.model(points))


# --- the shipped ones ----------------------------------------------------------------------------


def test_every_shipped_model_is_in_the_catalogue_and_of_its_kind():
    for name in models.names():
        entry, model = catalogue.entry(name), models.load(name)
        assert entry.task in tasks.TASKS
        assert not isinstance(entry.kind, type) or type(model) is entry.kind


@pytest.mark.parametrize("name", ["docs-lstm", "tales-seq2seq", "tales-pretrained"])
def test_every_kind_with_matrices_opens_on_the_bench(name, monkeypatch):
    monkeypatch.setattr(tasks.of(name), "live", 4)  # enough for a step that breaks every model
    here = bench.Bench(name)
    coarse = here.measure(
        step=0.3, theta=None, score="magnitude", on="weight", storage="fixed", rule="step", bits=4
    )
    assert coarse.perplexity > 1.2 * here.reference[1] and coarse.ledger.total < here.reference[2]


@pytest.mark.parametrize("name", ["docs-ngram", "docs-hmm"])
def test_a_model_without_matrices_is_refused_by_name(name):
    with pytest.raises(ValueError, match=f"{name} has no matrix of a layer"):
        bench.bench(name)


def test_the_bench_names_what_there_is():
    with pytest.raises(ValueError, match="unknown model 'docs-huge'; choose from: .*digits-cnn"):
        bench.bench("docs-huge")


def test_only_models_and_tasks_know_what_kinds_there_are():
    kinds = {entry.kind.__name__ for entry in catalogue.CATALOGUE.values()}
    kinds.discard("mlp")  # a function that builds stock layers
    package = ROOT / "course_utils"
    allowed = [package / "models", package / "lessons", package / "evaluation" / "tasks.py"]
    for path in package.rglob("*.py"):
        if any(room in (path, *path.parents) for room in allowed):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf8"))):
            name = getattr(node, "id", None) or getattr(node, "attr", None)
            name = node.name if isinstance(node, ast.alias) else name
            assert name not in kinds, f"{path.name} names {name}"
            if isinstance(node, ast.Call) and getattr(node.func, "attr", "") == "startswith":
                text = ast.unparse(node.args[0]).strip("'\"")
                prefixes = {known.partition("-")[0] for known in catalogue.CATALOGUE}
                assert text.rstrip("-") not in prefixes, f"{path.name} asks for {text!r}"
