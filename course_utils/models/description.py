"""Descriptions: what a Keras model is built from, as JSON can hold it."""

import contextlib
import math
import threading

from course_utils.backend import keras
from course_utils.container import inside

# Their classes must be known before a file names them.
from course_utils.models import (
    allowed,
    by_hand,
    catalogue,  # noqa: F401
)
from course_utils.models.introspection import layers

ZEROS = {
    "module": "keras.initializers",
    "class_name": "Zeros",
    "config": {},
    "registered_name": None,
}


def describe(model):
    """Returns class and configuration of a Keras model, and what was changed in it by hand since,
    as JSON can hold them.

    Raises:
        ValueError: If that names what no file may hold; see `allowed` and `by_hand`.
    """
    described = configuration(model)
    done = by_hand.changes(model, described, rebuild) if model.built else []
    return {**described, "changes": done} if done else described


def configuration(model):
    """Returns what a model was built from; see `describe`."""
    try:
        with vocabularies(model):
            described = portable(keras.saving.serialize_keras_object(model))
    except (TypeError, NotImplementedError) as problem:
        raise ValueError(f"model {model.name!r} cannot be described: {first(problem)}") from None
    allowed.check(described)
    return described


def portable(value):
    """Returns a configuration as JSON can hold it, without what says nothing here."""
    if isinstance(value, dict):
        # These keys say nothing here, and older versions of Keras refuse the second.
        return {
            k: ZEROS if k.endswith("initializer") and holds_array(v) else portable(v)
            for k, v in value.items()
            if k != "compile_config" and (k, v) != ("quantization_config", None)
        }
    return [portable(item) for item in value] if isinstance(value, (list, tuple)) else value


def holds_array(value):
    """Says whether an initializer has an array in it: the values are put in later, and a file that
    is to be small must not hold them twice."""
    if isinstance(value, dict) and value.get("class_name") in ("__numpy__", "__tensor__"):
        return True
    return (isinstance(value, list) and len(value) > 8) or any(map(holds_array, inside(value)))


@contextlib.contextmanager
def vocabularies(model):
    """Lets layers that look words up tell what they know, as if it had been given to them: Keras
    leaves out of a configuration what was learned with `adapt`, or read from a file."""
    told = []
    try:
        for layer in layers(model):
            given = getattr(layer, "input_vocabulary", ())
            if given is None or isinstance(given, str):
                words = layer.get_vocabulary(include_special_tokens=False)
                if words:
                    told.append((layer, given, layer.input_idf_weights))
                    layer.input_vocabulary = list(words)
                    if layer.output_mode == "tf_idf":
                        begin = layer.vocabulary_size() - len(words)
                        known = layer.idf_weights.numpy()[begin : begin + len(words)]
                        layer.input_idf_weights = known.tolist()
        yield
    finally:
        for layer, given, weights in told:
            layer.input_vocabulary, layer.input_idf_weights = given, weights


def without_news(value):
    """Leaves out what newer versions of Keras note down, older ones refuse, and neither needs."""
    if isinstance(value, dict):
        return {
            k: without_news(v)
            for k, v in value.items()
            if (k, v) not in (("input_axes", None), ("output_axes", None))
        }
    return [without_news(item) for item in value] if isinstance(value, (list, tuple)) else value


def rebuild(described, tensors=None):
    """Builds a model from what `describe` returned, with fresh weights.

    Args:
        described: The description; a stranger may have written it.
        tensors: What will be put in, arrays or `QuantizedTensor`s. A description that asks for
            more is refused before memory is taken.

    Raises:
        ValueError: If the description names what it may not, or builds no model.
    """
    sizes = None if tensors is None else [getattr(one, "codes", one).size for one in tensors]
    allowed.check(described, None if sizes is None else sum(sizes))
    try:
        with contextlib.nullcontext() if sizes is None else no_more_than(sizes):
            built_from = {k: v for k, v in described.items() if k != "changes"}
            model = keras.saving.deserialize_keras_object(without_news(built_from))
            if not model.built:
                model.build()
    except Exception as problem:  # Keras has no one kind of error for what it cannot build
        raise ValueError(f"a description builds no model: {first(problem)}") from None
    if not isinstance(model, keras.layers.Layer):
        raise ValueError(f"a description builds no model, but a {type(model).__name__}")
    by_hand.apply(model, described.get("changes", []))
    return model


@contextlib.contextmanager
def no_more_than(sizes):
    """Makes layers raise `ValueError` when they ask for far more weights, or larger ones, than these,
    or when there are far more layers than such weights need."""
    add_weight, init, mine = Layer.add_weight, Layer.__init__, threading.get_ident()
    # Twice, for `Bidirectional` makes its two layers from a third one.
    left = {
        "weights": 2 * len(sizes),
        "numbers": 2 * sum(sizes),
        "layers": 1000 + 16 * len(sizes),
    }

    def take(kind, count):
        if threading.get_ident() == mine:
            left[kind] -= count
            if left[kind] < 0:
                raise ValueError(f"it asks for more {kind} than the file holds")

    def counted_weight(self, shape=None, *args, **kwargs):
        take("weights", 1)
        take("numbers", math.prod(shape if isinstance(shape, (list, tuple)) else [shape or 1]))
        return add_weight(self, shape, *args, **kwargs)

    def counted_layer(self, *args, **kwargs):
        take("layers", 1)
        return init(self, *args, **kwargs)

    Layer.add_weight, Layer.__init__ = counted_weight, counted_layer
    try:
        yield
    finally:
        Layer.add_weight, Layer.__init__ = add_weight, init


Layer = keras.layers.Layer


def first(problem):
    """Returns the first line of what an error says, shortened; of errors that Keras has wrapped in
    others, of the innermost."""
    said = str(problem).rpartition("Exception encountered: ")[2].strip()
    return (said or type(problem).__name__).splitlines()[0][:200]
