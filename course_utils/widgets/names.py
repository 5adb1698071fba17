"""Names that several explorers show, in the learner's language, by what code calls the same."""

from course_utils.text import _


def rules():
    """The rules that round weights."""
    return {"step": _("step"), "absmax": _("absmax"), "affine": _("affine")}


def scores():
    """The scores that θ cuts."""
    return {"magnitude": _("magnitude"), "document": _("document"), "wanda": _("wanda")}


def skills():
    """What a model of the tales can do."""
    return {
        "story": _("story"),
        "translate": _("translation"),
        "question": _("questions"),
        "mood": _("mood"),
    }


def parts():
    """The parts of a file."""
    return {
        "payload": _("payload"),
        "scales": _("scales"),
        "codebooks": _("codebooks"),
        "indices": _("indices"),
        "untouched": _("untouched"),
        "header": _("header"),
    }
