"""Things a learner moves: controls, the `Explorer` that computes and shows, and number cards.

The studio has a module of its own, `widgets.studio`, because it brings TensorFlow.
"""

from course_utils.widgets.explorer import Explorer, cards, checkbox, choice, log_slider, readout, slider
from course_utils.widgets.explorers import cut_explorer, importance_explorer, rounding_explorer

__all__ = ["Explorer", "cards", "checkbox", "choice", "cut_explorer", "importance_explorer", "log_slider", "readout",
           "rounding_explorer", "slider"]
