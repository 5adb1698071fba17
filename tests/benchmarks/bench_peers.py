"""Quality beside other libraries, on the shipped model. Run with
`pytest tests/benchmarks/bench_peers.py -s`."""

import numpy as np
import pytest

from course_utils import compression, evaluation, models, quantization
from course_utils.backend import keras
from course_utils.compression import Quantize, compress
from course_utils.datasets import docs
from course_utils.models.checkpoint import clone

TOKENS = docs.sequences("validation", 64)
BLOCK = 32


@pytest.fixture(scope="module")
def model():
    return models.load("docs-base")


def perplexity(model):
    return evaluation.next_token(model, TOKENS).perplexity


def keras_int4(model, block_size):
    """Rounds the blocks' Dense kernels with Keras's int4, and puts what they stand for into a float
    twin."""
    twin = clone(model)
    for weight in compression.weights(twin):
        if weight.skipped_because or "block_" not in weight.name:
            continue
        layer = keras.layers.Dense(weight.layer.units, use_bias=False)
        layer.build((None, weight.inputs))
        layer.kernel.assign(weight.variable)
        layer.quantize(
            "int4", config=keras.quantizers.Int4QuantizationConfig(block_size=block_size)
        )
        weight.variable.assign(
            np.asarray(layer(np.eye(weight.inputs, dtype=np.float32)))
        )  # rows of the kernel
    return twin


@pytest.mark.parametrize(
    ("rule", "arguments", "block_size"),
    [
        # Keras's groups have a zero point: its counterpart is `affine`, and `absmax` is another
        # rule.
        (quantization.affine, {"group_size": BLOCK}, BLOCK),
        (quantization.absmax, {"group_size": "channel"}, -1),
    ],
)
def test_keras_int4(model, rule, arguments, block_size, monkeypatch):
    steps = [Quantize(rule, only="block_", bits=4, **arguments)]
    theirs, ours = (
        perplexity(keras_int4(model, block_size)),
        perplexity(compress(model, steps).model),
    )
    # Our files keep scales in float16, and codes are chosen for those; Keras keeps float32.
    monkeypatch.setattr(quantization, "as_stored", lambda scale: scale.astype(np.float32))
    same_scales = perplexity(compress(model, steps).model)
    print(
        f"\n4 bits, {arguments}: float {perplexity(model):.4f}, Keras {theirs:.4f}, "
        f"{rule.__name__} {ours:.4f}, "
        f"with scales in float32 {same_scales:.4f}"
    )
    assert abs(same_scales - theirs) < 0.001
