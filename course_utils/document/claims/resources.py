"""Section 7: books, tools and papers, each looked up."""

from course_utils.document.claims.claim import Claim
from course_utils.document.references import REFERENCES


def found(name):
    """The checked entry for a publication."""
    return lambda: str(REFERENCES[name])


def tensorflow_author():
    """The author that the installed TensorFlow's package data names."""
    from importlib.metadata import metadata

    return metadata("tensorflow")["Author"]


def eager_by_default():
    """Whether the installed TensorFlow runs operations at once, without building a graph first."""
    from course_utils.backend import tf

    return bool(tf.executing_eagerly())


# What the document prints as authors, year and title of the papers in 7.3.
PRINTED_PAPERS = {
    "bert": (
        "Devlin",
        2018,
        "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
    ),
    "transformer": ("Vaswani", 2017, "Generative Pre-trained Transformer"),
}


def printed_right(name):
    """Whether first author, year and title of a printed paper agree with the checked entry."""
    author, year, title = PRINTED_PAPERS[name]
    paper = REFERENCES[name]
    return paper.authors.startswith(author), paper.year == year, paper.title == title


CLAIMS = (
    Claim(
        id="7.1-deep-learning",
        quote="《深度学习》（Goodfellow, Bengio, Courville）",
        states="Goodfellow, Bengio and Courville wrote Deep Learning.",
        recompute=found("deep learning"),
        expected="Goodfellow, Bengio, Courville (2016). Deep Learning. MIT Press.",
        verdict="holds",
        evidence="looked up",
        because="MIT Press, 2016. It covers foundations up to 2016 and so no Transformer.",
    ),
    Claim(
        id="7.1-auli",
        quote="《自然语言处理与深度学习》（Michael Auli, et al.）",
        states="There is a book of this title by Michael Auli and others.",
        recompute=found("goldberg"),
        expected="Goldberg (2017). Neural Network Methods for Natural Language Processing. Morgan & Claypool.",
        verdict="cannot be reproduced",
        evidence="looked up",
        because="We could not confirm such a book. Michael Auli is a researcher with papers on translation and speech; "
        "for the subject, Goldberg (2017) exists.",
        repaired="Goldberg (2017), Neural Network Methods for Natural Language Processing",
    ),
    Claim(
        id="7.1-survey",
        quote="《大规模语言模型的推理优化技术综述》（陈睿，等）",
        states="There is a survey of this title by Chen Rui and others.",
        recompute=found("inference survey"),
        expected="Zhou et al. (2024). A Survey on Efficient Inference for Large Language Models. arXiv 2404.14294.",
        verdict="cannot be reproduced",
        evidence="looked up",
        because="We could not confirm it. A survey of this subject that exists is Zhou et al. (2024).",
        repaired="Zhou et al. (2024), A Survey on Efficient Inference for Large Language Models, arXiv 2404.14294",
    ),
    Claim(
        id="7.2-tensorflow",
        quote="Google开发的开源深度学习框架",
        states="TensorFlow is Google's open-source framework.",
        recompute=tensorflow_author,
        expected="Google Inc.",
        verdict="holds",
        evidence="looked up",
        because="The author named in the installed package. This course runs on it.",
    ),
    Claim(
        id="7.2-pytorch",
        quote="Facebook开发的开源深度学习框架",
        states="PyTorch is developed by Facebook.",
        recompute=found("pytorch"),
        expected="Linux Foundation (2022). Meta Transitions PyTorch to the Linux Foundation. Announcement of 12 "
        "September.",
        verdict="depends",
        evidence="looked up",
        because="On the year: it began at Facebook in 2016. The Linux Foundation announced on 12 September 2022 that "
        "PyTorch moves to its PyTorch Foundation.",
    ),
    Claim(
        id="7.2-dynamic-graph",
        quote="具有灵活的动态计算图",
        states="PyTorch has a dynamic graph.",
        recompute=eager_by_default,
        expected=True,
        verdict="holds",
        because="It has. That no longer sets it apart: TensorFlow has also run eagerly by default since version 2.0 (2019), "
        "as this check on the installed one shows.",
    ),
    Claim(
        id="7.2-mxnet",
        quote="Apache基金会开发的开源深度学习框架",
        states="MXNet is a framework developed at Apache.",
        recompute=found("mxnet"),
        expected="Apache Software Foundation (2023). Apache MXNet is retired. attic.apache.org/projects/mxnet.html.",
        verdict="depends",
        evidence="looked up",
        because="On the year: it joined the Apache Incubator in 2017 and was retired to the Apache Attic in 2023. "
        "Nothing new should be started with it.",
        repaired="LiteRT, ONNX Runtime, llama.cpp or vLLM, by the machine you serve from",
    ),
    Claim(
        id="7.3-bert",
        quote="“BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding”"
        "（Devlin, et al., 2018）",
        states="Devlin et al. published BERT in 2018.",
        recompute=lambda: printed_right("bert"),
        expected=(True, True, True),
        verdict="holds",
        evidence="looked up",
        because="arXiv 1810.04805, October 2018; in print at NAACL 2019.",
    ),
    Claim(
        id="7.3-generative",
        quote="“Generative Pre-trained Transformer”（Vaswani, et al., 2017）",
        states="Vaswani et al. published 'Generative Pre-trained Transformer' in 2017.",
        recompute=lambda: printed_right("transformer"),
        expected=(True, True, False),
        verdict="wrong",
        evidence="looked up",
        because="Two papers are mixed up: Vaswani et al. (2017) is 'Attention Is All You Need', arXiv 1706.03762; "
        "GPT is Radford et al. (2018), 'Improving Language Understanding by Generative "
        "Pre-Training'.",
        repaired="Vaswani et al. (2017), Attention Is All You Need; Radford et al. (2018), Improving Language "
        "Understanding by Generative Pre-Training",
    ),
    Claim(
        id="7.3-liang",
        quote="An Empirical Exploration of Weak Supervision for Sequence Labeling",
        states="Liang et al. published this in 2017.",
        recompute=found("weak tagging"),
        expected="Safranchik, Luo, Bach (2020). Weakly Supervised Sequence Tagging from Noisy Rules. AAAI 34(04).",
        verdict="cannot be reproduced",
        evidence="looked up",
        because="We could not confirm a paper of this title and author. On the subject, Safranchik et al. (2020) and "
        "Ratner et al. (2017, Snorkel) exist. It is not about inference optimisation in any case.",
        repaired="Safranchik, Luo, Bach (2020), Weakly Supervised Sequence Tagging from Noisy Rules",
    ),
    Claim(
        id="7.3-lan",
        quote="Neural Architecture Search for Weakly Supervised Sequence Labeling",
        states="Lan et al. published this in 2018.",
        recompute=found("sequence search"),
        expected="Jiang, Hu, Xiao, Zhang, Zhu (2019). Improved Differentiable Architecture Search for Language "
        "Modeling and Named Entity Recognition. EMNLP-IJCNLP 2019.",
        verdict="cannot be reproduced",
        evidence="looked up",
        because="We could not confirm a paper of this title and author. On the subject, Jiang et al. (2019) and Zoph "
        "and Le (2017) exist.",
        repaired="Jiang et al. (2019), Improved Differentiable Architecture Search for Language Modeling and Named "
        "Entity Recognition",
    ),
)
