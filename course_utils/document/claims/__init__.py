"""Every printed number, formula, checkable statement and citation of the document, with a
verdict."""

from collections import Counter

from course_utils.document.claims import (
    applications,
    background,
    mathematics,
    methods,
    project,
    resources,
    summary,
)
from course_utils.document.claims.claim import EVIDENCE, VERDICTS, Claim
from course_utils.document.sections import SECTIONS

CLAIMS = (
    *background.CLAIMS,
    *methods.CLAIMS,
    *mathematics.CLAIMS,
    *project.CLAIMS,
    *applications.CLAIMS,
    *resources.CLAIMS,
    *summary.CLAIMS,
)


def claims(section):
    """The claims of a section and of its subsections, in the document's order.

    Args:
        section: A number from `SECTIONS`, e.g. `"4"`, `"4.2"` or `"4.2.1"`; the abstract is `"0"`.

    Returns:
        A tuple of `Claim`.

    Raises:
        ValueError: If the document has no such section.
    """
    if section not in {known.number for known in SECTIONS}:
        numbers = ", ".join(known.number for known in SECTIONS)
        raise ValueError(f"unknown section {section!r}; the document has: {numbers}")
    return tuple(c for c in CLAIMS if c.section == section or c.section.startswith(section + "."))


def tally():
    """How many claims have each verdict, by what decided it: a dictionary in the order of
    `VERDICTS`, of dictionaries in the order of `EVIDENCE`."""
    found = Counter((claim.verdict, claim.evidence) for claim in CLAIMS)
    return {verdict: {kind: found[verdict, kind] for kind in EVIDENCE} for verdict in VERDICTS}


__all__ = ["CLAIMS", "EVIDENCE", "VERDICTS", "Claim", "claims", "tally"]
