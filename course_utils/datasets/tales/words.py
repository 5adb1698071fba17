"""One closed vocabulary for both languages: whole words, punctuation and the marks that name a
task."""

import difflib
import functools
import re

import numpy as np

from course_utils.checks import whole
from course_utils.datasets.tales import chinese, english

PAD, END, STORY, TRANSLATE, QUESTION, MOOD, ANSWER = MARKS = (
    "<pad>",
    "<end>",
    "<story>",
    "<translate>",
    "<question>",
    "<mood>",
    "<answer>",
)
MOODS = ("negative", "neutral", "positive")
ASKING = """where is the who has what does have nothing nobody color happy sad yes no why because of rain weather like
when it happen how many people are there one two three ?""".split()


@functools.cache
def vocabulary():
    """Returns every token there is, in the order of their ids: marks, English, Chinese (`tuple` of
    `str`)."""
    return tuple(dict.fromkeys((*MARKS, *english.words(), *ASKING, *MOODS, *chinese.words())))


@functools.cache
def _ids():
    return {token: i for i, token in enumerate(vocabulary())}


@functools.cache
def _chinese_pattern():  # longest words first, so that 看了看 is not read as something shorter
    words = sorted((t for t in vocabulary() if _is_chinese(t)), key=len, reverse=True)
    return re.compile("|".join(map(re.escape, words)) + "|.")


def _is_chinese(token):
    return ord(token[0]) > 0x2E7F


def split(text):
    """Cuts text into tokens: marks, lower-case words, punctuation; Chinese by the longest known
    word.

    Example:

    >>> split("Anna smiles. 安娜笑了。")
    ['anna', 'smiles', '.', '安娜', '笑了', '。']
    """
    tokens = []
    for piece in re.findall(r"<\w+>|[\u2e80-\uffff]+|[^\W\u2e80-\uffff]+|\S", text.lower()):
        tokens.extend(_chinese_pattern().findall(piece) if _is_chinese(piece) else [piece])
    return tokens


def ids(tokens):
    """`encode` for tokens that are known to be there, as a plain list."""
    known = _ids()
    return [known[token] for token in tokens]


def encode(text):
    """Turns text into token ids.

    Args:
        text: A string in either language or both, or a sequence of tokens.

    Returns:
        `int32` of shape `(tokens,)`.

    Raises:
        ValueError: If there is no token, or one that the vocabulary lacks; close matches are named.

    Example:

    >>> decode(encode("Anna smiles. 安娜笑了。"))
    'Anna smiles. 安娜笑了。'
    """
    tokens = split(text) if isinstance(text, str) else list(text)
    if not tokens:
        raise ValueError(f"text must hold at least one word, got {text!r}")
    try:
        return np.array(ids(tokens), np.int32)
    except KeyError as missing:
        word = missing.args[0]
        close = difflib.get_close_matches(str(word), vocabulary(), n=3, cutoff=0.5)
        hint = (
            f"did you mean: {', '.join(close)}?"
            if close
            else f"it is none of the {len(vocabulary())} known words"
        )
        raise ValueError(f"unknown word {word!r}; {hint}") from None


def decode(tokens):
    """Turns token ids into readable text: capitals, spaces between English words, none in Chinese.

    Args:
        tokens: Ids, whole numbers in `0..len(vocabulary()) - 1`, of shape `(tokens,)`; padding is
            left out.

    Raises:
        ValueError: If an id is outside the vocabulary.
    """
    words, text, start = vocabulary(), "", True
    for i in tokens:
        token = words[whole("token id", i, 0, len(words) - 1)]
        if token == PAD:
            continue
        # No space before punctuation, nor between two Chinese words.
        joined = token in ".,?" or (text and _is_chinese(token) and _is_chinese(text[-1]))
        shown = (
            token.capitalize() if start and token not in MARKS or token in english.PROPER else token
        )
        text += shown if joined or not text else f" {shown}"
        start = token in (".", "?", "。", *MARKS)
    return text
