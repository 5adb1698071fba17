"""Ways to compute one matrix product, and what a machine can do at most."""

import dataclasses
import functools
import os
import time

import numpy as np
import scipy.sparse
import threadpoolctl

from course_utils import litert
from course_utils.backend import tf
from course_utils.chart import Axis, Chart, Line, Points
from course_utils.checks import fraction, whole
from course_utils.evaluation.speed import aligned, empty_caches, pairs
from course_utils.text import _


@dataclasses.dataclass(frozen=True)
class Roofline:
    """What a machine can do at most (Williams, Waterman and Patterson, 2009).

    Attributes:
        bandwidth: Bytes a second that it reads from memory.
        peak: Floating-point operations a second.
        threads: Threads it was measured with.
    """

    bandwidth: float
    peak: float
    threads: int

    @property
    def ridge(self):
        """Operations a byte from which on arithmetic, not memory, is the limit."""
        return self.peak / self.bandwidth

    def attainable(self, intensity):
        """Returns the operations a second within reach at so many operations a byte."""
        return np.minimum(self.peak, np.asarray(intensity) * self.bandwidth)

    def chart(self, measured=()):
        """Draws the roof, and what was measured under it.

        Args:
            measured: By name, `(operations, bytes, seconds)` of one call.
        """
        measured = dict(measured)
        furthest = max((work / size for work, size, __ in measured.values()), default=0)
        across = np.array([self.ridge / 1000, self.ridge, max(self.ridge * 30, 2 * furthest)])
        dots = [
            Points([work / size], [work / seconds / 1e9], label=name)
            for name, (work, size, seconds) in measured.items()
        ]
        said = _(
            "Up to {ridge:.0f} operations a byte the roof rises with {bandwidth:.0f} GB/s, "
            "beyond that it is flat at {peak:.0f} GFLOP/s."
        ).format(ridge=self.ridge, bandwidth=self.bandwidth / 1e9, peak=self.peak / 1e9)
        roof = Line(across, self.attainable(across) / 1e9, label=_("roof"))
        return Chart(
            [roof, *dots],
            title=_("Roofline"),
            description=said,
            x=Axis(_("operations a byte"), log=True),
            y=Axis(_("GFLOP/s"), log=True),
        )


def roofline(threads=None, rounds=10):
    """Measures this machine's roof: the best of some rounds, since a roof is what can be reached.

    Args:
        threads: Threads that numpy's matrix library may use; all cores if left out.
        rounds: How often each is tried.

    Returns:
        A `Roofline`.
    """
    threads = whole("threads", os.cpu_count() if threads is None else threads, 1, 4096)
    a, b = np.ones((2, 2**25), np.float32)  # 128 MiB each
    square = np.ones((2048, 2048), np.float32)
    best = {"read": np.inf, "multiply": np.inf}
    with threadpoolctl.threadpool_limits(threads):
        for _ in range(whole("rounds", rounds, 1, 10**6)):
            for name, work in (("read", lambda: a @ b), ("multiply", lambda: square @ square)):
                begun = time.perf_counter()
                work()
                best[name] = min(best[name], time.perf_counter() - begun)
    return Roofline((a.nbytes + b.nbytes) / best["read"], 2 * 2048**3 / best["multiply"], threads)


def matmul_ways(inputs, units, batch=1):
    """Lists ways to compute one matrix product in float32, int8 and int4.

    Args:
        inputs, units: Shape of the matrix.
        batch: Rows that are multiplied with it.

    Returns:
        By name, a function without arguments that returns the product, `(batch, units)`. LiteRT's
        int8 and int4 round what they read to int8 as it arrives; int4 is there if `litert.modes()`
        has it.
    """
    random, inputs = np.random.default_rng(0), whole("inputs", inputs, 1, 2**20)
    matrix = random.normal(size=(inputs, whole("units", units, 1, 2**20))).astype(
        np.float32
    ) / np.float32(inputs**0.5)
    x = random.normal(size=(whole("batch", batch, 1, 2**20), inputs)).astype(np.float32)
    matrix, weights, x_tf = aligned(matrix), tf.Variable(matrix), tf.constant(x)
    graph = tf.function(lambda: x_tf @ weights, autograph=False)
    ways = {"numpy float32": lambda: x @ matrix, "TensorFlow float32": lambda: graph().numpy()}
    for name, mode in (("float32", "float"), ("int8", "dynamic"), ("int4", "int4")):
        if mode in litert.modes():
            content = litert.convert(lambda x: x @ weights, tf.TensorSpec(x.shape), [weights], mode)
            ways[f"LiteRT {name}"] = functools.partial(litert.Runner(content), x)
    return ways


def sparse_ways(sparsity, batch=1, inputs=1024, units=1024):
    """Lists ways to compute one matrix product in which a share of the weights is zero.

    Args:
        sparsity: Share of zeros, at least 0 and so that one input is left.
        batch: Rows that are multiplied with the matrix.
        inputs, units: Shape of the matrix.

    Returns:
        By name, a function without arguments that returns the product. "numpy, no zeros" computes
        with the full matrix, "fewer inputs" with a matrix that lost the same share of its rows
        altogether.
    """
    random, sparsity = np.random.default_rng(0), fraction("sparsity", sparsity)
    left = whole("inputs that are left", round((1 - sparsity) * inputs), 1, inputs)
    full = random.normal(size=(inputs, units)).astype(np.float32)
    zeros = np.where(
        random.permutation(full.size).reshape(full.shape) < sparsity * full.size,
        np.float32(0),
        full,
    )
    x = random.normal(size=(whole("batch", batch, 1, 2**20), inputs)).astype(np.float32)
    full, zeros, thin, thin_x = (
        aligned(full),
        aligned(zeros),
        aligned(full[:left]),
        x[:, :left].copy(),
    )
    by_unit, columns = scipy.sparse.csr_array(zeros.T), x.T.copy()
    x_tf, full_tf = tf.constant(x), tf.constant(full)
    columns_tf, by_unit_tf = tf.constant(columns), tf.sparse.from_dense(zeros.T)
    dense = tf.function(lambda: x_tf @ full_tf, autograph=False)
    sparse = tf.function(
        lambda: tf.sparse.sparse_dense_matmul(by_unit_tf, columns_tf), autograph=False
    )
    return {
        "numpy, no zeros": lambda: x @ full,
        "numpy, with zeros": lambda: x @ zeros,
        "scipy CSR": lambda: (by_unit @ columns).T,
        "fewer inputs": lambda: thin_x @ thin,
        "TensorFlow, no zeros": lambda: dense().numpy(),
        "tf.sparse": lambda: sparse().numpy().T,
    }


def sparse_latency(sparsity, batch=1, inputs=1024, units=1024, rounds=30):
    """Times the `sparse_ways` in turns, each with cold caches: what a zero is worth.

    Args:
        sparsity, batch, inputs, units: As in `sparse_ways`.
        rounds: How often each has its turn.

    Returns:
        By name, a `Timing`; the first is numpy with the full matrix.
    """
    with threadpoolctl.threadpool_limits(1):
        return pairs(sparse_ways(sparsity, batch, inputs, units), rounds, before=empty_caches)
