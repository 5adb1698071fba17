"""Three applications under compression: a classifier, a detector and a generator (lesson 6.2)."""

import dataclasses
import functools

import numpy as np

from course_utils.chart import Axis, Chart, Grid
from course_utils.checks import read_only
from course_utils.decoding import flow
from course_utils.evaluation import boxes as box
from course_utils.evaluation import detection, generation
from course_utils.evaluation.bench import bench
from course_utils.evaluation.classification import Classification
from course_utils.lessons.vision.pictures import framed, sheet
from course_utils.storage import Ledger, encode
from course_utils.text import _
from course_utils.widgets import Explorer, cards, choice, log_slider, names, readout, slider
from course_utils.widgets.controls import without_use
from course_utils.widgets.html import squeezed

SHOWN = 10  # misread scans
NEAR = 0.5  # what a right box must have in common with the true one
DRAWN = 200  # pictures that are judged at a move, of which 50 are shown


@dataclasses.dataclass(frozen=True)
class Small:
    """A compressed model: what every explorer of this lesson tells of it.

    Attributes:
        ledger: Its file's bytes by part.
        size: Bytes of the original's file.
        removed: Share of the matrices' weights that theta set to zero.
    """

    ledger: Ledger
    size: int
    removed: float

    @property
    def times_smaller(self):
        return self.size / self.ledger.total


def compressing():
    """Returns the controls that all three explorers have."""
    rules = names.rules()
    return {
        "rule": choice(
            _("rule"),
            {rules[rule]: rule for rule in ("step", "absmax")},
            "absmax",
            _("rounding: steps of Q, or bits with a scale for every 32 inputs"),
        ),
        "step": log_slider(
            "Q", 0.01, 1, None, _("step between two levels, for the rule step"), off=True
        ),
        "bits": slider(_("bits"), 2, 8, 1, 4, _("of a code, for the rule absmax")),
        "theta": log_slider(
            "θ", 0.001, 1, None, _("weights of at most this size are removed"), off=True
        ),
    }


def compressed(here, rule, step, bits, theta):
    """Compresses the model on a `Bench` into its twin; returns what is to be told of it."""
    tensors, removed, _kept = here.put(
        rule=rule, step=step, bits=bits, theta=theta, score="magnitude", on="weight"
    )
    ledger = encode(tensors, "entropy", here.description)[1]
    return Small(ledger, here.reference[2], removed)


# --- classification ------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Reading:
    """What a compressed classifier reads, on validation scans.

    Attributes:
        small: The `Small` model.
        measured, original: A `Classification` of it, and of the model as it was trained.
        answers, labels: What it reads in each scan, and what is there.
    """

    small: Small
    measured: Classification
    original: Classification
    answers: np.ndarray
    labels: np.ndarray

    @property
    def misread(self):
        """Positions of the scans that it reads wrongly."""
        return np.flatnonzero(self.answers != self.labels)

    @property
    def confusions(self):
        """How often each digit (row) was taken for each other one (column)."""
        counts = np.zeros((10, 10), int)
        np.add.at(counts, (self.labels[self.misread], self.answers[self.misread]), 1)
        return counts


def recognise(rule, step, bits, theta):
    """Compresses the classifier and lets it read all validation scans; returns a `Reading`."""
    here = bench("digits-cnn")
    with here.turn:  # a slider may move meanwhile, in another thread
        small = compressed(here, rule, step, bits, theta)
        seen = here.task.score(here.twin, here.data).measured
        answers = np.asarray(here.twin(here.data[0])).argmax(1)
    return Reading(small, seen, here.score.measured, answers, here.data[1])


def show_reading(seen):
    """Numbers, which digits were taken for which, and the scans that were misread."""
    low, high = seen.measured.interval
    scans, wrong = bench("digits-cnn").data[0], seen.misread[:SHOWN]
    captions = [f"{seen.labels[i]}→{seen.answers[i]}" for i in wrong]
    return [
        cards(
            readout(
                _("validation accuracy"),
                f"{seen.measured.accuracy:.1%}",
                note=_("{low:.1%} to {high:.1%}; original {before:.1%}").format(
                    low=low, high=high, before=seen.original.accuracy
                ),
            ),
            *squeezed(seen.small),
        ),
        sheet(
            [*scans[wrong], *np.zeros((SHOWN - len(wrong), 64))],
            captions,
            SHOWN,
            _("Misread: {shown} of {count}").format(shown=len(wrong), count=len(seen.misread)),
            _("Scans with the true digit and what was read: {list}.").format(
                list=", ".join(captions) or _("none")
            ),
        ),
        confusion_chart(seen),
    ]


def confusion_chart(seen):
    """Draws which digit was taken for which."""
    digits = {i + 0.5: str(i) for i in range(10)}
    pairs = sorted(
        ((n, i, j) for (i, j), n in np.ndenumerate(seen.confusions) if n), key=lambda p: -p[0]
    )
    most = [
        _("{true} read as {answer}, {count} times").format(true=i, answer=j, count=n)
        for n, i, j in pairs[:3]
    ]
    return Chart(
        [Grid(seen.confusions, _("digits"))],
        x=Axis(_("read"), ticks=digits),
        y=Axis(_("true"), ticks=digits),
        title=_("What was taken for what"),
        description=_("Most often: {list}.").format(list="; ".join(most) or _("none")),
        width=300,
        height=300,
    )


def recognise_explorer():
    """Slides Q, θ and bits of the classifier.

    Returns:
        An `Explorer` whose results are `Reading`s.
    """
    return Explorer(recognise, show_reading, without_use, **compressing())


# --- detection -----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a compressed detector finds, on validation scenes.

    Attributes:
        small: The `Small` model.
        measured: Its `Detection` on all scenes.
        precision, recall: Share of its boxes that are right, and of the digits that it found.
        original: mAP at 0.5 of the detector as it was trained, at its usual settings.
        picture: The scene that is shown.
        found: What was found there: boxes, scores, digits.
        right: Whether each of them is right.
        missed: Boxes and digits that no right box stands for.
    """

    small: Small
    measured: detection.Detection
    precision: float
    recall: float
    original: float
    picture: np.ndarray
    found: tuple
    right: np.ndarray
    missed: tuple


@functools.lru_cache(maxsize=8)
def _seen(rule, step, bits, theta):
    """Returns boxes and scores of a compressed detector on all scenes, and the `Small` model."""
    here = bench("digits-detector")
    with here.turn:
        small = compressed(here, rule, step, bits, theta)
        boxes, scores = box.decode(np.asarray(here.twin(here.data[0])))
    return read_only(boxes), read_only(scores), small


def detect(scene, rule, step, bits, theta, threshold, limit):
    """Compresses the detector and lets it look at validation scenes.

    Args:
        scene: Number of the scene to show.
        rule, step, bits, theta: How it is compressed.
        threshold: Least score of a box.
        limit: Intersection over union from which on two boxes are one thing.

    Returns:
        A `Finding`.
    """
    boxes, scores, small = _seen(rule, step, bits, theta)
    here = bench("digits-detector")
    pictures, true, labels = here.data
    found = [box.found(*each, threshold, limit) for each in zip(boxes, scores)]
    seen = detection.judge(found, true, labels)
    there = labels[scene] >= 0
    right, left = seen.right[scene][0], there.copy()
    for one, kind in zip(found[scene][0][right], found[scene][2][right]):
        same = np.flatnonzero(left & (labels[scene] == kind))
        left[same[np.argmax(box.iou([one], true[scene][same])[0])]] = False
    return Finding(
        small,
        seen,
        *detection.found_share(seen, threshold),
        here.score.quality,
        pictures[scene],
        found[scene],
        right,
        (true[scene][left], labels[scene][left]),
    )


def show_finding(seen):
    """Numbers over all scenes, and one of them with its boxes."""
    boxes, scores, digits = seen.found
    right, wrong = ((boxes[at], digits[at]) for at in (seen.right, ~seen.right))
    said = [
        (
            _("{digit} (score {score:.2f}), right")
            if good
            else _("{digit} (score {score:.2f}), wrong")
        ).format(digit=digit, score=score)
        for digit, score, good in zip(digits, scores, seen.right)
    ]
    return [
        cards(
            readout(
                _("mAP at 0.5"),
                f"{seen.measured.at_half:.3f}",
                note=_("original {before:.3f}").format(before=seen.original),
            ),
            readout(_("mAP at 0.5 to 0.95"), f"{seen.measured.strict:.3f}"),
            readout(_("boxes that are right"), f"{seen.precision:.0%}"),
            readout(_("digits found"), f"{seen.recall:.0%}"),
            *squeezed(seen.small),
        ),
        framed(
            seen.picture,
            right,
            wrong,
            seen.missed,
            _("One of {count} scenes").format(count=seen.measured.pictures),
            _("Found: {found}. Missed: {missed}.").format(
                found="; ".join(said) or _("nothing"),
                missed=", ".join(map(str, seen.missed[1])) or _("nothing"),
            ),
        ),
    ]


def detect_explorer():
    """Slides compression, the score's threshold and the limit of non-maximum suppression.

    Returns:
        An `Explorer` whose results are `Finding`s.
    """
    count = bench("digits-detector").task.live
    return Explorer(
        detect,
        show_finding,
        without_use,
        scene=slider(_("scene"), 0, count - 1, 1, 4, _("which validation scene is shown")),
        **compressing(),
        threshold=slider(
            _("least score"), 0.05, 0.95, 0.05, 0.3, _("boxes below it are not listened to")
        ),
        limit=slider(
            _("NMS limit"), 0, 1, 0.05, 0.5, _("two boxes with more in common are one thing")
        ),
    )


# --- generation ----------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Drawing:
    """What a compressed generator draws.

    Attributes:
        small: The `Small` model.
        measured, original: `Generation`s of it and of the model as it was trained, in as many
            steps as its task takes.
        steps: How many steps led from noise to picture.
    """

    small: Small
    measured: generation.Generation
    original: generation.Generation
    steps: int


def draw(rule, step, bits, theta, steps):
    """Compresses the generator and lets it draw every digit equally often; a `Drawing`."""
    here, labels = bench("digits-generator"), generation.asked(DRAWN)
    with here.turn:
        small = compressed(here, rule, step, bits, theta)
        pictures = flow.draw(here.twin, labels, steps)
    seen = generation.score_pictures(pictures, labels, "validation")
    return Drawing(small, seen, here.score.measured, steps)


def show_drawing(seen):
    """Numbers, and five pictures of each digit."""
    mine, before = seen.measured, seen.original
    return [
        cards(
            readout(
                _("recognised"),
                f"{mine.recognised:.1%}",
                note=_("{low:.0%} to {high:.0%}; original {before:.1%}").format(
                    low=mine.interval[0], high=mine.interval[1], before=before.recognised
                ),
            ),
            readout(
                _("Fréchet distance"),
                f"{mine.frechet:.2f}",
                note=_("original {before:.2f}").format(before=before.frechet),
            ),
            *squeezed(seen.small),
            readout(_("calls of the network"), seen.steps),
        ),
        sheet(
            mine.pictures[:50],
            [str(digit) for digit in range(10)],
            title=_("Drawn from noise, five of each digit"),
            description=_("{share:.0%} of {count} are recognised as what was asked for.").format(
                share=mine.recognised, count=len(mine.labels)
            ),
        ),
    ]


def draw_explorer():
    """Slides compression and the number of steps from noise to picture.

    Returns:
        An `Explorer` whose results are `Drawing`s.
    """
    return Explorer(
        draw,
        show_drawing,
        without_use,
        **compressing(),
        steps=slider(_("steps"), 1, 32, 1, 16, _("of Euler's method, from noise to picture")),
    )
