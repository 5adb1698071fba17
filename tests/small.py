"""The tiny model that many tests share."""

from course_utils.backend import keras
from course_utils.models.language import DecoderLM


def decoder(vocabulary=64, width=16, depth=1, heads=2, context=8, seed=0, **more):
    """Returns an untrained `DecoderLM` with weights drawn from a seed."""
    keras.utils.set_random_seed(seed)
    model = DecoderLM(vocabulary, width, depth, heads, context, name="small", **more)
    model.build()
    return model
