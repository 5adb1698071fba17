"""The container: arrays and notes in one safetensors file, under one digest."""

import hashlib
import json

import numpy as np
import safetensors
import safetensors.numpy

FORMAT = "course_utils/1"


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
        notes = json.loads(content[8 : 8 + length]).get("__metadata__", {})
    except (safetensors.SafetensorError, ValueError, KeyError, TypeError, OverflowError) as problem:
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
