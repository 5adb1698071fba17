"""Exercises of lesson 08_3."""

import numpy as np

from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _

# --- the nucleus ---------------------------------------------------------------------------------


def nucleus(probabilities, p):
    order = np.argsort(-probabilities, kind="stable")
    before = np.cumsum(probabilities[order]) - probabilities[order]
    kept = order[before < p]
    left = np.zeros_like(probabilities)
    left[kept] = probabilities[kept] / probabilities[kept].sum()
    return left


def without_the_last(probabilities, p):
    order = np.argsort(-probabilities, kind="stable")
    kept = order[np.cumsum(probabilities[order]) <= p]
    left = np.zeros_like(probabilities)
    left[kept] = probabilities[kept] / max(probabilities[kept].sum(), 1e-9)
    return left


def above_a_bar(probabilities, p):
    left = np.where(probabilities >= p * probabilities.max(), probabilities, 0)
    return left / left.sum()


def not_shared_out(probabilities, p):
    order = np.argsort(-probabilities, kind="stable")
    before = np.cumsum(probabilities[order]) - probabilities[order]
    return np.where(np.isin(np.arange(len(order)), order[before < p]), probabilities, 0)


def test_nucleus(answer):
    probabilities = np.array([0.05, 0.5, 0.15, 0.3])
    got = np.asarray(answer(probabilities, 0.7), float)
    expect(
        got.shape == (4,),
        _("one probability a token: shape (4,), yours has {shape}").format(shape=got.shape),
    )
    expect(
        got[3] > 0,
        _("0.5 alone holds less than 0.7: the token of 0.3, with which the sum passes 0.7, stays"),
    )
    expect(got[2] == 0, _("0.5 and 0.3 hold 0.8 together: at p = 0.7 the token of 0.15 goes"))
    expect(
        abs(got.sum() - 1) < 1e-9,
        _("what is left is drawn from, so it sums to 1; yours sums to {total:.2f}").format(
            total=got.sum()
        ),
    )
    expect(np.allclose(got, [0, 0.625, 0, 0.375]), _("what is left keeps its proportions: 5 to 3"))
    expect(
        np.count_nonzero(answer(probabilities, 0.85)) == 3,
        _("at p = 0.85 three tokens stay: 0.5 and 0.3 hold 0.8, and the third passes it"),
    )
    expect(np.allclose(answer(probabilities, 1.0), probabilities), _("at p = 1 nothing changes"))


# --- after a refusal -----------------------------------------------------------------------------


def after_refusal(p, q):
    more = np.maximum(p - q, 0)
    return more / more.sum()


def once_more_from_the_model(p, q):
    return p


def without_the_drafter(p, q):
    left = np.where(q > 0, 0, p)
    return left / max(left.sum(), 1e-9)


def all_that_differs(p, q):
    more = np.abs(p - q)
    return more / more.sum()


def test_after_refusal(answer):
    p, q = np.array([0.5, 0.3, 0.2]), np.array([0.7, 0.1, 0.2])
    got = np.asarray(answer(p, q), float)
    expect(
        got.shape == (3,),
        _("one probability a token: shape (3,), yours has {shape}").format(shape=got.shape),
    )
    stays = np.minimum(p, q)  # drafted with q, kept with min(1, p / q)
    comes = stays + (1 - stays.sum()) * got
    expect(
        np.allclose(comes, p),
        _(
            "with yours the three tokens come with {comes}, and the model alone writes them with {p}"
        ).format(comes=comes.round(3).tolist(), p=p.tolist()),
    )
    random = np.random.default_rng(0)
    for __ in range(5):
        p, q = random.dirichlet(np.ones(6), 2)
        stays = np.minimum(p, q)
        comes = stays + (1 - stays.sum()) * np.asarray(answer(p, q))
        expect(
            np.allclose(comes, p),
            _("right for three tokens, and not for six other probabilities of each"),
        )


# --- tokens a pass -------------------------------------------------------------------------------


def tokens_a_pass(rate, ahead):
    return sum(rate**n for n in range(ahead + 1))


def each_on_its_own(rate, ahead):
    return 1 + rate * ahead


def without_the_models_own(rate, ahead):
    return sum(rate**n for n in range(1, ahead + 1))


def all_or_nothing(rate, ahead):
    return 1 + ahead * rate**ahead


def test_tokens_a_pass(answer):
    got = answer(0.5, 1)
    expect(
        abs(got - 1.5) < 1e-9,
        _(
            "one draft that stays half the time, and the model's own token in any case: 1.5, got {got}"
        ).format(got=got),
    )
    got = answer(0.5, 2)
    expect(
        abs(got - 1.75) < 1e-9,
        _(
            "the second draft counts only where the first one stayed: 1 + 1/2 + 1/4 = 1.75, got {got}"
        ).format(got=got),
    )
    got = answer(1.0, 4)
    expect(
        abs(got - 5) < 1e-9,
        _("four drafts that always stay bring 5 tokens, got {got}").format(got=got),
    )
    expect(abs(answer(0.0, 4) - 1) < 1e-9, _("where no draft stays, the model's own token is left"))
    expect(
        abs(answer(0.8, 6) - sum(0.8**n for n in range(7))) < 1e-9, _("and so on up to any length")
    )


EXERCISES = (
    Exercise(
        "08-3-nucleus",
        test_nucleus,
        "Sort, and add up what stands *before* each token. A token stays while that is less than p.",
        nucleus,
        (without_the_last, above_a_bar, not_shared_out),
        "The likeliest token always stays, for before it stands 0. A rule that looks at the sum "
        "with the token itself would throw it out whenever it is likelier than p.",
    ),
    Exercise(
        "08-3-refusal",
        test_after_refusal,
        "Write down how often each token has already come as a draft that stayed: min(p, q). What "
        "is missing to p?",
        after_refusal,
        (once_more_from_the_model, without_the_drafter, all_that_differs),
        "Drawing from p again is the bug that was published more than once. No single text shows "
        "it: only many draws, counted.",
    ),
    Exercise(
        "08-3-pass",
        test_tokens_a_pass,
        "The first draft stays with the rate, the second with its square. The model's own token "
        "comes always.",
        tokens_a_pass,
        (each_on_its_own, without_the_models_own, all_or_nothing),
        "The sum is bounded by 1 / (1 - rate), however far the drafter runs ahead. At a rate of "
        "one half it never brings two tokens a pass.",
    ),
)
