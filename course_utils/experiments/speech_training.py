"""How the models of speech were trained: `python3 -m course_utils train speech-recogniser`.

Training hears voices of the train split alone, spoken anew by `voices.corpus`; validation voices say
how it goes, and neither test voices nor people are listened to.
"""

import numpy as np
import scipy.signal

from course_utils.backend import keras, tf
from course_utils.checks import read_only
from course_utils.datasets import noise, speaking, speech
from course_utils.evaluation import tasks
from course_utils.evaluation.speech import asked_and_heard, si_sdr
from course_utils.experiments import voices
from course_utils.experiments.averaged import fit_averaged, train_averaged
from course_utils.experiments.disturbing import varied
from course_utils.models import speech as networks

WARPS = read_only(np.linspace(0.86, 1.16, 13))  # of the mel bank: throats of other lengths
CHUNK = 128  # clips that become pictures at once
RECOGNISERS = {"speech-recogniser": "english", "speech-mandarin": "mandarin"}
RECIPES = {
    **{
        name: {
            "model": {"words": 14, "widths": (16, 32, 48), "last": 64},
            "copies": copies,  # of espeak-ng's words, and of flite's
            "shares": (0.6, 0.4),  # of a batch
            "steps": steps,
            "rows": 64,
            "learning_rate": 2e-3,
            "weight_decay": 0.02,
            "seed": seed,
        }
        # English has eight accents, and wants more of everything.
        for name, copies, steps, seed in (
            ("speech-recogniser", (30_000, 12_000), 3000, 6),
            ("speech-mandarin", (18_000, 9_000), 1500, 7),
        )
    },
    "speech-synthesiser": {
        "model": {"inputs": speaking.INPUTS, "width": 32, "channels": 64},
        "steps": 1500,
        "rows": 64,
        "learning_rate": 4e-3,
        "weight_decay": 0.1,  # much: pairs that it never heard are what counts
        "averaged": 0.99,
        "seed": 8,
    },
    "speech-enhancer": {
        "model": {"channels": 64, "depth": 3},
        "steps": 2500,
        "rows": 8,
        "decibels": (-5, 15),
        "learning_rate": 2e-3,
        "weight_decay": 0.01,
        "averaged": 0.99,
        "seed": 9,
    },
}


# --- recognising ---------------------------------------------------------------------------------


def at_8k(sound):
    """Brings a word of `voices.corpus` to floats at 8 kHz."""
    return scipy.signal.resample_poly(sound / np.float32(32768), 1, 2)


@tf.function(autograph=False)
def pictures(clips, bank, trim, keep):
    """Pictures of clips, as `LogMel` makes them, but with bank and edges of their own: log-mels,
    and where each word begins and ends."""
    levels = networks.log_mel(clips, bank)
    return (levels, *networks.edges(levels, trim, keep))


def copies(sounds, labels, count, seed, without=()):
    """Makes disturbed copies of words.

    Args:
        sounds, labels: Words at 8 kHz and their positions.
        count: How many copies.
        seed: Of all that is drawn.
        without: What is left out, see `disturbing.INGREDIENTS`.

    Returns:
        `float16` pictures `(count, FRAMES, BANDS)` and their labels.
    """
    rng = np.random.default_rng([seed, count])
    rounds = -(-count // len(labels))
    chosen = np.concatenate([rng.permutation(len(labels)) for _ in range(rounds)])[:count]
    found = np.empty((count, networks.FRAMES, networks.BANDS), np.float16)
    axes = 1 if "one deviation" in without else (1, 2)
    for begin in range(0, count, CHUNK):
        part = chosen[begin : begin + CHUNK]
        clips = speech.clips([varied(sounds[i], rng, sounds, without) for i in part])
        clips = np.pad(clips, ((0, CHUNK - len(clips)), (0, 0)))
        trim, keep = rng.uniform(-32, -14, CHUNK), rng.integers(1, 6, CHUNK)
        if "edges" in without:
            trim[:], keep[:] = networks.NEVER, 0
        bank = networks.mel_bank(warp=rng.choice(WARPS))
        seen = pictures(clips, bank, trim[:, None].astype(np.float32), keep.astype(np.int32))
        found[begin : begin + len(part)] = networks.evened(*seen, axes)[: len(part)]
    return found, labels[chosen]


def training_pictures(language, recipe, without=()):
    """Returns pools of pictures with their labels: espeak-ng's words, and flite's where there are
    any."""
    sounds, labels, who = voices.corpus(language, "train")
    flite = np.array([name.startswith("flite") for name in who])
    pools = []
    for pool, count in zip((~flite, flite), recipe["copies"]):
        if pool.any() and not (pool is flite and "flite" in without):
            heard = [at_8k(sounds[i]) for i in np.flatnonzero(pool)]
            pools.append(copies(heard, labels[pool], count, recipe["seed"], without))
    return pools


def picture_batches(pools, recipe):
    """Returns the batches of a recogniser: pictures from each pool, and what is to be said of them.
    Labels become chances, a tenth of which goes to the other words (Szegedy et al., 2016); what a
    teacher said stays."""
    shares = recipe["shares"] if len(pools) > 1 else (1.0,)
    rows, words = [round(share * recipe["rows"]) for share in shares], recipe["model"]["words"]

    def batch(step):
        rng = np.random.default_rng([recipe["seed"], step])
        chosen = [rng.integers(0, len(pool[1]), count) for pool, count in zip(pools, rows)]
        inputs = np.concatenate([pool[0][i] for pool, i in zip(pools, chosen)])
        told = np.concatenate([pool[1][i] for pool, i in zip(pools, chosen)])
        if told.ndim == 1:
            told = 0.9 * np.eye(words)[told] + 0.1 / words
        return inputs[..., None].astype(np.float32), told.astype(np.float32)

    return batch


def fit_pictures(pools, recipe, report=lambda step, loss, model: None, loss=None):
    """Trains the part of a recogniser that looks at pictures.

    Args:
        pools: See `training_pictures`.
        recipe: An entry of `RECIPES`.
        report: Called now and then with step, mean loss and mean.
        loss: Of what was told and the model's logits; cross-entropy if left out.

    Returns:
        The mean of its weights over the last 40% of the steps.
    """
    keras.utils.set_random_seed(recipe["seed"])
    model, begin = networks.seen_words(**recipe["model"]), int(0.6 * recipe["steps"])
    loss = loss or keras.losses.CategoricalCrossentropy(from_logits=True)

    def slow(step):
        done = max(0, step - begin)
        return done / (done + 1)

    return fit_averaged(model, picture_batches(pools, recipe), loss, recipe, slow, report)


def with_ears(seen, recipe, name, without=()):
    """Returns the model that makes pictures of clips itself, with trained weights."""
    ears = {}
    if "edges" in without:
        ears |= {"trim": networks.NEVER, "keep": 0}
    if "one deviation" in without:
        ears |= {"together": False}
    return networks.with_ears(seen, recipe["model"], ears, name)


def train_recogniser(name, run):
    """Trains a recogniser of words; returns it with its record."""
    recipe, language = RECIPES[name], RECOGNISERS[name]
    pools, curve = training_pictures(language, recipe), []
    task, keras_name = tasks.of(name), name.replace("-", "_")

    def report(step, loss, seen):
        score = task.score(with_ears(seen, recipe, keras_name), task.data("validation", task.live))
        point = {"step": step, "train_loss": round(loss, 4), "validation": round(score.quality, 4)}
        curve.append(point)
        print(name, point, flush=True)

    seen = fit_pictures(pools, recipe, report)
    told = {"language": language, "train_copies": [len(pool[1]) for pool in pools], "curve": curve}
    return with_ears(seen, recipe, keras_name), {**recipe, **told}


# --- speaking and cleaning -----------------------------------------------------------------------


def speaker_batches(recipe):
    """Returns the batches of a synthesiser: words and voices, and their log-mels."""
    asked, levels = asked_and_heard("train")

    def batch(step):
        rng = np.random.default_rng([recipe["seed"], step])
        chosen = rng.integers(0, len(asked), recipe["rows"])
        return asked[chosen], levels[chosen]

    return batch


def enhancer_batches(recipe):
    """Returns the batches of an enhancer: noisy clips and clean ones."""
    heard = []
    for language in speech.WORDS:
        sounds, _, who = voices.corpus(language, "train")
        rng = np.random.default_rng(recipe["seed"])
        heard += [at_8k(sounds[i]) for i in rng.permutation(len(who))[:4000]]

    def batch(step):
        rng = np.random.default_rng([recipe["seed"], step])
        clean = [placed(heard, rng) for _ in range(recipe["rows"])]
        noisy = []
        for sound in clean:
            kind = noise.KINDS[rng.integers(len(noise.KINDS))]
            over = noise.noise(kind, len(sound), rng, heard)
            noisy.append(noise.mixed(sound, over, rng.uniform(*recipe["decibels"])))
        return np.stack(noisy), np.stack(clean)

    return batch


def placed(heard, rng):
    """Returns a clip with a word somewhere in it, and often the beginning of another."""
    clip = np.zeros(speech.LONGEST, np.float32)
    begin = rng.integers(0, 4000)
    for _ in range(rng.integers(1, 3)):
        word = heard[rng.integers(len(heard))][: max(0, speech.LONGEST - begin)]
        clip[begin : begin + len(word)] = word * rng.uniform(0.2, 1)
        begin += len(word) + rng.integers(0, 2000)
    return clip


def quieter_noise(clean, found):
    """The loss of an enhancer: minus the mean ratio of sound and noise, in decibels."""
    return -tf.reduce_mean(si_sdr(found, clean))


LOSSES = {
    "speech-synthesiser": (speaker_batches, keras.losses.MeanAbsoluteError()),
    "speech-enhancer": (enhancer_batches, quieter_noise),
}


def train_sound(name, run):
    """Trains a synthesiser or an enhancer; returns it with its record."""
    batches, loss = LOSSES[name]
    return train_averaged(name, RECIPES[name], batches, loss)


MAKERS = {
    **dict.fromkeys(RECOGNISERS, train_recogniser),
    **dict.fromkeys(LOSSES, train_sound),
}
