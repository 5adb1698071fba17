"""Which faults the verdicts rest on: one fault is often met in several places (lesson 10)."""

import dataclasses

from course_utils.text import _


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault of the document.

    Attributes:
        said: What is wrong, in a sentence, in plain English; it is translated where it is shown.
        claims: The ids of the claims that rest on it.
        lesson: The notebook that measures it.
    """

    said: str
    claims: tuple
    lesson: str


# Those that matter first: what somebody who builds on the document would run into.
FAULTS = (
    Fault(
        "The importance falls when weights grow: strong units go, weak ones stay.",
        ("4.2.2-importance",),
        "03_2_pruning",
    ),
    Fault(
        "One importance is taken of a whole vector, so pruning keeps all of it or nothing.",
        (
            "3.2.2-each-parameter",
            "4.2.2-remove",
            "5.2-prune",
            "5.3.2-single-weights",
            "5.4-unimportant",
        ),
        "03_2_pruning",
    ),
    Fault(
        "Quantized values are floats again: no integer is stored or multiplied, no byte saved.",
        ("4.2.1-operation", "5.4-integers"),
        "03_1_quantization",
    ),
    Fault(
        "The weights of the soft label have no matrix product with its input: the program stops.",
        (
            "4.3.3-matrix",
            "4.3.3-elementwise",
            "5.2-soft-label",
            "5.2-w-y",
            "5.3.3-matrix-product",
            "5.4-generated",
        ),
        "05_project",
    ),
    Fault(
        "The printed soft label is no softmax: it adds up to 1.4.",
        ("4.3.3-soft-label", "4.3.3-sum", "4.3.3-symmetry", "5.4-soft-label"),
        "05_project",
    ),
    Fault(
        "The loss compares the student with itself, and its printed value has no target.",
        (
            "4.2.3-loss",
            "4.2.3-index",
            "4.3.3-n",
            "4.3.3-loss",
            "4.3.3-loss-formula",
        ),
        "03_3_distillation",
    ),
    Fault(
        "Distillation is said to pass weights on. It passes on answers.",
        ("3.2.3-weights-passed-on", "9.2-distillation"),
        "03_3_distillation",
    ),
    Fault(
        "The fourth powers of 1 to 5 are summed wrongly, and the example's importance with them.",
        ("4.3.2-sum-w4", "4.3.2-importance"),
        "04_mathematics",
    ),
    Fault(
        "The flow charts fall into pieces: results without an arrow, steps without a text.",
        ("2.2-chart", "2.3-chart", "2.3-pruned-result", "2.3-reconstruction"),
        "02_3_inference",
    ),
    Fault(
        "Of seven readings four could not be found, and one is two papers in one.",
        ("7.1-auli", "7.1-survey", "7.3-generative", "7.3-liang", "7.3-lan"),
        "07_tools",
    ),
    Fault(
        "Synthesis and enhancement stand under recognition, which is another direction.",
        ("3.4-speech", "6.3-heading"),
        "06_3_speech",
    ),
    Fault(
        "np.round rounds halves to the even neighbour.", ("5.3.1-rounding",), "03_1_quantization"
    ),
    Fault(
        "A slip of the word: pruned weights are called quantized.",
        ("4.3.2-word",),
        "04_mathematics",
    ),
    Fault(
        "Compression is said to make models more accurate. It takes information away.",
        ("6.2-detection", "6.3-recognition"),
        "06_2_vision",
    ),
    Fault(
        "A layer of the encoder lacks attention: by its formula no word sees another.",
        ("4.1.2-encoder",),
        "04_mathematics",
    ),
    Fault("One softmax is called a text. It is one token.", ("4.1.3-text",), "04_mathematics"),
    Fault("The frontier it covers is that of 2015.", ("0-frontier",), "09_faq"),
)
MATTER = 10  # so many of them stand on top


def rows(faults=FAULTS[:MATTER]):
    """Returns for each fault: what is wrong, how many verdicts rest on it, and the lesson that
    measures it."""
    return [(_(fault.said), len(fault.claims), fault.lesson) for fault in faults]
