"""Section 6: what compressed models are said to do in applications.

None of its sentences has a number or a measurement. What can be computed here is the bound or the
condition, or read from the record of what the notebooks of section 6 measure on real models.
"""

import functools
import json

import numpy as np

from course_utils import files
from course_utils.document.claims.claim import Claim
from course_utils.document.references import REFERENCES
from course_utils.document.workings import seconds_per_token


@functools.cache
def recorded(application):
    """Returns what `results applications` measured of one application on test data, by kind:
    `"float"`, `"quantized"`, `"pruned"`, `"combined"`."""
    record = json.loads((files.DATA / "results" / "applications.json").read_text("utf8"))
    return {row["kind"]: row for row in record["applications"][application]["rows"]}


def kept(application, value):
    """Returns a number of the float model and of the best rounded one."""
    rows = recorded(application)
    return tuple(rows[kind][value] for kind in ("float", "quantized"))


@functools.cache
def own_adapter(rank=4):
    """Returns what `results personal` measured of adapters on test text: the bytes of one over those
    of the model that its readers share, and the least and most by which the loss fell, in nats."""
    record = json.loads((files.DATA / "results" / "personal.json").read_text("utf8"))
    parts, name = record["parts"], f"-rank{rank}"
    worn = {part.removesuffix(name): parts[part] for part in parts if part.endswith(name)}
    share = max(one["bytes"] for one in worn.values()) / record["base_bytes"]
    falls = [np.mean(parts[f"{who}-nobody"]["test"]) - np.mean(worn[who]["test"]) for who in worn]
    return float(share), float(min(falls)), float(max(falls))


CLAIMS = (
    Claim(
        id="6.1-generation",
        quote="可以显著提高文本生成的速度和效率",
        states="The methods make text generation markedly faster.",
        recompute=lambda: seconds_per_token(7e9, 32, 100e9) / seconds_per_token(7e9, 8, 100e9),
        expected=4.0,
        verdict="depends",
        evidence="argued",
        because="On the kernel: at batch 1 the bound is the bytes read for each token, so 8 instead of 32 bits can "
        "give up to 4 times, and rounded floats give nothing. 06_1_language measures it.",
    ),
    Claim(
        id="6.1-translation",
        quote="可以实时翻译多种语言的文本",
        states="Optimised models translate in real time.",
        recompute=lambda: 30 * seconds_per_token(0.6e9, 16, 20e9),
        expected=1.8,
        verdict="depends",
        evidence="argued",
        because="On sizes: 30 tokens from a model of 0.6 billion 16-bit weights take at least 1.8 s where memory "
        "gives 20 GB/s, and a quarter of it at 4 bits. 06_1_language translates with a small one.",
    ),
    Claim(
        id="6.1-answering",
        quote="提高问答系统的响应速度",
        states="Optimised models answer questions sooner.",
        recompute=lambda: (2 * 1 / 4, 2 * 100 / 4),
        expected=(0.5, 50.0),
        verdict="depends",
        evidence="argued",
        because="On the length of the question: reading 100 tokens does 50 operations for each byte of weights, "
        "writing one does 0.5. Fewer bytes help the second; the first word of an answer waits for "
        "the first.",
    ),
    Claim(
        id="6.2-classification",
        quote="可以减小模型大小，提高图像分类的推理速度",
        states="Image classifiers get smaller and faster.",
        recompute=lambda: np.divide(*kept("image classification", "bytes")),
        expected=7.86,
        tolerance=0.1,
        verdict="depends",
        because="Smaller, yes, if codes are stored: 12,990 bytes instead of 102,112 for a convolutional network, and "
        "98.8% of 400 test scans read rightly instead of 99.8%. What is rounded computes in float32 and is no faster; "
        "whether int8 weights are depends on size and kernel, and 06_2_vision measures it on your machine.",
    ),
    Claim(
        id="6.2-detection",
        quote="提高目标检测系统的实时性和准确性",
        states="Optimised detectors are faster and more accurate.",
        recompute=lambda: kept("object detection", "quality"),
        expected=(0.980, 0.981),
        tolerance=0.005,
        verdict="wrong",
        because="Compression takes information away: a detector with a mean average precision of 0.980 has 0.981 in 3 "
        "bits, if a rule is used that looks at what its layers read, and 0.967 without half of its weights: none is "
        "more accurate in a way that could be told from chance. In real time it works before anything is compressed. 06_2_vision measures it.",
    ),
    Claim(
        id="6.2-image-generation",
        quote="可以快速生成高质量的图像",
        states="Optimised models make images of high quality quickly.",
        recompute=lambda: kept("image generation", "quality"),
        expected=(0.9925, 0.995),
        tolerance=0.01,
        verdict="depends",
        because="On what quality means: of the digits that a small network draws, 99% are still recognised in 3 bits, and "
        "recognised is not all: with the simplest of the rules their distribution has by then moved away from that of "
        "real scans. Quickly is a matter of steps, each one call of the network. 06_2_vision measures it.",
    ),
    Claim(
        id="6.3-heading",
        quote="6.3 语音识别",
        states="Speech synthesis belongs under speech recognition.",
        recompute=lambda: REFERENCES["speech"].where,
        expected="Prentice Hall, 2nd edition, chapters 8 Speech Synthesis and 9 Automatic Speech Recognition",
        verdict="wrong",
        evidence="looked up",
        because="Synthesis is the other direction, from text to sound; Jurafsky and Martin (2009) give each a "
        "chapter of its own.",
        repaired="语音处理 (speech processing)",
    ),
    Claim(
        id="6.3-synthesis",
        quote="可以显著提高语音合成的速度和效率",
        states="The methods make speech synthesis markedly faster.",
        recompute=lambda: kept("speech synthesis", "quality"),
        expected=(0.910, 0.754),
        tolerance=0.02,
        verdict="depends",
        because="On the engine: rounded floats take as long as before. With int8 weights in LiteRT a synthesiser's "
        "file is shorter than the float one, and 06_3_speech measures on your machine what it gains. In 3 bits, which 67 validation "
        "pairs had allowed, 75% of 134 test words are understood instead of 91%. 06_3_speech measures it.",
    ),
    Claim(
        id="6.3-recognition",
        quote="提高语音识别系统的响应速度和准确性",
        states="Optimised recognisers are faster and more accurate.",
        recompute=lambda: kept("speech recognition", "quality"),
        expected=(0.983, 0.970),
        tolerance=0.01,
        verdict="wrong",
        because="Smaller, and a little less accurate: 97.0% of 462 test words in 3 bits, an eighth of the bytes, instead "
        "of 98.3%. None of the ways tried makes it more accurate. Faster takes another network: Gandhi et al. (2023) "
        "report 5.8 times the speed at a word error rate within 1 % of the teacher's, after training. 06_3_speech "
        "measures the first.",
    ),
    Claim(
        id="6.4-real-time",
        quote="通过更高效的推理算法和硬件加速技术",
        states="Real-time inference will come from better algorithms and hardware.",
        recompute=lambda: 1 / seconds_per_token(7e9, 16, 100e9),
        expected=100 / 14,
        verdict="forecast",
        evidence="argued",
        because="On memory: 7 billion 16-bit weights over 100 GB/s give at most 7.1 tokens a second at batch 1. "
        "06_4_outlook keeps a deadline by letting a smaller model write, and pays in perplexity.",
    ),
    Claim(
        id="6.4-cross-modal",
        quote="结合语音、图像和文本等多模态数据",
        states="Speech, images and text will be combined.",
        recompute=lambda: REFERENCES["clip"].year,
        expected=2021,
        verdict="forecast",
        evidence="looked up",
        because="On the task: it has begun with CLIP (Radford et al., 2021), which joins images and text. "
        "06_4_outlook joins spoken and written digits in one space; two classifiers that share names find more.",
    ),
    Claim(
        id="6.4-personal",
        quote="动态调整模型结构和参数",
        states="Models will be adjusted to each user.",
        recompute=lambda: own_adapter(),
        expected=(0.1096, 0.2087, 0.3041),
        tolerance=0.002,
        verdict="forecast",
        because="It has come, for parameters: a low-rank update (LoRA, Hu et al., 2022) of 11 % of the bytes of a 4-bit "
        "model that three readers share lowers each one's loss on test text by 0.21 to 0.30 nats, "
        "less than the rounding had cost. For structure it has not paid: tokens that leave a model early cost more than "
        "they save. 06_4_outlook measures both.",
    ),
)
