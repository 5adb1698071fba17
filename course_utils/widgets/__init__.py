"""Things a learner moves: controls, the `Explorer` that computes and shows, and number cards.

The studio is in `widgets.studio`, and each lesson's own explorers in a module of their own.
"""

from course_utils.widgets.explorer import Explorer, cards, checkbox, choice, log_slider, readout, slider

__all__ = ["Explorer", "cards", "checkbox", "choice", "log_slider", "readout", "slider"]
