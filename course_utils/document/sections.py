"""The document's headings in order, each with our English title and the notebook that treats it; and
the lessons in order, each with what it answers."""

from typing import NamedTuple


class Section(NamedTuple):
    """One heading. The document leaves the abstract and the two halves of 3.3 unnumbered: here 0,
    3.3.1, 3.3.2."""

    number: str
    chinese: str
    english: str
    notebook: str


SECTIONS = tuple(
    Section(*(part.strip() for part in line.split("|")))
    for line in """
0     | 摘要 | Abstract | 00_start_here
1     | 背景介绍 | Background | 01_background
2     | 核心概念与联系 | Core concepts and how they connect | 02_1_architecture
2.1   | 大语言模型架构 | Architecture of a large language model | 02_1_architecture
2.2   | 训练过程 | Training | 02_2_training
2.3   | 推理优化 | Inference optimisation | 02_3_inference
3     | 核心算法原理 & 具体操作步骤 | Core algorithms, step by step | 03_1_quantization
3.1   | 算法原理概述 | Overview of the algorithms | 03_4_trade_offs
3.2   | 算法步骤详解 | The algorithms in detail | 03_1_quantization
3.2.1 | 量化 | Quantization | 03_1_quantization
3.2.2 | 剪枝 | Pruning | 03_2_pruning
3.2.3 | 知识蒸馏 | Knowledge distillation | 03_3_distillation
3.3   | 算法优缺点 | Pros and cons | 03_4_trade_offs
3.3.1 | 优点 | Pros | 03_4_trade_offs
3.3.2 | 缺点 | Cons | 03_4_trade_offs
3.4   | 算法应用领域 | Where the algorithms are used | 03_4_trade_offs
4     | 数学模型和公式 & 详细讲解 & 举例说明 | Models and formulas, explained by example | 04_mathematics
4.1   | 数学模型构建 | Building the mathematical model | 04_mathematics
4.1.1 | 词嵌入 | Word embedding | 04_mathematics
4.1.2 | 编码层 | Encoder | 04_mathematics
4.1.3 | 解码层 | Decoder | 04_mathematics
4.2   | 公式推导过程 | Deriving the formulas | 04_mathematics
4.2.1 | 量化过程 | Quantization | 04_mathematics
4.2.2 | 剪枝过程 | Pruning | 04_mathematics
4.2.3 | 知识蒸馏过程 | Knowledge distillation | 04_mathematics
4.3   | 案例分析与讲解 | Worked cases | 04_mathematics
4.3.1 | 量化案例 | Quantization, worked | 04_mathematics
4.3.2 | 剪枝案例 | Pruning, worked | 04_mathematics
4.3.3 | 知识蒸馏案例 | Distillation, worked | 04_mathematics
5     | 项目实践：代码实例和详细解释说明 | Project: code and explanation | 05_project
5.1   | 开发环境搭建 | Setting up | 05_project
5.2   | 源代码详细实现 | The source code | 05_project
5.3   | 代码解读与分析 | Reading the code | 05_project
5.3.1 | 量化 | Quantization, read | 05_project
5.3.2 | 剪枝 | Pruning, read | 05_project
5.3.3 | 知识蒸馏 | Distillation, read | 05_project
5.4   | 运行结果展示 | What it prints | 05_project
6     | 实际应用场景 | Applications | 06_1_language
6.1   | 自然语言处理 | Natural language processing | 06_1_language
6.2   | 计算机视觉 | Computer vision | 06_2_vision
6.3   | 语音识别 | Speech recognition | 06_3_speech
6.4   | 未来应用展望 | Applications to come | 06_4_outlook
7     | 工具和资源推荐 | Tools and resources | 07_tools
7.1   | 学习资源推荐 | Books and surveys | 07_tools
7.2   | 开发工具推荐 | Development tools | 07_tools
7.3   | 相关论文推荐 | Papers | 07_tools
8     | 总结：未来发展趋势与挑战 | Summary: trends and challenges | 08_1_frontier_quantization
8.1   | 研究成果总结 | What has been achieved | 08_1_frontier_quantization
8.2   | 未来发展趋势 | Trends | 06_4_outlook
8.3   | 面临的挑战 | Challenges | 08_2_frontier_pruning
8.4   | 研究展望 | Research to come | 08_3_frontier_decoding
9     | 附录：常见问题与解答 | Appendix: questions and answers | 09_faq
9.1   | 问题 1：什么是大语言模型？ | Question 1: what is a large language model? | 09_faq
9.2   | 问题 2：大语言模型推理优化有哪些技术？ | Question 2: which techniques are there? | 09_faq
9.3   | 问题 3：量化、剪枝和知识蒸馏的优缺点是什么？ | Question 3: what are their pros and cons? | 09_faq
9.4   | 问题 4：大语言模型推理优化在哪些领域有应用？ | Question 4: where are they used? | 09_faq
9.5   | 问题 5：未来大语言模型推理优化的发展方向是什么？ | Question 5: what comes next? | 09_faq
""".strip().splitlines()
)


class Lesson(NamedTuple):
    """One notebook: the heading of the document that it stands for, and what it answers."""

    notebook: str
    heading: str
    answers: str


LESSONS = tuple(
    Lesson(*(part.strip() for part in line.split("|")))
    for line in """
00_start_here              | 摘要 | the map, and one slider in the first minute
01_background              | 1 背景介绍 | rules, n-grams, HMM, LSTM, Transformer on one text: why did the last one win?
02_1_architecture          | 2.1 架构 | from characters to logits, layer by layer
02_2_training              | 2.2 训练过程 | pre-training and fine-tuning of one small model, measured
02_3_inference             | 2.3 推理优化 | where time and bytes go; prefill and decode; what reconstruction is
03_1_quantization          | 3.2.1 量化 | fewer bits for each weight: what does it cost?
03_2_pruning               | 3.2.2 剪枝 | fewer weights: which ones, and what do zeros save?
03_3_distillation          | 3.2.3 知识蒸馏 | does a teacher help, and how much?
03_4_trade_offs            | 3.1, 3.3, 3.4 优缺点 | each pro and con, measured: quality, bytes, speed
04_mathematics             | 4 数学模型 | every formula as printed, as meant, as used today
05_project                 | 5 项目实践 | the document's program, repaired, and the studio
05_your_own                | 5.4 运行结果 | a model of yours in, a report out: quality, bytes, speed, layers
06_1_language              | 6.1 自然语言处理 | one model, four skills: which dies first?
06_2_vision                | 6.2 计算机视觉 | a classifier, a detector, a generator of digits: what breaks first, and is anything faster?
06_3_speech                | 6.3 语音识别 | a listener, a speaker, a cleaner: what are their scores worth when people speak?
06_4_outlook               | 6.4 未来应用展望 | in time, across the senses, personal, explained: which of four hopes is borne out?
07_tools                   | 7 工具和资源 | the same work with Keras, LiteRT and friends; verify your tool
08_1_frontier_quantization | 8.1 研究成果 | GPTQ, AWQ, SmoothQuant, codebooks, from scratch
08_2_frontier_pruning      | 8.3 挑战 | Wanda, SparseGPT, N:M, removed units, from scratch
08_3_frontier_decoding     | 8.4 研究展望 | one text from slow to fast: choosing tokens, cache, compiled loop, drafts
08_4_frontier_serving      | 8.4 研究展望 | many texts and many people: batches, goodput, a budget of milliseconds
08_5_frontier_real_model   | 8.1 研究成果 | a pre-trained model that the world uses, brought in by you: which of our findings hold?
09_faq                     | 9 附录 | the questions everybody asks, each answered by a cell
10_errata                  | all of it | every heading, every claim, recomputed
""".strip().splitlines()
)
