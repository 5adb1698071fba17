"""Section 3: the three methods, their pros and cons, and where they are used."""

import numpy as np

from course_utils.document.claims.claim import Claim
from course_utils.document.code import PRINTED, importance, quantize, softmax
from course_utils.document.references import REFERENCES
from course_utils.document.workings import (
    arrows,
    digit_accuracy,
    mask,
    same_labels_other_weights,
    student_agreement,
    takes_about_as_long,
)


def codes(x, Q):
    """The integers behind `quantize`: section 4.2.1 before it multiplies by the step again."""
    return np.rint(x / Q).astype(np.int8)


def bytes_after_rounding():
    """Bytes per float32 weight, relative to before: rounded to a step, and as 8-bit codes."""
    weights = np.linspace(-1, 1, 100, dtype=np.float32)
    return quantize(weights, np.float32(0.1)).nbytes / weights.nbytes, codes(
        weights, 0.1
    ).nbytes / weights.nbytes


def bytes_after_pruning():
    """Bytes relative to before: half the weights set to zero, and half the rows removed."""
    weights = np.random.default_rng(0).standard_normal((64, 32))
    return mask(weights, 0.5).nbytes / weights.nbytes, weights[::2].nbytes / weights.nbytes


def positions_computed(tokens=100):
    """Positions that go through the model while it writes `tokens` tokens: without, and with, a KV
    cache."""
    return sum(range(1, tokens + 1)), tokens


CLAIMS = (
    Claim(
        id="3.1-three-techniques",
        quote="主要依赖于量化、剪枝和知识蒸馏等技术",
        states="Inference optimisation rests on quantization, pruning and distillation.",
        recompute=lambda: positions_computed()[0] / positions_computed()[1],
        expected=50.5,
        verdict="depends",
        evidence="argued",
        because="On what counts: writing 100 tokens with a KV cache sends 50.5 times fewer positions through the "
        "model and changes no output beyond rounding.",
    ),
    Claim(
        id="3.1-complexity",
        quote="减少模型的复杂性和计算量",
        states="The techniques make a model simpler and lighter to compute.",
        recompute=lambda: bytes_after_rounding()[0],
        expected=1.0,
        verdict="depends",
        because="On the form: the formulas of section 4 leave as many float weights as there were, with ratio 1.0 in "
        "bytes. 03_4_trade_offs measures which forms gain what.",
    ),
    Claim(
        id="3.2.1-definition",
        quote="将模型的浮点参数转换为低精度整数",
        states="Quantization turns float parameters into integers of low precision.",
        recompute=lambda: codes(PRINTED["x"], PRINTED["Q"]),
        expected=(31, 27, 14, 9),
        verdict="holds",
        because="That is what the word means: 3.14, 2.71, 1.41, 0.87 become 31, 27, 14, 9, which fit in one byte each. "
        "The formula of 4.2.1 goes back to floats and so does not do it.",
    ),
    Claim(
        id="3.2.1-operations",
        quote="对操作进行量化，例如乘法和加法",
        states="Multiplications and additions are quantized too.",
        recompute=lambda: (1040 * 127**2).bit_length(),
        expected=24,
        verdict="holds",
        evidence="argued",
        because="They can be: even 1040 products of 8-bit codes add up to 24 bits and a sign, so the codes "
        "are 8-bit and the sums 32-bit. 03_1_quantization does it in integers.",
        repaired=r"y = Q_x Q_w \sum_k c^x_k c^w_k, \quad \text{summed in int32}",
    ),
    Claim(
        id="3.2.1-chart",
        quote="B --> C[整数参数]",
        states="Integer parameters alone make the quantized model.",
        recompute=lambda: float(
            np.mean(codes(PRINTED["x"], 0.1) * 0.05 / quantize(PRINTED["x"], 0.1))
        ),
        expected=0.5,
        verdict="depends",
        because="On the step being stored as well: the same codes read with Q = 0.05 instead of 0.1 give weights "
        "half as large.",
        repaired="codes and their scale",
    ),
    Claim(
        id="3.2.2-each-parameter",
        quote="评估模型中每个参数的重要性",
        states="Each parameter gets an importance of its own.",
        recompute=lambda: np.size(importance(PRINTED["w"])),
        expected=1,
        verdict="wrong",
        because="The formula of 4.2.2 gives one number for five weights, so it cannot tell one of them from another.",
        repaired=r"\text{importance}(w_i) = |w_i|",
    ),
    Claim(
        id="3.2.2-computation",
        quote="减少模型大小和计算量",
        states="Pruning reduces size and computation.",
        recompute=lambda: takes_about_as_long(mask),
        expected=True,
        verdict="depends",
        because="On the pattern: a dense product with 90 % zeros takes about as long as without, since zeros are "
        "multiplied too. Removed rows do save time; 03_4_trade_offs measures it.",
    ),
    Claim(
        id="3.2.2-deletion",
        quote="删除不重要的参数",
        states="Unimportant parameters are deleted.",
        recompute=bytes_after_pruning,
        expected=(1.0, 0.5),
        verdict="depends",
        because="On what deleting means: zeroing half the weights leaves all the bytes, removing half the rows "
        "leaves half.",
    ),
    Claim(
        id="3.2.3-weights-passed-on",
        quote="将大型模型的权重和知识传递到小型模型",
        states="Distillation passes the large model's weights and knowledge to the small one.",
        recompute=same_labels_other_weights,
        expected=(0.0, 7.0),
        verdict="wrong",
        because="The steps listed pass on soft labels. Two teachers whose weights differ by up to 7 give the same "
        "soft labels to the last digits, so these cannot carry the weights (Hinton et al., 2015). "
        "Some recipes, such "
        "as DistilBERT, copy layers to start from, as a step of its own.",
        repaired="passes on the large model's outputs",
    ),
    Claim(
        id="3.2.3-soft-labels",
        quote="通过大型模型对输入数据进行推理",
        states="The large model's inference on the inputs gives the soft labels.",
        recompute=lambda: softmax(np.array([2.0, 1.0, -1.0])).sum(),
        expected=1.0,
        verdict="holds",
        because="Softmax outputs are a distribution over the classes and sum to 1. This is Hinton et al. (2015) "
        "at temperature 1.",
    ),
    Claim(
        id="3.2.3-imitates",
        quote="能够模拟大型模型的推理过程",
        states="The student imitates how the large model infers.",
        recompute=student_agreement,
        expected=0.8539,
        tolerance=0.02,
        verdict="depends",
        because="It imitates answers, as far as it can: a student that sees every second pixel names the teacher's "
        "digit for 0.85 of new images by another computation. 03_3_distillation trains a real one.",
    ),
    Claim(
        id="3.2.3-chart",
        quote="C --> D[小型模型训练]",
        states="Soft labels are what the student trains on.",
        recompute=lambda: sum(end == "D" for _, end in arrows("3.2.3")),
        expected=1,
        verdict="depends",
        because="On reading the arrow as bringing the inputs along: box D has 1 incoming arrow, "
        "and a student needs both the inputs and the labels.",
        repaired="add A --> D",
    ),
    Claim(
        id="3.3.1-storage",
        quote="可以显著减少模型的计算量和存储需求",
        states="The methods reduce computation and storage markedly.",
        recompute=bytes_after_rounding,
        expected=(1.0, 0.25),
        verdict="depends",
        because="On how the result is stored: rounded float32 weights keep all their bytes, 8-bit codes keep a "
        "quarter. 03_4_trade_offs reads both off files.",
    ),
    Claim(
        id="3.3.1-efficiency",
        quote="使得模型在实时应用中更加高效",
        states="The methods make models efficient enough for real-time use.",
        recompute=lambda: takes_about_as_long(lambda weights: mask(quantize(weights, 0.1))),
        expected=True,
        verdict="depends",
        because="On a kernel that uses the change: a matrix both rounded and pruned as in 5.2 takes about as long as "
        "before. 03_4_trade_offs times real models.",
    ),
    Claim(
        id="3.3.2-accuracy",
        quote="量化过程中可能会引入精度损失",
        states="Quantization may cost accuracy.",
        recompute=lambda: (digit_accuracy(), digit_accuracy(Q=0.1), digit_accuracy(Q=0.2)),
        expected=(0.8946, 0.7992, 0.5972),
        tolerance=0.01,
        verdict="holds",
        because="A linear classifier of digits, 650 weights, has accuracy 0.89, rounded to Q = 0.1 it has 0.80, to 0.2 it has 0.60. "
        "Pruning and distillation can cost some too, as 8.3 says.",
    ),
    Claim(
        id="3.3.2-training-time",
        quote="可能需要额外的训练时间",
        states="Quantization, pruning and distillation may need extra training.",
        recompute=lambda: digit_accuracy() - digit_accuracy(Q=0.05),
        expected=0.00125,
        tolerance=0.005,
        verdict="holds",
        because="They may, and need not: rounding a linear classifier of digits to Q = 0.05 costs 0.001 of accuracy with no training "
        "at all. Distillation is training; 03_4_trade_offs lists what rounding, calibration, fine-tuning and distillation took.",
    ),
    Claim(
        id="3.4-language",
        quote="如文本生成、机器翻译和问答系统",
        states="The methods are used in language processing.",
        recompute=lambda: REFERENCES["distilbert"].title,
        expected="DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter",
        verdict="holds",
        evidence="looked up",
        because="Sanh et al. (2019) is one example among many; 06_1_language compresses a small one.",
    ),
    Claim(
        id="3.4-vision",
        quote="如图像分类、目标检测和图像生成",
        states="The methods for language models are used in vision.",
        recompute=lambda: digit_accuracy(Q=0.05),
        expected=0.8934,
        tolerance=0.01,
        verdict="holds",
        because="They ask nothing about language: a linear classifier of digits rounded to Q = 0.05 still has accuracy 0.89. In "
        "vision they came first (Han et al., 2016).",
    ),
    Claim(
        id="3.4-speech",
        quote="如语音合成、语音识别和语音增强",
        states="Synthesis and enhancement are kinds of speech recognition.",
        recompute=lambda: str(REFERENCES["speech"]),
        expected="Jurafsky, Martin (2009). Speech and Language Processing. Prentice Hall, 2nd edition, "
        "chapters 8 Speech Synthesis and 9 Automatic Speech Recognition.",
        verdict="wrong",
        evidence="looked up",
        because="Recognition maps sound to text, synthesis text to sound, enhancement sound to sound; Jurafsky and "
        "Martin (2009) give the first two a chapter each.",
        repaired="speech processing: recognition, synthesis and enhancement",
    ),
)
