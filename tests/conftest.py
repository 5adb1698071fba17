"""What all tests share: one profile of hypothesis. Tiny models are in small.py, paths in files."""

from hypothesis import settings

settings.register_profile("quick", max_examples=40, deadline=None)
settings.load_profile("quick")
