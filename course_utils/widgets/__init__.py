"""Things a learner moves: controls, the `Explorer` that computes and shows, and number cards.

The studio is in `widgets.studio`, and what only one lesson moves in `lessons`.
"""

from course_utils.widgets.controls import checkbox, choice, log_slider, slider
from course_utils.widgets.explorer import Explorer
from course_utils.widgets.html import cards, readout

__all__ = ["Explorer", "cards", "checkbox", "choice", "log_slider", "readout", "slider"]
