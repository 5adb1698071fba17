"""Writing text: one token after another, with the keys and values of earlier ones kept."""

from course_utils.decoding.loops import answers, generate, sample

__all__ = ["answers", "generate", "sample"]
