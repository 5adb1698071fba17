"""What Keras knows of a model and does not offer: its private doors, all in this one room.

A release of Keras that moves one of them breaks this file and no other.
"""

import contextlib
import functools
import itertools
import threading

from course_utils.backend import keras


def layers(model):
    """Returns every layer of a model, and of the layers inside it."""
    return list(model._flatten_layers())


def own_weights(layer):
    """Returns the variables that a layer made itself, without those of the layers inside it."""
    return layer._trainable_variables + layer._non_trainable_variables


def owners(model):
    """Returns the layer that made each variable, by the variable's id."""
    found = {}
    for layer in layers(model):
        for variable in own_weights(layer):
            found.setdefault(id(variable), layer)
    return found


def names(model):
    """Returns a name for each weight of a model: its path, and for the second of a path a number.

    Two layers may have one path: two branches with an inner layer of one name, a head called like a
    layer of its base, two models of one name in a third.
    """
    found = {}
    for path in (weight.path for weight in model.weights):
        numbered = (f"{path} ({i})" for i in itertools.count(2))
        name = path if path not in found else next(n for n in numbered if n not in found)
        found[name] = None
    return list(found)


def settle(model):
    """Lets layers that compute with something made from their weights make it anew.

    `Normalization` keeps mean and deviation beside its weights; whoever assigns these must call
    this afterwards.
    """
    for layer in layers(model):
        if hasattr(layer, "finalize_state") and layer.weights:
            layer.finalize_state()


def in_a_row(model, chain):
    """Says whether each layer of a chain reads the one before it and nothing else."""
    by_depth = getattr(model, "_nodes_by_depth", {})  # functional: a node for each call of a layer
    nodes = [node for same_depth in by_depth.values() for node in same_depth]
    reads = {
        id(node.operation): [parent.operation for parent in node.parent_nodes] for node in nodes
    }
    chained = len(nodes) == len(chain) + 1 and all(
        reads[id(b)] == [a] for a, b in itertools.pairwise(chain)
    )
    return isinstance(model, keras.Sequential) or chained


def replace_call(layer, call):
    """Lets one layer run another function: an attribute of it hides the method of its class. The
    change lives in this object alone: a clone or a saved file does not have it."""
    with contextlib.suppress(AttributeError):  # a method takes no note
        call.here_alone = True
    layer.call = call


ALONE = threading.RLock()  # two who replaced one call would each put back what the other left


@contextlib.contextmanager
def called_instead(layer, call):
    """Lets a layer run another function for a while, in this thread alone: a second thread waits
    here, and one that only calls the model gets what it always got."""
    own = threading.get_ident()
    with ALONE:
        before, usual = vars(layer).get("call"), layer.call  # `replace_call` may have left one

        @functools.wraps(call)
        def here(*args, **kwargs):
            return (call if threading.get_ident() == own else usual)(*args, **kwargs)

        layer.call = here
        try:
            yield
        finally:
            del layer.call
            if before:
                layer.call = before


def changed_by_hand(model):
    """Says whether a layer of the model runs another function than its class does."""
    return any("call" in vars(layer) for layer in layers(model))
