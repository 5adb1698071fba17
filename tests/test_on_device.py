"""Writing with LiteRT: the same text as Keras, from a file whose caches stay in it."""

import numpy as np
import pytest

from course_utils import decoding, models
from course_utils.decoding import on_device


@pytest.fixture(scope="module")
def tiny():
    return models.load("docs-tiny")


@pytest.fixture(scope="module")
def content(tiny):
    return on_device.export_step(tiny, "float")


@pytest.fixture(scope="module")
def writer(tiny, content):
    return on_device.Writer(tiny, content)


def test_a_float_file_writes_what_keras_writes(tiny, writer):
    for prompt in ([1], [5, 100, 7], list(range(60))):
        wanted = decoding.generate(tiny, prompt, 60)
        assert writer.generate(prompt, 60).tolist() == wanted.tolist()


def test_one_text_leaves_nothing_for_the_next(writer):
    first = writer.generate([5, 100, 7], 40).tolist()
    writer.generate(list(range(90)), 30)
    assert writer.generate([5, 100, 7], 40).tolist() == first


def test_int8_is_a_quarter_and_mostly_agrees_where_it_reads_the_same(tiny, content):
    small = on_device.export_step(tiny, "dynamic")
    eight = on_device.Writer(tiny, small)
    text = decoding.generate(tiny, [5, 100, 7], 100)
    same = [eight.step(token, at) == text[at + 1] for at, token in enumerate(text[:-1])][2:]
    assert np.mean(same) > 0.9  # each step reads Keras's text: one odd token is not the next one's
    assert len(small) < 0.4 * len(content)


def test_what_does_not_fit_is_refused(writer):
    with pytest.raises(ValueError, match=r"prompt length must be .* got 0"):
        writer.generate([], 3)
    with pytest.raises(ValueError, match="threads must be"):
        on_device.Writer(writer.model, b"", threads=0)
