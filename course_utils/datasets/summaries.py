"""Questions with known answers, from text that is on the machine already: the first sentence of a
docstring asks, and the rest of the same docstring is what should be found.

A docstring's first sentence says what a function does, as somebody would who looks for it. Whole
modules go to train, validation or test by a hash of their path; ten in a hundred are test, for a
model that was trained elsewhere needs no text here to learn from.
"""

import functools
import re
import zlib

from course_utils.checks import one_of, whole
from course_utils.datasets import docs

LEAST = 3, 80  # words of a first sentence, letters of a rest: less says nothing
SENTENCE = re.compile(r"(.+?[.!?])(?:\s|$)", re.DOTALL)


def split_of(module):
    """Returns the split a module belongs to: 80 of 100 go to train, 10 to validation, 10 to test.

    Example:

    >>> split_of("numpy/linalg/_linalg.py")
    'test'
    """
    bucket = zlib.crc32(module.encode("utf8")) // 100 % 10
    return {0: "validation", 1: "test"}.get(bucket, "train")


@functools.cache
def modules(split):
    """Returns the source files of a split, well mixed: any beginning of the list is as good a
    sample."""
    one_of("split", split, docs.SPLITS)
    found = [module for module in docs.sources() if split_of(module) == split]
    return tuple(sorted(found, key=lambda module: zlib.crc32(module.encode("utf8")[::-1])))


def parted(text):
    """Parts a docstring into its first sentence and the rest, each on one line; `None` where one of
    them says too little.

    Example:

    >>> parted("Sort an array. " + "The order of equal elements stays as it is. " * 2)[0]
    'Sort an array.'
    """
    head, _, tail = text.partition("\n\n")
    sentence = SENTENCE.match(head)
    first = sentence[1] if sentence else head
    rest = f"{head[len(first) :]}\n{tail}"
    first, rest = (" ".join(part.split()) for part in (first, rest))
    return (first, rest) if len(first.split()) >= LEAST[0] and len(rest) >= LEAST[1] else None


@functools.cache
def pairs(split, count):
    """Reads first sentences and the rests that belong to them, no two alike.

    Args:
        split: `"train"`, `"validation"` or `"test"`.
        count: How many pairs; fewer of them are the first ones of more.

    Returns:
        Two tuples of `count` texts: what is asked, and what should be found.

    Raises:
        ValueError: If the split is unknown or has fewer pairs.
    """
    count, asked, found = whole("count", count, 1, 2**31), {}, {}
    for module in modules(split):
        package, _, inside = module.partition("/")
        for text in docs.read(docs.folder(package) / inside):
            first, rest = parted(text) or ("", "")
            if rest and first not in asked and rest not in found:
                asked[first] = found[rest] = None
                if len(asked) == count:
                    return tuple(asked), tuple(found)
    raise ValueError(f"{split} has {len(asked)} pairs of first sentence and rest, not {count}")
