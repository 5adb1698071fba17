"""Tasks: for each kind of work, its data, how it is scored, and what a sample of it looks like.

A task is any object with the attributes `live` and `report`, how much data a move of a slider and a
report are scored on, and four methods:

- `data(split, count)`: what models are scored on, an array or a tuple of arrays;
- `score(model, data)`: a `Score`;
- `inputs(data)`: what the model is called on, for calibration;
- `sample(model)`: a prompt and the pieces of text that the model adds, or `None`.

A task that can be asked has a `question`, and its `sample` takes another one.

What it is judged by has a name in a table's head, `measure`: "accuracy" where a task says nothing.
"""

import numpy as np

from course_utils import decoding
from course_utils.backend import tf
from course_utils.datasets import digits, docs, scenes, tales
from course_utils.datasets.tales import words
from course_utils.decoding import flow, translation
from course_utils.evaluation import detection, generation
from course_utils.evaluation.classification import classify
from course_utils.evaluation.language import next_token
from course_utils.evaluation.retrieval import Matching
from course_utils.evaluation.scores import Score
from course_utils.evaluation.search import Finding
from course_utils.evaluation.skills import examples, skills
from course_utils.evaluation.speech import Cleaning, Speaking, Words
from course_utils.models import catalogue
from course_utils.models.compiled import compiled


class Docs:
    """Predicts the next token of docstrings."""

    live, report = 16, 128  # sequences of 128 predictions
    prompt, length = "Returns the ", 40  # of a sample, and how many tokens it adds

    def data(self, split, count):
        return docs.sequences(split, count)

    def score(self, model, tokens):
        seen = next_token(model, tokens)
        return Score(seen.accuracy, seen.perplexity, seen)

    def inputs(self, tokens):
        return tokens[:, :-1]

    def sample(self, model):
        if not hasattr(model, "read"):  # without a cache, text would come too late for a slider
            return None
        tokenizer = docs.tokenizer()
        prompt = tokenizer.encode(self.prompt).ids
        written = decoding.generate(model, prompt, self.length)[len(prompt) :]
        return self.prompt, [tokenizer.decode([token]) for token in written]


class Tales:
    """Tells, translates, answers and judges in the story world.

    Args:
        opening: What stands before a story: a mark, or for a model that has only read stories the
            end of one.
    """

    live, report = 48, 384  # stories, and as many exercises of each other skill

    def __init__(self, opening):
        self.opening = opening

    def data(self, split, count):
        return split, count  # stories are drawn anew

    def score(self, model, data):
        found = skills(model, int(data[1]), str(data[0]), self.opening)
        return Score(found["story"].accuracy, found["story"].perplexity, found)

    def inputs(self, data):
        return examples(int(data[1]), str(data[0]), self.opening).tokens[:, :48]  # little padding

    def sample(self, model):
        told, end = tales.story("validation", 0).english, words.MARKS.index(words.END)
        if self.opening == words.STORY:
            prompt = tales.prompt("translate", told)
        else:
            prompt = words.encode((words.END, *told[:6]))
        text = [tales.vocabulary()[t] for t in decoding.answers(model, [prompt], end)[0]]
        return tales.decode(prompt), [f"{word} " if word.isascii() else word for word in text]


class Translation:
    """Translates stories from English to Chinese, each word for word."""

    live, report = 48, 384  # stories

    def data(self, split, count):
        return tales.translation_batch(split, count, 64, seed=0, step=0)

    def score(self, model, data):
        source, target = translation.pair(model, *data)
        losses, right = compiled(model, translated)(tf.constant(source), tf.constant(target))
        return Score(float(right), float(tf.exp(losses)), None)

    def inputs(self, data):
        return data[0], data[1][:, :-1]

    def sample(self, model):
        (source,), (target,) = self.data("validation", 1)
        written = translation.translate(
            model, source[None], target[0], words.MARKS.index(words.END)
        )[0]
        return tales.decode(source), [tales.vocabulary()[token] for token in written]


def translated(model, source, target):
    """Returns the mean loss a token, and the share of targets that greedy writing would give."""
    logits, wanted = model((source, target[:, :-1])), target[:, 1:]
    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(wanted, logits)
    real = tf.cast(wanted != translation.PAD, losses.dtype)
    right = tf.equal(tf.argmax(logits, -1, output_type=tf.int32), wanted) | (real == 0)
    exact = tf.cast(tf.reduce_all(right, axis=1), losses.dtype)
    return tf.reduce_sum(losses * real) / tf.reduce_sum(real), tf.reduce_mean(exact)


class Digits:
    """Recognises handwritten digits."""

    live = report = None  # all of the split
    portable = True  # a LiteRT file can be scored like the model

    def data(self, split, count=None):
        return tuple(part[:count] for part in digits.load(split))

    def score(self, model, data):
        seen = classify(model, *data)
        return Score(seen.accuracy, seen.perplexity, seen)

    def inputs(self, data):
        return data[0]

    def sample(self, model):
        return None


class Scenes:
    """Finds and names digits on scenes."""

    live, report = 64, 400  # scenes
    measure, portable = "mAP at 0.5", True

    def data(self, split, count):
        return scenes.load(split, count)

    def score(self, model, data):
        pictures, boxes, labels = data
        seen = detection.judge(detection.detect(model, pictures), boxes, labels)
        return Score(None, None, seen, seen.at_half)

    def inputs(self, data):
        return data[0]

    def sample(self, model):
        return None


class Pictures:
    """Draws handwritten digits; `generation.JUDGES` says who looks at them."""

    live, report = 200, 400  # pictures
    measure, portable = "recognised", True
    steps = 16  # of Euler's method

    def data(self, split, count):
        return split, count  # a generator is given noise alone

    def score(self, model, data):
        split, count = str(data[0]), int(data[1])
        labels = generation.asked(count)
        drawn = flow.draw(model, labels, self.steps)
        seen = generation.score_pictures(drawn, labels, split)
        return Score(None, None, seen, seen.recognised)

    def inputs(self, data):
        """Places on the way from noise to scans, where a generator will be asked."""
        scans, labels = (part[: int(data[1])] for part in digits.load(str(data[0])))
        time = np.linspace(0, 1, len(scans), endpoint=False, dtype=np.float32)[:, None]
        between = (1 - time) * flow.noise(len(scans)) + time * (2 * scans - 1)
        return flow.state(between, time, labels)

    def sample(self, model):
        return None


TASKS = {
    "docs": Docs(),
    "tales": Tales(words.STORY),
    "stories": Tales(words.END),
    "translation": Translation(),
    "digits": Digits(),
    "detection": Scenes(),
    "generation": Pictures(),
    "words": Words("english"),
    "mandarin words": Words("mandarin"),
    "synthesis": Speaking(),
    "enhancement": Cleaning(),
    "matching": Matching(),
    "search": Finding(),
}


def of(name):
    """Returns the task by which a model of the catalogue is judged."""
    return TASKS[catalogue.entry(name).task]
