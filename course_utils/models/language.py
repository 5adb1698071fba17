"""A decoder-only language model, small enough to read: embedding, blocks of attention and MLP,
logits."""

import math

from course_utils.backend import keras, narrow, tf
from course_utils.checks import whole
from course_utils.models.cache import Cache

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
        heads: Number of attention heads, each with queries of its own.
        head_size: Length of the vectors each of them compares.
        kv_heads: Number of heads with keys and values of their own; `heads` must be a multiple.
            Neighbours share: grouped-query attention (Ainslie et al., 2023). As many as `heads` if
            left out.
        window: A position looks at so many, itself among them (Beltagy et al., 2020); at all if
            left out.
    """

    use_bias = False

    def __init__(self, heads, head_size, kv_heads=None, window=None, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.head_size = heads, head_size
        self.kv_heads = heads if kv_heads is None else whole("kv_heads", kv_heads, 1, heads)
        self.window = None if window is None else whole("window", window, 1, 2**31 - 1)
        if heads % self.kv_heads:
            raise ValueError(f"heads must be a multiple of kv_heads={kv_heads}, got {heads}")

    def build(self, shape):
        width, queries, keys = (
            shape[-1],
            self.heads * self.head_size,
            self.kv_heads * self.head_size,
        )
        for name, reads, writes in (
            ("query", width, queries),
            ("key", width, keys),
            ("value", width, keys),
            ("output", queries, width),
        ):
            layer = keras.layers.Dense(writes, use_bias=self.use_bias, name=name)
            layer.build((None, reads))
            setattr(self, f"{name}_projection", layer)

    def split(self, x):  # (batch, time, heads * head_size) -> (batch, heads, time, head_size)
        batch, time, heads = tf.shape(x)[0], tf.shape(x)[1], x.shape[-1] // self.head_size
        return tf.transpose(tf.reshape(x, (batch, time, heads, self.head_size)), (0, 2, 1, 3))

    def attend(self, queries, keys, values, visible):
        """Mixes values by how well their keys answer the queries.

        Args:
            queries: `(batch, heads, new, head_size)`.
            keys, values: `(batch, kv_heads, time, head_size)`.
            visible: 1 where a query may look, `(new, time)` or `(batch, 1, new, time)`.

        Returns:
            `(batch, new, heads * head_size)`.
        """
        scores = self.together(queries, tf.transpose(keys, (0, 1, 3, 2)))
        weights = looking(scores / math.sqrt(queries.shape[-1]), visible)
        mixed = tf.transpose(self.together(weights, values), (0, 2, 1, 3))
        return tf.reshape(
            mixed, (tf.shape(mixed)[0], tf.shape(mixed)[1], self.heads * mixed.shape[-1])
        )

    def together(self, own, shared):
        """Multiplies what each head has of its own, `(batch, heads, new, a)`, with what some share,
        `(batch, kv_heads, a, b)`: the rows of those heads stand below each other, and what they
        share is read once, not copied for each."""
        if self.kv_heads == self.heads:
            return own @ shared
        batch, new, inner = tf.shape(own)[0], tf.shape(own)[2], tf.shape(own)[3]
        rows = tf.reshape(own, (batch, self.kv_heads, self.heads // self.kv_heads * new, inner))
        return tf.reshape(rows @ shared, (batch, self.heads, new, tf.shape(shared)[3]))

    def projected(self, x):
        """Returns queries, keys and values of what came in, split into heads."""
        projections = self.query_projection, self.key_projection, self.value_projection
        return [self.split(projection(x)) for projection in projections]

    def call(self, x):
        time = tf.shape(x)[1]
        reach = -1 if self.window is None else self.window - 1
        visible = tf.linalg.band_part(tf.ones((time, time), x.dtype), reach, 0)
        return self.output_projection(self.attend(*self.projected(x), visible))

    def read(self, x, cache, slot, age):
        """Looks at what the cache holds and at the new tokens, which are put into it.

        Args:
            x: The new tokens, `(rows, new, width)`.
            cache: A `Cache`.
            slot: Scalar, where in the cache the first of them goes.
            age: How many tokens ago a slot was written, seen from each new token, and a negative
                number where it may not look: `(rows, new, slots)`.

        Returns:
            What attention says for the new tokens, and the cache with them in it.
        """
        queries, keys, values = self.projected(x)
        cache = cache.place(keys, values, slot)
        near = age >= 0 if self.window is None else (age >= 0) & (age < self.window)
        keys, values = cache.floats()
        mixed = self.attend(queries, keys, values, tf.cast(near, x.dtype)[:, None])
        return self.output_projection(mixed), cache

    def get_config(self):
        sizes = {"heads": self.heads, "head_size": self.head_size}
        if self.kv_heads != self.heads:
            sizes["kv_heads"] = self.kv_heads
        if self.window is not None:
            sizes["window"] = self.window
        return {**super().get_config(), **sizes}


@keras.saving.register_keras_serializable("course_utils")
class Block(keras.layers.Layer):
    """One layer of a Transformer: attention and an MLP, each added to what came in.

    Args:
        heads: Number of attention heads.
        head_size: Length of the vectors each of them compares.
        mlp_width: Hidden units of the MLP.
        kv_heads, window: See `CausalSelfAttention`.
    """

    attention_layer = CausalSelfAttention

    def __init__(self, heads, head_size, mlp_width, kv_heads=None, window=None, **kwargs):
        super().__init__(**kwargs)
        self.heads, self.head_size, self.mlp_width = heads, head_size, mlp_width
        self.shared = given(kv_heads=kv_heads, window=window)

    def build(self, shape):
        width = shape[-1]
        self.attention_norm = keras.layers.RMSNormalization(name="attention_norm")
        self.attention = self.attention_layer(
            self.heads, self.head_size, name="attention", **self.shared
        )
        self.mlp_norm = keras.layers.RMSNormalization(name="mlp_norm")
        self.up = keras.layers.Dense(self.mlp_width, use_bias=False, activation="gelu", name="up")
        self.down = keras.layers.Dense(width, use_bias=False, name="down")
        for layer in (self.attention_norm, self.attention, self.mlp_norm, self.up):
            layer.build((None, None, width))
        self.down.build((None, None, self.mlp_width))

    def call(self, x):
        x = x + self.attention(self.attention_norm(x))
        return x + self.down(self.up(self.mlp_norm(x)))

    def read(self, x, cache, slot, age):
        mixed, cache = self.attention.read(self.attention_norm(x), cache, slot, age)
        x = x + mixed
        return x + self.down(self.up(self.mlp_norm(x))), cache

    def get_config(self):
        return {
            **super().get_config(),
            "heads": self.heads,
            "head_size": self.head_size,
            "mlp_width": self.mlp_width,
            **self.shared,
        }


def given(**options):
    """Returns the options that were given a value: what is left out is in no configuration, and in
    no file."""
    return {name: value for name, value in options.items() if value is not None}


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
        kv_heads, window: See `CausalSelfAttention`; a list where blocks differ.

    Call arguments:
        tokens: `int32` of shape `(batch, time)` with `time <= context`.

    Returns:
        Logits of shape `(batch, time, vocabulary)`.
    """

    def __init__(
        self,
        vocabulary,
        width,
        depth,
        heads,
        context=128,
        head_size=None,
        mlp_width=None,
        kv_heads=None,
        window=None,
        **kwargs,
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
            **given(kv_heads=kv_heads, window=window),
        }
        self.embedding = keras.layers.Embedding(vocabulary, width, name="embedding")
        self.positions = keras.layers.Embedding(context, width, name="positions")
        sizes = zip(*(each(value, depth) for value in (heads, mlp_width, kv_heads, window)))
        self.blocks = [
            Block(h, head_size, m, kv_heads=k, window=w, name=f"block_{i}")
            for i, (h, m, k, w) in enumerate(sizes)
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

    def read(self, tokens, caches, slot, before=None):
        """Reads more tokens of each row, beside what the caches hold of earlier ones.

        Args:
            tokens: `int32` of shape `(rows, new)`.
            caches: One for each block, as `empty_caches` makes them.
            slot: Scalar, where in the caches the first new token goes, in all rows alike.
            before: How many tokens of each row were read before, `(rows,)`; they lie in the slots
                before `slot`, the last one going before the first. `slot` if left out.

        Returns:
            Logits `(rows, new, vocabulary)`, and the caches with these tokens in them.
        """
        capacity = caches[0].keys.shape[2]
        place = tf.range(tokens.shape[1])
        read = place + (slot if before is None else before[:, None])  # (rows, new) or (new,)
        age = (slot + place[:, None] - tf.range(capacity)) % capacity  # (new, slots)
        age = tf.where(age <= read[..., None], age, -1)  # older ones are another text's
        age = age if before is not None else age[None]
        known = tf.minimum(read, self.config["context"] - 1)  # a draft may look beyond the end
        x = self.embedding(tokens) + self.positions(known)
        written = []
        for block, cache in zip(self.blocks, caches):
            x, cache = block.read(x, cache, slot, age)
            written.append(cache)
        return self.head(self.norm(x)), tuple(written)

    def empty_caches(self, rows, slots=None, kind=Cache):
        """Returns an empty cache for each block.

        Args:
            rows: How many texts are read side by side.
            slots: How many tokens of each are kept; `context` if left out. With a `window` so many
                are enough, and one more for each token but one that is read at once.
            kind: `Cache`, or `Int8Cache`.
        """
        slots = slots or self.config["context"]
        return tuple(
            kind.empty(rows, block.attention.kv_heads, slots, block.head_size, block.compute_dtype)
            for block in self.blocks
        )

    def removable(self):
        """Lists what `compression.remove_units` can take out: by name, the layers that write the
        units, the layer that reads them, and how many there are."""
        found = {}
        for block in self.blocks:
            a = block.attention
            writers = a.query_projection, a.key_projection, a.value_projection
            found[f"{block.name}/attention"] = writers, a.output_projection, a.kv_heads
            found[f"{block.name}/mlp"] = (block.up,), block.down, block.mlp_width
        return found

    def resized(self, counts):
        """Builds a model like this one with other numbers of what is `removable`."""
        config, depth = self.get_config(), self.config["depth"]
        heads = each(config["heads"], depth)
        kept = each(config.get("kv_heads") or heads, depth)
        shares = [h // kv for h, kv in zip(heads, kept)]
        kept = [counts.get(f"block_{i}/attention", n) for i, n in enumerate(kept)]
        config["heads"] = [kv * share for kv, share in zip(kept, shares)]
        if "kv_heads" in config:
            config["kv_heads"] = kept
        widths = enumerate(each(config["mlp_width"], depth))
        config["mlp_width"] = [counts.get(f"block_{i}/mlp", n) for i, n in widths]
        return self.remade(**config)

    def remade(self, **options):
        """Builds a model like this one but for some options, with fresh weights."""
        other = type(self).from_config({**self.get_config(), **options})
        other.build()
        return other

    def cached(self):
        """Lists the layers that write what a cache keeps of a token, keys and values, each with how
        many heads it writes for."""
        layers = [block.attention for block in self.blocks]
        return [(p, a.kv_heads) for a in layers for p in (a.key_projection, a.value_projection)]

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
