"""Descriptions: what a Keras model is built from, as JSON can hold it."""

from course_utils.backend import keras

# Their classes must be known before a file names them.
from course_utils.models import catalogue  # noqa: F401


def describe(model):
    """Returns class and configuration of a Keras model, as JSON can hold them."""

    def portable(value):
        if isinstance(
            value, dict
        ):  # these keys say nothing here, and older versions of Keras refuse the second
            return {
                k: portable(v)
                for k, v in value.items()
                if k != "compile_config" and (k, v) != ("quantization_config", None)
            }
        return [portable(item) for item in value] if isinstance(value, (list, tuple)) else value

    return portable(keras.saving.serialize_keras_object(model))


def without_news(value):
    """Leaves out what newer versions of Keras note down, older ones refuse, and neither needs."""
    if isinstance(value, dict):
        return {
            k: without_news(v)
            for k, v in value.items()
            if (k, v) not in (("input_axes", None), ("output_axes", None))
        }
    return [without_news(item) for item in value] if isinstance(value, (list, tuple)) else value


def rebuild(described):
    """Builds a model from what `describe` returned, with fresh weights."""
    model = keras.saving.deserialize_keras_object(without_news(described))
    if not model.built:
        model.build()
    return model
