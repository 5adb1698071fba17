"""The papers, books and announcements that the claims lean on, each with the place where it can be
found."""

from typing import NamedTuple


class Reference(NamedTuple):
    """A publication: `authors` as cited, `year`, `title`, and `where` it appeared."""

    authors: str
    year: int
    title: str
    where: str

    def __str__(self):
        return f"{self.authors} ({self.year}). {self.title}. {self.where}."


REFERENCES = {
    "hmm": Reference(
        "Rabiner",
        1989,
        "A Tutorial on Hidden Markov Models and Selected Applications in Speech Recognition",
        "Proceedings of the IEEE 77(2)",
    ),
    "brain damage": Reference("LeCun, Denker, Solla", 1989, "Optimal Brain Damage", "NIPS 2"),
    "brain surgeon": Reference(
        "Hassibi, Stork",
        1993,
        "Second Order Derivatives for Network Pruning: Optimal Brain Surgeon",
        "NIPS 5",
    ),
    "lstm": Reference(
        "Hochreiter, Schmidhuber", 1997, "Long Short-Term Memory", "Neural Computation 9(8)"
    ),
    "speech": Reference(
        "Jurafsky, Martin",
        2009,
        "Speech and Language Processing",
        "Prentice Hall, 2nd edition, chapters 8 Speech Synthesis and 9 Automatic Speech Recognition",
    ),
    "shallow": Reference(
        "Ba, Caruana", 2014, "Do Deep Nets Really Need to be Deep?", "NIPS 27, arXiv 1312.6184"
    ),
    "distillation": Reference(
        "Hinton, Vinyals, Dean",
        2015,
        "Distilling the Knowledge in a Neural Network",
        "arXiv 1503.02531",
    ),
    "deep learning": Reference("Goodfellow, Bengio, Courville", 2016, "Deep Learning", "MIT Press"),
    "deep compression": Reference(
        "Han, Mao, Dally",
        2016,
        "Deep Compression: Compressing Deep Neural Networks with Pruning, Trained Quantization and "
        "Huffman Coding",
        "ICLR 2016, arXiv 1510.00149",
    ),
    "subwords": Reference(
        "Sennrich, Haddow, Birch",
        2016,
        "Neural Machine Translation of Rare Words with Subword Units",
        "ACL 2016, arXiv 1508.07909",
    ),
    "explanations": Reference(
        "Ribeiro, Singh, Guestrin",
        2016,
        "'Why Should I Trust You?': Explaining the Predictions of Any Classifier",
        "KDD 2016, arXiv 1602.04938",
    ),
    "transformer": Reference(
        "Vaswani et al.", 2017, "Attention Is All You Need", "NIPS 30, arXiv 1706.03762"
    ),
    "goldberg": Reference(
        "Goldberg",
        2017,
        "Neural Network Methods for Natural Language Processing",
        "Morgan & Claypool",
    ),
    "snorkel": Reference(
        "Ratner et al.",
        2017,
        "Snorkel: Rapid Training Data Creation with Weak Supervision",
        "PVLDB 11(3), arXiv 1711.10160",
    ),
    "architecture search": Reference(
        "Zoph, Le",
        2017,
        "Neural Architecture Search with Reinforcement Learning",
        "ICLR 2017, arXiv 1611.01578",
    ),
    "taylor": Reference(
        "Molchanov, Tyree, Karras, Aila, Kautz",
        2017,
        "Pruning Convolutional Neural Networks for Resource Efficient Inference",
        "ICLR 2017, arXiv 1611.06440",
    ),
    "gradual": Reference(
        "Zhu, Gupta",
        2017,
        "To Prune, or Not to Prune: Exploring the Efficacy of Pruning for Model Compression",
        "arXiv 1710.01878",
    ),
    "gpt": Reference(
        "Radford, Narasimhan, Salimans, Sutskever",
        2018,
        "Improving Language Understanding by Generative Pre-Training",
        "OpenAI",
    ),
    "bert": Reference(
        "Devlin, Chang, Lee, Toutanova",
        2018,
        "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding",
        "NAACL 2019, arXiv 1810.04805",
    ),
    "sequence search": Reference(
        "Jiang, Hu, Xiao, Zhang, Zhu",
        2019,
        "Improved Differentiable Architecture Search for Language Modeling and Named Entity "
        "Recognition",
        "EMNLP-IJCNLP 2019",
    ),
    "distilbert": Reference(
        "Sanh, Debut, Chaumond, Wolf",
        2019,
        "DistilBERT, a distilled version of BERT: smaller, faster, cheaper and lighter",
        "arXiv 1910.01108",
    ),
    "t5": Reference(
        "Raffel et al.",
        2020,
        "Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer",
        "JMLR 21(140), arXiv 1910.10683",
    ),
    "gpt-3": Reference(
        "Brown et al.",
        2020,
        "Language Models are Few-Shot Learners",
        "NeurIPS 33, arXiv 2005.14165",
    ),
    "weak tagging": Reference(
        "Safranchik, Luo, Bach",
        2020,
        "Weakly Supervised Sequence Tagging from Noisy Rules",
        "AAAI 34(04)",
    ),
    "clip": Reference(
        "Radford et al.",
        2021,
        "Learning Transferable Visual Models From Natural Language Supervision",
        "ICML 2021, arXiv 2103.00020",
    ),
    "n of m": Reference(
        "Mishra et al.", 2021, "Accelerating Sparse Deep Neural Networks", "arXiv 2104.08378"
    ),
    "lora": Reference(
        "Hu et al.",
        2022,
        "LoRA: Low-Rank Adaptation of Large Language Models",
        "ICLR 2022, arXiv 2106.09685",
    ),
    "llm.int8": Reference(
        "Dettmers, Lewis, Belkada, Zettlemoyer",
        2022,
        "LLM.int8(): 8-bit Matrix Multiplication for Transformers at Scale",
        "NeurIPS 2022, arXiv 2208.07339",
    ),
    "fp8": Reference(
        "Micikevicius et al.", 2022, "FP8 Formats for Deep Learning", "arXiv 2209.05433"
    ),
    "flash attention": Reference(
        "Dao et al.",
        2022,
        "FlashAttention: Fast and Memory-Efficient Exact Attention with IO-Awareness",
        "NeurIPS 35, arXiv 2205.14135",
    ),
    "pytorch": Reference(
        "Linux Foundation",
        2022,
        "Meta Transitions PyTorch to the Linux Foundation",
        "Announcement of 12 September",
    ),
    "gptq": Reference(
        "Frantar, Ashkboos, Hoefler, Alistarh",
        2023,
        "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained Transformers",
        "ICLR 2023, arXiv 2210.17323",
    ),
    "sparsegpt": Reference(
        "Frantar, Alistarh",
        2023,
        "SparseGPT: Massive Language Models Can Be Accurately Pruned in One-Shot",
        "ICML 2023, arXiv 2301.00774",
    ),
    "smoothquant": Reference(
        "Xiao, Lin, Seznec, Wu, Demouth, Han",
        2023,
        "SmoothQuant: Accurate and Efficient Post-Training Quantization for Large Language Models",
        "ICML 2023, arXiv 2211.10438",
    ),
    "qlora": Reference(
        "Dettmers, Pagnoni, Holtzman, Zettlemoyer",
        2023,
        "QLoRA: Efficient Finetuning of Quantized LLMs",
        "NeurIPS 2023, arXiv 2305.14314",
    ),
    "mx": Reference(
        "Rouhani et al.",
        2023,
        "Microscaling Data Formats for Deep Learning",
        "arXiv 2310.10537",
    ),
    "pruning or quantization": Reference(
        "Kuzmin, Nagel, van Baalen, Behboodi, Blankevoort",
        2023,
        "Pruning vs Quantization: Which is Better?",
        "NeurIPS 2023, arXiv 2307.02973",
    ),
    "mxnet": Reference(
        "Apache Software Foundation",
        2023,
        "Apache MXNet is retired",
        "attic.apache.org/projects/mxnet.html",
    ),
    "speculative": Reference(
        "Leviathan, Kalman, Matias",
        2023,
        "Fast Inference from Transformers via Speculative Decoding",
        "ICML 2023, arXiv 2211.17192",
    ),
    "paged attention": Reference(
        "Kwon et al.",
        2023,
        "Efficient Memory Management for Large Language Model Serving with PagedAttention",
        "SOSP 2023, arXiv 2309.06180",
    ),
    "distil-whisper": Reference(
        "Gandhi, von Platen, Rush",
        2023,
        "Distil-Whisper: Robust Knowledge Distillation via Large-Scale Pseudo Labelling",
        "arXiv 2311.00430",
    ),
    "awq": Reference(
        "Lin et al.",
        2024,
        "AWQ: Activation-aware Weight Quantization for On-Device LLM Compression and Acceleration",
        "MLSys 2024, arXiv 2306.00978",
    ),
    "wanda": Reference(
        "Sun, Liu, Bair, Kolter",
        2024,
        "A Simple and Effective Pruning Approach for Large Language Models",
        "ICLR 2024, arXiv 2306.11695",
    ),
    "quarot": Reference(
        "Ashkboos et al.",
        2024,
        "QuaRot: Outlier-Free 4-Bit Inference in Rotated LLMs",
        "NeurIPS 2024, arXiv 2404.00456",
    ),
    "minitron": Reference(
        "Muralidharan et al.",
        2024,
        "Compact Language Models via Pruning and Knowledge Distillation",
        "NeurIPS 2024, arXiv 2407.14679",
    ),
    "inference survey": Reference(
        "Zhou et al.",
        2024,
        "A Survey on Efficient Inference for Large Language Models",
        "arXiv 2404.14294",
    ),
    "gptaq": Reference(
        "Li et al.",
        2025,
        "GPTAQ: Efficient Finetuning-Free Quantization for Asymmetric Calibration",
        "ICML 2025, arXiv 2504.02692",
    ),
}
