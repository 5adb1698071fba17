"""The tiny models that many tests share."""

import numpy as np

from course_utils.backend import keras
from course_utils.models.language import DecoderLM


def decoder(vocabulary=64, width=16, depth=1, heads=2, context=8, seed=0, **more):
    """Returns an untrained `DecoderLM` with weights drawn from a seed."""
    keras.utils.set_random_seed(seed)
    model = DecoderLM(vocabulary, width, depth, heads, context, name="small", **more)
    model.build()
    return model


def odd(**options):
    """Returns an untrained `DecoderLM` whose weights are large enough that every token matters."""
    sizes = {"vocabulary": 24, "width": 32, "depth": 2, "heads": 4, "context": 32, **options}
    model = decoder(**sizes)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Dense):
            layer.kernel.assign(1.5 * np.asarray(layer.kernel))
    return model
