"""One compiled function for all models of one architecture: their weights are its arguments.

XLA takes a second or more to compile a function. A compressed copy has other weights and the same
layers, so it need not be compiled again. A model changed by hand shares with none: its graph is run
as it is.
"""

import json
import weakref

from course_utils.backend import keras, tf
from course_utils.models.description import describe
from course_utils.models.introspection import changed_by_hand

_shared = {}  # (function, architecture) -> compiled function
_bound = (
    weakref.WeakKeyDictionary()
)  # model -> {function: the shared one with this model's weights}


def compiled(model, function):
    """Compiles `function(model, *tensors)`, once for each architecture.

    Args:
        model: A built Keras model.
        function: A function of a model and tensors, defined at module level.

    Returns:
        A function of the tensors alone. It reads the model's weights anew at each call.
    """
    known = _bound.setdefault(model, {})
    if function not in known:
        if changed_by_hand(model):  # not like its class; for a few batches XLA would not pay
            run = with_weights(weakref.ref(model), function, xla=False)
        else:
            described = describe(model)
            described["config"].pop("name", None)
            key = function, json.dumps(described, sort_keys=True)
            run = _shared[key] = _shared.get(key) or with_weights(lambda: model, function)
        here = weakref.ref(model)
        known[function] = lambda *tensors: run(
            [variable.value for variable in here().variables], *tensors
        )
    return known[function]


def with_weights(model, function, xla=True):
    """Compiles a function that takes the values of a model's variables first; `model()` returns the
    model."""

    @tf.function(jit_compile=xla, autograph=False)
    def run(values, *tensors):
        with keras.StatelessScope(state_mapping=list(zip(model().variables, values))):
            return function(model(), *tensors)

    return run
