"""What a step removed stays removed through every later step, or the recipe is refused."""

import numpy as np
import pytest
import small

from course_utils import models, pruning, quantization, second_order
from course_utils.compression import Apply, Prune, Quantize, compress
from course_utils.compression.weights import floats
from course_utils.datasets import docs

TOKENS = np.random.default_rng(1).integers(0, 64, (16, 8)).astype(np.int32)
HALF = Prune(pruning.magnitude, pruning.fraction(0.5), only="block")
REMOVERS = {
    "half": (HALF, None),
    "wanda": (Prune(pruning.wanda, pruning.fraction_per_unit(0.5), only="block"), None),
    "2:4": (Prune(pruning.magnitude, pruning.n_of_m(2, 4), only="block"), (2, 4)),
    "sparsegpt": (Apply(second_order.sparsegpt, only="block", mask=pruning.n_of_m(2, 4)), (2, 4)),
    "zeroed": (Apply(lambda w: np.where(np.abs(w) > 0.1, w, 0), only="block"), None),
}
ROUNDERS = {
    "step": Quantize(quantization.step, only="block", step=0.05),
    "absmax": Quantize(quantization.absmax, only="block", bits=4, group_size=8),
    "affine": Quantize(quantization.affine, only="block", bits=4, group_size=8),
    "nf4": Quantize(quantization.nf4, only="block", group_size=8),
    "kmeans": Quantize(quantization.kmeans, only="block", bits=3),
    "gptq": Quantize(second_order.gptq, only="block", bits=4, group_size=8),
    "gptq of shuffled scales": Quantize(
        second_order.gptq, only="block", bits=3, grid=quantization.absmax, activation_order=False
    ),
}


@pytest.fixture(scope="module")
def model():
    """No recipe changes it."""
    return small.decoder()


@pytest.fixture(scope="module")
def removed(model):
    """By way of removing: the model, and where nothing is left of its blocks' matrices."""
    found = {}
    for name, (step, __) in REMOVERS.items():
        made = compress(model, [step], calibration=TOKENS)
        found[name] = {
            n: np.asarray(t) == 0
            for n, t in made.tensors.items()
            if "block" in n and np.ndim(t) == 2
        }
    return found


@pytest.mark.parametrize("rounder", ROUNDERS)
@pytest.mark.parametrize("remover", REMOVERS)
def test_removed_weights_stay_removed_pattern_and_all(model, removed, remover, rounder):
    step, pattern = REMOVERS[remover]
    made = compress(model, [step, ROUNDERS[rounder]], calibration=TOKENS)
    asks = remover in ("wanda", "sparsegpt")  # what later layers read depends on the rounding
    for name, gone in removed[remover].items():
        values = floats(made.tensors[name])
        assert np.mean(values == 0) >= np.mean(gone) - 1e-6
        if not asks:
            assert not values[gone].any()
        if pattern:
            runs = (values != 0).reshape(-1, pattern[1], values.shape[1])
            assert runs.sum(axis=1).max() <= pattern[0]


def test_on_a_shipped_model_gptq_leaves_what_was_removed_at_zero():
    model, tokens = models.load("docs-tiny"), docs.sequences("train", 4)[:, :-1]
    step = Quantize(second_order.gptq, only="block", bits=4, group_size=32)
    made = compress(model, [HALF, step], calibration=tokens)
    for name, tensor in made.tensors.items():
        if isinstance(tensor, quantization.QuantizedTensor):
            assert np.mean(tensor.codes == 0) >= 0.5, name


def moved(weights):
    return weights - weights.mean()


def signs(weights):  # a rule of a learner's own with two levels
    return quantization.binary(weights)


@pytest.mark.parametrize(
    "step, said",
    [
        (Quantize(quantization.binary), r"binary has no level for 0"),
        (Quantize(signs), r"kernel: test_removed\.signs has no level for 0 and would bring back"),
        (Apply(moved), r"kernel: test_removed\.moved would bring back 128 of the 128 weights"),
    ],
)
def test_a_step_that_brings_weights_back_is_refused(model, step, said):
    with pytest.raises(ValueError, match=said):
        compress(model, [HALF, step])


def test_a_rule_is_told_what_is_left(model):
    told = []

    def rule(weights, kept):
        told.append(kept)
        return weights

    compress(model, [Apply(rule, only="up"), HALF, Apply(rule, only="up")])
    assert told[0] is None and told[1].shape == (16, 64) and np.mean(told[1]) == 0.5
    mine = np.ones((16, 64), bool)
    compress(model, [HALF, Apply(rule, only="up", kept=mine)])
    assert told[-1] is mine  # what a learner names himself is not overwritten
