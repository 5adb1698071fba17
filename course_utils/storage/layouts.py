"""Layouts: the ways in which one tensor can lie in a file, one class each.

All are read alike. The fields of a class are what the header of the file says about the tensor.
`sizes` is how many bytes `count` weights take, by part of the ledger, known before anything is
written (only `Ans` must write to know). `write` turns the flat tensor into pieces of these sizes.
`read` takes the same pieces and gives the flat tensor back. `str` is what the ledger calls the
layout.

A tensor is either floats (`Raw`, `FloatBitmap`, `FloatGaps`, and `ShortBitmap` and `ShortGaps` for
floats of 16 bits) or the integer codes of a quantized one (`Packed`, `CodeBitmap`, `CodeGaps`,
`Ans`).

Whoever wrote a file may have put anything into it, so `read` believes nothing: every piece must be
there to its last byte, and every position inside the tensor.
"""

import dataclasses

import ml_dtypes
import numpy as np

from course_utils.checks import one_of, whole
from course_utils.quantization import bits_for, pack_bits, packed_bytes, unpack_bits
from course_utils.storage.entropy import entropy_decode, entropy_encode
from course_utils.storage.gaps import distances, gap_bits, gap_entries, positions
from course_utils.text import _

# The types that numbers in a file may have, by the name that a header gives them.
TYPES = {
    np.dtype(kind).str: np.dtype(kind) for kind in "bool i1 i2 i4 i8 u1 u2 u4 u8 f2 f4 f8".split()
}
TYPES["bfloat16"] = np.dtype(
    ml_dtypes.bfloat16
)  # NumPy itself calls it "<V2", two bytes of anything


def name_of(dtype):
    """Returns the name of a NumPy type in a header."""
    return one_of("type", "bfloat16" if dtype == TYPES["bfloat16"] else dtype.str, TYPES)


class Pieces:
    """Takes pieces from the parts of a file in the order in which they were put there.

    Args:
        parts: By part of the ledger, its bytes as a `uint8` array.
    """

    def __init__(self, parts):
        self.parts, self.at = parts, dict.fromkeys(parts, 0)

    def take(self, part, size):
        """Returns the next `size` bytes of a part; raises `ValueError` if there are fewer."""
        begin, there = self.at.get(part, 0), self.left(part)
        if size > there:
            raise ValueError(f"{part} has {there} bytes left where {size} are needed")
        self.at[part] = begin + size
        return self.parts[part][begin : begin + size] if size else np.empty(0, np.uint8)

    def left(self, part):
        """Returns how many bytes of a part were not taken yet."""
        return len(self.parts.get(part, ())) - self.at.get(part, 0)

    def numbers(self, part, dtype, count):
        """Returns the next `count` numbers of a type in `TYPES`, by its name there."""
        dtype = TYPES[one_of("type", dtype, TYPES)]
        return self.take(part, dtype.itemsize * count).view(dtype)

    def integers(self, part, width, count):
        """Returns the next `count` integers that `pack_bits` wrote at this width."""
        return unpack_bits(self.take(part, packed_bytes(width, count)), width, count)

    def ones(self, part, count, entries):
        """Returns which of the next `count` bits are 1, as positions; `entries` must be."""
        packed = self.take(part, packed_bytes(1, count))
        found = np.flatnonzero(np.unpackbits(packed, count=count, bitorder="little").view(bool))
        if len(found) != entries:
            raise ValueError(f"a bitmap shows {len(found)} weights where {entries} are stored")
        return found

    def gaps(self, part, width, entries, count):
        """Returns the positions that the next `entries` distances lead to; all below `count`."""
        if entries > count:
            raise ValueError(f"{entries} weights are stored of a tensor that has {count}")
        found = positions(self.integers(part, width, entries))
        if entries and found[-1] >= count:
            raise ValueError(f"weight {found[-1]} is stored of a tensor that has {count}")
        return found


def as_bytes(array):
    return np.frombuffer(array.tobytes(), np.uint8)


# --- floats --------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Raw:
    """Every number as it lies in memory.

    Parts:
        untouched: all bytes of the array.

    Attributes:
        dtype: NumPy's name of the type, such as `"<f4"`, or `"bfloat16"`; see `TYPES`.
    """

    dtype: str

    def __str__(self):
        return _("raw")

    def sizes(self, count):
        return {"untouched": TYPES[self.dtype].itemsize * count}

    def write(self, values):
        return {"untouched": as_bytes(values)}

    def read(self, pieces, count):
        return pieces.numbers("untouched", self.dtype, count)


@dataclasses.dataclass(frozen=True)
class FloatBitmap:
    """The float32 that are not zero, and a bit for every weight that says whether it is one.

    Parts:
        indices: 1 bit a weight.
        payload: 4 bytes an entry.

    Attributes:
        entries: How many are not zero.
    """

    entries: int
    dtype = "<f4"

    def __str__(self):
        return _("bitmap")

    def sizes(self, count):
        payload = TYPES[self.dtype].itemsize * self.entries
        return {"indices": packed_bytes(1, count), "payload": payload}

    def write(self, floats):
        kept = floats != 0
        payload = as_bytes(floats.compress(kept))  # ten times as fast as floats[kept]
        return {"indices": np.packbits(kept, bitorder="little"), "payload": payload}

    def read(self, pieces, count):
        stored = pieces.ones("indices", count, self.entries)
        floats = np.zeros(count, TYPES[self.dtype])
        floats[stored] = pieces.numbers("payload", self.dtype, self.entries)
        return floats


@dataclasses.dataclass(frozen=True)
class ShortBitmap(FloatBitmap):
    """`FloatBitmap` for floats of 16 bits, 2 bytes an entry.

    Attributes:
        dtype: As in `Raw`.
    """

    dtype: str


@dataclasses.dataclass(frozen=True)
class FloatGaps:
    """The float32 that are not zero, and how far each stands from the one before it.

    Where a distance does not fit in `gap` bits, zeros are stored in between; see `gap_entries`.

    Parts:
        indices: `gap` bits an entry.
        payload: 4 bytes an entry.

    Attributes:
        entries: How many floats are stored.
        gap: Bits a distance.
    """

    entries: int
    gap: int
    dtype = "<f4"

    def __str__(self):
        return _("gaps of {gap} bits").format(gap=self.gap)

    def sizes(self, count):
        payload = TYPES[self.dtype].itemsize * self.entries
        return {"indices": packed_bytes(self.gap, self.entries), "payload": payload}

    def write(self, floats):
        stored = gap_entries(np.flatnonzero(floats != 0), self.gap)
        gaps = pack_bits(distances(stored), self.gap)
        return {"indices": gaps, "payload": as_bytes(floats[stored])}

    def read(self, pieces, count):
        stored = pieces.gaps("indices", self.gap, self.entries, count)
        floats = np.zeros(count, TYPES[self.dtype])
        floats[stored] = pieces.numbers("payload", self.dtype, self.entries)
        return floats


@dataclasses.dataclass(frozen=True)
class ShortGaps(FloatGaps):
    """`FloatGaps` for floats of 16 bits, 2 bytes an entry.

    Attributes:
        dtype: As in `Raw`.
    """

    dtype: str


# --- codes ---------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Packed:
    """Every code at one width, with no bit between them.

    Parts:
        payload: `width` bits a weight.

    Attributes:
        low: The lowest code; it is written as 0.
        width: Bits a code.
    """

    low: int
    width: int

    def __str__(self):
        return _("packed, {width} bits").format(width=self.width)

    def sizes(self, count):
        return {"payload": packed_bytes(self.width, count)}

    def write(self, codes):
        return {"payload": pack_bits(codes - self.low, self.width)}

    def read(self, pieces, count):
        return pieces.integers("payload", self.width, count) + self.low


@dataclasses.dataclass(frozen=True)
class CodeBitmap:
    """The codes that do not stand for 0.0, and a bit for every weight that says whether it is one.

    Parts:
        indices: 1 bit a weight.
        payload: `width` bits an entry.

    Attributes:
        entries: How many codes are stored.
        low, width: As in `Packed`.
        zero: The code that stands for 0.0.
    """

    entries: int
    low: int
    width: int
    zero: int

    def __str__(self):
        return _("bitmap, {width} bits").format(width=self.width)

    def sizes(self, count):
        payload = packed_bytes(self.width, self.entries)
        return {"indices": packed_bytes(1, count), "payload": payload}

    def write(self, codes):
        kept = codes != self.zero
        payload = pack_bits(codes.compress(kept) - self.low, self.width)
        return {"indices": np.packbits(kept, bitorder="little"), "payload": payload}

    def read(self, pieces, count):
        stored = pieces.ones("indices", count, self.entries)
        codes = np.full(count, self.zero, np.int64)
        codes[stored] = pieces.integers("payload", self.width, self.entries) + self.low
        return codes


@dataclasses.dataclass(frozen=True)
class CodeGaps:
    """The codes that do not stand for 0.0, and how far each stands from the one before it.

    Where a distance does not fit in `gap` bits, zeros are stored in between; see `gap_entries`.

    Parts:
        indices: `gap` bits an entry.
        payload: `width` bits an entry.

    Attributes:
        entries: How many codes are stored.
        gap: Bits a distance.
        low, width: As in `Packed`.
        zero: The code that stands for 0.0.
    """

    entries: int
    gap: int
    low: int
    width: int
    zero: int

    def __str__(self):
        return _("gaps of {gap} bits, {width} bits").format(gap=self.gap, width=self.width)

    def sizes(self, count):
        payload = packed_bytes(self.width, self.entries)
        return {"indices": packed_bytes(self.gap, self.entries), "payload": payload}

    def write(self, codes):
        stored = gap_entries(np.flatnonzero(codes != self.zero), self.gap)
        gaps = pack_bits(distances(stored), self.gap)
        return {"indices": gaps, "payload": pack_bits(codes[stored] - self.low, self.width)}

    def read(self, pieces, count):
        stored = pieces.gaps("indices", self.gap, self.entries, count)
        codes = np.full(count, self.zero, np.int64)
        codes[stored] = pieces.integers("payload", self.width, self.entries) + self.low
        return codes


@dataclasses.dataclass
class Ans:
    """Every code in about as many bits as it is surprising; see `entropy_encode`.

    Parts:
        codebooks: 1 byte a level, how long its code is.
        payload: 4 bytes a word of the coded stream.

    Attributes:
        low: The lowest level.
        levels: How many levels there are from the lowest to the highest.
        words: Length of the stream.
    """

    low: int
    levels: int
    words: int

    @classmethod
    def of(cls, codes, low, high):
        """Codes at once, for only a finished stream tells how long it is; `write` hands it out."""
        table, words = entropy_encode(codes, low, high)
        layout = cls(low, len(table), len(words))
        layout.coded = {"codebooks": table, "payload": as_bytes(words)}
        return layout

    def __str__(self):
        return _("ans")

    def sizes(self, count):
        return {"codebooks": self.levels, "payload": 4 * self.words}

    def write(self, codes):
        return self.coded

    def read(self, pieces, count):
        table = pieces.take("codebooks", self.levels)
        words = pieces.numbers("payload", "<u4", self.words)
        return entropy_decode(table, words, count, self.low)


# --- which one -----------------------------------------------------------------------------------

FLOATS = (Raw, FloatBitmap, FloatGaps)
# A header names no class: no two have the same fields, so these tell which one wrote them.
LAYOUTS = {
    frozenset(field.name for field in dataclasses.fields(layout)): layout
    for layout in (*FLOATS, ShortBitmap, ShortGaps, Packed, CodeBitmap, CodeGaps, Ans)
}
# What fields may be: a code and what is subtracted from it have 32 bits, with or without a sign.
RANGES = {name: (-(2**33), 2**33) for name in ("low", "zero")}
RANGES |= {name: (0, 32) for name in ("gap", "width")}
RANGES |= {name: (0, 2**40) for name in ("entries", "levels", "words")}


def layout_of(notes):
    """Returns the layout whose fields, by name, a header gives.

    Raises:
        ValueError: If no layout has these fields, or one of them is out of range.
    """
    if not isinstance(notes, dict) or frozenset(notes) not in LAYOUTS:
        raise ValueError(f"no layout is described by {notes!r:.80}")
    return LAYOUTS[frozenset(notes)](
        **{
            name: one_of("type", value, TYPES)
            if name == "dtype"
            else whole(name, value, *RANGES[name])
            for name, value in notes.items()
        }
    )


def float_layouts(values):
    """Yields the layouts worth trying for a flat array that was not quantized; the simplest comes
    first."""
    dtype = name_of(values.dtype)
    yield Raw(dtype)
    if dtype == "<f4":
        yield from sparse_layouts(values != 0, 32, FloatBitmap, FloatGaps)
    elif dtype in ("<f2", "bfloat16"):
        yield from sparse_layouts(values != 0, 16, ShortBitmap, ShortGaps, dtype=dtype)


def code_layouts(codes, zero, entropy):
    """Yields the layouts worth trying for flat codes; the simplest comes first.

    Args:
        codes: `int64` array.
        zero: The code that stands for 0.0; `None` if there is no such code, or several.
        entropy: Whether the entropy coder may be used.
    """
    low, high = int(codes.min()), int(codes.max())
    packed = Packed(low, bits_for(low, high))
    yield packed
    if zero is not None:
        notes = {**dataclasses.asdict(packed), "zero": zero}
        yield from sparse_layouts(codes != zero, packed.width, CodeBitmap, CodeGaps, **notes)
    if entropy and high - low < codes.size:  # else its table has more levels than there are codes
        yield Ans.of(codes, low, high)


def sparse_layouts(kept, payload, bitmap, gaps, **notes):
    """Yields the two sparse layouts, each only where it can hope to be smaller than others; an
    entry takes `payload` bits beside its index."""
    entries = int(np.count_nonzero(kept))
    if entries < 0.97 * kept.size:  # a bit a weight pays where one weight in 32 goes, or more
        yield bitmap(entries=entries, **notes)
    if 0 < entries < 0.3 * kept.size:  # where more stay, distances hardly ever beat the bitmap
        gap, entries = gap_bits(np.flatnonzero(kept), payload)
        yield gaps(entries=entries, gap=gap, **notes)
    if not entries and kept.size < 2**16:  # of what takes no bytes, a reader believes little
        yield gaps(entries=0, gap=0, **notes)
