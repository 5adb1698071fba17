"""A Transformer that reads a sentence and says where it stands among all others: a BERT (Devlin et
al., 2019) whose tokens are averaged into one vector (Reimers and Gurevych, 2019)."""

from course_utils.backend import keras, tf
from course_utils.models.language import Block
from course_utils.models.seq2seq import PAD, Attention

EPSILON = 1e-12  # of BERT's norms


@keras.saving.register_keras_serializable("course_utils")
class BiasedAttention(Attention):
    """`Attention` whose four matrices each have a bias, as BERT's have."""

    use_bias = True


@keras.saving.register_keras_serializable("course_utils")
class ChannelScale(keras.layers.Layer):
    """Multiplies each channel by a number of its own: 1, until somebody folds a factor into it."""

    def build(self, shape):
        self.scale = self.add_weight(shape=(shape[-1],), initializer="ones", name="scale")

    def call(self, x):
        return x * self.scale


@keras.saving.register_keras_serializable("course_utils")
class PostNormBlock(Block):
    """The first Transformer's layer: each norm stands behind the sum, not before the update.

    What a norm gives out is read twice, by the layers that follow and by the next sum. So no factor
    can be hidden in its gain for the layers alone: with `scaled` they read through a `ChannelScale`
    of their own.

    Args:
        heads, head_size, mlp_width: As in `Block`.
        scaled: Whether a `ChannelScale` stands before attention and before the MLP.
    """

    attention_layer = BiasedAttention

    def __init__(self, heads, head_size, mlp_width, scaled=False, **kwargs):
        super().__init__(heads, head_size, mlp_width, **kwargs)
        self.scaled = scaled

    def build(self, shape):
        width = shape[-1]
        self.attention = self.attention_layer(self.heads, self.head_size, name="attention")
        self.attention_norm = keras.layers.LayerNormalization(
            epsilon=EPSILON, name="attention_norm"
        )
        self.up = keras.layers.Dense(self.mlp_width, activation="gelu", name="up")
        self.down = keras.layers.Dense(width, name="down")
        self.mlp_norm = keras.layers.LayerNormalization(epsilon=EPSILON, name="mlp_norm")
        for layer in (self.attention, self.attention_norm, self.up, self.mlp_norm):
            layer.build((None, None, width))
        self.down.build((None, None, self.mlp_width))
        if self.scaled:
            self.attention_scale = ChannelScale(name="attention_scale")
            self.mlp_scale = ChannelScale(name="mlp_scale")
            self.attention_scale.build((None, None, width))
            self.mlp_scale.build((None, None, width))

    def call(self, x, visible):
        read = self.attention_scale(x) if self.scaled else x
        x = self.attention_norm(x + self.attention(read, read, visible))
        read = self.mlp_scale(x) if self.scaled else x
        return self.mlp_norm(x + self.down(self.up(read)))

    def get_config(self):
        return {**super().get_config(), "scaled": self.scaled}


@keras.saving.register_keras_serializable("course_utils")
class SentenceEncoder(keras.Model):
    """Reads sentences; returns a vector of length 1 for each, so that a dot product compares them.

    Args:
        vocabulary: Number of different tokens; token 0 is padding.
        width: Length of the vectors.
        depth: Number of blocks.
        heads: Attention heads in each block.
        context: The most tokens of a sentence.
        mlp_width: Hidden units of each block's MLP.
        scaled: See `PostNormBlock`.

    Call arguments:
        tokens: `int32` of shape `(batch, time)`, padded at the end.

    Returns:
        Vectors of shape `(batch, width)`.
    """

    def __init__(self, vocabulary, width, depth, heads, context, mlp_width, scaled=False, **kwargs):
        super().__init__(**kwargs)
        self.config = {
            "vocabulary": vocabulary,
            "width": width,
            "depth": depth,
            "heads": heads,
            "context": context,
            "mlp_width": mlp_width,
            "scaled": scaled,
        }
        self.embedding = keras.layers.Embedding(vocabulary, width, name="embedding")
        self.positions = keras.layers.Embedding(context, width, name="positions")
        self.embedding_norm = keras.layers.LayerNormalization(
            epsilon=EPSILON, name="embedding_norm"
        )
        self.blocks = [
            PostNormBlock(heads, width // heads, mlp_width, scaled, name=f"block_{i}")
            for i in range(depth)
        ]

    def build(self, shape=None):
        self.embedding.build((None, None))
        self.positions.build((None,))
        for layer in (self.embedding_norm, *self.blocks):
            layer.build((None, None, self.config["width"]))
        self.built = True

    def call(self, tokens):
        visible = tf.cast(tf.not_equal(tokens, PAD), self.compute_dtype)
        x = self.embedding(tokens) + self.positions(tf.range(tf.shape(tokens)[1]))
        x = self.embedding_norm(x)
        for block in self.blocks:
            x = block(x, visible)
        total = tf.reduce_sum(x * visible[..., None], axis=1)  # of the mean, only the direction
        return tf.math.l2_normalize(total, axis=-1)

    def norms(self):
        """Lists what stands before the layers that read a norm, and before nothing else: each
        `ChannelScale` with its readers, as `(scale, (dense, ...))`.

        Raises:
            ValueError: If the model has none: the sums read its norms, too.
        """
        if not self.config["scaled"]:
            raise ValueError(
                "behind a norm of this model the next sum reads the same numbers as the layers do, "
                "so no factor can be folded into it: use with_scales(), which puts a "
                "multiplication before the layers"
            )
        found = []
        for block in self.blocks:
            a = block.attention
            projections = a.query_projection, a.key_projection, a.value_projection
            found += [(block.attention_scale, projections), (block.mlp_scale, (block.up,))]
        return found

    def with_scales(self):
        """Returns a model of the same function with a `ChannelScale` before attention and MLP of
        each block: what smoothing costs here, `2 * depth * width` numbers and, for each token, as
        many multiplications."""
        twin = type(self).from_config({**self.get_config(), "scaled": True})
        twin.build()
        ours = {weight.path.partition("/")[2]: weight for weight in self.weights}
        for weight in twin.weights:
            if (place := weight.path.partition("/")[2]) in ours:
                weight.assign(ours[place])
        return twin

    def get_config(self):
        return {**super().get_config(), **self.config}
