"""Small networks for the handwritten digits."""

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
