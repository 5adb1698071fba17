"""Files: what a compressed model really takes on disk, part by part.

A file is a safetensors container with one run of bytes for each part of the ledger. Every tensor is
laid out in the way that makes the file smallest, and the ledger says which way that was. `layouts`
holds the ways, one class each; `choice` compares them; `file` puts their pieces together.
"""

from course_utils.storage.entropy import entropy_decode, entropy_encode
from course_utils.storage.file import STORAGE, decode, encode
from course_utils.storage.gaps import gap_bits, gap_entries
from course_utils.storage.ledger import PARTS, Ledger

__all__ = [
    "PARTS",
    "STORAGE",
    "Ledger",
    "decode",
    "encode",
    "entropy_decode",
    "entropy_encode",
    "gap_bits",
    "gap_entries",
]
