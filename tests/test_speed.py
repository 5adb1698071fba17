"""Speed: candidates really take turns, ratios come out as they were put in, and every way computes
the same."""

import itertools

import numpy as np
import pytest

from course_utils import litert
from course_utils.chart import Chart
from course_utils.evaluation import products, speed


def test_candidates_take_turns_and_only_the_counted_rounds_count():
    calls = []
    candidates = {name: lambda name=name: calls.append(name) for name in "ABC"}
    timings = speed.pairs(candidates, rounds=40, warm_up=2, before=lambda: calls.append("-"))
    assert calls[::2] == ["-"] * 126
    rounds = ["".join(calls[i : i + 6 : 2]) for i in range(1, 252, 6)]
    assert {"".join(sorted(order)) for order in rounds} == {"ABC"} and len(set(rounds)) == 6
    assert list(timings) == ["A", "B", "C"] and all(
        timing.rounds == 40 for timing in timings.values()
    )


class Machine:
    """A clock that candidates move by what they cost, times what the machine makes of it in that
    round."""

    def __init__(self, monkeypatch, factors):
        self.now, self.factors = 0.0, iter(factors)
        monkeypatch.setattr(speed.time, "perf_counter", lambda: self.now)

    def candidate(self, seconds):
        def work():
            self.now += next(self.factors) * seconds

        return work


def test_a_slow_minute_falls_out_of_the_ratio(monkeypatch):
    machine = Machine(monkeypatch, [1] * 6 + [10] * 6 + [1] * 8)  # 10 times slower for three rounds
    timings = speed.pairs(
        {"A": machine.candidate(2.0), "B": machine.candidate(0.5)}, rounds=10, warm_up=0
    )
    assert timings["A"].speedup == 1 and timings["A"].interval == (1, 1)
    assert timings["B"].speedup == pytest.approx(4) and timings["B"].interval == pytest.approx(
        (4, 4)
    )
    assert timings["B"].median == pytest.approx(0.5)


def test_the_interval_shows_the_spread(monkeypatch):
    machine = Machine(monkeypatch, itertools.repeat(1.0))
    costs = iter(range(1, 102))
    candidates = {"A": lambda: machine.candidate(float(next(costs)))(), "B": machine.candidate(1.0)}
    timing = speed.pairs(candidates, rounds=101, warm_up=0)["B"]
    assert timing.speedup == pytest.approx(51) and timing.interval == pytest.approx((6, 96))


def test_a_clock_that_did_not_move_gives_no_infinity(monkeypatch):
    Machine(monkeypatch, ())
    assert speed.pairs({"A": int, "B": int}, rounds=1, warm_up=0)["B"].speedup == 1


def test_work_that_takes_longer_is_slower():
    small, large = np.ones((64, 64), np.float32), np.ones((512, 512), np.float32)
    timings = speed.pairs(
        {"large": lambda: large @ large, "small": lambda: small @ small}, rounds=15
    )
    assert timings["small"].speedup > 4  # 512 times the work


def test_every_way_through_zeros_computes_the_same_product():
    ways = products.sparse_ways(0.75, batch=3, inputs=64, units=32)
    results = {name: way() for name, way in ways.items()}
    assert np.allclose(results["numpy, no zeros"], results["TensorFlow, no zeros"], atol=1e-3)
    for name in ("scipy CSR", "tf.sparse"):
        assert np.allclose(results["numpy, with zeros"], results[name], atol=1e-3)
    assert not np.allclose(results["numpy, with zeros"], results["numpy, no zeros"], atol=0.1)
    assert {result.shape for result in results.values()} == {(3, 32)}


@pytest.mark.parametrize("shape", [(3,), (5, 7), (33, 1)])
def test_aligned_copies_begin_with_a_cache_line(shape):
    array = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    copies = [speed.aligned(array) for _ in range(5)]
    assert all(copy.ctypes.data % 64 == 0 and np.array_equal(copy, array) for copy in copies)


def test_every_way_of_a_matrix_product_is_as_exact_as_its_bits():
    ways = products.matmul_ways(128, 96, batch=2)
    assert len(ways) == 2 + len(litert.modes()) - 1
    exact = ways["numpy float32"]()
    error = {name: np.abs(way() - exact).max() for name, way in ways.items()}  # values are about 1
    assert max(error[name] for name in error if "float32" in name) < 1e-4
    assert 1e-4 < error["LiteRT int8"] < 0.05
    if "LiteRT int4" in ways:
        assert 2 * error["LiteRT int8"] < error["LiteRT int4"] < 0.5


def test_latencies_are_compared_with_the_first_way():
    timings = products.sparse_latency(0.5, 1, 64, 64, rounds=2)
    first, *_ = timings.values()
    assert first.speedup == 1 and all(timing.median > 0 for timing in timings.values())


def test_the_roof_bends_where_memory_and_arithmetic_meet():
    roof = products.Roofline(bandwidth=20e9, peak=100e9, threads=1)
    assert roof.ridge == 5
    assert np.allclose(roof.attainable([0.5, 5, 50]), [10e9, 100e9, 100e9])
    chart = roof.chart({"float32": (2e6, 4e6, 1e-3)})
    assert isinstance(chart, Chart) and (chart.marks[1].x, chart.marks[1].y) == ([0.5], [2.0])


def test_the_measured_roof_is_a_roof():
    roof = products.roofline(threads=1, rounds=2)
    assert 1e8 < roof.bandwidth < 1e13 and 1e9 < roof.peak < 1e15  # any computer of these years
    assert roof.ridge > 1  # arithmetic outruns memory


@pytest.mark.parametrize(
    "call, message",
    [
        (lambda: speed.pairs({}), "at least one function"),
        (lambda: speed.pairs({"A": int}, rounds=0), "rounds must be a whole number from 1"),
        (
            lambda: products.sparse_latency(1.0),
            "inputs that are left must be a whole number from 1",
        ),
        (lambda: products.sparse_latency(1.5), "sparsity must be between 0 and 1, got 1.5"),
        (lambda: products.matmul_ways(0, 4), "inputs must be a whole number from 1"),
        (lambda: products.roofline(threads=0), "threads must be a whole number from 1"),
    ],
)
def test_bad_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()
