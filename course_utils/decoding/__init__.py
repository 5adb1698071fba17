"""Writing text: one token after another, with the keys and values of earlier ones kept."""

from course_utils.decoding.loops import answers, generate, sample, stream
from course_utils.decoding.sampling import Sampling

__all__ = ["Sampling", "answers", "generate", "sample", "stream"]
