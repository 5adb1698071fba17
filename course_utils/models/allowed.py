"""What a description of a model may name: classes that compute, and nothing that runs code, opens
files or imports modules.

A checksum shows that a file is as it was written, and not who wrote it. Keras builds whatever a
description names, imports modules for it, and reads vocabularies from any path, each release within
limits of its own. So every name is looked up here before Keras sees it.
"""

import sys

from course_utils.backend import keras
from course_utils.container import inside

# What Keras writes for values that JSON does not have.
VALUES = ("__keras_tensor__", "__tensor__", "__numpy__", "__bytes__", "__ellipsis__", "__slice__")
KINDS = (
    keras.Operation,  # layers and models are operations, too
    keras.initializers.Initializer,
    keras.regularizers.Regularizer,
    keras.constraints.Constraint,
    keras.DTypePolicy,
    keras.dtype_policies.DTypePolicyMap,
    keras.quantizers.Quantizer,
    *(kind for kind in [getattr(keras.quantizers, "QuantizationConfig", None)] if kind),
)
# Layers that run what the file holds, or load what lies elsewhere.
NEVER = ("Lambda", "TFSMLayer", "TorchModuleWrapper", "JaxLayer", "FlaxLayer")
ACTIVATIONS = {name for name in vars(keras.activations) if name[0] != "_"} - {
    "deserialize",
    "get",
    "serialize",
}
WHERE_ACTIVATIONS_ARE = ("builtins", "keras.activations", "keras.ops", "keras.ops.nn")


def check(described, most=None):
    """Raises `ValueError` if a description names what no file may, at any depth.

    Args:
        described: What `description.describe` returns, or what a file says it returned.
        most: How many numbers the file holds as weights, if known: no size in the configuration of
            a model of this course is larger.
    """
    if not isinstance(described, dict) or not isinstance(described.get("class_name"), str):
        raise ValueError(
            f"a model is described by its class and configuration, got {described!r:.80}"
        )
    waiting = [described]
    while waiting:
        value = waiting.pop()
        waiting += inside(value)
        if isinstance(value, dict):
            if "class_name" in value:
                _check_name(value)
                _check_sizes(value, most)
            if isinstance(value.get("vocabulary"), str):
                raise ValueError(
                    f"a vocabulary must be a list, got the path {value['vocabulary']!r:.80}"
                )


def _check_name(value):
    name, module = value["class_name"], value.get("module")
    where = (module, value.get("registered_name"))
    if not (
        isinstance(name, str)
        and isinstance(value.get("config"), (dict, str))
        and all(text is None or isinstance(text, str) for text in where)
    ):
        raise ValueError(f"a class is described by its name and configuration, got {value!r:.80}")
    if name in VALUES or known(value.get("registered_name", name)):
        return
    if name == "function":
        function = value.get("config")
        if not known(function) and not (
            module in WHERE_ACTIVATIONS_ARE
            and function in ACTIVATIONS
            and value.get("registered_name") in (None, "function", function)
        ):
            raise ValueError(f"{said(module, function)} is no activation of Keras{REGISTER}")
        return
    found = loaded(module, name)
    if isinstance(found, type) and issubclass(found, tuple(never())):
        raise ValueError(f"{name} holds code, or loads it, which no file here may{REGISTER}")
    if not (isinstance(found, type) and issubclass(found, KINDS)):
        raise ValueError(f"{said(module, name)} is no layer of Keras or of this course{REGISTER}")


def _check_sizes(value, most):
    made_by = keras.saving.get_registered_object(
        value.get("registered_name") or value["class_name"]
    )
    ours = str(getattr(made_by, "__module__", "")).startswith("course_utils.")
    if most is not None and ours and isinstance(value["config"], dict):
        for name, size in value["config"].items():
            if isinstance(size, int) and size > most:
                raise ValueError(
                    f"{name} must be at most {most} in a file of this size, got {size}"
                )


REGISTER = (
    "; what is your own must be a class or function decorated with "
    "@keras.saving.register_keras_serializable() before it is saved and before it is loaded"
)


def known(name):
    """Says whether something was registered under this name."""
    return isinstance(name, str) and keras.saving.get_registered_object(name) is not None


def loaded(module, name):
    """Returns what a module of Keras holds under a name, if that module is there already; nothing
    is imported."""
    if not isinstance(module, str) or not isinstance(name, str) or module.split(".")[0] != "keras":
        return None
    return vars(sys.modules[module]).get(name) if module in sys.modules else None


def never():
    """Yields the classes in `NEVER` that this release of Keras has."""
    return (getattr(keras.layers, name) for name in NEVER if hasattr(keras.layers, name))


def said(module, name):
    return f"{module}.{name}"[:80] if isinstance(module, str) else f"{name}"[:80]
