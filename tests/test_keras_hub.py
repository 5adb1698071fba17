"""The door to real large models: the course's functions on keras_hub's GPT-2, in a tiny random
configuration."""

import numpy as np
import pytest

from course_utils import compression, quantization
from course_utils.compression import parse
from course_utils.evaluation.report import COSINE, Data, report
from course_utils.models.opened import open_model

keras_hub = pytest.importorskip("keras_hub", reason="keras_hub is no requirement of the course")


def test_gpt2_is_compressed_written_and_read_again(tmp_path):
    backbone = keras_hub.models.GPT2Backbone(
        vocabulary_size=50,
        num_layers=2,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=12,
    )
    small = compression.compress(backbone, [compression.Quantize(quantization.absmax, bits=8)])
    assert small.ledger.total == len(small.content)
    assert len(small.tensors) == len(backbone.weights)
    assert all(
        name.endswith(("bias", "beta", "gamma")) or "position" in name for name in small.skipped
    )
    words = {"token_ids": np.arange(8)[None], "padding_mask": np.ones((1, 8), int)}
    assert 0 < np.abs(small.model(words) - backbone(words)).max() < 0.1
    again = compression.load(small.save(tmp_path / "gpt2.safetensors"))
    np.testing.assert_allclose(again(words), small.model(words), atol=1e-6)


def test_a_preset_on_disk_is_a_model_of_ones_own(tmp_path):
    backbone = keras_hub.models.BertBackbone(
        vocabulary_size=50,
        num_layers=1,
        num_heads=2,
        hidden_dim=16,
        intermediate_dim=32,
        max_sequence_length=12,
    )
    backbone.save_to_preset(str(tmp_path / "bert"))
    opened = open_model(tmp_path / "bert")
    tokens = np.random.default_rng(0).integers(0, 50, (40, 8))
    names = {"token_ids": tokens, "segment_ids": 0 * tokens, "padding_mask": 0 * tokens + 1}
    seen = report(opened, Data(names), parse("Quantize(quantization.absmax, bits=8)"), rounds=1)
    assert seen.by == COSINE and 0.99 < seen.after.mean < 1
    assert seen.on_device.startswith("no LiteRT: the model has 3 inputs and 2 outputs")
