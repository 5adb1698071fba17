"""Speed of one call, as ratios: `python3 -m pytest -s tests/benchmarks/bench_speed.py`.

Nothing is asserted. Candidates of a table take turns in one run, so a table's ratios hold together;
the milliseconds beside them belong to this machine and this minute.
"""

import pytest
import threadpoolctl

from course_utils import litert, models
from course_utils.backend import tf
from course_utils.datasets import docs
from course_utils.evaluation import products, speed


def show(title, timings):
    width = max(map(len, timings))
    print(
        f"\n{title}\n"
        + "\n".join(f"  {name:<{width}}  {timing}" for name, timing in timings.items())
    )


def test_a_whole_decoder():
    model, tokens = models.load("docs-base"), docs.sequences("validation", 1)[:, :-1]
    fixed = tf.constant(tokens)
    graph, xla = (
        tf.function(model, autograph=False),
        tf.function(model, autograph=False, jit_compile=True),
    )
    candidates = {
        "TensorFlow graph": lambda: graph(fixed).numpy(),
        "TensorFlow XLA": lambda: xla(fixed).numpy(),
    }
    for mode in litert.modes():
        content = litert.export(model, mode, calibration=docs.sequences("test", 8)[:, :-1])
        for threads in (1, 2):
            runner = litert.Runner(content, threads)
            candidates[f"LiteRT {mode}, {threads} thread{'s'[: threads > 1]}"] = (
                lambda runner=runner: runner(tokens)
            )
    show("docs-base, one call of 1 x 128 tokens", speed.pairs(candidates, rounds=60, warm_up=5))


@pytest.mark.parametrize("batch", [1, 32])
def test_one_matrix(batch):
    with threadpoolctl.threadpool_limits(1):
        timings = speed.pairs(products.matmul_ways(1024, 4096, batch), before=speed.empty_caches)
    show(f"1024 x 4096, {batch} rows, weights from memory", timings)


def test_the_roof():
    for threads in (1, 2):
        roof = products.roofline(threads)
        print(
            f"\n{threads} threads: {roof.bandwidth / 1e9:.1f} GB/s, {roof.peak / 1e9:.0f} GFLOP/s, "
            f"ridge at {roof.ridge:.1f} operations a byte"
        )


@pytest.mark.parametrize("batch", [1, 32])
@pytest.mark.parametrize("sparsity", [0.5, 0.75, 0.9, 0.95])
def test_zeros(sparsity, batch):
    show(
        f"1024 x 1024, {sparsity:.0%} zeros, {batch} rows", products.sparse_latency(sparsity, batch)
    )
