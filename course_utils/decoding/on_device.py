"""Writing with LiteRT: one step as a file, in which the keys and values of what was read stay."""

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from course_utils import litert
from course_utils.backend import quietly, tf
from course_utils.checks import whole
from course_utils.decoding.loops import padded
from course_utils.decoding.serving import next_tokens


def export_step(model, mode):
    """Converts one step of greedy writing: a token and its place go in, the next token comes out.

    Args:
        model: A built `models.language.DecoderLM`.
        mode: `"float"`, `"dynamic"` or `"int4"`, see `litert.export`. What is kept of earlier
            tokens stays float32.

    Returns:
        The file, as `bytes`.
    """
    kept = [tf.Variable(part) for part in tf.nest.flatten(model.empty_caches(1))]

    def step(tokens, slot):
        return next_tokens(model, tokens, slot, None, *kept)

    reads = tf.TensorSpec((1,), tf.int32), tf.TensorSpec((), tf.int32)
    return litert.convert(step, reads, model.variables, mode, kept=kept)


class Writer:
    """Continues prompts with a file that `export_step` made.

    Args:
        model: The model that it was made from, for its context and its tokens.
        content: The file, as `bytes`.
        threads: CPU threads.
    """

    def __init__(self, model, content, threads=1):
        self.model = model
        with quietly():
            self.interpreter = Interpreter(
                model_content=content, num_threads=whole("threads", threads, 1, 1024)
            )
            self.interpreter.allocate_tensors()
        details = self.interpreter.get_input_details()
        self.token, self.slot = (
            next(d["index"] for d in details if len(d["shape"]) == rank) for rank in (1, 0)
        )
        self.next = self.interpreter.get_output_details()[0]["index"]

    def step(self, token, slot):
        """Reads a token at its place; returns the one that is likeliest to come next."""
        self.interpreter.set_tensor(self.token, np.array([token], np.int32))
        self.interpreter.set_tensor(self.slot, np.array(slot, np.int32))
        self.interpreter.invoke()
        return int(self.interpreter.get_tensor(self.next)[0])

    def generate(self, prompt, length):
        """Continues a prompt, as `loops.generate` does greedily."""
        (text,), (given,) = padded(self.model, [prompt], length)
        for at in range(given + length - 1):
            token = self.step(text[at], at)
            if at + 1 >= given:
                text[at + 1] = token
        return text[: given + length]
