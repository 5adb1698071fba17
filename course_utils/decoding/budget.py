"""A latency budget: milliseconds a token that are kept while the load of the machine changes, by
letting a smaller model write where the better one would be late.

What is spent is time that was measured, so a variant has to be faster in truth. Fewer units or
blocks are. Weights that were rounded are not: Keras multiplies floats as before, so such a variant
costs quality and saves nothing.
"""

import dataclasses
import math
import typing

import numpy as np

from course_utils.backend import tf
from course_utils.checks import finite, positive, whole
from course_utils.decoding.loops import CHUNK, padded, prefill, write
from course_utils.decoding.serving import timed
from course_utils.models.compiled import compiled

LOOK = 16  # tokens between two looks at the clock
WEIGHT = 0.4  # of the newest chunk in an estimate; of the one k chunks before it, 0.4 * 0.6**k
KEPT_FREE = 0.1  # share of the budget for what varies; a change needs as much again
REST = 30  # chunks after which the next better variant is tried whatever was estimated


@dataclasses.dataclass(frozen=True)
class Variant:
    """A model that may write.

    Attributes:
        name: What to call it.
        model: A `DecoderLM`.
        loss: Of the model on validation text, in nats a token.
    """

    name: str
    model: object
    loss: float


class Paced(typing.NamedTuple):
    """What was written within a budget, each an array with one value for every new token.

    Several of them are joined by `Paced(*map(np.concatenate, zip(*several)))`.

    Attributes:
        tokens: What was written, without the prompt.
        variants: The name of the variant that wrote it.
        losses: Its loss on validation text, not on this one.
        seconds: How long the token took, an equal share of its chunk. All that the chunk took
            counts, also that a variant had to read what others wrote.
        possible: Whether any variant was expected to keep the budget. Where none was, the fastest
            wrote.
    """

    tokens: np.ndarray
    variants: np.ndarray
    losses: np.ndarray
    seconds: np.ndarray
    possible: np.ndarray


class Pen:
    """A variant with the keys and values of one text, which it may read later than others wrote.

    Attributes:
        read_to: How many tokens of the text the caches hold.
    """

    def __init__(self, variant):
        self.name, self.model = variant.name, variant.model
        self.caches, self.read_to = self.model.empty_caches(1), 0

    def read(self, text, length):
        """Reads what it has not yet read of a text, all but the last token."""
        if self.read_to < length - 1:
            chunk = math.gcd(CHUNK, self.model.config["context"])
            state = text, tf.constant(length), self.caches
            start = tf.constant(self.read_to // chunk * chunk)
            self.caches = compiled(self.model, prefill)(*state, start)
            self.read_to = length - 1

    def write(self, text, length, until):
        """Goes on with a text up to a length; returns it."""
        state = text, tf.constant(length), self.caches, tf.constant(length - 1), tf.constant(until)
        text, self.caches = compiled(self.model, write)(*state)
        self.read_to = until - 1
        return text


class Pacer:
    """Writes with the best variant that keeps a budget at present.

    What a variant takes for a token is estimated from its chunks, the newest with `WEIGHT`. If it
    takes longer than before, or a worse one that came to help takes longer than expected, that is
    the load's doing and moves the estimates of all. Only a better one that was just taken surprises
    for itself, and for those that are better still.

    Args:
        variants: `Variant`s that know the same tokens, in any order.
        budget: Milliseconds a token.
        clock: Calls a function and says how long it took; a model of the costs in a simulation.

    Attributes:
        variants: From the lowest loss to the highest.
        estimates: Milliseconds that each of them takes for a token, at present.

    Raises:
        ValueError: If there is no variant, two have one name or other tokens, or a loss or the
            budget is not allowed.
    """

    def __init__(self, variants, budget, clock=timed):
        self.variants = sorted(checked(variants), key=lambda variant: variant.loss)
        self.budget, self.clock = positive("budget", budget), clock
        self.last, self.since = 0, 0  # who wrote last, and for how many chunks
        self.estimates = np.array([self.first_estimate(variant) for variant in self.variants])
        self.fastest = int(self.estimates.argmin())  # whatever else is estimated later

    def first_estimate(self, variant):
        """Lets a variant write some chunks; returns the median of what it took for a token."""
        text, times = tf.zeros((1, variant.model.config["context"]), tf.int32), []
        for _ in range(4):
            pen = Pen(variant)
            pen.read(text, 2)
            times.append(self.clock(pen.write, text, 2, 2 + LOOK)[1])
        return max(1e-6, 1000 * np.median(times[1:]) / LOOK)  # the first was compiled

    def pick(self):
        """Returns who writes the next chunk, and whether that is expected to keep the budget."""
        free = np.full(len(self.variants), 1 - KEPT_FREE)
        free[np.arange(len(free)) != self.last] -= KEPT_FREE
        fits = self.estimates <= free * self.budget
        if not fits.any():
            return self.fastest, bool(self.estimates[self.fastest] <= self.budget)
        best = int(fits.argmax())
        rested = best == self.last and self.since >= REST
        return max(0, best - rested), True

    def note(self, which, milliseconds):
        """Takes down what a variant just took for a token."""
        ratio = max(1e-6, milliseconds) / self.estimates[which]  # a coarse clock may stand still
        if which < self.last:
            self.estimates[: which + 1] *= ratio
        else:
            self.estimates *= ratio if which > self.last else 1 + WEIGHT * (ratio - 1)

    def write(self, prompt, length):
        """Continues a prompt greedily: each token is the one that its variant thinks most likely
        after all that stands.

        Args:
            prompt: Token ids, at least one.
            length: How many tokens to add.

        Returns:
            A `Paced`.

        Raises:
            ValueError: As `loops.generate`.
        """
        text, (at,) = padded(self.variants[0].model, [prompt], length)
        text, end = tf.constant(text), at + length
        pens, chunks = [Pen(variant) for variant in self.variants], []
        while at < end:
            until = min(at + LOOK, end)
            which, possible = self.pick()
            _, reading = self.clock(pens[which].read, text, at)
            text, writing = self.clock(pens[which].write, text, at, until)
            if until - at == LOOK:  # a shorter one says more of the call than of its tokens
                self.note(which, 1000 * writing / LOOK)
            self.since = self.since + 1 if which == self.last else 0
            self.last = which
            variant, count = self.variants[which], until - at
            row = variant.name, variant.loss, (reading + writing) / count, possible
            chunks.append((text[0, at:until].numpy(), *(np.repeat(value, count) for value in row)))
            at = until
        return Paced(*map(np.concatenate, zip(*chunks)))


def checked(variants):
    """Returns variants as a list, if they can take turns; raises `ValueError` otherwise."""
    variants = list(variants)
    if not variants:
        raise ValueError("variants must hold at least one variant, got none")
    names = [variant.name for variant in variants]
    if len(set(names)) < len(names):
        raise ValueError(f"variants must have names of their own, got {', '.join(names)}")
    finite("loss", [variant.loss for variant in variants])
    for size in ("vocabulary", "context"):
        found = [variant.model.config[size] for variant in variants]
        if len(set(found)) > 1:
            raise ValueError(f"variants must have one {size}, got {', '.join(map(str, found))}")
    whole("context", found[0], 2 + LOOK, 2**20)
    return variants
