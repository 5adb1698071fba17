"""Sections 8 and 9: the summary, and the questions of the appendix."""

import numpy as np

from course_utils.document.claims.claim import Claim
from course_utils.document.claims.methods import bytes_after_pruning, bytes_after_rounding
from course_utils.document.code import quantize
from course_utils.document.references import REFERENCES
from course_utils.document.workings import (
    digit_accuracy,
    digits,
    gpt3_parameters,
    same_labels_other_weights,
    student_agreement,
    takes_about_as_long,
)


def levels(Q=0.05):
    """How many different numbers the digit classifier's 650 weights are after rounding to a
    step."""
    return len(np.unique(np.rint(digits()[0] / Q)))


CLAIMS = (
    Claim(
        id="8.1-high-accuracy",
        quote="在保持高精度的同时，显著提高了模型的推理性能",
        states="The three methods keep accuracy high and make inference markedly faster.",
        recompute=lambda: (
            digit_accuracy() - digit_accuracy(Q=0.05),
            digit_accuracy() - digit_accuracy(keep=0.1),
        ),
        expected=(0.0013, 0.5508),
        tolerance=0.01,
        verdict="depends",
        because="On how far one goes: a linear classifier of digits loses 0.001 of accuracy at Q = 0.05 and 0.55 when one "
        "weight in ten is kept. 08_1_frontier_quantization and 08_2_frontier_pruning say how far "
        "one can.",
    ),
    Claim(
        id="8.1-fields",
        quote="在自然语言处理、计算机视觉和语音识别等领域具有",
        states="They matter in language, vision and speech.",
        recompute=lambda: tuple(
            REFERENCES[name].year for name in ("distilbert", "deep compression", "distil-whisper")
        ),
        expected=(2019, 2016, 2023),
        verdict="holds",
        evidence="looked up",
        because="One example each: DistilBERT (2019), Deep Compression (2016), Distil-Whisper (2023).",
    ),
    Claim(
        id="8.2-real-time",
        quote="通过更高效的算法和硬件加速技术",
        states="Faster algorithms and hardware will bring real-time inference.",
        recompute=lambda: REFERENCES["speculative"].year,
        expected=2023,
        verdict="forecast",
        evidence="looked up",
        because="On the algorithm: speculative decoding (Leviathan et al., 2023) gives the same text with fewer "
        "passes of the large model.",
    ),
    Claim(
        id="8.2-cross-modal",
        quote="跨模态处理",
        states="Cross-modal processing is a trend to come.",
        recompute=lambda: REFERENCES["clip"].title,
        expected="Learning Transferable Visual Models From Natural Language Supervision",
        verdict="forecast",
        evidence="looked up",
        because="On the task: CLIP, from 2021, joins images and text.",
    ),
    Claim(
        id="8.2-personal",
        quote="实现个性化的推理优化",
        states="Inference will be tuned to user and situation.",
        recompute=lambda: REFERENCES["lora"].title,
        expected="LoRA: Low-Rank Adaptation of Large Language Models",
        verdict="forecast",
        evidence="looked up",
        because="On what is tuned: low-rank updates (Hu et al., 2022) fit a model to a user at small cost; changing "
        "its structure per request is rarer.",
    ),
    Claim(
        id="8.3-accuracy",
        quote="量化、剪枝和知识蒸馏等技术可能会引入精度损失",
        states="All three methods may cost accuracy.",
        recompute=lambda: (digit_accuracy(Q=0.2), digit_accuracy(keep=0.3), student_agreement()),
        expected=(0.5972, 0.7189, 0.8539),
        tolerance=0.02,
        verdict="holds",
        because="On a linear classifier of digits, 0.89 before: 0.60 rounded to 0.2, 0.72 with 30 % of the weights; a student "
        "with half the pixels agrees with it on 0.85. Section 3.3 named quantization only.",
    ),
    Claim(
        id="8.3-cost",
        quote="需要大量的计算资源和时间",
        states="Optimising takes much computing and time.",
        recompute=lambda: 6 * gpt3_parameters() * 300e9 / 1e23,
        expected=3.143,
        tolerance=0.001,
        verdict="depends",
        evidence="argued",
        because="On the method: training GPT-3 took about 6 x parameters x tokens = 3.1e23 operations, while GPTQ "
        "quantizes a model of that size in about four GPU hours, without training (Frantar et al., "
        "2023).",
    ),
    Claim(
        id="8.3-explainability",
        quote="优化后的模型可能变得更加复杂",
        states="An optimised model may be more complex and harder to explain.",
        recompute=levels,
        expected=24,
        tolerance=1,
        verdict="depends",
        evidence="argued",
        because="On what complex means: rounding leaves a linear classifier of digits 24 different numbers among its 650 "
        "weights. Whether explanations survive is measured in 06_4_outlook, 08_2_frontier_pruning and 09_faq.",
    ),
    Claim(
        id="8.4-algorithms",
        quote="研究更加高效、精确的优化算法",
        states="More exact optimisation algorithms are needed.",
        recompute=lambda: str(REFERENCES["gptq"]),
        expected="Frantar, Ashkboos, Hoefler, Alistarh (2023). GPTQ: Accurate Post-Training Quantization for "
        "Generative Pre-trained Transformers. ICLR 2023, arXiv 2210.17323.",
        verdict="forecast",
        evidence="looked up",
        because="They came: GPTQ takes back part of what rounding to nearest loses; 08_1_frontier_quantization "
        "measures how much.",
    ),
    Claim(
        id="8.4-dynamic",
        quote="研究动态调整模型结构和参数的策略",
        states="Models should adjust their structure while they run.",
        recompute=lambda: REFERENCES["speculative"].title,
        expected="Fast Inference from Transformers via Speculative Decoding",
        verdict="forecast",
        evidence="looked up",
        because="On the form: choosing per token between a small and a large model is in use as speculative decoding. "
        "08_3_frontier_decoding runs it. A decoder that picks among its variants while the load changes is in "
        "08_4_frontier_serving.",
    ),
    Claim(
        id="8.4-explainability",
        quote="提高优化后模型的可理解性和可调试性",
        states="Explanations of optimised models should get better.",
        recompute=lambda: str(REFERENCES["explanations"]),
        expected="Ribeiro, Singh, Guestrin (2016). 'Why Should I Trust You?': Explaining the Predictions of Any "
        "Classifier. KDD 2016, arXiv 1602.04938.",
        verdict="forecast",
        evidence="looked up",
        because="On the method: ways that treat the model as a box (Ribeiro et al., 2016) work before and after "
        "compression alike, so the two can be compared. 08_2_frontier_pruning opens the box and compares slopes.",
    ),
    Claim(
        id="9.1-parameters",
        quote="通常具有数十亿甚至数万亿个参数",
        states="Large language models usually have billions to trillions of parameters.",
        recompute=lambda: gpt3_parameters() / 1e9,
        expected=174.604259328,
        verdict="depends",
        because="On the model, as in section 1: GPT-3 has 174.6 billion, BERT-base 0.109 billion.",
    ),
    Claim(
        id="9.2-quantization",
        quote="量化是通过降低模型参数的精度来减少计算量",
        states="Quantization reduces computation by lowering precision.",
        recompute=lambda: takes_about_as_long(lambda weights: quantize(weights, 0.05)),
        expected=True,
        verdict="depends",
        because="On the kernel, as in 2.3: rounded float32 takes about as long. 09_faq runs it.",
    ),
    Claim(
        id="9.2-pruning",
        quote="剪枝是通过删除模型中不必要的参数来减少模型大小",
        states="Pruning reduces size by deleting parameters.",
        recompute=bytes_after_pruning,
        expected=(1.0, 0.5),
        verdict="depends",
        because="On deleting: half of the weights zeroed leaves all bytes, half of the rows removed leaves half. "
        "09_faq runs it.",
    ),
    Claim(
        id="9.2-distillation",
        quote="知识蒸馏是将大型模型的权重和知识传递到小型模型",
        states="Distillation passes weights to the small model.",
        recompute=same_labels_other_weights,
        expected=(0.0, 7.0),
        verdict="wrong",
        because="As in 3.2.3: soft labels are passed on, and teachers with different weights can give the same ones.",
        repaired="passes on the large model's outputs",
    ),
    Claim(
        id="9.3-quantization",
        quote="量化可以减少计算量和存储需求",
        states="Quantization reduces computation and storage.",
        recompute=bytes_after_rounding,
        expected=(1.0, 0.25),
        verdict="depends",
        because="On storing codes: rounded float32 keeps all bytes, 8-bit codes a quarter. 09_faq runs it.",
    ),
    Claim(
        id="9.3-pruning",
        quote="剪枝可以显著减小模型大小和计算量",
        states="Pruning reduces size and computation markedly.",
        recompute=lambda: digit_accuracy(keep=0.5),
        expected=0.8457,
        tolerance=0.01,
        verdict="depends",
        because="On format, pattern and price: with half its weights a linear classifier of digits has accuracy 0.85 instead "
        "of 0.89, and in a dense array it is no smaller. 09_faq runs it.",
    ),
    Claim(
        id="9.3-distillation",
        quote="知识蒸馏可以实现快速推理",
        states="Distillation makes inference fast, at the price of training.",
        recompute=lambda: digits()[0][::2].size / digits()[0].size,
        expected=33 / 65,
        verdict="holds",
        evidence="argued",
        because="The student is a smaller model, here 0.51 of the weights and of the multiplications, and needs no "
        "special kernel; it has to be trained.",
    ),
    Claim(
        id="9.4-fields",
        quote="如文本生成、机器翻译、图像分类和语音合成等",
        states="The techniques are used in language, vision and speech.",
        recompute=lambda: tuple(
            REFERENCES[name].year for name in ("distilbert", "deep compression", "distil-whisper")
        ),
        expected=(2019, 2016, 2023),
        verdict="holds",
        evidence="looked up",
        because="DistilBERT (2019), Deep Compression (2016) and Distil-Whisper (2023) are examples; 06_1_language "
        "builds a small one.",
    ),
    Claim(
        id="9.5-directions",
        quote="实时推理、跨模态处理、个性化推理和可解释性增强",
        states="Four directions: real time, cross-modal, personal, explainable.",
        recompute=lambda: tuple(
            REFERENCES[name].year for name in ("speculative", "clip", "lora", "explanations")
        ),
        expected=(2023, 2021, 2022, 2016),
        verdict="forecast",
        evidence="looked up",
        because="They repeat 8.2 and 8.4, and each has had a method for some time: speculative decoding (2023), CLIP "
        "(2021), LoRA (2022), LIME (2016).",
    ),
)
