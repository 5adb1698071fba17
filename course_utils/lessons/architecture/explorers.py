"""Where attention looks (lesson 2.1)."""

import dataclasses

import numpy as np

from course_utils.chart import Axis, Chart, Grid
from course_utils.datasets import tales
from course_utils.datasets.tales import chinese
from course_utils.evaluation.attribution import cross_attention, self_attention
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, readout


def looks_at_its_word(model, source, target):
    """Says at which words a translator looks most at what it translates.

    Args:
        model: An `EncoderDecoder` that was trained on the tales.
        source, target: Token ids of one story, without padding.

    Returns:
        Booleans of shape `(blocks, heads, words)`, one for each name, thing and place of the
        target: whether most of the attention with which it was chosen is on its English word.
    """
    english = {
        zh: en
        for table in (chinese.NAMES, chinese.THINGS, chinese.PLACES)
        for en, (zh, *__) in table.items()
    }
    known = tales.vocabulary()
    places = [place for place, one in enumerate(target[1:]) if known[one] in english]
    wanted = np.array([known.index(english[known[target[1:][place]]]) for place in places])
    return (
        np.asarray(source)[cross_attention(model, source, target[:-1])[:, :, places].argmax(-1)]
        == wanted
    )


@dataclasses.dataclass(frozen=True)
class Look:
    """One attention map: row i says how token i shares its attention among the columns.

    Attributes:
        weights: Array of shape `(rows, columns)` whose rows sum to 1.
        rows, columns: The tokens as text.
        name: Which block and head.
    """

    weights: np.ndarray
    rows: tuple
    columns: tuple
    name: str

    @property
    def previous(self):
        """Share of the attention that goes to the token just before; the first row has none before
        it."""
        return float(np.diagonal(self.weights, -1).mean())

    @property
    def itself(self):
        """Share that stays on the token itself, over the same rows."""
        return float(np.diagonal(self.weights)[1:].mean())

    @property
    def first(self):
        """Share that goes to the very first token, over the rows for which that is not the token
        before."""
        return float(self.weights[2:, 0].mean())

    @property
    def spread(self):
        """`exp` of the mean entropy of a row: among how many tokens the attention is shared."""
        return float(np.exp(-(self.weights * np.log(self.weights + 1e-30)).sum(1).mean()))

    @property
    def choices(self):
        """For each row, the column that gets most."""
        return self.weights.argmax(1)


def chart_of(look, title, description, row_label):
    """Draws a `Look`: rows from top to bottom look at columns from left to right."""

    def ticks(texts):
        return {place + 0.5: text for place, text in enumerate(texts)}

    row = 18 if len(look.rows) < 30 else 14  # pixels
    column = 15  # of a turned word, so that it does not touch its neighbour
    return Chart(
        [Grid(look.weights, _("attention weight"))],
        title=title,
        description=description,
        width=max(560, 100 + column * len(look.columns)),
        height=140 + row * len(look.rows),
        x=Axis(_("key: the token looked at"), ticks=ticks(look.columns), turned=True),
        y=Axis(row_label, ticks=ticks(look.rows)),
    )


def attention_explorer(model, sentences, piece):
    """Chooses a sentence, a block and a head of a language model and shows where it looks.

    Args:
        model: A `DecoderLM`.
        sentences: Token ids by what the control calls them.
        piece: Function of a token id that returns its text.

    Returns:
        An `Explorer` whose results are `Look`s.
    """
    maps = {name: self_attention(model, ids) for name, ids in sentences.items()}
    pieces = {name: tuple(piece(one) for one in ids) for name, ids in sentences.items()}
    blocks, heads = maps[next(iter(maps))].shape[:2]

    def show(seen):
        return [
            cards(
                readout(_("on the token before"), f"{seen.previous:.0%}"),
                readout(_("on itself"), f"{seen.itself:.0%}"),
                readout(_("on the first token"), f"{seen.first:.0%}"),
                readout(
                    _("shared among"),
                    _("{count:.1f} tokens").format(count=seen.spread),
                    note=_("as if equally"),
                ),
            ),
            chart_of(
                seen,
                _("Where {name} looks").format(name=seen.name),
                _(
                    "Each of {count} tokens looks at itself and earlier ones. {previous:.0%} of the "
                    "attention goes to the token before, {itself:.0%} to the token itself, "
                    "{first:.0%} to the first token."
                ).format(
                    count=len(seen.rows),
                    previous=seen.previous,
                    itself=seen.itself,
                    first=seen.first,
                ),
                _("query: the token that looks"),
            ),
        ]

    return Explorer(
        lambda sentence, block, head: Look(
            maps[sentence][block, head],
            pieces[sentence],
            pieces[sentence],
            _("block {block}, head {head}").format(block=block, head=head),
        ),
        show,
        sentence=choice(_("sentence"), list(sentences), next(iter(sentences))),
        block=choice(_("block"), range(blocks), blocks - 1, _("from the input upwards")),
        head=choice(_("head"), range(heads), 0, _("each block has its own")),
    )


def cross_explorer(model, sentences, piece):
    """Chooses a sentence, a block and a head of a translator and shows which source words it looks
    at.

    Args:
        model: An `EncoderDecoder`.
        sentences: Pairs of source and target ids, without padding, by what the control calls them.
            The target begins with its start mark, which is looked from, and ends with a token that
            is only predicted.
        piece: Function of a token id that returns its text.

    Returns:
        An `Explorer` whose results are `Look`s; row t is named after the token that it predicts.
    """
    maps = {
        name: cross_attention(model, source, target[:-1])
        for name, (source, target) in sentences.items()
    }
    blocks, heads = maps[next(iter(maps))].shape[:2]

    def look(sentence, block, head):
        source, target = sentences[sentence]
        rows = tuple(f"{place + 1} {piece(one)}" for place, one in enumerate(target[1:]))
        return Look(
            maps[sentence][block, head],
            rows,
            tuple(map(piece, source)),
            _("block {block}, head {head}").format(block=block, head=head),
        )

    def show(seen):
        pairs = ", ".join(
            _("{row} at {column}").format(row=row, column=seen.columns[j])
            for row, j in zip(seen.rows, seen.choices)
        )
        return [
            chart_of(
                seen,
                _("Cross-attention of {name}").format(name=seen.name),
                _("Most of the attention goes: {pairs}.").format(pairs=pairs),
                _("the word being chosen"),
            )
        ]

    return Explorer(
        look,
        show,
        sentence=choice(_("sentence"), list(sentences), next(iter(sentences))),
        block=choice(_("block"), range(blocks), blocks - 1, _("of the decoder")),
        head=choice(_("head"), range(heads), 0, _("each block has its own")),
    )
