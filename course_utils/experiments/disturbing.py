"""A word as another person might have said it into another microphone: how synthetic words are
varied so that a recogniser hears what matters."""

import numpy as np
import scipy.signal

from course_utils.datasets import noise, speech

WIDTH = 160  # samples of an envelope's window: 20 ms
INGREDIENTS = ("edges", "flite", "one deviation", "rooms and noise")


def envelope(sound):
    """Returns how loud a sound is around each sample, from 0 to 1."""
    power = np.convolve(np.square(sound), np.ones(WIDTH) / WIDTH, "same")
    return np.sqrt(np.maximum(power, 0) / (power.max() + 1e-12))


def other_speed(sound, rng):
    """Plays a sound faster or slower, which moves its pitch and its formants too."""
    places = np.arange(0, len(sound) - 1, rng.uniform(0.86, 1.18))
    return np.interp(places, np.arange(len(sound)), sound)


def other_edges(sound, rng):
    """Makes quiet consonants louder or quieter against vowels, and cuts quiet ends as a careless
    recording does."""
    if rng.random() < 0.7:
        sound = sound * (envelope(sound) + 1e-3) ** rng.uniform(-0.3, 0.8)
    if rng.random() < 0.6:
        loud = np.flatnonzero(envelope(sound) > 10 ** (rng.uniform(-34, -9) / 20))
        sound = sound[loud[0] : loud[-1] + 1]
    return sound


def other_room(sound, rng):
    """Puts a sound into a room: noise that dies away follows it."""
    tail = np.arange(int(8 * rng.uniform(50, 450)))  # samples
    echo = rng.standard_normal(len(tail)) * 10 ** (-3 * tail / len(tail))
    echo *= 10 ** (-rng.uniform(-2, 18) / 20) / np.sqrt(np.square(echo).sum())
    echo[0] = 1
    return scipy.signal.fftconvolve(sound, echo)


def other_line(sound, rng):
    """Filters a sound at random: ten points between which loudness changes, a tilt, ends of the
    band."""
    found = np.fft.rfft(sound)
    hertz = np.fft.rfftfreq(len(sound), 1 / speech.RATE)
    octaves = np.log2(np.maximum(hertz, 30) / 1000)
    points = rng.normal(0, rng.uniform(0, 5), 10)
    decibels = np.interp(octaves, np.linspace(-4, 2, 10), points) + rng.uniform(-5, 5) * octaves
    if rng.random() < 0.6:
        decibels -= 6 * np.maximum(0, np.log2(rng.uniform(50, 350) / np.maximum(hertz, 30)))
    if rng.random() < 0.4:
        decibels -= 24 * np.maximum(0, np.log2(np.maximum(hertz, 30) / rng.uniform(2300, 3800)))
    return np.fft.irfft(found * 10 ** (decibels / 20), len(sound))


def other_ends(sound, rng):
    """Cuts up to 40 and 60 ms, or leaves up to 100 and 120 ms of silence."""
    if rng.random() < 0.35 and len(sound) > 2000:
        return sound[rng.integers(320) : len(sound) - rng.integers(480)]
    return np.pad(sound, (rng.integers(800), rng.integers(960)))


def other_device(sound, rng):
    """Too loud, clipped, a telephone's bytes, few bits: now and then."""
    sound = sound / (np.abs(sound).max() + 1e-9)
    if rng.random() < 0.12:
        sound = np.tanh(sound * rng.uniform(1, 5))
    if rng.random() < 0.1:
        sound = np.clip(sound, -1, rng.uniform(0.3, 1))
    if rng.random() < 0.15:
        sound = speech.from_mu_law(speech.to_mu_law(sound))
    if rng.random() < 0.1:
        sound = np.rint(sound * 64) / 64
    return sound


def varied(sound, rng, voices, without=()):
    """Returns a word as it might be said elsewhere.

    Args:
        sound: `(samples,)` at 8 kHz.
        rng: NumPy's generator.
        voices: Sounds of which babble is made.
        without: Those of `INGREDIENTS` that are left out.

    Returns:
        `(samples,)`, of another length.
    """
    sound = other_speed(sound, rng)
    if "edges" not in without:
        sound = other_edges(sound, rng)
    plain = "rooms and noise" in without
    if not plain:
        sound = other_room(sound, rng) if rng.random() < 0.6 else sound
        sound = other_line(sound, rng)
    sound = other_ends(sound, rng)
    if not plain and rng.random() < 0.85:
        kind = noise.KINDS[rng.integers(len(noise.KINDS))]
        over = noise.noise(kind, len(sound), rng, voices)
        sound = noise.mixed(sound, over, rng.uniform(5, 38))
    return sound if plain else other_device(sound, rng)
