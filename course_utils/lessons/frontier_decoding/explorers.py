"""Which token comes next, and what a draft is worth (lesson 08_3)."""

import dataclasses

import numpy as np

from course_utils.backend import tf
from course_utils.chart import Axis, Bars, Chart, Line, Points, Rule
from course_utils.checks import one_of, read_only
from course_utils.decoding import sampling, speculative
from course_utils.decoding.sampling import Sampling
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, readout, slider
from course_utils.widgets.html import visible

# ---- choosing a token ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Chances:
    """What may come next, before and after the filters.

    Attributes:
        words: The likeliest tokens, as text.
        plain, left: Their probabilities at temperature 1, and as they are drawn from.
        kept: How many tokens of the whole vocabulary may still come.
        held: What the tokens that were kept had of the probability before the filters took the
            others out, at this temperature.
    """

    words: tuple
    plain: np.ndarray
    left: np.ndarray
    kept: int
    held: float


def chances(logits, words, temperature, top_k, top_p, min_p, shown=12):
    """Filters what a model says about one position.

    Args:
        logits: `(vocabulary,)`.
        words: The text of every token.
        temperature, top_k, top_p, min_p: See `decoding.Sampling`.
        shown: How many tokens.

    Returns:
        A `Chances`.
    """
    how = Sampling(temperature, int(top_k), top_p, min_p)
    logits = tf.constant(logits, tf.float32)[None]
    plain = tf.nn.softmax(logits)[0].numpy()
    if how.greedy:
        soft = left = np.eye(len(plain))[plain.argmax()]
    else:
        soft = tf.nn.softmax(logits / temperature)[0].numpy()
        left = tf.exp(sampling.filtered(logits / temperature, how.numbers()))[0].numpy()
    first = np.argsort(-plain, kind="stable")[:shown]
    return Chances(
        tuple(words[token] for token in first),
        plain[first],
        left[first],
        int(np.count_nonzero(left)),
        float(soft[left > 0].sum()),
    )


def show_chances(seen):
    """How many tokens are left, and the likeliest as bars."""
    places = np.arange(len(seen.words) + 1)
    ticks = {i + 0.5: visible(word)[:8] for i, word in enumerate(seen.words)}
    said = ", ".join(
        f"{visible(word)} {share:.0%}" for word, share in zip(seen.words[:3], seen.left)
    )
    return [
        cards(
            readout(_("tokens that may come"), f"{seen.kept:,}"),
            readout(
                _("they held"),
                f"{seen.held:.1%}",
                note=_("of the probability at this temperature"),
            ),
            readout(
                _("likeliest"),
                visible(seen.words[0]),
                note=_("{left:.1%}; the model says {plain:.1%}").format(
                    left=seen.left[0], plain=seen.plain[0]
                ),
            ),
        ),
        Chart(
            [
                Bars(places, 100 * seen.left, color="blue", label=_("drawn from")),
                Bars(places, 100 * seen.plain, color="vermillion", label=_("the model")),
            ],
            title=_("What may come next"),
            x=Axis(ticks=ticks, turned=True),
            y=Axis(_("probability, %"), low=0),
            description=_("The likeliest tokens as they are drawn from: {said}.").format(said=said),
            width=640,
        ),
    ]


def chances_explorer(logits, words):
    """Slides the four numbers of `Sampling` over what a model says.

    Args:
        logits: By name of a text, `(vocabulary,)`.
        words: The text of every token.
    """

    def compute(text, **how):
        return chances(logits[text], words, **how)

    names = list(logits)
    return Explorer(
        compute,
        show_chances,
        lambda values: (
            {}
            if values["temperature"]
            else dict.fromkeys(
                ("top_k", "top_p", "min_p"),
                _("at temperature 0 the likeliest token comes, whatever is filtered"),
            )
        ),
        text=choice(_("after"), names, names[0], _("what the model has read")),
        temperature=slider(
            _("temperature"), 0.0, 2.0, 0.05, 1.0, _("0: always the likeliest token")
        ),
        top_k=slider(_("top-k"), 0, 50, 1, 0, _("keep so many of the likeliest; 0: all")),
        top_p=slider(
            _("top-p"), 0.0, 1.0, 0.01, 1.0, _("keep those that hold this share together")
        ),
        min_p=slider(
            _("min-p"), 0.0, 1.0, 0.01, 0.0, _("keep those at least so likely beside the likeliest")
        ),
    )


# ---- what a draft is worth ----------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Draft:
    """A drafter and a draft length, counted out on texts that the model wrote.

    Attributes:
        drafter: Its name.
        ahead: How many tokens it drafts before the model looks.
        rate: The share of drafted tokens that stay, of those that are looked at.
        each: Tokens that a pass of the model brings.
        expected: How many times as fast as the model alone, by the costs of drafts and passes.
        formula: The same by `speculative.speed_up` at every `rates`.
        measured: Measured speed-ups of this drafter, by draft length.
        breaks_even: The rate from which on it wins, `nan` if none.
    """

    drafter: str
    ahead: int
    rate: float
    each: float
    expected: float
    formula: np.ndarray
    measured: dict
    breaks_even: float


RATES = read_only(np.linspace(0, 1, 101))


class Drafts:
    """Texts that a model wrote, and how far each drafter would have been right.

    Args:
        right: By drafter, for each text what `Speculator.right` says.
        draft_seconds: By drafter, what one drafted token costs.
        check_seconds: What a pass over so many tokens costs, by their number; 1 is among them.
        measured: By drafter and draft length, measured speed-ups.
    """

    def __init__(self, right, draft_seconds, check_seconds, measured):
        self.right, self.draft_seconds = right, draft_seconds
        self.check_seconds, self.measured = check_seconds, measured

    def at(self, drafter, ahead):
        """Counts out a draft length; returns a `Draft`."""
        counts = sum(
            speculative.counted(right, ahead)
            for right in self.right[one_of("drafter", drafter, self.right)]
        )
        found = speculative.Speculated((), int(counts.sum()), counts)
        tokens = sum(map(len, self.right[drafter]))
        draft, check = self.costs(drafter, ahead)
        formula = np.array([speculative.speed_up(rate, ahead, draft, check) for rate in RATES])
        won = RATES[formula >= 1]
        return Draft(
            drafter,
            ahead,
            found.rate,
            tokens / found.passes,
            tokens / found.passes / (ahead * draft + check),
            formula,
            self.measured.get(drafter, {}),
            float(won[0]) if won.size else float("nan"),
        )

    def costs(self, drafter, ahead):
        """Returns what a draft and a check cost, in steps of the model; between the lengths that
        were measured a check costs what lies between."""
        lengths = sorted(self.check_seconds)
        seconds = [self.check_seconds[n] for n in lengths]
        check = np.interp(ahead + 1, lengths, seconds) / self.check_seconds[1]
        return self.draft_seconds[drafter] / self.check_seconds[1], float(check)


def show_draft(seen):
    """The numbers, and expected against measured with the line where nothing is won."""
    breaks_even = (
        _("it never wins here")
        if np.isnan(seen.breaks_even)
        else _("it wins from {rate:.0%} on").format(rate=seen.breaks_even)
    )
    marks = [
        Rule(1.0, vertical=False, label=_("nothing won")),
        Line(100 * RATES, seen.formula, color="blue", label=_("expected at each rate")),
        Points([100 * seen.rate], [seen.expected], color="vermillion", label=_("counted out")),
    ]
    if seen.ahead in seen.measured:
        marks.append(
            Points(
                [100 * seen.rate],
                [seen.measured[seen.ahead]],
                color="green",
                marker="square",
                label=_("measured"),
            )
        )
    measured = (
        f"{seen.measured[seen.ahead]:.2f}x" if seen.ahead in seen.measured else _("not measured")
    )
    return [
        cards(
            readout(_("drafts that stay"), f"{seen.rate:.0%}", note=breaks_even),
            readout(_("tokens a pass"), f"{seen.each:.2f}"),
            readout(_("expected"), _("{times:.2f}x").format(times=seen.expected)),
            readout(_("measured"), measured, note=_("in this lesson's run")),
        ),
        Chart(
            marks,
            x=Axis(_("drafts that stay, %"), low=0, high=100),
            y=Axis(_("times as fast as alone"), low=0),
            title=_("{drafter}, {ahead} ahead").format(drafter=seen.drafter, ahead=seen.ahead),
            description=_(
                "{rate:.0%} of the drafts stay, which makes it {expected:.2f} times as fast as the "
                "model alone; {breaks_even}."
            ).format(rate=seen.rate, expected=seen.expected, breaks_even=breaks_even),
            width=640,
        ),
    ]


def draft_explorer(drafts):
    """Slides drafter and draft length; each position is counted out on the same texts."""
    names = list(drafts.right)
    return Explorer(
        lambda drafter, ahead: drafts.at(drafter, ahead),
        show_draft,
        drafter=choice(_("drafter"), names, names[0], _("who guesses")),
        ahead=slider(_("ahead"), 1, 6, 1, 4, _("tokens that are drafted before the model looks")),
    )
