"""The abstract and sections 1 and 2."""

import numpy as np

from course_utils.document.claims.claim import Claim
from course_utils.document.code import listing, quantize, softmax
from course_utils.document.references import REFERENCES
from course_utils.document.workings import (
    arrows,
    bert_base_parameters,
    gpt3_parameters,
    mask,
    pieces,
    takes_about_as_long,
)


def years(*names):
    return tuple(REFERENCES[name].year for name in names)


def initials(name):
    return "".join(word[0] for word in name.split() if word[0].isupper())


def linear_layers_collapse():
    """Whether two layers equal one layer with the product matrix: without, and with, a tanh between
    them."""
    first, second, x = (
        np.array([[1.0, 2], [3, 4]]),
        np.array([[0.0, 1], [1, 1]]),
        np.array([0.5, -1]),
    )
    one_layer = second @ first @ x
    return bool(np.allclose(second @ (first @ x), one_layer)), bool(
        np.allclose(second @ np.tanh(first @ x), one_layer)
    )


def share_of_inputs_a_layer_reads():
    """Share of nonzero slopes of a second dense layer's outputs with respect to the network's
    inputs."""
    rng = np.random.default_rng(0)
    first, second, x = (
        rng.standard_normal((6, 8)),
        rng.standard_normal((5, 6)),
        rng.standard_normal(8),
    )
    slopes = second @ (np.diag(1 - np.tanh(first @ x) ** 2) @ first)  # (outputs, inputs)
    return float(np.mean(slopes != 0))


def backward_matches_differences():
    """Whether the backward pass of a softmax layer agrees with slopes measured by small
    differences."""
    rng = np.random.default_rng(0)
    weights, x = rng.standard_normal((3, 4)), rng.standard_normal(4)
    backward = np.outer(softmax(weights @ x) - np.eye(3)[0], x)
    measured = np.zeros_like(weights)
    for at in np.ndindex(weights.shape):
        nudge = np.zeros_like(weights)
        nudge[at] = 1e-6
        up, down = (
            -np.log(softmax(changed @ x)[0]) for changed in (weights + nudge, weights - nudge)
        )
        measured[at] = (up - down) / 2e-6
    return bool(np.allclose(backward, measured, atol=1e-6))


def tokens_chosen():
    """Different tokens that 100 choices from one distribution give: the likeliest each time, and
    drawn."""
    p = np.array([0.2, 0.5, 0.3])
    drawn = np.random.default_rng(0).choice(3, size=100, p=p)
    return len({int(p.argmax()) for _ in range(100)}), len(set(drawn.tolist()))


CLAIMS = (
    Claim(
        id="0-frontier",
        quote="在推理优化方面的前沿进展",
        states="The text covers the frontier of inference optimisation.",
        recompute=lambda: (
            *years("brain damage", "distillation"),
            *years("flash attention", "gptq", "speculative"),
        ),
        expected=(1989, 2015, 2022, 2023, 2023),
        verdict="wrong",
        evidence="looked up",
        because="It is the frontier of 2015, with pruning from 1989 and soft labels from 2015. KV caches, "
        "FlashAttention (2022), GPTQ, speculative decoding and PagedAttention (2023) are not "
        "mentioned; the 08 "
        "notebooks take them up.",
    ),
    Claim(
        id="0-code",
        quote="本文还将提供代码实例",
        states="Code examples are provided.",
        recompute=lambda: len(listing()),
        expected=3,
        verdict="holds",
        because="Section 5.2 has three functions. Two of their three calls run; the third raises.",
    ),
    Claim(
        id="1-understand",
        quote="可以理解和生成自然语言",
        states="Large language models understand and generate natural language.",
        recompute=lambda: float(np.exp(-np.log(softmax(np.zeros(512))).mean())),
        expected=512.0,
        tolerance=1e-6,
        verdict="depends",
        evidence="argued",
        because="On what is measured: no number is given. A model that learned nothing has perplexity 512 over 512 "
        "tokens; 01_background and 06_1_language measure how far below that real models come.",
    ),
    Claim(
        id="1-tasks",
        quote="机器翻译、文本生成、情感分析等多个领域",
        states="They do well at translation, generation, mood and more.",
        recompute=lambda: REFERENCES["t5"].title,
        expected="Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
        verdict="holds",
        evidence="looked up",
        because="Raffel et al. (2020) put translation, summaries, questions and mood into one text-to-text model. "
        "06_1_language does it at our scale.",
    ),
    Claim(
        id="1-billions",
        quote="数十亿甚至数万亿个参数",
        states="Large language models usually have billions to trillions of parameters.",
        recompute=lambda: (bert_base_parameters(), gpt3_parameters()),
        expected=(109_482_240, 174_604_259_328),
        verdict="depends",
        because="On the model: GPT-3 counts 174.6 billion. BERT-base, which this section names as an example, "
        "counts 0.109 billion, and the first GPT is of the same size.",
    ),
    Claim(
        id="1-nonlinear",
        quote="通过多层非线性变换来学习和表示语言",
        states="Depth helps because the layers are nonlinear.",
        recompute=linear_layers_collapse,
        expected=(True, False),
        verdict="holds",
        because="Two linear layers equal one; with a tanh between them they do not.",
    ),
    Claim(
        id="1-end-to-end",
        quote="无需手动设计特征提取和分类器",
        states="Training is end to end, with nothing designed by hand.",
        recompute=lambda: str(REFERENCES["subwords"]),
        expected="Sennrich, Haddow, Birch (2016). Neural Machine Translation of Rare Words with Subword Units. "
        "ACL 2016, arXiv 1508.07909.",
        verdict="depends",
        evidence="looked up",
        because="True of the network. The tokenizer in front of it is made beforehand by counting and gets no "
        "gradient; see 02_1_architecture.",
    ),
    Claim(
        id="1-stages",
        quote="大语言模型的发展历程可以分为几个阶段",
        states="First rules and HMMs, then RNNs and LSTMs, then large pre-trained models.",
        recompute=lambda: years("hmm", "lstm", "transformer", "gpt", "bert"),
        expected=(1989, 1997, 2017, 2018, 2018),
        verdict="holds",
        evidence="looked up",
        because="The papers stand in this order. The step the list leaves out is the Transformer of 2017, "
        "on which GPT and BERT are built.",
    ),
    Claim(
        id="1-lstm",
        quote="在处理序列数据方面表现出色",
        states="RNNs and LSTMs do very well on sequences.",
        recompute=lambda: 0.9**50,
        expected=0.005153775207320113,
        verdict="depends",
        evidence="argued",
        because="On the distance: a plain RNN that keeps 0.9 of a signal at each step has 0.005 of it left after 50. "
        "The LSTM was invented for that, and attention needs one step. 01_background compares them "
        "on one text.",
    ),
    Claim(
        id="1-gpt-name",
        quote="Generative Pre-trained Transformer",
        states="GPT is short for Generative Pre-trained Transformer.",
        recompute=lambda: initials("Generative Pre-trained Transformer"),
        expected="GPT",
        printed="GPT",
        verdict="holds",
        because="The initials agree. It is the name of a model; section 7.3 takes it for the title of a paper.",
    ),
    Claim(
        id="1-bert-name",
        quote="Bidirectional Encoder Representations from Transformers",
        states="BERT is short for Bidirectional Encoder Representations from Transformers.",
        recompute=lambda: initials("Bidirectional Encoder Representations from Transformers"),
        expected="BERT",
        printed="BERT",
        verdict="holds",
        because="As Devlin et al. (2018) spell it out in their abstract.",
    ),
    Claim(
        id="1-pretraining-helps",
        quote="能够显著提高各种NLP任务的性能",
        states="Pre-training raises results on many tasks.",
        recompute=lambda: str(REFERENCES["bert"]),
        expected="Devlin, Chang, Lee, Toutanova (2018). BERT: Pre-training of Deep Bidirectional Transformers for "
        "Language Understanding. NAACL 2019, arXiv 1810.04805.",
        verdict="holds",
        evidence="looked up",
        because="Devlin et al. (2018) report 80.5 on GLUE, 7.7 points above the best before them.",
    ),
    Claim(
        id="2.1-layer-parts",
        quote="每个层次负责处理输入数据的不同部分",
        states="Each layer works on a different part of the input.",
        recompute=share_of_inputs_a_layer_reads,
        expected=1.0,
        verdict="depends",
        because="On what 'part' means. As a level of abstraction it is a fair picture. As a share of the input it is "
        "not: a deeper dense layer reads all of it, and all of its slopes with respect to the input "
        "are nonzero.",
        repaired="Each layer transforms the whole output of the layer before it.",
    ),
    Claim(
        id="2.1-backpropagation",
        quote="通过前向传播和反向传播算法进行训练",
        states="Networks are trained by a forward and a backward pass.",
        recompute=backward_matches_differences,
        expected=True,
        verdict="holds",
        because="The backward pass gives the same slopes as measuring them by small differences. "
        "It belongs to training: inference, the subject of this document, runs forward only.",
    ),
    Claim(
        id="2.1-encoder-decoder",
        quote="C --> D[解码层]",
        states="A large language model is an encoder followed by a decoder.",
        recompute=lambda: (pieces("2.1"), ("C", "D") in arrows("2.1")),
        expected=(1, True),
        verdict="depends",
        because="On the model. True of the first Transformer (2017) and of T5. GPT (Radford et al., 2018) is a decoder alone and "
        "BERT an encoder alone, so neither model of section 1 fits the chart. 02_1_architecture "
        "runs both kinds.",
    ),
    Claim(
        id="2.1-embedding",
        quote="将文本词转换为稠密向量",
        states="The embedding layer turns words into dense vectors.",
        recompute=lambda: (
            int(np.count_nonzero(np.eye(8)[3])),
            int(np.count_nonzero(np.random.default_rng(0).standard_normal((8, 5))[3])),
        ),
        expected=(1, 5),
        verdict="holds",
        evidence="argued",
        because="A one-hot word has one nonzero entry; its row of a table of width five has five. "
        "Today the rows belong to pieces of words.",
    ),
    Claim(
        id="2.1-output",
        quote="将解码层的输出转换为具体文本",
        states="The output layer turns the decoder's output into text.",
        recompute=tokens_chosen,
        expected=(1, 3),
        verdict="depends",
        because="On the rule that chooses: the layer gives one score per token. In 100 choices among "
        "three tokens, always taking the likeliest gives one and the same, drawing gives all three.",
    ),
    Claim(
        id="2.2-unsupervised",
        quote="在大规模语料库上进行无监督预训练",
        states="Pre-training is unsupervised.",
        recompute=lambda: list(zip(["the", "cat", "sat"], ["the", "cat", "sat"][1:])),
        expected=[("the", "cat"), ("cat", "sat")],
        verdict="depends",
        evidence="argued",
        because="No person labels anything, in that sense yes. The loss is the supervised one: three words make two "
        "labelled pairs. Today's word is self-supervised; 02_2_training does it.",
        repaired="self-supervised pre-training: the next token is the label",
    ),
    Claim(
        id="2.2-fine-tuning",
        quote="在特定任务上进行有监督微调",
        states="Fine-tuning is supervised and on a particular task.",
        recompute=lambda: str(REFERENCES["gpt"]),
        expected="Radford, Narasimhan, Salimans, Sutskever (2018). Improving Language Understanding by Generative "
        "Pre-Training. OpenAI.",
        verdict="holds",
        evidence="looked up",
        because="This is the recipe of Radford et al. (2018). Instruction and preference tuning came later.",
    ),
    Claim(
        id="2.2-chart",
        quote="I[微调] --> J[任务数据]",
        states="The flow chart shows pre-training and fine-tuning.",
        recompute=lambda: pieces("2.2"),
        expected=2,
        verdict="wrong",
        because="The chart falls into 2 pieces: no arrow brings the parameters that pre-training updated (H) to "
        "fine-tuning, so as drawn fine-tuning starts from nothing.",
        repaired="add H --> K: fine-tuning starts from the pre-trained parameters",
    ),
    Claim(
        id="2.3-less-computation",
        quote="通过减少计算量和提高计算效率",
        states="Inference gets faster by computing less.",
        recompute=lambda: 2 * 1024 * 4096 / (4 * 1024 * 4096),
        expected=0.5,
        verdict="depends",
        evidence="argued",
        because="On the bottleneck: producing one token does 2 operations for each 4-byte weight, 0.5 operations a "
        "byte, so the time goes into reading weights. There fewer bytes help. 02_3_inference slides "
        "batch and context.",
    ),
    Claim(
        id="2.3-chart",
        quote="N[量化结果] --> O[推理]",
        states="The flow chart shows how optimised inference works.",
        recompute=lambda: pieces("2.3"),
        expected=4,
        verdict="wrong",
        because="The chart falls into 4 pieces: the text (A) never reaches the inference step (O), and the quantized "
        "result of I and that of N are two boxes without an arrow. 02_3_inference runs every box.",
        repaired="one path: text -> pruned and quantized model -> output",
    ),
    Claim(
        id="2.3-pruned-result",
        quote="L --> M[剪枝结果]",
        states="The pruned model is part of the inference path.",
        recompute=lambda: sum(start == "M" for start, _ in arrows("2.3")),
        expected=0,
        verdict="wrong",
        because="No arrow leaves the pruned result: as drawn it is made and never used.",
        repaired="add M --> O",
    ),
    Claim(
        id="2.3-reconstruction",
        quote="G --> H[重构]",
        states="Quantizing and pruning are each followed by a reconstruction.",
        recompute=lambda: tuple(listing()),
        expected=("quantize", "prune", "soft_label"),
        verdict="cannot be reproduced",
        evidence="argued",
        because="No text, formula or function of the document says what is reconstructed or how; the listing has three "
        "steps and this is none of them. 02_3_inference measures what practice means by it.",
    ),
    Claim(
        id="2.3-quantization",
        quote="通过降低模型参数的精度来减少计算量",
        states="Lower precision means less computation.",
        recompute=lambda: takes_about_as_long(lambda weights: quantize(weights, 0.1)),
        expected=True,
        verdict="depends",
        because="On the kernel: rounded float32 weights take about as long as before, since no operation disappears. "
        "Integer codes and a kernel that reads them can gain; 03_4_trade_offs measures both.",
    ),
    Claim(
        id="2.3-pruning",
        quote="通过删除模型中不必要的参数来减少模型大小",
        states="Deleting parameters makes the model smaller.",
        recompute=lambda: (
            mask(np.random.default_rng(0).standard_normal((64, 64))).nbytes / (64 * 64 * 8)
        ),
        expected=1.0,
        verdict="depends",
        because="On the file: zeros kept in a dense array take the same bytes, ratio 1.0 with 90 % zeros. Removed "
        "rows, or zeros left out by a coder, do save. 03_2_pruning itemises them.",
    ),
)
