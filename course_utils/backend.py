"""TensorFlow and Keras, imported once and without their start-up chatter.

TensorFlow writes several lines to the process's standard error while it looks for a GPU, below any
Python setting. They would stand on top of every notebook, so the file descriptor is turned away
while it starts, and only then: real warnings later on are still seen.
"""

import os
import sys
import tempfile

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def _import_quietly():
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            import tensorflow

            tensorflow.config.list_physical_devices()
            import keras
        finally:
            os.dup2(kept, 2)
            os.close(kept)
    return tensorflow, keras


tf, keras = _import_quietly()
