"""How much work a decoder is, from its shape alone: weights, cache, operations, bytes."""

import dataclasses

from course_utils.checks import positive, whole

MOST = 2**31 - 1


@dataclasses.dataclass(frozen=True)
class Shape:
    """The numbers that a decoder is built from.

    Attributes:
        vocabulary, width, depth, heads: As `models.language.DecoderLM` takes them.
        kv_heads: Heads with keys and values of their own.
        head_size: Length of the vectors that a head compares.
        mlp_width: Hidden units of each MLP.
        mlp_matrices: Of each MLP: 2, or 3 where a third one is a gate (Shazeer, 2020).
        positions: Rows of a trained table of positions; 0 where positions are rotations.

    Example:

    >>> SHAPES["docs-base"].parameters, SHAPES["7 billion"].cache_bytes(1, 16)
    (935040, 524288.0)
    """

    vocabulary: int
    width: int
    depth: int
    heads: int
    kv_heads: int
    head_size: int
    mlp_width: int
    mlp_matrices: int = 2
    positions: int = 0

    def __post_init__(self):
        for field in dataclasses.fields(self):
            least = 0 if field.name == "positions" else 1
            whole(field.name, getattr(self, field.name), least, MOST)

    @classmethod
    def of(cls, model):
        """Returns the shape of a `DecoderLM` whose blocks are alike."""
        own = dict(model.config)
        own["positions"] = own.pop("context")
        own["kv_heads"] = own.get("kv_heads") or own["heads"]
        return cls(
            **{
                field.name: own[field.name]
                for field in dataclasses.fields(cls)
                if field.name in own
            }
        )

    @property
    def matrices(self):
        """By part, the weights that each token is multiplied with, in all blocks together."""
        queries, keys = self.heads * self.head_size, self.kv_heads * self.head_size
        return {
            "query, key, value": self.depth * self.width * (queries + 2 * keys),
            "output": self.depth * queries * self.width,
            "MLP": self.depth * self.mlp_matrices * self.width * self.mlp_width,
            "head": self.width * self.vocabulary,
        }

    @property
    def read(self):
        """The weights that a step reads: all but the two tables, of which it looks up a row."""
        norms = (2 * self.depth + 1) * self.width
        return sum(self.matrices.values()) + norms

    @property
    def parameters(self):
        """All weights."""
        return self.read + (self.vocabulary + self.positions) * self.width

    def cache_bytes(self, tokens, bits):
        """Returns the bytes of keys and values of so many tokens, in all blocks."""
        numbers = 2 * self.depth * self.kv_heads * self.head_size
        return numbers * whole("tokens", tokens, 0, 2**62) * positive("bits", bits) / 8

    def operations(self, context):
        """By part, the multiplications and additions for one token that looks at `context` of them.

        Norms, softmax and activations are left out: they are one operation for each number that
        passes, not one for each weight.
        """
        matrices = {name: 2 * weights for name, weights in self.matrices.items()}
        looking = 4 * self.depth * self.heads * self.head_size * whole("context", context, 1, MOST)
        return {**matrices, "attention": looking}

    def step(self, batch, context, bits, cache_bits=16):
        """Says what it takes to write one more token of each text in a batch.

        Args:
            batch: Texts that are written side by side.
            context: Tokens that each of them has so far, this one included.
            bits: Width of a weight.
            cache_bits: Width of a number in the cache.

        Returns:
            Operations, bytes of weights, and bytes of cache.
        """
        batch = whole("batch", batch, 1, MOST)
        return (
            batch * sum(self.operations(context).values()),
            self.read * positive("bits", bits) / 8,
            batch * self.cache_bytes(context, cache_bits),
        )


# Published shapes: Llama 2 with 7 and with 70 billion weights (Touvron et al., 2023).
SHAPES = {
    "docs-base": Shape(512, 128, 4, 4, 4, 32, 512, positions=128),
    "docs-teacher": Shape(512, 256, 6, 8, 8, 32, 1024, positions=128),
    "7 billion": Shape(32000, 4096, 32, 32, 32, 128, 11008, mlp_matrices=3),
    "70 billion": Shape(32000, 8192, 80, 64, 8, 128, 28672, mlp_matrices=3),
}
