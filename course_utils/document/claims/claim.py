"""What a claim is: a statement of the document, a computation that judges it, and the verdict."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

VERDICTS = ("holds", "wrong", "cannot be reproduced", "depends", "forecast")
EVIDENCE = ("recomputed", "looked up", "argued")


@dataclass(frozen=True, kw_only=True)
class Claim:
    """One checkable statement of the document.

    Args:
        id: Section and a few words, e.g. `"4.3.2-sum-w4"`; never changes.
        quote: A short phrase, formula or number as printed.
        states: What it says, in one English sentence.
        recompute: Computes the deciding value now, with no arguments.
        expected: What `recompute` has to give; known independently where that is possible.
        verdict: One of `VERDICTS`.
        because: Why, with the number, the source, or for `"depends"` the condition; for
            `"forecast"` what has come of it so far.
        evidence: One of `EVIDENCE`: `recompute` computes what decides the claim, or looks up a
            source that does, or only illustrates the argument in `because`.
        printed: The value the document prints for the same quantity, if there is one.
        repaired: The statement or formula as it should read, in text or LaTeX, if it needs repair.
        tolerance: Largest allowed distance of a recomputed number from `expected`.
    """

    id: str
    quote: str
    states: str
    recompute: Callable[[], Any]
    expected: Any
    verdict: str
    because: str
    evidence: str = "recomputed"
    printed: Any = None
    repaired: str | None = None
    tolerance: float = 1e-9

    @property
    def section(self):
        """The section it stands in, e.g. `"4.3.2"`."""
        return self.id.partition("-")[0]

    def agrees(self, value):
        """Whether a recomputed value is the expected one: text and truth exactly, numbers within
        `tolerance`."""
        value, expected = np.asarray(value), np.asarray(self.expected)
        if value.shape != expected.shape:
            return False
        if expected.dtype.kind in "UbO" or value.dtype.kind in "UbO":
            return value.dtype.kind == expected.dtype.kind and bool(np.array_equal(value, expected))
        return bool(np.allclose(value, expected, rtol=1e-12, atol=self.tolerance))
