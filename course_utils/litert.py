"""LiteRT: the model as a file for phones and small computers, where eight-bit integers are really
computed with.

Everywhere else in this course a quantized model computes in float32. Here the integers reach the
processor, so here, and only here, fewer bits can also mean less time.
"""

import contextlib
import importlib.util
import io

import numpy as np
from ai_edge_litert.interpreter import Interpreter

from course_utils.backend import narrow_range, quietly, tf
from course_utils.checks import one_of, token_ids, whole

MODES = ("float", "dynamic", "int8", "int4")
tf.get_logger().setLevel("WARNING")  # the converter would tell each of its temporary folders


def modes():
    """Returns the modes this machine can export: `"int4"` needs the package `ai-edge-quantizer`."""
    return MODES if importlib.util.find_spec("ai_edge_quantizer") else MODES[:3]


def export(model, mode, length=128, batch=1, calibration=None):
    """Converts a language model to a LiteRT file.

    Args:
        model: A built `models.language.DecoderLM`.
        mode: `"float"` keeps float32. `"dynamic"` stores weights as int8 and rounds what a layer
            reads to int8 as it arrives. `"int8"` computes in integers, at scales found on
            `calibration`, wherever LiteRT can (the square inside a norm stays float). `"int4"` is
            `"dynamic"` with 4-bit matrices and a scale for each 32 inputs; embeddings stay float32.
        length: Tokens of a call. LiteRT wants shapes that never change.
        batch: Sequences of a call.
        calibration: Tokens `(sequences, length)` for `"int8"`.

    Returns:
        The file, as `bytes`.

    Raises:
        ValueError: If the mode is unknown, the length is beyond the model's context, or calibration
            tokens are missing or of another length.
        ModuleNotFoundError: If `mode` is `"int4"` and `ai-edge-quantizer` is not installed.

    Example:

    >>> small = export(models.load("docs-tiny"), "dynamic")
    >>> Runner(small)(docs.sequences("validation", 4)[:, :-1]).shape
    (4, 128, 512)
    """
    length, batch = (
        whole("length", length, 1, model.config["context"]),
        whole("batch", batch, 1, 1024),
    )
    samples = None
    if calibration is not None:
        tokens = token_ids("calibration", calibration, model.config["vocabulary"])
        if tokens.ndim != 2 or len(tokens) < batch or tokens.shape[1] != length:
            raise ValueError(
                f"calibration must have shape ({batch} or more sequences, {length}), got "
                f"{tokens.shape}"
            )
        samples = [tokens[i : i + batch] for i in range(0, len(tokens) - batch + 1, batch)]
    return convert(model, tf.TensorSpec((batch, length), tf.int32), model.variables, mode, samples)


def convert(function, shape, variables, mode, samples=None, kept=()):
    """Converts a function to a LiteRT file.

    Args:
        function: Maps a tensor, or some, to a tensor, with TensorFlow operations.
        shape: `tf.TensorSpec` of what it reads, or one for each.
        variables: Every variable it reads.
        mode: As in `export`.
        samples: Arrays like `shape`, for `"int8"`.
        kept: Every `tf.Variable` it writes into: they stay what they are from call to call.

    Returns:
        The file, as `bytes`.
    """
    one_of("mode", mode, MODES)
    if mode == "int8" and not samples:
        raise ValueError(
            "mode 'int8' needs calibration data: its activations get their scales from it"
        )
    module = tf.Module()  # the converter silently loses variables that no module holds
    module.held = [getattr(variable, "value", variable) for variable in variables]
    module.kept = list(kept)
    module.run = tf.function(function, input_signature=tf.nest.flatten(shape), autograph=False)
    narrow = narrow_range() if mode == "int8" else contextlib.nullcontext()
    with quietly(), narrow:
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [module.run.get_concrete_function()], module
        )
        converter.experimental_enable_resource_variables = bool(kept)
        if mode in ("dynamic", "int8"):
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if mode == "int8":
            converter.representative_dataset = lambda: ([sample] for sample in samples)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
        content = converter.convert()
    return to_int4(content) if mode == "int4" else content


def to_int4(content):
    """Rewrites a float LiteRT file with 4-bit matrices, one scale for each 32 inputs of a unit."""
    try:
        from ai_edge_quantizer import quantizer, recipe
    except ModuleNotFoundError:
        raise ModuleNotFoundError(
            "mode 'int4' needs one more package: pip install ai-edge-quantizer"
        ) from None
    with contextlib.redirect_stderr(io.StringIO()):  # its progress bars
        result = quantizer.Quantizer(content, recipe.dynamic_wi4b32_afp32()).quantize(
            enable_progress_report=False
        )
    return bytes(result.quantized_model)


class Runner:
    """Runs a LiteRT file. `evaluation.next_token` scores it as it scores a Keras model.

    Args:
        content: The file, as `bytes`.
        threads: CPU threads.

    Call arguments:
        inputs: Array of the shape that was exported, with any number of rows.

    Returns:
        The output as `np.ndarray`, such as logits `(rows, length, vocabulary)`.

    Attributes:
        config: Of a language model, its `context` and `vocabulary`.
    """

    def __init__(self, content, threads=1):
        with quietly():
            self.interpreter = Interpreter(
                model_content=content, num_threads=whole("threads", threads, 1, 1024)
            )
            self.interpreter.allocate_tensors()
        self.reads, self.writes = (
            self.interpreter.get_input_details()[0],
            self.interpreter.get_output_details()[0],
        )
        reads, writes = (detail["shape"].tolist() for detail in (self.reads, self.writes))
        language = np.dtype(self.reads["dtype"]).kind in "iu" and len(writes) == 3
        self.config = {"context": reads[1], "vocabulary": writes[-1]} if language else {}

    def __call__(self, inputs):
        inputs, shape = self.read(inputs), tuple(self.reads["shape"].tolist())
        if inputs.ndim != len(shape) or inputs.shape[1:] != shape[1:] or len(inputs) == 0:
            raise ValueError(
                f"this file reads rows of shape {shape[1:]}, got inputs of shape {inputs.shape}"
            )
        batch, rows = shape[0], len(inputs)
        inputs = np.concatenate(
            [inputs, np.repeat(inputs[-1:], -rows % batch, axis=0)]
        )  # fill the last batch
        return np.concatenate(
            [self.run(inputs[i : i + batch]) for i in range(0, len(inputs), batch)]
        )[:rows]

    def read(self, inputs):
        """Returns inputs in the type of the file, or raises `ValueError` if it would change them:
        2**32 + 5 is not token 5."""
        dtype = np.dtype(self.reads["dtype"])
        if dtype.kind not in "iu":
            return np.asarray(inputs, dtype)
        given, bounds = np.asarray(inputs), np.iinfo(dtype)
        if self.config:
            return token_ids("inputs", given, self.config["vocabulary"])
        fits = given.dtype.kind in "iu" and np.all((given >= bounds.min) & (given <= bounds.max))
        if not fits:
            raise ValueError(f"this file reads {dtype}, got {given.dtype} that does not fit")
        return given.astype(dtype)

    def run(self, inputs):
        """One call of exactly the exported shape."""
        self.interpreter.set_tensor(self.reads["index"], inputs)
        self.interpreter.invoke()
        return self.interpreter.get_tensor(self.writes["index"])
