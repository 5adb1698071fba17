"""Training while compressing: it must help more than training alone, and hold what was removed."""

import numpy as np
import pytest
import small

from course_utils import compression, evaluation, models, pruning, quantization
from course_utils.compression import Prune, Quantize, finetuning
from course_utils.datasets import digits
from course_utils.models import checkpoint

ROUND = [Quantize(quantization.absmax, bits=2)]


@pytest.fixture(scope="module")
def mlp():
    return models.load("digits-mlp")


def batches(step):
    inputs, labels = digits.load("train")
    chosen = np.random.default_rng([0, step]).integers(0, len(labels), 64)
    return inputs[chosen], labels[chosen]


def accuracy(model, recipe):
    return evaluation.classify(
        compression.compress(model, recipe).model, *digits.load("validation")
    ).accuracy


def test_straight_through_recovers_what_plain_training_does_not(mlp):
    before = [np.asarray(weight).copy() for weight in mlp.weights]
    trained = finetuning.finetune(mlp, batches, 120, lambda step: ROUND)
    plain = finetuning.finetune(mlp, batches, 120, lambda step: [])
    rounded = {
        name: accuracy(model, ROUND)
        for name, model in (("as it is", mlp), ("plain", plain), ("trained", trained))
    }
    assert (
        rounded["trained"] > 0.85
        and rounded["trained"] > max(rounded["as it is"], rounded["plain"]) + 0.1
    ), rounded
    assert all(np.array_equal(a, np.asarray(b)) for a, b in zip(before, mlp.weights))
    kernel = np.asarray(trained.layers[0].kernel)
    assert len(np.unique(kernel)) > 1000  # floats come back, not the rounded values


def test_gradual_pruning_then_rounding_holds_what_was_removed(mlp):
    def gradually(step):
        return [Prune(pruning.magnitude, pruning.fraction(pruning.cubic(step, 0, 80, 0.8)))]

    def held(step):
        return [*gradually(80), Quantize(quantization.absmax, bits=3)]

    sparse = finetuning.finetune(mlp, batches, 110, gradually, learning_rate=2e-3)
    at_once = accuracy(mlp, gradually(80))
    assert accuracy(sparse, []) > at_once + 0.2
    both = finetuning.finetune(sparse, batches, 40, held)
    for a, b in zip(sparse.layers, both.layers):
        zeros = np.asarray(a.kernel) == 0
        assert zeros.sum() == round(0.8 * zeros.size) and np.all(np.asarray(b.kernel)[zeros] == 0)
    assert accuracy(both, held(0)) > accuracy(sparse, held(0)) - 0.01


def test_a_language_model_learns_through_four_bits():
    model = small.decoder(20, context=12)

    def count(step):  # the next number, modulo 20
        start = np.random.default_rng(step).integers(0, 20, (8, 1))
        line = ((start + np.arange(13)) % 20).astype(np.int32)
        return line[:, :-1], line[:, 1:]

    recipe = [
        Prune(pruning.magnitude, pruning.n_of_m(2, 4), only="up"),
        Quantize(quantization.absmax, bits=4, group_size=8),
    ]
    trained = compression.compress(
        finetuning.finetune(model, count, 150, lambda step: recipe, learning_rate=1e-2), recipe
    ).model
    inputs, targets = count(999)
    assert np.mean(np.argmax(np.asarray(trained(inputs)), -1) == targets) > 0.95
    assert (
        np.mean(np.asarray(trained.blocks[0].up.kernel).reshape(4, 4, 64) != 0, axis=1).max() <= 0.5
    )


def test_same_seed_same_model(mlp):
    one, two = (finetuning.finetune(mlp, batches, 2, lambda step: ROUND) for _ in range(2))
    for a, b in zip(one.weights, two.weights):
        np.testing.assert_allclose(np.asarray(a), np.asarray(b), atol=1e-6)


def test_gradients_are_slopes_of_the_loss(mlp):
    inputs, labels = batches(0)
    slopes = finetuning.gradients(mlp, inputs, labels)
    twin = checkpoint.clone(mlp)
    for weight in compression.weights(twin):
        if weight.skipped_because:
            assert weight.name not in slopes
            continue
        matrix, slope = weight.matrix(), slopes[weight.name]
        place = np.unravel_index(np.abs(slope).argmax(), slope.shape)
        losses = []
        for change in (-1e-2, 1e-2):
            moved = matrix.copy()
            moved[place] += change
            weight.variable.assign(weight.shaped(moved))
            losses.append(np.log(evaluation.classify(twin, inputs, labels).perplexity))
        weight.variable.assign(weight.shaped(matrix))
        assert (losses[1] - losses[0]) / 2e-2 == pytest.approx(slope[place], rel=0.05, abs=1e-4)


def test_taylor_tells_which_weights_the_loss_would_miss(mlp):
    inputs, labels = digits.load("train")
    name, slope = next(iter(finetuning.gradients(mlp, inputs, labels).items()))
    step = Prune(pruning.taylor(slope), pruning.fraction(0.2), only=name)
    pruned = compression.compress(mlp, [step])
    assert np.mean(pruned.tensors[name] == 0) == pytest.approx(0.2, abs=1e-3)
    assert np.all(pruned.tensors[list(pruned.tensors)[2]] != 0)  # the others are left alone


def test_recipes_that_ask_for_inputs_are_refused(mlp):
    with pytest.raises(ValueError, match="cannot ask for calibration inputs"):
        finetuning.finetune(
            mlp, batches, 1, lambda step: [Prune(pruning.wanda, pruning.fraction_per_unit(0.5))]
        )
