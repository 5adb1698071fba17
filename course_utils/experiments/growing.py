"""A larger model that begins where a smaller one stands: the same function, with more weights to
learn with (Chen et al., 2016, Net2Net; for Transformers Wang et al., 2024, LEMON)."""

import numpy as np

from course_utils.checks import whole


def corner(large, small, zero_rows=False, zero_columns=False):
    """Puts a small matrix into the corner of a large one.

    Args:
        large, small: Matrices; `large` is changed.
        zero_rows: Whether the rows below the small one become zero, and not what they were.
        zero_columns: Whether the columns beside it do.
    """
    rows, columns = small.shape
    if zero_rows:
        large[rows:] = 0
    if zero_columns:
        large[:, columns:] = 0
    large[:rows, :columns] = small


def grow(small, large):
    """Makes a new `DecoderLM` compute what a smaller one computes.

    What is new reads at random and writes zeros: into the residual stream nothing comes from new
    heads, hidden units, blocks or channels before they have learned. Nothing of it stays idle, for
    the gradient of what writes is not zero.

    Args:
        small: The model that is there.
        large: A built one with the same vocabulary, context and head size, at least as many
            channels, heads, hidden units and blocks; it is changed.

    Raises:
        ValueError: If it is smaller somewhere, or differs where both must be alike.
    """
    old, new = small.config, large.config
    for name in ("vocabulary", "context", "head_size"):
        whole(name, new[name], old[name], old[name])
    for name in ("width", "depth", "heads", "mlp_width"):
        whole(name, new[name], old[name], 2**20)
    quieter = (old["width"] / new["width"]) ** 0.5  # zeros beside them make a norm's inputs louder

    def norm(large, small):
        scale = np.asarray(large.scale).copy()
        scale[: old["width"]] = quieter * np.asarray(small.scale)
        large.scale.assign(scale)

    def matrix(large, small, writes=False):
        value = np.asarray(large).copy()
        corner(value, np.asarray(small), zero_rows=writes, zero_columns=writes)
        large.assign(value)

    for name in ("embedding", "positions"):
        table = np.asarray(getattr(large, name).embeddings).copy()
        corner(table, np.asarray(getattr(small, name).embeddings), zero_columns=True)
        getattr(large, name).embeddings.assign(table)
    for block, before in zip(large.blocks, small.blocks):
        a, b = block.attention, before.attention
        norm(block.attention_norm, before.attention_norm)
        norm(block.mlp_norm, before.mlp_norm)
        for name in ("query", "key", "value"):
            read, was = (getattr(x, f"{name}_projection").kernel for x in (a, b))
            matrix(read, was)
        matrix(a.output_projection.kernel, b.output_projection.kernel, writes=True)
        matrix(block.up.kernel, before.up.kernel)
        matrix(block.down.kernel, before.down.kernel, writes=True)
    for block in large.blocks[old["depth"] :]:
        for layer in (block.attention.output_projection, block.down):
            layer.kernel.assign(np.zeros(layer.kernel.shape))
    norm(large.norm, small.norm)
    matrix(large.head.kernel, small.head.kernel)
