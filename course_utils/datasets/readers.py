"""Three readers, each with documentation of one kind: what a model could be fitted to.

Two read packages of `docs`, whose split they keep. The third reads the modules that come with
Python, which no model of the course has seen; its modules are split by the same hash, five of a
hundred for validation and five for test.
"""

import functools
import pathlib
import sysconfig
import zlib

import numpy as np

from course_utils.checks import one_of, read_only
from course_utils.datasets import docs

READERS = ("scipy", "sklearn", "python")
LEFT_OUT = {"site-packages", "dist-packages", "test", "tests", "idlelib", "lib2to3", "turtledemo"}


def modules(reader, split):
    """Returns the source files of a reader in a split, as paths, sorted."""
    one_of("split", split, docs.SPLITS)
    if one_of("reader", reader, READERS) != "python":
        inside = [m.partition("/")[2] for m in docs.modules(split) if m.startswith(f"{reader}/")]
        return [docs.folder(reader) / each for each in inside]
    home = pathlib.Path(sysconfig.get_paths()["stdlib"])
    names = sorted(path.relative_to(home).as_posix() for path in home.rglob("*.py"))
    kept = [name for name in names if not LEFT_OUT & set(name.split("/")) and own(name) == split]
    return [home / name for name in kept]


def own(name):
    """Returns the split of a module of Python's own."""
    bucket = zlib.crc32(f"python/{name}".encode()) % 100
    return "validation" if bucket < 5 else "test" if bucket < 10 else "train"


@functools.cache
def tokens(reader, split):
    """Returns all docstrings of a reader in a split as one line of token ids, `int32`, as
    `docs.tokens` does."""
    texts = dict.fromkeys(text for path in modules(reader, split) for text in docs.read(path))
    tokenizer = docs.tokenizer()
    end, batch = tokenizer.token_to_id(docs.END), tokenizer.encode_batch_fast(list(texts))
    return read_only(np.concatenate([np.array([*one.ids, end], np.int32) for one in batch]))


def sequences(reader, split, count=64, length=128):
    """Cuts windows out of a reader's text, evenly spread over it, the same ones each time.

    Args:
        reader: One of `READERS`.
        split: `"train"`, `"validation"` or `"test"`.
        count: How many windows.
        length: How many predictions each window asks for.

    Returns:
        `int32` of shape `(count, length + 1)`.

    Raises:
        ValueError: If reader or split is unknown, or the text is too short for that many windows.
    """
    return docs.spread(tokens(reader, split), count, length)
