"""Exercises of lesson 6.2."""

import reprlib

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def near(got, wanted):
    return np.shape(got) == np.shape(wanted) and np.allclose(got, wanted, atol=1e-6)


# --- intersection over union ---------------------------------------------------------------------


def iou(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = max(width, 0) * max(height, 0)
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def ends_taken_for_sides(one, other):
    corners = [(x, y, x + width, y + height) for x, y, width, height in (one, other)]
    return iou(*corners)


def sides_may_be_negative(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    shared = width * height
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return shared / (sum(areas) - shared)


def shared_counted_twice(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (one, other)]
    return max(width, 0) * max(height, 0) / sum(areas)


def test_iou(answer):
    expect(
        near(answer((0, 0, 10, 10), (0, 0, 10, 10)), 1),
        _("two equal boxes have everything in common: 1"),
    )
    got = answer((2, 2, 6, 6), (4, 2, 8, 6))
    expect(
        near(got, 1 / 3),
        _(
            "(2, 2, 6, 6) and (4, 2, 8, 6) are squares of 16 pixels that share 8; together they "
            "cover 24: 1/3, got {got}. A box ends at its last two numbers, they are no sides."
        ).format(got=reprlib.repr(got)),
    )
    expect(
        near(answer((0, 0, 2, 2), (5, 5, 7, 7)), 0),
        _("boxes apart in both directions share nothing, though two negative sides multiply to +9"),
    )


# --- non-maximum suppression ---------------------------------------------------------------------


def suppress(common, scores, kinds, limit):
    waiting, kept = sorted(range(len(scores)), key=lambda i: -scores[i]), []
    while waiting:
        best = waiting.pop(0)
        kept.append(best)
        waiting = [i for i in waiting if kinds[i] != kinds[best] or common[best][i] <= limit]
    return kept


def across_classes(common, scores, kinds, limit):
    return suppress(common, scores, [0] * len(scores), limit)


def in_order_of_place(common, scores, kinds, limit):
    return suppress(common, [0] * len(scores), kinds, limit)


def dropped_ones_suppress_too(common, scores, kinds, limit):
    order = sorted(range(len(scores)), key=lambda i: -scores[i])
    return [
        i
        for place, i in enumerate(order)
        if all(kinds[i] != kinds[j] or common[j][i] <= limit for j in order[:place])
    ]


def test_suppress(answer):
    def kept(scores, kinds, limit=0.5):
        return list(answer(chain, scores, kinds, limit))

    # Three boxes in a row: neighbours share 0.6, the outer two nothing.
    chain = [[1, 0.6, 0], [0.6, 1, 0.6], [0, 0.6, 1]]
    expect(
        kept([0.5, 0.9, 0.6], [3, 3, 3]) == [1],
        _("the best, number 1, covers both others; begin with the highest score"),
    )
    expect(
        kept([0.9, 0.8, 0.7], [3, 3, 3]) == [0, 2],
        _("number 1 is dropped by number 0 and suppresses nobody any more: 0 and 2 stay"),
    )
    expect(
        sorted(kept([0.9, 0.8, 0.7], [3, 5, 5])) == [0, 1],
        _("a 3 and a 5 may lie over one another: only boxes of one class suppress each other"),
    )
    expect(
        sorted(kept([0.9, 0.8, 0.7], [3, 3, 3], 0.7)) == [0, 1, 2],
        _("nothing here has more than 0.7 in common"),
    )


# --- average precision ---------------------------------------------------------------------------


def average_precision(right, count):
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / count
    points = [precision[recall >= r - 1e-9] for r in np.linspace(0, 1, 101)]
    return np.mean([each.max() if len(each) else 0 for each in points])


def mean_of_precisions(right, count):
    return np.mean(np.cumsum(right) / np.arange(1, len(right) + 1))


def what_is_missed_does_not_count(right, count):
    return average_precision(right, sum(right))


def only_the_next_point(right, count):
    hits = np.cumsum(right)
    precision, recall = hits / np.arange(1, len(hits) + 1), hits / count
    at = np.searchsorted(recall, np.linspace(0, 1, 101) - 1e-9)
    return np.mean([precision[i] if i < len(precision) else 0 for i in at])


def test_average_precision(answer):
    expect(near(answer([True, True], 2), 1), _("all found, nothing wrong: 1"))
    got = answer([True], 2)
    expect(
        near(got, 51 / 101),
        _(
            "one of two found: precision 1 for recall 0, 0.01, ..., 0.5, which are 51 points, and "
            "0 beyond; got {got}"
        ).format(got=reprlib.repr(got)),
    )
    got = answer([True, False, True], 2)
    expect(
        near(got, (51 + 50 * 2 / 3) / 101),
        _("right, wrong, right: 51 points of 1 and 50 of 2/3; got {got}").format(
            got=reprlib.repr(got)
        ),
    )
    got = answer([False, True, True], 2)
    expect(
        near(got, 2 / 3),
        _(
            "for every recall the best precision at this recall or a higher one counts: 2/3 "
            "everywhere, got {got}"
        ).format(got=reprlib.repr(got)),
    )


# --- a step of the flow --------------------------------------------------------------------------


def follow(velocity, x, steps):
    for step in range(steps):
        x = x + velocity(x, step / steps) / steps
    return x


def whole_steps(velocity, x, steps):
    for step in range(steps):
        x = x + velocity(x, step / steps)
    return x


def time_stands_still(velocity, x, steps):
    for step in range(steps):
        x = x + velocity(x, 0) / steps
    return x


def time_of_the_end(velocity, x, steps):
    for step in range(steps):
        x = x + velocity(x, (step + 1) / steps) / steps
    return x


def place_of_the_beginning(velocity, x, steps):
    return x + sum(velocity(x, step / steps) / steps for step in range(steps))


def test_follow(answer):
    got = answer(lambda x, t: 6.0, 1.0, 4)
    expect(
        near(got, 7),
        _(
            "with a velocity of 6 all the time, 1 becomes 7 in any number of steps; got {got}"
        ).format(got=reprlib.repr(got)),
    )
    got = answer(lambda x, t: t, 0.0, 4)
    expect(
        near(got, 0.375),
        _(
            "the steps begin at 0, 1/4, 1/2 and 3/4: velocities t add up to 1.5/4 = 0.375, got "
            "{got}"
        ).format(got=reprlib.repr(got)),
    )
    got = answer(lambda x, t: x, 1.0, 2)
    expect(
        near(got, 2.25),
        _(
            "the velocity is asked where the picture is by now: 1, then 1.5, then 2.25; got {got}"
        ).format(got=reprlib.repr(got)),
    )


EXERCISES = (
    Exercise(
        "06-2-iou",
        test_iou,
        "The shared rectangle begins at the larger of the two left edges and ends at the smaller of "
        "the two right ones. If that is no rectangle, its area is 0.",
        iou,
        (ends_taken_for_sides, sides_may_be_negative, shared_counted_twice),
        "Two formats of a box are about equally common, corners and sides, and nothing in four "
        "numbers says which it is. A detector whose boxes are read in the wrong one finds nothing.",
    ),
    Exercise(
        "06-2-nms",
        test_suppress,
        "Sort by score. Take the best that is waiting, keep it, and let those of the rest wait on "
        "that are of another class or have at most `limit` in common with it.",
        suppress,
        (across_classes, in_order_of_place, dropped_ones_suppress_too),
        "What was dropped says nothing any more. And across classes nothing is dropped: in front of "
        "a house stands a tree.",
    ),
    Exercise(
        "06-2-ap",
        test_average_precision,
        "After each detection, precision is hits over detections and recall hits over `count`. For "
        "each of np.linspace(0, 1, 101), take the largest precision whose recall is at least that, "
        "0 if there is none, and the mean of all.",
        average_precision,
        (mean_of_precisions, what_is_missed_does_not_count, only_the_next_point),
        "It is the area under precision over recall, and recall is counted over all digits there "
        "are: a detector that says little is not excused.",
    ),
    Exercise(
        "06-2-euler",
        test_follow,
        "Each step begins at time step / steps, asks for the velocity where x is now, and moves by "
        "1 / steps of it.",
        follow,
        (whole_steps, time_stands_still, time_of_the_end, place_of_the_beginning),
        "Each step costs one call of the network, and goes straight on where the true way bends. "
        "How many are enough is to be measured.",
    ),
)
