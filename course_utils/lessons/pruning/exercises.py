"""Exercises of lesson 3.2.2."""

import numpy as np

from course_utils import evaluation, models, pruning
from course_utils.datasets import digits
from course_utils.lesson.exercise import Exercise, expect
from course_utils.text import _


def taking_part(matrix):
    squares, fourths = np.sum(matrix**2, axis=0), np.sum(matrix**4, axis=0)
    return squares**2 / np.where(fourths > 0, fourths, 1) / len(matrix)


def importance(matrix):
    fourths = np.sum(matrix**4, axis=0)
    return np.sum(matrix**2, axis=0) / np.where(fourths > 0, fourths, 1)


def a_number(matrix):
    return np.sum(matrix**2) ** 2 / np.sum(matrix**4) / matrix.size


def of_rows(matrix):
    return taking_part(matrix.T)


def not_a_share(matrix):
    return taking_part(matrix) * len(matrix)


def nothing_over_nothing(matrix):
    with np.errstate(invalid="ignore"):
        return np.sum(matrix**2, axis=0) ** 2 / np.sum(matrix**4, axis=0) / len(matrix)


def test_taking_part(answer):
    matrix = np.array([[3.0, 0.0, 1.0], [3.0, 7.0, 2.0], [3.0, 0.0, 0.0], [3.0, 0.0, 0.0]])
    got = np.asarray(answer(matrix.copy()), float)
    expect(
        got.shape == (3,),
        _(
            "three columns are three units, and each has a share of its own: shape (3,), yours is "
            "{shape}"
        ).format(shape=got.shape),
    )
    expect(
        np.allclose(answer(10 * matrix), got),
        _(
            "it must not change when all weights grow: yours gives {got:.4g} for the first unit and, "
            "ten times larger, {larger:.4g}"
        ).format(got=got[0], larger=np.asarray(answer(10 * matrix))[0]),
    )
    expect(
        np.allclose(got[:2], [1, 0.25]),
        _(
            "four equal weights all take part, a share of 1; one of four is a share of 0.25. Yours "
            "are {equal:.4g} and {alone:.4g}"
        ).format(equal=got[0], alone=got[1]),
    )
    expect(
        np.isclose(got[2], 25 / 17 / 4),
        _("of the weights 1, 2, 0, 0 a share of 0.3676 takes part, yours is {got:.4g}").format(
            got=got[2]
        ),
    )
    expect(
        np.asarray(answer(np.zeros((4, 1)))).tolist() == [0.0],
        _("a unit whose weights are all 0 has nobody who takes part: the answer is 0"),
    )


def smallest_share(weights, share):
    pruned = weights.copy().ravel()
    pruned[np.argsort(np.abs(pruned), kind="stable")[: round(share * pruned.size)]] = 0
    return pruned.reshape(weights.shape)


def signed(weights, share):
    pruned = weights.copy().ravel()
    pruned[np.argsort(pruned)[: round(share * pruned.size)]] = 0
    return pruned.reshape(weights.shape)


def in_place(weights, share):
    weights[np.abs(weights) <= np.quantile(np.abs(weights), share)] = 0
    return weights


def test_smallest_share(answer):
    weights = np.array([[0.5, -0.1], [-0.9, 0.2]])
    kept = weights.copy()
    got = np.asarray(answer(weights, 0.5))
    expect(
        np.array_equal(weights, kept),
        _("your function changed the array that it was given: work on a copy"),
    )
    expect(
        got.shape == weights.shape,
        _("the shape must stay {expected}, yours is {shape}").format(
            expected=weights.shape, shape=got.shape
        ),
    )
    expect(got[1, 0] == -0.9, _("-0.9 is the strongest weight: compare sizes, not signed values"))
    expect(
        got.tolist() == [[0.5, 0.0], [-0.9, 0.0]],
        _(
            "half of four weights are the two smallest: expected [[0.5, 0], [-0.9, 0]], got {got}"
        ).format(got=got.tolist()),
    )
    many = np.linspace(-1, 1, 1001)
    expect(
        np.count_nonzero(answer(many, 0.9) == 0) in (900, 901), _("0.9 of 1,001 weights are 901")
    )


def sparse_bytes(weights):
    return int(np.count_nonzero(weights)) * 4 + -(-weights.size // 8)


def no_indices(weights):
    return int(np.count_nonzero(weights)) * 4


def still_dense(weights):
    return weights.nbytes


def test_sparse_bytes(answer):
    weights = np.zeros((100, 80), np.float32)
    weights[:10] = 1
    expect(
        answer(weights) != 3200,
        _("3,200 bytes are the 800 values; where they stand must be stored as well"),
    )
    expect(
        answer(weights) == 4200,
        _("800 values of 4 bytes and 8,000 bits of mask are 4,200 bytes, got {got}").format(
            got=answer(weights)
        ),
    )
    expect(answer(np.zeros(9, np.float32)) == 2, _("nine bits of mask fill two bytes"))


def refit(read, wanted, keep):
    left = np.hstack([read[:, keep], np.ones((len(read), 1))])  # a last column for the bias
    solved = np.linalg.lstsq(left, wanted, rcond=None)[0]
    return solved[:-1], solved[-1]


def without_a_bias(read, wanted, keep):
    return np.linalg.lstsq(read[:, keep], wanted, rcond=None)[0], np.zeros(wanted.shape[1])


def from_all_units(read, wanted, keep):
    weights, bias = refit(read, wanted, np.ones(read.shape[1], bool))
    return weights[keep], bias


def rows_of_all_units(read, wanted, keep):
    weights = np.zeros((read.shape[1], wanted.shape[1]))
    weights[keep], bias = refit(read, wanted, keep)
    return weights, bias


def right_on_average(read, wanted, keep):
    weights, bias = refit(read, wanted, np.ones(read.shape[1], bool))
    return weights[keep], bias + read[:, ~keep].mean(axis=0) @ weights[~keep]


def as_they_were(read, wanted, keep, kernel, bias):
    return kernel[keep], bias


def accuracy_after(mend, share=0.75):
    """Returns the validation accuracy of `digits-mlp` after the weakest units of both hidden layers
    were taken out, and the layer that reads them was mended.

    Args:
        mend: Function of what the next layer reads, what it should give, the units that stay, and
            the next layer's kernel and bias; returns a kernel and a bias.
        share: How many units go.
    """
    model, scans = models.load("digits-mlp"), digits.load("train")[0]
    layers = [model.get_layer(name) for name in ("hidden_0", "hidden_1", "logits")]
    trained = [layer.get_weights() for layer in layers]
    right = read = scans  # what the network as trained gives on, and the mended one
    for i in (0, 1):
        keep = pruning.fraction(share)(pruning.unit_magnitude(trained[i][0]))[0]
        kernel, bias = trained[i + 1]
        right = np.maximum(right @ trained[i][0] + trained[i][1], 0)
        read = np.asarray(layers[i](read))
        mended = mend(read, right @ kernel + bias, keep, kernel, bias)
        kernel = np.zeros_like(kernel)
        kernel[keep] = mended[0]  # nobody reads the others any more
        layers[i + 1].set_weights([kernel, np.asarray(mended[1], np.float32)])
    return evaluation.classify(model, *digits.load("validation")).accuracy


def test_refit(answer):
    rng = np.random.default_rng(0)
    read = np.maximum(rng.normal(size=(200, 3)) @ rng.normal(size=(3, 6)), 0)
    wanted = read @ rng.normal(size=(6, 4)) + 1.0
    keep = np.array([True, True, False, True, False, True])
    weights, bias = answer(read, wanted, keep)
    weights, bias = np.asarray(weights, float), np.asarray(bias, float)
    expect(
        weights.shape == (4, 4) and bias.shape == (4,),
        _(
            "4 of 6 units stay and 4 outputs are wanted: weights of shape (4, 4) and a bias of shape "
            "(4,), yours are {weights} and {bias}"
        ).format(weights=weights.shape, bias=bias.shape),
    )
    best = refit(read, wanted, keep)
    mine, least = (
        np.mean(np.square(read[:, keep] @ w + b - wanted)) for w, b in ((weights, bias), best)
    )
    expect(
        mine <= 1.001 * least,
        _(
            "what your weights give is off by {mine:.3f} (mean square), and {least:.3f} is possible: "
            "are they fitted to the units that stay, with a bias?"
        ).format(mine=mine, least=least),
    )
    before = accuracy_after(as_they_were)
    reached = accuracy_after(lambda read, wanted, keep, *old: answer(read, wanted, keep))
    expect(
        reached > 0.85,
        _(
            "with a quarter of its units digits-mlp reads {reached:.1%} of the validation scans, and "
            "{before:.1%} without your repair: the aim is 85%"
        ).format(reached=reached, before=before),
    )


EXERCISES = (
    Exercise(
        "03-2-scale-free",
        test_taking_part,
        "Sums over axis 0 give one number a column. The squared sum of squares has the same unit as "
        "the sum of fourth powers; and 0 / 0 needs a word of its own.",
        taking_part,
        (importance, a_number, of_rows, not_a_share, nothing_over_nothing),
        "It counts who takes part and no longer cares how strong they are, which is why it is no "
        "good as the only reason to remove a unit.",
    ),
    Exercise(
        "03-2-fraction",
        test_smallest_share,
        "np.argsort(np.abs(...)) puts the smallest first. Work on a copy.",
        smallest_share,
        (signed, in_place),
        "Choosing a share instead of a threshold lets layers with large and with small weights "
        "give the same part.",
    ),
    Exercise(
        "03-2-sparse-bytes",
        test_sparse_bytes,
        "Four bytes for each weight that is left, and one bit for every position.",
        sparse_bytes,
        (no_indices, still_dense),
        "Values without their places are no matrix. The mask alone puts a floor of 1/32 under the "
        "file.",
    ),
    Exercise(
        "03-2-refit",
        test_refit,
        "A linear least-squares problem: np.linalg.lstsq(read[:, keep], wanted). A column of ones "
        "beside what is read makes the last row of the solution the bias.",
        refit,
        (without_a_bias, from_all_units, rows_of_all_units, right_on_average),
        "Units overlap, so those that stay can say much of what the others said. No label was used "
        "and no step of training taken: layer by layer, the network is made to repeat itself. "
        "Published methods do just this (He et al., 2017), and SparseGPT in 08_2 does it weight by "
        "weight.",
    ),
)
