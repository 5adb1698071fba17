"""Spoken words: what is shipped, how it is split, what is read from a learner's files, and what the
models of speech reach on test data."""

import json
import pathlib
import shutil
import struct
import wave

import numpy as np
import pytest
import scipy.io.wavfile

from course_utils import models, quantization, second_order
from course_utils.compression import Quantize, compress
from course_utils.datasets import noise, recordings, speaking, speech
from course_utils.evaluation import speech as hearing
from course_utils.evaluation import tasks
from course_utils.experiments import disturbing, voices
from course_utils.lessons.speech import rivals
from course_utils.models import checkpoint
from course_utils.models import speech as networks
from course_utils.widgets.sound import Sounds, player, wav

LANGUAGES = tuple(speech.WORDS)


def tone(rate=8000, seconds=0.5, hertz=440):
    return 0.5 * np.sin(2 * np.pi * hertz * np.arange(int(rate * seconds)) / rate)


# --- what is shipped -----------------------------------------------------------------------------


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_voice_is_on_two_sides_and_every_word_is_on_each(language):
    heard = {split: speech.sounds(language, split) for split in speech.SPLITS}
    for split, (sounds, labels, who) in heard.items():
        assert len(sounds) == len(labels) == len(who)
        assert set(labels.tolist()) == set(range(14))
        assert all(0.05 < len(sound) / speech.RATE < 2.5 for sound in sounds)
        for other in set(heard) - {split}:
            assert not set(who) & set(heard[other][2]), (split, other)


def test_the_shipped_voices_are_those_that_the_command_would_speak():
    variants = voices.split_of_variants()
    assert sum(map(len, variants.values())) == len(set().union(*variants.values()))
    for split in ("validation", "test", "klatt", "whisper"):
        assert set(speech.sounds("english", split)[2]) == set(variants[split])
    drawn = voices.settings("mandarin", "test")
    assert drawn == voices.settings("mandarin", "test") and len(drawn) == 14 * 11 * 3
    assert all("cmn-latn-pinyin" in command[2] for _, _, command in drawn)


@pytest.mark.parametrize("language", LANGUAGES)
def test_voices_differ_in_more_than_their_names(language):
    """espeak-ng falls back without a word where it does not know a voice."""
    heard = {}
    for split in speech.SPLITS:
        sounds, _, who = speech.sounds(language, split)
        for sound, voice in zip(sounds, who):
            assert heard.setdefault(sound.tobytes(), voice) == voice
    said = speaking.sounds()
    for word in range(28):
        assert len({said[word, voice].tobytes() for voice in range(24)}) == 24


def test_variants_of_one_make_stay_together():
    sides = {voices.family(v): set() for v in voices.VARIANTS}
    for split, variants in voices.split_of_variants().items():
        for variant in set(variants) & set(voices.VARIANTS):
            sides[voices.family(variant)].add(split)
    assert set(map(len, sides.values())) == {1}
    assert voices.family("steph3") == "steph" and voices.family("f3") != voices.family("f2")


def test_a_missing_program_is_named_in_one_sentence(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "flite" else name)
    with pytest.raises(ValueError, match="install flite"):
        voices.corpus("english", "test", tmp_path)


def test_what_is_shipped_cannot_be_written_into():
    with pytest.raises(ValueError, match="read-only"):
        speech.load("english", "test")[0][0] = 0


@pytest.mark.parametrize("name", [one for group in speech.PEOPLE.values() for one in group])
def test_recordings_of_people_are_few_and_named(name):
    rows, labels = speech.people(name)
    assert len(rows) == len(set(labels.tolist())) in (10, 14) and rows.any(1).all()


def test_unknown_names_are_told():
    for call in (
        lambda: speech.load("klingon", "test"),
        lambda: speech.load("english", "dev"),
        lambda: speech.people("nobody"),
        lambda: speaking.pairs("dev"),
    ):
        with pytest.raises(ValueError, match="choose from"):
            call()


def test_mu_law_has_finer_steps_where_it_is_quiet():
    codes = np.arange(1, 256).astype(np.uint8)
    assert np.array_equal(speech.to_mu_law(speech.from_mu_law(codes)), codes)
    steps = np.diff(speech.from_mu_law(codes))
    assert (steps > 0).all() and steps.max() > 100 * steps.min()
    quiet = 0.01 * tone()
    even = np.rint(quiet * 127) / 127
    assert (
        np.abs(speech.from_mu_law(speech.to_mu_law(quiet)) - quiet).max()
        < np.abs(even - quiet).max() / 10
    )


def test_a_telephone_carries_its_band_alone():
    low, middle, high = (np.pad(tone(hertz=f), (4000, 4000))[None] for f in (100, 1000, 3800))
    power = [
        float(np.square(speech.telephone(one)).mean() / np.square(one).mean())
        for one in (low, middle, high)
    ]
    assert power[1] > 0.5 and power[0] < 0.01 and power[2] < 0.1


@pytest.mark.parametrize("kind", noise.KINDS)
def test_noise_has_power_one_and_the_ratio_that_was_asked_for(kind):
    rng = np.random.default_rng(0)
    made = noise.noise(kind, 8000, rng, [tone().astype(np.float32)])
    assert abs(float(np.mean(made**2)) - 1) < 1e-3
    sound = tone(seconds=1)
    over = noise.mixed(sound, made, 10.0) - sound
    assert abs(10 * np.log10(np.mean(sound**2) / np.mean(over**2)) - 10) < 0.01


def test_noise_falls_as_its_name_says():
    def tilt(kind):
        power = np.abs(np.fft.rfft(noise.noise(kind, 2**15, np.random.default_rng(1)))) ** 2
        return 10 * np.log10(power[1000:2000].mean() / power[4000:8000].mean())

    assert abs(tilt("white")) < 1 and 5 < tilt("pink") < 7.5 and 10 < tilt("brown") < 14


# --- a learner's own files -----------------------------------------------------------------------


def write(path, samples, rate=8000):
    scipy.io.wavfile.write(path, rate, samples)
    return path


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100, 48000])
def test_any_rate_becomes_8_khz(tmp_path, rate):
    sound = recordings.read(write(tmp_path / "a.wav", (tone(rate) * 32767).astype(np.int16), rate))
    assert abs(len(sound) - 4000) <= 1
    strongest = np.abs(np.fft.rfft(sound)).argmax() * 8000 / len(sound)
    assert abs(strongest - 440) < 3 and abs(np.abs(sound[500:3500]).max() - 0.5) < 0.02


@pytest.mark.parametrize(
    "samples",
    [
        lambda x: (128 + 127 * x).astype(np.uint8),
        lambda x: (32767 * x).astype(np.int16),
        lambda x: (2147483647 * x).astype(np.int32),
        lambda x: x.astype(np.float32),
        lambda x: np.stack([x, x], 1).astype(np.float32),
    ],
)
def test_any_kind_of_sample_is_read(tmp_path, samples):
    sound = recordings.read(write(tmp_path / "a.wav", samples(tone())))
    assert np.abs(sound - tone()).max() < 0.02


def test_24_bits_are_read(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(3)
        file.setframerate(8000)
        file.writeframes(b"".join(struct.pack("<i", int(x * 8388607))[:3] for x in tone()))
    assert np.abs(recordings.read(tmp_path / "a.wav") - tone()).max() < 1e-3


@pytest.mark.parametrize(
    "content, said",
    [
        (lambda whole: b"", "damaged or no WAV"),
        (lambda whole: b"OggS" + whole[4:], "damaged or no WAV"),
        (lambda whole: whole[:30], "damaged or no WAV"),
        (lambda whole: whole[:-3000], "damaged or no WAV"),
    ],
)
def test_damaged_files_are_refused_in_one_sentence(tmp_path, content, said):
    whole = write(tmp_path / "a.wav", (tone() * 32767).astype(np.int16)).read_bytes()
    (tmp_path / "b.wav").write_bytes(content(whole))
    with pytest.raises(ValueError, match=said):
        recordings.read(tmp_path / "b.wav")


@pytest.mark.parametrize(
    "samples, rate, said",
    [
        (np.zeros(4000, np.int16), 8000, "silent"),
        (np.full(4000, 5000, np.int16), 8000, "silent"),
        (np.full(4000, np.nan, np.float32), 8000, "silent"),
        (np.ones(400, np.int16), 8000, "0.1 to 60 seconds"),
        (np.ones(8000 * 600, np.int16), 8000, "0.1 to 60 seconds"),
        (np.ones(4000, np.int16), 4000, "8000 to 48000"),
        (np.ones(96000, np.int16), 96000, "8000 to 48000"),
    ],
)
def test_what_is_no_word_is_refused(tmp_path, samples, rate, said):
    with pytest.raises(ValueError, match=said):
        recordings.read(write(tmp_path / "a.wav", samples, rate))


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(ValueError, match="no recording at"):
        recordings.read(tmp_path / "a.wav")


def test_a_folder_is_read_by_its_names(tmp_path):
    sounds, labels, _ = speech.sounds("english", "test")
    for name, i in (("7-a.wav", 7), ("stop_1.wav", 12), ("Two.wav", 2)):
        sound = sounds[np.flatnonzero(labels == i)[0]]
        write(tmp_path / name, np.pad(sound, 12_000))  # a word in three seconds of silence
    clips, found, names = recordings.folder(tmp_path, "english")
    assert clips.shape == (3, speech.LONGEST) and dict(zip(names, found.tolist())) == {
        "7-a.wav": 7,
        "Two.wav": 2,
        "stop_1.wav": 12,
    }
    heard = hearing.answers(models.load("speech-recogniser"), clips)
    assert np.array_equal(heard, found)
    write(tmp_path / "eleven.wav", tone().astype(np.float32))
    with pytest.raises(ValueError, match="eleven"):
        recordings.folder(tmp_path, "english")
    with pytest.raises(ValueError, match="no file that ends"):
        recordings.folder(tmp_path / "elsewhere", "english")


# --- pictures of sounds --------------------------------------------------------------------------


def test_a_tone_is_in_its_band():
    levels = np.asarray(
        networks.log_mel(tone(seconds=1, hertz=1000)[None].astype("f4"), networks.mel_bank())
    )
    edges = np.linspace(networks.mel(60), networks.mel(3900), 42)
    assert abs(edges[1 + levels[0, 40].argmax()] - networks.mel(1000)) < edges[1] - edges[0]
    assert levels.max() == pytest.approx(0, abs=1e-3) and levels.min() >= networks.FLOOR - 1e-6


def test_loudness_place_and_silence_change_nothing():
    clip, ears = speech.load("english", "test")[0][:1], networks.LogMel()
    seen = np.asarray(ears(clip))
    assert seen.shape == (1, networks.FRAMES, networks.BANDS, 1)
    assert np.abs(np.asarray(ears(0.1 * clip)) - seen).max() < 1e-3
    assert np.abs(np.asarray(ears(np.roll(clip, 5 * networks.HOP))) - seen).max() < 1e-3
    assert np.isfinite(np.asarray(ears(np.zeros_like(clip)))).all()


def test_one_deviation_and_trimming_are_what_they_say():
    clip = speech.load("english", "test")[0][:8]
    levels = networks.log_mel(clip, networks.mel_bank())
    where = networks.edges(levels, -28.0, 3)
    together, apart = (np.asarray(networks.evened(levels, *where, axes)) for axes in ((1, 2), 1))
    inside = [one[one.any(1)] for one in together]
    assert all(np.abs(one.mean(0)).max() < 0.1 for one in inside)
    spread = np.array([one.std(0) for one in inside])
    assert spread.max() / spread.min() > 2  # bands keep what sets them apart,
    spread = np.array([one[one.any(1)].std(0) for one in apart])
    assert spread.max() < 1.001 and spread.max() / spread.min() < 2  # and here they lose it
    whole = networks.edges(levels, networks.NEVER, 0)
    assert (np.asarray(where[1] - where[0]) < np.asarray(whole[1] - whole[0])).all()


def test_every_ingredient_can_be_left_out():
    rng, sound = np.random.default_rng(0), tone().astype(np.float32)
    changed = [disturbing.varied(sound, np.random.default_rng(0), [sound]) for _ in range(2)]
    assert np.array_equal(*changed) and np.isfinite(changed[0]).all()
    plain = disturbing.varied(sound, rng, [sound], ("edges", "rooms and noise"))
    assert 0.7 < len(np.trim_zeros(plain)) / len(sound) < 1.3


def test_spectra_are_undone():
    sounds = np.random.default_rng(0).standard_normal((2, networks.SAMPLES)).astype(np.float32)
    assert np.abs(np.asarray(networks.joined(networks.spectra(sounds))) - sounds).max() < 1e-4


def test_griffin_and_lim_find_phases_by_rounds():
    levels = networks.pictured([speaking.sounds()[7, 0]]) * -networks.FLOOR

    def away(rounds):
        again = networks.log_mel(networks.griffin_lim(levels, rounds), networks.mel_bank())
        return float(np.abs(np.asarray(again)[:, :90] - levels[:, :90]).mean())

    assert away(32) < 0.8 * away(0)


# --- scores --------------------------------------------------------------------------------------


def test_si_sdr_knows_scale_and_noise():
    rng = np.random.default_rng(0)
    clean = rng.standard_normal((3, 4000))
    over = rng.standard_normal((3, 4000))
    clean, over = (one - one.mean(1, keepdims=True) for one in (clean, over))
    over -= (over * clean).sum(1, keepdims=True) / (clean**2).sum(1, keepdims=True) * clean
    over *= np.sqrt((clean**2).sum(1) / (over**2).sum(1))[:, None]
    for decibels in (-10, 0, 10, 30):
        found = clean + over * 10 ** (-decibels / 20)
        for scale in (1, 0.01, -7):
            assert np.allclose(hearing.si_sdr(scale * found + 3, clean), decibels, atol=1e-3)


def test_the_split_of_pairs_keeps_pairs_apart_and_nothing_else():
    sets = {split: set(map(tuple, speaking.pairs(split).tolist())) for split in speaking.SPLITS}
    assert sum(map(len, sets.values())) == len(set().union(*sets.values())) == 28 * 24
    for pairs in sets.values():
        assert {w for w, _ in pairs} == set(range(28)) and {v for _, v in pairs} == set(range(24))


@pytest.mark.parametrize("language, name", hearing.LANGUAGES.items())
def test_recognisers_know_voices_that_they_never_heard(language, name):
    model, task = models.load(name), tasks.of(name)
    seen = hearing.by_kind(model, language)
    assert seen["test"].accuracy >= 0.97 and seen["telephone"].accuracy >= 0.93
    assert seen["klatt"].accuracy >= 0.85 and seen["whisper"].accuracy > 0.5
    assert task.score(model, task.data("test")).quality == seen["test"].accuracy


def test_the_file_holds_the_ears():
    model = models.load("speech-mandarin")
    twin, clip = checkpoint.clone(model), speech.load("mandarin", "test")[0][:2]
    assert model.layers[1].get_config()["trim"] == -28.0
    assert np.array_equal(np.asarray(twin(clip)), np.asarray(model(clip)))


def test_synthetic_words_are_understood():
    task, model = tasks.of("speech-synthesiser"), models.load("speech-synthesiser")
    seen = task.score(model, task.data("test")).measured
    assert seen.recognised >= 0.9
    asked, levels = task.data("test")
    # Who says each word as most voices do is understood too, and has no voice.
    median = rivals.typical_word(*hearing.asked_and_heard("train"), asked)
    rival = hearing.judge_words(median, asked, levels)
    assert rival.recognised > 0.9 and seen.voiced > 0.25 > 5 * rival.voiced
    assert seen.distance < 0.9 * rival.distance
    right = hearing.judge_words(levels, asked, levels)
    assert right.distance == 0 and right.voiced == 1


def test_calibration_that_lacks_a_word_loses_it():
    model, task = models.load("speech-synthesiser"), tasks.of("speech-synthesiser")
    pairs, _ = task.data("train", task.calibration)
    assert (pairs[:64].sum(0) == 0).any() and pairs.sum(0).all()
    data, quality = task.data("validation", None), {}
    for rule, shown in ((quantization.absmax, None), (second_order.gptq, pairs[:64])):
        steps = [Quantize(rule, bits=8, group_size=32)]
        quality[shown is None] = task.score(compress(model, steps, calibration=shown).model, data)
    few, plain = quality[False].measured, quality[True].measured
    unheard = np.flatnonzero(pairs[:64].sum(0) == 0)
    assert few.recognised < plain.recognised - 0.03
    assert set(few.words[few.heard != few.words]) >= set(unheard)
    whole = compress(model, [Quantize(second_order.gptq, bits=4, group_size=32)], calibration=pairs)
    plain = compress(model, [Quantize(quantization.absmax, bits=4, group_size=32)])
    whole, plain = (task.score(one.model, data).measured.distance for one in (whole, plain))
    assert whole < plain  # GPTQ, shown everything, is the better rule


def test_noise_is_taken_away():
    task, model = tasks.of("speech-enhancer"), models.load("speech-enhancer")
    noisy, clean = data = task.data("test", 60)
    seen = task.score(model, data).measured
    assert seen.gain >= 6 and abs(seen.before.mean()) < 1
    subtracted = task.score(rivals.subtracted, data).measured
    ceiling = np.asarray(hearing.si_sdr(rivals.best_mask(noisy, clean), clean)) - seen.before
    assert 6 < subtracted.gain < seen.gain < ceiling.mean()
    assert ((seen.after - subtracted.after) > 0).mean() > 0.8  # clip by clip, too
    nothing = task.score(lambda rows: rows, data).measured
    assert abs(nothing.gain) < 1e-4
    assert not np.array_equal(hearing.noisy("validation", 5)[0], noisy[:5])


def test_a_recogniser_beats_the_nearest_picture():
    rows, labels = speech.load("english", "test")
    nearest = rivals.nearest_picture(networks.LogMel(), speech.load("english", "train"), rows)
    assert 0.6 < (nearest == labels).mean() < 0.9
    assert (hearing.answers(models.load("speech-recogniser"), rows) == labels).mean() > 0.95


# --- sounds on a page ----------------------------------------------------------------------------


def test_a_player_holds_a_wav_file_and_words(tmp_path):
    (tmp_path / "a.wav").write_bytes(wav(tone()))
    rate, samples = scipy.io.wavfile.read(tmp_path / "a.wav")
    assert rate == 8000 and samples.dtype == np.int16 and abs(samples).max() == round(0.9 * 32767)
    shown = player(tone(), "a <tone>")
    assert "a &lt;tone&gt;" in shown and "<audio controls" in shown
    both = Sounds({"one": tone(), "two": tone()})
    assert repr(both) == "sound: one\nsound: two" and both._repr_html_().count("<audio") == 2


def test_the_study_left_each_ingredient_out():
    path = pathlib.Path(speech.files.DATA / "results" / "speech.json")
    record = json.loads(path.read_text("utf8"))
    assert [one["without"] for one in record["ablation"]] == ["nothing", *disturbing.INGREDIENTS]
    assert all(len(one["runs"]) == 2 for one in record["ablation"] + record["students"])


def test_a_compressed_recogniser_counts_its_confusions():
    from course_utils.lessons.speech.explorers import hear

    seen = hear("english", "absmax", None, 2, None)
    assert seen.confusions.sum() == round((1 - seen.measured.accuracy) * len(seen.labels)) > 10
    assert np.all(np.diag(seen.confusions) == 0)
    fine = hear("english", "absmax", None, 8, None)
    assert fine.measured.accuracy > seen.measured.accuracy
    assert fine.small.ledger.total > seen.small.ledger.total


def test_fewer_bits_speak_further_from_the_original():
    from course_utils.lessons.speech.explorers import say

    voice = speaking.VOICES[0]
    fine, coarse = (say("seven", voice, "absmax", None, bits, None) for bits in (8, 2))
    assert fine.measured.distance < coarse.measured.distance
    assert np.abs(fine.levels[0] - fine.levels[1]).mean() < 0.02
    length = networks.HOP * (networks.FRAMES - 1) + networks.WINDOW
    assert all(sound.shape == (length,) for sound in fine.sounds)


def test_fewer_bits_clean_less():
    from course_utils.lessons.speech.explorers import clean

    fine, coarse = (clean(0, 0, "absmax", None, bits, None) for bits in (8, 2))
    assert fine.measured.gain > max(6, coarse.measured.gain) and fine.kind == coarse.kind
    assert np.array_equal(fine.sounds[2], coarse.sounds[2])
