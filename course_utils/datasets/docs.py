"""Real English text that is already on the learner's machine: the docstrings of installed packages.

The text is read from the packages' source files at run time and is never copied into the course.
Whole modules go to train, validation or test by a hash of their path, so a function and its twin in
the same file never stand on both sides.
"""

import ast
import functools
import inspect
import pathlib
import sysconfig
import warnings
import zlib

import numpy as np
import tokenizers

from course_utils import files
from course_utils.checks import one_of, whole

PACKAGES = ("numpy", "scipy", "sklearn", "matplotlib", "keras", "tensorflow")
SPLITS = ("train", "validation", "test")
END = "<|end|>"  # stands between two docstrings
TOKENIZER = files.DATA / "tokenizers" / "docs.json"


def split_of(module):
    """Returns the split a module belongs to: 96 of 100 go to train, 2 to validation, 2 to test.

    Example:

    >>> split_of("numpy/linalg/_linalg.py")
    'train'
    """
    bucket = zlib.crc32(module.encode("utf8")) % 100
    return "validation" if bucket < 2 else "test" if bucket < 4 else "train"


@functools.cache
def sources():
    """Returns the packages' source files, tests left out, as sorted paths relative to the packages'
    folder."""
    site = pathlib.Path(sysconfig.get_paths()["purelib"])
    found = (path.relative_to(site) for name in PACKAGES for path in (site / name).rglob("*.py"))
    return tuple(sorted(module.as_posix() for module in found if "tests" not in module.parts))


@functools.cache
def modules(split):
    """Returns the source files of a split."""
    one_of("split", split, SPLITS)
    return tuple(module for module in sources() if split_of(module) == split)


@functools.cache
def docstrings(split):
    """Reads the docstrings of a split.

    Args:
        split: `"train"`, `"validation"` or `"test"`.

    Returns:
        A tuple of docstrings of at least 80 characters, each once, in the order of the files.
    """
    site = pathlib.Path(sysconfig.get_paths()["purelib"])
    found = {}  # a dict keeps the first place of each text
    for module in modules(split):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # old escapes in other people's source
            try:
                tree = ast.parse((site / module).read_text(encoding="utf8"))
            except (SyntaxError, UnicodeDecodeError):
                continue
        for node in ast.walk(tree):
            if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
                text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
                if len(text) >= 80:
                    found[text] = None
    return tuple(found)


@functools.cache
def tokenizer():
    """Loads the shipped byte-pair tokenizer of 512 tokens (`tokenizers.Tokenizer`)."""
    return tokenizers.Tokenizer.from_file(str(TOKENIZER))


@functools.cache
def tokens(split):
    """Returns a whole split as one line of token ids, `int32` of shape `(length,)`."""
    end = tokenizer().token_to_id(END)
    encoded = tokenizer().encode_batch_fast(list(docstrings(split)))
    return np.concatenate([np.array([*one.ids, end], np.int32) for one in encoded])


def sequences(split, count=256, length=128):
    """Cuts windows out of a split, evenly spread over it, the same ones each time.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        count: How many windows.
        length: How many predictions each window asks for.

    Returns:
        `int32` of shape `(count, length + 1)`: tokens `[:, :-1]` are read, `[:, 1:]` predicted.

    Raises:
        ValueError: If the split is unknown or too short for that many windows.
    """
    line = tokens(split)
    count = whole("count", count, 1, len(line) // (length + 1))
    starts = np.linspace(0, len(line) - length - 1, count).astype(int)
    return line[starts[:, None] + np.arange(length + 1)]
