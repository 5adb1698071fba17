"""What each kind of language model can see, and what it makes of it (lesson 1)."""

import dataclasses
import functools

import numpy as np

from course_utils import evaluation
from course_utils.chart import Axis, Bars, Chart, Line, Note, Points, Rule
from course_utils.datasets import docs
from course_utils.decoding.classic import reader
from course_utils.evaluation.intervals import wilson
from course_utils.lessons.background.experiments import CONTEXTS, DISTANCES, perplexity_with
from course_utils.models import classic
from course_utils.text import _
from course_utils.widgets import Explorer, cards, names, readout, slider
from course_utils.widgets.controls import Number
from course_utils.widgets.html import visible

# What the lesson calls the shipped models.
MODELS = {
    "HMM": "docs-hmm",
    "6-gram": "docs-ngram",
    "LSTM": "docs-lstm",
    "Transformer": "docs-tiny",
    "larger Transformer": "docs-base",
    "largest Transformer": "docs-teacher",
}
LOOKS = {name: names.LOOKS[model] for name, model in MODELS.items()}


@dataclasses.dataclass(frozen=True)
class Counted:
    """An n-gram model of a small text.

    Attributes:
        order, discount: How it was made.
        numbers: How many numbers its table has.
        known: Its perplexity on text that it counted.
        unknown: Its perplexity on text that it did not count.
        likeliest: After the prompt, the likeliest tokens and their probabilities, as
            `(text, probability)`.
        unseen: After the prompt, the probability of all tokens that never followed it.
        prompt: The text after which these were asked for.
        curves: At this discount, the perplexities `known` and `unknown` for each order from 1.
    """

    order: int
    discount: float
    numbers: int
    known: float
    unknown: float
    likeliest: list
    unseen: float
    prompt: str
    curves: tuple


def counter(text, held_out, prompt, orders=5):
    """Returns a function that makes and measures an n-gram model of a text.

    Args:
        text: The tokens to count, `int32` of shape `(length,)`.
        held_out: Tokens to be tested on, `(sequences, length + 1)`.
        prompt: Text after which its predictions are shown.
        orders: The longest n.
    """
    vocabulary, pieces = docs.tokenizer().get_vocab_size(), docs.tokenizer()
    said, counted = prompt, classic.count(text, orders, vocabulary)
    prompt = np.array([pieces.encode(prompt).ids])
    again = text[: held_out.size].reshape(held_out.shape)

    @functools.lru_cache(maxsize=64)
    def made(order, discount):
        model = classic.kneser_ney(counted[:order], vocabulary, discount)
        scores = (evaluation.next_token(model, tokens).perplexity for tokens in (again, held_out))
        return model, *scores

    def measure(order, discount):
        model, known, unknown = made(order, discount)
        p = np.exp(model(prompt))[0, -1]
        windows = np.lib.stride_tricks.sliding_window_view(text, order)
        after = (windows[:, :-1] == prompt[0, len(prompt[0]) - order + 1 :]).all(
            axis=1
        )  # as far back as it looks
        followers = np.unique(windows[after, -1])
        likeliest = [(pieces.decode([i]), float(p[i])) for i in p.argsort()[::-1][:10]]
        curves = tuple(zip(*(made(n + 1, discount)[1:] for n in range(orders))))
        return Counted(
            order,
            discount,
            model.count_params(),
            known,
            unknown,
            likeliest,
            float(1 - p[followers].sum()),
            said,
            curves,
        )

    return measure


def show_counted(seen):
    """The two perplexities, how they move with n, and what the model expects after the prompt."""
    orders = np.arange(len(seen.curves[0])) + 1
    known, unknown = (np.where(np.isfinite(curve), curve, np.nan) for curve in seen.curves)
    pieces = {i + 0.5: visible(text) for i, (text, p) in enumerate(seen.likeliest)}
    return [
        cards(
            readout(_("perplexity, new text"), f"{seen.unknown:.1f}"),
            readout(_("perplexity, counted text"), f"{seen.known:.1f}"),
            readout(_("numbers in the table"), f"{seen.numbers:,}"),
            readout(_("left for what never followed"), f"{seen.unseen:.1%}"),
        ),
        Chart(
            [
                Line(orders, unknown, label=_("new text"), color="vermillion"),
                Line(orders, known, label=_("counted text"), color="blue"),
                Rule(seen.order),
            ],
            x=Axis("n", low=1, high=len(orders), ticks=orders.tolist()),
            y=Axis(_("perplexity"), log=True, low=1, high=500, ticks=(1, 2, 5, 10, 30, 100, 300)),
            title=_("D = {discount:g}: text that was counted, and text that was not").format(
                discount=seen.discount
            ),
            width=620,
            height=260,
            description=_(
                "Perplexity against n. New text: {unknown}. Counted text: {known}."
            ).format(
                unknown=", ".join(f"{value:.1f}" for value in seen.curves[1]),
                known=", ".join(f"{value:.1f}" for value in seen.curves[0]),
            ),
        ),
        Chart(
            [Bars(np.arange(len(pieces) + 1), [100 * p for text, p in seen.likeliest])],
            x=Axis(_("next token"), ticks=pieces),
            y=Axis(_("probability, %"), low=0),
            title=_("After {prompt!r}: the ten likeliest tokens").format(prompt=seen.prompt),
            width=620,
            height=260,
            description=_("The likeliest: {tokens}.").format(
                tokens=", ".join(f"{text!r} {p:.0%}" for text, p in seen.likeliest[:3])
            ),
        ),
    ]


def counter_explorer(text, held_out, prompt):
    """Slides order and discount of an n-gram model that is counted and measured anew at each
    move."""
    return Explorer(
        counter(text, held_out, prompt),
        show_counted,
        order=slider("n", 1, 5, 1, 3, _("tokens in an n-gram: it looks n - 1 tokens back")),
        discount=slider(
            "D", 0.0, 1.0, 0.05, 0.75, _("taken from every count and given to shorter contexts")
        ),
    )


@dataclasses.dataclass(frozen=True)
class Sight:
    """Perplexity of several models, by name, that may see so many tokens."""

    context: int
    perplexity: dict


def sight_explorer(models, tokens):
    """Slides how many tokens several models may see.

    Args:
        models: By name, models that predict tokens.
        tokens: `int32` of shape `(rows, 129)`; the last token of each row is predicted.

    Returns:
        An `Explorer` whose results are `Sight`s.
    """
    readers = {name: reader(model) for name, model in models.items()}
    curves = {
        name: [perplexity_with(read, tokens, context) for context in CONTEXTS]
        for name, read in readers.items()
    }

    def compute(context):
        return Sight(
            context,
            {name: perplexity_with(read, tokens, context) for name, read in readers.items()},
        )

    def show(seen):
        marks = [
            Line(CONTEXTS, values, label=name, color=LOOKS[name][0])
            for name, values in curves.items()
        ]
        return [
            cards(*(readout(name, f"{value:.2f}") for name, value in seen.perplexity.items())),
            Chart(
                [*marks, Rule(seen.context)],
                x=Axis(_("tokens it may see"), log=True, ticks=CONTEXTS),
                y=Axis(_("perplexity"), log=True, ticks=(10, 15, 20, 30, 50, 100, 200)),
                title=_("How far back does it look?"),
                width=620,
                height=300,
                description=_("Perplexity against context; at {context} tokens: {values}.").format(
                    context=seen.context, values=said(seen.perplexity, ".1f")
                ),
            ),
        ]

    stops = sorted({*CONTEXTS, 3, 6, 12, 24, 48, 96})
    visible = Number(
        _("context"), stops, 8, _("tokens right before the one to predict; the rest is hidden")
    )
    return Explorer(compute, show, context=visible)


def said(values, spec):
    """Returns numbers by name as a list within a sentence."""
    return ", ".join(f"{name} {value:{spec}}" for name, value in values.items())


def bracket_chart(scores, places):
    """Draws how often models prefer the right bracket, by its distance, with 95% intervals.

    Args:
        scores: By name, a share for each distance.
        places: How many places each distance has.
    """
    middles, marks = np.array([np.sqrt(low * high) for low, high in DISTANCES]), []
    for number, (name, shares) in enumerate(scores.items()):
        color, shape = LOOKS[name]
        x = middles * 1.03 ** (number - len(scores) / 2)  # side by side, so that bars can be told
        marks.append(Line(x, 100 * np.array(shares), color=color))
        marks.append(Points(x, 100 * np.array(shares), label=name, color=color, marker=shape))
        for at, share, count in zip(x, shares, places):
            if share != 0.5:  # who cannot see it is right in one text of each pair, without chance
                marks.append(Line([at, at], 100 * np.array(wilson(share, count)), color=color))
    ticks = {
        middle: _("{low} to {high}").format(low=low, high=high)
        for middle, (low, high) in zip(middles, DISTANCES)
    }
    nearest, farthest = ({name: shares[i] for name, shares in scores.items()} for i in (0, -1))
    return Chart(
        [*marks, Rule(50, vertical=False), Note(DISTANCES[-1][0], 44, _("cannot see it"))],
        title=_("Which bracket closes?"),
        x=Axis(_("tokens back to the opening bracket"), log=True, ticks=ticks),
        y=Axis(_("right bracket preferred, %"), low=30, high=100),
        width=720,
        height=340,
        description=_("Nearest: {nearest}. Farthest: {farthest}.").format(
            nearest=said(nearest, ".0%"), farthest=said(farthest, ".0%")
        ),
    )


def size_chart(tables, models):
    """Draws perplexity against size.

    Args:
        tables: Of n-grams, from the record of `docs-ngram`: `numbers`, `test_loss` and `order`
            each.
        models: By name: how many numbers, and the perplexity.
    """
    longest = max(row["order"] for row in tables)
    curve = sorted(
        (row["numbers"], np.exp(row["test_loss"])) for row in tables if row["order"] == longest
    )
    orders = sorted(
        (row["numbers"], np.exp(row["test_loss"])) for row in tables if row["order"] < longest
    )
    marks = [
        Line(*zip(*curve), label=_("{n}-gram, pruned to size").format(n=longest), color="grey"),
        Points(
            *zip(*orders),
            label=_("1- to {n}-gram, whole").format(n=longest - 1),
            color="grey",
            marker="circle",
        ),
    ]
    for name, (numbers, perplexity) in models.items():
        color, shape = LOOKS[name]
        marks.append(Points([numbers], [perplexity], label=name, color=color, marker=shape, size=6))
    found = {
        _("{name} with {numbers:,} numbers").format(name=name, numbers=numbers): perplexity
        for name, (numbers, perplexity) in models.items()
    }
    return Chart(
        marks,
        x=Axis(_("numbers stored"), log=True),
        y=Axis(_("perplexity on test text"), log=True, ticks=(5, 7, 10, 15, 25, 50, 100, 200)),
        title=_("Perplexity against size"),
        width=720,
        height=440,
        description=_("Perplexity: {values}.").format(values=said(found, ".1f")),
    )


def growth_chart(measured):
    """Draws loss against parameters.

    Args:
        measured: By name: how many parameters, the loss, and its 95% interval.
    """
    sizes, losses, __ = zip(*measured.values())
    marks = [Line(sizes, losses, color="grey")]
    for name, (size, loss, ends) in measured.items():
        color, shape = LOOKS[name]
        marks.append(Line([size, size], ends, color=color))
        marks.append(Points([size], [loss], label=name, color=color, marker=shape, size=6))
    return Chart(
        marks,
        x=Axis(_("parameters"), log=True),
        y=Axis(_("loss on test text, nats a token"), log=True, ticks=(1.5, 1.75, 2, 2.25, 2.5)),
        title=_("Loss against parameters"),
        width=620,
        height=320,
        description=_("The loss: {values}.").format(
            values=said({name: loss for name, (__, loss, __) in measured.items()}, ".2f")
        ),
    )
