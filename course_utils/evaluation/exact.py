"""Exactly what a recipe is: two that differ in anything that could change a number are told apart.

The words of a recipe are for people. What a row of a sweep is kept under must hold all that its
number rests on: a function's code, its defaults, what it remembers and what it reads from outside.
"""

import dataclasses
import functools
import hashlib
import inspect
import math
import types

import numpy as np

from course_utils.backend import keras, tf
from course_utils.container import digest
from course_utils.models.description import describe

OURS = ("course_utils", "numpy", "keras", "tensorflow", "scipy", "math", "builtins")
DEPTH = 60


class Unknown(Exception):
    """Says what cannot be told exactly."""


def told(value, seen=()):
    """Returns a value as data that JSON can hold, equal only for equal values.

    Args:
        value: A number, text, array, tensor, container, dataclass, function, partial, class, module
            or Keras model.
        seen: Functions and classes that are being told already; they may call one another.

    Raises:
        Unknown: If it is anything else, such as an object of a learner's own class: what it does
            may rest on what cannot be seen.
    """
    if len(seen) > DEPTH:
        raise Unknown(f"what is nested too deeply: {type(value).__name__}")
    if value is None or isinstance(value, (bool, str)):
        return value
    if isinstance(value, (int, float)) and type(value) in (int, float):
        return value if isinstance(value, int) or math.isfinite(value) else repr(value)
    if isinstance(value, (complex, bytes)) or value is Ellipsis:
        return [type(value).__name__, repr(value)]
    if isinstance(value, (np.ndarray, np.generic, tf.Tensor, keras.Variable)):
        return array(value)
    deeper = (*seen, value) if isinstance(value, (types.FunctionType, type)) else (*seen, None)
    if isinstance(value, (list, tuple)):
        return [type(value).__name__, *(told(item, deeper) for item in value)]
    if isinstance(value, dict):
        return ["dict", *([told(key, deeper), told(item, deeper)] for key, item in value.items())]
    if isinstance(value, (set, frozenset)):
        return ["set", *sorted((told(item, deeper) for item in value), key=repr)]
    if isinstance(value, functools.partial):
        return ["partial", *(told(x, deeper) for x in (value.func, value.args, value.keywords))]
    if isinstance(value, types.ModuleType):
        return ["module", value.__name__]
    if isinstance(value, types.FunctionType):
        return ["again", value.__qualname__] if value in seen else function(value, deeper)
    if isinstance(value, type):
        return ["again", value.__qualname__] if value in seen else of_class(value, deeper)
    if isinstance(value, np.ufunc):
        return ["name", "numpy", value.__name__]
    if isinstance(value, types.BuiltinFunctionType) and plainly_owned(value):
        return ["name", value.__module__ or "builtins", value.__qualname__]
    if isinstance(value, keras.Model):
        weights = {str(i): np.asarray(weight) for i, weight in enumerate(value.weights)}
        try:
            return ["model", digest(weights, describe(value))]
        except ValueError as problem:
            raise Unknown(f"a model that no file can hold ({problem})") from None
    if dataclasses.is_dataclass(value):
        held = {one.name: getattr(value, one.name) for one in dataclasses.fields(value)}
        return ["dataclass", told(type(value), deeper), told(held, deeper)]
    raise Unknown(f"an object of the class {type(value).__qualname__}")


def array(value):
    """Tells an array or tensor by its type, shape and digest."""
    try:
        values = np.asarray(value)
    except Exception:
        raise Unknown(f"a {type(value).__name__} without values") from None
    if values.dtype.hasobject:
        raise Unknown("an array of objects")
    return ["array", str(values.dtype), list(values.shape), digest({"": values}, None)]


def ours(value):
    """Says whether something belongs to an installed package that the course knows."""
    return (value.__module__ or "builtins").partition(".")[0] in OURS


def plainly_owned(value):
    owner = getattr(value, "__self__", None)
    return owner is None or inspect.ismodule(owner)


def function(value, seen):
    """Tells a function by its name, what it remembers and, if it is no package's, its code and what
    that reads."""
    name = ["name", value.__module__, value.__qualname__]
    try:
        cells = [cell.cell_contents for cell in value.__closure__ or ()]
    except ValueError:  # a name that has no value yet
        raise Unknown(f"the unfinished function {value.__qualname__}") from None
    if ours(value):
        return [*name, *(["remembers", told(cells, seen)] if cells else [])]
    reads = sorted(names(value.__code__) & set(value.__globals__))
    held = cells, value.__defaults__, value.__kwdefaults__, vars(value)
    outside = [[one, told(value.__globals__[one], seen)] for one in reads]
    return ["code", *name, code(value.__code__), *(told(one, seen) for one in held), outside]


def names(block):
    """Returns every name that some code, or code inside it, looks up."""
    inside = [one for one in block.co_consts if isinstance(one, types.CodeType)]
    return set(block.co_names).union(*map(names, inside))


def code(block):
    """Returns a digest of what some code does."""
    constants = [
        code(one) if isinstance(one, types.CodeType) else repr(one) for one in block.co_consts
    ]
    parts = block.co_code.hex(), block.co_names, block.co_varnames, block.co_freevars, constants
    return hashlib.sha256(repr(parts).encode()).hexdigest()


def of_class(value, seen):
    """Tells a class by its name and, if it is no package's, all that stands in it."""
    name = ["name", value.__module__, value.__qualname__]
    if ours(value):
        return name
    held = []
    for key, item in vars(value).items():
        item = getattr(item, "__func__", item)  # a static or class method
        item = item.fget if isinstance(item, property) else item
        if key not in ("__dict__", "__weakref__", "__doc__", "__module__") and not (
            key.startswith("__dataclass") or isinstance(item, types.MemberDescriptorType)
        ):
            held.append([key, told(item, seen) if key.isidentifier() else None])
    return ["class", *name, [told(base, seen) for base in value.__bases__], held]


def plain(data):
    """Says whether what `told` returned rests on the package and on numbers and texts alone."""
    if isinstance(data, list):
        own = data[:1] in (["code"], ["class"], ["model"], ["array"])
        return not own and all(map(plain, data))
    return True
