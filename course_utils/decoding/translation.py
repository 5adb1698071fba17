"""Translating with an encoder-decoder."""

import numpy as np

from course_utils.checks import token_ids, whole
from course_utils.models.seq2seq import PAD


def checked(model, name, tokens):
    """Returns tokens as `int32` rows that the model can read, or raises `ValueError` with what is
    wrong with them."""
    tokens = np.asarray(tokens)
    if tokens.ndim != 2 or 0 in tokens.shape or tokens.dtype.kind not in "iu":
        raise ValueError(
            f"{name} must hold token ids in shape (rows, tokens), at least one of each, got "
            f"{tokens.dtype} of shape {tokens.shape}"
        )
    whole(f"length of {name}", tokens.shape[1], 1, model.config["context"])
    tokens = token_ids(name, tokens, model.config["vocabulary"])
    empty = np.flatnonzero((tokens == PAD).all(axis=1))
    if empty.size:
        raise ValueError(
            f"{name} must hold at least one token in each row, row {empty[0]} is all padding"
        )
    return tokens


def pair(model, source, target):
    """Returns source and target, which begins with a mark of its own, as `int32` rows that the model
    can read, or raises `ValueError` with what is wrong with them."""
    source, target = checked(model, "source", source), np.asarray(target)
    if len(target) != len(source):
        raise ValueError(
            f"there must be as many targets as sources, got {len(target)} for {len(source)}"
        )
    target = token_ids("target", target, model.config["vocabulary"])
    if target.ndim != 2 or target.shape[1] < 2:
        raise ValueError(f"target must have shape (rows, target + 1), got {target.shape}")
    checked(model, "target", target[:, :-1])
    return source, target


def translate(model, source, start, end):
    """Writes a target for each source greedily: always the token the model thinks most likely.

    The encoder runs once. The decoder reads what has been written so far, again for each new token.

    Args:
        model: An `EncoderDecoder`.
        source: Token ids of shape `(rows, source)`, padded at the end with 0.
        start: The token that each target begins with; it is not returned.
        end: The token that ends a target; it is returned.

    Returns:
        A list of `int32` arrays, one a row. A row that never ends is cut where the context is full.

    Raises:
        ValueError: If the source is empty, too long, or holds ids that the model does not know.
    """
    source, known = checked(model, "source", source), model.config["vocabulary"]
    start, end = (
        whole(name, mark, 0, known - 1) for name, mark in (("start", start), ("end", end))
    )
    memory, visible = model.encode(source), model.visible(source)
    target = np.full((len(source), 1), start, np.int32)
    while target.shape[1] <= model.config["context"] and not (target == end).any(axis=1).all():
        logits = model.decode(target, memory, visible)[:, -1]
        target = np.hstack([target, np.argmax(logits, axis=-1).astype(np.int32)[:, None]])
    return [row[: 1 + int(np.argmax(row == end))] if end in row else row for row in target[:, 1:]]


def all_right(model, source, target, batch_size=64):
    """Says for each row whether the model's first choice is right at every token of the target.

    The model is shown the true target as it goes. That changes nothing: as long as every choice was
    right, what it is shown is what it wrote. So a row is all right if and only if `translate`
    writes exactly its target.

    Args:
        model: An `EncoderDecoder`.
        source: Token ids `(rows, source)`, padded with 0.
        target: Token ids `(rows, target + 1)`, the start mark first and the end mark last, padded
            with 0.

    Returns:
        Booleans of shape `(rows,)`.

    Raises:
        ValueError: If the tokens have another shape, are too many, or are not known to the model.
    """
    source, target = pair(model, source, target)
    read, wanted = target[:, :-1], target[:, 1:]
    chosen = np.concatenate(
        [
            np.argmax(model((source[i : i + batch_size], read[i : i + batch_size])), axis=-1)
            for i in range(0, len(source), batch_size)
        ]
    )
    return ((chosen == wanted) | (wanted == PAD)).all(axis=1)
