"""The models of the course: what each is built from, what it is judged by, and how it was made.

A new kind of model is an entry here and a task in `evaluation.tasks`; nothing else asks what it is.
"""

import dataclasses
from collections.abc import Callable

from course_utils.checks import one_of
from course_utils.models import classic, encoder, language, pairs, seq2seq, speech, vision


@dataclasses.dataclass(frozen=True)
class Entry:
    """What the course knows of one model beside its weights.

    Attributes:
        kind: Its class, or the function that builds it.
        task: Name of the task in `evaluation.tasks.TASKS` that it is judged by.
        command: What makes it, after `python3 -m course_utils`.
    """

    kind: Callable
    task: str
    command: str = "train"


CATALOGUE = {
    "digits-mlp": Entry(vision.mlp, "digits"),
    "digits-lenet": Entry(vision.mlp, "digits"),
    "digits-cnn": Entry(vision.scan_classifier, "digits"),
    "digits-detector": Entry(vision.scene_detector, "detection"),
    "digits-generator": Entry(vision.velocity_network, "generation"),
    "digits-and-words": Entry(pairs.scans_and_words, "matching"),
    "docs-tiny": Entry(language.DecoderLM, "docs"),
    "docs-base": Entry(language.DecoderLM, "docs"),
    "docs-teacher": Entry(language.DecoderLM, "docs"),
    "docs-student": Entry(language.DecoderLM, "docs", "results students"),
    "docs-base-kv2": Entry(language.DecoderLM, "docs", "results caches"),
    "docs-lstm": Entry(classic.LSTMLM, "docs"),
    "docs-hmm": Entry(classic.HMM, "docs"),
    "docs-ngram": Entry(classic.NGram, "docs"),
    "speech-recogniser": Entry(speech.recogniser, "words"),
    "speech-mandarin": Entry(speech.recogniser, "mandarin words"),
    "speech-synthesiser": Entry(speech.speaker, "synthesis"),
    "speech-enhancer": Entry(speech.enhancer, "enhancement"),
    "tales-pretrained": Entry(language.DecoderLM, "stories"),
    "tales-first": Entry(language.DecoderLM, "tales"),
    "tales-second": Entry(language.DecoderLM, "tales"),
    "tales": Entry(language.DecoderLM, "tales"),
    "tales-student": Entry(language.DecoderLM, "tales"),
    "tales-seq2seq": Entry(seq2seq.EncoderDecoder, "translation"),
    "minilm": Entry(encoder.SentenceEncoder, "search", "add"),  # not shipped: see models.minilm
}


def entry(name):
    """Returns the entry of a model; raises `ValueError` with those there are if it has none."""
    return CATALOGUE[one_of("model", name, CATALOGUE)]
