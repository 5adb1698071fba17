"""An encoder-decoder Transformer: one stack reads the whole source, the other writes and looks back
at it."""

from course_utils.backend import keras, tf
from course_utils.models.language import Block, CausalSelfAttention

PAD = 0  # the token that fills up a row; nobody looks at it in a source


@keras.saving.register_keras_serializable("course_utils")
class Attention(CausalSelfAttention):
    """Every position of `x` looks at the positions of `memory` that are marked visible (Bahdanau et
    al., 2015).

    Call arguments:
        x: `(batch, time, width)`, who looks.
        memory: `(batch, memory, width)`, what is looked at; `x` itself in an encoder.
        visible: `(batch, memory)`, 1 where there is something to see and 0 where there is padding.
    """

    def call(self, x, memory, visible):
        q = self.split(self.query_projection(x))
        k, v = (self.split(p(memory)) for p in (self.key_projection, self.value_projection))
        return self.output_projection(self.attend(q, k, v, visible[:, None, None]))


@keras.saving.register_keras_serializable("course_utils")
class EncoderBlock(Block):
    """The decoder's `Block` with an attention that looks both ways."""

    attention_layer = Attention

    def call(self, x, visible):
        normed = self.attention_norm(x)
        x = x + self.attention(normed, normed, visible)
        return x + self.down(self.up(self.mlp_norm(x)))


@keras.saving.register_keras_serializable("course_utils")
class CrossBlock(Block):
    """The decoder's `Block` with a third update in the middle: a look at what the encoder read."""

    def build(self, shape):
        super().build(shape)
        self.cross_norm = keras.layers.RMSNormalization(name="cross_norm")
        self.cross = Attention(self.heads, self.head_size, name="cross")
        for layer in (self.cross_norm, self.cross):
            layer.build((None, None, shape[-1]))

    def call(self, x, memory, visible):
        x = x + self.attention(self.attention_norm(x))
        x = x + self.cross(self.cross_norm(x), memory, visible)
        return x + self.down(self.up(self.mlp_norm(x)))


@keras.saving.register_keras_serializable("course_utils")
class EncoderDecoder(keras.Model):
    """Reads a source, and predicts each next token of a target (Sutskever et al., 2014; Vaswani et
    al., 2017).

    Args:
        vocabulary: Number of different tokens, of source and target together; token 0 is padding.
        width: Length of the vector that stands for a token inside the model.
        depth: Number of blocks of the encoder, and of the decoder.
        heads: Attention heads in each block.
        context: The most tokens of a source, and of a target.
        mlp_width: Hidden units of each block's MLP; 4 times `width` if left out.

    Call arguments:
        pair: Source `(batch, source)` and target `(batch, target)`, both `int32`, padded at the
            end.

    Returns:
        Logits of shape `(batch, target, vocabulary)`: at each position of the target, for the token
        after it.
    """

    def __init__(self, vocabulary, width, depth, heads, context=64, mlp_width=None, **kwargs):
        super().__init__(**kwargs)
        mlp_width = mlp_width or 4 * width
        self.config = {
            "vocabulary": vocabulary,
            "width": width,
            "depth": depth,
            "heads": heads,
            "context": context,
            "mlp_width": mlp_width,
        }
        inside = (heads, width // heads, mlp_width)
        self.embedding = keras.layers.Embedding(vocabulary, width, name="embedding")
        self.positions = keras.layers.Embedding(context, width, name="positions")
        self.encoder = [EncoderBlock(*inside, name=f"encoder_{i}") for i in range(depth)]
        self.encoder_norm = keras.layers.RMSNormalization(name="encoder_norm")
        self.decoder = [CrossBlock(*inside, name=f"decoder_{i}") for i in range(depth)]
        self.norm = keras.layers.RMSNormalization(name="norm")
        self.head = keras.layers.Dense(vocabulary, use_bias=False, name="head")

    def build(self, shape=None):
        self.embedding.build((None, None))
        self.positions.build((None,))
        for layer in (*self.encoder, self.encoder_norm, *self.decoder, self.norm, self.head):
            layer.build((None, None, self.config["width"]))
        self.built = True

    def embed(self, tokens):
        return self.embedding(tokens) + self.positions(tf.range(tf.shape(tokens)[1]))

    def encode(self, source):
        """Reads sources `(batch, source)`; returns a vector for each token,
        `(batch, source, width)`."""
        x, visible = self.embed(source), self.visible(source)
        for block in self.encoder:
            x = block(x, visible)
        return self.encoder_norm(x)

    def decode(self, target, memory, visible):
        """Reads targets `(batch, target)` beside encoded sources; returns the logits of each next
        token."""
        x = self.embed(target)
        for block in self.decoder:
            x = block(x, memory, visible)
        return self.head(self.norm(x))

    def visible(self, source):
        """Returns 1 at every token of a source and 0 at its padding."""
        return tf.cast(tf.not_equal(source, PAD), self.compute_dtype)

    def call(self, pair):
        source, target = pair
        return self.decode(target, self.encode(source), self.visible(source))

    def get_config(self):
        return {**super().get_config(), **self.config}
