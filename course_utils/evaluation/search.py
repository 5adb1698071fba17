"""Search: which of many texts answers what was asked?"""

import dataclasses

import numpy as np

from course_utils.backend import tf
from course_utils.datasets import summaries
from course_utils.evaluation.intervals import bootstrap, wilson
from course_utils.evaluation.scores import Score
from course_utils.models import minilm
from course_utils.models.compiled import compiled

ROWS, STEP = 20, 8  # of a batch; and of how many tokens its length is a multiple
LONGEST = (
    48  # word pieces that are read of a question, and of a text: more cost more than they find
)
SHARPNESS = 20  # by which similarities are multiplied where chances are wanted, as in training
QUESTION = "How do I measure how good a ranking is?"
SHOWN, MOST = 5, 200  # texts of an answer; letters of a question that are shown


@dataclasses.dataclass(frozen=True)
class Search:
    """How well questions find their texts.

    Attributes:
        ranks: For each question the place of its text among all, 1 for the first; `(questions,)`.
        perplexity: Among how many texts a question wavers: `exp` of the mean negative
            log-probability of its own, where chances are a softmax over 20 times the similarities,
            what the model was trained with.
        texts: The vectors of the texts, `(questions, width)`.
    """

    ranks: np.ndarray
    perplexity: float
    texts: np.ndarray

    def recall(self, at):
        """Returns the share of questions whose text is among the first `at`, and its 95% Wilson
        interval."""
        share = float(np.mean(self.ranks <= at))
        return share, wilson(share, len(self.ranks))

    @property
    def reciprocal(self):
        """The mean reciprocal rank, and its 95% interval over other questions (bootstrap)."""
        each = 1 / self.ranks
        return float(each.mean()), bootstrap(lambda drawn: each[drawn].mean(), len(each))


def judge(asked, found):
    """Judges vectors of questions and of their texts, row for row, both `(questions, width)`."""
    close = np.asarray(asked, np.float64) @ np.asarray(found, np.float64).T
    own = np.diagonal(close)
    ranks = 1 + (close > own[:, None]).sum(axis=1)
    chances = SHARPNESS * (close - own[:, None])
    losses = np.log(np.exp(chances - chances.max(axis=1, keepdims=True)).sum(axis=1))
    return Search(ranks, float(np.exp(np.mean(losses + chances.max(axis=1)))), found)


def vectors(model, tokens):
    """Encodes texts in batches of like length, through one compiled function for each length.

    Args:
        model: A `SentenceEncoder`.
        tokens: `int32` of shape `(texts, pieces)`, padded at the end.

    Returns:
        `float32` of shape `(texts, width)`.
    """
    run, lengths = compiled(model, read), (tokens != 0).sum(axis=1)
    order = np.argsort(lengths, kind="stable")
    result = np.empty((len(tokens), model.config["width"]), np.float32)
    for start in range(0, len(order), ROWS):
        rows = order[start : start + ROWS]
        length = -(-max(lengths[rows]) // STEP) * STEP
        batch = np.zeros((ROWS, length), np.int32)
        batch[: len(rows), : tokens.shape[1]] = tokens[rows, :length]
        batch[len(rows) :, 0] = 1  # rows that fill the last batch
        result[rows] = run(tf.constant(batch)).numpy()[: len(rows)]
    return result


def read(model, tokens):
    return model(tokens)


def cosine(vectors, others):
    """Returns the mean cosine between vectors of length 1, row for row."""
    return float(np.sum(np.asarray(vectors, np.float64) * others, axis=-1).mean())


class Finding:
    """Finds the docstring that a sentence is the beginning of."""

    live, report = 100, 1000  # pairs of first sentence and rest
    measure = "recall at 1"
    question = QUESTION  # it can be asked; see `sample`

    def data(self, split, count):
        return tuple(minilm.encode(texts, LONGEST) for texts in summaries.pairs(split, count))

    def score(self, model, data):
        seen = judge(*(vectors(model, tokens) for tokens in data))
        return Score(seen.recall(1)[0], seen.perplexity, seen)

    def inputs(self, data):
        """Texts that fill their row: no layer should be calibrated on padding."""
        texts = data[1]
        return texts[texts[:, -1] != 0]

    def sample(self, model, question=QUESTION):
        """Searches the texts of the validation split that a move is scored on; see `answer`."""
        texts = minilm.encode(summaries.pairs("validation", self.live)[1], LONGEST)
        return self.answer(model, question, "validation", vectors(model, texts))

    def answer(self, model, question, split, texts):
        """Searches the first texts of a split.

        Args:
            model: A `SentenceEncoder`.
            question: What is asked.
            split: Whose texts they are.
            texts: The vectors that the model made of them.

        Returns:
            The question, with a sentence about what of it the model does not read, and the best
            texts, each by its cosine and its first sentence.

        Raises:
            ValueError: If the question holds nothing that could be read.
        """
        close = texts @ np.asarray(model(minilm.encode([question])))[0]
        asked = summaries.pairs(split, len(texts))[0]
        best = np.argsort(-close, kind="stable")[:SHOWN]
        shown = question if len(question) <= MOST else f"{question[:MOST]}..."
        prompt = " ".join(filter(None, [shown, minilm.unread(question)]))
        return prompt, [f"\n{close[place]:.2f} {asked[place]}" for place in best]
