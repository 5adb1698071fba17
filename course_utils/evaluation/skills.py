"""The four skills of the story world: tell, translate, answer, judge a mood."""

import collections
import dataclasses
import functools
import random
import types

import numpy as np

from course_utils.backend import tf
from course_utils.checks import one_of, read_only, whole
from course_utils.datasets import tales
from course_utils.datasets.tales import words
from course_utils.evaluation.intervals import Z, wilson
from course_utils.models.compiled import compiled

COUNTED = 1000  # training stories in which words and answers are counted
GUESSED = 400  # held-out stories of a split, for the score of whoever never reads them


@dataclasses.dataclass(frozen=True)
class Skill:
    """How well a model does one task of the story world.

    Attributes:
        score: Share of the exercises answered exactly, word for word. For stories, see `StorySkill`.
        interval: 95% interval of the score.
        chance: The score of whoever never reads the story: see `commonest_answers` and `unigram_probabilities`.
        examples: How many there were.
    """

    score: float
    interval: tuple
    chance: float
    examples: int


@dataclasses.dataclass(frozen=True)
class StorySkill(Skill):
    """How well a model tells stories. Its score is `floor / perplexity`: 1 is as good as the
    generator itself.

    Attributes:
        accuracy: Share of the stories' tokens that were its first choice.
        perplexity: Of whole stories, a token.
        perplexity_interval: Its 95% interval, these being the stories.
        floor: The perplexity of the generator on the same stories: that of their true
            probabilities.
    """

    accuracy: float
    perplexity: float
    perplexity_interval: tuple
    floor: float


def skills(model, rows=1000, split="test", opening=words.STORY):
    """Measures what a model can do in the story world: tell, translate, answer, judge a mood.

    An answer counts if greedy writing would give it, each word and the end mark. No word need be
    written to know that: greedy writing leaves the exact answer at the first position whose
    likeliest token is another, and up to there it has read just what it would have read in the
    answer. So it gives the answer if and only if the first choice is right at every position of it,
    and one pass over prompt and answer shows them all.

    Args:
        model: A `models.language.DecoderLM` with the vocabulary of the tales; 128 tokens must fit.
        rows: Stories; each becomes one exercise of each task.
        split: `"train"`, `"validation"` or `"test"`.
        opening: What stands before a story to tell: the mark `"<story>"`, or `"<end>"` for a model
            that has only seen stories one after the other. The first word is given, too: it says
            which language is spoken.

    Returns:
        A dict by name of the task: a `StorySkill` for `"story"`, a `Skill` for each other.

    Raises:
        ValueError: If the model knows another vocabulary or too short a context, the split or the
            opening is unknown, or `rows` is not a whole number above zero.

    Example:

    >>> skills(models.load("tales"), rows=8)["translate"].examples
    8
    """
    one_of("split", split, tales.SPLITS)
    one_of("opening", opening, (words.STORY, words.END))
    known, needed = model.config["vocabulary"], len(tales.vocabulary())
    if known != needed:
        raise ValueError(
            f"the model knows {known} tokens, the tales have {needed}: it was trained on something "
            "else"
        )
    whole("context of the model", model.config["context"], tales.LENGTH, 10**6)
    rows = whole("rows", rows, 1, 10**6)
    given = examples(rows, split, opening)
    nats, hits = run_examples(compiled(model, answer_losses), given.tokens, given.answers)
    lengths, told = given.answers.sum(1), given.names == "story"
    measured = {
        "story": story_skill(
            nats[told], hits[told], lengths[told], given.log_probability, given.chance["story"]
        )
    }
    for name in tales.TASKS[1:]:
        share = float((hits == lengths)[given.names == name].mean())
        measured[name] = Skill(share, wilson(share, rows), given.chance[name], rows)
    return measured


def story_skill(nats, hits, tokens, log_probability, guessing):
    """Sets the surprise of a model at some stories against that of the generator.

    Args:
        nats: The model's surprise at each story.
        hits: How many of its tokens were the first choice.
        tokens: How many there are.
        log_probability: Of each story, under the generator.
        guessing: The loss a token of whoever knows nothing but how frequent words are.
    """
    floor = -log_probability.sum() / tokens.sum()
    excess = (nats + log_probability).sum() / tokens.sum()
    # A ratio of two means: its error is that of the residuals. The stories are the same on both
    # sides.
    residuals = nats + log_probability - excess * tokens
    error = Z * residuals.std() / tokens.mean() / np.sqrt(len(nats)) if len(nats) > 1 else np.inf
    low, middle, high = (
        np.exp(np.clip(e, -50, 50)) if np.isfinite(excess) else np.inf
        for e in (excess - error, excess, excess + error)
    )
    floor = np.exp(floor)
    return StorySkill(
        score=float(1 / middle),
        interval=(float(1 / high), float(1 / low)),
        chance=float(floor / np.exp(guessing)),
        examples=len(nats),
        accuracy=float(hits.sum() / tokens.sum()),
        perplexity=float(floor * middle),
        perplexity_interval=(float(floor * low), float(floor * high)),
        floor=float(floor),
    )


def answer_losses(model, tokens, answers):
    """Returns for each row how surprising its answer is, in nats, and how many first choices in it
    are right."""
    logits = model(tokens[:, :-1])
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tokens[:, 1:], logits)
    right = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), tokens[:, 1:])
    return tf.reduce_sum(losses * answers, 1), tf.reduce_sum(
        tf.cast(right, tf.float32) * answers, 1
    )


def run_examples(run, tokens, answers, batch_size=16):
    """Runs `answer_losses` over all rows, short ones by themselves: two shapes, so that little padding
    is read."""
    nats, hits = np.zeros(len(tokens)), np.zeros(len(tokens))
    short = ~tokens[:, 65:].any(1)
    for rows, length in ((np.flatnonzero(short), 64), (np.flatnonzero(~short), tales.LENGTH)):
        for i in range(0, len(rows), batch_size):
            part = np.resize(
                rows[i : i + batch_size], batch_size
            )  # the last batch repeats rows to be as long
            batch = tf.constant(tokens[part, : length + 1]), tf.constant(answers[part, :length])
            nats[part], hits[part] = (values.numpy() for values in run(*batch))
    return nats, hits


@dataclasses.dataclass(frozen=True)
class Examples:
    """Examples of all four tasks, one a row.

    Attributes:
        names: Which task a row belongs to.
        tokens: Prompt and answer, `int32` of shape `(4 * rows, 129)`, padded at the end.
        answers: 1 where the token to predict, `tokens[:, 1:]`, belongs to the answer, `float32`.
        log_probability: Of the stories told, one each.
        chance: What guessing gives: shares of right answers, and for stories the loss a token.
    """

    names: np.ndarray
    tokens: np.ndarray
    answers: np.ndarray
    log_probability: np.ndarray
    chance: dict


@functools.lru_cache(maxsize=8)
def examples(rows, split, opening=words.STORY):
    """Returns the `Examples` that `skills` measures on."""
    tokens = np.zeros((len(tales.TASKS) * rows, tales.LENGTH + 1), np.int32)  # <pad> is token 0
    answers = np.zeros((len(tokens), tales.LENGTH), np.float32)
    told = [tales.story(split, i) for i in range(rows)]
    guessing = 0.0
    for row, (name, one) in enumerate((name, one) for name in tales.TASKS for one in told):
        prompt, answer = tales.task(name, one, random.Random(f"skills {split} {row}"))
        if name == "story":
            prompt, answer = words.encode((opening, one.english[0])), answer[1:]
            guessing -= np.log(unigram_probabilities()[answer]).sum()
        used = len(prompt) + len(answer)
        tokens[row, :used] = np.concatenate([prompt, answer])
        answers[row, len(prompt) - 1 : used - 1] = 1
    chance = {"story": guessing / answers[:rows].sum(), **lucky()}
    return Examples(
        read_only(np.repeat(tales.TASKS, rows)),
        read_only(tokens),
        read_only(answers),
        read_only(np.array([one.log_probability for one in told])),
        types.MappingProxyType(chance),
    )


@functools.cache
def lucky():
    """Returns by task the share of right answers of whoever never reads the story. It is counted
    once, on more stories than a model is asked about: a few of them may be sad too often."""
    rng, hits = random.Random("luck"), dict.fromkeys(tales.TASKS[1:], 0)
    held_out = [one for split in ("validation", "test") for one in tales.stories(split, GUESSED)]
    for one in held_out:
        for name in hits:
            prompt, answer = tales.task(name, one, rng)
            hits[name] += commonest_answers().get(question_form(prompt)) == tuple(answer)
    return types.MappingProxyType({name: right / len(held_out) for name, right in hits.items()})


def question_form(prompt):
    """Returns the form of what is asked: the mark and the question, with a gap for each name and
    thing."""
    text = [tales.vocabulary()[i] for i in prompt]
    asked = text[len(text) - text[::-1].index(".") :]
    return (text[0], *(word if word in words.ASKING else "_" for word in asked))


@functools.cache
def commonest_answers():
    """What to answer without reading the story: the most frequent answer to each form of question.

    Returns:
        A dict from `question_form` to the answer's tokens.
    """
    rng, counted = random.Random(0), collections.defaultdict(collections.Counter)
    for one in tales.stories("train", COUNTED):
        for name in tales.TASKS[1:]:
            prompt, answer = tales.task(name, one, rng)
            counted[question_form(prompt)][tuple(answer)] += 1
    most = {asked: answers.most_common(1)[0][0] for asked, answers in counted.items()}
    return types.MappingProxyType(most)


@functools.cache
def unigram_probabilities():
    """How frequent each token is in English training stories, with one added to each count:
    probabilities."""
    line = np.concatenate(
        [words.encode((*one.english[1:], words.END)) for one in tales.stories("train", COUNTED)]
    )
    counts = 1 + np.bincount(line, minlength=len(tales.vocabulary()))
    return read_only(counts / counts.sum())
