"""How well models of speech do: words heard, words said, noise taken away."""

import dataclasses
import functools

import numpy as np

from course_utils import models
from course_utils.backend import tf
from course_utils.checks import finite, one_of, read_only
from course_utils.datasets import noise, speaking, speech
from course_utils.evaluation.classification import classify
from course_utils.evaluation.intervals import interval, wilson
from course_utils.evaluation.scores import Score
from course_utils.models import speech as networks

LANGUAGES = {"english": "speech-recogniser", "mandarin": "speech-mandarin"}
ROWS = 64  # clips at once
DECIBELS = -10 / np.log(10) * networks.FLOOR  # from silence to the loudest cell


def si_sdr(found, clean):
    """Scale-invariant ratio of signal and distortion (Le Roux et al., 2019), in decibels.

    With the part of `found` that points along `clean`, `s = <found, clean> / |clean|^2 * clean`:
    `10 log10(|s|^2 / |found - s|^2)`. Louder or quieter changes nothing; means are taken away.

    Args:
        found, clean: Arrays `(..., samples)`.

    Returns:
        A tensor of shape `(...)`.

    Example:

    >>> clean = np.array([1.0, -1.0, 1.0, -1.0])
    >>> across = np.array([1.0, 1.0, -1.0, -1.0])  # a tenth of it: 20 dB
    >>> round(float(si_sdr(5 * (clean + across / 10), clean)), 2)
    20.0
    """
    found, clean = (tf.convert_to_tensor(one) for one in (found, clean))
    found, clean = (one - tf.reduce_mean(one, -1, keepdims=True) for one in (found, clean))
    power = tf.reduce_sum(tf.square(clean), -1, keepdims=True)
    along = tf.reduce_sum(found * clean, -1, keepdims=True) / (power + 1e-9) * clean
    ratio = tf.reduce_sum(tf.square(along), -1) + 1e-9
    ratio /= tf.reduce_sum(tf.square(found - along), -1) + 1e-9
    return 10 / np.log(10) * tf.math.log(ratio)


def in_parts(call, inputs):
    """Calls a function on some clips after others; returns one array."""
    parts = [inputs[i : i + ROWS] for i in range(0, len(inputs), ROWS)]
    return np.concatenate([np.asarray(call(part)) for part in parts])


# --- words ---------------------------------------------------------------------------------------


def by_kind(model, language):
    """Returns how a recogniser does on voices that it never heard: by kind, a `Classification`."""
    return {
        kind: classify(lambda rows: in_parts(model, rows), *speech.load(language, kind))
        for kind in ("test", "telephone", "klatt", "whisper")
    }


def by_person(model, language):
    """Returns for each person of whom there are recordings: how many words were right, of how many."""
    return {
        name: (int((answers(model, rows) == labels).sum()), len(labels))
        for name in speech.PEOPLE[language]
        for rows, labels in [speech.people(name)]
    }


def answers(model, rows):
    """Returns the positions of the words that a model hears in clips."""
    return in_parts(model, rows).argmax(1)


class Words:
    """Recognises spoken words of one language."""

    live, report = 168, None  # words; all of the split
    portable = True

    def __init__(self, language):
        self.language = language

    def data(self, split, count=None):
        rows, labels = speech.load(self.language, split)
        chosen = np.random.default_rng(0).permutation(len(labels))[:count]
        return rows[chosen], labels[chosen]

    def score(self, model, data):
        rows, labels = data
        seen = classify(lambda part: in_parts(model, part), rows, labels)
        return Score(seen.accuracy, seen.perplexity, seen)

    def inputs(self, data):
        return data[0]

    def sample(self, model):
        return None


# --- speaking ------------------------------------------------------------------------------------


@functools.cache
def asked_and_heard(split):
    """Returns what a synthesiser is asked for in a split, `(pairs, INPUTS)`, and the log-mels of
    what espeak-ng says, `(pairs, FRAMES, BANDS)`, see `models.speech.pictured`."""
    pairs, said = speaking.pairs(split), speaking.sounds()
    heard = networks.pictured([said[w, v] for w, v in pairs.tolist()])
    return read_only(speaking.asked(pairs)), read_only(np.asarray(heard))


@dataclasses.dataclass(frozen=True)
class Synthesis:
    """What synthetic words are worth.

    Attributes:
        recognised: Share that the recogniser of their language takes for what was asked for.
        interval: Its 95% Wilson interval.
        distance: Mean distance of a log-mel to that of espeak-ng, in decibels.
        voiced: Share whose log-mels are nearest to espeak-ng's in the voice that was asked for,
            among those of this word in all voices.
        heard: Positions in `speaking.SPOKEN` that were recognised.
        words: Those that were asked for.
    """

    recognised: float
    interval: tuple
    distance: float
    voiced: float
    heard: np.ndarray
    words: np.ndarray


@functools.cache
def listener(language):
    """Returns the recogniser of a language."""
    return models.load(LANGUAGES[one_of("language", language, LANGUAGES)])


def recognised(sounds, words):
    """Returns which words recognisers hear, each that of the word's language.

    Args:
        sounds: `(count, samples)`.
        words: Positions in `speaking.SPOKEN`, `(count,)`.
    """
    english = len(speech.WORDS["english"])
    heard, clips = np.zeros(len(words), np.int32), speech.clips(list(np.asarray(sounds)))
    for language, here, first in (
        ("english", words < english, 0),
        ("mandarin", words >= english, english),
    ):
        if here.any():
            heard[here] = first + answers(listener(language), clips[here])
    return heard


def judge_words(said, asked, levels):
    """Judges log-mels of words.

    Args:
        said: What a synthesiser says, `(pairs, FRAMES, BANDS)` from -1 to 0.
        asked: For which word and voice, `(pairs, INPUTS)`.
        levels: What espeak-ng says there.

    Returns:
        A `Synthesis`.
    """
    words, voices = np.split(asked, [len(speaking.SPOKEN)], axis=1)
    words, voices = words.argmax(1), voices.argmax(1)
    heard = recognised(networks.voiced(said), words)
    share = float(np.mean(heard == words))
    apart = DECIBELS * float(np.abs(said - levels).mean())
    all_voices = every()[words]
    nearest = np.abs(all_voices - said[:, None]).mean((2, 3)).argmin(1)
    voiced = float(np.mean(nearest == voices))
    return Synthesis(share, wilson(share, len(words)), apart, voiced, heard, words)


@functools.cache
def every():
    """Returns log-mels of all words in all voices, as espeak-ng says them: `(words, voices, FRAMES,
    BANDS)`."""
    said = speaking.sounds()
    rows = networks.pictured([said[pair] for pair in sorted(said)])
    return read_only(rows.reshape(len(speaking.SPOKEN), len(speaking.VOICES), *rows.shape[1:]))


class Speaking:
    """Says words in voices in which it never heard these words."""

    live, report = 28, None  # pairs of word and voice; all of the split
    measure, portable = "recognised", True
    calibration = None  # all pairs: a word that is not among them would be taken for useless

    def data(self, split, count=None):
        asked, levels = asked_and_heard(split)
        chosen = np.random.default_rng(0).permutation(len(asked))[:count]
        return asked[chosen], levels[chosen]

    def score(self, model, data):
        asked, levels = data
        seen = judge_words(in_parts(model, asked).clip(-1, 0), asked, levels)
        return Score(None, None, seen, seen.recognised)

    def inputs(self, data):
        return data[0]

    def sample(self, model):
        return None


# --- cleaning ------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Enhancement:
    """What an enhancer does to noisy words.

    Attributes:
        gain: By how many decibels SI-SDR rises, in the mean.
        interval: Its 95% interval over the clips.
        before, after: SI-SDR of each clip in decibels, `(clips,)`.
    """

    gain: float
    interval: tuple
    before: np.ndarray
    after: np.ndarray


@functools.lru_cache(maxsize=8)
def noisy(split, count, decibels=0.0, seed=0):
    """Returns words in noise: clips of both languages with noise of all kinds in turn, the same at
    every call, and drawn for this split alone.

    Args:
        split: As for `speech.sounds`.
        count: How many.
        decibels: How much more power the word has than the noise, over the whole clip.
        seed: Of the draws.

    Returns:
        Noisy and clean clips, both `(count, 12000)`.
    """
    rng = np.random.default_rng([seed, speech.SPLITS.index(one_of("split", split, speech.SPLITS))])
    heard = [sound for language in speech.WORDS for sound in speech.sounds(language, split)[0]]
    clean = speech.clips([heard[i] for i in rng.permutation(len(heard))[:count]])
    kinds = [noise.KINDS[i % len(noise.KINDS)] for i in range(len(clean))]
    over = [noise.noise(kind, speech.LONGEST, rng, heard) for kind in kinds]
    mixed = np.stack([noise.mixed(c, o, decibels) for c, o in zip(clean, over)])
    return read_only(mixed), read_only(clean)


class Cleaning:
    """Takes noise from words, at as much noise as speech."""

    live, report = 40, 200  # clips
    measure = "dB gained"  # LiteRT has no complex numbers: no file for it

    def data(self, split, count):
        return noisy(split, count)

    def score(self, model, data):
        disturbed, clean = data
        before = np.asarray(si_sdr(finite("noisy", disturbed), clean))
        after = np.asarray(si_sdr(in_parts(model, disturbed), clean))
        gain = after - before
        seen = Enhancement(float(gain.mean()), interval(gain), before, after)
        return Score(None, None, seen, seen.gain)

    def inputs(self, data):
        return data[0]

    def sample(self, model):
        return None
