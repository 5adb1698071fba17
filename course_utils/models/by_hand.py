"""What was done to a model by hand, after it was built: a configuration does not hold it.

`block.up.activation = relu`, `norm.epsilon = 10`, `model.blocks = model.blocks[:1]`, a layer's
`call` replaced: a class may call its layers as it likes, so the only way to know is to look at the
attributes of every layer, and to compare them with those of a model fresh from its configuration.
"""

import collections
import json
import math
import types

import numpy as np

from course_utils.backend import keras, tf
from course_utils.container import digest
from course_utils.models.introspection import layers, own_weights

PLAIN = (bool, int, float, str, bytes, type(None))
FUNCTIONS = (types.FunctionType, types.MethodType, types.BuiltinFunctionType)
# What Keras keeps in a layer for training, and as notes for itself: no output depends on it.
NOTES = {
    *(
        "build",
        "quantize",
        "built",
        "supports_masking",
        "stop_training",
        "history",
        "input_spec",
        "autocast",
    ),
    *("optimizer", "loss", "jit_compile", "run_eagerly", "steps_per_execution", "compiled"),
    *("train_function", "test_function", "predict_function", "lora_enabled"),
    *("stop_evaluating", "stop_predicting", "unrolled_steps_per_execution"),
}
MADE = ("dtype", "weights")  # what `quantize` and `enable_lora` change
_fresh = collections.OrderedDict()  # description -> what `looks` says of a model fresh from it


class Only:
    """An object that equals nothing but itself: what is inside it cannot be compared."""

    def __init__(self, held):
        self.held = held

    def __eq__(self, other):
        return isinstance(other, Only) and self.held is other.held

    def __hash__(self):
        return id(self.held)


def fingerprint(model):
    """Returns what the function of a model rests on beside its weights and configuration: hashable,
    and equal for two models whose layers are of the same classes and say the same of themselves."""
    found = layers(model)
    places = {id(layer): place for place, layer in enumerate(found)}
    kinds = dict.fromkeys(map(type, found))
    return (*((kind, methods(kind)) for kind in kinds), *(look(one, places) for one in found))


def methods(kind):
    """Returns the methods of a class that is not Keras's: a learner may have put in another."""
    return tuple(
        value
        for base in kind.__mro__
        if not base.__module__.startswith(("keras.", "tensorflow.", "builtins"))
        for value in vars(base).values()
        if type(value) is types.FunctionType
    )


def look(layer, places):
    """Returns a layer's class, precision, and attributes by name, of those that are public."""
    kind, policy = type(layer), getattr(layer, "_dtype_policy", None)
    seen = [kind, getattr(policy, "name", None)]
    for name, value in vars(layer).items():
        if name[0] != "_" and name not in NOTES:
            seen.append((name, value if type(value) in PLAIN else told(value, places)))
    return tuple(seen)


def told(value, places):
    """Returns what can be compared of one attribute."""
    if isinstance(value, float):
        return value if math.isfinite(value) else repr(value)
    if isinstance(value, (*PLAIN, *FUNCTIONS)):
        return value
    if isinstance(value, keras.layers.Layer):
        return ("layer", places[id(value)]) if id(value) in places else Only(value)
    if isinstance(value, (list, tuple)):
        return ("list", *(told(item, places) for item in value))
    if isinstance(value, dict):
        return ("dict", *((str(key), told(item, places)) for key, item in value.items()))
    if isinstance(value, keras.Variable):
        return "variable", tuple(value.shape), value.dtype
    if isinstance(value, (np.ndarray, np.generic)):
        return "array", value.shape, digest({"": np.asarray(value)}, None)
    if isinstance(value, tf.Tensor):
        eager = hasattr(value, "numpy")
        return told(value.numpy(), places) if eager else "tensor"
    if type(value).__module__.startswith(("keras.", "tensorflow.")):
        return type(value)  # initializers, constraints, seeds: they made the weights
    return value if isinstance(value, type) else Only(value)


def looks(model):
    """Returns every layer's path, class, and attributes as `fingerprint` compares them."""
    found = layers(model)
    places = {id(layer): place for place, layer in enumerate(found)}
    seen = []
    for layer in found:
        kind, dtype, *more = look(layer, places)
        shapes = [tuple(variable.shape) for variable in own_weights(layer)]
        seen.append((layer.path, kind, {"dtype": dtype, "weights": shapes, **dict(more)}))
    return seen


def changes(model, described, build):
    """Lists what was changed in a model since it was built, so that `apply` can do it again.

    Args:
        model: A Keras model.
        described: Its configuration.
        build: Function from that to a model; it is asked once for each configuration.

    Returns:
        A list of `[place of the layer, attribute, value]` as JSON can hold it; empty for a model as
        its configuration builds it.

    Raises:
        ValueError: If something was changed that no file can hold; it names layer and attribute.
    """
    key = json.dumps(described, sort_keys=True, default=str)
    if key not in _fresh:
        _fresh[key] = looks(build(described))
        while len(_fresh) > 32:
            _fresh.popitem(last=False)
    found, fresh = looks(model), _fresh[key]
    if [kind for _, kind, _ in found] != [kind for _, kind, _ in fresh]:
        gone = len(fresh) - len(found)
        what = f"{abs(gone)} layers {'less' if gone > 0 else 'more'}" if gone else "other layers"
        raise ValueError(
            f"model {model.name!r} has {what} than its configuration builds: a copy or a file would "
            "be another model; build it with a configuration that says so"
        )
    held, done = layers(model), []
    for place, ((path, kind, mine), (_, _, other)) in enumerate(zip(found, fresh)):
        own = kind.__module__.startswith("keras.")
        for name in {**mine, **other}:
            if mine.get(name) == other.get(name) or name == "dtype" and not mine["weights"]:
                continue
            if name == "call" and getattr(mine.get(name), "here_alone", False):
                continue  # see `introspection.replace_call`
            if name not in MADE and name in mine and portable(mine[name]) and name in other:
                done.append([place, name, spelled(mine[name])])
            elif name in MADE or not (own and (name not in mine or kept(mine[name]))):
                now = mine[name] if name in MADE else getattr(held[place], name, None)
                raise ValueError(
                    f"{path}: its {name!r} was changed by hand to {now!r}, which no copy or file "
                    "can hold: a class of your own can, if its configuration says so"
                )
    return done


def kept(value):
    """Says whether Keras itself keeps such a value in a layer that it has called or loaded."""
    if value is None or value is False or isinstance(value, type):
        return True
    return type(value) is tuple and value[0] != "list"


def portable(value):
    """Says whether `spelled` can say a value."""
    if isinstance(value, tuple):
        return value[0] in ("list", "layer") and all(portable(v) for v in value[1:])
    return type(value) in PLAIN and type(value) is not bytes or activation(value) is not None


def spelled(value):
    """Returns a value in a form that JSON keeps and `meant` reads."""
    if isinstance(value, tuple):
        if value[0] == "layer":
            return {"layer": value[1]}
        return [spelled(item) for item in value[1:]]
    return {"activation": activation(value)} if isinstance(value, FUNCTIONS) else value


def activation(value):
    """Returns the name of one of Keras's activations, or `None`."""
    name = getattr(value, "__name__", "")
    return name if isinstance(value, FUNCTIONS) and named(name) is value else None


def named(name):
    """Returns the activation of this name, or `None`: of all that a file might name, no more."""
    found = getattr(keras.activations, name, None) if isinstance(name, str) else None
    plain = isinstance(found, types.FunctionType)
    return found if plain and found.__module__.startswith("keras.src.activations.act") else None


def apply(model, done):
    """Changes a fresh model as `changes` told; a stranger may have written it.

    Raises:
        ValueError: If that is no list of changes that `changes` could have made.
    """
    found = layers(model)

    def meant(value):
        if isinstance(value, list):
            return [meant(item) for item in value]
        if isinstance(value, dict) and set(value) == {"layer"}:
            return found[value["layer"]]
        if isinstance(value, dict) and set(value) == {"activation"}:
            value = named(value["activation"])
            if value is None:
                raise ValueError("no activation of Keras's")
        if isinstance(value, dict):
            raise ValueError(value)
        return value

    for one in done if isinstance(done, list) else [done]:
        try:
            place, name, value = one
            layer = found[place]
            if name.startswith("_") or name in NOTES or name not in vars(layer):
                raise ValueError(name)
            setattr(layer, name, meant(value))
        except (TypeError, ValueError, IndexError, AttributeError):
            raise ValueError(
                f"a change made by hand must name a layer, an attribute and a value, got {one!r:.80}"
            ) from None
