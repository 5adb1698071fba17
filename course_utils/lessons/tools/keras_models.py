"""Small models of Keras's own layers, and Keras's GPTQ on one of them, watched from outside."""

import contextlib
import inspect
import io
import warnings

import numpy as np

from course_utils.backend import keras, quietly


def two_layers():
    """Returns an embedding and a block of two linear layers, the same weights each time.

    Returns:
        The model, `(texts, 16)` words to `(texts, 16, 16)`, its embedding and its block.
    """
    keras.utils.set_random_seed(0)
    embedding = keras.layers.Embedding(64, 16, name="embedding")
    linear = [
        keras.layers.Dense(units, use_bias=False, name=f"linear_{units}") for units in (24, 16)
    ]
    block = keras.Sequential(linear, name="block")
    words = keras.Input((16,), dtype="int32")
    return keras.Model(words, block(embedding(words))), embedding, block


def gptq(words):
    """Rounds `two_layers` to 4 bits by Keras's GPTQ.

    Args:
        words: Calibration text, integers `(texts, 16)`.

    Returns:
        The weights that its first layer then uses, `(16, 24)`, and the Hessians that it had at the
        end, a list.
    """
    from keras.src.quantizers import gptq  # not public: we only watch it

    model, embedding, block = two_layers()
    given = dict(
        dataset=words,
        tokenizer=lambda text: text,
        weight_bits=4,
        group_size=-1,
        num_samples=len(words),
        sequence_length=words.shape[1],
    )
    if "quantization_layer_structure" in inspect.signature(keras.quantizers.GPTQConfig).parameters:
        given["quantization_layer_structure"] = {
            "pre_block_layers": [embedding],
            "sequential_blocks": [block],
        }
    seen, free = [], gptq.GPTQ.free
    gptq.GPTQ.free = lambda self: (seen.append(np.asarray(self.hessian)), free(self))
    try:
        with quietly(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            model.quantize("gptq", config=keras.quantizers.GPTQConfig(**given))
    finally:
        gptq.GPTQ.free = free
    return np.asarray(block.layers[0](np.eye(16, dtype=np.float32))), seen


def stock(vocabulary=64, width=32, heads=4, length=16):
    """Returns one Transformer block of stock layers: what `keras_hub` is built from."""
    layers = keras.layers
    words = keras.Input((length,), dtype="int32", name="words")
    x = layers.Embedding(vocabulary, width, name="embedding")(words)
    seen = layers.LayerNormalization(name="norm_1")(x)
    attention = layers.MultiHeadAttention(heads, width // heads, name="attention")
    x = x + attention(seen, seen, use_causal_mask=True)
    up = layers.Dense(4 * width, activation="gelu", name="up")(
        layers.LayerNormalization(name="norm_2")(x)
    )
    x = x + layers.Dense(width, name="down")(up)
    return keras.Model(words, layers.Dense(vocabulary, name="head")(x), name="stock")
