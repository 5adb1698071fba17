"""A decoder-only language model, small enough to read: embedding, blocks of attention and MLP,
logits."""

import math

from course_utils.backend import keras, narrow, tf

MASKED = -1e30  # beside it no score counts, and its e^x is exactly 0: the future stays hidden
NARROW = -30.0  # below the best visible score: e^-30 is almost 0, and 8 bits can still hold it


def looking(scores, visible):
    """Returns who looks where, `(batch, heads, queries, keys)`: exactly 0 where `visible` is 0."""
    if not narrow.get():  # as wide as can be, but where LiteRT has 8 bits for all scores
        lowest = max(MASKED, float(scores.dtype.min) / 2)  # float16 ends at -65504
        return tf.nn.softmax(scores + lowest * (1.0 - visible))
    seen = visible > 0
    least = tf.reduce_min(scores, axis=-1, keepdims=True)
    best = tf.reduce_max(tf.where(seen, scores, least), axis=-1, keepdims=True)
    return tf.nn.softmax(tf.where(seen, scores, best + NARROW)) * visible


@keras.saving.register_keras_serializable("course_utils")
class CausalSelfAttention(keras.layers.Layer):
    """Every position looks back at itself and all earlier ones (Vaswani et al., 2017).

    Args:
        heads: Number of attention heads.
        head_size: Length of the vectors each of them compares.
    """

    def __init__(self, heads, head_size, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.head_size = heads, head_size

    def build(self, shape):
        width, inside = shape[-1], self.heads * self.head_size
        for name, reads, writes in (
            ("query", width, inside),
            ("key", width, inside),
            ("value", width, inside),
            ("output", inside, width),
        ):
            layer = keras.layers.Dense(writes, use_bias=False, name=name)
            layer.build((None, reads))
            setattr(self, f"{name}_projection", layer)

    def split(self, x):  # (batch, time, heads * head_size) -> (batch, heads, time, head_size)
        batch, time = tf.shape(x)[0], tf.shape(x)[1]
        return tf.transpose(tf.reshape(x, (batch, time, self.heads, self.head_size)), (0, 2, 1, 3))

    def attend(self, queries, keys, values, visible):
        """Mixes values by how well their keys answer the queries; `visible` is 1 where it may
        look."""
        scores = queries @ tf.transpose(keys, (0, 1, 3, 2)) / math.sqrt(queries.shape[-1])
        mixed = tf.transpose(looking(scores, visible) @ values, (0, 2, 1, 3))
        return tf.reshape(
            mixed, (tf.shape(mixed)[0], tf.shape(mixed)[1], self.heads * mixed.shape[-1])
        )

    def call(self, x):
        time = tf.shape(x)[1]
        visible = tf.linalg.band_part(tf.ones((time, time), x.dtype), -1, 0)
        q, k, v = (
            self.split(p(x))
            for p in (self.query_projection, self.key_projection, self.value_projection)
        )
        return self.output_projection(self.attend(q, k, v, visible))

    def step(self, x, cache, position):
        """One new token, `x` of shape (batch, 1, width), against the cached keys and values.

        Args:
            cache: `(2, batch, heads, context, head_size)`: keys and values so far.
            position: Scalar, where the new token stands.

        Returns:
            The output for the new token, and the cache with its key and value written in.
        """
        new = tf.stack([self.split(self.key_projection(x)), self.split(self.value_projection(x))])
        here = tf.one_hot(position, cache.shape[3], dtype=x.dtype)[:, None]  # (context, 1)
        cache = cache * (1 - here) + new * here
        visible = tf.cast(tf.range(cache.shape[3]) <= position, x.dtype)
        return self.output_projection(
            self.attend(self.split(self.query_projection(x)), cache[0], cache[1], visible)
        ), cache

    def get_config(self):
        return {**super().get_config(), "heads": self.heads, "head_size": self.head_size}


@keras.saving.register_keras_serializable("course_utils")
class Block(keras.layers.Layer):
    """One layer of a Transformer: attention and an MLP, each added to what came in.

    Args:
        heads: Number of attention heads.
        head_size: Length of the vectors each of them compares.
        mlp_width: Hidden units of the MLP.
    """

    attention_layer = CausalSelfAttention

    def __init__(self, heads, head_size, mlp_width, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.head_size, self.mlp_width = heads, head_size, mlp_width

    def build(self, shape):
        width = shape[-1]
        self.attention_norm = keras.layers.RMSNormalization(name="attention_norm")
        self.attention = self.attention_layer(self.heads, self.head_size, name="attention")
        self.mlp_norm = keras.layers.RMSNormalization(name="mlp_norm")
        self.up = keras.layers.Dense(self.mlp_width, use_bias=False, activation="gelu", name="up")
        self.down = keras.layers.Dense(width, use_bias=False, name="down")
        for layer in (self.attention_norm, self.attention, self.mlp_norm, self.up):
            layer.build((None, None, width))
        self.down.build((None, None, self.mlp_width))

    def call(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(self.up(self.mlp_norm(x)))

    def step(self, x, cache, position):
        mixed, cache = self.attention.step(self.attention_norm(x), cache, position)
        x = x + mixed
        return x + self.down(self.up(self.mlp_norm(x))), cache

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "head_size": self.head_size,
            "mlp_width": self.mlp_width,
        }


def each(value, depth):
    """Returns one value for each block: a list as it is, a single one repeated."""
    return list(value) if isinstance(value, (list, tuple)) else [value] * depth


@keras.saving.register_keras_serializable("course_utils")
class DecoderLM(keras.Model):
    """Reads tokens and, at every position, predicts the next one.

    Args:
        vocabulary: Number of different tokens.
        width: Length of the vector that stands for a token inside the model.
        depth: Number of blocks.
        heads: Attention heads in each block; a list where blocks differ.
        context: The most tokens the model can read at once.
        head_size: Length of the vectors a head compares; `width / heads` if left out, which needs
            one `heads` for all.
        mlp_width: Hidden units of each block's MLP; a list where blocks differ, 4 times `width` if
            left out.

    Call arguments:
        tokens: `int32` of shape `(batch, time)` with `time <= context`.

    Returns:
        Logits of shape `(batch, time, vocabulary)`.
    """

    def __init__(
        self, vocabulary, width, depth, heads, context=128, head_size=None, mlp_width=None, **kwargs
    ):
        super().__init__(**kwargs)
        head_size, mlp_width = head_size or width // heads, mlp_width or 4 * width
        self.config = {
            "vocabulary": vocabulary,
            "width": width,
            "depth": depth,
            "heads": heads,
            "context": context,
            "head_size": head_size,
            "mlp_width": mlp_width,
        }
        self.embedding = keras.layers.Embedding(vocabulary, width, name="embedding")
        self.positions = keras.layers.Embedding(context, width, name="positions")
        self.blocks = [
            Block(h, head_size, m, name=f"block_{i}")
            for i, (h, m) in enumerate(zip(each(heads, depth), each(mlp_width, depth)))
        ]
        self.norm = keras.layers.RMSNormalization(name="norm")
        self.head = keras.layers.Dense(vocabulary, use_bias=False, name="head")

    def build(self, shape=None):
        width = self.config["width"]
        self.embedding.build((None, None))
        self.positions.build((None,))
        for layer in (*self.blocks, self.norm, self.head):
            layer.build((None, None, width))
        self.built = True

    def call(self, tokens):
        x = self.embedding(tokens) + self.positions(tf.range(tf.shape(tokens)[1]))
        for block in self.blocks:
            x = block(x)
        return self.head(self.norm(x))

    def step(self, tokens, caches, position):
        """Reads one more token of each row.

        Args:
            tokens: `int32` of shape `(rows,)`.
            caches: One for each block, as `empty_caches` makes them.
            position: Scalar, where the tokens stand.

        Returns:
            Logits `(rows, vocabulary)`, and the caches with this token written in.
        """
        x = (self.embedding(tokens) + self.positions(position))[:, None]
        written = []
        for block, cache in zip(self.blocks, caches):
            x, cache = block.step(x, cache, position)
            written.append(cache)
        return self.head(self.norm(x))[:, 0], tuple(written)

    def empty_caches(self, rows):
        """Returns a cache of zeros for each block, `(2, rows, heads, context, head_size)`: keys and
        values."""
        return tuple(
            tf.zeros((2, rows, block.heads, self.config["context"], block.head_size))
            for block in self.blocks
        )

    def removable(self):
        """Lists what `compression.remove_units` can take out: by name, the layers that write the
        units, the layer that reads them, and how many there are."""
        found = {}
        for block in self.blocks:
            a = block.attention
            writers = a.query_projection, a.key_projection, a.value_projection
            found[f"{block.name}/attention"] = writers, a.output_projection, block.heads
            found[f"{block.name}/mlp"] = (block.up,), block.down, block.mlp_width
        return found

    def resized(self, counts):
        """Builds a model like this one with other numbers of what is `removable`."""
        config, depth = self.get_config(), self.config["depth"]
        for key, part in (("heads", "attention"), ("mlp_width", "mlp")):
            numbers = enumerate(each(config[key], depth))
            config[key] = [counts.get(f"block_{i}/{part}", n) for i, n in numbers]
        smaller = type(self).from_config(config)
        smaller.build()
        return smaller

    def norms(self):
        """Lists each norm with the layers that read it, and nothing else does, as
        `(norm, (dense, ...))`: two a block, and the last norm with the head."""
        found = []
        for block in self.blocks:
            a = block.attention
            projections = a.query_projection, a.key_projection, a.value_projection
            found += [(block.attention_norm, projections), (block.mlp_norm, (block.up,))]
        return [*found, (self.norm, (self.head,))]

    def get_config(self):
        return {**super().get_config(), **self.config}
