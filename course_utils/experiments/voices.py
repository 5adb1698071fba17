"""Makes the spoken words: `python3 -m course_utils results voices`.

Two programs speak them, espeak-ng (formants, and with the variants called klatt another kind of
source) and flite (recorded people, cut up and joined). Both must be on the PATH. Voices of the
train, validation and test split have nothing in common: a variant of espeak-ng is one voice,
whatever its accent; flite's five people are heard in training alone.
"""

import concurrent.futures
import io
import json
import pathlib
import shutil
import subprocess
import tempfile

import numpy as np
import scipy.io.wavfile
import scipy.signal

from course_utils import files
from course_utils.checks import one_of
from course_utils.container import pack, unpack
from course_utils.datasets import speaking, speech

RATE = 16_000  # samples a second while a word is still to be changed
AT_ONCE = 16  # programs that speak side by side: each of them mostly waits
SILENT = -40  # dB below the loudest moment: what is quieter at both ends is cut
ACCENTS = {
    # Not "en-gb": it takes no variant, and every voice would be the same one.
    "english": "en en-us en-gb-scotland en-029 en-gb-x-rp en-gb-x-gbclan en-gb-x-gbcwmd "
    "en-us-nyc".split(),
    # Given characters, espeak-ng's voice "cmn" reads most of them in English: it gets pinyin.
    "mandarin": ["cmn-latn-pinyin"],
}
SPELT = {
    "english": speech.WORDS["english"],
    "mandarin": "ling2 yi1 er4 san1 si4 wu3 liu4 qi1 ba1 jiu3 dui4 bu4 ting2 zou3".split(),
}
VARIANTS = (
    "Alex Alicia Andrea Andy Annie AnxiousAndy Denis Diogo Gene Gene2 Henrique Hugo Jacky Lee Marco "
    "Mario Michael Mike Nguyen RicishayMax RicishayMax2 RicishayMax3 Storm Tweaky adam anika "
    "announcer antonio aunty belinda benjamin boris david ed edward edward2 f1 f2 f3 f4 f5 "
    "fast grandma grandpa gustave iven iven2 iven3 iven4 john kaukovalta linda m1 m2 m3 m4 m5 m6 m7 "
    "m8 marcelo max michel miguel norbert pablo paul pedro quincy rob robert sandro shelby steph "
    "steph2 steph3 travis victor zac"
).split()
KINDS = {
    "klatt": ["klatt", "klatt2", "klatt3", "klatt4", "klatt5"],  # klatt6 and caleb sound like klatt
    "whisper": ["whisper", "whisperf"],
}
ASTERISK = pathlib.Path("/usr/share/asterisk/sounds/en_US_f_Allison/digits")
GCIN = pathlib.Path("/usr/share/gcin-voice/ogg")
BOPOMOFO = (
    "\u310c\u3127\u31252 \u3127 \u31264 \u3119\u3122 \u31194 \u31283 "
    "\u310c\u3127\u31214 \u3111\u3127 \u3105\u311a \u3110\u3127\u31213 "
    "\u3109\u3128\u311f4 \u3105\u31284 \u310a\u3127\u31252 \u3117\u31213"
).split()
HELD_OUT = 12  # variants in the validation split, and as many in the test split
FLITE = ("kal", "kal16", "awb", "rms", "slt")
SETTINGS = {"train": 2, "validation": 2, "test": 3, "klatt": 3, "whisper": 8}  # of each voice
SHIPPED_TRAIN = 30  # of each word


def family(variant):
    """Returns a name for variants that were made from one another, such as steph, steph2, steph3."""
    return variant if len(variant) == 2 else variant.rstrip("0123456789").replace("Anxious", "")


def split_of_variants(seed=0):
    """Returns by split the variants of espeak-ng that belong to it: families stay together."""
    families = sorted({family(variant) for variant in VARIANTS})
    line = [
        variant
        for name in np.random.default_rng(seed).permutation(families)
        for variant in VARIANTS
        if family(variant) == name
    ]
    ends = [HELD_OUT, 2 * HELD_OUT]
    for i, end in enumerate(ends):
        while family(line[end - 1]) == family(line[end]):
            end += 1
        ends[i] = end
    first, second = ends
    return {
        "validation": line[:first],
        "test": line[first:second],
        "train": line[second:],
        **KINDS,
    }


def settings(language, split, seed=0):
    """Draws how each word of a split is spoken.

    Returns:
        A list of `(word, voice, command)`; the command writes a WAV file to standard output.
    """
    rng = np.random.default_rng([seed, speech.SPLITS.index(split), len(language)])
    drawn = []
    for word, spelt in enumerate(SPELT[language]):
        for variant in split_of_variants()[split]:
            accents = ACCENTS[language]
            if split != "train":  # a few of them, so that the shipped file stays small
                accents = rng.choice(accents, SETTINGS[split])
            else:
                accents = np.repeat(accents, 2 if language == "english" else 6)
            for accent in accents:
                mark = rng.choice(["", ".", "?", "!", ","])
                speed, pitch = rng.integers(110, 240), rng.integers(20, 90)
                command = ["espeak-ng", "-v", f"{accent}+{variant}", "-s", speed, "-p", pitch]
                drawn.append((word, variant, [*command, "--stdout", f"{spelt}{mark}"]))
        if split == "train" and language == "english":
            for voice in FLITE:
                for _ in range(40):
                    how = {
                        "duration_stretch": rng.uniform(0.65, 1.5),
                        "int_f0_target_mean": rng.uniform(0.75, 1.35)
                        * (170 if voice == "slt" else 105),
                        "int_f0_target_stddev": rng.uniform(5, 30),
                    }
                    told = [
                        x for name, value in how.items() for x in ("--setf", f"{name}={value:.3f}")
                    ]
                    mark = rng.choice(["", ".", "?", ","])
                    drawn.append(
                        (
                            word,
                            f"flite {voice}",
                            ["flite", "-voice", voice, *told, "-t", f"{spelt}{mark}"],
                        )
                    )
    return drawn


def spoken(command):
    """Runs a command that speaks; returns `float32` samples at 16 kHz, as loud as they can be,
    without silence at the ends."""
    command = [str(part) for part in command]
    if command[0] == "flite":
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "word.wav"
            subprocess.run([*command, "-o", path], check=True, capture_output=True)
            content = path.read_bytes()
    else:
        content = subprocess.run(command, check=True, capture_output=True).stdout
        content = bytearray(content)  # written to a pipe, the header does not know its length
        content[40:44] = (len(content) - 44).to_bytes(4, "little")
        content[4:8] = (len(content) - 8).to_bytes(4, "little")
    return prepared(*scipy.io.wavfile.read(io.BytesIO(bytes(content))))


def prepared(rate, samples):
    """Brings integer samples to 16 kHz and -1..1, and cuts silence at the ends."""
    common = np.gcd(rate, RATE)
    sound = samples.astype(np.float64)
    sound = sound.mean(1) if sound.ndim == 2 else sound
    sound = scipy.signal.resample_poly(sound, RATE // common, rate // common)
    sound /= max(np.abs(sound).max(), 1e-9)
    width = RATE // 100
    frames = np.sqrt(np.square(sound[: len(sound) // width * width]).reshape(-1, width).mean(1))
    loud = np.flatnonzero(frames > frames.max() * 10 ** (SILENT / 20))
    return sound[loud[0] * width : (loud[-1] + 1) * width].astype(np.float32)


def corpus(language, split, folder=None):
    """Speaks all words of a split, or reads what an earlier run spoke.

    Args:
        language: `"english"` or `"mandarin"`.
        split: One of `speech.SPLITS`.
        folder: Where it is kept until the data set is made; `data/speech` if left out.

    Returns:
        A list of sounds at 16 kHz, their words and their voices.

    Raises:
        ValueError: If espeak-ng or flite is missing.
    """
    one_of("language", language, speech.WORDS)
    folder = pathlib.Path(folder or files.DATA / "speech")
    path = folder / f"{language}-{split}.backup.safetensors"
    drawn = settings(language, split)
    words, voices = np.array([word for word, _, _ in drawn]), [voice for _, voice, _ in drawn]
    if not path.exists():
        missing = [name for name in ("espeak-ng", "flite") if not shutil.which(name)]
        if missing:
            raise ValueError(
                f"the words are spoken by espeak-ng and flite: install {' and '.join(missing)} "
                "(Debian's packages have these names)"
            )
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            said = list(pool.map(spoken, [command for _, _, command in drawn]))
        kept = {
            "samples": np.concatenate([np.rint(32767 * one).astype(np.int16) for one in said]),
            "lengths": np.array([len(one) for one in said], np.int32),
        }
        files.write(path, pack(kept, {}))
    arrays, _ = unpack(path.read_bytes(), path.name)
    cut = np.split(arrays["samples"], np.cumsum(arrays["lengths"])[:-1])
    return cut, words, voices


def shelved(sounds, words, voices, splits):
    """Returns what a file of `data/speech` holds: `datasets.speech` reads it."""
    names = sorted(set(voices))
    codes = [
        speech.to_mu_law(scipy.signal.resample_poly(one / 32768, 1, RATE // speech.RATE))
        for one in sounds
    ]
    arrays = {
        "samples": np.concatenate(codes),
        "lengths": np.array([len(one) for one in codes], np.int32),
        "words": np.array(words, np.uint8),
        "voices": np.array([names.index(voice) for voice in voices], np.uint16),
        "splits": np.array(splits, np.uint8),
    }
    return pack(arrays, {"voices": json.dumps(names)})


def recorded(name):
    """Returns what a person says in a package of Debian, at 16 kHz, and the words' positions."""
    if name == "Allison Smith":
        paths = [ASTERISK / f"{digit}.wav" for digit in range(10)]
        read = [scipy.io.wavfile.read(path) for path in paths]
    else:
        file = "3.ogg" if name == "E. Liu" else "5.ogg"
        commands = [["oggdec", "-Q", "-o", "-", GCIN / syllable / file] for syllable in BOPOMOFO]
        read = [
            scipy.io.wavfile.read(
                io.BytesIO(subprocess.run(c, check=True, capture_output=True).stdout)
            )
            for c in commands
        ]
    return [np.rint(32767 * prepared(*each)).astype(np.int16) for each in read], np.arange(
        len(read)
    )


def experiment(folder, run):
    """Speaks all words, and writes those that lessons need to `data/speech`.

    Recordings of people are copied where their packages are installed, `asterisk-core-sounds-en-wav`
    and `gcin-voice`, with `oggdec` of `vorbis-tools`; elsewhere they stay as they are.
    """
    found = {}
    there = {"Allison Smith": ASTERISK, "E. Liu": GCIN, "Chu Lo": GCIN}
    for person in [person for person, source in there.items() if source.is_dir()]:
        sounds, words = recorded(person)
        name = person.lower().replace(". ", "-").replace(" ", "-")
        content = shelved(sounds, words, [person] * len(words), [0] * len(words))
        files.write(folder / "speech" / f"{name}.safetensors", content)
        found[person] = {"recordings": len(words)}
    for language in speech.WORDS:
        shelf = [], [], [], []
        for number, split in enumerate(speech.SPLITS):
            sounds, words, voices = corpus(language, split, folder / "speech")
            chosen = np.arange(len(words))
            if split == "train":
                rng = np.random.default_rng(1)
                chosen = np.concatenate(
                    [
                        rng.permutation(np.flatnonzero(words == word))[:SHIPPED_TRAIN]
                        for word in set(words.tolist())
                    ]
                )
            parts = [sounds[i] for i in chosen], words[chosen], [voices[i] for i in chosen]
            for whole, part in zip(shelf, (*parts, [number] * len(chosen))):
                whole.extend(part)
            found[f"{language}, {split}"] = {
                "spoken": len(words),
                "shipped": len(chosen),
                "voices": len(set(voices)),
            }
        files.write(folder / "speech" / f"{language}.safetensors", shelved(*shelf))
    said = [
        (word, voice, ["espeak-ng", "-v", f"{accent}+{voice}", "-s", 150, "--stdout", spelt])
        for voice in speaking.VOICES
        for word, (accent, spelt) in enumerate(
            [("en", spelt) for spelt in SPELT["english"]]
            + [("cmn-latn-pinyin", spelt) for spelt in SPELT["mandarin"]]
        )
    ]
    words, names, commands = zip(*said)
    sounds = [np.rint(32767 * spoken(command)).astype(np.int16) for command in commands]
    content = shelved(sounds, words, names, [0] * len(said))
    files.write(folder / "speech" / "speaking.safetensors", content)
    found["synthesiser"] = {"spoken": len(said), "voices": len(speaking.VOICES)}
    return found
