"""The container: arrays and notes in one safetensors file, under one digest."""

import hashlib
import json

import numpy as np
import safetensors
import safetensors.numpy

FORMAT = "course_utils/1"
DEPTH = 200  # how deep a description may be nested; a model inside a model takes six levels


def digest(arrays, notes):
    """Returns the sha256 over every array's name, type, shape and bytes, and over the notes."""
    total = hashlib.sha256()
    for name in sorted(arrays):
        array = np.ascontiguousarray(arrays[name])
        total.update(f"{name} {array.dtype.str} {array.shape} ".encode())
        total.update(array.tobytes())
    total.update(json.dumps(notes, sort_keys=True).encode())
    return total.hexdigest()


def pack(arrays, notes):
    """Returns a safetensors file with arrays and string notes under one digest.

    The digest covers names, shapes, values and notes: a file that was cut short, altered or written
    by something else never becomes a model.
    """
    notes = {**notes, "format": FORMAT}
    return safetensors.numpy.save(arrays, {**notes, "sha256": digest(arrays, notes)})


def length(sizes):
    """Returns how long the file is that `pack` makes of rows of bytes, without making it.

    Args:
        sizes: By name, how many bytes a row has.

    Example:

    >>> length({"a": 3}) == len(pack({"a": np.zeros(3, np.uint8)}, {}))
    True
    """
    header, end = {"__metadata__": {"format": FORMAT, "sha256": 64 * "0"}}, 0
    for name in sorted(sizes):
        begin, end = end, end + sizes[name]
        header[name] = {"dtype": "U8", "shape": [sizes[name]], "data_offsets": [begin, end]}
    text = len(json.dumps(header, separators=(",", ":")))
    return 8 + text + -text % 8 + end  # the length of the text, the text in steps of 8, the rows


def unpack(content, name):
    """Reads what `pack` wrote.

    Args:
        content: The bytes of the file.
        name: What messages should call it.

    Returns:
        The arrays by name, and the notes.

    Raises:
        ValueError: If the bytes are not safetensors, come from elsewhere, or were altered.
    """
    try:
        arrays = safetensors.numpy.load(content)
        length = int.from_bytes(content[:8], "little")
        notes = json.loads(content[8 : 8 + length]).get("__metadata__") or {}
    except KeyError as unknown:  # a type that NumPy does not have
        raise ValueError(f"{name} holds tensors of the unknown type {unknown}") from None
    except (safetensors.SafetensorError, ValueError, TypeError, OverflowError) as problem:
        raise ValueError(f"{name} is damaged or no safetensors file ({problem})") from None
    if notes.get("format") != FORMAT:
        raise ValueError(
            f"{name} is not a file of this course: format {notes.get('format')!r}, expected "
            f"{FORMAT!r}"
        )
    expected = notes.pop("sha256", None)
    if digest(arrays, notes) != expected:
        raise ValueError(
            f"{name} is damaged: its {len(arrays)} tensors do not match their checksum"
        )
    notes.pop("format")
    return arrays, notes


def parsed(name, text):
    """Returns what JSON text holds.

    Raises:
        ValueError: If it is not JSON, or nested deeper than `DEPTH`.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as problem:
        raise ValueError(f"{name} is no JSON that can be read ({problem})") from None
    level, depth = [value], 0
    while level := [item for one in level for item in inside(one)]:
        depth += 1
        if depth > DEPTH:
            raise ValueError(f"{name} is nested deeper than {DEPTH}")
    return value


def inside(value):
    """Returns what a value of JSON holds, one level down."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
