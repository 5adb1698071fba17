"""What the synthesiser learns: 28 words in 24 voices, as log-mels. Some pairs of word and voice are
kept back: has it learned what a voice is?"""

import functools

import numpy as np

from course_utils.checks import one_of, read_only
from course_utils.datasets.speech import WORDS, _shelf, from_mu_law

SPOKEN = (*WORDS["english"], *WORDS["mandarin"])
VOICES = (
    "Andy Annie Gene Lee Michael Storm adam announcer belinda boris david edward f2 f4 grandma john "
    "linda m1 m3 m7 max paul steph travis"
).split()
INPUTS = len(SPOKEN) + len(VOICES)
SPLITS = {"train": range(0, 7), "validation": range(7, 8), "test": range(8, 10)}  # of ten parts


def part(word, voice):
    """Returns to which of ten parts a pair belongs: each word and each voice is in all of them."""
    return (3 * word + 7 * voice) % 10


def pairs(split):
    """Returns the pairs of a split: positions in `SPOKEN` and `VOICES`, of shape `(pairs, 2)`."""
    chosen = SPLITS[one_of("split", split, SPLITS)]
    every = [(w, v) for w in range(len(SPOKEN)) for v in range(len(VOICES))]
    return np.array([pair for pair in every if part(*pair) in chosen], np.int32)


def asked(pairs):
    """Writes pairs as a synthesiser reads them: two ones among zeros, `(pairs, INPUTS)`."""
    words, voices = np.asarray(pairs).T
    rows = np.zeros((len(words), INPUTS), np.float32)
    rows[np.arange(len(words)), words] = 1
    rows[np.arange(len(words)), len(SPOKEN) + voices] = 1
    return rows


@functools.cache
def sounds():
    """Returns by pair of word and voice what espeak-ng says, `float32` at 8 kHz."""
    arrays, voices = _shelf("speaking")
    cut = np.split(arrays["samples"], np.cumsum(arrays["lengths"])[:-1])
    where = [VOICES.index(voices[v]) for v in arrays["voices"]]
    heard = zip(arrays["words"], where, cut)
    return {(int(w), v): read_only(from_mu_law(c)) for w, v, c in heard}
