"""Speed, measured so that it means something: candidates take turns in one run, and what counts is
their ratio.

A lone time says little. The machine does other work, its clock moves, its caches are warm or cold,
and the same code takes twice as long a minute later. What slows one turn mostly slows its
neighbours too, and falls out of the ratio. Compare ratios of one run; never times of two. A wide
interval says that the machine was busy: long calls are then interrupted more often than short ones,
and the ratio drifts.
"""

import concurrent.futures
import dataclasses
import functools
import os
import time

import numpy as np

from course_utils.backend import keras, tf
from course_utils.checks import read_only, whole


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
    """Times candidates in turns and compares each with the first.

    Each round goes through them in an order drawn by lot: what a candidate leaves behind, such as a warm
    cache or threads that have not gone to sleep, meets all the others alike.

    Args:
        candidates: By name, functions without arguments. The first is what the others are compared
            with.
        rounds: How often each has its turn.
        warm_up: Rounds before that are not counted: they compile, and fill the caches.
        before: Function to call before each turn, outside the time, such as `empty_caches`.

    Returns:
        By name, a `Timing`.

    Raises:
        ValueError: If there are no candidates, or a number of rounds makes no sense.

    Example:

    >>> x = np.ones(1000)
    >>> timings = pairs({"add": lambda: x + x, "copy": x.copy}, rounds=5)
    >>> print(timings["copy"])  # milliseconds, times as fast, and the range over the rounds
    0.0... ms ...x (... to ...)
    """
    if not candidates:
        raise ValueError("candidates must name at least one function, got none")
    rounds, warm_up = whole("rounds", rounds, 1, 10**6), whole("warm_up", warm_up, 0, 10**6)
    calls, random = list(candidates.values()), np.random.default_rng(0)
    seconds = np.empty((warm_up + rounds, len(calls)))
    for turn in seconds:
        for place in random.permutation(len(calls)):
            if before:
                before()
            begun = time.perf_counter()
            calls[place]()
            turn[place] = time.perf_counter() - begun
    seconds = np.maximum(
        seconds[warm_up:], 1e-9
    )  # (rounds, candidates); a coarse clock may not have moved
    timings = {}
    for name, own in zip(candidates, seconds.T, strict=True):
        low, middle, high = np.percentile(seconds[:, 0] / own, (5, 50, 95)).tolist()
        timings[name] = Timing(float(np.median(own)), middle, (low, high), rounds)
    return timings


def together(calls):
    """Calls functions side by side, one on each core, and returns what they return: for first calls,
    which compile and are not timed.

    Args:
        calls: Functions without arguments that do not get in each other's way.
    """
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        return list(pool.map(lambda call: call(), calls))


def one_row(inputs):
    """Returns the first row of what a model is called on."""
    return keras.tree.map_structure(lambda part: part[:1], inputs)


def graph(model, inputs):
    """Returns a function that calls a model once, as TensorFlow's graph."""
    run = tf.function(model, autograph=False)
    given = keras.tree.map_structure(tf.constant, inputs)
    return lambda: keras.tree.map_structure(lambda part: part.numpy(), run(given))


@functools.cache
def _elsewhere():
    # 64 MiB, more than the caches of most machines hold
    return read_only(np.ones(2**24, np.float32))


def empty_caches():
    """Reads 64 MiB of something else, so that the next call finds its weights in memory, not in a
    cache.

    That is how a language model meets its weights when it writes: each token reads all of them
    once. The library's own code is pushed out as well, which costs TensorFlow more than numpy.
    """
    _elsewhere().sum()


def aligned(array):
    """Copies an array to where a cache line begins.

    numpy begins at any multiple of 16 bytes, and two equal matrices may then differ by 15% in
    speed.
    """
    room = np.empty(array.nbytes + 64, np.uint8)
    start = -room.ctypes.data % 64
    copy = room[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy
