"""Names and colours that several explorers show, by what code calls the same; names are in the
learner's language."""

from course_utils.text import _

# A colour and a shape for each model that stands in a chart beside others, the same everywhere.
LOOKS = {
    "docs-hmm": ("purple", "triangle"),
    "docs-ngram": ("vermillion", "diamond"),
    "docs-lstm": ("sky", "square"),
    "docs-tiny": ("green", "circle"),
    "docs-base": ("blue", "circle"),
    "docs-teacher": ("orange", "circle"),
    "docs-student": ("purple", "square"),
}


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
