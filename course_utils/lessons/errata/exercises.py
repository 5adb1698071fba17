"""Exercise of the errata."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def true_soft_label(h):
    import numpy as np  # the errata import nothing to compute with

    powers = np.exp(np.asarray(h) - np.max(h))
    return powers / powers.sum()


def share_of_the_sum(h):
    return np.asarray(h) / np.sum(h)


def as_printed(h):
    return np.array([0.2, 0.4, 0.4, 0.2, 0.2])


def test_true_soft_label(answer):
    h = np.array([0.1, 0.2, 0.3, 0.2, 0.1])
    got = np.asarray(answer(h))
    expect(
        abs(got.sum() - 1) < 1e-9,
        _("a softmax sums to 1, yours sums to {total:.3f}").format(total=got.sum()),
    )
    expect(
        not np.allclose(got, share_of_the_sum(h)),
        _("dividing by the sum is not a softmax: exponentiate first"),
    )
    expect(
        np.allclose(got, true_soft_label(h)),
        _("expected {expected}, got {got}").format(
            expected=true_soft_label(h).round(4).tolist(), got=got.round(4).tolist()
        ),
    )
    expect(
        np.allclose(answer(h + 5), got),
        _("adding the same number to every logit must change nothing"),
    )


EXERCISES = (
    Exercise(
        "10-soft-label",
        test_true_soft_label,
        "Exponentiate each entry, then divide by the sum of the exponentials.",
        true_soft_label,
        (share_of_the_sum, as_printed),
        "The five shares are 0.184, 0.203, 0.225, 0.203 and 0.184: nearly alike, because logits "
        "that differ by 0.2 say "
        "almost nothing. The printed label has twice the difference and sums to 1.4.",
    ),
)
