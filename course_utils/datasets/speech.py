"""Spoken words: English and Mandarin, in synthetic voices, and a few recordings of people.

All sound is 8 kHz, as a telephone carries it. The files keep each sample in one byte, by the law
that telephones use.
"""

import functools
import json

import numpy as np
import scipy.signal

from course_utils import files
from course_utils.checks import finite, one_of, read_only
from course_utils.container import unpack

RATE = 8000  # samples a second
LONGEST = 12_000  # samples of a clip: 1.5 seconds
MU = 255
WORDS = {
    "english": tuple("zero one two three four five six seven eight nine yes no stop go".split()),
    "mandarin": tuple("零一二三四五六七八九对不停走"),
}
SPLITS = ("train", "validation", "test", "klatt", "whisper")
PEOPLE = {
    "english": ("Allison Smith",),
    "mandarin": ("E. Liu", "Chu Lo"),
}
BAND = 300, 3400  # Hz that a telephone carries


def to_mu_law(sound):
    """Compresses samples to one byte each: 8-bit mu-law (ITU-T G.711 rounds it a little otherwise).

    `f(x) = sign(x) log(1 + mu |x|) / log(1 + mu)`: steps are small where sound is quiet, where the
    ear hears them.

    Args:
        sound: Floats; what lies beyond -1..1 is cut.

    Returns:
        `uint8` of the same shape: 128 stands for silence.

    Example:

    >>> to_mu_law(np.array([-1.0, 0.0, 1.0]))
    array([  1, 128, 255], dtype=uint8)
    """
    sound = np.clip(finite("sound", sound), -1, 1)
    curved = np.sign(sound) * np.log1p(MU * np.abs(sound)) / np.log1p(MU)
    return (128 + np.rint(127 * curved)).astype(np.uint8)


def from_mu_law(codes):
    """Undoes `to_mu_law`: `uint8` to `float32` in -1..1."""
    curved = (np.asarray(codes).astype(np.float32) - 128) / 127
    return (np.sign(curved) * np.expm1(np.abs(curved) * np.log1p(MU)) / MU).astype(np.float32)


@functools.cache
def _shelf(name):
    """Returns what a file of sounds holds: one long row of samples, and for each sound where it
    ends, its word, its voice, its split; and the names of the voices."""
    path = files.DATA / "speech" / f"{name}.safetensors"
    arrays, notes = unpack(path.read_bytes(), path.name)
    held = {name: read_only(array) for name, array in arrays.items()}
    return held, json.loads(notes["voices"])


def clips(sounds):
    """Puts sounds of any length into the middle of clips of 1.5 seconds.

    Args:
        sounds: A list of arrays `(samples,)` in -1..1. What is longer loses its ends.

    Returns:
        `float32` of shape `(sounds, 12000)`.
    """
    rows = np.zeros((len(sounds), LONGEST), np.float32)
    for row, sound in zip(rows, sounds):
        cut = max(0, (len(sound) - LONGEST) // 2)
        sound = sound[cut : cut + LONGEST]
        begin = (LONGEST - len(sound)) // 2
        row[begin : begin + len(sound)] = sound
    return rows


def sounds(language, split):
    """Returns the shipped words of a split, as long as they are.

    No voice is in two of the splits. The train split here is a small part of what models were
    trained on.

    Args:
        language: `"english"` or `"mandarin"`.
        split: `"train"`, `"validation"`, `"test"`; `"klatt"` and `"whisper"`, kinds of voices of
            which training heard none.

    Returns:
        A list of `float32` arrays `(samples,)`; `int32` positions in `WORDS[language]`; the voice
        of each, a list of names.
    """
    arrays, voices = _shelf(one_of("language", language, WORDS))
    chosen = np.flatnonzero(arrays["splits"] == SPLITS.index(one_of("split", split, SPLITS)))
    ends = np.cumsum(arrays["lengths"])
    cut = [arrays["samples"][ends[i] - arrays["lengths"][i] : ends[i]] for i in chosen]
    labels = arrays["words"][chosen].astype(np.int32)
    return [from_mu_law(c) for c in cut], labels, [voices[v] for v in arrays["voices"][chosen]]


@functools.lru_cache(maxsize=16)
def load(language, split):
    """Returns the shipped words of a split as clips; see `sounds`.

    Args:
        language: As for `sounds`.
        split: As for `sounds`; or `"telephone"`, the test words as a telephone line gives them.

    Returns:
        `float32` of shape `(words, 12000)` and `int32` labels of shape `(words,)`. Neither can be
        written into.
    """
    if split == "telephone":
        rows, labels = load(language, "test")
        return read_only(telephone(rows)), labels
    heard, labels, _ = sounds(language, split)
    return read_only(clips(heard)), read_only(labels)


def telephone(rows, seed=0):
    """Sounds as they come through a telephone line: 300 to 3400 Hz, hiss 25 dB below, 8-bit mu-law.

    Args:
        rows: Clips `(clips, samples)`.
        seed: Of the hiss.

    Returns:
        `float32` of the same shape.
    """
    rows = finite("rows", rows).astype(np.float32)
    band = scipy.signal.butter(4, BAND, "bandpass", fs=RATE, output="sos")
    heard = scipy.signal.sosfilt(band, rows, axis=-1)
    hiss = np.random.default_rng(seed).standard_normal(heard.shape)
    loud = np.sqrt(np.mean(np.square(heard), -1, keepdims=True))
    return from_mu_law(to_mu_law(heard + loud * 10 ** (-25 / 20) * hiss))


@functools.cache
def people(name):
    """Returns recordings of one person, which no model of the course was trained on.

    Args:
        name: `"Allison Smith"` (English; CC BY-SA 3.0), `"E. Liu"` (Mandarin; GPL-3 or LGPL-3) or
            `"Chu Lo"` (Mandarin; CC BY 3.0). The data card says where they come from.

    Returns:
        Clips `(words, 12000)` and labels `(words,)`, positions in `WORDS` of that language.
    """
    one_of("person", name, [one for group in PEOPLE.values() for one in group])
    arrays, _ = _shelf(name.lower().replace(". ", "-").replace(" ", "-"))
    cut = np.split(arrays["samples"], np.cumsum(arrays["lengths"])[:-1])
    rows = clips([from_mu_law(each) for each in cut])
    return read_only(rows), read_only(arrays["words"].astype(np.int32))
