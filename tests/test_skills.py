"""The four skills of the story world: measured in one pass, which must agree with really writing
the answers."""

import collections
import random

import numpy as np
import pytest
import small

from course_utils import compression, decoding, evaluation, models, quantization
from course_utils.datasets import tales
from course_utils.datasets.tales import words
from course_utils.models.compiled import compiled

END = int(words.encode([words.END])[0])


@pytest.fixture(scope="module")
def tales_model():
    return models.load("tales")


@pytest.fixture(scope="module")
def rounded(tales_model):
    """Rounded until some answers are right and some are wrong, so that agreement means
    something."""
    for bits in (3, 4, 5):
        model = compression.compress(
            tales_model, [compression.Quantize(quantization.absmax, bits=bits, group_size=32)]
        ).model
        result = evaluation.skills(model, 16)
        if 0.1 < np.mean([result[name].score for name in tales.TASKS[1:]]) < 0.9:
            return model
    return model


def test_one_pass_sees_what_greedy_writing_writes(rounded):
    given = evaluation.examples(16, "test")
    _, hits = evaluation.run_examples(
        compiled(rounded, evaluation.answer_losses), given.tokens, given.answers
    )
    right = hits == given.answers.sum(1)
    agreed, close = collections.Counter(), 0
    asked = np.flatnonzero(given.names != "story")
    answers = [np.flatnonzero(given.answers[row]) + 1 for row in asked]
    prompts = [given.tokens[row, : answer[0]] for row, answer in zip(asked, answers)]
    for row, answer, written in zip(asked, answers, decoding.answers(rounded, prompts, END)):
        truth = given.tokens[row, answer]
        assert right[row] == (written.tolist() == truth[:-1].tolist()), tales.decode(
            given.tokens[row]
        )
        agreed[bool(right[row])] += 1
        close += (
            not right[row]
            and len(written) == len(truth) - 1
            and np.mean(written == truth[:-1]) > 0.5
        )
    assert min(agreed[True], agreed[False]) >= 4  # both happen, ...
    assert close >= 1  # ... and an answer that is right in most of its words is still a wrong one
    result = evaluation.skills(rounded, 16)
    assert sum(result[name].score for name in tales.TASKS[1:]) * 16 == pytest.approx(agreed[True])


def test_perplexity_of_stories_is_what_plain_numpy_says(rounded):
    total, count, floor, hits = 0.0, 0, 0.0, 0
    for one in tales.stories("validation", 5):
        tokens = words.encode((words.STORY, *one.english, words.END))
        logits = np.asarray(rounded(tokens[None, :-1]))[0].astype(np.float64)
        logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
        total -= logits[np.arange(1, len(tokens) - 1), tokens[2:]].sum()  # the first word is given
        hits += np.sum(logits[1:].argmax(-1) == tokens[2:])
        count, floor = count + len(tokens) - 2, floor - one.log_probability
    told = evaluation.skills(rounded, 5, "validation")["story"]
    assert told.perplexity == pytest.approx(np.exp(total / count), rel=1e-4)
    assert told.floor == pytest.approx(np.exp(floor / count)) and told.accuracy == pytest.approx(
        hits / count
    )
    assert told.score == pytest.approx(told.floor / told.perplexity)
    assert (
        told.interval[0] < told.score < told.interval[1]
        and told.perplexity_interval[0] < told.perplexity
    )


def test_the_generator_itself_would_score_one():
    rng = np.random.default_rng(0)
    tokens, log_probability = rng.integers(40, 60, 200), -rng.uniform(30, 60, 200)
    perfect = evaluation.story_skill(-log_probability, tokens, tokens, log_probability, np.log(100))
    assert perfect.score == pytest.approx(1) and perfect.perplexity == pytest.approx(perfect.floor)
    worse = evaluation.story_skill(
        -log_probability + 0.1 * tokens, tokens / 2, tokens, log_probability, np.log(100)
    )
    assert (
        worse.score
        == pytest.approx(np.exp(-0.1))
        == pytest.approx(worse.interval[0])
        == pytest.approx(worse.interval[1])
    )
    assert worse.accuracy == 0.5 and worse.chance == pytest.approx(worse.floor / 100)
    broken = evaluation.story_skill(
        np.full(200, np.nan), tokens, tokens, log_probability, np.log(100)
    )
    assert broken.perplexity == np.inf and broken.score == 0


def test_the_interval_of_a_story_score_covers_the_truth():
    rng, inside = np.random.default_rng(1), 0
    for _ in range(400):
        tokens = rng.integers(40, 60, 50)
        nats = tokens * 0.9 + rng.normal(0, 3, 50)
        low, high = evaluation.story_skill(nats, tokens, tokens, -0.8 * tokens, 1.0).interval
        inside += low < np.exp(-0.1) < high
    assert inside / 400 == pytest.approx(0.94, abs=0.04)


def test_the_floor_is_that_of_the_world():
    told = evaluation.story_skill(np.ones(1), np.ones(1), np.ones(1), -np.ones(1), 1.0)
    assert told.floor == pytest.approx(np.e)
    given = evaluation.examples(300, "test")
    tokens = given.answers[given.names == "story"].sum()
    floor, error = tales.entropy_floor(
        "test", "english"
    )  # counts the first word, whose probability is one
    assert -given.log_probability.sum() / (tokens + 300) == pytest.approx(
        floor, abs=4 * error * np.sqrt(2000 / 300)
    )


@pytest.mark.parametrize("split", ["validation", "test"])
def test_exercises_are_those_of_the_world(split):
    given = evaluation.examples(20, split)
    assert given.tokens.shape == (80, 129) and given.answers.shape == (80, 128)
    for row in range(80):
        one, name = tales.story(split, row % 20), given.names[row]
        answer = given.tokens[row, 1:][given.answers[row] == 1]
        text = tales.decode(answer).lower()
        expected = {"story": one.english[1:], "translate": one.chinese, "mood": (one.mood,)}
        if name == "question":
            asked = (
                tales.decode(given.tokens[row])
                .lower()
                .split(". ")[-1]
                .split(" <answer>")[0]
                .replace("?", " ?")
            )
            assert (asked, text.split(" <end>")[0]) in tales.questions(one)
        else:
            assert answer.tolist() == words.encode((*expected[name], words.END)).tolist()
    assert given.tokens[0].tolist() != evaluation.examples(20, "train").tokens[0].tolist()


def test_padding_and_batches_do_not_matter(rounded):
    given = evaluation.examples(10, "validation")
    run = compiled(rounded, evaluation.answer_losses)
    nats, hits = evaluation.run_examples(run, given.tokens, given.answers)
    for row in (0, 13, 25, 39):
        alone, fine = evaluation.run_examples(
            run, given.tokens[row : row + 1], given.answers[row : row + 1]
        )
        assert alone[0] == pytest.approx(nats[row], rel=1e-4) and fine[0] == hits[row]


def test_chance_is_the_best_constant_answer_to_each_form_of_question():
    given = evaluation.examples(2, "test")
    told = [*tales.stories("validation", 400), *tales.stories("test", 400)]
    asked = collections.defaultdict(collections.Counter)
    for i, one in enumerate(told):
        question, answer = tales.ask(one, random.Random(f"skills test {i}").random)
        asked[tuple(w if w in words.ASKING else "_" for w in question.split())][answer] += 1
    best = (
        sum(answers.most_common(1)[0][1] for answers in asked.values()) / 800
    )  # with the answers in hand
    one_for_all = sum(asked.values(), collections.Counter()).most_common(1)[0][1] / 800
    assert one_for_all <= given.chance["question"] <= best
    moods = collections.Counter(one.mood for one in told)
    assert (
        given.chance["mood"] in {count / 800 for count in moods.values()}
        and 0.3 < given.chance["mood"] < 0.4
    )
    # A few stories more or less change nothing: it is counted once.
    assert given.chance["mood"] == evaluation.examples(48, "validation").chance["mood"]
    assert given.chance["translate"] == 0
    assert 0.9 < evaluation.unigram_probabilities().sum() < 1.0001
    assert 2.5 < given.chance["story"] < np.log(len(tales.vocabulary()))


def test_forms_of_questions_leave_gaps_for_names():
    def form(text):
        return " ".join(evaluation.question_form(tales.prompt("question", "Anna smiles.", text)))

    assert form("Where is Tom?") == form("Where is Anna?") == "<question> where is _ ? _"
    assert (
        len(
            {
                form(q)
                for q in (
                    "Where is the kite?",
                    "Who has the kite?",
                    "Is Anna happy?",
                    "Is Anna sad?",
                )
            }
        )
        == 4
    )


# --- what is refused -----------------------------------------------------------------------------


def test_a_model_of_another_vocabulary():
    with pytest.raises(ValueError, match="knows 512 tokens, the tales have 689"):
        evaluation.skills(models.load("docs-tiny"))


def test_a_model_that_reads_too_little():
    short = small.decoder(vocabulary=689, width=8, heads=1, context=64)
    with pytest.raises(ValueError, match="context of the model must be a whole number from 128"):
        evaluation.skills(short)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"rows": 0}, "rows must be a whole number from 1"),
        ({"rows": -3}, "rows must be"),
        ({"rows": 2.5}, "rows must be"),
        ({"split": "tests"}, "unknown split 'tests'; choose from: train, validation, test"),
        ({"opening": "<mood>"}, "unknown opening '<mood>'; choose from: <story>, <end>"),
    ],
)
def test_arguments_are_checked(tales_model, arguments, says):
    with pytest.raises(ValueError, match=says):
        evaluation.skills(tales_model, **arguments)


@pytest.mark.parametrize(
    ("name", "text", "asked", "says"),
    [
        ("translate", "", "", "'translate' needs a story, got none"),
        ("mood", "   ", "", "'mood' needs a story, got none"),
        ("question", "Anna smiles.", "", "'question' needs a question, got none"),
        ("translate", "Anna smlies.", "", "unknown word 'smlies'; did you mean: smiles"),
        ("question", "Anna smiles.", "Who smiels?", "unknown word 'smiels'"),
        ("translate", "Anna smiles. <answer>", "", "must not stand in a text, got <answer>"),
        (
            "sing",
            "Anna smiles.",
            "",
            "unknown task 'sing'; choose from: story, translate, question, mood",
        ),
    ],
)
def test_prompts_are_checked(name, text, asked, says):
    with pytest.raises(ValueError, match=says):
        tales.prompt(name, text, asked)


def test_a_prompt_of_your_own_is_the_prompt_of_the_exercise():
    one = tales.story("test", 3)
    text = tales.decode(words.encode(one.english))
    for name in ("translate", "mood", "story"):
        prompt, _ = tales.task(name, one, random.Random(0))
        assert prompt.tolist() == tales.prompt(name, text if name != "story" else "").tolist()
    prompt, _ = tales.task("question", one, random.Random(0))
    assert (
        prompt.tolist()
        == tales.prompt("question", text, tales.ask(one, random.Random(0).random)[0]).tolist()
    )


def test_an_answer_ends_at_the_mark_or_where_the_context_does(tales_model):
    prompt, _ = tales.task("mood", tales.story("test", 1), None)
    assert decoding.answers(tales_model, [prompt], END)[0].tolist() in [
        words.encode([mood]).tolist() for mood in words.MOODS
    ]
    never = int(words.encode([words.TRANSLATE])[0])  # a mark that is never written
    assert len(decoding.answers(tales_model, [prompt], never)[0]) == 128 - len(prompt)


def test_several_prompts_are_answered_as_each_alone(tales_model):
    one = tales.story("test", 2)
    prompts = [tales.task(name, one, random.Random(1))[0] for name in tales.TASKS]
    together = decoding.answers(tales_model, prompts, END)
    for prompt, written in zip(prompts, together):
        text = np.array([*prompt, *written, END])[:128]
        alone = np.argmax(tales_model(text[None, :-1]), -1)[0]  # no position looks ahead
        assert (
            END not in written and alone[len(prompt) - 1 :].tolist() == text[len(prompt) :].tolist()
        )
    for bad, says in (
        ([[]], "prompt length must be"),
        ([[1, 2], [700]], "token ids from 0 to 688"),
        ([[1] * 128], "length"),
    ):
        with pytest.raises(ValueError, match=says):
            decoding.answers(tales_model, bad, END)
