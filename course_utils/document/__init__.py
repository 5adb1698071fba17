"""The document this course follows: its code and formulas as printed, and where each of its claims
stands."""

from course_utils.document.claims import CLAIMS, Claim, claims, tally
from course_utils.document.code import (
    CASES,
    PRINTED,
    decode,
    embed,
    encode,
    importance,
    listing,
    prune,
    quantize,
    soft_label,
    squared_error_loss,
)
from course_utils.document.references import REFERENCES
from course_utils.document.sections import SECTIONS

__all__ = [
    "CASES",
    "CLAIMS",
    "PRINTED",
    "REFERENCES",
    "SECTIONS",
    "Claim",
    "claims",
    "decode",
    "embed",
    "encode",
    "importance",
    "listing",
    "prune",
    "quantize",
    "soft_label",
    "squared_error_loss",
    "tally",
]
