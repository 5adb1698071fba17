"""Speed, measured so that it means something: candidates take turns in one run, and what counts is their ratio.

A lone time says little. The machine does other work, its clock moves, its caches are warm or cold, and
the same code takes twice as long a minute later. Whatever disturbs one turn disturbs the next one too,
so it falls out of the ratio. Compare ratios of one run; never times of two.
"""

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
from course_utils.checks import fraction, positive, whole


@dataclasses.dataclass(frozen=True)
class Timing:
    """How long a candidate took, beside the first one of the same run.

    Attributes:
        median: Seconds of one call; good only to see the order of magnitude.
        speedup: How many times as fast as the first candidate: the median over the rounds.
        interval: From the 5th to the 95th percentile of that ratio over the rounds.
        rounds: How many rounds there were.
    """

    median: float
    speedup: float
    interval: tuple
    rounds: int

    def __str__(self):
        low, high = self.interval
        return f"{1e3 * self.median:9.3f} ms  {self.speedup:5.2f}x  ({low:.2f} to {high:.2f})"


def pairs(candidates, rounds=30, warm_up=3, before=None):
    """Times candidates in turns, A B C A B C ..., and compares each with the first.

    Args:
        candidates: By name, functions without arguments. The first is what the others are compared with.
        rounds: How often each has its turn.
        warm_up: Rounds before that are not counted: they compile, and fill the caches.
        before: Function to call before each turn, outside the time, such as `flush`.

    Returns:
        By name, a `Timing`.

    Raises:
        ValueError: If there are no candidates, or a number of rounds makes no sense.

    Example:

    >>> for name, timing in pairs({"add": lambda: x + x, "copy": x.copy}).items():
    ...     print(f"{name:<6}", timing)
    """
    if not candidates:
        raise ValueError("candidates must name at least one function, got none")
    rounds, warm_up = whole("rounds", rounds, 1, 10**6), whole("warm_up", warm_up, 0, 10**6)
    seconds = np.empty((warm_up + rounds, len(candidates)))
    for turn in seconds:
        for place, candidate in enumerate(candidates.values()):
            if before:
                before()
            begun = time.perf_counter()
            candidate()
            turn[place] = time.perf_counter() - begun
    seconds = np.maximum(seconds[warm_up:], 1e-9)  # a clock may not have moved
    ratios = seconds[:, :1] / seconds
    low, middle, high = np.percentile(ratios, (5, 50, 95), axis=0).tolist()
    medians = np.median(seconds, axis=0).tolist()
    return {name: Timing(*of) for name, *of in zip(candidates, medians, middle, zip(low, high), [rounds] * len(middle))}


@functools.cache
def _elsewhere():
    return np.ones(2**24, np.float32)  # 64 MiB, more than the caches of most machines hold


def flush():
    """Reads 64 MiB of something else, so that the next call finds its weights in memory, not in a cache.

    That is how a language model meets its weights when it writes: each token reads all of them once.
    """
    _elsewhere().sum()


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
        across = np.array([self.ridge / 1000, self.ridge, self.ridge * 30])
        dots = [Points([work / size], [work / seconds / 1e9], label=name)
                for name, (work, size, seconds) in dict(measured).items()]
        said = (f"Up to {self.ridge:.0f} operations a byte the roof rises with {self.bandwidth / 1e9:.0f} GB/s, "
                f"beyond that it is flat at {self.peak / 1e9:.0f} GFLOP/s.")
        return Chart([Line(across, self.attainable(across) / 1e9, label="roof"), *dots], title="Roofline", description=said,
                     x=Axis("operations a byte", log=True), y=Axis("GFLOP/s", log=True))


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


def matmul_latency(inputs, units, batch=1, flush=True, rounds=30):
    """Times one matrix product in float32, int8 and int4, on one thread each (TensorFlow keeps its own).

    Args:
        inputs, units: Shape of the matrix.
        batch: Rows that are multiplied with it.
        flush: Whether each call finds the matrix in memory rather than in a cache.
        rounds: How often each has its turn.

    Returns:
        By name, a `Timing`; the first is numpy in float32. LiteRT's int8 and int4 round what they
        read to int8 as it arrives; int4 is there if `litert.modes()` has it.
    """
    random = np.random.default_rng(0)
    weights = tf.Variable(random.normal(size=(whole("inputs", inputs, 1, 2**20), whole("units", units, 1, 2**20)))
                          .astype(np.float32) / np.sqrt(inputs))
    x = random.normal(size=(whole("batch", batch, 1, 2**20), inputs)).astype(np.float32)
    matrix, x_tf, graph = weights.numpy(), tf.constant(x), tf.function(lambda x: x @ weights, autograph=False)
    candidates = {"numpy float32": lambda: x @ matrix, "TensorFlow float32": lambda: graph(x_tf)}
    for name, mode in (("float32", "float"), ("int8", "dynamic"), ("int4", "int4")):
        if mode in litert.modes():
            content = litert.convert(lambda x: x @ weights, tf.TensorSpec(x.shape), [weights], mode)
            candidates[f"LiteRT {name}"] = functools.partial(litert.Runner(content), x)
    with threadpoolctl.threadpool_limits(1):
        return pairs(candidates, rounds, before=globals()["flush"] if flush else None)


def sparse_latency(sparsity, batch=1, inputs=1024, units=1024, rounds=30):
    """Times one matrix product in which a share of the weights is zero, in every way that could profit.

    Args:
        sparsity: Share of zeros, from 0 to below 1.
        batch: Rows that are multiplied with the matrix.
        inputs, units: Shape of the matrix.
        rounds: How often each has its turn.

    Returns:
        By name, a `Timing`, each call with cold caches; the first is numpy with the full matrix. "fewer
        inputs" is the matrix after the same share of its rows was taken out altogether.
    """
    random, sparsity = np.random.default_rng(0), fraction("sparsity", sparsity)
    left = whole("inputs that are left", round((1 - sparsity) * inputs), 1, inputs)
    full = random.normal(size=(inputs, units)).astype(np.float32)
    zeros = np.where(random.permutation(full.size).reshape(full.shape) < sparsity * full.size, np.float32(0), full)
    x = random.normal(size=(whole("batch", batch, 1, 2**20), inputs)).astype(np.float32)
    rows, thin, thin_x = scipy.sparse.csr_array(zeros.T), full[:left].copy(), x[:, :left].copy()
    full_tf, zeros_tf, x_tf, turned = tf.constant(full), tf.sparse.from_dense(zeros.T), tf.constant(x), x.T.copy()
    dense = tf.function(lambda: x_tf @ full_tf, autograph=False)
    sparse = tf.function(lambda: tf.sparse.sparse_dense_matmul(zeros_tf, tf.transpose(x_tf)), autograph=False)
    with threadpoolctl.threadpool_limits(1):
        return pairs({"numpy, no zeros": lambda: x @ full, "numpy, with zeros": lambda: x @ zeros,
                      "scipy CSR": lambda: rows @ turned, "fewer inputs": lambda: thin_x @ thin,
                      "TensorFlow, no zeros": dense, "tf.sparse": sparse}, rounds, before=flush)


def throughput(timing, work):
    """Returns how much of `work` (tokens, operations, bytes) a `Timing` does in a second."""
    return positive("work", work) / timing.median
