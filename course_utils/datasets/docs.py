"""Real English text that is already on the learner's machine: the docstrings of installed packages.

The text is read from the packages' source files at run time and is never copied into the course.
Whole modules go to train, validation or test by a hash of their path, so a function and its twin in
the same file never stand on both sides.
"""

import ast
import collections
import contextlib
import functools
import hashlib
import importlib.util
import inspect
import os
import pathlib
import stat
import sys
import tempfile
import warnings
import zlib

import numpy as np
import tokenizers

from course_utils import files
from course_utils.checks import one_of, read_only, whole

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
def folder(package):
    """Returns where a package is installed; they need not all lie beside each other.

    Raises:
        ValueError: If it is not installed.
    """
    spec = importlib.util.find_spec(package)  # without importing it
    if spec is None or not spec.submodule_search_locations:
        raise ValueError(
            f"docs reads the docstrings of {', '.join(PACKAGES)}, and {package} is not installed "
            f"for {sys.executable}: pip install -r requirements.txt"
        )
    return pathlib.Path(next(iter(spec.submodule_search_locations)))


@functools.cache
def sources():
    """Returns the packages' source files, tests left out, as sorted paths that begin with the
    package's name."""
    found = (
        pathlib.PurePath(name, path.relative_to(folder(name)))
        for name in PACKAGES
        for path in folder(name).rglob("*.py")
    )
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
    found = {}  # a dict keeps the first place of each text
    for module in modules(split):
        package, _, inside = module.partition("/")
        found.update(dict.fromkeys(read(folder(package) / inside)))
    return tuple(found)


def read(path):
    """Yields the docstrings of one source file that have at least 80 characters; none where it
    cannot be parsed."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # old escapes in other people's source
        try:
            tree = ast.parse(path.read_text(encoding="utf8"))
        except (SyntaxError, UnicodeDecodeError):
            return
    for node in statements(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef)):
            text = inspect.cleandoc(ast.get_docstring(node, clean=False) or "")
            if len(text) >= 80:
                yield text


def statements(tree):
    """Yields what `ast.walk` yields and in its order, without the expressions: nothing in them has
    a docstring, and they are nine of ten nodes."""
    waiting = collections.deque([tree])
    while waiting:
        node = waiting.popleft()
        yield node
        for field in ("body", "handlers", "orelse", "finalbody", "cases"):
            inside = getattr(node, field, None)
            waiting.extend(inside if isinstance(inside, list) else ())


@functools.cache
def _described():
    return TOKENIZER.read_text(encoding="utf8")


def tokenizer():
    """Loads the shipped byte-pair tokenizer of 512 tokens (`tokenizers.Tokenizer`): a new one at
    each call, for it can be added to."""
    return tokenizers.Tokenizer.from_str(_described())


@functools.cache
def tokens(split):
    """Returns a whole split as one line of token ids, `int32` of shape `(length,)`; it is the same
    at each call and cannot be written into."""
    try:
        kept = kept_at(split)
        return read_only(unsealed(kept.read_bytes()).astype(np.int32))
    except (OSError, ValueError):
        found = encoded(split)
    with contextlib.suppress(OSError):  # where nothing can be kept it is read anew each time
        files.write(kept_at(split), sealed(found.astype(np.int16)))
    return read_only(found)


def encoded(split):
    """Reads a split and turns it into one line of token ids."""
    end = tokenizer().token_to_id(END)
    batch = tokenizer().encode_batch_fast(list(docstrings(split)))
    return np.concatenate([np.array([*one.ids, end], np.int32) for one in batch])


def kept_at(split):
    """Returns where the tokens of a split are kept in this user's temporary folder: reading ten
    thousand source files takes half a minute, and every lesson needs them.

    The name holds a digest of all that they are made from: paths, sizes and times of the sources
    and the tokenizer. Any other make of them has another name.
    """
    made_from = [_described(), pathlib.Path(__file__).read_bytes()]
    for module in modules(split):
        package, _, inside = module.partition("/")
        about = (folder(package) / inside).stat()
        made_from.append((module, about.st_size, about.st_mtime_ns))
    digest = hashlib.sha256(repr(made_from).encode()).hexdigest()[:24]
    return own_folder() / f"docs-{split}-{digest}.bin"


def sealed(ids):
    """Returns token ids as bytes behind their checksum."""
    return hashlib.sha256(ids.tobytes()).digest() + ids.tobytes()


def unsealed(content):
    """Undoes `sealed`; raises `ValueError` if a byte is missing or another."""
    if hashlib.sha256(content[32:]).digest() != content[:32]:
        raise ValueError("the kept tokens are damaged")
    return np.frombuffer(content[32:], np.int16)


def own_folder():
    """Returns a temporary folder that no other user can write into."""
    user = os.getuid() if hasattr(os, "getuid") else "me"  # Windows gives each user a folder
    path = pathlib.Path(tempfile.gettempdir(), f"course_utils-{user}")
    path.mkdir(mode=0o700, exist_ok=True)
    about = path.lstat()
    if user != "me" and (
        about.st_uid != user or not stat.S_ISDIR(about.st_mode) or about.st_mode & 0o022
    ):
        raise PermissionError(f"{path} belongs to somebody else")
    return path


def sequences(split, count=256, length=128):
    """Cuts windows out of a split, evenly spread over it, the same ones each time.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        count: How many windows.
        length: How many predictions each window asks for.

    Returns:
        `int32` of shape `(count, length + 1)`: tokens `[:, :-1]` are read, `[:, 1:]` predicted.

    Raises:
        ValueError: If the split is unknown or too short for that many windows, or one of the two is
            no whole number above zero.
    """
    return spread(tokens(split), count, length)


def spread(line, count, length):
    """Cuts windows out of a line of tokens, evenly spread over it; see `sequences`."""
    length = whole("length", length, 1, len(line) - 1)
    count = whole("count", count, 1, len(line) // (length + 1))
    starts = np.linspace(0, len(line) - length - 1, count).astype(int)
    return line[starts[:, None] + np.arange(length + 1)]
