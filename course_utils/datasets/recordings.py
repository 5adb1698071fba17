"""A learner's own recordings: WAV files of one word each, brought to what the models read."""

import pathlib
import warnings

import numpy as np
import scipy.io.wavfile
import scipy.signal

from course_utils.checks import one_of
from course_utils.datasets.speech import RATE, WORDS, clips

SLOWEST, FASTEST = 8000, 48_000  # samples a second that are taken
SHORTEST, LONGEST = 0.1, 60.0  # seconds
FAINT = 1e-4  # of full scale: nothing louder is silence
# Full scale and zero of each type that a file may hold; 24 bits arrive in the upper part of 32.
SCALES = {"uint8": (128, 128), "int16": (2**15, 0), "int32": (2**31, 0), "float32": (1, 0)}
SCALES["float64"] = SCALES["float32"]


def read(path):
    """Reads a WAV file.

    Args:
        path: A file of 8 to 48 kHz: PCM of 8, 16, 24 or 32 bits or floats, one channel or more.

    Returns:
        `float32` of shape `(samples,)` at 8 kHz: the mean of the channels.

    Raises:
        ValueError: If the file is missing, cut off, no WAV, silent, shorter than 0.1 seconds or
            longer than a minute.
    """
    path = pathlib.Path(path)
    if not path.is_file():
        raise ValueError(f"no recording at {path}")
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Reached EOF", scipy.io.wavfile.WavFileWarning)
            warnings.filterwarnings("ignore", "Chunk", scipy.io.wavfile.WavFileWarning)
            rate, samples = scipy.io.wavfile.read(path)
    except Exception as problem:  # struct.error, EOFError and others, by where a file is cut off
        raise ValueError(
            f"{path.name} is damaged or no WAV file of PCM or floats: {problem}"
        ) from None
    if not SLOWEST <= rate <= FASTEST:
        raise ValueError(f"{path.name} must have 8000 to 48000 samples a second, got {rate}")
    seconds = len(samples) / rate
    if not SHORTEST <= seconds <= LONGEST:
        raise ValueError(
            f"{path.name} must take {SHORTEST:g} to {LONGEST:g} seconds, one word, got {seconds:.2f}"
        )
    if samples.dtype.name not in SCALES:
        raise ValueError(f"{path.name} holds {samples.dtype}, not PCM or floats")
    full, zero = SCALES[samples.dtype.name]
    sound = (samples.astype(np.float64) - zero) / full
    sound = sound.mean(1) if sound.ndim == 2 else sound
    if not np.isfinite(sound).all() or np.ptp(sound) < FAINT:
        raise ValueError(f"{path.name} is silent, or holds no numbers: nothing to recognise")
    common = np.gcd(rate, RATE)
    return scipy.signal.resample_poly(sound, RATE // common, rate // common).astype(np.float32)


def loudest(sound, samples=RATE):
    """Cuts a second out of a longer sound, around where it has most power."""
    if len(sound) <= samples:
        return sound
    power = np.cumsum(np.concatenate([[0], np.square(sound.astype(np.float64))]))
    begin = int(np.argmax(power[samples:] - power[:-samples]))
    return sound[begin : begin + samples]


def folder(path, language):
    """Reads all WAV files of a folder.

    Args:
        path: The folder. Files begin with the word that they hold: `seven-1.wav`, `七.wav`; digits
            may stand for it, `7-1.wav`.
        language: `"english"` or `"mandarin"`.

    Returns:
        Clips `(files, 12000)`, labels `(files,)`, the names of the files.

    Raises:
        ValueError: If there is none, or one that is not right: says which and why.
    """
    words, paths = (
        WORDS[one_of("language", language, WORDS)],
        sorted(pathlib.Path(path).glob("*.wav")),
    )
    if not paths:
        raise ValueError(f"no file that ends in .wav in {path}")
    labels = [label(one.stem, words) for one in paths]
    rows = clips([loudest(read(one)) for one in paths])
    return rows, np.array(labels, np.int32), [one.name for one in paths]


def label(name, words):
    """Returns the position of the word with which a file's name begins."""
    first = "".join(name.replace("_", "-").split("-")[:1]).lower()
    if first.isdecimal() and len(first) == 1:
        return int(first)
    return words.index(one_of("word at the beginning of a file's name", first, words))
