"""One compiled function for all models of one architecture: their weights are its arguments.

XLA takes a second or more to compile a function. A compressed copy has other weights and the same
layers, so it need not be compiled again. A model changed by hand shares only with models that were
changed alike; one whose layers run other functions shares with none, and its graph is run as it is.
"""

import contextvars
import json
import weakref

from course_utils.backend import for_xla, keras, tf
from course_utils.models.by_hand import fingerprint
from course_utils.models.description import configuration
from course_utils.models.introspection import changed_by_hand

_shared = {}  # (function, architecture, fingerprint) -> compiled function
_bound = weakref.WeakKeyDictionary()  # model -> {function: (fingerprint, compiled function)}
_caller = contextvars.ContextVar("caller")  # the model that a compiled function works for now


def compiled(model, function):
    """Compiles `function(model, *tensors)`, once for each architecture.

    Args:
        model: A built Keras model.
        function: A function of a model and tensors, defined at module level.

    Returns:
        A function of the tensors alone. At each call it reads the model's weights anew, and looks
        whether a layer was changed by hand. It does not keep the model alive, and raises
        `ReferenceError` when that is gone.
    """
    here, name = weakref.ref(model), model.name

    def call(*tensors):
        if (model := here()) is None:
            raise ReferenceError(f"the model {name} is gone: keep it in a variable of its own")
        return bound(model, function)(*tensors)

    return call


def bound(model, function):
    """As `compiled`, but looked up now and not at each call: for passes so short that the look at
    every layer takes as long as they do. Weights may change afterwards, layers may not.
    """
    run, values = suited(model, function), [variable.value for variable in model.variables]

    def call(*tensors):
        before = _caller.set(model)
        try:
            return run(values, *tensors)
        finally:
            _caller.reset(before)

    return call


def suited(model, function):
    """Returns the compiled function that computes what the model computes as it is now."""
    known, now = _bound.setdefault(model, {}), fingerprint(model)
    if function not in known or known[function][0] != now:
        if changed_by_hand(model):  # not like its class; for a few batches XLA would not pay
            known[function] = now, with_weights(function, xla=False)
        else:
            key = function, architecture(model), now
            run = _shared[key] = _shared.get(key) or with_weights(function)
            known[function] = now, run
    return known[function][1]


def architecture(model):
    """Returns what a model is built from, without its name; for one that no configuration describes
    something that no other model has."""
    try:
        described = configuration(model)
    except ValueError:
        return object()
    described["config"].pop("name", None)
    return json.dumps(described, sort_keys=True)


def with_weights(function, xla=True):
    """Compiles a function that takes the values of a model's variables first. It is traced with the
    model it is called for, and may be called for any that has the same fingerprint."""

    @tf.function(jit_compile=xla, autograph=False)
    def run(values, *tensors):
        model = _caller.get()
        before = for_xla.set(xla)
        try:
            with keras.StatelessScope(state_mapping=list(zip(model.variables, values))):
                return function(model, *tensors)
        finally:
            for_xla.reset(before)

    return run


def meant(record):
    """Says of a line in TensorFlow's log whether it is more than the advice to trace one of these
    functions less often: each is traced once for every size of a text, and means to be."""
    return f"<function {with_weights.__name__}" not in record.getMessage()


tf.get_logger().addFilter(meant)
