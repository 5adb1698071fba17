"""Files: what a compressed model really takes on disk, part by part.

A file is a safetensors container with one run of bytes for each part of the ledger. Every tensor is
laid out in the way that makes it smallest, and the ledger says which way that was.
"""

import dataclasses
import json
import zlib

import constriction
import numpy as np

from course_utils.checks import one_of
from course_utils.container import pack, unpack
from course_utils.quantization import (
    QuantizedTensor,
    bits_for,
    pack_bits,
    packed_bytes,
    unpack_bits,
)

PARTS = ("payload", "scales", "codebooks", "indices", "untouched", "header")
STORAGE = ("fixed", "entropy")


@dataclasses.dataclass(frozen=True)
class Ledger:
    """Where the bytes of a file went.

    Attributes:
        parts: Bytes by part: `payload` (codes, or floats that were kept), `scales` (with zero
            points), `codebooks` (with the code-length tables of the entropy coder), `indices`
            (where the kept weights stand), `untouched` (tensors stored as they were), `header`
            (names, shapes, layouts, the model's configuration, checksum).
        layouts: By tensor: the layout chosen, how many weights it has, and its bytes without
            header.
    """

    parts: dict
    layouts: dict

    @property
    def total(self):
        """Length of the file in bytes."""
        return sum(self.parts.values())

    @property
    def weights(self):
        """How many weights the tensors have, zeros included."""
        return sum(count for _, count, _ in self.layouts.values())

    @property
    def bits_per_weight(self):
        return 8 * self.total / self.weights

    def __str__(self):
        rows = [f"{part:<10} {size:>10,} bytes" for part, size in self.parts.items() if size]
        return "\n".join(
            [
                *rows,
                f"{'total':<10} {self.total:>10,} bytes = {self.bits_per_weight:.2f} bits a weight",
            ]
        )


def entropy_encode(codes, low, high):
    """Codes integers near their entropy with asymmetric numeral systems (Duda, 2013).

    Args:
        codes: Integer array with values from `low` to `high`.

    Returns:
        `(table, words)`: for each level its code length in eighths of a bit (`uint8`, 255 for a
        level that never occurs), and the coded stream (`uint32`).
    """
    counts = np.bincount((codes - low).ravel(), minlength=high - low + 1)
    with np.errstate(divide="ignore"):
        lengths = -8 * np.log2(counts / codes.size)
    table = np.where(counts > 0, np.minimum(np.rint(lengths), 184), 255).astype(np.uint8)
    coder = constriction.stream.stack.AnsCoder()
    coder.encode_reverse(_dense(codes.ravel() - low, table), _model(table))
    return table, coder.get_compressed()


def entropy_decode(table, words, count, low):
    """Undoes `entropy_encode`: returns `count` integers."""
    levels = np.flatnonzero(table != 255) + low
    return levels[constriction.stream.stack.AnsCoder(words).decode(_model(table), count)]


def _dense(codes, table):
    """Renumbers the levels that occur 0, 1, 2, ...: the coder gives no room to the others."""
    return (np.cumsum(table != 255) - 1).astype(np.int32)[codes]


def _model(table):
    # Whole numbers, so that every machine arrives at the same probabilities to the last bit.
    weights = np.rint(np.exp2(24 - table[table != 255] / 8.0))
    weights = np.append(weights, 1.0) if weights.size == 1 else weights  # a model needs two symbols
    return constriction.stream.model.Categorical(weights.astype(np.float32), perfect=False)


def gap_bits(kept):
    """Returns the width of distances that stores these positions in the fewest bits, and how many
    entries that takes."""
    distances = np.diff(kept, prepend=-1) - 1
    around = max(1, int(np.log2(distances.mean() + 1)))
    takes = {bits: len(kept) + int((distances >> bits).sum()) for bits in range(around, around + 4)}
    best = min(takes, key=lambda bits: bits * takes[bits])
    return best, takes[best]


def gap_entries(kept, bits):
    """Positions to store so that no distance between two of them exceeds `2**bits`.

    Where two kept weights stand further apart, fillers are put between them, which point at weights
    that were removed and carry a zero, as in Deep Compression (Han et al., 2016).

    Args:
        kept: Sorted flat positions of the kept weights.
        bits: Width of a distance.

    Returns:
        The sorted positions of kept weights and fillers. `np.diff(..., prepend=-1) - 1` of it fits
        in `bits` bits.
    """
    fillers = (np.diff(kept, prepend=-1) - 1) >> bits
    before = np.repeat(
        kept - (fillers << bits), fillers + 1
    )  # each run starts this far left of its weight
    runs = np.arange(len(before)) - np.repeat(np.cumsum(fillers + 1) - fillers - 1, fillers + 1)
    return before + (runs << bits)


def as_bytes(array):
    return np.frombuffer(np.ascontiguousarray(array).tobytes(), np.uint8)


def float_layouts(array):
    """The ways to store a float tensor; each is `(bytes, name, notes, build)`.

    `build()` returns the pieces as `(part, bytes)`, in the order in which they are read back.
    """
    yield array.nbytes, "raw", {"dtype": array.dtype.str}, lambda: [("untouched", as_bytes(array))]
    if array.dtype == np.float32 and np.count_nonzero(array) < 0.97 * array.size:
        flat = array.ravel()
        for name, size, notes, entries, index in index_layouts(flat != 0):
            yield (
                size + 4 * entries,
                name,
                notes,
                lambda index=index: [
                    ("indices", index()[0]),
                    ("payload", as_bytes(flat[index()[1]])),
                ],
            )


def code_layouts(tensor, entropy):
    """The ways to store integer codes; each is `(bytes, name, notes, build)`."""
    codes = tensor.codes.astype(
        np.int64
    ).ravel()  # so that subtracting the lowest leaves no type's range
    low, high = int(codes.min()), int(codes.max())
    width = bits_for(low, high)
    yield (
        packed_bytes(width, codes.size),
        f"packed, {width} bits",
        {"low": low, "width": width},
        lambda: [("payload", pack_bits(codes - low, width))],
    )
    if (
        np.ndim(tensor.zero_point) == 0
        and tensor.codebook is None
        and np.any(kept := codes != tensor.zero_point)
    ):
        values = codes[kept]
        zero = int(tensor.zero_point)
        low_kept, high_kept = (
            min(int(values.min()), zero),
            max(int(values.max()), zero),
        )  # fillers carry a zero
        width_kept = bits_for(low_kept, high_kept)
        for name, size, notes, entries, index in index_layouts(kept):
            yield (
                size + packed_bytes(width_kept, entries),
                f"{name}, {width_kept} bits",
                {**notes, "low": low_kept, "width": width_kept, "zero": zero},
                lambda index=index: [
                    ("indices", index()[0]),
                    ("payload", pack_bits(codes[index()[1]] - low_kept, width_kept)),
                ],
            )
    if entropy and high - low < codes.size:
        table, words = entropy_encode(codes, low, high)
        yield (
            len(table) + words.nbytes,
            "ans",
            {"low": low, "levels": len(table)},
            lambda: [("codebooks", table), ("payload", as_bytes(words))],
        )


def index_layouts(kept):
    """The ways to say which weights of a flat mask are stored: a bit for each, or distances."""
    count = int(np.count_nonzero(kept))
    if count < 0.97 * kept.size:
        yield (
            "bitmap",
            packed_bytes(1, kept.size),
            {"entries": count},
            count,
            lambda: (np.packbits(kept, bitorder="little"), np.flatnonzero(kept)),
        )
    if 0 < count < 0.3 * kept.size:
        positions = np.flatnonzero(kept)
        bits, entries = gap_bits(positions)

        def build():
            stored = gap_entries(positions, bits)
            return pack_bits(np.diff(stored, prepend=-1) - 1, bits), stored

        yield (
            f"gaps of {bits} bits",
            packed_bytes(bits, entries),
            {"entries": entries, "gap": bits},
            entries,
            build,
        )


class _Reader:
    """Takes pieces from the parts of a file in the order in which they were put there."""

    def __init__(self, parts):
        self.parts, self.at = parts, dict.fromkeys(parts, 0)

    def take(self, part, size):
        piece = self.parts[part][self.at[part] : self.at[part] + size]
        self.at[part] += size
        return piece

    def array(self, part, dtype, shape):
        dtype = np.dtype(dtype)
        return self.take(part, dtype.itemsize * int(np.prod(shape))).view(dtype).reshape(shape)

    def positions(self, notes, size):
        if "gap" in notes:
            packed = self.take("indices", packed_bytes(notes["gap"], notes["entries"]))
            return np.cumsum(unpack_bits(packed, notes["gap"], notes["entries"]) + 1) - 1
        return np.flatnonzero(
            np.unpackbits(
                self.take("indices", packed_bytes(1, size)), count=size, bitorder="little"
            )
        )

    def floats(self, shape, notes):
        if "dtype" in notes:
            return self.array("untouched", notes["dtype"], shape)
        flat = np.zeros(int(np.prod(shape)), np.float32)
        flat[self.positions(notes, flat.size)] = self.array(
            "payload", np.float32, (notes["entries"],)
        )
        return flat.reshape(shape)

    def codes(self, shape, notes):
        size = int(np.prod(shape))
        if "levels" in notes:
            table = self.take("codebooks", notes["levels"])
            words = self.array("payload", np.uint32, (notes["words"],))
            return entropy_decode(table, words, size, notes["low"]).reshape(shape)
        if "entries" in notes:
            flat = np.full(size, notes["zero"], np.int64)
            positions = self.positions(notes, size)
            packed = self.take("payload", packed_bytes(notes["width"], notes["entries"]))
            flat[positions] = unpack_bits(packed, notes["width"], notes["entries"]) + notes["low"]
            return flat.reshape(shape)
        return (
            unpack_bits(
                self.take("payload", packed_bytes(notes["width"], size)), notes["width"], size
            )
            + notes["low"]
        ).reshape(shape)


def encode(tensors, storage="fixed", model=None):
    """Lays tensors out as one file, each in the way that makes it smallest.

    Args:
        tensors: By name: a `QuantizedTensor`, or a float array that stays as it is.
        storage: `"fixed"` (packed at a fixed width, or only what is not zero, with indices) or
            `"entropy"` (an entropy coder may be used as well).
        model: Anything JSON can hold that `decode` should give back, such as a configuration.

    Returns:
        The file as `bytes`, and its `Ledger`. `ledger.total == len(bytes)`.
    """
    one_of("storage", storage, STORAGE)
    parts, layouts, table = {part: [] for part in PARTS[:-1]}, {}, []
    for name, tensor in tensors.items():
        head, pieces = [], []
        if isinstance(tensor, QuantizedTensor):
            shape = tensor.codes.shape
            head, pieces = _constants(tensor)
            candidates = code_layouts(tensor, storage == "entropy")
        else:
            tensor = np.asarray(tensor)
            shape = tensor.shape
            candidates = float_layouts(tensor)
        _, layout, notes, build = min(candidates, key=lambda candidate: candidate[0])
        pieces = [*pieces, *build()]
        if layout == "ans":
            notes["words"] = len(pieces[-1][1]) // 4
        for part, piece in pieces:
            parts[part].append(piece)
        layouts[name] = layout, int(np.prod(shape)), sum(len(piece) for _, piece in pieces)
        table.append([name, list(shape), notes, head])
    joined = {part: np.concatenate(pieces) for part, pieces in parts.items() if pieces}
    header = zlib.compress(
        json.dumps({"tensors": table, "model": model}, separators=(",", ":")).encode(), 9
    )
    content = pack({**joined, "layout": np.frombuffer(header, np.uint8)}, {})
    sizes = {part: joined[part].size if part in joined else 0 for part in PARTS[:-1]}
    return content, Ledger({**sizes, "header": len(content) - sum(sizes.values())}, layouts)


def _constants(tensor):
    """What a quantized tensor needs beside its codes: scalars go to the notes, arrays to the
    parts."""
    head, pieces = {"bits": tensor.bits, "group_size": tensor.group_size}, []
    for key, part in (("scale", "scales"), ("zero_point", "scales"), ("codebook", "codebooks")):
        value = getattr(tensor, key)
        if value is None or np.ndim(value) == 0:
            head[key] = None if value is None else np.asarray(value).item()
            continue
        if (
            value.dtype.kind == "f"
            and np.abs(value).max() < 65504
            and np.array_equal(short := value.astype(np.float16), value)
        ):
            value = short
        head[key] = [value.dtype.str, list(value.shape)]
        pieces.append((part, as_bytes(value)))
    return head, pieces


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
    described = json.loads(zlib.decompress(parts["layout"].tobytes()))
    reader, tensors = _Reader(parts), {}
    for tensor_name, shape, notes, head in described["tensors"]:
        if not head:
            tensors[tensor_name] = reader.floats(shape, notes)
            continue
        for key, part in (("scale", "scales"), ("zero_point", "scales"), ("codebook", "codebooks")):
            if isinstance(head[key], list):
                value = reader.array(part, *head[key])
                head[key] = value.astype(np.float32) if value.dtype == np.float16 else value
        head["scale"] = np.float32(head["scale"]) if np.ndim(head["scale"]) == 0 else head["scale"]
        tensors[tensor_name] = QuantizedTensor(reader.codes(shape, notes), **head)
    return tensors, described["model"]
