"""Two encoders with one space: a scan of a digit and the spoken word for it should lie close, after
CLIP (Radford et al., 2021)."""

from course_utils.backend import keras
from course_utils.models.speech import BANDS, FRAMES, SAMPLES, LogMel, rewired, seen_words
from course_utils.models.vision import convolution


def scans_and_words(name="digits_and_words", **options):
    """Builds an encoder of scans and one of spoken words.

    Args:
        name: What Keras calls it.
        **options: As for `pair`.

    Returns:
        A model from scans `(batch, 64)` and clips `(batch, SAMPLES)` to two arrays of vectors of
        length 1, `(batch, size)`.
    """
    clip = keras.Input((SAMPLES,), name="clip")
    return pair(clip, LogMel(name="log_mel")(clip), name, **options)


def scans_and_pictures(name="pictures", **options):
    """Builds the same with pictures of words, as `LogMel` makes them, in the place of clips: that is
    how it is trained."""
    picture = keras.Input((FRAMES, BANDS, 1), name="picture")
    return pair(picture, picture, name, **options)


def with_ears(seen, options, name="digits_and_words"):
    """Returns the pair that hears clips, with the weights of one that `scans_and_pictures` built."""
    model = scans_and_words(name, **options)
    model.set_weights(seen.get_weights())
    return model


def pair(sound, picture, name, size=32, widths=(16, 32), heard=(12, 24, 32), last=48):
    """Puts two encoders into one model.

    Args:
        sound: Keras input of the second one.
        picture: What its first convolution reads.
        name: What Keras calls the model.
        size: Length of a vector.
        widths: Filters for scans; each convolution is followed by a pooling.
        heard, last: Filters for words: a recogniser's network (`seen_words`), which gives a vector
            in the place of logits.
    """
    scan = keras.Input((64,), name="scan")
    x = keras.layers.Reshape((8, 8, 1), name="square")(scan)
    for i, width in enumerate(widths):
        x = keras.layers.MaxPooling2D(name=f"halved_{i}")(convolution(width, f"scan_{i}")(x))
    x = keras.layers.Dense(size, name="of_scan")(keras.layers.Flatten(name="flat")(x))
    y = rewired(seen_words(size, heard, last), picture)
    vectors = [keras.layers.UnitNormalization(name=f"one_{i}")(z) for i, z in enumerate((x, y))]
    return keras.Model([scan, sound], vectors, name=name)


def encoders(model):
    """Returns the two encoders of a pair, which share its weights: scans, and clips, to vectors."""
    return [keras.Model(given, vector) for given, vector in zip(model.inputs, model.outputs)]
