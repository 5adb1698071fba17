"""What decides how a text is drawn, to be moved."""

from course_utils.text import _
from course_utils.widgets.controls import slider


def controls():
    """The sliders, by name; all but the first are arguments of `Sampling`."""
    return {
        "length": slider(_("tokens"), 4, 2000, 4, 400, _("how many are written, if none stops it")),
        "temperature": slider(
            _("temperature"), 0, 2, 0.05, 0.8, _("0: the most likely token, always")
        ),
        "top_k": slider(_("top-k"), 0, 512, 1, 0, _("so many of the most likely tokens; 0: all")),
        "top_p": slider(
            _("top-p"), 0, 1, 0.05, 0.95, _("the most likely tokens with this share of chance")
        ),
        "min_p": slider(
            _("min-p"), 0, 1, 0.05, 0, _("tokens at least so likely beside the likeliest; 0: all")
        ),
        "seed": slider(_("seed"), 0, 100, 1, 0, _("decides the draws")),
    }
