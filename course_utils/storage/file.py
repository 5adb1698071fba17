"""The file: every tensor in its smallest layout, and one header that says how to read them."""

import dataclasses
import json
import math
import zlib

import numpy as np

from course_utils.checks import one_of
from course_utils.container import pack, unpack
from course_utils.quantization import QuantizedTensor
from course_utils.storage.layouts import Pieces, as_bytes, code_layouts, float_layouts, layout_of
from course_utils.storage.ledger import PARTS, Ledger

STORAGE = ("fixed", "entropy")
# What a quantized tensor needs beside its codes, and the part that it goes to.
CONSTANTS = {"scale": "scales", "zero_point": "scales", "codebook": "codebooks"}


def encode(tensors, storage="fixed", model=None):
    """Lays tensors out as one file, each in the way that makes it smallest.

    Args:
        tensors: By name: a `QuantizedTensor`, or a float array that stays as it is.
        storage: `"fixed"` (packed at a fixed width, or only what is not zero, with indices) or
            `"entropy"` (an entropy coder may be used as well).
        model: Anything JSON can hold that `decode` should give back, such as a configuration.

    Returns:
        The file as `bytes`, and its `Ledger`. `ledger.total == len(bytes)`.

    Raises:
        ValueError: If `storage` is neither of the two.

    Example:

    >>> content, ledger = encode({"bias": np.ones(40, np.float32)})
    >>> ledger.layouts, ledger.parts["untouched"], ledger.total == len(content)
    ({'bias': ('raw', 40, 160)}, 160, True)
    """
    one_of("storage", storage, STORAGE)
    parts, layouts, described = {part: [] for part in PARTS[:-1]}, {}, []
    for name, tensor in tensors.items():
        shape, layout, constants, pieces = _lay_out(tensor, storage == "entropy")
        for part, piece in pieces:
            parts[part].append(piece)
        layouts[name] = str(layout), math.prod(shape), sum(len(piece) for _, piece in pieces)
        described.append([name, list(shape), dataclasses.asdict(layout), constants])
    joined = {part: np.concatenate(pieces) for part, pieces in parts.items() if pieces}
    content = pack({**joined, "layout": _write_header(described, model)}, {})
    sizes = {part: sum(map(len, pieces)) for part, pieces in parts.items()}
    return content, Ledger({**sizes, "header": len(content) - sum(sizes.values())}, layouts)


def decode(content, name="the file"):
    """Reads what `encode` wrote.

    Args:
        content: The bytes of the file.
        name: What messages should call it.

    Returns:
        The tensors by name, as they were given to `encode`, and the `model` entry.

    Raises:
        ValueError: If the bytes are damaged or come from elsewhere.
    """
    parts, _ = unpack(content, name)
    if "layout" not in parts:
        raise ValueError(f"{name} holds no compressed model; checkpoints are read with models.load")
    described, model = _read_header(parts["layout"])
    pieces = Pieces(parts)
    return {key: _read(pieces, *notes) for key, *notes in described}, model


def _write_header(described, model):
    text = json.dumps({"tensors": described, "model": model}, separators=(",", ":"))
    return np.frombuffer(zlib.compress(text.encode(), 9), np.uint8)


def _read_header(header):
    found = json.loads(zlib.decompress(header.tobytes()))
    return found["tensors"], found["model"]


def _lay_out(tensor, entropy):
    """Returns shape, smallest layout and constants of a tensor, and its pieces as `(part, bytes)`,
    in the order in which `_read` takes them."""
    if isinstance(tensor, QuantizedTensor):
        shape = tensor.codes.shape
        constants, pieces = _write_constants(tensor)
        # 64 bits, so that a code less the lowest one is never out of range.
        flat = tensor.codes.astype(np.int64).ravel()
        candidates = code_layouts(flat, _zero(tensor), entropy)
    else:
        array = np.asarray(tensor)
        shape, flat = array.shape, array.ravel()
        constants, pieces = [], []
        candidates = float_layouts(flat)
    layout = min(candidates, key=lambda candidate: candidate.size(flat.size))
    return shape, layout, constants, [*pieces, *layout.write(flat).items()]


def _read(pieces, shape, notes, constants):
    """Undoes `_lay_out`."""
    constants = _read_constants(pieces, constants) if constants else None
    values = layout_of(notes).read(pieces, math.prod(shape)).reshape(shape)
    return QuantizedTensor(values, **constants) if constants else values


def _zero(tensor):
    """The one code of a quantized tensor that stands for 0.0, if it is the same everywhere."""
    if np.ndim(tensor.zero_point) == 0 and tensor.codebook is None:
        return int(tensor.zero_point)
    return None


def _write_constants(tensor):
    """What a quantized tensor needs beside its codes: scalars go to the header, arrays to parts."""
    constants, pieces = {"bits": tensor.bits, "group_size": tensor.group_size}, []
    for key, part in CONSTANTS.items():
        value = getattr(tensor, key)
        if np.ndim(value) == 0:
            constants[key] = None if value is None else np.asarray(value).item()
            continue
        value = _short(value)
        constants[key] = [value.dtype.str, list(value.shape)]
        pieces.append((part, as_bytes(value)))
    return constants, pieces


def _read_constants(pieces, constants):
    """Undoes `_write_constants`; whatever was shortened comes back as float32."""
    found = dict(constants)
    for key, part in CONSTANTS.items():
        if isinstance(found[key], list):
            dtype, shape = found[key]
            value = pieces.numbers(part, dtype, math.prod(shape)).reshape(shape)
            found[key] = value.astype(np.float32) if value.dtype == np.float16 else value
    if np.ndim(found["scale"]) == 0:
        found["scale"] = np.float32(found["scale"])
    return found


def _short(value):
    """Returns floats as float16 where that changes none of them, and anything else as it is."""
    if value.dtype.kind == "f" and np.abs(value).max() < 65504:
        short = value.astype(np.float16)
        return short if np.array_equal(short, value) else value
    return value
