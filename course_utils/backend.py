"""TensorFlow and Keras, imported once and without their start-up chatter.

TensorFlow writes several lines to the process's standard error while it looks for a GPU, below any
Python setting. They would stand on top of every notebook, so the file descriptor is turned away
while it starts, and only then: real warnings later on are still seen.
"""

import contextlib
import contextvars
import gc
import json
import os
import sys
import tempfile

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def insist():
    """Makes Keras compute with TensorFlow, whatever other courses left in the shell.

    Raises:
        ValueError: If somebody asked for another backend by name, or if keras.json stops Keras.
    """
    wanted = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if wanted != "tensorflow":
        raise ValueError(
            f"the course computes with TensorFlow, and the variable KERAS_BACKEND says {wanted!r}: "
            "unset it and start again"
        )
    if problem := unusable(settings_file()):
        raise ValueError(problem)
    os.environ["KERAS_BACKEND"] = wanted
    for name in ("TF_USE_LEGACY_KERAS", "KERAS_MAX_EPOCHS", "KERAS_MAX_STEPS_PER_EPOCH"):
        os.environ.pop(name, None)  # another Keras, or trainings that are cut short


@contextlib.contextmanager
def quietly():
    """Turns the process's standard error away for a while; exceptions still come through. IDLE and
    services have none, and then there is nothing to turn away."""
    if sys.stderr is not None:
        sys.stderr.flush()
    try:
        kept = os.dup(2)
    except OSError:  # closed: taken, lest the next file that is opened hears TensorFlow's chatter
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 2)
        if nowhere != 2:
            os.close(nowhere)
        yield
        return
    with tempfile.TemporaryFile() as sink:
        os.dup2(sink.fileno(), 2)
        try:
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def unusable(path):
    """Returns the sentence for a keras.json that would stop TensorFlow and Keras, or None. What it
    may say is set aside later; what it may not say stops them while they start.

    Args:
        path: Of the file, which need not exist.
    """
    try:
        with open(path, encoding="utf8") as file:
            settings = json.load(file)
    except OSError as error:
        there = os.path.exists(path)
        return f"{path} cannot be read ({error.strerror}): remove that file" if there else None
    except ValueError:
        return None  # no JSON: passed over
    if not isinstance(settings, dict):
        return f"{path} must hold names and values, got {settings!r}: remove that file"
    allowed = {
        "floatx": ("float16", "float32", "float64"),
        "image_data_format": ("channels_last", "channels_first"),
    }
    for name, values in allowed.items():
        if name in settings and settings[name] not in values:
            return (
                f"{path} says {name} is {settings[name]!r}; allowed are {', '.join(values)}: mend "
                "or remove that file"
            )
    if not isinstance(settings.get("epsilon", 1e-7), float):
        return f"{path} says epsilon is {settings['epsilon']!r}, no float: mend or remove that file"
    return None


def settings_file():
    """Where Keras looks for its settings."""
    home = os.path.expanduser("~")
    home = home if os.access(home, os.W_OK) else "/tmp"
    return os.path.join(os.environ.get("KERAS_HOME") or os.path.join(home, ".keras"), "keras.json")


def ours(keras):
    """Sets what the course's numbers rest on, whatever keras.json says.

    Raises:
        ValueError: If Keras was already imported for another backend.
    """
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "the course computes with TensorFlow, and Keras was imported for "
            f"{keras.backend.backend()!r} before: restart and import course_utils first"
        )
    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")


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


insist()
with quietly(), for_good():
    import tensorflow as tf
    from tensorflow.compiler.tf2xla.python import xla  # noqa: F401  writes into a tensor in place

    tf.config.list_physical_devices()
    import keras

    ours(keras)


for_xla = contextvars.ContextVar("for_xla", default=False)  # XLA will compile what is traced now
narrow = contextvars.ContextVar("narrow", default=False)


@contextlib.contextmanager
def narrow_range():
    """Lets models avoid very large constants for a while: with 8 bits for a whole tensor, they would
    leave one level for all other values."""
    before = narrow.set(True)
    try:
        yield
    finally:
        narrow.reset(before)
