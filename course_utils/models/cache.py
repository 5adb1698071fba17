"""What attention keeps of the tokens that were read: their keys and values, one slot a token."""

import typing

from course_utils.backend import for_xla, tf, xla


def place(kept, new, slot, axis=2):
    """Writes `new` into a tensor from a slot of an axis on, and leaves the rest as it is.

    XLA writes where the tensor lies. Without it the whole of it is written anew: TensorFlow's
    graphs have no operation that changes a part of a tensor.
    """
    if for_xla.get():
        begin = [slot if i == axis else 0 for i in range(kept.shape.rank)]
        return xla.dynamic_update_slice(kept, new, begin)
    length = new.shape[axis]
    behind = tf.range(kept.shape[axis]) - slot  # how far a slot lies behind the first new one
    spread = tf.gather(new, tf.clip_by_value(behind, 0, length - 1), axis=axis)
    here = tf.reshape((behind >= 0) & (behind < length), [-1] + [1] * (kept.shape.rank - 1 - axis))
    return tf.where(here, spread, kept)


class Cache(typing.NamedTuple):
    """Keys and values as they are, each `(rows, heads, slots, size)`."""

    keys: tf.Tensor
    values: tf.Tensor

    @classmethod
    def empty(cls, rows, heads, slots, size, dtype="float32"):
        """Returns a cache of zeros."""
        return cls(*(tf.zeros((rows, heads, slots, size), dtype) for _ in range(2)))

    def place(self, keys, values, slot):
        """Returns the cache with the keys and values of new tokens from a slot on."""
        return Cache(place(self.keys, keys, slot), place(self.values, values, slot))

    def floats(self):
        """Returns the keys and the values."""
        return self


class Int8Cache(typing.NamedTuple):
    """Keys and values in 8 bits, each vector with a scale of its own.

    A vector of `size` numbers takes `size + 4` bytes, not `4 * size`. What is read is made floats
    again, so that this saves bytes and no arithmetic.
    """

    keys: tf.Tensor
    values: tf.Tensor
    key_scales: tf.Tensor
    value_scales: tf.Tensor

    @classmethod
    def empty(cls, rows, heads, slots, size, dtype="float32"):
        """Returns a cache of zeros."""
        codes = [tf.zeros((rows, heads, slots, size), tf.int8) for _ in range(2)]
        return cls(*codes, *(tf.zeros((rows, heads, slots, 1), dtype) for _ in range(2)))

    def place(self, keys, values, slot):
        """Returns the cache with the keys and values of new tokens, rounded, from a slot on."""
        (keys, key_scales), (values, value_scales) = rounded(keys), rounded(values)
        new = keys, values, key_scales, value_scales
        return Int8Cache(*(place(kept, part, slot) for kept, part in zip(self, new)))

    def floats(self):
        """Returns the keys and the values as floats."""
        pairs = (self.keys, self.key_scales), (self.values, self.value_scales)
        return tuple(tf.cast(codes, scales.dtype) * scales for codes, scales in pairs)


def grown(caches, slots):
    """Returns caches with room for so many tokens; what they hold stays where it is."""
    if slots <= caches[0].keys.shape[2]:
        return caches

    def more(part):
        return tf.pad(part, [[0, 0], [0, 0], [0, slots - part.shape[2]], [0, 0]])

    return tf.nest.map_structure(more, caches)


def rounded(vectors):
    """Rounds vectors `(..., size)` to whole numbers from -127 to 127: codes, and a scale each."""
    scale = tf.reduce_max(tf.abs(vectors), axis=-1, keepdims=True) / 127
    codes = tf.round(vectors / tf.where(scale > 0, scale, tf.ones_like(scale)))
    return tf.cast(codes, tf.int8), scale


def size(caches):
    """Returns how many bytes caches take in memory."""
    return sum(part.shape.num_elements() * part.dtype.size for part in tf.nest.flatten(caches))


def slot_size(model, kind=Cache):
    """Returns how many bytes caches of a kind take for each token.

    That is `2 * depth * kv_heads * head_size * 4` for a `Cache`, and
    `2 * depth * kv_heads * (head_size + 4)` for an `Int8Cache`.

    Args:
        model: A `models.language.DecoderLM`.
        kind: `Cache`, or `Int8Cache`.

    Example:

    >>> slot_size(models.load("docs-base")), slot_size(models.load("docs-base"), Int8Cache)
    (4096, 1152)
    """
    return size(model.empty_caches(1, 1, kind))
