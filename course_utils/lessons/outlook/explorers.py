"""Is the answer there in time, and which tokens need all layers? (Lesson 6.4.)"""

import dataclasses

import numpy as np

from course_utils.backend import tf
from course_utils.chart import Axis, Chart, Line, Points, Rule
from course_utils.checks import one_of, whole
from course_utils.decoding import exits
from course_utils.decoding.budget import LOOK, Pacer, Pen
from course_utils.decoding.load import busy
from course_utils.decoding.serving import timed
from course_utils.models.compiled import compiled
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, readout, slider
from course_utils.widgets.names import LOOKS

# ---- in time? -----------------------------------------------------------------------------------

ANSWER = 64  # tokens
PROMPT = (11, 12)  # any two tokens: what is measured does not hang on which
ROWS = 16  # texts that are read at once


def measured_chunks(variants, threads, count=24):
    """Measures how long each variant takes for a chunk of `LOOK` tokens, while so many other
    threads multiply matrices.

    Returns:
        By name of the variant, seconds, `(count,)`.
    """
    found = {}
    with busy(threads):
        for variant in variants:
            text = tf.zeros((1, variant.model.config["context"]), tf.int32)
            times = []
            for each in range(count + 2):  # the first may be compiled
                pen = Pen(variant)
                pen.read(text, 2)
                times.append(timed(pen.write, text, 2, 2 + LOOK)[1])
            found[variant.name] = np.array(times[2:])
    return found


@dataclasses.dataclass(frozen=True)
class InTime:
    """What came of answers with a deadline, rehearsed with measured times.

    Attributes:
        deadline: Milliseconds that an answer may take.
        busy: Share of the answers that were written while the machine had other work.
        milliseconds: By who decided, how long each answer took.
        perplexity: By who decided, that of whoever wrote, on validation text.
    """

    deadline: float
    busy: float
    milliseconds: dict
    perplexity: dict

    def share(self, who):
        """Returns the share of answers that were there in time."""
        return float(np.mean(self.milliseconds[who] <= self.deadline))


class Rehearsal:
    """Answers under a load that comes and goes, with times that were measured.

    Args:
        variants: `decoding.budget.Variant`s.
        calm, loaded: As `measured_chunks` returns them, without and with other work.
        answers: How many are rehearsed.
    """

    CHANGES = 4  # answers after which the load may come or go

    def __init__(self, variants, calm, loaded, answers=80):
        self.variants = sorted(variants, key=lambda one: one.loss)
        self.times, self.answers = (calm, loaded), whole("answers", answers, 1, 10_000)
        self.state = 0

    def at(self, deadline, busy):
        """Rehearses answers; returns an `InTime`.

        Args:
            deadline: Milliseconds for an answer of `ANSWER` tokens.
            busy: Share of the answers during which the machine has other work.
        """
        stretches = -(-self.answers // self.CHANGES)
        order = np.random.default_rng(2).permutation(stretches)
        loaded = np.repeat(order < round(busy * stretches), self.CHANGES)[: self.answers]
        ways = {one.name: [one] for one in self.variants}
        ways["budget"] = self.variants
        found = {name: self.written(some, deadline, loaded) for name, some in ways.items()}
        return InTime(
            deadline,
            float(loaded.mean()),
            {name: times for name, (times, losses) in found.items()},
            {name: float(np.exp(losses.mean())) for name, (times, losses) in found.items()},
        )

    def written(self, variants, deadline, loaded):
        """Lets a `Pacer` write all answers; returns milliseconds and losses of each."""
        rng, times, losses = np.random.default_rng(1), [], []

        def clock(function, *state):  # nothing is written: only time passes
            if function.__name__ == "read":
                return None, 0.0
            return state[0], rng.choice(self.times[self.state][function.__self__.name])

        self.state = 0
        pacer = Pacer(variants, deadline / ANSWER, clock)
        for now in loaded:
            self.state = int(now)
            said = pacer.write(PROMPT, ANSWER)
            times.append(1000 * said.seconds.sum())
            losses.append(said.losses.mean())
        return np.array(times), np.array(losses)


def show_in_time(seen):
    """How many answers came in time, by who wrote them, and when they came."""
    called = {"budget": _("the budget")}
    shown, order = [], sorted(seen.milliseconds, key=lambda name: name != "budget")
    for name in order:
        shown.append(
            readout(
                called.get(name, name),
                _("{share:.0%} in time").format(share=seen.share(name)),
                note=_("perplexity {value:.2f}").format(value=seen.perplexity[name]),
            )
        )
    marks = [
        Line(
            np.sort(seen.milliseconds[name]),
            100 * (np.arange(len(seen.milliseconds[name])) + 1) / len(seen.milliseconds[name]),
            called.get(name, name),
            LOOKS[name][0] if name in LOOKS else "vermillion",
        )
        for name in order
    ]
    return [
        cards(*shown),
        Chart(
            [*marks, Rule(seen.deadline, label=_("deadline"))],
            x=Axis(_("milliseconds an answer"), log=True),
            y=Axis(_("answers that are there, %"), low=0, high=100),
            title=_("When answers of {count} tokens are there").format(count=ANSWER),
            description=_(
                "With a deadline of {deadline:.0f} ms and other work during {busy:.0%} of the answers, "
                "{share:.0%} of the answers under the budget are in time."
            ).format(deadline=seen.deadline, busy=seen.busy, share=seen.share("budget")),
            width=640,
        ),
    ]


def in_time_explorer(rehearsal, deadline):
    """Slides deadline and load; answers are rehearsed with the times that were measured.

    Args:
        rehearsal: A `Rehearsal`.
        deadline: Where the slider begins, in milliseconds; it reaches from a quarter of that to
            four times as much.
    """
    return Explorer(
        rehearsal.at,
        show_in_time,
        deadline=log_slider(
            _("deadline"),
            float(f"{deadline / 4:.3g}"),
            float(f"{deadline * 4:.3g}"),
            float(f"{deadline:.3g}"),
            _("milliseconds until the whole answer is there"),
        ),
        busy=slider(_("load"), 0.0, 1.0, 0.1, 0.5, _("share of the answers that meet other work")),
    )


# ---- early exit ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Spent:
    """Tokens that leave when they are sure, and two ways to spend as many layers without looking.

    Attributes:
        threshold: Probability from which on a token leaves.
        blocks: Share of the tokens that leave after each block, `(depth,)`.
        loss, accuracy: Of these exits, on validation text.
        fixed: Loss of exits after a fixed number of blocks with the same mean.
        shuffled: Loss where as many tokens leave after each block, whichever they are.
        work: Multiplications a token, of those that the model does without exits.
        curve: Mean blocks and loss over all thresholds, `(2, thresholds)`.
        each: Loss after each block, `(depth,)`.
    """

    threshold: float
    blocks: np.ndarray
    loss: float
    accuracy: float
    fixed: float
    shuffled: float
    work: float
    curve: np.ndarray
    each: np.ndarray

    @property
    def mean(self):
        """How many blocks a token takes."""
        return float(self.blocks @ (np.arange(len(self.blocks)) + 1))


class Exits:
    """What a model would say after each of its blocks, token by token.

    Args:
        model: A `DecoderLM`.
        tokens: `(rows, length + 1)`; rows are read `ROWS` at a time.
        maps: By name, as `exits.untrained` and `exits.fitted` return them.
    """

    THRESHOLDS = np.linspace(0.05, 1.0, 39)

    def __init__(self, model, tokens, maps):
        self.model, self.seen = model, {}
        run, depth = compiled(model, exits.lens), len(model.blocks)
        for name, each in maps.items():
            parts = []
            for part in np.split(tokens, range(ROWS, len(tokens), ROWS)):
                said = run(tf.constant(part[:, :-1]), tf.constant(each)).numpy()
                wanted = np.broadcast_to(part[None, :, 1:, None], (depth, *part[:, 1:].shape, 1))
                loss = -np.take_along_axis(said, wanted, axis=-1)[..., 0]
                right = said.argmax(-1) == part[:, 1:]
                found = np.exp(said.max(-1)), loss, right
                parts.append([one.reshape(depth, -1) for one in found])
            self.seen[name] = [np.concatenate(one, axis=1) for one in zip(*parts)]
        self.work = [exits.multiplications(model, n) for n in (None, *range(1, depth + 1))]

    def at(self, threshold, heads):
        """Lets tokens leave from a threshold on; returns a `Spent`."""
        confidence, losses, right = self.seen[one_of("heads", heads, self.seen)]
        left = exits.leave(confidence, threshold)
        spent, tokens = np.bincount(left, minlength=len(losses)) / left.size, np.arange(left.size)
        each = losses.mean(axis=1)
        curve = [self.point(heads, one) for one in self.THRESHOLDS]
        mean = spent @ np.arange(len(each))
        return Spent(
            threshold,
            spent,
            float(losses[left, tokens].mean()),
            float(right[left, tokens].mean()),
            float(np.interp(mean, np.arange(len(each)), each)),
            float(spent @ each),
            float(spent @ self.work[1:]) / self.work[0],
            np.array(curve).T,
            each,
        )

    def point(self, heads, threshold):
        """Returns mean blocks and loss at a threshold."""
        confidence, losses, _right = self.seen[heads]
        left = exits.leave(confidence, threshold)
        return left.mean() + 1, losses[left, np.arange(left.size)].mean()


def show_spent(seen):
    """Layers, quality, work, and the curve beside its rivals."""
    places = np.arange(len(seen.each)) + 1
    return [
        cards(
            readout(
                _("blocks a token"),
                f"{seen.mean:.2f}",
                note=_("of {count}").format(count=len(seen.each)),
            ),
            readout(
                _("perplexity"),
                f"{np.exp(seen.loss):.2f}",
                note=_("all blocks {whole:.2f}").format(whole=np.exp(seen.each[-1])),
            ),
            readout(
                _("fixed depth"),
                f"{np.exp(seen.fixed):.2f}",
                note=_("perplexity at the same mean"),
            ),
            readout(
                _("exits dealt out at random"),
                f"{np.exp(seen.shuffled):.2f}",
                note=_("as many after each block"),
            ),
            readout(_("right tokens"), f"{seen.accuracy:.1%}"),
            readout(
                _("multiplications"),
                f"{seen.work:.0%}",
                note=_("of the model without exits"),
            ),
        ),
        Chart(
            [
                Line(places, np.exp(seen.each), _("fixed depth"), "grey"),
                Line(seen.curve[0], np.exp(seen.curve[1]), _("leaves when sure"), "blue"),
                Points([seen.mean], [np.exp(seen.loss)], _("now"), "vermillion", size=6),
            ],
            x=Axis(_("blocks a token"), low=1, high=len(seen.each)),
            y=Axis(_("perplexity"), log=True),
            title=_("What a layer less costs"),
            description=_(
                "At threshold {threshold:g} a token takes {mean:.2f} blocks and perplexity is "
                "{perplexity:.2f}; a fixed depth with this mean has {fixed:.2f}."
            ).format(
                threshold=seen.threshold,
                mean=seen.mean,
                perplexity=np.exp(seen.loss),
                fixed=np.exp(seen.fixed),
            ),
            width=640,
        ),
    ]


def exit_explorer(found):
    """Slides the threshold from which on a token leaves.

    Args:
        found: `Exits`.
    """
    kinds = {"untrained": _("the model's own"), "fitted": _("fitted")}
    options = {kinds.get(name, name): name for name in found.seen}
    return Explorer(
        found.at,
        show_spent,
        threshold=slider(
            _("threshold"), 0.05, 1.0, 0.025, 0.8, _("leave from this probability on")
        ),
        heads=choice(
            _("exits"), options, list(found.seen)[-1], _("what is asked after each block")
        ),
    )
