"""What all tests share: the profiles of hypothesis. Tiny models are in small.py, paths in files."""

from hypothesis import settings

# A commit passes or fails the same way each time; the weekly workflow looks at new examples.
settings.register_profile("quick", max_examples=40, deadline=None, derandomize=True)
settings.register_profile("weekly", max_examples=400, deadline=None)
settings.load_profile("quick")
