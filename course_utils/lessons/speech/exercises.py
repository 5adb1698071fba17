"""Exercises of lesson 6.3."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def near(got, wanted):
    return np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, atol=1e-6)


def short(got):
    """Returns the beginning of what an answer looks like."""
    return f"{got}"[:60]


# --- mel -----------------------------------------------------------------------------------------


def band_middles(low, high, bands):
    def mel(hertz):
        return 2595 * np.log10(1 + hertz / 700)

    edges = np.linspace(mel(low), mel(high), bands + 2)
    return 700 * (10 ** (edges[1:-1] / 2595) - 1)


def evenly_in_hertz(low, high, bands):
    return np.linspace(low, high, bands + 2)[1:-1]


def middles_at_the_ends(low, high, bands):
    edges = 2595 * np.log10(1 + np.array([low, high]) / 700)
    return 700 * (10 ** (np.linspace(*edges, bands) / 2595) - 1)


def left_in_mel(low, high, bands):
    edges = 2595 * np.log10(1 + np.array([low, high]) / 700)
    return np.linspace(*edges, bands + 2)[1:-1]


def test_band_middles(answer):
    got = np.asarray(answer(0.0, 4000.0, 1), float)
    expect(
        got.shape == (1,), _("one band has one middle, got shape {shape}").format(shape=got.shape)
    )
    expect(
        not near(got, [2000.0]),
        _("2000 Hz is half way in hertz; half way in mel is lower, for high tones lie closer"),
    )
    expect(
        near(got, [700 * (np.sqrt(1 + 4000 / 700) - 1)]),
        _("half way between 0 and 4000 Hz in mel is 1113 Hz, got {got}").format(
            got=short(got.round(1))
        ),
    )
    got = np.asarray(answer(60.0, 3900.0, 40), float)
    expect(
        got.shape == (40,) and got.min() > 60 and got.max() < 3900,
        _("the first band begins at 60 Hz and the last ends at 3900: their middles lie inside"),
    )
    mel = 2595 * np.log10(1 + got / 700)
    expect(
        np.allclose(np.diff(mel, 2), 0, atol=1e-6),
        _("in mel the middles are equally far from each other"),
    )


# --- mu-law --------------------------------------------------------------------------------------


def to_byte(sound):
    curved = np.sign(sound) * np.log(1 + 255 * np.abs(sound)) / np.log(256)
    return np.rint(128 + 127 * curved)


def straight(sound):
    return np.rint(128 + 127 * np.asarray(sound))


def sign_forgotten(sound):
    return np.rint(128 + 127 * np.log(1 + 255 * np.abs(sound)) / np.log(256))


def cut_not_rounded(sound):
    curved = np.sign(sound) * np.log(1 + 255 * np.abs(sound)) / np.log(256)
    return np.floor(128 + 127 * curved)


def test_to_byte(answer):
    got = answer(np.array([-1.0, 0.0, 1.0]))
    expect(
        near(got, [1, 128, 255]),
        _("-1, 0 and 1 become 1, 128 and 255, got {got}").format(got=short(got)),
    )
    got = answer(np.array([0.01, -0.01]))
    expect(
        not near(got, [129, 127]),
        _("a hundredth is one step of even ones: mu-law gives quiet sound many more"),
    )
    expect(
        near(got, [157, 99]),
        _("0.01 and -0.01 become 157 and 99, got {got}").format(got=short(got)),
    )


# --- SI-SDR --------------------------------------------------------------------------------------


def si_sdr(found, clean):
    along = np.dot(found, clean) / np.dot(clean, clean) * clean
    return 10 * np.log10(np.sum(along**2) / np.sum((found - along) ** 2))


def plain_snr(found, clean):
    return 10 * np.log10(np.sum(clean**2) / np.sum((found - clean) ** 2))


def amplitudes(found, clean):
    return si_sdr(found, clean) / 2


def along_the_wrong_one(found, clean):
    along = np.dot(found, clean) / np.dot(found, found) * found
    return 10 * np.log10(np.sum(along**2) / np.sum((clean - 2 * along) ** 2))


def test_si_sdr(answer):
    clean = np.array([1.0, -1.0, 1.0, -1.0])
    across = np.array([1.0, 1.0, -1.0, -1.0])
    got = answer(clean + 0.1 * across, clean)
    expect(
        near(got, 20.0),
        _(
            "noise of a tenth of the sound's size has a hundredth of its power: 20 dB, got {got}"
        ).format(got=short(got)),
    )
    got = answer(5 * (clean + 0.1 * across), clean)
    expect(
        near(got, 20.0),
        _("the same five times as loud is as good: 20 dB, got {got}").format(got=short(got)),
    )
    expect(
        near(answer(clean + across, clean), 0.0), _("as much noise as sound, at right angles: 0 dB")
    )


# --- splits --------------------------------------------------------------------------------------


def by_voice(voices, share, seed):
    names = sorted(set(voices))
    mixed = np.random.default_rng(seed).permutation(names)
    held = set(mixed[: max(1, round(share * len(names)))])
    return np.array([voice in held for voice in voices])


def by_recording(voices, share, seed):
    return np.random.default_rng(seed).random(len(voices)) < share


def the_first_ones(voices, share, seed):
    return np.arange(len(voices)) < round(share * len(voices))


def everybody(voices, share, seed):
    return np.ones(len(voices), bool)


def test_by_voice(answer):
    voices = [f"voice {i % 10}" for i in range(200)]
    test = np.asarray(answer(voices, 0.2, 0), bool)
    expect(test.shape == (200,), _("one True or False for each recording"))
    inside = {voice for voice, held in zip(voices, test) if held}
    outside = {voice for voice, held in zip(voices, test) if not held}
    expect(
        not inside & outside,
        _("{count} voices are on both sides: what is tested was heard in training").format(
            count=len(inside & outside)
        ),
    )
    expect(
        len(inside) == 2,
        _("a fifth of 10 voices is 2, got {count}").format(count=len(inside)),
    )
    others = [np.asarray(answer(voices, 0.2, seed), bool) for seed in range(5)]
    expect(any((other != test).any() for other in others), _("another seed draws other voices"))


EXERCISES = (
    Exercise(
        "06-3-mel",
        test_band_middles,
        "Go from hertz to mel, lay `bands + 2` equally distant edges, drop both ends, and go back.",
        band_middles,
        (evenly_in_hertz, middles_at_the_ends, left_in_mel),
        "Of 40 bands between 60 and 3900 Hz, half lie below 1170 Hz: there the ear tells tones "
        "apart best, and there vowels differ.",
    ),
    Exercise(
        "06-3-mu-law",
        test_to_byte,
        "`np.sign`, `np.abs` and a logarithm give the curve from -1 to 1; round 128 + 127 times it.",
        to_byte,
        (straight, sign_forgotten, cut_not_rounded),
        "It is quantization with steps that grow with the value: the error is a constant share of "
        "the sound, not a constant. All words of this lesson are kept like this.",
    ),
    Exercise(
        "06-3-si-sdr",
        test_si_sdr,
        "What part of `found` points along `clean`? `np.dot(found, clean) / np.dot(clean, clean)` "
        "times `clean`. All else is distortion.",
        si_sdr,
        (plain_snr, amplitudes, along_the_wrong_one),
        "A plain ratio could be raised by turning the volume up or down. This one cannot.",
    ),
    Exercise(
        "06-3-by-voice",
        test_by_voice,
        "Draw among the *names* of voices, then ask of each recording whether its voice was drawn.",
        by_voice,
        (by_recording, the_first_ones, everybody),
        "Ten recordings of one voice are nearly one recording. Split by recording, a model that "
        "has learned voices by heart passes the test.",
    ),
)
