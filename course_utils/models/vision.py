"""Small networks for the handwritten digits: they classify, find and draw them."""

import itertools

from course_utils.backend import keras


def mlp(widths=(64, 32), name="digits_mlp"):
    """Builds a multilayer perceptron for 8 x 8 scans: 64 inputs, hidden layers, 10 logits."""
    hidden = [
        keras.layers.Dense(width, activation="relu", name=f"hidden_{i}")
        for i, width in enumerate(widths)
    ]
    return keras.Sequential(
        [keras.Input((64,), name="scan"), *hidden, keras.layers.Dense(10, name="logits")], name=name
    )


def convolution(filters, name, strides=1):
    """A window of 3 x 3 pixels, and a ReLU."""
    return keras.layers.Conv2D(
        filters, 3, strides, padding="same", activation="relu", name=f"conv_{name}"
    )


def scan_classifier(widths=(16, 32), hidden=64, name="digits_cnn"):
    """Builds a convolutional network for 8 x 8 scans: 64 inputs, 10 logits.

    For each width two convolutions and a pooling that halves the picture's sides; then one hidden
    layer that sees everything (LeCun et al., 1998).

    Args:
        widths: How many filters each pair of convolutions has.
        hidden: Width of the hidden layer.
        name: What Keras calls it.
    """
    stages = [
        [convolution(width, f"{i}a"), convolution(width, f"{i}b"), keras.layers.MaxPooling2D()]
        for i, width in enumerate(widths)
    ]
    return keras.Sequential(
        [
            keras.Input((64,), name="scan"),
            keras.layers.Reshape((8, 8, 1)),
            *itertools.chain(*stages),
            keras.layers.Flatten(),
            keras.layers.Dense(hidden, activation="relu", name="hidden"),
            keras.layers.Dense(10, name="logits"),
        ],
        name=name,
    )


def scene_detector(widths=(16, 32, 64), depth=3, size=40, classes=10, name="digits_detector"):
    """Builds a detector in one stage and without anchors, after FCOS (Tian et al., 2019).

    Two convolutions halve the picture's sides, so one cell of the result stands for 4 x 4 pixels.
    Each cell says whether the middle of a digit is there, where exactly, how large it is, and which
    digit: `evaluation.boxes.decode` reads it.

    Args:
        widths: Filters at full, half and quarter size.
        depth: Convolutions at quarter size.
        size: Pixels of a side of the picture.
        classes: How many kinds of things there are.
        name: What Keras calls it.

    Returns:
        A model from pictures `(batch, size, size, 1)` to `(batch, size / 4, size / 4, 5 +
        classes)`.
    """
    full, half, quarter = widths
    return keras.Sequential(
        [
            keras.Input((size, size, 1), name="scene"),
            convolution(full, "full"),
            convolution(half, "to_half", strides=2),
            convolution(half, "half"),
            convolution(quarter, "to_quarter", strides=2),
            *(convolution(quarter, f"quarter_{i}") for i in range(depth)),
            keras.layers.Conv2D(5 + classes, 1, name="cells"),
        ],
        name=name,
    )


def velocity_network(width=256, depth=3, inputs=90, pixels=64, name="digits_generator"):
    """Builds a residual perceptron that says which way a picture should move.

    Args:
        width: Of the stream that all blocks add to.
        depth: How many blocks.
        inputs: Pixels, time and class side by side: what `decoding.flow.state` makes.
        pixels: How many velocities come out.
        name: What Keras calls it.

    Returns:
        A model from states `(batch, inputs)` to velocities `(batch, pixels)`.
    """
    state = keras.Input((inputs,), name="state")
    stream = keras.layers.Dense(width, name="enter")(state)
    for i in range(depth):
        x = keras.layers.LayerNormalization(name=f"norm_{i}")(stream)
        x = keras.layers.Concatenate(name=f"with_state_{i}")([x, state])
        x = keras.layers.Dense(width, activation="silu", name=f"up_{i}")(x)
        stream = keras.layers.Add(name=f"add_{i}")(
            [stream, keras.layers.Dense(width, name=f"down_{i}")(x)]
        )
    x = keras.layers.LayerNormalization(name="norm_last")(stream)
    return keras.Model(state, keras.layers.Dense(pixels, name="velocity")(x), name=name)
