"""What a teacher says, and how temperature changes it (lesson 3.2.3)."""

import dataclasses
import html

import numpy as np

from course_utils import distillation
from course_utils.chart import Axis, Bars, Chart
from course_utils.checks import finite, positive, whole
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, readout, slider
from course_utils.widgets.html import visible


@dataclasses.dataclass(frozen=True)
class SoftLabel:
    """What a teacher says about one position at a temperature.

    Attributes:
        temperature: The temperature.
        before: The words up to this position; `true` is the one that follows in the text.
        words: The teacher's most likely next words, the likeliest first.
        plain, soft: Their probabilities at temperature 1 and at this one.
        entropy: Of all probabilities at this temperature, in nats.
        true_share: Probability of the true word at this temperature.
    """

    temperature: float
    before: tuple
    true: str
    words: tuple
    plain: np.ndarray
    soft: np.ndarray
    entropy: float
    true_share: float


def soft_label(logits, tokens, words, position, temperature, shown=8):
    """Softens what a teacher says after `position` tokens of a text.

    Args:
        logits: The teacher's, of shape `(length, vocabulary)`: row i is about the token that
            follows token i.
        tokens: The text, `(length + 1,)`.
        words: Text of every token of the vocabulary.
        position: How many tokens were read, from 1 to `length`.
        temperature: Above 0.
        shown: How many words.

    Returns:
        A `SoftLabel`.

    Raises:
        ValueError: If the position lies outside the text, or the temperature is not positive.
    """
    position = whole("position", position, 1, len(logits))
    said, true = finite("logits", logits)[position - 1], int(tokens[position])
    plain, soft = (
        distillation.soften(said, T).numpy() for T in (1.0, positive("temperature", temperature))
    )
    first = np.argsort(-said, kind="stable")[:shown]
    entropy = -np.sum(soft * np.log(np.maximum(soft, 1e-30)))
    return SoftLabel(
        temperature,
        tuple(words[t] for t in tokens[:position]),
        words[true],
        tuple(words[t] for t in first),
        plain[first],
        soft[first],
        float(entropy),
        float(soft[true]),
    )


def show_soft_label(seen):
    """The end of the text, the numbers, and the likeliest words as bars."""
    read = "".join(seen.before[-24:]).replace("\n", "⏎")
    places = np.arange(len(seen.words) + 1)
    ticks = {i + 0.5: visible(word)[:8] for i, word in enumerate(seen.words)}
    said = ", ".join(
        f"{visible(word)} {share:.0%}" for word, share in zip(seen.words[:3], seen.soft)
    )
    return [
        "<p style='font-family: monospace; overflow-wrap: anywhere; margin: 4px "
        f"0'>…{html.escape(read)}<b>▸</b></p>",
        cards(
            readout(
                _("entropy"),
                _("{entropy:.2f} nats").format(entropy=seen.entropy),
                note=_("as if among {count:.1f} equal words").format(count=np.exp(seen.entropy)),
            ),
            readout(
                _("likeliest"),
                visible(seen.words[0]),
                note=_("{soft:.1%}; at T = 1 {plain:.1%}").format(
                    soft=seen.soft[0], plain=seen.plain[0]
                ),
            ),
            readout(
                _("the text goes on with"),
                visible(seen.true),
                note=_("{share:.2%} at this T").format(share=seen.true_share),
            ),
        ),
        Chart(
            [
                Bars(places, 100 * seen.soft, color="blue", label=f"T = {seen.temperature:g}"),
                Bars(places, 100 * seen.plain, color="vermillion", label="T = 1"),
            ],
            x=Axis(_("likeliest next words"), ticks=ticks),
            y=Axis(_("probability, %"), low=0, high=100),
            width=640,
            height=260,
            title=_("What the teacher says comes next"),
            description=_("At T = {temperature:g}: {words}.").format(
                temperature=seen.temperature, words=said
            ),
        ),
    ]


def temperature_explorer(model, texts, tokenizer):
    """Slides the temperature of a language model's soft labels, and walks through real text.

    Args:
        model: Maps tokens `(rows, length)` to logits.
        texts: By name, the tokens of a text, `(length + 1,)`, all of one length.
        tokenizer: Whose tokens they are.

    Returns:
        An `Explorer` whose results are `SoftLabel`s.

    Raises:
        ValueError: If a text has tokens that the model does not know, or the tokenizer has another
            vocabulary.
    """
    names, tokens = list(texts), np.array(list(texts.values()), np.int32)
    words = [
        tokenizer.decode([token], skip_special_tokens=False)
        for token in range(tokenizer.get_vocab_size())
    ]
    if tokens.min() < 0 or tokens.max() >= len(words):
        raise ValueError(
            f"texts must hold token ids from 0 to {len(words) - 1}, got {tokens.min()} to "
            f"{tokens.max()}"
        )
    logits = np.asarray(model(tokens[:, :-1]))
    if logits.shape[-1] != len(words):
        raise ValueError(
            f"the model chooses among {logits.shape[-1]} tokens, the tokenizer has {len(words)}"
        )

    def compute(text, position, temperature):
        row = names.index(text)
        return soft_label(logits[row], tokens[row], words, position, temperature)

    length = tokens.shape[1] - 1
    return Explorer(
        compute,
        show_soft_label,
        text=choice(_("text"), names, names[0], _("which text the teacher reads")),
        position=slider(_("position"), 1, length, 1, length // 2, _("tokens it has read")),
        temperature=log_slider("T", 0.25, 20, 2.0, _("divides the logits")),
    )
