"""Training while compressing: weights learn to live with being removed and rounded."""

import numpy as np

from course_utils.backend import keras, tf
from course_utils.checks import whole
from course_utils.compression.recipe import Prune, compress_weight
from course_utils.compression.weights import chosen, matched, weights
from course_utils.models.checkpoint import clone

CROSS_ENTROPY = keras.losses.SparseCategoricalCrossentropy(from_logits=True)


def finetune(
    model, batches, steps, recipe, learning_rate=1e-3, loss=CROSS_ENTROPY, weight_decay=0.0
):
    """Trains a copy of a model that is pruned and rounded before every step.

    Two copies of each matrix are kept. The loss and its gradient are taken with the compressed one;
    the optimizer moves the float one, as if rounding were the identity. This is the
    straight-through estimator (Bengio et al., 2013; Courbariaux et al., 2015; Jacob et al., 2018),
    for any rule. Weights that pruning removed are zero in both and get no gradient.

    Args:
        model: A built Keras model; it is not changed.
        batches: Function from the step to `(inputs, targets)`, always of the same shape.
        steps: How many steps.
        recipe: Function from the step to the steps of a recipe for `compression.compress`, such as
            `lambda step: [Prune(magnitude, fraction(cubic(step, 0, 200, 0.8))), Quantize(absmax, bits=4)]`.
        learning_rate: For AdamW: a number or a Keras schedule.
        loss: Function of targets and the model's output.
        weight_decay: For AdamW. Smaller weights stand on fewer levels: some decay keeps an
            entropy-coded file small.

    Returns:
        The trained twin: floats, with pruned weights at zero. `compress(twin, recipe(steps))`
        rounds it.

    Raises:
        ValueError: If a step of the recipe asks for calibration inputs, or touches no matrix.
    """
    twin = clone(model)
    matrices = [
        weight
        for weight in matched(twin, model)
        if not weight.skipped_because and weight.variable.trainable
    ]
    learn = training_step(twin, loss, adamw(learning_rate, weight_decay), matrices)
    for step in range(whole("steps", steps, 0, 2**31)):
        pruned = _compress_in_place(matrices, recipe(step))
        learn(*batches(step), pruned, [(value != 0).astype(np.float32) for value in pruned])
    for weight, value in zip(matrices, _compress_in_place(matrices, recipe(steps))):
        weight.variable.assign(value)
    return twin


def training_step(model, loss, optimizer, matrices=()):
    """Compiles one step of training: the only one, whether the model is compressed or not.

    Args:
        model: A built Keras model; it is changed.
        loss: Function of targets and the model's output.
        optimizer: A Keras optimizer.
        matrices: Those of its `Weight`s whose variables hold compressed values.

    Returns:
        A function of inputs, targets, the floats behind the matrices, and masks of what is kept;
        it returns the loss.
    """
    optimizer.build(model.trainable_variables)

    @tf.function(autograph=False)  # XLA would take longer to compile it than it saves
    def learn(inputs, targets, floating=(), masks=()):
        with tf.GradientTape() as tape:
            cost = loss(targets, model(inputs, training=True))
        slopes = tape.gradient(cost, model.trainable_variables)
        slopes = dict(zip(map(id, model.trainable_variables), slopes))
        for weight, value, mask in zip(matrices, floating, masks):
            weight.variable.assign(value)  # back to the floats
            slopes[id(weight.variable)] *= mask
        optimizer.apply(list(slopes.values()))
        return cost

    return learn


def adamw(learning_rate, weight_decay):
    """Returns the optimizer that all of the course's training uses (Loshchilov and Hutter, 2019)."""
    return keras.optimizers.AdamW(
        learning_rate, weight_decay=weight_decay, beta_2=0.98, global_clipnorm=1.0
    )


def warm_up_then_cosine(highest, steps, warm_up):
    """Returns a learning rate that rises from nothing over `warm_up` steps, then falls along a
    cosine to nothing."""
    return keras.optimizers.schedules.CosineDecay(
        0.0, steps - warm_up, warmup_target=highest, warmup_steps=warm_up
    )


def _compress_in_place(matrices, recipe):
    """Puts compressed values into the variables; returns the floats behind them, pruned but not
    rounded."""
    if any(step.needs_inputs for step in recipe):
        raise ValueError("a recipe for fine-tuning cannot ask for calibration inputs")
    for step in recipe:
        chosen(matrices, step.only)  # each step touches something
    pruned = []
    for weight in matrices:
        floating = compress_weight(weight, [step for step in recipe if isinstance(step, Prune)])
        rounded = compress_weight(
            weight, [step for step in recipe if not isinstance(step, Prune)], floating
        )
        weight.assign(rounded)
        pruned.append(weight.shaped(floating))
    return pruned


def gradients(model, inputs, targets):
    """Takes the loss's gradient at each matrix of a model, for `pruning.taylor`.

    Args:
        model: A built Keras model.
        inputs, targets: One batch, such as calibration tokens and the same one place on.

    Returns:
        By name of the weight, an array of shape `(inputs, units)`.

    Example:

    >>> model, tokens = models.load("docs-tiny"), docs.sequences("train", 4)
    >>> slopes = gradients(model, tokens[:, :-1], tokens[:, 1:])
    >>> half = pruning.fraction(0.5)
    >>> recipe = [Prune(pruning.taylor(slopes[name]), half, only=name) for name in slopes]
    """
    matrices = [weight for weight in weights(model) if not weight.skipped_because]
    with tf.GradientTape() as tape:
        cost = CROSS_ENTROPY(targets, model(inputs, training=False))
    slopes = tape.gradient(cost, [weight.variable.value for weight in matrices])
    return {
        weight.name: weight.matrix(tf.convert_to_tensor(slope).numpy())
        for weight, slope in zip(matrices, slopes)
    }
