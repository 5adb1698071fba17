"""Data: splits that share nothing, the same windows each time, and text that comes back from
tokens."""

import ast
import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from course_utils.datasets import digits, docs

HELD_OUT = ("validation", "test")


# --- docstrings ----------------------------------------------------------------------------------


def test_modules_are_split_once_and_for_all():
    found = {split: set(docs.modules(split)) for split in docs.SPLITS}
    total = sum(map(len, found.values()))
    assert len(set().union(*found.values())) == total > 1000
    for split in HELD_OUT:
        assert 0.01 < len(found[split]) / total < 0.03
    assert all(docs.split_of(module) == split for split in docs.SPLITS for module in found[split])
    assert all("\\" not in module and "tests" not in module.split("/") for module in found["test"])


@given(st.text(min_size=1, max_size=40))
@settings(max_examples=50, deadline=None)
def test_any_text_comes_back_from_its_tokens(text):
    ids = docs.tokenizer().encode(text).ids
    assert docs.tokenizer().decode(ids, skip_special_tokens=False) == text
    assert all(0 <= one < 512 for one in ids)


def test_docstrings_are_real_and_held_out_ones_are_different():
    texts = {split: docs.docstrings(split) for split in HELD_OUT}
    for split, found in texts.items():
        assert len(found) > 100 and len(set(found)) == len(found) and min(map(len, found)) >= 80
        assert any("Parameters" in text for text in found), split
    shared = set(texts["validation"]) & set(texts["test"])
    assert len(shared) / len(texts["test"]) < 0.02  # a text that two modules have in common


def test_sequences_are_windows_of_the_line():
    line = docs.tokens("validation")
    windows = docs.sequences("validation", 16, length=32)
    assert windows.shape == (16, 33) and windows.dtype == np.int32
    np.testing.assert_array_equal(windows, docs.sequences("validation", 16, length=32))
    np.testing.assert_array_equal(windows[0], line[:33])
    np.testing.assert_array_equal(windows[-1], line[-33:])
    starts = np.linspace(0, len(line) - 33, 16).astype(int)
    assert np.all(np.diff(starts) >= 33)  # no token is counted twice
    end = docs.tokenizer().token_to_id(docs.END)
    assert line[-1] == end and np.sum(line == end) == len(docs.docstrings("validation"))


def test_standard_sets_fit():
    for split in HELD_OUT:
        assert docs.sequences(split, 256).shape == (256, 129)


def test_requests_that_cannot_be():
    with pytest.raises(
        ValueError, match="unknown split 'dev'; choose from: train, validation, test"
    ):
        docs.modules("dev")
    with pytest.raises(ValueError, match="count must be a whole number from 1 to"):
        docs.sequences("validation", 10**6)
    with pytest.raises(ValueError, match="unknown split 'dev'"):
        digits.load("dev")


def test_held_out_text_is_ready_at_once():
    seconds = subprocess.run(
        [
            sys.executable,
            "-c",
            "import time; from course_utils.datasets import docs; begun = time.process_time()\n"
            "docs.sequences('validation'); print(time.process_time() - begun)",
        ],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    ).stdout
    assert float(seconds) < 5


# --- digits --------------------------------------------------------------------------------------


def test_digits_are_split_three_ways():
    from sklearn.datasets import load_digits

    scans, labels = zip(*(digits.load(split) for split in digits.SPLITS))
    assert [len(one) for one in labels] == [1097, 300, 400]
    everything, truth = np.concatenate(scans), np.concatenate(labels)
    assert (
        everything.shape == (1797, 64)
        and everything.dtype == np.float32
        and truth.dtype == np.int32
    )
    assert everything.min() == 0 and everything.max() == 1
    # every scan of scikit-learn's once, with its own label
    original = load_digits()
    ours = sorted(
        (tuple(scan), label)
        for scan, label in zip(np.rint(everything * 16).astype(int).tolist(), truth.tolist())
    )
    theirs = sorted(
        (tuple(scan), label)
        for scan, label in zip(original.data.astype(int).tolist(), original.target.tolist())
    )
    assert ours == theirs
    for one in labels:
        assert np.bincount(one, minlength=10).min() > 0.05 * len(one)


def test_digits_are_the_same_each_time():
    np.testing.assert_array_equal(digits.load("test")[0], digits.load("test")[0])


@pytest.fixture
def read_anew(tmp_path, monkeypatch):
    """Counts how often a split is read from its sources, with an empty temporary folder."""
    monkeypatch.setattr(docs.tempfile, "gettempdir", lambda: str(tmp_path))
    times = []

    def encoded(split, whole=docs.encoded):
        times.append(split)
        return whole(split)

    monkeypatch.setattr(docs, "encoded", encoded)
    return times


def test_tokens_are_kept_for_the_next_kernel(read_anew, tmp_path):
    first, again = docs.tokens.__wrapped__("validation"), docs.tokens.__wrapped__("validation")
    np.testing.assert_array_equal(first, again)
    assert read_anew == ["validation"] and first.dtype == again.dtype == np.int32
    (kept,) = tmp_path.rglob("*.bin")
    kept.write_bytes(kept.read_bytes()[:-2])  # damaged: read again, not believed
    np.testing.assert_array_equal(docs.tokens.__wrapped__("validation"), first)
    assert read_anew == ["validation"] * 2


def test_tokens_of_other_sources_have_another_name(read_anew, monkeypatch):
    before = docs.kept_at("validation")
    monkeypatch.setattr(docs, "_described", lambda: "another tokenizer")
    assert docs.kept_at("validation") != before


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="Windows gives each user a folder")
def test_a_folder_that_others_can_write_into_is_not_believed(read_anew, tmp_path):
    folder = tmp_path / f"course_utils-{os.getuid()}"
    folder.mkdir()
    folder.chmod(0o777)
    docs.tokens.__wrapped__("validation")
    docs.tokens.__wrapped__("validation")
    assert read_anew == ["validation"] * 2 and not list(folder.iterdir())


# --- sizes ---------------------------------------------------------------------------------------


def test_sizes_of_every_type_cut_the_same_windows():
    windows = docs.sequences("validation", np.uint8(200), np.uint8(16))
    np.testing.assert_array_equal(windows, docs.sequences("validation", 200, 16))
    np.testing.assert_array_equal(windows, docs.sequences("validation", 200.0, 16.0))


@pytest.mark.parametrize("bad", [-1, 0, 1.5, 10**9, np.inf, np.nan, "4", 4j, None])
def test_sizes_that_are_none_are_named(bad):
    with pytest.raises(ValueError, match="length must be a whole number from 1 to"):
        docs.sequences("validation", 2, bad)
    with pytest.raises(ValueError, match="count must be a whole number from 1 to"):
        docs.sequences("validation", bad)


EVERYWHERE = """
def first():
    def inside(): ...
    return lambda: [i for i in ()]
class One:
    async def late(self):
        with self:
            def deep(): ...
if True:
    def yes(): ...
else:
    def no(): ...
for i in ():
    while i:
        def loop(): ...
    else:
        def never(): ...
try:
    def tried(): ...
except ValueError:
    def caught(): ...
else:
    def well(): ...
finally:
    def at_last(): ...
match 1:
    case 1:
        def matched(): ...
"""


def test_statements_are_those_of_a_walk_and_in_its_order():
    tree = ast.parse(EVERYWHERE)
    kinds = (ast.mod, ast.stmt, ast.excepthandler, ast.match_case)
    walked = [node for node in ast.walk(tree) if isinstance(node, kinds)]
    assert list(docs.statements(tree)) == walked
    assert sum(isinstance(node, ast.FunctionDef) for node in walked) == 12
