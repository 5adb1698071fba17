"""Section 4: every formula and every number of the worked cases."""

import inspect

import numpy as np

from course_utils.document.claims.claim import Claim
from course_utils.document.code import (
    CASES,
    decode,
    embed,
    encode,
    importance,
    prune,
    quantize,
    soft_label,
    softmax,
    squared_error_loss,
)
from course_utils.document.workings import digits, squared_error_gradient_share


def embedding_against_look_up():
    """Largest distance between the printed formula and a look-up of word 1 of 4: with `W_x` the
    table and A the identity, and with A the table, as logarithms, and `W_x` a difference."""
    table = np.array([[1.0, 2, 3, 4], [5, 6, 7, 8]])
    word = np.eye(4)[1]
    printed = embed(word, table, np.eye(4))
    doubled = np.log(np.maximum(np.vstack([table, -table]), 0) + 1)
    charitable = embed(word, np.hstack([np.eye(2), -np.eye(2)]), doubled)
    return tuple(float(np.abs(one - table @ word).max()) for one in (printed, charitable))


def reach(layer):
    """How much the output at position 1 changes when only the word at position 0 does."""
    words = np.random.default_rng(0).standard_normal((2, 4))
    other = words.copy()
    other[0] += 1
    return float(np.abs(layer(words)[1] - layer(other)[1]).max())


def encoder_layer(words):
    weights = np.random.default_rng(1).standard_normal((4, 4))
    return np.array([encode(word, weights, 0.1) for word in words])


def attention_layer(words):
    return softmax(words @ words.T / 2) @ words


def participation_ratio(w):
    """(sum of squares)^2 / sum of fourth powers: how many weights carry the vector; has no unit."""
    return np.sum(w**2) ** 2 / np.sum(w**4)


def shares_kept(w, thresholds):
    """The shares of weights left by `prune` at each threshold, each share once."""
    return tuple(sorted({float(np.mean(prune(w, theta) != 0)) for theta in thresholds}))


def rounding_is_bounded():
    """Whether rounding moves no weight by more than half a step, and rounding again moves
    nothing."""
    x = np.linspace(-3, 3, 1001)
    rounded = quantize(x, 0.1)
    return bool(np.abs(rounded - x).max() <= 0.05 + 1e-12), bool(
        np.allclose(quantize(rounded, 0.1), rounded)
    )


def quiet_importance_of_zeros():
    """`importance` of a zero vector without numpy's warning about 0 / 0."""
    with np.errstate(invalid="ignore"):
        return importance(np.zeros(5))


def loss_for_each_target():
    """The loss of the printed probabilities against every target the document could mean.

    They are: the probabilities themselves, `h`, equal shares, and a right answer at an end or
    inside.
    """
    targets = CASES["soft_label"], CASES["h"], np.full(5, 0.2), np.eye(5)[0], np.eye(5)[1]
    return tuple(float(squared_error_loss(CASES["soft_label"], target)) for target in targets)


w, h, theta = CASES["w"], CASES["h"], CASES["theta"]

CLAIMS = (
    Claim(
        id="4.1-parts",
        quote="其核心数学模型包括以下几个方面",
        states="Embedding, encoder and decoder formulas make up the model.",
        recompute=lambda: reach(attention_layer) > 0,
        expected=True,
        verdict="depends",
        because="On the model: a Transformer also has attention, the one place where words meet. None of the three "
        "formulas has it; see 4.1.2 and 02_1_architecture.",
    ),
    Claim(
        id="4.1.1-embedding",
        quote=r"\text{embed}(x) = W_x e^{Ax}",
        states="A word's vector is W e^(A x).",
        recompute=embedding_against_look_up,
        expected=(26 + (np.e - 2) * 6, 0.0),
        verdict="depends",
        because="On which of the two is the table. If W_x is, as the text under the formula says, a one-hot x "
        "and A the identity add up all columns of W_x and end at a distance of 30.3 from the one that was asked "
        "for, in a table whose largest entry is 8. If A is, with twice as many rows and as "
        "logarithms, the formula gives the row exactly: A x is then the look-up, and W_x and the "
        "exponential only undo the logarithm.",
        repaired=r"\text{embed}(x) = W_x\,\text{onehot}(x)",
    ),
    Claim(
        id="4.1.1-word",
        quote="$x$ 是文本词",
        states="x is a word, and A x is a product.",
        recompute=lambda: 50257**2,
        expected=2_525_766_049,
        verdict="depends",
        evidence="argued",
        because="On turning the word into a vector first. If x is one-hot over GPT-2's 50257 tokens, a square A "
        "alone has 2.5 billion entries, more than the whole of GPT-2 (1.5 billion).",
    ),
    Claim(
        id="4.1.1-nonlinear",
        quote="$e^{Ax}$ 是非线性变换",
        states="e^(A x) is nonlinear.",
        recompute=lambda: float(np.exp(2.0) / (2 * np.exp(1.0))),
        expected=np.e / 2,
        verdict="holds",
        because="Doubling x multiplies e^x by 2.72, not by 2. A look-up is linear in the one-hot word and needs none "
        "of it.",
    ),
    Claim(
        id="4.1.2-encoder",
        quote=r"h = \sigma(W_h h_{\text{prev}} + b_h)",
        states="An encoder layer is a dense layer with an activation.",
        recompute=lambda: reach(encoder_layer),
        expected=0.0,
        verdict="wrong",
        because="True of a dense layer. In a Transformer's encoder the words meet: with this formula a change of "
        "word 0 changes the output at word 1 by exactly 0. Attention, the residual and the norm "
        "are missing.",
        repaired=r"$h' = h + \text{Attn}(\text{LN}(h))$, and then $h'' = h' + W_2\,\sigma(W_1\,\text{LN}(h') + b_1) + b_2$",
    ),
    Claim(
        id="4.1.2-h-prev",
        quote=r"h_{\text{prev}}",
        states="h_prev is what the layer is applied to.",
        recompute=lambda: tuple(inspect.signature(encode).parameters),
        expected=("h_prev", "W_h", "b_h", "activation"),
        verdict="depends",
        evidence="argued",
        because="The list under the formula leaves h_prev out. As the layer below it makes sense; as the step before "
        "(an RNN) the formula lacks the word itself, for no argument brings it in.",
        repaired=r"h_t = \sigma(W_h h_{t-1} + W_x x_t + b_h) \quad \text{for an RNN}",
    ),
    Claim(
        id="4.1.3-softmax",
        quote=r"p(y|x) = \text{softmax}(W_y h + b_y)",
        states="The decoder's output is a softmax of a linear layer.",
        recompute=lambda: decode(h, np.arange(15).reshape(3, 5), 0).sum(),
        expected=1.0,
        verdict="holds",
        because="The outputs sum to 1 and are one distribution over the vocabulary: right for one token, given all "
        "before it.",
        repaired=r"p(y_t \mid y_{<t}, x) = \text{softmax}(W_y h_t + b_y)",
    ),
    Claim(
        id="4.1.3-text",
        quote="$y$ 是文本输出",
        states="y, one softmax, is the text that comes out.",
        recompute=lambda: float(20 * np.log10(50257)),
        expected=94.0239,
        tolerance=1e-3,
        verdict="wrong",
        evidence="argued",
        because="It is one token of it. There are 10^94 texts of 20 tokens over 50257; no softmax lists them, "
        "the model multiplies 20 of them.",
        repaired=r"p(y|x) = \prod_t p(y_t \mid y_{<t}, x)",
    ),
    Claim(
        id="4.2.1-quantize",
        quote=r"\text{quantize}(x) = \text{round}(x / Q) * Q",
        states="Quantizing rounds to the nearest multiple of Q.",
        recompute=rounding_is_bounded,
        expected=(True, True),
        verdict="holds",
        because="No weight moves by more than Q/2, and doing it twice changes nothing. The result is a float, "
        "so this is the simulation of quantization; the integers are round(x / Q).",
        repaired=r"c = \text{clip}(\text{round}(x / Q)), \quad \hat x = c\,Q",
    ),
    Claim(
        id="4.2.1-operation",
        quote=r"\text{quantize\_op}(x) = \text{round}(x / Q) * Q",
        states="Operations are quantized by a formula of their own.",
        recompute=lambda: (
            quantize(3.14 * 2.71, 0.1),
            np.rint(3.14 / 0.1) * np.rint(2.71 / 0.1) * 0.1 * 0.1,
        ),
        expected=(8.5, 8.37),
        verdict="wrong",
        because="It is the formula for parameters again. Rounding the product 3.14 x 2.71 afterwards gives 8.5 from "
        "a float multiplication; multiplying the codes, 31 x 27, gives 8.37, and only that is "
        "integer work.",
        repaired=r"y = Q_x Q_w \sum_k c^x_k c^w_k",
    ),
    Claim(
        id="4.2.1-step",
        quote="$Q$ 是量化步长",
        states="The step is all that quantization needs.",
        recompute=lambda: float(np.rint(100 / 0.1)),
        expected=1000.0,
        verdict="depends",
        evidence="argued",
        because="On the range: with Q = 0.1 a weight of 100 has the code 1000, and 8 bits end at 127. "
        "Either Q follows the largest weight or codes are clipped.",
        repaired=r"Q = \max|x| / (2^{b-1} - 1)",
    ),
    Claim(
        id="4.2.2-importance",
        quote=r"\text{importance}(w) = \frac{\sum_{i=1}^{n} w_i^2}{\sum_{i=1}^{n} w_i^4}",
        states="Importance is the sum of squares over the sum of fourth powers.",
        recompute=lambda: importance(10 * w) / importance(w),
        expected=0.01,
        verdict="wrong",
        because="As a measure of importance: it has the unit 1 / weight squared, so weights ten times as large count a "
        "hundredth, and a threshold means something else in every layer.",
        repaired=r"\left(\sum w_i^2\right)^2 / \sum w_i^4 \quad \text{(participation ratio), or } |w_i|",
    ),
    Claim(
        id="4.2.2-strong-first",
        quote=r"\text{importance}(w) > \theta",
        states="Weights of higher importance are the ones to keep.",
        recompute=lambda: (importance(np.full(4, 0.1)), importance(np.full(4, 10.0))),
        expected=(100.0, 0.01),
        verdict="depends",
        because="On the measure. With the importance of this document it is the other way round: four weights of 0.1 get 100, four weights of 10 get 0.01: any threshold between removes the strong "
        "unit and keeps the weak one.",
    ),
    Claim(
        id="4.2.2-participation-ratio",
        quote="权重重要性评估公式如下",
        states="The quotient is an evaluation formula for weights.",
        recompute=lambda: (
            participation_ratio(w),
            participation_ratio(10.0 * w),
            participation_ratio(np.ones(5)),
        ),
        expected=(3025 / 979, 3025 / 979, 5.0),
        verdict="depends",
        because="Squaring the numerator makes it one: the participation ratio says that 3.09 of the 5 weights carry "
        "the vector, at any scale, and 5 of 5 when all are equal. 03_2_pruning uses it.",
        repaired=r"\left(\sum_i w_i^2\right)^2 / \sum_i w_i^4",
    ),
    Claim(
        id="4.2.2-remove",
        quote=r"\text{remove}(w) =",
        states="Parameters below a threshold are removed.",
        recompute=lambda: shares_kept(w, np.linspace(0, 1, 21)),
        expected=(0.0, 1.0),
        verdict="wrong",
        because="Over 21 thresholds from 0 to 1 the formula keeps either every weight or none; it removes no single "
        "parameter.",
        repaired=r"w_i \leftarrow w_i \text{ if } |w_i| > \theta \text{ else } 0",
    ),
    Claim(
        id="4.2.2-theta",
        quote=r"$\theta$ 是重要性阈值",
        states="A threshold on importance decides what goes.",
        recompute=lambda: bool(np.isnan(quiet_importance_of_zeros())),
        expected=True,
        verdict="holds",
        evidence="argued",
        because="That is how the step is defined. For a vector of zeros alone it decides nothing: there importance is "
        "0/0, not a number, and no threshold compares with it.",
    ),
    Claim(
        id="4.2.3-soft-label",
        quote=r"\text{soft\_label}(y) = \text{softmax}(W_y h + b_y)",
        states="The soft label is a function of y.",
        recompute=lambda: tuple(inspect.signature(soft_label).parameters),
        expected=("h", "W_y", "b_y"),
        verdict="depends",
        evidence="argued",
        because="On how one reads it: y is on the left only and is said to be the result. The document's own function takes h, W_y and b_y.",
        repaired=r"y = \text{softmax}(W_y h + b_y)",
    ),
    Claim(
        id="4.2.3-temperature",
        quote="软标签生成公式如下",
        states="The teacher's plain softmax makes soft labels.",
        recompute=lambda: (
            softmax(np.array([10.0, 5, 0])).max(),
            softmax(np.array([10.0, 5, 0]) / 4).max(),
        ),
        expected=(0.9933, 0.7307),
        tolerance=1e-4,
        verdict="depends",
        because="On how sure the teacher is: scores 10, 5, 0 give 0.993, nearly a hard label; at temperature 4 they "
        "give 0.73. Hinton et al. (2015) divide by a temperature; see 03_3_distillation.",
        repaired=r"y = \text{softmax}((W_y h + b_y) / T)",
    ),
    Claim(
        id="4.2.3-loss",
        quote=r"\text{loss} = \frac{1}{n} \sum_{i=1}^{n} (\text{softmax}(W_y h + b_y) - y)^2",
        states="The student is trained on the squared distance to the soft label y.",
        recompute=lambda: squared_error_loss(softmax(h), softmax(h)),
        expected=0.0,
        verdict="wrong",
        because="Student and teacher carry the same names: with y from the formula just above, the loss is 0 before "
        "any training.",
        repaired=r"\frac{1}{n}\sum_{i=1}^{n} \left\| p_{\text{student}}(x_i) - p_{\text{teacher}}(x_i) \right\|^2",
    ),
    Claim(
        id="4.2.3-index",
        quote=r"\frac{1}{n} \sum_{i=1}^{n}",
        states="The loss is an average over i = 1 to n.",
        recompute=lambda: sum((0.7 - 0.2) ** 2 for _ in range(5)) / 5 / (0.7 - 0.2) ** 2,
        expected=1.0,
        verdict="wrong",
        because="Nothing inside the sum carries i: n equal terms divided by n are one term again, ratio 1.0.",
        repaired=r"\frac{1}{n} \sum_{i=1}^{n} (\cdot)_i",
    ),
    Claim(
        id="4.2.3-squared-error",
        quote="小型模型训练公式如下",
        states="Squared error is the loss to distil with.",
        recompute=squared_error_gradient_share,
        expected=9.079161547190335e-05,
        tolerance=1e-8,
        verdict="depends",
        because="On the student: where it is sure and wrong, the slope of this loss is 0.00009 of the "
        "cross-entropy's and it hardly learns. Ba and Caruana (2014) use it on logits, Hinton et "
        "al. (2015) use "
        "cross-entropy; see 03_3_distillation.",
        repaired=r"-T^2 \sum_k y_k \log p_k",
    ),
    Claim(
        id="4.3.1-quantize",
        quote=r"\text{round}(3.14 / 0.1) * 0.1 = 3.1",
        states="3.14 quantized with step 0.1 is 3.1.",
        recompute=lambda: quantize(CASES["x"], CASES["Q"]),
        expected=3.1,
        printed=3.1,
        verdict="holds",
        because="3.14 / 0.1 is 31.4, rounded 31, times 0.1 is 3.1. It moved by 0.04, less than half a step.",
    ),
    Claim(
        id="4.3.1-float",
        quote="因此，量化后的参数为 $3.1$",
        states="The result is exactly 3.1.",
        recompute=lambda: (bool(quantize(3.14, 0.1) == 3.1), bool(quantize(0.3, 0.1) == 0.3)),
        expected=(True, False),
        verdict="holds",
        because="31 * 0.1 is the same float as 3.1. That is luck: 3 * 0.1 is 0.30000000000000004 and not 0.3. "
        "Integer codes have no such last digit.",
    ),
    Claim(
        id="4.3.2-sum-w2",
        quote="1^2 + 2^2 + 3^2 + 4^2 + 5^2",
        states="The sum of squares is 55.",
        recompute=lambda: int(np.sum(w**2)),
        expected=1 + 4 + 9 + 16 + 25,
        printed=55,
        verdict="holds",
        because="1 + 4 + 9 + 16 + 25 = 55.",
    ),
    Claim(
        id="4.3.2-sum-w4",
        quote=r"\frac{55}{155}",
        states="The sum of fourth powers is 155.",
        recompute=lambda: int(np.sum(w**4)),
        expected=1 + 16 + 81 + 256 + 625,
        printed=155,
        verdict="wrong",
        because="1 + 16 + 81 + 256 + 625 = 979.",
        repaired=r"\frac{55}{979}",
    ),
    Claim(
        id="4.3.2-division",
        quote=r"\frac{55}{155} \approx 0.355",
        states="55 / 155 is about 0.355.",
        recompute=lambda: 55 / 155,
        expected=0.3548387,
        tolerance=1e-6,
        printed=0.355,
        verdict="holds",
        because="The division is right, 0.3548; its denominator is not.",
    ),
    Claim(
        id="4.3.2-importance",
        quote=r"\approx 0.355",
        states="The importance of [1, 2, 3, 4, 5] is 0.355.",
        recompute=lambda: float(importance(w)),
        expected=55 / 979,
        printed=0.355,
        verdict="wrong",
        because="55 / 979 = 0.0562, less than a sixth of what is printed.",
        repaired=r"\frac{55}{979} \approx 0.0562",
    ),
    Claim(
        id="4.3.2-below-theta",
        quote=r"由于 $\text{importance}(w) < \theta$",
        states="The importance is below the threshold 0.5.",
        recompute=lambda: bool(importance(w) < theta),
        expected=True,
        verdict="holds",
        because="0.0562 < 0.5, as 0.355 would be: the wrong sum does not change the conclusion.",
    ),
    Claim(
        id="4.3.2-all-zero",
        quote="将权重向量中的所有元素设置为 $0$",
        states="All five weights become 0.",
        recompute=lambda: prune(w, theta),
        expected=(0, 0, 0, 0, 0),
        printed=(0, 0, 0, 0, 0),
        verdict="holds",
        because="That is what the formula gives. It also shows the trouble: the largest weight goes with the smallest.",
    ),
    Claim(
        id="4.3.2-word",
        quote="量化后的权重向量为 $[0, 0, 0, 0, 0]$",
        states="The quantized weights are all 0.",
        recompute=lambda: quantize(w, theta),
        expected=(1, 2, 3, 4, 5),
        printed=(0, 0, 0, 0, 0),
        verdict="wrong",
        because="A slip of the word: these are the pruned weights. Quantized with a step of 0.5 they would stay [1, "
        "2, 3, 4, 5].",
        repaired="剪枝后的权重向量 (the pruned weights)",
    ),
    Claim(
        id="4.3.2-theta",
        quote=r"重要性阈值 $\theta = 0.5$",
        states="0.5 is a sensible threshold.",
        recompute=lambda: (float(importance(0.1 * w)), float(importance(digits()[0]))),
        expected=(5500 / 979, 5.58),
        tolerance=0.02,
        verdict="depends",
        because="On the unit: the same vector divided by 10 has importance 5.62 and is kept whole, and so is the "
        "trained linear classifier of digits with 5.58. Trained weights are mostly far below 1; 03_2_pruning "
        "slides the "
        "threshold.",
    ),
    Claim(
        id="4.3.3-matrix",
        quote="权重矩阵 $W_y = [1, 1, 1, 1, 1]$",
        states="W_y is a weight matrix for five classes.",
        recompute=lambda: np.ndim(CASES["W_y"] @ h),
        expected=0,
        verdict="wrong",
        because="Five numbers are a vector. W_y h is then a single number, 0.9, and not five scores; "
        "five classes from five features need 5 x 5.",
        repaired=r"W_y \in \mathbb{R}^{5 \times 5}, \text{ e.g. the identity}",
    ),
    Claim(
        id="4.3.3-elementwise",
        quote=r"\text{softmax}(1 \cdot [0.1, 0.2, 0.3, 0.2, 0.1])",
        states="W_y h + b_y is h itself.",
        recompute=lambda: float(CASES["W_y"] @ h),
        expected=0.9,
        printed=(0.1, 0.2, 0.3, 0.2, 0.1),
        verdict="wrong",
        because="The case multiplies element by element. The product that is written, W_y h, is 0.1 + 0.2 + 0.3 + "
        "0.2 + 0.1 = 0.9.",
        repaired="W_y = I",
    ),
    Claim(
        id="4.3.3-one-class",
        quote="偏置项 $b_y = 0$",
        states="These inputs give a soft label.",
        recompute=lambda: decode(h, CASES["W_y"][None, :], CASES["b_y"]),
        expected=(1.0,),
        verdict="depends",
        because="On the shape: read as a 1 x 5 matrix, W_y has one class, and softmax of one score is 1.0 whatever h "
        "is.",
    ),
    Claim(
        id="4.3.3-soft-label",
        quote="= [0.2, 0.4, 0.4, 0.2, 0.2]",
        states="The softmax of h is [0.2, 0.4, 0.4, 0.2, 0.2].",
        recompute=lambda: softmax(h),
        expected=(0.1841, 0.2035, 0.2249, 0.2035, 0.1841),
        tolerance=1e-4,
        printed=(0.2, 0.4, 0.4, 0.2, 0.2),
        verdict="wrong",
        because="The softmax of h is [0.184, 0.203, 0.225, 0.203, 0.184]: inputs that differ by 0.2 at most give "
        "nearly equal shares.",
        repaired="[0.184, 0.203, 0.225, 0.203, 0.184]",
    ),
    Claim(
        id="4.3.3-sum",
        quote="[0.2, 0.4, 0.4, 0.2, 0.2]",
        states="The printed soft label is a distribution.",
        recompute=lambda: float(CASES["soft_label"].sum()),
        expected=1.4,
        verdict="wrong",
        because="The five numbers add up to 1.4; a softmax adds up to 1.",
    ),
    Claim(
        id="4.3.3-symmetry",
        quote="h = [0.1, 0.2, 0.3, 0.2, 0.1]",
        states="The printed soft label comes from this h.",
        recompute=lambda: (
            bool(h[1] == h[3]),
            bool(CASES["soft_label"][1] == CASES["soft_label"][3]),
        ),
        expected=(True, False),
        verdict="wrong",
        because="Softmax gives equal entries equal shares and larger entries larger ones. Entries 2 and 4 of h are "
        "both 0.2, yet get 0.4 and 0.2; entry 3 is larger than entry 2, yet both get 0.4.",
    ),
    Claim(
        id="4.3.3-loss-formula",
        quote=r"\frac{1}{5} \sum_{i=1}^{5} ([0.2, 0.4, 0.4, 0.2, 0.2] - y)^2",
        states="The loss with these numbers is 0.04.",
        recompute=loss_for_each_target,
        expected=(0.0, 0.014, 0.016, 0.208, 0.128),
        verdict="cannot be reproduced",
        because="y is not given. The soft label itself gives 0, h gives 0.014, equal shares 0.016, a right answer "
        "0.208 or 0.128; none gives 0.04.",
    ),
    Claim(
        id="4.3.3-loss",
        quote="因此，训练损失为 $0.04$",
        states="The training loss is 0.04.",
        recompute=lambda: float(squared_error_loss(CASES["soft_label"], CASES["soft_label"] - 0.2)),
        expected=0.04,
        printed=0.04,
        verdict="cannot be reproduced",
        because="Every target whose root-mean-square distance is 0.2 gives it, for instance [0, 0.2, 0.2, 0, 0]. "
        "There is no end of such targets and the document names none, so the number cannot be "
        "checked.",
    ),
    Claim(
        id="4.3.3-n",
        quote=r"\frac{1}{5} \sum_{i=1}^{5}",
        states="n is the number of samples, and here n = 5.",
        recompute=lambda: len(np.atleast_2d(h)),
        expected=1,
        printed=5,
        verdict="wrong",
        because="The case has 1 sample, one h; 5 is the number of classes. Section 4.2.3 says n counts samples.",
        repaired="n = 1 sample, 5 classes",
    ),
)
