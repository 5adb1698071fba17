"""Small networks for spoken words: they recognise, speak and clean them. What turns sound into
pictures of it is part of each model and goes into its file."""

import numpy as np

from course_utils.backend import keras, tf

RATE, SAMPLES = 8000, 12_000  # of a clip of 1.5 seconds
WINDOW, HOP, FFT = 200, 80, 256  # 25 ms every 10 ms
BANDS, LOWEST, HIGHEST = 40, 60.0, 3900.0
FRAMES = 96  # that a recogniser sees: 0.96 seconds
FLOOR = np.float32(np.log(1e-5))  # 50 dB under the loudest cell
NEVER = -200.0  # dB: no edge is cut
EVEN = 0.3  # added to the deviation, so that silence stays silent


def mel(hertz):
    """Returns how high a tone sounds, in mel (O'Shaughnessy, 1987): `2595 log10(1 + f / 700)`."""
    return 2595 * np.log10(1 + np.asarray(hertz, np.float64) / 700)


def mel_bank(bands=BANDS, low=LOWEST, high=HIGHEST, warp=1.0):
    """Returns triangles that gather frequencies into bands, equally wide in mel.

    Args:
        bands: How many.
        low, high: Where the first begins and the last ends, in hertz.
        warp: By how much a speaker's throat is taken to be shorter: moves all edges.

    Returns:
        `float32` of shape `(FFT / 2 + 1, bands)`.
    """
    edges = np.linspace(mel(low), mel(high), bands + 2)
    places = mel(np.minimum(np.arange(FFT // 2 + 1) * RATE / FFT * warp, RATE / 2))[:, None]
    rising = (places - edges[:-2]) / (edges[1:-1] - edges[:-2])
    falling = (edges[2:] - places) / (edges[2:] - edges[1:-1])
    return np.maximum(0, np.minimum(rising, falling)).astype(np.float32)


def spectrum(sounds):
    """Short-time Fourier transform: `(batch, samples)` -> complex `(batch, frames, FFT / 2 + 1)`."""
    return tf.signal.stft(sounds, WINDOW, HOP, FFT)


def log_mel(sounds, bank):
    """Returns the natural logarithm of the power in each band, at least 50 dB under the loudest:
    `(batch, samples)` -> `(batch, frames, bands)`, 0 for the loudest cell."""
    power = tf.square(tf.abs(spectrum(sounds))) @ bank
    power /= tf.reduce_max(power, (1, 2), keepdims=True) + 1e-10
    return tf.maximum(tf.math.log(power + 1e-10), FLOOR)


def edges(levels, trim, keep):
    """Returns where the first frame above `trim` dB of the loudest one is and where the last one
    ends, with `keep` frames more on both sides; each of shape `(batch,)`."""
    power = tf.reduce_mean(tf.exp(levels), -1)
    loud = power >= tf.reduce_max(power, -1, keepdims=True) * 10 ** (trim / 10)
    frames = tf.shape(power)[1]
    first = tf.argmax(loud, -1, tf.int32) - keep
    last = frames - tf.argmax(loud[:, ::-1], -1, tf.int32) + keep
    return tf.maximum(first, 0), tf.minimum(last, frames)


def evened(levels, first, last, axes=(1, 2)):
    """Takes each band's mean away and divides by a deviation, over the word only; puts the word
    into the middle of `FRAMES` frames, with zeros outside.

    Args:
        levels: Log-mels `(batch, frames, bands)`.
        first, last: Where each word begins and ends, see `edges`.
        axes: Over which there is one deviation: time and bands; 1 gives each band its own, which
            blows up bands in which there is little but noise.
    """
    frames = tf.shape(levels)[1]
    places = tf.range(frames)[None]
    inside = tf.cast((places >= first[:, None]) & (places < last[:, None]), levels.dtype)[..., None]
    share = tf.reduce_mean(inside, 1, keepdims=True)
    mean = tf.reduce_mean(levels * inside, 1, keepdims=True) / share
    apart = (levels - mean) * inside
    apart /= tf.sqrt(tf.reduce_mean(tf.square(apart), axes, keepdims=True) / share) + EVEN
    taken = tf.range(FRAMES)[None] + ((first + last - FRAMES) // 2)[:, None]
    there = tf.cast((taken >= 0) & (taken < frames), levels.dtype)[..., None]
    return tf.gather(apart, tf.clip_by_value(taken, 0, frames - 1), batch_dims=1) * there


@keras.saving.register_keras_serializable("course_utils")
class LogMel(keras.layers.Layer):
    """Turns clips into pictures of their sound: 40 log-mels every 10 ms, cut to the word, evened.

    Args:
        trim: What is that many dB under the loudest frame at both ends is cut.
        keep: Frames that are kept beyond.
        together: Whether all bands are divided by one deviation.

    Call with clips `(batch, samples)`; returns `(batch, FRAMES, BANDS, 1)`.
    """

    def __init__(self, trim=-28.0, keep=3, together=True, **kwargs):
        super().__init__(**kwargs)
        self.trim, self.keep, self.together, self.bank = trim, keep, together, mel_bank()

    def call(self, sounds):
        levels = log_mel(sounds, self.bank)
        axes = (1, 2) if self.together else 1
        return evened(levels, *edges(levels, self.trim, self.keep), axes)[..., None]

    def compute_output_shape(self, shape):
        return (shape[0], FRAMES, BANDS, 1)

    def get_config(self):
        mine = {"trim": self.trim, "keep": self.keep, "together": self.together}
        return {**super().get_config(), **mine}


def seen_words(words=14, widths=(16, 32, 48), last=64, momentum=0.99, name="pictures"):
    """Builds the part of a recogniser that looks at pictures `(FRAMES, BANDS, 1)`.

    Three convolutions, each with a pooling that halves both sides, one more, one that looks across
    all bands; then the mean and the largest value over time, so that it matters little when
    something was said.

    Args:
        words: How many words there are.
        widths: Filters of the first convolutions.
        last: Filters of the last two.
        momentum: Of the means that batch normalization keeps; less where a training is short.
        name: What Keras calls it.
    """
    picture = keras.Input((FRAMES, BANDS, 1), name="picture")
    x = picture
    for i, width in enumerate(widths):
        x = keras.layers.Conv2D(width, 3, padding="same", use_bias=False, name=f"conv_{i}")(x)
        x = keras.layers.BatchNormalization(momentum=momentum, name=f"norm_{i}")(x)
        x = keras.layers.MaxPooling2D(name=f"pool_{i}")(keras.layers.ReLU(name=f"relu_{i}")(x))
    x = keras.layers.Conv2D(last, 3, padding="same", activation="relu", name="conv_last")(x)
    x = keras.layers.Conv2D(last, (1, 5), activation="relu", name="conv_bands")(x)
    mean = keras.layers.GlobalAveragePooling2D(name="mean")(x)
    most = keras.layers.GlobalMaxPooling2D(name="most")(x)
    x = keras.layers.Dropout(0.3, name="dropout")(
        keras.layers.Concatenate(name="both")([mean, most])
    )
    return keras.Model(picture, keras.layers.Dense(words, name="logits")(x), name=name)


def recogniser(ears=None, name="speech_recogniser", **options):
    """Builds a recogniser of spoken words: clips `(batch, 12000)` to logits `(batch, words)`.

    Args:
        ears: Arguments for `LogMel`.
        name: What Keras calls it.
        **options: As for `seen_words`.
    """
    pictures = seen_words(**options)
    clip = keras.Input((SAMPLES,), name="clip")
    heard = LogMel(name="log_mel", **(ears or {}))(clip)
    return keras.Model(clip, rewired(pictures, heard), name=name)


def rewired(model, x):
    """Applies the layers of a model that `seen_words` built to another tensor, one by one: in the
    file they stand side by side, and no model inside a model."""
    made = {model.inputs[0].name: x}
    for layer in model.layers[1:]:
        given = [made[one._keras_history.operation.name] for one in keras.tree.flatten(layer.input)]
        made[layer.name] = layer(given if len(given) > 1 else given[0])
    return made[model.layers[-1].name]


def with_ears(seen, options, ears, name):
    """Returns a recogniser with the weights of one that looks at pictures.

    Args:
        seen: What `seen_words` built, trained.
        options: With which it was built.
        ears: Arguments for `LogMel`.
        name: What Keras calls it.
    """
    model = recogniser(**options, ears=ears, name=name)
    model.set_weights(seen.get_weights())
    return model


# --- speaking ------------------------------------------------------------------------------------


def speaker(inputs, width=32, channels=64, name="speech_synthesiser"):
    """Builds a network that says how a word sounds in a voice.

    Args:
        inputs: Words and voices: both are given as one 1 among zeros.
        width: Of the layer that brings word and voice together.
        channels: Of the convolutions that go from 12 moments to 96.
        name: What Keras calls it.

    Returns:
        A model from `(batch, inputs)` to log-mels `(batch, FRAMES, BANDS)`, 0 for the loudest cell
        of a word, `FLOOR` for silence, divided by `-FLOOR`.
    """
    asked = keras.Input((inputs,), name="word_and_voice")
    x = keras.layers.Dense(width, activation="relu", name="together")(asked)
    x = keras.layers.Dense(FRAMES // 8 * channels, activation="relu", name="moments")(x)
    x = keras.layers.Reshape((FRAMES // 8, channels), name="row")(x)
    for i in range(3):
        x = keras.layers.UpSampling1D(2, name=f"twice_{i}")(x)
        x = keras.layers.Conv1D(channels, 5, padding="same", activation="relu", name=f"conv_{i}")(x)
    levels = keras.layers.Conv1D(BANDS, 5, padding="same", name="levels")(x)
    return keras.Model(asked, levels, name=name)


def pictured(sounds):
    """Returns what a speaker should say for sounds `(samples,)`: log-mels `(sounds, FRAMES, BANDS)`
    from the first sample on, -1 where it is silent, 0 for the loudest cell."""
    samples = HOP * (FRAMES - 1) + WINDOW
    rows = np.zeros((len(sounds), samples), np.float32)
    for row, sound in zip(rows, sounds):
        row[: len(sound)] = sound[:samples]
    return np.asarray(log_mel(rows, mel_bank())) / -FLOOR


def voiced(levels):
    """Makes sound of what a speaker says, `(batch, FRAMES, BANDS)`, compiled: `(batch, samples)`."""
    levels = tf.clip_by_value(tf.convert_to_tensor(levels, tf.float32), -1, 0)
    return _griffin_lim(levels * -FLOOR)


def griffin_lim(levels, rounds=16, seed=0):
    """Returns sounds whose log-mels are given: the phases are found by going to and fro (Griffin
    and Lim, 1984).

    The power in a band is given to its frequencies by the bank's pseudo-inverse. Then: keep the
    sizes, take the phases of the spectrum of the sound that sizes and phases gave.

    Args:
        levels: Log-mels `(batch, frames, BANDS)`, at most 0.
        rounds: How often.
        seed: Of the first phases.

    Returns:
        `(batch, samples)` floats, each sound at most 0.9.
    """
    levels = tf.convert_to_tensor(levels, tf.float32)
    power = tf.where(levels > FLOOR + 0.3, tf.exp(levels), 0.0)
    sizes = tf.sqrt(tf.maximum(power @ np.linalg.pinv(mel_bank()).astype(np.float32), 0))
    angle = tf.random.stateless_uniform(tf.shape(sizes), (seed, 0), 0, 2 * np.pi)
    phase = tf.complex(tf.cos(angle), tf.sin(angle))
    for _ in range(rounds):
        found = spectrum(to_sound(sizes, phase))
        phase = found / tf.cast(tf.abs(found) + 1e-8, tf.complex64)
    sound = to_sound(sizes, phase)
    return 0.9 * sound / (tf.reduce_max(tf.abs(sound), -1, keepdims=True) + 1e-8)


_griffin_lim = tf.function(griffin_lim, autograph=False, reduce_retracing=True)


def to_sound(sizes, phase):
    """Inverse short-time Fourier transform of sizes and phases `(batch, frames, FFT / 2 + 1)`."""
    window = tf.signal.inverse_stft_window_fn(HOP)
    return tf.signal.inverse_stft(tf.cast(sizes, tf.complex64) * phase, WINDOW, HOP, FFT, window)


# --- cleaning ------------------------------------------------------------------------------------

SHORT = 128  # samples from one frame of the enhancer to the next; a frame has twice as many


def spectra(sounds):
    """Frames of 32 ms, half over one another, through a root of Hann's window: what `joined` undoes.
    `(batch, samples)` -> complex `(batch, frames, SHORT + 1)`."""
    padded = tf.pad(sounds, [[0, 0], [SHORT, SHORT + (-SAMPLES) % SHORT]])
    frames = tf.signal.frame(padded, 2 * SHORT, SHORT)
    return tf.signal.rfft(frames * root_of_hann())


def joined(found):
    """Undoes `spectra`: `(batch, frames, SHORT + 1)` -> `(batch, SAMPLES)`."""
    frames = tf.signal.irfft(found) * root_of_hann()
    return tf.signal.overlap_and_add(frames, SHORT)[:, SHORT : SHORT + SAMPLES]


def root_of_hann():
    return tf.sqrt(tf.signal.hann_window(2 * SHORT))


@keras.saving.register_keras_serializable("course_utils")
class LogSpectrum(keras.layers.Layer):
    """What an enhancer reads: the log-power of each frequency, evened with one mean and one
    deviation over the clip. `(batch, SAMPLES)` -> `(batch, frames, SHORT + 1)`."""

    def call(self, sounds):
        levels = tf.math.log(tf.square(tf.abs(spectra(sounds))) + 1e-8)
        mean = tf.reduce_mean(levels, (1, 2), keepdims=True)
        spread = tf.math.reduce_std(levels, (1, 2), keepdims=True)
        return (levels - mean) / (spread + EVEN)

    def compute_output_shape(self, shape):
        return (shape[0], -(-SAMPLES // SHORT) + 1, SHORT + 1)


@keras.saving.register_keras_serializable("course_utils")
class Masked(keras.layers.Layer):
    """Multiplies the spectrum of a sound by a mask and makes sound of it again; phases stay those
    of the noisy sound. Called on `[sounds, mask]`."""

    def call(self, both):
        sounds, mask = both
        found = spectra(sounds)
        return joined(tf.complex(tf.math.real(found) * mask, tf.math.imag(found) * mask))

    def compute_output_shape(self, shapes):
        return tuple(shapes[0])


def enhancer(channels=64, depth=3, name="speech_enhancer"):
    """Builds a network that says for each frequency at each moment how much of it is speech.

    Args:
        channels: Of the convolutions over time.
        depth: How many of them; each looks at five frames.
        name: What Keras calls it.

    Returns:
        A model from noisy clips `(batch, SAMPLES)` to clean ones of the same shape.
    """
    clip = keras.Input((SAMPLES,), name="clip")
    x = LogSpectrum(name="spectrum")(clip)
    for i in range(depth):
        x = keras.layers.Conv1D(channels, 5, padding="same", activation="relu", name=f"conv_{i}")(x)
    mask = keras.layers.Conv1D(SHORT + 1, 1, activation="sigmoid", name="mask")(x)
    return keras.Model(clip, Masked(name="masked")([clip, mask]), name=name)
