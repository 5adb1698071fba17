"""TensorFlow and Keras, imported once and without their start-up chatter.

TensorFlow writes several lines to the process's standard error while it looks for a GPU, below any
Python setting. They would stand on top of every notebook, so the file descriptor is turned away
while it starts, and only then: real warnings later on are still seen.
"""

import contextlib
import gc
import os
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


@contextlib.contextmanager
def quietly():
    """Turns the process's standard error away for a while; exceptions still come through."""
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@contextlib.contextmanager
def for_good():
    """Makes objects that stay. Python need not search them for garbage: not now (a fifth of the
    import's time), and not whenever somebody asks it to, as Keras does for each layer that it
    quantizes (0.2 s each time)."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


with quietly(), for_good():
    import tensorflow as tf

    tf.config.list_physical_devices()
    import keras  # noqa: F401
