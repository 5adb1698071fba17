"""Models of the course: architectures, the shipped checkpoints, and the commands that made them."""

from course_utils import files
from course_utils.checks import one_of


def added():
    """Returns the names of the models that a learner added, which are not shipped."""
    from course_utils.models import minilm

    return ("minilm",) if minilm.there() else ()


def names():
    """Returns the names of the shipped models, and of those that were added."""
    shipped = (path.stem for path in (files.DATA / "models").glob("*.safetensors"))
    return tuple(sorted([*shipped, *added()]))


def load(name):
    """Loads a shipped model with its trained weights, or one that was added.

    Args:
        name: One of `names()`, such as `"docs-tiny"`.

    Returns:
        A built Keras model.

    Raises:
        ValueError: If there is no model of this name, or its file is damaged.
    """
    from course_utils.models import checkpoint, minilm

    if name == "minilm":
        return minilm.load()
    if name not in names():
        raise ValueError(f"unknown model {name!r}; shipped: {', '.join(names())}")
    return checkpoint.load(files.DATA / "models" / f"{name}.safetensors")


def record(name):
    """Returns how a shipped model was trained: command, seed, steps, loss curve, versions."""
    from course_utils.models import checkpoint

    one_of("model", name, names())
    return checkpoint.read(files.DATA / "models" / f"{name}.safetensors")[1]["record"]
