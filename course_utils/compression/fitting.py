"""Settings found for a size: the file has to fit, the step or the share follows."""

from course_utils import pruning, quantization
from course_utils.compression.recipe import Prune, Quantize
from course_utils.compression.weights import weights
from course_utils.compression.whole import compress


def rounded_to(model, size):
    """Rounds a model to a step so chosen that the entropy-coded file has at most `size` bytes;
    returns a `Compressed`."""
    count = sum(weight.matrix().size for weight in weights(model) if not weight.skipped_because)
    return fitted(
        model,
        size,
        0.05,
        lambda step: [Quantize(quantization.step, step=step)],
        lambda step, total: step * 2 ** (8 * (total - 0.985 * size) / count),
    )  # twice the step, a bit less a weight


def pruned_to(model, size):
    """Removes the smallest weights until the entropy-coded file has at most `size` bytes; returns a
    `Compressed`."""
    return fitted(
        model,
        size,
        0.2,
        lambda kept: [Prune(pruning.magnitude, pruning.fraction(1 - min(kept, 1)))],
        lambda kept, total: kept * 0.985 * size / total,
    )  # half the weights, about half the bytes


def fitted(model, size, guess, steps, better):
    """Tries guesses, each better than the last, until the file fits and hardly any room is left."""
    for _ in range(8):
        small = compress(model, steps(guess), "entropy")
        if 0.97 * size <= small.ledger.total <= size:
            return small
        guess = better(guess, small.ledger.total)
    raise ValueError(f"no setting makes a file of {size} bytes")
