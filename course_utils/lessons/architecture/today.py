"""What has changed in the decoder since 2017: positions that turn, and where the numbers go."""

import numpy as np

from course_utils.chart import Axis, Chart, Line, Rule
from course_utils.text import _


def rotated(vectors, positions, base=10_000.0):
    """Turns queries or keys by an angle that grows with their position (Su et al., 2021).

    Coordinates are taken in pairs, `j` and `j + size / 2`. Pair j turns by
    `position * base ** (-2 j / size)`: the first pair by a radian a token, the last hardly at all.

    Args:
        vectors: `(..., time, size)`, `size` even.
        positions: Whole numbers of shape `(time,)`.
        base: How much slower the last pairs turn than the first.

    Returns:
        Vectors of the same shape and lengths.
    """
    half = vectors.shape[-1] // 2
    angles = np.outer(positions, base ** (-np.arange(half) / half))  # (time, half)
    cos, sin = np.cos(angles), np.sin(angles)
    x, y = vectors[..., :half], vectors[..., half:]
    return np.concatenate([x * cos - y * sin, x * sin + y * cos], axis=-1)


def swiglu(x, gate, up, down):
    """The MLP of most models today (Shazeer, 2020): what `up` writes passes as far as a gate that
    is computed from the same input lets it.

    Args:
        x: `(..., width)`.
        gate, up: `(width, hidden)`.
        down: `(hidden, width)`.
    """
    opened = x @ gate
    return (opened / (1 + np.exp(-opened)) * (x @ up)) @ down


def parameters(vocabulary, width, depth, heads, head_size, kv_heads, hidden, experts=1, used=1):
    """Counts a decoder of today: rotary positions, shared keys and values, MLPs of three matrices,
    of which there may be several.

    Args:
        vocabulary, width, depth, heads, head_size: As in `DecoderLM`.
        kv_heads: Heads with keys and values of their own.
        hidden: Hidden units of an MLP.
        experts: MLPs of each block.
        used: How many of them a token passes.

    Returns:
        How many weights there are, how many a token passes, and how many numbers a cache keeps of
        it.
    """
    attention = 2 * width * head_size * (heads + kv_heads)
    expert, router = 3 * width * hidden, width * experts if experts > 1 else 0
    tables, norms = 2 * vocabulary * width, (2 * depth + 1) * width
    rest = tables + norms + depth * (attention + router)
    cache = 2 * depth * kv_heads * head_size
    return rest + depth * experts * expert, rest + depth * used * expert, cache


def distance_chart(query, key, farthest=128):
    """Draws what a query thinks of one key at each distance, once both are rotated."""
    away = np.arange(farthest + 1)
    asks = rotated(query[None], np.array([farthest]))[0]
    scores = rotated(np.tile(key, (len(away), 1)), farthest - away) @ asks
    return Chart(
        [Line(away, scores, color="blue"), Rule(0, vertical=False)],
        x=Axis(_("tokens between the two"), low=0, high=farthest),
        y=Axis(_("score of query and key")),
        title=_("The same query and key, further and further apart"),
        width=620,
        height=260,
        description=_(
            "The score is {near:.1f} at distance 0 and moves to and fro as the two are taken apart; "
            "at {farthest} it is {far:.1f}."
        ).format(near=scores[0], far=scores[-1], farthest=farthest),
    )
