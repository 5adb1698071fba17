"""What came before the Transformer, each as `model(tokens) -> logits`: rules, n-grams, a hidden
Markov model, an LSTM."""

from course_utils.models.classic.hmm import HMM, baum_welch, class_bigram, forward
from course_utils.models.classic.lstm import LSTM, LSTMLM
from course_utils.models.classic.ngram import NGram, bigram, count, kneser_ney
from course_utils.models.classic.rules import LEXICON, RULES, Rules

__all__ = [
    "HMM",
    "LEXICON",
    "LSTM",
    "LSTMLM",
    "RULES",
    "NGram",
    "Rules",
    "baum_welch",
    "bigram",
    "class_bigram",
    "count",
    "forward",
    "kneser_ney",
]
