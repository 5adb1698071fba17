"""A recogniser, a synthesiser and an enhancer of words under compression (lesson 6.3)."""

import dataclasses
import functools

import numpy as np

from course_utils.backend import keras, tf
from course_utils.chart import Axis, Chart, Grid
from course_utils.checks import one_of, read_only
from course_utils.datasets import noise, speaking, speech
from course_utils.evaluation import speech as judged
from course_utils.evaluation.bench import bench
from course_utils.evaluation.classification import Classification, classify
from course_utils.lessons.vision.explorers import Small, compressed, compressing
from course_utils.models import speech as networks
from course_utils.models.checkpoint import clone
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, readout, slider
from course_utils.widgets.controls import without_use
from course_utils.widgets.html import squeezed
from course_utils.widgets.sound import player

CLEANED = 20  # clips that are cleaned at a move
SMALLER = 2  # cells of a spectrogram that become one in a picture, each way


def spectrogram(levels, title, description):
    """Shows log-mels, loud ones dark, low bands at the bottom.

    Args:
        levels: `(frames, BANDS)`, from -1 for silence to 0 for the loudest.
        title, description: Of the `Chart`.
    """
    loud = 1 + np.clip(np.asarray(levels), -1, 0)
    frames, bands = (side // SMALLER * SMALLER for side in loud.shape)
    cells = loud[:frames, :bands].reshape(frames // SMALLER, SMALLER, bands // SMALLER, SMALLER)
    picture = cells.mean((1, 3)).T[::-1]
    tenths = {i * 10 / SMALLER: f"{i / 10:g}" for i in range(0, frames // 10 + 1, 2)}
    low, high = networks.mel(networks.LOWEST), networks.mel(networks.HIGHEST)
    heights = {
        bands / SMALLER * (1 - (networks.mel(hertz) - low) / (high - low)): f"{hertz}"
        for hertz in (300, 1000, 3000)
    }
    return Chart(
        [Grid(picture)],
        x=Axis(_("seconds"), ticks=tenths),
        y=Axis(_("Hz"), ticks=heights),
        title=title,
        description=description,
        width=300,
        height=190,
    )


def levels_of(sound):
    """Returns log-mels of a sound as `spectrogram` shows them."""
    levels = networks.log_mel(np.asarray(sound, np.float32)[None], networks.mel_bank())
    return np.asarray(levels)[0] / -networks.FLOOR


# --- recognition ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Hearing:
    """What a compressed recogniser hears, in validation voices.

    Attributes:
        small: The `Small` model.
        measured, original: A `Classification` of it, and of the model as it was trained.
        answers, labels: Positions of words that it hears, and of those that were said.
        words: The words.
    """

    small: Small
    measured: Classification
    original: Classification
    answers: np.ndarray
    labels: np.ndarray
    words: tuple

    @property
    def confusions(self):
        """How often each word (row) was taken for each other one (column)."""
        counts = np.zeros((len(self.words), len(self.words)), int)
        wrong = self.answers != self.labels
        np.add.at(counts, (self.labels[wrong], self.answers[wrong]), 1)
        return counts


def hear(language, rule, step, bits, theta):
    """Compresses the recogniser of a language and lets it hear validation voices; a `Hearing`."""
    here, eyes, pictures = _looking(one_of("language", language, judged.LANGUAGES))
    clips, labels = here.data
    with here.turn:  # a slider may move meanwhile, in another thread
        small = compressed(here, rule, step, bits, theta)
        logits = eyes(pictures).numpy()
    seen = classify(lambda clips: logits, clips, labels)
    words = speech.WORDS[language]
    return Hearing(small, seen, here.score.measured, logits.argmax(1), labels, words)


@functools.cache
def _looking(language):
    """Returns the bench of a recogniser, the part of its twin that looks at pictures, compiled, and
    the pictures of its validation clips: no move of a slider changes them."""
    here = bench(judged.LANGUAGES[language])
    ears = here.twin.get_layer("log_mel")
    eyes = keras.Model(ears.output, here.twin.outputs[0])
    return here, tf.function(eyes, autograph=False), ears(here.data[0])


def show_hearing(seen):
    """Numbers, and which words were taken for which."""
    low, high = seen.measured.interval
    return [
        cards(
            readout(
                _("validation accuracy"),
                f"{seen.measured.accuracy:.1%}",
                note=_("{low:.1%} to {high:.1%}; original {before:.1%}").format(
                    low=low, high=high, before=seen.original.accuracy
                ),
            ),
            *squeezed(seen.small),
        ),
        confusion_chart(seen),
    ]


def confusion_chart(seen):
    """Draws which word was taken for which."""
    ticks = {i + 0.5: word for i, word in enumerate(seen.words)}
    pairs = sorted(
        ((n, i, j) for (i, j), n in np.ndenumerate(seen.confusions) if n), key=lambda p: -p[0]
    )
    most = [
        _("{true} heard as {answer}, {count} times").format(
            true=seen.words[i], answer=seen.words[j], count=n
        )
        for n, i, j in pairs[:3]
    ]
    said = _("Most often: {list}.").format(list="; ".join(most) or _("none"))
    return Chart(
        [Grid(seen.confusions, _("words"))],
        x=Axis(_("heard"), ticks=ticks),
        y=Axis(_("said"), ticks=ticks),
        title=_("What was taken for what, of {count} words").format(count=len(seen.labels)),
        description=said,
        width=620,
        height=360,
    )


def hear_explorer():
    """Slides Q, θ and bits of a recogniser.

    Returns:
        An `Explorer` whose results are `Hearing`s.
    """
    languages = {_("English"): "english", _("Mandarin"): "mandarin"}
    return Explorer(
        hear,
        show_hearing,
        without_use,
        language=choice(_("language"), languages, "english", _("which recogniser")),
        **compressing(),
    )


# --- synthesis -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Saying:
    """What a compressed synthesiser says.

    Attributes:
        small: The `Small` model.
        measured, original: `Synthesis` of validation pairs, by it and by the model as it was
            trained.
        word: What is said.
        sounds: `(samples,)` each: the original model's and the compressed one's.
        levels: Their log-mels, -1 to 0.
    """

    small: Small
    measured: judged.Synthesis
    original: judged.Synthesis
    word: str
    sounds: tuple
    levels: tuple


def say(word, voice, rule, step, bits, theta):
    """Compresses the synthesiser and lets it speak.

    Args:
        word, voice: Of `speaking.SPOKEN` and `speaking.VOICES`.
        rule, step, bits, theta: How it is compressed.

    Returns:
        A `Saying`.
    """
    small, measured, speaker = _speaker(rule, step, bits, theta)
    asked = speaking.asked([(speaking.SPOKEN.index(word), speaking.VOICES.index(voice))])
    before, levels = original_levels(word, voice), np.asarray(speaker(asked))[0].clip(-1, 0)
    sounds = np.asarray(networks.voiced(np.stack([before, levels])))
    original = bench("speech-synthesiser").score.measured
    return Saying(small, measured, original, word, tuple(sounds), (before, levels))


@functools.lru_cache(maxsize=1)
def _speaker(rule, step, bits, theta):
    """Compresses the synthesiser; returns the `Small`, what is measured of it, and a copy that no
    other slider moves: another word or voice asks for nothing more."""
    here = bench("speech-synthesiser")
    with here.turn:
        small = compressed(here, rule, step, bits, theta)
        measured, speaker = here.task.score(here.twin, here.data).measured, clone(here.twin)
    for array in (measured.heard, measured.words):
        read_only(array)
    return small, measured, speaker


@functools.lru_cache(maxsize=64)
def original_levels(word, voice):
    """Returns what the synthesiser as it was trained says: log-mels, -1 to 0."""
    asked = speaking.asked([(speaking.SPOKEN.index(word), speaking.VOICES.index(voice))])
    return read_only(np.asarray(bench("speech-synthesiser").original(asked))[0].clip(-1, 0))


def show_saying(seen):
    """Numbers, two players, two spectrograms."""
    apart = float(np.abs(seen.levels[0] - seen.levels[1]).mean()) * judged.DECIBELS
    as_trained, now = _("as it was trained"), _("compressed")
    return [
        cards(
            readout(
                _("recognised"),
                f"{seen.measured.recognised:.0%}",
                note=_("{low:.0%} to {high:.0%}; original {before:.0%}").format(
                    low=seen.measured.interval[0],
                    high=seen.measured.interval[1],
                    before=seen.original.recognised,
                ),
            ),
            readout(
                _("mel distance"),
                _("{apart:.1f} dB").format(apart=seen.measured.distance),
                note=_("original {before:.1f} dB").format(before=seen.original.distance),
            ),
            *squeezed(seen.small),
        ),
        player(seen.sounds[0], _("{word}, {how}").format(word=seen.word, how=as_trained))
        + player(seen.sounds[1], _("{word}, {how}").format(word=seen.word, how=now)),
        spectrogram(
            seen.levels[0],
            _("{word}, {how}").format(word=seen.word, how=as_trained),
            _("Loudness over time and pitch."),
        ),
        spectrogram(
            seen.levels[1],
            _("{word}, {how}").format(word=seen.word, how=now),
            _("{apart:.1f} dB from the other picture in the mean of all cells.").format(
                apart=apart
            ),
        ),
    ]


def say_explorer():
    """Slides compression of the synthesiser.

    Returns:
        An `Explorer` whose results are `Saying`s.
    """
    return Explorer(
        say,
        show_saying,
        without_use,
        word=choice(_("word"), {w: w for w in speaking.SPOKEN}, "seven", _("what is said")),
        voice=choice(
            _("voice"), {v: v for v in speaking.VOICES}, speaking.VOICES[0], _("in whose manner")
        ),
        **compressing(),
    )


# --- enhancement ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Cleaned:
    """What a compressed enhancer makes of noisy words, in validation voices.

    Attributes:
        small: The `Small` model.
        measured: Its `Enhancement` of `CLEANED` clips.
        original: Decibels that the model as it was trained gains on them.
        sounds: The clip that is shown, `(samples,)` each: noisy, cleaned, as it was.
        kind: Of its noise.
    """

    small: Small
    measured: judged.Enhancement
    original: float
    sounds: tuple
    kind: str


@functools.lru_cache(maxsize=32)
def _gained(decibels):
    """Returns by how many decibels the enhancer as it was trained cleans validation clips."""
    here = bench("speech-enhancer")
    return here.task.score(here.original, judged.noisy("validation", CLEANED, decibels)).quality


def clean(clip, decibels, rule, step, bits, theta):
    """Compresses the enhancer and lets it clean words.

    Args:
        clip: Number of the clip that is shown.
        decibels: How much more power words have than noise.
        rule, step, bits, theta: How it is compressed.

    Returns:
        A `Cleaned`.
    """
    here, data = bench("speech-enhancer"), judged.noisy("validation", CLEANED, decibels)
    with here.turn:
        small = compressed(here, rule, step, bits, theta)
        seen = here.task.score(here.twin, data).measured
        found = np.asarray(here.twin(data[0][clip : clip + 1]))[0]
    sounds = (data[0][clip], found, data[1][clip])
    return Cleaned(small, seen, _gained(decibels), sounds, noise.KINDS[clip % len(noise.KINDS)])


def show_cleaned(seen):
    """Numbers over all clips, and one of them to see and to hear."""
    names = _("noisy"), _("cleaned"), _("without noise")
    before, after = seen.measured.before.mean(), seen.measured.after.mean()
    return [
        cards(
            readout(
                _("SI-SDR"),
                _("{after:.1f} dB").format(after=after),
                note=_("noisy {before:.1f} dB").format(before=before),
            ),
            readout(
                _("gained"),
                _("{gain:.1f} dB").format(gain=seen.measured.gain),
                note=_("original {before:.1f} dB").format(before=seen.original),
            ),
            *squeezed(seen.small),
        ),
        "".join(map(player, seen.sounds, names)),
        *(
            spectrogram(
                levels_of(sound),
                name,
                _("A word in noise of the kind {kind}: {name}.").format(kind=seen.kind, name=name),
            )
            for sound, name in zip(seen.sounds, names)
        ),
    ]


def clean_explorer():
    """Slides noise, and compression of the enhancer.

    Returns:
        An `Explorer` whose results are `Cleaned`s.
    """
    return Explorer(
        clean,
        show_cleaned,
        without_use,
        clip=slider(_("clip"), 0, CLEANED - 1, 1, 0, _("which validation clip is shown")),
        decibels=slider(_("dB"), -10, 20, 2, 0, _("how much more power words have than noise")),
        **compressing(),
    )
