"""What compression changed, layer by layer, answer by answer, pixel by pixel (lesson 6.4)."""

import dataclasses
import functools

import numpy as np

from course_utils.backend import tf
from course_utils.chart import Axis, Bars, Chart, Grid, Points, Rule
from course_utils.datasets import digits
from course_utils.decoding import exits
from course_utils.evaluation import attribution, explaining
from course_utils.evaluation.bench import bench
from course_utils.lessons.vision.explorers import Small, compressed, compressing
from course_utils.models.compiled import compiled
from course_utils.text import _
from course_utils.widgets import Explorer, cards, readout, slider
from course_utils.widgets.controls import without_use
from course_utils.widgets.html import squeezed

READER, CLASSIFIER = "docs-base", "digits-cnn"
LOOKED = 48  # tokens of the text whose attention is looked at
SCANS = 60  # that are explained
BINS = 10  # of the margin

# ---- a language model ---------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Changed:
    """What a compressed language model says, beside what it said before.

    Attributes:
        small: The `Small` model.
        by_layer: Divergence of what it would say after each block, mean over the tokens, in nats.
        flipped: Share of the tokens for which its first choice is another one.
        by_margin: Share that flipped, in tenths of the tokens by how sure the model was before,
            the least sure first.
        area: How well that margin tells which will flip: `explaining.auc`.
        area_of_rarity: The same of a rival that never asks the model: how rare the token before
            is.
        looks: Share of attention that went elsewhere, by block.
    """

    small: Small
    by_layer: np.ndarray
    flipped: float
    by_margin: np.ndarray
    area: float
    area_of_rarity: float
    looks: np.ndarray


@functools.cache
def _before():
    """Returns what the float model says: log-probabilities by layer, its attention, the maps of the
    lens, and how often each token comes."""
    here = bench(READER)
    tokens, maps = here.data[:, :-1], exits.untrained(here.original)
    said = compiled(here.original, exits.lens)(tf.constant(tokens), tf.constant(maps)).numpy()
    looks = attribution.self_attention(here.original, tokens[0, :LOOKED])
    counts = np.bincount(tokens.ravel(), minlength=said.shape[-1])
    return said, looks, maps, counts[tokens]


def change(rule, step, bits, theta):
    """Compresses the language model and compares what it says on validation text; returns a
    `Changed`."""
    here = bench(READER)
    before, looked, maps, often = _before()
    with here.turn:  # a slider may move meanwhile, in another thread
        small = compressed(here, rule, step, bits, theta)
        tokens = tf.constant(here.data[:, :-1])
        after = compiled(here.twin, exits.lens)(tokens, tf.constant(maps)).numpy()
        looks = attribution.self_attention(here.twin, here.data[0, :LOOKED])
    margin = explaining.margins(before[-1]).ravel()
    other = (before[-1].argmax(-1) != after[-1].argmax(-1)).ravel()
    tenths = np.array_split(other[np.argsort(margin, kind="stable")], BINS)
    return Changed(
        small,
        explaining.divergence(before, after).mean(axis=(1, 2)),
        float(other.mean()),
        np.array([part.mean() for part in tenths]),
        float(explaining.auc(-margin, other)),
        float(explaining.auc(-often.ravel(), other)),
        np.abs(looked - looks).sum(-1).mean((1, 2)) / 2,
    )


def known(number, form="{:.2f}"):
    """Writes a number, or that there is none."""
    return _("none") if np.isnan(number) else form.format(number)


def show_changed(seen):
    """Numbers, divergence by layer, and which answers flipped."""
    layers = np.arange(len(seen.by_layer) + 1)
    ticks = {i + 0.5: str(i + 1) for i in layers[:-1]}
    tenths = np.arange(BINS + 1)
    return [
        cards(
            readout(
                _("divergence of the output"),
                _("{nats:.4f} nats").format(nats=seen.by_layer[-1]),
                note=_("in the mean over the tokens"),
            ),
            readout(_("first choices that flipped"), f"{seen.flipped:.1%}"),
            readout(
                _("the margin tells which"),
                _("AUC {area}").format(area=known(seen.area)),
                note=_("rarity of the token before {area}; guessing 0.50").format(
                    area=known(seen.area_of_rarity)
                ),
            ),
            readout(
                _("attention that moved"),
                f"{seen.looks.mean():.1%}",
                note=_("most in block {block}").format(block=int(seen.looks.argmax()) + 1),
            ),
            *squeezed(seen.small),
        ),
        Chart(
            [Bars(layers, seen.by_layer, "blue")],
            x=Axis(_("after block"), ticks=ticks),
            y=Axis(_("nats"), low=0),
            title=_("What it would say, against before"),
            description=_("Divergence after each block: {list} nats.").format(
                list=", ".join(f"{value:.4f}" for value in seen.by_layer)
            ),
            width=400,
        ),
        Chart(
            [Bars(tenths, 100 * seen.by_margin, "vermillion")],
            x=Axis(_("tokens by margin, tenths"), ticks={0.5: "1", 4.5: "5", 9.5: "10"}),
            y=Axis(_("flipped, %"), low=0),
            title=_("Which first choices flipped"),
            description=_(
                "Of the tenth of the tokens with the smallest margin {first:.0%} flipped, of the "
                "tenth with the largest {last:.0%}."
            ).format(first=seen.by_margin[0], last=seen.by_margin[-1]),
            width=400,
        ),
    ]


def change_explorer():
    """Slides Q, θ and bits of a language model; results are `Changed`."""
    return Explorer(change, show_changed, without_use, **compressing())


# ---- a classifier -------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Shared:
    """How a compressed classifier shares its answers out among the pixels.

    Attributes:
        small: The `Small` model.
        scan, before, after: One scan, and its shares of both classifiers, `(64,)` each.
        incomplete: The most by which shares miss the gain of the output, as a share of it.
        alike: Mean rank correlation with the shares before, over all explained scans.
        random: The same for a classifier with its weights in another order: the control.
        right: Share of the validation scans that it reads rightly.
        mimicked: Share of its answers that a small tree of questions gives too, before and after.
    """

    small: Small
    scan: np.ndarray
    before: np.ndarray
    after: np.ndarray
    incomplete: float
    alike: float
    random: float
    right: float
    mimicked: tuple


@functools.cache
def _explained():
    """Returns what the float classifier says: its classes, their shares, those of the control, and
    how well a tree mimics it."""
    model, scans = bench(CLASSIFIER).original, digits.load("validation")[0]
    classes = np.asarray(model(scans[:SCANS])).argmax(1)
    other = explaining.randomised(model)
    shares = [
        explaining.integrated_gradients(one, scans[:SCANS], classes) for one in (model, other)
    ]
    tree = explaining.mimicked(model, digits.load("train")[0], scans)
    return classes, shares[0], explaining.rank_correlation(*shares).mean(), tree


def share(scan, rule, step, bits, theta):
    """Compresses the classifier and explains the answers that the original gave.

    Args:
        scan: Which validation scan is shown.
        rule, step, bits, theta: See `compressed`.

    Returns:
        A `Shared`.
    """
    here, (scans, labels) = bench(CLASSIFIER), digits.load("validation")
    classes, before, random, tree = _explained()
    with here.turn:
        small = compressed(here, rule, step, bits, theta)
        after = explaining.integrated_gradients(here.twin, scans[:SCANS], classes)
        ends = [np.asarray(here.twin(each)) for each in (scans[:SCANS], np.zeros((1, 64)))]
        right = float(np.mean(np.asarray(here.twin(scans)).argmax(1) == labels))
        mimicked = explaining.mimicked(here.twin, digits.load("train")[0], scans)
    gain = (ends[0] - ends[1])[np.arange(SCANS), classes]
    return Shared(
        small,
        scans[scan],
        before[scan],
        after[scan],
        float(np.max(np.abs(after.sum(1) - gain)) / np.maximum(np.abs(gain).max(), 1e-9)),
        float(explaining.rank_correlation(before, after).mean()),
        float(random),
        right,
        (tree, mimicked),
    )


def picture(shares, title, said):
    """Shows shares of 8 x 8 pixels: blue for the class, vermillion against it."""
    most = max(float(np.abs(shares).max()), 1e-9)
    return Chart(
        [Grid(np.reshape(shares, (8, 8)) / most)],
        x=Axis(ticks={}),
        y=Axis(ticks={}),
        title=title,
        description=said,
        width=240,
        height=270,
    )


def show_shared(seen):
    """Numbers, and one scan with its shares before and after."""
    alike = float(explaining.rank_correlation(seen.before[None], seen.after[None])[0])
    return [
        cards(
            readout(
                _("rank correlation with before"),
                f"{seen.alike:.3f}",
                note=_("weights in another order {random:.3f}").format(random=seen.random),
            ),
            readout(
                _("completeness missed by"),
                f"{seen.incomplete:.1%}",
                note=_("of the largest gain, at most"),
            ),
            readout(_("accuracy"), f"{seen.right:.1%}", note=_("on validation scans")),
            readout(
                _("a tree gives the same answer"),
                f"{seen.mimicked[1]:.1%}",
                note=_("before {share:.1%}").format(share=seen.mimicked[0]),
            ),
            *squeezed(seen.small),
        ),
        picture(seen.scan, _("The scan"), _("A handwritten digit.")),
        picture(
            seen.before,
            _("Shares before"),
            _("How much each pixel speaks for the digit that was read."),
        ),
        picture(
            seen.after,
            _("Shares after"),
            _("The same, compressed: rank correlation {alike:.2f}.").format(alike=alike),
        ),
    ]


def share_explorer():
    """Slides Q, θ and bits of a classifier, and picks a scan; results are `Shared`."""
    return Explorer(
        share,
        show_shared,
        without_use,
        scan=slider(_("scan"), 0, SCANS - 1, 1, 3, _("which validation scan is shown")),
        **compressing(),
    )


# ---- all settings at once -----------------------------------------------------------------------


def correlations_chart(settings, alike, random):
    """Draws how explanations fare over some settings, beside the control."""
    places = np.arange(len(settings)) + 0.5
    return Chart(
        [
            Points(places, alike, _("the compressed classifier"), "blue", size=6),
            Rule(random, vertical=False, label=_("weights in another order")),
        ],
        x=Axis(ticks=dict(zip(places.tolist(), settings)), low=0, high=len(settings), turned=True),
        y=Axis(_("rank correlation"), low=min(-0.2, random), high=1),
        title=_("Explanations, against before"),
        width=560,
    )
