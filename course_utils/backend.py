"""TensorFlow and Keras, imported once and without their start-up chatter.

TensorFlow writes several lines to the process's standard error while it looks for a GPU, below any
Python setting. They would stand on top of every notebook, so the file descriptor is turned away
while it starts, and only then: real warnings later on are still seen.
"""

import contextlib
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


with quietly():
    import tensorflow as tf

    tf.config.list_physical_devices()
    import keras  # noqa: F401
