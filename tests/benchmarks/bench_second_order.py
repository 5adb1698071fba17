"""What GPTQ, SparseGPT, SmoothQuant and AWQ give back of the perplexity that simpler rules cost,
and in how long.

Run with `pytest tests/benchmarks/bench_second_order.py -s`. Recovered = 1 - (method - float) /
(simple - float). Figures are measured, not judged; four calibration draws show how far chance goes.
"""

import os
import time

import numpy as np
import pytest

from course_utils import evaluation, models, pruning, quantization, second_order
from course_utils.compression import (
    Apply,
    Prune,
    Quantize,
    compress,
    equalization,
    quantize_activations,
    windows,
)
from course_utils.datasets import docs

SEQUENCES, DRAWS = 64, 4


@pytest.fixture(scope="module")
def model():
    return models.load("docs-base")


@pytest.fixture(scope="module")
def perplexity():
    validation = docs.sequences("validation", 256)
    return lambda model: evaluation.next_token(model, validation).perplexity


def calibration(draw):
    """Windows of the train text, `(SEQUENCES, 128)`."""
    return windows(docs.tokens("train"), SEQUENCES, draw)


def test_recovery(model, perplexity):
    """Second order against rounding and removing by size, on the matrices of the blocks."""
    half, two_of_four = pruning.fraction(0.5), pruning.n_of_m(2, 4)
    pairs = {
        **{
            f"{rule.__name__}, {bits} bits": [
                Quantize(quantization.clipped, only="block", bits=bits, group_size=32),
                Quantize(rule, only="block", bits=bits, group_size=32),
            ]
            for bits in (4, 3)
            for rule in (second_order.gptq, second_order.corrected_gptq)
        },
        "SparseGPT, 50%": [
            Prune(pruning.magnitude, half, only="block"),
            Apply(second_order.sparsegpt, only="block", mask=half),
        ],
        "SparseGPT, 2 of 4": [
            Prune(pruning.magnitude, two_of_four, only="block"),
            Apply(second_order.sparsegpt, only="block", mask=two_of_four),
        ],
    }
    exact = perplexity(model)
    print(f"\nfloat {exact:.3f}; {SEQUENCES} sequences a draw; {state()}")
    for name, (simple, method) in pairs.items():
        cost = perplexity(compress(model, [simple]).model)
        shares, seconds, work = [], [], []
        for draw in range(DRAWS):
            tokens, start, start_work = calibration(draw), time.perf_counter(), time.process_time()
            small = compress(model, [method], calibration=tokens).model
            seconds.append(time.perf_counter() - start)
            work.append(time.process_time() - start_work)
            shares.append(1 - (perplexity(small) - exact) / (cost - exact))
        print(
            f"{name:<28} simple {cost:6.3f}  recovered {np.mean(shares):.0%} "
            f"({', '.join(f'{s:.0%}' for s in shares)})"
            f"  {np.mean(seconds):.1f} s, {np.mean(work):.1f} s of processor; {state()}",
            flush=True,
        )


def test_planted_outliers(model, perplexity):
    """SmoothQuant and AWQ on docs-base with outliers planted into its norms."""
    exact, planted, tokens = perplexity(model), equalization.plant_outliers(model), calibration(0)

    def w8a8(model):
        weights = compress(model, [Quantize(quantization.absmax, bits=8)]).model
        return perplexity(quantize_activations(weights, 8, "tensor", tokens)) / exact - 1

    smooth = equalization.smoothquant(planted, tokens)
    print(
        f"\nW8A8 per tensor: as trained {w8a8(model):+.2%}, planted {w8a8(planted):+.2%}, "
        f"SmoothQuant {w8a8(smooth):+.2%}"
    )

    def w4(model, rule):
        return perplexity(
            compress(model, [Quantize(rule, only="block", bits=4)], calibration=tokens).model
        )

    scaled, nearest = equalization.awq(planted, tokens, bits=4), w4(planted, quantization.absmax)
    for rule in (quantization.absmax, equalization.clipped_by_output):
        share = 1 - (w4(scaled, rule) - exact) / (nearest - exact)
        print(
            f"4 bits per channel: planted {nearest:.3f}; AWQ, then {rule.__name__}: recovered "
            f"{share:.0%}"
        )


def state():
    """How busy the machine is, where it can tell."""
    return (
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
        if hasattr(os, "getloadavg")
        else ""
    )
