"""Section 5: the listing, what is said about it, and what it is said to print."""

from importlib.util import find_spec

import numpy as np

from course_utils.document.claims.claim import Claim
from course_utils.document.code import (
    CASES,
    PRINTED,
    importance,
    listing,
    prune,
    quantize,
    soft_label,
)


def error_name(run):
    """The name of the exception that `run` raises, or "none"."""
    try:
        run()
    except Exception as error:
        return type(error).__name__
    return "none"


def as_matrices_still_mismatched():
    """The error when the listing's vectors are made into matrices of 1 x 5 and 4 x 1."""
    return error_name(
        lambda: soft_label(PRINTED["h"][None, :], PRINTED["W_y"][:, None].astype(float), 0)
    )


def quietly_with_step_zero():
    """How many of one value become NaN with a step of 0, without numpy's warning."""
    with np.errstate(all="ignore"):
        return int(np.isnan(quantize(np.array([0.0]), 0)).sum())


def shares_of_zeros():
    """The shares of zeros that `prune` leaves at 21 thresholds, each share once."""
    return tuple(
        sorted({float(np.mean(prune(PRINTED["w"], t) == 0)) for t in np.linspace(0, 1, 21)})
    )


CLAIMS = (
    Claim(
        id="5-incomplete",
        quote="不包括完整的量化、剪枝和知识蒸馏过程",
        states="The example does not contain the whole of the three methods.",
        recompute=lambda: tuple(listing()),
        expected=("quantize", "prune", "soft_label"),
        verdict="holds",
        because="There are no integers, no removal of single weights, no student, no loss and no training step in it. "
        "05_project builds them.",
    ),
    Claim(
        id="5.1-libraries",
        quote="pip install tensorflow numpy",
        states="This one command prepares the machine.",
        recompute=lambda: (find_spec("tensorflow") is not None, find_spec("numpy") is not None),
        expected=(True, True),
        verdict="depends",
        because="On the Python: TensorFlow 2.21 has wheels for Python 3.10 to 3.13 and none for Intel Macs. No "
        "version is pinned, so on another day the command installs something else.",
    ),
    Claim(
        id="5.2-quantize",
        quote="return np.round(x / Q) * Q",
        states="The function quantizes.",
        recompute=lambda: listing()["quantize"],
        expected=(3.1, 2.7, 1.4, 0.9),
        printed=(3.1, 2.7, 1.4, 0.9),
        verdict="holds",
        because="It is the formula of 4.2.1 and runs as printed.",
    ),
    Claim(
        id="5.2-step-zero",
        quote="def quantize(x, Q):",
        states="The function takes any x and Q.",
        recompute=lambda: (quantize(3.14, -0.1), quietly_with_step_zero()),
        expected=(3.1, 1),
        verdict="depends",
        because="On the caller: a step of 0 gives NaN and a negative step passes unnoticed. "
        "course_utils.quantization.step refuses both.",
    ),
    Claim(
        id="5.2-prune",
        quote="return np.where(importance > theta, w, 0)",
        states="The function prunes.",
        recompute=shares_of_zeros,
        expected=(0.0, 1.0),
        verdict="wrong",
        because="np.where gets a single truth value, so it returns the whole vector or only zeros: the shares of "
        "zeros over 21 thresholds are 0 and 1, nothing between.",
        repaired="np.where(np.abs(w) > theta, w, 0)",
    ),
    Claim(
        id="5.2-integer-overflow",
        quote="np.sum(w**2) / np.sum(w**4)",
        states="The quotient is the importance for any integer vector.",
        recompute=lambda: importance(10_000 * PRINTED["w"].astype(np.int64)),
        expected=-6.353427978428341e-10,
        tolerance=1e-15,
        verdict="depends",
        because="On the size: w is an int64 array, and for 10000 times w the fourth powers overflow and the "
        "importance comes out negative; in floats it is +5.6e-10.",
        repaired="w = np.array([1., 2., 3., 4., 5.])",
    ),
    Claim(
        id="5.2-soft-label",
        quote="return tf.nn.softmax(tf.matmul(h, W_y) + b_y)",
        states="The function gives soft labels for the listing's inputs.",
        recompute=lambda: type(listing()["soft_label"]).__name__,
        expected="InvalidArgumentError",
        verdict="wrong",
        because="tf.matmul multiplies matrices, and h and W_y are vectors: TensorFlow raises InvalidArgumentError "
        "(number of dimensions must be 2, got 1).",
        repaired="tf.nn.softmax(tf.matmul(h[None, :], W_y) + b_y) with W_y of shape (5, classes)",
    ),
    Claim(
        id="5.2-w-y",
        quote="W_y = np.array([1, 1, 1, 1])",
        states="The weight matrix fits h.",
        recompute=as_matrices_still_mismatched,
        expected="InvalidArgumentError",
        verdict="wrong",
        because="h has 5 entries and W_y 4 (in section 4.3.3 it has 5). Made into matrices of 1 x 5 and 4 x 1 they "
        "still raise InvalidArgumentError.",
        repaired="W_y = np.eye(5)",
    ),
    Claim(
        id="5.3.1-rounding",
        quote="使用 `np.round` 函数进行四舍五入",
        states="np.round rounds halves up (as taught at school).",
        recompute=lambda: np.round(np.array([0.5, 1.5, 2.5])),
        expected=(0.0, 2.0, 2.0),
        verdict="wrong",
        because="It rounds halves to the even neighbour: 0.5 to 0 and 2.5 to 2, as its documentation says. So "
        "quantize(0.25, 0.1) is 0.2, not 0.3.",
        repaired="四舍六入五成双 (halves to even)",
    ),
    Claim(
        id="5.3.1-steps",
        quote="我们首先将 `x` 除以 `Q`",
        states="Divide by Q, round, multiply by Q.",
        recompute=lambda: (
            np.rint(PRINTED["x"] / PRINTED["Q"]) * PRINTED["Q"] - listing()["quantize"]
        ),
        expected=(0.0, 0.0, 0.0, 0.0),
        verdict="holds",
        because="The three steps give the function's result with a difference of 0.",
    ),
    Claim(
        id="5.3.2-single-weights",
        quote="将重要性小于 `theta` 的权重设置为 `0`",
        states="Weights whose importance is below theta are set to 0.",
        recompute=lambda: prune(PRINTED["w"], 0.05),
        expected=(1, 2, 3, 4, 5),
        verdict="wrong",
        because="There is one importance for all, 0.0562: with theta = 0.05 every weight stays, with 0.06 every "
        "weight goes.",
    ),
    Claim(
        id="5.3.2-equal",
        quote="重要性小于 `theta` 的权重",
        states="Only an importance below theta is set to 0.",
        recompute=lambda: prune(np.array([1, 1]), 1.0),
        expected=(0, 0),
        verdict="depends",
        because="On equality alone. The code keeps what is above theta, so an importance equal to theta goes as well: [1, 1] has "
        "importance 1 and becomes [0, 0] at theta = 1. The formula of 4.2.2 agrees with the code.",
        repaired="重要性不大于 theta (not above theta)",
    ),
    Claim(
        id="5.3.3-matrix-product",
        quote="计算 `h` 与 `W_y` 的矩阵乘积",
        states="The matrix product of h and W_y is computed.",
        recompute=lambda: error_name(lambda: soft_label(CASES["h"], CASES["W_y"].astype(float), 0)),
        expected="InvalidArgumentError",
        verdict="wrong",
        because="Neither the listing's W_y nor the one of 4.3.3, five floats, has a matrix product with h: both are "
        "vectors.",
    ),
    Claim(
        id="5.3.3-softmax",
        quote="使用 `tf.nn.softmax` 函数进行归一化",
        states="tf.nn.softmax normalises.",
        recompute=lambda: float(soft_label(PRINTED["h"][None, :], np.eye(5), 0).numpy().sum()),
        expected=1.0,
        verdict="holds",
        because="With h as a 1 x 5 matrix and W_y = I the function runs and its row sums to 1. Its first share is "
        "0.184, not 0.2.",
    ),
    Claim(
        id="5.4-quantized",
        quote="量化后的参数： [3.1 2.7 1.4 0.9]",
        states="The first line printed is [3.1 2.7 1.4 0.9].",
        recompute=lambda: str(listing()["quantize"]),
        expected="[3.1 2.7 1.4 0.9]",
        printed="[3.1 2.7 1.4 0.9]",
        verdict="holds",
        because="To the character. numpy shows few digits: the third number is 1.4000000000000001.",
    ),
    Claim(
        id="5.4-pruned",
        quote="剪枝后的权重： [0 0 0 0 0]",
        states="The second line printed is [0 0 0 0 0].",
        recompute=lambda: str(listing()["prune"]),
        expected="[0 0 0 0 0]",
        printed="[0 0 0 0 0]",
        verdict="holds",
        because="To the character, in the integer type of w.",
    ),
    Claim(
        id="5.4-soft-label",
        quote="软标签： [0.2 0.4 0.4 0.2 0.2]",
        states="The third line printed is [0.2 0.4 0.4 0.2 0.2].",
        recompute=lambda: type(listing()["soft_label"]).__name__,
        expected="InvalidArgumentError",
        printed="[0.2 0.4 0.4 0.2 0.2]",
        verdict="wrong",
        because="The call before this print raises, so the line is never reached; and no softmax gives numbers "
        "that add up to 1.4.",
    ),
    Claim(
        id="5.4-integers",
        quote="将参数值转换为较低精度的整数",
        states="Quantizing turned the values into integers of lower precision.",
        recompute=lambda: (str(listing()["quantize"].dtype), str(PRINTED["x"].dtype)),
        expected=("float64", "float64"),
        verdict="wrong",
        because="They are float64 before and after. Multiplying by Q turned the integers 31, 27, 14, 9 into floats "
        "again.",
        repaired="np.rint(x / Q).astype(np.int8), kept together with Q",
    ),
    Claim(
        id="5.4-bytes",
        quote="较低精度",
        states="The quantized values are of lower precision.",
        recompute=lambda: (PRINTED["x"].nbytes, listing()["quantize"].nbytes),
        expected=(32, 32),
        verdict="depends",
        because="In decimals yes, one instead of two. In storage no: 32 bytes before and 32 after, where 8-bit codes "
        "would take 4, and the step.",
    ),
    Claim(
        id="5.4-unimportant",
        quote="剪枝操作删除了不重要的权重",
        states="Pruning deleted the unimportant weights.",
        recompute=lambda: (
            int(np.sum(listing()["prune"] == 0)),
            listing()["prune"].nbytes // PRINTED["w"].nbytes,
        ),
        expected=(5, 1),
        verdict="wrong",
        because="All 5 weights are zero, the largest too, and none is deleted: the array has as many bytes as before.",
    ),
    Claim(
        id="5.4-generated",
        quote="知识蒸馏操作生成了软标签",
        states="The distillation step made soft labels.",
        recompute=lambda: isinstance(listing()["soft_label"], Exception),
        expected=True,
        verdict="wrong",
        because="It raised an exception, and nothing is distilled: there is no student and no training in the listing.",
    ),
)
