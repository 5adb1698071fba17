"""Noise to put over speech, each draw from a generator of its own."""

import numpy as np

from course_utils.checks import finite, one_of
from course_utils.datasets.speech import RATE

# How much quieter noise becomes towards high frequencies: power as 1 / f^slope.
SLOPES = {"white": 0, "pink": 1, "brown": 2}
KINDS = (*SLOPES, "hum", "babble")


def noise(kind, samples, rng, voices=()):
    """Draws noise of mean power 1.

    Args:
        kind: `"white"`, `"pink"` or `"brown"`: power falls as 1, 1/f, 1/f^2; `"hum"`: a mains
            frequency with overtones and some hiss; `"babble"`: eight voices at once.
        samples: How many.
        rng: NumPy's generator.
        voices: Sounds of which babble is made.

    Returns:
        `float32` of shape `(samples,)`.
    """
    if one_of("kind", kind, KINDS) == "babble":
        made = sum(np.roll(run_on(voices, samples, rng), rng.integers(samples)) for _ in range(8))
    elif kind == "hum":
        time, ground = np.arange(samples) / RATE, rng.uniform(45, 65)
        parts = [
            rng.uniform(0.2, 1) / n * np.sin(2 * np.pi * (n * ground * time + rng.random()))
            for n in range(1, 9)
        ]
        made = sum(parts) + 0.03 * rng.standard_normal(samples)
    else:
        found = np.fft.rfft(rng.standard_normal(samples))
        found *= np.maximum(np.arange(len(found)), 1) ** (-SLOPES[kind] / 2)
        made = np.fft.irfft(found, samples)
    return (made / np.sqrt(np.mean(np.square(made)) + 1e-12)).astype(np.float32)


def run_on(voices, samples, rng):
    """Returns words of one speaker after another until there are enough samples."""
    line = np.zeros(0, np.float32)
    while len(line) < samples:
        line = np.concatenate([line, voices[rng.integers(len(voices))]])
    return line[:samples]


def mixed(sound, other, decibels):
    """Puts noise over a sound, at a ratio of their powers.

    Args:
        sound: `(samples,)`.
        other: Noise of the same length.
        decibels: How much more power the sound has: `10 log10(sound^2 / noise^2)`, means over all
            samples.

    Returns:
        `float32` of shape `(samples,)`: the sound as it was, with noise added.

    Example:

    >>> float(np.round(mixed(np.array([1.0, -1.0]), np.array([2.0, 2.0]), 0.0).max(), 3))
    2.0
    """
    sound, other = finite("sound", sound), finite("noise", other)
    ratio = np.mean(np.square(sound)) / (np.mean(np.square(other)) + 1e-12)
    return (sound + other * np.sqrt(ratio) * 10 ** (-decibels / 20)).astype(np.float32)
