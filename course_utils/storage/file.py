"""The file: every tensor in its smallest layout, and one header that says how to read them."""

import collections
import dataclasses
import functools
import json
import math
import zlib

import numpy as np

from course_utils import container
from course_utils.checks import LARGEST, finite, one_of, whole, within
from course_utils.quantization import QuantizedTensor, bits_for
from course_utils.storage.choice import smallest
from course_utils.storage.layouts import (
    FLOATS,
    Ans,
    Pieces,
    as_bytes,
    code_layouts,
    float_layouts,
    layout_of,
    name_of,
)
from course_utils.storage.ledger import PARTS, Ledger

STORAGE = ("fixed", "entropy")
# What a quantized tensor needs beside its codes, and the part that it goes to.
CONSTANTS = {"scale": "scales", "zero_point": "scales", "codebook": "codebooks"}
# A description of a model that takes more than this is left out where files are compared: it would
# cost seconds, and takes hardly another byte for what stands before it.
LONG = 2**14
COMPACT = json.JSONEncoder(separators=(",", ":")).encode


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
    drafts = [Draft(name, tensor, storage == "entropy") for name, tensor in tensors.items()]
    described = COMPACT(model)
    content, ledger = _write(drafts, _chosen(drafts, described), described)
    if ledger.layouts and ledger.weights > most_weights(content):
        raise ValueError(
            f"{ledger.weights} weights of which so little is left that they fit in {len(content)} "
            f"bytes could not be read back; at most {most_weights(content)} can"
        )
    return content, ledger


def most_weights(content):
    """Returns how many weights a file of this length may hold.

    Zeros take next to no bytes, so that a file of a few hundred could ask its reader for terabytes.
    """
    return 2**24 + 256 * len(content)


class Draft:
    """A tensor whose layout is still open.

    Attributes:
        layouts: The layouts that may be smallest for it; the simplest comes first.
    """

    def __init__(self, name, tensor, entropy):
        self.name, self.tensor = name, tensor
        self.quantized = isinstance(tensor, QuantizedTensor)
        self.shape = (tensor.codes if self.quantized else np.asarray(tensor)).shape
        self.count = math.prod(self.shape)
        self.constants, self.pieces = _write_constants(tensor) if self.quantized else ([], [])
        if self.quantized:
            self.layouts = list(code_layouts(self.flat, _zero(tensor), entropy))
        else:
            self.layouts = list(float_layouts(self.flat))

    @property
    def flat(self):
        if self.quantized:
            # 64 bits, so that a code less the lowest one is never out of range.
            return self.tensor.codes.astype(np.int64).ravel()
        return np.asarray(self.tensor).ravel()

    def entry(self, layout):
        """What the header says of the tensor in one of its layouts."""
        return COMPACT([self.name, self.shape, dataclasses.asdict(layout), self.constants])

    def written(self, layout):
        """Its pieces as `(part, bytes)`, in the order in which `_read` takes them."""
        return [*self.pieces, *layout.write(self.flat).items()]

    def sizes(self, layout):
        """The lengths of these pieces."""
        return [
            *((part, len(piece)) for part, piece in self.pieces),
            *layout.sizes(self.count).items(),
        ]


def _chosen(drafts, described):
    """Returns a layout for each draft: those that make the file shortest."""
    entry = functools.cache(lambda i, at: drafts[i].entry(drafts[i].layouts[at]))
    sizes = functools.cache(lambda i, at: drafts[i].sizes(drafts[i].layouts[at]))

    brief = described if len(described) < LONG else "0"

    @functools.cache
    def length(choice, described=brief):
        parts = collections.Counter()
        for place in enumerate(choice):
            for part, size in sizes(*place):
                parts[part] += size
        text = _header_text([entry(*place) for place in enumerate(choice)], described)
        return container.length({**+parts, "layout": len(zlib.compress(text, 9))})

    every = [
        [sum(layout.sizes(draft.count).values()) for layout in draft.layouts] for draft in drafts
    ]
    fixed = [  # the entropy coder is always the last candidate
        [size for size, layout in zip(some, draft.layouts) if not isinstance(layout, Ans)]
        for some, draft in zip(every, drafts)
    ]
    choice = smallest(fixed, length)
    if fixed != every:
        coded = smallest(every, length, choice)
        if brief != described and length(choice, described) <= length(coded, described):
            coded = choice
        choice = coded
    return [draft.layouts[at] for draft, at in zip(drafts, choice)]


def _write(drafts, layouts, described):
    """Returns the file that holds each draft in the layout chosen for it, and its ledger."""
    parts, rows, entries = {part: [] for part in PARTS[:-1]}, {}, []
    for draft, layout in zip(drafts, layouts):
        pieces = draft.written(layout)
        for part, piece in pieces:
            parts[part].append(piece)
        rows[draft.name] = str(layout), draft.count, sum(len(piece) for _, piece in pieces)
        entries.append(draft.entry(layout))
    sizes = {part: sum(map(len, pieces)) for part, pieces in parts.items()}
    joined = {part: np.concatenate(parts[part]) for part, size in sizes.items() if size}
    content = container.pack({**joined, "layout": _write_header(entries, described)}, {})
    return content, Ledger({**sizes, "header": len(content) - sum(sizes.values())}, rows)


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
    parts, notes = container.unpack(content, name)
    if "layout" not in parts:
        raise ValueError(f"{name} holds no compressed model; checkpoints are read with models.load")
    try:
        for part, piece in parts.items():
            one_of("part", part, (*PARTS[:-1], "layout"))
            if piece.dtype != np.uint8 or piece.ndim != 1:
                raise ValueError(
                    f"{part} must be a row of bytes, got {piece.dtype}, {piece.ndim}-D"
                )
        described, model = _read_header(parts.pop("layout"), notes)
        _bounded(described, most_weights(content))
        pieces = Pieces(parts)
        tensors = {key: _read(pieces, *entry) for key, *entry in described}
        for part in parts:
            if left := pieces.left(part):
                raise ValueError(f"{part} has {left} bytes too many")
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError) as problem:
        raise ValueError(f"{name} contradicts itself: {problem}") from None
    return tensors, model


def _header_text(entries, described):
    return f'{{"tensors":[{",".join(entries)}],"model":{described}}}'.encode()


def _write_header(entries, described):
    text = _header_text(entries, described)
    header = np.frombuffer(zlib.compress(text, 9), np.uint8)
    if len(text) > most_text(header):
        raise ValueError(
            f"a model described by {len(text)} bytes that shrink to {len(header)} repeats itself "
            "more than a reader believes"
        )
    return header


def most_text(header):
    """Returns how long the text of a header may be: a few kB of zlib can stand for gigabytes."""
    return 2**20 + 64 * len(header)


def _read_header(header, notes):
    """Returns what the header says of each tensor, `[name, shape, layout, constants]`, and the
    `model` entry."""
    most, unpacking = most_text(header), zlib.decompressobj()
    try:
        text = unpacking.decompress(header.tobytes(), most)
    except zlib.error as problem:
        raise ValueError(f"its header cannot be unpacked ({problem})") from None
    if not unpacking.eof or unpacking.unused_data:
        raise ValueError(f"its header of {len(header)} bytes does not unpack to at most {most}")
    found = container.parsed("the header", text)
    if not isinstance(found, dict) or set(found) != {"tensors", "model"} or notes:
        raise ValueError("a header holds tensors and a model, and nothing else")
    tensors = found["tensors"]
    if not isinstance(tensors, list) or any(
        not isinstance(one, list) or len(one) != 4 for one in tensors
    ):
        raise ValueError("a tensor is described by a list of name, shape, layout and constants")
    names = [name for name, *_ in tensors]
    if not all(isinstance(name, str) for name in names) or len(set(names)) < len(names):
        raise ValueError("a tensor's name must be text that no other tensor has")
    return tensors, found["model"]


def _bounded(described, most):
    """Raises `ValueError` if a shape is none, or all tensors together have more weights than
    `most`."""
    total = 0
    for name, shape, *_ in described:
        if not isinstance(shape, list) or len(shape) > 32:
            raise ValueError(f"the shape of {name!r:.80} must be a list of up to 32 numbers")
        total += math.prod(whole(f"the shape of {name!r:.80}", size, 0, most) for size in shape)
    if total > most:
        raise ValueError(
            f"a file of this length may hold {most} weights, and is said to hold {total}"
        )


def _read(pieces, shape, notes, constants):
    """Undoes `Draft.written`."""
    layout = layout_of(notes)
    quantized = constants != []
    if quantized == isinstance(layout, FLOATS) or (quantized and 0 in shape):
        raise ValueError(f"{layout}, shape {shape} and constants {constants!r:.80} do not fit")
    constants = _read_constants(pieces, constants) if quantized else None
    values = layout.read(pieces, math.prod(shape)).reshape(shape)
    if not quantized and not np.isfinite(values).all():
        raise ValueError("a weight is NaN or infinite")
    if not quantized:
        return values
    tensor = _consistent(QuantizedTensor(values, **constants))
    if hasattr(layout, "zero") and layout.zero != _zero(tensor):
        raise ValueError(f"its zero is {layout.zero}, and not the one that its constants say")
    return tensor


def _consistent(tensor):
    """Returns a quantized tensor if its constants fit its codes; raises `ValueError` otherwise."""
    codes, group = tensor.codes, tensor.group_size
    low, high = int(codes.min()), int(codes.max())
    if bits_for(low, high) > tensor.bits:
        raise ValueError(f"codes from {low} to {high} do not fit in {tensor.bits} bits")
    for name in ("scale", "zero_point"):
        value = getattr(tensor, name)
        if np.ndim(value) and group is not None and codes.ndim:
            groups = -(-codes.shape[0] // group)
            if len(value) != groups:
                raise ValueError(f"{name} has {len(value)} rows where {groups} groups are")
            value = np.empty((codes.shape[0], *np.shape(value)[1:]), "b")
        if np.broadcast_shapes(np.shape(value), codes.shape) != codes.shape:
            raise ValueError(f"{name} of shape {np.shape(value)} does not fit {codes.shape}")
    if tensor.codebook is not None:
        whole("a position in the codebook", low, 0, len(tensor.codebook) - 1)
        whole("a position in the codebook", high, 0, len(tensor.codebook) - 1)
    least, most = (int(np.min(tensor.zero_point)), int(np.max(tensor.zero_point)))
    for value in (low, high, least, most, low - most, high - least):
        whole("a code, less its zero point,", value, -(2**31), 2**31 - 1)
    return tensor


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
        constants[key] = [name_of(value.dtype), list(value.shape)]
        pieces.append((part, as_bytes(value)))
    return constants, pieces


def _read_constants(pieces, constants):
    """Undoes `_write_constants`; whatever was shortened comes back as float32."""
    if not isinstance(constants, dict) or set(constants) != {"bits", "group_size", *CONSTANTS}:
        raise ValueError(f"a quantized tensor is not described by {constants!r:.80}")
    group = constants["group_size"]
    found = {
        "bits": whole("bits", constants["bits"], 0, 32),
        "group_size": None if group is None else whole("group_size", group, 1, 2**63),
        **{key: _read_constant(pieces, key, constants[key]) for key in CONSTANTS},
    }
    if found["codebook"] is not None and found["codebook"].ndim != 1:
        raise ValueError(f"a codebook must be a row of levels, got {found['codebook'].ndim}-D")
    return found


def _read_constant(pieces, key, value):
    """Returns scale, zero point or codebook as they were; raises `ValueError` for what they cannot
    be."""
    if isinstance(value, list):
        dtype, shape = value
        value = pieces.numbers(CONSTANTS[key], dtype, _count(shape)).reshape(shape)
        one_of(f"kind of {key}", value.dtype.kind, "iu" if key == "zero_point" else "f")
        value = value.astype(np.float32) if value.dtype == np.float16 else value
    elif key == "zero_point":
        return whole(key, value, -(2**31), 2**31)
    elif key == "scale":
        value = np.float32(within(key, value, 0, LARGEST))
    elif value is not None:
        raise ValueError(f"a codebook must be a row of levels, got {value!r:.80}")
    if key == "scale" and np.min(finite(key, value)) < 0:
        raise ValueError(f"{key} must not be negative, got {np.min(value)}")
    return value if value is None or value.dtype.kind in "iu" else finite(key, value)


def _count(shape):
    if not isinstance(shape, list) or not 1 <= len(shape) <= 32:
        raise ValueError(f"a shape must be a list of numbers, got {shape!r:.80}")
    return math.prod(whole("a shape", size, 1, 2**40) for size in shape)


def _short(value):
    """Returns floats as float16 where that changes none of them, and anything else as it is."""
    if value.dtype.kind == "f" and np.abs(value).max() < 65504:
        short = value.astype(np.float16)
        return short if np.array_equal(short, value) else value
    return value
