"""What a decoder's shape says about its work is what Keras and TensorFlow count; reconstruction is
least squares; the parts of a step do the work they are named after."""

import dataclasses
import math

import numpy as np
import pytest

from course_utils import compression, models, pruning
from course_utils.backend import tf
from course_utils.compression import Apply, Prune, compress
from course_utils.datasets import docs
from course_utils.decoding import loops
from course_utils.evaluation.products import Roofline
from course_utils.lessons.inference import parts
from course_utils.lessons.inference.explorers import H100, Step, milliseconds, size, step_explorer
from course_utils.lessons.inference.reconstruction import reconstruct
from course_utils.lessons.inference.shapes import SHAPES, Shape
from course_utils.models import cache
from course_utils.models.compiled import compiled
from course_utils.models.language import DecoderLM

HALF = pruning.fraction(0.5)


def small(**options):
    """An untrained decoder no two of whose sizes are alike."""
    sizes = {"vocabulary": 50, "width": 24, "depth": 3, "heads": 4, "context": 20, **options}
    model = DecoderLM(**sizes)
    model.build()
    return model


# --- shapes --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [{}, {"kv_heads": 2}, {"kv_heads": 1, "head_size": 10}, {"mlp_width": 70}]
)
def test_a_shape_counts_what_keras_counts(options):
    model = small(**options)
    shape = Shape.of(model)
    assert shape.parameters == model.count_params()
    tables = model.embedding.count_params() + model.positions.count_params()
    assert shape.read == model.count_params() - tables
    for rows, slots in ((1, 20), (7, 5)):
        assert shape.cache_bytes(rows * slots, 32) == cache.size(model.empty_caches(rows, slots))


def test_the_shipped_models_have_the_shapes_of_the_table():
    base = models.load("docs-base")
    assert Shape.of(base) == SHAPES["docs-base"]
    assert SHAPES["docs-base"].parameters == base.count_params() == 935040
    assert SHAPES["docs-base"].cache_bytes(128, 32) == cache.size(base.empty_caches(1))


def test_the_published_shapes_have_the_published_sizes():
    assert SHAPES["7 billion"].parameters == 6_738_415_616  # as in Llama 2's own files
    assert SHAPES["70 billion"].parameters == 68_976_648_192
    assert SHAPES["7 billion"].cache_bytes(1, 16) == 2**19


@pytest.mark.parametrize("options", [{}, {"kv_heads": 2}])
def test_operations_are_those_that_tensorflow_counts(options):
    model = small(vocabulary=512, width=128, context=128, **options)
    shape, at = Shape.of(model), tf.constant(127)

    def counted(part, rows):
        x, caches = tf.ones((rows, 1, 128)), model.empty_caches(rows)
        return parts.counted(lambda x, at: part(model, x, caches, at)[0], x, at)

    for name, operations in shape.operations(128).items():  # TensorFlow counts the softmax, too
        more = counted(parts.PARTS[name], 1) / operations - 1
        assert 0 <= more < (0.1 if name == "attention" else 0.02), (name, more)
    for rows in (1, 4):
        more = counted(parts.whole_step, rows) / shape.step(rows, 128, 32)[0] - 1
        assert 0 <= more < 0.03, (rows, more)


def test_a_step_reads_its_weights_once_and_a_cache_for_each_text():
    shape = SHAPES["70 billion"]
    one, many = shape.step(1, 100, 16), shape.step(5, 100, 16)
    assert many == (5 * one[0], one[1], 5 * one[2])
    assert shape.step(1, 100, 4, 8) == (one[0], one[1] / 4, one[2] / 2)
    assert shape.step(1, 200, 16)[2] == 2 * one[2] and shape.step(1, 200, 16)[0] > one[0]


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda shape: dataclasses.replace(shape, width=0), "width must be .* from 1"),
        (lambda shape: dataclasses.replace(shape, positions=-1), "positions must be .* from 0"),
        (lambda shape: shape.cache_bytes(-1, 16), "tokens must be .* from 0"),
        (lambda shape: shape.cache_bytes(1, 0), "bits must be a number > 0, got 0"),
        (lambda shape: shape.step(0, 1, 16), "batch must be .* from 1"),
        (lambda shape: shape.operations(0), "context must be .* from 1"),
    ],
)
def test_a_shape_says_what_is_allowed(call, says):
    with pytest.raises(ValueError, match=says):
        call(SHAPES["docs-base"])


def test_blocks_that_differ_have_no_shape():
    with pytest.raises(ValueError, match="heads"):
        Shape.of(small(heads=[4, 2, 4], head_size=6))


# --- a step under the roof -----------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("context", [16, 1024, 131072])
def test_the_batch_at_which_a_step_turns_is_the_first_of_its_kind(name, context):
    step = Step(H100, SHAPES[name], 1, context, 16, 16)

    def limit(batch):
        return dataclasses.replace(step, batch=batch).limit

    if math.isinf(step.turns):
        assert limit(10**9) == "memory"
    else:
        assert limit(step.turns) == "arithmetic"
        assert step.turns == 1 or limit(step.turns - 1) == "memory"


def test_shared_heads_let_a_batch_turn_where_others_never_do():
    turns = [Step(H100, SHAPES[f"{name} billion"], 1, 1024, 16, 16).turns for name in ("7", "70")]
    assert turns == [math.inf, 989]


@pytest.mark.parametrize("batch", [1, 3, 64])
def test_from_the_even_context_on_caches_are_more_than_weights(batch):
    step = Step(H100, SHAPES["7 billion"], batch, 1, 16, 16)
    _, weights, at = dataclasses.replace(step, context=step.even).work
    _, _, before = dataclasses.replace(step, context=step.even - 1).work
    assert before < weights <= at


def test_the_least_time_is_that_of_the_slower_job():
    shape = SHAPES["docs-base"]
    operations, weights, kept = shape.step(2, 10, 8, 32)
    for machine in (Roofline(1e3, 1e12, 1), Roofline(1e12, 1e3, 1)):
        step = Step(machine, shape, 2, 10, 8, 32)
        memory, arithmetic = (weights + kept) / machine.bandwidth, operations / machine.peak
        assert step.least == max(memory, arithmetic)
        assert step.limit == ("memory" if memory > arithmetic else "arithmetic")


def test_the_explorer_says_what_the_step_is():
    explorer = step_explorer(Roofline(40e9, 180e9, 2))
    before = explorer.picture.value
    explorer.controls["batch"].value = 64
    assert explorer.result == explorer.at() and explorer.result.limit == "arithmetic"
    assert explorer.picture.value != before
    said = explorer._repr_mimebundle_()[0]["text/plain"]
    for part in ("13.2 GB", "13.5 GB", "34.4 GB", f"{explorer.result.even:,} tokens"):
        assert part in said
    assert explorer.at(machine=H100).limit == "memory"


@pytest.mark.parametrize(
    ("count", "said"),
    [(0, "0 B"), (999, "999 B"), (1000, "1 kB"), (999_600, "1 MB"), (2.1e13, "21 TB")],
)
def test_a_size_has_three_digits_and_a_unit(count, said):
    assert size(count) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.0123456, "12.3 ms"), (1234.5, "1,234,500 ms")])
def test_a_time_is_in_milliseconds(seconds, said):
    assert milliseconds(seconds) == said


# --- reconstruction ------------------------------------------------------------------------------


def test_reconstruction_is_least_squares_on_what_is_kept():
    random = np.random.default_rng(0)
    mixed = random.normal(size=(12, 12))
    inputs, weights = random.normal(size=(200, 12)) @ mixed, random.normal(size=(12, 5))
    made = reconstruct(weights, inputs, HALF, damping=0)
    kept = HALF(np.abs(weights))
    assert np.array_equal(made != 0, kept) and made.dtype == np.float32
    for unit in range(5):
        stays = kept[:, unit]
        best = np.linalg.lstsq(inputs[:, stays], inputs @ weights[:, unit], rcond=None)[0]
        assert np.allclose(made[stays, unit], best, rtol=1e-3, atol=1e-4)


def test_where_inputs_have_nothing_in_common_nothing_is_to_be_moved():
    inputs, weights = np.eye(8).repeat(3, axis=0), np.random.default_rng(1).normal(size=(8, 4))
    kept = HALF(np.abs(weights))
    assert np.allclose(reconstruct(weights, inputs, HALF), np.where(kept, weights, 0), atol=1e-6)


def test_much_damping_leaves_the_weights_where_they_were():
    random = np.random.default_rng(2)
    inputs, weights = random.normal(size=(50, 8)), random.normal(size=(8, 4))
    kept = HALF(np.abs(weights))
    still = reconstruct(weights, inputs, HALF, damping=1e6)
    assert np.allclose(still, np.where(kept, weights, 0), atol=1e-4)


@pytest.mark.parametrize("inputs", [np.zeros((5, 8)), np.ones((5, 7)), np.full((5, 8), np.nan)])
def test_reconstruction_refuses_what_it_cannot_use(inputs):
    with pytest.raises(ValueError, match="input"):
        reconstruct(np.ones((8, 4)), inputs, HALF)


def test_a_pruned_model_speaks_better_on_text_it_was_not_calibrated_on():
    model = models.load("docs-tiny")
    calibration = docs.sequences("train", 16)[:, :-1]
    unseen = docs.sequences("validation", 16)[:, :-1]
    plain = compress(model, [Prune(pruning.magnitude, HALF, only="block")]).model
    rule = Apply(reconstruct, mask=HALF, only="block")
    mended = compress(model, [rule], calibration=calibration).model
    wanted = np.asarray(model(unseen))
    wrong = [np.square(np.asarray(one(unseen)) - wanted).mean() for one in (plain, mended)]
    assert wrong[1] < 0.7 * wrong[0]
    zeros = [
        sum((np.asarray(one.variable) == 0).sum() for one in compression.weights(pruned))
        for pruned in (plain, mended)
    ]
    assert zeros[0] == zeros[1] > 0


# --- parts ---------------------------------------------------------------------------------------


def test_a_whole_step_chooses_the_token_that_the_model_chooses():
    model = small()
    x = tf.constant(np.random.default_rng(0).uniform(0, 49, (4, 1, 24)).astype(np.float32))
    chosen, _ = parts.whole_step(model, x, model.empty_caches(4), tf.constant(0))
    wanted = np.asarray(model(parts.token_in(model, x)))[:, 0].argmax(-1)
    assert np.array_equal(np.asarray(chosen)[:, 0, 0], wanted) and len(set(wanted)) > 1


@pytest.mark.parametrize("options", [{}, {"kv_heads": 2}])
def test_every_part_makes_something_new_at_each_turn(options):
    model = small(**options)
    x, caches = tf.ones((2, 1, 24)), model.empty_caches(2)
    for name, part in {"nothing": parts.nothing, **parts.PARTS}.items():
        run = compiled(model, parts.repeated(part))
        once, twice = (
            run(x, caches, tf.constant(3), tf.constant(turns)).numpy() for turns in (1, 2)
        )
        assert once.shape == (2, 1, 24) and np.isfinite(twice).all(), name
        assert np.array_equal(once, part(model, x, caches, tf.constant(3))[0]) or np.allclose(
            once, part(model, x, caches, tf.constant(3))[0], atol=1e-5
        )
        if name != "embedding":  # which may meet a token again
            assert not np.array_equal(once, twice), name


def test_a_profile_names_every_part():
    took = parts.profile(small(), 5, rounds=1, turns=3)
    assert list(took) == ["whole step", *parts.PARTS] and min(took.values()) >= 0


def test_a_prompt_read_at_once_is_followed_by_what_is_written_after_it():
    base = models.load("docs-base")
    text = docs.sequences("validation", 2)[:, :-1].astype(np.int32)
    for n in (1, 16, 50):
        caches = base.empty_caches(2)
        chosen, read = compiled(base, parts.read_prompt)(tf.constant(text[:, :n]), caches)
        given = tf.constant(text), tf.constant(n), caches, tf.constant(0), tf.constant(n + 1)
        written, one_by_one = compiled(base, loops.write)(*given)
        assert np.array_equal(chosen, written[:, n])
        assert np.allclose(read[0].keys[:, :, :n], one_by_one[0].keys[:, :, :n], atol=1e-4)
