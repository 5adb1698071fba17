"""The simplest things that could do the same work: what a network has to beat (lesson 6.3)."""

import numpy as np

from course_utils.backend import tf
from course_utils.evaluation import speech as judged
from course_utils.models import speech as networks

OVER = 9.0  # times its power are taken away; this and the rest were chosen on validation clips
LEFT = 0.05  # of the size of each cell, at least: what is set to nothing chirps
QUIET = (
    0.6  # share of the frames of a clip that are taken for noise alone: more than half is silence
)


def nearest_picture(ears, train, rows):
    """Names a word by the training word whose picture is nearest, of those that are shipped.

    Args:
        ears: A `LogMel`.
        train: Clips `(words, 12000)` and labels `(words,)`.
        rows: Clips to name.

    Returns:
        Labels `(clips,)`.
    """
    known, asked = (judged.in_parts(ears, each).reshape(len(each), -1) for each in (train[0], rows))
    away = (known**2).sum(1) - 2 * asked @ known.T
    return train[1][away.argmin(1)]


def subtracted(rows):
    """Takes noise away by subtraction of its spectrum (Berouti et al., 1979): the power that the
    quietest frames of a clip have is taken for that of the noise in all of them.

    Args:
        rows: Noisy clips `(clips, SAMPLES)`.

    Returns:
        Cleaned clips of the same shape.
    """
    found = networks.spectra(rows)
    power = np.square(np.abs(found))  # clips, frames, frequencies
    order = power.sum(-1).argsort(1)[:, : int(QUIET * power.shape[1])]
    noise = np.take_along_axis(power, order[..., None], 1).mean(1, keepdims=True)
    mask = np.sqrt(np.maximum(1 - OVER * noise / (power + 1e-12), LEFT**2))
    return np.asarray(networks.joined(found * tf.cast(mask, tf.complex64)))


def best_mask(rows, clean):
    """Cleans clips with the mask that nobody can know: for each cell the one between 0 and 1 that
    brings it nearest to the clean sound. What a network can reach with the noisy phases.

    Args:
        rows, clean: Clips `(clips, SAMPLES)`, noisy and without noise.

    Returns:
        Clips of the same shape.
    """
    found, wanted = (np.asarray(networks.spectra(one)) for one in (rows, clean))
    along = (wanted * found.conj()).real / (np.square(np.abs(found)) + 1e-12)
    return np.asarray(networks.joined(found * np.clip(along, 0, 1).astype(np.float32)))


def typical_word(pairs, levels, asked):
    """Says each word as most voices do: the median of its log-mels over the training pairs.

    Args:
        pairs: Training pairs, `(pairs, INPUTS)`: a word and a voice.
        levels: Their log-mels `(pairs, FRAMES, BANDS)`.
        asked: What is asked for, `(count, INPUTS)`; the voice is ignored.

    Returns:
        Log-mels `(count, FRAMES, BANDS)`.
    """
    words = len(judged.speaking.SPOKEN)
    known, wanted = (rows[:, :words].argmax(1) for rows in (pairs, asked))
    return np.stack([np.median(levels[known == word], 0) for word in wanted])
