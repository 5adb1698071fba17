"""Checks of arguments: numbers of every type come out plain, all others are named; and what the
package keeps and hands out again cannot be changed by whoever gets it."""

import ast
import fractions
import importlib
import inspect
import pathlib
import pkgutil
import types

import numpy as np
import pytest

import course_utils
from course_utils import checks, quantization
from course_utils.datasets import digits, docs, speaking
from course_utils.evaluation.skills import commonest_answers, examples, unigram_probabilities
from course_utils.experiments import students

INTEGERS = (np.uint8, np.uint16, np.uint32, np.uint64, np.int8, np.int16, np.int32, np.int64)
NO_NUMBERS = ("4", b"4", None, 4j, np.complex64(4), np.array(4), np.array([4]), [4], {4})


# --- numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [*INTEGERS, float, np.float16, np.float32, fractions.Fraction])
def test_whole_numbers_of_every_type_come_out_as_int(kind):
    for number in (checks.whole("bits", kind(4), 1, 8), checks.seed(kind(4))):
        assert number == 4 and type(number) is int


@pytest.mark.parametrize(
    "value",
    [
        *NO_NUMBERS,
        *(True, np.True_, 4.5, 0, -1, 9, np.uint8(255), 10**400, np.inf, -np.inf, np.nan),
        *(np.float16("inf"), np.float32(2**31)),
    ],
)
def test_what_is_no_whole_number_is_named(value):
    with pytest.raises(ValueError, match="bits must be a whole number from 1 to 8, got "):
        checks.whole("bits", value, 1, 8)


@pytest.mark.parametrize(
    "value", [*NO_NUMBERS, 10**400, np.inf, -np.inf, np.nan, np.float16("inf")]
)
def test_what_is_no_number_is_named(value):
    for check in (checks.positive, checks.not_negative, checks.fraction):
        with pytest.raises(ValueError, match="Q must be "):
            check("Q", value)
    with pytest.raises(ValueError, match="Q must be a number from 1 to 1e.30"):
        checks.within("Q", value, 1, 1e30)


def test_seeds_end_where_generators_do():
    assert checks.seed(0) == 0 and checks.seed(np.uint64(2**31 - 1)) == 2**31 - 1
    for seed in (2**31, np.float32(2**31), -1, 1.5):
        with pytest.raises(ValueError, match="seed must be a whole number from 0"):
            checks.seed(seed)
        with pytest.raises(ValueError, match="seed must be a whole number from 0"):
            students.new(seed)


@pytest.mark.parametrize(
    "values", [[1j], ["1"], [None], [10**400], {}, "x", [[1], [1, 2]], [], [np.nan]]
)
def test_what_is_no_array_of_numbers_is_named(values):
    with pytest.raises(ValueError, match="weights must "):
        checks.finite("weights", values)


def test_floats_keep_their_type_and_other_numbers_become_float64():
    for kind, kept in (
        (np.float32, np.float32),
        (np.float64, np.float64),
        (np.float16, np.float64),
    ):
        assert checks.finite("weights", np.ones(2, kind)).dtype == kept
    assert checks.finite("weights", [True, 2]).dtype == np.float64
    with pytest.raises(ValueError, match="weights must lie from -10 to 10, got one of size 11"):
        checks.finite("weights", np.array([3, -11], np.float32), 10)


def dropped(source):
    """Lines on which a function checks an argument of its own and goes on with what it was given."""
    for function in ast.walk(ast.parse(source)):
        if not isinstance(function, ast.FunctionDef):
            continue
        names = {one.arg for one in (*function.args.args, *function.args.kwonlyargs)}
        for node in ast.walk(function):
            if not isinstance(node, ast.Expr):
                continue
            for call in getattr(node.value, "elts", [node.value]):
                checked = isinstance(call, ast.Call) and ast.unparse(call.func) in ("whole", "seed")
                if checked and {ast.unparse(given) for given in call.args} & names:
                    yield call.lineno


def test_no_caller_goes_on_with_the_number_it_was_given():
    for path in pathlib.Path(course_utils.__path__[0]).rglob("*.py"):
        assert not list(dropped(path.read_text(encoding="utf8"))), path
    assert list(dropped("def f(n):\n    g(), whole('n', n, 1, 2)")) == [2]
    assert not list(dropped("def f(n):\n    n = whole('n', n, 1, 2)\n    whole('n', g(n), 1, 2)"))


# --- what is kept --------------------------------------------------------------------------------

CALLS = {  # how to call what keeps its answers; those that compute for long are not asked
    "course_utils.datasets.digits._shuffled": (),
    "course_utils.datasets.docs._described": (),
    "course_utils.datasets.docs.docstrings": ("validation",),
    "course_utils.datasets.docs.folder": ("numpy",),
    "course_utils.datasets.docs.modules": ("validation",),
    "course_utils.datasets.docs.sources": (),
    "course_utils.datasets.docs.tokens": ("validation",),
    "course_utils.datasets.readers.tokens": ("sklearn", "validation"),
    "course_utils.datasets.scenes.load": ("test", 2),
    "course_utils.datasets.speaking.sounds": (),
    "course_utils.datasets.speech._shelf": ("english",),
    "course_utils.datasets.speech.load": ("english", "validation"),
    "course_utils.datasets.speech.people": ("Chu Lo",),
    "course_utils.datasets.tales.telling.patterns": (),
    "course_utils.datasets.tales.words._chinese_pattern": (),
    "course_utils.datasets.tales.words._ids": (),
    "course_utils.datasets.tales.words.vocabulary": (),
    "course_utils.document.workings.digits": (),
    "course_utils.evaluation.skills.commonest_answers": (),
    "course_utils.evaluation.skills.examples": (2, "test"),
    "course_utils.evaluation.skills.lucky": (),
    "course_utils.evaluation.skills.unigram_probabilities": (),
    "course_utils.evaluation.speech.asked_and_heard": ("validation",),
    "course_utils.evaluation.speech.every": (),
    "course_utils.evaluation.speech.noisy": ("validation", 2),
    "course_utils.evaluation.speed._elsewhere": (),
    "course_utils.lessons.outlook.each_own._windows": ("sklearn",),
    "course_utils.lessons.outlook.each_own.adapter": ("sklearn",),
    "course_utils.lessons.speech.explorers._speaker": ("absmax", None, 4, None),
    "course_utils.lessons.speech.explorers.original_levels": ("seven", speaking.VOICES[0]),
    "course_utils.lessons.trade_offs.explorers._matrix": (),
    "course_utils.lessons.training.explorers.line": (),
}
NOT_ASKED = {
    "course_utils.chart.png._fonts": "two fonts, for the renderer alone",
    "course_utils.datasets.summaries.modules": "a tuple",
    "course_utils.datasets.summaries.pairs": "two tuples of texts",
    "course_utils.datasets.tales.world._looks": "a tuple",
    "course_utils.datasets.tales.world._pairs": "a tuple",
    "course_utils.datasets.tales.world._without": "a tuple",
    "course_utils.decoding.classic.reader": "a function",
    "course_utils.document.claims.applications.recorded": "what a JSON file holds",
    "course_utils.document.claims.applications.own_adapter": "numbers",
    "course_utils.evaluation.bench.bench": "a workbench",
    "course_utils.evaluation.generation.judge": "a network, and a part of it",
    "course_utils.evaluation.speech.listener": "a network",
    "course_utils.lessons.architecture.exercises.counted": "a number",
    "course_utils.lessons.architecture.exercises.read_at_once": "a model reads",
    "course_utils.lessons.background.exercises.said_by_both": "two models read",
    "course_utils.lessons.inference.parts.repeated": "a function",
    "course_utils.lessons.language.explorers._original_can": "a model of the tales is measured",
    "course_utils.lessons.language.explorers._original_says": "a model of the tales writes",
    "course_utils.lessons.mathematics.exercises.perplexity_well_clipped": "a number",
    "course_utils.lessons.mathematics.exercises.three_bits": "a model to write into",
    "course_utils.lessons.mathematics.explorers.best_clip": "numbers",
    "course_utils.lessons.outlook.each_own._plain": "a number",
    "course_utils.lessons.outlook.ears_and_eyes._asked": "scenes and clips, drawn and read",
    "course_utils.lessons.outlook.ears_and_eyes._found": "three models look at all of them",
    "course_utils.lessons.outlook.explained._before": "a model reads",
    "course_utils.lessons.outlook.explained._explained": "a classifier is explained",
    "course_utils.lessons.speech.explorers._gained": "a number",
    "course_utils.lessons.speech.explorers._looking": "a workbench, a network and its pictures",
    "course_utils.lessons.training.exercises.last_vectors": "a model reads",
    "course_utils.lessons.vision.explorers._seen": "a detector looks at all scenes",
    "course_utils.lessons.mathematics.explorers.clip_curve": "a tuple",
}


@pytest.fixture(scope="module")
def modules():
    """Every module of the package that a lesson can import."""
    names = (found.name for found in pkgutil.walk_packages(course_utils.__path__, "course_utils."))
    return [importlib.import_module(name) for name in names if not name.endswith("__main__")]


def arrays_in(value):
    """All arrays in an answer: in tuples, lists, dicts and objects."""
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, (tuple, list, set)):
        for one in value:
            yield from arrays_in(one)
    elif isinstance(value, (dict, types.MappingProxyType)):
        yield from arrays_in(list(value.values()))
    elif hasattr(value, "__dict__") and not callable(value):
        yield from arrays_in(list(vars(value).values()))


def test_what_is_kept_is_read_only(modules):
    kept = {
        f"{module.__name__}.{name}": found
        for module in modules
        for name, found in vars(module).items()
        if hasattr(found, "cache_info") and found.__module__ == module.__name__
    }
    assert set(kept) == set(CALLS) | set(NOT_ASKED)
    count = 0
    for name, arguments in CALLS.items():
        for array in arrays_in(kept[name](*arguments)):
            assert not array.flags.writeable, name
            count += 1
    assert count > 10


def test_arrays_that_modules_share_are_read_only(modules):
    shared = {
        f"{module.__name__}.{name}": found
        for module in modules
        for name, found in vars(module).items()
        if isinstance(found, np.ndarray)
    }
    assert "course_utils.quantization.NF4" in shared
    assert not [name for name, array in shared.items() if array.flags.writeable]


def test_writing_into_what_was_returned_does_not_show():
    scans, labels = digits.load("test")
    for change in (
        lambda: scans.__isub__(scans.max(0)),
        lambda: labels.fill(0),
        lambda: docs.tokens("validation").fill(0),
        lambda: quantization.nf4(np.eye(64, dtype=np.float32)).codebook.fill(0),
        lambda: examples(2, "test").tokens.fill(0),
        lambda: unigram_probabilities().fill(0),
    ):
        with pytest.raises(ValueError, match="read-only"):
            change()
    for change in (examples(2, "test").chance, commonest_answers()):
        assert not hasattr(change, "clear")
    docs.tokenizer().add_tokens(["hello"])
    assert docs.tokenizer().get_vocab_size() == 512
    assert quantization.normal_levels().flags.writeable  # made anew
    assert docs.sequences("validation", 2).flags.writeable  # cut out, a copy


def test_the_walk_finds_an_array_wherever_it_is():
    array = np.zeros(2)
    holder = types.SimpleNamespace(inner={"key": [(array,)]})
    assert next(arrays_in([holder])) is array
    assert inspect.isgenerator(arrays_in(3))
