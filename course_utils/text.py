"""The learner's language: whatever the package says to a learner goes through `_`.

Only whole sentences do, for a language that orders its words otherwise cannot be had from pieces.
Numbers and names are filled in afterwards, by name, never by an f-string inside `_()`.
"""

CATALOGUE = {}  # English sentence -> the same in the learner's language


def _(sentence):
    """Returns a sentence in the learner's language, in English where nobody has translated it.

    Args:
        sentence: English text, with `{name}` where something is filled in later.

    Returns:
        The text of `CATALOGUE`, with the same names to fill in.

    Example:

    >>> _("{share:.0%} of the weights are kept").format(share=0.25)
    '25% of the weights are kept'
    """
    return CATALOGUE.get(sentence, sentence)
