"""The register of all claims, with a filter (lesson 10)."""

import html

from course_utils import document
from course_utils.lesson.show import said
from course_utils.text import _
from course_utils.widgets import Explorer, choice


def chosen(verdict, section):
    """Returns the claims with a verdict in a section; "" stands for all of either."""
    return [
        claim
        for claim in document.CLAIMS
        if verdict in ("", claim.verdict) and section in ("", claim.section.split(".")[0])
    ]


def show(claims):
    """The chosen claims, one below the other."""
    count = _("{count} of {all} claims").format(count=len(claims), all=len(document.CLAIMS))
    listed = [
        f"<p style='margin: 0.6em 0'>{claim.section} <b>{html.escape(_(claim.verdict))}</b>: "
        f"{said(claim)}</p>"
        for claim in claims
    ]
    return f"<div class='course-text'><p><b>{html.escape(count)}</b></p>{''.join(listed)}</div>"


def register():
    """Filters the register by verdict and by section. Returns an `Explorer` whose results are lists
    of claims."""
    verdicts = {_("all"): "", **{_(claim.verdict): claim.verdict for claim in document.CLAIMS}}
    numbers = dict.fromkeys(claim.section.split(".")[0] for claim in document.CLAIMS)
    return Explorer(
        chosen,
        show,
        verdict=choice(_("verdict"), verdicts, "wrong", _("what came of it")),
        section=choice(
            _("section"), {_("all"): "", **{number: number for number in numbers}}, "5", ""
        ),
    )
