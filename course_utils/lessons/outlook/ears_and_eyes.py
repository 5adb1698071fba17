"""Which digit on the picture was meant? Two models, or one space (lesson 6.4)."""

import dataclasses
import functools

import numpy as np

from course_utils.evaluation.bench import bench
from course_utils.evaluation.intervals import wilson
from course_utils.lessons.outlook import crossing
from course_utils.lessons.vision.explorers import compressed
from course_utils.lessons.vision.pictures import framed
from course_utils.models import pairs
from course_utils.text import _
from course_utils.widgets import Explorer, cards, readout, slider

SHOWN = 40  # validation scenes
EYES, EARS, BOTH = "digits-detector", "speech-recogniser", "digits-and-words"


@dataclasses.dataclass(frozen=True)
class Heard:
    """What compressed models find when a digit is asked for.

    Attributes:
        picture, digit, true: One scene, what was asked for, and where it stands.
        boxes: What the detector found there.
        chosen: By way, which of these boxes was meant, -1 for none.
        right: By way, whether it was right, over all scenes.
        blind: How often a box picked blindly is right.
        size, whole: Bytes of the files of all three models, compressed and before.
    """

    picture: np.ndarray
    digit: int
    true: np.ndarray
    boxes: np.ndarray
    chosen: dict
    right: dict
    blind: float
    size: int
    whole: int


@functools.cache
def _asked():
    return crossing.asked("validation", SHOWN)


@functools.lru_cache(maxsize=8)
def _found(bits):
    """Compresses all three models and asks them for every scene."""
    pictures, clips, _digits, true = _asked()
    benches, size = [bench(name) for name in (EYES, EARS, BOTH)], 0
    said = []
    for here in benches:
        with here.turn:  # a slider may move meanwhile, in another thread
            size += compressed(here, "absmax", None, bits, None).ledger.total
            if here.name == EYES:
                kept = crossing.seen(here.twin, pictures)
            elif here.name == EARS:
                said.append(crossing.by_classifiers(kept, crossing.in_parts(here.twin, clips)))
            else:
                of_scan, of_word = pairs.encoders(here.twin)
                heard = crossing.in_parts(of_word, clips)
                said.append(crossing.by_vectors(kept, pictures, of_scan, heard))
    chosen = dict(zip(("two classifiers", "one space"), said))
    good = {way: crossing.right(kept, which, true) for way, which in chosen.items()}
    whole = sum(here.reference[2] for here in benches)
    return kept, chosen, good, crossing.by_chance(kept, true), size, whole


def hear(scene, bits):
    """Says a digit and asks where it is.

    Args:
        scene: Which of the scenes is shown.
        bits: Of all three models.

    Returns:
        A `Heard`.
    """
    pictures, _clips, digits, true = _asked()
    kept, chosen, good, blind, size, whole = _found(bits)
    return Heard(
        pictures[scene],
        int(digits[scene]),
        true[scene],
        kept[scene][0],
        {way: int(which[scene]) for way, which in chosen.items()},
        good,
        blind,
        size,
        whole,
    )


def show_heard(seen):
    """Shares over all scenes, and one of them with the boxes that were meant."""
    names = {"two classifiers": _("two classifiers"), "one space": _("one space")}
    told, shown = [], {True: [], False: []}
    for way, good in seen.right.items():
        low, high = wilson(float(good.mean()), len(good))
        told.append(
            readout(
                names[way],
                _("{share:.0%} found").format(share=good.mean()),
                note=_("{low:.0%} to {high:.0%}").format(low=low, high=high),
            )
        )
    at = seen.chosen["two classifiers"]
    if at >= 0:
        one = seen.boxes[at]
        hit = crossing.box.iou(one[None], seen.true[None])[0, 0] >= crossing.NEAR
        shown[bool(hit)].append(one)
    right, wrong = (np.array(shown[hit]).reshape(-1, 4) for hit in (True, False))
    missed = seen.true[None] if not len(right) else np.zeros((0, 4))
    return [
        cards(
            *told,
            readout(_("blindly"), f"{seen.blind:.0%}", note=_("a box picked without hearing")),
            readout(
                _("three files"),
                _("{size:,} bytes").format(size=seen.size),
                note=_("original {size:,}").format(size=seen.whole),
            ),
        ),
        framed(
            seen.picture,
            (right, [seen.digit] * len(right)),
            (wrong, [seen.digit] * len(wrong)),
            (missed, [seen.digit] * len(missed)),
            _("Where is the {digit}?").format(digit=seen.digit),
            (
                _("A voice says {digit}, and the two classifiers point at it.")
                if len(right)
                else _("A voice says {digit}, and the two classifiers point elsewhere.")
            ).format(digit=seen.digit),
        ),
    ]


def hear_explorer():
    """Slides bits of detector, recogniser and the pair of encoders; results are `Heard`."""
    return Explorer(
        hear,
        show_heard,
        scene=slider(_("scene"), 0, SHOWN - 1, 1, 2, _("which validation scene is shown")),
        bits=slider(_("bits"), 2, 8, 1, 4, _("of a code, in all three models")),
    )
