"""Things a learner moves: controls, the `Explorer` that computes and shows, and number cards."""

from course_utils.widgets.explorer import Explorer, cards, checkbox, choice, log_slider, readout, slider

__all__ = ["Explorer", "cards", "checkbox", "choice", "log_slider", "readout", "slider"]
