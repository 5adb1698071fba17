"""What somebody typed, as tokens."""

import numpy as np


def typed(tokenizer, text):
    """Turns what somebody typed into token ids.

    A mark such as `<|end|>` is characters like any other text here: only code places marks. Else
    whoever types one ends the text of another, or says what only the machine should (a "prompt
    injection" of the simplest kind).

    Args:
        tokenizer: A `tokenizers.Tokenizer`.
        text: What was typed, at least one character.

    Returns:
        Token ids, `int32`.

    Raises:
        ValueError: If nothing was typed, or something that the tokenizer has no tokens for.

    Example:

    >>> typed(docs.tokenizer(), "<|end|>").tolist()
    [28, 92, 270, 68, 92, 30]
    """
    if not isinstance(text, str) or not text:
        raise ValueError(f"the prompt must hold at least one character, got {text!r}")
    marks, tokenizer.encode_special_tokens = tokenizer.encode_special_tokens, True
    try:
        found = read(tokenizer, text)
        if found is None:
            unknown = next((one for one in text if read(tokenizer, one) is None), text)
            raise ValueError(f"the tokenizer must know every character, got {unknown!r}")
    finally:
        tokenizer.encode_special_tokens = marks
    return np.array(found, np.int32)


def read(tokenizer, text):
    """Returns the ids from which the text comes back as it was, or `None`."""
    try:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
    except TypeError:  # half a character, which is no text
        return None
    return ids if tokenizer.decode(ids, skip_special_tokens=False) == text else None
