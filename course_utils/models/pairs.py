"""Two encoders with one space: a scan of a digit and the spoken word for it should lie close."""

from course_utils.backend import keras
from course_utils.models.speech import BANDS, FRAMES, SAMPLES, LogMel
from course_utils.models.vision import convolution


def scans_and_words(size=32, widths=(16, 32), heard=(16, 24, 32), name="digits_and_words"):
    """Builds an encoder of scans and one of spoken words, after CLIP (Radford et al., 2021).

    Args:
        size: Length of a vector.
        widths: Filters for scans; each convolution is followed by a pooling.
        heard: Filters for the pictures of words; each convolution halves both sides.
        name: What Keras calls it.

    Returns:
        A model from scans `(batch, 64)` and clips `(batch, SAMPLES)` to two arrays of vectors of
        length 1, `(batch, size)`.
    """
    scan, clip = keras.Input((64,), name="scan"), keras.Input((SAMPLES,), name="clip")
    x = keras.layers.Reshape((8, 8, 1), name="picture")(scan)
    for i, width in enumerate(widths):
        x = keras.layers.MaxPooling2D(name=f"pool_{i}")(convolution(width, f"seen_{i}")(x))
    x = keras.layers.Dense(size, name="of_scan")(keras.layers.Flatten(name="flat")(x))
    y = LogMel(name="log_mel")(clip)
    for i, width in enumerate(heard):
        y = convolution(width, f"heard_{i}", strides=2)(y)
    y = keras.layers.Flatten(name="moments")(y)
    y = keras.layers.Dense(size, name="of_word")(keras.layers.Dropout(0.3, name="dropout")(y))
    length_one = [keras.layers.UnitNormalization(name=f"one_{i}") for i in range(2)]
    return keras.Model([scan, clip], [length_one[0](x), length_one[1](y)], name=name)


def parts(model):
    """Returns the two encoders of a pair, which share its weights: scans, and clips, to vectors."""
    return [keras.Model(given, vector) for given, vector in zip(model.inputs, model.outputs)]


def seen_and_heard(model):
    """Returns the pair as it is trained: on scans and on pictures `(FRAMES, BANDS, 1)` of words,
    as `LogMel` makes them. It shares the weights."""
    scan, picture = model.inputs[0], keras.Input((FRAMES, BANDS, 1), name="heard")
    y = picture
    for layer in model.layers[model.layers.index(model.get_layer("log_mel")) + 1 :]:
        if layer.name.startswith(("conv_heard", "moments", "dropout", "of_word", "one_1")):
            y = layer(y)
    return keras.Model([scan, picture], [model.outputs[0], y])
