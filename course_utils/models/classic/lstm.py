"""A recurrent model of text: one LSTM."""

from course_utils.backend import keras, tf


@keras.saving.register_keras_serializable("course_utils")
class LSTM(keras.layers.Layer):
    """Reads from left to right and keeps a memory, its cell (Hochreiter and Schmidhuber, 1997).

    Three gates, numbers from 0 to 1, say how much of the cell to forget (Gers et al., 2000), how
    much of what is new to write into it, and how much of it to show.

    Args:
        width: Length of the cell, and of what it shows.

    Call arguments:
        x: Float tensor of shape `(batch, time, inputs)`.

    Returns:
        What the cell shows after each position, `(batch, time, width)`.
    """

    def __init__(self, width, **kwargs):
        super().__init__(**kwargs)
        self.width = width

    def build(self, shape):
        self.gates = keras.layers.Dense(4 * self.width, name="gates")
        self.gates.build((None, shape[-1]))
        self.gates.bias.assign(
            tf.repeat([0.0, 1.0, 0.0, 0.0], self.width)
        )  # at first, forget little
        self.recall = keras.layers.Dense(
            4 * self.width, use_bias=False, kernel_initializer="orthogonal", name="recall"
        )
        self.recall.build((None, self.width))

    def step(self, state, seen):
        """One position: the state `(shown, cell)`, and what the gates make of the new token,
        `(batch, 4 * width)`."""
        shown, cell = state
        write, keep, new, show = tf.split(seen + self.recall(shown), 4, axis=-1)
        cell = tf.sigmoid(keep) * cell + tf.sigmoid(write) * tf.tanh(new)
        return tf.sigmoid(show) * tf.tanh(cell), cell

    def call(self, x):
        nothing = tf.zeros((tf.shape(x)[0], self.width))
        shown, _ = tf.scan(self.step, tf.transpose(self.gates(x), (1, 0, 2)), (nothing, nothing))
        return tf.transpose(shown, (1, 0, 2))

    def get_config(self):
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable("course_utils")
class LSTMLM(keras.Model):
    """A language model on one LSTM: embedding, memory, logits.

    Args:
        vocabulary: Number of different tokens.
        width: Length of the vector that stands for a token, and of the memory.

    Call arguments:
        tokens: `int32` of shape `(batch, time)`, of any length.

    Returns:
        Logits of shape `(batch, time, vocabulary)`.
    """

    def __init__(self, vocabulary, width, **kwargs):
        super().__init__(**kwargs)
        self.config = {"vocabulary": vocabulary, "width": width}
        self.embedding = keras.layers.Embedding(vocabulary, width, name="embedding")
        self.memory = LSTM(width, name="memory")
        self.head = keras.layers.Dense(vocabulary, use_bias=False, name="head")

    def build(self, shape=None):
        self.embedding.build((None, None))
        for layer in (self.memory, self.head):
            layer.build((None, None, self.config["width"]))
        self.built = True

    def call(self, tokens):
        return self.head(self.memory(self.embedding(tokens)))

    def get_config(self):
        return {**super().get_config(), **self.config}
