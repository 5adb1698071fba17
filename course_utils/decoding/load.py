"""Other work for the machine, so that one can see how decoding fares beside it."""

import contextlib
import threading

import numpy as np
import threadpoolctl

from course_utils.checks import whole


@contextlib.contextmanager
def busy(threads):
    """Loads the machine while something else is done.

    Args:
        threads: How many threads multiply matrices, each on one core at a time. As many as there
            are cores leave half of each.

    Example:

    >>> with busy(2):
    ...     product = np.ones((8, 8)) @ np.ones((8, 8))
    """
    stop, matrix = threading.Event(), np.full((512, 512), 1 / 512, np.float32)

    def multiply():
        out = matrix.copy()
        while not stop.is_set():
            np.matmul(matrix, matrix, out=out)

    running = [threading.Thread(target=multiply) for _ in range(whole("threads", threads, 0, 1024))]
    with threadpoolctl.threadpool_limits(1, "blas"):
        try:
            for thread in running:
                thread.start()
            yield
        finally:
            stop.set()
            for thread in running:
                thread.join()
