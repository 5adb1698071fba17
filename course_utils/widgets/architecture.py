"""Where attention looks, and what a model is without one of its parts (lesson 2.1)."""

import dataclasses

import numpy as np

from course_utils import evaluation
from course_utils.backend import tf
from course_utils.chart import Axis, Chart, Grid
from course_utils.checks import one_of
from course_utils.datasets import tales
from course_utils.datasets.tales import chinese
from course_utils.models import checkpoint
from course_utils.widgets.explorer import Explorer, cards, choice, readout

PARTS = ("positions", "attention", "residuals", "norms", "MLPs")


def forward(model, tokens, without=()):
    """Runs a `DecoderLM` by hand, layer by layer, with some of its parts left out.

    Args:
        model: A `DecoderLM`.
        tokens: `int32` of shape `(batch, time)`.
        without: Any of `PARTS`. Without residuals, an update replaces what came in and is not added to it.

    Returns:
        Logits of shape `(batch, time, vocabulary)`; with nothing left out, those of the model.

    Raises:
        ValueError: If there is no such part.
    """
    has = {part: part not in [one_of("part", part, PARTS) for part in without] for part in PARTS}

    def norm(layer, h):
        return layer(h) if has["norms"] else h

    x = model.embedding(tokens)
    if has["positions"]:
        x += model.positions(np.arange(tokens.shape[1]))
    for block in model.blocks:
        if has["attention"]:
            x = x * has["residuals"] + block.attention(norm(block.attention_norm, x))
        if has["MLPs"]:
            x = x * has["residuals"] + block.down(block.up(norm(block.mlp_norm, x)))
    return model.head(norm(model.norm, x))


def perplexity_without_heads(model, tokens):
    """Silences one head after the other and measures what that costs.

    A head speaks through its rows of the output projection; a copy of the model gets zeros there.

    Args:
        model: A `DecoderLM` whose blocks have the same number of heads.
        tokens: As `evaluation.next_token` takes them.

    Returns:
        Perplexities of shape `(blocks, heads)`.
    """
    copy, found = checkpoint.clone(model), []
    for block in copy.blocks:
        kernel = block.attention.output_projection.kernel
        whole = kernel.numpy()
        for head in np.split(np.arange(len(whole)), block.heads):
            silent = whole.copy()
            silent[head] = 0
            kernel.assign(silent)
            found.append(evaluation.next_token(copy.call, tokens).perplexity)
        kernel.assign(whole)
    return np.reshape(found, (len(copy.blocks), -1))


# ---- attention maps -------------------------------------------------------------------------------------


def weights_of(layer, x, memory, visible):
    """Returns who looks where in an attention layer, `(heads, x, memory)`, for one row.

    The layer itself is asked to mix unit vectors in place of its values: what comes out are its weights.
    """
    queries, keys = layer.split(layer.query_projection(x)), layer.split(layer.key_projection(memory))
    units = tf.eye(memory.shape[1], batch_shape=(1, layer.heads))
    mixed = layer.attend(queries, keys, units, visible)  # (1, x, heads * memory)
    return np.reshape(mixed, (x.shape[1], layer.heads, memory.shape[1])).transpose(1, 0, 2)


def self_attention(model, tokens):
    """Returns all attention maps of a `DecoderLM` for one row of tokens, `(blocks, heads, time, time)`."""
    tokens = np.asarray(tokens, np.int32)[None]
    past = np.tri(tokens.shape[1], dtype=np.float32)
    x, maps = model.embedding(tokens) + model.positions(np.arange(tokens.shape[1])), []
    for block in model.blocks:
        normed = block.attention_norm(x)
        maps.append(weights_of(block.attention, normed, normed, past))
        x = block(x)
    return np.stack(maps)


def cross_attention(model, source, target):
    """Returns how an `EncoderDecoder` looks from a target at its source, `(blocks, heads, target, source)`.

    Row t is the look with which the model, having read target tokens 0..t, predicts token t + 1.
    """
    source, target = (np.asarray(tokens, np.int32)[None] for tokens in (source, target))
    memory, visible = model.encode(source), model.visible(source)
    x, maps = model.embed(target), []
    for block in model.decoder:
        seen = x + block.attention(block.attention_norm(x))
        maps.append(weights_of(block.cross, block.cross_norm(seen), memory, visible[:, None, None]))
        x = block(x, memory, visible)
    return np.stack(maps)


def looks_at_its_word(model, source, target):
    """Says at which words a translator looks most at what it translates.

    Args:
        model: An `EncoderDecoder` that was trained on the tales.
        source, target: Token ids of one story, without padding.

    Returns:
        Booleans of shape `(blocks, heads, words)`, one for each name, thing and place of the target: whether most of
        the attention with which it was chosen is on its English word.
    """
    english = {zh: en for table in (chinese.NAMES, chinese.THINGS, chinese.PLACES) for en, (zh, *_) in table.items()}
    known = tales.vocabulary()
    places = [place for place, one in enumerate(target[1:]) if known[one] in english]
    wanted = np.array([known.index(english[known[target[1:][place]]]) for place in places])
    return np.asarray(source)[cross_attention(model, source, target[:-1])[:, :, places].argmax(-1)] == wanted


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
        """Share of the attention that goes to the token just before; the first row has none before it."""
        return float(np.diagonal(self.weights, -1).mean())

    @property
    def itself(self):
        """Share that stays on the token itself, over the same rows."""
        return float(np.diagonal(self.weights)[1:].mean())

    @property
    def first(self):
        """Share that goes to the very first token, over the rows for which that is not the token before."""
        return float(self.weights[2:, 0].mean())

    @property
    def spread(self):
        """`exp` of the mean entropy of a row: among how many tokens the attention is shared."""
        return float(np.exp(-(self.weights * np.log(self.weights + 1e-30)).sum(1).mean()))

    @property
    def choices(self):
        """For each row, the column that gets most."""
        return self.weights.argmax(1)


def chart_of(look, title, description):
    """Draws a `Look`: rows from top to bottom look at columns from left to right."""
    def ticks(texts):
        return {place + 0.5: text for place, text in enumerate(texts)}

    row = 18 if len(look.rows) < 30 else 14  # pixels
    return Chart([Grid(look.weights)], title=title, description=description, width=560, height=120 + row * len(look.rows),
                 x=Axis("is looked at", ticks=ticks(look.columns), turned=True), y=Axis("looks", ticks=ticks(look.rows)))


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
            cards(readout("on the token before", f"{seen.previous:.0%}"), readout("on itself", f"{seen.itself:.0%}"),
                  readout("on the first token", f"{seen.first:.0%}"),
                  readout("shared among", f"{seen.spread:.1f} tokens", note="as if equally")),
            chart_of(seen, f"Where {seen.name} looks", f"Each of {len(seen.rows)} tokens looks at itself and earlier ones. "
                     f"{seen.previous:.0%} of the attention goes to the token before, {seen.itself:.0%} to the token itself, "
                     f"{seen.first:.0%} to the first token.")]

    return Explorer(
        lambda sentence, block, head: Look(maps[sentence][block, head], pieces[sentence], pieces[sentence],
                                           f"block {block}, head {head}"), show,
        sentence=choice("sentence", list(sentences), next(iter(sentences))),
        block=choice("block", range(blocks), 0, "from the input upwards"),
        head=choice("head", range(heads), 0, "each block has its own"))


def cross_explorer(model, sentences, piece):
    """Chooses a sentence, a block and a head of a translator and shows which source words it looks at.

    Args:
        model: An `EncoderDecoder`.
        sentences: Pairs of source and target ids, without padding, by what the control calls them. The target begins
            with its start mark, which is looked from, and ends with a token that is only predicted.
        piece: Function of a token id that returns its text.

    Returns:
        An `Explorer` whose results are `Look`s; row t is named after the token that it predicts.
    """
    maps = {name: cross_attention(model, source, target[:-1]) for name, (source, target) in sentences.items()}
    blocks, heads = maps[next(iter(maps))].shape[:2]

    def look(sentence, block, head):
        source, target = sentences[sentence]
        rows = tuple(f"{place + 1} {piece(one)}" for place, one in enumerate(target[1:]))
        return Look(maps[sentence][block, head], rows, tuple(map(piece, source)), f"block {block}, head {head}")

    def show(seen):
        pairs = ", ".join(f"{row} at {seen.columns[j]}" for row, j in zip(seen.rows, seen.choices))
        return [chart_of(seen, f"Cross-attention of {seen.name}", f"Most of the attention goes: {pairs}.")]

    return Explorer(look, show, sentence=choice("sentence", list(sentences), next(iter(sentences))),
                    block=choice("block", range(blocks), blocks - 1, "of the decoder"),
                    head=choice("head", range(heads), 0, "each block has its own"))
