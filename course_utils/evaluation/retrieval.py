"""Finding in one kind of thing what was asked for in another."""

import dataclasses

import numpy as np

from course_utils.datasets import digits, speech
from course_utils.evaluation.intervals import wilson
from course_utils.evaluation.scores import Score
from course_utils.evaluation.speech import in_parts
from course_utils.models import pairs

GALLERY = 10  # one of each digit


@dataclasses.dataclass(frozen=True)
class Retrieval:
    """How often the nearest is right.

    Attributes:
        by_word: Share of spoken words whose nearest scan, of ten different ones, is of that digit.
        by_scan: Share of scans whose nearest word, of ten, says that digit.
        intervals: Their 95% Wilson intervals.
    """

    by_word: float
    by_scan: float
    intervals: tuple


def words(split):
    """Returns the spoken digits of a split, clips and labels."""
    clips, labels = speech.load("english", split)
    spoken = labels < GALLERY  # the other words are no digits
    return clips[spoken], labels[spoken]


def galleries(labels, count, seed=0):
    """Draws `count` galleries: positions of one example of each digit, `(count, 10)`."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.choice(np.flatnonzero(labels == d), count) for d in range(GALLERY)], 1)


def hits(close, queries, labels, seed=0):
    """Says for each query whether the closest of ten is of its digit.

    Args:
        close: How close each query is to each thing, `(queries, things)`.
        queries, labels: Digits of queries and things.
        seed: Of the galleries, one for each query.

    Returns:
        Booleans `(queries,)`.
    """
    drawn = galleries(labels, len(queries), seed)
    return np.take_along_axis(close, drawn, axis=1).argmax(1) == queries


def judge(close, scans, spoken):
    """Judges closeness of words (rows) and scans (columns), given the digits of both."""
    found = hits(close, spoken, scans), hits(close.T, scans, spoken)
    shares = [float(each.mean()) for each in found]
    return Retrieval(*shares, tuple(wilson(s, len(each)) for s, each in zip(shares, found)))


class Matching:
    """Finds the scan of a spoken digit, and the word for a scan."""

    live, report = 120, None  # scans, and as many words; all of the split
    measure = "recall at 1"

    def data(self, split, count=None):
        """Scans, clips, and the digits of both."""
        rng = np.random.default_rng(0)
        scans, clips = digits.load(split), words(split)
        chosen = [rng.permutation(len(each[1]))[:count] for each in (scans, clips)]
        (scans, seen), (clips, spoken) = (
            [part[at] for part in each] for each, at in zip((scans, clips), chosen)
        )
        return scans, clips, seen, spoken

    def score(self, model, data):
        scans, clips, seen, spoken = data
        of_scan, of_word = pairs.encoders(model)
        close = in_parts(of_word, clips) @ in_parts(of_scan, scans).T
        found = judge(close, seen, spoken)
        return Score(None, None, found, (found.by_word + found.by_scan) / 2)

    def inputs(self, data):
        least = min(len(part) for part in data[:2])
        return [part[:least] for part in data[:2]]

    def sample(self, model):
        return None
