"""A learner's own model: from a file of Keras, or from a folder that KerasHub saved."""

import json
import pathlib
import zipfile

from course_utils.backend import keras
from course_utils.models import allowed
from course_utils.models.description import first, portable


def open_model(path):
    """Opens a Keras model that lies on this machine.

    What the file names is looked up before Keras builds it, as in the course's own files: a class
    of one's own must be registered, and code is not run.

    Args:
        path: A `.keras` file, or the folder of a KerasHub preset, which holds a `config.json`.

    Returns:
        A built Keras model.

    Raises:
        ValueError: If nothing is there, it is neither, or Keras cannot build it.
    """
    path = pathlib.Path(path)
    if not path.exists():
        raise ValueError(f"no model at {path}")
    if path.is_dir():
        return preset(path)
    described = inside(path)
    allowed.check(portable(described))
    try:
        return keras.saving.load_model(path, compile=False)
    except Exception as problem:  # Keras has no one kind of error for what it cannot build
        raise ValueError(f"{path.name} cannot be opened: {first(problem)}") from None


def inside(path):
    """Returns what a `.keras` file says that it holds."""
    try:
        with zipfile.ZipFile(path) as parts:
            return json.loads(parts.read("config.json"))
    except (zipfile.BadZipFile, KeyError, ValueError):
        raise ValueError(
            f"{path.name} is no .keras file; a model is written to one with "
            f"model.save({path.stem + '.keras'!r})"
        ) from None


def preset(folder):
    """Opens a folder that a model of KerasHub was saved to with `save_to_preset`."""
    if not (folder / "config.json").is_file():
        raise ValueError(f"{folder} is no preset of KerasHub: it has no config.json")
    try:
        import keras_hub
    except ModuleNotFoundError:
        raise ValueError(
            f"{folder} is a preset of KerasHub, which needs one more package: pip install keras-hub"
        ) from None
    try:
        return keras_hub.models.Backbone.from_preset(str(folder))
    except Exception as problem:
        raise ValueError(f"{folder} cannot be opened: {first(problem)}") from None
